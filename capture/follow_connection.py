"""One TCP connection, or all datagrams between two UDP ports: what each side sent, and what was odd about it.

Bytes that came first win. What comes again is compared with them; where it differs both are told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from netwatch.capture.follow_half import FARTHEST, Half, Piece
from netwatch.capture.follow_packets import ACK, FIN, RST, SYN, TCP

if TYPE_CHECKING:
    from netwatch.capture.follow_packets import Pair, Segment

__all__ = ["Connection", "Note"]

NEAR: Final = 1 << 20
"""How far a number may be from the one that is expected, and still be of the same connection."""
MAX_NOTES: Final = 10_000
MAX_OFFERS: Final = 8
MAX_OTHER: Final = 64
"""Bytes that a note shows."""
_TURN: Final = 1 << 32


class Note(NamedTuple):
    """Something odd about one packet's bytes."""

    kind: Literal["conflict", "after FIN", "with RST", "far off"]
    side: int
    start: int
    """Offset in the stream."""
    size: int
    """Bytes that it is about; of a conflict those from the first to the last that differ."""
    row: int
    """Index of the packet's row."""
    packet_size: int
    """Bytes of its payload."""
    first: int = -1
    """Of a conflict: row of the packet that came first, whose bytes are kept …"""
    first_size: int = 0
    """… and how many bytes that one has here."""
    other: bytes = b""
    """The bytes that are not in the stream, the first of them."""


class Connection:
    """What two endpoints sent each other, as far as it was looked at."""

    def __init__(self, pair: Pair, read: Callable[[Piece], bytes | None]) -> None:
        """`read`: the bytes of a piece, None where they are not kept any longer."""
        self.pair = pair
        self.halves = (Half(), Half())
        """What `pair.a` sent, what `pair.b` sent."""
        self.notes: list[Note] = []
        self.conflicts = 0
        self.packets = 0
        self.first_ts = 0
        self.last_ts = 0
        self._read = read
        self._client: int | None = None
        self._first_side = 0
        self._answered: list[int | None] = [None, None]
        """The number that a side's SYN acknowledges."""
        self._offers: tuple[set[int], set[int]] = (set(), set())
        """Numbers of a side's SYNs: an answer may come again with another one, and one of them holds."""
        if not self.tcp:
            for half in self.halves:
                half.floor = 0

    @property
    def tcp(self) -> bool:
        """Bytes in the order of sequence numbers; else datagrams as they came."""
        return self.pair.protocol == TCP

    @property
    def client(self) -> int:
        """The side that opened it: of TCP who sent the SYN, of UDP the first datagram. Where no SYN is known it is
        the one with the higher port. A group never is."""
        if self._client is not None:
            return self._client
        if self.pair.a.group != self.pair.b.group:
            return 0 if self.pair.b.group else 1
        if self.pair.a.port == self.pair.b.port or (self.packets and not self.tcp):
            return self._first_side
        return 0 if self.pair.a.port > self.pair.b.port else 1

    @property
    def state(self) -> str:
        """How it stands: open, closed, or who reset it."""
        for side, half in enumerate(self.halves):
            if half.reset:
                return f"reset by {'client' if side == self.client else 'server'}"
        return (
            "closed" if self._closed else "half closed" if any(half.end is not None for half in self.halves) else ""
        )

    def belongs(self, segment: Segment, side: int) -> bool:
        """Whether a segment goes on with this connection; else the ports are used for a new one."""
        if not self.tcp or not self.packets:
            return True
        half, other = self.halves[side], self.halves[1 - side]
        if not segment.flags & SYN:
            # The SYN of what follows may not have been captured.
            near = not half.located or abs(half.offset(segment.sequence) - half.top) <= NEAR
            return near or not self._closed or not segment.size
        number, acknowledged = segment.sequence, segment.acknowledged
        if segment.flags & ACK and other.initial is not None:
            # An answer may come again, with another number; what answers nobody is no connection of its own.
            return half.first is None or _near(acknowledged, other.initial + 1)
        if half.initial is not None:
            return half.initial == number
        if half.first is not None:
            # Segments may overtake the SYN.
            return 0 < (half.first - number) % _TURN <= NEAR and not self._closed
        if other.initial is not None:
            answered = self._answered[1 - side]
            return answered is None or _near(answered, number + 1)
        if other.first is None:
            return True
        return bool(segment.flags & ACK) and _near(acknowledged, other.first) and not self._closed

    def add(self, segment: Segment, side: int) -> None:
        """Take in what a packet of it brings."""
        half = self.halves[side]
        if not self.packets:
            self.first_ts, self._first_side = segment.ts, side
        self.packets += 1
        half.packets += 1
        self.last_ts = max(self.last_ts, segment.ts)
        if self.tcp:
            self._add_segment(segment, side)
        else:
            half.add(half.top, segment.size, len(segment.payload), segment.index, segment.place)

    @property
    def _closed(self) -> bool:
        ends = [half.end is not None for half in self.halves]
        return all(ends) or any(half.reset for half in self.halves)

    def _add_segment(self, segment: Segment, side: int) -> None:
        half, other = self.halves[side], self.halves[1 - side]
        flags, sequence, size = segment.flags, segment.sequence, segment.size
        if flags & RST:
            half.reset = True
            if size:  # words of why, if anything (RFC 9293, 3.5.3)
                self._note("with RST", segment, side, half.top, size, segment.payload)
            return
        if half.first is None:
            half.first = sequence
        if flags & SYN:
            self._open(segment, side)
            sequence += 1  # it takes a number; data may follow at once (RFC 7413)
        elif size and not len(half) and len(self._offers[side]) > 1:
            self._settle(half, self._offers[side], sequence)
        known = half.located
        start = half.offset(sequence % _TURN)
        if known and abs(start - half.top) > FARTHEST and (len(half) or half.floor is not None):
            if size:
                self._note("far off", segment, side, start, size, segment.payload)
            return
        if flags & ACK and other.located:
            acknowledged = other.offset(segment.acknowledged)
            if abs(acknowledged - other.top) <= FARTHEST:
                other.acknowledged = max(acknowledged, other.acknowledged or 0)
        if size:
            # A byte right before the next one asks whether the other end is alive; it means nothing
            # (RFC 9293, 3.8.4).
            probe = size == 1 and known and start == half.top - 1 and not flags & (SYN | FIN)
            if not probe:
                self._put(segment, side, start)
        if flags & FIN:
            half.close(start + size)

    def _open(self, segment: Segment, side: int) -> None:
        half = self.halves[side]
        for each in self.halves:
            each.reset = False
        if half.initial != segment.sequence and not len(half):
            half.open(segment.sequence)
            if len(self._offers[side]) < MAX_OFFERS:
                self._offers[side].add(segment.sequence)
        if segment.flags & ACK:
            self._answered[side] = segment.acknowledged
            self._client = 1 - side
        elif self._client is None:
            self._client = side

    def _settle(self, half: Half, offers: set[int], sequence: int) -> None:
        """Bytes tell which of several SYNs holds."""
        nearest = min(offers, key=lambda offer: (sequence - offer - 1) % _TURN)
        if nearest != half.initial:
            half.open(nearest)

    def _put(self, segment: Segment, side: int, start: int) -> None:
        half, payload = self.halves[side], segment.payload
        if half.end is not None and start + segment.size > half.end:
            beyond = min(start + segment.size - half.end, segment.size)
            rest = payload[segment.size - beyond :]
            self._note("after FIN", segment, side, max(start, half.end), beyond, rest)
        twice = half.add(start, segment.size, len(payload), segment.index, segment.place)
        for old, new in twice:
            before, now = self._read(old), payload[new.skip : new.skip + new.size]
            if before is not None and before != now:
                self._tell_conflict(segment, side, old, before, now)

    def _tell_conflict(self, segment: Segment, side: int, old: Piece, before: bytes, now: bytes) -> None:
        differs = [at for at, (one, other) in enumerate(zip(before, now, strict=False)) if one != other]
        if not differs:
            return
        first, last = differs[0], differs[-1] + 1
        half = self.halves[side]
        self.conflicts += 1
        size = half.extent(half.number(old.start))
        self._note(
            "conflict", segment, side, old.start + first, last - first, now[first:last], first=old.row, had=size
        )

    def _note(
        self,
        kind: Literal["conflict", "after FIN", "with RST", "far off"],
        segment: Segment,
        side: int,
        start: int,
        size: int,
        other: bytes,
        *,
        first: int = -1,
        had: int = 0,
    ) -> None:
        if len(self.notes) < MAX_NOTES:
            note = Note(kind, side, start, size, segment.index, segment.size, first, had, other[:MAX_OTHER])
            self.notes.append(note)


def _near(number: int, expected: int) -> bool:
    """Two sequence numbers are so close that they are of one connection."""
    return (number - expected + NEAR) % _TURN <= 2 * NEAR
