"""Landlock: files, TCP and abstract sockets that stay out of reach, whatever the user may do (landlock(7)).

Everything that this kernel's version of it knows is denied, but for the paths that are named.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import Final

from netwatch.capture.guard.kernel import system_call

__all__ = ["Landlock"]

# The same numbers on all machines that are younger than Linux 5.1.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION: Final = 1
"""Flag of landlock_create_ruleset: not a ruleset but the version is wanted."""
_PATH_BENEATH: Final = 1

# linux/landlock.h
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_REG: Final = 1 << 8
_TRUNCATE: Final = 1 << 14
_OF_FILES: Final = _WRITE_FILE | _READ_FILE | _TRUNCATE
"""What a rule for a path that is no directory may hold, of what is granted here."""
_FILES: Final = ((1, 0x1FFF), (2, 1 << 13), (3, _TRUNCATE), (5, 1 << 15))
"""Version from which on there are these rights: the first ones, REFER, TRUNCATE, IOCTL_DEV."""
_TCP: Final = 0x3
"""To bind and to connect, from version 4 on."""
_SCOPE: Final = 0x1
"""Abstract sockets of others, from version 6 on. Not signals: ctrl+z stops all of a pipeline, as a shell expects."""
_SINCE: Final = {3: "truncation", 4: "TCP", 5: "devices", 6: "abstract sockets"}

_RULESET: Final = struct.Struct("=QQQ")
_RULE: Final = struct.Struct("=Qi")
_LONGEST_ATTRIBUTE: Final = {1: 8, 4: 16, 6: 24}
"""Bytes of the ruleset's attributes by version."""


class Landlock:
    """A ruleset, made while the paths can still be opened, and enforced later."""

    def __init__(self, read: Iterable[str], write: Iterable[str]) -> None:
        """`read`: files and directories whose content may be read; `write`: files, or directories in which files may
        be made, written, renamed and removed. What is not there is left out: it stays denied."""
        self.missing: list[str] = []
        """One line where nothing is denied …"""
        self.unknown: list[str] = []
        """… or only some of it."""
        self._fd = -1
        try:
            version = system_call(_CREATE_RULESET, None, 0, _VERSION)
            handled = sum(rights for since, rights in _FILES if since <= version)
            attributes = _RULESET.pack(handled, _TCP if version >= 4 else 0, _SCOPE if version >= 6 else 0)
            size = max(size for since, size in _LONGEST_ATTRIBUTE.items() if since <= version)
            self._fd = system_call(_CREATE_RULESET, attributes, size, 0)
        except OSError as error:
            self.missing.append(f"no Landlock: {_WHY.get(error.errno or 0, error.strerror)}")
            return
        lacking = [what for since, what in _SINCE.items() if since > version]
        if lacking:
            self.unknown.append(
                f"version {version} of Landlock, which this kernel has, denies no {', '.join(lacking)}"
            )
        for paths, rights in (
            (read, _READ_FILE | _READ_DIR),
            (write, _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _TRUNCATE),
        ):
            for path in paths:
                with contextlib.suppress(OSError, ValueError):
                    self._grant(path, rights & handled)

    def enforce(self) -> None:
        """For good, for this thread and those that it starts. NO_NEW_PRIVS must be set."""
        if self._fd < 0:
            return
        try:
            system_call(_RESTRICT_SELF, self._fd, 0)
        except OSError as error:
            self.missing.append(f"no Landlock: {_WHY.get(error.errno or 0, error.strerror)}")
        finally:
            os.close(self._fd)
            self._fd = -1

    def _grant(self, path: str, rights: int) -> None:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(opened).st_mode):
                rights &= _OF_FILES
            rule = ctypes.create_string_buffer(_RULE.pack(rights, opened), _RULE.size)
            system_call(_ADD_RULE, self._fd, _PATH_BENEATH, rule, 0)
        finally:
            os.close(opened)


_WHY: Final = {
    errno.ENOSYS: "this kernel has none (Linux 5.13 and later have)",
    errno.EOPNOTSUPP: "it was switched off when this system was booted (lsm=landlock,… switches it on)",
    errno.EPERM: "not permitted here, as by a container's seccomp profile",
    errno.EACCES: "not permitted here, as by a container's seccomp profile",
}
