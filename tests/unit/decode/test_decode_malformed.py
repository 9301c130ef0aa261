"""Which packets are malformed: what lies about a length or never ends is, a mere cut is not."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from netwatch.capture.columns import MALFORMED
from netwatch.capture.decode import Decoder

TIMESTAMPS = b"\1\1\x08\x0a" + bytes(8)
SYN = b"\2\4\5\xb4\4\2\x08\x0a" + bytes(8) + b"\1\3\3\7"
ARP = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20)
QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0"
KIND = b"\0\1\0\1"


def malformed(build: Any, packets: list[bytes], wire: list[int] | None = None) -> list[bool]:
    marks = Decoder().decode(build.block(packets, 1, wire)).rows.marks
    return [bool(each & MALFORMED) for each in marks.tolist()]


def segment(build: Any, options: bytes, payload: bytes = b"") -> bytes:
    made: bytes = build.ethernet(
        0x0800, build.ipv4(6, build.tcp(options + payload, offset=5 + len(options) // 4, flags=2))
    )
    return made


def datagram(build: Any, message: bytes, port: int = 53) -> bytes:
    made: bytes = build.ethernet(0x0800, build.ipv4(17, build.udp(message, dport=port)))
    return made


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (b"", False),
        (TIMESTAMPS, False),
        (SYN, False),
        (b"\1" * 40, False),
        (b"\0\2\0\0", False),  # behind the end of the list anything may stand
        (b"\2\4\5\xb4\1\1\1\0", False),
        (TIMESTAMPS + b"\x08\0\1\1", True),
        (b"\2\0\0\0\0\0\0\0", True),
        (b"\xfd\1\0\0", True),
        (b"\2\xff\5\xb4\1\1\1\0", True),
        (b"\5\x09\0\0\0\1\0\0", True),
        (b"\1\1\1\x08", True),
        (b"\1" * 39 + b"\3", True),
    ],
)
def test_options_of_tcp_fit_into_their_header(build: Any, options: bytes, bad: bool) -> None:
    # The bytes behind the header would do as lengths, but are none; and in the last packet there are none.
    packets = [segment(build, options, b"\2\2\2\2"), segment(build, options)]
    assert malformed(build, packets) == [bad, bad]


def test_options_of_tcp_that_were_not_captured_are_not_malformed(build: Any) -> None:
    whole = segment(build, b"\1\1\1\x08")
    assert malformed(build, [whole[:-1]], [len(whole)]) == [False]


def test_arp_holds_the_addresses_that_its_header_speaks_of(build: Any) -> None:
    whole = build.ethernet(0x0806, ARP)
    larger = build.ethernet(0x0806, ARP[:4] + b"\x10\x10" + ARP[6:])
    packets = [whole, whole + bytes(18), whole[:-1], whole[:18], whole[:-1], larger]
    wire = [len(packet) for packet in packets]
    wire[4] = len(whole)
    assert malformed(build, packets, wire) == [False, False, True, True, False, True]


def test_a_length_of_802_3_is_within_its_frame(build: Any) -> None:
    payload = b"\x42\x42\3" + bytes(35)
    frames = [build.ethernet(size, payload) for size in (38, 20, 39, 1500)]
    tagged = build.tags([0x8100], 39, payload)
    assert malformed(build, [*frames, tagged]) == [False, False, True, True, True]
    assert malformed(build, [frames[2]], [14 + 39]) == [False]


@pytest.mark.parametrize("port", [53, 5353, 5355, 137])
def test_a_dns_message_has_a_header(build: Any, port: int) -> None:
    whole = datagram(build, QUERY[:11], port)
    assert malformed(build, [whole, datagram(build, QUERY[:2] + bytes(10), port)]) == [True, False]
    longer = datagram(build, QUERY + b"\0" + KIND, port)
    assert malformed(build, [longer, longer[:50]], [len(longer), len(longer)]) == [False, False]


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        (b"\0", False),
        (b"\7example\3com\0", False),
        (b"\1a" * 40 + b"\0", False),
        (b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\0", False),
        (b"\xc0\x0c", True),  # at itself
        (b"\1a\xc0\x0c", True),  # at the label before, and so round and round
        (b"\1a\xc0\x0e", True),
        (b"\1a" * 60 + b"\xc0\x0c", True),
        (b"\xff\xff", True),
        (b"\xc0\0", True),  # into the header
        (b"\x3fabc", True),  # beyond the message
    ],
)
def test_the_first_name_of_a_dns_message_ends(build: Any, name: bytes, bad: bool) -> None:
    packet = datagram(build, QUERY + name + KIND)
    assert malformed(build, [packet, packet + bytes(100)]) == [bad, bad]


def test_pointers_of_answers_are_what_they_are_for(build: Any) -> None:
    answered = b"\0\1\x81\x80\0\1\0\1\0\0\0\0\1a\0" + KIND + b"\xc0\x0c" + KIND + bytes(4) + b"\0\4\1\2\3\4"
    assert malformed(build, [datagram(build, answered)]) == [False]


def test_without_a_question_there_is_no_name_to_look_at(build: Any) -> None:
    assert malformed(build, [datagram(build, bytes(12) + b"\xc0\x0c")]) == [False]
