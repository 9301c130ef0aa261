"""Reassembly of IP fragments: the one part of the decoder that remembers packets of earlier blocks.

What a datagram is, when it is complete and how many are kept: capture/datagrams.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import FRAGMENT, REASSEMBLED
from netwatch.capture.datagrams import Datagrams
from netwatch.capture.decode.walk import PARTIAL, Front, Walk

__all__ = ["Pieces", "Reassembly"]


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


class Reassembly:
    """Incomplete datagrams of one capture."""

    def __init__(self) -> None:
        self._datagrams = Datagrams()
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
        payload = bytes(raw[piece.at : piece.end])
        datagram = self._datagrams.add(key, piece.offset, bool(piece.more), payload, self._packets + piece.row)
        return None if datagram is None else datagram.assembled()


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
