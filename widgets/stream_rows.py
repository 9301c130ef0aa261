"""A conversation laid out in rows of a width: made in slices, newest last, and made again only where it changed."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rich.cells import cell_len

from netwatch.capture.follow import DATA
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.follow import Follow, Turn

__all__ = ["Row", "Rows", "Unit", "shown", "tab_stop", "wrap"]

UNIT: Final = 16 << 10
"""Bytes that are laid out at once."""
_KEPT: Final = 24
"""Units of which bytes and rows are kept."""
_TAB: Final = 8
"""Columns from one tab stop to the next, from the beginning of a row on."""
_PLAIN: Final = bytes([*(set(range(0x20, 0x7F)) - {0x5C}), 0x0A, 0x0D])
_TABULATOR, _NEWLINE, _RETURN = 0x09, 0x0A, 0x0D


class Row(NamedTuple):
    """One line of the screen."""

    turn: Turn
    number: int
    """Of the turn."""
    start: int
    """Offset in the stream of its first byte …"""
    end: int
    """… and after the last one."""
    opens: bool
    """The first row of its turn."""
    utf8: bool = False
    """Text in UTF-8; else every byte beyond ASCII stands for itself."""


class Unit(NamedTuple):
    """Bytes that were laid out together."""

    data: bytes | None
    """None: they are not kept any longer."""
    utf8: bool
    starts: list[int]
    """Where its rows start."""


@lru_cache(8192)
def shown(char: str) -> str:
    """What stands on the screen for a character: itself, or a C escape. A backslash is doubled, so that what looks
    like an escape is one. How wide a tab is depends on where it stands."""
    if char == "\t":
        return " "
    if char in "\r\n\\":
        return {"\r": "\\r", "\n": "", "\\": "\\\\"}[char]
    text = escape(char)
    if text == char and not cell_len(char):
        return f"\\u{ord(char):04x}"  # a combining mark would stand on what is no letter of its text
    return text


def tab_stop(column: int, width: int) -> int:
    """Where a tab at a column of a row leads; at its right edge it ends."""
    return min((column // _TAB + 1) * _TAB, width)


@lru_cache(8192)
def _cells(code: int) -> int:
    text = shown(chr(code))
    return len(text) if text.isascii() else cell_len(text)


_BYTE_CELLS: Final = np.array([4 if code >= 0x80 else _cells(code) for code in range(256)], np.int64)


def wrap(data: bytes, width: int) -> tuple[list[int], bool]:
    """Where rows of at most `width` cells start in `data`, and whether it is UTF-8."""
    if not data.translate(None, _PLAIN) and data.count(b"\r") == data.count(b"\r\n"):
        return _wrap_plain(data, width), True
    utf8 = _is_utf8(data)
    if utf8 and not data.isascii():
        text = data.decode("utf-8", "surrogateescape")
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        kinds, which = np.unique(codes, return_inverse=True)
        cells = np.array([_cells(code) for code in kinds.tolist()], np.int64)[which]
        sizes = 1 + (codes > 0x7F) + (codes > 0x7FF) + (codes > 0xFFFF)
        sizes[(codes >= 0xDC80) & (codes <= 0xDCFF)] = 1  # a byte that is no UTF-8, at the end
    else:
        codes = np.frombuffer(data, np.uint8).astype(np.uint32)
        cells = _BYTE_CELLS[codes]
        sizes = np.ones(len(codes), np.int64)
    breaks = codes == _NEWLINE
    cells[:-1][(codes[:-1] == _RETURN) & breaks[1:]] = 0
    tabs = (codes == _TABULATOR).nonzero()[0].tolist()
    return _wrap_cells(np.cumsum(cells), np.cumsum(sizes) - sizes, breaks, tabs, width), utf8


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.end == len(data) and error.reason == "unexpected end of data"
    return True


def _wrap_plain(data: bytes, width: int) -> list[int]:
    """Printable ASCII without a backslash, and lines that end in LF or CR LF."""
    codes = np.frombuffer(data, np.uint8)
    ends = (codes == _NEWLINE).nonzero()[0]
    first = np.concatenate([[0], ends + 1])
    last = np.concatenate([ends - ((ends > 0) & (codes[ends - 1] == _RETURN)), [len(data)]])
    if first[-1] == len(data):
        first, last = first[:-1], last[:-1]
    rows = np.maximum(-(-(last - first) // width), 1)
    before = np.cumsum(rows) - rows
    starts: list[int] = (np.repeat(first - before * width, rows) + np.arange(int(rows.sum())) * width).tolist()
    return starts


def _wrap_cells(
    cells: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    places: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    breaks: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    tabs: list[int],
    width: int,
) -> list[int]:
    """Characters of whatever width: `cells` up to and with each, where each starts, which of them end a line, which
    are tabs."""
    upto, at, tab = cells.tolist(), 0, 0
    tabs = [*tabs, len(upto)]
    ends = [*(breaks.nonzero()[0] + 1).tolist(), len(upto)]
    chosen = []
    for end in ends:
        while at < end:
            chosen.append(at)
            first, column = at, 0
            while True:  # from tab to tab, as far as there is room
                before = upto[at - 1] if at else 0
                stop = min(tabs[tab], end)
                at = bisect_right(upto, before + width - column, at, stop)
                column += upto[at - 1] - before if at else 0
                if at < stop or at == end or column >= width:
                    break
                column = tab_stop(column, width)
                at, tab = at + 1, tab + 1
            at = min(max(at, first + 1), end)
    starts: list[int] = places[chosen].tolist()
    return starts


class Rows:
    """The rows of a conversation, or of one side of it, as far as they are laid out."""

    def __init__(self, follow: Follow, *, width: int, hexadecimal: int = 0, side: int | None = None) -> None:
        """`width`: cells of a row of text. `hexadecimal`: bytes of a row, 0: it is text."""
        self.follow = follow
        self.width = width
        self.hexadecimal = hexadecimal
        self.side = side
        self._turns = array("q")
        self._starts = array("q")
        self._ends = array("q")
        self._before = array("q")
        """By unit: number of its turn, first byte, byte after the last, rows before it."""
        self._total = 0
        self._turn = 0
        self._offset: int | None = None
        """Where to go on: number of the turn, and offset in it; None: at its beginning."""
        self._kept: dict[int, Unit] = {}

    def __len__(self) -> int:
        return self._total

    @property
    def complete(self) -> bool:
        """All turns are laid out."""
        return self._turn >= len(self.follow.turns)

    @property
    def share(self) -> float:
        """How much is laid out, 0 to 1."""
        return min(self._turn / max(len(self.follow.turns), 1), 1.0)

    def changed(self, turn: int, offset: int) -> None:
        """From an offset of a turn on the conversation is another."""
        at = len(self._turns)
        while at and (self._turns[at - 1] > turn or (self._turns[at - 1] == turn and self._ends[at - 1] >= offset)):
            at -= 1
            self._kept.pop(at, None)
        if at < len(self._turns):
            self._total = self._before[at]
            for column in (self._turns, self._starts, self._ends, self._before):
                del column[at:]
        if turn <= self._turn:
            goes_on = at and self._turns[at - 1] == turn
            self._turn, self._offset = turn, self._ends[at - 1] if goes_on else None

    def work(self, seconds: float) -> bool:
        """Lay out for about so long; whether anything was."""
        deadline = perf_counter() + seconds
        before = self._total, self._turn
        while not self.complete and perf_counter() < deadline:
            self._lay_out()
        return (self._total, self._turn) != before

    def row(self, y: int) -> Row:
        """The row with this number."""
        at = bisect_right(self._before, y) - 1
        number, start, end = self._turns[at], self._starts[at], self._ends[at]
        turn, line = self.follow.turns[number], y - self._before[at]
        opens = not line and start == turn.start
        if turn.kind != DATA:
            return Row(turn, number, start, end, opens)
        if self.hexadecimal:
            first = start + line * self.hexadecimal
            return Row(turn, number, first, min(first + self.hexadecimal, end), opens)
        unit = self.unit(at)
        if unit.data is None:
            return Row(turn, number, start, end, opens)
        starts = unit.starts
        stop = start + starts[line + 1] if line + 1 < len(starts) else end
        return Row(turn, number, start + starts[line], stop, opens, unit.utf8)

    def find(self, turn: int, offset: int) -> int | None:
        """The row that shows an offset of a turn; None while it is not laid out."""
        low, high = 0, len(self._turns)
        while low < high:
            middle = (low + high) // 2
            if (self._turns[middle], self._ends[middle]) <= (turn, offset):
                low = middle + 1
            else:
                high = middle
        at = low
        if at >= len(self._turns):
            return self._total - 1 if self.complete and self._total else None
        inside = offset - self._starts[at]
        if self._turns[at] != turn or inside <= 0 or self.follow.turns[turn].kind != DATA:
            return self._before[at]
        if self.hexadecimal:
            return self._before[at] + inside // self.hexadecimal
        return self._before[at] + bisect_right(self.unit(at).starts, inside) - 1

    def unit(self, at: int) -> Unit:
        """Bytes and rows of a unit."""
        known = self._kept.get(at)
        if known is None:
            known = self._read(self.follow.turns[self._turns[at]].side, self._starts[at], self._ends[at])
            self._keep(at, known)
        return known

    def _keep(self, at: int, unit: Unit) -> None:
        while len(self._kept) >= _KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[at] = unit

    def _read(self, side: int, start: int, end: int) -> Unit:
        data = self.follow.window(side, start, end)
        if data is None:
            return Unit(None, False, [0])
        starts, utf8 = ([0], False) if self.hexadecimal else wrap(data, self.width)
        return Unit(data, utf8, starts)

    def _lay_out(self) -> None:
        turn = self.follow.turns[self._turn]
        if self.side is not None and turn.side != self.side:
            self._turn, self._offset = self._turn + 1, None
            return
        if turn.kind != DATA:
            self._add(turn.start, max(turn.end, turn.start + 1), 1)  # a note has a number, and no extent
            self._turn, self._offset = self._turn + 1, None
            return
        start = turn.start if self._offset is None else self._offset
        stop = min(start + UNIT, turn.end)
        if start < stop:
            if self.hexadecimal:
                self._add(start, stop, -(-(stop - start) // self.hexadecimal))
            else:
                stop = self._add_text(turn, start, stop)
        self._offset = stop
        if stop >= turn.end:
            self._turn, self._offset = self._turn + 1, None

    def _add_text(self, turn: Turn, start: int, stop: int) -> int:
        """A unit of text; what follows in the turn begins with a row of its own."""
        unit = self._read(turn.side, start, stop)
        if unit.data is not None and stop < turn.end and len(unit.starts) > 1:
            cut = unit.starts[-1]
            unit, stop = Unit(unit.data[:cut], unit.utf8, unit.starts[:-1]), start + cut
        self._keep(len(self._turns), unit)
        self._add(start, stop, len(unit.starts))
        return stop

    def _add(self, start: int, end: int, rows: int) -> None:
        self._turns.append(self._turn)
        self._starts.append(start)
        self._ends.append(end)
        self._before.append(self._total)
        self._total += rows
