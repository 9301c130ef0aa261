"""`/`: the display filter, judged at each key. `:`: go to a packet number or a time."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from netwatch.capture import filter as display_filter
from netwatch.capture.filter import FilterError
from netwatch.capture.filter.fields import FIELDS, dissected
from netwatch.capture.locate import SYNTAX, LocateError
from netwatch.capture.protocols import PROTOCOLS
from netwatch.widgets.prompt import Prompt, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from netwatch.capture.locate import Place
    from netwatch.capture.session import Session

__all__ = ["FilterBar", "GotoBar"]

_WORDS = ("host", "net", "port", "portrange", "src", "dst", "and", "or", "not", "in", "contains")


class FilterBar(Prompt):
    """The display filter. Changed.text applies at once; Cancelled wants `before` back."""

    def __init__(self, session: Session, history: list[str], *, id: str | None = None) -> None:
        self._session = session
        self.before = session.filter_text
        """The filter that held when the bar was opened."""
        names = {protocol.name for protocol in PROTOCOLS if protocol.name != "event"}
        super().__init__(
            "filter",
            self._verdict,
            text=session.filter_text,
            hint="dns   port 443   10.0.0.0/8   tcp.port == 22 and not host 192.0.2.7",
            history=history,
            words=(*names, *FIELDS, *_WORDS, *_loaded()),
            id=id,
        )

    def _verdict(self, text: str) -> Verdict:
        try:
            display_filter.compile(text)
        except FilterError as error:
            return Verdict(False, error.message)
        session = self._session
        if session.looked_at is not None:
            return Verdict(True, f"{session.matches:,} packets, looking … {session.looked_at} %")
        if session.view.pending:
            return Verdict(True, f"{session.matches:,} packets …")
        return Verdict(True, f"{session.matches:,} packets")


def _loaded() -> Iterable[str]:
    """What dissectors name, once something else had to load them: rows, as a rule."""
    return dissected() if "netwatch.capture.dissect" in sys.modules else ()


class GotoBar(Prompt):
    """Go to a packet. Submitted.text is a place that `find` finds."""

    def __init__(
        self, session: Session, history: list[str], find: Callable[[str], Place], *, id: str | None = None
    ) -> None:
        """`find` raises LocateError."""
        self._session = session
        self._find = find
        super().__init__("go to", self._verdict, hint=SYNTAX, history=history, id=id)

    def _verdict(self, text: str) -> Verdict:
        if not text.strip():
            return Verdict(True, "")
        store, view = self._session.store, self._session.view
        try:
            place = self._find(text)
        except LocateError as error:
            return Verdict(False, str(error))
        if place.ahead:
            return Verdict(True, place.note)
        index, notes = place.index, [place.note] if place.note else []
        if index >= self._session.shown_end:
            notes.append("came after the pause")
        elif index not in view:
            notes.append("hidden by the filter")
        at = min(view.position(index), len(view) - 1)
        if at < 0:
            return Verdict(False, "nothing is shown to go to")
        number = store.number(int(view.indices(at, at + 1)[0]))
        notes.append("" if number is None else f"packet {number:,}")
        return Verdict(True, ": ".join(notes))
