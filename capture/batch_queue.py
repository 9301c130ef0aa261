"""The queue between the capture thread and the UI thread, bounded by what waits in it."""

from __future__ import annotations

import queue
from collections import deque
from typing import Final

from netwatch.capture.block import Batch
from netwatch.capture.columns import ROW_BYTES
from netwatch.capture.stats import Partial

__all__ = ["QUEUED_BYTES", "BatchQueue"]

QUEUED_BYTES: Final = 20 << 20
"""Four times what a ring hands over at once, with its columns: at line rate that comes while the dashboard does not
look. What does not fit stays in the kernel's ring, which is larger."""


class BatchQueue(queue.Queue[Batch]):
    """Holds `limit` bytes of rows and raw memory at most, or one batch, however large.

    A number of batches would bound nothing: one of a lone packet has 200 bytes, one of a ring block 13 MB. Sizes are
    in bytes throughout, `qsize` too.
    """

    def __init__(self, limit: int = QUEUED_BYTES) -> None:
        super().__init__(limit)
        self._refused = False

    def put(self, item: Batch, block: bool = True, timeout: float | None = None) -> None:
        """Append; waits for room `timeout` seconds at most, for ever if None. Raises queue.Full."""
        size = _size(item)
        with self.not_full:
            self._refused = not self._has_room(size)
            if not self.not_full.wait_for(lambda: self._has_room(size), timeout if block else 0):
                raise queue.Full
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()

    def full(self) -> bool:
        """The latest batch had to wait, or still does, and has not been taken yet."""
        return self._refused and bool(self._waiting)

    def _has_room(self, size: int) -> bool:
        return not self._waiting or self._bytes + size <= self.maxsize

    # What queue.Queue asks of those who derive from it.

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - kept by queue.Queue
        self._waiting: deque[Batch] = deque()
        self._bytes = 0

    def _qsize(self) -> int:
        return self._bytes

    def _put(self, item: Batch) -> None:
        self._waiting.append(item)
        self._bytes += _size(item)

    def _get(self) -> Batch:
        item = self._waiting.popleft()
        self._bytes -= _size(item)
        return item


def _size(batch: Batch) -> int:
    """Bytes, at least 1: a batch without rows is there nevertheless."""
    size = 1 + len(batch.rows) * ROW_BYTES + (0 if batch.raw is None else batch.raw.nbytes)
    if isinstance(batch.partial, Partial):
        size += batch.partial.hosts.nbytes  # as many as there are packets, where senders draw their addresses
    return size
