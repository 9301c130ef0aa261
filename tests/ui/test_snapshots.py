"""The screen as it looks, at three sizes; `pytest --snapshot-update` after a change that was meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from netwatch.widgets.packet_list import PacketList

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


def pressing(*keys: str) -> Callable[[Pilot[None]], Any]:
    """Before the picture is taken: press keys, and look at everything once more."""

    async def prepare(pilot: Pilot[None]) -> None:
        await pilot.pause(0.2)
        await pilot.press(*keys)
        pilot.app.screen.paint_now()  # type: ignore[attr-defined]  # the main screen
        await pilot.pause(0.1)
        while not pilot.app.screen.query_one(PacketList).settled:
            await pilot.pause(0.02)

    return prepare


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_a_file(world: MakeWorld, packets_of: PacketsOf, snap_compare: Any, size: tuple[int, int]) -> None:
    one = world(live=False, buffer=None, packets=packets_of(400))
    assert snap_compare(one.app, terminal_size=size, run_before=pressing("down", "m", "down", "tab", "down"))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_live_paused_filtered_and_losing(
    world: MakeWorld, packets_of: PacketsOf, snap_compare: Any, size: tuple[int, int]
) -> None:
    one = world(packets=packets_of(300))
    one.feed([b"test0 went away"], event=True)
    broken = packets_of(1)[0][:20]
    one.feed([*packets_of(5), broken, *packets_of(5)])
    one.source.lost.ring = 1204
    assert snap_compare(one.app, terminal_size=size, run_before=pressing("d", "t", "u", "space", "k"))


@pytest.mark.parametrize("depth", ["ansi", "mono"])
def test_with_few_colours(world: MakeWorld, packets_of: PacketsOf, snap_compare: Any, depth: str) -> None:
    one = world(depth=depth, packets=packets_of(300))
    assert snap_compare(one.app, terminal_size=(80, 24), run_before=pressing("s", "tab"))


def test_before_the_first_packet(world: MakeWorld, snap_compare: Any) -> None:
    assert snap_compare(world().app, terminal_size=(80, 24), run_before=pressing())
