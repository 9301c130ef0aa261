"""`I`: what the picker shows, what is typed into it, and what it asks of the capture and the helper."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from netwatch.app import interfaces_screen
from netwatch.app.interfaces_screen import InterfacesScreen
from netwatch.capture.block import Interface, Loss
from netwatch.capture.errors import EXIT_USAGE, CaptureError
from netwatch.capture.helper.client import HelperError
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.kernel.namespaces import Place
from netwatch.capture.kernel.rtnetlink import Link
from netwatch.capture.sources.afpacket import LiveSource
from netwatch.capture.sources.switching import Plan
from netwatch.widgets.picker import Picker

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]

HOME, WEB = Place("", 100), 200


def link(name: str, packets: int = 0, state: LinkState = LinkState.UP, *addresses: str) -> Link:
    return Link(name, 1, 1, state, name == "lo", 1500, addresses, packets, 0)


class Live(LiveSource):
    """What the picker asks of a capture."""

    def __init__(self) -> None:
        self.name = "eth0"
        self.interfaces = [Interface("eth0", 1)]
        self.exhausted, self.damage, self.notes, self.ring_size = False, None, [], 0
        self.place = self.home = HOME
        self._plan = None
        self.ports = [SimpleNamespace(name="eth0")]  # type: ignore[list-item]
        self.there = [
            link("eth0", 123_456, LinkState.UP, "192.0.2.1", "2001:db8::1"),
            link("wg0", 7, LinkState.UP, "10.8.0.1"),
            link("eth1", 0, LinkState.DOWN),
        ]
        self.switched: list[tuple[list[str], Place]] = []
        self.fails = ""

    def links(self, place: Place | None = None) -> list[Link]:  # noqa: ARG002
        return self.there

    def switch(self, names: Sequence[str], place: Place | None = None, fetch: Any = None) -> None:
        if self.fails:
            raise CaptureError(self.fails, EXIT_USAGE)
        assert place is not None
        self.switched.append((list(names), place))
        self._plan = Plan([], place, [])
        self.name = ", ".join(names)
        if place.inode != self.home.inode:
            fetch()

    def loss(self) -> Loss:
        return Loss()


class Helper:
    """As much of one as the picker uses."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, object]]] = []
        self.rows: list[list[Any]] = [
            [100, True, [], "", "", [[1, "systemd"]], 90],
            [WEB, False, ["web"], "", "", [[4321, "nginx"]], 4],
            [300, False, [], "docker", "db\x1b[31m", [[99, "postgres"]], 1],
            [400, False, [], "", "", [[77, "evil\x1b]0;x\x07"]], 1],
            [500, False, [], "host", "", [[1, "init"]], 9],
        ]
        self.gone = False

    def call(self, verb: str, **request: object) -> dict[str, Any]:
        if self.gone:
            raise HelperError("the helper process is gone: it ended")
        self.asked.append((verb, request))
        return {"rows": self.rows, "left": 0}

    def call_fd(self, verb: str, **request: object) -> tuple[dict[str, Any], list[int]]:
        self.call(verb, **request)
        raise HelperError("Operation not permitted")


async def opened(pilot: Pilot[None], one: Any) -> tuple[Live, Helper, Picker]:
    source, helper = Live(), Helper()
    one.session.source = source
    pilot.app.screen.helper = helper  # type: ignore[attr-defined]
    await pilot.press("I")
    await settled(pilot)
    return source, helper, pilot.app.screen.query_one(Picker)


async def settled(pilot: Pilot[None]) -> None:
    for _ in range(3):
        await pilot.app.workers.wait_for_complete()
        await pilot.pause()


def lines(picker: Picker) -> list[str]:
    picker.paint()
    return [str(picker.render_line(y).text) for y in range(picker.size.height)]


async def test_what_there_is(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        _, _, picker = await opened(pilot, one)
        shown = lines(picker)
        assert shown[2].startswith("│  eth0 ")
        assert "up" in shown[2]
        assert "123k" in shown[2]
        assert "captured now  192.0.2.1" in shown[2]
        assert shown[4].split()[1:3] == ["eth1", "down"]
        assert shown[5].startswith("│  any ")
        assert shown[6].startswith("│▸ ns:web ")
        assert "nginx 4321 and 3 more" in shown[6]
        assert shown[7].startswith("│▸ docker db\\x1b[31m")
        assert shown[9].startswith("│▸ host ")
        assert not any("\x1b" in line or "\x07" in line for line in shown)
        assert picker.selected_row is not None
        assert picker.selected_row.interface == "eth0"


async def test_what_is_typed_narrows_down(world: MakeWorld) -> None:
    """Whatever these letters do elsewhere: q does not quit."""
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        _, _, picker = await opened(pilot, one)
        await pilot.press("w", "g")
        assert [choice.name for choice in picker.rows] == ["wg0"]
        assert " wg  1 of 8 " in lines(picker)[0]
        await pilot.press("q")
        assert picker.rows == []
        await pilot.press("enter")  # nothing is chosen
        await pilot.press("backspace")
        assert [choice.name for choice in picker.rows] == ["wg0"]
        await pilot.press("escape")
        assert len(picker.rows) == 8
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.screen is one.app._main


async def test_enter_switches_and_says_so(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, _, _ = await opened(pilot, one)
        await pilot.press("down", "enter")
        await settled(pilot)
        assert source.switched == [(["wg0"], HOME)]
        assert pilot.app.screen is one.app._main
        footer = one.app._main.footer
        assert footer.notice == "switching to wg0"
        await pilot.pause(0.2)
        assert footer.notice == "switching to wg0"
        source._plan = None
        await pilot.pause(0.2)
        assert footer.notice == "now on wg0"


async def test_what_was_said_since_stays(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, _, _ = await opened(pilot, one)
        await pilot.press("down", "enter")
        await settled(pilot)
        one.app._main.footer.say("another thing")
        source._plan = None
        await pilot.pause(0.2)
        assert one.app._main.footer.notice == "another thing"


async def test_space_marks_several(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, _, picker = await opened(pilot, one)
        await pilot.press("space", "down", "space", "up", "up", "up")
        assert picker.marked == {"eth0", "eth1"}
        assert " 2 marked " in lines(picker)[-1]
        await pilot.press("enter")
        await settled(pilot)
        assert source.switched == [(["eth0", "eth1"], HOME)]


async def test_what_cannot_be_done_is_said(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, helper, _ = await opened(pilot, one)
        source.fails = "no interface 'wg0'; there are: lo, any"
        await pilot.press("down", "enter")
        await settled(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, InterfacesScreen)
        assert screen.footer.notice == "no interface 'wg0'; there are: lo, any"
        await pilot.press("w", "e", "b", "enter")
        await settled(pilot)
        assert helper.asked[-1] == ("interfaces", {"name": "web", "pid": 4321, "inode": WEB})
        assert screen.footer.notice == "ns:web: Operation not permitted"


async def test_into_a_namespace_and_out_again(world: MakeWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(interfaces_screen, "links", lambda _: [link("eth0", 5), link("lo")])
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, helper, picker = await opened(pilot, one)
        monkeypatch.setattr(helper, "call_fd", lambda *_, **__: ({}, [ours.detach()]))
        await pilot.press("w", "e", "b", "enter")
        await settled(pilot)
        assert "Interfaces of ns:web" in lines(picker)[0]
        assert [choice.name for choice in picker.rows] == ["eth0", "lo", "any"]  # no namespaces in a namespace
        assert not any(choice.captured for choice in picker.rows)
        await pilot.press("escape")
        await settled(pilot)
        assert len(picker.rows) == 8
        assert source.switched == []
    theirs.close()


async def test_without_a_helper_the_interfaces_are_there(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        source, helper = Live(), Helper()
        helper.gone = True
        one.session.source = source
        pilot.app.screen.helper = helper
        await pilot.press("I")
        await settled(pilot)
        picker = pilot.app.screen.query_one(Picker)
        assert [choice.name for choice in picker.rows] == ["eth0", "wg0", "eth1", "any"]
        assert " other namespaces: the helper process is gone: it ended " in lines(picker)[-1]


async def test_only_what_is_live_can_be_switched(world: MakeWorld) -> None:
    one = world(live=False)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("I")
        assert "only a live capture" in one.app._main.footer.notice
        live = world()
    async with live.app.run_test(size=(80, 24)) as pilot:
        live.session.source = Live()
        live.app.state.ended = True
        await pilot.press("I")
        assert "the capture has ended" in live.app._main.footer.notice


@pytest.mark.parametrize(("size", "head"), [((80, 24), "If       Source"), ((120, 40), "Interface   Source")])
async def test_several_interfaces_have_a_column(
    world: MakeWorld, packets_of: PacketsOf, size: tuple[int, int], head: str
) -> None:
    one = world(packets=packets_of(3))
    async with one.app.run_test(size=size) as pilot:
        await pilot.pause()
        packets = one.app._main.packets
        packets.paint()
        assert "If" not in packets.render_line(1).text.replace("Info", "")
        one.source.interfaces.append(Interface("ns:web veth", 1))
        packets.paint()
        assert head in packets.render_line(1).text
        assert " test0 " in packets.render_line(2).text
        one.source.interfaces[0].name = "\x1b[2J\u202e" + "x" * 20  # a file's
        one.source.interfaces.append(Interface("y", 1))
        packets.paint()
        assert "\x1b" not in packets.render_line(2).text
        assert packets.render_line(2).cell_length == packets.size.width
