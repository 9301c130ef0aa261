"""IP datagrams of which fragments are missing (RFC 791, 3.2; RFC 8200, 4.5): for the decoder and for the dissectors.

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
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["MAX_AGE", "MAX_BYTES", "MAX_DATAGRAMS", "Datagram", "Datagrams"]

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
class Datagram:
    """One datagram, as far as its fragments came."""

    numbers: list[int] = field(default_factory=list)
    """Of the packets that brought them, in the order in which they came."""
    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(offset, order of arrival, payload)"""
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """What is covered, as disjoint spans in order."""
    size: int | None = None
    cost: int = 0
    """Bytes that were put down for it."""

    def add(self, offset: int, more: bool, payload: bytes, number: int) -> bool:
        """Whether the datagram is complete now."""
        if not more and self.size is None:
            self.size = offset + len(payload)
        end = offset + len(payload)
        self.pieces.append((offset, len(self.pieces), payload))
        self.numbers.append(number)
        first = bisect_left(self.ends, offset)
        last = bisect_right(self.starts, end)
        if first < last:
            offset, end = min(offset, self.starts[first]), max(end, self.ends[last - 1])
        self.starts[first:last] = [offset]
        self.ends[first:last] = [end]
        return self.size is not None and self.starts[0] == 0 and self.ends[0] >= self.size

    def assembled(self) -> bytes:
        """Its payload, once it is complete."""
        data = bytearray()
        for offset, _, payload in sorted(self.pieces):  # payloads are never compared: orders differ
            data += payload[max(len(data) - offset, 0) :]
        return bytes(data[: self.size])


class Datagrams:
    """Incomplete datagrams of one capture."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[Any, ...], Datagram] = OrderedDict()
        self._bytes = 0

    def add(self, key: tuple[Any, ...], offset: int, more: bool, payload: bytes, number: int) -> Datagram | None:
        """The datagram that this fragment completes. `number`: of its packet; it grows."""
        datagram = self._open.get(key)
        if datagram is None:
            datagram = self._open[key] = Datagram()
        if datagram.add(offset, more, payload, number):
            del self._open[key]
            self._bytes -= datagram.cost
            return datagram
        cost = len(payload) + PIECE_COST + (0 if datagram.cost else DATAGRAM_COST)
        datagram.cost += cost
        self._bytes += cost
        if len(datagram.pieces) >= MAX_PIECES:
            del self._open[key]
            self._bytes -= datagram.cost
        self._bound(number)
        return None

    def _bound(self, now: int) -> None:
        while self._open and (
            len(self._open) > MAX_DATAGRAMS
            or self._bytes > MAX_BYTES
            or now - next(iter(self._open.values())).numbers[0] > MAX_AGE
        ):
            _, oldest = self._open.popitem(last=False)
            self._bytes -= oldest.cost
