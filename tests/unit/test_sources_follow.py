"""Files that grow while they are read."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwatch.capture.block import CaptureError, Source
from netwatch.capture.sources import follow
from netwatch.capture.sources.files import FileSource, open_file
from netwatch.capture.sources.filtered import Filtered

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
NG_HEADER = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28) + struct.pack(
    "<IIHHII", 1, 20, 1, 0, 0, 20
)


def record(number: int, size: int = 60) -> bytes:
    return struct.pack("<IIII", number, 0, size, size) + bytes([number & 255]) * size


def ng_record(number: int) -> bytes:
    ticks = number * 1_000_000
    body = struct.pack("<5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, 4, 4) + bytes([number]) * 4
    return struct.pack("<II", 6, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))


def snoop_record(number: int) -> bytes:
    return struct.pack(">6I", 4, 4, 28, 0, number, 0) + bytes([number]) * 4


def erf_record(number: int) -> bytes:
    return struct.pack("<QBB", number << 32, 22, 4) + struct.pack(">HHH", 20, 0, 4) + bytes([number]) * 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "growing"


@pytest.fixture
def source(path: Path) -> Iterator[Source]:
    path.write_bytes(HEADER + record(0) + record(1))
    opened = open_file(path, follow=True)
    yield opened
    opened.close()


def take(source: Source, count: int, seconds: float = 10.0) -> list[int]:
    """Seconds of the next `count` packets, or of what comes within the time."""
    found: list[int] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and not source.exhausted and time.monotonic() < deadline:
        block = source.next_block(0.2)
        if block is None:
            continue
        for ts, offset, pos, size in zip(
            block.ts.tolist(), block.offsets.tolist(), block.pos.tolist(), block.caplen.tolist(), strict=True
        ):
            assert source.read_at(pos, size) == block.raw[offset : offset + size].tobytes()
            found.append(ts // 1_000_000_000)
    return found


def add(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_what_is_added_comes(path: Path, source: Source) -> None:
    assert source.progress() == (24, path.stat().st_size)
    assert take(source, 2) == [0, 1]
    assert source.next_block(0.0) is None
    assert not source.exhausted
    assert source.progress() is None
    for number in range(2, 5):
        add(path, record(number))
        assert take(source, 1) == [number]
    assert source.damage is None


@pytest.mark.parametrize(
    ("header", "make"),
    [(HEADER, record), (NG_HEADER, ng_record), (b"snoop\0\0\0\0\0\0\2\0\0\0\4", snoop_record), (b"", erf_record)],
    ids=["pcap", "pcapng", "snoop", "erf"],
)
def test_a_writer_that_adds_byte_by_byte(path: Path, header: bytes, make: object) -> None:
    assert callable(make)
    content = header + b"".join(make(number) for number in range(1, 7))
    path.touch()
    source = open_file(path, follow=True)

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            for byte in content:
                file.write(bytes([byte]))
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    assert take(source, 6) == [1, 2, 3, 4, 5, 6]
    writer.join()
    assert source.damage is None
    assert [each.linktype for each in source.interfaces] == [228 if not header else 1]
    source.close()


def test_a_half_written_record_is_no_damage_and_told_at_the_end(path: Path, source: Source) -> None:
    assert take(source, 2) == [0, 1]
    add(path, record(2)[:30])
    assert take(source, 1, 0.3) == []
    assert isinstance(source, FileSource)
    assert source.notes == [f"the last packet was not complete yet: 30 bytes at byte {24 + 2 * 76}"]
    add(path, record(2)[30:])
    assert take(source, 1) == [2]
    assert source.notes == []


def test_truncated_it_shrank(path: Path, source: Source) -> None:
    assert take(source, 2) == [0, 1]
    os.truncate(path, 100)
    assert take(source, 1) == []
    assert source.exhausted
    assert source.damage is not None
    assert source.damage.offset == 100
    assert "shrank at byte 100" in source.damage.message


@pytest.mark.parametrize("records", [3, 5, 40])
def test_written_anew_between_two_looks(path: Path, source: Source, records: int) -> None:
    assert take(source, 2) == [0, 1]
    add(path, record(2))
    assert take(source, 1) == [2]
    assert source.next_block(0.0) is None
    path.write_bytes(HEADER + b"".join(record(100 + number) for number in range(records)))
    assert take(source, 1) == []
    assert source.exhausted
    assert source.damage is not None
    assert source.damage.offset == 24 + 3 * 76
    assert "written anew" in source.damage.message


def test_removed_it_is_told_once_and_read_on(path: Path) -> None:
    told: list[str] = []
    path.write_bytes(HEADER + record(0) + record(1))
    source = open_file(path, follow=True, on_removed=lambda: told.append("removed"))
    assert take(source, 2) == [0, 1]
    with path.open("ab") as writer:
        path.unlink()
        for number in (2, 3):
            assert source.next_block(0.3) is None
            writer.write(record(number))
            writer.flush()
            assert take(source, 1) == [number]
    assert told == ["removed"]
    source.close()


@pytest.mark.parametrize(
    ("size", "words"), [(24, "which shrank at byte 24"), (5000, "another file has taken its name")]
)
def test_replaced_by_another(
    path: Path, source: Source, size: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_LEAVE", 0.3)
    assert take(source, 2) == [0, 1]
    old = path.with_name("old")
    path.rename(old)
    # Renamed, it is still the one that grows, also when another has its name.
    add(old, record(2))
    assert take(source, 1) == [2]
    path.write_bytes(HEADER + bytes(size - 24))
    for number in range(3, 9):
        time.sleep(0.1)
        add(old, record(number))
        assert take(source, 1) == [number]
        assert source.next_block(0.0) is None
    assert take(source, 1) == []
    assert source.exhausted
    assert source.damage is not None
    assert source.damage.offset == old.stat().st_size
    assert words in source.damage.message


def test_what_is_added_may_be_damaged(path: Path, source: Source) -> None:
    add(path, struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 0))
    assert take(source, 3) == [0, 1]
    assert source.damage is not None
    assert source.damage.offset == 24 + 2 * 76
    assert "4,294,967,295 bytes" in source.damage.message


def test_what_begins_empty_may_turn_out_to_be_no_capture(path: Path) -> None:
    path.touch()
    source = open_file(path, follow=True)
    assert source.next_block(0.0) is None
    add(path, b"a letter to a friend who waits")
    assert take(source, 1) == []
    assert source.exhausted
    assert source.damage is not None
    assert "is not a pcap" in source.damage.message
    source.close()


def test_waiting_ends_at_once(source: Source) -> None:
    assert take(source, 2) == [0, 1]
    for interrupt in (source.wake, source.close):
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        begin = time.monotonic()
        assert source.next_block(30.0) is None
        assert time.monotonic() - begin < 20
        timer.join()


def test_a_capture_filter_on_it(path: Path, source: Source) -> None:
    filtered = Filtered(source, "less 10")
    add(path, record(2, 5))
    rows = 0
    while rows == 0:
        block = filtered.next_block(1.0)
        rows += 0 if block is None else len(block)
    assert filtered.follows_from == 24 + 2 * 76
    assert filtered.rereadable
    assert filtered.notes == []
    assert not filtered.exhausted


@pytest.mark.parametrize("kind", ["fifo", "directory", "compressed"])
def test_what_cannot_be_followed_is_refused(path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"\x1f\x8b" + bytes(30))
    with pytest.raises(CaptureError) as caught:
        open_file(path, follow=True)
    assert caught.value.code == 2
    assert "\n" not in str(caught.value)


def test_a_packet_that_is_read_again_tells_that_the_file_shrank(path: Path) -> None:
    path.write_bytes(HEADER + record(0) + record(1))
    source = open_file(path)
    assert isinstance(source, FileSource)
    assert take(source, 2) == [0, 1]
    assert source.notes == []
    os.truncate(path, 130)
    assert len(source.read_at(24 + 76 + 16, 60)) == 14
    assert source.shrank_at == 130
    assert source.notes == ["shrank at byte 130 after it was read: the bytes behind are gone"]
    source.close()
