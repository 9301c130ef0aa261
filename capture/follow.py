"""Follow stream: both directions of a TCP or UDP conversation, put together from the packets that are kept.

The work is done in slices, so that the screen answers meanwhile. Bytes stay where they are, in the store or its file;
of a capture that evicts packets the first HELD bytes of the stream are copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from netwatch.capture.follow_connection import Connection, Note
from netwatch.capture.follow_half import Half, Piece
from netwatch.capture.follow_packets import Pair, Reader, Segment, completes, fragmented_tunnels
from netwatch.capture.follow_turns import CUT, DATA, GAP, NOTE, Turn, Turns

if TYPE_CHECKING:
    from netwatch.capture.session import Session

__all__ = ["CUT", "DATA", "GAP", "HELD", "NOTE", "Connection", "Follow", "Half", "Note", "Turn", "pair_of"]

HELD: Final = 32 << 20
"""Bytes of a stream that are copied, with what keeping them costs."""
HELD_COST: Final = 200
"""Bytes that keeping a packet's bytes costs beside them."""
MOST: Final = 1 << 22
"""Pieces of a stream, each with 80 bytes of places …"""
MOST_LIVE: Final = 1 << 19
"""… and of one whose packets are evicted: what is known of it must not grow for ever."""
PIECE_ROWS: Final = 65_536
"""Rows that are looked at at once …"""
READ_ROWS: Final = 256
"""… and packets that are read at once: the longest that `work` runs past its time."""
READ_BYTES: Final = 1 << 20


def pair_of(session: Session, index: int) -> Pair | None:
    """The two endpoints of the packet in a row, its own inside a tunnel; None where it has no TCP and no UDP."""
    found = completes(session.store, index)
    if found is None:
        return None
    reader = Reader(session.store, session.source.interfaces)
    at = np.array([index])
    segments = reader.read(session.store.rows(at), at)
    if segments:
        return Pair(segments[0].protocol, segments[0].source, segments[0].destination)
    # The datagram that it is a fragment of, with all that came before it between these two.
    row = session.store.rows(at)
    reader = Reader(session.store, session.source.interfaces)
    for base, rows in session.store.chunks(max(session.store.first, found - PIECE_ROWS)):
        alike = (rows.src_lo == row.src_lo[0]) & (rows.dst_lo == row.dst_lo[0]) & (rows.src_hi == row.src_hi[0])
        alike &= (rows.dst_hi == row.dst_hi[0]) & (rows.kind == row.kind[0])
        chosen = alike.nonzero()[0]
        chosen = chosen[chosen + base <= found][-READ_ROWS:]
        for segment in reader.read(rows.take(chosen), (chosen + base).astype(np.int64)):
            if segment.index == found:
                return Pair(segment.protocol, segment.source, segment.destination)
    return None


class Follow:
    """The conversation of one packet. Belongs to the thread that owns the store."""

    def __init__(self, session: Session, pair: Pair, index: int) -> None:
        """`index`: the row of the packet; of connections that use the same ports, one after the other, the one that
        it belongs to is shown."""
        self.pair = pair
        self._session = session
        self._store = session.store
        complete = completes(session.store, index)
        self._index = index if complete is None else complete
        self._reader = Reader(session.store, session.source.interfaces)
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0
        self.full = False
        """There is more of it than can be followed."""
        self._next = session.store.first
        self._fragments = any(fragmented_tunnels(rows) for _, rows in session.store.chunks())
        self._waiting: Iterator[None] | None = None
        self._ended = False
        """The ports belong to another connection now."""
        self.connection = Connection(pair, self.read)
        self.turns = Turns()
        self.replaced = 0
        """Times that the connection turned out to be an earlier one: what was shown is void."""

    @property
    def share(self) -> float:
        """How much of what is kept was looked at, 0 to 1."""
        end, first = self._session.shown_end, self._store.first
        return 1.0 if self._ended or end <= first else min(max(self._next - first, 0) / (end - first), 1.0)

    @property
    def complete(self) -> bool:
        """Everything that is kept was looked at."""
        return self._waiting is None and (self._ended or self._next >= self._session.shown_end)

    def work(self, seconds: float) -> bool:
        """Look at packets for about so long; whether there was anything to do."""
        deadline = perf_counter() + seconds
        if self.complete:
            return False
        while not self.complete:
            if self._waiting is None:
                self._waiting = self._look()
            for _ in self._waiting:
                if perf_counter() >= deadline:
                    return True
            self._waiting = None
            if perf_counter() >= deadline:
                break
        return True

    def update(self) -> tuple[int, int] | None:
        """Bring `turns` up to date: from which turn, and which offset in it, something changed; None: nothing."""
        return self.turns.update(self.connection)

    def read(self, piece: Piece) -> bytes | None:
        """The bytes of a piece; None where they are not kept any longer."""
        held = self._held.get(piece.row)
        if held is not None:
            return held[piece.skip : piece.skip + piece.size]
        if piece.place < 0 or piece.row not in self._store:
            return None
        at = piece.place + piece.skip
        data = self._store.data(piece.row)[at : at + piece.size]
        return data if len(data) == piece.size else None

    def bytes_of(self, side: int, start: int, end: int) -> Iterator[tuple[Piece, bytes | None]]:
        """What there is of a stretch of one side's stream, packet by packet."""
        for piece in self.connection.halves[side].within(start, end):
            yield piece, self.read(piece)

    def window(self, side: int, start: int, end: int) -> bytes | None:
        """The bytes of a stretch without gaps; None where some of them are not kept any longer."""
        parts = [data for _, data in self.bytes_of(side, start, end)]
        whole = b"".join([data for data in parts if data is not None])
        return whole if len(whole) == end - start else None

    def packet(self, turn: Turn, offset: int) -> int:
        """The row of the packet that brought the byte at an offset; of a gap or a note, the one next to it."""
        if turn.kind == NOTE:
            return self.connection.notes[turn.start].row
        half = self.connection.halves[turn.side]
        at = half.number(offset)
        return half.rows[max(at, 0)] if len(half) else self._index

    def place(self, row: int) -> tuple[int, int] | None:
        """(number of a turn, offset in it) of the first byte that a packet brought; of one without bytes of its own,
        of what came last before it. None: nothing did."""
        best: tuple[int, int, int] | None = None
        for side, half in enumerate(self.connection.halves):
            rows = np.array(half.rows, np.int64)
            before = np.where(rows <= row, rows, -1)
            if len(rows) and (last := int(before.max())) >= 0 and (best is None or last > best[0]):
                best = last, side, half.starts[int(before.argmax())]
        turn = None if best is None else self.turns.holding(*best[1:])
        return None if best is None or turn is None else (turn, best[2])

    @property
    def passed(self) -> bool:
        """The row that is followed was looked at."""
        return self._ended or self._next > self._index

    @property
    def index(self) -> int:
        """The row that is followed."""
        return self._index

    def number(self, row: int) -> int:
        """The number of the packet in a row."""
        return self._store.number(row) or 0

    def _look(self) -> Iterator[None]:
        """Go through a stretch of rows, and stop now and then."""
        end = self._session.shown_end
        self._next = max(self._next, self._store.first)
        for base, rows in self._store.chunks(self._next):
            count = min(len(rows), PIECE_ROWS, end - base)
            if count <= 0:
                break
            rows = rows.take(slice(count))
            self._fragments = self._fragments or fragmented_tunnels(rows)
            found = self.pair.candidates(rows, self._fragments)
            sizes = np.cumsum(rows.caplen[found].astype(np.int64))
            at = 0
            while at < len(found):
                before = int(sizes[at - 1]) if at else 0
                most = int(np.searchsorted(sizes, before + READ_BYTES, side="right"))
                stop = min(max(most, at + 1), at + READ_ROWS, len(found))
                chosen = found[at:stop]
                if base + int(chosen[0]) not in self._store:
                    break  # evicted meanwhile
                for segment in self._reader.read(rows.take(chosen), chosen + base):
                    self._take(segment)
                at = stop
                if self._ended:
                    return
                self._next = base + int(chosen[-1]) + 1
                yield
            self._next = base + count
            return
        self._next = max(self._next, end)

    def _take(self, segment: Segment) -> None:
        side = self.pair.side(segment)
        if side is None or self._ended:
            return
        if not self.connection.belongs(segment, side):
            if segment.index > self._index:
                self._ended = True
                return
            self._begin_again()
        if segment.payload and (segment.place < 0 or self._store.budget is not None) and self._held_bytes < HELD:
            self._held[segment.index] = segment.payload
            self._held_bytes += len(segment.payload) + HELD_COST
        self.connection.add(segment, side)
        most = MOST if self._store.budget is None else MOST_LIVE
        self.full = self._ended = sum(len(half) for half in self.connection.halves) >= most

    def _begin_again(self) -> None:
        self.connection = Connection(self.pair, self.read)
        self.turns = Turns()
        self._held.clear()
        self._held_bytes = 0
        self.replaced += 1
