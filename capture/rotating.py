"""A capture in a series of files, each of them whole."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture import packing
from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.directory import Directory, PlainDirectory
from netwatch.capture.rotation import Rotation, file_name
from netwatch.capture.writer import PcapngWriter, Tally, without_events

__all__ = ["RotatingWriter"]

_LATE: Final = 250_000_000
"""Nanoseconds that a packet may be on its way: so much behind the clock a file without packets ends."""
_SET_BACK: Final = 1_000_000_000
"""Nanoseconds before the file's beginning from which on packets mean that the clock was set back: its duration counts
from there on. Less is packets out of order, and so is one alone."""


class RotatingWriter:
    """As PcapngWriter; a file is opened when there is a packet for it, or when its time has come.

    Packets are told apart by their own time; while none comes, `statistics` tells the clock's. What is lost and
    received is counted since the capture began, over all files.
    """

    def __init__(
        self,
        path: str,
        interfaces: list[Interface],
        rotation: Rotation,
        *,
        loss: Callable[[], Loss] | None = None,
        live: bool,
        directory: Directory | None = None,
    ) -> None:
        """`live`: as Recorder has it; `directory`: that of `path`, which else this process writes in. Raises
        OSError."""
        self.tally = Tally()
        self._names: deque[str] = deque()
        folder, self._name = os.path.split(path)
        self._directory = directory or PlainDirectory(folder)
        self._interfaces = interfaces
        self._rotation = rotation
        self._loss = loss
        self._numbers = itertools.count(1)
        self._packets_before = 0
        self._live = live
        self._begins = 0
        """The time from which the file's duration counts (ns), where `_until` is known."""
        self._behind = False
        """The last packet was from before that."""
        self._until: int | None = None
        """When the file ends (ns); None: only by its size, or its first packet will tell."""
        self._file: PcapngWriter | None = None
        self._open(time.time_ns() if live else None)

    @property
    def paths(self) -> list[str]:
        """Files that are left, the oldest first."""
        return [os.path.join(self._directory.path, name) for name in self._names]

    @property
    def until(self) -> int | None:
        """When the file ends although no packet comes (ns)."""
        return None if self._until is None else self._until + _LATE

    def write(self, block: Block) -> None:
        """Append the packets of `block`, in as many files as that takes. Raises OSError."""
        block = without_events(block)
        ends = np.cumsum(packing.sizes(block))
        at = 0
        while at < len(block):
            file = self._file_for(int(block.ts[at]))
            last = self._fitting(block.ts, ends, at, file.bytes)
            set_back = self._set_back(block.ts[at:last])
            if set_back is not None:
                last = at + set_back + 1
            file.write(block.take(slice(at, last)))
            if set_back is not None:
                self._anchor(int(block.ts[last - 1]))
            at = last

    def statistics(self, ts: int) -> None:
        """As PcapngWriter's; ends the file if its time was over at `ts`. Raises OSError."""
        if self._live and self._until is not None and ts < self._begins - _SET_BACK:
            self._anchor(ts)
        over = self._live and self.until is not None and ts > self.until
        file = self._next(ts) if over or self._file is None else self._file
        file.statistics(ts)

    def close(self, ts: int | None = None) -> None:
        """As PcapngWriter's. Raises OSError."""
        if self._file is not None:
            self._file.close(ts)

    def _file_for(self, ts: int) -> PcapngWriter:
        """The file for a packet of this time."""
        rotation, file = self._rotation, self._file
        if self._until is None:
            self._anchor(ts)
        full = (
            file is None
            or ts >= (self._until or ts + 1)
            or (rotation.packets is not None and self._packets >= rotation.packets)
            or (rotation.filesize is not None and self._packets > 0 and file.bytes >= rotation.filesize)
        )
        return self._next(ts) if full or file is None else file

    @property
    def _packets(self) -> int:
        """Packets in this file."""
        return self.tally.packets - self._packets_before

    def _fitting(self, ts: NDArray[np.int64], ends: NDArray[np.int64], first: int, size: int) -> int:
        """The row behind the last one that goes into this file of `size` bytes; at least `first` does."""
        rotation, last = self._rotation, len(ts)
        if rotation.packets is not None:
            last = min(last, first + rotation.packets - self._packets)
        if rotation.filesize is not None:
            start = int(ends[first - 1]) if first else 0
            last = min(last, int(np.searchsorted(ends, start + rotation.filesize - size)) + 1)
        if self._until is not None:
            later = np.flatnonzero(ts[first:last] >= self._until)
            last = first + int(later[0]) if len(later) else last
        return max(last, first + 1)

    def _next(self, ts: int) -> PcapngWriter:
        """End this file and begin the next one, at `ts` or, where that is over, when this one's time was over."""
        if self._file is not None:
            file, self._file = self._file, None
            # A disk that is full has no room for the statistics either: what is there is whole.
            with contextlib.suppress(OSError):
                file.close(self._until if self._until is not None and ts >= self._until else None)
        until, duration = self._until, self._rotation.duration
        if until is not None and duration is not None and until <= ts < until + duration:
            ts = until  # in step, however late the first packet comes
        return self._open(ts)

    def _open(self, ts: int | None) -> PcapngWriter:
        """Open the next file, whose time begins at `ts`; None: with its first packet."""
        files = self._rotation.files
        while files is not None and len(self._names) >= files:
            # First: where the disk is full, this makes room.
            with contextlib.suppress(FileNotFoundError):
                self._directory.unlink(self._names[0])
            self._names.popleft()
        now = time.time()
        while True:
            name = file_name(self._name, next(self._numbers), now)
            # Somebody else's file of that name: the next number.
            with contextlib.suppress(FileExistsError):
                fd = self._directory.open_new(name)
                break
        try:
            file = self._file = PcapngWriter(fd, self._interfaces, loss=self._loss, tally=self.tally)
        except OSError:
            self._directory.unlink(name)
            raise
        finally:
            os.close(fd)
        self._names.append(name)
        self._packets_before = self.tally.packets
        self._until = None
        if ts is not None:
            self._anchor(ts)
        return file

    def _set_back(self, ts: NDArray[np.int64]) -> int | None:
        """The first of the next packets that shows, with the one before it, that the clock was set back."""
        if self._until is None or not len(ts):
            return None
        behind = ts < self._begins - _SET_BACK
        before = np.concatenate([[self._behind], behind[:-1]])
        self._behind = bool(behind[-1])
        both = np.flatnonzero(behind & before)
        return int(both[0]) if len(both) else None

    def _anchor(self, ts: int) -> None:
        """From `ts` on the file's time counts: it ends at the earliest of what the rotation says."""
        self._begins, self._behind = ts, False
        ends = []
        if self._rotation.duration is not None:
            ends.append(ts + self._rotation.duration)
        if self._rotation.interval is not None:
            ends.append((ts // self._rotation.interval + 1) * self._rotation.interval)
        self._until = min(ends, default=None)
