"""`--report FILE`: the summary as JSON when all is done, and what the run itself took."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any, Final

from netwatch.app.output import STDOUT, failed, open_file
from netwatch.capture.guard.identity import Identity
from netwatch.capture.summary import Summary, as_dict, as_json

__all__ = ["MemoryPeak", "Report"]

_SAMPLE_EVERY: Final = 0.25
"""Seconds between two looks at the memory: a look costs 50 µs."""
_STATUS: Final = "/proc/self/status"
_LONGEST_STATUS: Final = 1 << 14


class MemoryPeak:
    """The largest RssAnon that was seen: memory of the process's own, without files and the kernel's ring."""

    def __init__(self) -> None:
        self.bytes = 0
        self._next = 0.0
        self._status = -1
        with contextlib.suppress(OSError):
            # Open from the start: once rights are given up, the name cannot be opened any more.
            self._status = os.open(_STATUS, os.O_RDONLY | os.O_CLOEXEC)

    def sample(self) -> None:
        """Look, if it is time to; cheap enough to be called for every block or repaint."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SAMPLE_EVERY
            self.look()

    def look(self) -> None:
        """Look now."""
        self.bytes = max(self.bytes, self._rss_anon())

    def _rss_anon(self) -> int:
        """Bytes; off Linux the whole resident set."""
        with contextlib.suppress(OSError):
            for line in os.pread(self._status, _LONGEST_STATUS, 0).splitlines():
                if line.startswith(b"RssAnon:"):
                    return int(line.split()[1]) << 10
        import psutil

        return int(psutil.Process().memory_info().rss)


class Report:
    """The file, `-` for standard output, opened before the capture begins, so that a wrong path is told at once."""

    def __init__(self, path: str, user: Identity | None, stopping: threading.Event | None = None) -> None:
        """`user`: whose it is if it is made, None: this process's own; `stopping`: once set, the reader of a FIFO is
        not waited for any more. Raises CaptureError 74 if it cannot be written, BrokenPipeError."""
        self.path = "standard output" if path == "-" else path
        self.memory = MemoryPeak()
        try:
            self._fd = os.dup(STDOUT) if path == "-" else open_file(path, user, stopping)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed(self.path, error) from None

    def write(
        self, summary: Summary, *, frames: int = 0, terminal_bytes: int = 0, longest_ui_stall_ms: float = 0.0
    ) -> None:
        """Write and close; once, at the end. Raises CaptureError 74, BrokenPipeError.

        `frames`: repaints of the dashboard; `terminal_bytes`: what they sent; `longest_ui_stall_ms`: the longest
        time in which it did not answer.
        """
        self.memory.look()
        made: dict[str, Any] = as_dict(summary) | {
            "frames": frames,
            "terminal_bytes": terminal_bytes,
            "cpu_seconds": round(time.process_time(), 3),
            "rss_anon_peak": self.memory.bytes,
            "longest_ui_stall_ms": round(longest_ui_stall_ms, 1),
        }
        try:
            with open(self._fd, "w", encoding="ascii") as file:
                file.write(as_json(made))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed(self.path, error) from None
