"""A replay from the file to the screen, with its thread: stopped, travelled in, and played to its end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from time import monotonic

import pytest
from textual.pilot import Pilot

from netwatch.app.app import NetwatchApp
from netwatch.app.opening import DEMO
from netwatch.capture.batch_queue import BatchQueue
from netwatch.capture.decode import Decoder
from netwatch.capture.engine import Engine
from netwatch.capture.pace import Pace
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file
from netwatch.capture.sources.replay import Replay
from netwatch.widgets.palette import Look

PACKETS = 5980


def app_over(source: Replay) -> NetwatchApp:
    batches = BatchQueue()
    session = Session(source, buffer=1 << 20)
    return NetwatchApp(session, Engine(source, Decoder(), batches), batches, look=Look())


@pytest.fixture
def slow() -> Iterator[NetwatchApp]:
    """A minute at its own pace."""
    source = Replay(DEMO, loop=False)
    app = app_over(source)
    yield app
    list(app.engine.stop())
    source.close()


async def until(pilot: Pilot[None], app: NetwatchApp, packets: int) -> None:
    deadline = monotonic() + 20
    while app.session.store.packets < packets:
        assert monotonic() < deadline
        await pilot.pause(0.02)


def pace_of(app: NetwatchApp) -> Pace:
    assert app.session.pace is not None
    return app.session.pace


async def test_it_plays_stops_goes_back_and_forth_and_ends(slow: NetwatchApp) -> None:
    session = slow.session
    async with slow.run_test(size=(80, 24)) as pilot:
        await until(pilot, slow, 1)
        await pilot.press("space")
        await pilot.pause(0.2)
        stopped = session.store.packets
        await pilot.press("right_square_bracket")  # two seconds of a minute, at once
        await until(pilot, slow, stopped + 50)
        await pilot.pause(0.2)
        times = session.store.rows(session.view.indices(0, session.store.end)).ts
        assert 1.9e9 < times[-1] - times[0] < 3.5e9
        assert pace_of(slow).paused
        await pilot.press("left_square_bracket")
        played = session.store.packets
        assert slow.screen.packets.cursor < played - 50  # type: ignore[attr-defined]  # the main screen
        pace_of(slow).speed = math.inf
        await pilot.press("end")
        await until(pilot, slow, PACKETS)
        await pilot.pause(0.3)
        assert session.store.packets == PACKETS, "nothing lost, nothing twice"
        assert slow.state.ended
        assert session.store.budget is None, "all can be read again"
        assert session.store.evicted == 0
    with_the_file = open_file(DEMO)
    block = with_the_file.next_block(0.0)
    assert block is not None
    assert session.store.data(17) == block.raw[block.offsets[17] : block.offsets[17] + block.caplen[17]].tobytes()
    with_the_file.close()


async def test_go_to_plays_on_to_what_lies_ahead(slow: NetwatchApp) -> None:
    session = slow.session
    async with slow.run_test(size=(80, 24)) as pilot:
        await until(pilot, slow, 1)
        await pilot.press("space", "colon", *"3,000", "enter")
        await until(pilot, slow, 3000)
        await pilot.pause(0.2)
        assert session.store.packets == 3000
        assert slow.screen.packets.cursor == 2999  # type: ignore[attr-defined]  # the main screen
        assert pace_of(slow).paused
        await pilot.press("colon", *"0:40", "enter")
        await until(pilot, slow, 3100)
        await pilot.pause(0.2)
        times = session.store.rows(session.view.indices(0, session.store.end)).ts
        assert 39.5e9 < times[-1] - times[0] < 41e9
        await pilot.press("colon", *"99999", "enter")
        await until(pilot, slow, PACKETS)
        await pilot.pause(0.3)
        await pilot.press("space")
        assert slow.screen.footer.notice == "nothing more comes: all of it is here"  # type: ignore[attr-defined]
        assert not session.paused


async def test_quitting_does_not_wait_for_the_next_packet(slow: NetwatchApp) -> None:
    async with slow.run_test(size=(80, 24)) as pilot:
        await until(pilot, slow, 1)
        await pilot.press("space")
        await pilot.press("q")
    list(slow.engine.stop())
    assert slow.engine.ended
    assert slow.engine.failed is None
