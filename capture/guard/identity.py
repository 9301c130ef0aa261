"""Whom root becomes once all that needs root is open."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

__all__ = ["Identity", "identity"]

_NOBODY: Final = 65_534
_NO_NUMBER: Final = 0xFFFF_FFFF
"""(uid_t)-1: "leave it as it is" to the calls that set one."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user without rights, and the group that goes with it; no supplementary ones."""

    uid: int
    gid: int
    name: str


def identity(named: str | None, environment: Mapping[str, str]) -> Identity | None:
    """`named` (--user: a name or a number), else who called sudo, else nobody; None where this is not root's process.

    Raises CaptureError 2 for a user that does not exist, is root, or cannot be had.
    """
    if 0 not in (os.getuid(), os.geteuid()):
        if named is not None and _by_name(named).uid != os.getuid():
            raise CaptureError("--user is for root: another user cannot become somebody else", EXIT_USAGE)
        return None
    if named is not None:
        return _by_name(named)
    return _who_called_sudo(environment) or _nobody()


def _by_name(named: str) -> Identity:
    import pwd

    if not named:
        raise CaptureError("--user wants a name or a number, and got nothing", EXIT_USAGE)
    number = named.isascii() and named.isdecimal()
    try:
        entry = pwd.getpwuid(int(named)) if number else pwd.getpwnam(named)
    except (KeyError, ValueError, OverflowError):  # a number may be too long for int(), or for the system call
        raise CaptureError(f"--user {named:.80}: there is no such user", EXIT_USAGE) from None
    if entry.pw_uid == 0:
        raise CaptureError("--user names whom root becomes; name another than root", EXIT_USAGE)
    return Identity(entry.pw_uid, entry.pw_gid or _NOBODY, entry.pw_name)


def _who_called_sudo(environment: Mapping[str, str]) -> Identity | None:
    """From what sudo(8) leaves: numbers, for which no directory service is asked. None: root called it, or nobody."""
    uid, gid = (_number(environment.get(name, "")) for name in ("SUDO_UID", "SUDO_GID"))
    return Identity(uid, gid or _NOBODY, environment.get("SUDO_USER") or str(uid)) if uid else None


def _number(text: str) -> int:
    """0 where it is none that a user or group can have."""
    value = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(_NO_NUMBER)) else 0
    return value if value < _NO_NUMBER else 0


def _nobody() -> Identity:
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Identity(_NOBODY, _NOBODY, "nobody")
    return Identity(entry.pw_uid or _NOBODY, entry.pw_gid or _NOBODY, "nobody")
