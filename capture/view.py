"""The rows that the list shows: those that pass the protocol switches and the typed filter, by position."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT, Columns
from netwatch.capture.paths import PATHS
from netwatch.capture.store import Chunk, Store

if TYPE_CHECKING:
    from netwatch.capture.sieve import Run, Sieve

__all__ = ["Mask", "View"]

Mask = Callable[[Columns], NDArray[np.bool_]]
"""n rows -> shape (n,): which of them pass. As Filter.mask."""

PIECE_ROWS: Final = 16_384
"""Rows that a predicate is asked about at once: the longest that catch_up runs past its time."""
SLICE: Final = 0.008
"""Seconds that packets are dissected at once: nobody notices, whatever else is done before the next repaint."""
RUN_ROWS: Final = 4096
"""Rows of one run of a sieve, whose results come together: half a second."""


class _Found:
    """The rows of one chunk that pass, as far as they were looked at: low <= row < high."""

    __slots__ = ("chunk", "count", "high", "low", "rows")

    def __init__(self, chunk: Chunk, looked_at: int) -> None:
        self.chunk = chunk
        self.low = self.high = looked_at
        self.rows: NDArray[np.int32] = np.empty(0, np.int32)
        """shape (>= count,): rows that pass, counted from the chunk's first, ascending."""
        self.count = 0

    def extend(self, rows: NDArray[np.int32]) -> None:
        need = self.count + len(rows)
        if need > len(self.rows):
            grown = np.empty(max(need, 2 * len(self.rows), 256), np.int32)
            grown[: self.count] = self.rows[: self.count]
            self.rows = grown
        self.rows[self.count : need] = rows
        self.count = need

    def prepend(self, rows: NDArray[np.int32]) -> None:
        self.rows = np.concatenate([rows, self.rows[: self.count]])
        self.count = len(self.rows)


class View:
    """Positions 0 .. len(view) - 1 of the rows shown, oldest first.

    Without a predicate a position is counted over the chunks that are kept and costs nothing. With one, new rows are
    looked at when `update` is called, older ones newest first by `catch_up`, which may take several calls: until then
    `pending` rows are missing at the front. With a sieve `catch_up` looks at new rows too, before older ones: while
    they come faster than that, `pending` rows are missing at both ends.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.on_found: Callable[[Columns, NDArray[np.int32]], None] | None = None
        """Told of rows that pass the predicate, once each: columns and rows of them."""
        self._bits = 0
        self._mask: Mask | None = None
        self._sieve: Sieve | None = None
        self._runs: dict[bool, Run] = {}
        """Of new rows and of older ones the run that is under way."""
        self._found: list[_Found] = []
        self._evictions = store.evictions
        self._frozen: int | None = None
        self._counted: tuple[int, int] | None = None
        self._totals: NDArray[np.int64] = np.zeros(1, np.int64)
        self._changes = 0

    @property
    def filtered(self) -> bool:
        """A predicate is on."""
        return self._bits != 0 or self._mask is not None or self._sieve is not None

    @property
    def slow(self) -> bool:
        """Rows must be dissected: there is no predicate that could be asked, only what was found so far."""
        return self._sieve is not None

    @property
    def predicate(self) -> Mask | None:
        """What packets pass to be shown, None: all do; for any thread, and as it is now whatever is shown later.

        Not where the filter is slow."""
        assert self._sieve is None
        bits, mask = self._bits, self._mask
        if not bits:
            return mask

        def passes(rows: Columns) -> NDArray[np.bool_]:
            switched: NDArray[np.bool_] = (PATHS.switches & bits != 0).take(rows.path)
            return switched if mask is None else switched & mask(rows)

        return passes

    @property
    def pending(self) -> int:
        """Kept rows that were not looked at yet."""
        left = sum(found.low for found in self._found)
        if self._sieve is not None:
            left += sum(found.chunk.n - found.high for found in self._found)
        return left

    @property
    def total(self) -> int:
        """Rows that pass, those behind a freeze included."""
        return int(self._sums()[-1])

    @property
    def packets(self) -> int:
        """Packets among the rows shown; the other rows are events."""
        end = self.store.end if self._frozen is None else self._frozen
        if not self.filtered:
            return self.store.kept_before(end)
        events = 0
        for found in self._found:
            if found.chunk.events:
                rows = found.rows[: found.count]
                rows = rows[rows < end - found.chunk.base]
                events += int(np.count_nonzero(found.chunk.columns.marks[rows] & EVENT))
        return len(self) - events

    def __len__(self) -> int:
        return self.total if self._frozen is None else self._before(self._frozen)

    def show(self, bits: int = 0, mask: Mask | None = None, sieve: Sieve | None = None) -> None:
        """Show rows whose path has one of the switch `bits` (0: any) and that pass `mask`; call catch_up next.

        Events have no protocol: switches leave them in, so that a gap is seen; a typed filter decides for itself.
        `sieve`: in place of both, what only dissected packets can tell.
        """
        self._bits, self._mask, self._sieve = bits, mask, sieve
        self._runs.clear()
        self._found = [_Found(chunk, chunk.n) for chunk in self.store.chunks_kept] if self.filtered else []
        self._evictions = self.store.evictions
        self._changes += 1

    def tell_found(self) -> None:
        """Tell on_found of all that was found before somebody asked."""
        for found in self._found:
            if self.on_found is not None and found.count:
                self.on_found(found.chunk.columns, found.rows[: found.count].copy())

    def update(self) -> None:
        """Take in what the store appended and evicted."""
        self._changes += 1
        if not self.filtered:
            return
        kept = self.store.chunks_kept
        if self._evictions != self.store.evictions:
            self._evictions = self.store.evictions
            alive = {chunk.base for chunk in kept}
            self._found = [found for found in self._found if found.chunk.base in alive]
            self._runs = {new: run for new, run in self._runs.items() if run.chunk.base in alive}
        known = len(self._found)
        self._found += [_Found(chunk, 0) for chunk in kept[known:]]
        if self._sieve is not None:
            return
        for found in self._found[max(known - 1, 0) :]:
            while found.high < found.chunk.n:
                stop = min(found.chunk.n, found.high + PIECE_ROWS)
                found.extend(self._look(found.chunk, found.high, stop))
                found.high = stop

    def catch_up(self, seconds: float) -> bool:
        """Look at rows that are pending, newest first, for about this long; whether none is left."""
        deadline = perf_counter() + seconds
        if self._sieve is not None:
            return self._sift(self._sieve, min(deadline, perf_counter() + SLICE))
        for found in reversed(self._found):
            while found.low:
                if perf_counter() >= deadline:
                    return False
                start = max(found.low - PIECE_ROWS, 0)
                found.prepend(self._look(found.chunk, start, found.low))
                found.low = start
                self._changes += 1
        return True

    def freeze(self, end: int) -> None:
        """Leave out rows with index >= end, until thaw()."""
        self._frozen = end

    def thaw(self) -> None:
        """Show new rows again."""
        self._frozen = None

    def indices(self, start: int, stop: int) -> NDArray[np.int64]:
        """Indices of the rows at positions start <= position < stop, as far as there are any."""
        start, stop = max(start, 0), min(stop, len(self))
        sums = self._sums()
        parts = []
        at = int(np.searchsorted(sums, start, side="right")) - 1
        while start < stop:
            low, high = start - int(sums[at]), min(stop, int(sums[at + 1])) - int(sums[at])
            chunk = self.store.chunks_kept[at]
            if self.filtered:
                parts.append(self._found[at].rows[low:high].astype(np.int64) + chunk.base)
            else:
                parts.append(np.arange(chunk.base + low, chunk.base + high))
            start += high - low
            at += 1
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def position(self, index: int) -> int:
        """Position of the row with this index, or of the next one shown; len(self) if there is none."""
        return min(self._before(index), len(self))

    def __contains__(self, index: int) -> bool:
        """Whether the row with this index is shown."""
        at = self.position(index)
        shown = self.indices(at, at + 1)
        return len(shown) == 1 and int(shown[0]) == index

    def _before(self, index: int) -> int:
        """How many rows pass among those before `index`."""
        at = bisect_right(self.store.chunks_kept, index, key=_base) - 1
        if at < 0:
            return 0
        chunk = self.store.chunks_kept[at]
        local = min(index - chunk.base, chunk.n)
        if self.filtered:
            found = self._found[at]
            local = int(np.searchsorted(found.rows[: found.count], local))
        return int(self._sums()[at]) + local

    def _sums(self) -> NDArray[np.int64]:
        """shape (chunks + 1,): rows that pass in all chunks before each."""
        state = (self._changes, self.store.end)
        if self._counted != state:
            if self.filtered:
                counts = [found.count for found in self._found]
            else:
                counts = [chunk.n for chunk in self.store.chunks_kept]
            self._totals = np.cumsum([0, *counts])
            self._counted = state
        return self._totals

    def _sift(self, sieve: Sieve, deadline: float) -> bool:
        """catch_up with a sieve."""
        begin = (perf_counter() + deadline) / 2  # up to 4 ms: no run is begun that late in a slice
        while self._go_on(sieve, begin, deadline):
            if perf_counter() >= deadline:
                break
        return not self.pending

    def _go_on(self, sieve: Sieve, begin: float, deadline: float) -> bool:
        """Go on with a run until `deadline`, or begin one before `begin`; whether there was any. Results of new rows
        come as they are found, of older ones, which stand before them, when the run is through."""
        found = next((each for each in self._found if each.high < each.chunk.n), None)
        new = found is not None
        if found is None:
            found = next((each for each in reversed(self._found) if each.low), None)
            if found is None:
                return False
        run = self._runs.get(new)
        if run is None:
            if perf_counter() >= begin:
                return False
            if new:
                run = sieve.following(found.chunk, found.high, min(found.chunk.n, found.high + RUN_ROWS))
            else:
                run = sieve.run(found.chunk, max(found.low - RUN_ROWS, 0), found.low)
            self._runs[new] = run
        through = run.go_on(deadline)
        if new or through:
            rows = run.taken()
            if new:
                found.extend(rows)
                found.high = run.at
            else:
                found.prepend(rows)
                found.low = run.start
            self._changes += 1
            if self.on_found is not None and len(rows):
                self.on_found(found.chunk.columns, rows)
        if through:
            del self._runs[new]
        return True

    def _look(self, chunk: Chunk, start: int, stop: int) -> NDArray[np.int32]:
        """Rows of the chunk, start <= row < stop, that pass."""
        rows = chunk.rows(start, stop)
        passes: NDArray[np.bool_] | None = None
        if self._bits:
            passes = (PATHS.switches & self._bits != 0).take(rows.path)
            if chunk.events:
                passes |= rows.marks & EVENT != 0
        if self._mask is not None:
            typed = self._mask(rows)
            passes = typed if passes is None else passes & typed
        assert passes is not None
        local = np.flatnonzero(passes).astype(np.int32)
        local += np.int32(start)
        if self.on_found is not None and len(local):
            self.on_found(chunk.columns, local)
        return local


def _base(chunk: Chunk) -> int:
    return chunk.base
