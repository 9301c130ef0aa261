"""User, groups and capabilities: given up for good, and looked at again (credentials(7), capabilities(7)).

Capabilities, NO_NEW_PRIVS and the bounding set belong to a thread: all of this is for a process that has one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Final

from netwatch.capture.errors import EXIT_PERMISSION, CaptureError
from netwatch.capture.guard.identity import Identity
from netwatch.capture.guard.kernel import CAPABILITY_SETS, capabilities, prctl, set_capabilities

__all__ = ["drop_rights"]

# prctl(2)
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_MOST_CAPABILITIES: Final = 64
_UID_MAP: Final = "/proc/self/uid_map"


def drop_rights(user: Identity | None) -> list[str]:
    """Become `user`, if one is given, without groups; no capabilities; nothing to be gained again.

    Returns a line for what was not done. Raises CaptureError 77 where a right stays: to go on would be worse.
    """
    try:
        if sys.platform != "linux":
            if user is not None:
                _become(user)
            return ["not on Linux: there are no capabilities, Landlock and seccomp to be used"]
        said = _drop_bounding_set(was_root=user is not None)
        if user is not None and not _become(user):
            said.append(f"this user namespace has one user: netwatch stays user 0 there, who is {_alone()} outside")
            user = None
        _drop_capabilities()
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        prctl(_PR_SET_DUMPABLE, 0)
        kept = _kept(user)
    except OSError as error:
        kept = error.strerror or str(error)
    if kept:
        raise CaptureError(
            f"root's rights cannot be given up ({kept}): a container needs CAP_SETUID and CAP_SETGID for that, "
            "a user namespace a second user; or run netwatch as another user with CAP_NET_RAW",
            EXIT_PERMISSION,
        )
    return said


def _become(user: Identity) -> bool:
    """Groups first: the right to change them goes with the user. False where there is nobody else to become, and
    root is another user's name for himself. Raises OSError."""
    try:
        os.setgroups([])
        os.setgid(user.gid)
        os.setuid(user.uid)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EINVAL) and _alone() is not None:
            return False
        raise
    return True


def _alone() -> int | None:
    """Who the only user of this user namespace is outside, where not root; None where there are more
    (user_namespaces(7))."""
    try:
        with open(_UID_MAP, "rb") as file:
            lines = [[int(number) for number in line.split()] for line in file]
    except (OSError, ValueError):
        return None
    return lines[0][1] if len(lines) == 1 and lines[0][0] == 0 and lines[0][2] == 1 and lines[0][1] else None


def _drop_bounding_set(*, was_root: bool) -> list[str]:
    """What a program could get that is started later. Only who has CAP_SETPCAP may; others had nothing to lose."""
    for capability in range(_MOST_CAPABILITIES):
        try:
            if prctl(_PR_CAPBSET_READ, capability):
                prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:
                break  # the kernel knows no more
            return ["the bounding set stays: CAP_SETPCAP is missing; NO_NEW_PRIVS makes it void"] if was_root else []
    return []


def _drop_capabilities() -> None:
    """All of them, from each set. Raises OSError."""
    with contextlib.suppress(OSError):  # before Linux 4.3 there is no ambient set
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    set_capabilities(bytes(CAPABILITY_SETS.size))


def _kept(user: Identity | None) -> str:
    """What is still there of what was given up, as the kernel says; empty: nothing."""
    if any(capabilities()):
        return "capabilities stay"
    if not prctl(_PR_GET_NO_NEW_PRIVS):
        return "NO_NEW_PRIVS is not set"
    if user is None:
        return ""
    if (os.getresuid(), os.getresgid()) != ((user.uid,) * 3, (user.gid,) * 3) or os.getgroups():
        return "user or group stay"
    with contextlib.suppress(OSError):
        os.setuid(0)
        return "root can be had again"
    return ""
