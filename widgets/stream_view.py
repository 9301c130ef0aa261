"""Both sides of a conversation as text or as hexadecimal, each in its colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.style import Style
from textual.message import Message

from netwatch.capture.follow import CUT, DATA, NOTE
from netwatch.capture.text import escape
from netwatch.widgets.painting import Piece, fit, width_of
from netwatch.widgets.pane import Label, Pane, thumb_rows
from netwatch.widgets.stream_rows import Row, Rows, shown, tab_stop
from netwatch.widgets.units import exact

if TYPE_CHECKING:
    import re

    from netwatch.capture.follow import Follow
    from netwatch.widgets.palette import Look

__all__ = ["SIDES", "StreamView"]

SIDES: Final = (None, 0, 1)
"""What is shown: both, the client, the server."""
_GUTTER: Final = 2
_OFFSET: Final = 10  # "00000000  "
_DRAWN: Final = 500
"""Lines that are kept as they were drawn."""
_OTHER: Final = 24
"""Characters of the other bytes that a conflict shows."""
_MARGIN: Final = 3 << 8
"""Bytes before and behind a row in which a match that reaches into it may begin or end."""


class StreamView(Pane):
    """Rows over the line API, with a cursor; at the end it follows what comes."""

    @dataclass
    class Moved(Message):
        """The cursor came to another row."""

        view: StreamView

        @property
        def control(self) -> StreamView:
            return self.view

    def __init__(self, follow: Follow, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._follow = follow
        self._hex = False
        self._side: int | None = None
        """0: only what the client sent, 1: the server; None: both."""
        self._rows = Rows(follow, width=80)
        self._top = 0
        self._cursor = 0
        self._at_end = False
        self._target: tuple[int, int] | None = None
        """(turn, offset) where the cursor goes once that is laid out."""
        self._anchor: tuple[int, int] | None = None
        """Where it stood when rows began to be laid out in another way; None: it was moved since."""
        self.pattern: re.Pattern[bytes] | None = None
        """What is searched for, and stands out."""
        self._drawn: dict[tuple[object, ...], list[Segment]] = {}
        """Lines as they were drawn, by all that decides how they look."""

    # What is shown

    @property
    def hexadecimal(self) -> bool:
        """Bytes in hexadecimal; else text."""
        return self._hex

    @property
    def side(self) -> int | None:
        """0: the client alone, 1: the server alone, None: both."""
        return self._side

    @property
    def rows(self) -> Rows:
        """What is laid out."""
        return self._rows

    @property
    def here(self) -> Row | None:
        """The row under the cursor."""
        return self._rows.row(self._cursor) if self._cursor < len(self._rows) else None

    @property
    def pending(self) -> bool:
        """The cursor is on its way to a place that is not laid out yet."""
        return self._target is not None

    def show_as(self, *, hexadecimal: bool, side: int | None) -> None:
        """Text or hexadecimal; both or one side. The cursor stays with its bytes."""
        self._hex, self._side = hexadecimal, side
        self._lay_out_anew()

    def begin_again(self) -> None:
        """The conversation is another one."""
        self._top = self._cursor = 0
        self._target = self._anchor = None
        self._drawn.clear()
        self._lay_out_anew(keep=False)

    def changed(self, turn: int, offset: int) -> None:
        """The conversation changed from there on."""
        self._rows.changed(turn, offset)
        if self._anchor is not None and turn <= self._anchor[0]:
            self._anchor = None

    def work(self, seconds: float) -> bool:
        """Lay out what is not yet; whether there was anything."""
        width = self._text_width
        if width > 0 and (self._rows.width != width or self._rows.hexadecimal != self._bytes_a_row):
            self._lay_out_anew()
        before = len(self._rows)
        worked = self._rows.work(seconds)
        if self._target is not None:
            self._go_to_target()
        if worked and self._at_end and self._target is None:
            self._cursor = max(len(self._rows) - 1, 0)
        self._clip()
        return worked or before != len(self._rows)

    def jump(self, turn: int, offset: int) -> None:
        """Put the cursor on the row that shows an offset of a turn, at once or when it is laid out."""
        self._target, self._at_end = (turn, offset), False
        self._go_to_target()
        self.paint()

    def copy_text(self) -> str:
        """The row under the cursor, as it is copied: its text, or its bytes in hexadecimal."""
        row = self.here
        if row is None:
            return ""
        if row.turn.kind != DATA:
            return self._words(row)
        data = self._bytes(row)
        if data is None:
            return ""
        return data.hex(" ") if self._hex else "".join(text for text, _, _ in self._characters(row, data)).rstrip()

    # A pane

    def move(self, rows: int) -> None:
        self._put_cursor(self._cursor + rows)

    def go_first(self) -> None:
        self._put_cursor(0)

    def go_last(self) -> None:
        self._put_cursor(len(self._rows) - 1)
        self._at_end = True

    def select_line(self, y: int) -> bool:
        if not 0 <= self._top + y < len(self._rows):
            return False
        self._put_cursor(self._top + y)
        return True

    def thumb(self, rows: int) -> range:
        return thumb_rows(self._top, rows, len(self._rows))

    def labels_above(self, inner: int) -> list[Label]:
        look = self.look
        what = "hexadecimal" if self._hex else "text"
        sides = {None: "both sides", 0: "client only", 1: "server only"}[self._side]
        labels: list[Label] = [(1, f" {what}: {sides} ", self.title_style)]
        if not self._rows.complete:
            labels.append((-2, f" laying out {self._rows.share:.0%} ", look["dim"]))
        elif self._at_end and len(self._rows) > self.page:
            labels.append((-2, " end ", look["dim"]))
        return labels if inner > 30 else []

    def labels_below(self, inner: int) -> list[Label]:
        row, look = self.here, self.look
        if row is None or inner < 20:
            return []
        place = (-2, f" row {self._cursor + 1:,} of {len(self._rows):,} ", look["dim"])
        said = self._about(row)
        return [(1, f" {said} ", look["dim"]), place] if width_of(said) + 2 < inner else [place]

    def body(self, inner: int, rows: int) -> list[list[Segment]]:
        self._scroll_to_cursor(rows)
        if len(self._drawn) > _DRAWN:
            self._drawn.clear()
        lines, client = [], self._follow.connection.client
        for y in range(self._top, min(self._top + rows, len(self._rows))):
            row, chosen = self._rows.row(y), y == self._cursor
            key = (row, chosen and self.has_focus, chosen, inner, self._hex, self.pattern, client)
            line = self._drawn.get(key)
            if line is None:
                line = self._line(self._pieces(row, inner), inner, chosen)
                if row.turn.kind == DATA and self._bytes(row) is not None:
                    self._drawn[key] = line
            lines.append(line)
        if not lines:
            words = "no bytes yet" if not self._follow.complete else "no bytes in this conversation"
            if self._side is not None:
                words = f"no bytes of the {'server' if self._side else 'client'}"
            lines = [[]] * (rows // 2) + [self.message_line(words, inner, self.look["dim"])]
            lines = [line or [Segment(" " * inner, self.look.ground)] for line in lines]
        return lines

    # Inside

    def colour(self, side: int) -> Style:
        """What one of the pair says; in all depths they differ, without colour by bold."""
        look, client = self.look, side == self._follow.connection.client
        style = look["outgoing" if client else "incoming"]
        return style + Style(bold=True) if look.depth == "mono" and client else style

    @property
    def _text_width(self) -> int:
        return self.size.width - 2 - _GUTTER

    @property
    def _bytes_a_row(self) -> int:
        if not self._hex:
            return 0
        room = self._text_width - _OFFSET
        return next((count for count in (32, 16, 8) if _hex_width(count) + 2 + count <= room), 4)

    def _lay_out_anew(self, *, keep: bool = True) -> None:
        row = self.here if keep else None
        if row is not None and self._target is None and not self._at_end:
            self._target = self._anchor = self._anchor or (row.number, row.start)
        side = self._side
        if side is not None:
            client = self._follow.connection.client
            side = client if side == 0 else 1 - client
        self._rows = Rows(self._follow, width=max(self._text_width, 8), hexadecimal=self._bytes_a_row, side=side)
        self.paint()

    def _go_to_target(self) -> None:
        assert self._target is not None
        found = self._rows.find(*self._target)
        if found is not None:
            anchor = self._anchor if self._target == self._anchor else None
            self._target = None
            self._put_cursor(found)
            self._anchor = anchor

    def _put_cursor(self, row: int) -> None:
        last = max(len(self._rows) - 1, 0)
        self._anchor = None
        self._at_end = row > last
        self._cursor = min(max(row, 0), last)
        self.paint()
        self.post_message(self.Moved(self))

    def _clip(self) -> None:
        self._cursor = min(self._cursor, max(len(self._rows) - 1, 0))

    def _scroll_to_cursor(self, rows: int) -> None:
        self._clip()
        self._top = min(max(self._top, self._cursor - rows + 1), self._cursor)
        self._top = max(min(self._top, len(self._rows) - rows), 0)

    def _line(self, pieces: list[Piece], inner: int, chosen: bool) -> list[Segment]:
        ground, segments, room = self.look.ground, [], inner
        for text, style in [*pieces, (" " * inner, ground)]:
            if not room:
                break
            cut = text if width_of(text) <= room else fit(text, room, "…" if text.strip() else " ")
            stays = not chosen or style is self.look["filter-chip"]  # what was found stands out also here
            segments.append(Segment(cut, style if stays else self.look.selected(style, self.has_focus)))
            room -= width_of(cut)
        return segments

    def _pieces(self, row: Row, inner: int) -> list[Piece]:
        look, colour = self.look, self.colour(row.turn.side)
        client = row.turn.side == self._follow.connection.client
        # Without colours each row says whose it is.
        sign = ("→" if client else "←") if row.opens or look.depth == "mono" else " "
        gutter = (f"{sign} ", colour)
        if row.turn.kind != DATA:
            role = "truncated" if row.turn.kind == CUT else "malformed"
            words = f"{look.glyphs.across * 2} {self._words(row)} "
            rest = max(inner - _GUTTER - width_of(words), 0)
            return [gutter, (words + look.glyphs.across * rest, look[role])]
        data = self._bytes(row)
        if data is None:
            return [gutter, (f"{exact(row.end - row.start)} bytes no longer kept", look["truncated"])]
        return [gutter, *(self._hex_pieces(row, data) if self._hex else self._text_pieces(row, data))]

    def _text_pieces(self, row: Row, data: bytes) -> list[Piece]:
        """Characters in the colour of their side; escapes are dim, what is searched for stands out."""
        look, colour = self.look, self.colour(row.turn.side)
        hits, pieces = self._hits(row), list[Piece]()
        for text, at, escaped in self._characters(row, data):
            style = look["filter-chip"] if at in hits else look["faint"] if escaped else colour
            if pieces and pieces[-1][1] == style:
                pieces[-1] = (pieces[-1][0] + text, style)
            else:
                pieces.append((text, style))
        return pieces

    def _characters(self, row: Row, data: bytes) -> list[tuple[str, int, bool]]:
        """(what is shown, offset in the stream, whether it is an escape) of each character of a row."""
        if data.endswith(b"\r\n"):
            data = data[:-2]
        elif data.endswith(b"\n"):
            data = data[:-1]
        found, at, column = [], row.start, 0
        for char in data.decode("utf-8" if row.utf8 else "ascii", "surrogateescape"):
            text = shown(char)
            if char == "\t":
                text *= max(tab_stop(column, self._rows.width) - column, 1)
            column += width_of(text)
            found.append((text, at, text != char and char != "\t"))
            at += 1 if "\udc80" <= char <= "\udcff" else len(char.encode())
        return found

    def _hex_pieces(self, row: Row, data: bytes) -> list[Piece]:
        look, colour, count = self.look, self.colour(row.turn.side), self._rows.hexadecimal
        hits, begin = self._hits(row), self._follow.connection.halves[row.turn.side].begin
        pieces: list[Piece] = [(f"{row.start - begin:08x}  ", look["faint"])]
        for at in range(count):
            style = look["filter-chip"] if row.start + at in hits else colour
            pieces.append((f"{data[at]:02x}" if at < len(data) else "  ", style if at < len(data) else look.ground))
            if at + 1 < count:
                pieces.append(("  " if at % 8 == 7 else " ", look.ground))
        pieces.append(("  ", look.ground))
        for at, code in enumerate(data):
            printable = 0x20 <= code < 0x7F
            style = look["filter-chip"] if row.start + at in hits else colour if printable else look["faint"]
            pieces.append((chr(code) if printable else "·", style))
        return pieces

    def _hits(self, row: Row) -> set[int]:
        """Offsets in the stream of bytes of a row that match what is searched for."""
        if self.pattern is None:
            return set()
        start, end = max(row.start - _MARGIN, row.turn.start), min(row.end + _MARGIN, row.turn.end)
        data = self._follow.window(row.turn.side, start, end) or b""
        found: set[int] = set()
        for match in self.pattern.finditer(data):
            first, last = start + match.start(), start + match.end()
            if last > row.start and first < row.end:
                found.update(range(max(first, row.start), min(last, row.end)))
        return found

    def _bytes(self, row: Row) -> bytes | None:
        return self._follow.window(row.turn.side, row.start, row.end)

    def _words(self, row: Row) -> str:
        """What is said in place of bytes: a gap, or something odd about a packet."""
        turn = row.turn
        if turn.kind != NOTE:
            why = "cut off by the snap length" if turn.kind == CUT else "missing in capture"
            return f"{exact(turn.end - turn.start)} byte{'' if turn.end - turn.start == 1 else 's'} {why}"
        note = self._follow.connection.notes[turn.start]
        packet = f"packet {self._follow.number(note.row):,}"
        size = f"{note.size:,} byte{'' if note.size == 1 else 's'}"
        other = escape(note.other[:_OTHER])
        if note.kind == "conflict":
            first = f"packet {self._follow.number(note.first):,} ({note.first_size:,} bytes)"
            return f"conflict: {packet} ({note.packet_size:,} bytes) differs in {note.size:,} from {first}: {other}"
        if note.kind == "after FIN":
            return f"{size} behind the end of the stream, left out: {packet}: {other}"
        if note.kind == "with RST":
            return f"{size} with the reset, left out: {packet}: {other}"
        return f"{size} far outside of the window, left out: {packet}"

    def _about(self, row: Row) -> str:
        """The packet of the row under the cursor."""
        follow = self._follow
        found = follow.packet(row.turn, row.start)
        who = "client" if row.turn.side == follow.connection.client else "server"
        words = f"packet {follow.number(found):,}  {who}"
        if row.turn.kind == NOTE:
            return words
        half = follow.connection.halves[row.turn.side]
        return f"{words} byte {row.start - half.begin:,} of {max(half.top, half.last) - half.begin:,}"


def _hex_width(count: int) -> int:
    """Columns of `count` bytes: a space between two, one more between groups of eight."""
    return 3 * count - 1 + max(count // 8 - 1, 0)
