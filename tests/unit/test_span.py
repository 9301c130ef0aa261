"""The time that rows cover, also where clocks jump back, rows are out of order, or a hole was evicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from netwatch.capture.block import Batch
from netwatch.capture.columns import UNTIMED
from netwatch.capture.span import JUMP, Advance
from netwatch.capture.store import Store

MakeBatch = Callable[..., Batch]

SECOND = 1_000_000_000


def covered(*pieces: list[int]) -> int:
    advance = Advance()
    return sum(advance.add(np.array(times, np.int64))[1] for times in pieces)


def test_pauses_count_whether_they_lie_in_a_batch_or_between_two() -> None:
    assert covered([0, 5 * SECOND, 9 * SECOND]) == 9 * SECOND
    assert covered([0, 5 * SECOND], [9 * SECOND]) == 9 * SECOND


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    assert covered([100 * SECOND, 110 * SECOND], [0, 5 * SECOND]) == 15 * SECOND
    assert covered([100 * SECOND, 110 * SECOND, 0, 5 * SECOND]) == 15 * SECOND


def test_a_little_disorder_is_none() -> None:
    assert covered([0, 2 * SECOND, 2 * SECOND - JUMP // 2, 3 * SECOND]) == 3 * SECOND


def test_the_gap_before_a_batch_is_told_apart() -> None:
    advance = Advance()
    assert advance.add(np.array([0, SECOND], np.int64)) == (0, SECOND)
    assert advance.add(np.array([5 * SECOND, 6 * SECOND], np.int64)) == (4 * SECOND, 5 * SECOND)


@given(st.lists(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=20), min_size=1, max_size=6))
def test_never_negative_whatever_the_times_are(pieces: list[list[int]]) -> None:
    advance = Advance()
    for times in pieces:
        lead, span = advance.add(np.array(times, np.int64))
        assert lead >= 0
        assert span >= 0


@given(st.lists(st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=8), min_size=1, max_size=8))
def test_of_a_sorted_capture_it_is_from_the_first_to_the_last(steps: list[list[int]]) -> None:
    times = np.cumsum([step for piece in steps for step in piece])
    pieces = np.split(times, np.cumsum([len(piece) for piece in steps])[:-1])
    assert covered(*(piece.tolist() for piece in pieces)) == times[-1] - times[0]


def test_packets_without_a_time_cover_none(make_batch: MakeBatch) -> None:
    store = Store(None)
    batch = make_batch(4)
    batch.rows.ts[:] = [7 * SECOND, 0, 9 * SECOND, 0]
    batch.rows.marks[:] = [0, UNTIMED, 0, UNTIMED]
    store.append(batch)
    assert store.span == 2 * SECOND


def test_a_store_covers_what_it_keeps_and_no_hole(make_batch: MakeBatch) -> None:
    store = Store(200 << 10)

    def append(second: int) -> None:
        batch = make_batch(100, second)
        batch.rows.ts[:] = second * SECOND + np.arange(100) * 1_000_000
        store.append(batch)

    assert store.span == 0
    append(0)
    assert store.span == 99_000_000
    for second in range(1, 4):
        append(second)
    kept = [rows.ts for _, rows in store.chunks()]
    assert store.span == kept[-1][-1] - kept[0][0]
    store.pin(np.arange(store.first, store.first + 1), store.first + 1)
    for second in range(4, 60):
        append(second)
    runs: list[tuple[int, int, int]] = []  # index after the last row, first and last time
    for first, rows in store.chunks():
        start = runs.pop()[1] if runs and runs[-1][0] == first else int(rows.ts[0])
        runs.append((first + len(rows), start, int(rows.ts[-1])))
    assert len(runs) == 2, "there is a hole behind the pin"
    assert store.span == sum(last - start for _, start, last in runs)
