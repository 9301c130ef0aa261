"""Batches that fill most of the memory they came in are kept as they came."""

from __future__ import annotations

import numpy as np
import pytest

from netwatch.capture.block import Batch
from netwatch.capture.columns import Columns
from netwatch.capture.store import Store

SIZE = 1000
BUFFER = 4 << 20


def batch(memory: np.ndarray, filled: int, start: int = 0) -> Batch:
    n = filled // SIZE
    rows = Columns.zeros(n)
    rows.pos[:] = np.arange(n) * SIZE
    rows.caplen[:] = rows.wirelen[:] = SIZE
    memory[start : start + filled] = np.repeat(np.arange(n) % 251, SIZE)[:filled]
    return Batch(rows, memory[start : start + filled])


@pytest.mark.parametrize("filled", [BUFFER - BUFFER % SIZE, BUFFER * 9 // 10 // SIZE * SIZE])
def test_a_buffer_that_is_nearly_full_is_not_copied(filled: int) -> None:
    memory, store = np.zeros(BUFFER, np.uint8), Store(64 << 20)
    store.append(batch(memory, filled))
    assert store.chunks_kept[0].raw is memory
    assert store.used >= BUFFER
    assert store.data(7) == bytes([7]) * SIZE


@pytest.mark.parametrize(("filled", "start"), [(BUFFER // 2 // SIZE * SIZE, 0), (BUFFER // SIZE * SIZE - SIZE, 8)])
def test_of_half_a_buffer_or_its_middle_the_bytes_are_copied(filled: int, start: int) -> None:
    memory, store = np.zeros(BUFFER, np.uint8), Store(64 << 20)
    store.append(batch(memory, filled, start))
    memory[:] = 255
    assert all(chunk.raw is not memory for chunk in store.chunks_kept)
    assert store.data(7) == bytes([7]) * SIZE
