"""Packets of the store as a new file: all, what passes, chosen ones; while others come and go; from files, too."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture import filter as display_filter
from netwatch.capture.block import Batch, Interface
from netwatch.capture.columns import EVENT, INCOMING, OUTGOING
from netwatch.capture.decode import Decoder
from netwatch.capture.directory import PlainDirectory
from netwatch.capture.save import Save
from netwatch.capture.sources.files import open_file
from netwatch.capture.store import Store

ETHERNET = [Interface("eth0", 1)]
Row = tuple[int, bytes, int, int]
"""Time, bytes, wire length, direction."""


def rows_of(store: Store) -> list[Row]:
    found: list[Row] = []
    for base, rows in store.chunks():
        for local in np.flatnonzero(rows.marks & EVENT == 0).tolist():
            direction = int(rows.marks[local]) & (INCOMING | OUTGOING)
            found.append((int(rows.ts[local]), store.data(base + local), int(rows.wirelen[local]), direction))
    return found


def read(path: Path) -> list[Row]:
    source = open_file(path)
    found: list[Row] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        for row in range(len(block) if block is not None else 0):
            assert block is not None
            start, size = int(block.offsets[row]), int(block.caplen[row])
            data = block.raw[start : start + size].tobytes()
            found.append((int(block.ts[row]), data, int(block.wirelen[row]), int(block.marks[row])))
    assert source.damage is None
    assert source.interfaces == ETHERNET
    source.close()
    return found


def finished(save: Save) -> Save:
    save.start()
    while not save.done:
        time.sleep(0.001)
    return save


@pytest.fixture
def filled(make_batch: Callable[..., Batch]) -> Store:
    """Several chunks, the last one open, and events."""
    store = Store(64 << 20)
    for seed in range(8):
        store.append(make_batch(9000, seed, events=0.01))
    return store


def test_all_that_is_kept(filled: Store, tmp_path: Path) -> None:
    save = finished(Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end))
    assert read(tmp_path / "a") == rows_of(filled)
    assert (save.packets, save.fault, save.share) == (filled.packets, None, 1.0)
    assert save.bytes == (tmp_path / "a").stat().st_size
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_what_passes_and_what_is_chosen(filled: Store, tmp_path: Path) -> None:
    rows = rows_of(filled)
    passes = display_filter.compile("frame.len > 1000").mask
    finished(Save(PlainDirectory(str(tmp_path)), "long", filled, ETHERNET, end=filled.end, passes=passes))
    assert read(tmp_path / "long") == [row for row in rows if row[2] > 1000]
    chosen = [filled.index(number) for number in (1, 2, 30_000, filled.packets)]
    finished(Save(PlainDirectory(str(tmp_path)), "few", filled, ETHERNET, end=filled.end, rows=np.array(chosen)))
    assert read(tmp_path / "few") == [rows[number - 1] for number in (1, 2, 30_000, filled.packets)]


def test_rows_behind_a_pause_are_left_out(filled: Store, tmp_path: Path) -> None:
    finished(Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=20_000))
    assert read(tmp_path / "a") == rows_of(filled)[: filled.kept_before(20_000)]


def test_what_is_evicted_meanwhile_is_saved_nevertheless(make_batch: Callable[..., Batch], tmp_path: Path) -> None:
    store = Store(2 << 20)
    for seed in range(20):
        store.append(make_batch(200, seed))
    before, first = rows_of(store), store.first
    save = Save(PlainDirectory(str(tmp_path)), "a", store, ETHERNET, end=store.end)
    for seed in range(20, 60):
        store.append(make_batch(200, seed))
    assert store.first > first
    save.release()
    finished(save)
    assert read(tmp_path / "a") == before
    assert save.evicted == 0


def test_what_would_be_held_without_bound_is_given_up_and_told(
    make_batch: Callable[..., Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.capture.save.HELD", 1 << 20)
    store = Store(4 << 20)
    for seed in range(40):
        store.append(make_batch(200, seed))
    before = rows_of(store)
    save = Save(PlainDirectory(str(tmp_path)), "a", store, ETHERNET, end=store.end)
    for seed in range(40, 120):
        store.append(make_batch(200, seed))
    save.release()
    finished(save)
    got = read(tmp_path / "a")
    assert 0 < len(got) < len(before)
    assert got == before[-len(got) :]
    assert save.evicted == len(before) - len(got)


def test_chosen_rows_that_are_no_longer_kept_are_told(make_batch: Callable[..., Batch], tmp_path: Path) -> None:
    store = Store(2 << 20)
    for seed in range(60):
        store.append(make_batch(200, seed))
    chosen = np.array([0, 1, store.end - 1])
    save = finished(Save(PlainDirectory(str(tmp_path)), "a", store, ETHERNET, end=store.end, rows=chosen))
    assert (save.packets, save.evicted) == (1, 2)


def test_where_nothing_is_left_to_save_there_is_no_file(filled: Store, tmp_path: Path) -> None:
    save = finished(
        Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end, rows=np.array([filled.end + 5]))
    )
    assert (save.packets, save.evicted, save.fault) == (0, 1, None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_not_overwritten(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end)
    assert (tmp_path / "a").read_bytes() == b"precious"


def test_cancelled_or_failed_leaves_no_file(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end)
    save.start()
    save.cancel(10)
    assert save.done
    assert not save.cancelled or not (tmp_path / "a").exists()
    save = Save(PlainDirectory(str(tmp_path)), "b", filled, ETHERNET, end=filled.end)

    def full(fd: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device", fd, len(data))

    monkeypatch.setattr("netwatch.capture.writer.os.write", full)
    finished(save)
    assert save.fault is not None
    assert not (tmp_path / "b").exists()
    with pytest.raises(OSError, match="No space"):
        Save(PlainDirectory(str(tmp_path)), "c", filled, ETHERNET, end=filled.end)
    assert not (tmp_path / "c").exists()


def from_file(path: Path) -> Store:
    source = open_file(path)
    store = Store(None, source.read_at)
    decoder = Decoder()
    while not source.exhausted:
        block = source.next_block(0.0)
        if block is not None:
            store.append(Batch(decoder.decode(block).rows, None))
    return store


def capture(packets: int, size: int = 400) -> bytes:
    data = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    for number in range(packets):
        frame = struct.pack(">12xHI", 0x88B5, number) + bytes(size + number % 50)
        data += struct.pack("<IIII", 1_700_000_000, number, len(frame), len(frame) + number % 3) + frame
    return data


def test_bytes_are_read_again_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "in.pcap").write_bytes(capture(20_000))
    store = from_file(tmp_path / "in.pcap")
    ethernet = [Interface("", 1, 262144)]
    finished(Save(PlainDirectory(str(tmp_path)), "a", store, ethernet, end=store.end))
    source = open_file(tmp_path / "a")
    source.close()
    assert (tmp_path / "a").stat().st_size > 20_000 * 400
    again = from_file(tmp_path / "a")
    assert rows_of(again) == rows_of(store)
    sparse = np.arange(0, 20_000, 17)
    finished(Save(PlainDirectory(str(tmp_path)), "b", store, ethernet, end=store.end, rows=sparse))
    assert rows_of(from_file(tmp_path / "b")) == rows_of(store)[::17]


def test_a_file_that_shrank_is_told(tmp_path: Path) -> None:
    whole = capture(1000)
    (tmp_path / "in.pcap").write_bytes(whole)
    store = from_file(tmp_path / "in.pcap")
    before = rows_of(store)
    with open(tmp_path / "in.pcap", "r+b") as file:
        file.truncate(len(capture(300)) + 100)
    save = finished(Save(PlainDirectory(str(tmp_path)), "a", store, [Interface("", 1, 262144)], end=store.end))
    assert (save.packets, save.unreadable) == (300, 700)
    assert rows_of(from_file(tmp_path / "a")) == before[:300]


def test_a_file_is_replaced_only_by_a_whole_one(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"precious")
    nothing = np.zeros(0, np.int64)
    save = finished(
        Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end, rows=nothing, replace=True)
    )
    assert save.packets == 0
    save = Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end, replace=True)
    save._state.cancelled.set()
    finished(save)
    assert (tmp_path / "a").read_bytes() == b"precious"
    finished(Save(PlainDirectory(str(tmp_path)), "a", filled, ETHERNET, end=filled.end, replace=True))
    assert read(tmp_path / "a") == rows_of(filled)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
