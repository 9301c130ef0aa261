"""The packets that are kept: columns and raw bytes in chunks, under a byte budget.

A row's *index* is its position since the capture began, 0-based; it never changes, whatever is evicted. Its *number*
is what the person sees, 1-based, with events (rows that are no packets) left out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from mmap import mmap
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT, ROW_BYTES, UNTIMED, Columns
from netwatch.capture.span import Advance

__all__ = ["Chunk", "Reader", "Store"]

Reader = Callable[[int, int], bytes]
"""(position in the file, size) -> bytes of a packet; fewer if the file shrank. As Source.read_at."""

CHUNK_ROWS: Final = 65_536
CHUNK_BYTES: Final = 4 << 20
"""Raw bytes after which a chunk is closed; also the columns of a chunk take no more than about this."""
MAX_EVENTS: Final = 4096
"""Events from which on those of evicted rows are forgotten."""
SHARE: Final = 64
"""A chunk is at most this part of the budget, so that eviction takes little at a time …"""
ADOPTED_SHARE: Final = 12
"""… but for a batch that is kept as it came."""
MOST_ASIDE: Final = 4
"""What waits elsewhere takes at most this part of the budget: some packets are always kept."""


class Chunk:
    """Consecutive rows, kept and evicted together. Rows from `n` on are unused memory."""

    __slots__ = ("base", "columns", "events", "lead", "n", "raw", "raw_used", "span")

    def __init__(self, base: int, rows: int, raw: NDArray[np.uint8] | None) -> None:
        self.base = base
        """Index of the first row."""
        self.columns = Columns.empty(rows)
        self.n = 0
        self.events = 0
        """How many of the rows are events."""
        self.lead = 0
        """Nanoseconds from the last row before to the first row."""
        self.span = 0
        """Nanoseconds from the last row before to the last row."""
        self.raw = raw
        """Memory that columns.pos points into; None: positions in the file."""
        self.raw_used = 0

    @property
    def end(self) -> int:
        """Index after the last row."""
        return self.base + self.n

    @property
    def nbytes(self) -> int:
        """Memory that the chunk takes, used or not."""
        return len(self.columns) * ROW_BYTES + (0 if self.raw is None else self.raw.nbytes)

    def rows(self, start: int = 0, stop: int | None = None) -> Columns:
        """Views of the rows start <= row < stop, counted from the chunk's first."""
        return self.columns.take(slice(start, self.n if stop is None else stop))

    def trim(self) -> None:
        """Give unused memory back, where it is worth a copy."""
        if self.n < len(self.columns) * 7 // 8:
            self.columns = self.columns.copy(self.n)
        if self.raw is not None and self.raw_used < self.raw.nbytes * 7 // 8:
            self.raw = self.raw[: self.raw_used].copy()


class Store:
    """Rows by index, the newest always, the oldest until the budget is used up.

    Kept are the chunks of `chunks_kept`, in order: all from `first` to `end`, except for holes where chunks between
    pinned rows and the live tail were evicted. `index in store` says whether a row is kept.
    """

    def __init__(self, budget: int | None, reader: Reader | None = None) -> None:
        self.budget = budget
        """Bytes that columns and raw memory may take; None: nothing is evicted."""
        self.aside = 0
        """Bytes of the budget that packets take which are not here: they wait to be taken over, or for the disk."""
        self.reader = reader
        """Reads the bytes of rows that came without memory."""
        self.chunks_kept: list[Chunk] = []
        """Oldest first. Only the last one grows."""
        self.end = 0
        """Index of the next row to come: rows so far, evicted ones included."""
        self.used = 0
        """Bytes that the kept chunks take."""
        self.evicted = 0
        """Packets that are no longer kept."""
        self.evictions = 0
        """Chunks evicted so far: tells a view that there is something to forget."""
        share = CHUNK_BYTES if budget is None else max(min(budget // SHARE, CHUNK_BYTES), 64 << 10)
        self._chunk_bytes = share
        self._adopted_bytes = max(2 * share, 0 if budget is None else budget // ADOPTED_SHARE)
        self._chunk_rows = CHUNK_ROWS if budget is None else min(share // ROW_BYTES, CHUNK_ROWS)
        self._events = array("q")  # indices of event rows, of the latest MAX_EVENTS at least
        self._packets_before = array("q")  # packets before each of them
        self._events_gone = 0  # events before these
        self._advance = Advance()
        self._pinned: set[int] = set()  # bases of chunks
        self._closed = True

    @property
    def first(self) -> int:
        """Index of the oldest row that is kept; `end` if there is none."""
        return self.chunks_kept[0].base if self.chunks_kept else self.end

    @property
    def packets(self) -> int:
        """Packets so far, evicted ones included."""
        return self.end - len(self._events) - self._events_gone

    @property
    def span(self) -> int:
        """Nanoseconds of the capture's time that the kept rows cover, without what a hole behind a pin held."""
        total, end = 0, -1
        for chunk in self.chunks_kept:
            total += chunk.span if chunk.base == end else chunk.span - chunk.lead
            end = chunk.end
        return total

    @property
    def _room(self) -> int:
        """Bytes that may be kept now. What waits elsewhere leaves most of it."""
        return 0 if self.budget is None else self.budget - min(self.aside, self.budget // MOST_ASIDE)

    def __contains__(self, index: int) -> bool:
        at = self._chunk_at(index)
        return at >= 0 and index < self.chunks_kept[at].end

    def make_room(self, batch: Batch) -> None:
        """Evict what would have to leave for `batch`, so that both are not there at the same time.

        `append` does it too; who keeps hold of chunks calls this first, and lets go of those that are gone.
        """
        if self.budget is not None:
            self._evict(self._room - len(batch.rows) * ROW_BYTES - (0 if batch.raw is None else batch.raw.nbytes))

    def append(self, batch: Batch) -> None:
        """Take the rows over, and their bytes if they own them; evict what no longer fits."""
        rows, raw = batch.rows, batch.raw
        if not len(rows):
            return
        self._note_events(rows)
        self.make_room(batch)
        if raw is None:
            self._append_positions(rows)
        elif self._worth_adopting(rows, whole := _whole(raw)):
            self._adopt(rows, whole)
        else:
            self._append_copies(rows, raw)
        if self.budget is not None:
            self._evict(self._room)

    def rows(self, indices: NDArray[np.int64]) -> Columns:
        """The rows with these indices, shape (n,), in their order. Raises IndexError if one is not kept."""
        bases = np.array([chunk.base for chunk in self.chunks_kept], np.int64)
        at = np.searchsorted(bases, indices, side="right") - 1
        out = Columns.empty(len(indices))
        for number in np.unique(at):
            if number < 0:
                raise IndexError("row is no longer kept")
            chunk, chosen = self.chunks_kept[number], at == number
            local = indices[chosen] - chunk.base
            if local.max() >= chunk.n:
                raise IndexError("row is not kept")
            for mine, theirs in zip(out.arrays(), chunk.columns.arrays(), strict=True):
                mine[chosen] = theirs[local]
        return out

    def chunks(self, start: int = 0) -> Iterator[tuple[int, Columns]]:
        """Kept rows with index >= start: (index of the first, views of the rows), oldest first."""
        for chunk in self.chunks_kept:
            skip = max(start - chunk.base, 0)
            if skip < chunk.n:
                yield chunk.base + skip, chunk.rows(skip)

    def data(self, index: int) -> bytes:
        """The captured bytes of a row; fewer if its file shrank. Raises IndexError if it is not kept."""
        at = self._chunk_at(index)
        if at < 0 or index >= self.chunks_kept[at].end:
            raise IndexError(index)
        chunk = self.chunks_kept[at]
        local = index - chunk.base
        pos, size = int(chunk.columns.pos[local]), int(chunk.columns.caplen[local])
        if chunk.raw is not None:
            return chunk.raw[pos : pos + size].tobytes()
        return self.reader(pos, size) if self.reader is not None else b""

    def number(self, index: int) -> int | None:
        """The packet number of a row; None for an event."""
        before = bisect_left(self._events, index)
        if before < len(self._events) and self._events[before] == index:
            return None
        return index + 1 - before - self._events_gone

    def index(self, number: int) -> int:
        """The index of a packet, kept or not. Raises IndexError if there was no such packet yet.

        Of one that was evicted long ago it may be that of a row near it, also evicted.
        """
        if not 1 <= number <= self.packets:
            raise IndexError(number)
        return number - 1 + bisect_right(self._packets_before, number - 1) + self._events_gone

    def kept_before(self, end: int) -> int:
        """Packets that are kept among the rows with index < `end`."""
        count = 0
        for chunk in self.chunks_kept:
            if chunk.base >= end:
                break
            count += min(chunk.end, end) - chunk.base
            if chunk.events:
                count -= bisect_left(self._events, min(chunk.end, end)) - bisect_left(self._events, chunk.base)
        return count

    def pin(self, rows: NDArray[np.int64], end: int) -> None:
        """Keep the rows with these indices whatever comes, and what stands around them, in place of the pin before.

        Whole chunks are pinned as long as they take no more than half of the budget: first those of `rows`, then all
        that begin before `end`, of both the newest first.
        """
        self._pinned.clear()
        bases = [chunk.base for chunk in self.chunks_kept]
        around = range(bisect_left(bases, end) - 1, -1, -1)
        first = np.unique(np.searchsorted(np.array(bases, np.int64), rows, side="right") - 1)[::-1].tolist()
        room = self.used if self.budget is None else self.budget // 2
        for at in dict.fromkeys([*(at for at in first if at >= 0), *around]):
            room -= self.chunks_kept[at].nbytes
            if room < 0:
                break
            self._pinned.add(bases[at])

    def unpin(self) -> None:
        """Let eviction take any row again."""
        self._pinned.clear()

    def release(self) -> None:
        """Let go of all rows, at the end; none of them counts as evicted."""
        self.chunks_kept.clear()
        self.used = 0
        self._closed = True

    def _chunk_at(self, index: int) -> int:
        """Position in chunks_kept of the last chunk that begins at or before `index`, -1 if none does."""
        return bisect_right(self.chunks_kept, index, key=_base) - 1

    def _note_events(self, rows: Columns) -> None:
        for local in np.flatnonzero(rows.marks & EVENT).tolist():
            self._packets_before.append(self.end + local - len(self._events) - self._events_gone)
            self._events.append(self.end + local)
        # An interface that flaps for days: nobody asks for the number of a row that is gone.
        gone = bisect_left(self._events, self.first) if len(self._events) > MAX_EVENTS else 0
        if gone:
            del self._events[:gone], self._packets_before[:gone]
            self._events_gone += gone

    def _append_positions(self, rows: Columns) -> None:
        at = 0
        while at < len(rows):
            chunk = self._open_chunk(None)
            count = min(len(rows) - at, len(chunk.columns) - chunk.n)
            self._put(chunk, rows.take(slice(at, at + count)))
            at += count

    def _append_copies(self, rows: Columns, raw: NDArray[np.uint8]) -> None:
        """Copy the stretch of `raw` in which the rows' bytes lie, and move their positions along."""
        # Bytes of the rows from `at` up to, without, `to` lie from starts[at] to ends[to - 1], in whatever order.
        starts = np.minimum.accumulate(rows.pos[::-1])[::-1]
        ends = np.maximum.accumulate(rows.pos + rows.caplen)
        at = 0
        while at < len(rows):
            start = int(starts[at])
            need = int(ends[at]) - start
            chunk = self._open_chunk(need)
            assert chunk.raw is not None
            room = chunk.raw.nbytes - chunk.raw_used
            fit = int(np.searchsorted(ends, start + room, side="right")) - at
            count = min(fit, len(chunk.columns) - chunk.n)
            size = int(ends[at + count - 1]) - start
            chunk.raw[chunk.raw_used : chunk.raw_used + size] = raw[start : start + size]
            filled = chunk.n
            self._put(chunk, rows.take(slice(at, at + count)))
            chunk.columns.pos[filled : chunk.n] += chunk.raw_used - start
            chunk.raw_used += size
            at += count

    def _worth_adopting(self, rows: Columns, raw: NDArray[np.uint8]) -> bool:
        """A batch that fills half a chunk is kept as it is, if no larger memory hangs on it: at full speed the copy
        would cost a tenth of everything."""
        owner: Any = raw if raw.base is None else raw.base
        if isinstance(owner, memoryview):
            owner = owner.obj
        if isinstance(owner, np.ndarray):
            held = owner.nbytes if owner.flags.owndata else None
        else:
            held = len(owner) if isinstance(owner, bytes | bytearray | mmap) else None
        covered = int((rows.pos + rows.caplen).max()) - int(rows.pos.min())
        return (
            held == raw.nbytes
            and self._chunk_bytes // 2 <= raw.nbytes <= self._adopted_bytes
            and covered >= raw.nbytes * 3 // 4
            and len(rows) <= self._chunk_rows
        )

    def _adopt(self, rows: Columns, raw: NDArray[np.uint8]) -> None:
        self._close()
        chunk = Chunk(self.end, len(rows), raw)
        chunk.raw_used = raw.nbytes
        self._add(chunk)
        self._put(chunk, rows)
        self._closed = True

    def _put(self, chunk: Chunk, rows: Columns) -> None:
        chunk.columns.put(chunk.n, rows)
        untimed = rows.marks & UNTIMED
        timed = rows.ts[untimed == 0] if untimed.any() else rows.ts
        if len(timed):
            lead, span = self._advance.add(timed)
            if not chunk.n:
                chunk.lead = lead
            chunk.span += span
        chunk.events += int(np.count_nonzero(rows.marks & EVENT))
        chunk.n += len(rows)
        self.end += len(rows)

    def _open_chunk(self, need: int | None) -> Chunk:
        """The last chunk if it has room for a row of `need` bytes (None: a row without bytes), or a new one."""
        if not self._closed:
            chunk = self.chunks_kept[-1]
            room = None if chunk.raw is None else chunk.raw.nbytes - chunk.raw_used
            fits = room is None if need is None else room is not None and need <= room
            if fits and chunk.n < len(chunk.columns):
                return chunk
        self._close()
        raw = None if need is None else np.empty(max(need, self._chunk_bytes), np.uint8)
        chunk = Chunk(self.end, self._chunk_rows, raw)
        self._add(chunk)
        self._closed = False
        return chunk

    def _add(self, chunk: Chunk) -> None:
        self.chunks_kept.append(chunk)
        self.used += chunk.nbytes

    def _close(self) -> None:
        if not self._closed:
            chunk = self.chunks_kept[-1]
            self.used -= chunk.nbytes
            chunk.trim()
            self.used += chunk.nbytes
            self._closed = True

    def _evict(self, budget: int) -> None:
        at = 0
        while self.used > budget and at < len(self.chunks_kept) - 1:
            chunk = self.chunks_kept[at]
            if chunk.base in self._pinned:
                at += 1
                continue
            del self.chunks_kept[at]
            self.used -= chunk.nbytes
            self.evicted += chunk.n - chunk.events
            self.evictions += 1


def _whole(raw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The memory that `raw` is the beginning of: a ring's buffer that was not filled up."""
    owner = raw.base
    if isinstance(owner, np.ndarray) and owner.dtype == np.uint8 and owner.ndim == 1:
        return owner if owner.ctypes.data == raw.ctypes.data else raw
    return raw


def _base(chunk: Chunk) -> int:
    return chunk.base
