"""ctrl+z in the dashboard while it captures: what comes meanwhile waits in the ring, or is lost there and counted."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shlex
import sys
import time
from pathlib import Path
from typing import Any

NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")
PATIENCE = 20.0


class Shell:
    """bash with job control in a namespace, and the terminal that both have."""

    def __init__(self, namespace: Any) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "PS1": "ready> ", "HISTFILE": ""})
            command = ["ip", "netns", "exec", namespace.name, "bash", "--norc", "--noprofile", "--noediting", "-i"]
            os.execvp(command[0], command)

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
