"""Decoding: a block of raw records becomes columns, a batch at a time, through numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT, TRUNCATED, Columns

# The layers enter themselves into the tables: network needs what fragments has, the others only the tables.
from netwatch.capture.decode import application, link, network, radio, serial, transport, tunnels  # noqa: F401
from netwatch.capture.decode.fragments import Reassembly
from netwatch.capture.decode.heap import keep_freed_memory
from netwatch.capture.decode.link import show_ethernet_addresses
from netwatch.capture.decode.plain import walk_plain
from netwatch.capture.decode.tables import LINKTYPE
from netwatch.capture.decode.walk import Front, Headers, Walk
from netwatch.capture.paths import NO_PATH, PATHS

__all__ = ["Decoded", "Decoder", "Headers"]


@dataclass(slots=True)
class Decoded:
    """One block, decoded."""

    rows: Columns
    """Row i is record i of the block, always all of them."""
    headers: Headers | None
    """Where the first header of each kind is; None unless the decoder was made with fields=True."""


class Decoder:
    """Decodes the blocks of one capture, in their order (fragments are put together across blocks)."""

    def __init__(self, *, fields: bool = False) -> None:
        keep_freed_memory()
        self._fields = fields
        self._fragments = Reassembly()

    def decode(self, block: Block) -> Decoded:
        """All records of a block; never raises, whatever their bytes."""
        n = len(block)
        rows = Columns.zeros(n)
        rows.ts, rows.pos = block.ts, block.pos
        rows.caplen, rows.wirelen = block.caplen, block.wirelen
        rows.iface, rows.marks = block.iface, block.marks.copy()
        rows.marks[block.caplen < block.wirelen] |= np.uint16(TRUNCATED)
        headers = Headers(block.raw, n) if self._fields else None
        walk = Walk(block.raw, rows, headers)
        left = np.arange(n) if self._fields else walk_plain(walk, block)
        event = block.marks & EVENT != 0
        if event.any():
            rows.path[event] = _EVENT
            left = left[~event[left]]
        walk.hand(_start(block, left), LINKTYPE.layers[block.linktype[left]])
        walk.run()
        show_ethernet_addresses(walk)
        rows.path[rows.path == NO_PATH] = _DATA
        while walk.pieces:
            completed = self._fragments.complete(walk)
            if completed is None:
                break
            inner, layers, raw = completed
            walk.move_to(raw)
            walk.hand(inner, layers)
            walk.run()
        self._fragments.advance(n)
        return Decoded(rows, headers)


_EVENT = PATHS.intern("event")
_DATA = PATHS.intern("data")
"""Not even the first header could be read."""


def _start(block: Block, row: NDArray[np.intp]) -> Front:
    at = block.offsets[row].astype(np.intp, copy=False)
    captured = block.caplen[row].astype(np.intp)
    # A record that claims less than was captured lies about its length on the wire, not about its bytes.
    limit = at + np.maximum(captured, block.wirelen[row])
    m = len(row)
    return Front(row, at, at + captured, limit, np.full(m, NO_PATH, np.uint16), np.zeros(m, np.uint8))
