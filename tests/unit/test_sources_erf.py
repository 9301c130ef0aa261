"""ERF captures: told without a magic, types and extension headers, ports, loss, and ruin."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import CaptureError, Source
from netwatch.capture.sources.erf import PROBED, looks_like_erf
from netwatch.capture.sources.files import open_file

ETH, PAD, META, IPV4 = 2, 48, 27, 22
START = 1_700_000_000 << 32


def record(
    data: bytes,
    kind: int = ETH,
    *,
    ts: int = START,
    flags: int = 4,
    loss: int = 0,
    wirelen: int | None = None,
    extensions: bytes = b"",
    pad: int = 0,
) -> bytes:
    if extensions:
        kind |= 0x80
    body = extensions + (bytes(2) if kind & 0x7F in (2, 11, 16, 20) else b"") + data + bytes(pad)
    wirelen = len(data) if wirelen is None else wirelen
    return struct.pack("<QBB", ts, kind, flags) + struct.pack(">HHH", 16 + len(body), loss, wirelen) + body


def open_bytes(folder: Path, content: bytes) -> Source:
    path = folder / "capture"
    path.write_bytes(content)
    return open_file(path)


Row = tuple[int, bytes, int, int, int]
"""Time, bytes, wire length, link type, interface."""


def drain(source: Source) -> list[Row]:
    rows: list[Row] = []
    while not source.exhausted:
        found = source.next_block(0.0)
        if found is None:
            continue
        for row in range(len(found)):
            start, size = int(found.offsets[row]), int(found.caplen[row])
            data = found.raw[start : start + size].tobytes()
            assert len(data) == size
            assert source.read_at(int(found.pos[row]), size) == data
            lengths = int(found.wirelen[row]), int(found.linktype[row]), int(found.iface[row])
            rows.append((int(found.ts[row]), data, *lengths))
    return rows


def test_records_of_several_types_and_ports(tmp_path: Path) -> None:
    source = open_bytes(
        tmp_path,
        record(b"ethernet", pad=5)
        + record(b"\x0f\x00cisco", 1, flags=1, ts=START + (1 << 31))
        + record(b"\xff\x03ppp", 1, flags=1)
        + record(b"", PAD)
        + record(b"ip", IPV4, wirelen=40)
        + record(b"notes", META, ts=0)
        + record(b"nobody knows", 120)
        + record(b"again", flags=2),
    )
    time = 1_700_000_000_000_000_000
    assert drain(source) == [
        (time, b"ethernet", 8, 1, 0),
        (time + 500_000_000, b"\x0f\x00cisco", 7, 104, 1),
        (time, b"\xff\x03ppp", 5, 9, 2),
        (time, b"ip", 40, 228, 3),
        (0, b"notes", 5, 147, 4),
        (time, b"nobody knows", 12, 147, 4),
        (time, b"again", 5, 1, 5),
    ]
    assert [(each.name, each.linktype) for each in source.interfaces] == [
        ("port 0", 1),
        ("port 1", 104),
        ("port 1", 9),
        ("port 0", 228),
        ("port 0", 147),
        ("port 2", 1),
    ]
    assert source.damage is None
    source.close()


def test_extension_headers(tmp_path: Path) -> None:
    one, chain = b"\x04" + bytes(7), b"\x84" + bytes(7) + b"\x85" + bytes(7) + b"\x06" + bytes(7)
    source = open_bytes(
        tmp_path, record(b"one", extensions=one) + record(b"three", extensions=chain) + record(b"none")
    )
    assert [row[1] for row in drain(source)] == [b"one", b"three", b"none"]
    source.close()


def test_times_are_rounded_to_the_nearest_nanosecond(tmp_path: Path) -> None:
    fractions = [0, 1, 2, 3, 4, 5, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF]
    source = open_bytes(tmp_path, b"".join(record(b"x", ts=START + fraction) for fraction in fractions))
    begin = 1_700_000_000_000_000_000
    exact = [begin + (fraction * 1_000_000_000 + (1 << 31)) // (1 << 32) for fraction in fractions]
    assert [row[0] for row in drain(source)] == exact
    source.close()


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", False),
        (bytes(100), False),  # type 0
        (b"hello, world, this is a letter to a friend who lives abroad", False),
        (record(b"alone"), True),
        (record(b"cut off at the end")[:-1], False),
        (record(b"one") * 2 + record(b"two")[:-1], False),
        (record(b"one") * 3 + record(b"two")[:-1], True),
        (record(b"one") * 3 + record(b"two")[:7], True),
        (record(b"now") + record(b"later", ts=START + (2 * 365 * 86400 << 32)), False),
        (record(b"now") + record(b"before", ts=START - (2 << 32)), False),
        (record(b"", PAD, ts=0) + record(b"now"), True),
        (record(b"notes", META, ts=0) + record(b"now"), True),
        (record(b"now") + record(b"?", 100), False),
    ],
)
def test_what_looks_like_erf(content: bytes, answer: bool) -> None:
    assert looks_like_erf(content, whole=True) is answer
    partly = looks_like_erf(content, whole=False)
    assert partly in (answer, None) or not answer


def test_it_is_told_within_what_is_probed() -> None:
    largest = record(b"x" * 65_000)
    assert looks_like_erf((largest * 5)[:PROBED], whole=False) is True


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=1, max_size=4000))
def test_random_bytes_are_no_erf(junk: bytes) -> None:
    assert not looks_like_erf(junk, whole=False)


GOOD = record(b"good")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (struct.pack("<QBB", START, ETH, 0) + struct.pack(">HHH", 15, 0, 0) + bytes(20), "a record of 15 bytes"),
        (bytes(40), "a record of 0 bytes"),
        (record(b"short", extensions=b"\xff" * 8), "longer than their record"),
        (GOOD[:-1], "cut short"),
        (GOOD[:3], "cut short"),
    ],
)
def test_what_is_good_before_a_broken_record_stays(tmp_path: Path, broken: bytes, words: str) -> None:
    source = open_bytes(tmp_path, GOOD * 20 + broken)
    assert [row[1] for row in drain(source)] == [b"good"] * 20
    assert source.damage is not None
    assert source.damage.offset == 20 * len(GOOD)
    assert words in source.damage.message
    source.close()


def test_a_record_too_short_for_what_its_type_has_is_an_empty_packet(tmp_path: Path) -> None:
    short = struct.pack("<QBB", START, ETH, 4) + struct.pack(">HHH", 17, 0, 60) + b"\0"
    source = open_bytes(tmp_path, GOOD * 20 + short + GOOD)
    assert drain(source)[20:] == [(1_700_000_000_000_000_000, b"", 60, 1, 0), drain_one(GOOD, tmp_path)]
    source.close()


def drain_one(content: bytes, folder: Path) -> Row:
    return drain(open_bytes(folder, content))[0]


WHOLE = b"".join(
    record(bytes([n]) * n, (ETH, 1, IPV4, META, PAD)[n % 5], ts=START + (n << 20), extensions=b"\x04" * 8 * (n & 1))
    for n in range(1, 40)
)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=6), st.integers(0, len(WHOLE))
)
def test_random_damage_never_raises(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], size: int
) -> None:
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    try:
        source = open_bytes(tmp_path_factory.getbasetemp(), bytes(content[:size]))
    except CaptureError:
        return
    drain(source)
    source.close()
