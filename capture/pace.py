"""The clock of a replay: which packets are due. The person sets it in one thread, the replay asks it in another."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST_WAIT", "SPEEDS", "UNBOUNDED", "Pace"]

SPEEDS: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, math.inf)
"""What the keys step through."""

UNBOUNDED: Final = 1e9
"""A speed from which on nothing is waited for."""
LONGEST_WAIT: Final = 10.0
"""Seconds for which a replay waits for a packet; a longer gap is shortened to it."""
_LAG: Final = 2.0
"""Seconds behind its pace after which (a suspended process) the replay goes on from where it is."""
_LATEST: Final = 1 << 62


class Pace:
    """Where a replay is, in nanoseconds since its first packet was due, and how fast that time goes by."""

    def __init__(self, speed: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed = threading.Event()
        """Set when there is something new to ask for: wakes who waits."""
        self.start: int | None = None
        """Time of the first packet, as the file gives it (ns since 1970)."""
        self.end: int | None = None
        """Time of the file's last packet, if it was known before the file was read to there."""
        self._clock = clock
        self._lock = threading.Lock()
        self._speed = speed
        self._paused = False
        self._anchor: tuple[float, int] | None = None
        """A moment of the clock and the time in the replay that belongs to it."""
        self._served = 0
        """When the last packet that was given out was due."""
        self._next: int | None = None
        """When the packet is due that is waited for."""
        self._rush: int | None = None
        """Up to here nothing is waited for."""
        self._given = 0
        """Packets that were given out, without those that a filter took away behind the replay."""
        self._wanted = 0
        """Up to so many of them nothing is waited for."""
        self._left_out = 0
        """Nanoseconds of gaps that were shortened."""

    # The person

    @property
    def speed(self) -> float:
        """Seconds of the capture a second; from UNBOUNDED on as fast as it goes."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        with self._lock:
            self._settle()
            self._speed = speed
        self.changed.set()

    @property
    def words(self) -> str:
        """`1x`, `0.5x`, `max`."""
        return "max" if self._speed >= UNBOUNDED else f"{self._speed:g}x"

    def faster(self, up: bool) -> None:
        """The next speed of SPEEDS."""
        beyond = [speed for speed in SPEEDS if (speed > self._speed if up else speed < self._speed)]
        if beyond:
            self.speed = beyond[0] if up else beyond[-1]

    @property
    def paused(self) -> bool:
        """The clock stands still, and no packet comes."""
        return self._paused

    def pause(self) -> None:
        """Stop the clock."""
        with self._lock:
            self._settle()
            self._paused, self._rush, self._wanted = True, None, 0

    def go_on(self) -> None:
        """Let it run on from where it stopped."""
        with self._lock:
            self._settle()
            self._paused = False
        self.changed.set()

    def run_on(self, distance: int) -> None:
        """Play the next `distance` nanoseconds at once, further if no packet lies in them; a pause stays one."""
        with self._lock:
            target = max(self._rush or 0, self._served) + distance
            self._rush = target if self._next is None else max(target, self._next)
        self.changed.set()

    def run_until(self, number: int) -> None:
        """Play on at once up to the packet with this number; a pause stays one."""
        with self._lock:
            self._wanted = number
        self.changed.set()

    def waits(self) -> tuple[float, int] | None:
        """Seconds until the next packet, and the length of the gap in ns; None if it may come at any moment."""
        with self._lock:
            if self._next is None or self._paused or self._rush is not None or self._speed >= UNBOUNDED:
                return None
            return max(self._next - self._position(), 0) / 1e9 / self._speed, self._next - self._served

    def seconds(self) -> float:
        """How much of the capture was played, without what shortened gaps left out; never goes back."""
        with self._lock:
            return (self._position() - self._left_out) / 1e9 if self._anchor is not None else 0.0

    # The replay

    def due(self, next_due: int) -> int:
        """The time up to which packets are due now, the next of them at `next_due`; it is waited for from now on."""
        with self._lock:
            if self._anchor is None:
                self._anchor = self._clock(), next_due
            if self._rush is not None:
                if next_due <= self._rush:
                    return self._rush
                self._rush = None
            self._next = next_due
            if self._paused:
                return -_LATEST
            if self._speed >= UNBOUNDED:
                return _LATEST
            behind = (self._position() - next_due) / 1e9 / self._speed
            if behind > _LAG:
                self._anchor = self._clock(), next_due
            elif -behind > LONGEST_WAIT:
                self._shorten(next_due)
            return self._position()

    def wait(self, next_due: int) -> float:
        """Seconds until then, infinite while paused."""
        with self._lock:
            if self._paused or self._anchor is None:
                return math.inf
            if self._speed >= UNBOUNDED:
                return 0.0
            return max((next_due - self._position()) / 1e9 / self._speed, 0.0)

    def owed(self) -> int:
        """Packets that are to be given out at once, whenever they are due."""
        return max(self._wanted - self._given, 0)

    def rejected(self, packets: int) -> None:
        """A filter took away so many of those that were given out."""
        with self._lock:
            self._given -= packets

    def serve(self, last_due: int, packets: int = 1) -> None:
        """Packets were given out, the last of them due then."""
        with self._lock:
            self._given += packets
            skipped = last_due > self._position()
            self._served, self._next = last_due, None
            if skipped:
                self._anchor = self._clock(), last_due

    def finish(self) -> None:
        """The last packet was given out: the clock stops there."""
        with self._lock:
            if self._anchor is not None:
                self._anchor = self._clock(), self._served
            self._paused, self._next, self._rush, self._wanted = True, None, None, 0

    # Inside, the lock held

    def _position(self) -> int:
        """Where the replay is by the clock."""
        if self._anchor is None:
            return 0
        since, origin = self._anchor
        if self._paused or self._speed >= UNBOUNDED:
            return origin
        return min(origin + int((self._clock() - since) * self._speed * 1e9), _LATEST)

    def _settle(self) -> None:
        """Begin anew from here: the speed or the pause is about to change."""
        if self._anchor is not None:
            self._anchor = self._clock(), self._position()

    def _shorten(self, next_due: int) -> None:
        """Leave out so much of a gap that the packet comes in LONGEST_WAIT seconds."""
        position = next_due - int(LONGEST_WAIT * self._speed * 1e9)
        self._left_out += position - self._position()
        self._anchor = self._clock(), position
