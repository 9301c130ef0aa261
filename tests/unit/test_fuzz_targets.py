"""The targets of `python -m fuzz`, with a few mutations each, and what they found before."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.__main__ import Findings, by_chance, mutated
from fuzz.checks import Both, content
from fuzz.packets import ACK, FIN, RAW, SYN, cuts, segment
from fuzz.seeds import seeds
from fuzz.targets import TARGETS, run
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.dissect import Tree

ROOT = Path(__file__).parents[2]
SEEDS = list(seeds([]))
NAMES = list(TARGETS)


def of_target(name: str) -> list[bytes]:
    return [seed for seed in SEEDS if NAMES[seed[0]] == name]


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_gives_every_target_something_to_begin_with(name: str) -> None:
    begun = of_target(name)
    assert len(begun) > 5
    run(begun[0])  # which loads what is loaded once
    before = os.listdir("/proc/self/fd")
    for seed in begun[:: max(1, len(begun) // 12)]:
        run(seed)
    assert os.listdir("/proc/self/fd") == before


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SEEDS), st.integers(0, 2**32))
def test_mutations(seed: bytes, dice: int) -> None:
    run(mutated(seed, SEEDS, random.Random(dice)))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    run(data)


def shown(payload: bytes, port: int, pieces: list[tuple[int, int]], *, back: bool = False) -> list[Tree]:
    """A connection over which `payload` goes in pieces, the last with FIN."""
    both = Both(10)
    both.add(segment(b"", port, 999, SYN), RAW)
    both.add(segment(b"", port, 999, SYN | ACK, back=True), RAW)
    return [
        both.add(segment(payload[first:last], port, 1000 + first, ACK | FIN * (last == len(payload)), back=back), RAW)
        for first, last in pieces
    ]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(of_target("stream")), st.integers(0, 2**32))
def test_messages_do_not_depend_on_where_segments_end(seed: bytes, dice: int) -> None:
    _, port, flags = struct.unpack_from("!BHH", seed)
    payload, back = seed[5:3000], bool(flags & 1)
    whole, complete = content(shown(payload, port, [(0, len(payload))], back=back))
    pieces, _ = content(shown(payload, port, cuts(len(payload), random.Random(dice)), back=back))
    assert whole == pieces[: len(whole)]
    assert not complete or whole == pieces


# Found by it


def names(trees: list[Tree]) -> list[str]:
    return [layer.field.name for tree in trees for layer in tree.layers[3:]]


NEGOTIATE = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + bytes(16) + bytes(40)


def session(data: bytes, kind: int = 0) -> bytes:
    return bytes([kind]) + len(data).to_bytes(3, "big") + data


CALLED = b"\x20" + b"CK" + b"CA" * 15 + b"\0"


@pytest.mark.parametrize("cut", range(len(session(CALLED * 2, 0x81)), len(session(CALLED * 2, 0x81)) + 8))
def test_a_session_message_cut_within_its_head(cut: int) -> None:
    payload = session(CALLED * 2, 0x81) + session(NEGOTIATE) + session(NEGOTIATE)
    at_once = names(shown(payload, 139, [(0, len(payload))]))
    assert at_once.count("smb2") == 2
    pieces = names(shown(payload, 139, [(0, cut), (cut, cut + 90), (cut + 90, len(payload))]))
    assert [name for name in pieces if name in ("nbss", "smb2")] == at_once


def test_who_settles_on_a_conversation_gets_the_rest_of_the_segment() -> None:
    handshake = b"\x13BitTorrent protocol" + bytes(48)
    interested = struct.pack("!IB", 1, 2)
    payload = handshake + interested * 3
    trees = shown(payload, 51413, [(0, 40), (40, len(handshake) + 1), (len(handshake) + 1, len(payload))])
    assert [name for name in names(trees) if name != "tcp.segment_data"] == ["bittorrent"] * 4


def test_a_body_that_ends_with_the_connection_ends_in_its_only_segment() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nto the end"
    (tree,) = shown(answer, 80, [(0, len(answer))], back=True)
    assert tree.protocol == "HTTP"
    assert tree.info.startswith("HTTP/1.0 200 OK")


@pytest.mark.parametrize("cut", [1, 8, 30])
def test_a_sip_message_cut_within_its_first_line(cut: int) -> None:
    answer = b"SIP/2.0 200 OK\r\nCall-ID: a\r\nContent-Length: 0\r\n\r\n"
    request = b"REGISTER sip:example.org SIP/2.0\r\nCall-ID: a\r\nContent-Length: 0\r\n\r\n"
    for payload, first in ((answer + request, len(answer)), (request, 0)):
        if first + cut > 12:
            trees = shown(payload, 5060, [(0, first + cut), (first + cut, len(payload))])
            assert names(trees).count("sip") == len(payload) // len(request) + (first > 0)


def test_a_segment_of_which_only_what_came_before_was_captured() -> None:
    both = Both(10)
    for data, cut in ((b"GET / HTTP/1.1\r\n\r\n" * 20, None), (b"GET / HTTP/1.1\r\n\r\n" * 40, 60)):
        packet = segment(data, 80, 1000)
        tree = both.add(packet[:cut], RAW, len(packet))
    assert tree.layers[-1].field.name == "tcp"


def test_a_layer_that_stops_ends_where_its_bytes_do() -> None:
    report = bytes.fromhex("2200000000000001 04000000e00000fb")
    packet = struct.pack("!2B3H2BH4s4s", 0x45, 0, 28, 1, 0, 64, 2, 0, bytes(4), bytes(4)) + report
    tree = Both(10).add(packet, RAW)
    assert [layer.end for layer in tree.layers if layer.field.name == "igmp"] == [28]


@pytest.mark.parametrize("cut", range(1, 5))
def test_a_record_behind_a_client_hello_cut_within_its_head(cut: int) -> None:
    body = bytes.fromhex("0303") + bytes(32) + b"\0\0\x02\x13\x01\x01\0"
    hello = struct.pack("!BHHB3s", 22, 0x0301, len(body) + 4, 1, len(body).to_bytes(3, "big")) + body
    change, alert = bytes.fromhex("140303000101"), bytes.fromhex("15030300020100")
    first = len(hello) + cut
    payload = hello + change + alert
    trees = shown(payload, 443, [(0, first), (first, len(payload))])
    assert [tree.info.partition(" [TCP")[0] for tree in trees] == [
        "Client Hello",
        "Change Cipher Spec, Encrypted Alert",
    ]


def test_a_value_that_is_wrong_is_wrong_in_the_row_too() -> None:
    reach = bytes([135, 5]) + bytes(4) + b"\x20"  # a prefix of 32 bits without a byte of it
    hello = bytes.fromhex("831b01000f010000 02 000000000002 001e") + (27 + len(reach)).to_bytes(2, "big") + b"\x40"
    hello += bytes.fromhex("00000000000201") + reach
    frame = bytes(12) + (3 + len(hello)).to_bytes(2, "big") + b"\xfe\xfe\x03" + hello
    assert Both(10).add(frame, 1).verdict.kind == "malformed"


# What runs them


def test_a_finding_is_kept_once_for_each_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(data: bytes) -> None:
        assert not data.startswith(b"b"), "begins with b"
        assert not data.startswith(b"c"), "begins with c"

    found = Findings(tmp_path / "findings", broken)
    for data in (b"a", b"b", b"ba", b"c"):
        found(data)
    assert found.runs == 4
    assert sorted(path.read_bytes() for path in (tmp_path / "findings").iterdir()) == [b"b", b"c"]
    assert capsys.readouterr().err.count("FOUND") == 2


def test_a_run_without_a_finding_ends_with_0(tmp_path: Path) -> None:
    assert by_chance(Findings(tmp_path, lambda _: None), SEEDS[:3], 0.05, 1) == 0
    assert not list(tmp_path.iterdir())


def test_an_input_that_never_ends_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr("fuzz.__main__.LONGEST", 1)
    assert by_chance(Findings(tmp_path, endless), SEEDS[:1], 0.5, 1) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_one_input_again(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(SEEDS[0])
    command = [sys.executable, "-m", "fuzz", str(tmp_path / "input")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
