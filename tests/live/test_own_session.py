"""netwatch started through a real sshd, on the link that carries its terminal: none of that is in its picture."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.conftest import Pair, namespaces, run
from tests.live.ssh_host import PATIENCE, PORT, PROMPT, SSHD, USER, SshHost, Terminal, netwatch, ssh_host
from tests.live.wire import SERVER

pytestmark = pytest.mark.skipif(
    SSHD is None or shutil.which("ssh") is None, reason="needs openssh-server and openssh-client"
)

LINK_LOCAL = "fe80::96:2"
MARK = 7777
"""A port that is not the session's: what comes to it is in the picture."""


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}")


@pytest.fixture(scope="module")
def host() -> Iterator[SshHost]:
    # pytest's own folders are root's alone; the shell of a visitor lies in this one.
    with tempfile.TemporaryDirectory() as name, namespaces(2) as (left, right):
        folder = Path(name)
        folder.chmod(0o755)
        left.add_veth("a0", right, "b0")
        for end, interface, address in ((left, "a0", "fe80::96:1"), (right, "b0", LINK_LOCAL)):
            end.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
            end.run("ip", "address", "add", f"{address}/64", "dev", interface, "nodad")
        with Pair(left, right).addressed(), ssh_host(left, right, folder) as made:
            yield made


def tuple_of(terminal: Terminal) -> str:
    """The connection of a shell, as the kernel's filter names it."""
    client, client_port, server, port = terminal.shell("echo $SSH_CONNECTION").split()
    client, server = (each.partition("%")[0] for each in (client, server))
    return f"not (tcp and host {server} and port {port} and host {client} and port {client_port})"


def address_of(hidden: str) -> str:
    """The client's address and port, of what `tuple_of` says."""
    words = hidden.strip("()").split()
    return f"{words[-4]}:{words[-1]}"


def knock(host: SshHost, count: int = 20) -> None:
    """Packets of another connection."""

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(count):
                sock.sendto(b"not of the session", (SERVER, MARK))

    host.client.call(send)


def await_packets(host: SshHost, terminal: Terminal) -> None:
    """Until one is on the screen: the capture begins only after the first frame."""
    deadline = time.monotonic() + PATIENCE
    while f" {MARK} Len=" not in terminal.written:
        assert time.monotonic() < deadline, terminal.written[-2000:]
        knock(host, 1)
        terminal.look(0.2)


def ended(terminal: Terminal, report: Path) -> dict[str, Any]:
    """What netwatch reports once it has ended. A multiplexer may repaint the prompt that was there before."""
    deadline = time.monotonic() + PATIENCE
    while not (report.exists() and report.read_text().endswith("\n")):
        assert time.monotonic() < deadline, terminal.written[-2000:]
        terminal.look(0.1)
    terminal.look(0.5)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


class Dashboard:
    """One that runs in a terminal and captures b0."""

    def __init__(self, terminal: Terminal, report: Path) -> None:
        self.terminal = terminal
        self.report = report
        self.found: dict[str, Any] = {}


@contextlib.contextmanager
def dashboard(host: SshHost, terminal: Terminal, tmp_path: Path, *before: str) -> Iterator[Dashboard]:
    """Started with the words `before` in front, and quit at the end; then the report is there."""
    report = tmp_path / "report.json"
    command = " ".join((*before, netwatch("-i", "b0", "--no-tshark", "--report", str(report))))
    made = Dashboard(terminal, report)
    terminal.type(command + "\n", "LIVE", "[x]")
    await_packets(host, terminal)
    yield made
    knock(host)
    terminal.look(1)
    terminal.type("q")
    made.found = ended(terminal, report)


def sessions_packets(found: dict[str, Any]) -> int:
    """TCP packets: of nothing else than ssh is there TCP on this link."""
    return sum(row["packets"] for row in found["protocols"] if row["name"] == "tcp")


def others_packets(found: dict[str, Any]) -> int:
    return sum(row["packets"] for row in found["protocols"] if row["path"].endswith("ip:udp"))


@pytest.mark.parametrize(
    ("user", "before"),
    [("root", ()), pytest.param(USER, ("sudo",), marks=needs("sudo"))],
    ids=["root", "sudo"],
)
def test_none_of_it_is_listed_and_all_else_is(
    host: SshHost, tmp_path: Path, user: str, before: tuple[str, ...]
) -> None:
    with host.terminal(SERVER, user) as terminal:
        hidden = tuple_of(terminal)
        with dashboard(host, terminal, tmp_path, *before) as seen:
            knock(host)
            # What is drawn goes over the very link.
            said = terminal.look(2)
    assert seen.found["hidden_filters"] == [hidden]
    assert sessions_packets(seen.found) == 0
    assert others_packets(seen.found) >= 40
    assert seen.found["terminal_bytes"] > 10_000
    assert f"{PORT} → " not in said


def test_the_header_has_the_connection_and_x_shows_it(host: SshHost, tmp_path: Path) -> None:
    with host.terminal(SERVER) as terminal:
        client, port, *_ = terminal.shell("echo $SSH_CONNECTION").split()
        with dashboard(host, terminal, tmp_path) as seen:
            assert f"hidden {client}:{port}→{SERVER}:{PORT} " in terminal.written
            terminal.type("x", "is shown from here on")
            terminal.look(1.5)
            terminal.type("x")  # only what changes is written: not these words
            knock(host)
            terminal.look(1)
    assert sessions_packets(seen.found) > 0
    assert others_packets(seen.found) >= 40
    assert seen.found["hidden_filters"] == [
        f"not (tcp and host {SERVER} and port {PORT} and host {client} and port {port})"
    ]


def test_another_connection_of_the_same_host_is_listed(host: SshHost, tmp_path: Path) -> None:
    with host.terminal(SERVER) as terminal, dashboard(host, terminal, tmp_path) as seen:
        done = subprocess.run(
            host.ssh(SERVER, command="seq 1 2000"), capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        assert done.stdout.endswith("2000\n")
        terminal.look(1)
    assert sessions_packets(seen.found) > 10
    assert len(seen.found["hidden_filters"]) == 1


def test_over_ipv6_with_a_zone(host: SshHost, tmp_path: Path) -> None:
    with host.terminal(f"{LINK_LOCAL}%a0") as terminal:
        hidden = tuple_of(terminal)
        assert f"host {LINK_LOCAL} " in hidden
        with dashboard(host, terminal, tmp_path) as seen:
            terminal.look(1)
    assert seen.found["hidden_filters"] == [hidden]
    assert sessions_packets(seen.found) == 0
    assert others_packets(seen.found) >= 20


@pytest.fixture
def multiplexer(host: SshHost, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Socket for tmux, name for screen: their servers do not outlive the test."""
    place, name = str(tmp_path / "tmux"), f"netwatch{time.monotonic_ns()}"
    yield place, name
    for command in (["tmux", "-S", place, "kill-server"], host.ssh(SERVER, command=f"screen -S {name} -X quit")):
        with contextlib.suppress(OSError):
            subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("words", "begin", "attach", "detach"),
    [
        pytest.param("tmux -S {0} -f /dev/null", "new {2}", "attach -d", "\x02d", marks=needs("tmux"), id="tmux"),
        pytest.param("screen", "-S {1} {2}", "-d -r {1}", "\x01d", marks=needs("screen"), id="screen"),
    ],
)
def test_attached_again_from_another_connection(
    host: SshHost,
    tmp_path: Path,
    multiplexer: tuple[str, str],
    words: str,
    begin: str,
    attach: str,
    detach: str,
) -> None:
    """First there is the first connection to be hidden, then none, then the second."""
    names = *multiplexer, str(host.folder / "shell")
    report = tmp_path / "report.json"
    with host.terminal(SERVER) as first, host.terminal(SERVER) as second:
        hidden = [tuple_of(first), tuple_of(second)]
        first.type(f"{words} {begin}\n".format(*names), PROMPT)
        command = netwatch("-i", "b0", "--no-tshark", "--report", str(report))
        sudo = "sudo " if shutil.which("sudo") else ""
        first.type(f"{sudo}{command}\n", "LIVE", "[x]")
        await_packets(host, first)
        knock(host)
        first.look(1)
        first.type(detach, PROMPT)
        # At most two seconds later the filter follows; and with nobody attached nothing goes over the link.
        time.sleep(3)
        second.type(f"{words} {attach}\n".format(*names), "LIVE")
        second.look(3)
        second.type("x", f"{address_of(hidden[1])} → ", "is shown from here on")
        second.type("x")
        knock(host)
        second.look(2)
        second.type("q")
        found = ended(second, report)
        second.type("exit\n", PROMPT)
    assert found["hidden_filters"] == hidden
    assert others_packets(found) >= 40


@needs("tmux")
def test_all_clients_of_tmux_are_hidden(host: SshHost, tmp_path: Path, multiplexer: tuple[str, str]) -> None:
    place, _ = multiplexer
    with host.terminal(SERVER) as first, host.terminal(SERVER) as second:
        hidden = {tuple_of(first), tuple_of(second)}
        first.type(f"tmux -S {place} -f /dev/null new {host.folder}/shell\n", PROMPT)
        second.type(f"tmux -S {place} attach\n", PROMPT)
        with dashboard(host, first, tmp_path) as seen:
            second.look(2)
            first.look(1)
        first.type("exit\n")
        first.look(0.5)
    assert set(seen.found["hidden_filters"]) == hidden
    assert sessions_packets(seen.found) == 0


@pytest.mark.parametrize("asked", [True, False])
def test_without_a_dashboard_only_if_asked_for(host: SshHost, tmp_path: Path, asked: bool) -> None:
    report = tmp_path / "report.json"
    options = ["--hide-own-session"] if asked else []
    with host.terminal(SERVER) as terminal:
        hidden = tuple_of(terminal)
        terminal.type(
            netwatch("-i", "b0", "--summary", "--duration", "3", "--report", str(report), *options) + "\n",
            "capturing on b0",
        )
        knock(host)
        terminal.type("typed meanwhile, and echoed\n" * 5)
        found = ended(terminal, report)
    assert found["hidden_filters"] == ([hidden] if asked else [])
    assert (sessions_packets(found) > 0) is not asked
    assert others_packets(found) >= 20


@pytest.mark.parametrize("asked", [True, False])
def test_a_file_that_is_written_lacks_nothing_unless_asked_for(host: SshHost, tmp_path: Path, asked: bool) -> None:
    report, written = tmp_path / "report.json", tmp_path / "written.pcapng"
    options = ["--hide-own-session"] if asked else []
    command = netwatch("-i", "b0", "--no-tshark", "--report", str(report), "-w", str(written), *options)
    with host.terminal(SERVER) as terminal:
        terminal.type(command + "\n", "LIVE", "[x]")
        await_packets(host, terminal)
        terminal.type("q")
        found = ended(terminal, report)
    assert (sessions_packets(found) > 0) is not asked
    assert bool(run("tcpdump", "-n", "-r", str(written), "tcp", "port", str(PORT))) is not asked


@needs("mosh-server")
def test_mosh(host: SshHost, tmp_path: Path) -> None:
    """The port of mosh-server counts: its client roams."""
    report = tmp_path / "report.json"
    serve = f"LC_ALL=C.UTF-8 mosh-server new -i {SERVER} -p 60007 -- {host.folder}/shell"
    done = subprocess.run(
        ["ip", "netns", "exec", host.server.name, "sh", "-c", serve],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    found = re.search(r"MOSH CONNECT 60007 (\S+)", done.stdout)
    assert found, done.stdout + done.stderr
    client = ["ip", "netns", "exec", host.client.name, "env", f"MOSH_KEY={found[1]}", "LC_ALL=C.UTF-8"]
    terminal = Terminal(*client, "mosh-client", SERVER, "60007")
    try:
        terminal.type("", PROMPT)
        command = netwatch("-i", "b0", "--summary", "--hide-own-session", "--duration", "4", "--report", str(report))
        terminal.type(f"SSH_CONNECTION= {command}\n", "capturing on b0")
        knock(host)
        terminal.type("typed meanwhile\n" * 5)
        told = ended(terminal, report)
        terminal.type("exit\n")
        terminal.look(1)
    finally:
        terminal.end()
    assert told["hidden_filters"] == [f"not (udp and host {SERVER} and port 60007)"]
    assert others_packets(told) == 20
