"""Names while packets come: nobody is asked for them; with --resolve name servers are, slowly, and it is not seen."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from tests.live.wire import CLIENT

from netwatch.capture.resolver import Resolver

NETWATCH = (sys.executable, "-c", "from netwatch.app.main import main; raise SystemExit(main())")
PATIENCE = 20.0
HOSTS = 24
"""Addresses on screen; every third has no name."""
needs_dnsmasq = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="needs dnsmasq")


class Dashboard:
    """netwatch on b0 of a namespace, in a terminal of 160×50."""

    def __init__(self, namespace: Any, *options: str) -> None:
        command = ["ip", "netns", "exec", namespace.name, *NETWATCH, "-i", "b0", "--no-tshark", *options]
        self.output = b""
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"})
            os.execvp(command[0], command)
        self.read_until(lambda text: "LIVE" in text)
        self.look(1)  # the capture begins behind the first frame

    def read_until(self, done: Callable[[str], bool]) -> str:
        """Read until `done` says so of all that was written, without colours."""
        deadline = time.monotonic() + PATIENCE
        while not done(text := re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.output.decode(errors="replace"))):
            assert time.monotonic() < deadline, text[-3000:]
            self.look(0.1)
        return text

    def look(self, seconds: float) -> None:
        """Read for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if select.select([self._fd], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    self.output += os.read(self._fd, 65536)

    def press(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def end(self) -> int:
        """Quit -> exit code."""
        self.press("q")
        with contextlib.suppress(OSError):
            while os.read(self._fd, 65536):
                pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self._fd)
        return os.waitstatus_to_exitcode(status)


def frame(source: str, destination: str, payload: bytes, ports: tuple[int, int] = (4000, 443)) -> bytes:
    """UDP."""
    udp = struct.pack("!4H", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    return bytes.fromhex("001b2112345602000000000a0800") + head + ends + udp


def domain(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(name: str, address: str) -> bytes:
    """Of a name server, to somebody else."""
    owner = domain(name)
    message = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + owner + struct.pack("!2H", 1, 1)
    message += b"\xc0\x0c" + struct.pack("!2HLH", 1, 1, 60, 4) + socket.inet_aton(address)
    return frame("192.0.2.53", "192.0.2.1", message, (53, 4000))


def test_names_are_learned_and_nothing_is_sent(
    pair: Any,
    tmp_path: Path,
    tcpdump: Callable[..., AbstractContextManager[None]],
    write_pcap: Callable[[Path, list[bytes]], None],
    read_pcap: Callable[[Path], list[tuple[int, int, bytes]]],
) -> None:
    frames = [answer("docs.example", "198.51.100.7")]
    frames += [frame(f"203.0.113.{number}", "198.51.100.7", b"x" * 50) for number in range(60)]
    write_pcap(tmp_path / "sent.pcap", frames)
    # All that leaves the machine on which netwatch runs, seen from the other end, and what it says to itself.
    with (
        tcpdump(pair.left, "a0", tmp_path / "outside.pcap", "-Q", "in"),
        tcpdump(pair.right, "lo", tmp_path / "inside.pcap"),
    ):
        dashboard = Dashboard(pair.right)
        dashboard.press("R")
        pair.replay(tmp_path / "sent.pcap")
        dashboard.read_until(lambda text: "≈docs.example" in text)
        dashboard.press("v")
        dashboard.look(1.5)
        assert dashboard.end() == 0
    assert read_pcap(tmp_path / "outside.pcap") == []
    assert read_pcap(tmp_path / "inside.pcap") == []


@contextlib.contextmanager
def serving(space: Any, folder: Path) -> Iterator[None]:
    """dnsmasq that knows two names of three."""
    records = [
        f"--ptr-record={number}.113.0.203.in-addr.arpa,h{number}.shop.lan"
        for number in range(1, HOSTS + 1)
        if number % 3
    ]
    command = ["ip", "netns", "exec", space.name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null"]
    command += ["--no-resolv", "--no-hosts", "--user=root", f"--pid-file={folder / 'pid'}", "--bogus-priv"]
    command += ["--local=/113.0.203.in-addr.arpa/", f"--listen-address={CLIENT}", "--bind-interfaces", *records]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while f"{CLIENT}:53" not in space.run("ss", "-Hlun"):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def asking(space: Any, server: str) -> Iterator[None]:
    """The name server of a namespace, as ip-netns(8) has it."""
    folder = Path("/etc/netns") / space.name
    folder.mkdir(parents=True)
    (folder / "resolv.conf").write_text(f"nameserver {server}\n")
    try:
        yield
    finally:
        shutil.rmtree(folder)


@needs_dnsmasq
@pytest.mark.parametrize("resolve", [True, False])
def test_names_are_asked_for_slowly_once_and_unseen_or_not_at_all(
    pair: Any,
    tmp_path: Path,
    tcpdump: Callable[..., AbstractContextManager[None]],
    write_pcap: Callable[[Path, list[bytes]], None],
    read_pcap: Callable[[Path], list[tuple[int, int, bytes]]],
    resolve: bool,
) -> None:
    frames = [frame(f"203.0.113.{number}", "192.0.2.1", b"x" * 50) for number in range(1, HOSTS + 1)]
    write_pcap(tmp_path / "sent.pcap", frames)
    report = tmp_path / "report.json"
    options = ["--report", str(report), *(["--resolve"] if resolve else [])]
    with pair.addressed(), serving(pair.left, tmp_path), asking(pair.right, CLIENT):
        with tcpdump(pair.left, "a0", tmp_path / "asked.pcap", "udp", "port", "53"):
            dashboard = Dashboard(pair.right, *options)
            pair.replay(tmp_path / "sent.pcap")
            if resolve:
                # The last third has none: when they all were asked for, the others stand there.
                dashboard.read_until(lambda text: "≈h23.shop.lan" in text and "≈h1.shop.lan" in text)
                dashboard.look(3)
                dashboard.press("RRR")  # addresses, and names again: nobody is asked twice
                dashboard.look(1)
            else:
                dashboard.press("R")
                dashboard.look(1)
            assert dashboard.end() == 0
        said = read_pcap(tmp_path / "asked.pcap")
    queries = [(ts, data[42:]) for ts, _, data in said if not data[44] & 0x80]
    if not resolve:
        assert said == []
        return
    asked = [question[12:-4] for _, question in queries]
    wanted = [f"{number}.113.0.203.in-addr.arpa" for number in range(1, HOSTS + 1)] + ["1.2.0.192.in-addr.arpa"]
    assert sorted(asked) == sorted(domain(name) for name in wanted)
    assert {question[-4:] for _, question in queries} == {b"\0\x0c\0\1"}
    times = [ts for ts, _ in queries]
    assert all(later - first >= 1_000_000_000 for first, later in zip(times, times[10:], strict=False))
    assert len({data[34:36] for _, _, data in said if not data[44] & 0x80}) == 1  # one port, which stays
    found = json.loads(report.read_text())
    paths = {row["path"]: row["packets"] for row in found["protocols"]}
    assert not [path for path in paths if "dns" in path]
    assert paths["eth:ip:udp"] == HOSTS
    assert [words for words in found["hidden_filters"] if f"host {CLIENT} and port 53" in words]
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", dashboard.output.decode(errors="replace"))
    for number in range(1, HOSTS + 1):
        assert (f"≈h{number}.shop.lan" in text) == bool(number % 3)


def test_the_process_that_asks_has_no_rights_and_ends_with_netwatch(pair: Any) -> None:
    with pair.addressed():
        resolver = pair.right.call(lambda: Resolver([CLIENT]))
    try:
        status = Path(f"/proc/{resolver.pid}/status")
        until = time.monotonic() + PATIENCE
        while "\nSeccomp:\t2\n" not in (said := status.read_text()):  # it is guarded last
            assert time.monotonic() < until, said
            time.sleep(0.05)
        found = dict(line.split(":\t", 1) for line in said.splitlines())
        assert set(found["Uid"].split()) == set(found["Gid"].split()) == {"65534"}
        assert found["Groups"].strip() == ""
        assert {found[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
        assert found["NoNewPrivs"] == "1"
        assert [(end.remote, end.remote_port) for end in resolver.endpoints] == [(CLIENT, 53)]
    finally:
        resolver.close()
    assert not status.exists()


@needs_dnsmasq
def test_a_hostile_name_from_a_name_server_reaches_the_terminal_escaped(
    pair: Any, tmp_path: Path, write_pcap: Callable[[Path, list[bytes]], None]
) -> None:
    write_pcap(tmp_path / "sent.pcap", [frame("203.0.113.1", "192.0.2.1", b"x" * 50)])
    hostile = b"\x0b\x1b]0;pwned\x07x\x04test\0"
    with pair.addressed(), asking(pair.right, CLIENT):
        udp = pair.left.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with udp:
            udp.bind((CLIENT, 53))
            udp.settimeout(PATIENCE)
            dashboard = Dashboard(pair.right, "--resolve")
            pair.replay(tmp_path / "sent.pcap")
            for _ in range(2):
                dashboard.look(0.5)
                query, there = udp.recvfrom(4096)
                reply = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + query[12:]
                udp.sendto(reply + b"\xc0\x0c" + struct.pack("!2HLH", 12, 1, 60, len(hostile)) + hostile, there)
            dashboard.read_until(lambda text: "pwned" in text)
            dashboard.look(1)
            assert dashboard.end() == 0
    assert b"\x1b]0;pwned" not in dashboard.output
    assert b"pwned\x07" not in dashboard.output
