"""From a source to batches: as a generator for who has a thread of his own, and as the capture thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final, Protocol

import numpy as np

from netwatch.capture import stats
from netwatch.capture.block import Batch, Block, Source
from netwatch.capture.columns import EVENT, Columns
from netwatch.capture.errors import EXIT_DAMAGED, EXIT_FAULT, CaptureError

__all__ = ["BlockDecoder", "BlockWriter", "Engine", "batches", "blocks"]

_WAIT: Final = 1.0
"""Seconds of one wait for packets; `Source.wake` ends it earlier."""
_FULL_WAIT: Final = 0.05
"""Seconds of one wait for room in the queue, between two looks at whether to stop."""
_PATIENCE: Final = 5.0
"""Seconds without a batch after which `stop` waits no longer: a file that hangs must not keep the person."""


class _Decoded(Protocol):
    @property
    def rows(self) -> Columns: ...


class BlockDecoder(Protocol):
    """decode.Decoder, as far as it is needed here."""

    def decode(self, block: Block) -> _Decoded:
        """Row i is record i of the block."""
        ...


class BlockWriter(Protocol):
    """recorder.Recorder or spooler.Spooler, as far as it is needed here."""

    def write(self, block: Block) -> None:
        """All records of the block. What fails is the writer's own concern."""
        ...


def blocks(source: Source, stopping: threading.Event, count: int | None = None) -> Iterator[Block]:
    """What `source` yields until it is exhausted, `count` packets are there, or `stopping` is set.

    Who sets `stopping` calls `source.wake` after it. A live source is then detached and what its ring holds still
    comes, so that the kernel's statistics add up. What is beyond `count` in the last block is cut off.
    """
    left = count
    for block in _until_stopped(source, stopping):
        if left is not None:
            block, packets = _first(block, left)
            left -= packets
        yield block
        del block  # here and below: what was handed on is not kept alive while the next one is made
        if left == 0:
            return


def _until_stopped(source: Source, stopping: threading.Event) -> Iterator[Block]:
    while not (source.exhausted or stopping.is_set()):
        block = source.next_block(_WAIT)
        if block is not None:
            yield block
            del block
    finish = getattr(source, "finish", None)
    if finish is not None:
        yield from finish()


def _first(block: Block, count: int) -> tuple[Block, int]:
    """`block` up to its `count`-th packet, and how many packets that are; event rows are none."""
    packets = np.cumsum(block.marks & EVENT == 0)
    if not len(block) or packets[-1] < count:
        return block, int(packets[-1]) if len(block) else 0
    end = int(np.searchsorted(packets, count)) + 1
    names = ("offsets", "caplen", "wirelen", "ts", "linktype", "iface", "marks", "pos")
    return replace(block, **{name: getattr(block, name)[:end] for name in names}), count


def batches(
    source: Source,
    decoder: BlockDecoder,
    stopping: threading.Event,
    *,
    writer: BlockWriter | None = None,
    count: int | None = None,
) -> Iterator[Batch]:
    """`blocks`, written if there is a writer, decoded and counted."""
    for block in blocks(source, stopping, count):
        if writer is not None:
            writer.write(block)
        rows = decoder.decode(block).rows
        yield Batch(rows, block.raw if block.owned else None, stats.partial(rows))
        del block, rows


class Engine:
    """The capture thread: a source's batches on a bounded queue.

    A full queue makes it wait: packets of a live capture then stay in the kernel's ring, which counts what it has to
    drop. The source and the writer belong to the caller, who closes them after `stop`.
    """

    def __init__(
        self,
        source: Source,
        decoder: BlockDecoder,
        batch_queue: queue.Queue[Batch],
        *,
        writer: BlockWriter | None = None,
        count: int | None = None,
    ) -> None:
        self.failed: str | None = None
        """One line: why the capture ended, if it did not end by itself."""
        self.fault: Exception | None = None
        """A mistake of ours behind `failed`."""
        self.code = 0
        """Exit code that belongs to `failed`."""
        self.started = threading.Event()
        """Set once packets can arrive, or `failed` says why they cannot."""
        self._stopping = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._source = source
        self._batches = batches(source, decoder, self._stopping, writer=writer, count=count)
        self._queue = batch_queue
        self._abandoned = threading.Event()
        """Nobody takes batches any more."""
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        """Bind a live source and capture, in the thread."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Nothing more will be put on the queue."""
        return self.started.is_set() and not self._thread.is_alive()

    @property
    def held(self) -> bool:
        """`hold` was called, and not `go_on` since."""
        return not self._going.is_set()

    def hold(self) -> None:
        """Put nothing more on the queue until `go_on`. For files, which wait; a live ring would run full."""
        self._going.clear()

    def go_on(self) -> None:
        """The end of `hold`: with the very next packet, none is missing."""
        self._going.set()

    def stop(self) -> Iterator[Batch]:
        """End the capture -> what had not been taken from the queue yet, in order, as it comes.

        With a live source that includes what the ring still held: what the kernel counted adds up once all of it
        was taken.
        """
        self._stopping.set()
        self._source.wake()
        return self._rest()

    def _rest(self) -> Iterator[Batch]:
        deadline = time.monotonic() + _PATIENCE
        while self._thread.is_alive() or not self._queue.empty():
            try:
                batch = self._queue.get(timeout=_FULL_WAIT)
            except queue.Empty:
                if time.monotonic() < deadline:
                    continue
                self._abandoned.set()
                self.failed, self.code = "the capture did not end in time; its last packets are missing", EXIT_FAULT
                return
            yield batch
            deadline = time.monotonic() + _PATIENCE

    def _run(self) -> None:
        try:
            start = getattr(self._source, "start", None)
            if start is not None:
                start()
            self.started.set()
            for batch in self._batches:
                self._put(batch)
                del batch
        except CaptureError as error:
            self.failed, self.code = str(error), error.code
        except Exception as error:
            # Whatever it was: a thread that dies unseen looks like a network that fell silent.
            words = " ".join(f"capture ended: {type(error).__name__}: {error}".split())
            self.failed, self.code = words, EXIT_DAMAGED
            self.fault = None if isinstance(error, OSError) else error
        finally:
            self.started.set()

    def _put(self, batch: Batch) -> None:
        while not self._abandoned.is_set():
            if not (self._stopping.is_set() or self._going.wait(_FULL_WAIT)):
                continue
            try:
                self._queue.put(batch, timeout=_FULL_WAIT)
            except queue.Full:
                continue
            return
