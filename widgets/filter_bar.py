"""`/`: the display filter, judged at each key. `:`: go to a packet number or a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwatch.capture import filter as display_filter
from netwatch.capture.filter import FilterError
from netwatch.capture.filter.fields import FIELDS
from netwatch.capture.locate import LocateError, locate
from netwatch.capture.protocols import PROTOCOLS
from netwatch.widgets.prompt import Prompt, Verdict

if TYPE_CHECKING:
    from netwatch.capture.session import Session

__all__ = ["FilterBar", "GotoBar"]

_WORDS = ("host", "net", "port", "portrange", "src", "dst", "and", "or", "not", "in")


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
            words=(*names, *FIELDS, *_WORDS),
            id=id,
        )

    def _verdict(self, text: str) -> Verdict:
        try:
            display_filter.compile(text)
        except FilterError as error:
            return Verdict(False, error.message)
        session = self._session
        if session.view.pending:
            return Verdict(True, f"{session.matches:,} packets …")
        return Verdict(True, f"{session.matches:,} packets")


class GotoBar(Prompt):
    """Go to a packet. Submitted.text is a place that `locate` finds."""

    def __init__(self, session: Session, history: list[str], *, id: str | None = None) -> None:
        self._session = session
        super().__init__(
            "go to", self._verdict, hint="number, 14:03:07, +seconds or -seconds", history=history, id=id
        )

    def _verdict(self, text: str) -> Verdict:
        if not text.strip():
            return Verdict(True, "")
        try:
            index = locate(self._session.store, text)
        except LocateError as error:
            return Verdict(False, str(error))
        number = self._session.store.number(index)
        return Verdict(True, "" if number is None else f"packet {number:,}")
