"""What is kept is what came, under its own number, until it is evicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT, ROW_BYTES, Columns
from netwatch.capture.store import MAX_EVENTS, Store

MakeRows = Callable[..., Columns]
MakeBatch = Callable[..., Batch]

KIB = 1 << 10
MIB = 1 << 20


def bytes_of(batch: Batch) -> list[bytes]:
    raw = batch.raw
    assert raw is not None
    places = zip(batch.rows.pos.tolist(), batch.rows.caplen.tolist(), strict=True)
    return [raw[pos : pos + size].tobytes() for pos, size in places]


def kept(store: Store) -> list[int]:
    return [first + at for first, rows in store.chunks() for at in range(len(rows))]


def test_an_empty_store() -> None:
    store = Store(MIB)
    assert (store.first, store.end, store.packets, store.evicted, store.used) == (0, 0, 0, 0, 0)
    assert list(store.chunks()) == []
    assert 0 not in store
    assert len(store.rows(np.empty(0, np.int64))) == 0
    with pytest.raises(IndexError):
        store.data(0)
    with pytest.raises(IndexError):
        store.index(1)


@given(
    batches=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 30), st.booleans()), max_size=25),
    budget=st.sampled_from([None, 200 * KIB, 400 * KIB, 2 * MIB]),
    events=st.sampled_from([0.0, 0.2]),
)
@settings(max_examples=60, deadline=None)
def test_a_naive_store_agrees(
    make_batch: MakeBatch, batches: list[tuple[int, int, bool]], budget: int | None, events: float
) -> None:
    store = Store(budget)
    times: list[int] = []
    data: list[bytes] = []
    is_event: list[bool] = []
    for seed, (n, gap, shuffled) in enumerate(batches):
        batch = make_batch(n, seed, gap=gap, events=events)
        if shuffled:
            batch.rows = batch.rows.take(np.random.default_rng(seed).permutation(n))
        store.append(batch)
        times += batch.rows.ts.tolist()
        data += bytes_of(batch)
        is_event += (batch.rows.marks & EVENT != 0).tolist()

        assert store.end == len(times)
        assert store.used == sum(chunk.nbytes for chunk in store.chunks_kept)
        if budget is not None:
            assert store.used <= budget

    indices = kept(store)
    assert indices == list(range(store.first, store.end))
    assert store.rows(np.array(indices, np.int64)).ts.tolist() == times[store.first :]
    assert [store.data(index) for index in indices] == data[store.first :]
    assert store.evicted == is_event[: store.first].count(False)
    assert store.packets == is_event.count(False)

    number = 0
    for index, event in enumerate(is_event):
        number += not event
        assert store.number(index) == (None if event else number)
        if not event:
            assert store.index(number) == index
    with pytest.raises(IndexError):
        store.index(number + 1)


def test_rows_come_in_the_order_asked_for(make_rows: MakeRows) -> None:
    store = Store(64 * KIB)  # chunks of some 900 rows
    store.budget = None
    rows = make_rows(5000)
    store.append(Batch(rows, None))
    asked = np.random.default_rng(1).integers(0, 5000, 300)
    assert store.rows(asked).ts.tolist() == rows.ts[asked].tolist()


def test_rows_no_longer_kept_are_an_error(make_batch: MakeBatch) -> None:
    store = Store(200 * KIB)
    for seed in range(20):
        store.append(make_batch(100, seed))
    assert store.first > 0
    assert store.first - 1 not in store
    for index in (store.first - 1, store.end):
        with pytest.raises(IndexError):
            store.rows(np.array([store.first, index]))
        with pytest.raises(IndexError):
            store.data(index)
    assert store.number(0) == 1, "numbers outlive their rows"


def test_a_file_keeps_positions_and_reads_bytes_again(make_rows: MakeRows) -> None:
    file = np.random.default_rng(0).integers(0, 256, 200_000, np.uint8).tobytes()
    store = Store(None, lambda pos, size: file[pos : pos + size])
    rows = make_rows(100, marks=0)
    rows.pos[:] = np.arange(100) * 1600 + 24
    rows.pos[99] = len(file) - 10
    store.append(Batch(rows, None))
    assert store.data(3) == file[24 + 4800 :][: int(rows.caplen[3])]
    assert store.data(99) == file[-10:], "a file that shrank gives fewer bytes"


def test_a_file_takes_at_most_80_bytes_a_packet(make_rows: MakeRows) -> None:
    store = Store(None)
    rows = make_rows(32_768)
    for _ in range(31):
        store.append(Batch(rows, None))
    assert store.evicted == 0
    assert ROW_BYTES < store.used / store.packets <= 80


def test_small_batches_share_memory(make_batch: MakeBatch) -> None:
    store = Store(256 * MIB)
    batches = [make_batch(3, seed, gap=100) for seed in range(4000)]
    for batch in batches:
        store.append(batch)
    came = sum(batch.raw.nbytes + len(batch.rows) * ROW_BYTES for batch in batches if batch.raw is not None)
    assert store.used < came + 8 * MIB, "at most the open chunk's columns and raw memory are unused"
    assert store.data(11_999) == bytes_of(batches[-1])[-1]


def test_a_large_batch_is_not_copied(make_batch: MakeBatch) -> None:
    store = Store(256 * MIB)
    batch = make_batch(8000)
    store.append(make_batch(10, 1))
    store.append(batch)
    store.append(make_batch(10, 2))
    assert batch.raw is store.chunks_kept[1].raw
    assert [len(chunk.columns) for chunk in store.chunks_kept][:2] == [10, 8000], "what is closed wastes nothing"
    assert [store.data(10 + at) for at in range(0, 8000, 500)] == bytes_of(batch)[::500]


def test_memory_that_hangs_on_more_is_copied(make_batch: MakeBatch) -> None:
    store = Store(256 * MIB)
    batch = make_batch(8000)
    assert batch.raw is not None
    batch.raw = np.concatenate([batch.raw, np.zeros(16 * MIB, np.uint8)])[: len(batch.raw)]
    expected = bytes_of(batch)
    store.append(batch)
    assert all(chunk.raw is not None and chunk.raw.base is None for chunk in store.chunks_kept)
    assert [store.data(at) for at in range(8000)] == expected


def test_a_packet_larger_than_a_chunk(make_batch: MakeBatch) -> None:
    store = Store(MIB)  # chunks of 64 KiB
    for size in (200_000, 60, 70_000):
        batch = make_batch(1, size, marks=0, wirelen=size, caplen=size)
        store.append(batch)
        assert store.data(store.end - 1) == bytes_of(batch)[0]


def test_rows_with_and_without_memory_may_follow_each_other(make_batch: MakeBatch, make_rows: MakeRows) -> None:
    store = Store(MIB, lambda pos, size: (b"file %d" % pos)[:size])
    first, last = make_batch(5, 1), make_batch(5, 2)
    store.append(first)
    store.append(Batch(make_rows(3, pos=7), None))
    store.append(last)
    assert [store.data(at) for at in range(13)] == bytes_of(first) + [b"file 7"] * 3 + bytes_of(last)


def test_pinned_rows_outlive_those_around_them(make_batch: MakeBatch) -> None:
    store = Store(512 * KIB)
    batches = [make_batch(100, seed) for seed in range(60)]
    for batch in batches[:4]:
        store.append(batch)
    store.pin(np.arange(150, 181), 181)
    for batch in batches[4:]:
        store.append(batch)
    assert store.used <= 512 * KIB
    assert all(index in store for index in range(150, 181))
    indices = kept(store)
    assert store.evicted == store.packets - len(indices)
    assert indices[0] == store.first <= 150
    assert len(indices) < store.end - store.first, "there is a hole between the pin and the live tail"
    data = [packet for batch in batches for packet in bytes_of(batch)]
    assert [store.data(index) for index in indices] == [data[index] for index in indices]

    store.unpin()
    store.append(make_batch(400, 99))
    assert 150 not in store, "the oldest go first again"


def test_a_pin_takes_at_most_half_the_buffer(make_batch: MakeBatch) -> None:
    store = Store(512 * KIB)
    for seed in range(60):
        store.append(make_batch(100, seed))
    before = kept(store)
    store.pin(np.arange(store.first, store.end), store.end)
    for seed in range(60):
        store.append(make_batch(100, 100 + seed))
    held = [chunk for chunk in store.chunks_kept if chunk.base < 6000]
    assert 128 * KIB < sum(chunk.nbytes for chunk in held) <= 256 * KIB
    rows = [index for index in kept(store) if index < 6000]
    assert rows == before[-len(rows) :], "the newest"
    assert store.end - 1 in store


def test_around_the_screen_the_newest_are_pinned(make_batch: MakeBatch) -> None:
    store = Store(MIB)
    for seed in range(60):
        store.append(make_batch(100, seed))
    first = store.first
    end = store.end - 100
    store.pin(np.array([first, first + 1]), end)
    for seed in range(100):
        store.append(make_batch(100, 100 + seed))
    rows = np.array([index for index in kept(store) if index < 6000])
    assert first in rows
    assert end - 1 in rows, "the newest before the pause"
    assert len(rows) > 300
    assert len(np.flatnonzero(np.diff(rows) > 1)) == 1, "one hole"
    assert store.kept_before(6000) == sum(store.number(index) is not None for index in rows.tolist())


def test_events_of_rows_that_are_gone_are_forgotten_and_numbers_stay_right(make_batch: MakeBatch) -> None:
    store = Store(200 * KIB)
    events = 0
    for seed in range(120):
        batch = make_batch(100, seed, events=0.9)
        events += int(np.count_nonzero(batch.rows.marks & EVENT))
        store.append(batch)
    assert events > MAX_EVENTS + 1000
    assert len(store._events) <= MAX_EVENTS + 100
    assert store.packets == store.end - events
    assert store.evicted == store.packets - store.kept_before(store.end)
    expected = store.packets
    for index in range(store.end - 1, store.first - 1, -1):
        number = store.number(index)
        if number is not None:
            assert number == expected
            assert store.index(number) == index
            expected -= 1
    assert store.index(expected) < store.first
    assert store.index(1) < store.first


def test_what_leaves_is_gone_before_what_comes_is_taken(make_batch: MakeBatch) -> None:
    store = Store(400 * KIB)
    for seed in range(12):
        batch = make_batch(300, seed)
        store.make_room(batch)
        assert batch.raw is not None
        only_one_left = len(store.chunks_kept) <= 1
        assert store.used + batch.raw.nbytes + len(batch.rows) * ROW_BYTES <= 400 * KIB or only_one_left
        store.append(batch)
        assert store.used <= 400 * KIB or len(store.chunks_kept) == 1
