"""The prompts: no key gets past them, none is lost on the way in, and a click elsewhere ends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from netwatch.widgets.packet_list import PacketList
from netwatch.widgets.prompt import Prompt

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def type_at_once(app: Any, keys: str) -> None:
    """All keys are on their way before the first is looked at, as when they come in one piece."""
    named = {"/": "slash", ":": "colon", "\r": "enter", "\x7f": "backspace", "\x15": "ctrl+u", "\t": "tab"}
    named |= {"\x01": "ctrl+a", "\x04": "ctrl+d", "\x17": "ctrl+w", "↑": "up", "←": "left"}
    for key in keys:
        app.post_message(events.Key(named.get(key, key), key if key.isprintable() and key not in "↑←" else None))


async def test_what_is_typed_in_one_piece_reaches_the_filter(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(80, 24)) as pilot:
        type_at_once(one.app, "/udp\r")
        await pilot.pause(0.3)
        assert one.session.filter_text == "udp"
        assert not one.session.switches
        assert not one.app.screen.query(Prompt)


async def test_what_is_typed_behind_enter_is_not_for_the_prompt(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(200))
    async with one.app.run_test(size=(80, 24)) as pilot:
        type_at_once(one.app, "/udp\rgjjm")
        await pilot.pause(0.5)
        assert one.session.filter_text == "udp"
        shown = one.session.view.indices(0, 200).tolist()
        assert one.session.marked == {shown[2]}
        type_at_once(one.app, "/nonsense here\rx")
        await pilot.pause(0.3)
        assert one.app.screen.query_one(Input).value == "udpnonsense herex", "not a filter: one types on"


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        ("udp\x7f\x7f\x7ftcp", "tcp"),
        ("arp or\x15dns", "dns"),
        ("cp\x01t\x04\x04cp", "tcp"),
        ("ud←←x\x7f\x17p", "pud"),
        ("dns and tc\t", "dns and tcp"),
        ("icm\t\x7f", "icm"),
        ("↑\x01!", "!arp"),
        ("x↑\x7fx", "arx"),
    ],
)
async def test_keys_that_edit_keep_their_place_among_those_that_are_inserted(
    world: MakeWorld, keys: str, value: str
) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        type_at_once(one.app, "/arp\r/\x15" + keys)
        for _ in range(40):
            await pilot.pause(0.05)
            if [field.value for field in one.app.screen.query(Input)] == [value]:
                break
        assert one.app.screen.query_one(Input).value == value


async def test_with_nothing_selected_ctrl_x_leaves_the_clipboard_alone(world: MakeWorld) -> None:
    one = world()
    written: list[str] = []
    one.app.copy_to_clipboard = written.append
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"udp", "ctrl+x")
        assert one.app.screen.query_one(Input).value == "udp"
        assert written == []
        await pilot.press("shift+left", "ctrl+x")
        assert one.app.screen.query_one(Input).value == "ud"
        assert written == ["p"]


async def test_slash_and_colon_can_be_typed(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"fe80", "colon", "colon", "1", "slash", *"64")
        assert one.app.screen.query_one(Input).value == "fe80::1/64"


async def test_tab_completes_and_stays(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", *"tc")
        await pilot.pause(0.2)
        await pilot.press("tab")
        field = one.app.screen.query_one(Input)
        assert field.value == "tcp"
        assert field.has_focus
        await pilot.press("shift+tab", "escape")
        assert not one.app.screen.query(Prompt)
        assert one.app.screen.packets.has_focus


@pytest.mark.parametrize("place", ["#talkers", "#list"])
async def test_a_click_elsewhere_ends_it_and_keeps_the_filter(
    world: MakeWorld, packets_of: PacketsOf, place: str
) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("slash", *"dns")
        await pilot.click(place, offset=(5, 3))
        await pilot.pause(0.1)
        assert not one.app.screen.query(Prompt)
        assert one.session.filter_text == "dns"
        assert one.app.screen.query_one(place).has_focus
        await pilot.press("slash")
        assert one.app.screen.query_one(Input).has_focus


async def test_the_focus_goes_straight_back_to_the_list(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        for last in ("enter", "escape"):
            await pilot.press("slash", *"dns", last)
            assert one.app.screen.query_one(PacketList).has_focus
            assert all(table.cursor is None for table in one.app.screen.tables)


async def test_q_closes_the_help(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        assert len(one.app.screen_stack) == 2
        await pilot.press("q")
        assert len(one.app.screen_stack) == 1


async def test_fields_and_bytes_have_room_on_the_smallest_screen(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(20))
    async with one.app.run_test(size=(60, 16)) as pilot:
        await pilot.press("home", "enter")
        await pilot.pause(0.2)
        for name in ("#detail-tree", "#detail-hex"):
            assert one.app.screen.query_one(name).size.height >= 3


async def test_on_the_smallest_screen_the_help_cuts_no_line(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(60, 16)) as pilot:
        await pilot.press("question_mark")
        text = one.app.screen.query_one("#help-text")
        assert text.size.width <= 52
        lines = str(text.render()).splitlines()
        assert max(map(len, lines)) <= 52
        assert "marks, of the conversation" in " ".join(" ".join(lines).split())
