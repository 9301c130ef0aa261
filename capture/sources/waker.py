"""Interrupts a poll() in another thread."""

from __future__ import annotations

import contextlib
import os
import threading

__all__ = ["Waker"]


class Waker:
    """A pipe to oneself: what waits, polls fileno() too."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lock = threading.Lock()

    def fileno(self) -> int:
        """Readable once set() was called."""
        return self._read

    def set(self) -> None:
        """Wake whoever waits, or the next who will. From any thread, also after close()."""
        with self._lock:
            if self._write >= 0:
                with contextlib.suppress(BlockingIOError):  # full: set often enough
                    os.write(self._write, b"\0")

    def clear(self) -> None:
        """Forget that set() was called."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def close(self) -> None:
        """Idempotent; nobody may wait any more."""
        with self._lock:
            if self._write >= 0:
                os.close(self._write)
                os.close(self._read)
                self._write = self._read = -1
