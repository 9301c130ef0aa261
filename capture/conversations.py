"""Who talks to whom: packets between two endpoints, both directions added up, in a table of bounded size."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC, PORTS, Columns
from netwatch.capture.filter.fields import FIELDS
from netwatch.capture.grouping import owners
from netwatch.capture.heavy import COUNTS, HeavyHitters
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import PROTOCOLS
from netwatch.capture.talkers import address_text

__all__ = ["MAX_CONVERSATIONS", "ConversationRow", "Conversations", "Endpoint"]

MAX_CONVERSATIONS: Final = 16_384
"""Conversations that are told apart. Senders choose addresses and ports, so the table may not grow with them."""
PIECE_ROWS: Final = 16_384
"""Rows that are counted at once: what is made on the way takes little memory."""


class _Names(NamedTuple):
    """How the filter language asks for an address."""

    either: str
    src: str
    dst: str


_NAMES: Final = {
    KIND_IPV4: _Names("ip.addr ==", "ip.src ==", "ip.dst =="),
    KIND_IPV6: _Names("ipv6.addr ==", "ipv6.src ==", "ipv6.dst =="),
    KIND_MAC: _Names("ether host", "ether src", "ether dst"),
}
_PROTOCOL, _PORT_A, _PORT_B = (np.uint64(bits) for bits in (8, 16, 32))
"""Where in the last word of a key they stand; the kind of addresses is its lowest byte."""

Words = list[NDArray[np.uint64]]


class Endpoint(NamedTuple):
    """One end of a conversation."""

    kind: int
    hi: int
    lo: int
    port: int

    @property
    def address(self) -> str:
        """`10.0.0.1`, `fe80::1`, `02:00:00:00:00:01`."""
        return address_text(self.kind, self.hi, self.lo)


class ConversationRow(NamedTuple):
    """One conversation. `in` and `out` are those of `left`: in is what came to it."""

    left: Endpoint
    """The end with the higher port, as a rule the one that began."""
    right: Endpoint
    protocol: int
    """Protocol id: the innermost transport, or what is shown of packets without one."""
    packets: int
    bytes: int
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    byte_rate: float
    """Bytes a second, in and out."""
    packet_rate: float
    share: float
    """Part of all wire bytes, 0 to 1."""

    @property
    def key(self) -> tuple[Endpoint, Endpoint, int]:
        """What a cursor belongs to."""
        return self.left, self.right, self.protocol

    @property
    def filter(self) -> str:
        """The display filter that shows it, and that of the same ends with their ports exchanged if there is one."""
        name, protocol = _NAMES[self.left.kind], PROTOCOLS[self.protocol].name
        ends = (self.left.address, self.right.address)
        # Where both ends are the same, one of them on either side would do for "either side".
        if ends[0] == ends[1]:
            words = [f"{name.src} {ends[0]}", f"{name.dst} {ends[1]}"]
        else:
            words = [f"{name.either} {end}" for end in ends]
        ports = (self.left.port, self.right.port)
        if not any(ports):
            return " and ".join([*words, protocol])
        field = f"{protocol}.%sport ==" if f"{protocol}.port" in FIELDS else "%s port"
        if ports[0] == ports[1]:
            words += [f"{field % side} {ports[0]}" for side in ("src", "dst")]
        else:
            words += [f"{field % ''} {port}".strip() for port in ports]
        return " and ".join(words)


class Conversations(HeavyHitters):
    """A key is both ends in the order of their addresses and ports, and the protocol. Rows without an address, and
    events, count for none."""

    def __init__(self, capacity: int = MAX_CONVERSATIONS) -> None:
        super().__init__(capacity, 5)
        self.packets = 0
        """Packets in all conversations, those that are no longer told apart included."""

    def merge(self, rows: Columns) -> None:
        """Count rows."""
        for start in range(0, len(rows), PIECE_ROWS):
            piece = rows.take(slice(start, start + PIECE_ROWS))
            for kind in _NAMES:
                chosen = np.flatnonzero(piece.kind == kind)
                if len(chosen):
                    self._merge_kind(piece if len(chosen) == len(piece) else piece.take(chosen), kind)
                    self.packets += len(chosen)

    def top(self, n: int, total: int, seconds: float | None = None) -> list[ConversationRow]:
        """The n conversations with the most bytes, largest first; `total` and `seconds` as in Talkers.top."""
        words, counts, rates = self.largest(n, "bytes", seconds)
        share = counts[COUNTS.index("bytes")] / max(total, 1)
        columns = (*words, *counts, rates[1], rates[0], share)
        return [_row(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def _merge_kind(self, rows: Columns, kind: int) -> None:
        carrier = PATHS.carrier.take(rows.path)
        protocol = carrier.astype(np.uint64)
        with_ports = PATHS.is_transport.take(carrier) & (rows.marks & PORTS != 0)
        sport, dport = (np.where(with_ports, port, 0).astype(np.uint64) for port in (rows.sport, rows.dport))
        if kind == KIND_IPV6:
            pairs, back = _in_order(rows, sport, dport)
            pairs[0] |= protocol << _PROTOCOL
        else:
            # Address and port of an end in one word, or the address alone where there are no ports.
            shift = np.uint64(0 if kind == KIND_MAC else 16)
            source, destination = rows.src_lo << shift, rows.dst_lo << shift
            if kind == KIND_IPV4:
                source, destination = source | sport, destination | dport
            back = source > destination
            pairs = [
                np.minimum(source, destination) | protocol << np.uint64(48),
                np.maximum(source, destination),
            ]
        owner = owners(pairs)
        both = owner.astype(np.int64) * 2 + back
        packets = np.bincount(both, minlength=2 * len(owner)).reshape(-1, 2)
        sizes = np.bincount(both, rows.wirelen, 2 * len(owner)).reshape(-1, 2)
        firsts = np.flatnonzero(packets.any(axis=1))
        packets, sizes = packets[firsts], sizes[firsts].astype(np.int64)
        # Out is from the first end to the second.
        counts = np.stack(
            [packets.sum(axis=1), sizes.sum(axis=1), packets[:, 1], sizes[:, 1], packets[:, 0], sizes[:, 0]]
        ).astype(np.int64)
        self.add(_key(rows, firsts, back[firsts], kind, protocol, (sport, dport)), counts)


def _in_order(rows: Columns, sport: NDArray[np.uint64], dport: NDArray[np.uint64]) -> tuple[Words, NDArray[np.bool_]]:
    """Words that are the same for both directions, and where the destination is the first end."""
    same_hi, same_lo = rows.src_hi == rows.dst_hi, rows.src_lo == rows.dst_lo
    back = (rows.src_hi > rows.dst_hi) | same_hi & (rows.src_lo > rows.dst_lo) | same_hi & same_lo & (sport > dport)
    words = [np.where(back, dport, sport) << _PORT_A | np.where(back, sport, dport) << _PORT_B]
    for one, other in ((rows.src_hi, rows.dst_hi), (rows.src_lo, rows.dst_lo)):
        words += [np.where(back, other, one), np.where(back, one, other)]
    return words, back


def _key(
    rows: Columns,
    firsts: NDArray[np.intp],
    back: NDArray[np.bool_],
    kind: int,
    protocol: NDArray[np.uint64],
    ports: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> Words:
    """The words of the table: both addresses, and kind, protocol and ports in the last."""
    words: Words = []
    for source, destination in ((rows.src_hi, rows.dst_hi), (rows.src_lo, rows.dst_lo)):
        one, other = source[firsts], destination[firsts]
        words += [np.where(back, other, one), np.where(back, one, other)]
    sport, dport = (port[firsts] for port in ports)
    last = np.where(back, dport, sport) << _PORT_A | np.where(back, sport, dport) << _PORT_B
    return [*words, last | protocol[firsts] << _PROTOCOL | np.uint64(kind)]


def _row(a_hi: int, b_hi: int, a_lo: int, b_lo: int, last: int, *rest: float) -> ConversationRow:
    kind, protocol, port_a, port_b = last & 0xFF, last >> 8 & 0xFF, last >> 16 & 0xFFFF, last >> 32 & 0xFFFF
    a, b = Endpoint(kind, a_hi, a_lo, port_a), Endpoint(kind, b_hi, b_lo, port_b)
    packets, size, packets_in, bytes_in, packets_out, bytes_out = (int(count) for count in rest[: len(COUNTS)])
    if port_b > port_a:
        a, b = b, a
        packets_in, packets_out = packets_out, packets_in
        bytes_in, bytes_out = bytes_out, bytes_in
    counts = (packets, size, packets_in, bytes_in, packets_out, bytes_out)
    byte_rate, packet_rate, share = rest[len(COUNTS) :]
    return ConversationRow(a, b, protocol, *counts, byte_rate, packet_rate, share)
