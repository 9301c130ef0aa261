"""One direction of a byte stream: where each byte of it lies, by the packet that brought it first.

No bytes are copied here: a piece says which packet has them, and where. Offsets count from the first byte of the
stream, 64 bits wide, so that sequence numbers may wrap (RFC 9293, 3.4) as often as they like.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["FARTHEST", "Half", "Piece"]

FARTHEST: Final = 1 << 30
"""The largest window that there is (RFC 7323, 2.2): what is farther off cannot belong to the stream."""
_HALF_TURN: Final = 1 << 31
_TURN: Final = 1 << 32


class Piece(NamedTuple):
    """Bytes of the stream that one packet brought."""

    start: int
    """Offset in the stream."""
    size: int
    row: int
    """Index of the packet's row."""
    place: int
    """Where the packet's payload starts in its bytes; −1: it was put together from fragments."""
    skip: int
    """Where in the payload the piece starts."""

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.start + self.size


class Half:
    """Pieces in the order of the stream; none overlaps another."""

    def __init__(self) -> None:
        self.starts = array("q")
        self.sizes = array("i")
        self.rows = array("q")
        self.places = array("i")
        self.skips = array("i")
        self.top = 0
        """Offset after the last byte that any packet claims."""
        self.floor: int | None = None
        """Offset of the first byte, where the SYN says so."""
        self.end: int | None = None
        """Offset after the last byte, where a FIN says so."""
        self.acknowledged: int | None = None
        """Offset up to which the other side has everything."""
        self.reset = False
        self.initial: int | None = None
        """Sequence number of the SYN."""
        self.first: int | None = None
        """Sequence number of the first segment, whatever it was."""
        self.packets = 0
        self.bytes = 0
        """In pieces: captured, and not twice."""
        self.repeated = 0
        """Bytes that came again."""
        self.dirty = 0
        """Number of the first piece that is new, or stands behind a new one; whoever asked sets it."""
        self._cut_starts = array("q")
        self._cut_ends = array("q")
        self._origin: int | None = None
        """Sequence number of offset 0."""

    def __len__(self) -> int:
        return len(self.starts)

    def piece(self, at: int) -> Piece:
        """By its number in the order of the stream."""
        return Piece(self.starts[at], self.sizes[at], self.rows[at], self.places[at], self.skips[at])

    def within(self, start: int, end: int) -> Iterator[Piece]:
        """What there is of a stretch, cut to it."""
        at = max(bisect_right(self.starts, start) - 1, 0)
        while at < len(self.starts) and self.starts[at] < end:
            found = self.piece(at)
            left, right = max(start, found.start), min(end, found.end)
            if left < right:
                yield Piece(left, right - left, found.row, found.place, found.skip + left - found.start)
            at += 1

    @property
    def last(self) -> int:
        """Offset after the last byte that is there; where nothing is, that of the first to come."""
        return self.starts[-1] + self.sizes[-1] if self.starts else self.floor or 0

    @property
    def begin(self) -> int:
        """Offset of the first byte that is known of."""
        first = self.starts[0] if self.starts else self.floor or 0
        return first if self.floor is None else min(first, self.floor)

    # Sequence numbers

    @property
    def located(self) -> bool:
        """Sequence numbers have offsets."""
        return self._origin is not None

    def offset(self, sequence: int) -> int:
        """The offset of a sequence number: of those that it may stand for the nearest to what came last."""
        if self._origin is None:
            self._origin = sequence
        ahead = (sequence - self._origin - self.top) % _TURN
        return self.top + (ahead - _TURN if ahead >= _HALF_TURN else ahead)

    def open(self, sequence: int) -> None:
        """A SYN: the first byte has the number after its own."""
        if not len(self):
            self._origin, self.top, self.acknowledged = None, 0, None  # what came before was of an attempt before
        self.initial = sequence
        floor = self.offset((sequence + 1) % _TURN)
        if floor != self.floor:
            self.floor, self.dirty = floor, 0
        self.top = max(self.top, floor)

    def close(self, at: int) -> None:
        """A FIN; one that bytes came behind already lies, of several the first in the stream holds."""
        if at >= self.top and (self.end is None or at < self.end):
            self.end = at

    # Bytes

    def add(self, start: int, size: int, have: int, row: int, place: int) -> list[tuple[Piece, Piece]]:
        """A packet's payload of `size` bytes, of which `have` were captured, at `start`.

        What is there already stays: returned are the parts that came before, beside the new packet's.
        """
        skip = max((self.floor if self.floor is not None else start) - start, 0)
        limit = size if self.end is None else min(size, max(self.end - start, 0))
        if limit <= skip:
            return []
        if have < limit:
            self._cut(start + max(have, skip), start + limit)
            self.top = max(self.top, start + limit)
        end = start + min(have, limit)
        at, left = len(self.starts), start + skip
        if left >= end:
            return []
        if left >= self.last or not at:  # nearly always: it goes on where the last one ended
            self._put(at, Piece(left, end - left, row, place, skip))
            self.top = max(self.top, end)
            return []
        self.top = max(self.top, end)
        return self._fill(left, end, Piece(start, have, row, place, 0))

    def _fill(self, left: int, end: int, came: Piece) -> list[tuple[Piece, Piece]]:
        """Put what is new of `came` between `left` and `end` where nothing is yet."""
        twice = []
        fresh, size = 0, end - left
        at = max(bisect_right(self.starts, left) - 1, 0)
        while left < end:
            if at < len(self.starts) and self.starts[at] + self.sizes[at] <= left:
                at += 1
                continue
            stop = min(end, self.starts[at]) if at < len(self.starts) else end
            if left < stop:
                self._put(at, came._replace(start=left, size=stop - left, skip=left - came.start))
                fresh += stop - left
                left, at = stop, at + 1
                continue
            old = self.piece(at)
            stop = min(end, old.end)
            mine = came._replace(start=left, size=stop - left, skip=left - came.start)
            twice.append((old._replace(start=left, size=stop - left, skip=old.skip + left - old.start), mine))
            left, at = stop, at + 1
        self.repeated += size - fresh
        return twice

    def _put(self, at: int, piece: Piece) -> None:
        self.starts.insert(at, piece.start)
        self.sizes.insert(at, piece.size)
        self.rows.insert(at, piece.row)
        self.places.insert(at, piece.place)
        self.skips.insert(at, piece.skip)
        self.bytes += piece.size
        self.dirty = min(self.dirty, at)

    def extent(self, at: int) -> int:
        """Bytes that the packet of a piece has in one stretch of the stream, this piece included."""
        row, first, last = self.rows[at], at, at
        while first and self.rows[first - 1] == row and self._joined(first - 1):
            first -= 1
        while last + 1 < len(self.starts) and self.rows[last + 1] == row and self._joined(last):
            last += 1
        return self.starts[last] + self.sizes[last] - self.starts[first]

    def number(self, start: int) -> int:
        """The piece that holds an offset."""
        return bisect_right(self.starts, start) - 1

    def _joined(self, at: int) -> bool:
        return self.starts[at] + self.sizes[at] == self.starts[at + 1]

    def _cut(self, start: int, end: int) -> None:
        """The snap length left these out."""
        if self._cut_ends and self._cut_ends[-1] == start:
            self._cut_ends[-1] = end
            return
        at = bisect_left(self._cut_starts, start)
        self._cut_starts.insert(at, start)
        self._cut_ends.insert(at, end)

    def was_cut(self, start: int, end: int) -> bool:
        """Whether all of a stretch that is missing was in packets, and cut off by the snap length."""
        at = max(bisect_right(self._cut_starts, start) - 1, 0)
        while start < end and at < len(self._cut_starts) and self._cut_starts[at] <= start:
            start = max(start, self._cut_ends[at])
            at += 1
        return start >= end
