"""What the running dashboard may still do, as the kernel says of each of its threads (proc(5), status)."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import pwd
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.live.emulator import Screen

if TYPE_CHECKING:
    from tests.live.conftest import Pair

NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")
PATIENCE = 30.0
NOBODY, DAEMON = pwd.getpwnam("nobody"), pwd.getpwnam("daemon")
SUDO = {"SUDO_UID": "12345", "SUDO_GID": "54321", "SUDO_USER": "somebody"}


class Dashboard:
    """netwatch on a terminal of its own."""

    def __init__(
        self, *arguments: str, before: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.output = b""
        self.screen = Screen(200, 60)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            for name in [name for name in os.environ if name.startswith("SUDO_")]:
                del os.environ[name]
            os.environ.update({"TERM": "xterm-256color"} | dict(environment or {}))
            command = [*before, *NETWATCH, *arguments]
            os.execvp(command[0], command)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))

    def look(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                data = os.read(self.fd, 65536)
                self.output += data
                self.screen.feed(data)

    def wait_for(self, *wanted: bytes) -> None:
        """Until it was written, or is on the screen: what stood there before is not written once more."""
        deadline = time.monotonic() + PATIENCE
        while not any(each in self.output or each.decode() in self.screen.text for each in wanted):
            assert time.monotonic() < deadline, self.screen.text
            self.look(0.05)

    def end(self) -> int:
        os.write(self.fd, b"q")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                self.look(0.1)
            except OSError:
                break
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code


def threads(pid: int) -> Iterator[dict[str, str]]:
    """The status of each thread."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        yield {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def of_whom(uid: int, gid: int) -> dict[str, str]:
    """What stands there of a thread that may do nothing."""
    nothing = "0" * 16
    sets = {f"Cap{name}": nothing for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
    return {"Uid": " ".join([str(uid)] * 4), "Gid": " ".join([str(gid)] * 4), "Groups": "", **sets, "NoNewPrivs": "1"}


@pytest.mark.parametrize(
    ("source", "options", "environment", "uid", "gid"),
    [
        *((source, (), {}, NOBODY.pw_uid, NOBODY.pw_gid) for source in ("live", "file", "demo")),
        *((source, (), SUDO, 12345, 54321) for source in ("live", "file", "demo")),
        ("live", ("--user", "daemon"), SUDO, DAEMON.pw_uid, DAEMON.pw_gid),
        ("live", ("--no-sandbox",), SUDO, 12345, 54321),
    ],
)
def test_every_thread_of_the_dashboard(
    pair: Pair, mix: Path, source: str, options: tuple[str, ...], environment: dict[str, str], uid: int, gid: int
) -> None:
    inside = ("ip", "netns", "exec", pair.right.name)
    arguments = {"live": ("-i", "b0"), "file": ("-r", str(mix)), "demo": ("demo",)}[source]
    dashboard = Dashboard(*arguments, *options, before=inside, environment=environment)
    dashboard.wait_for(b" LIVE ", b" ENDED ", b"5 match", b"PLAY", b"demo")
    dashboard.look(0.7)
    found = list(threads(dashboard.pid))
    files = {os.path.realpath(f"/proc/{dashboard.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{dashboard.pid}/fd")}
    assert dashboard.end() == 0
    assert len(found) > 1, "the threads that read keys and write the screen"
    wanted = of_whom(uid, gid) | {"Seccomp": "0" if "--no-sandbox" in options else "2"}
    for status in found:
        assert {name: status[name] for name in wanted} == wanted
    assert not [path for path in files if path.startswith(("/root", "/home"))]
    assert (b"--no-sandbox" in dashboard.output) is ("--no-sandbox" in options)


def test_a_user_with_the_one_capability(pair: Pair, mix: Path) -> None:
    """As systemd's AmbientCapabilities give it: it is gone, too, and the sockets that it made stay."""
    given = ["--reuid=12345", "--regid=12345", "--clear-groups", "--inh-caps=+net_raw", "--ambient-caps=+net_raw"]
    reaching = subprocess.run(["setpriv", *given, *NETWATCH, "--version"], capture_output=True, check=False)
    if reaching.returncode:
        pytest.skip("another user cannot read this Python")
    inside = ("ip", "netns", "exec", pair.right.name, "setpriv", *given)
    dashboard = Dashboard("-i", "b0", before=inside)
    dashboard.wait_for(b" LIVE ")
    dashboard.look(0.7)
    found = list(threads(dashboard.pid))
    pair.replay(mix)
    dashboard.wait_for(b"56")
    assert dashboard.end() == 0
    for status in found:
        sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
        assert set(sets.values()) == {0}
        assert (status["Uid"].split()[0], status["NoNewPrivs"], status["Seccomp"]) == ("12345", "1", "2")


@pytest.mark.parametrize(
    "output", [("--json",), ("--fields", "frame.number"), ("--json-packets",), ("-w", "/dev/null")], ids=" ".join
)
def test_without_a_screen(pair: Pair, output: tuple[str, ...]) -> None:
    command = ["ip", "netns", "exec", pair.right.name, *NETWATCH, "-i", "b0", *output]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | SUDO
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"netwatch: capturing on b0\n"
        found = list(threads(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    wanted = of_whom(12345, 54321) | {"Seccomp": "2"}
    for status in found:
        assert {name: status[name] for name in wanted} == wanted


def test_without_a_sandbox_is_said(mix: Path) -> None:
    command = [*NETWATCH, "-r", str(mix), "--json", "--no-sandbox"]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    assert json.loads(done.stdout)["packets"] == 56
    assert done.stderr == b"netwatch: --no-sandbox: neither Landlock nor seccomp guards this run\n"


def test_root_that_cannot_become_another_does_not_go_on(pair: Pair) -> None:
    """As in a container without CAP_SETUID: one line, exit code 77, no packet."""
    fewer = ("setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid")
    command = ["ip", "netns", "exec", pair.right.name, *fewer, *NETWATCH, "-i", "b0", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.startswith("netwatch: root's rights cannot be given up")
    assert done.stderr.count("\n") == 1
