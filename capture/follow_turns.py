"""A conversation in the order in which it is read: now one side speaks, now the other.

Bytes stand where they could be read at the earliest: those that overtook others wait for them. So what was already
in order stays as it is whatever comes, but for what waits behind a gap, which moves to the end when it is filled.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netwatch.capture.follow_connection import Connection
    from netwatch.capture.follow_half import Half

__all__ = ["CUT", "DATA", "GAP", "NOTE", "Turn", "Turns"]

DATA: Final = 0
GAP: Final = 1
"""Bytes that no packet of the capture has."""
CUT: Final = 2
"""Bytes that were in a packet, and cut off by the snap length."""
NOTE: Final = 3
"""`start` is the number of a note."""


class Turn(NamedTuple):
    """A stretch of one side's stream."""

    side: int
    kind: int
    start: int
    """Offset in the stream."""
    end: int


class Turns:
    """All of them so far, in order."""

    def __init__(self) -> None:
        self._sides = array("b")
        self._kinds = array("b")
        self._starts = array("q")
        self._ends = array("q")
        self._tail = 0
        """Gaps at the end, of bytes that may still come."""
        self._shown = [0, 0]
        """Pieces of each side that stand here."""
        self._notes = 0

    def __len__(self) -> int:
        return len(self._sides)

    def __getitem__(self, at: int) -> Turn:
        return Turn(self._sides[at], self._kinds[at], self._starts[at], self._ends[at])

    def missing(self, side: int | None = None) -> tuple[int, int]:
        """Gaps, and the bytes that they take; of one side, or of both."""
        kinds = np.array(self._kinds, np.int8)
        gaps = (kinds == GAP) | (kinds == CUT)
        if side is not None:
            gaps &= np.array(self._sides, np.int8) == side
        sizes = np.array(self._ends, np.int64)[gaps] - np.array(self._starts, np.int64)[gaps]
        return len(sizes), int(sizes.sum())

    def holding(self, side: int, offset: int) -> int | None:
        """The number of the turn that has a byte of a side."""
        if not len(self):
            return None
        starts, ends = np.array(self._starts), np.array(self._ends)
        mine = (np.array(self._sides) == side) & (np.array(self._kinds) == DATA)
        found = (mine & (starts <= offset) & (offset < ends)).nonzero()[0]
        return int(found[0]) if len(found) else None

    def update(self, connection: Connection) -> tuple[int, int] | None:
        """Take in what came since -> from which turn, and which offset in it, it changed; None: nothing did."""
        halves, notes = connection.halves, connection.notes
        fresh = [
            half.dirty < len(half) or half.dirty < shown for half, shown in zip(halves, self._shown, strict=True)
        ]
        tails = [_tail(half) for half in halves]
        before = [self[at] for at in range(len(self) - self._tail, len(self))]
        wanted = [Turn(side, kind, start, end) for side, (kind, start, end) in enumerate(tails) if start < end]
        if not any(fresh) and len(notes) == self._notes and before == wanted:
            return None
        self._truncate(len(self) - self._tail)
        changed = self._end
        for side, half in enumerate(halves):
            if half.dirty < self._shown[side]:
                changed = min(changed, self._take_back(side, half.starts[half.dirty]))
        self._merge(connection, [half.dirty for half in halves])
        for half in halves:
            half.dirty = len(half)
        self._shown = [len(half) for half in halves]
        self._notes = len(notes)
        for turn in wanted:
            self._append(turn)
        self._tail = len(wanted)
        return changed

    def _take_back(self, side: int, cut: int) -> tuple[int, int]:
        """Remove what a side has behind an offset, and gaps that reach there."""
        kept: list[Turn] = []
        changed = (len(self), 0)
        while len(self):
            turn = self[-1]
            if turn.side != side or turn.kind == NOTE:
                kept.append(turn)
            elif turn.end <= cut:
                break
            else:
                changed = (len(self) - 1, 0)
                if turn.kind == DATA and turn.start < cut:
                    changed = (len(self) - 1, cut)
                    kept.append(turn._replace(end=cut))
            self._truncate(len(self) - 1)
        changed = min(changed, self._end)
        for turn in reversed(kept):
            self._append(turn)
        return changed

    @property
    def _end(self) -> tuple[int, int]:
        """The last turn, which may go on, and where it ends."""
        return (len(self) - 1, self._ends[-1]) if len(self) else (0, 0)

    def _merge(self, connection: Connection, since: Sequence[int]) -> None:
        """Put pieces from these numbers on, and new notes, behind what is there."""
        halves = connection.halves
        columns = [_columns(half, at) for half, at in zip(halves, since, strict=True)]
        notes = connection.notes[self._notes :]
        when = [np.maximum.accumulate(indices) for _, _, indices in columns]
        when.append(np.array([note.row for note in notes], np.int64))
        kind = np.repeat([0, 1, 2], [len(each) for each in when])
        number = np.arange(self._notes, self._notes + len(notes))
        starts = np.concatenate([columns[0][0], columns[1][0], number])
        ends = np.concatenate([columns[0][1], columns[1][1], number])
        order = np.argsort(np.concatenate(when), kind="stable")
        kind, starts, ends = kind[order], starts[order], ends[order]
        # Runs: pieces of one side, each of which begins where the one before it ends.
        joined = (kind[1:] == kind[:-1]) & (starts[1:] == ends[:-1]) & (kind[1:] != 2)
        if not connection.tcp:
            joined[:] = False
        first = np.concatenate([[0], (~joined).nonzero()[0] + 1]) if len(kind) else np.zeros(0, np.intp)
        last = np.concatenate([first[1:], [len(kind)]]) - 1 if len(kind) else first
        reached = [_reached(half, at) for half, at in zip(halves, since, strict=True)]
        runs = zip(kind[first].tolist(), starts[first].tolist(), ends[last].tolist(), strict=True)
        for side, start, end in runs:
            if side == NOTE - 1:
                self._append(Turn(connection.notes[start].side, NOTE, start, start))
                continue
            before = reached[side]
            if before is not None and before < start:
                gap = CUT if halves[side].was_cut(before, start) else GAP
                self._append(Turn(side, gap, before, start))
            reached[side] = end
            self._append(Turn(side, DATA, start, end), joined=connection.tcp)

    def _append(self, turn: Turn, *, joined: bool = True) -> None:
        at = len(self) - 1
        if joined and turn.kind == DATA and at >= 0 and self[at][:2] == turn[:2] and self._ends[at] == turn.start:
            self._ends[at] = turn.end
            return
        self._sides.append(turn.side)
        self._kinds.append(turn.kind)
        self._starts.append(turn.start)
        self._ends.append(turn.end)

    def _truncate(self, size: int) -> None:
        for column in (self._sides, self._kinds, self._starts, self._ends):
            del column[size:]


Columns = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _columns(half: Half, since: int) -> Columns:
    """Starts, ends and rows of pieces, from a number on."""
    starts = np.array(half.starts[since:], np.int64)
    ends = starts + np.array(half.sizes[since:], np.int64)
    return starts, ends, np.array(half.rows[since:], np.int64)


def _reached(half: Half, since: int) -> int | None:
    """Up to where a side's bytes are there before a piece; None: nobody knows where they begin."""
    if since:
        return half.starts[since - 1] + half.sizes[since - 1]
    return half.floor


def _tail(half: Half) -> tuple[int, int, int]:
    """(kind, start, end) of what is missing at the end: claimed by headers that were cut, ended or acknowledged."""
    end = half.top if half.end is None else max(half.end, half.top)
    # A FIN takes a number, too: one more than there is may be that.
    if half.end is None and half.acknowledged is not None and half.acknowledged > end + 1:
        end = half.acknowledged
    start = half.last
    if half.floor is None and not len(half):
        start = end  # it did not say where it begins
    return (CUT if half.was_cut(start, end) else GAP), start, end
