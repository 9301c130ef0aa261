"""What the clock asks for yields to the capture; what a person asks for does not."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

from netwatch.capture.block import Batch

MakeWorld = Callable[..., Any]
PacketsOf = Callable[[int], Sequence[bytes]]


async def test_repaints_wait_while_the_ring_fills_but_not_forever(world: MakeWorld) -> None:
    made = world()
    async with made.app.run_test(size=(120, 40)):
        made.source.ring_size = 1 << 20
        made.app._batches = queue.Queue(1)
        made.app._batches.put(Batch(made.session.store.rows(_no_rows()), None))
        made.app._drain_on()
        before = made.app.frames
        for _ in range(10):
            made.app._repaint()
        assert made.app.frames == before + 2


async def test_a_file_never_makes_them_wait(world: MakeWorld) -> None:
    made = world(live=False)
    async with made.app.run_test(size=(120, 40)):
        made.app._batches = queue.Queue(1)
        made.app._batches.put(Batch(made.session.store.rows(_no_rows()), None))
        made.app._drain_on()
        before = made.app.frames
        made.app._repaint()
        assert made.app.frames == before + 1


async def test_nothing_is_painted_for_a_terminal_that_takes_nothing(world: MakeWorld) -> None:
    made = world()
    async with made.app.run_test(size=(120, 40)):
        before, waiting = made.app.frames, True
        made.app._unseen = lambda: waiting
        for _ in range(3):
            made.app._repaint()
        assert made.app.frames == before
        waiting = False
        made.app._repaint()
        assert made.app.frames == before + 1


def _no_rows() -> Any:
    import numpy as np

    return np.empty(0, np.int64)
