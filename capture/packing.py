"""Packets and what describes them as the blocks of a pcapng file, little-endian, nanoseconds
(https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html).

All packets of a piece are laid out at once, without a loop over them.
"""

from __future__ import annotations

import platform
import struct
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.columns import INCOMING, OUTGOING
from netwatch.capture.sources.pcapng import (
    BYTE_ORDER,
    ENHANCED_PACKET,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE,
    PACKET_FLAGS,
    SECTION_HEADER,
)

__all__ = ["interface", "packets", "section", "sizes", "statistics"]

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


def sizes(block: Block) -> NDArray[np.int64]:
    """shape (n,): bytes that each packet of `block` takes as an enhanced packet block."""
    size = (block.caplen.astype(np.int64) + 3) & ~3
    size += _HEADER + 4
    size[block.marks & (INCOMING | OUTGOING) != 0] += len(_FLAGS)
    return size


def packets(block: Block, size: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The packets of `block`, at least one and no events, as enhanced packet blocks; `size`: as `sizes` says."""
    n = len(block)
    caplen = block.caplen.astype(np.int64)
    # Ticks are unsigned: what was before 1970 (by a clock's offset) is as of 1970.
    ts = np.maximum(block.ts, 0).view(np.uint64)
    directed = np.flatnonzero(block.marks & (INCOMING | OUTGOING))
    ends = np.cumsum(size)
    starts = ends - size
    header = np.empty((n, 7), "<u4")
    header[:, 0] = ENHANCED_PACKET
    header[:, 1] = size
    header[:, 2] = block.iface
    header[:, 3] = ts >> np.uint64(32)
    header[:, 4] = ts & np.uint64(0xFFFFFFFF)
    header[:, 5] = caplen
    header[:, 6] = block.wirelen
    made = np.empty(int(ends[-1]) + _CHUNK, np.uint8)
    # First the bytes, which run over the packet's end; then what stands around them, over that.
    _copy(made, starts + _HEADER, block.raw, block.offsets.astype(np.int64), caplen)
    _windows(made, 4)[starts + _HEADER + caplen] = np.zeros(1, "V4")
    _windows(made, _HEADER)[starts] = header.view(f"V{_HEADER}")[:, 0]
    _windows(made, 4)[ends - 4] = size.astype("<u4").view("V4")
    if len(directed):
        options = np.tile(np.frombuffer(_FLAGS, np.uint8), (len(directed), 1))
        options[:, 4] = np.where(block.marks[directed] & OUTGOING, 2, 1)
        _windows(made, len(_FLAGS))[ends[directed] - 4 - len(_FLAGS)] = options.view(f"V{len(_FLAGS)}")[:, 0]
    return made[: ends[-1]]


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


@cache
def section() -> bytes:
    """The section header, which says what wrote the file."""
    try:
        own = f"netwatch {version('netwatch-tui')}"
    except PackageNotFoundError:
        own = "netwatch"
    system = f"{platform.system()} {platform.release()}"
    options = _option(_OS, system.encode()) + _option(_APPLICATION, own.encode()) + _option(0, b"")
    # The length of the section is not known in advance: -1.
    return _block(SECTION_HEADER, struct.pack("<IHHq", BYTE_ORDER, 1, 0, -1) + options)


def interface(described: Interface) -> bytes:
    """The description of an interface."""
    options = _option(IF_TSRESOL, b"\x09") + _option(0, b"")
    if described.name:
        options = _option(IF_NAME, described.name.encode("utf-8", "replace")) + options
    return _block(INTERFACE, struct.pack("<HHI", described.linktype, 0, described.snaplen) + options)


def statistics(written: list[int], loss: Loss, ts: int) -> bytes:
    """What was received and lost since the capture began, as it stood at `ts` (ns): a block for each interface.

    `written`: packets by interface. What is lost is counted over all interfaces: it stands with the first, which
    says so.
    """
    lost = loss.ring + loss.queue + loss.writer
    ts = max(ts, 0)
    time = struct.pack("<II", ts >> 32 & 0xFFFFFFFF, ts & 0xFFFFFFFF)
    made = []
    for index, count in enumerate(written):
        options = []
        if index == 0:
            if len(written) > 1:
                options.append(_option(_COMMENT, b"drops of all interfaces together"))
            options += [
                _option(_RECEIVED, struct.pack("<Q", count + lost + loss.interface)),
                _option(_DROPPED_BY_INTERFACE, struct.pack("<Q", loss.interface)),
                _option(_DROPPED_BY_SYSTEM, struct.pack("<Q", lost)),
            ]
        else:
            options.append(_option(_RECEIVED, struct.pack("<Q", count)))
        options.append(_option(_DELIVERED, struct.pack("<Q", count)))
        made.append(_block(_STATISTICS, struct.pack("<I", index) + time + b"".join(options) + _option(0, b"")))
    return b"".join(made)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) & 3)
