"""A packet's bytes: offset, hexadecimal, text; the bytes of the selected field stand out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from netwatch.widgets.palette import Look

__all__ = ["HexView", "bytes_per_row"]

_OFFSET_WIDTH: Final = 6  # "0000  "
_CURSOR: Final = {"full": Style(reverse=True), "ansi": Style(reverse=True), "mono": Style(underline=True, bold=True)}
_PRINTABLE: Final = [chr(code) if 0x20 <= code < 0x7F else "·" for code in range(256)]
_ASCII: Final = [char if char.isascii() else "." for char in _PRINTABLE]
"""Only ASCII reaches the terminal: a byte above 0x7f alone is no character."""


def bytes_per_row(width: int) -> int:
    """8, 16 or 32: as many as fit into `width` columns, and never fewer than 8."""
    for count in (32, 16):
        if _OFFSET_WIDTH + _hex_width(count) + 2 + count <= width:
            return count
    return 8


def _hex_width(count: int) -> int:
    """Columns of `count` bytes in hexadecimal: a space between two, one more between groups of eight."""
    return 3 * count - 1 + (count // 8 - 1)


class HexView(ScrollView, can_focus=True):
    """Bytes in rows over the line API. The cursor is a byte; moving it asks for the field that owns it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Byte left", show=False, id="hex.left"),
        Binding("right,l", "move(1)", "Byte right", show=False, id="hex.right"),
        Binding("up,k", "move_rows(-1)", "Row up", show=False, id="hex.up"),
        Binding("down,j", "move_rows(1)", "Row down", show=False, id="hex.down"),
        Binding("pageup", "move_pages(-1)", "Page up", show=False, id="hex.pageup"),
        Binding("pagedown", "move_pages(1)", "Page down", show=False, id="hex.pagedown"),
        Binding("home,g", "move_to_edge(0)", "First byte", show=False, id="hex.home"),
        Binding("end,G", "move_to_edge(1)", "Last byte", show=False, id="hex.end"),
    ]

    DEFAULT_CSS = """
    HexView { scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    @dataclass
    class ByteSelected(Message):
        """The person moved to or clicked a byte."""

        hex_view: HexView
        offset: int

        @property
        def control(self) -> HexView:
            return self.hex_view

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._look = look
        self._data = b""
        self._styles: list[Style] = []
        self._field = range(0)
        self._cursor: int | None = None

    @property
    def field_range(self) -> range:
        """The highlighted bytes."""
        return self._field

    @property
    def cursor(self) -> int | None:
        """Offset of the byte under the cursor; None before the first move."""
        return self._cursor

    def field_hex(self) -> str:
        """The highlighted bytes as they are copied; all of them where none are."""
        return self._data[self._field.start : self._field.stop].hex() if self._field else self._data.hex()

    def show(self, data: bytes, styles: list[Style]) -> None:
        """Show `data`; `styles` has one style a byte (the colour of its layer)."""
        self._data = data
        self._styles = styles
        self._field = range(0)
        self._cursor = None
        self._measure()
        self.scroll_to(y=0, animate=False)

    def highlight(self, start: int, size: int, *, keep_cursor: bool = False) -> None:
        """Highlight the bytes of a field and scroll to where they begin; the byte cursor goes, unless it asked."""
        self._field = range(start, min(start + size, len(self._data)))
        if keep_cursor:
            self.refresh()
            return
        self._cursor = None
        if self._field:
            self._scroll_to_byte(self._field[-1])
            self._scroll_to_byte(start)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        look = self._look
        printable = _PRINTABLE if look.glyphs.unicode else _ASCII
        base = self.rich_style + look["text"]
        count = self._count
        start = (y + self.scroll_offset.y) * count
        row = self._data[start : start + count]
        if not row:
            return Strip.blank(width, base)
        digits = [Segment(f"{start:04x}  ", base + look["faint"])]
        texts: list[Segment] = []
        for index in range(count):
            offset = start + index
            style = self._style_of(offset, base) if index < len(row) else base
            digits.append(Segment(f"{row[index]:02x}" if index < len(row) else "  ", style))
            if index + 1 < count:
                joined = offset in self._field and offset + 1 in self._field
                gap_style = look.selected(base, True) if joined else base
                digits.append(Segment("  " if index % 8 == 7 else " ", gap_style))
            if index < len(row):
                texts.append(Segment(printable[row[index]], style))
        return Strip([*digits, Segment("  ", base), *texts]).adjust_cell_length(width, base)

    def on_resize(self, _event: events.Resize) -> None:
        self._measure()
        self.call_after_refresh(self._scroll_to_byte, self._here())

    def on_click(self, event: events.Click) -> None:
        place = event.get_content_offset(self)
        offset = None if place is None else self._byte_at(place.x, place.y)
        if offset is not None:
            self._select(offset)

    def action_move(self, step: int) -> None:
        self._select(self._here() + step)

    def action_move_rows(self, rows: int) -> None:
        target = self._here() + rows * self._count
        if 0 <= target < len(self._data):
            self._select(target)

    def action_move_pages(self, pages: int) -> None:
        height = max(1, self.scrollable_content_region.height - 1)
        self._select(self._here() + pages * height * self._count)

    def action_move_to_edge(self, end: int) -> None:
        self._select(len(self._data) - 1 if end else 0)

    @property
    def _count(self) -> int:
        return bytes_per_row(self.scrollable_content_region.width)

    def _style_of(self, offset: int, base: Style) -> Style:
        style = base + self._styles[offset] if offset < len(self._styles) else base
        if offset == self._cursor:
            return self._look.selected(style, True) + _CURSOR[self._look.depth]
        return self._look.selected(style, True) if offset in self._field else style

    def _measure(self) -> None:
        rows = -(-len(self._data) // self._count)
        self.virtual_size = Size(self.scrollable_content_region.width, rows)
        self.refresh()

    def _here(self) -> int:
        if self._cursor is not None:
            return self._cursor
        return self._field.start if self._field else 0

    def _select(self, offset: int) -> None:
        if not self._data:
            return
        self._cursor = max(0, min(offset, len(self._data) - 1))
        self._scroll_to_byte(self._cursor)
        self.refresh()
        self.post_message(self.ByteSelected(self, self._cursor))

    def _scroll_to_byte(self, offset: int) -> None:
        self.scroll_to_region(Region(0, offset // self._count, 1, 1), animate=False)

    def _byte_at(self, x: int, y: int) -> int | None:
        """The byte whose digits or character stand at a cell of the content, or None between them."""
        count = self._count
        start = (y + self.scroll_offset.y) * count
        text_at = _OFFSET_WIDTH + _hex_width(count) + 2
        if x >= text_at:
            index = x - text_at
        else:
            column = x - _OFFSET_WIDTH
            group, inside = divmod(column, 25)  # eight bytes, their spaces and the gap
            index = group * 8 + min(inside // 3, 7)
        offset = start + index
        return offset if 0 <= index < count and offset < len(self._data) else None
