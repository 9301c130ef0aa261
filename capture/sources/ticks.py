"""pcapng's timestamps: 64 bits of a unit that each interface chooses (if_tsresol, if_tsoffset)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Clock"]

_LATEST: Final = (1 << 63) - 1
"""The last nanosecond that 64 bits hold, in the year 2262; what lies beyond is shown as this."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How an interface counts time."""

    resolution: int
    """if_tsresol: the unit is 10**-n s, or 2**-n s where bit 7 is set and n the other bits."""
    offset: int
    """if_tsoffset: seconds to add."""

    def nanoseconds(self, ticks: NDArray[np.uint64]) -> NDArray[np.int64]:
        """shape (n,) -> (n,), int64 since 1970, rounded down, exact within the range that int64 has.

        The draft calls ticks unsigned. Where that leads past 2262 they are taken as signed: a writer that corrects
        its clock below zero is the one way in which such values are seen.
        """
        times = self._since_offset(ticks)
        offset = min(max(self.offset * 1_000_000_000, -_LATEST), _LATEST)
        if offset > 0:
            times = np.minimum(times, _LATEST - offset) + offset
        elif offset < 0:
            times = np.maximum(times, -_LATEST - offset) + offset
        return times

    def _since_offset(self, ticks: NDArray[np.uint64]) -> NDArray[np.int64]:
        exponent = self.resolution & 0x7F
        binary = self.resolution >= 0x80
        signed = ticks.view(np.int64)
        times: NDArray[np.int64]
        if not binary and exponent <= 9:
            scale = 10 ** (9 - exponent)
            times = np.clip(signed, -(_LATEST // scale), _LATEST // scale) * scale
        elif not binary and exponent <= 19:
            times = (ticks // np.uint64(10 ** (exponent - 9))).astype(np.int64)
        elif binary and exponent <= 34:
            # The fraction has 34 bits at most: times 10**9 it still fits 64.
            fraction = (ticks & np.uint64((1 << exponent) - 1)) * np.uint64(1_000_000_000) >> np.uint64(exponent)
            seconds = signed >> exponent if exponent < 31 else (ticks >> np.uint64(exponent)).astype(np.int64)
            times = np.clip(seconds, -9_223_372_036, 9_223_372_035) * 1_000_000_000 + fraction.astype(np.int64)
        else:
            units = 2**exponent if binary else 10**exponent
            times = np.fromiter((tick * 1_000_000_000 // units for tick in ticks.tolist()), np.int64, len(ticks))
        return times
