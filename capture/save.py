"""Packets of the store as a new file: as they were kept when it began, in a thread, whatever comes meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block, Interface
from netwatch.capture.columns import EVENT, INCOMING, OUTGOING, Columns
from netwatch.capture.directory import Directory
from netwatch.capture.store import Reader, Store
from netwatch.capture.view import Mask
from netwatch.capture.writer import PcapngWriter

__all__ = ["HELD", "Save"]

HELD: Final = 8 << 20
"""Bytes of evicted packets that wait to be saved at most. A disk takes packets faster than they come: rarely any."""
_ROWS: Final = 4096
"""Packets written at once, and looked at: a few milliseconds in which the other threads wait."""
_BYTES: Final = 2 << 20
_GAP: Final = 16 << 10
"""Bytes between two packets of a file that are read along with them: less work than another call."""


@dataclass(slots=True)
class _Piece:
    """The rows of one chunk, as they were; chunks only grow behind them."""

    base: int
    columns: Columns
    raw: NDArray[np.uint8] | None
    nbytes: int
    """What it holds on to."""


@dataclass(slots=True)
class _Picked:
    """Which packets are wanted."""

    passes: Mask | None
    rows: NDArray[np.int64] | None
    """Indices, ascending; None: all."""

    def local(self, piece: _Piece) -> NDArray[np.int64]:
        """Rows of the piece, counted from its first."""
        if self.rows is not None:
            first, last = np.searchsorted(self.rows, [piece.base, piece.base + len(piece.columns)])
            rows = self.rows[first:last] - piece.base
        else:
            rows = np.arange(len(piece.columns))
        rows = rows[piece.columns.marks[rows] & EVENT == 0]
        if self.passes is not None:
            parts = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
            rows = np.concatenate([part[self.passes(piece.columns.take(part))] for part in parts] or [rows])
        return rows


@dataclass(slots=True)
class _Progress:
    unreadable: int = 0
    evicted: int = 0
    looked_at: int = 0
    fault: OSError | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


class Save:
    """Saves the packets with index < `end` that pass, or of `rows` those that are kept, to a new file of `name`.

    A file that is replaced stays as it was until the new one is whole: that grows beside it, under another name.
    All methods are for the thread that owns the store.
    """

    def __init__(
        self,
        directory: Directory,
        name: str,
        store: Store,
        interfaces: list[Interface],
        *,
        end: int,
        passes: Mask | None = None,
        rows: NDArray[np.int64] | None = None,
        replace: bool = False,
    ) -> None:
        """Opens the file; nothing is written before `start`. `rows`: indices, ascending; `replace`: there may be a
        file of that name. Raises OSError."""
        self.name = name
        self.path = os.path.normpath(os.path.join(directory.path, name))
        """For a person."""
        self.replaces = replace
        self._directory = directory
        self._written = f"{name}.{os.getpid()}.part" if replace else name
        self._store = store
        self._reader: Reader | None = store.reader
        self._picked = _Picked(passes, rows)
        self._state = _Progress()
        self._pieces = deque(_pieces(store, end))
        self._total = sum(len(piece.columns) for piece in self._pieces)
        if rows is not None:
            found = [np.searchsorted(rows, [piece.base, piece.base + len(piece.columns)]) for piece in self._pieces]
            self._state.evicted = len(rows) - sum(int(last - first) for first, last in found)
        self._evictions = store.evictions
        self._taking = threading.Lock()
        self._writer = self._open(interfaces)
        self._thread = threading.Thread(target=self._run, name="save", daemon=True)

    def start(self) -> None:
        """Begin, in the thread."""
        self._thread.start()

    @property
    def done(self) -> bool:
        """It ended: whole, cancelled or with a fault."""
        return not self._thread.is_alive()

    @property
    def packets(self) -> int:
        """Packets saved so far. None at the end: then there is no file."""
        return self._writer.tally.packets

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self._writer.bytes

    @property
    def share(self) -> float:
        """How far it is, 0 to 1."""
        return min(self._state.looked_at / max(self._total, 1), 1.0)

    @property
    def unreadable(self) -> int:
        """Packets whose file has shrunk."""
        return self._state.unreadable

    @property
    def evicted(self) -> int:
        """Packets that were wanted, and evicted before they could be saved."""
        return self._state.evicted

    @property
    def fault(self) -> OSError | None:
        """What the disk said. Then there is no file, as after `cancel`."""
        return self._state.fault

    @property
    def cancelled(self) -> bool:
        """`cancel` was called before the end."""
        return self._state.cancelled.is_set()

    def cancel(self, seconds: float = 0.0) -> None:
        """End it, and remove the file; wait for that up to `seconds`."""
        if not self.done:
            self._state.cancelled.set()
            self._thread.join(seconds)

    def release(self) -> None:
        """Call now and then: what was evicted meanwhile is held, but not without bound."""
        if self._evictions == self._store.evictions:
            return
        self._evictions = self._store.evictions
        kept = {chunk.base for chunk in self._store.chunks_kept}
        with self._taking:
            gone = [piece for piece in self._pieces if piece.base not in kept]
            over = sum(piece.nbytes for piece in gone) - HELD
            while over > 0:
                piece = gone.pop(0)
                self._pieces.remove(piece)
                self._state.evicted += len(self._picked.local(piece))
                over -= piece.nbytes

    def _run(self) -> None:
        try:
            while not self._state.cancelled.is_set():
                with self._taking:
                    piece = self._pieces.popleft() if self._pieces else None
                if piece is None:
                    break
                self._save(piece)
            self._writer.close()
            if self.replaces and self.packets and not self._state.cancelled.is_set():
                self._directory.rename(self._written, self.name)
        except OSError as error:
            self._state.fault = error
        except Exception as error:
            # Whatever it was: half a file must not stay and look whole.
            self._state.fault = OSError(f"{type(error).__name__}: {error}")
        if self._state.fault is not None or self._state.cancelled.is_set():
            with contextlib.suppress(OSError):
                self._writer.close()
        elif self.packets:
            return
        with contextlib.suppress(OSError):
            self._directory.unlink(self._written)

    def _open(self, interfaces: list[Interface]) -> PcapngWriter:
        fd = self._directory.open_new(self._written, over=self.name if self.replaces else "")
        try:
            return PcapngWriter(fd, interfaces)
        except OSError:
            self._directory.unlink(self._written)
            raise
        finally:
            os.close(fd)

    def _save(self, piece: _Piece) -> None:
        rows = self._picked.local(piece)
        before = self._state.looked_at
        weight = piece.columns.caplen[rows].astype(np.int64)
        if piece.raw is None:
            weight[1:] += _between(piece.columns.pos[rows], piece.columns.caplen[rows])
        for part in _parts(weight):
            if self._state.cancelled.is_set():
                return
            columns = piece.columns.take(rows[part])
            self._writer.write(
                _block(piece.raw, columns.pos, columns) if piece.raw is not None else self._read(columns)
            )
            self._state.looked_at = before + int(rows[part][-1])
        self._state.looked_at = before + len(piece.columns)

    def _read(self, columns: Columns) -> Block:
        """The packets from their file, as far as they can be read again."""
        reader = self._reader
        assert reader is not None  # rows without bytes have one
        found: list[bytes] = []
        offsets = np.zeros(len(columns), np.int64)
        whole = np.zeros(len(columns), np.bool_)
        length = 0
        ends = columns.pos + columns.caplen
        for part in _stretches(columns.pos, ends):
            start, stop = int(columns.pos[part.start]), int(ends[part.stop - 1])
            data = reader(start, stop - start)
            offsets[part] = columns.pos[part] - start + length
            whole[part] = ends[part] - start <= len(data)
            found.append(data)
            length += len(data)
        self._state.unreadable += int(np.count_nonzero(~whole))
        raw = np.frombuffer(b"".join(found), np.uint8)
        return _block(raw, offsets, columns).take(whole)


def _pieces(store: Store, end: int) -> Iterator[_Piece]:
    for chunk in store.chunks_kept:
        if chunk.base < end:
            yield _Piece(chunk.base, chunk.rows(0, min(chunk.n, end - chunk.base)), chunk.raw, chunk.nbytes)


def _parts(weight: NDArray[np.int64]) -> Iterator[slice]:
    """The rows in parts of at most _ROWS rows and, unless one row alone has more, _BYTES bytes that are read."""
    ends = np.cumsum(weight)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + _BYTES, side="right"))
        last = max(min(last, first + _ROWS), first + 1)
        yield slice(first, last)
        first = last


def _between(pos: NDArray[np.int64], caplen: NDArray[np.uint32]) -> NDArray[np.int64]:
    """shape (n - 1,): bytes between packets that are read along with them, 0 where they are not read in one go."""
    gaps = pos[1:] - (pos[:-1] + caplen[:-1])
    gaps[(gaps < 0) | (gaps > _GAP)] = 0
    return gaps


def _stretches(pos: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[slice]:
    """Rows that are read in one go."""
    gaps = pos[1:] - ends[:-1]
    edges = [0, *(np.flatnonzero((gaps < 0) | (gaps > _GAP)) + 1).tolist(), len(pos)]
    for first, last in pairwise(edges):
        yield slice(first, last)


def _block(raw: NDArray[np.uint8], offsets: NDArray[np.int64], columns: Columns) -> Block:
    return Block(
        raw=raw,
        offsets=offsets,
        caplen=columns.caplen,
        wirelen=columns.wirelen,
        ts=columns.ts,
        linktype=np.zeros(len(columns), np.uint16),  # the interface says it
        iface=columns.iface,
        marks=columns.marks & np.uint16(INCOMING | OUTGOING),
        pos=offsets,
        owned=True,
    )
