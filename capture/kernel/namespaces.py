"""Network namespaces: what a person calls one, and how a thread enters it (namespaces(7), setns(2), ip-netns(8))."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import stat
from dataclasses import dataclass
from typing import Final

from netwatch.capture.errors import EXIT_PERMISSION, EXIT_USAGE, CaptureError

__all__ = ["NAMED", "OWN", "Place", "enter", "enter_named", "open_namespace"]

NAMED: Final = "/run/netns"
"""Where `ip netns` keeps those that have a name: each is a file on which the namespace is mounted."""
OWN: Final = "/proc/thread-self/ns/net"
"""That of the thread that asks."""

_CLONE_NEWNET: Final = 0x40000000
_NS_GET_NSTYPE: Final = 0xB703
"""ioctl_ns(2)"""
_OF_PROCESS: Final = re.compile(r"/proc/([0-9]+)/ns/net")
_MOST_TOLD: Final = 8
"""Names that are told where one was wrong."""


@dataclass(frozen=True, slots=True)
class Place:
    """A network namespace."""

    label: str = ""
    """As a person named it; empty: the one in which netwatch was started."""
    inode: int = 0
    """What tells it from all others; 0: not known."""
    path: str = ""
    """A file that is this namespace for as long as it has a name; empty: it has none."""

    @property
    def words(self) -> str:
        """In front of an interface."""
        return f"ns:{self.label}" if self.label else ""

    @property
    def gone(self) -> bool:
        """It had a name, and has it no more."""
        if not self.path:
            return False
        try:
            return os.stat(self.path).st_ino != self.inode
        except FileNotFoundError:
            return True
        except OSError:
            return False  # nobody says


def open_namespace(path: str) -> int:
    """A descriptor of the network namespace that `path` is. Raises OSError, ValueError where it is none."""
    # Another file than a namespace's may wait for somebody to open its other end.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not _is_network_namespace(fd):
            raise ValueError(f"{path} is no network namespace")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _is_network_namespace(fd: int) -> bool:
    import fcntl  # not on every system that imports the package

    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return False
    try:
        return fcntl.ioctl(fd, _NS_GET_NSTYPE) == _CLONE_NEWNET
    except OSError:
        return False  # a file of another kind


def enter(fd: int) -> None:
    """This thread is in the namespace from now on. Raises OSError (EPERM: no CAP_SYS_ADMIN)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_named(text: str) -> Place:
    """`text`: a name of `ip netns`, a process id, or a path. A name that is a number counts before a process id.

    Raises CaptureError: 2 there is no such namespace, 77 no permission to enter it.
    """
    path = text if "/" in text else os.path.join(NAMED, text)
    if "/" not in text and text.isdecimal() and not os.path.exists(path):
        path = f"/proc/{text}/ns/net"
    of_process = _OF_PROCESS.fullmatch(path)
    try:
        fd = open_namespace(path)
        try:
            enter(fd)
            inode = os.fstat(fd).st_ino
        finally:
            os.close(fd)
    except PermissionError as error:
        raise CaptureError(
            f"--netns {text}: no permission to enter it (CAP_SYS_ADMIN, for a process CAP_SYS_PTRACE, too); use sudo",
            EXIT_PERMISSION,
        ) from error
    except (OSError, ValueError) as error:
        raise CaptureError(_unknown(text, of_process is not None, error), EXIT_USAGE) from error
    label = of_process[1] if of_process else os.path.basename(path)
    return Place(label, inode, "" if of_process else os.path.abspath(path))


def _unknown(text: str, of_process: bool, error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"--netns {text}: not a network namespace"
    if of_process:
        return f"--netns {text}: there is no such process"
    if "/" in text:
        return f"--netns {text}: {error.strerror if isinstance(error, OSError) else error}"
    known: list[str] = []
    with contextlib.suppress(OSError):
        known = sorted(os.listdir(NAMED))
    more = ", …" if len(known) > _MOST_TOLD else ""
    there = f"there are: {', '.join(known[:_MOST_TOLD])}{more}" if known else "there is none with a name"
    return f"no network namespace {text!r}; {there}; a process id or a path names one, too"
