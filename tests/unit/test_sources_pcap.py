"""pcap files, in every dress and in every state of ruin."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import Block, CaptureError, Source
from netwatch.capture.sources.files import open_file

Packet = tuple[int, int, bytes, int]
"""Seconds, fraction, bytes, wire length."""

PACKETS: list[Packet] = [
    (1_700_000_000, 123_456, b"first packet", 12),
    (1_700_000_000, 999_999, b"", 0),
    (4_294_967_295, 1, b"cut by the snap length", 1500),
]


def pcap(
    packets: list[Packet],
    magic: int = 0xA1B2C3D4,
    order: str = "<",
    version: tuple[int, int] = (2, 4),
    network: int = 1,
    extra: int = 0,
) -> bytes:
    """A capture; `extra` bytes follow each record header."""
    made = [struct.pack(f"{order}IHHiIII", magic, *version, 0, 0, 65535, network)]
    for seconds, fraction, data, wirelen in packets:
        made += [struct.pack(f"{order}IIII", seconds, fraction, len(data), wirelen), bytes(extra), data]
    return b"".join(made)


def drain(source: Source) -> list[tuple[int, bytes, int]]:
    """Time, bytes and wire length of every packet; checks what every block promises."""
    rows = []
    while not source.exhausted:
        block = source.next_block(0.0)
        if block is not None:
            rows += list(unpack(block, source))
    return rows


def unpack(block: Block, source: Source) -> list[tuple[int, bytes, int]]:
    assert 0 < len(block) <= 32768
    rows = []
    for offset, caplen, wirelen, ts, pos in zip(
        block.offsets.tolist(),
        block.caplen.tolist(),
        block.wirelen.tolist(),
        block.ts.tolist(),
        block.pos.tolist(),
        strict=True,
    ):
        assert 0 <= offset <= offset + caplen <= len(block.raw)
        data = block.raw[offset : offset + caplen].tobytes()
        if not block.owned:
            assert source.read_at(pos, caplen) == data
        rows.append((ts, data, wirelen))
    return rows


def store(folder: Path, content: bytes) -> Path:
    path = folder / "capture"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("magic", "scale", "extra"),
    [(0xA1B2C3D4, 1000, 0), (0xA1B23C4D, 1, 0), (0xA1B2CD34, 1000, 8)],
    ids=["microseconds", "nanoseconds", "modified"],
)
def test_every_dress(tmp_path: Path, order: str, magic: int, scale: int, extra: int) -> None:
    source = open_file(store(tmp_path, pcap(PACKETS, magic, order, extra=extra)))
    assert drain(source) == [(s * 1_000_000_000 + f * scale, data, wire) for s, f, data, wire in PACKETS]
    assert source.damage is None
    assert [(each.linktype, each.snaplen) for each in source.interfaces] == [(1, 65535)]


ORDINARY: list[Packet] = [
    (1_700_000_000 + number, 300_000 * (number % 4), bytes([number]) * (60 + number), 60 + number)
    for number in range(20)
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [2, 3, 20])
@pytest.mark.parametrize(("magic", "extra"), [(0xA1B2C3D4, 4), (0xA1B2C3D4, 8), (0xA1B2CD34, 12)])
def test_longer_record_headers_than_the_magic_says(
    tmp_path: Path, order: str, count: int, magic: int, extra: int
) -> None:
    packets = ORDINARY[:count]
    source = open_file(store(tmp_path, pcap(packets, magic, order, extra=extra)))
    assert drain(source) == [(s * 1_000_000_000 + f * 1000, data, wire) for s, f, data, wire in packets]
    assert source.damage is None


def test_odd_records_are_no_reason_to_read_headers_as_longer(tmp_path: Path) -> None:
    packets = [(1, 5_000_000, b"abcd" * 4, 3), (0, 0, b"", 0), (0xFFFFFFFF, 0xFFFFFFFF, bytes(64), 1), *ORDINARY]
    rows = drain(open_file(store(tmp_path, pcap(packets))))
    assert rows == [(s * 1_000_000_000 + f * 1000, data, wire) for s, f, data, wire in packets]


def test_damage_is_not_taken_for_longer_headers(tmp_path: Path) -> None:
    good = pcap(ORDINARY[:1])
    source = open_file(store(tmp_path, good + struct.pack("<IIII", 1, 1, 300_000, 300_000) + bytes(400_000)))
    assert len(drain(source)) == 1
    assert source.damage is not None
    assert source.damage.offset == len(good)


def test_the_length_of_the_frame_check_sequence_is_no_part_of_the_link_type(tmp_path: Path) -> None:
    source = open_file(store(tmp_path, pcap(PACKETS, network=0x14000000 | 113)))
    assert source.interfaces[0].linktype == 113


def test_old_versions_give_the_wire_length_first(tmp_path: Path) -> None:
    swapped = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 65535, 1) + struct.pack("<IIII", 1, 2, 100, 3) + b"abc"
    assert drain(open_file(store(tmp_path, swapped))) == [(1_000_002_000, b"abc", 100)]


@pytest.mark.parametrize("lengths", [(3, 100), (100, 3)])
def test_in_version_2_3_the_smaller_length_was_captured(tmp_path: Path, lengths: tuple[int, int]) -> None:
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 3, 0, 0, 65535, 1)
    source = open_file(store(tmp_path, header + struct.pack("<IIII", 1, 2, *lengths) + b"abc"))
    assert drain(source) == [(1_000_002_000, b"abc", 100)]


def test_more_bytes_than_the_packet_had_and_lengths_beyond_reason_stay_as_they_are(tmp_path: Path) -> None:
    source = open_file(store(tmp_path, pcap([(1, 0, b"abcdef", 4), (2, 0, b"x", 0xFFFFFFFF)])))
    assert drain(source) == [(1_000_000_000, b"abcdef", 4), (2_000_000_000, b"x", 0x7FFFFFFF)]


@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B2CD34])
def test_cut_at_every_byte(tmp_path: Path, magic: int) -> None:
    extra = 8 if magic == 0xA1B2CD34 else 0
    whole = pcap(PACKETS, magic, extra=extra)
    ends = [24]
    for _seconds, _fraction, data, _wirelen in PACKETS:
        ends.append(ends[-1] + 16 + extra + len(data))
    for size in range(len(whole)):
        path = store(tmp_path, whole[:size])
        if size < 24:
            with pytest.raises(CaptureError) as caught:
                open_file(path)
            assert caught.value.code == 3
            continue
        source = open_file(path)
        rows = drain(source)
        assert len(rows) == sum(end <= size for end in ends[1:])
        if size in ends:
            assert source.damage is None
        else:
            assert source.damage is not None
            assert source.damage.offset == max(end for end in ends if end <= size)
            assert "cut short" in source.damage.message


@pytest.mark.parametrize("claimed", [262_145, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_that_no_packet_has_is_damage_where_it_stands(tmp_path: Path, claimed: int) -> None:
    good = pcap(PACKETS)
    bad = struct.pack("<IIII", 1, 1, claimed, claimed)
    source = open_file(store(tmp_path, good + bad + bytes(300_000)))
    assert len(drain(source)) == 3
    assert source.damage is not None
    assert source.damage.offset == len(good)
    assert f"{claimed:,}" in source.damage.message


def test_a_record_larger_than_the_buffer(tmp_path: Path) -> None:
    message = os.urandom(9_000_000)
    packets: list[Packet] = [(1, 0, b"before", 6), (2, 0, message, len(message)), (3, 0, b"after", 5)]
    source = open_file(store(tmp_path, pcap(packets, network=231)))
    assert [data for _ts, data, _wire in drain(source)] == [b"before", message, b"after"]


def test_many_records_come_in_blocks_of_bounded_size(tmp_path: Path) -> None:
    packets: list[Packet] = [(second, 0, bytes([second & 255]), 1) for second in range(300_000)]
    rows = drain(open_file(store(tmp_path, pcap(packets))))
    assert rows == [(second * 1_000_000_000, bytes([second & 255]), 1) for second in range(300_000)]


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    packets: list[Packet] = [(second, 0, bytes(1000), 1000) for second in range(20_000)]
    path = store(tmp_path, pcap(packets))
    source = open_file(path)
    assert source.next_block(0.0) is not None
    os.truncate(path, 15_000_000)
    rest = drain_without_reading_again(source)
    assert rest < 20_000
    assert source.damage is not None
    assert "shrank at byte 15000000" in source.damage.message
    assert source.read_at(19_000_000, 10) == b""


def drain_without_reading_again(source: Source) -> int:
    count = 0
    while not source.exhausted:
        block = source.next_block(0.0)
        count += 0 if block is None else len(block)
    return count


def test_progress_ends_at_the_size_of_the_file(tmp_path: Path) -> None:
    path = store(tmp_path, pcap(PACKETS))
    source = open_file(path)
    drain(source)
    assert source.progress() == (path.stat().st_size, path.stat().st_size)
    source.close()
    source.close()
    assert source.read_at(24, 1) == b""
    assert source.next_block(0.0) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x1f", "only 1 bytes"),
        (b"hello, world", "is not a pcap"),
        (b"snoop\0\0\0\0\0\0\1\0\0\0\4", "is a snoop capture of version 1"),
        (b"snoop\0\0\0\0\0\0\2", "is cut short within the file header"),
        (b"\xd4\xc3\xb2\xa1\2\0", "is cut short within the file header"),
        (b"\n\r\r\n\x1c\0\0\0????????????????????", "is not a pcap"),
    ],
)
def test_what_is_no_capture_is_refused_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = store(tmp_path, content)
    with pytest.raises(CaptureError, match=words) as caught:
        open_file(path)
    assert caught.value.code == 3
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="no such file") as caught:
        open_file(tmp_path / "missing")
    assert caught.value.code == 2
    with pytest.raises(CaptureError, match="is a directory") as caught:
        open_file(tmp_path)
    assert caught.value.code == 2


def test_no_permission(tmp_path: Path) -> None:
    path = store(tmp_path, pcap(PACKETS))
    path.chmod(0)
    with as_nobody(), pytest.raises(CaptureError, match="no permission") as caught:
        open_file(path)
    assert caught.value.code == 77


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything: without its effective user id it may not."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_random_damage_never_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(pcap([*PACKETS, *PACKETS]))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = store(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        source = open_file(path)
    except CaptureError:
        return
    drain(source)
    source.close()
