"""Blocks, batches and the capture thread, with a source that does as it is told."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from netwatch.capture.block import Batch, Block, Damage, Interface, Loss
from netwatch.capture.columns import EVENT, Columns
from netwatch.capture.engine import Engine, batches, blocks
from netwatch.capture.errors import CaptureError


def block_of(marks: list[int], first: int = 0) -> Block:
    """Records of 10 bytes, stamped `first`, `first` + 1, ..."""
    n = len(marks)
    offsets = np.arange(n, dtype=np.int64) * 10
    return Block(
        raw=np.zeros(n * 10, np.uint8),
        offsets=offsets,
        caplen=np.full(n, 10, np.uint32),
        wirelen=np.full(n, 10, np.uint32),
        ts=np.arange(first, first + n, dtype=np.int64),
        linktype=np.ones(n, np.uint16),
        iface=np.zeros(n, np.uint16),
        marks=np.array(marks, np.uint16),
        pos=offsets,
        owned=True,
    )


class Told:
    """A source of given blocks; live ones wait after the last until they are woken."""

    name = "told"
    damage: Damage | None = None

    def __init__(
        self,
        given: list[Block],
        *,
        live: bool = False,
        left: list[Block] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.interfaces = [Interface("told", 1)]
        self.live = live
        self._error = error
        self.exhausted = False
        self.started = False
        self._given = list(given)
        self._left = left or []
        self._woken = threading.Event()

    def start(self) -> None:
        self.started = True

    def next_block(self, timeout: float) -> Block | None:
        if self._error is not None:
            raise self._error
        if self._given:
            return self._given.pop(0)
        if self.live:
            self._woken.wait(timeout)
        else:
            self.exhausted = True
        return None

    def finish(self) -> Iterator[Block]:
        yield from self._left
        self.exhausted = True

    def wake(self) -> None:
        self._woken.set()

    def read_at(self, pos: int, size: int) -> bytes:
        return bytes(size + pos - pos)

    def loss(self) -> Loss:
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        return None

    def close(self) -> None:
        """Nothing to give back."""


class Stamps:
    """A decoder that keeps what the block says."""

    def decode(self, block: Block) -> SimpleNamespace:
        rows = Columns.zeros(len(block))
        rows.ts[:], rows.marks[:], rows.pos[:] = block.ts, block.marks, block.pos
        return SimpleNamespace(rows=rows)


def stamps(given: list[Batch]) -> list[int]:
    return [ts for batch in given for ts in batch.rows.ts.tolist()]


@pytest.mark.parametrize("count", range(1, 9))
def test_count_cuts_packets_and_does_not_count_events(count: int) -> None:
    source = Told([block_of([0, EVENT, 0]), block_of([EVENT]), block_of([0, 0, EVENT, 0], 10)])
    got = list(blocks(source, threading.Event(), count))
    marks = [mark for block in got for mark in block.marks.tolist()]
    assert marks.count(0) == min(count, 5)
    if count <= 5:
        assert marks[-1] == 0


def test_stopping_detaches_and_drains() -> None:
    stopping = threading.Event()
    source = Told([block_of([0])], live=True, left=[block_of([0, 0], 1)])
    seen = blocks(source, stopping)
    assert len(next(seen)) == 1
    stopping.set()
    source.wake()
    assert [len(block) for block in seen] == [2]


def test_a_count_that_is_reached_leaves_the_rest_in_the_ring() -> None:
    source = Told([block_of([0, 0])], live=True, left=[block_of([0, 0], 2)])
    assert [len(block) for block in blocks(source, threading.Event(), 1)] == [1]


def test_batches_carry_rows_memory_and_statistics() -> None:
    (batch,) = batches(Told([block_of([0, 0])]), Stamps(), threading.Event())
    assert batch.rows.ts.tolist() == [0, 1]
    assert batch.raw is not None
    assert batch.partial.packets == 2  # type: ignore[attr-defined]


def test_the_writer_gets_every_block_before_it_is_decoded() -> None:
    class Kept:
        packets = 0

        def write(self, block: Block) -> None:
            self.packets += len(block)

    writer = Kept()
    for number, _ in enumerate(batches(Told([block_of([0])] * 3), Stamps(), threading.Event(), writer=writer)):
        assert writer.packets == number + 1


def test_the_thread_ends_with_its_source() -> None:
    batch_queue: queue.Queue[Batch] = queue.Queue(2)
    source = Told([block_of([0], first) for first in range(10)])
    engine = Engine(source, Stamps(), batch_queue)
    engine.start()
    got = [batch_queue.get(timeout=5) for _ in range(10)]  # more than the queue holds
    assert engine.started.is_set()
    assert source.started
    assert stamps(got) == list(range(10))
    assert list(engine.stop()) == []
    assert engine.ended
    assert engine.failed is None


def test_stop_hands_over_what_was_under_way() -> None:
    batch_queue: queue.Queue[Batch] = queue.Queue(1)
    source = Told([block_of([0], first) for first in range(3)], live=True, left=[block_of([0], 3)])
    engine = Engine(source, Stamps(), batch_queue)
    engine.start()
    while not batch_queue.full():
        time.sleep(0.001)
    rest = list(engine.stop())
    assert engine.ended
    # Blocks of the source that were not asked for yet stay; what was taken and what the ring held comes in order.
    assert stamps(rest)[-1] == 3
    assert stamps(rest) == sorted(stamps(rest))
    assert stamps(rest)[:2] == [0, 1]


def test_who_holds_gets_nothing_and_loses_nothing() -> None:
    batch_queue: queue.Queue[Batch] = queue.Queue(100)
    engine = Engine(Told([block_of([0], first) for first in range(10)]), Stamps(), batch_queue)
    engine.hold()
    engine.start()
    engine.started.wait(5)
    with pytest.raises(queue.Empty):
        batch_queue.get(timeout=0.1)
    assert engine.held
    assert not engine.ended
    engine.go_on()
    assert stamps([batch_queue.get(timeout=5) for _ in range(10)]) == list(range(10))


def test_stop_ends_what_was_held() -> None:
    engine = Engine(Told([block_of([0], first) for first in range(3)]), Stamps(), queue.Queue(100))
    engine.hold()
    engine.start()
    engine.started.wait(5)
    assert stamps(list(engine.stop()))[:1] == [0]
    assert engine.ended


def test_stop_wakes_a_thread_that_waits() -> None:
    engine = Engine(Told([], live=True), Stamps(), queue.Queue(1))
    engine.start()
    assert list(engine.stop()) == []
    assert engine.ended


def test_stop_without_start() -> None:
    engine = Engine(Told([], live=True), Stamps(), queue.Queue(1))
    assert list(engine.stop()) == []


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (CaptureError("no interface 'x'", 2), "no interface 'x'", 2),
        (ValueError("two\nlines"), "capture ended: ValueError: two lines", 3),
    ],
)
def test_a_thread_that_fails_says_so(error: Exception, text: str, code: int) -> None:
    engine = Engine(Told([], error=error), Stamps(), queue.Queue(1))
    engine.start()
    assert engine.started.wait(5)
    list(engine.stop())
    assert (engine.failed, engine.code) == (text, code)


def test_stop_takes_as_long_as_the_rest_does_and_holds_no_more_than_the_queue() -> None:
    class Slow(Stamps):
        def decode(self, block: Block) -> SimpleNamespace:
            time.sleep(0.03)
            return super().decode(block)

    left = [block_of([0], first) for first in range(50)]
    engine = Engine(Told([], live=True, left=left), Slow(), queue.Queue(2))
    engine.start()
    assert stamps(list(engine.stop())) == list(range(50))
    assert engine.failed is None


def test_stop_does_not_wait_for_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.engine._PATIENCE", 0.1)
    hangs = threading.Event()

    class Hung:
        def write(self, block: Block) -> None:
            hangs.wait(10)
            assert len(block)

    engine = Engine(Told([block_of([0])]), Stamps(), queue.Queue(1), writer=Hung())
    engine.start()
    assert list(engine.stop()) == []
    assert engine.failed is not None
    assert engine.code == 70
    hangs.set()
