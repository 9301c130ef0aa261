"""What a filter lets through that asks for more than columns: rows are dissected, some at a time.

A packet takes a tenth of a millisecond, a million of them minutes. So the work is done in runs over some thousand
rows, each with the state of the packets shortly before it, and a run can be left at any row to be gone on with later.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from netwatch.capture.columns import EVENT
from netwatch.capture.dissect import Context, items_named, summarise
from netwatch.capture.explain import ends_of, flows_of
from netwatch.capture.paths import PATHS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netwatch.capture.block import Source
    from netwatch.capture.columns import Columns
    from netwatch.capture.filter import Filter
    from netwatch.capture.store import Chunk, Store

__all__ = ["Run", "Sieve"]

BEFORE: Final = 1000
"""Rows before a run that are gone through first, a quarter of it: where messages began that end in it."""

_ENDS: Final = 0x07
"""FIN, SYN, RST: what they carry counts though there is no payload."""
_ETHERNET: Final = 14


class Sieve:
    """A filter that needs trees, over the rows of one store."""

    def __init__(self, store: Store, source: Source, wanted: Filter, bits: int = 0) -> None:
        """`bits`: protocol switches, as View.show."""
        self.store = store
        self.source = source
        self.wanted = wanted
        self._bits = bits
        self._latest: tuple[Context, int] | None = None
        """Of the latest run of new rows: its state, and where it ends."""

    def run(self, chunk: Chunk, start: int, stop: int) -> Run:
        """Rows of the chunk, start <= row < stop: looked at apart from all others."""
        return Run(self, chunk, start, stop, None)

    def following(self, chunk: Chunk, start: int, stop: int) -> Run:
        """The same for rows that come in their order: what the run before knew is known to this one."""
        known = None
        if self._latest is not None and self._latest[1] == chunk.base + start:
            known = self._latest[0]
        run = Run(self, chunk, start, stop, known)
        self._latest = run.context, run.end
        return run

    def masks(self, rows: Columns) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """shape (n,) each: the rows that pass whatever is in them, and those of which only their trees can tell."""
        certain, possible = self.wanted.certain(rows), self.wanted.possible(rows)
        if self._bits:
            switched: NDArray[np.bool_] = (PATHS.switches & self._bits != 0).take(rows.path)
            certain &= switched
            possible &= switched
        return certain, possible & ~certain


class Run:
    """One run over consecutive rows of a chunk, as far as it is."""

    def __init__(self, sieve: Sieve, chunk: Chunk, start: int, stop: int, known: Context | None) -> None:
        self.chunk = chunk
        self.start = start
        self.stop = stop
        self.at = start
        """The row that is next."""
        self.end = chunk.base + stop
        """Index of the row after the last."""
        self._sieve = sieve
        self._store = sieve.store
        rows = chunk.rows(start, stop)
        certain, open_ = sieve.masks(rows)
        self._passes = certain
        self._open = open_
        self._judge = sieve.wanted.judge(rows)
        self._names = sieve.wanted.names
        self._columns = rows
        self._taken = start
        first = chunk.base + start
        begin = self._first_before(first) if known is None and open_.any() else first
        self.context = known or Context(whole=begin == 0, counted=False)
        self._begin = begin
        """Index of the first row that may have to be gone through."""
        self._about: list[tuple[int, int, int]] = []
        """Interface, length and time of each row from there on."""
        self._todo: list[int] = []
        """Indices of the rows to go through, ascending: those in question, and what their conversations said."""
        if open_.any():
            all_rows = self._store.rows(np.arange(begin, self.end))
            asked = np.concatenate([np.zeros(first - begin, np.bool_), open_])
            self._todo = (np.flatnonzero(_with_conversations(all_rows, asked)) + begin).tolist()
            columns = (all_rows.iface.tolist(), all_rows.wirelen.tolist(), all_rows.ts.tolist())
            self._about = list(zip(*columns, strict=True))
        self._next = 0

    def go_on(self, deadline: float) -> bool:
        """Go on until `deadline`, or a packet longer; whether it is through."""
        todo, first = self._todo, self.chunk.base + self.start
        while self._next < len(todo):
            index = todo[self._next]
            self._next += 1
            row = index - first
            if row >= 0 and self._open[row]:
                self._passes[row] = self._decided(index, row)
            else:
                self._pass_by(index)
            self.at = max(index + 1 - self.chunk.base, self.start)
            if perf_counter() >= deadline:
                break
        if self._next < len(todo):
            return False
        self.at = self.stop
        return True

    def taken(self) -> NDArray[np.int32]:
        """Rows of the chunk that pass, of those that were looked at since the last call."""
        part = self._passes[self._taken - self.start : self.at - self.start]
        found = np.flatnonzero(part).astype(np.int32)
        found += np.int32(self._taken)
        self._taken = self.at
        return found

    def _decided(self, index: int, row: int) -> bool:
        data = self._store.data(index)
        if not self._sieve.wanted.of_headers and self._bare(row, data):
            return self._judge.holds(row, {})
        iface, wirelen, ts = self._about[index - self._begin]
        found = items_named(
            self._names,
            data,
            self._sieve.source.interfaces[iface].linktype,
            wirelen,
            context=self.context,
            number=self._store.number(index) or 0,
            ts=ts,
        )
        return self._judge.holds(row, found)

    def _pass_by(self, index: int) -> None:
        """A packet that is not in question, for what it tells of those that are."""
        iface, wirelen, ts = self._about[index - self._begin]
        summarise(
            self._store.data(index),
            self._sieve.source.interfaces[iface].linktype,
            wirelen,
            context=self.context,
            number=self._store.number(index) or 0,
            ts=ts,
        )

    def _bare(self, row: int, data: bytes) -> bool:
        """A TCP header that acknowledges and says nothing else: a third of the packets of a download."""
        path = PATHS.names[self._columns.path[row]]
        if path not in ("eth:ip:tcp", "eth:ipv6:tcp") or self._columns.tcp_flags[row] & _ENDS:
            return False
        if len(data) < _ETHERNET + 40:
            return False
        if path == "eth:ip:tcp":
            header = (data[_ETHERNET] & 0x0F) * 4
            size = int.from_bytes(data[_ETHERNET + 2 : _ETHERNET + 4], "big") - header
        else:
            header = 40
            size = int.from_bytes(data[_ETHERNET + 4 : _ETHERNET + 6], "big")
            if data[_ETHERNET + 6] != 6:
                return False  # extension headers
        tcp = _ETHERNET + header
        return len(data) > tcp + 12 and size == (data[tcp + 12] >> 4) * 4

    def _first_before(self, first: int) -> int:
        """Index of the first of the rows that stand right before the run, as far as they are kept."""
        begin = first
        for chunk in reversed(self._store.chunks_kept):
            if chunk.base >= first:
                continue
            if min(chunk.end, first) != begin:
                break  # what stood between was evicted
            begin = max(chunk.base, first - BEFORE)
            if begin > chunk.base:
                break
        return begin


def _with_conversations(rows: Columns, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """shape (n,): the rows that are asked for, and what talks in their conversations."""
    flows, ends = flows_of(rows), ends_of(rows)
    talks: NDArray[np.bool_] = np.isin(flows, flows[asked]) & (flows != 0)
    talks |= np.isin(ends, ends[asked]) & (flows == ends)  # fragments
    talks &= (rows.marks & EVENT) == 0
    talks |= asked
    return talks
