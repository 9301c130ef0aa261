"""A capture file played as if its packets arrived now, at their own pace: once, or over and over as the demo."""

from __future__ import annotations

import os
import time
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block, CaptureError, Damage, Interface, Loss
from netwatch.capture.pace import Pace
from netwatch.capture.sources.ending import last_time
from netwatch.capture.sources.files import open_file

__all__ = ["Replay"]

_LEAST_WAIT: Final = 0.01
"""Seconds: packets that are due within it come in one block."""
_LATEST: Final = (1 << 63) - 1
_LATEST_DUE: Final = 1 << 62
_LONE_GAP: Final = 1_000_000_000
"""Nanoseconds between the loops of a capture whose packets show no pace."""
_JUMP: Final = 1_000_000_000
"""Nanoseconds: times that go back further are a clock that was set, and the pace goes on from there."""


class Replay:
    """Plays `path`; times are the file's, later loops add a constant so that they never go back.

    `speed`: 2.0 plays twice as fast, from UNBOUNDED on as fast as blocks are asked for. A single run leaves the bytes
    in the file where they can be read again (`reread` as in open_file); loops carry them along, so that what is kept
    can be bounded. Raises CaptureError as open_file.
    """

    live = True

    def __init__(
        self, path: str | os.PathLike[str], loop: bool = True, speed: float = 1.0, *, reread: bool = False
    ) -> None:
        if not speed > 0:
            raise CaptureError("the speed of a replay is a number above 0", 2)
        self._path = path
        self._file = open_file(path, reread=reread and not loop)
        self._again = -1
        """A descriptor for the next loops: rights to the name are given up before they begin."""
        if self._file.live:
            self._file.close()
            raise CaptureError(f"{os.fspath(path)}: a replay needs a file, this is a pipe", 2)
        self.name = self._file.name
        self.interfaces: list[Interface] = self._file.interfaces
        self.exhausted = False
        self.damage: Damage | None = None
        self.loops = 0
        """Times that the file was played to its end."""
        self._pace = Pace(speed)
        if loop:
            self._again = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            self._pace.end = last_time(path)
        self.pace = None if loop else self._pace
        """For the person; what loops is as if live, and cannot be stopped either."""
        self._loop = loop
        self._closed = False
        self._woken = False
        """`wake` was called; else only the pace changed."""
        self._block: Block | None = None
        """What is being played; its times are those of the file."""
        self._served = 0
        self._due = np.zeros(0, np.int64)
        """When each packet of it is due, in nanoseconds since the first of all was: never before its predecessor."""
        self._shift = 0
        """Nanoseconds added to the file's times in this loop."""
        self._first = self._last = 0
        """Earliest and latest time in the file, as far as it was read."""
        self._packets = 0
        """Packets in the file, as far as it was read in this loop."""
        self._before: tuple[int, int, int] | None = None
        """Of the last packet read: its time, what that was reckoned as, and when it is due."""

    def next_block(self, timeout: float) -> Block | None:
        """See Source: the packets that are due, at the latest after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        changed = self._pace.changed
        while not self._closed and not self.exhausted:
            if self._block is None and not self._load():
                continue
            due = int(self._due[self._served])
            ready = int(np.searchsorted(self._due, self._pace.due(due), side="right")) - self._served
            ready = max(ready, min(self._pace.owed(), len(self._due) - self._served))
            if ready > 0:
                return self._serve(ready)
            wait = min(deadline - time.monotonic(), max(self._pace.wait(due), _LEAST_WAIT))
            if wait <= 0:
                break
            if changed.wait(wait):
                changed.clear()
                if self._woken:
                    break
        self._woken = False
        return None

    def wake(self) -> None:
        """See Source."""
        self._woken = True
        self._pace.changed.set()

    def read_at(self, pos: int, size: int) -> bytes:
        """See Source."""
        return self._file.read_at(pos, size)

    @property
    def rereadable(self) -> bool:
        """See FileSource."""
        return not self._loop and bool(getattr(self._file, "rereadable", False))

    @property
    def notes(self) -> list[str]:
        """See FileSource."""
        notes: list[str] = getattr(self._file, "notes", [])
        return notes

    def loss(self) -> Loss:
        """See Source."""
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source: within the loop."""
        return self._file.progress()

    def close(self) -> None:
        """See Source."""
        self._closed = True
        self.exhausted = True
        self.wake()
        self._file.close()
        if self._again >= 0:
            os.close(self._again)
            self._again = -1

    def _load(self) -> bool:
        """The next block of the file to play; False if there is none yet, or none any more."""
        block = self._file.next_block(0.0)
        if self._file.interfaces is not self.interfaces:
            # The next loop reads the same descriptions; if the file grew meanwhile, there may be more.
            self.interfaces.extend(self._file.interfaces[len(self.interfaces) :])
        if block is not None and len(block):
            first, last = int(block.ts.min()), int(block.ts.max())
            if not self._packets and not self.loops:
                self._first, self._last = first, last
            self._first, self._last = min(self._first, first), max(self._last, last)
            self._packets += len(block)
            # Its memory is used again by the file's next block only, which is read when this one was given out.
            self._block, self._served = block, 0
            self._due = self._dues(block.ts + self._shift)
            if self._pace.start is None:
                self._pace.start = int(block.ts[0])
            return True
        if self._file.exhausted:
            self._end()
        return False

    def _end(self) -> None:
        """The file is at its end: begin again, or stop."""
        self.loops += 1
        span = self._last - self._first
        gap = span // max(self._packets - 1, 1) or _LONE_GAP
        shift = self._shift + span + gap
        if not self._loop or not self._packets or self._last + shift > _LATEST:
            self.damage = self._file.damage
            self.exhausted = True
            self._pace.finish()
            return
        self._shift = shift
        self._packets = 0
        self._file.close()
        try:
            self._file = open_file(self._path, opened=self._again)
            if self._closed:
                self._file.close()
        except CaptureError as error:
            self.damage = Damage(0, f"cannot be played again: {error}")
            self.exhausted = True

    def _dues(self, ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """When packets with these times are due: by the gaps between them; a clock set back makes none."""
        time_before, reckoned, due = self._before or (int(ts[0]), 0, 0)
        gaps = np.diff(ts, prepend=time_before)  # wraps where times are absurd, and is then bounded below
        gaps[gaps < -_JUMP] = 0
        # As floats they cannot overflow; they are exact up to a hundred days.
        times = reckoned + np.minimum(np.cumsum(gaps, dtype=np.float64), float(_LATEST_DUE - reckoned)).astype(
            np.int64
        )
        dues = np.maximum(np.maximum.accumulate(times), due)
        self._before = int(ts[-1]), int(times[-1]), int(dues[-1])
        return dues

    def _serve(self, count: int) -> Block:
        whole = self._block
        assert whole is not None
        rows = slice(self._served, self._served + count)
        self._served += count
        if self._served == len(whole):
            self._block = None
        self._pace.serve(int(self._due[rows.stop - 1]), count)
        part = whole.take(rows)
        part.ts = part.ts + self._shift
        if whole.owned or self._loop:
            start, end = int(part.offsets.min()), int((part.offsets + part.caplen).max())
            part.raw, part.offsets, part.owned = part.raw[start:end].copy(), part.offsets - start, True
            part.pos = part.offsets
        return part
