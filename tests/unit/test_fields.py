"""`--fields`: names, forms and what appears when (CONTRACT: `--fields`)."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT, REASSEMBLED, UNTIMED
from netwatch.capture.decode import Decoder
from netwatch.capture.field_names import COLUMN_NAMES
from netwatch.capture.fields import COLUMNS, PIECE, FieldError, FieldWriter
from netwatch.capture.rates import FileRates
from netwatch.capture.sources.files import open_file
from netwatch.capture.stats import partial

ETHERNET = bytes.fromhex("0200000000b0 0200000000a0")
IPV4 = bytes.fromhex("45000034 1234 4000 40 06 0000 0a000001 0a000002")
IPV6 = bytes.fromhex("60000000 0010 11 40") + bytes.fromhex("20010db8" + "0" * 20 + "0001" + "0" * 32)
TCP = struct.pack(">HHIIHHHH", 443, 50000, 7, 8, 0x8018, 512, 0, 0) + b"\1" * 12
UDP = struct.pack(">HHHH", 53, 5353, 16, 0) + b"12345678"
SEGMENT = ETHERNET + b"\x08\0" + IPV4 + TCP


def block_of(*packets: bytes, wire: int = 0) -> Block:
    sizes = np.array([len(packet) for packet in packets], np.int64)
    n = len(packets)
    return Block(
        raw=np.frombuffer(b"".join(packets), np.uint8),
        offsets=sizes.cumsum() - sizes,
        caplen=sizes.astype(np.uint32),
        wirelen=np.maximum(sizes, wire).astype(np.uint32),
        ts=np.arange(n, dtype=np.int64) * 1_000_000_001 + 2_200_000_000_000_000_001,
        linktype=np.ones(n, np.uint16),
        iface=np.zeros(n, np.uint16),
        marks=np.zeros(n, np.uint16),
        pos=np.zeros(n, np.int64),
        owned=True,
    )


def print_fields(names: str, block: Block) -> list[list[str]]:
    lines = FieldWriter(names.split(",")).lines(block, Decoder(fields=True).decode(block))
    assert not lines or lines.endswith("\n")
    return [line.split("\t") for line in lines.split("\n")[:-1]]


def test_the_header_names_the_columns() -> None:
    assert FieldWriter(["frame.number", "ip.src"]).header() == "frame.number\tip.src\n"


def test_an_unknown_field_names_near_ones() -> None:
    with pytest.raises(FieldError, match=r"^unknown field 'tcp.scrport'.*tcp\.srcport") as caught:
        FieldWriter(["frame.number", "tcp.scrport"])
    assert caught.value.code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FRAME.NUMBER", "did you mean frame.number?"),
        ("_ws.col.Inof", "did you mean _ws.col.Info"),
        ("Ip.Scr", "did you mean ip.src, "),
        ("tcp.zzzzzzzzzzzz", "there are tcp.srcport, tcp.dstport, tcp.port, "),
        ("xyzzy", "there are frame.number, ip.src, "),
        ("\x1b]0;x\a\n" * 999, "there are frame.number, "),
    ],
)
def test_an_unknown_field_always_names_some(name: str, hint: str) -> None:
    with pytest.raises(FieldError) as caught:
        FieldWriter([name])
    assert str(caught.value).startswith(f"unknown field {name!r}: {hint}")


def test_forms_of_a_tcp_segment() -> None:
    got = print_fields(
        "frame.number,frame.time_epoch,frame.len,frame.cap_len,eth.src,eth.dst,eth.type,ip.src,ip.dst,ip.proto,ip.ttl,"
        "ip.len,ip.id,tcp.srcport,tcp.dstport,tcp.flags,tcp.window_size_value,udp.srcport,ipv6.src",
        block_of(SEGMENT, wire=1000),
    )
    assert got == [
        ["1", "2200000000.000000001", "1000", str(len(SEGMENT)), "02:00:00:00:00:a0", "02:00:00:00:00:b0", "0x0800",
         "10.0.0.1", "10.0.0.2", "6", "64", "52", "0x1234", "443", "50000", "0x0018", "512", "", ""],
    ]  # fmt: skip


def test_forms_of_ipv6() -> None:
    got = print_fields(
        "ipv6.src,ipv6.dst,ipv6.nxt,ipv6.hlim,ipv6.plen,ip.proto,udp.srcport,udp.length",
        block_of(ETHERNET + b"\x86\xdd" + IPV6 + UDP),
    )
    assert got == [["2001:db8::1", "::", "17", "64", "16", "", "53", "16"]]


def test_lengths_that_headers_do_not_tell() -> None:
    lite = bytes.fromhex("45000021 00010000 40880000 0a000001 0a000002 03e8 07d0 0008 0000") + bytes(5)
    lying = bytes.fromhex("4500000a 00010000 40110000 0a000001 0a000002")
    names = "ip.len,udp.length,ip.version,ip.flags"
    got = print_fields(names, block_of(*(ETHERNET + kind for kind in (b"\x08\x00" + lite, b"\x08\x00" + lying))))
    assert got == [["33", "13", "4", "0x00"], ["10", "", "4", ""]]
    assert print_fields(names, block_of(ETHERNET + b"\x86\xdd" + IPV6 + UDP)) == [["", "16", "6", ""]]
    assert print_fields("udp.length", block_of(ETHERNET + b"\x08\x00" + lite, wire=100)) == [[""]]


def test_arp_and_tags() -> None:
    arp = bytes.fromhex("0001 0800 06 04 0002 0200000000a0 0a000001 0200000000b0 0a000002")
    tagged = ETHERNET + b"\x91\x00\x00\x07\x81\x00\x00\x08\x08\x06" + arp
    provider = ETHERNET + b"\x88\xa8\x00\x09\x08\x06" + arp
    got = print_fields(
        "vlan.id,ieee8021ad.id,arp.opcode,arp.src.hw_mac,arp.dst.proto_ipv4", block_of(tagged, provider)
    )
    assert got == [["7", "", "2", "02:00:00:00:00:a0", "10.0.0.2"], ["", "9", "2", "02:00:00:00:00:a0", "10.0.0.2"]]


def test_a_field_appears_with_its_bytes() -> None:
    cuts = [SEGMENT[:size] for size in range(len(SEGMENT) + 1)]
    got = print_fields("eth.src,ip.proto,ip.src,ip.dst,tcp.srcport,tcp.dstport,tcp.flags", block_of(*cuts, wire=2000))
    first = [min(size for size, line in enumerate(got) if line[column]) for column in range(7)]
    assert first == [14, 24, 30, 34, 38, 38, 50]


def test_the_first_occurrence_in_a_tunnel() -> None:
    inner = IPV4 + TCP
    outer = bytes.fromhex("45000000 0001 0000 40 29 0000 01010101 02020202")
    six = bytes.fromhex("60000000 0034 04 40") + b"\x20\x01" + b"\0" * 13 + b"\1" + b"\x20\x01" + b"\0" * 13 + b"\2"
    got = print_fields(
        "ip.src,ip.proto,ipv6.src,tcp.srcport,udp.srcport", block_of(ETHERNET + b"\x08\0" + outer + six + inner)
    )
    assert got == [["1.1.1.1", "41", "2001::1", "443", ""]]


def test_fields_of_a_reassembled_datagram() -> None:
    first = bytes.fromhex("45000024 0001 2000 40 11 0000 0a000001 0a000002") + UDP
    second = bytes.fromhex("45000015 0001 0002 40 11 0000 0a000001 0a000002") + b"9"
    frames = [ETHERNET + b"\x08\0" + first, ETHERNET + b"\x08\0" + second]
    assert print_fields("ip.src,udp.dstport", block_of(*frames)) == [["10.0.0.1", ""], ["10.0.0.1", "5353"]]


@pytest.mark.parametrize("seed", range(30))
def test_columns_and_dissectors_put_the_same_fragments_together(seed: int) -> None:
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(150):
        first, units, more = random.integers(0, 5), random.integers(0, 4), random.random() < 0.7
        size = 8 * int(units) + (0 if more else int(random.integers(0, 8)))
        payload = (UDP * 8)[8 * first : 8 * first + size]
        head = struct.pack(
            ">2B3H2BH8s", 0x45, 0, 20 + size, random.integers(0, 2), more << 13 | first, 64, 17, 0, IPV4[12:]
        )
        tag = b"\x81\0" + struct.pack(">H", random.integers(1, 3)) if random.random() < 0.3 else b""
        frames.append(ETHERNET + tag + b"\x08\0" + head + payload)
    block = block_of(*frames)
    for frame in random.integers(0, len(frames), 3).tolist():
        block.caplen[frame] -= 5
    whole = [bool(size) for (size,) in print_fields("ip.reassembled.length", block)]
    marks = Decoder().decode(block).rows.marks
    assert whole == (marks & REASSEMBLED != 0).tolist()
    assert any(whole)


def test_numbers_count_packets_over_blocks_and_not_events() -> None:
    writer, decoder = FieldWriter(["frame.number"]), Decoder(fields=True)
    block = block_of(SEGMENT, b"eth0 is down", SEGMENT)
    block.marks[1] = EVENT
    assert writer.lines(block, decoder.decode(block)) == "1\n2\n"
    assert writer.lines(block, decoder.decode(block)) == "3\n4\n"


def test_other_fields_come_from_the_dissected_packet() -> None:
    block = block_of(SEGMENT, b"\x00")
    assert print_fields("frame.number,tcp.hdr_len,ip.version", block) == [["1", "32", "4"], ["2", "", ""]]
    assert print_fields("_ws.col.Protocol", block)[0] == ["TCP"]


def segment(sequence: int, payload: bytes) -> bytes:
    tcp = struct.pack(">HHIIHHHH", 50000, 80, sequence, 8, 0x5018, 512, 0, 0) + payload
    return ETHERNET + b"\x08\0" + b"\x45\0" + struct.pack(">H", 20 + len(tcp)) + IPV4[4:] + tcp


REQUEST = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"


def test_names_stand_in_the_packet_that_completes_their_message() -> None:
    block = block_of(segment(1, REQUEST[:18]), SEGMENT, segment(19, REQUEST[18:]))
    assert print_fields("frame.number,http.host,_ws.col.Protocol", block) == [
        ["1", "", "TCP"], ["2", "", "TCP"], ["3", "example.org", "HTTP"],
    ]  # fmt: skip


def test_a_message_may_span_blocks_and_pieces() -> None:
    writer, decoder = FieldWriter(["frame.number", "http.request.method"]), Decoder(fields=True)
    first, second = block_of(segment(1, REQUEST[:18])), block_of(*[SEGMENT] * PIECE, segment(19, REQUEST[18:]))
    assert writer.lines(first, decoder.decode(first)) == "1\t\n"
    pieces = list(writer.pieces(second, decoder.decode(second)))
    assert [piece.count("\n") for piece in pieces] == [PIECE, 1]
    assert pieces[1] == f"{PIECE + 2}\tGET\n"


def test_without_a_tree_the_columns_of_the_list_are_the_same() -> None:
    packets = [segment(1, REQUEST[:18]), segment(19, REQUEST[18:])]
    alone = print_fields("_ws.col.Info,_ws.col.Protocol", block_of(*packets))
    beside = print_fields("_ws.col.Info,_ws.col.Protocol,http.host", block_of(*packets))
    assert alone == [line[:2] for line in beside]
    assert (alone[1][0].strip(), alone[1][1]) == ("GET / HTTP/1.1", "HTTP")


def test_times_since_the_first_packet_and_the_one_before() -> None:
    writer, decoder = FieldWriter(["frame.time_relative", "frame.time_delta"]), Decoder(fields=True)
    block = block_of(SEGMENT, b"eth0 is down", SEGMENT)
    block.marks[1] = EVENT
    empty, earlier = block_of(), block_of(SEGMENT, SEGMENT)
    earlier.ts[:] = block.ts[0] - 1, block.ts[0] + 500
    lines = [writer.lines(each, decoder.decode(each)) for each in (empty, block, earlier)]
    assert lines == [
        "",
        "0.000000000\t0.000000000\n2.000000002\t2.000000002\n",
        "-0.000000001\t-2.000000003\n0.000000500\t0.000000501\n",
    ]
    block.marks[2] = UNTIMED
    assert print_fields("frame.time_relative,frame.time_delta", block)[1] == ["", ""]


def test_the_columns_of_the_list() -> None:
    names = "_ws.col.Source,_ws.col.Destination,_ws.col.Protocol"
    assert print_fields(names, block_of(SEGMENT)) == [["10.0.0.1", "10.0.0.2", "TCP"]]


def test_a_name_that_is_asked_for_twice_is_printed_twice() -> None:
    assert print_fields("tcp.hdr_len,ip.src,tcp.hdr_len,ip.src", block_of(SEGMENT)) == [
        ["32", "10.0.0.1", "32", "10.0.0.1"]
    ]


def test_headings_are_there_or_not() -> None:
    whole = [segment(1, REQUEST[:18]), segment(19, REQUEST[18:])]
    assert print_fields("eth,tcp.segments", block_of(*whole)) == [
        ["Ethernet II, Src: 02:00:00:00:00:a0, Dst: 02:00:00:00:00:b0", ""],
        ["Ethernet II, Src: 02:00:00:00:00:a0, Dst: 02:00:00:00:00:b0", "1"],
    ]


def test_what_only_columns_need_is_not_dissected(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("netwatch.capture.dissect.dissect", refuse)
    monkeypatch.setattr("netwatch.capture.dissect.summarise", refuse)
    assert print_fields(",".join(COLUMNS), block_of(SEGMENT))[0][0] == "1"
    with pytest.raises(AssertionError):
        print_fields("tcp.hdr_len", block_of(SEGMENT))


def test_an_empty_block_prints_nothing() -> None:
    assert print_fields("frame.number,ip.src", block_of()) == []


@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_no_column_minds_what_it_gets(name: str) -> None:
    got = print_fields(name, block_of(b"", b"\0", SEGMENT, SEGMENT[:40], b"\xff" * 100))
    assert len(got) == 5


def test_without_header_positions_it_refuses() -> None:
    block = block_of(SEGMENT)
    with pytest.raises(ValueError, match="fields=True"):
        FieldWriter(["ip.src"]).lines(block, Decoder().decode(block))


@pytest.mark.parametrize(
    ("options", "captured", "shown"),
    [
        ("010101 83 07 04 0a090909 0000", 12, "10.9.9.9"),
        ("89 0b 08 0a080808 0a090909 00", 12, "10.9.9.9"),
        ("83 07 08 0a090909 00", 8, "10.0.0.2"),  # all hops are behind it
        ("83 07 05 0a090909 00", 8, "10.0.0.2"),
        ("83 0c 04 0a090909 00", 8, "10.0.0.2"),
        ("07 07 04 0a090909 00", 8, "10.0.0.2"),
        ("00 83 07 04 0a090909", 8, "10.0.0.2"),
        ("83 07 04 0a090909 00", 7, ""),
        ("07 07 04 00000000 83 07 04 0a090909 0000", 7, ""),  # what follows might be a route
        ("07 07 04 00000000 00 00000000", 8, "10.0.0.2"),
        ("00000000 00000000", 1, "10.0.0.2"),
        ("83 07 04 0a090909 00", 0, ""),
    ],
)
def test_a_source_route_says_the_destination(options: str, captured: int, shown: str) -> None:
    following = bytes.fromhex(options)
    following += bytes(-len(following) % 4)
    size = 20 + len(following)
    header = bytes([0x40 + size // 4, 0]) + struct.pack(">H", size) + IPV4[4:] + following
    frame = ETHERNET + b"\x08\0" + header
    assert print_fields("ip.src,ip.dst", block_of(frame[: 34 + captured], wire=len(frame))) == [["10.0.0.1", shown]]


@pytest.mark.parametrize(
    ("words", "flags"), [(0, "0x0018"), (1, ""), (3, ""), (4, "0x0018"), (5, "0x0018"), (9, "0x0018")]
)
def test_a_quotation_too_short_for_a_header_counts_from_behind_it(words: int, flags: str) -> None:
    quoted = struct.pack(">BBHBBH", 3, 1, 0, 0, words, 0) + IPV4 + TCP
    header = b"\x45\0" + struct.pack(">H", 20 + len(quoted)) + IPV4[4:9] + b"\1" + IPV4[10:]
    frame = ETHERNET + b"\x08\0" + header + quoted
    assert print_fields("icmp.type,tcp.srcport,tcp.flags", block_of(frame)) == [["3", "443", flags]]


def test_a_packet_without_time_has_none_and_does_not_lengthen_the_capture(tmp_path: Path) -> None:
    def block(kind: int, body: bytes) -> bytes:
        size = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + size + body + size

    packet = bytes(60)
    times = [1_700_000_000_000_000, 1_700_000_001_000_000]
    enhanced = [block(6, struct.pack("<5I", 0, ts >> 32, ts & 0xFFFFFFFF, 60, 60) + packet) for ts in times]
    simple = block(3, struct.pack("<I", 60) + packet)
    head = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, struct.pack("<HHI", 1, 0, 0))
    path = tmp_path / "untimed.pcapng"
    path.write_bytes(head + enhanced[0] + simple + enhanced[1] + simple)
    source, writer, rates = open_file(path), FieldWriter(["frame.number", "frame.time_epoch"]), FileRates()
    found = source.next_block(0.0)
    assert found is not None
    decoded = Decoder(fields=True).decode(found)
    assert writer.lines(found, decoded) == "1\t1700000000.000000000\n2\t\n3\t1700000001.000000000\n4\t\n"
    part = partial(decoded.rows)
    assert (part.packets, part.first_ts, part.last_ts) == (4, times[0] * 1000, times[1] * 1000)
    rates.add(decoded.rows, part)
    source.close()


def test_the_names_that_are_told_before_numpy_is_loaded() -> None:
    assert tuple(COLUMNS) == COLUMN_NAMES
