"""The signals that end a run, from the first moment to the last. Loaded before all else, so it imports little."""

from __future__ import annotations

import signal
from collections.abc import Callable

__all__ = ["Signals"]


class Signals:
    """SIGINT, SIGTERM and SIGHUP. Until somebody acts on them it is only noted that one came."""

    def __init__(self, came: bool = False) -> None:
        """Take them. `came`: one was seen before."""
        self._came = came
        self._act: Callable[[int], None] | None = None
        self._before: dict[int, object] = {}
        self.take()

    def take(self) -> None:
        """Take them, except a hang-up that the caller had ignored (nohup).

        A shell script's background job starts with ctrl+c ignored, and must still end on `kill -INT`.
        """
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._take(number)

    def act_with(self, act: Callable[[int], None]) -> bool:
        """From now on `act` is called with each signal's number, in the main thread. True if one had come before."""
        self._act = act
        return self._came

    def alarm(self, seconds: float) -> None:
        """Let a SIGALRM come in `seconds`, as one more signal that ends the run."""
        self._take(signal.SIGALRM)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def interrupt(self) -> None:
        """From now on a signal raises KeyboardInterrupt."""
        for number in self._before:
            signal.signal(number, signal.default_int_handler)

    def restore(self) -> None:
        """Give the signals back."""
        # An alarm without its handler would kill the process.
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._before.clear()

    def ignore(self) -> None:
        """Be deaf for the rest of the process: its work is done, and Python's shutdown takes handlers away."""
        for number in (*self._before, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int) -> None:
        self._before.setdefault(number, signal.signal(number, self._on_signal))

    def _on_signal(self, number: int, _: object) -> None:
        self._came = True
        if self._act is not None:
            self._act(number)
