"""The one call after which nothing that arrives can do harm by what this process may (SECURITY.md)."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Final

from netwatch.capture.errors import EXIT_PERMISSION, CaptureError
from netwatch.capture.guard.identity import Identity
from netwatch.capture.guard.landlock import Landlock
from netwatch.capture.guard.rights import drop_rights
from netwatch.capture.guard.seccomp import deny_calls

__all__ = ["Confinement", "confine"]

_TASKS: Final = "/proc/self/task"
_PATIENCE: Final = 1.0
"""Seconds for a thread that is about to end, as the one that a signal starts."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """What is wanted."""

    user: Identity | None
    """Whom root becomes; None: this is not root's process."""
    read: tuple[str, ...] = ()
    """Paths that stay readable, as far as `user` may: as few as possible …"""
    write: tuple[str, ...] = ()
    """… and those that stay writable."""
    sandbox: bool = True
    """Landlock and seccomp; without, only the rights go."""


def confine(wanted: Confinement) -> list[str]:
    """Give up user, groups and capabilities; let Landlock and seccomp deny what is left.

    Returns one line each for what could not be applied. From here on: no other program, no new socket, no file but
    those named; what is open stays open. Raises CaptureError 77 where rights stay, or a second thread would keep its.
    """
    _alone()
    landlock = Landlock(wanted.read, wanted.write) if wanted.sandbox and sys.platform == "linux" else None
    said = drop_rights(wanted.user)
    if landlock is not None:
        landlock.enforce()
        # Older kernels' Landlock knows less; what it lacks, seccomp refuses whatever the path.
        refused = deny_calls()
        said += [*landlock.missing, *refused, *(landlock.unknown if refused else ())]
    return said


def _alone() -> None:
    """Raises CaptureError 77 unless this is the only thread: rights are a thread's own (capabilities(7))."""
    deadline = time.monotonic() + _PATIENCE
    while sys.platform == "linux" and len(os.listdir(_TASKS)) > 1:
        if time.monotonic() > deadline:
            raise CaptureError("rights cannot be given up: a second thread runs already", EXIT_PERMISSION)
        time.sleep(0.01)
