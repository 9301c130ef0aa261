"""pcapng files: sections, interfaces, clocks, all kinds of packet blocks, and ruin."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import CaptureError, Source
from netwatch.capture.columns import INCOMING, OUTGOING, UNTIMED
from netwatch.capture.sources.files import open_file
from netwatch.capture.sources.pcapng import PcapngParser
from netwatch.capture.sources.records import SLACK


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) & 3)
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) & 3)


def section(order: str = "<", major: int = 1) -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, major, 0, -1), order)


def interface(order: str = "<", linktype: int = 1, snaplen: int = 0, options: bytes = b"") -> bytes:
    return block(1, struct.pack(f"{order}HHI", linktype, 0, snaplen) + options, order)


def enhanced(
    data: bytes, ticks: int = 0, iface: int = 0, wirelen: int | None = None, order: str = "<", options: bytes = b""
) -> bytes:
    wirelen = len(data) if wirelen is None else wirelen
    head = struct.pack(f"{order}5I", iface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), wirelen)
    return block(6, head + data + bytes(-len(data) & 3) + options, order)


def simple(data: bytes, wirelen: int, order: str = "<") -> bytes:
    return block(3, struct.pack(f"{order}I", wirelen) + data, order)


def obsolete(data: bytes, ticks: int = 0, iface: int = 0, order: str = "<") -> bytes:
    head = struct.pack(f"{order}HH4I", iface, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(2, head + data, order)


def open_bytes(folder: Path, content: bytes) -> Source:
    path = folder / "capture"
    path.write_bytes(content)
    return open_file(path)


Row = tuple[int, bytes, int, int, int, int]
"""Time, bytes, wire length, interface, link type, marks."""


def drain(source: Source) -> list[Row]:
    rows: list[Row] = []
    while not source.exhausted:
        found = source.next_block(0.0)
        if found is None:
            continue
        for row in range(len(found)):
            start, size = int(found.offsets[row]), int(found.caplen[row])
            assert 0 <= start <= start + size <= len(found.raw)
            data = found.raw[start : start + size].tobytes()
            assert source.read_at(int(found.pos[row]), size) == data
            assert found.iface[row] < len(source.interfaces)
            rows.append(
                (
                    int(found.ts[row]),
                    data,
                    int(found.wirelen[row]),
                    int(found.iface[row]),
                    int(found.linktype[row]),
                    int(found.marks[row]),
                )
            )
    return rows


@pytest.mark.parametrize("order", ["<", ">"])
def test_all_kinds_of_packet_blocks(tmp_path: Path, order: str) -> None:
    source = open_bytes(
        tmp_path,
        section(order)
        + interface(order, 1, 20, option(2, b"eth0", order) + option(9, b"\x09", order))
        + enhanced(b"enhanced", 1_700_000_000_123_456_789, wirelen=99, order=order)
        + simple(b"simple", 6, order)
        + block(0x0BAD, b"something new", order)
        + simple(b"cut to what the interface snaps.", 1000, order)
        + obsolete(b"old", 1_700_000_001_000_000_000, order=order),
    )
    assert drain(source) == [
        (1_700_000_000_123_456_789, b"enhanced", 99, 0, 1, 0),
        (0, b"simple", 6, 0, 1, UNTIMED),
        (0, b"cut to what the interf"[:20], 1000, 0, 1, UNTIMED),
        (1_700_000_001_000_000_000, b"old", 3, 0, 1, 0),
    ]
    assert source.damage is None
    assert [(each.name, each.linktype, each.snaplen) for each in source.interfaces] == [("eth0", 1, 20)]


def test_sections_in_both_byte_orders_number_their_interfaces_anew(tmp_path: Path) -> None:
    source = open_bytes(
        tmp_path,
        section("<")
        + interface("<", 1)
        + interface("<", 113)
        + enhanced(b"a", 1, iface=1)
        + section(">")
        + interface(">", 101, options=option(9, b"\x00", ">"))
        + enhanced(b"b", 2, iface=0, order=">")
        + interface(">", 228)
        + enhanced(b"c", 3, iface=1, order=">")
        + section("<")
        + section("<")
        + interface("<", 12)
        + enhanced(b"d", 4, iface=0),
    )
    assert [(data, iface, link) for _ts, data, _wire, iface, link, _marks in drain(source)] == [
        (b"a", 1, 113),
        (b"b", 2, 101),
        (b"c", 3, 228),
        (b"d", 4, 12),
    ]
    assert source.damage is None


@pytest.mark.parametrize(
    ("resolution", "offset", "ticks", "expected"),
    [
        (None, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (0, 0, 1_700_000_000, 1_700_000_000_000_000_000),
        (3, 0, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (9, 0, (1 << 63) - 1, (1 << 63) - 1),
        (12, 0, 1_700_000_000_123_456, 1_700_000_000_123),
        (0x80 | 32, 0, (1_700_000_000 << 32) | 0x80000000, 1_700_000_000_500_000_000),
        (0x80 | 10, 0, 1025, 1_000_976_562),
        (0x80 | 60, 0, 15 << 60, 15_000_000_000),
        (6, 100, 5_000_000, 105_000_000_000),
        (6, -100, 5_000_000, -95_000_000_000),
    ],
)
def test_clocks(tmp_path: Path, resolution: int | None, offset: int, ticks: int, expected: int) -> None:
    options = b"" if resolution is None else option(9, bytes([resolution]))
    options += option(14, struct.pack("<q", offset)) if offset else b""
    source = open_bytes(tmp_path, section() + interface(options=options + option(0, b"")) + enhanced(b"x", ticks))
    assert [row[0] for row in drain(source)] == [expected]


def test_interfaces_with_different_clocks_side_by_side(tmp_path: Path) -> None:
    source = open_bytes(
        tmp_path,
        section()
        + interface(options=option(9, b"\x00"))
        + interface(options=option(9, b"\x03"))
        + b"".join(enhanced(b"x", 1000 + index, iface=index & 1) for index in range(6)),
    )
    assert [row[0] // 1_000_000 for row in drain(source)] == [1_000_000, 1001, 1_002_000, 1003, 1_004_000, 1005]


@pytest.mark.parametrize("order", ["<", ">"])
def test_direction(tmp_path: Path, order: str) -> None:
    def flags(word: int) -> bytes:
        return option(1, b"a comment", order) + option(2, struct.pack(f"{order}I", word), order)

    source = open_bytes(
        tmp_path,
        section(order)
        + interface(order)
        + enhanced(b"in", order=order, options=flags(0x101) + option(0, b"", order))
        + enhanced(b"out", order=order, options=flags(2))
        + enhanced(b"no", order=order, options=flags(0))
        + enhanced(b"none", order=order)
        + enhanced(b"lies", order=order, options=struct.pack(f"{order}HHI", 1, 0xFFFF, 2)),
    )
    assert [row[5] for row in drain(source)] == [INCOMING, OUTGOING, 0, 0, 0]


def test_names_are_fit_for_one_line(tmp_path: Path) -> None:
    source = open_bytes(tmp_path, section() + interface(options=option(2, b"eth\x1b[2J\xff\n0")) + enhanced(b""))
    drain(source)
    assert source.interfaces[0].name == "eth�[2J��0"


GOOD = section() + interface() + enhanced(b"good")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (enhanced(b"x", iface=1), "an interface that was not described"),
        (
            enhanced(b"abcd")[:20] + struct.pack("<I", 100_000) + enhanced(b"abcd")[24:],
            "100,000 bytes in a block of 36",
        ),
        (enhanced(b"abcd")[:-4] + b"\0\0\0\0", "two different lengths"),
        (struct.pack("<II", 6, 8) + bytes(8), "length as 8 bytes"),
        (struct.pack("<II", 6, 33) + bytes(40), "length as 33 bytes"),
        (struct.pack("<II", 6, 0x7FFFFFFC) + bytes(40), "length as 2,147,483,644 bytes"),
        (block(6, bytes(12)), "in a block of 24"),
        (simple(b"four", 5), "a packet of 5 bytes in a block of 20"),
        (block(1, bytes(4)), "too short for its type 1"),
        (block(5, bytes(8))[:-4] + b"\1\1\1\1", "two different lengths"),
        (section(major=2), "version 2"),
        (section()[:8] + b"????" + section()[12:], "byte-order magic"),
        (enhanced(bytes(262_148)), "larger than one can be"),
    ],
)
def test_damage_is_reported_where_it_stands_and_what_was_good_stays(
    tmp_path: Path, broken: bytes, words: str
) -> None:
    source = open_bytes(tmp_path, GOOD + broken + enhanced(b"after"))
    assert [row[1] for row in drain(source)] == [b"good"]
    assert source.damage is not None
    assert source.damage.offset == len(GOOD)
    assert words in source.damage.message


def test_a_packet_before_any_interface_is_damage(tmp_path: Path) -> None:
    for packet in (enhanced(b"x"), simple(b"x", 1), obsolete(b"x")):
        source = open_bytes(tmp_path, section() + packet)
        assert drain(source) == []
        assert source.damage is not None
        assert source.damage.offset == 28


def test_interfaces_that_are_alike_are_one_in_all_sections(tmp_path: Path) -> None:
    one = section() + interface(options=option(2, b"eth0")) + interface(linktype=101) + enhanced(b"raw", iface=1)
    source = open_bytes(tmp_path, one * 70_000 + section() + interface() * 100_000 + enhanced(b"last", iface=99_999))
    rows = drain(source)
    assert (len(rows), source.damage, notes_of(source)) == (70_001, None, [])
    assert {(row[1], row[3], row[4]) for row in rows} == {(b"raw", 1, 101), (b"last", 2, 1)}
    assert [each.name for each in source.interfaces] == ["eth0", "", ""]


def test_interfaces_beyond_what_can_be_told_apart_are_still_read_in_their_own_way(tmp_path: Path) -> None:
    several = b"".join(interface(options=option(2, b"%d" % number)) for number in range(65_000))
    source = open_bytes(
        tmp_path,
        section()
        + several
        + interface(linktype=101, options=option(2, b"tun0") + option(9, b"\x09"))
        + interface(options=option(2, b"late") + option(9, b"\x09"))
        + enhanced(b"first", 1)
        + enhanced(b"tun", 1, iface=65_000)
        + enhanced(b"late", 1, iface=65_001),
    )
    rows = drain(source)
    assert [(row[0], row[1], row[4]) for row in rows] == [(1000, b"first", 1), (1, b"tun", 101), (1, b"late", 1)]
    assert [source.interfaces[row[3]].linktype for row in rows] == [1, 101, 1]
    assert source.damage is None
    assert notes_of(source) == ["more than 64,511 different interfaces: packets of others stand under one of these"]


def notes_of(source: Source) -> list[str]:
    notes: list[str] = getattr(source, "notes", [])
    return notes


def test_times_beyond_the_range_are_told(tmp_path: Path) -> None:
    source = open_bytes(tmp_path, section() + interface() + enhanced(b"a", 1 << 63) + enhanced(b"b", 5))
    assert [row[0] for row in drain(source)] == [(1 << 63) - 1, 5000]
    assert notes_of(source) == ["1 packets claim a time beyond the years 1677 to 2262; the nearest is shown"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_options_that_run_past_their_block_are_told(tmp_path: Path, order: str) -> None:
    lie = struct.pack(f"{order}HH", 1, 400) + b"abcd"
    source = open_bytes(
        tmp_path,
        block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1) + lie, order)
        + interface(order, options=lie)
        + enhanced(b"a", order=order, options=lie)
        + enhanced(b"b", order=order, options=option(1, b"fine", order))
        + block(5, bytes(12) + lie, order),
    )
    assert len(drain(source)) == 2
    assert notes_of(source) == ["the options of 4 blocks run past their end; the packets are shown"]


WHOLE = (
    section("<")
    + interface("<", options=option(2, b"lo"))
    + enhanced(b"one", 1)
    + simple(b"two", 3)
    + section(">")
    + interface(">")
    + enhanced(b"three", 3, order=">", options=option(2, struct.pack(">I", 1), ">"))
    + block(5, bytes(12), ">")
    + obsolete(b"four", 4, order=">")
)


def test_cut_at_every_byte(tmp_path: Path) -> None:
    before = 0
    for size in range(len(WHOLE) + 1):
        if size < 12:
            with pytest.raises(CaptureError) as caught:
                open_bytes(tmp_path, WHOLE[:size])
            assert caught.value.code == 3
            continue
        source = open_bytes(tmp_path, WHOLE[:size])
        rows = drain(source)
        assert before <= len(rows) <= before + 1
        before = len(rows)
        if source.damage is not None:
            assert source.damage.offset < size
            assert "cut short" in source.damage.message
    assert before == 4


def statistics(number: int, ifdrop: int, osdrop: int, order: str = "<") -> bytes:
    counts = option(5, struct.pack(f"{order}Q", ifdrop), order) + option(7, struct.pack(f"{order}Q", osdrop), order)
    return block(5, struct.pack(f"{order}III", number, 0, 0) + option(4, bytes(8), order) + counts, order)


@pytest.mark.parametrize("order", ["<", ">"])
def test_statistics_say_what_was_lost_and_the_last_of_each_interface_counts(order: str) -> None:
    parser = PcapngParser()
    content = section(order) + interface(order) + interface(order) + statistics(0, 1, 2, order)
    content += statistics(7, 99, 99, order) + statistics(0, 5, 6, order) + enhanced(b"data", order=order)
    content += section(order) + interface(order) + statistics(0, 20, 0, order)
    raw = np.frombuffer(content + bytes(SLACK), np.uint8)
    assert len(parser.parse(raw, 0, len(content), 0)) == 1
    assert parser.lost == 31


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_random_damage_never_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        source = open_bytes(tmp_path_factory.getbasetemp(), bytes(content))
    except CaptureError:
        return
    drain(source)
    source.close()
