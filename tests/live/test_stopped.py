"""ctrl+z in the dashboard while it captures: what comes meanwhile waits in the ring, or is lost there and counted."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from netwatch.app.opening import DEMO

NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")
PATIENCE = 20.0


class Shell:
    """bash with job control in a namespace, and the terminal that both have."""

    def __init__(self, namespace: Any, *shell: str) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "PS1": "ready> ", "HISTFILE": ""})
            shell = shell or ("bash", "--norc", "--noprofile", "--noediting", "-i")
            os.execvp("ip", ["ip", "netns", "exec", namespace.name, *shell])

    def type(self, keys: str, *wanted: str) -> str:
        """Type keys, and read until all that is `wanted` was written, in this order."""
        os.write(self.fd, keys.encode())
        output, at, deadline = b"", 0, time.monotonic() + PATIENCE
        for each in wanted:
            while (found := output.find(each.encode(), at)) < 0:
                assert time.monotonic() < deadline, output[-2000:]
                if select.select([self.fd], [], [], 0.1)[0]:
                    output += os.read(self.fd, 65536)
            at = found + len(each)
        return output.decode(errors="replace")

    def look(self, seconds: float) -> None:
        """Read for so long: the program must not wait for its terminal."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self.fd], [], [], 0.1)[0]:
                os.read(self.fd, 65536)

    def end(self) -> None:
        self.type("exit\n")
        with contextlib.suppress(OSError):
            while os.read(self.fd, 65536):
                pass
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def test_what_comes_while_it_is_stopped_is_kept_or_counted_as_the_ring_s(
    fresh_pair: Any, mix: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    shell = Shell(fresh_pair.right)
    shell.type("", "ready> ")
    command = [*NETWATCH, "-i", "b0", "--ring", "1M", "--report", str(report)]
    shell.type(shlex.join(command) + "\n", "\x1b[?1049h", "LIVE")
    shell.look(1)
    sent = once = fresh_pair.replay(mix)
    shell.look(1)
    shell.type("\x1a", "Stopped", "ready> ")
    stopped = time.monotonic()
    while time.monotonic() < stopped + 3:
        sent += fresh_pair.replay(mix, "--loop", "400", "--topspeed")
    shell.type("fg\n", "\x1b[?1049h", "LOST")
    shell.look(1)
    sent += fresh_pair.replay(mix)
    shell.look(1)
    shell.type("q", "\x1b[?1049l", "ready> ")
    shell.end()
    found = json.loads(report.read_text())
    assert found["dropped"]["ring"] > 0
    assert found["packets"] + found["dropped"]["ring"] == sent
    assert found["packets"] > 2 * once
    assert found["longest_ui_stall_ms"] < 3000


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_pipeline_of_root_stops_whole_and_goes_on(fresh_pair: Any, shell: str) -> None:
    """netwatch is nobody by then, and may not signal the other one."""
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    running = Shell(fresh_pair.right, *(["dash", "-i"] if shell == "dash" else []))
    running.type("", "ready> ")
    command = f"{{ cat {shlex.quote(str(DEMO))}; sleep 60; }} | {shlex.join(NETWATCH)} -r - --no-tshark\n"
    running.type(command, "\x1b[?1049h", "Packets")
    running.look(0.5)
    for _ in range(2):
        running.type("\x1a", "\x1b[?1049l", "Stopped", "ready> ")
        states = running.type("ps -o stat= --ppid $$; echo that was all\n", "that was all\r\n", "that was all\r\n")
        assert re.findall(r"^T", states, re.MULTILINE) == ["T", "T"]
        running.type("fg\n", "\x1b[?1049h")
        running.look(0.5)
    running.type("q", "\x1b[?1049l")
    running.look(0.5)
    running.type("\x03", "ready> ")
    running.end()
