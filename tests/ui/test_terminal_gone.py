"""The terminal goes away, as when SSH drops: the program ends by itself, whatever it was doing."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Sequence

import pytest

from netwatch.app.opening import DEMO

_PATIENCE = 20.0
START = "from netwatch.app.main import main; raise SystemExit(main())"


def started(arguments: Sequence[str], **environment: str) -> tuple[int, int]:
    """A dashboard that has shown its first frame: process id, and the master of its terminal."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update({"TERM": "xterm-256color"} | environment)
        os.execv(sys.executable, [sys.executable, "-c", START, *arguments])
    read_until(master, b"Talkers")
    return pid, master


def read_until(master: int, wanted: bytes) -> bytes:
    seen = b""
    deadline = time.monotonic() + _PATIENCE
    while wanted not in seen:
        assert time.monotonic() < deadline, seen[-1000:]
        if select.select([master], [], [], 0.1)[0]:
            seen += os.read(master, 65536)
    return seen


def exit_code(pid: int) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    raise AssertionError("it went on without a terminal")


@pytest.mark.parametrize("arguments", [["demo"], ["-r", str(DEMO)]], ids=["moving", "at rest"])
def test_it_ends_when_the_terminal_is_gone(arguments: list[str]) -> None:
    pid, master = started(arguments)
    os.close(master)
    assert exit_code(pid) == 0


def test_no_colour_leaves_the_terminal_its_own() -> None:
    pid, master = started(["-r", str(DEMO)], NO_COLOR="1")
    seen = b""
    for key, wanted in ((b"/", b"filter"), (b"\x1b", b"Talkers"), (b"\r", b"fields"), (b"?", b"esc closes")):
        os.write(master, key)
        time.sleep(0.4)
        if wanted != b"Talkers":
            seen += read_until(master, wanted)
    os.write(master, b"\x03")
    os.close(master)
    exit_code(pid)
    assert b"38;2" not in seen
    assert b"48;2" not in seen
    assert b"38;5" not in seen
    assert b"\x1b[30" not in seen
