"""Reassembly of IP fragments: the one part of the decoder that remembers packets of earlier blocks.

A datagram is complete when its fragments cover it without a gap up to the end that the first last-fragment named; the
packet that closes the last gap in file order is the one that shows what the datagram holds. Where fragments overlap,
the one with the lower offset wins, at the same offset the earlier one (as tshark; RFC 5722 would drop the datagram).

Senders choose what is kept here, so it is bounded: MAX_DATAGRAMS incomplete datagrams, MAX_BYTES of fragments, and
MAX_AGE packets since a datagram's first fragment; beyond any of them the oldest datagram is given up, its fragments
stay listed as such.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import FRAGMENT, REASSEMBLED
from netwatch.capture.decode.walk import PARTIAL, Front, Walk

__all__ = ["MAX_AGE", "MAX_BYTES", "MAX_DATAGRAMS", "Pieces", "Reassembly"]

MAX_DATAGRAMS: Final = 8192
MAX_BYTES: Final = 16 << 20
"""With what keeping them costs: 256 datagrams of the largest size, or 80,000 tiny fragments."""
MAX_AGE: Final = 1 << 20
MAX_PIECES: Final = 8192
"""Of one datagram: more do not fit into 65,535 bytes."""
PIECE_COST: Final = 192
"""Bytes that keeping a fragment costs beside its payload."""
DATAGRAM_COST: Final = 600
"""Bytes that keeping the first fragment of a datagram costs beside that."""


@dataclass(slots=True)
class Pieces:
    """m fragments, as the network layer found them. All arrays have shape (m,)."""

    front: Front
    """At the start of the fragments' payload."""
    payload_end: NDArray[np.intp]
    """Where the payload ends by the fragment's own header; it may lie."""
    header: NDArray[np.intp]
    """Where the addresses start in Walk.raw."""
    address_size: int
    """Bytes of source and destination together."""
    ident: NDArray[np.intp]
    """Identification, of IPv4 together with the protocol."""
    offset: NDArray[np.intp]
    more: NDArray[np.bool_]
    layers: NDArray[np.uint8]
    """What the datagram holds."""
    first_is_read: bool
    """Whether a first fragment that cannot be put together is read as far as it goes: as tshark, only of IPv4."""


class _Piece(NamedTuple):
    """One fragment, in Python's own integers: reading them from arrays one by one costs more than all the rest."""

    row: int
    at: int
    end: int
    header: int
    address_size: int
    ident: int
    vlan: int
    offset: int
    more: int


def _in_words(walk: Walk, gathered: list[Pieces]) -> Iterator[tuple[int, ...]]:
    """(row, number of its Pieces, position in them, the rest of a _Piece) of every fragment."""
    for number, pieces in enumerate(gathered):
        row = pieces.front.row
        yield from zip(
            row.tolist(),
            repeat(number),
            range(len(row)),
            pieces.front.at.tolist(),
            pieces.payload_end.tolist(),
            pieces.header.tolist(),
            repeat(pieces.address_size),
            pieces.ident.tolist(),
            walk.rows.vlan[row].tolist(),
            pieces.offset.tolist(),
            pieces.more.tolist(),
            strict=False,  # repeat() has no end
        )


@dataclass(slots=True)
class _Datagram:
    born: int
    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(offset, order of arrival, payload)"""
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """What is covered, as disjoint spans in order."""
    size: int | None = None
    cost: int = 0
    """Bytes that were put down for it."""

    def add(self, offset: int, more: bool, payload: bytes) -> bool:
        """Whether the datagram is complete now."""
        if not more and self.size is None:
            self.size = offset + len(payload)
        end = offset + len(payload)
        self.pieces.append((offset, len(self.pieces), payload))
        first = bisect_left(self.ends, offset)
        last = bisect_right(self.starts, end)
        if first < last:
            offset, end = min(offset, self.starts[first]), max(end, self.ends[last - 1])
        self.starts[first:last] = [offset]
        self.ends[first:last] = [end]
        return self.size is not None and self.starts[0] == 0 and self.ends[0] >= self.size

    def assembled(self) -> bytes:
        data = bytearray()
        for offset, _, payload in sorted(self.pieces):  # payloads are never compared: orders differ
            data += payload[max(len(data) - offset, 0) :]
        return bytes(data[: self.size])


class Reassembly:
    """Incomplete datagrams of one capture."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[bytes, int, int], _Datagram] = OrderedDict()
        self._bytes = 0
        self._packets = 0

    def advance(self, packets: int) -> None:
        """A block of so many packets is done."""
        self._packets += packets

    def complete(self, walk: Walk) -> tuple[Front, NDArray[np.uint8], NDArray[np.uint8]] | None:
        """Take in what the walk gathered; the datagrams that this completed.

        Returns their packets (offsets into the new memory), the layers that they go on with and the new memory.
        """
        gathered = walk.pieces
        walk.pieces = []
        found: list[tuple[int, Pieces, int, bytes]] = []
        raw = walk.raw.data
        for row, number, position, *piece in sorted(_in_words(walk, gathered)):
            data = self._add(raw, _Piece(row, *piece))
            if data is not None:
                found.append((row, gathered[number], position, data))
        if not found:
            return None
        sizes = np.array([len(data) for *_, data in found], np.intp)
        ends = sizes.cumsum()
        front = Front(
            np.array([row for row, *_ in found], np.intp),
            ends - sizes,
            ends,
            ends.copy(),
            np.array([pieces.front.path[position] for _, pieces, position, _ in found], np.uint16),
            np.array([pieces.front.mode[position] for _, pieces, position, _ in found], np.uint8),
        )
        layers = np.array([pieces.layers[position] for _, pieces, position, _ in found], np.uint8)
        walk.mark(front.row, REASSEMBLED)
        return front, layers, np.frombuffer(b"".join(data for *_, data in found), np.uint8)

    def _add(self, raw: memoryview, piece: _Piece) -> bytes | None:
        """The datagram that this fragment completes."""
        key = (bytes(raw[piece.header : piece.header + piece.address_size]), piece.ident, piece.vlan)
        datagram = self._open.get(key)
        if datagram is None:
            datagram = self._open[key] = _Datagram(self._packets + piece.row)
        if datagram.add(piece.offset, bool(piece.more), bytes(raw[piece.at : piece.end])):
            del self._open[key]
            self._bytes -= datagram.cost
            return datagram.assembled()
        cost = piece.end - piece.at + PIECE_COST + (0 if datagram.cost else DATAGRAM_COST)
        datagram.cost += cost
        self._bytes += cost
        if len(datagram.pieces) >= MAX_PIECES:
            del self._open[key]
            self._bytes -= datagram.cost
        self._bound(self._packets + piece.row)
        return None

    def _bound(self, now: int) -> None:
        while self._open and (
            len(self._open) > MAX_DATAGRAMS
            or self._bytes > MAX_BYTES
            or now - next(iter(self._open.values())).born > MAX_AGE
        ):
            _, oldest = self._open.popitem(last=False)
            self._bytes -= oldest.cost


def collect(walk: Walk, pieces: Pieces) -> None:
    """Fragments, at their payload: whole ones are put aside for reassembly.

    One that was cut, or that claims more than there is, cannot be.
    """
    front = pieces.front
    walk.mark(front.row, FRAGMENT)
    walk.stop(front)
    whole = (front.end >= pieces.payload_end) & (pieces.payload_end > front.at)
    readable = ~whole & (pieces.offset == 0) & pieces.first_is_read
    alone = front.take(readable)
    alone.mode |= np.uint8(PARTIAL)
    walk.hand(alone, pieces.layers[readable])
    keep = whole.nonzero()[0]
    if len(keep):
        walk.pieces.append(
            Pieces(
                front.take(keep),
                pieces.payload_end[keep],
                pieces.header[keep],
                pieces.address_size,
                pieces.ident[keep],
                pieces.offset[keep],
                pieces.more[keep],
                pieces.layers[keep],
                pieces.first_is_read,
            )
        )
