"""What a source yields and what the queue carries: blocks of raw memory, batches of rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import Columns
from netwatch.capture.errors import CaptureError

__all__ = ["Batch", "Block", "CaptureError", "Damage", "Interface", "Loss", "Source"]


@dataclass(slots=True)
class Damage:
    """Where a capture stops making sense. What was read before stays."""

    offset: int
    """Byte of the file at which the record or block that is broken starts."""
    message: str

    @property
    def words(self) -> str:
        """One line for the screen: where, said once, and what."""
        named, times = re.subn(rf"\bat byte {self.offset}\b", f"at byte {self.offset:,}", self.message)
        if times:
            return f"damaged: {named}"
        return f"damaged at byte {self.offset:,}: {self.message}"

    @property
    def line(self) -> str:
        """The same for standard error, where scripts read the offset: in plain digits, always first."""
        return f"damaged at byte {self.offset}: {self.message}"


@dataclass(slots=True)
class Interface:
    """One interface of a capture."""

    name: str
    linktype: int
    """LINKTYPE_ value (https://www.tcpdump.org/linktypes.html), also for live captures."""
    snaplen: int = 262144
    described: bool = True
    """The capture tells of it: a pcap file has one that it says nothing of."""


@dataclass(slots=True)
class Loss:
    """Packets lost before they became rows, by cause (CONTRACT.md, `dropped`)."""

    ring: int = 0
    """The kernel's ring had no room: the sum of tp_drops."""
    freezes: int = 0
    """Times that the ring was full: the sum of tp_freeze_q_cnt. An occurrence, not packets."""
    interface: int = 0
    """The interface or its driver had none: rise of rx_dropped and rx_missed since the capture began."""
    queue: int = 0
    writer: int = 0

    @property
    def packets(self) -> int:
        """All packets that were lost."""
        return self.ring + self.interface + self.queue + self.writer


@dataclass(slots=True)
class Block:
    """One piece of raw memory and the records in it. All arrays have shape (n,)."""

    raw: NDArray[np.uint8]
    """The memory; records are anywhere in it, in order. Read-only for everyone but the source."""
    offsets: NDArray[np.int64]
    """Index in `raw` of each packet's first byte. offsets + caplen never exceeds len(raw)."""
    caplen: NDArray[np.uint32]
    wirelen: NDArray[np.uint32]
    ts: NDArray[np.int64]
    """Nanoseconds since 1970."""
    linktype: NDArray[np.uint16]
    """LINKTYPE_ value of each packet."""
    iface: NDArray[np.uint16]
    """Index into Source.interfaces."""
    marks: NDArray[np.uint16]
    """columns.INCOMING / OUTGOING / EVENT as far as the source knows; usually zeros."""
    pos: NDArray[np.int64]
    """What Columns.pos gets: the position in the file, or `offsets` where `owned`."""
    owned: bool
    """True: `raw` is the block's own and may be kept with the rows. False: the source uses it again for the
    next block, and reads a packet's bytes again with Source.read_at."""
    heads: tuple[NDArray[np.uint8], ...] = ()
    """Copies of what stands from each packet's start on, records.HEAD_BYTES whether they are all its own or not:
    shape (k, HEAD_BYTES) each, for neighbouring packets from the first on. From these a decoder reads without waiting
    for memory all over `raw`. Empty: there are none."""

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, index: slice | NDArray[np.bool_]) -> Block:
        """The records that a slice or a mask selects, in the same memory."""
        return Block(
            self.raw,
            self.offsets[index],
            self.caplen[index],
            self.wirelen[index],
            self.ts[index],
            self.linktype[index],
            self.iface[index],
            self.marks[index],
            self.pos[index],
            self.owned,
        )


@dataclass(slots=True)
class Batch:
    """What the capture thread puts on the queue: the decoded rows of one block."""

    rows: Columns
    raw: NDArray[np.uint8] | None
    """The memory that rows.pos points into; None: rows.pos are positions in the file."""
    partial: object = field(default=None)
    """stats.Partial: the statistics of these rows, so that the UI thread only merges."""


class Source(Protocol):
    """Where packets come from. One thread calls next_block; the rest may be called from any."""

    name: str
    """For the header: `eth0`, `trace.pcap`, `stdin`, `demo`."""
    live: bool
    """Packets arrive at their own pace; False: as fast as they are asked for."""
    interfaces: list[Interface]
    """Grows while a pcapng is read; an index once given stays."""
    exhausted: bool
    """No block will follow."""
    damage: Damage | None
    """Why the capture ended early, if it did."""

    def next_block(self, timeout: float) -> Block | None:
        """The next block, or None if there is none within `timeout` seconds or the source is exhausted.

        A block that arrives late is not lost by the time-out: it comes with the next call.
        """
        ...

    def read_at(self, pos: int, size: int) -> bytes:
        """Bytes of a packet again, by its row's `pos`; fewer if the file shrank. Only for blocks not `owned`."""
        ...

    def loss(self) -> Loss:
        """What was lost so far, cumulative."""
        ...

    def progress(self) -> tuple[int, int] | None:
        """Bytes read and bytes in all, where the source knows its size."""
        ...

    def wake(self) -> None:
        """Make a next_block that waits in another thread return at once."""
        ...

    def close(self) -> None:
        """Give everything back. Idempotent."""
        ...
