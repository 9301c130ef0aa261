"""tshark is asked about one packet by a process that has no rights, no network, and nothing of ours in its memory."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.emulator import descendants

from netwatch.capture import tshark_server
from netwatch.capture.dissect import Item
from netwatch.capture.tshark import Tshark, TsharkError, items_of

QUERY = bytes.fromhex("123401000001000000000000076578616d706c65036f726700") + struct.pack("!HH", 1, 1)
UDP = struct.pack("!HHHH", 40000, 53, 8 + len(QUERY), 0) + QUERY
IP = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(UDP), 1, 0, 64, 17, 0, b"\xc0\0\2\1", b"\xc0\0\2\2") + UDP
PACKET = bytes.fromhex("02005e10000202005e1000010800") + IP

installed = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")


@pytest.fixture
def tshark() -> Iterator[Tshark]:
    made = Tshark.start()
    assert made is not None
    yield made
    made.close()


def flat(items: list[Item]) -> list[Item]:
    return [each for item in items for each in [item, *flat(item.children)]]


@installed
def test_what_tshark_says_of_a_packet_has_names_and_places(tshark: Tshark) -> None:
    layers = tshark.ask(PACKET, 1, len(PACKET), 1_700_000_000_123_456_789)
    assert [layer.field.name for layer in layers] == ["frame", "eth", "ip", "udp", "dns"]
    fields = {item.field.name: item for item in flat(layers)}
    name = fields["dns.qry.name"]
    assert name.text == "Name: example.org"
    assert PACKET[name.start : name.end] == b"\x07example\x03org\0"
    assert "Nov 14, 2023 22:13:20.123456789" in fields["frame.time"].text
    assert all(0 <= item.start <= item.end <= len(PACKET) for item in flat(layers))


@installed
def test_it_answers_again_and_again_also_what_is_broken(tshark: Tshark) -> None:
    for packet, linktype in ((b"", 1), (PACKET[:30], 1), (os.urandom(300), 101), (PACKET, 1)):
        layers = tshark.ask(packet, linktype, len(packet), 0)
        assert layers[0].field.name == "frame"


@installed
def test_the_process_that_asks_has_nothing_to_lose(tshark: Tshark) -> None:
    tshark.ask(PACKET, 1, len(PACKET), 0)
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{tshark.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    if os.geteuid() == 0:
        assert status["Uid"].split() == ["65534"] * 4
        here, there = (os.stat(f"/proc/{pid}/ns/net").st_ino for pid in ("self", tshark.pid))
        assert here != there


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_a_capability_that_was_given_is_gone_where_no_user_namespace_can_be_made(tmp_path: Path) -> None:
    # In a chroot the kernel refuses user namespaces (user_namespaces(7)).
    caps = "--inh-caps=-all,+net_raw --ambient-caps=-all,+net_raw"
    server = f"exec {sys.executable} -I -S {tshark_server.__file__} /bin/true"
    script = f"""mount --rbind / {tmp_path} && exec chroot {tmp_path} setpriv {caps} sh -c '{server}'"""
    mine, theirs = socket.socketpair()
    with mine, subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=theirs.fileno()) as process:
        theirs.close()
        mine.settimeout(20)
        mine.sendall(tshark_server.REQUEST.pack(1, 1, 0, 1) + b"x")
        mine.recv(1)  # it has given up its rights by now
        status = Path(f"/proc/{process.pid}/status").read_text()
        mine.close()
        process.wait(20)
    held = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    assert held.pop("CapBnd:")  # which only CAP_SETPCAP may shrink; NO_NEW_PRIVS makes it void
    assert set(held.values()) == {0}
    assert "Seccomp:\t2" in status


@installed
def test_it_ends_with_who_started_it() -> None:
    made = Tshark.start()
    assert made is not None
    made.close()
    assert not Path(f"/proc/{made.pid}").exists()
    with pytest.raises(TsharkError, match="gone"):
        made.ask(PACKET, 1, len(PACKET), 0)


def pretender(folder: Path, script: str) -> str:
    path = folder / "tshark"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exec sleep 60", "tshark took longer than 0 seconds"),
        ("exec yes", "tshark says more than 4 MiB of it"),
        ("exit 7", "tshark ended with code 7"),
    ],
)
def test_what_does_not_answer_as_it_should_is_told_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    monkeypatch.setattr(tshark_server, "PATIENCE", 0.3 if "sleep" in script else 20)
    start = time.monotonic()
    before = descendants(os.getpid())
    good, words = tshark_server.ask(pretender(tmp_path, script), b"a capture")
    assert (good, words.decode()) == (False, said)
    assert time.monotonic() - start < 30
    assert descendants(os.getpid()) <= before


def test_without_tshark_there_is_nobody_to_ask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Tshark.start() is None


def test_an_answer_that_is_none_is_an_error() -> None:
    for pdml in ("", "<pdml>", "<pdml></pdml>", "tshark: oops"):
        with pytest.raises(TsharkError):
            items_of(pdml)


def test_nothing_of_an_answer_reaches_the_terminal_as_a_control_code() -> None:
    (layer,) = items_of('<pdml><packet><proto name="x" showname="a\x1b[2J\x9b b" pos="3" size="-1"/></packet></pdml>')
    assert layer.text == "a?[2J\\u009b b"
    assert (layer.start, layer.size) == (3, 0)


def test_nesting_and_length_have_an_end() -> None:
    deep = '<field name="f" show="1">' * 500 + "</field>" * 500
    (layer,) = items_of(f'<pdml><packet><proto name="x">{deep}</proto></packet></pdml>')
    assert len(flat([layer])) < 100
    wide = '<field name="f" show="1"/>' * 20_000
    (layer,) = items_of(f'<pdml><packet><proto name="x">{wide}</proto></packet></pdml>')
    assert len(flat([layer])) < 6_000


def test_the_server_is_a_program_that_needs_nothing_of_ours() -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", tshark_server.__file__, "/nonexistent"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    imported = {line.rsplit(b"|", 1)[-1].strip().decode() for line in ran.stderr.splitlines()}
    ours = {name for name in imported if name.startswith("netwatch")}
    guard = "netwatch.capture.guard"
    assert ours == {"netwatch", "netwatch.capture", guard, f"{guard}.kernel", f"{guard}.seccomp"}
    assert "numpy" not in imported
