"""What the screen says of the connection that carries it, and `x`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from netwatch.app.own_session import OwnSession
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.widgets.palette import ASCII, Look

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]

SSH = Endpoint("tcp", "192.0.2.1", 22, "198.51.100.7", 50122)
SSH6 = Endpoint("tcp", "2001:db8:1:2:3:4:5:6", 22, "2001:db8:1:2:3:4:5:7", 50122)
MOSH = Endpoint("udp", "192.0.2.1", 60001)


class Hiding:
    """A source's side of it."""

    def __init__(self) -> None:
        self.hidden: tuple[Endpoint, ...] = ()
        self.fails = False

    def hide(self, endpoints: Sequence[Endpoint], reason: str = "") -> None:  # noqa: ARG002
        if self.fails:
            raise OSError(12, "Cannot allocate memory")
        self.hidden = tuple(endpoints)

    def now(self) -> list[Endpoint]:
        return list(self.hidden)


def carried(one: Any, *endpoints: Endpoint, hidden: bool = True) -> Hiding:
    """Let the dashboard of `one` be carried by these."""
    source = Hiding()
    own = OwnSession(source, None, hidden=hidden)
    own._apply(endpoints)
    one.app._own_session = one.app.state.own_session = own
    return source


def header_of(one: Any) -> str:
    header = one.app.screen.query_one("#header")
    header.paint()
    return str(header.render_line(0).text)


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (80, "[x]"),
        (100, "[x]"),
        (160, "hidden 198.51.100.7:50122→192.0.2.1:22 [x]"),
        (200, "hidden 198.51.100.7:50122→192.0.2.1:22 [x]"),
    ],
)
async def test_the_header_says_what_is_missing(
    world: MakeWorld, packets_of: PacketsOf, width: int, words: str
) -> None:
    one = world(packets=packets_of(300))
    carried(one, SSH)
    async with one.app.run_test(size=(width, 24)):
        text = header_of(one)
        assert words in text
        for other in ("test0", " LIVE ", " p/s", "lost 0", "/256"):
            assert other in text


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ((SSH6,), "hidden [2001:db8:1:2:3:4:5:7]:50122→[2001:db8:1:2:3:4:5:6]:22 [x]"),
        ((MOSH,), "hidden udp 192.0.2.1:60001 [x]"),
        ((SSH, MOSH), "hidden 198.51.100.7:50122→192.0.2.1:22 +1 [x]"),
    ],
)
async def test_other_connections(world: MakeWorld, endpoints: tuple[Endpoint, ...], words: str) -> None:
    one = world()
    carried(one, *endpoints)
    async with one.app.run_test(size=(220, 24)):
        assert words in header_of(one)


async def test_what_is_urgent_comes_first(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    carried(one, SSH)
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("t", "space")
        one.source.lost.ring = 12_345_678
        text = header_of(one)
        for words in ("PAUSED", "FILTER", "LOST", "ring"):
            assert words in text


async def test_x_shows_and_hides(world: MakeWorld) -> None:
    one = world()
    source = carried(one, SSH)
    async with one.app.run_test(size=(160, 24)) as pilot:
        assert source.now() == [SSH]
        await pilot.press("x")
        assert source.now() == []
        assert "198.51.100.7:50122 → 192.0.2.1:22, is shown from here on" in one.app.screen.footer.notice
        assert "SSH shown [x]" in header_of(one)
        await pilot.press("x")
        assert source.now() == [SSH]
        assert "is hidden from here on" in one.app.screen.footer.notice


async def test_nothing_to_hide(world: MakeWorld) -> None:
    one = world()
    carried(one)
    async with one.app.run_test(size=(160, 24)) as pilot:
        assert "[x]" not in header_of(one)
        await pilot.press("x")
        assert "no SSH session was found that carries this terminal" in one.app.screen.footer.notice
        assert "[x]" not in header_of(one)


async def test_a_file_hides_nothing(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(live=False, buffer=None, packets=packets_of(30))
    async with one.app.run_test(size=(160, 24)) as pilot:
        assert "[x]" not in header_of(one)
        await pilot.press("x")
        assert "nothing is hidden here" in one.app.screen.footer.notice


async def test_the_kernel_refuses(world: MakeWorld) -> None:
    one = world()
    source = carried(one, SSH)
    async with one.app.run_test(size=(160, 24)) as pilot:
        source.fails = True
        await pilot.press("x")
        assert "cannot be changed (Cannot allocate memory)" in one.app.screen.footer.notice
        assert "hidden 198.51.100.7:50122→" in header_of(one)


async def test_the_help_has_the_filter(world: MakeWorld) -> None:
    one = world()
    carried(one, SSH)
    async with one.app.run_test(size=(140, 60)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause(0.1)
        text = " ".join(str(one.app.screen.query_one("#help-text").render()).split())
        assert "x Your own SSH session, hidden or shown" in text
        assert "not (tcp and host 192.0.2.1 and port 22 and host 198.51.100.7 and port 50122)" in text


async def test_without_the_characters(world: MakeWorld) -> None:
    one = world()
    one.app.look = Look("mono", ASCII)
    carried(one, SSH)
    async with one.app.run_test(size=(160, 24)):
        assert "hidden 198.51.100.7:50122>192.0.2.1:22 [x]" in header_of(one)
