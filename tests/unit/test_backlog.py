"""What is still to be counted: each row once, and nothing that was evicted is kept alive for it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np

from netwatch.capture.backlog import PIECE_ROWS, Backlog
from netwatch.capture.block import Batch
from netwatch.capture.columns import Columns
from netwatch.capture.store import Store

MakeBatch = Callable[..., Batch]


def test_all_that_is_kept_is_counted_once(make_batch: MakeBatch) -> None:
    store = Store(None)
    counted: list[int] = []
    backlog = Backlog(store, lambda rows: counted.extend(rows.ts.tolist()))
    for seed in range(4):
        store.append(make_batch(PIECE_ROWS, seed))
    backlog.add_kept()
    while backlog:
        backlog.work(0.001)
    kept = [ts for _, rows in store.chunks() for ts in rows.ts.tolist()]
    assert sorted(counted) == sorted(kept)


def test_many_rows_are_counted_in_pieces(make_batch: MakeBatch) -> None:
    sizes: list[int] = []
    backlog = Backlog(Store(None), lambda rows: sizes.append(len(rows)))
    backlog.add(make_batch(3 * PIECE_ROWS).rows, np.arange(0, 3 * PIECE_ROWS - 5, dtype=np.int32))
    left = []
    while backlog:
        left.append(backlog.rows)
        backlog.work(-1 if len(left) == 1 else 1)
    assert (left[0], backlog.rows) == (3 * PIECE_ROWS - 5, 0)
    assert sizes == [PIECE_ROWS, PIECE_ROWS, PIECE_ROWS - 5]


def test_what_was_evicted_is_counted_and_let_go(make_batch: MakeBatch) -> None:
    store = Store(400 << 10)
    counted = 0

    def count(rows: Columns) -> None:
        nonlocal counted
        counted += len(rows)

    backlog = Backlog(store, count)
    store.append(make_batch(200, 1))
    oldest = weakref.ref(store.chunks_kept[0].columns.ts.base)
    backlog.add_kept()
    for seed in range(2, 20):
        store.append(make_batch(200, seed))
    assert oldest() is not None, "the backlog has it still"
    backlog.let_go()
    gc.collect()
    assert oldest() is None
    assert counted == 200
    assert not backlog
