"""snoop captures: link types, padding, drops, Surveyor's dress, and ruin."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import CaptureError, Source
from netwatch.capture.sources.files import open_file


def record(
    data: bytes, *, wirelen: int | None = None, drops: int = 0, time: tuple[int, int] = (0, 0), pad: int = 0
) -> bytes:
    padding = bytes((-len(data) & 3) + pad)
    wirelen = len(data) if wirelen is None else wirelen
    return struct.pack(">6I", wirelen, len(data), 24 + len(data) + len(padding), drops, *time) + data + padding


def snoop(*records: bytes, datalink: int = 4, version: int = 2) -> bytes:
    return b"snoop\0\0\0" + struct.pack(">II", version, datalink) + b"".join(records)


def open_bytes(folder: Path, content: bytes) -> Source:
    path = folder / "capture"
    path.write_bytes(content)
    return open_file(path)


Row = tuple[int, bytes, int, int]
"""Time, bytes, wire length, link type."""


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
            rows.append((int(found.ts[row]), data, int(found.wirelen[row]), int(found.linktype[row])))
    return rows


def test_records_with_padding_and_a_cut_one(tmp_path: Path) -> None:
    content = snoop(
        record(b"one", time=(1, 999_999)),
        record(b"four", time=(4_000_000_000, 5), wirelen=1500),
        record(b"", pad=8),
    )
    source = open_bytes(tmp_path, content)
    assert drain(source) == [
        (1_999_999_000, b"one", 3, 1),
        (4_000_000_000_000_005_000, b"four", 1500, 1),
        (0, b"", 0, 1),
    ]
    assert source.damage is None
    assert source.progress() == (len(content), len(content))
    source.close()


@pytest.mark.parametrize(
    ("datalink", "pad", "linktype"),
    [
        (0, 0, 1),
        (2, 0, 6),
        (8, 0, 10),
        (14, 0, 0),
        (16, 0, 122),
        (12, 0, 0xFFFF),  # asynchronous characters
        (12, 16, 1),  # the same number in Surveyor's captures: Gigabit Ethernet
        (14, 16, 6),
        (0x80000005, 0, 226),
        (0x12345678, 0, 0xFFFF),
    ],
)
def test_link_types(tmp_path: Path, datalink: int, pad: int, linktype: int) -> None:
    source = open_bytes(tmp_path, snoop(record(b"data", pad=pad), record(b"more"), datalink=datalink))
    assert [row[3] for row in drain(source)] == [linktype] * 2
    assert [each.linktype for each in source.interfaces] == [linktype]
    source.close()


def test_more_records_than_a_block_holds(tmp_path: Path) -> None:
    count = 40_000
    source = open_bytes(tmp_path, snoop(*(record(b"x" * (n % 90), time=(n, 0)) for n in range(count))))
    rows = drain(source)
    assert [(ts, len(data)) for ts, data, *_ in rows] == [(n * 1_000_000_000, n % 90) for n in range(count)]
    source.close()


GOOD = record(b"good", time=(7, 0))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (struct.pack(">6I", 4, 4, 0, 0, 0, 0) + b"data", "a packet of 4 bytes in a record of 0"),
        (struct.pack(">6I", 4, 4, 24, 0, 0, 0) + b"data", "a packet of 4 bytes in a record of 24"),
        (struct.pack(">6I", 4, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, 0), "a packet of 4,294,967,295 bytes"),
        (struct.pack(">6I", 4, 4, 0xFFFFFFFF, 0, 0, 0), "a record of 4,294,967,295 bytes for a packet of 4"),
        (struct.pack(">6I", 0x80000000, 4, 28, 0, 0, 0) + b"data", "a packet of 2,147,483,648 bytes"),
        (GOOD[:-2], "cut short"),
        (GOOD[:10], "cut short"),
    ],
)
def test_what_is_good_before_a_broken_record_stays(tmp_path: Path, broken: bytes, words: str) -> None:
    source = open_bytes(tmp_path, snoop(GOOD, GOOD, broken))
    assert [row[1] for row in drain(source)] == [b"good", b"good"]
    assert source.damage is not None
    assert source.damage.offset == 16 + 2 * len(GOOD)
    assert words in source.damage.message
    source.close()


WHOLE = snoop(*(record(bytes([n]) * n, time=(n, n), pad=n & 4) for n in range(12)))


def test_cut_anywhere(tmp_path: Path) -> None:
    before = 0
    for size in range(len(WHOLE)):
        try:
            source = open_bytes(tmp_path, WHOLE[:size])
        except CaptureError:
            assert size < 16
            continue
        rows = len(drain(source))
        assert rows >= before
        before = rows
        source.close()
    assert before == 11


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_random_damage_never_raises(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]) -> None:
    content = bytearray(WHOLE)
    for at, value in changes:
        content[at] = value
    try:
        source = open_bytes(tmp_path_factory.getbasetemp(), bytes(content))
    except CaptureError:
        return
    drain(source)
    source.close()


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=2000))
def test_random_bytes_behind_the_header_never_raise(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    source = open_bytes(tmp_path_factory.getbasetemp(), snoop(GOOD) + junk)
    assert drain(source)[0][1] == b"good"
    source.close()
