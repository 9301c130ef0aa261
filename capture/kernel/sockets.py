"""The sockets that a capture on one interface needs, made where there is the right to (CAP_NET_RAW).

Once they are there, everything else is done through them, without privilege: to bind them to another interface of
their network namespace, for promiscuous mode, to ask for interfaces, link states and counters. So they may come from
another process (capture/helper/namespaces.py), and from another namespace than this process is in.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass, fields

from netwatch.capture.kernel.link import watch_links
from netwatch.capture.kernel.rtnetlink import open_route

__all__ = ["Sockets"]


@dataclass(slots=True)
class Sockets:
    """One of each; nothing arrives at any before it is bound."""

    raw: socket.socket
    """Packets as they are on the link …"""
    cooked: socket.socket
    """… and without link header: one of the two has a ring."""
    discarded: socket.socket
    """Packets that the kernel throws away once captures had them (counters.py)."""
    counters: socket.socket
    """What interfaces lost."""
    changes: socket.socket
    """Becomes readable when an interface changes."""
    route: socket.socket
    """To ask which interfaces there are."""

    @classmethod
    def make(cls) -> Sockets:
        """In the namespace of this thread. Raises OSError; PermissionError without CAP_NET_RAW."""
        with contextlib.ExitStack() as made:
            # Protocol 0: the kernel hands packet sockets nothing until they are bound.
            raw, cooked, discarded = (
                made.enter_context(socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC, 0))
                for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_DGRAM)
            )
            counters = made.enter_context(open_route())
            changes = made.enter_context(watch_links())
            route = made.enter_context(open_route())
            made.pop_all()
        return cls(raw, cooked, discarded, counters, changes, route)

    @classmethod
    def of(cls, descriptors: Sequence[int]) -> Sockets:
        """Those that another process made, in the order of `all`; now this object's. Raises OSError, ValueError."""
        found = [socket.socket(fileno=fd) for fd in descriptors]
        packet = [(socket.AF_PACKET, kind) for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM, socket.SOCK_DGRAM)]
        if [(each.family, each.type) for each in found] != packet + [(socket.AF_NETLINK, socket.SOCK_RAW)] * 3:
            for each in found:
                each.close()
            raise ValueError("other sockets than were asked for")
        made = cls(*found)
        for each in (made.counters, made.route):
            each.settimeout(1.0)
        made.changes.setblocking(False)
        return made

    def all(self) -> list[socket.socket]:
        """In the order in which they are passed on."""
        return [getattr(self, each.name) for each in fields(self)]

    def close(self) -> None:
        """Idempotent."""
        for each in self.all():
            each.close()
