"""The scroll bar of Textual's own widgets, drawn with characters where shades or eighths of a cell cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBar, ScrollBarRender

from netwatch.widgets.pane import thumb_rows

if TYPE_CHECKING:
    from netwatch.widgets.palette import Look

__all__ = ["choose_scroll_bar"]


def choose_scroll_bar(look: Look) -> None:
    """For all of the program."""
    glyphs = look.glyphs

    class Drawn(ScrollBarRender):
        """A line, thick where the window is: as the panes have it."""

        @classmethod
        def render_bar(
            cls,
            size: int = 25,
            virtual_size: float = 50,
            window_size: float = 20,
            position: float = 0,
            thickness: int = 1,
            vertical: bool = True,
            back_color: Color = Color.parse("default"),  # noqa: ARG003, B008 - as what it overrides
            bar_color: Color = Color.parse("default"),  # noqa: B008
        ) -> Segments:
            held = thumb_rows(round(position), round(window_size), round(virtual_size)) if size else range(0)
            scale = size / window_size if window_size else 1.0
            start, end = round(held.start * scale), max(round(held.start * scale) + 1, round(held.stop * scale))
            plain, style = glyphs.down if vertical else glyphs.across, Style(color=bar_color)
            rows = []
            for at in range(size):
                inside = len(held) and start <= at < end
                meta = {"@mouse.down": "grab" if inside else "scroll_up" if at < start else "scroll_down"}
                rows.append(Segment((glyphs.thumb if inside else plain) * thickness, style + Style(meta=meta)))
            return Segments(rows if vertical else [*rows, Segment.line()], new_lines=vertical)

    shades = look.depth != "mono" and glyphs.unicode and glyphs.braille
    ScrollBar.renderer = ScrollBarRender if shades else Drawn
