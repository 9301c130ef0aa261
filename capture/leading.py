"""What an address mostly speaks: the protocol whose colour it wears in the table of talkers."""

from __future__ import annotations

from typing import Final

import numpy as np

from netwatch.capture.columns import EVENT, Columns
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import PROTOCOLS
from netwatch.capture.store import Store

__all__ = ["RECENT", "leading_protocol", "newest"]

RECENT: Final = 8192
"""Packets that are looked at. Kept by no table: a count of protocols an address would cost every packet, this costs
the addresses on screen 60 µs each, once a second."""


def newest(store: Store, count: int = RECENT) -> Columns | None:
    """The last `count` rows that are kept; None if there are none."""
    parts = [rows for _, rows in store.chunks(max(store.end - count, 0)) if len(rows)]
    if not parts:
        return None
    return Columns.concatenate(parts)  # a copy also of one part: it must not keep an evicted chunk alive


def leading_protocol(rows: Columns, kind: int, hi: int, lo: int) -> int | None:
    """Protocol id with the most wire bytes from or to the address (as in Columns); None where it does not occur."""
    low, high = np.uint64(lo), np.uint64(hi)
    mine = (rows.src_lo == low) & (rows.src_hi == high) | (rows.dst_lo == low) & (rows.dst_hi == high)
    mine &= rows.kind == kind
    mine &= rows.marks & EVENT == 0
    chosen = mine.nonzero()[0]
    if not len(chosen):
        return None
    spoken = PATHS.shown[rows.path[chosen]]
    return int(np.bincount(spoken, rows.wirelen[chosen], len(PROTOCOLS)).argmax())
