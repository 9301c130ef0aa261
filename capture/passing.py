"""The packets of blocks one after the other, for what looks at each in its order: dissection with its context."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netwatch.capture.columns import EVENT, UNTIMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netwatch.capture.block import Block

__all__ = ["Passed", "passing"]


class Passed(NamedTuple):
    """One packet."""

    number: int
    ts: int | None
    """Nanoseconds since 1970; None: its record has no time."""
    data: bytes
    linktype: int
    wirelen: int
    iface: int = 0
    """Index into Source.interfaces."""


def passing(block: Block, number: int) -> Iterator[Passed]:
    """The packets of `block`, of which the first is `number`; events are none."""
    rows = (block.marks & EVENT == 0).nonzero()[0]
    columns = (block.offsets, block.caplen, block.wirelen, block.ts, block.linktype, block.marks, block.iface)
    for at, size, wirelen, ts, linktype, marks, iface in zip(*(each[rows].tolist() for each in columns), strict=True):
        data = block.raw[at : at + size].tobytes()
        yield Passed(number, None if marks & UNTIMED else ts, data, linktype, wirelen, iface)
        number += 1
