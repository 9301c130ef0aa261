"""A filter over fields that only dissectors name: typed, looked for, told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netwatch.capture import view as view_module
from netwatch.widgets.prompt import Prompt

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], list[bytes]]


async def test_rows_come_as_they_are_found(world: MakeWorld, packets_of: PacketsOf) -> None:
    one = world(packets=packets_of(300))
    one.session.tick = lambda _now: one.session.catch_up()  # the clock goes on
    async with one.app.run_test(size=(120, 30)) as pilot:
        await pilot.press("slash", *"udp", "enter")
        everything = one.session.matches
        await pilot.press("slash", "ctrl+u", *"udp.length", "space", *"> 0", "enter")
        for _ in range(100):
            await pilot.pause(0.05)
            if not one.session.view.pending:
                break
        assert one.session.filter_text == "udp.length > 0"
        assert 0 < one.session.matches == everything


async def test_the_prompt_and_the_list_say_how_far_it_is(
    world: MakeWorld, packets_of: PacketsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(120, 30)) as pilot:
        await pilot.pause(0.1)
        monkeypatch.setattr(view_module.View, "_sift", lambda *_: False)  # a moment that lasts
        await pilot.press("slash", *"udp.length")
        await pilot.pause(0.2)
        assert one.session.looked_at == 0
        prompt = one.app.screen.query_one(Prompt)
        assert "looking … 0 %" in str(prompt.query_one("#prompt-verdict").render())
        await pilot.press("enter")
        await pilot.pause(0.2)
        labels = one.app.screen.packets.labels_above(118)
        assert any("0 of 300, looking … 0 %" in text for _, text, _ in labels)
        await pilot.press("slash", "ctrl+u", *"http.hots")
        await pilot.pause(0.2)
        assert "near: http.host" in str(one.app.screen.query_one(Prompt).query_one("#prompt-verdict").render())


async def test_what_was_not_looked_at_is_not_saved_and_that_is_said(
    world: MakeWorld, packets_of: PacketsOf, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    one = world(packets=packets_of(300))
    async with one.app.run_test(size=(120, 30)) as pilot:
        one.session.set_filter("udp.length > 0")
        while one.session.catch_up():
            pass
        found = one.session.matches
        saving = one.app.screen.saving
        monkeypatch.setattr(type(one.session.view), "pending", 7)
        saving.begin("shown", str(tmp_path / "found.pcapng"))
        said = ""
        for _ in range(100):
            await pilot.pause(0.05)
            said = (one.app.screen.footer._notice or ("",))[0]
            if "saved" in said:
                break
        assert f"saved {found:,} packets" in said
        assert "7 were not looked at yet" in said
