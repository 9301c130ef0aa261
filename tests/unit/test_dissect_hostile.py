"""Whatever the bytes: no exception, bounded work, ranges that hold, nothing unescaped."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, find, summarise
from netwatch.capture.dissect.packet import MAX_INFO, MAX_ITEMS, MAX_LAYERS, Packet
from netwatch.capture.dissect.registry import SIGNATURES, TABLES, Dissector, Step
from netwatch.capture.sources.files import open_file

LINKTYPES = [*sorted(TABLES["linktype"]), 65000]
ETHERNET, RAW = 1, 101


def udp_packet(payload: bytes, source: int = 40000, destination: int = 53) -> bytes:
    datagram = struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload
    return ip_packet(datagram, 17)


def ip_packet(payload: bytes, protocol: int) -> bytes:
    total = min(20 + len(payload), 0xFFFF)
    ends = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, protocol, 0, *ends) + payload


def tcp_packet(payload: bytes, destination: int = 80, options: bytes = b"") -> bytes:
    word = (5 + len(options) // 4) << 12 | 0x18
    return ip_packet(struct.pack("!HHIIHHHH", 40000, destination, 1, 1, word, 512, 0, 0) + options + payload, 6)


def question(name: bytes) -> bytes:
    return struct.pack("!HH4H", 1, 0x0100, 1, 0, 0, 0) + name + struct.pack("!HH", 1, 1)


def hello(name: bytes) -> bytes:
    extension = struct.pack("!HHHBH", 0, 5 + len(name), 3 + len(name), 0, len(name)) + name
    body = (
        bytes.fromhex("0303") + bytes(32) + b"\0\0\x02\x13\x01\x01\0" + struct.pack("!H", len(extension)) + extension
    )
    return struct.pack("!BHHB3s", 22, 0x0301, len(body) + 4, 1, len(body).to_bytes(3, "big")) + body


SAMPLES = [
    udp_packet(question(b"\x07example\x03org\0")),
    udp_packet(bytes.fromhex("00018180 00010001 00000000 016100 00010001 c00c 00010001 00000001 0004 61626364")),
    tcp_packet(b"GET / HTTP/1.1\r\nHost: example.org\r\nContent-Length: 3\r\n\r\nabc"),
    tcp_packet(hello(b"example.org"), 443),
    tcp_packet(b"", options=bytes.fromhex("020405b40402080a00000001000000000103030a")),
    tcp_packet(b"220 ready\r\n", 21),
    ip_packet(bytes.fromhex("0303000000000000") + udp_packet(b"x"), 1),
    ip_packet(bytes.fromhex("20000800 00000007") + udp_packet(b"x", 5000, 6000), 47),
    ip_packet(bytes.fromhex("22000000 00000001 04000000 e00000fb"), 2),
    udp_packet(b"\x23" + bytes(47), 123, 123),
    udp_packet(bytes.fromhex("000100002112a442") + bytes(12), 40000, 3478),
    udp_packet(
        bytes.fromhex("302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"), 40000, 161
    ),
    udp_packet(bytes.fromhex("01aabbcc 0001000e 00010001 2aabbccdd0011223 3445 0006 0004 0017 0018"), 546, 547),
    ip_packet(struct.pack("!HHII", 1, 2, 3, 4) + bytes.fromhex("01000014 00000001 00010000 00010001 00000001"), 132),
    bytes.fromhex("6000000000103aff") + bytes(32) + bytes.fromhex("8500000000000000 0101020000000001"),
]  # fmt: skip


def holds(tree: Tree) -> int:
    """Checks every item; how many there are."""
    count = 0
    sizes = [len(buffer.data) for buffer in tree.buffers]
    below = [(layer, 0, sizes[layer.buffer]) for layer in tree.layers]
    while below:
        item, first, last = below.pop()
        count += 1
        assert first <= item.start <= item.end <= last, item
        assert harmless(item.text), item
        assert harmless(fields_text(item)), item
        for child in item.children:
            within = (item.start, item.end) if child.buffer == item.buffer else (0, sizes[child.buffer])
            below.append((child, *within))
    for text in (tree.protocol, tree.info, tree.source, tree.destination, tree.verdict.text):
        assert harmless(text)
    starts = [layer.start for layer in tree.layers if not layer.buffer]
    assert starts == sorted(starts)
    return count


def harmless(text: str) -> bool:
    return all(char.isprintable() or char.isspace() for char in text) and not set(text) & set(
        "\n\r\t\v\f\x1c\x1d\x85\u2028"
    )


def check(data: bytes, linktype: int, wirelen: int | None = None) -> Tree:
    tree = dissect(data, linktype, wirelen)
    assert tree.verdict.kind != "failed", tree.verdict
    assert holds(tree) <= 2 * MAX_ITEMS
    assert len(tree.info) <= 10 * MAX_INFO
    assert summarise(data, linktype, wirelen)[:4] == (tree.protocol, tree.info, tree.source, tree.destination)
    return tree


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(LINKTYPES), st.integers(0, 2000))
def test_random_bytes(data: bytes, linktype: int, more: int) -> None:
    check(data, linktype)
    check(data, linktype, len(data) + more)


FILLS = [
    *(bytes([fill]) * 160 for fill in (0x00, 0x01, 0x30, 0x45, 0x60, 0xFF)),
    bytes(range(160)),
    b"GET / HTTP/1.1\r\n" * 10,
]


@pytest.mark.parametrize("table", [*sorted(TABLES), *(f"payload of {name}" for name in sorted(SIGNATURES))])
def test_every_dissector_at_every_length(table: str) -> None:
    known = TABLES.get(table)
    dissectors = set(known.values()) if known is not None else set(SIGNATURES[table.removeprefix("payload of ")])
    for dissector in dissectors:
        for fill in FILLS:
            for length in range(0, len(fill), 3):
                packet = Packet(fill[:length], length, build=True)
                packet.values["ports"] = (40000, 443)
                packet.run(Step((dissector,), 0, length))
                packet.finish()
                assert packet.verdict.kind != "failed", (dissector, packet.verdict)
                assert all(0 <= layer.start <= layer.end <= length for layer in packet.layers)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_mutated_packets(draws: st.DataObject) -> None:
    raw = bytearray(draws.draw(st.sampled_from(SAMPLES)))
    for _ in range(draws.draw(st.integers(1, 8))):
        place = draws.draw(st.integers(0, len(raw) - 1))
        raw[place] = draws.draw(st.one_of(st.sampled_from([0, 1, 0x1B, 0x7F, 0x80, 0xC0, 0xFF]), st.integers(0, 255)))
    keep = draws.draw(st.integers(0, len(raw)))
    check(bytes(raw), RAW)
    check(bytes(raw[:keep]), RAW)
    check(bytes(raw[:keep]), RAW, len(raw))


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_cut_at_any_byte_is_a_cut_and_never_malformed(sample: bytes) -> None:
    assert check(sample, RAW).verdict.kind == "ok"
    for keep in range(len(sample)):
        assert check(sample[:keep], RAW, len(sample)).verdict.kind == "cut"


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_frame_that_is_shorter_than_its_headers_say_is_malformed(sample: bytes) -> None:
    for keep in range(1, 20):
        assert check(sample[:keep], RAW).verdict.kind == "malformed"


HOSTILE = [
    b"\x1b]0;owned\x07",
    b"\x1b[2J\x9b31m",
    b"a\x00b\rc",
    "\u202eexe.pdf".encode(),
    "\u2028\ufeff".encode(),
    b"\xff\xfe",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_escaped_wherever_they_are_shown(name: bytes) -> None:
    packets = [
        udp_packet(question(bytes([len(name)]) + name + b"\0")),
        tcp_packet(hello(name), 443),
        tcp_packet(b"GET /" + name + b" HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"),
        tcp_packet(b"HTTP/1.1 200 " + name + b"\r\n\r\n"),
        tcp_packet(b"SSH-2.0-" + name + b"\r\n", 22),
        tcp_packet(b"USER x " + name + b"\r\n", 21),
        udp_packet(b"<13>" + name, 514, 514),
        udp_packet(b"\0\x01" + name + b"\0octet\0", 40000, 69),
        udp_packet(b"REGISTER sip:" + name + b" SIP/2.0\r\nFrom: " + name + b"\r\n\r\n", 5060, 5060),
    ]
    for data in packets:
        check(data, RAW)
    query = find(check(packets[0], RAW), "dns.qry.name")
    assert query is not None
    assert fields_text(query).isprintable()


def test_a_pointer_that_loops_ends_and_the_rest_is_read() -> None:
    itself = check(udp_packet(question(b"\xc0\x0c")), RAW)
    assert itself.info == "Standard query 0x0001 A <Name contains a pointer that loops>"
    assert itself.verdict.kind == "malformed"
    forward = struct.pack("!HH4H", 1, 0x0100, 2, 0, 0, 0) + b"\xc0\x12\0\x01\0\x01" + b"\xc0\x0c\0\x01\0\x01"
    assert check(udp_packet(forward), RAW).verdict.kind == "malformed"


def test_a_name_without_end() -> None:
    name = (b"\x3f" + b"a" * 63) * 4 + b"\x01e\0"
    assert check(udp_packet(question(name)), RAW).verdict.kind == "malformed"


def test_thousands_of_records_are_bounded() -> None:
    record = b"\xc0\x0c" + struct.pack("!HHIH4s", 1, 1, 1, 4, b"abcd")
    data = struct.pack("!HH4H", 1, 0x8180, 1, 4000, 0, 0) + b"\x3f" + b"a" * 63 + b"\0\0\x01\0\x01" + record * 4000
    tree = check(udp_packet(data, 53), RAW)
    assert tree.verdict.kind == "stopped"
    assert len(tree.info) <= MAX_INFO


@pytest.mark.parametrize(
    "options", [b"\x02\x00\x00\x00", b"\x08\x01\x00\x00", b"\x02\xff\x00\x00", b"\x01\x01\x01\x05"]
)
def test_an_option_whose_length_lies(options: bytes) -> None:
    tree = check(tcp_packet(b"data", options=options), RAW)
    assert tree.protocol == "TCP"
    assert tree.verdict.kind == "malformed"
    assert find(tree, "tcp.srcport") is not None


@pytest.mark.parametrize(
    ("linktype", "nested"),
    [
        (ETHERNET, bytes(12) + b"\x81\x00" + b"\x00\x01\x81\x00" * 10_000),
        (ETHERNET, bytes(12) + b"\x88\x47" + b"\x00\x01\x00\x40" * 10_000),
        (RAW, b"".join(ip_packet(bytes(max(0, 20 * (3000 - depth))), 4)[:20] for depth in range(3000))),
        (RAW, bytes.fromhex("600000000000003c") + bytes(32) + b"\x3c\0\x01\x04\0\0\0\0" * 10_000),
        (RAW, ip_packet((b"\x03\x03" + bytes(6) + ip_packet(b"", 1)) * 1000, 1)),
    ],
)
def test_headers_within_headers_are_bounded(linktype: int, nested: bytes) -> None:
    tree = check(nested, linktype)
    assert 1 < depth(tree.layers) <= MAX_LAYERS + 4


def depth(items: tuple[Item, ...] | list[Item]) -> int:
    return len(items) + max((depth(item.children) for item in items if item.field.name == "icmp"), default=0)


def test_a_length_that_points_beyond_the_packet() -> None:
    data = bytearray(udp_packet(b"payload", 5000, 6000))
    data[2:4] = b"\xff\xff"
    tree = check(bytes(data), RAW)
    assert tree.verdict.kind == "malformed"
    assert (tree.protocol, tree.info) == ("UDP", "5000 → 6000 Len=7")


@pytest.mark.parametrize("length", [0, 7, 200])
def test_a_udp_length_that_lies_does_not_hide_the_ports(length: int) -> None:
    data = bytearray(udp_packet(b"payload", 5000, 6000))
    data[24:26] = struct.pack("!H", length)
    tree = check(bytes(data), RAW)
    assert tree.verdict.kind == "malformed"
    port = find(tree, "udp.dstport")
    assert port is not None
    assert port.value == 6000


# Sequences, and real packets that were cut or changed

DEMO = Path(__file__).parents[2] / "capture" / "data" / "demo.pcapng"


def recorded() -> list[tuple[bytes, int]]:
    """The packets of the demo's capture and their link types."""
    source, found = open_file(DEMO), []
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            for at, size, link in zip(block.offsets, block.caplen, block.linktype, strict=True):
                found.append((block.raw[at : at + size].tobytes(), int(link)))
    source.close()
    return found


RECORDED = recorded()
KINDS = {dissect(*packet).protocol: packet for packet in reversed(RECORDED)}
"""The first packet of each protocol."""


def check_sequence(packets: list[tuple[bytes, int]]) -> None:
    """With the packets before in mind: rows and trees go through the capture on their own."""
    trees, rows = Context(), Context()
    for number, (data, linktype) in enumerate(packets, 1):
        told: dict[str, Any] = {"number": number, "ts": 10**18 + number}
        tree = dissect(data, linktype, context=trees, **told)
        assert tree.verdict.kind != "failed", tree.verdict
        assert holds(tree) <= 2 * MAX_ITEMS
        columns = summarise(data, linktype, context=rows, **told)[:4]
        assert columns == (tree.protocol, tree.info, tree.source, tree.destination)


def test_the_demo_is_of_many_protocols() -> None:
    assert len(KINDS) > 25


@pytest.mark.parametrize("protocol", sorted(KINDS))
def test_a_real_packet_cut_at_any_byte(protocol: str) -> None:
    data, linktype = KINDS[protocol]
    for keep in (*range(min(len(data), 160)), *range(160, len(data), 41)):
        check(data[:keep], linktype)
        check(data[:keep], linktype, len(data))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, len(RECORDED) - 30),
    st.lists(st.tuples(st.integers(0, 29), st.integers(0, 1513), st.binary(min_size=1, max_size=6)), max_size=12),
    st.permutations(range(30)),
)
def test_real_packets_changed_and_in_another_order(
    first: int, changes: list[tuple[int, int, bytes]], order: list[int]
) -> None:
    packets = RECORDED[first : first + 30]
    for which, at, instead in changes:
        data, linktype = packets[which]
        packets[which] = data[:at] + instead + data[at + len(instead) :], linktype
    check_sequence(packets)
    check_sequence([packets[which] for which in order])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=12), st.sampled_from(LINKTYPES))
def test_random_bytes_one_after_the_other(packets: list[bytes], linktype: int) -> None:
    check_sequence([(packet, linktype) for packet in packets])


# Work is bounded whatever is repeated

SIZE = 1 << 16
STEPS_A_BYTE = 16
REPEATED = [
    b"\0", b"\xff", b"\n", b"a: b\r\n", b"\x30\x80", b"*1\r\n", b"l", b'{"a":', b"\1\0", b"\x82\0",
    b"\0\0\0\4\0\0\0\0\0", b"\xc0\x0c\0\1\0\1\0\0\0\0\0\0",
]  # fmt: skip
EVERY = sorted(
    {each for table in TABLES.values() for each in table.values()}
    | {each for some in SIGNATURES.values() for each in some},
    key=lambda each: (each.__module__, each.__qualname__),
)


def steps(dissector: Dissector, data: bytes) -> int:
    """Calls of functions while a dissector looks at bytes."""
    packet, count = Packet(data, len(data), build=True), 0
    packet.values["ports"] = (40000, 443)

    def step(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(step)
    try:
        packet.run(Step((dissector,), 0, len(data)))
        packet.finish()
    finally:
        sys.setprofile(before)
    assert packet.verdict.kind != "failed", packet.verdict
    assert packet.items <= 2 * MAX_ITEMS
    assert len(packet.layers) <= MAX_ITEMS
    return count


@pytest.mark.parametrize("repeated", REPEATED)
def test_work_grows_with_the_size_of_a_packet_at_most(repeated: bytes) -> None:
    data = (repeated * SIZE)[:SIZE]
    slow = {f"{each.__module__}.{each.__qualname__}": steps(each, data) for each in EVERY}
    assert max(slow.values()) <= STEPS_A_BYTE * SIZE, sorted(slow.items(), key=lambda each: -each[1])[:5]
