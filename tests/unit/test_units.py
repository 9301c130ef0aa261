"""Numbers of a fixed width: what may run without moving its neighbours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.widgets.painting import bar, braille, fit, fit_left, fit_middle, harmless, width_of
from netwatch.widgets.palette import ASCII, UNICODE, Look
from netwatch.widgets.units import exact, length, mebibytes, quantity, rate, short

_CASES = [
    # value, quantity, short, rate
    (0, "0", "0", "0"),
    (999, "999", "999", "999"),
    (1000, "1000", "1.0k", "1.00k"),
    (9949, "9949", "9.9k", "9.95k"),
    (9999, "9999", "10k", "10.0k"),
    (10_000, "10.0k", "10k", "10.0k"),
    (65_600, "65.6k", "66k", "65.6k"),
    (99_999, "100k", "100k", "100k"),
    (100_000, "100k", "100k", "100k"),
    (999_499, "999k", "999k", "999k"),
    (999_500, "1.00M", "1.0M", "1.00M"),
    (12_345_678, "12.3M", "12M", "12.3M"),
    (10**18, "1.00E", "1.0E", "1.00E"),
]


@pytest.mark.parametrize(("value", "in_five", "in_four", "speed"), _CASES)
def test_examples(value: int, in_five: str, in_four: str, speed: str) -> None:
    assert (quantity(value), short(value), rate(value)) == (in_five, in_four, speed)


@given(st.integers(0, 10**20))
def test_numbers_never_outgrow_their_width(value: int) -> None:
    assert len(quantity(value)) <= 5
    assert len(short(value)) <= 4
    assert len(rate(float(value))) <= 5


def test_other_units() -> None:
    assert [length(size) for size in (0, 65_549, 99_999, 262_144)] == ["0", "65549", "99999", "262k"]
    assert exact(1234567) == "1,234,567"
    assert mebibytes(212 << 20) == "212"


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_text_is_fitted_to_the_cell(text: str, width: int) -> None:
    text = harmless(text)
    assert text.isprintable() or text == ""
    for fitted in (fit(text, width), fit_left(text, width)):
        assert width_of(fitted) == width


def test_an_address_loses_its_middle() -> None:
    shortened = fit_middle("2001:db8:1:2:3:4:5:6", 15)
    assert len(shortened) == 15
    assert shortened.startswith("2001:db")
    assert shortened.endswith(":4:5:6")
    assert fit_middle("192.0.2.1", 15) == "192.0.2.1      "


@given(st.floats(0, 1), st.integers(0, 50))
def test_a_bar_fills_its_cells(share: float, width: int) -> None:
    for glyphs in (UNICODE, ASCII):
        filled, track = bar(share, width, glyphs)
        assert len(filled) + len(track) == width
        assert bool(filled) == (share > 0 and width > 0)


@given(st.lists(st.floats(0, 1e12), max_size=50), st.integers(1, 20), st.integers(1, 4), st.booleans())
def test_a_graph_has_its_size(values: list[float], width: int, rows: int, hanging: bool) -> None:
    lines = braille(values, max(values, default=0.0), width, rows, hanging=hanging)
    assert [len(line) for line in lines] == [width] * rows
    assert any(line.strip() for line in lines) == any(value > 0 for value in values[-width * 2 :])


def test_every_depth_has_every_style() -> None:
    looks = [Look("full"), Look("ansi"), Look("mono")]
    assert len({frozenset(look.roles) for look in looks}) == 1
    assert len({frozenset(look.families) for look in looks}) == 1
    assert all(style.color is None and style.bgcolor is None for style in looks[2].roles.values())


@pytest.mark.parametrize(
    ("system", "no_color", "encoding", "depth", "glyphs"),
    [
        ("truecolor", False, "utf-8", "full", "╭╮╰╯"),
        ("256", False, "UTF-8", "full", "╭╮╰╯"),
        ("standard", False, "utf-8", "ansi", "╭╮╰╯"),
        ("truecolor", True, "utf-8", "mono", "╭╮╰╯"),
        (None, False, "ISO-8859-1", "mono", "++++"),
    ],
)
def test_a_look_for_every_terminal(
    system: str | None, no_color: bool, encoding: str, depth: str, glyphs: str
) -> None:
    look = Look.of_terminal(system, no_color, encoding)
    assert (look.depth, look.glyphs.corners) == (depth, glyphs)
