"""The queue between the threads: bounded by bytes, and it always takes one batch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest

from netwatch.capture.batch_queue import BatchQueue
from netwatch.capture.block import Batch
from netwatch.capture.columns import ROW_BYTES
from netwatch.capture.stats import partial

MakeBatch = Callable[..., Batch]


def size_of(batch: Batch) -> int:
    assert batch.raw is not None
    return len(batch.rows) * ROW_BYTES + batch.raw.nbytes


def test_it_is_full_by_bytes_and_says_so(make_batch: MakeBatch) -> None:
    batch = make_batch(100)
    waiting = BatchQueue(3 * size_of(batch))
    for _ in range(2):
        waiting.put(batch, timeout=0)
    assert not waiting.full()
    with pytest.raises(queue.Full):
        waiting.put(make_batch(200), timeout=0)
    assert waiting.full()
    assert [waiting.get_nowait() for _ in range(2)] == [batch, batch]
    waiting.put(make_batch(200), timeout=0)
    assert not waiting.full()


def test_one_batch_has_room_whatever_it_is(make_batch: MakeBatch) -> None:
    waiting = BatchQueue(10)
    waiting.put(make_batch(1000), timeout=0)
    with pytest.raises(queue.Full):
        waiting.put(make_batch(0), block=False)
    waiting.get()
    assert waiting.empty()
    waiting.put(make_batch(0))
    assert not waiting.empty(), "a batch without rows is there, too"


def test_hosts_count(make_batch: MakeBatch) -> None:
    batch = make_batch(1000, hosts=10**6)
    waiting = BatchQueue()
    waiting.put(batch)
    bare = waiting.qsize()
    batch.partial = partial(batch.rows)
    waiting.put(batch)
    assert waiting.qsize() > 2 * bare


def test_who_waits_is_let_in_when_there_is_room(make_batch: MakeBatch) -> None:
    batch = make_batch(100)
    waiting = BatchQueue(size_of(batch))
    waiting.put(batch)
    thread = threading.Thread(target=waiting.put, args=(batch,))
    thread.start()
    assert waiting.get(timeout=5) is batch
    assert waiting.get(timeout=5) is batch
    thread.join(5)
    assert not thread.is_alive()
