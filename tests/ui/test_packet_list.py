"""The cursor of the packet list belongs to a packet, and keeps its line."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from textual.cache import LRUCache
from textual.events import MouseScrollDown, MouseScrollUp

from netwatch.widgets.packet_list import PacketList

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def line_text(packets: PacketList, y: int) -> str:
    return packets.render_line(y).text


def place(one: Any) -> tuple[int | None, int]:
    """Packet and line of the cursor, and that line is where the screen shows it."""
    packets = one.app.screen.packets
    packets.paint()
    return packets.cursor, packets.cursor_line


async def test_live_it_follows_until_one_moves_up(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(120, 40)) as pilot:
        packets = one.app.screen.packets
        assert packets.cursor == 49
        one.feed(packets_of(10))
        assert place(one)[0] == 59
        await pilot.press("k")
        assert not packets.follow
        one.feed(packets_of(10))
        assert place(one)[0] == 58
        await pilot.press("G")
        assert packets.follow
        one.feed(packets_of(1))
        assert place(one)[0] == 70


async def test_a_file_is_read_from_its_start(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)):
        assert place(one) == (0, 0)
        one.feed(packets_of(50))
        assert place(one) == (0, 0)


async def test_lines_that_are_kept_may_go_while_others_are_made(world: MakeWorld, packets_of: PacketsOf) -> None:
    """On the way up the last rows of a page were there before: the oldest that are kept."""
    one = world(packets=packets_of(400))
    async with one.app.run_test(size=(120, 24)) as pilot:
        packets = one.app.screen.packets
        await pilot.press("home", "pagedown", "pagedown")
        for most in range(9, 13):
            packets._drawn = LRUCache(most)
            packets.paint()
            await pilot.press(*["up"] * 6, "pageup", "pagedown")
            assert f" {packets.cursor + 1} " in line_text(packets, packets.cursor_line + 2)


async def test_random_arrivals_evictions_and_moves(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=1 << 20, packets=packets_of(2000))
    chance = random.Random(7)
    stock = packets_of(700)
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("home", *["down"] * 12)
        stood = 0
        for _ in range(60):
            before = place(one)
            one.feed(stock[: chance.randrange(1, 500)])
            after = place(one)
            if before[0] in one.session.store:
                assert after == before
                stood += 1
            else:
                assert after[0] == one.session.store.first
            if chance.random() < 0.4:
                await pilot.press(chance.choice(["up", "down", "pageup", "pagedown"]))
            if chance.random() < 0.1:
                await pilot.press("home", "pagedown", "down")
            y = one.app.screen.packets.cursor_line + 2
            number = one.session.store.number(one.app.screen.packets.cursor)
            assert f" {number} " in line_text(one.app.screen.packets, y)
        assert one.session.store.evicted > 0
        assert stood > 20


async def test_a_filter_keeps_the_packet_and_gives_it_back(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("home", *["pagedown"] * 5)
        chosen = one.app.screen.packets.cursor
        for key in "tdwuac":
            await pilot.press(key)
            shown = one.app.screen.packets.cursor
            view = one.session.view
            assert shown in view
            assert view.position(shown) == min(view.position(chosen), len(view) - 1)
            await pilot.press("0")
            assert one.app.screen.packets.cursor == chosen


async def test_marks_and_matches(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("home", "m", *["down"] * 9, "m", *["down"] * 9, "m")
        assert one.session.marked == {0, 9, 18}
        await pilot.press("home", "n")
        assert one.app.screen.packets.cursor == 9
        await pilot.press("n", "n", "n")
        assert one.app.screen.packets.cursor == 18
        await pilot.press("N", "m", "home", "n")
        assert one.app.screen.packets.cursor == 18


async def test_without_marks_n_goes_through_the_conversation(world: MakeWorld, packets_of: PacketsOf) -> None:
    stock = packets_of(40)
    expected = [7, 8, 23, 61]
    packets = [stock[2] if at in (0, *expected) else stock[3] for at in range(70)]
    one = world(packets=packets)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("home")
        visited = []
        for _ in expected:
            await pilot.press("n")
            visited.append(one.app.screen.packets.cursor)
        assert visited == expected
        await pilot.press("N")
        assert one.app.screen.packets.cursor == expected[-2]


async def test_go_to_a_packet(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("colon", "4", "2", "enter")
        await pilot.pause()
        assert one.app.screen.packets.cursor == 41
        assert one.app.screen.packets.has_focus


async def test_time_formats_go_round(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(9))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        seen = []
        for _ in range(4):
            seen.append(line_text(packets, 3)[2:].split()[0])
            await pilot.press("T")
        assert seen[0] == "0.001000"
        assert seen[1] == "0.001000"
        assert seen[3] == "22:13:20.001"
        assert line_text(packets, 3)[2:].split()[0] == seen[0]


async def test_events_run_across_the_list(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(5))
    one.feed([b"test0 is down"], event=True)
    one.feed(packets_of(2))
    async with one.app.run_test(size=(80, 24)):
        text = line_text(one.app.screen.packets, 2 + 5)
        assert "test0 is down" in text
        assert text.endswith("───│")
        assert "7 kept" in line_text(one.app.screen.packets, one.app.screen.packets.size.height - 1)


async def test_malformed_and_marked_rows_have_signs(world: MakeWorld, packets_of: PacketsOf) -> None:
    good = packets_of(3)
    one = world(live=False, buffer=None, packets=[*good, good[0][:20]])
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        assert line_text(packets, 5)[1] == "!"
        await pilot.press("down", "m")
        assert line_text(packets, 3)[1] == "◆"


async def test_bytes_that_a_shrunken_file_lost_are_no_cut(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(3))
    read = one.session.store.data
    one.session.store.data = lambda index: read(index)[: 20 if index == 1 else None]
    one.source.shrank_at = 77
    async with one.app.run_test(size=(120, 40)):
        packets = one.app.screen.packets
        size = int(one.session.store.rows(np.array([1])).caplen[0])
        missing = size - 20
        assert missing > 0
        assert f"file shrank at byte 77: {missing} of {size} bytes gone" in line_text(packets, 3)
        assert "file shrank" not in line_text(packets, 2) + line_text(packets, 4)


async def test_a_click_selects_and_a_second_opens(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        assert await pilot.click("#list", offset=(10, 6))
        assert one.app.screen.packets.cursor == 4
        await pilot.double_click("#list", offset=(10, 6))
        await pilot.pause()
        assert len(one.app.screen_stack) == 2
        await pilot.press("escape")
        await pilot.pause()
        assert one.app.screen.packets.cursor == 4


async def test_what_is_copied_is_the_whole_line(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(3))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("y")
        fields = one.app.clipboard.split("\t")
        assert fields[0] == "1"
        assert len(fields) == 7
        assert "\x1b" not in one.app.clipboard


async def test_slow_words_come_with_later_frames(
    world: MakeWorld, packets_of: PacketsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.widgets.packet_list._DISSECT_BUDGET", 0.0)
    one = world(live=False, buffer=None, packets=packets_of(50))
    async with one.app.run_test(size=(120, 40)):
        packets = one.app.screen.packets
        packets.go_last()
        assert sum(" …" in line_text(packets, y) for y in range(packets.size.height)) > 10
        for _ in range(packets.size.height):
            packets.paint()
        assert [y for y in range(packets.size.height) if " …" in line_text(packets, y)] == []


async def test_the_wheel_scrolls(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        top = packets.visible_range()[0]
        packets.post_message(MouseScrollUp(packets, 5, 5, 0, -1, 0, False, False, False))
        await pilot.pause()
        assert packets.visible_range()[0] == top - 3
        assert not packets.follow
        packets.post_message(MouseScrollDown(packets, 5, 5, 0, 1, 0, False, False, False))
        await pilot.pause()
        assert packets.visible_range()[0] == top


@pytest.mark.parametrize(("size", "last"), [((80, 24), 4_000), ((80, 24), 250_000), ((120, 40), 4_000)])
async def test_the_points_of_the_times_stand_under_each_other(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int], last: int
) -> None:
    one = world(live=False, buffer=None, packets=packets_of(5))
    one._fed = 999_999
    one.feed(packets_of(2))
    one._fed = last * 1000
    one.feed(packets_of(2))
    async with one.app.run_test(size=size):
        packets = one.app.screen.packets
        packets.paint()
        rows = [line_text(packets, y) for y in range(2, 11)]
        assert str(last) in rows[-1]
        assert len({row.index(".") for row in rows}) == 1
