"""The header: what must not be overlooked stands at every size, and numbers that run move nothing."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from netwatch.capture.block import Damage
from netwatch.widgets.parts import Part, arrange
from netwatch.widgets.units import quantity

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]

NOTHING = Style()


def header_of(one: Any) -> str:
    header = one.app.screen.query_one("#header")
    header.paint()
    return "\n".join(header.render_line(y).text for y in range(header.size.height))


def rates_of(bits_in: float, bits_out: float, packets: float) -> Any:
    import numpy as np

    history = np.full((4, 30), bits_in)
    bits = bits_in + bits_out
    return SimpleNamespace(
        bits=bits, bits_in=bits_in, bits_out=bits_out, packets=packets, peak_bits=bits, peak_packets=packets,
        history=lambda: history, add=lambda *_: None, tick=lambda *_: None,
    )  # fmt: skip


part = st.builds(
    lambda rank, widths, right: Part(
        rank, [[("x" * width, NOTHING)] for width in sorted(widths, reverse=True)], right
    ),
    st.integers(0, 9),
    st.lists(st.integers(1, 40), min_size=1, max_size=4),
    st.booleans(),
)


@given(st.lists(part, max_size=9), st.integers(0, 120))
def test_no_more_than_the_room_and_no_part_left_out_that_fits(parts: list[Part], width: int) -> None:
    pieces = arrange(parts, width, NOTHING)
    text = "".join(text for text, _ in pieces)
    assert len(text) <= width
    shown = text.split()
    least = sorted(len(part.forms[-1][0][0]) for part in parts)
    if len(shown) < len(parts):
        used = sum(map(len, shown)) + len(shown)
        assert width + 1 - used < least[-1] + 1, "another part would have had room"


def test_the_lowest_rank_has_room_first_and_grows_first() -> None:
    parts = [Part(2, [[("aaaa", NOTHING)]]), Part(1, [[("bbbbbb", NOTHING)], [("b", NOTHING)]], right=True)]
    texts = ["".join(text for text, _ in arrange(parts, width, NOTHING)) for width in (12, 11, 10, 6, 3, 0)]
    assert texts == ["aaaa  bbbbbb", "aaaa bbbbbb", "aaaa     b", "aaaa b", "  b", ""]


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40), (200, 60)])
async def test_pause_filter_and_loss_stand_together(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int]
) -> None:
    one = world(buffer=2 << 20, packets=packets_of(300))
    async with one.app.run_test(size=size) as pilot:
        await pilot.press("t", "space")
        for _ in range(40):
            one.feed(packets_of(400))
        one.source.lost.ring = 12_345_678
        text = header_of(one)
        assert "PAUSED" in text
        assert quantity(one.session.new_since_pause) in text
        assert quantity(one.session.evicted_since_pause) in text
        assert "FILTER" in text
        assert "LOST" in text
        assert "ring" in text
        assert "12,345,678" in text or "12.3M" in text
        assert "…" not in text
        chip = next(s for s in one.app.screen.query_one("#header").render_line(0) if "LOST" in s.text)
        assert chip.style is not None
        assert chip.style == one.app.look["alert-chip"]


@pytest.mark.parametrize("name", ["eth0", "wlp0s20f3", "enx00e04c680001"])
async def test_all_numbers_stand_at_80_columns(world: MakeWorld, packets_of: PacketsOf, name: str) -> None:
    one = world(packets=packets_of(300))
    one.source.name = name
    one.session._own = frozenset({(0, 0, 0)})  # directions are known
    places = set()
    async with one.app.run_test(size=(80, 24)):
        for packets, incoming, outgoing in ((0.0, 0.0, 0.0), (7.0, 1.0, 10.0), (123_456.0, 9.87e9, 1.23e6)):
            one.session.rates = rates_of(incoming, outgoing, packets)
            text = header_of(one)
            for words in (name[:7], " LIVE ", " p/s", "▼", "▲", "/s ", " pkts", "lost 0", "/256M"):
                assert words in text
            assert re.search(r"\d+/256M +300 299ms", text) or len(name) > 8
            places.add(tuple(text.index(words) for words in (" p/s", "▼", "▲", " pkts", "lost 0")))
    assert len(places) == 1


async def test_the_sparkline_stands_from_100_columns_on(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    one.session._own = frozenset({(0, 0, 0)})
    one.session.rates = rates_of(9.87e9, 1.23e6, 123_456.0)
    async with one.app.run_test(size=(100, 24)):
        assert header_of(one).count("█") >= 6


async def test_out_never_stands_without_in(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    one.session._own = frozenset({(0, 0, 0)})
    one.source.lost.interface = 99_999
    async with one.app.run_test(size=(200, 31)) as pilot:
        for width in range(60, 201, 7):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            text = header_of(one)
            assert ("▼" in text) == ("▲" in text)
            assert len(text) == width


async def test_a_pause_does_not_hide_how_a_file_ended(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(50))
    one.source.damage = Damage(1234, "a length that cannot be")
    one.engine.ended = False
    async with one.app.run_test(size=(60, 16)) as pilot:
        await pilot.press("space", "t")
        one.engine.ended = True
        await pilot.pause(0.2)
        text = header_of(one)
        for words in ("DAMAGED", "PAUSED", "FILTER"):
            assert words in text
        assert " new" not in text


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("the file shrank at byte 1000000 while it was read", "damaged: the file shrank at byte 1,000,000 while"),
        ("a length that cannot be", "damaged at byte 1,000,000: a length that"),
        ("it shrank at byte 10000001", "damaged at byte 1,000,000: it shrank at byte 10000001"),
    ],
)
async def test_where_a_file_is_damaged_is_said_once(
    world: MakeWorld, packets_of: PacketsOf, message: str, words: str
) -> None:
    one = world(live=False, buffer=None, packets=packets_of(50))
    one.source.damage = Damage(1_000_000, message)
    async with one.app.run_test(size=(100, 24)) as pilot:
        await pilot.pause(0.2)
        assert words in (one.app.screen.footer.notice or "")


async def test_a_file_that_is_followed_says_so_and_is_followed_at_its_end(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = world(live=False, buffer=None, follows_from=1 << 20, packets=packets_of(50))
    one.engine.ended = False
    async with one.app.run_test(size=(100, 30)) as pilot:
        assert "LOADING" in header_of(one)
        one.source.progress = lambda: None
        assert " FOLLOWING " in header_of(one)
        assert one.app.screen.packets.follow
        one.feed(packets_of(10))
        one.app.screen.paint()
        await pilot.pause()
        assert one.app.screen.packets.visible_range()[1] == 59


async def test_header_and_line_of_time_agree_how_far_a_file_is_read(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(50))
    one.engine.ended = False
    steps = iter(range(10_000))
    one.source.progress = lambda: (next(steps), 10_000)  # at each look a little further
    async with one.app.run_test(size=(100, 30)) as pilot:
        for _ in range(20):
            one.app.screen.paint()
            lines = [one.app.screen.query_one(name).render_line(0).text for name in ("#header", "#timeline")]
            shares = [re.findall(r"(\d+)%", line) for line in lines]
            assert shares[0] == shares[1] != []
            for _ in range(70):
                next(steps)
        await pilot.pause()


async def test_while_paused_list_and_gauge_tell_two_counts_apart(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(120, 40)) as pilot:
        packets = one.app.screen.packets
        await pilot.pause()
        packets.paint()
        assert " 300 kept " in packets.render_line(packets.size.height - 1).text
        await pilot.press("space")
        one.feed(packets_of(100))
        packets.paint()
        assert " 300 kept before the pause " in packets.render_line(packets.size.height - 1).text
        assert " 400 packets " in header_of(one)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((60, 40), r"\d+/64M "),
        ((80, 24), r"\d+/64M 3850 3\.8s"),
        ((100, 24), r"\d+/64M · 3850 · 3\.8s"),
        ((120, 24), r"\d+/64 MiB · 3850 packets · 3\.8 s"),
        ((160, 50), r"buffer \S+ +\d+/64 MiB · 3850 packets · 3\.8 s · +0 evicted"),
    ],
)
async def test_the_gauge_says_what_is_kept_and_for_how_long(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int], expected: str
) -> None:
    one = world(buffer=64 << 20, packets=packets_of(3850))
    async with one.app.run_test(size=size) as pilot:
        await pilot.pause(0.1)
        assert re.search(expected, header_of(one).splitlines()[0])


async def test_of_a_file_the_gauge_has_no_budget(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(12_000))
    async with one.app.run_test(size=(160, 50)):
        assert re.search(r"\d+ MiB · 12\.0 k packets · 11\.9 s", header_of(one))


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160, 200])
@pytest.mark.parametrize(
    ("cause", "advice"),
    [("ring", "--ring 128M"), ("interface", "ethtool -G"), ("writer", "a faster disk")],
)
async def test_a_loss_comes_with_what_helps(
    world: MakeWorld, packets_of: PacketsOf, width: int, cause: str, advice: str
) -> None:
    one = world(packets=packets_of(20))
    setattr(one.source.lost, cause, 1234)
    async with one.app.run_test(size=(width, 24)):
        text = header_of(one)
        assert cause in text
        if width >= 80:
            assert advice in text


@pytest.mark.parametrize(("number", "advice"), [(errno.ENOSPC, "make room"), (errno.EIO, "Input/output error")])
async def test_what_the_disk_said_is_what_is_advised(
    world: MakeWorld, packets_of: PacketsOf, number: int, advice: str
) -> None:
    one = world(packets=packets_of(20))
    one.source.lost.writer = 2720
    one.app.state.fault = OSError(number, os.strerror(number))
    async with one.app.run_test(size=(80, 24)):
        text = header_of(one)
        assert advice in text
        assert "disk" not in text


async def test_a_ring_that_was_full_is_told_before_anything_is_lost(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(20))
    one.source.lost.freezes = 3
    one.source.ring_size, one.source.ring_most = 512 << 20, 600 << 20
    async with one.app.run_test(size=(120, 24)):
        text = header_of(one)
        assert "ring full 3×: try -s 128, or a capture filter" in text
        assert "LOST" not in text


async def test_help_tells_all_causes(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(20))
    one.source.lost.ring, one.source.lost.freezes, one.source.ring_size = 12_345, 2, 64 << 20
    async with one.app.run_test(size=(140, 60)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause(0.1)
        text = " ".join(str(one.app.screen.query_one("#help-text").render()).split())
    for words in (
        "lost 12,345: ring 12,345, interface 0, writer 0",
        "The ring was full 2 times",
        "The kernel's ring takes 64M beside the buffer",
    ):
        assert words in text
