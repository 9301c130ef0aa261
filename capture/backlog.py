"""Rows that are still to be counted by what somebody wants to see: a filter's statistics, conversations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import Columns
from netwatch.capture.store import Store

__all__ = ["Backlog"]

PIECE_ROWS: Final = 8192
"""Rows that are counted at once: the longest that `work` runs past its time, and little memory on the way."""


class Backlog:
    """Pieces of chunks, in the order in which they came. It keeps no chunk alive that was evicted."""

    def __init__(self, store: Store, count: Callable[[Columns], None]) -> None:
        """`count` is given the rows, each once."""
        self._store = store
        self._count = count
        self._pieces: deque[tuple[Columns, NDArray[np.int32] | slice]] = deque()
        self._evictions = store.evictions
        self.rows = 0
        """Rows that are still to be counted."""

    def __len__(self) -> int:
        return len(self._pieces)

    def add(self, columns: Columns, rows: NDArray[np.int32] | slice) -> None:
        """Some rows of a chunk."""
        if isinstance(rows, slice):
            self._pieces.append((columns, rows))
            self.rows += rows.stop - rows.start
            return
        self.rows += len(rows)
        for start in range(0, len(rows), PIECE_ROWS):
            self._pieces.append((columns, rows[start : start + PIECE_ROWS]))

    def add_kept(self) -> None:
        """All rows that the store keeps now, the newest first."""
        for chunk in reversed(self._store.chunks_kept):
            for start in range(0, chunk.n, PIECE_ROWS):
                self.add(chunk.columns, slice(start, min(start + PIECE_ROWS, chunk.n)))

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()
        self.rows = 0

    def work(self, seconds: float) -> None:
        """Count for about this long."""
        deadline = perf_counter() + seconds
        while self._pieces and perf_counter() < deadline:
            self._count_one(*self._pieces.popleft())

    def let_go(self) -> None:
        """Count at once what the store no longer keeps: else its memory would come on top of the budget."""
        if not self._pieces or self._evictions == self._store.evictions:
            return
        self._evictions = self._store.evictions
        kept = {id(chunk.columns) for chunk in self._store.chunks_kept}
        for _ in range(len(self._pieces)):
            columns, rows = self._pieces.popleft()
            if id(columns) in kept:
                self._pieces.append((columns, rows))
            else:
                self._count_one(columns, rows)

    def _count_one(self, columns: Columns, rows: NDArray[np.int32] | slice) -> None:
        taken = columns.take(rows)
        self.rows -= len(taken)
        self._count(taken)
