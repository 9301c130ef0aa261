"""One interface, asked through a socket: index, flags, hardware type (netdevice(7)).

A socket belongs to the network namespace in which it was made, whatever thread uses it later; names looked up any
other way would be those of the namespace of the thread that asks.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import os
import socket
import struct
from typing import Final

__all__ = [
    "ARPHRD_LOOPBACK",
    "LinkState",
    "bind_packets",
    "hardware_type",
    "index",
    "link_state",
    "mtu",
    "skip_messages",
    "state_of",
    "watch_links",
]

_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFMTU: Final = 0x8921
_SIOCGIFHWADDR: Final = 0x8927
_SIOCGIFINDEX: Final = 0x8933
_IFREQ: Final = struct.Struct("16s24s")

_IFF_UP: Final = 0x1
_IFF_RUNNING: Final = 0x40
ARPHRD_LOOPBACK: Final = 772

_RTMGRP_LINK: Final = 1
_ETH_P_ALL: Final = 3
_SOCKADDR_LL: Final = struct.Struct("=HHi12x")
"""family, protocol in network order, interface index; the rest does not matter to bind"""


class LinkState(enum.StrEnum):
    """What an interface is like, in the words that are shown."""

    UP = "link up"
    NO_CARRIER = "no carrier"
    DOWN = "link down"
    GONE = "interface deleted"


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    # fcntl is not there on every system that imports the package.
    import fcntl

    asked = _IFREQ.pack(name.encode("utf-8", "surrogateescape")[:15], b"")
    answer: bytes = _IFREQ.unpack(fcntl.ioctl(sock.fileno(), request, asked))[1]
    return answer


def index(sock: socket.socket, name: str) -> int:
    """Interface index. Raises OSError (ENODEV) where there is no such interface."""
    number: int = struct.unpack_from("=i", _ask(sock, _SIOCGIFINDEX, name))[0]
    return number


def hardware_type(sock: socket.socket, name: str) -> int:
    """ARPHRD_ value. Raises OSError (ENODEV)."""
    number: int = struct.unpack_from("=H", _ask(sock, _SIOCGIFHWADDR, name))[0]
    return number


def mtu(sock: socket.socket, name: str) -> int:
    """Bytes of its largest packet, without link header. Raises OSError (ENODEV)."""
    number: int = struct.unpack_from("=i", _ask(sock, _SIOCGIFMTU, name))[0]
    return number


def link_state(sock: socket.socket, name: str) -> LinkState:
    """As it is now."""
    try:
        return state_of(struct.unpack_from("=H", _ask(sock, _SIOCGIFFLAGS, name))[0])
    except OSError:
        return LinkState.GONE


def state_of(flags: int) -> LinkState:
    """By the flags of an interface that is there."""
    if not flags & _IFF_UP:
        return LinkState.DOWN
    return LinkState.UP if flags & _IFF_RUNNING else LinkState.NO_CARRIER


def bind_packets(sock: socket.socket, index: int) -> None:
    """Let a packet socket see all protocols of interface `index`, 0 for all interfaces. Raises OSError."""
    # socket.bind takes a name and has none for "all interfaces".
    address = _SOCKADDR_LL.pack(socket.AF_PACKET, socket.htons(_ETH_P_ALL), index)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(sock.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def watch_links() -> socket.socket:
    """A non-blocking socket that becomes readable when any interface changes (rtnetlink(7), RTMGRP_LINK)."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.setblocking(False)
    sock.bind((0, _RTMGRP_LINK))
    return sock


def skip_messages(sock: socket.socket) -> None:
    """Read what `watch_links` has to say: only that there was something matters, so an overflow is fine."""
    with contextlib.suppress(OSError):  # EAGAIN: read all; ENOBUFS: more changes than the socket holds
        while sock.recv(1 << 16):
            pass
