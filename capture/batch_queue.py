"""The queue between the capture thread and the UI thread, bounded by what waits in it."""

from __future__ import annotations

import queue
from collections import deque
from typing import Final

from netwatch.capture.block import Batch
from netwatch.capture.columns import ROW_BYTES
from netwatch.capture.stats import Partial

__all__ = ["QUEUED_BYTES", "BatchQueue"]

QUEUED_BYTES: Final = 16 << 20
"""A tenth of a second of 200 Mbyte/s. What does not fit stays in the kernel's ring, which has far more room."""


class BatchQueue(queue.Queue[Batch]):
    """Full from `limit` bytes of rows and raw memory on, however few batches that are; it always takes one.

    A number of batches would bound nothing: one of a lone packet has 200 bytes, one of a ring block 12 MB.
    """

    def __init__(self, limit: int = QUEUED_BYTES) -> None:
        super().__init__(limit)

    # What queue.Queue asks of those who derive from it. Its size is in bytes, and so is `qsize`.

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - a list has no size to prepare
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
