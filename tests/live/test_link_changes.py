"""Interfaces that go down, vanish and come back: the capture goes on, and the gap is a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; five seconds at most."""
    for _ in range(100):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("did not happen within 5 s")


def test_link_down_and_up(fresh_pair: Any, capturing: Any, mix: Path, mix_frames: list[bytes]) -> None:
    with capturing(fresh_pair.right, "b0") as got:
        fresh_pair.replay(mix)
        fresh_pair.right.run("ip", "link", "set", "b0", "down")
        wait_for(lambda: len(got.events) == 1)
        fresh_pair.right.run("ip", "link", "set", "b0", "up")
        wait_for(lambda: len(got.events) == 2)
        fresh_pair.left.run("ip", "link", "set", "a0", "down")
        wait_for(lambda: len(got.events) == 3)
        fresh_pair.left.run("ip", "link", "set", "a0", "up")
        wait_for(lambda: len(got.events) == 4)
        fresh_pair.replay(mix)
    down, up, no_carrier, carrier = got.events
    assert down == "b0: link down"
    assert up.startswith("b0: link up after ")
    assert no_carrier == "b0: no carrier"
    assert carrier.startswith("b0: link up after ")
    assert got.frames == mix_frames * 2
    assert len(got) == got.counted


def test_deleted_and_made_again(fresh_pair: Any, capturing: Any, mix: Path, mix_frames: list[bytes]) -> None:
    udp = sum(frame[12:14] == b"\x08\0" and frame[23] == 17 for frame in mix_frames)
    with capturing(fresh_pair.right, "b0", promiscuous=True, capture_filter="udp and ip and not vlan") as got:
        fresh_pair.replay(mix)
        fresh_pair.left.run("ip", "link", "del", "a0")
        wait_for(lambda: len(got.events) >= 1)
        fresh_pair.left.add_veth("a0", fresh_pair.right, "b0")
        wait_for(lambda: "back after" in got.events[-1])
        assert "promiscuity 1" in fresh_pair.right.run("ip", "-d", "link", "show", "b0")
        fresh_pair.replay(mix)
    assert got.events[-2] == "b0: interface deleted"
    assert len(got) == got.counted == 2 * udp


def test_an_interface_that_is_down_from_the_start(fresh_pair: Any, capturing: Any, mix: Path) -> None:
    fresh_pair.right.run("ip", "link", "set", "b0", "down")
    with capturing(fresh_pair.right, "b0") as got:
        wait_for(lambda: got.events == ["b0: link down"])
        fresh_pair.right.run("ip", "link", "set", "b0", "up")
        wait_for(lambda: got.events[-1].startswith("b0: link up"))
        sent = fresh_pair.replay(mix)
    assert len(got) == sent
