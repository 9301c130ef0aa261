"""The line of time: a file that is being read, and travelling in what is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netwatch.capture.pace import Pace

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def line_of(one: Any) -> str:
    timeline = one.app.screen.timeline
    timeline.paint()
    text: str = timeline.render_line(0).text
    return text


def loading(world: MakeWorld, packets: list[bytes]) -> Any:
    """A file of which 43 of 100 bytes are read."""
    one = world(live=False, buffer=None, packets=packets)
    one.source.exhausted = one.engine.ended = False
    one.source.progress = lambda: (43, 100)
    return one


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_a_file_that_is_read_says_how_far_it_is_and_how_to_stop(
    world: MakeWorld, packets_of: PacketsOf, width: int
) -> None:
    one = loading(world, packets_of(50))
    async with one.app.run_test(size=(width, 24)):
        text = line_of(one)
        assert len(text) == width
        assert " 43%" in text
        assert "esc stops" in text
        assert text.count("━") / (text.count("━") + text.count("─")) == pytest.approx(0.43, abs=0.04)
        assert "50 packets" in text


async def test_what_is_left_is_told_by_the_speed_of_late(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = loading(world, packets_of(50))
    async with one.app.run_test(size=(100, 24)):
        timeline = one.app.screen.timeline
        moments = iter([100.0, 101.0])
        timeline._read.clear()
        timeline._clock = lambda: next(moments)
        one.source.progress = lambda: (20, 100)
        timeline._loading(100)
        one.source.progress = lambda: (40, 100)
        text = "".join(piece for piece, _ in timeline._loading(100))
        assert "   3 s left" in text


async def test_escape_stops_reading_once_there_is_nothing_else_to_go_back_from(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = loading(world, packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "escape")
        assert not one.engine.held
        await pilot.press("escape")
        assert one.engine.held
        text = line_of(one)
        assert "stopped at 43%" in text
        assert "L reads on" in text
        header = one.app.screen.query_one("#header")
        header.paint()
        assert "STOPPED  43%" in header.render_line(0).text
        await pilot.press("escape")
        assert one.engine.held, "escape alone never starts anything"
        await pilot.press("L")
        assert not one.engine.held
        await pilot.click("#timeline", offset=(line_of(one).index("esc stops") + 1, 0))
        assert one.engine.held


async def test_where_nothing_is_read_there_is_nothing_to_stop(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape", "L")
        assert not one.engine.held
        assert "nothing to stop" in (one.app.screen.footer.notice or "")


async def test_steps_and_clicks_travel_in_the_time_that_is_kept(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(401))  # a millisecond apart: 400 ms
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        one.app.state.ended = True
        text = line_of(one)
        assert " at 0.0 ms " in text
        assert " 400.0 ms " in text
        assert "[ ] 20 ms" in text
        await pilot.press("right_square_bracket", "right_square_bracket")
        assert packets.cursor == 40
        await pilot.press("left_square_bracket")
        assert packets.cursor == 20
        assert " at 20.0 ms " in line_of(one)
        bar = [at for at, char in enumerate(line_of(one)) if char in "━●"]
        await pilot.click("#timeline", offset=(bar[-1], 0))
        assert packets.cursor == 400
        await pilot.click("#timeline", offset=(bar[len(bar) // 2], 0))
        assert packets.cursor == pytest.approx(200, abs=10)
        await pilot.press("home", "left_square_bracket")
        assert packets.cursor == 0


async def test_with_a_filter_a_step_goes_to_what_is_shown(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(401))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("a", "right_square_bracket")
        cursor = one.app.screen.packets.cursor
        assert cursor in one.session.view
        assert 20 <= cursor < 40


async def test_a_clock_that_stands_still_or_went_back_does_no_harm(world: MakeWorld) -> None:
    one = world(live=False, buffer=None)
    one.feed([bytes(60)])
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("right_square_bracket", "left_square_bracket")
        assert one.app.screen.packets.cursor == 0
        one._fed = -500
        one.feed([bytes(60)] * 200)
        one.app.state.ended = True
        await pilot.press("home", "right_square_bracket", "right_square_bracket")
        assert one.app.screen.packets.cursor == 20, "steps are in packets"
        await pilot.press("home", "left_square_bracket", "T", "T")
        text = line_of(one)
        assert len(text) == 80
        assert "at packet 1 " in text
        bar = [at for at, char in enumerate(text) if char in "━●"]
        await pilot.click("#timeline", offset=(bar[len(bar) // 2], 0))
        assert one.app.screen.packets.cursor == pytest.approx(100, abs=5)
        assert one.app.crash is None


async def test_live_a_step_back_leaves_the_tail_and_end_returns(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(401))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets = one.app.screen.packets
        await pilot.press("left_square_bracket")
        assert packets.cursor == 380
        assert not packets.follow
        await pilot.press("right_square_bracket", "right_square_bracket")
        assert packets.follow


SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def header_of(one: Any) -> str:
    header = one.app.screen.query_one("#header")
    header.paint()
    text: str = header.render_line(0).text
    return text


def replay(world: MakeWorld, packets: list[bytes], *, speed: float = 10.0, seconds: float = 0.8) -> Any:
    """A replay of a capture of `seconds`, of which `packets`, a millisecond apart, have come."""
    one = world(packets=packets)
    one.session.pace = Pace(speed)
    one.session.pace.due(0)
    one.session.pace.serve((len(packets) - 1) * 1_000_000)
    one.session.pace.end = START + int(seconds * SECOND)
    return one


@pytest.mark.parametrize("width", [60, 80, 200])
async def test_a_replay_says_how_fast_it_is_and_where(world: MakeWorld, packets_of: PacketsOf, width: int) -> None:
    one = replay(world, packets_of(401))
    async with one.app.run_test(size=(width, 24)):
        text = line_of(one)
        assert len(text) == width
        assert " at 400.0 ms " in text
        assert " 800.0 ms " in text
        assert "[ ] " in text
        assert ("+ faster" in text) == ("- slower" in text) == (width >= 80)
        played, left = text.count("━"), text.count("─")
        assert played / (played + left) == pytest.approx(0.5, abs=0.1)
        assert "REPLAY  10x" in header_of(one)


async def test_space_stops_the_clock_of_a_replay_and_not_the_view(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = replay(world, packets_of(401))
    async with one.app.run_test(size=(120, 24)) as pilot:
        await pilot.press("space")
        assert one.session.pace.paused
        assert not one.session.paused
        assert "PAUSED at 0m00s" in header_of(one)
        await pilot.press("k", "k", "space")
        assert not one.session.pace.paused
        assert one.app.screen.packets.follow


async def test_back_in_a_replay_pauses_there_and_end_returns_to_the_head(
    world: MakeWorld, packets_of: PacketsOf
) -> None:
    one = replay(world, packets_of(401))
    async with one.app.run_test(size=(80, 24)) as pilot:
        packets, pace = one.app.screen.packets, one.session.pace
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert pace.paused
        assert packets.cursor == 400 - 2 * 20
        assert " at 360.0 ms " in line_of(one)
        await pilot.press("right_square_bracket")
        assert packets.cursor == 380
        assert pace.paused
        await pilot.press("end")
        assert not pace.paused
        assert packets.follow


async def test_forward_beyond_the_head_plays_up_to_there(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = replay(world, packets_of(401))
    async with one.app.run_test(size=(80, 24)) as pilot:
        pace = one.session.pace
        head = 400 * 1_000_000
        await pilot.press("space", "right_square_bracket", "right_square_bracket")
        assert pace.due(head + 1) == head + 2 * 20_000_000
        assert pace.paused
        assert one.app.screen.packets.follow
        bar = [at for at, char in enumerate(line_of(one)) if char in "━─●"]
        await pilot.click("#timeline", offset=(bar[-1], 0))
        assert pace.due(head + 1) >= head + 400_000_000
        await pilot.click("#timeline", offset=(bar[0], 0))
        assert one.app.screen.packets.cursor == 0
        assert pace.due(head + 1) < 0


async def test_the_speed_is_set_by_keys_and_clicks(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = replay(world, packets_of(401))
    async with one.app.run_test(size=(120, 24)) as pilot:
        await pilot.press("plus")
        assert one.session.pace.speed == 20
        await pilot.press("minus", "minus")
        assert "REPLAY   5x" in header_of(one)
        await pilot.click("#timeline", offset=(line_of(one).index("+ faster"), 0))
        assert one.session.pace.speed == 10
        one.app.state.ended = True
        await pilot.press("plus")
        assert "--replay" in one.app.screen.footer.notice


async def test_a_gap_says_how_long_it_is_and_that_it_can_be_skipped(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = replay(world, packets_of(401), speed=1.0, seconds=3 * 86400)
    async with one.app.run_test(size=(80, 24)) as pilot:
        pace = one.session.pace
        assert pace.due(3 * 86400 * SECOND) < SECOND * 3 * 86400
        text = line_of(one)
        assert "] skips a gap of 3 d, or 10 s" in text
        await pilot.press("right_square_bracket")
        assert pace.due(3 * 86400 * SECOND) >= 3 * 86400 * SECOND


async def test_an_end_that_is_not_known_is_reckoned_and_marked_so(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = replay(world, packets_of(401))
    one.session.pace.end = None
    one.source.progress = lambda: (25, 100)
    async with one.app.run_test(size=(80, 24)):
        assert " ~1.60 s " in line_of(one)
