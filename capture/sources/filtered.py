"""A capture filter on packets that do not come through the kernel: files, streams, the demo.

libpcap decides, so a filter means what it means to tcpdump: `tcpdump -r FILE port 53`.
"""

from __future__ import annotations

import numpy as np

from netwatch.capture.block import Block, Damage, Interface, Loss, Source
from netwatch.capture.columns import EVENT
from netwatch.capture.kernel.bpf import Matcher
from netwatch.capture.pace import Pace

__all__ = ["Filtered"]

_ETHERNET = 1


class Filtered:
    """A Source: what another gives, as far as the filter lets it through. Rows that are no packets pass."""

    def __init__(self, source: Source, expression: str) -> None:
        """Raises CaptureError 2 for a bad filter, where the link type is known before the first packet."""
        self.name = source.name
        self.live = source.live
        self.interfaces: list[Interface] = source.interfaces
        self.exhausted = source.exhausted
        self.damage: Damage | None = source.damage
        self.pace: Pace | None = getattr(source, "pace", None)
        """Of a replay."""
        self._source = source
        self._expression = expression
        self._matchers: dict[int, Matcher] = {}
        """By link type: it says where in a packet the filter looks."""
        for linktype in {interface.linktype for interface in source.interfaces} or {_ETHERNET}:
            self._matcher(linktype)

    def next_block(self, timeout: float) -> Block | None:
        """See Source; a block of which nothing is left comes empty. Raises CaptureError 2 as __init__ does."""
        block = self._source.next_block(timeout)
        self.exhausted, self.damage = self._source.exhausted, self._source.damage
        if block is None:
            return None
        base = block.raw.ctypes.data
        columns = (block.offsets, block.wirelen, block.caplen, block.linktype, block.marks)
        chosen = [
            bool(marks & EVENT) or self._matcher(linktype)(base + offset, wirelen, caplen)
            for offset, wirelen, caplen, linktype, marks in zip(*(c.tolist() for c in columns), strict=True)
        ]
        if self.pace is not None:
            self.pace.rejected(chosen.count(False))
        return block.take(np.array(chosen, np.bool_))

    # What only some sources have.

    @property
    def notes(self) -> list[str]:
        """See FileSource."""
        notes: list[str] = getattr(self._source, "notes", [])
        return notes

    @property
    def rereadable(self) -> bool:
        """See FileSource."""
        return bool(getattr(self._source, "rereadable", False))

    @property
    def follows_from(self) -> int | None:
        """See FileSource."""
        at: int | None = getattr(self._source, "follows_from", None)
        return at

    @property
    def shrank_at(self) -> int | None:
        """See FileSource."""
        at: int | None = getattr(self._source, "shrank_at", None)
        return at

    def read_at(self, pos: int, size: int) -> bytes:
        """See Source."""
        return self._source.read_at(pos, size)

    def loss(self) -> Loss:
        """See Source."""
        return self._source.loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source."""
        return self._source.progress()

    def wake(self) -> None:
        """See Source."""
        self._source.wake()

    def close(self) -> None:
        """See Source."""
        self._source.close()
        self.exhausted = True

    def _matcher(self, linktype: int) -> Matcher:
        if linktype not in self._matchers:
            self._matchers[linktype] = Matcher(self._expression, linktype)
        return self._matchers[linktype]
