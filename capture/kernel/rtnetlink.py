"""What interfaces a network namespace has, over netlink (rtnetlink(7)).

Not /sys/class/net, nor the C library's lists: they show the namespace of who asks. A netlink socket belongs to the
namespace in which it was made, and to ask takes no privilege; so it tells of another namespace, too, and where no new
socket can be made any more.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netwatch.capture.kernel.link import LinkState, state_of

__all__ = ["NLMSGHDR", "RTATTR", "Link", "attributes", "dump", "links", "messages", "open_route"]

NLMSGHDR: Final = struct.Struct("=IHHII")
"""length, type, flags, sequence number, port"""
RTATTR: Final = struct.Struct("=HH")
"""length, type"""
_IFINFOMSG: Final = struct.Struct("=BxHiII")
"""family, ARPHRD_ value, interface index, flags, which of them change"""
_IFADDRMSG: Final = struct.Struct("=4BI")
"""family, prefix length, flags, scope, interface index"""
_STATS64: Final = struct.Struct("=4Q")
"""rtnl_link_stats64 begins with packets in and out, bytes in and out."""

_NLM_F_REQUEST: Final = 0x1
_NLM_F_DUMP: Final = 0x300
_ERROR: Final = 2
_DONE: Final = 3
_NEW_LINK, _GET_LINK = 16, 18
_NEW_ADDRESS, _GET_ADDRESS = 20, 22
_IFLA_ADDRESS, _IFLA_NAME, _IFLA_MTU, _IFLA_STATS64 = 1, 3, 4, 23
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_LOOPBACK: Final = 0x8

_MOST: Final = 1024
"""Interfaces that are told."""
_SEQUENCE: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as it is now; counters since it exists."""

    name: str
    index: int
    hardware: int
    """ARPHRD_ value."""
    state: LinkState
    loopback: bool
    mtu: int
    addresses: tuple[str, ...]
    """IPv4 and IPv6, without prefix length; those that are valid beyond the link come first."""
    packets: int
    """In and out."""
    bytes: int


def open_route() -> socket.socket:
    """A socket to ask with, in the namespace of this thread. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    sock.settimeout(1.0)
    return sock


def links(sock: socket.socket) -> list[Link]:
    """The interfaces of the namespace in which `sock` was made, those that are up first. Raises OSError."""
    addresses: dict[int, list[tuple[int, str]]] = {}
    for body in dump(sock, _GET_ADDRESS, _NEW_ADDRESS, _IFADDRMSG.pack(0, 0, 0, 0, 0)):
        _, _, _, scope, index = _IFADDRMSG.unpack_from(body)
        found = dict(attributes(body, _IFADDRMSG.size))
        packed = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS, b""))
        if len(packed) in (4, 16):
            addresses.setdefault(index, []).append((scope, str(ipaddress.ip_address(packed))))
    made = []
    for body in dump(sock, _GET_LINK, _NEW_LINK, _IFINFOMSG.pack(0, 0, 0, 0, 0)):
        _, hardware, index, flags, _ = _IFINFOMSG.unpack_from(body)
        found = dict(attributes(body, _IFINFOMSG.size))
        counted = found.get(_IFLA_STATS64, b"").ljust(_STATS64.size, b"\0")
        packets_in, packets_out, bytes_in, bytes_out = _STATS64.unpack_from(counted)
        made.append(
            Link(
                name=found.get(_IFLA_NAME, b"").rstrip(b"\0").decode("utf-8", "surrogateescape"),
                index=index,
                hardware=hardware,
                state=state_of(flags),
                loopback=bool(flags & _IFF_LOOPBACK),
                mtu=int.from_bytes(found.get(_IFLA_MTU, b"")[:4], sys.byteorder),
                addresses=tuple(text for _, text in sorted(addresses.get(index, []), key=lambda each: each[0])),
                packets=packets_in + packets_out,
                bytes=bytes_in + bytes_out,
            )
        )
        if len(made) >= _MOST:
            break
    return sorted(made, key=lambda link: (link.state is not LinkState.UP, link.loopback, link.name))


def dump(sock: socket.socket, ask: int, answer: int, body: bytes) -> Iterator[bytes]:
    """The bodies of all messages of type `answer` that a dump of type `ask` brings. Raises OSError."""
    sequence = next(_SEQUENCE)
    size = NLMSGHDR.size + len(body)
    sock.send(NLMSGHDR.pack(size, ask, _NLM_F_REQUEST | _NLM_F_DUMP, sequence, 0) + body)
    while True:
        for kind, number, found in messages(sock.recv(1 << 16)):
            if number != sequence:
                continue  # of a question that timed out, or was not read to its end
            if kind in (_DONE, _ERROR):
                return
            if kind == answer:
                yield found


def messages(answer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, body) of the netlink messages in one datagram (netlink(7))."""
    at = 0
    while at + NLMSGHDR.size <= len(answer):
        length, kind, _, sequence, _ = NLMSGHDR.unpack_from(answer, at)
        if length < NLMSGHDR.size:
            return
        yield kind, sequence, answer[at + NLMSGHDR.size : at + length]
        at += (length + 3) & ~3


def attributes(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """(type, value) of the attributes that begin at `at` (rtnetlink(7))."""
    while at + RTATTR.size <= len(body):
        length, kind = RTATTR.unpack_from(body, at)
        if length < RTATTR.size:
            return
        yield kind, body[at + RTATTR.size : at + length]
        at += (length + 3) & ~3
