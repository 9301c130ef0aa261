"""`I` in the running dashboard, which has no rights any more: other interfaces and namespaces, with and without the
helper; and what becomes of them meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import MIX, namespaces, run
from tests.live.test_guard_live import SUDO, Dashboard
from tests.live.test_switch import two, wait_for

from netwatch.capture.sources.files import open_file

__all__ = ["two"]


class Picking(Dashboard):
    """A dashboard in whose picker one types."""

    def press(self, keys: str, seconds: float = 0.3) -> None:
        os.write(self.fd, keys.encode())
        self.look(seconds)

    def pick(self, *steps: str, opened: bytes = b"Interfaces of") -> None:
        """Open it, and choose what each step leads to."""
        self.output = b""
        self.press("I")
        self.wait_for(opened)
        for step in steps:
            self.press(step, 0.6)
            self.press("\r", 0.4)

    def switch(self, *steps: str, to: str) -> None:
        self.pick(*steps)
        self.wait_for(f"switched to {to}".encode())

    @property
    def helper(self) -> int:
        """Process id."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return next(int(pid) for pid in children if b"helper.server" in Path(f"/proc/{pid}/cmdline").read_bytes())


def send(pair: Any, mix: Path, interface: str) -> None:
    pair.left.run("tcpreplay", "-q", "-i", interface, str(mix))
    time.sleep(0.2)


def test_to_and_fro(two: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path) -> None:
    """Within the namespace, into another one, back, and, once the helper was killed, within the namespace again."""
    right, left = two.right.name, two.left.name
    path, report = tmp_path / "written.pcapng", tmp_path / "report.json"
    options = ("--netns", right, "-i", "b0", "-p", "-w", str(path), "--report", str(report))
    dashboard = Picking(*options, environment=SUDO)
    try:
        dashboard.wait_for(b" LIVE ")
        dashboard.look(0.5)
        status = Path(f"/proc/{dashboard.pid}/status").read_text()
        assert "CapEff:\t0000000000000000" in status
        assert "Seccomp:\t2" in status
        send(two, mix, "a0")
        dashboard.switch("b1", to=f"ns:{right} b1")
        send(two, mix, "a1")
        dashboard.switch(left, "a0", to=f"ns:{left} a0")
        send(two, mix, "a0")
        # The other one again: its sockets were kept.
        os.kill(dashboard.helper, signal.SIGKILL)
        dashboard.pick("", opened=b"Interfaces of")  # a0 again: nothing changes
        assert dashboard.output
        dashboard.press("\x1b\x1b")
    finally:
        code = dashboard.end()
    assert code == 0
    each = len(mix_frames)
    made = json.loads(report.read_text())
    assert (made["packets"], made["dropped"]["ring"], made["dropped"]["interface"]) == (3 * each, 0, 0)
    saved = open_file(str(path))
    block = saved.next_block(1.0)
    assert block is not None
    assert [interface.name for interface in saved.interfaces] == ["b0", "b1", f"ns:{left} a0"]
    assert block.iface.tolist() == [0] * each + [1] * each + [2] * each
    saved.close()


def test_without_the_helper(two: Any, mix: Path, tmp_path: Path) -> None:
    right, report = two.right.name, tmp_path / "report.json"
    capture_filter = ("udp", "port", "1030", "and", "port", "domain")  # /etc/services cannot be read any more
    dashboard = Picking("--netns", right, "-i", "b0", "--report", str(report), *capture_filter, environment=SUDO)
    try:
        dashboard.wait_for(b" LIVE ")
        dashboard.look(0.5)
        os.kill(dashboard.helper, signal.SIGKILL)
        dashboard.look(0.5)
        dashboard.switch("b1", to=f"ns:{right} b1")
        send(two, mix, "a1")
        dashboard.switch("any", to=f"ns:{right} any")
        send(two, mix, "a0")
        dashboard.pick()
        dashboard.press("b0 \x7f\x7f")  # marked, and no longer typed
        dashboard.press("b1 \x7f\x7f")
        dashboard.press("\r", 1.0)
        dashboard.wait_for(b"helper process is gone")
        dashboard.press("\x1b\x1b\x1b")
    finally:
        code = dashboard.end()
    assert code == 0
    assert json.loads(report.read_text())["packets"] == 2 * (MIX["dns"][0] + MIX["dns answer"][0])


def test_several_at_once_stand_in_a_column(two: Any, mix: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    dashboard = Picking("--netns", two.right.name, "-i", "b0", "-i", "b1", "--report", str(report), environment=SUDO)
    try:
        dashboard.wait_for(b" LIVE ")
        dashboard.wait_for(b"If Source")
        dashboard.look(0.5)
        for sent, taken in (("a0", b" b0 10.9.0.1"), ("a1", b" b1 10.9.0.1")):
            send(two, mix, sent)
            dashboard.wait_for(taken)
    finally:
        code = dashboard.end()
    assert code == 0


def change(two: Any, what: str) -> str:
    """Do it -> what the dashboard says."""
    right = two.right.name
    if what == "deleted":
        two.left.run("ip", "link", "del", "a0")
        return "b0: interface deleted"
    if what == "down":
        two.right.run("ip", "link", "set", "b0", "down")
        return "b0: link down"
    if what == "renamed":
        two.right.run("ip", "link", "set", "b0", "down")
        two.right.run("ip", "link", "set", "b0", "name", "lan7")
        two.right.run("ip", "link", "set", "lan7", "up")
        return "b0: renamed to lan7"
    if what == "MTU":
        two.right.run("ip", "link", "set", "b0", "mtu", "1400")
        return "b0: MTU 1,400, was 1,500"
    run("ip", "netns", "del", right)
    return f"ns:{right}: namespace deleted"


@pytest.mark.parametrize("what", ["deleted", "down", "renamed", "MTU", "namespace"])
def test_what_becomes_of_it(two: Any, mix: Path, mix_frames: list[bytes], tmp_path: Path, what: str) -> None:
    """It is said, the program goes on, and another interface can be chosen; nothing is lost that was not counted."""
    right, report = two.right.name, tmp_path / "report.json"
    dashboard = Picking("--netns", right, "-i", "b0", "--report", str(report), environment=SUDO)
    try:
        dashboard.wait_for(b" LIVE ")
        dashboard.look(0.5)
        send(two, mix, "a0")
        said = change(two, what)
        dashboard.wait_for(said.encode())
        dashboard.switch("b1", to=f"ns:{right} b1")
        send(two, mix, "a1")
        dashboard.look(0.3)
    finally:
        code = dashboard.end()
    assert code == 0
    assert b"Traceback" not in dashboard.output
    made = json.loads(report.read_text())
    # What an interface that comes up sends by itself is the kernel's.
    assert made["packets"] + made["dropped"]["ring"] + made["dropped"]["interface"] >= 2 * len(mix_frames)
    assert made["dropped"]["ring"] == 0


def test_a_namespace_that_was_switched_to_is_deleted(two: Any) -> None:
    """Nothing of netwatch holds it any more: it may end."""
    with namespaces(1) as (third,), third.watched() as sockets:
        two.left.add_veth("a2", third, "c0")
        dashboard = Picking("--netns", two.right.name, "-i", "b0", environment=SUDO)
        try:
            dashboard.wait_for(b" LIVE ")
            dashboard.look(0.5)
            dashboard.switch(third.name, "c0", to=f"ns:{third.name} c0")
            assert sockets() > 0
            run("ip", "netns", "del", third.name)
            dashboard.wait_for(f"ns:{third.name}: namespace deleted".encode())
            wait_for(lambda: sockets() == 0)
            dashboard.switch(two.right.name, "b1", to=f"ns:{two.right.name} b1")
        finally:
            code = dashboard.end()
    assert code == 0
