"""The time that rows cover, added up as they come, also where clocks jump back or rows are a little out of order."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["JUMP", "Advance"]

JUMP: Final = 1_000_000_000
"""Nanoseconds that a row may be older than one before it, as those of several interfaces are; more, and the clock
was set back, or another capture begins: time that was covered twice counts twice."""


class Advance:
    """By how much each batch of rows moves the latest time stamp on."""

    def __init__(self) -> None:
        self._latest: int | None = None

    def add(self, ts: NDArray[np.int64]) -> tuple[int, int]:
        """Take the time stamps of the next rows, at least one, in their order, in nanoseconds.

        Returns how far the first is behind the latest before (0 at the start and after a jump back), and how far the
        latest moved on in all, that included.
        """
        first, last = int(ts[0]), int(ts[-1])
        low, high = int(ts.min()), int(ts.max())
        latest, lead = self._latest, 0
        if latest is None or first < latest - JUMP:
            latest = low if first - low <= JUMP else first
        else:
            lead = max(first - latest, 0)
        if first - low <= JUMP and high - last <= JUMP:
            self._latest = max(high, latest)
            return lead, self._latest - latest
        return lead, lead + self._pieces(ts)

    def _pieces(self, ts: NDArray[np.int64]) -> int:
        """The same within rows among which the clock jumps: each piece from its earliest to its latest time."""
        # As floats: the difference of two times can be more than an int64 holds.
        times = ts.astype(np.float64)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(times) < -JUMP) + 1])
        high = np.maximum.reduceat(times, starts)
        self._latest = int(ts[starts[-1] :].max())
        return int((high - np.minimum.reduceat(times, starts)).sum())
