"""Where files are made: by this process, or by the helper for it. What is asked for is a name, never a path."""

from __future__ import annotations

import os
from typing import Protocol

__all__ = ["Directory", "PlainDirectory"]


class Directory(Protocol):
    """All methods raise OSError."""

    @property
    def path(self) -> str:
        """For a person, and to look at what is there."""
        ...

    def open_new(self, name: str, *, over: str = "") -> int:
        """A file that did not exist, to be written; `over`: the name that it will get, in place of what has it."""
        ...

    def rename(self, name: str, to: str) -> None:
        """Of a file made here; one that has the name already is replaced."""
        ...

    def unlink(self, name: str) -> None:
        """Remove a file made here."""
        ...


class PlainDirectory:
    """A directory that this process may write in."""

    def __init__(self, path: str) -> None:
        self.path = path

    def open_new(self, name: str, *, over: str = "") -> int:  # noqa: ARG002 - the kernel will judge
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(os.path.join(self.path, name), flags, 0o600)

    def rename(self, name: str, to: str) -> None:
        os.replace(os.path.join(self.path, name), os.path.join(self.path, to))

    def unlink(self, name: str) -> None:
        os.unlink(os.path.join(self.path, name))
