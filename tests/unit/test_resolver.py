"""--resolve: what is asked, how often, and that no answer can do harm."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.resolver import Resolver, name_servers
from netwatch.capture.resolver_server import INTERVAL, LARGEST, MOST, Asker


def domain(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes) -> bytes:
    return owner + struct.pack("!2HLH", kind, 1, 60, len(data)) + data


def reply(query: bytes, *records: bytes, code: int = 0) -> bytes:
    """To the question of `query`, with its number."""
    return query[:2] + struct.pack("!5H", 0x8180 | code, 1, len(records), 0, 0) + query[12:] + b"".join(records)


@contextmanager
def asking(servers: int = 1) -> Iterator[tuple[socket.socket, list[socket.socket]]]:
    """An asker in a thread -> its channel, and the name servers' ends of its sockets."""
    channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(servers)]
    thread = threading.Thread(target=Asker(theirs, [pair[0] for pair in pairs]).serve, daemon=True)
    thread.start()
    for each in (channel, *(pair[1] for pair in pairs)):
        each.settimeout(10)
    try:
        yield channel, [pair[1] for pair in pairs]
    finally:
        channel.close()
        thread.join(10)
        assert not thread.is_alive()
        for each in (theirs, *(end for pair in pairs for end in pair)):
            each.close()


FOUR, SIX = socket.inet_aton("192.0.2.7"), socket.inet_pton(socket.AF_INET6, "2001:db8::7")


@pytest.mark.parametrize(
    ("packed", "question"),
    [(FOUR, "7.2.0.192.in-addr.arpa"), (SIX, "7." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa")],
)
def test_a_pointer_is_asked_for_and_its_name_comes_back(packed: bytes, question: str) -> None:
    with asking() as (channel, (server,)):
        channel.send(packed)
        query = server.recv(LARGEST)
        assert query[12:] == domain(question) + struct.pack("!2H", 12, 1)
        server.send(reply(query, record(b"\xc0\x0c", 12, domain("Host.example"))))
        assert channel.recv(600) == bytes([len(packed)]) + packed + b"Host.example"


def test_delegated_blocks_are_followed_through_their_aliases() -> None:
    with asking() as (channel, (server,)):
        channel.send(FOUR)
        query = server.recv(LARGEST)
        alias = domain("7.0-31.2.0.192.in-addr.arpa")
        server.send(reply(query, record(b"\xc0\x0c", 5, alias), record(alias, 12, domain("host.example"))))
        assert channel.recv(600)[5:] == b"host.example"


def test_what_is_no_answer_to_the_question_is_passed_over() -> None:
    with asking() as (channel, (server,)):
        channel.send(FOUR)
        query = server.recv(LARGEST)
        evil = record(b"\xc0\x0c", 12, domain("evil.example"))
        other = domain("8.2.0.192.in-addr.arpa") + query[-4:]
        loop = record(b"\xc0\x0c", 12, b"\xc0\x34")
        for wrong in (
            bytes([query[0] ^ 1]) + reply(query, evil)[1:],  # another number
            query,  # no answer
            reply(query[:12] + other, evil),  # to another question
            reply(query, evil)[:-3],  # cut
            reply(query, loop),  # a name that refers to itself
            b"",
            b"\xff" * 4000,
        ):
            server.send(wrong)
        server.send(reply(query, record(b"\xc0\x0c", 12, domain("good.example"))))
        assert channel.recv(600)[5:] == b"good.example"


def test_letters_that_no_host_has_come_back_as_ascii() -> None:
    with asking() as (channel, (server,)):
        channel.send(FOUR)
        hostile = b"\x0b\x1b]0;x\x07\xe2\x80\xae.\n\x03com\x00"
        server.send(reply(server.recv(LARGEST), record(b"\xc0\x0c", 12, hostile)))
        name = channel.recv(600)[5:]
        assert name.endswith(b".com")
        assert name.isascii()
        assert name.decode().isprintable()


def test_no_name_is_an_answer_too_and_the_next_server_is_asked_after_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.resolver_server.PATIENCE", 0.2)
    with asking(2) as (channel, (one, other)):
        channel.send(FOUR)
        assert one.recv(LARGEST)
        server = other.recv(LARGEST)  # the first said nothing
        other.send(reply(server, code=3))
        assert channel.recv(600) == b"\4" + FOUR
        channel.send(SIX)
        assert other.recv(LARGEST)  # who answered is asked first
        assert one.recv(LARGEST)
        assert channel.recv(600) == b"\x10" + SIX  # nobody said anything


def test_no_more_than_ten_a_second_and_what_is_too_much_is_refused() -> None:
    with asking() as (channel, (server,)):
        for number in range(MOST + 5):
            channel.send(bytes([192, 0, 2, number]))
        seen = []
        for _ in range(15):
            seen.append((time.monotonic(), server.recv(LARGEST)))
        assert len({query[12:] for _, query in seen}) == 15
        # What was held up may come sooner behind the one before; never sooner than its own turn.
        assert seen[-1][0] - seen[0][0] > 13 * INTERVAL
        refused = [channel.recv(600) for _ in range(4)]
        assert all(len(each) == 5 for each in refused)


# This side


class Fake:
    """As much of a process as a Resolver has."""

    def wait(self, timeout: float) -> int:  # noqa: ARG002
        return 0

    def kill(self) -> None:
        return


@contextmanager
def resolver(
    monkeypatch: pytest.MonkeyPatch, greeting: bytes = b'[["10.0.0.1", 4000, "10.0.0.53", 53]]'
) -> Iterator[tuple[Resolver, socket.socket]]:
    ends: list[socket.socket] = []
    pair = socket.socketpair

    def kept(*kinds: int) -> tuple[socket.socket, socket.socket]:
        mine, theirs = pair(*kinds)
        ends.append(theirs.dup())
        ends[0].send(greeting)
        return mine, theirs

    monkeypatch.setattr("netwatch.capture.resolver.socket.socketpair", kept)
    monkeypatch.setattr("netwatch.capture.resolver.subprocess.Popen", lambda *_, **__: Fake())
    made = Resolver(["10.0.0.53"])
    ends[0].settimeout(5)
    try:
        yield made, ends[0]
    finally:
        made.close()
        ends[0].close()


def test_each_address_is_asked_for_once_and_only_those_of_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolver(monkeypatch) as (made, other):
        for address in (
            "192.0.2.7",
            "127.0.0.1",
            "::1",
            "224.0.0.251",
            "ff02::1",
            "fe80::1",
            "0.0.0.0",
            "02:00:00:00:00:01",
            "",
        ):
            made.want(address)
        made.want("192.0.2.7")
        assert made.work() == []
        assert other.recv(99) == FOUR
        other.send(b"\4" + FOUR)  # no name
        assert made.work() == []
        made.want("192.0.2.7")
        made.want("2001:db8::7")
        made.work()
        assert other.recv(99) == SIX
        other.send(b"\x10" + SIX + b"six.example")
        assert made.work() == [("2001:db8::7", "six.example")]
        assert made.words == "asked 2, found 1"
        assert [(end.local, end.local_port, end.remote, end.remote_port) for end in made.endpoints] == [
            ("10.0.0.1", 4000, "10.0.0.53", 53)
        ]


def test_what_waits_is_bounded_and_the_newest_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolver(monkeypatch) as (made, other):
        for number in range(1000):
            made.want(f"10.0.{number >> 8}.{number & 255}")
        made.work()
        assert other.recv(99) == bytes([10, 0, 3, 231])
        assert len(made._waiting) + len(made._open) == 256
        made.want("10.0.0.1")  # was pushed out, so it may be asked for again
        assert made._waiting[-1] == "10.0.0.1"


@pytest.mark.parametrize(
    "said", [b"\4" + FOUR + b"x" * 520, b"\xff", b"\4\1\2", b"\0", b"\4\1\2\3\4evil.example", b"evil"]
)
def test_what_the_process_should_not_say_names_nobody(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    with resolver(monkeypatch) as (made, other):
        made.want("192.0.2.7")
        made.work()
        other.send(said)
        assert made.work() == []


def test_a_process_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with resolver(monkeypatch) as (made, other):
        assert made.work() == []
        assert "gone" not in made.words
        other.shutdown(socket.SHUT_RDWR)
        assert made.work() == []
        assert made.gone
        assert "gone" in made.words
        made.want("192.0.2.8")
        assert made.work() == []


@pytest.mark.parametrize("greeting", [b"[]", b"{", b"[[1]]", b'[["10.0.0.1", 0, "x", 53]]', b"7"])
def test_without_a_name_server_one_is_told_so(monkeypatch: pytest.MonkeyPatch, greeting: bytes) -> None:
    with pytest.raises(CaptureError, match="no way to a name server") as caught, resolver(monkeypatch, greeting):
        pass
    assert caught.value.code == 2


def test_name_servers_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# x\nsearch lan\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver fe80::1%eth0\nnameserver\n"
        "nameserver 10.0.0.1\n nameserver 2001:db8::53\nnameserver 10.0.0.4\n"
    )
    assert name_servers(str(file)) == ["10.0.0.1", "fe80::1%eth0", "2001:db8::53"]
    assert name_servers(str(tmp_path / "none")) == []
