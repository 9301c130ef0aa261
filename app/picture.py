"""What stands on the terminal, cell by cell: of each update only the cells that change are written.

Textual repaints whole regions; over a slow link a region whose one digit changed costs as much as a new one. Its
updates are taken apart here (ECMA-48: CUP, SGR, text), kept as the picture that is wanted, and handed out as the
difference to the picture that the terminal has.
"""

from __future__ import annotations

import codecs
import re
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from rich.cells import split_graphemes

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Picture"]

_TOKEN: Final = re.compile(
    r"\x1b\[([0-9;]*)m([^\x1b\n]*)(\x1b\[0m)?"  # a style, the text in it, and its end
    r"|\x1b\[([0-9]+);([0-9]+)H"
    r"|([^\x1b\n]+)"
    r"|\n"  # between lines; a move follows
    r"|(.)"
)
_ALL: Final = float("inf")
_GAP: Final = 4
"""Cells that did not change are written once more where moving over them takes as many bytes."""
_UNKNOWN: Final = "\0"
_SECOND: Final = "\1"
"""The second cell of a wide character."""
_PLAIN: Final = " "
"""The style without any parameters. A style is one character, so that those of a line are a string as its text is."""
_CLUSTERS: Final = 0xF0000
"""Characters of several code points stand as one for private use."""
_NAMES: Final = 2048
"""Styles, or clusters, that have a character of their own before a look at which are in use."""
_LATELY: Final = 8
"""Updates; a second of them."""
_PART: Final = 24
"""Cells that are written together, however little room there is: a move and a style cost as much."""
_POINTS: Final = 10
"""Code points of one character on the screen: a family of four has seven, a heap of accents any number."""
_JOINERS: Final = "\u200d\ufe0f"
"""Zero width joiner, variation selector 16: parts of one character."""


class Picture:
    """The cells that are wanted, and those that the terminal shows."""

    def __init__(self) -> None:
        self.columns = self.rows = 0
        self._wanted: list[_Row] = []
        self._shown: list[_Row] = []
        self._changed: set[int] = set()
        """Rows that may differ."""
        self._awaited: set[int] = set()
        """Those that a person waits for."""
        self._lately: deque[set[int]] = deque(maxlen=_LATELY)
        """Rows of updates that nobody waited for."""
        self._cursor = self._cursor_shown = (0, 0)
        """It is hidden, but where it stands an input method shows what is being composed."""
        self._styles = {"": _PLAIN}
        self._names = {_PLAIN: ""}
        self._clusters: dict[str, str] = {}
        """Both ways."""
        self._most = _NAMES

    def resize(self, columns: int, rows: int) -> None:
        """Another size: nothing is wanted yet, nothing is known."""
        self.columns, self.rows = columns, rows
        self._wanted = [_Row(columns) for _ in range(rows)]
        self._changed.clear()
        self._awaited.clear()
        self.forget()

    def forget(self) -> None:
        """Nobody knows what the terminal shows: all that is wanted has to be written again."""
        self._shown = [_Row(self.columns) for _ in range(self.rows)]
        self._changed.update(range(self.rows))

    @property
    def pending(self) -> bool:
        """The terminal may not show all that is wanted yet."""
        return bool(self._changed)

    @property
    def awaited(self) -> bool:
        """A person waits for some of it."""
        return bool(self._awaited)

    @property
    def cursor(self) -> str:
        """The move to where the cursor should stand, if that matters."""
        x, y = self._cursor
        return f"\x1b[{y + 1};{x + 1}H" if x or y else ""

    def take(self, update: str, *, awaited: bool = False) -> bool:
        """Keep an update as what is wanted; `awaited`: its rows come before others. False if it is something else."""
        tokens = _TOKEN.findall(update)
        if not tokens or not tokens[0][3] or any(token[6] for token in tokens):
            return False
        if max(len(self._styles), len(self._clusters) // 2) > self._most:
            self._forget_names()
        touched: set[int] = set()
        x = y = 0
        style = _PLAIN
        for codes, text, end, row, column, more, _ in tokens:
            if row:
                x, y = int(column) - 1, int(row) - 1
                continue
            if not more:
                # A style without parameters is the terminal's own, as 0 is.
                style = self._style(codes) if codes and codes != "0" else _PLAIN
            if (text or more) and y < self.rows:
                cells = self._cells(text or more)
                if self._wanted[y].put(x, cells, style):
                    touched.add(y)
                x += len(cells)
            if end:
                style = _PLAIN
        self._cursor = (x, y)
        self._changed |= touched
        if awaited:
            self._awaited |= touched
        else:
            self._lately.append(touched)
        return True

    def _style(self, codes: str) -> str:
        known = self._styles.get(codes)
        if known is None:
            known = chr(0x100 + len(self._styles))
            self._styles[codes], self._names[known] = known, codes
        return known

    def _cells(self, text: str) -> str:
        """Text with a character a cell. What has no width, and would act on a terminal or shift the line, gets none;
        what combines with a character stays with it."""
        if text.isascii() and text.isprintable():
            return text
        found = _graphemes(text)
        if isinstance(found, str):
            return found
        cells = []
        for shown, width in found:
            cells.append((self._cluster(shown) if len(shown) > 1 else shown) + _SECOND * (width - 1))
        return "".join(cells)

    def _cluster(self, shown: str) -> str:
        if shown not in self._clusters:
            stand_in = chr(_CLUSTERS + len(self._clusters) // 2)
            self._clusters |= {shown: stand_in, stand_in: shown}
        return self._clusters[shown]

    def write(self, limit: float = _ALL, *, awaited: bool = False) -> str:
        """What has the terminal show what is wanted, as far as about `limit` bytes go; `awaited`: only those rows."""
        pen = _Pen(self.columns)
        known = self._shown
        rows = sorted(self._changed)
        if awaited:
            # What changes all the time is hardly what was asked for: a clock, counters.
            restless = set().union(*self._lately)
            rows = sorted(self._awaited & self._changed, key=lambda y: (y in restless, y))
        for y, runs in zip(rows, self._runs(rows), strict=True):
            wanted, shown = self._wanted[y], known[y]
            for start, end in runs:
                if pen.size >= limit:
                    break
                until = end if limit == _ALL else wanted.part(start, end, int(limit) - pen.size)
                self._write_run(pen, start, y, wanted.text[start:until], wanted.styles[start:until])
                if limit != _ALL:
                    shown.put(start, wanted.text[start:until], wanted.styles[start:until])
                if until < end:
                    break
            else:
                shown.text, shown.styles = wanted.text, wanted.styles
                self._changed.discard(y)
                continue
            break
        if known is not self._shown:
            self._changed.update(range(self.rows))  # a signal came meanwhile: another size, or ctrl+z
        self._awaited &= self._changed
        if self.cursor and (pen.parts or self._cursor != self._cursor_shown):
            self._cursor_shown = self._cursor
            return "".join(pen.parts) + self.cursor
        return "".join(pen.parts)

    def _runs(self, rows: list[int]) -> list[list[tuple[int, int]]]:
        """Of each row from and to: cells that differ, and what it takes no more to write again than to skip."""
        found: list[list[tuple[int, int]]] = [[] for _ in rows]
        wanted, shown = [self._wanted[y] for y in rows], [self._shown[y] for y in rows]
        # All rows at once: numpy's calls cost more than what they do in one.
        text = "".join([row.text for row in wanted])
        differs = _codes(text) != _codes("".join([row.text for row in shown]))
        differs |= _codes("".join([row.styles for row in wanted])) != _codes("".join([row.styles for row in shown]))
        if _UNKNOWN in text:
            differs &= _codes(text) != ord(_UNKNOWN)
        at = np.flatnonzero(differs)
        if not len(at):
            return found
        lines, cells = np.divmod(at, self.columns)
        first = np.ones(len(at), bool)
        first[1:] = (at[1:] - at[:-1] > 1) | (cells[1:] == 0)
        begins = np.flatnonzero(first)
        ends = cells[np.append(begins[1:] - 1, len(at) - 1)] + 1
        for line, start, end in zip(lines[begins].tolist(), cells[begins].tolist(), ends.tolist(), strict=True):
            runs = found[line]
            start, end = wanted[line].words(start, end)
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]))
            elif runs and start - runs[-1][1] <= _GAP and wanted[line].even(runs[-1][1] - 1, start):
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((start, end))
        if _SECOND in text:
            return [[row.whole(*run) for run in runs] for row, runs in zip(wanted, found, strict=True)]
        return found

    def _write_run(self, pen: _Pen, x: int, y: int, text: str, styles: str) -> None:
        pen.move(x, y)
        while styles:
            left = styles.lstrip(styles[0])
            size = len(styles) - len(left)
            pen.wear(self._names[styles[0]])
            pen.write(text[:size], self._clusters)
            text, styles = text[size:], left

    def _forget_names(self) -> None:
        """More styles, or characters of several code points, than there ever are at a time: those on no cell go."""
        rows = [*self._wanted, *self._shown]
        names, clusters = self._names, self._clusters
        self._styles, self._names, self._clusters = {"": _PLAIN}, {_PLAIN: ""}, {}
        used = sorted(set().union(*(row.styles for row in rows)))
        styles = str.maketrans({style: self._style(names[style]) for style in used})
        used = sorted(set().union(*(row.text for row in rows)) & clusters.keys())
        texts = str.maketrans({char: self._cluster(clusters[char]) for char in used})
        for row in rows:
            row.styles, row.text = row.styles.translate(styles), row.text.translate(texts)
        self._most = max(_NAMES, 2 * len(self._names), len(self._clusters))


class _Row:
    """A line: its text, a character a cell, and the style of each cell."""

    __slots__ = ("styles", "text")

    def __init__(self, columns: int) -> None:
        self.text = _UNKNOWN * columns
        self.styles = _PLAIN * columns

    def put(self, x: int, text: str, styles: str) -> bool:
        """Write into the line; `styles`: one for each character, or for all -> whether that changed it."""
        room = len(self.text) - x
        if room < len(text):
            text, styles = text[: max(0, room)], styles[: max(0, room)]
        end = x + len(text)
        if len(styles) == 1:
            styles *= len(text)
        if self.text[x:end] == text and self.styles[x:end] == styles:
            return False
        self.text = self.text[:x] + text + self.text[end:]
        self.styles = self.styles[:x] + styles + self.styles[end:]
        return True

    def even(self, start: int, end: int) -> bool:
        """Whether cells are all in one style."""
        styles = self.styles[start:end]
        return styles == styles[:1] * len(styles)

    def words(self, start: int, end: int) -> tuple[int, int]:
        """A run that cuts no word in two: who searches what script(1) recorded, finds it."""
        text, styles = self.text, self.styles
        while start and text[start].isalpha() and text[start - 1].isalpha() and styles[start] == styles[start - 1]:
            start -= 1
        while end < len(text) and text[end].isalpha() and text[end - 1].isalpha() and styles[end] == styles[end - 1]:
            end += 1
        return start, end

    def part(self, start: int, end: int, cells: int) -> int:
        """Where a run ends that has about `cells` of these, and cuts no word."""
        end_of_part = start + max(cells, _PART)
        if end_of_part >= end:
            return end
        return self.whole(start, self.words(start, end_of_part)[1])[1]

    def whole(self, start: int, end: int) -> tuple[int, int]:
        """A run that cuts no wide character in two."""
        while start and self.text[start] == _SECOND:
            start -= 1
        while end < len(self.text) and self.text[end] == _SECOND:
            end += 1
        return start, end


def _codes(text: str) -> NDArray[np.uint32]:
    # Without a look for the codec by its name, which may come when nothing can be imported any more.
    return np.frombuffer(codecs.utf_32_le_encode(text)[0], np.uint32)


class _Pen:
    """Moves, styles and text, none longer than it has to be. Where the terminal's own stand is unknown at first."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._at: tuple[int, int] | None = None
        self._style: str | None = None
        self.parts: list[str] = []
        self.size = 0
        """Bytes, about."""

    def move(self, x: int, y: int) -> None:
        """Move to a cell."""
        if self._at is not None and self._at[1] == y and self._at[0] <= x < self._columns:
            distance = x - self._at[0]
            if distance:
                self._add(f"\x1b[{distance}C" if distance > 1 else "\x1b[C")
        else:
            self._add(f"\x1b[{y + 1};{x + 1}H")
        self._at = (x, y)

    def wear(self, style: str) -> None:
        """Go on in another style."""
        if style != self._style:
            self._add(_change(self._style, style))
            self._style = style

    def write(self, text: str, clusters: dict[str, str]) -> None:
        """Text at the place that was moved to. Nobody knows whether a terminal finds wide characters as wide: nothing
        is left under them, and it is told where they end."""
        assert self._at is not None
        x, y = self._at
        if _SECOND not in text and (text.isascii() or not clusters):
            self._add(text)
        else:
            for at, char in enumerate(text, x):
                if text[at - x + 1 : at - x + 2] == _SECOND:
                    self._add(f"  \x1b[{at + 1}G{clusters.get(char, char)}\x1b[{min(at + 3, self._columns)}G")
                elif char != _SECOND:
                    self._add(clusters.get(char, char))
        x += len(text)
        # Behind the last column a cursor stands in it, or beyond it: as the terminal likes.
        self._at = (x, y) if x < self._columns else None

    def _add(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text) if text.isascii() else len(text.encode())


@lru_cache(4096)
def _graphemes(text: str) -> str | list[tuple[str, int]]:
    """Characters and their width; the text itself if each has one code point and one cell."""
    spans, cells = split_graphemes(text)
    found = []
    for start, end, width in spans:
        shown = "".join(char for char in text[start:end] if char.isprintable() or char in _JOINERS)[:_POINTS]
        if width and shown:
            found.append((shown, width))
    return text if len(found) == len(text) == cells else found


@lru_cache(4096)
def _change(before: str | None, after: str) -> str:
    """The shortest SGR that leads from one style to the other; None: an unknown one."""
    whole = f"\x1b[0;{after}m" if after else "\x1b[m"
    if before is None:
        return whole
    had, text_before, ground_before = _parts(before)
    attributes, text, ground = _parts(after)
    if had - attributes:
        return whole
    codes = sorted(attributes - had)
    if text != text_before:
        codes.append(text or "39")
    if ground != ground_before:
        codes.append(ground or "49")
    changed = f"\x1b[{';'.join(codes)}m" if codes else ""
    return min(changed, whole, key=len)


@lru_cache(4096)
def _parts(style: str) -> tuple[frozenset[str], str, str]:
    """Attributes, colour of the text and colour behind it, in parameters of SGR."""
    attributes: set[str] = set()
    text = ground = ""
    codes = iter(style.split(";") if style else ())
    for code in codes:
        if code in ("38", "48"):
            kind = next(codes, "")
            code = ";".join((code, kind, *(next(codes, "") for _ in range(3 if kind == "2" else 1))))
        number = int(code.partition(";")[0] or 0)
        if 30 <= number <= 39 or 90 <= number <= 97:
            text = code
        elif 40 <= number <= 49 or 100 <= number <= 107:
            ground = code
        else:
            attributes.add(code)
    return frozenset(attributes), text, ground
