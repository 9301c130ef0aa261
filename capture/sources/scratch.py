"""Where the bytes of a compressed capture go while the dashboard shows it: a file without a name.

A row on screen needs its bytes again, and compressed data cannot be read from the middle. On disk they cost no memory
that is the program's own; without a name they vanish with the process, however it ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["Scratch", "open_scratch"]

_SPARE: Final = 128 << 20
_SHARE: Final = 20
"""Left to the others: this many bytes, and one part in so many of the disk."""
_LOOK: Final = 32 << 20
"""Bytes written between two looks at how much is left."""
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


class Scratch:
    """Bytes appended by one thread and read again by any. Owns `fd`."""

    def __init__(self, fd: int, folder: str) -> None:
        self.folder = folder
        self.size = 0
        """Bytes that can be read again: all that were appended, until `full`."""
        self.full = False
        """There was no room for more; what is in it stays."""
        self._fd = fd
        self._open = threading.Lock()
        """Held while the descriptor is used for reading, so that close() never pulls it away."""
        self._look_at = _LOOK

    def append(self, data: bytes) -> None:
        """Keep `data`, unless it is `full`."""
        if self.full:
            return
        if self.size >= self._look_at:
            self._look_at = self.size + _LOOK
            self.full = not _room(self._fd)
        view = memoryview(data)
        try:
            while view and not self.full:
                written = os.pwrite(self._fd, view, self.size)
                self.size += written
                view = view[written:]
        except OSError:
            self.full = True

    def read_at(self, pos: int, size: int) -> bytes:
        """Bytes again; fewer if they were not kept."""
        with self._open:
            if self._fd < 0:
                return b""
            try:
                return os.pread(self._fd, max(min(size, self.size - pos), 0), pos)
            except OSError:
                return b""

    def close(self) -> None:
        """Idempotent. The one who appends must have ended."""
        with self._open:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def open_scratch(expected: int) -> Scratch:
    """An empty one with room for `expected` bytes at least; if there is no place for it, one that is full already.

    TMPDIR, then /var/tmp, then where the system keeps such files, those that lie in memory last.
    """
    in_memory = set(_mounts_in_memory())
    named = dict.fromkeys([os.environ.get("TMPDIR", ""), "/var/tmp", tempfile.gettempdir()])
    folders = sorted(filter(os.path.isdir, named), key=lambda folder: _device(folder) in in_memory)
    for folder in folders:
        if _room(folder) <= expected:
            continue
        try:
            # On Linux a file that never had a name, where the file system can; elsewhere it loses it at once.
            with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
                return Scratch(os.dup(file.fileno()), folder)
        except OSError:
            continue
    none = Scratch(-1, folders[0] if folders else tempfile.gettempdir())
    none.full = True
    return none


def _room(where: str | int) -> int:
    """Bytes that may still be taken there, or where that descriptor's file lies, without taking what others need."""
    try:
        status = os.statvfs(where)
    except OSError:
        return 0
    spare = max(_SPARE, status.f_blocks * status.f_frsize // _SHARE)
    return max(status.f_bavail * status.f_frsize - spare, 0)


def _device(folder: str) -> str:
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return ""
    return f"{os.major(device)}:{os.minor(device)}"


def _mounts_in_memory() -> Iterator[str]:
    """Devices of the file systems whose files are memory, as /proc/self/mountinfo names them (proc(5))."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        if after.partition(" ")[0] in _IN_MEMORY:
            yield before.split(" ")[2]
