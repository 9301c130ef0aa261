"""A host that one logs in to: sshd in a namespace, with accounts of its own, and terminals on it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SSHD: Final = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")
PATIENCE: Final = 20.0
PROMPT: Final = "ready> "
PORT: Final = 2222
USER: Final = "visitor"

_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()].|[=>78M])")
_MINE: Final = ("netns", "exec")


class Terminal:
    """A program on a terminal of its own, 120×30: what is typed, and what is written."""

    def __init__(self, *command: str) -> None:
        self.written = ""
        """All of it so far, without control sequences."""
        self._raw = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "HISTFILE": ""})
            os.environ.pop("TMUX", None)
            subprocess.run(("stty", "rows", "30", "cols", "120"), check=False)
            os.execvp(command[0], command)

    def type(self, keys: str, *wanted: str) -> str:
        """Type keys, and read until all that is `wanted` was written, in this order -> what was written meanwhile."""
        before = len(self.written)
        os.write(self.fd, keys.encode())
        at, deadline = before, time.monotonic() + PATIENCE
        for each in wanted:
            while (found := self.written.find(each, at)) < 0:
                assert time.monotonic() < deadline, (each, self.written[-3000:])
                assert self._read(0.1), (each, self.written[-3000:])
            at = found + len(each)
        return self.written[before:]

    def look(self, seconds: float) -> str:
        """Read for so long -> what was written."""
        before, until = len(self.written), time.monotonic() + seconds
        while time.monotonic() < until and self._read(0.05):
            pass
        return self.written[before:]

    def shell(self, command: str) -> str:
        """Let a shell that prints PROMPT run a command -> what it printed."""
        said = self.type(command + "\n", PROMPT)
        return said.partition("\n")[2].rpartition(PROMPT)[0].replace("\r", "").strip()

    def end(self) -> None:
        """Hang up."""
        os.close(self.fd)
        deadline = time.monotonic() + PATIENCE
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, 9)
            time.sleep(0.02)

    def _read(self, seconds: float) -> bool:
        if select.select([self.fd], [], [], seconds)[0]:
            try:
                got = os.read(self.fd, 65536)
            except OSError:
                return False
            self._raw += got
            whole, escape, rest = self._raw.rpartition(b"\x1b")
            # A sequence may come in two pieces.
            cut = bool(escape) and len(rest) < 32 and not _SEQUENCE.match("\x1b" + rest.decode(errors="replace"))
            text, self._raw = (whole, escape + rest) if cut else (self._raw, b"")
            self.written += _SEQUENCE.sub("", text.decode(errors="replace"))
        return True


@dataclass
class SshHost:
    """Who logs in, and what runs there."""

    client: Any
    """Namespace of the one that logs in …"""
    server: Any
    """… and of the host."""
    folder: Path
    """Keys and configuration."""

    def ssh(self, address: str, user: str = "root", *options: str, command: str = "") -> list[str]:
        """The command line that logs in from the client's namespace; with a terminal unless it runs a command."""
        chosen = {"BatchMode": "yes", "StrictHostKeyChecking": "no", "IdentitiesOnly": "yes", "IdentityAgent": "none"}
        chosen |= {"UserKnownHostsFile": "/dev/null", "GlobalKnownHostsFile": "none", "LogLevel": "ERROR"}
        chosen |= {"IdentityFile": str(self.folder / "client"), "UpdateHostKeys": "no"}
        words = [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]
        line = ["ssh", "-F", "none", "-p", str(PORT), *([] if command else ["-tt"]), *words, *options]
        line += [f"{user}@{address}", *([command] if command else [])]
        return ["ip", *_MINE, self.client.name, *line]

    @contextlib.contextmanager
    def terminal(self, address: str, user: str = "root", *options: str) -> Iterator[Terminal]:
        """Logged in, with a shell that prints PROMPT."""
        made = Terminal(*self.ssh(address, user, *options))
        try:
            made.type("", PROMPT)
            yield made
        finally:
            made.end()


def netwatch(*arguments: str) -> str:
    """A shell's command that starts it."""
    start = "from netwatch.app.main import main; raise SystemExit(main())"
    return shlex.join((sys.executable, "-c", start, *arguments))


@contextlib.contextmanager
def ssh_host(client: Any, server: Any, folder: Path) -> Iterator[SshHost]:
    """sshd in the namespace `server`, on every address.

    `ip netns exec` gives it mounts of its own: what it needs under /etc, /run and /home leaves nothing behind.
    """
    for name in ("host", "client"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of the test", "-f", str(folder / name)]
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    (folder / "authorized").write_text((folder / "client.pub").read_text())
    (folder / "shell").write_text(
        f"#!/bin/sh\nexport PS1='{PROMPT}' HISTFILE= LC_ALL=C.UTF-8; exec bash --norc --noprofile -i\n"
    )
    (folder / "shell").chmod(0o755)
    (folder / "sudoers").write_text(
        f"Defaults use_pty, env_reset\nroot ALL=(ALL) ALL\n{USER} ALL=(ALL) NOPASSWD: ALL\n"
    )
    (folder / "sudoers").chmod(0o440)
    for name, line in (
        ("passwd", f"{USER}:x:7777:7777::/tmp:/bin/bash"),
        ("group", f"{USER}:x:7777:"),
        ("shadow", f"{USER}:*:1::::::"),
    ):
        known = Path("/etc", name).read_text()
        (folder / name).write_text(f"{known.rstrip()}\n{line}\n")
    (folder / "config").write_text(
        f"Port {PORT}\nAddressFamily any\nPidFile none\nUsePAM no\nStrictModes no\nUseDNS no\n"
        f"PasswordAuthentication no\nPermitRootLogin yes\nAuthorizedKeysFile {folder}/authorized\n"
        f"HostKey {folder}/host\nPrintMotd no\nForceCommand {folder}/dispatch\nAcceptEnv LC_*\n"
    )
    (folder / "dispatch").write_text(
        f'#!/bin/sh\n[ -n "$SSH_ORIGINAL_COMMAND" ] && exec sh -c "$SSH_ORIGINAL_COMMAND"\nexec {folder}/shell\n'
    )
    (folder / "dispatch").chmod(0o755)
    mounts = ["mount -t tmpfs none /run", "mkdir -m 755 /run/sshd", "mkdir -m 777 /run/screen"]
    mounts += [f"mount --bind {folder}/{name} /etc/{name}" for name in ("passwd", "group", "shadow", "sudoers")]
    start = " && ".join((*mounts, f"exec {SSHD} -D -e -f {folder}/config"))
    command = ["ip", *_MINE, server.name, "sh", "-c", start]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline()]
            while said[-1] and not said[-1].startswith("Server listening"):
                said.append(process.stderr.readline())
            assert said[-1], said
            yield SshHost(client, server, folder)
        finally:
            process.terminate()
