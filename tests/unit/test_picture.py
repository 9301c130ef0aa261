"""The screen by differences is the screen by repaints: a small terminal shows both."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.app.picture import Picture

_COLUMNS, _ROWS = 24, 5
_STYLES = (
    *("", "1", "1;4", "31", "38;2;1;2;3", "38;2;1;2;3;48;2;9;9;9"),
    *("48;5;7", "1;38;5;9;48;5;7", "7", "2;97;100"),
)
_TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|([^\x1b])", re.DOTALL)


class Terminal:
    """As much of ECMA-48 as reaches it: cells of a character and a style; a wide character fills two."""

    def __init__(self, columns: int = _COLUMNS, rows: int = _ROWS, *, wide: bool = True) -> None:
        self.cells = [[("?", "")] * columns for _ in range(rows)]
        self._columns = columns
        self._wide = wide
        self._x = self._y = 0
        self._style: dict[str, str] = {}

    def feed(self, data: str) -> None:
        end = 0
        for token in _TOKEN.finditer(data):
            assert token.start() == end
            end = token.end()
            if token[3] is not None:
                self._print(token[3])
            elif token[2] == "m":
                self._wear(token[1].split(";"))
            elif token[2] == "H":
                row, _, column = token[1].partition(";")
                self._y, self._x = int(row) - 1, int(column or 1) - 1
            elif token[2] == "G":
                self._x = int(token[1]) - 1
            elif token[2] == "C":
                self._x += int(token[1] or 1)
            else:
                raise AssertionError(token[0])
        assert end == len(data)

    def _wear(self, codes: list[str]) -> None:
        rest = iter(codes)
        for code in rest:
            if code in ("", "0"):
                self._style = {}
            elif code in ("38", "48"):
                kind = next(rest)
                self._style[code] = f"{kind};" + ";".join(next(rest) for _ in range(3 if kind == "2" else 1))
            elif code in ("39", "49"):
                self._style.pop(code[0] + "8", None)
            elif int(code) >= 30:
                ground = code.startswith(("4", "10"))
                self._style["48" if ground else "38"] = code
            else:
                self._style[code] = "on"

    def _print(self, char: str) -> None:
        style = ";".join(f"{key}={value}" for key, value in sorted(self._style.items()))
        if char == "\n":
            return
        size = 2 if char == "界" and self._wide else 1
        line = self.cells[self._y]
        for at, part in enumerate((char, "")[:size], self._x):
            if at < self._columns:
                line[at] = (part, style)
        self._x = min(self._x + size, self._columns)  # DECAWM is off


_TEXT = st.text("abc  XY7é界─⣿", min_size=1, max_size=_COLUMNS)
_CHANGE = st.tuples(st.integers(0, _ROWS - 1), st.integers(0, _COLUMNS - 1), st.sampled_from(_STYLES), _TEXT)


def fits(line: list[str], x: int, text: str) -> str:
    """Replace a part of a line, by cells, as Textual does: half of a wide character is a space."""
    cells = []
    for char in text:
        cells += [char, ""] if char == "界" else [char]
    cells = cells[: len(line) - x]
    if cells and cells[-1] == "界":
        cells[-1] = " "
    end = x + len(cells)
    if x and line[x] == "":
        line[x - 1] = " "
    if end < len(line) and line[end] == "":
        line[end] = " "
    line[x:end] = cells
    return "".join(cells)


def update_of(lines: list[list[str]], styles: list[list[str]], rows: set[int]) -> str:
    """A repaint of whole rows as Textual writes it."""
    parts = []
    for y in sorted(rows):
        parts.append(f"\x1b[{y + 1};1H")
        for char, style in zip(lines[y], styles[y], strict=True):
            parts.append(f"\x1b[{style}m{char}\x1b[0m" if style and char else char)
        parts.append("\n")
    return "".join(parts[:-1]) + "\x1b[1;1H"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(_CHANGE, min_size=1, max_size=6), st.sampled_from([8, 40, 1e9]), st.booleans())))
def test_differences_show_what_repaints_show(
    frames: list[tuple[list[tuple[int, int, str, str]], float, bool]],
) -> None:
    lines = [[" "] * _COLUMNS for _ in range(_ROWS)]
    styles = [[""] * _COLUMNS for _ in range(_ROWS)]
    repainted, shown, picture = Terminal(), Terminal(), Picture()
    picture.resize(_COLUMNS, _ROWS)
    first = update_of(lines, styles, set(range(_ROWS)))
    assert picture.take(first)
    repainted.feed(first)
    for changes, limit, awaited in frames:
        for y, x, style, text in changes:
            size = 0
            for char in fits(lines[y], x, text):
                size += 2 if char == "界" else 1
            styles[y][x : x + size] = [style] * size
        for y in range(_ROWS):  # both halves have one style
            for x in range(1, _COLUMNS):
                if lines[y][x] == "":
                    styles[y][x] = styles[y][x - 1]
        update = update_of(lines, styles, {y for y, *_ in changes})
        assert picture.take(update, awaited=awaited)
        repainted.feed(update)
        shown.feed(picture.write(limit, awaited=awaited))
    while picture.pending:
        shown.feed(picture.write(30))
    assert shown.cells == repainted.cells
    assert picture.write() == ""


def prepared(text: str = "12,345 packets") -> Picture:
    picture = Picture()
    picture.resize(_COLUMNS, _ROWS)
    assert picture.take(f"\x1b[2;1H\x1b[1;38;2;1;2;3m{text}\x1b[0m\x1b[1;1H")
    assert text in picture.write()
    return picture


def test_what_does_not_change_is_not_written() -> None:
    picture = prepared()
    assert picture.take("\x1b[2;1H\x1b[1;38;2;1;2;3m12,345 packets\x1b[0m\x1b[1;1H")
    assert not picture.pending
    assert picture.write() == ""


def test_one_digit_costs_a_move_a_style_and_a_digit() -> None:
    picture = prepared()
    assert picture.take("\x1b[2;1H\x1b[1;38;2;1;2;3m12,346 packets\x1b[0m\x1b[1;1H")
    assert picture.write() == "\x1b[2;6H\x1b[0;1;38;2;1;2;3m6"


def test_a_style_is_a_change_too() -> None:
    picture = prepared("word")
    assert picture.take("\x1b[2;1H\x1b[1m\x1b[0m\x1b[2;1H\x1b[7mword\x1b[0m\x1b[1;1H")
    assert picture.write() == "\x1b[2;1H\x1b[0;7mword"


def test_words_are_written_whole() -> None:
    picture = prepared("LIVE   ")
    assert picture.take("\x1b[2;1H\x1b[1;38;2;1;2;3mENDED  \x1b[0m\x1b[1;1H")
    assert "ENDED" in picture.write()


def test_rows_that_are_awaited_come_alone() -> None:
    picture = prepared()
    assert picture.take("\x1b[1;1Habove\x1b[1;1H")
    assert picture.take("\x1b[4;1Hanswer\x1b[1;1H", awaited=True)
    assert picture.awaited
    assert picture.write(awaited=True) == "\x1b[4;1H\x1b[manswer"
    assert (picture.pending, picture.awaited) == (True, False)
    assert "above" in picture.write()


def test_of_an_answer_what_changes_all_the_time_comes_last() -> None:
    picture = prepared()
    assert picture.take("\x1b[1;1H12:00:01\x1b[1;1H")
    picture.write()
    assert picture.take("\x1b[1;1H12:00:02\x1b[4;1Hanswer\x1b[1;1H", awaited=True)
    assert picture.write(6, awaited=True) == "\x1b[4;1H\x1b[manswer"
    assert picture.awaited
    assert picture.write(awaited=True) == "\x1b[1;8H\x1b[m2"


def test_where_there_is_little_room_a_line_comes_in_parts_and_no_word_is_cut() -> None:
    picture = Picture()
    picture.resize(60, 1)
    assert picture.take(f"\x1b[1;1H{'a word and another '.ljust(60, '-')}\x1b[1;1H")
    first, second = picture.write(10), picture.write()
    assert first.startswith("\x1b[1;1H\x1b[ma word and another ---")
    assert (len(first) < 50, second.endswith("-" * 30)) == (True, True)
    assert picture.take(f"\x1b[1;1H{'x' * 60}\x1b[1;1H")
    assert picture.write(10).endswith("x" * 60)


def test_what_is_forgotten_is_written_again() -> None:
    picture = prepared()
    picture.forget()
    assert "12,345 packets" in picture.write()


def test_what_a_signal_forgets_while_it_is_written_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = prepared()
    assert picture.take("\x1b[1;1H\x1b[mnew\x1b[1;1H")
    write = picture._write_run

    def interrupted(*given: Any) -> None:
        picture.forget()
        write(*given)

    monkeypatch.setattr(picture, "_write_run", interrupted)
    assert "new" in picture.write()
    monkeypatch.undo()
    assert picture.pending
    again = picture.write()
    assert ("new" in again, "12,345 packets" in again, picture.pending) == (True, True, False)


def test_other_sequences_are_no_update() -> None:
    picture = prepared()
    for other in ("\x1b[?1049h", "\x1b[H\x1b[2J", "\x1b]52;c;YQ==\x07", "\x07", "", "\x1b[1;1Ha\x1b[2K", "plain"):
        assert not picture.take(other)
    assert picture.write() == ""


def test_nothing_that_a_terminal_acts_on_gets_through() -> None:
    picture = prepared()
    assert picture.take("\x1b[1;1Ha\x07b\x9bc\x7fd\u202ee\x08\x1b[1;1H")
    assert picture.write() == "\x1b[1;1H\x1b[mabcde"


def test_a_terminal_that_finds_characters_narrow_keeps_the_rest_in_its_place() -> None:
    terminal, picture = Terminal(wide=False), Picture()
    picture.resize(_COLUMNS, _ROWS)
    assert picture.take("\x1b[1;1H" + "x" * _COLUMNS + "\x1b[1;1H")
    terminal.feed(picture.write())
    assert picture.take("\x1b[1;1Ha界b\x1b[1;1H")
    terminal.feed(picture.write())
    assert "".join(char for char, _ in terminal.cells[0]) == "a界 b" + "x" * (_COLUMNS - 4)


def test_where_the_cursor_should_stand_it_is_left() -> None:
    picture = prepared()
    assert picture.take("\x1b[2;1H\x1b[1;38;2;1;2;3m1\x1b[0m\x1b[3;5H")
    assert picture.write() == "\x1b[3;5H"
    assert picture.write() == ""


def test_styles_and_clusters_without_end_are_bounded() -> None:
    picture = prepared("e\u0301te")
    for number in range(5000):
        colour = f"38;2;{number % 256};{number // 256};0"
        cluster = "e\u0301" + chr(0x300 + number % 64) + chr(0x300 + number // 64)
        assert picture.take(f"\x1b[1;1H\x1b[{colour}mx{cluster}\x1b[0m\x1b[1;1H")
        assert picture.write() == f"\x1b[1;1H\x1b[0;{colour}mx{cluster}"
    assert len(picture._styles) <= 2050
    assert len(picture._clusters) <= 4100
    picture.forget()
    assert "\x1b[1;38;2;1;2;3me\u0301te" in picture.write()
