"""Going about in what is kept, while more comes and the oldest leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netwatch.widgets.pane import Lines

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def text_of(widget: Lines) -> str:
    widget.paint()
    return "\n".join(widget.render_line(y).text for y in range(widget.size.height))


def rows_of(one: Any) -> list[str]:
    """Without the frame, on which the scroll bar moves."""
    return [row.strip("│┃") for row in text_of(one.app.screen.packets).splitlines()[2:-1]]


def footer_of(one: Any) -> str | None:
    notice: str | None = one.app.screen.query_one("#footer").notice
    return notice


def flood(one: Any, packets: list[bytes], times: int) -> None:
    for _ in range(times):
        one.feed(packets)


async def asked(one: Any, pilot: Any, text: str) -> str:
    """What the prompt says of `text`."""
    if not one.app.screen.query("#prompt"):
        await pilot.press("colon")
    one.app.screen.query_one("#prompt").field.value = text
    await pilot.pause()
    return str(one.app.screen.query_one("#prompt-verdict").render())


async def test_the_prompt_says_where_it_leads_and_why_not(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=1 << 20, packets=packets_of(900))
    flood(one, packets_of(900), 10)
    first = one.session.store.number(one.session.store.first)
    async with one.app.run_test(size=(80, 24)) as pilot:
        one.app.screen.paint_now()
        assert first is not None
        assert first > 1
        assert await asked(one, pilot, "1") == f"kept: {first:,}-9,900; packet 1 was evicted"
        assert await asked(one, pilot, "10000") == f"kept: {first:,}-9,900; no packet 10,000 so far"
        assert await asked(one, pilot, "-0.5") == "packet 9,400"
        assert await asked(one, pilot, "-99") == f"earlier than all that is kept: packet {first:,}"
        assert await asked(one, pilot, "9500") == "packet 9,500"
        assert await asked(one, pilot, "soon") == "a number, 4m10s, 12.5, -3 or 14:03:07"
        await asked(one, pilot, "9500")
        await pilot.press("enter")
        await pilot.pause()
        assert one.session.store.number(one.app.screen.packets.cursor) == 9500


async def test_with_a_filter_it_goes_to_the_nearest_that_is_shown_and_says_so(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a")
        hidden = next(index for index in range(100, 300) if index not in one.session.view)
        shown = one.session.view.indices(one.session.view.position(hidden), len(one.session.view))[0]
        assert await asked(one, pilot, str(hidden + 1)) == f"hidden by the filter: packet {shown + 1}"
        await pilot.press("enter")
        await pilot.pause()
        assert one.app.screen.packets.cursor == shown
        assert "the filter hides it" in one.app.screen.footer.notice


async def test_a_place_after_the_pause_is_told_as_such(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        one.feed(packets_of(50))
        assert await asked(one, pilot, "140") == "came after the pause: packet 100"
        await pilot.press("enter")
        await pilot.pause()
        assert one.app.screen.packets.cursor == 99
        assert one.session.paused


@pytest.mark.parametrize(
    "keys", [("pageup", "pageup"), ("left_square_bracket",), ("t",), ("slash", *"udp", "enter"), ("home",), ("N",)]
)
async def test_wherever_one_goes_in_a_pause_it_stays_on_screen(
    world: MakeWorld, packets_of: PacketsOf, keys: tuple[str, ...]
) -> None:
    one = world(buffer=1 << 20, packets=packets_of(900))
    flood(one, packets_of(900), 4)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space", *keys)
        await pilot.pause()
        before = rows_of(one)
        assert all(row.strip() for row in before)
        flood(one, packets_of(900), 12)
        assert one.session.evicted_since_pause > 5000
        assert rows_of(one) == before
        header = text_of(one.app.screen.query_one("#header"))
        assert "10.8k new" in header
        assert " evicted" in header
        line = text_of(one.app.screen.timeline)
        assert "─" in line, "what came since is out of reach"


async def test_an_opened_packet_outlives_its_eviction(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=1 << 20, packets=packets_of(900))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("home", "down", "enter")
        await pilot.pause()
        flood(one, packets_of(900), 12)
        assert 1 not in one.session.store
        head = str(one.app.screen.query_one("#detail-head").render())
        assert "Packet 2 " in head
        await pilot.press("m", "y", "N")
        assert footer_of(one) == "no earlier packet is kept any longer"
        head = str(one.app.screen.query_one("#detail-head").render())
        assert "Packet 2 " in head
        assert "no longer kept" in head
        await pilot.press("n")
        assert footer_of(one) == "what was opened is no longer kept: this is the first that is"
        assert "no longer kept" not in str(one.app.screen.query_one("#detail-head").render())
        await pilot.press("N")
        assert footer_of(one) == "no earlier packet is shown in the list"
        await pilot.press("escape")
        await pilot.pause()
        assert one.app.crash is None
        assert one.app.screen.packets.cursor in one.session.store


async def test_paused_an_opened_packet_is_where_one_comes_back_to(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(buffer=1 << 20, packets=packets_of(900))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space", "up", "up", "enter")
        await pilot.pause()
        flood(one, packets_of(900), 12)
        await pilot.press("N", "escape")
        await pilot.pause()
        assert one.app.screen.packets.cursor == 896
        assert all(row.strip() for row in rows_of(one))
        await pilot.press("end")
        assert one.app.screen.packets.cursor == one.session.store.end - 1


async def test_at_the_edges_keys_and_wheel_stay(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        one.app.state.ended = True
        await pilot.press("home", "pageup", "up")
        packets.scroll_rows(-3)
        assert packets.cursor == 0
        assert packets.cursor_line == 0
        await pilot.press(*["pagedown"] * 11, "down")
        assert packets.cursor == 99
        before = rows_of(one)
        packets.scroll_rows(3)
        await pilot.press("pagedown", "down", "right_square_bracket")
        assert rows_of(one) == before


async def test_at_the_end_of_a_pause_it_does_not_run_on(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(100))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        one.feed(packets_of(50))
        await pilot.press("pagedown", "down", "right_square_bracket")
        one.app.screen.packets.scroll_rows(3)
        assert one.session.paused
        assert one.app.screen.packets.cursor == 99
