"""Which packets belong to a conversation, and what each of them brings to it.

The columns tell who may belong: packets with its addresses and ports, fragments of its addresses, and whatever is
tunnelled. The walk of the batch decoder tells who does: the innermost transport header counts, wherever that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import (
    EVENT,
    FRAGMENT,
    KIND_IPV4,
    KIND_IPV6,
    KIND_NONE,
    NO_VLAN,
    PORTS,
    REASSEMBLED,
    TUNNELLED,
    Columns,
)
from netwatch.capture.decode.fragments import Reassembly
from netwatch.capture.decode.tables import LINKTYPE
from netwatch.capture.decode.walk import Front, Walk
from netwatch.capture.layouts import IPV4, IPV6, TCP_FIRST, UDP
from netwatch.capture.paths import NO_PATH, PATHS
from netwatch.capture.text import ipv4, ipv6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netwatch.capture.block import Interface
    from netwatch.capture.store import Store

__all__ = [
    "ACK",
    "FIN",
    "RST",
    "SYN",
    "TCP",
    "UDP_PROTOCOL",
    "Endpoint",
    "Pair",
    "Reader",
    "Segment",
    "completes",
    "fragmented_tunnels",
]

TCP: Final = 6
UDP_PROTOCOL: Final = 17
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
"""Flags of a TCP header (RFC 9293, 3.1)."""
PADDING: Final = 64
"""Bytes behind the last packet, for reads of whole headers."""


class Endpoint(NamedTuple):
    """One end of a conversation."""

    kind: int
    """KIND_IPV4 or KIND_IPV6."""
    hi: int
    lo: int
    """The address, 64 bits each."""
    port: int

    @property
    def address(self) -> str:
        """As text."""
        if self.kind == KIND_IPV4:
            return ipv4(self.lo.to_bytes(4, "big"))
        return ipv6(((self.hi << 64) | self.lo).to_bytes(16, "big"))

    @property
    def group(self) -> bool:
        """A multicast group or all stations: nobody that sends (RFC 1112, 4; RFC 4291, 2.7)."""
        if self.kind == KIND_IPV6:
            return self.hi >> 56 == 0xFF
        return self.lo >> 28 == 0xE or self.lo == 0xFFFFFFFF

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.kind == KIND_IPV6 else f"{self.address}:{self.port}"


class Pair(NamedTuple):
    """Two endpoints over TCP or UDP."""

    protocol: int
    a: Endpoint
    b: Endpoint

    def side(self, segment: Segment) -> int | None:
        """0: `a` sent it; 1: `b` did; None: it belongs to others."""
        if segment.protocol != self.protocol:
            return None
        if segment.source == self.a and segment.destination == self.b:
            return 0
        return 1 if segment.source == self.b and segment.destination == self.a else None

    def candidates(self, rows: Columns, fragments: bool) -> NDArray[np.intp]:
        """Rows that may belong to it, ascending; `fragments`: all of them may, as tunnels come in fragments."""
        a, b = self.a, self.b
        there = (rows.sport == a.port) & (rows.dport == b.port)
        back = (rows.sport == b.port) & (rows.dport == a.port)
        found = ((there | back) & (rows.kind == a.kind)).nonzero()[0]
        found = np.asarray(found[_between(rows.take(found), a, b)], np.intp)
        marks = rows.marks
        odd = (marks & (FRAGMENT | TUNNELLED)).nonzero()[0]
        if not len(odd):
            return found
        marks, few = marks[odd], rows.take(odd)
        inside = (marks & TUNNELLED != 0) & (_CARRIES.of(self.protocol)[few.path] | (marks & FRAGMENT != 0))
        piece = (marks & FRAGMENT != 0) & (fragments | (few.kind == a.kind) & _between(few, a, b))
        both: NDArray[np.intp] = np.union1d(found, odd[inside | piece])
        return both


class _Carries:
    """Which paths have TCP or UDP in them; paths are only ever added."""

    def __init__(self) -> None:
        self._known = {TCP: np.zeros(0, np.bool_), UDP_PROTOCOL: np.zeros(0, np.bool_)}

    def of(self, protocol: int) -> NDArray[np.bool_]:
        """shape (paths,): by path id."""
        known = self._known[protocol]
        if len(known) < len(PATHS):
            name = "tcp" if protocol == TCP else "udp"
            more = [name in path.split(":") for path in PATHS.names[len(known) :]]
            known = self._known[protocol] = np.concatenate([known, np.array(more, np.bool_)])
        return known


_CARRIES: Final = _Carries()


def _between(rows: Columns, a: Endpoint, b: Endpoint) -> NDArray[np.bool_]:
    """Rows whose outermost addresses are these two, in either direction."""

    def are(one: Endpoint, other: Endpoint) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (rows.src_lo == one.lo) & (rows.dst_lo == other.lo)
        found &= (rows.src_hi == one.hi) & (rows.dst_hi == other.hi)
        return found

    either: NDArray[np.bool_] = are(a, b) | are(b, a)
    return either


@dataclass(slots=True)
class Segment:
    """What one packet brings: a TCP segment or a UDP datagram, the innermost of the packet."""

    index: int
    """Of its row."""
    ts: int
    protocol: int
    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledged: int
    flags: int
    """FIN, SYN, RST, ACK …; 0 for a datagram."""
    payload: bytes
    """As far as it was captured."""
    size: int
    """Of the payload, as the headers say."""
    place: int
    """Where in the packet's bytes the payload starts; −1: it was put together from fragments."""


class _Found(Walk):
    """A walk that keeps each row's last addresses and its last transport header, and nothing of what ICMP quotes."""

    def __init__(self, raw: NDArray[np.uint8], rows: Columns) -> None:
        super().__init__(raw, rows, None)
        n = len(rows)
        self.memory = 0
        """Counts the memories that the walk went through: the packets', then those of datagrams put together."""
        self.memories = [raw]
        self.kind = np.zeros(n, np.uint8)
        self.addresses = np.zeros((4, n), np.uint64)
        self.protocol = np.zeros(n, np.uint8)
        self.where: NDArray[np.intp] = np.zeros((4, n), np.intp)
        """shape (4, n): number of the memory, start of the transport header, its captured end, its limit."""
        self._quoted = np.zeros(n, np.bool_)

    def move_to(self, raw: NDArray[np.uint8]) -> None:
        super().move_to(raw)
        self.memory += 1
        self.memories.append(raw)

    def note(self, name: str, front: Front) -> None:
        if name not in _NOTED:
            return
        need, what = _NOTED[name]
        if not what:
            self._quoted[front.row] = True
            return
        front = front.take(~self._quoted[front.row] & (front.end - front.at >= need))
        if not len(front):
            return
        row = front.row
        if name in ("ip", "ipv6"):
            header = self.read(front.at, IPV4 if what == KIND_IPV4 else IPV6)
            self.kind[row] = what
            self.protocol[row] = 0  # what carries this network header is a tunnel
            if what == KIND_IPV6:
                self.addresses[0, row], self.addresses[2, row] = header["src_hi"], header["dst_hi"]
                self.addresses[1, row], self.addresses[3, row] = header["src_lo"], header["dst_lo"]
            else:
                self.addresses[0, row] = self.addresses[2, row] = 0
                self.addresses[1, row], self.addresses[3, row] = header["src"], header["dst"]
            return
        self.protocol[row] = what if what in (TCP, UDP_PROTOCOL) else 0
        self.where[0, row] = self.memory
        self.where[1, row], self.where[2, row], self.where[3, row] = front.at, front.end, front.limit


_NOTED: Final = {
    "ip": (IPV4.itemsize, KIND_IPV4),
    "ipv6": (IPV6.itemsize, KIND_IPV6),
    "tcp": (TCP_FIRST.itemsize, TCP),
    "udp": (UDP.itemsize, UDP_PROTOCOL),
    "udplite": (0, 0xFF),
    "icmp": (0, KIND_NONE),
    "icmpv6": (0, KIND_NONE),
}
"""Bytes that must be there, and what it is: KIND_* of addresses, a transport, 0xFF for one without a stream, or the
beginning of a quotation."""


class Reader:
    """Reads packets of one capture in their order: fragments are put together on the way."""

    def __init__(self, store: Store, interfaces: Sequence[Interface]) -> None:
        self._store = store
        self._interfaces = interfaces
        self._fragments = Reassembly()

    def read(self, rows: Columns, indices: NDArray[np.int64]) -> list[Segment]:
        """What these rows bring, in their order: those with TCP or UDP of which the ports were captured."""
        packets = [self._store.data(index) for index in indices.tolist()]
        sizes = np.array([len(packet) for packet in packets], np.intp)
        starts = np.cumsum(sizes) - sizes
        raw = np.frombuffer(b"".join(packets) + bytes(PADDING), np.uint8)
        walk = _Found(raw, _blank(rows, sizes))
        self._walk(walk, rows, starts, sizes)
        found = []
        for at in (walk.protocol != 0).nonzero()[0].tolist():
            segment = _segment(walk, at, int(indices[at]), int(rows.ts[at]), int(starts[at]))
            if segment is not None:
                found.append(segment)
        return found

    def _walk(self, walk: Walk, rows: Columns, starts: NDArray[np.intp], sizes: NDArray[np.intp]) -> None:
        """As Decoder.decode, of packets that are kept already."""
        n = len(rows)
        interfaces = [interface.linktype for interface in self._interfaces]
        links = LINKTYPE.layers[np.array(interfaces, np.intp)[rows.iface]]
        limit = starts + np.maximum(rows.wirelen.astype(np.intp), rows.caplen.astype(np.intp))
        path, mode = np.full(n, NO_PATH, np.uint16), np.zeros(n, np.uint8)
        front = Front(np.arange(n), starts, starts + sizes, limit, path, mode)
        packets = (rows.marks & EVENT == 0).nonzero()[0]
        walk.hand(front.take(packets), links[packets])
        walk.run()
        while walk.pieces:
            completed = self._fragments.complete(walk)
            if completed is None:
                break
            inner, layers, raw = completed
            walk.move_to(np.concatenate([raw, np.zeros(PADDING, np.uint8)]))
            walk.hand(inner, layers)
            walk.run()
        self._fragments.advance(n)


def _blank(rows: Columns, sizes: NDArray[np.intp]) -> Columns:
    """Columns for the walk to fill in."""
    made = Columns.zeros(len(rows))
    made.caplen, made.wirelen = sizes.astype(np.uint32), rows.wirelen
    made.vlan.fill(NO_VLAN)
    return made


def _segment(walk: _Found, row: int, index: int, ts: int, start: int) -> Segment | None:
    """The transport header of a row, and its payload."""
    memory, at, end, limit = walk.where[:, row].tolist()
    raw = walk.memories[memory].data
    protocol, kind = int(walk.protocol[row]), int(walk.kind[row])
    if not kind:
        return None
    src_hi, src_lo, dst_hi, dst_lo = walk.addresses[:, row].tolist()
    sport, dport = raw[at] << 8 | raw[at + 1], raw[at + 2] << 8 | raw[at + 3]
    sequence = acknowledged = flags = 0
    if protocol == TCP:
        sequence = int.from_bytes(raw[at + 4 : at + 8], "big")
        acknowledged = int.from_bytes(raw[at + 8 : at + 12], "big")
        flags = raw[at + 13]
        header = (raw[at + 12] >> 4) * 4
        if header < 20:
            return None
    else:
        header = 8
        claimed = raw[at + 4] << 8 | raw[at + 5]
        if claimed >= header:
            limit = min(limit, at + claimed)
            end = min(end, limit)
    first = at + header
    return Segment(
        index,
        ts,
        protocol,
        Endpoint(kind, src_hi, src_lo, sport),
        Endpoint(kind, dst_hi, dst_lo, dport),
        sequence,
        acknowledged,
        flags,
        bytes(raw[first:end]) if end > first else b"",
        max(limit - first, 0),
        -1 if memory else first - start,
    )


def fragmented_tunnels(rows: Columns) -> bool:
    """Whether datagrams that were put together carry other packets: then no fragment tells by its addresses whose it
    is."""
    both = TUNNELLED | REASSEMBLED
    return bool((rows.marks & both == both).any())


def completes(store: Store, index: int) -> int | None:
    """The row that has the ports of the datagram that this row is a fragment of; itself where it has them."""
    row = store.rows(np.array([index]))
    marks = int(row.marks[0])
    if marks & PORTS or not marks & FRAGMENT:
        return index
    for base, rows in store.chunks(index):
        alike = (rows.marks & REASSEMBLED != 0) & (rows.src_lo == row.src_lo[0]) & (rows.dst_lo == row.dst_lo[0])
        alike &= (rows.src_hi == row.src_hi[0]) & (rows.dst_hi == row.dst_hi[0])
        found = alike.nonzero()[0]
        if len(found):
            return base + int(found[0])
    return None
