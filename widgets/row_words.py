"""What the dissector says of rows on screen: of each alone at once, and with what its conversation said before as
soon as there is time."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple

from textual.cache import LRUCache

from netwatch.widgets.units import exact

if TYPE_CHECKING:
    from netwatch.capture.dissect import Summary
    from netwatch.capture.session import Session
    from netwatch.widgets.packet_row import Row

__all__ = ["RowWords"]

_KEPT: Final = 4096
"""Rows whose words are remembered."""

_DISSECTORS: Final = "netwatch.capture.dissect"

_LONGEST_INFO: Final = 512
"""Characters of an info text that are kept: no screen is wider."""


class _Words(NamedTuple):
    summary: Summary
    settled: bool
    """Packets before it were asked: these words stay."""


class RowWords:
    """Summaries by row index."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: LRUCache[int, _Words] = LRUCache(_KEPT)

    @property
    def ready(self) -> bool:
        """Whether the dissectors are loaded. They take as long as all the rest of the first frame's work."""
        return _DISSECTORS in sys.modules

    def known(self, index: int) -> Summary | None:
        """What was found out so far."""
        words = self._known.get(index)
        return None if words is None else words.summary

    def settled(self, index: int) -> bool:
        """Whether the words of a row will not change any more."""
        words = self._known.get(index)
        return words is not None and words.settled

    def alone(self, row: Row) -> Summary:
        """The words of a row, if need be without those before it."""
        words = self._known.get(row.row)
        if words is not None:
            return words.summary
        fresh = not self.ready
        from netwatch.capture.dissect import summarise

        if fresh:
            gc.freeze()  # tens of thousands of objects that stay: a look for garbage among them takes 30 ms

        session = self._session
        data = session.store.data(row.row)
        linktype = session.source.interfaces[row.iface].linktype
        return self._keep(row, summarise(data, linktype, row.wirelen), row.caplen - len(data), settled=False)

    def settle(self, rows: Sequence[Row], deadline: float) -> bool:
        """Words for good for as many rows, ascending, as there is time for, one at least -> whether all have them."""
        todo = [row for row in rows if not self.settled(row.row)]
        explainer = self._session.explainer
        explainer.prepare([row.row for row in todo])
        for done, row in enumerate(todo):
            if done and perf_counter() > deadline:
                return False
            gone = row.caplen - len(self._session.store.data(row.row))
            self._keep(row, explainer.summary(row.row), gone, settled=True)
        return True

    def _keep(self, row: Row, made: Summary, gone: int, *, settled: bool) -> Summary:
        lost = f"file {self._session.shrank}: {exact(gone)} of {exact(row.caplen)} bytes gone"
        made = made._replace(info=(lost if gone else made.info)[:_LONGEST_INFO])
        self._known.discard(row.row)  # the cache does not replace what it has
        self._known[row.row] = _Words(made, settled)
        return made
