"""The field table is the protocol: size, places, values and names derive from it."""

from __future__ import annotations

import struct

import pytest

from netwatch.capture.dissect import dissect, field_names, fields_text, find
from netwatch.capture.dissect.checksum import ones_sum
from netwatch.capture.dissect.kit import U16, U24, Bit, Bits, Flags16, Header, Hex16, Packed16, absolute
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Malformed, Packet, Short
from netwatch.capture.dissect.tcp import TCP
from netwatch.capture.dissect.udp import UDP

EXAMPLE = Header(
    "example",
    "Example",
    (
        U16("one", "One", {7: "seven"}),
        Packed16(Bits(0xF000, "high", "High", times=4), Bits(0x0FFF, "low", "Low", digits=3)),
        Flags16("flags", "Flags", Bit(0x0100, "flags.a", "A"), Bit(0x0001, "flags.b", "B")),
        U24("wide", "Wide"),
        Hex16("", "Unnamed"),
    ),
    name="",
)


def test_a_header_knows_its_size_and_its_places() -> None:
    assert UDP.size == 8
    assert UDP.span("length") == slice(4, 6)
    assert TCP.size == 20
    with pytest.raises(KeyError):
        UDP.span("missing")


def test_values_names_and_bytes_of_its_rows() -> None:
    raw = struct.pack("!HHHBHH", 7, 0x5ABC, 0x0100, 1, 0x0203, 0xFFFF)
    values = EXAMPLE.read(raw, 0)
    assert values == (7, 0x5ABC, 0x0100, 0x010203, 0xFFFF)
    one, high, low, flags, wide, unnamed = EXAMPLE.items(values, 100)
    assert (one.text, fields_text(one), one.start, one.size) == ("seven (7)", "7", 100, 2)
    assert (high.value, fields_text(high), high.start, high.size) == (20, "20", 102, 1)
    assert (fields_text(low), low.start, low.size) == ("0xabc", 102, 2)
    assert [(part.text, fields_text(part), part.start, part.size) for part in flags.children] == [
        ("Set", "1", 104, 1),
        ("Not set", "0", 105, 1),
    ]
    assert (wide.value, wide.start, wide.size) == (0x010203, 106, 3)
    assert unnamed.field.name == ""


def test_names_are_those_of_the_field_and_known() -> None:
    assert EXAMPLE.rows[0].name == "example.one"
    assert {
        "ip.src",
        "tcp.flags.syn",
        "dns.qry.name",
        "http.host",
        "tls.handshake.extensions_server_name",
    } < field_names()
    assert "" not in field_names()


def test_a_little_endian_header() -> None:
    header = Header(
        "eth", "Little", (U16("first", "First"), Packed16(Bits(0x00FF, "last", "Last"))), name="", little=True
    )
    first, last = header.items(header.read(b"\x01\x00\x02\x03", 0), 0)
    assert first.value == 1
    assert (last.value, last.start, last.size) == (2, 2, 1)


def test_too_few_bytes_are_told_apart_from_bytes_that_were_cut() -> None:
    short = Packet(bytes(7), 7, build=True)
    with pytest.raises(Short) as lies:
        short.open(UDP, 0, 7)
    assert lies.value.need == 8
    assert lies.value.verdict(short).kind == "malformed"
    cut = Packet(bytes(7), 60, build=True)
    with pytest.raises(Short) as missing:
        cut.open(UDP, 0, 60)
    assert missing.value.verdict(cut).kind == "cut"


@pytest.mark.parametrize(
    ("raw", "single", "found"),
    [
        (b"\x01\x02\x04\x05\xb4\x00", (0, 1), [(1, 0, 1), (2, 1, 4), (0, 5, 1)]),
        (b"", (), []),
    ],
)
def test_options(raw: bytes, single: tuple[int, ...], found: list[tuple[int, int, int]]) -> None:
    assert list(options(Packet(raw, len(raw), build=True), "option", 0, len(raw), single=single)) == found


@pytest.mark.parametrize("raw", [b"\x02\x00", b"\x02\x01\x00"])
def test_an_option_that_does_not_move_on_ends_the_loop(raw: bytes) -> None:
    with pytest.raises(Malformed):
        list(options(Packet(raw, len(raw), build=True), "option", 0, len(raw)))


def test_an_option_beyond_its_header() -> None:
    with pytest.raises(Short):
        list(options(Packet(b"\x02\x09\x00", 3, build=True), "option", 0, 3))


def test_the_checksum_of_rfc_1071() -> None:
    words = b"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7"
    assert ones_sum(words) == 0xDDF2
    assert ones_sum(words + b"\x22\x0d") == 0xFFFF
    assert ones_sum(b"") == 0


def test_a_time_as_tshark_writes_it() -> None:
    assert absolute(1_700_000_000_123_456_789) == "Nov 14, 2023 22:13:20.123456789 UTC"
    assert absolute(0) == "Jan  1, 1970 00:00:00.000000000 UTC"


def test_find_gives_the_outermost_first() -> None:
    inner = bytes.fromhex("4500001c0000000040fd00000a0000030a000004") + bytes(8)
    outer = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(inner), 1, 0, 9, 4, 0, b"\x01\x02\x03\x04", b"\x05\x06\x07\x08"
    )
    tree = dissect(outer + inner, 101)
    source = find(tree, "ip.src")
    assert source is not None
    assert fields_text(source) == "1.2.3.4"
    assert (tree.source, tree.destination) == ("10.0.0.3", "10.0.0.4")
    assert find(tree, "tcp.port") is None
