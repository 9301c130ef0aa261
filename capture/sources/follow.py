"""A capture file that is still being written, followed as `tail -f` does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

from netwatch.capture.block import Damage

__all__ = ["Follower"]

_LOOK: Final = 0.1
"""Seconds between two looks at the file; each costs three system calls."""
_SAMPLE: Final = 256
"""Bytes that are compared: the last packet, with its time, is among them."""
_UNSEEN: Final = (-1, -1)
"""In place of the identity of a file that this process may not look at."""
_LEAVE: Final = 1.0
"""Seconds after which a file that another has replaced is not waited for any more."""


class Follower:
    """Waits for a file to grow, and tells when it never will."""

    def __init__(self, fd: int, path: str, on_removed: Callable[[], None] | None = None) -> None:
        """`on_removed` is told once that the file has no name any more; who writes may still go on."""
        self._path = path
        self._on_removed = on_removed
        self._identity = _identity(os.fstat(fd))
        self._called = _called(fd)
        self._woken = threading.Event()
        self._state, self._since = (-1, -1, -1), 0.0
        """How far the file was read when another was seen under its name, which one, and since when it is so."""
        self._last = b""
        """The last bytes that were read …"""
        self._end = -1
        """… and where they end."""

    def wait(self, deadline: float) -> bool:
        """Until it is worth another look; False if `deadline` (time.monotonic()) passes or wake() is called first."""
        left = deadline - time.monotonic()
        if left > 0 and not self._woken.wait(min(_LOOK, left)):
            return time.monotonic() < deadline
        self._woken.clear()
        return False

    def wake(self) -> None:
        """End the wait, or the next."""
        self._woken.set()

    def ended(self, fd: int, reached: int) -> Damage | None:
        """Why nothing will come behind byte `reached`, up to which the open file `fd` was read; None: it may grow."""
        size = os.fstat(fd).st_size
        if size < reached:
            return Damage(size, f"the file shrank at byte {size} while it was followed")
        anew = self.rewritten(fd)
        if anew is not None:
            return anew
        if reached != self._end:
            size = min(_SAMPLE, reached)
            self._last, self._end = os.pread(fd, size, reached - size), reached
        other = self._replacement(fd) if size == reached else None
        if other is None:
            return None
        # Who writes may have the old one open for a while longer.
        identity, length = other
        state, now = (reached, *identity), time.monotonic()
        if state != self._state:
            self._state, self._since = state, now
        if now - self._since < _LEAVE:
            return None
        if identity == _UNSEEN:
            return Damage(reached, "it was renamed, removed or replaced; start again to follow what has its name now")
        shrank = f", which shrank at byte {length}" if length < reached else ""
        return Damage(reached, f"another file has taken its name{shrank}; follow that one to see more")

    def rewritten(self, fd: int) -> Damage | None:
        """Not None where other bytes stand now where the last ones were read: the file was truncated, and was as long
        again, or longer, at the next look."""
        if self._end < 0 or os.pread(fd, len(self._last), self._end - len(self._last)) == self._last:
            return None
        return Damage(self._end, "the file was written anew while it was followed; start again to read that")

    def _replacement(self, fd: int) -> tuple[tuple[int, int], int] | None:
        """The other file that has the name now, and its size."""
        try:
            other = os.stat(self._path)
        except PermissionError:
            # The folder was root's, and this process was. What the open file is called, it may still ask.
            return None if _called(fd) == self._called else (_UNSEEN, 0)
        except OSError:
            if self._on_removed is not None:
                self._on_removed()
                self._on_removed = None
            return None
        return None if _identity(other) == self._identity else (_identity(other), other.st_size)


def _called(fd: int) -> str:
    """Where the open file lies now, with a remark behind it once it lies nowhere (proc(5)); empty off Linux."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
