"""The other face of the talkers: who talks to whom, counted only while it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from netwatch.capture import session as session_module

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


async def test_v_turns_the_table_over_and_back(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(120, 40)) as pilot:
        talkers, conversations = (one.app.screen.query_one(name) for name in ("#talkers", "#conversations"))
        counted: Any = one.session.conversations
        assert counted is None
        await pilot.press("tab", "tab", "v")
        assert (talkers.display, conversations.display, conversations.has_focus) == (False, True, True)
        assert sum(row.packets for row in conversations.rows) == one.session.conversations.packets == 200
        one.feed(packets_of(100))
        conversations.look_up(now=True)
        assert sum(row.packets for row in conversations.rows) == 300
        await pilot.press("v")
        assert (talkers.display, conversations.display, talkers.has_focus) == (True, False, True)
        assert one.session.conversations is None


async def test_every_conversation_can_be_shown_alone(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(60))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("v", "tab", "tab", "home")
        table = one.app.screen.query_one("#conversations")
        for _ in range(len(table.rows)):
            row = table.selected_row
            await pilot.press("enter")
            assert one.session.filter_text == row.filter
            # The mixture has conversations between the same ends with their ports the other way round.
            crossed = [
                other.packets
                for other in table.rows
                if (other.left._replace(port=0), other.right._replace(port=0))
                == (row.right._replace(port=0), row.left._replace(port=0))
                and (other.left.port, other.right.port, other.protocol)
                == (row.left.port, row.right.port, row.protocol)
                and other.key != row.key
            ]
            assert one.session.matches == row.packets + sum(crossed)
            await pilot.press("down")


@pytest.mark.parametrize("keys", [("v",), ("t", "S"), ("t", "S", "v")])
async def test_what_is_not_yet_counted_is_told(
    world: MakeWorld, packets_of: PacketsOf, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...]
) -> None:
    monkeypatch.setattr(session_module, "AT_ONCE", -1)
    monkeypatch.setattr(session_module, "BETWEEN", -1)
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        frames = []
        for between in (-1, 60):
            monkeypatch.setattr(session_module, "BETWEEN", between)
            while one.session.catch_up() and between > 0:
                pass
            for table in one.app.screen.tables:
                table.look_up(now=True)
            frames.append([table.render_line(table.size.height - 1).text for table in one.app.screen.tables])
        counting = ["S" in keys, True]  # the breakdown, and the talkers or conversations beside it
        assert ["counting 0 %" in text for text in frames[0]] == counting
        assert not any("counting" in text for text in frames[1])


async def test_conversations_of_the_filter(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("v", "d")
        whole = one.session.conversations.packets
        assert whole == 300, "a filter alone changes nothing"
        await pilot.press("S")
        assert one.session.conversations.packets == one.session.statistics.switch_packets()["d"]
        one.feed(packets_of(300))
        assert one.session.conversations.packets == one.session.statistics.switch_packets()["d"]
        await pilot.press("S")
        assert one.session.conversations.packets == 600


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (100, 30), (120, 40), (160, 50), (240, 60)])
async def test_both_ends_and_the_bytes_stand_at_every_width(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int]
) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=size) as pilot:
        await pilot.press("v", "t", "S")
        await pilot.pause(0.1)
        table = one.app.screen.query_one("#conversations")
        table.look_up(now=True)
        lines = [table.render_line(y).text for y in range(table.size.height)]
        assert "Conversations" in lines[0]
        assert all(len(line) == table.size.width for line in lines)
        left, right, *numbers = re.findall(r"[^│┃\s]+", lines[1])
        assert numbers[0][-1].isdigit() or numbers[0].isalpha()
        for end in (left, right):
            # Cut from the front, if at all: the port stands, and what tells hosts of one network apart.
            assert re.search(r"\.\d+:\d+$", end)
            assert size[0] == 60 or re.fullmatch(r"[\d.]+:\d+", end)
