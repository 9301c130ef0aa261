"""Which packets may say a name, and a look at them in the time that others leave.

All that comes is learned from, whether names are shown or not: once they are asked for, most of the packets that said
them are gone. Rows are picked by their protocol path, a column, a piece at a time; only those are read.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from netwatch.capture.columns import EVENT
from netwatch.capture.name_sources import MOST_BYTES, Kind, Reader, recipe_of
from netwatch.capture.names import Names
from netwatch.capture.paths import MAX_PATHS, PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from netwatch.capture.block import Source
    from netwatch.capture.columns import Columns
    from netwatch.capture.store import Chunk, Store

__all__ = ["Learner"]

PIECE_ROWS: Final = 4096
"""Rows that are picked from at once, a tenth of a millisecond."""
BETWEEN_LOOKS: Final = 4
"""Packets that are read between two looks at the clock: those of a file may have to come from the disk."""
BEHIND: Final = 1 << 14
"""Where packets come by themselves and so many wait, one in two is looked at; of twice as many, one in three."""
TOO_FAR: Final = 1 << 20
"""Packets that wait of which the older ones are passed over."""

PLAIN: Final = 2
TCP: Final = 6
UDP: Final = 17

_SMALLEST: Final = {Kind.TLS: 98, Kind.HTTP: 60, Kind.QUIC: 1200}
"""Bytes of a packet below which there is no room for a name: acknowledgements, the ends of records. QUIC fills up the
first packets of a client (RFC 9000, 14.1)."""


class Learner:
    """Gives `names` what the rows of a store say, in the order in which they came."""

    def __init__(self, store: Store, source: Source, *, live: bool, hosts: dict[str, str] | None = None) -> None:
        """`live`: packets come by themselves, faster perhaps than there is time for all of them. `hosts`: what
        /etc/hosts says."""
        self.names = Names()
        if hosts:
            self.names.add_hosts(hosts)
        self.looked = 0
        """Packets that were looked at …"""
        self.passed_over = 0
        """… and those that may say a name, too, for which there was no time."""
        self._store = store
        self._source = source
        self._live = live
        self._reader = Reader(self.names)
        self._next = 0
        """Index of the first row that was not picked from."""
        self._piece: Iterator[None] | None = None
        self._base = 0
        """Index of the first row of the chunk that the piece is of."""
        self._waiting = 0
        """Packets of the piece that are still to be read."""
        self._kinds = np.zeros(MAX_PATHS, np.uint8)
        self._smallest = np.zeros(MAX_PATHS, np.uint32)
        self._starts = np.zeros(MAX_PATHS, np.uint16)
        self._plain = np.zeros(MAX_PATHS, np.bool_)
        """Paths of which nothing but an IP and a transport header stand between `starts` and the payload."""
        self._over_tcp = np.zeros(MAX_PATHS, np.bool_)
        self._paths = 0

    @property
    def left(self) -> int:
        """Rows that are still to be picked from."""
        return self._store.end - self._next + (self._piece is not None)

    @property
    def share(self) -> float:
        """Part of the packets that may say a name that was looked at, 0 to 1."""
        both = self.looked + self.passed_over
        return self.looked / both if both else 1.0

    def work(self, seconds: float) -> bool:
        """Go on for about this long; whether something is left."""
        deadline = perf_counter() + seconds
        self.let_go()
        while perf_counter() < deadline:
            if self._piece is None and not self._pick():
                return False
            if self._piece is not None and next(self._piece, self) is self:
                self._piece = None
        return self.left > 0

    def let_go(self) -> None:
        """Read no more of what the store no longer keeps: else its memory would come on top of the budget."""
        if self._piece is not None and self._base not in self._store:
            self._piece = None
            self.passed_over += self._waiting

    def _pick(self) -> bool:
        """Begin with the next rows; False if there are none."""
        store = self._store
        chunk = self._chunk()
        if chunk is None:
            return False
        behind = store.end - self._next
        start = self._next - chunk.base
        stop = min(start + PIECE_ROWS, chunk.n)
        self._next = chunk.base + stop
        rows = chunk.rows(start, stop)
        chosen = self._chosen(rows)
        if chunk.raw is not None and len(chosen):
            chosen = chosen[self._promising(chunk.raw, rows.pos[chosen], rows.path[chosen])]
        if self._live and behind > BEHIND:
            kept = chosen[:: 1 + behind // BEHIND]
            self.passed_over += len(chosen) - len(kept)
            chosen = kept
        if len(chosen):
            self._base, self._waiting = chunk.base, len(chosen)
            self._piece = self._read(chunk, rows, chosen)
        return True

    def _chunk(self) -> Chunk | None:
        """That of the next row that is kept and not too far behind."""
        store = self._store
        if self._live:
            self._next = max(self._next, store.end - TOO_FAR)
        for chunk in reversed(store.chunks_kept):
            if chunk.base <= self._next:
                if self._next < chunk.end:
                    return chunk
                break
            found = chunk
        else:
            if not store.chunks_kept:
                return None
        if self._next >= store.end:
            return None
        # Evicted before it was their turn.
        self._next = found.base
        return found

    def _chosen(self, rows: Columns) -> NDArray[np.intp]:
        """Rows that may say a name."""
        for path in range(self._paths, len(PATHS)):
            recipe = recipe_of(path)
            self._kinds[path] = recipe.kind
            self._smallest[path] = _SMALLEST.get(recipe.kind, 0)
            self._starts[path] = recipe.start
            self._plain[path] = len(recipe.layers) == PLAIN
            self._over_tcp[path] = recipe.tcp
        self._paths = len(PATHS)
        wanted = self._kinds.take(rows.path) != 0
        chosen = wanted.nonzero()[0]
        some = rows.caplen[chosen] >= self._smallest.take(rows.path[chosen])
        found: NDArray[np.intp] = chosen[some & (rows.marks[chosen] & EVENT == 0)]
        return found

    def _promising(
        self, raw: NDArray[np.uint8], pos: NDArray[np.int64], path: NDArray[np.uint16]
    ) -> NDArray[np.bool_]:
        """Where the first bytes of the payload do not say already that there is no name: most of what rides on TLS
        and HTTP, and questions. What is not clear at a glance is for the reader."""

        def byte(at: NDArray[np.int64]) -> NDArray[np.uint8]:
            return raw.take(at, mode="clip")

        kind, tcp = self._kinds[path], self._over_tcp[path]
        at = pos + self._starts[path]
        first = byte(at)
        six = first >> 4 == 6
        clear = self._plain[path] & (~six | (byte(at + 6) == np.where(tcp, TCP, UDP)))
        at += np.where(six, 40, (first & 0x0F) << 2)
        at += np.where(tcp, byte(at + 12) >> 4 << 2, 8)
        first = byte(at)
        hello = (first == 22) & (byte(at + 5) == 1)
        request = (first >= ord("A")) & (first <= ord("Z")) & ((first != ord("H")) | (byte(at + 1) == ord("E")))
        answer = byte(at + 2) >= 0x80
        opens = (first >= 0xC0) | (kind != Kind.QUIC)
        asks = ~answer & (kind <= Kind.LLMNR) & ~tcp
        unpromising = ((kind == Kind.TLS) & ~hello) | ((kind == Kind.HTTP) & ~request) | asks | ~opens
        promising: NDArray[np.bool_] = ~(clear & unpromising)
        return promising

    def _read(self, chunk: Chunk, rows: Columns, chosen: NDArray[np.intp]) -> Iterator[None]:
        """Read the chosen rows, a few between two looks at the clock."""
        interfaces, reader, store = self._source.interfaces, self._reader, self._store
        memory = None if chunk.raw is None else chunk.raw.data
        read_at = store.reader
        columns = (rows.pos, np.minimum(rows.caplen, MOST_BYTES), rows.path, rows.iface, rows.ts)
        picked = [column[chosen].tolist() for column in columns]
        for done, (pos, size, path, iface, ts) in enumerate(zip(*picked, strict=True), 1):
            if memory is not None:
                data = bytes(memory[pos : pos + size])
            else:
                data = read_at(pos, size) if read_at is not None else b""
            reader.read(data, recipe_of(path), interfaces[iface].linktype, ts)
            self.looked += 1
            self._waiting -= 1
            if not done % BETWEEN_LOOKS:
                yield
