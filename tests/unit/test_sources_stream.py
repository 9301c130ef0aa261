"""Captures that flow through a pipe, and those that are compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import Block, CaptureError, Source
from netwatch.capture.sources.files import open_file
from netwatch.capture.sources.stream import StreamSource, open_stream

Row = tuple[int, bytes]

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def record(number: int, size: int) -> bytes:
    return struct.pack("<IIII", number, 0, size, size) + bytes([number & 255]) * size


def rows_of(block: Block) -> list[Row]:
    assert block.owned
    assert block.pos.tolist() == block.offsets.tolist()
    return [
        (ts, block.raw[start : start + size].tobytes())
        for ts, start, size in zip(block.ts.tolist(), block.offsets.tolist(), block.caplen.tolist(), strict=True)
    ]


def drain(source: Source) -> list[Row]:
    """Every row, from blocks that are all kept until the end: their memory is their own."""
    blocks = []
    while not source.exhausted:
        block = source.next_block(5.0)
        if block is not None:
            blocks.append(block)
    return [row for block in blocks for row in rows_of(block)]


def expected(count: int, size: int) -> list[Row]:
    return [(number * 1_000_000_000, bytes([number & 255]) * size) for number in range(count)]


@pytest.fixture
def pipe() -> Iterator[tuple[StreamSource, int]]:
    """A stream and the descriptor that feeds it."""
    reading, writing = os.pipe()
    source = open_stream(reading, "stdin")
    os.close(reading)
    yield source, writing
    source.close()


Pipe = tuple[StreamSource, int]


def test_nothing_is_waited_for_when_it_opens_and_packets_come_as_they_arrive(pipe: Pipe) -> None:
    source, feed = pipe
    assert source.live
    assert source.next_block(0.0) is None
    assert source.interfaces == []
    os.write(feed, HEADER)
    assert source.next_block(0.0) is None
    assert [each.linktype for each in source.interfaces] == [1]
    for number in range(3):
        data = record(number, 100)
        os.write(feed, data[:50])
        assert source.next_block(0.0) is None
        os.write(feed, data[50:])
        block = source.next_block(5.0)
        assert block is not None
        assert rows_of(block) == [expected(3, 100)[number]]
        assert len(block.raw) == 100
    os.close(feed)
    assert source.next_block(5.0) is None
    assert source.exhausted
    assert source.damage is None


def test_byte_by_byte(pipe: Pipe) -> None:
    source, feed = pipe
    content = HEADER + record(0, 3) + record(1, 0)
    rows = []
    for byte in content:
        os.write(feed, bytes([byte]))
        block = source.next_block(0.0)
        rows += [] if block is None else rows_of(block)
    os.close(feed)
    assert rows + drain(source) == [(0, b"\0\0\0"), (1_000_000_000, b"")]
    assert source.damage is None


@pytest.mark.parametrize(
    ("content", "offset", "words"),
    [
        (b"", 0, "is empty"),
        (HEADER[:10], 0, "cut short within the file header"),
        (b"SSH-2.0-something else", 0, "is not a pcap"),
        (HEADER + record(1, 10) + record(2, 10)[:20], 50, "cut short"),
        (HEADER + record(1, 10) + b"\0" * 8, 50, "cut short"),
        (HEADER + record(1, 10) + struct.pack("<IIII", 1, 1, 1 << 30, 1), 50, "1,073,741,824"),
    ],
)
def test_how_a_stream_goes_wrong(pipe: Pipe, content: bytes, offset: int, words: str) -> None:
    source, feed = pipe
    os.write(feed, content)
    os.close(feed)
    assert len(drain(source)) == (1 if offset else 0)
    assert source.damage is not None
    assert source.damage.offset == offset
    assert words in source.damage.message


def test_a_pipe_at_full_speed(pipe: Pipe) -> None:
    source, feed = pipe
    content = HEADER + b"".join(record(number, 100 + number % 1400) for number in range(10_000))

    def write() -> None:
        with os.fdopen(feed, "wb") as file:
            file.write(content)

    thread = threading.Thread(target=write)
    thread.start()
    rows = drain(source)
    thread.join()
    assert [(ts, len(data)) for ts, data in rows] == [(n * 1_000_000_000, 100 + n % 1400) for n in range(10_000)]
    assert all(data == bytes([n & 255]) * len(data) for n, (_ts, data) in enumerate(rows))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 5000), max_size=12), st.integers(0, 2000))
def test_however_it_is_split_the_rows_are_the_same(splits: list[int], size: int) -> None:
    content = HEADER + b"".join(record(number, size) for number in range(8))
    reading, feed = os.pipe()
    source = open_stream(reading, "stdin")
    os.close(reading)
    rows = []
    for split in [*splits, len(content)]:
        os.write(feed, content[:split])
        content = content[split:]
        block = source.next_block(0.0)
        rows += [] if block is None else rows_of(block)
    os.close(feed)
    rows += drain(source)
    source.close()
    assert rows == expected(8, size)
    assert source.damage is None


def test_wake_and_close_interrupt_a_wait(pipe: Pipe) -> None:
    source, _feed = pipe
    for interrupt in (source.wake, source.close):
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        begin = time.monotonic()
        assert source.next_block(30.0) is None
        assert time.monotonic() - begin < 20
        timer.join()
    assert source.exhausted
    source.wake()
    source.close()


def test_a_fifo(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    source = open_file(path)
    assert source.live
    assert source.next_block(0.0) is None
    with path.open("wb", buffering=0) as feed:
        feed.write(HEADER + record(0, 5))
        block = source.next_block(5.0)
        assert block is not None
        assert rows_of(block) == expected(1, 5)
        assert source.next_block(0.0) is None
    assert drain(source) == []
    assert source.damage is None
    source.close()


def test_a_regular_file_as_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    path.write_bytes(HEADER + b"".join(record(number, 1000) for number in range(3000)))
    with path.open("rb") as file:
        source = open_stream(file.fileno(), "stdin")
    assert not source.live
    assert drain(source) == expected(3000, 1000)
    assert source.progress() == (path.stat().st_size, path.stat().st_size)
    source.close()


Compress = Callable[[bytes], bytes]
COMPRESSIONS: list[Compress] = [gzip.compress, bz2.compress, lzma.compress]


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("through_pipe", [False, True])
def test_compressed(tmp_path: Path, compress: Compress, through_pipe: bool) -> None:
    content = HEADER + b"".join(record(number, 1000) for number in range(3000))
    half = len(content) // 2
    # Two members one after the other, as `cat a.gz b.gz` makes them.
    path = tmp_path / "capture.png"
    path.write_bytes(compress(content[:half]) + compress(content[half:]) + b"and something behind")
    if through_pipe:
        reading, feed = os.pipe()
        source: Source = open_stream(reading, "stdin")
        os.close(reading)
        os.write(feed, path.read_bytes())
        os.close(feed)
    else:
        source = open_file(path)
        assert [each.linktype for each in source.interfaces] == [1]
    assert drain(source) == expected(3000, 1000)
    assert source.damage is None
    source.close()


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_compressed_and_cut_gives_what_came_before_the_cut(tmp_path: Path, compress: Compress) -> None:
    content = HEADER + b"".join(record(number, 50) for number in range(20))
    whole = compress(content)
    path = tmp_path / "capture"
    before = 0
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            source = open_file(path)
        except CaptureError:
            assert before == 0
            continue
        rows = drain(source)
        assert rows == expected(len(rows), 50)
        assert len(rows) >= before
        before = len(rows)
        assert source.damage is not None
        assert "cut short" in source.damage.message
        source.close()
    assert before == 20


def test_compressed_with_a_wrong_check_sum(tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(HEADER + b"".join(record(number, 50) for number in range(20))))
    whole[-6] ^= 1
    path = tmp_path / "capture"
    path.write_bytes(whole)
    source = open_file(path)
    assert drain(source) == expected(20, 50)
    assert source.damage is not None
    assert "the gzip data is damaged" in source.damage.message


def test_compressed_but_no_capture(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap.gz"
    for content, words in ((b"", "is empty"), (b"a letter to a friend", "is not a pcap")):
        path.write_bytes(gzip.compress(content))
        with pytest.raises(CaptureError, match=words) as caught:
            open_file(path)
        assert caught.value.code == 3
    path.write_bytes(b"\x1f\x8b and then something else")
    with pytest.raises(CaptureError) as caught:
        open_file(path)
    assert caught.value.code == 3
