"""A capture file played as if its packets arrived now, at their own pace, over and over: the demo."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import numpy as np

from netwatch.capture.block import Block, CaptureError, Damage, Interface, Loss
from netwatch.capture.sources.files import open_file

__all__ = ["Replay"]

_LEAST_WAIT: Final = 0.01
"""Seconds: packets that are due within it come in one block."""
_LAG: Final = 2.0
"""Seconds behind its pace after which (a suspended process) the replay goes on from where it is."""
_UNBOUNDED: Final = 1e9
"""A speed from which on nothing is waited for."""
_LATEST: Final = (1 << 63) - 1
_LONE_GAP: Final = 1_000_000_000
"""Nanoseconds between the loops of a capture whose packets show no pace."""


class Replay:
    """Plays `path`; times are the file's, later loops add a constant so that they never go back.

    `speed`: 2.0 plays twice as fast, float('inf') as fast as blocks are asked for. Raises CaptureError as open_file.
    """

    live = True

    def __init__(self, path: str | os.PathLike[str], loop: bool = True, speed: float = 1.0) -> None:
        if not speed > 0:
            raise CaptureError("the speed of a replay is a number above 0", 2)
        self._path = path
        self._file = open_file(path)
        if self._file.live:
            self._file.close()
            raise CaptureError(f"{os.fspath(path)}: a replay needs a file, this is a pipe", 2)
        self.name = self._file.name
        self.interfaces: list[Interface] = self._file.interfaces
        self.exhausted = False
        self.damage: Damage | None = None
        self.loops = 0
        """Times that the file was played to its end."""
        self._loop = loop
        self._speed = speed
        self._woken = threading.Event()
        self._closed = False
        self._block: Block | None = None
        """What is being played; its times are those of the file."""
        self._served = 0
        self._due = np.zeros(0, np.int64)
        """When each packet of it is due, in the time of the replay: never before its predecessor."""
        self._shift = 0
        """Nanoseconds added to the file's times in this loop."""
        self._first = self._last = 0
        """Earliest and latest time in the file, as far as it was read."""
        self._packets = 0
        """Packets in the file, as far as it was read in this loop."""
        self._reached = 0
        """Latest time that was due so far."""
        self._anchor: tuple[float, int] | None = None
        """A moment of the clock and the time in the replay that belongs to it."""

    def next_block(self, timeout: float) -> Block | None:
        """See Source: the packets that are due, at the latest after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._closed and not self.exhausted:
            if self._block is None and not self._load():
                continue
            ready = self._ready()
            if ready:
                return self._serve(ready)
            wait = min(deadline - time.monotonic(), max(self._until_due(), _LEAST_WAIT))
            if wait <= 0 or self._woken.wait(wait):
                break
        self._woken.clear()
        return None

    def read_at(self, pos: int, size: int) -> bytes:  # noqa: ARG002 - the blocks own their memory
        """See Source: never needed."""
        return b""

    def loss(self) -> Loss:
        """See Source."""
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source: within the loop."""
        return self._file.progress()

    def wake(self) -> None:
        """See Source."""
        self._woken.set()

    def close(self) -> None:
        """See Source."""
        self._closed = True
        self.exhausted = True
        self._woken.set()
        self._file.close()

    def _load(self) -> bool:
        """The next block of the file to play; False if there is none yet, or none any more."""
        block = self._file.next_block(0.0)
        if self._file.interfaces is not self.interfaces:
            # The next loop reads the same descriptions; if the file was replaced meanwhile, there may be more.
            self.interfaces.extend(self._file.interfaces[len(self.interfaces) :])
        if block is not None and len(block):
            first, last = int(block.ts.min()), int(block.ts.max())
            if not self._packets and not self.loops:
                self._first, self._last = first, last
            self._first, self._last = min(self._first, first), max(self._last, last)
            self._packets += len(block)
            # A copy: the file uses its memory again, and packets of a block may be due at different times.
            block.raw = block.raw.copy()
            self._block, self._served = block, 0
            due = np.maximum.accumulate(np.maximum(block.ts + self._shift, self._reached if self._anchor else first))
            self._due, self._reached = due, int(due[-1])
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
            return
        self._shift = shift
        self._packets = 0
        self._file.close()
        try:
            self._file = open_file(self._path)
            if self._closed:
                self._file.close()
        except CaptureError as error:
            self.damage = Damage(0, f"cannot be played again: {error}")
            self.exhausted = True

    def _ready(self) -> int:
        """How many packets of the block are due and were not given out."""
        now = time.monotonic()
        first = int(self._due[self._served])
        if self._anchor is None or now - self._moment(first) > _LAG:
            self._anchor = now, first
        since, origin = self._anchor
        if self._speed >= _UNBOUNDED:
            return len(self._due) - self._served
        reached = min(origin + int((now - since) * self._speed * 1e9), _LATEST)
        return max(int(np.searchsorted(self._due, reached, side="right")) - self._served, 0)

    def _moment(self, due: int) -> float:
        """When a time of the replay comes, by the clock."""
        assert self._anchor is not None
        since, origin = self._anchor
        return since + (due - origin) / 1e9 / self._speed

    def _until_due(self) -> float:
        return self._moment(int(self._due[self._served])) - time.monotonic()

    def _serve(self, count: int) -> Block:
        whole = self._block
        assert whole is not None
        rows = slice(self._served, self._served + count)
        offsets, caplen = whole.offsets[rows], whole.caplen[rows]
        start = int(offsets.min())
        end = int((offsets + caplen).max())
        raw = whole.raw[start:end].copy()
        self._served += count
        if self._served == len(whole):
            self._block = None
        return Block(
            raw=raw,
            offsets=offsets - start,
            caplen=caplen,
            wirelen=whole.wirelen[rows],
            ts=whole.ts[rows] + self._shift,
            linktype=whole.linktype[rows],
            iface=whole.iface[rows],
            marks=whole.marks[rows],
            pos=offsets - start,
            owned=True,
        )
