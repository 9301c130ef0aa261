"""The connection that carries the terminal: found by the helper, left out by the kernel, shown by `x`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from netwatch.capture.helper.client import Helper, HelperError
from netwatch.capture.kernel.hiding import MOST, Endpoint, endpoint_words, filter_words

if TYPE_CHECKING:
    from netwatch.capture.block import Source

__all__ = ["POLL", "Hides", "OwnSession"]

POLL: Final = 2.0
"""Seconds between two looks: tmux and screen are attached again from elsewhere."""


@runtime_checkable
class Hides(Protocol):
    """A source whose kernel filter can leave connections out."""

    def hide(self, endpoints: Sequence[Endpoint], reason: str = ...) -> None:
        """Raises OSError."""
        ...


class OwnSession:
    """What carries the terminal now, and whether the capture leaves it out."""

    def __init__(self, source: Hides, helper: Helper | None, *, hidden: bool = True) -> None:
        """`hidden`: what is found is left out at once. Without a helper nothing is found after `begin`."""
        self.endpoints: tuple[Endpoint, ...] = ()
        """The newest that is known; empty: the terminal is no network's."""
        self.hidden = hidden
        """As the person wants it."""
        self.trouble: str | None = None
        """One line: why it is not known, or not hidden."""
        self._source = source
        self._helper = helper
        self._told = os.environ.get("SSH_CONNECTION", "")
        self._changing = threading.Lock()
        self._stopping = threading.Event()

    @classmethod
    def of(cls, source: Source, helper: Helper | None, *, hidden: bool) -> OwnSession | None:
        """None where nothing is captured."""
        return cls(source, helper, hidden=hidden) if isinstance(source, Hides) else None

    def begin(self) -> None:
        """Find it, and wait for that: before the capture starts, so that none of it is ever seen."""
        if self._helper is not None:
            with contextlib.suppress(HelperError):
                self._take(self._helper.call("session", connection=self._told))
                return
        # With the rights that there are still.
        from netwatch.capture.helper.sessions import Finder

        self._take({"rows": [list(row) for row in Finder().find(os.getpid(), self._told)]})

    def look(self) -> None:
        """Ask again; the answer comes in a thread of its own."""
        if self._helper is not None and not self._stopping.is_set():
            self._helper.ask("session", self._take, connection=self._told)

    def look_on(self) -> None:
        """Ask again and again, in a thread, until `close`."""

        def work() -> None:
            while not self._stopping.wait(POLL):
                self.look()

        threading.Thread(target=work, name="own session", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._stopping.set()

    def toggle(self) -> str:
        """Hide it, or show it -> what to say of that."""
        if not self.endpoints:
            return self.trouble or "no SSH session was found that carries this terminal"
        with self._changing:
            self.hidden = not self.hidden
            self._apply(self.endpoints)
            if self.trouble is not None:
                self.hidden = not self.hidden
                return self.trouble
        named = endpoint_words(self.endpoints[0]) + (
            f" and {len(self.endpoints) - 1} more" if self.endpoints[1:] else ""
        )
        return f"your own session, {named}, is {'hidden' if self.hidden else 'shown'} from here on"

    @property
    def notes(self) -> tuple[str, ...]:
        """What the help says of it."""
        if self.trouble is not None:
            return (f"Your own session: {self.trouble}.",)
        if not self.endpoints:
            return ()
        if not self.hidden:
            return (f"Your own session, {', '.join(map(endpoint_words, self.endpoints))}, is shown; x hides it.",)
        return (f"Hidden by the kernel now: {'; '.join(map(filter_words, self.endpoints))}.",)

    def _take(self, answer: dict[str, Any] | HelperError) -> None:
        if self._stopping.is_set():
            return
        if isinstance(answer, HelperError):
            self.trouble = str(answer)
            return
        found = tuple(endpoint for row in answer["rows"][:MOST] if (endpoint := _endpoint(row)) is not None)
        with self._changing:
            if found != self.endpoints or self.trouble is not None:
                self._apply(found)

    def _apply(self, found: tuple[Endpoint, ...]) -> None:
        try:
            self._source.hide(found if self.hidden else ())
        except OSError as error:
            self.trouble = f"the kernel's filter cannot be changed ({error.strerror})"
            return
        self.trouble = None
        self.endpoints = found


def _endpoint(row: object) -> Endpoint | None:
    """A row of the helper's answer; None for one that is none."""
    if not isinstance(row, list) or [type(each) for each in row] != [str, str, int, str, int]:
        return None
    protocol, local, local_port, remote, remote_port = row
    try:
        return Endpoint(protocol, local or None, local_port, remote or None, remote_port or None)
    except ValueError:
        return None
