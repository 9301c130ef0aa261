"""What is captured, as pcapng (https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html).

Little-endian, nanoseconds, one section. All packets of a block are laid out at once, without a loop over them, and
written with one system call.
"""

from __future__ import annotations

import os
import platform
import stat
import struct
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.columns import EVENT, INCOMING, OUTGOING
from netwatch.capture.sources.pcapng import (
    BYTE_ORDER,
    ENHANCED_PACKET,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE,
    PACKET_FLAGS,
    SECTION_HEADER,
)

__all__ = ["PcapngWriter"]

_STATISTICS: Final = 5
_OS, _APPLICATION = 3, 4
_RECEIVED, _DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM, _DELIVERED = 4, 5, 7, 8
_COMMENT: Final = 1

_HEADER: Final = 28
"""Bytes of an enhanced packet block before the packet."""
_FLAGS: Final = struct.pack("<HHII", PACKET_FLAGS, 4, 0, 0)
"""epb_flags with no bit set, and the end of options."""

_CHUNK: Final = 256
"""Bytes copied at once: the fewest rounds that do not copy much more than there is."""
_LONG: Final = 16 * _CHUNK
"""Packets longer than this are copied one by one."""


class PcapngWriter:
    """Writes blocks to `target`: a path, `-` for standard output, or a descriptor (of which a duplicate is kept).

    `interfaces` is the source's own list: what it gains later is described before its first packet. Every method
    raises OSError if the output fails; then the file ends with the last whole packet (if it is a regular file) and
    `packets` says how many there are.
    """

    def __init__(self, target: str | os.PathLike[str] | int, interfaces: list[Interface]) -> None:
        if target == "-":
            target = 1
        if isinstance(target, int):
            self._fd = os.dup(target)
        else:
            self._fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self.packets = 0
        """Packets written."""
        self.bytes = 0
        """Size of what was written."""
        self._interfaces = interfaces
        self._counts: list[int] = []
        """Packets written, by interface; as long as the list of those described."""
        self._latest = 0
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)
        self._failed = False
        try:
            self._put(_section() + self._describe())
        except OSError:
            os.close(self._fd)
            self._fd = -1
            raise

    def write(self, block: Block) -> None:
        """Append the packets of `block`; its events are none."""
        rows = np.flatnonzero((block.marks & EVENT) == 0)
        described = self._describe()
        if described:
            self._put(described)
        if not len(rows):
            return
        iface = block.iface[rows]
        data, ends = _packets(block, rows)
        before = self.packets
        try:
            self._put(data.data, ends)
        finally:
            for index, count in enumerate(np.bincount(iface[: self.packets - before]).tolist()):
                self._counts[index] += count
        self._latest = max(self._latest, int(block.ts.max()))

    def close(self, loss: Loss | None = None) -> None:
        """Write what was received and lost, by interface, and close. Idempotent."""
        if self._fd < 0:
            return
        try:
            if loss is not None and not self._failed:
                self._put(b"".join(self._statistics(index, loss) for index in range(len(self._counts))))
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _describe(self) -> bytes:
        """Descriptions of the interfaces that are new."""
        known = len(self._counts)
        if known == len(self._interfaces):
            return b""
        new = self._interfaces[known:]
        self._counts.extend(0 for _ in new)
        return b"".join(_interface(each) for each in new)

    def _statistics(self, index: int, loss: Loss) -> bytes:
        """What is lost is counted over all interfaces: it stands with the first, which says so."""
        options = []
        lost = loss.ring + loss.queue + loss.writer
        if index == 0:
            if len(self._counts) > 1:
                options.append(_option(_COMMENT, b"drops of all interfaces together"))
            received = self._counts[0] + lost + loss.interface
            options += [
                _option(_RECEIVED, struct.pack("<Q", received)),
                _option(_DROPPED_BY_INTERFACE, struct.pack("<Q", loss.interface)),
                _option(_DROPPED_BY_SYSTEM, struct.pack("<Q", lost)),
            ]
        else:
            options.append(_option(_RECEIVED, struct.pack("<Q", self._counts[index])))
        options.append(_option(_DELIVERED, struct.pack("<Q", self._counts[index])))
        time = struct.pack("<II", self._latest >> 32 & 0xFFFFFFFF, self._latest & 0xFFFFFFFF)
        return _block(_STATISTICS, struct.pack("<I", index) + time + b"".join(options) + _option(0, b""))

    def _put(self, data: bytes | memoryview, ends: NDArray[np.int64] | None = None) -> None:
        """Write all of `data`. `ends`: where each of its packets ends, if it is packets."""
        view = memoryview(data)
        done = 0
        try:
            while done < len(view):
                done += os.write(self._fd, view[done:])
        except OSError:
            self._failed = True
            whole = 0 if ends is None else int(np.searchsorted(ends, done, side="right"))
            kept = 0 if ends is None or not whole else int(ends[whole - 1])
            if self._regular and done > kept:
                size = os.lseek(self._fd, kept - done, os.SEEK_CUR)
                os.ftruncate(self._fd, size)
            self.bytes += kept
            self.packets += whole
            raise
        self.bytes += done
        if ends is not None:
            self.packets += len(ends)


def _packets(block: Block, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The packets of these rows as enhanced packet blocks, and where in it each ends."""
    n = len(rows)
    caplen = block.caplen[rows].astype(np.int64)
    ts = block.ts[rows].view(np.uint64)
    marks = block.marks[rows]
    directed = np.flatnonzero(marks & (INCOMING | OUTGOING))
    padded = (caplen + 3) & ~3
    size = padded + _HEADER + 4
    size[directed] += len(_FLAGS)
    ends = np.cumsum(size)
    starts = ends - size
    header = np.empty((n, 7), "<u4")
    header[:, 0] = ENHANCED_PACKET
    header[:, 1] = size
    header[:, 2] = block.iface[rows]
    header[:, 3] = ts >> np.uint64(32)
    header[:, 4] = ts & np.uint64(0xFFFFFFFF)
    header[:, 5] = caplen
    header[:, 6] = block.wirelen[rows]
    made = np.empty(int(ends[-1]) + _CHUNK, np.uint8)
    # First the bytes, which run over the packet's end; then what stands around them, over that.
    _copy(made, starts + _HEADER, block.raw, block.offsets[rows].astype(np.int64), caplen)
    _windows(made, 4)[starts + _HEADER + caplen] = np.zeros(1, "V4")
    _windows(made, _HEADER)[starts] = header.view(f"V{_HEADER}")[:, 0]
    _windows(made, 4)[ends - 4] = size.astype("<u4").view("V4")
    if len(directed):
        options = np.tile(np.frombuffer(_FLAGS, np.uint8), (len(directed), 1))
        options[:, 4] = np.where(marks[directed] & OUTGOING, 2, 1)
        _windows(made, len(_FLAGS))[(starts + _HEADER + padded)[directed]] = options.view(f"V{len(_FLAGS)}")[:, 0]
    return made[: ends[-1]], ends


def _windows(memory: NDArray[np.uint8], size: int) -> NDArray[np.void]:
    """shape (len(memory) - size + 1,): the `size` bytes from each position on."""
    return np.ndarray((len(memory) - size + 1,), f"V{size}", buffer=memory.data, strides=(1,))


def _copy(
    into: NDArray[np.uint8],
    at: NDArray[np.int64],
    raw: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    caplen: NDArray[np.int64],
) -> None:
    """Copy `caplen` bytes of `raw` from each of `offsets` to `into` at each of `at`, which ascends.

    Whole chunks are copied, so up to _CHUNK - 1 bytes behind a packet are spoilt: the beginnings of packets that
    follow. Therefore the last chunks come first and, within a round, the packets in their order.
    """
    rounds = (caplen + _CHUNK - 1) // _CHUNK
    alone = (caplen > _LONG) | (offsets + rounds * _CHUNK > len(raw))
    rounds[alone] = 0
    most = int(rounds.max(initial=0))
    if most:
        source, target = _windows(raw, _CHUNK), _windows(into, _CHUNK)
        for number in range(most - 1, -1, -1):
            rows = np.flatnonzero(rounds > number)
            target[at[rows] + number * _CHUNK] = source[offsets[rows] + number * _CHUNK]
    for row in np.flatnonzero(alone).tolist():
        start, size = int(offsets[row]), int(caplen[row])
        into[at[row] : at[row] + size] = raw[start : start + size]


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) & 3)


def _section() -> bytes:
    try:
        own = f"netwatch {version('netwatch-tui')}"
    except PackageNotFoundError:
        own = "netwatch"
    system = f"{platform.system()} {platform.release()}"
    options = _option(_OS, system.encode()) + _option(_APPLICATION, own.encode()) + _option(0, b"")
    # The length of the section is not known in advance: -1.
    return _block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + options)


def _interface(interface: Interface) -> bytes:
    options = _option(IF_TSRESOL, b"\x09") + _option(0, b"")
    if interface.name:
        options = _option(IF_NAME, interface.name.encode("utf-8", "replace")) + options
    return _block(INTERFACE, struct.pack("<HHI", interface.linktype, 0, interface.snaplen) + options)
