"""What a terminal can show, by its name and the locale."""

from __future__ import annotations

import pytest

from netwatch.app.encoding import terminal_encoding
from netwatch.app.terminal_kind import colors, need_screen
from netwatch.capture.errors import CaptureError
from netwatch.widgets.palette import ASCII, CONSOLE, UNICODE, Glyphs, Look


@pytest.mark.parametrize(
    ("environment", "glyphs"),
    [
        ({}, UNICODE),
        ({"LANG": "en_US.UTF-8"}, UNICODE),
        ({"LANG": "C.utf8"}, UNICODE),
        ({"LANG": "en_US.ISO-8859-1"}, ASCII),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "C"}, ASCII),
        ({"LC_CTYPE": "POSIX"}, ASCII),
        ({"LANG": "xx_XX.ISO-8859-1", "LC_CTYPE": "C.UTF-8"}, ASCII),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, UNICODE),
    ],
)
def test_characters_by_the_locale(environment: dict[str, str], glyphs: Glyphs) -> None:
    encoding = terminal_encoding(environment)
    assert Look.of_terminal("truecolor", False, encoding).glyphs == glyphs


@pytest.mark.parametrize("term", ["vt100", "vt220", "xterm-mono", "linux-m"])
def test_terminals_without_colour(term: str) -> None:
    assert colors("standard", {"TERM": term}) is None


def test_what_says_more_of_its_colours_is_believed() -> None:
    assert colors("256", {"TERM": "vt100-256color"}) == "256"
    assert colors("truecolor", {"TERM": "vt100"}) == "truecolor"


@pytest.mark.parametrize(("environment", "words"), [({}, "TERM is not set"), ({"TERM": "dumb"}, "TERM is dumb")])
def test_where_nothing_can_be_drawn_one_line_says_so(environment: dict[str, str], words: str) -> None:
    with pytest.raises(CaptureError, match=f"{words}: .*--summary") as told:
        need_screen(environment)
    assert told.value.code == 2


def test_the_console_of_linux_gets_characters_that_its_font_has() -> None:
    look = Look.of_terminal("standard", False, "utf-8", console=True)
    # Those of code page 437 up to 0x1f, which Python's codec takes for controls, and the rest.
    known = "☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"
    drawn = "".join(value for name in Glyphs.__slots__ if isinstance(value := getattr(look.glyphs, name), str))
    drawn.translate(dict.fromkeys(map(ord, known))).encode("cp437")
    assert look.glyphs.corners == CONSOLE.corners
    assert Look.of_terminal("standard", False, "ascii", console=True).glyphs == ASCII
