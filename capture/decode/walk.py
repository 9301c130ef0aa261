"""The walk from the link layer inwards: a work list of fronts and the table of layers that move them on.

A front is a set of packets that have arrived at the same layer. A layer reads its header from all of them at once,
sets columns, and hands the packets over to the layers that its header names. What can come next is looked up in
tables (by EtherType, IP protocol, port ...), which layers enter themselves into; there is no central switch.

Ranks decide the order of work: the outermost layers first, so that packets which take different ways to the same
layer (with and without a VLAN tag, inside and outside a tunnel) meet there and are handled in one go. Handing over to
a lower or equal rank (a tunnel, a further tag) is a step back; MAX_BACK of them end the walk of a packet as a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED, Columns
from netwatch.capture.layouts import gather
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import ID, PROTOCOLS

if TYPE_CHECKING:
    from netwatch.capture.decode.fragments import Pieces

__all__ = [
    "DATA",
    "FIRST_BYTES",
    "INNER",
    "LAYERS",
    "MAX_BACK",
    "PARTIAL",
    "Front",
    "Headers",
    "Layer",
    "Table",
    "Walk",
    "among",
    "layer",
    "leaf",
    "number_of",
]

Rows = NDArray[np.intp]

MAX_BACK: Final = 48
"""Steps back (tags, labels, extension headers, tunnels) that a packet may take."""

FIRST_BYTES: Final = np.dtype("V16")
"""What is looked at of a layer to tell a protocol by what it begins with."""

SORTED_FROM: Final = 5
"""From so many layers on a front is sorted by them; fewer are picked one by one."""

# Bits of Front.mode
INNER: Final = 1 << 0
"""A network header was read already: this one is inside a tunnel."""
PARTIAL: Final = 1 << 1
"""A part by nature, quoted by an ICMP error or a fragment alone: that it ends early is not malformed."""


@dataclass(slots=True)
class Front:
    """m packets at the start of one layer. All arrays have shape (m,)."""

    row: Rows
    """Record of the block; each at most once."""
    at: Rows
    """Where the layer starts, an index into Walk.raw."""
    end: Rows
    """Where its captured bytes end."""
    limit: Rows
    """Where its bytes end as the headers around it say; beyond `end` only in a packet that was cut."""
    path: NDArray[np.uint16]
    """Path id of the layers around it."""
    mode: NDArray[np.uint8]
    """INNER, PARTIAL."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: NDArray[Any]) -> Front:
        """The packets that a mask or positions select."""
        if index.dtype == np.bool_:
            index = index.nonzero()[0]
        return Front(
            self.row.take(index),
            self.at.take(index),
            self.end.take(index),
            self.limit.take(index),
            self.path.take(index),
            self.mode.take(index),
        )

    def stretch(self, start: int, end: int) -> Front:
        """Neighbours, without a copy."""
        part = slice(start, end)
        return Front(
            self.row[part], self.at[part], self.end[part], self.limit[part], self.path[part], self.mode[part]
        )

    def moved(self, size: Rows | int) -> Front:
        """The same packets `size` bytes further on."""
        return Front(self.row, self.at + size, self.end, self.limit, self.path, self.mode)

    def within(self, limit: Rows) -> Front:
        """The same packets ending where a header says (never later than before)."""
        limit = np.minimum(self.limit, limit)
        return Front(self.row, self.at, np.minimum(self.end, limit), limit, self.path, self.mode)

    @staticmethod
    def join(parts: list[Front]) -> Front:
        """All of them; at least one."""
        if len(parts) == 1:
            return parts[0]
        return Front(
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.end for part in parts]),
            np.concatenate([part.limit for part in parts]),
            np.concatenate([part.path for part in parts]),
            np.concatenate([part.mode for part in parts]),
        )


class Layer(NamedTuple):
    """One step of the walk."""

    name: str
    rank: int
    handle: Callable[[Walk, Front], None]


LAYERS: Final[list[Layer]] = []
"""By number. Number 0 is `data`: nothing recognised, the packet ends with the path it has."""
_NUMBERS: Final[dict[str, int]] = {}


def number_of(name: str) -> int:
    """Number of a layer that was entered. Raises KeyError."""
    return _NUMBERS[name]


def _enter(made: Layer) -> int:
    number = len(LAYERS)
    LAYERS.append(made)
    _NUMBERS[made.name] = number
    return number


class Table:
    """Codes (EtherTypes, ports ...) → numbers of layers, as an array that is indexed by the code."""

    def __init__(self, size: int) -> None:
        self.layers: NDArray[np.uint8] = np.zeros(size, np.uint8)

    def enter(self, codes: Iterable[int], number: int) -> None:
        """What carries one of these codes goes to the layer with this number."""
        self.layers[list(codes)] = number


Claims = tuple[Table, Iterable[int]]


def layer(
    name: str, rank: int, *claims: Claims
) -> Callable[[Callable[[Walk, Front], None]], Callable[[Walk, Front], None]]:
    """Enter a function as the layer `name`; `claims` are the tables and codes that lead to it."""

    def register(handle: Callable[[Walk, Front], None]) -> Callable[[Walk, Front], None]:
        number = _enter(Layer(name, rank, handle))
        for table, codes in claims:
            table.enter(codes, number)
        return handle

    return register


LEAF_RANK: Final = 100


def leaf(name: str, *claims: Claims, protocol: str | None = None) -> int:
    """Enter a protocol that is only told by its name: it ends the path. Returns its number."""
    kind = ID[protocol or name]

    def handle(walk: Walk, front: Front) -> None:
        walk.end(front, kind)

    layer(name, LEAF_RANK, *claims)(handle)
    return number_of(name)


class Headers:
    """The first header of each kind in every packet of a block, from the outermost layer inwards."""

    def __init__(self, raw: NDArray[np.uint8], n: int) -> None:
        self.raw = raw
        """What the offsets point into: the block's memory, followed by the datagrams that were put together."""
        self._n = n
        self._base = 0
        self._at: dict[str, Rows] = {}
        self._end: dict[str, Rows] = {}

    def at(self, name: str) -> Rows:
        """shape (n,): offset of the first header `name`, −1 where there is none."""
        if name not in self._at:
            self._at[name] = np.full(self._n, -1, np.intp)
            self._end[name] = np.full(self._n, -1, np.intp)
        return self._at[name]

    def end(self, name: str) -> Rows:
        """shape (n,): where the captured bytes of that header's layer end, −1 where there is none."""
        self.at(name)
        return self._end[name]

    def extend(self, raw: NDArray[np.uint8]) -> None:
        """From here on offsets count from the start of `raw`, which is put behind what is there."""
        self._base = len(self.raw)
        self.raw = np.concatenate((self.raw, raw))

    def note(self, name: str, row: Rows, at: Rows, end: Rows) -> None:
        """Keep these headers where they are the first of their kind."""
        known = self.at(name)
        first = (known[row] < 0).nonzero()[0]
        known[row[first]] = at[first] + self._base
        self._end[name][row[first]] = end[first] + self._base


class Walk:
    """One block on its way: the memory, the rows that are filled in, and the fronts that wait."""

    def __init__(self, raw: NDArray[np.uint8], rows: Columns, headers: Headers | None) -> None:
        self.raw = raw
        self.rows = rows
        self.headers = headers
        self.pieces: list[Pieces] = []
        """What fragments.collect gathered: datagrams are put together when the walk has come to its end."""
        self.network: Rows = np.full(len(rows), -1, np.intp)
        """shape (n,): where the last IPv6 header starts, for the fragments in it; −1: none in this memory."""
        self.ethernets: list[tuple[Rows, Rows]] = []
        """Rows and offsets of the Ethernet headers that were met, the outermost of a row first."""
        self.first = np.empty(len(rows), FIRST_BYTES)
        """shape (n,): bytes that were read on the way, before their place in memory was forgotten by the cache …"""
        self.first_at: Rows = np.full(len(rows), -1, np.intp)
        """… and where in this memory they are; −1: none were."""
        self._back = np.zeros(len(rows), np.uint8)
        self._waiting: dict[int, list[Front]] = {}
        self._rank = -1

    def move_to(self, raw: NDArray[np.uint8]) -> None:
        """Go on in other memory: that of the datagrams that were put together."""
        self.raw = raw
        self.network.fill(-1)
        self.first_at.fill(-1)
        self.ethernets.clear()
        if self.headers is not None:
            self.headers.extend(raw)

    def run(self) -> None:
        """Move fronts on until none waits."""
        while self._waiting:
            number = min(self._waiting, key=_rank_of)
            front = Front.join(self._waiting.pop(number))
            self._rank = LAYERS[number].rank
            LAYERS[number].handle(self, front)
        self._rank = -1

    def hand(self, front: Front, layers: NDArray[np.uint8] | int) -> None:
        """Packets go on to a layer, or each to its own."""
        if not len(front):
            return
        if isinstance(layers, int):
            self._push(front, layers)
            return
        seen = np.zeros(len(LAYERS), np.bool_)
        seen[layers] = True
        present = seen.nonzero()[0]
        if len(present) == 1:
            self._push(front, int(present[0]))
        elif len(present) < SORTED_FROM:
            for number in present.tolist():
                self._push(front.take(layers == number), number)
        else:
            # One copy of all, in order of their layers, of which each gets its stretch.
            order = layers.argsort(kind="stable")
            front = front.take(order)
            starts = np.searchsorted(layers[order], present).tolist()
            for number, start, end in zip(present.tolist(), starts, [*starts[1:], len(front)], strict=True):
                self._push(front.stretch(start, end), number)

    def _push(self, front: Front, number: int) -> None:
        if number == DATA:
            self.stop(front)
            return
        if LAYERS[number].rank <= self._rank:
            back = self._back[front.row]
            if back.max() >= MAX_BACK:
                looped = back >= MAX_BACK
                self.stop(front.take(looped))
                self.mark(front.row[looped], MALFORMED)
                front, back = front.take(~looped), back[~looped]
                if not len(front):
                    return
            self._back[front.row] = back + 1
        self._waiting.setdefault(number, []).append(front)

    def stop(self, front: Front) -> None:
        """Here the packets end, with the path that they have."""
        self.rows.path[front.row] = front.path

    def mark(self, row: Rows, bit: int) -> None:
        """Set a bit of marks."""
        self.rows.marks[row] |= np.uint16(bit)

    def short(self, front: Front, need: Rows | int) -> None:
        """Mark those as malformed where the limit, not the capture, ends before `need` bytes."""
        broken = (front.limit - front.at < need) & (front.mode & PARTIAL == 0)
        if broken.any():
            self.mark(front.row[broken], MALFORMED)

    def below(self, front: Front, protocol: int) -> Front:
        """The same packets with a protocol more in their paths."""
        path = front.path
        if len(path) and (path == path[0]).all():
            # Nearly always they came the same way.
            path = np.full(len(path), PATHS.child(int(path[0]), protocol), np.uint16)
        else:
            path = PATHS.step(path, protocol)
        return Front(front.row, front.at, front.end, front.limit, path, front.mode)

    def enter(self, front: Front, protocol: int, size: int) -> Front:
        """The packets with `size` captured bytes of a layer, their paths now with its protocol.

        The others end here: cut, or malformed where the limit leaves too little room.
        """
        front = self.below(front, protocol)
        self.note(PROTOCOLS[protocol].name, front)
        return self.having(front, size)[0]

    def end(self, front: Front, protocol: int) -> None:
        """Here the packets end, with `protocol` as the last of their paths."""
        front = self.below(front, protocol)
        self.note(PROTOCOLS[protocol].name, front)
        self.stop(front)

    def having(self, front: Front, size: Rows | int) -> tuple[Front, NDArray[Any] | None]:
        """The packets with `size` captured bytes from here, and their positions (None: all have them).

        The others end here.
        """
        whole = front.end - front.at >= size
        if whole.all():
            return front, None
        lost = (~whole).nonzero()[0]
        rest = front.take(lost)
        self.short(rest, size if isinstance(size, int) else size[lost])
        self.stop(rest)
        keep = whole.nonzero()[0]
        return front.take(keep), keep

    def read(self, at: Rows, layout: np.dtype[Any]) -> NDArray[Any]:
        """Headers at these offsets, which must have been captured: shape (m,) of `layout`."""
        return gather(self.raw, at, layout)

    def note(self, name: str, front: Front) -> None:
        """Tell --fields where these headers are, if it asked."""
        if self.headers is not None and len(front):
            self.headers.note(name, front.row, front.at, front.end)


def among(values: NDArray[Any], codes: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which are one of these few codes.

    Not np.isin: for no values at all it imports numpy.ma, and once rights are given up nothing can be imported.
    """
    found: NDArray[np.bool_] = values == codes[0]
    for code in codes[1:]:
        found |= values == code
    return found


def _rank_of(number: int) -> int:
    return LAYERS[number].rank


def _data(walk: Walk, front: Front) -> None:
    walk.stop(front)


DATA: Final = _enter(Layer("data", LEAF_RANK, _data))
