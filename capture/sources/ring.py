"""One packet socket and its TPACKET_V3 ring (packet(7), Documentation/networking/packet_mmap.rst)."""

from __future__ import annotations

import contextlib
import errno
import mmap
import socket
import struct
import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.kernel import link
from netwatch.capture.kernel.bpf import accept, attach
from netwatch.capture.sources.buffers import Buffers
from netwatch.capture.sources.frames import headers_of

__all__ = ["BLOCK_TIMEOUT", "MAX_BLOCK_BYTES", "Ring"]

BLOCK_TIMEOUT: Final = 0.04
"""Seconds after which the kernel hands over a block that is not full: how late a lone packet is seen."""
MAX_BLOCK_BYTES: Final = 4 << 20
MAX_BLOCK_RECORDS: Final = 16384

_WORTH_A_BUFFER: Final = MAX_BLOCK_BYTES * 3 // 4
"""Bytes from which on what is handed over goes into memory that is used again."""
_SPARE: Final = 2
_SMALL_BLOCK: Final = 256 << 10
"""GRO hands over packets of 64 KiB; a block must hold some."""
_LARGE_BLOCK: Final = 1 << 20
_FRAME_SIZE: Final = 2048
"""Only arithmetic for TPACKET_V3, which packs frames of any length; must divide the block size."""

_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_DROP_MEMBERSHIP: Final = 2
_PACKET_RX_RING: Final = 5
_PACKET_STATISTICS: Final = 6
_PACKET_VERSION: Final = 10
_TPACKET_V3: Final = 2
_PACKET_MR_PROMISC: Final = 1

_REQ3: Final = struct.Struct("=7I")
"""tpacket_req3: block size, blocks, frame size, frames, block time-out in ms, private bytes, features"""
_STATS: Final = struct.Struct("=3I")
"""tpacket_stats_v3: packets (with those dropped), drops, freezes; reading resets them"""
_MREQ: Final = struct.Struct("=iHH8s")
"""packet_mreq: interface index, type, length of the address, address"""

_DESC: Final = slice(2, 10)
"""tpacket_block_desc in 32-bit words: block_status, num_pkts, offset_to_first_pkt, blk_len, 64 bits of seq_num,
ts_first_pkt in seconds and nanoseconds"""
_FIRST_SEC: Final = 6
_FIRST_NSEC: Final = 7
_STATUS_WORD: Final = 2
_STATUS_KERNEL: Final = 0
_STATUS_USER: Final = 1


class Ring:
    """The ring is set up, yet nothing arrives before it is bound and has a filter. One thread takes blocks."""

    def __init__(self, size: int, sock: socket.socket) -> None:
        """`size` bytes, rounded down to whole blocks, halved while the kernel has no memory for them.

        `sock`: a packet socket that has no ring and is not bound, or bound with a filter that lets nothing through.
        It stays open, and lets nothing through until it has another filter. Takes no privilege. Raises OSError.
        """
        self.halved = False
        """The kernel had no memory for the size that was asked for."""
        self.sock = sock
        self._promiscuous = 0
        """Index of the interface that is promiscuous for this."""
        self.sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        self._block_size = _LARGE_BLOCK if size >= 8 * _LARGE_BLOCK else _SMALL_BLOCK
        self._blocks = self._allocate(max(2, size // self._block_size))
        try:
            self._memory = mmap.mmap(self.sock.fileno(), self.size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            self.detach()
        except BaseException:
            self._give_back()
            raise
        self._bytes: NDArray[np.uint8] = np.frombuffer(self._memory, np.uint8)
        self._words: NDArray[np.uint32] = self._bytes.view(np.uint32).reshape(self._blocks, -1)
        self._next = 0
        self._closed = False
        self._fence = threading.Lock()
        self._buffers = Buffers(MAX_BLOCK_BYTES, _SPARE)
        self._counting = threading.Lock()
        self.packets = 0
        """Sum of tp_packets, which includes drops."""
        self.drops = 0
        self.freezes = 0
        self.given = 0
        """Packets that `take` handed out."""
        self.cut = False
        """Whether the last `take` left blocks that were ready."""

    @property
    def size(self) -> int:
        """Bytes of the ring as the kernel gave it."""
        return self._blocks * self._block_size

    def _allocate(self, blocks: int) -> int:
        while True:
            frames = blocks * (self._block_size // _FRAME_SIZE)
            request = _REQ3.pack(self._block_size, blocks, _FRAME_SIZE, frames, round(BLOCK_TIMEOUT * 1000), 0, 0)
            try:
                self.sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
            except OSError as error:
                if error.errno != errno.ENOMEM or blocks <= 2:
                    raise
                self.halved = True
                blocks = max(2, blocks // 2)
            else:
                return blocks

    def bind(self, index: int, promiscuous: bool) -> None:
        """Packets of interface `index` (0: of all) arrive from here on, no others. Raises OSError."""
        self._let_go()
        if promiscuous and index:
            self.sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, _MREQ.pack(index, _PACKET_MR_PROMISC, 0, b""))
            self._promiscuous = index
        link.bind_packets(self.sock, index)

    def _let_go(self) -> None:
        """The interface is promiscuous no more, unless others want it to be."""
        if self._promiscuous:
            request = _MREQ.pack(self._promiscuous, _PACKET_MR_PROMISC, 0, b"")
            self._promiscuous = 0
            with contextlib.suppress(OSError):  # it is gone
                self.sock.setsockopt(_SOL_PACKET, _PACKET_DROP_MEMBERSHIP, request)

    def bound_name(self) -> str:
        """The name that the bound interface has now; empty once it is deleted."""
        name: str = self.sock.getsockname()[0]
        return name

    def detach(self) -> None:
        """Nothing more is captured; what the ring holds stays. The interface may be gone by now."""
        with contextlib.suppress(OSError):
            attach(self.sock, accept(0))

    def first_time(self) -> int | None:
        """When the first packet of the next block arrived, in ns; None while the kernel fills that block."""
        desc = self._words[self._next, _DESC].tolist()
        return desc[_FIRST_SEC] * 1_000_000_000 + desc[_FIRST_NSEC] if desc[0] & _STATUS_USER else None

    def take(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """The blocks that are ready, up to MAX_BLOCK_BYTES: their memory, copied, and where each header starts.

        The kernel has them back when this returns. None if no block holds a packet.
        """
        found: list[tuple[int, int, int, int]] = []
        size = records = 0
        at = self._next
        self.cut = False
        while len(found) < self._blocks:
            status, count, first, used = self._words[at, _DESC].tolist()[:4]
            if not status & _STATUS_USER:
                break
            self.cut = size + used > MAX_BLOCK_BYTES or records >= MAX_BLOCK_RECORDS
            if self.cut:
                break
            found.append((at, count, first, used))
            size += used
            records += count
            at = (at + 1) % self._blocks
        # Processors that reorder: nothing of a block is read before its status, nor given back before it is copied.
        with self._fence:
            raw = self._memory_for(size)
        chained: list[tuple[int, int, int]] = []
        start = 0
        for block, count, first, used in found:
            base = block * self._block_size
            raw[start : start + used] = self._bytes[base : base + used]
            with self._fence:
                self._words[block, _STATUS_WORD] = _STATUS_KERNEL
            if count:
                chained.append(((start + first) >> 2, count, (start + used) >> 2))
            start += used
        self._next = at
        self.given += records
        return (raw, headers_of(raw.view(np.uint32), chained)) if records else None

    def _memory_for(self, size: int) -> NDArray[np.uint8]:
        if size >= _WORTH_A_BUFFER:
            return self._buffers.take()[:size]
        # What was taken while more came is let go of only now, as the packets in it are evicted.
        self._buffers.trim()
        return np.empty(size, np.uint8)

    @property
    def filled(self) -> float:
        """The share of its blocks that wait to be taken, 0 to 1. For the thread that takes them."""
        return int(np.count_nonzero(self._words[:, _STATUS_WORD] & _STATUS_USER)) / self._blocks

    def count(self) -> None:
        """Add what the kernel counted since the last time. Any thread; after `close` it adds nothing."""
        with self._counting:
            if self._closed:
                return
            counted = self.sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATS.size)
            packets, drops, freezes = _STATS.unpack(counted)
            self.packets += packets
            self.drops += drops
            self.freezes += freezes

    @property
    def settled(self) -> bool:
        """Whether all that the kernel counted as captured was handed out."""
        return self.given >= self.packets - self.drops

    def _give_back(self) -> None:
        """The kernel has its memory again."""
        with contextlib.suppress(OSError):  # it is still mapped: given back with the socket
            self.sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, bytes(_REQ3.size))

    def close(self) -> None:
        """Nothing more is captured; the socket may get another ring. Idempotent."""
        with self._counting:
            if not self._closed:
                self._closed = True
                del self._words, self._bytes
                with contextlib.suppress(BufferError):  # `take` was left hanging: unmapped when that ends
                    self._memory.close()
                if self.sock.fileno() >= 0:
                    self.detach()
                    self._let_go()
                    self._give_back()
