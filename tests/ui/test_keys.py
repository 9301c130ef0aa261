"""The key map: one action a key, all of the contract's keys, none that terminals take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App

from netwatch.app.app import NetwatchApp
from netwatch.app.keys import DETAIL_KEYS, GROUPS, HELP_KEYS, KEYS, PROGRAM_KEYS, STREAM_KEYS, Key
from netwatch.app.main_screen import MainScreen
from netwatch.capture.protocols import SWITCHES

MakeWorld = Callable[..., Any]

_CONTRACT = "t u c d w s a 0 space end G home g up down pageup pagedown j k h l left right tab enter escape"
_CONTRACT += " slash n N colon m y T b S question_mark q ctrl+c"


def names(keys: tuple[Key, ...]) -> list[str]:
    return [name for key in keys for name in key.keys.split(",")]


@pytest.mark.parametrize("table", [(*KEYS, *PROGRAM_KEYS), (*DETAIL_KEYS, *PROGRAM_KEYS)])
def test_no_key_has_two_actions(table: tuple[Key, ...]) -> None:
    assert [name for name, count in Counter(names(table)).items() if count > 1] == []
    assert [id for id, count in Counter(key.id for key in table).items() if count > 1] == []


def test_every_key_of_the_contract_does_something() -> None:
    assert set(_CONTRACT.split()) <= set(names((*KEYS, *PROGRAM_KEYS)))


def test_keys_that_terminals_take_are_left_to_them() -> None:
    taken = {f"ctrl+{letter}" for letter in "hijmsz"}
    every = (*KEYS, *PROGRAM_KEYS, *DETAIL_KEYS, *STREAM_KEYS, *HELP_KEYS)
    used = {key.id for key in every if taken & set(key.keys.split(","))}
    # What a terminal that takes it does with ctrl+z, and nothing of our own.
    assert used == {"suspend"}
    assert [key.action for key in every if key.id == "suspend"] == ["app.suspend_process"]
    assert NetwatchApp.action_suspend_process is App.action_suspend_process


def test_every_key_says_what_it_does() -> None:
    for key in (*KEYS, *PROGRAM_KEYS):
        assert key.label
        assert key.tooltip
        assert key.shown
        assert key.group in GROUPS


def test_every_action_exists() -> None:
    for key in (*KEYS, *PROGRAM_KEYS):
        owner = NetwatchApp if key.action.startswith("app.") else MainScreen
        assert hasattr(owner, "action_" + key.action.removeprefix("app.").partition("(")[0]), key


async def test_in_every_focus_a_key_has_one_action(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        for _ in range(3):
            bound = Counter(
                (name, chosen.action)
                for namespace in [one.app.screen.focused, one.app.screen, one.app]
                for name, all_of_it in namespace._bindings.key_to_bindings.items()
                for chosen in all_of_it
            )
            keys = Counter(name for name, _ in bound)
            assert [name for name, count in keys.items() if count > 1] == []
            await pilot.press("tab")


@pytest.mark.parametrize(("tabs", "count"), [(0, 0), (0, 60), (1, 60)])
async def test_every_key_can_be_pressed_in_every_pane(
    world: MakeWorld, packets_of: Callable[[int], list[bytes]], tabs: int, count: int
) -> None:
    one = world(packets=packets_of(count))
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["tab"] * tabs)
        pane = one.app.screen.focused
        for name in names(KEYS):
            await pilot.press(name)
            while len(one.app.screen_stack) > 1 or one.app.screen.query("#prompt"):
                await pilot.press("escape")
                await pilot.pause()
            pane.focus()
        assert one.app.crash is None


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quitting_is_one_key(world: MakeWorld, key: str) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert not one.app.is_running


async def test_ctrl_c_quits_out_of_the_prompt_and_q_is_typed_into_it(world: MakeWorld) -> None:
    one = world()
    async with one.app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash", "q")
        assert one.app.is_running
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert not one.app.is_running


def test_switches_have_the_keys_of_the_contract() -> None:
    assert "".join(switch.key for switch in SWITCHES) == "tucdwsa"
