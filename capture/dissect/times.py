"""Times as Windows counts them."""

from __future__ import annotations

from netwatch.capture.dissect.kit import absolute

__all__ = ["filetime"]

EPOCH_1601 = 11644473600
"""Seconds from 1601 to 1970 (MS-DTYP 2.3.3)."""
YEAR_9999 = 253402300800
"""Seconds; later ones have no date."""


def filetime(ticks: int) -> str:
    """100 ns since 1601; 0: no time."""
    if not ticks:
        return "No time specified (0)"
    seconds = ticks // 10**7 - EPOCH_1601
    if seconds >= YEAR_9999:
        return "Infinity"
    return absolute(ticks * 100 - EPOCH_1601 * 10**9)
