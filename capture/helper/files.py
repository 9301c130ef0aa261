"""`open`, `rename`, `unlink`: files in the directories that were opened at the start, and only what was made here.

A name is one part of a path, so it leads nowhere else; no link is followed; what is made is the user's, for this
process is his. Whoever else may write in the directory can put something else there under the same name: so the file
is looked at again before it is renamed or removed, as far as an inode number tells it.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Any, Final

from netwatch.capture.helper.protocol import Directory, RefusedError, Served

__all__ = ["open_new", "rename", "unlink"]

_LONGEST: Final = 255
"""Bytes of a name (NAME_MAX)."""
_MOST: Final = 1 << 18
"""Files that are remembered: the newest."""

Answer = tuple[dict[str, object], list[int]]

_made: dict[tuple[str, str], tuple[int, int]] = {}
"""Device and inode of what was made, by directory and name."""


def open_new(served: Served, request: dict[str, Any]) -> Answer:
    """A file that did not exist, to be written; `over`: the one that it is to replace later, which is looked at now.
    Raises RefusedError, OSError."""
    directory, name = _place(served, request["directory"], request["name"])
    if request["over"]:
        _replaceable(directory, _checked(directory, request["over"]))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory.fd)
    there = os.fstat(fd)
    _made[request["directory"], name] = (there.st_dev, there.st_ino)
    while len(_made) > _MOST:
        del _made[next(iter(_made))]
    return {}, [fd]


def rename(served: Served, request: dict[str, Any]) -> Answer:
    """What was made gets another name; a file of that name is replaced. Raises RefusedError, OSError."""
    directory, name = _place(served, request["directory"], request["name"])
    to = _checked(directory, request["to"])
    _still_ours(directory, request["directory"], name)
    _replaceable(directory, to)
    os.rename(name, to, src_dir_fd=directory.fd, dst_dir_fd=directory.fd)
    _made[request["directory"], to] = _made.pop((request["directory"], name))
    return {}, []


def unlink(served: Served, request: dict[str, Any]) -> Answer:
    """What was made goes. Raises RefusedError, OSError."""
    directory, name = _place(served, request["directory"], request["name"])
    _still_ours(directory, request["directory"], name)
    os.unlink(name, dir_fd=directory.fd)
    del _made[request["directory"], name]
    return {}, []


def _place(served: Served, directory: str, name: str) -> tuple[Directory, str]:
    if directory not in served.directories:
        raise RefusedError("files are not made there")
    return served.directories[directory], _checked(served.directories[directory], name)


def _checked(directory: Directory, name: str) -> str:
    """A name that means a file in the directory, and nothing that a shell or a program reads by itself."""
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        size = 0
    if not 0 < size <= _LONGEST or "/" in name or "\0" in name or name in (".", ".."):
        raise RefusedError("this is no name of a file")
    if not (name.startswith(directory.prefix) and name.endswith(directory.suffix)):
        raise RefusedError("files of this name are not made there")
    if name.startswith(".") and not directory.prefix:
        raise RefusedError("names that begin with a dot are left to others")
    return name


def _still_ours(directory: Directory, key: str, name: str) -> None:
    made = _made.get((key, name))
    if made is None:
        raise RefusedError("this is not a file that was made here")
    there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    if (there.st_dev, there.st_ino) != made:
        raise FileNotFoundError(errno.ENOENT, "somebody put another file in its place")


def _replaceable(directory: Directory, name: str) -> None:
    """Raises RefusedError unless there is nothing of this name, or a plain file of the user's own."""
    try:
        there = os.stat(name, dir_fd=directory.fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISREG(there.st_mode):
        raise RefusedError("it is no regular file")
    if there.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to somebody else")
    if there.st_mode & 0o111:
        raise RefusedError("it is a program")
