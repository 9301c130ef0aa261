"""Where `n` and `N` go: the next marked packet, or the next one of the same conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import PORTS, Columns

if TYPE_CHECKING:
    from netwatch.capture.session import Session

__all__ = ["next_match"]


def next_match(session: Session, index: int, *, forward: bool) -> int | None:
    """Row index of the match after or before `index` among the rows shown, or None.

    Marked packets are matches; while none is marked, packets between the same two addresses and ports.
    """
    if session.marked:
        return _next_mark(session, index, forward=forward)
    return _next_of_conversation(session, index, forward=forward)


def _next_mark(session: Session, index: int, *, forward: bool) -> int | None:
    beyond = [mark for mark in session.marked if (mark > index if forward else mark < index) and mark in session.view]
    if not beyond:
        return None
    return min(beyond) if forward else max(beyond)


def _next_of_conversation(session: Session, index: int, *, forward: bool) -> int | None:
    store = session.store
    if index not in store:
        return None
    one = store.rows(np.array([index], np.int64))
    chunks = list(store.chunks(index + 1 if forward else 0))
    for start, rows in chunks if forward else reversed(chunks):
        if not forward and start >= index:
            continue
        rows = rows if forward else rows.take(slice(0, index - start))
        found = np.flatnonzero(_same_conversation(rows, one)) + start
        for other in found.tolist() if forward else found[::-1].tolist():
            if not session.filtered or other in session.view:
                return int(other)
    return None


def _same_conversation(rows: Columns, one: Columns) -> NDArray[np.bool_]:
    """shape (n,): rows between the two ends of the single row in `one`, in either direction."""
    there = _ends(rows, one, swapped=False)
    back = _ends(rows, one, swapped=True)
    same: NDArray[np.bool_] = (rows.kind == one.kind) & (rows.marks & PORTS == one.marks & PORTS) & (there | back)
    return same


def _ends(rows: Columns, one: Columns, *, swapped: bool) -> NDArray[np.bool_]:
    source, destination = ("dst", "src") if swapped else ("src", "dst")
    sport, dport = ("dport", "sport") if swapped else ("sport", "dport")
    same: NDArray[np.bool_] = (rows.sport == getattr(one, sport)) & (rows.dport == getattr(one, dport))
    for word in ("_lo", "_hi"):
        same &= getattr(rows, "src" + word) == getattr(one, source + word)
        same &= getattr(rows, "dst" + word) == getattr(one, destination + word)
    return same
