"""Programs beside conversations and in the head of a packet; where files are saved to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.widgets import Input

from netwatch.capture.owners import Owner, Owners

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


class Known(Owners):
    """Without a helper: all that is bound to 192.0.2.x and talks TCP belongs to the same program."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def of(self, protocol: str, one: tuple[str, int], other: tuple[str, int]) -> Owner | None:  # noqa: ARG002
        ours = protocol == "tcp" and one[0].startswith("192.0.2.")
        return Owner("a-long-name-of-a-program\\x1b", 81234, "root") if ours else None


def screen(app: App[Any]) -> list[str]:
    return ["".join(segment.text for segment in line) for line in app.screen._compositor.render_strips()]


@pytest.mark.parametrize(("width", "shown"), [(80, False), (100, False), (120, True), (160, True), (200, True)])
async def test_programs_of_conversations_are_there_where_there_is_room(
    world: MakeWorld, packets_of: PacketsOf, width: int, shown: bool
) -> None:
    one = world(packets=packets_of(200))
    owners = one.app._owners = Known()
    async with one.app.run_test(size=(width, 40)) as pilot:
        await pilot.pause()
        assert owners.looks == 0, "nobody looks while none is shown"
        await pilot.press("v")
        await pilot.pause()
        table = one.app.screen.query_one("#conversations")
        lines = [table.render_line(y).text for y in range(table.size.height)]
        assert owners.looks > 0
        assert any("program" in line for line in screen(one.app)) is shown
        assert any("a-lo… (81234)" in line for line in lines) is shown


async def test_the_program_of_an_opened_packet(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(20))
    one.app._owners = Known()
    async with one.app.run_test(size=(160, 40)) as pilot:
        await pilot.press("g", "enter")
        await pilot.pause()
        heads = []
        for _ in range(10):
            heads.append(screen(one.app)[:2])
            await pilot.press("n")
            await pilot.pause()
    for first, second in heads:
        tcp = any(f" {name}  " in second for name in ("TCP", "HTTP", "TLS"))
        assert ("program: a-long-name-of-a-program\\x1b (81234)" in first) is tcp, (first, second)
    assert len({tuple(head) for head in heads}) > 3


async def test_saves_go_to_the_directory_and_nowhere_else(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = world(packets=packets_of(20))
    async with one.app.run_test(size=(160, 24)) as pilot:
        await pilot.press("e")
        assert str(tmp_path)[-15:] in screen(one.app)[-1]
        for name in ("/tmp/x", "a/b", "~/x", "../x"):
            one.app.screen.query_one(Input).value = name
            await pilot.pause()
            line = screen(one.app)[-1]
            assert "saves go to …" in line
            assert "; --save-dir chooses another" in line
            await pilot.press("enter", "enter")
    assert list(tmp_path.iterdir()) == []


class Closed:
    """A directory that nobody may look into, with a file in it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "closed")
        self.opened: list[tuple[str, str]] = []

    def open_new(self, name: str, *, over: str = "") -> int:
        self.opened.append((name, over))
        if not over:
            raise FileExistsError(17, "File exists")
        raise OSError(1, "it belongs to somebody else")


async def test_a_file_that_cannot_be_seen_is_asked_about_too(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path
) -> None:
    one = world(packets=packets_of(20))
    closed = one.app._directory = Closed(tmp_path)
    async with one.app.run_test(size=(120, 24)) as pilot:
        await pilot.press("e")
        one.app.screen.query_one(Input).value = "a"
        await pilot.press("enter")
        await pilot.pause()
        assert "exists: enter again overwrites it" in screen(one.app)[-1]
        await pilot.press("enter")
        await pilot.pause()
        assert "it belongs to somebody else" in screen(one.app)[-1]
        (first, second) = closed.opened
        assert (first, second[1]) == (("a", ""), "a")
