"""The terminal that the dashboard writes to: what it costs is counted, and when it goes away the program ends."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import IO, Any, Final, cast

from textual.drivers.linux_driver import LinuxDriver

__all__ = ["Written", "driver"]

_CONTINUED: Final = 0.05
"""Seconds after which SIGCONT, which any thread may take, has been seen."""


class Written:
    """Bytes that went to the terminal: what netwatch costs the link that it is watched over."""

    def __init__(self) -> None:
        self.bytes = 0
        self.handed = 0
        """Characters for the thread that writes …"""
        self.taken = 0
        """… and those that the terminal took, as that thread counts them."""

    @property
    def waiting(self) -> bool:
        """The terminal is slower than the screen changes: what is painted now is late, and would block in the end."""
        return self.handed > self.taken


class _Output:
    """Standard output. Once the terminal is gone what is written to it is thrown away, and that is said once.

    Textual writes from a thread of its own, through a queue: without somebody who goes on taking from it the whole
    program would wait for ever, deaf to signals too.
    """

    def __init__(self, file: IO[str], written: Written, on_gone: Callable[[], None]) -> None:
        self._file = file
        self._written = written
        self._on_gone = on_gone
        self._gone = False
        self._unflushed = 0

    def write(self, text: str) -> None:
        self._unflushed += len(text)
        if not self._gone:
            try:
                self._file.write(text)
            except (OSError, ValueError):
                self._lost()

    def flush(self) -> None:
        if not self._gone:
            try:
                self._file.flush()
            except (OSError, ValueError):
                self._lost()
        self._written.taken += self._unflushed
        self._unflushed = 0

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True

    def _lost(self) -> None:
        self._gone = True
        # What is still buffered would be written when the interpreter ends, and fail once more.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._file.fileno())
        os.close(nowhere)
        self._on_gone()


def driver(written: Written) -> type[LinuxDriver]:
    """A driver that counts into `written`, and writes to stdout where Textual's own writes to stderr."""

    class Driver(LinuxDriver):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert isinstance(sys.__stdout__, io.TextIOWrapper)
            # What the terminal has no character for becomes a question mark: an error would end the program.
            sys.__stdout__.reconfigure(errors="replace")
            self._file = cast("Any", _Output(sys.__stdout__, written, self._leave))

        def write(self, data: str) -> None:
            # The terminal driver makes two bytes of a line feed.
            written.handed += len(data)
            written.bytes += len(data.encode("utf-8", "replace")) + data.count("\n")
            super().write(data)

        def stop_application_mode(self) -> None:
            # tmux keeps what stood here on the screen if it was resized meanwhile.
            self.write("\x1b[H\x1b[2J")
            super().stop_application_mode()

        def _sigtstp_application(self, *_: object) -> None:
            # What a terminal does with ctrl+z: the whole of a pipeline stops, and nothing where no shell could go on
            # with it (setsid, a container's first process); there Textual's SIGSTOP would be the end.
            self.suspend_application_mode()
            self._must_signal_resume = True
            own = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.killpg(0, signal.SIGTSTP)
            time.sleep(_CONTINUED)
            signal.signal(signal.SIGTSTP, own)
            if self._must_signal_resume:
                self.resume_application_mode()

        def _sigcont_application(self, *_: object) -> None:
            # Stopped from outside (kill -STOP) nothing was put away: a second thread that reads keys would never end.
            if not self._must_signal_resume:
                self.suspend_application_mode()
                self._must_signal_resume = True
            super()._sigcont_application()

        def _run_input_thread(self) -> None:
            try:
                self.run_input_thread()
            except OSError:
                self._leave()  # the terminal hung up

        def _leave(self) -> None:
            self._app.call_later(self._app.exit)

    return Driver
