"""Lines of styled text, cut and padded to the cell: what every widget of the dashboard paints with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from netwatch.widgets.palette import Glyphs

__all__ = [
    "Piece",
    "bar",
    "braille",
    "fit",
    "fit_end",
    "fit_left",
    "fit_middle",
    "harmless",
    "line",
    "spelled",
    "spelled_line",
    "spelled_text",
    "width_of",
]

Piece = tuple[str, Style]
"""Text and its style."""


class _Shown(dict[int, int | str]):
    """For str.translate: code point → itself, or what stands for it. Looked up once a character, not once a row."""

    def __missing__(self, code: int) -> int | str:
        char = chr(code)
        shown: int | str = code if char.isprintable() and cell_len(char) > 0 else "·"
        if len(self) >= _MOST_SHOWN:
            self.clear()  # a sender may walk through all of Unicode
        self[code] = shown
        return shown


_MOST_SHOWN: Final = 4096
_SHOWN: Final = _Shown()


def harmless(text: str) -> str:
    """`text` with every character in exactly one or two cells and none that a terminal acts on.

    What comes from packets is escaped before it gets here; this is the second lock on the same door, and it also
    takes combining marks, which would make a line shorter than it was measured.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_SHOWN)


_SPELLED: Final = str.maketrans(
    {"→": "->", "←": "<-", "↔": "<->", "…": "...", "·": ".", "×": "x", "—": "-", "–": "-", "≥": ">=", "≤": "<="}
)
_STAND_INS: Final = str.maketrans({"→": ">", "←": "<", "↑": "^", "↓": "v", "…": ">", "·": "-", "×": "x"})


def spelled(text: str) -> str:
    """`text` in ASCII, for a terminal without UTF-8; it may become longer."""
    return text if text.isascii() else text.translate(_SPELLED).encode("ascii", "replace").decode()


def spelled_line(drawn: Strip) -> Strip:
    """A line in ASCII, cell by cell."""
    if drawn.text.isascii():
        return drawn
    segments = []
    for text, style, _ in drawn:
        known = text.translate(_STAND_INS)
        made = "".join(char if char.isascii() else "?" * cell_len(char) for char in known)
        segments.append(Segment(made, style))
    return Strip(segments, drawn.cell_length)


def spelled_text(text: Text) -> Text:
    """In ASCII, span by span: all of the text has to be in one."""
    made = Text(no_wrap=True, overflow="ellipsis")
    for line in text.split("\n", include_separator=True):
        for span in line.spans:
            made.append(spelled(line.plain[span.start : span.end]), span.style)
        made.append("\n" if line.plain.endswith("\n") else "")
    return made


def width_of(text: str) -> int:
    """Cells that `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def _cut(text: str, width: int) -> str:
    if text.isascii() or cell_len(text) == len(text):
        return text[:width]  # no wide characters, and harmless() left none without width
    kept, room = [], width
    for char in text:
        room -= cell_len(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept)


def fit(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells, flush left; what is cut ends in `more`."""
    if width <= 0:
        return ""
    size = width_of(text)
    if size > width:
        text = _cut(text, width - 1) + more
        size = width_of(text)
    return text + " " * (width - size)


def fit_left(text: str, width: int) -> str:
    """Exactly `width` cells, flush right; what does not fit loses its end."""
    if width <= 0:
        return ""
    size = width_of(text)
    return " " * (width - size) + text if size <= width else fit(text, width)


@lru_cache(4096)
def fit_middle(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells; a long text is cut in the middle, where an IPv6 address says the least."""
    size = len(text)
    if size <= width:
        return text + " " * (width - size)
    if width < 3:
        return text[:width]
    # The end tells hosts of one network apart: it gets the odd cell.
    head = (width - 1) // 2
    return text[:head] + more + text[size - (width - 1 - head) :]


def fit_end(text: str, width: int, more: str = "…") -> str:
    """Exactly `width` cells; a long text is cut at its beginning."""
    size = len(text)
    if size <= width:
        return text + " " * (width - size)
    return more + text[size - width + 1 :] if width > 1 else text[size - width :]


def line(pieces: Iterable[Piece], width: int, ground: Style) -> Strip:
    """A strip of exactly `width` cells; pieces that do not fit are cut."""
    segments: list[Segment] = []
    room = width
    for text, style in pieces:
        if not text:
            continue
        size = width_of(text)
        if size > room:
            text = fit(text, room)
            size = width_of(text)
        if text:
            segments.append(Segment(text, style))
        room -= size
        if room <= 0:
            break
    if room > 0:
        segments.append(Segment(" " * room, ground))
    return Strip(segments, width)


def bar(share: float, width: int, glyphs: Glyphs) -> tuple[str, str]:
    """A horizontal bar of `share` (0 to 1) of `width` cells, by halves of a cell: what is filled, and the track.

    What is not zero shows at least the half of a cell.
    """
    halves = round(min(max(share, 0.0), 1.0) * width * 2)
    if share > 0 and width:
        halves = max(1, halves)
    full, rest = divmod(halves, 2)
    filled = glyphs.bar * full + glyphs.half_bar * rest
    return filled, glyphs.track * (width - full - rest)


_DOTS_UP: Final = ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08))
_DOTS_DOWN: Final = tuple(tuple(reversed(column)) for column in _DOTS_UP)


def braille(values: Sequence[float], top: float, width: int, rows: int, *, hanging: bool = False) -> list[str]:
    """A filled graph of the newest values, two to a cell, newest at the right: `rows` lines, from the top down.

    `top` is the value that fills the height. `hanging`: it grows from the top line downwards. A value that is not
    zero shows at least one dot.
    """
    dots = _DOTS_DOWN if hanging else _DOTS_UP
    wanted = width * 2
    padded = [0.0] * max(0, wanted - len(values)) + list(values[-wanted:])
    heights = [
        0 if value <= 0 or top <= 0 else max(1, min(rows * 4, round(value / top * rows * 4))) for value in padded
    ]
    lines = []
    for row in range(rows):
        base = (row if hanging else rows - 1 - row) * 4
        cells = []
        for left, right in zip(heights[::2], heights[1::2], strict=True):
            bits = 0
            for column, height in zip(dots, (left, right), strict=True):
                for level in range(min(4, max(0, height - base))):
                    bits |= column[level]
            cells.append(chr(0x2800 + bits) if bits else " ")
        lines.append("".join(cells))
    return lines
