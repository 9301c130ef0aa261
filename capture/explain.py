"""Rows of the store, dissected with what their conversation said before them: only those that somebody looks at.

The state that a dissector needs (capture/dissect/context.py) comes from the packets before. A pass over all of them
would take seconds for a million; so the rows of the same conversation are found in the columns, which takes a
millisecond, and the first few of it and the latest before the row are gone through again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

from netwatch.capture.columns import FRAGMENT, PORTS, Columns
from netwatch.capture.dissect import Context, Summary, Tree, dissect, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from netwatch.capture.block import Source
    from netwatch.capture.store import Store

__all__ = ["Explainer", "ends_of", "flows_of"]

OPENING: Final = 8
"""Packets from the beginning of a conversation: its first numbers, what was agreed on."""
LATEST: Final = 200
"""Packets before a row of the list, 6 ms: a TLS record of 16 KiB takes twelve, and where it begins is not told."""
LATEST_OPENED: Final = 2000
"""Packets before one that was opened: 2 MB of a download, 50 ms."""
SCANNED: Final = 1 << 22
"""Rows before one of the list among which its conversation is looked for, and as many from the first that is kept."""
SCANNED_OPENED: Final = 1 << 24
KEPT: Final = 256
"""Conversations whose state waits for their next packet."""

Made = TypeVar("Made", Summary, Tree)

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_HIGH: Final = np.uint64(0xC2B2AE3D27D4EB4F)
_SHIFT: Final = np.uint64(29)


class _Before(NamedTuple):
    """What stands before a row."""

    rows: NDArray[np.int64]
    """Row indices of its conversation, ascending."""
    gap: int
    """How many of them stand before a gap: the first few; 0 if none was left out."""
    whole: bool
    """They begin where the conversation did, as far as the capture goes."""


class _Passed(NamedTuple):
    """The state of a conversation after its row."""

    context: Context
    row: int


class Explainer:
    """Summaries and trees of rows, as a pass over the whole capture would give them, within what is kept."""

    def __init__(self, store: Store, source: Source) -> None:
        self._store = store
        self._source = source
        self._passed: OrderedDict[int, _Passed] = OrderedDict()
        self._before: dict[int, _Before] = {}

    def prepare(self, indices: Sequence[int]) -> None:
        """Find what stands before these rows, ascending: in one go for all that a screen shows."""
        self._before = self._find(indices, LATEST, SCANNED)

    def summary(self, index: int) -> Summary:
        """The columns of a row that `prepare` was told of. Raises IndexError if it is no longer kept."""
        rows = self._store.rows(np.array([index], np.int64))
        before = self._before.get(index)
        if before is None:
            return self._summarise(index, rows, Context())
        flow = int(flows_of(rows)[0])
        known = self._passed.pop(flow, None)
        if known is not None and known.row < index:
            context, latest = known.context, before.rows[before.gap :]
            fresh = latest[latest > known.row]
            if before.gap and len(fresh) == len(latest):
                context.skip()
            self._go_through(fresh, context)
        else:
            context = self._before_row(before)
        made = self._summarise(index, rows, context)
        self._passed[flow] = _Passed(context, index)
        if len(self._passed) > KEPT:
            self._passed.popitem(last=False)
        return made

    def tree(self, index: int) -> Tree:
        """The row as a tree. Raises IndexError if it is not kept."""
        before = self._find([index], LATEST_OPENED, SCANNED_OPENED).get(index)
        context = Context() if before is None else self._before_row(before)
        return self._asked(dissect, index, self._store.rows(np.array([index], np.int64)), context)

    def _before_row(self, before: _Before) -> Context:
        """The state that a row meets."""
        context = Context(whole=before.whole, counted=False)
        if before.gap:
            self._go_through(before.rows[: before.gap], context)
            context.skip()
        self._go_through(before.rows[before.gap :], context)
        return context

    def _go_through(self, indices: NDArray[np.int64], context: Context) -> None:
        if not len(indices):
            return
        rows = self._store.rows(indices)
        for at, index in enumerate(indices.tolist()):
            self._summarise(index, rows, context, at)

    def _summarise(self, index: int, rows: Columns, context: Context, at: int = 0) -> Summary:
        return self._asked(summarise, index, rows, context, at)

    def _asked(self, what: Callable[..., Made], index: int, rows: Columns, context: Context, at: int = 0) -> Made:
        """What `dissect` or `summarise` makes of row `index`, whose columns are row `at` of `rows`."""
        return what(
            self._store.data(index),
            self._source.interfaces[int(rows.iface[at])].linktype,
            int(rows.wirelen[at]),
            context=context,
            number=self._store.number(index) or 0,
            ts=int(rows.ts[at]),
        )

    # The rows of a conversation

    def _find(self, indices: Sequence[int], latest: int, scanned: int) -> dict[int, _Before]:
        """Row index → the first few rows of its conversation, and the latest before it."""
        if not indices:
            return {}
        rows = self._store.rows(np.array(indices, np.int64))
        flows, ends = flows_of(rows).tolist(), ends_of(rows).tolist()
        # Ports combined as they are in both directions: a column's worth of it costs a tenth of the flows themselves.
        wanted = dict(zip(flows, (rows.sport ^ rows.dport).tolist(), strict=True))
        wanted |= dict.fromkeys(ends, -1)
        wanted.pop(0, None)
        last = max(indices)
        # Rows of the screen itself are among the latest.
        enough = latest + len(indices)
        near = self._members(wanted, last, scanned, enough, newest_first=True)
        many = {flow: wanted[flow] for flow, found in near.items() if len(found) >= enough and wanted[flow] >= 0}
        far = self._members(many, last, scanned, OPENING, newest_first=False)
        before: dict[int, _Before] = {}
        store = self._store
        all_near = not store.evicted and last - store.first <= scanned
        none = np.empty(0, np.int64)
        for index, flow, pair in zip(indices, flows, ends, strict=True):
            if not flow:
                continue
            whole, fragments, opening = (
                part[part < index] for part in (near.get(flow, none), near.get(pair, none), far.get(flow, none))
            )
            near_by = np.unique(np.concatenate([whole[-latest:], fragments[-latest:]]))
            if flow not in many:
                opening = whole[:OPENING]
            opening = opening[opening < near_by[0]] if len(near_by) else opening
            known = all_near or (flow in many and len(opening) > 0 and not store.evicted)
            before[index] = _Before(np.concatenate([opening, near_by]), len(opening), known)
        return before

    def _members(
        self, wanted: dict[int, int], last: int, scanned: int, enough: int, *, newest_first: bool
    ) -> dict[int, NDArray[np.int64]]:
        """Rows before `last` of each flow, ascending: `enough` of the newest, or of the oldest, among `scanned`.

        `wanted`: flow → its ports, combined; -1: fragments.
        """
        found: dict[int, list[NDArray[np.int64]]] = {}
        left = dict.fromkeys(wanted, enough)
        chunks = [chunk for chunk in self._store.chunks_kept if chunk.base < last]
        for chunk in reversed(chunks) if newest_first else chunks:
            if scanned <= 0 or not left:
                break
            scanned -= chunk.n
            rows = chunk.rows(0, min(chunk.n, last - chunk.base))
            may_be = np.zeros(1 << 16, np.bool_)
            may_be[[wanted[flow] for flow in left if wanted[flow] >= 0]] = True
            hits = may_be[rows.sport ^ rows.dport]
            if any(wanted[flow] < 0 for flow in left):
                hits |= (rows.marks & FRAGMENT) != 0
            at = hits.nonzero()[0]
            of = flows_of(rows.take(at))
            some = np.isin(of, np.fromiter(left, np.uint64, len(left)))
            at, of = at[some], of[some]
            for flow in np.unique(of).tolist():
                mine = at[of == flow]
                mine = mine[-left[flow] :] if newest_first else mine[: left[flow]]
                found.setdefault(flow, []).append(mine + chunk.base)
                left[flow] -= len(mine)
                if not left[flow]:
                    del left[flow]
        return {flow: np.concatenate(parts[::-1] if newest_first else parts) for flow, parts in found.items()}


def flows_of(rows: Columns) -> NDArray[np.uint64]:
    """A number for the conversation of each row, shape (n,); of a fragment without ports for its two addresses; 0:
    none. Two conversations may share one: the context tells them apart."""
    ports = (rows.marks & PORTS) != 0
    one = _mixed(rows.src_hi, rows.src_lo, rows.sport)
    other = _mixed(rows.dst_hi, rows.dst_lo, rows.dport)
    flows = np.where(ports, one + other, np.uint64(0))
    apart = ((rows.marks & FRAGMENT) != 0) & ~ports
    if apart.any():
        flows[apart] = ends_of(rows.take(apart))
    return flows


def ends_of(rows: Columns) -> NDArray[np.uint64]:
    """A number for the two addresses of each row, whatever the ports, shape (n,)."""
    none = np.zeros(len(rows), np.uint16)
    return _mixed(rows.src_hi, rows.src_lo, none) + _mixed(rows.dst_hi, rows.dst_lo, none) + np.uint64(1)


def _mixed(high: NDArray[np.uint64], low: NDArray[np.uint64], port: NDArray[np.uint16]) -> NDArray[np.uint64]:
    mixed: NDArray[np.uint64] = (low ^ (port.astype(np.uint64) << np.uint64(40))) * _MIX + high * _MIX_HIGH
    mixed ^= mixed >> _SHIFT
    mixed *= _MIX
    return mixed
