"""netwatch is killed, or falls, while it has the terminal: the helper gives that back."""

from __future__ import annotations

import os
import shlex
import signal
from typing import Any

import pytest
from tests.live.emulator import NETWATCH, Terminal, descendants, gone
from tests.live.test_helper_live import children
from tests.live.test_stopped import Shell

from netwatch.app.opening import DEMO

LEFT = (b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l", b"\x1b[?2004l", b"\x1b[<u", b"\x1b[?1049l", b"\x1b[?25h")
"""Mouse, paste, keyboard, alternate screen, cursor."""
MAIN = "from netwatch.app.main import main"


def watched(pid: int) -> int:
    """The process of netwatch itself below `pid`."""
    return min(children(pid, MAIN))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV], ids=lambda how: how.name)
@pytest.mark.parametrize("source", ["file", "live"])
def test_the_terminal_is_as_it_was(fresh_pair: Any, source: str, how: signal.Signals) -> None:
    start = ("-r", str(DEMO)) if source == "file" else ("-i", "b0")
    terminal = Terminal(("ip", "netns", "exec", fresh_pair.right.name, *NETWATCH, *start), size=(80, 24))
    before = terminal.modes()
    terminal.until("ENDED" if source == "file" else "LIVE")
    assert terminal.modes() != before
    others, written = descendants(terminal.pid), len(terminal.output)
    os.kill(terminal.pid, how)
    assert terminal.end() == -how
    assert terminal.modes_at_end == before
    after = terminal.output[written:]
    assert all(after.count(each) == 1 for each in LEFT)
    assert {mode for mode, is_on in terminal.screen.modes.items() if is_on} == {"7", "25"}
    assert terminal.screen.alien == []
    assert gone(others)


def shown(shell: Shell, *options: str) -> int:
    """The dashboard, started by the shell -> its process."""
    shell.type("", "ready> ")
    shell.type(shlex.join([*NETWATCH, "-r", str(DEMO), *options]) + "\n", "\x1b[?1049h", "ENDED")
    shell.look(0.5)
    return watched(shell.pid)


def test_the_shell_goes_on_as_if_nothing_had_been(fresh_pair: Any) -> None:
    shell = Shell(fresh_pair.right)
    os.kill(shown(shell), signal.SIGKILL)
    shell.type("", "Killed")
    said = shell.type("echo $((6 * 7)); stty -a\n", "42", "ready> ")
    assert " icanon " in said
    assert " echo " in said
    shell.end()


def test_stopped_it_has_no_terminal_to_give_back(fresh_pair: Any) -> None:
    shell = Shell(fresh_pair.right)
    pid = shown(shell)
    shell.type("\x1a", "Stopped", "ready> ")
    os.kill(pid, signal.SIGKILL)
    assert gone({pid})
    said = shell.type("echo $((6 * 7))\n", "42", "ready> ")
    assert "\x1b[?1049l" not in said
    shell.end()
