"""Which program a socket belongs to: what the helper finds, and how it is told to packets."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from netwatch.capture.dissect import dissect
from netwatch.capture.guard.identity import Identity
from netwatch.capture.helper import owners as module
from netwatch.capture.helper.client import Helper, HelperError, Start
from netwatch.capture.helper.protocol import LARGEST, Served
from netwatch.capture.owners import Owners, ends_of

SERVED = Served(None, 1)
HERE = ["192.0.2.1", "127.0.0.1", "2001:db8::1"]


class Told:
    """A helper that has these rows, some a message."""

    def __init__(self, *rows: list[Any], pages: int = 1) -> None:
        self.rows = list(rows)
        self.pages = pages
        self.calls = 0
        self.fault: HelperError | None = None

    def call(self, verb: str, first: int) -> dict[str, Any]:
        assert verb == "owners"
        self.calls += 1
        if self.fault is not None:
            raise self.fault
        size = max(len(self.rows) // self.pages, 1)
        rows = self.rows[first : first + size]
        left = len(self.rows) - first - len(rows)
        return {"rows": rows, "addresses": HERE if not first else [], "left": left, "beyond": 0}


def looked(told: Told) -> Owners:
    owners = Owners(told)  # type: ignore[arg-type]  # as much of a helper as is asked
    look(owners)
    return owners


def look(owners: Owners) -> None:
    owners._due = 0
    owners.look()
    with owners._asking:
        pass


def row(
    local: str, port: int, remote: str = "", remote_port: int = 0, *, program: str = "sshd", pid: int = 812
) -> Any:
    return ["tcp", local, port, remote, remote_port, pid, program, "root"]


def test_the_most_exact_socket_is_the_one() -> None:
    rows = [row("0.0.0.0", 22), row("192.0.2.1", 22, pid=2), row("192.0.2.1", 22, "198.51.100.7", 4000, pid=3)]
    rows += [row("::", 80, program="nginx", pid=4)]
    owners = looked(Told(*rows, pages=3))

    def pid(local: tuple[str, int], remote: tuple[str, int] = ("198.51.100.9", 5000), protocol: str = "tcp") -> int:
        found = owners.of(protocol, local, remote)
        return found.pid if found is not None else 0

    assert pid(("192.0.2.1", 22), ("198.51.100.7", 4000)) == 3
    assert pid(("192.0.2.1", 22)) == 2
    assert pid(("127.0.0.1", 22)) == 812
    assert pid(("127.0.0.1", 80)) == pid(("2001:db8::1", 80)) == 4
    assert pid(("192.0.2.1", 23)) == 0
    assert pid(("192.0.2.1", 22), protocol="udp") == 0
    # A server elsewhere, on the same port: none of ours.
    assert pid(("198.51.100.7", 22)) == pid(("198.51.100.7", 80)) == 0


def test_a_connection_that_has_ended_is_remembered_and_no_more_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.owners._KEPT", 3)
    told = Told(*(row("192.0.2.1", port, "198.51.100.7", 80) for port in (1, 2, 3)))
    owners = looked(told)
    told.rows = [row("192.0.2.1", port, "198.51.100.7", 80) for port in (1, 4)]
    look(owners)
    known = [port for port in range(6) if owners.of("tcp", ("192.0.2.1", port), ("198.51.100.7", 80))]
    assert known == [1, 3, 4]


def test_names_of_strangers_are_escaped_and_rows_of_another_shape_left_out() -> None:
    hostile = row("192.0.2.1", 22, program="\x1b]0;owned\x07\u202e")
    owners = looked(Told(hostile, ["tcp", 1], row("192.0.2.1", "23"), 7))  # type: ignore[arg-type]
    found = owners.of("tcp", ("192.0.2.1", 22), ("198.51.100.7", 1))
    assert found is not None
    assert found.text == "\\x1b]0;owned\\a\\u202e (812)"
    assert owners.of("tcp", ("192.0.2.1", 23), ("198.51.100.7", 1)) is None


def test_it_looks_only_now_and_then() -> None:
    told = Told(row("192.0.2.1", 22))
    owners = looked(told)
    for _ in range(10):
        owners.look()
    assert told.calls == 1
    told.fault = HelperError("the helper process is gone: it ended")
    look(owners)
    assert (told.calls, owners.trouble) == (2, "the helper process is gone: it ended")
    assert owners.of("tcp", ("192.0.2.1", 22), ("198.51.100.7", 1)) is not None
    assert owners._due > time.monotonic() + 10


def test_nothing_is_told_of_another_namespace() -> None:
    home = True
    told = Told(row("192.0.2.1", 22))
    owners = Owners(told, lambda: home)  # type: ignore[arg-type]
    look(owners)
    assert owners.of_packet(dissect(packet(), 1)) == "sshd (812)"
    home = False
    assert owners.of_packet(dissect(packet(), 1)) == ""
    look(owners)
    assert told.calls == 1
    home = True
    assert owners.of_packet(dissect(packet(), 1)) == "sshd (812)"


def packet(protocol: int = 6, source: str = "192.0.2.1", sport: int = 22) -> bytes:
    transport = struct.pack("!2H2L4H", sport, 4000, 1, 1, 0x5018, 100, 0, 0)
    if protocol == 17:
        transport = struct.pack("!4H", sport, 4000, 8, 0)
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(transport), 1, 0, 64, protocol, 0)
    ends = socket.inet_aton(source) + socket.inet_aton("198.51.100.7")
    return bytes(12) + b"\x08\0" + head + ends + transport


def test_an_opened_packet() -> None:
    owners = looked(Told(row("0.0.0.0", 22)))
    assert owners.of_packet(dissect(packet(), 1)) == "sshd (812)"
    assert owners.of_packet(dissect(packet(17), 1)) == ""
    assert owners.of_packet(dissect(packet(sport=23), 1)) == ""
    assert owners.of_packet(dissect(packet(source="198.51.100.8"), 1)) == ""
    assert ends_of(dissect(packet(17), 1)) == ("udp", ("192.0.2.1", 22), ("198.51.100.7", 4000))
    for size in range(54):
        assert owners.of_packet(dissect(packet()[:size], 1)) in ("", "sshd (812)")


def test_many_sockets_take_several_messages_and_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [("tcp", "2001:db8::1", n, "2001:db8::2", 443, 1, "\U0001f600" * 32, "root") for n in range(5000)]
    monkeypatch.setattr(module, "_look", lambda: many)
    monkeypatch.setattr(module, "_addresses", lambda: ["2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"] * 256)
    rows: list[Any] = []
    while True:
        answer, descriptors = module.owners(SERVED, {"first": len(rows)})
        assert descriptors == []
        assert len(json.dumps(answer, separators=(",", ":"))) <= LARGEST
        assert isinstance(answer["rows"], list)
        rows += answer["rows"]
        if answer["left"] == 0:
            break
    assert rows == many[: module.MOST]
    assert answer["beyond"] == 5000 - module.MOST
    for first in (-1, 1 << 60):
        module.owners(SERVED, {"first": first})


@pytest.fixture
def helper() -> Iterator[Helper]:
    nobody = Identity(65534, 65534, "nobody") if os.getuid() == 0 else None
    started = Helper.start(Start(("owners",), nobody))
    yield started
    started.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_sockets_of_this_very_process(helper: Helper, family: socket.AddressFamily) -> None:
    address = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}[family]
    with (
        socket.create_server((address, 0), family=family) as server,
        socket.create_connection(server.getsockname()[:2]) as client,
        server.accept()[0],
        socket.socket(family, socket.SOCK_DGRAM) as waiting,
    ):
        waiting.bind((address, 0))
        owners = Owners(helper)
        look(owners)
        assert owners.trouble == ""
        mine, there = client.getsockname()[:2], server.getsockname()[:2]
        for protocol, one, other in (
            ("tcp", mine, there),
            ("tcp", there, mine),
            ("tcp", there, (address, 9)),
            ("udp", waiting.getsockname()[:2], (address, 9)),
        ):
            found = owners.of(protocol, one, other)
            assert found is not None, (protocol, one, other)
            assert (found.pid, found.user) == (os.getpid(), "root" if os.getuid() == 0 else found.user)
            assert found.program


HOSTILE = """
import ctypes, socket, time
ctypes.CDLL(None).prctl(15, b"\\x1b]0;x\\x07\\xff", 0, 0, 0)  # PR_SET_NAME
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
time.sleep(60)
"""


def test_a_program_that_calls_itself_something_is_told_escaped(helper: Helper) -> None:
    with subprocess.Popen([sys.executable, "-c", HOSTILE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            owners = Owners(helper)
            look(owners)
            found = owners.of("tcp", ("127.0.0.1", port), ("127.0.0.1", 9))
        finally:
            process.kill()
    assert found is not None
    assert found.text == f"\\x1b]0;x\\a\\xff ({process.pid})"
