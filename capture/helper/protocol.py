"""What the helper can be asked for, and how: messages over a socketpair, each side checks what the other sends.

    message    type (a byte), length of the body (4 bytes), body: a JSON object of at most 64 KiB, of one shape a type
    request    the type is that of a verb
    answer     the same type, or FAILED; descriptors may come with it (SCM_RIGHTS, unix(7)); TERMINAL has none

The socketpair is of type SOCK_SEQPACKET: a message is read whole or not at all, so that one that is wrong is refused
and the next is understood. Imports nothing but the standard library.

A verb is a row of VERBS and a function in a module of this folder; see files.py. The function gets what `serve` knows
and the request, whose shape was checked, and returns the answer, whose shape is checked, and descriptors, which are
closed behind it. It may raise RefusedError (words for a person), OSError, anything; when its time is over it is ended
at whatever line it is, so what must be undone goes into `finally`.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = [
    "FAILED",
    "FAILURE",
    "LARGEST",
    "START",
    "TERMINAL",
    "VERBS",
    "Directory",
    "MessageError",
    "RefusedError",
    "Served",
    "Verb",
    "fits",
    "pack",
    "receive",
    "send",
]

HEAD: Final = struct.Struct("!BI")
LARGEST: Final = 65_536
"""Bytes of a body."""
MOST_DESCRIPTORS: Final = 16
"""With one message."""
_WORDS: Final = 200
"""Characters of what a failure says."""

Body = dict[str, Any]
Shape = Mapping[str, type]
"""The keys that a body has, all of them, and of what type each value is: exactly str, int, bool or list."""

# linux/capability.h
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2
CAP_NET_RAW: Final = 13
CAP_SYS_PTRACE: Final = 19
CAP_SYS_ADMIN: Final = 21


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that the helper does."""

    number: int
    """Type of the message."""
    function: str
    """`module:function`, in this folder."""
    request: Shape
    answer: Shape
    rights: tuple[int, ...] = ()
    """Capabilities that it has while it runs, and none else. What no verb needs is given up at the start."""
    descriptors: int = 0
    """With the answer, at most."""
    seconds: float = 2.0
    """It is ended after these."""


_NAMED: Final[Shape] = {"directory": str, "name": str}
_NAMESPACE: Final[Shape] = {"name": str, "pid": int, "inode": int}
"""Of `ip netns`, else of a process, else the helper's own; the inode that it has, 0: any."""

VERBS: Final[dict[str, Verb]] = {
    # files.py
    "open": Verb(16, "files:open_new", {**_NAMED, "over": str}, {}, (CAP_DAC_OVERRIDE,), descriptors=1),
    "rename": Verb(17, "files:rename", {**_NAMED, "to": str}, {}, (CAP_DAC_OVERRIDE,)),
    "unlink": Verb(18, "files:unlink", _NAMED, {}, (CAP_DAC_OVERRIDE,)),
    # owners.py
    "owners": Verb(
        32,
        "owners:owners",
        {"first": int},
        {"rows": list, "addresses": list, "left": int, "beyond": int},
        (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH),
    ),
    # sessions.py
    "session": Verb(
        48, "sessions:session", {"connection": str}, {"rows": list}, (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH)
    ),
    # namespaces.py
    "namespaces": Verb(
        64,
        "namespaces:namespaces",
        {},
        {"rows": list, "left": int},
        (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH),
        seconds=4.0,
    ),
    "interfaces": Verb(
        65, "namespaces:interfaces", _NAMESPACE, {}, (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN), 1
    ),
    "sockets": Verb(
        66,
        "namespaces:sockets",
        _NAMESPACE,
        {},
        (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_NET_RAW),
        descriptors=6,
    ),
}

FAILED: Final = 0
FAILURE: Final[Shape] = {"words": str, "errno": int}
START: Final = 1
"""The first message, from a netwatch that has seen no packet yet; its descriptors are the directories."""
STARTED: Final[Shape] = {"user": list, "verbs": list, "directories": list}
"""user: uid and gid, or nothing; verbs: the names of those that will be used; directories: name, prefix, suffix."""
TERMINAL: Final = 2
"""Told, not asked: netwatch has the terminal whose descriptor comes along; without one it gave it back."""
TAKEN: Final[Shape] = {"settings": list}
"""What tcgetattr said before."""


class MessageError(Exception):
    """A message that is none: words for a person."""


class RefusedError(Exception):
    """What a verb will not do: words for a person."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where files may be made."""

    fd: int
    prefix: str
    """What their names begin with …"""
    suffix: str
    """… and end with."""


@dataclass(slots=True)
class Served:
    """What verbs may know."""

    user: tuple[int, int] | None
    """Whose files are made; None: this process's own."""
    netwatch: int
    """Process id of who asks."""
    directories: dict[str, Directory] = field(default_factory=dict)


def fits(body: object, shape: Shape) -> bool:
    """Whether `body` is an object with the keys of `shape`, no others, and values of these very types."""
    return (
        isinstance(body, dict)
        and body.keys() == shape.keys()
        and all(type(body[key]) is kind for key, kind in shape.items())
    )


def pack(number: int, body: Mapping[str, object]) -> bytes:
    """The message. Raises MessageError where it is too long."""
    data = json.dumps(body, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(data) > LARGEST:
        raise MessageError(f"{len(data):,} bytes are more than a message holds")
    return HEAD.pack(number, len(data)) + data


def unpack(data: bytes) -> tuple[int, Body]:
    """Type and body. Raises MessageError."""
    if len(data) < HEAD.size:
        raise MessageError("a message without a head")
    number, length = HEAD.unpack_from(data)
    if length > LARGEST or length != len(data) - HEAD.size:
        raise MessageError("a message whose length is wrong")
    try:
        body = json.loads(data[HEAD.size :].decode("ascii"), parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError):
        raise MessageError("a message that is no JSON") from None
    if not isinstance(body, dict):
        raise MessageError("a message that is no object")
    return number, body


def send(channel: socket.socket, data: bytes, descriptors: Sequence[int] = ()) -> None:
    """A message as `pack` made it. Raises OSError."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    channel.sendmsg([data], ancillary)


def receive(channel: socket.socket) -> tuple[int, Body, list[int]] | None:
    """Type, body and descriptors of the next message, which are the caller's to close; None at the end.

    Raises MessageError, after which the next one can be received; OSError.
    """
    room = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = channel.recvmsg(HEAD.size + LARGEST + 1, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = _descriptors(ancillary)
    try:
        if not data:
            close_all(descriptors)
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise MessageError("a message that is too long")
        return *unpack(data), descriptors
    except MessageError:
        close_all(descriptors)
        raise


def close_all(descriptors: Iterable[int]) -> None:
    """None of them is needed any more."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def failure(words: str, number: int = 0) -> bytes:
    """The answer that says why there is none; `number`: of the error (errno(3)), where there is one."""
    return pack(FAILED, {"words": words[:_WORDS], "errno": number})


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    found = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return found.tolist()


def _refuse(text: str) -> object:
    raise ValueError(text)
