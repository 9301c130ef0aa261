"""Saving from the dashboard, and what it says of a file that cannot be written."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from netwatch.app.trouble import Trouble
from netwatch.capture.sources.files import open_file
from netwatch.widgets.prompt import Prompt

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files without a path go there."""
    monkeypatch.chdir(tmp_path)


def times_in(path: Path) -> list[int]:
    source = open_file(path)
    found: list[int] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        found += block.ts.tolist() if block is not None else []
    assert source.damage is None
    source.close()
    return found


def verdict_of(one: Any) -> str:
    return str(one.app.screen.query_one("#prompt-verdict").render())


async def said(pilot: Any, words: str) -> str:
    """What the footer says, once it has these words."""
    notice: str | None = None
    for _ in range(200):
        await pilot.pause(0.02)
        notice = pilot.app.screen.footer.notice
        if notice is not None and words in notice:
            return notice
    raise AssertionError(f"the footer says {notice!r}")


async def test_all_what_is_shown_and_the_marked(world: MakeWorld, packets_of: PacketsOf, tmp_path: Path) -> None:
    one = world(packets=packets_of(300))
    times = [int(ts) for _, rows in one.session.store.chunks() for ts in rows.ts]
    async with one.app.run_test(size=(120, 40)) as pilot:
        await pilot.press("e")
        name = one.app.screen.query_one(Input).value
        assert name.startswith("netwatch-2")
        assert name.endswith(".pcapng")
        await pilot.press("enter")
        assert (await said(pilot, "saved")).startswith("saved 300 packets, ")
        assert times_in(tmp_path / name) == times

        one.session.set_filter("udp")
        shown = [times[index] for index in one.session.view.indices(0, 300).tolist()]
        for index in (3, 5):
            one.session.toggle_mark(index)
        await pilot.press("e", "tab")
        one.app.screen.query_one(Input).value = "shown.pcapng"
        await pilot.press("enter")
        assert "shown.pcapng" in await said(pilot, f"saved {len(shown)} packets")
        assert times_in(tmp_path / "shown.pcapng") == shown

        await pilot.press("e")  # what is marked comes first
        one.app.screen.query_one(Input).value = "marked.pcapng"
        await pilot.press("enter")
        await said(pilot, "saved 2 packets")
        assert times_in(tmp_path / "marked.pcapng") == [times[3], times[5]]


async def test_what_cannot_be_written_is_left_alone_and_the_prompt_stays(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path
) -> None:
    (tmp_path / "here").write_bytes(b"precious")
    (tmp_path / "link").symlink_to("here")
    (tmp_path / "open").write_bytes(b"precious")
    one = world(packets=packets_of(10))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        prompt = one.app.screen.query_one(Prompt)
        with (tmp_path / "open").open():
            for name in ("link", "open", ".", "no/such/folder"):
                one.app.screen.query_one(Input).value = name
                await pilot.pause()
                await pilot.press("enter", "enter")
                assert one.app.screen.query_one(Prompt) is prompt
                assert prompt.has_class("-invalid")
        await pilot.press("escape")
        assert not one.app.screen.query(Prompt)
    assert (tmp_path / "here").read_bytes() == b"precious"
    assert (tmp_path / "open").read_bytes() == b"precious"


async def test_a_file_that_exists_is_replaced_after_a_second_enter(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"precious")
    one = world(packets=packets_of(10))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        for name in ("a", "b"):
            one.app.screen.query_one(Input).value = name
            await pilot.pause()
            await pilot.press("enter")
            words = str(one.app.screen.query_one("#prompt-verdict").render())
            assert words == "exists: enter again overwrites it"
        await pilot.press("enter")
        await said(pilot, "saved 10 packets")
    assert (tmp_path / "a").read_bytes() == b"precious"
    assert len(times_in(tmp_path / "b")) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


async def test_marked_packets_that_were_evicted_are_not_offered_first(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path
) -> None:
    one = world(buffer=1 << 20, packets=packets_of(50))
    for index in (3, 5):
        one.session.toggle_mark(index)
    for _ in range(40):
        one.feed(packets_of(400))
    assert one.session.store.first > 5
    one.session.toggle_mark(one.session.store.end - 1)
    async with one.app.run_test(size=(120, 24)) as pilot:
        await pilot.press("e")
        prompt: Any = one.app.screen.query_one(Prompt)
        assert (prompt.what, prompt.has_class("-valid")) == ("marked", True)
        assert "1 of 3 marked packets are still kept" in verdict_of(one)
        one.session.toggle_mark(one.session.store.end - 1)
        await pilot.press("escape", "e")
        prompt = one.app.screen.query_one(Prompt)
        assert (prompt.what, prompt.has_class("-valid")) == ("all", True)
        await pilot.press("tab")
        assert (prompt.what, prompt.has_class("-invalid")) == ("marked", True)
        assert "0 of 2 marked packets are still kept" in verdict_of(one)
        await pilot.press("enter")
        assert one.app.screen.query(Prompt)
    assert list(tmp_path.iterdir()) == []


async def test_while_paused_what_came_since_is_left_out(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path
) -> None:
    one = world(packets=packets_of(50))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        one.feed(packets_of(20))
        await pilot.press("e")
        one.app.screen.query_one(Input).value = "a"
        await pilot.press("enter")
        await said(pilot, "saved 50 packets")
    assert len(times_in(tmp_path / "a")) == 50


async def test_escape_cancels_and_quitting_too(
    world: MakeWorld, packets_of: PacketsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netwatch.capture.save import Save

    one = world(packets=packets_of(50))
    monkeypatch.setattr(Save, "_save", lambda save, _: save._state.cancelled.wait(10))
    async with one.app.run_test(size=(80, 24)) as pilot:
        for name in ("a", "b"):
            await pilot.press("e")
            one.app.screen.query_one(Input).value = name
            await pilot.press("enter")
            await said(pilot, "esc cancels")
            assert (tmp_path / name).exists()
            if name == "a":
                await pilot.press("escape")
                assert await said(pilot, "cancelled") == "cancelled, a is removed"
        assert one.app.end_saving() == "cancelled, b is removed"
    assert list(tmp_path.iterdir()) == []


class Recording:
    """As much of a Recording as is told of."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.fault: OSError | None = None
        self.recorder = self
        self.dropped = 0


async def test_a_file_that_cannot_be_written_is_told_at_once(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(10))
    recording = Recording()
    one.app._trouble = Trouble(recording)  # type: ignore[arg-type]  # what is told of is all there
    async with one.app.run_test(size=(140, 24)) as pilot:
        recording.trouble = "writing stopped: No space left on device; LOST above counts what is missing"
        recording.fault = OSError(errno.ENOSPC, "No space left on device")
        one.source.lost.writer = 2720
        assert recording.trouble in await said(pilot, "No space")
        header = one.app.screen.query_one("#header")
        header.paint()
        assert "LOST 2,720 writer: make room, or -b files:N" in header.render_line(0).text
        recording.trouble = "writing stopped: Input/output error; LOST above counts what is missing"
        await said(pilot, "Input/output")
        await pilot.press("escape")
        await pilot.pause(0.2)
        assert one.app.screen.footer.notice is None
        recording.trouble, recording.dropped = None, 12346
        await said(pilot, "writing goes on; 12,346 packets were not written")
