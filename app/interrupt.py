"""Ending a run: ctrl+c, SIGTERM, the end of --duration. The first one ends it in order, a later ctrl+c at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

from netwatch.app.signals import Signals

__all__ = ["Stop"]

_PATIENCE: Final = 2.0
"""Seconds in which a run may end in order. A ctrl+c sooner is the first one's echo, as `timeout` sends it to the
process and to its group."""


class Stop(threading.Event):
    """Set once the run is to end."""

    def __init__(self, signals: Signals) -> None:
        super().__init__()
        self.asked = False
        """Whether the run is to end: true at once, where the event is set a moment later."""
        self.unread = False
        """Whether the run is to end because nobody reads what it prints: silently."""
        self._signalled: float | None = None
        self._impatient = True
        self._wake: Callable[[], None] | None = None
        self._signals = signals
        if signals.act_with(self._on_signal):
            self._on_signal(signal.SIGINT)

    def leave(self) -> None:
        """From now on a signal raises KeyboardInterrupt, until the dashboard has handlers of its own."""
        self._signals.interrupt()

    def come_back(self) -> None:
        """Undo `leave`."""
        self._signals.take()

    def wake_with(self, wake: Callable[[], None]) -> None:
        """What makes a source that waits return at once."""
        self._wake = wake

    def after(self, seconds: float) -> None:
        """End the run in `seconds`."""
        self._signals.alarm(seconds)

    def print_whole(self) -> None:
        """From now on even a late ctrl+c changes nothing: what is printed is printed to its end."""
        self._impatient = False

    def nobody_reads(self) -> None:
        """End the run silently; not from a signal's handler."""
        self.asked = self.unread = True
        self.end()

    def end(self) -> None:
        """End the run, for what is not the person's wish; not from a signal's handler."""
        self.set()
        if self._wake is not None:
            # The source may be closed already.
            with contextlib.suppress(OSError):
                self._wake()

    def _on_signal(self, number: int) -> None:
        if not self.asked:
            self.asked = True
            # From a thread, for the event and the source may want a lock that the main thread holds.
            threading.Thread(target=self.end, name="stop", daemon=True).start()
        if number == signal.SIGALRM:
            return
        now = time.monotonic()
        if self._signalled is None:
            self._signalled = now
        elif number == signal.SIGINT and self._impatient and now - self._signalled > _PATIENCE:
            # A process that hangs must not need kill -9.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
