"""The view against a list comprehension, whatever happens in whatever order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netwatch.capture import view as view_module
from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT, Columns
from netwatch.capture.paths import PATHS
from netwatch.capture.store import Store
from netwatch.capture.view import View

MakeRows = Callable[..., Columns]
MakeBatch = Callable[..., Batch]

KIB = 1 << 10
TCP, UDP, DNS = 1, 2, 8


def long_packets(rows: Columns) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (rows.wirelen > 700) & (rows.marks & EVENT == 0)
    return found


def nothing(rows: Columns) -> NDArray[np.bool_]:
    return np.zeros(len(rows), np.bool_)


class Naive:
    """What View does, by looking at each row every time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.bits = 0
        self.mask: Callable[[Columns], NDArray[np.bool_]] | None = None
        self.end: int | None = None

    def indices(self) -> list[int]:
        shown = []
        for first, rows in self.store.chunks():
            passes = np.ones(len(rows), np.bool_)
            if self.bits:
                passes &= (PATHS.switches[rows.path] & self.bits != 0) | (rows.marks & EVENT != 0)
            if self.mask is not None:
                passes &= self.mask(rows)
            shown += (np.flatnonzero(passes) + first).tolist()
        return [index for index in shown if self.end is None or index < self.end]


def agree(view: View, naive: Naive) -> None:
    expected = naive.indices()
    assert len(view) == len(expected)
    assert view.indices(0, len(view) + 5).tolist() == expected
    middle = len(expected) // 2
    assert view.packets == sum(naive.store.number(index) is not None for index in expected)
    assert view.indices(middle, middle + 7).tolist() == expected[middle : middle + 7]
    at = np.searchsorted(expected, np.arange(0, naive.store.end + 2, 37)).tolist()
    assert [view.position(index) for index in range(0, naive.store.end + 2, 37)] == at
    for position in range(0, len(expected), 61):
        assert view.position(expected[position]) == position
        assert expected[position] in view


OPERATION = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 300)),
    st.tuples(st.just("append"), st.integers(1, 300)),
    st.tuples(st.just("switch"), st.sampled_from([0, TCP, UDP | DNS])),
    st.tuples(st.just("mask"), st.sampled_from([None, long_packets, nothing])),
    st.tuples(st.just("pin"), st.integers(0, 3000)),
    st.tuples(st.just("unpin"), st.none()),
    st.tuples(st.just("freeze"), st.none()),
    st.tuples(st.just("thaw"), st.none()),
)


@given(operations=st.lists(OPERATION, min_size=5, max_size=40), budget=st.sampled_from([None, 300 * KIB]))
@settings(max_examples=80, deadline=None)
def test_a_naive_view_agrees(make_batch: MakeBatch, operations: list[tuple[str, object]], budget: int | None) -> None:
    store = Store(budget)
    view, naive = View(store), Naive(store)
    for seed, (what, value) in enumerate(operations):
        if what == "append":
            store.append(make_batch(value, seed, events=0.02))
            view.update()
        elif what in ("switch", "mask"):
            if what == "switch":
                assert isinstance(value, int)
                naive.bits = value
            else:
                naive.mask = value  # type: ignore[assignment]
            view.show(naive.bits, naive.mask)
            assert view.catch_up(60)
        elif what == "pin":
            assert isinstance(value, int)
            store.pin(np.arange(value, value + 50), store.end)
        elif what == "unpin":
            store.unpin()
        elif what == "freeze":
            naive.end = store.end
            view.freeze(store.end)
        else:
            naive.end = None
            view.thaw()
        agree(view, naive)


def test_an_empty_view() -> None:
    view = View(Store(None))
    for bits in (0, TCP):
        view.show(bits)
        assert view.catch_up(1)
        assert len(view) == 0
        assert view.indices(0, 10).tolist() == []
        assert view.position(0) == 0
        assert 0 not in view


def test_without_a_predicate_nothing_is_stored(make_rows: MakeRows) -> None:
    store = Store(None)
    view = View(store)
    store.append(Batch(make_rows(1000), None))
    view.update()
    assert not view.filtered
    assert view.pending == 0
    assert view.indices(990, 2000).tolist() == list(range(990, 1000))


def test_older_rows_follow_newest_first(make_rows: MakeRows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "PIECE_ROWS", 100)
    store = Store(64 * KIB)
    store.budget = None
    view, naive = View(store), Naive(store)
    store.append(Batch(make_rows(3000), None))
    view.update()
    naive.bits = TCP
    view.show(TCP)
    assert view.pending == 3000
    assert len(view) == 0

    ticks = iter(range(10**6))
    monkeypatch.setattr(view_module, "perf_counter", lambda: float(next(ticks)))
    assert not view.catch_up(6)
    assert 0 < view.pending < 3000
    expected = naive.indices()
    assert view.indices(0, len(view)).tolist() == expected[-len(view) :], "the newest are there already"

    store.append(Batch(make_rows(50, 1), None))
    view.update()
    expected = naive.indices()
    assert view.indices(0, len(view)).tolist() == expected[-len(view) :], "new rows do not wait for old ones"

    while not view.catch_up(6):
        assert len(view) <= len(expected)
    agree(view, naive)


def test_a_new_predicate_forgets_what_was_pending(make_rows: MakeRows) -> None:
    store = Store(None)
    view, naive = View(store), Naive(store)
    store.append(Batch(make_rows(3000), None))
    view.update()
    view.show(UDP)
    assert not view.catch_up(-1)
    naive.mask = long_packets
    view.show(0, long_packets)
    assert view.catch_up(60)
    agree(view, naive)


def test_found_rows_are_told_once(make_batch: MakeBatch) -> None:
    store = Store(600 * KIB)
    view = View(store)
    told: list[int] = []
    view.on_found = lambda columns, rows: told.extend(columns.ts[rows].tolist())
    store.append(make_batch(200, 0))
    view.update()
    assert told == []
    view.show(TCP)
    view.catch_up(60)
    for seed in range(1, 5):
        store.append(make_batch(50, seed))
        view.update()
    shown = store.rows(view.indices(0, len(view))).ts.tolist()
    assert sorted(told) == shown


def test_events_stay_visible_unless_a_typed_filter_hides_them(make_rows: MakeRows) -> None:
    store = Store(None)
    rows = make_rows(300, events=0.1)
    store.append(Batch(rows, None))
    view = View(store)
    events = np.flatnonzero(rows.marks & EVENT).tolist()
    view.show(TCP)
    view.catch_up(60)
    assert set(events) <= set(view.indices(0, 300).tolist())
    view.show(TCP, long_packets)
    view.catch_up(60)
    assert not set(events) & set(view.indices(0, 300).tolist())
