"""Breakdown and talkers: the cursor belongs to a key, and its row keeps its line while ranks change."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def shown_line(table: Any) -> int:
    """Line of the body on which the screen shows the cursor's key."""
    at = next(at for at, row in enumerate(table.rows) if table.key_of(row) == table.cursor)
    return int(at - table._top)


@pytest.mark.parametrize(("tabs", "name"), [(1, "breakdown"), (2, "talkers")])
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_random_updates(
    world: MakeWorld, packets_of: PacketsOf, tabs: int, name: str, size: tuple[int, int]
) -> None:
    stock = packets_of(400)
    one = world(packets=stock[:60])
    chance = random.Random(size[0] + tabs)
    async with one.app.run_test(size=size) as pilot:
        table = one.app.screen.query_one("#" + name)
        table.look_up(now=True)
        await pilot.press(*["tab"] * tabs, *["down"] * 2)
        for _ in range(40):
            key, line = table.cursor, table.cursor_line
            one.feed(chance.choices(stock, k=chance.randrange(1, 120)))
            table.look_up(now=True)
            assert table.cursor == key
            assert shown_line(table) == table.cursor_line == line
            if chance.random() < 0.3:
                await pilot.press(chance.choice(["up", "down", "down", "pagedown", "home"]))


async def test_tables_are_sorted_again_at_most_once_a_second(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(10))
    async with one.app.run_test(size=(80, 24)):
        table = one.app.screen.query_one("#talkers")
        moment = [100.0]
        table._clock = lambda: moment[0]
        table.look_up(now=True)
        before = list(table.rows)
        one.feed(packets_of(50))
        moment[0] = 100.9
        table.look_up()
        assert table.rows == before
        moment[0] = 101.0
        table.look_up()
        assert table.rows != before


async def test_enter_shows_only_this_and_escape_goes_back(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        talkers = one.app.screen.query_one("#talkers")
        await pilot.press("tab", "tab", "enter")
        first = one.session.filter_text
        assert first == f"ip.addr == {talkers.selected_row.address}"
        await pilot.press("down", "enter")
        assert one.session.filter_text != first
        await pilot.press("escape")
        assert one.session.filter_text == first
        await pilot.press("escape")
        assert one.session.filter_text == ""
        await pilot.press("escape")
        assert one.app.screen.packets.has_focus


async def test_every_protocol_of_the_tree_can_be_filtered_for(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab")
        table = one.app.screen.query_one("#breakdown")
        for _ in range(len(table.rows)):
            await pilot.press("enter")
            assert one.session.filter_text == table.selected_row.protocol.name
            await pilot.press("down")


async def test_branches_fold(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        table = one.app.screen.query_one("#breakdown")
        await pilot.press("tab", "home")
        whole = [table.key_of(row) for row in table.rows]
        await pilot.press("h")
        folded = [table.key_of(row) for row in table.rows]
        top = whole[0]
        assert folded == [path for path in whole if path == top or not path.startswith(top + ":")]
        assert table.cursor == top
        await pilot.press("l")
        assert [table.key_of(row) for row in table.rows] == whole
        await pilot.press("l")
        assert table.cursor == whole[1]
        await pilot.press("h", "h", "h")
        assert table.cursor == top


async def test_statistics_of_the_filter_say_so(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(80, 24)) as pilot:
        talkers = one.app.screen.query_one("#talkers")
        bottom = talkers.size.height - 1
        assert "of all" in talkers.render_line(bottom).text
        await pilot.press("d", "S")
        assert "of the filter" in talkers.render_line(bottom).text
        dns = one.session.statistics.switch_packets()["d"]
        assert one.session.shown_statistics.packets == dns
        await pilot.press("0")
        assert "of all" in talkers.render_line(bottom).text, "there is no filter"
        await pilot.press("d")
        assert "of the filter" in talkers.render_line(bottom).text
        await pilot.press("S")
        assert "of all" in talkers.render_line(bottom).text


async def test_every_address_can_be_filtered_for(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab", "tab")
        table = one.app.screen.query_one("#talkers")
        kinds = set()
        for _ in range(len(table.rows)):
            await pilot.press("enter")
            address = table.selected_row.address
            kinds.add(table.selected_row.kind)
            assert one.session.filter_text.endswith(f" {address}")
            assert one.session.matches > 0
            await pilot.press("down")
        assert len(kinds) == 3


async def test_a_branch_that_is_opened_leaves_no_line_empty(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(80, 24)) as pilot:
        table = one.app.screen.query_one("#breakdown")
        await pilot.press("S", "tab", "end")
        chosen = table.cursor
        await pilot.press("enter")
        for _ in range(3):
            assert table.cursor == chosen
            assert table.render_line(1).text.strip("│┃ ")
            one.feed(packets_of(100))
            table.look_up(now=True)
