"""A framed pane over the line API: paints itself from a model and repaints only the lines that changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from netwatch.widgets.painting import fit, spelled_line, width_of
from netwatch.widgets.palette import Look

__all__ = ["Label", "Lines", "Pane", "frame_line", "thumb_rows"]

Label = tuple[int, str, Style]
"""Where on a line of the frame a text stands (from the right if negative), the text, its style."""


class Lines(Widget):
    """A widget that is a list of strips. `draw` makes them all; only those that differ reach the terminal."""

    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.auto_links = False
        self.look = look
        self._lines: list[Strip] = []
        self._drawn_width = 0

    def draw(self, width: int, height: int) -> list[Strip]:
        """All lines as they should stand now: `height` strips of `width` cells."""
        raise NotImplementedError

    def paint(self) -> None:
        """Bring the screen up to date with the model."""
        width, height = self.size
        if not width or not height or not self.is_attached:
            return
        before, self._lines = self._lines, self._drawn_lines(width, height)
        if len(before) != height or self._drawn_width != width:
            self._drawn_width = width
            self.refresh()
            return
        start = None
        for y, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            changed = old is not new and old != new
            if changed and start is None:
                start = y
            elif not changed and start is not None:
                self.refresh(Region(0, start, width, y - start))
                start = None
        if start is not None:
            self.refresh(Region(0, start, width, height - start))

    def _drawn_lines(self, width: int, height: int) -> list[Strip]:
        lines = self.draw(width, height)
        return lines if self.look.glyphs.unicode else [spelled_line(line) for line in lines]

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        if len(self._lines) != height or self._drawn_width != width:
            self._drawn_width = width
            self._lines = self._drawn_lines(width, height)
        return self._lines[y] if y < len(self._lines) else Strip.blank(width, self.look.ground)


def frame_line(left: str, across: str, right: str, width: int, style: Style, labels: Sequence[Label]) -> Strip:
    """A horizontal line of a frame with texts in it. Labels that would overlap an earlier one are left out."""
    inner = width - 2
    placed: list[tuple[int, int, str, Style]] = []
    for at, text, text_style in labels:
        size = width_of(text)
        start = at if at >= 0 else inner + at - size + 1
        if start < 0 or start + size > inner or not text:
            continue
        if all(start + size <= other or start >= end for other, end, _, _ in placed):
            placed.append((start, start + size, text, text_style))
    segments = [Segment(left, style)]
    column = 0
    for start, end, text, text_style in sorted(placed, key=lambda item: item[0]):
        if start > column:
            segments.append(Segment(across * (start - column), style))
        segments.append(Segment(text, text_style))
        column = end
    segments.append(Segment(across * (inner - column) + right, style))
    return Strip(segments, width)


def thumb_rows(top: int, visible: int, total: int) -> range:
    """Rows of the scroll bar that the thumb covers; none where everything is on screen."""
    if total <= visible or visible <= 0:
        return range(0)
    size = max(1, visible * visible // total)
    start = round(top / (total - visible) * (visible - size))
    return range(start, start + size)


class Pane(Lines, can_focus=True):
    """Lines in a frame with a title, a scroll bar on its right side, and a cursor that the mouse moves too."""

    @dataclass
    class Opened(Message):
        """Enter or a double click on the row under the cursor."""

        pane: Pane

        @property
        def control(self) -> Pane:
            return self.pane

    def labels_above(self, inner: int) -> list[Label]:
        """What stands in the upper line of the frame, `inner` cells wide; earlier ones have precedence."""
        raise NotImplementedError

    def labels_below(self, inner: int) -> list[Label]:
        """What stands in the lower line."""
        raise NotImplementedError

    def body(self, inner: int, rows: int) -> list[list[Segment]]:
        """The lines inside the frame, each `inner` cells wide; missing ones are blank."""
        raise NotImplementedError

    def thumb(self, rows: int) -> range:
        """Lines of the body that the scroll bar's thumb covers."""
        raise NotImplementedError

    def move(self, rows: int) -> None:
        """Move the cursor."""
        raise NotImplementedError

    def go_first(self) -> None:
        """Move to the first row."""
        raise NotImplementedError

    def go_last(self) -> None:
        """Move to the last row."""
        raise NotImplementedError

    def fold(self, opened: bool) -> None:
        """Close or open the branch under the cursor; panes without branches do nothing."""

    def scroll_rows(self, rows: int) -> None:
        """Scroll without a key: the wheel."""
        self.move(rows)

    def select_line(self, y: int) -> bool:
        """Move the cursor to line `y` of the body. False where there is no row."""
        raise NotImplementedError

    @property
    def page(self) -> int:
        """Rows of a page."""
        return max(1, self.size.height - 3)

    @property
    def title_style(self) -> Style:
        return self.look["title-focus" if self.has_focus else "title"]

    def draw(self, width: int, height: int) -> list[Strip]:
        look, glyphs = self.look, self.look.glyphs
        border = look["border-focus" if self.has_focus else "border"]
        if width < 4 or height < 3:
            return [Strip.blank(width, look.ground)] * height
        inner, rows = width - 2, height - 2
        body = self.body(inner, rows)
        thumb = self.thumb(rows)
        left = Segment(glyphs.down, border)
        plain, held = Segment(glyphs.down, border), Segment(glyphs.thumb, look["thumb"])
        blank = [Segment(" " * inner, look.ground)]
        corners, across = glyphs.corners, glyphs.across
        lines = [frame_line(corners[0], across, corners[1], width, border, self.labels_above(inner))]
        for y in range(rows):
            row = body[y] if y < len(body) else blank
            lines.append(Strip([left, *row, held if y in thumb else plain], width))
        lines.append(frame_line(corners[2], across, corners[3], width, border, self.labels_below(inner)))
        return lines

    def message_line(self, text: str, inner: int, style: Style) -> list[Segment]:
        """A text in the middle of an empty line."""
        text = fit(text, inner).rstrip() if width_of(text) > inner else text
        before = (inner - width_of(text)) // 2
        ground = self.look.ground
        return [
            Segment(" " * before, ground),
            Segment(text, style),
            Segment(" " * (inner - before - width_of(text)), ground),
        ]

    def on_focus(self) -> None:
        self.paint()

    def on_blur(self) -> None:
        self.paint()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(3)

    def on_click(self, event: events.Click) -> None:
        """One click selects, the second opens."""
        if self.select_line(event.y - 1) and event.chain == 2:
            self.post_message(self.Opened(self))
