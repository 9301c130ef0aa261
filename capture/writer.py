"""What is captured, as a pcapng file that holds whole blocks at any moment: a kill cuts at most the last one."""

from __future__ import annotations

import os
import select
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture import packing
from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.columns import EVENT

__all__ = ["PcapngWriter", "Tally", "without_events"]

_AT_ONCE: Final = 2 << 20
"""Bytes laid out and written at once: 110 ns a packet; with half or four times as much 130 or 170."""
_SET_BACK: Final = 1_000_000_000


@dataclass(slots=True)
class Tally:
    """What became of the packets of a capture, over all files that it is written to."""

    written: list[int] = field(default_factory=list)
    """Packets by interface."""
    bytes: int = 0
    """Size of all files."""
    latest: int = 0
    """Time of the newest packet (ns), by a clock that may be set back."""
    before_1970: int = 0
    """Packets whose time the files cannot tell: they stand there as of 1970."""
    dropped: int = 0
    """Packets that were given up."""
    _counting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def packets(self) -> int:
        """Packets written."""
        return sum(self.written)

    def drop(self, packets: int) -> None:
        """Count packets that are not written. Any thread."""
        with self._counting:
            self.dropped += packets


class PcapngWriter:
    """Writes blocks to `target`: a path, `-` for standard output, or a descriptor (of which a duplicate is kept).

    `interfaces` is the source's own list: what it gains later is described before its first packet. Every method
    raises OSError if the output fails; a regular file then ends with its last whole block and may be written on.
    """

    until: int | None = None
    """There is one file, which does not end."""

    def __init__(
        self,
        target: str | os.PathLike[str] | int,
        interfaces: list[Interface],
        *,
        loss: Callable[[], Loss] | None = None,
        tally: Tally | None = None,
    ) -> None:
        """`loss`: what the source lost so far, for the statistics; without it there are none. `tally` goes on from
        the file before. Who is not its owner may not read a file that is made."""
        if target == "-":
            target = 1
        if isinstance(target, int):
            self._fd = os.dup(target)
        else:
            self._fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_TRUNC, 0o600)
        self.tally = tally if tally is not None else Tally()
        self.bytes = 0
        """Size of this file."""
        self._interfaces = interfaces
        self._described = 0
        self._loss = loss
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._torn: OSError | None = None
        """What left a part of a block at the end, if that could not be taken back; or a pipe without a reader."""
        self._whole = 0
        """Where to cut the file then."""
        try:
            self._describe(packing.section())
        except OSError:
            self._shut()
            raise

    def write(self, block: Block) -> None:
        """Append the packets of `block`; its events are none. `tally` tells what was written, also after a fault."""
        block = without_events(block)
        self._describe()
        if not len(block):
            return
        size = packing.sizes(block)
        ends = np.cumsum(size)
        first = done = 0
        while first < len(block):
            last = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), first + 1)
            self._append(block.take(slice(first, last)), size[first:last])
            first, done = last, int(ends[last - 1])

    def statistics(self, ts: int) -> None:
        """Append what was received and lost by interface, as of `ts` (ns)."""
        if self._loss is not None:
            loss = self._loss()
            loss = replace(loss, writer=loss.writer + self.tally.dropped)
            self._put(packing.statistics(self.tally.written[: self._described], loss, ts))

    def close(self, ts: int | None = None) -> None:
        """Append the last statistics, as of `ts` or of the newest packet, and close. Idempotent."""
        if self._fd < 0:
            return
        try:
            self.statistics(self.tally.latest if ts is None else ts)
        finally:
            self._shut()

    def _shut(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _describe(self, before: bytes = b"") -> None:
        """Append `before` and descriptions of the interfaces that are new."""
        new = self._interfaces[self._described :]
        if before or new:
            self._put(before + b"".join(packing.interface(each) for each in new))
        self._described += len(new)
        self.tally.written += [0] * (self._described - len(self.tally.written))

    def _append(self, block: Block, size: NDArray[np.int64]) -> None:
        before = self.bytes
        ends = np.cumsum(size)
        try:
            self._put(packing.packets(block, size).data, ends)
        finally:
            count = int(np.searchsorted(ends, self.bytes - before, side="right"))
            for index, packets in enumerate(np.bincount(block.iface[:count]).tolist()):
                self.tally.written[index] += packets
            if count:
                newest = int(block.ts[:count].max())
                # Further behind is no packet out of order: the clock was set back.
                if not self.tally.latest - _SET_BACK <= newest < self.tally.latest:
                    self.tally.latest = newest
                self.tally.before_1970 += int(np.count_nonzero(block.ts[:count] < 0))

    def _put(self, data: bytes | memoryview, ends: NDArray[np.int64] | None = None) -> None:
        """Write all of `data`. `ends`: where each of its blocks ends, if it can be written in part."""
        if self._torn is not None:
            self._mend()
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                try:
                    done += os.write(self._fd, view[done:])
                except BlockingIOError:
                    # Somebody made the pipe non-blocking, as ssh does.
                    select.select([], [self._fd], [])
        except OSError as error:
            count = 0 if ends is None else int(np.searchsorted(ends, done, side="right"))
            whole = 0 if ends is None or not count else int(ends[count - 1])
            if done > whole:
                self._torn = error
                self._whole = os.lseek(self._fd, 0, os.SEEK_CUR) - (done - whole) if self._regular else 0
                done = whole
                if self._regular:
                    self._mend()
            elif isinstance(error, BrokenPipeError):
                # Who opens a FIFO for reading next would miss its beginning.
                self._torn = error
            raise
        finally:
            self.bytes += done
            self.tally.bytes += done

    def _mend(self) -> None:
        """Cut back to the last whole block. Raises OSError where that cannot be done."""
        if not self._regular:
            assert self._torn is not None
            raise self._torn
        os.ftruncate(self._fd, self._whole)
        os.lseek(self._fd, self._whole, os.SEEK_SET)
        self._torn = None


def without_events(block: Block) -> Block:
    """The packets of `block`."""
    packets = block.marks & EVENT == 0
    return block if packets.all() else block.take(packets)
