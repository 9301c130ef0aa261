"""pcapng's timestamps: 64 bits of a unit that each interface chooses (if_tsresol, if_tsoffset)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["LATEST", "Clock"]

LATEST: Final = (1 << 63) - 1
"""The last nanosecond that 64 bits hold, in the year 2262; what lies beyond is shown as this."""
_EDGE: Final = LATEST // 1_000_000_000
_FAR: Final = 1 << 62
"""Seconds that ticks count at most …"""
_NEAR: Final = 1 << 60
"""… and that an offset may have then: far beyond the range, and their sum within 64 bits."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How an interface counts time."""

    resolution: int
    """if_tsresol: the unit is 10**-n s, or 2**-n s where bit 7 is set and n the other bits."""
    offset: int
    """if_tsoffset: seconds to add."""

    def nanoseconds(self, ticks: NDArray[np.uint64]) -> NDArray[np.int64]:
        """shape (n,) -> (n,), int64 since 1970, rounded down and exact; ±LATEST where that is beyond what int64 has.

        Ticks are unsigned, as the draft says: a writer that corrects its clock below zero gets the year 2262.
        """
        if not self.offset and self.resolution <= 9:
            scale = 10 ** (9 - self.resolution)
            if int(ticks.max(initial=0)) <= LATEST // scale:
                # Nearly always: a multiplication.
                made: NDArray[np.int64] = ticks.view(np.int64) * scale
                return made
        if self.resolution & 0x7F > (34 if self.resolution >= 0x80 else 19) or abs(self.offset) > _NEAR:
            return np.fromiter((self._exact(tick) for tick in ticks.tolist()), np.int64, len(ticks))
        seconds, rest = self._split(ticks)
        seconds += self.offset
        times = np.clip(seconds, -_EDGE, _EDGE) * 1_000_000_000
        times = np.where(times > LATEST - rest, LATEST, times + rest)
        times[seconds > _EDGE] = LATEST
        times[seconds < -_EDGE] = -LATEST
        return times

    def _split(self, ticks: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Seconds without the offset, at most _FAR, and nanoseconds below one."""
        exponent = self.resolution & 0x7F
        if self.resolution < 0x80:
            units = np.uint64(10**exponent)
            seconds, rest = ticks // units, ticks % units
            scale = np.uint64(10 ** abs(9 - exponent))
            rest = rest * scale if exponent <= 9 else rest // scale
        else:
            # The fraction has 34 bits at most: times 10**9 it still fits 64.
            seconds = ticks >> np.uint64(exponent)
            fraction = ticks & np.uint64((1 << exponent) - 1)
            rest = fraction * np.uint64(1_000_000_000) >> np.uint64(exponent)
        return np.minimum(seconds, np.uint64(_FAR)).astype(np.int64), rest.astype(np.int64)

    def _exact(self, tick: int) -> int:
        """The same for one, whatever the unit and the offset."""
        units: int = (2 if self.resolution >= 0x80 else 10) ** (self.resolution & 0x7F)
        return min(max(tick * 1_000_000_000 // units + self.offset * 1_000_000_000, -LATEST), LATEST)
