"""Ending a run: ctrl+c, SIGTERM, the end of --duration. The first one ends it in order, a second ctrl+c at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["Stop"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop(threading.Event):
    """Set once the run is to end."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False
        """Whether the run is to end: true at once, where the event is set a moment later."""
        self._wake: Callable[[], None] | None = None
        self._before: dict[signal.Signals, object] = {}

    def install(self) -> None:
        """Take the signals, except a hang-up that the caller had ignored (nohup).

        A shell script's background job starts with ctrl+c ignored, and must still end on `kill -INT`.
        """
        for number in _SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)

    def leave(self) -> None:
        """From now on a signal raises KeyboardInterrupt, until the dashboard has handlers of its own."""
        for number in self._before:
            signal.signal(number, signal.default_int_handler)

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._before.clear()

    def wake_with(self, wake: Callable[[], None]) -> None:
        """What makes a source that waits return at once."""
        self._wake = wake

    def after(self, seconds: float) -> None:
        """End the run in `seconds`."""
        signal.signal(signal.SIGALRM, lambda *_: self._ask())
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _on_signal(self, *_: object) -> None:
        # A process that hangs must not need kill -9.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._ask()

    def _ask(self) -> None:
        """Set the event and wake the source; from a thread, for either may want a lock that the main thread holds."""
        if not self.asked:
            self.asked = True
            threading.Thread(target=self._end, name="stop", daemon=True).start()

    def _end(self) -> None:
        self.set()
        if self._wake is not None:
            # The source may be closed already.
            with contextlib.suppress(OSError):
                self._wake()
