"""A thread that writes, behind a queue that is bounded in bytes: a slow disk does not hold the capture up."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from netwatch.capture.block import Block
from netwatch.capture.recorder import Recorder, packets_in

__all__ = ["QUEUED", "Spooler"]

QUEUED: Final = 16 << 20
"""Bytes of blocks that wait at most: at 4 Gbit/s the disk may hesitate for 30 ms, at 100 Mbit/s for 1.3 s. With what
laying them out takes (4 MiB at a time) that is less than 24 MiB."""
_OVERHEAD: Final = 2048
"""Bytes that a block takes besides its packets, and by packet."""
_BY_PACKET: Final = 38
_PATIENCE: Final = 5.0
"""Seconds without a byte written after which `close` waits no longer."""
_TICK: Final = 0.25
_LOOK: Final = 0.01
"""Seconds between two looks at whether to wait on."""


class Spooler:
    """Has `recorder` write blocks in another thread. They must own their memory."""

    def __init__(self, recorder: Recorder, *, may_wait: Callable[[float], bool], room: int = QUEUED) -> None:
        """Where the queue is full, `write` waits as long as `may_wait` says so, which is told for how many seconds it
        has been full. Then what does not fit is dropped, and counted."""
        self._recorder = recorder
        self._may_wait = may_wait
        self._room = room
        self._blocks: deque[Block] = deque()
        self._queued = 0
        self._full_since: float | None = None
        """When it was found full and has not been half empty since."""
        self._given = 0
        """Packets so far."""
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        """Started with the first block: before, rights are given up, which are a thread's own."""

    @property
    def queued(self) -> int:
        """Bytes of the packets that wait, and of those that are being written."""
        return self._queued

    def write(self, block: Block) -> None:
        """Take over the packets of `block`, by one thread."""
        size = _size(block)
        if self._thread.ident is None:
            self._thread.start()
        with self._changed:
            self._given += packets_in(block)
            while self._full(size) and not self._closing and self._waits():
                self._changed.wait(_LOOK)
            if self._full(size) or self._closing:
                self._recorder.tally.drop(packets_in(block))
                return
            self._blocks.append(block)
            self._queued += size
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits, then the last statistics, and close the output; give up where it takes nothing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is None:
            self._thread.start()
        tally = self._recorder.tally
        while self._thread.is_alive():
            before = tally.bytes
            self._thread.join(_PATIENCE)
            if self._thread.is_alive() and tally.bytes == before:
                with self._changed:
                    self._blocks.clear()
                left = self._given - tally.packets - tally.dropped
                self._recorder.give_up(left, OSError(errno.ETIMEDOUT, "the output takes nothing"))
                return

    def _waits(self) -> bool:
        now = time.monotonic()
        if self._full_since is None:
            self._full_since = now
        return self._may_wait(now - self._full_since)

    def _full(self, size: int) -> bool:
        """A block that is larger than the queue is taken where nothing else waits."""
        return self._queued > 0 and self._queued + size > self._room

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._blocks and not self._closing:
                    self._changed.wait(_TICK)
                block = self._blocks.popleft() if self._blocks else None
                if block is None and self._closing:
                    break
            if block is not None:
                self._recorder.write(block)
                with self._changed:
                    self._queued -= _size(block)
                    if self._queued <= self._room // 2:
                        self._full_since = None
                    self._changed.notify_all()
            del block
            self._recorder.tick()
        self._recorder.close()


def _size(block: Block) -> int:
    return block.raw.nbytes + _BY_PACKET * len(block) + _OVERHEAD
