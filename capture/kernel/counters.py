"""What an interface lost before any capture could see it: rtnl_link_stats64 over netlink (RTM_GETSTATS).

Not /sys/class/net: it keeps showing the namespace in which it was mounted. A netlink socket belongs to the namespace
in which it was made, so counters stay those of the captured interface whichever thread reads them.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final

__all__ = ["Missed"]

_RTM_NEWSTATS: Final = 92
_RTM_GETSTATS: Final = 94
_NLM_F_REQUEST: Final = 0x1
_NLM_F_DUMP: Final = 0x300
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_IFLA_STATS_LINK_64: Final = 1

_NLMSGHDR: Final = struct.Struct("=IHHII")
"""length, type, flags, sequence number, port"""
_IF_STATS_MSG: Final = struct.Struct("=BxxxII")
"""family, interface index, filter mask"""
_RTATTR: Final = struct.Struct("=HH")
_STATS64: Final = struct.Struct("=16Q")
"""The first 16 counters of rtnl_link_stats64; later kernels only append."""
_RX_DROPPED: Final = 6
_RX_MISSED_ERRORS: Final = 15


class Missed:
    """Rise of rx_dropped + rx_missed_errors of one interface, or of all, since this was made."""

    def __init__(self, interface: int | None) -> None:
        """`interface`: its index; None: all of the namespace. Raises OSError."""
        self._interface = interface
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._sock.settimeout(1.0)
        self._reading = threading.Lock()
        self._sequence = 0
        self._total = 0
        self._last = dict(self._read())

    def rise(self) -> int:
        """Packets since the start; what an interface counted before it was deleted stays counted. Any thread."""
        with self._reading:
            for number, value in self._read():
                # An interface that came later began at zero; one that was reset begins again.
                self._total += max(0, value - self._last.get(number, 0))
                self._last[number] = value
            return self._total

    def follow(self, interface: int) -> None:
        """Go on with the interface that took the place of the one that was deleted."""
        self._interface = interface

    def close(self) -> None:
        """Idempotent; `rise` keeps what it was."""
        with self._reading:
            self._sock.close()

    def _read(self) -> Iterator[tuple[int, int]]:
        """(interface index, packets missed) as they are now; nothing for an interface that is gone."""
        self._sequence += 1
        flags = _NLM_F_REQUEST | (_NLM_F_DUMP if self._interface is None else 0)
        size = _NLMSGHDR.size + _IF_STATS_MSG.size
        request = _NLMSGHDR.pack(size, _RTM_GETSTATS, flags, self._sequence, 0)
        request += _IF_STATS_MSG.pack(0, self._interface or 0, 1 << (_IFLA_STATS_LINK_64 - 1))
        try:
            self._sock.send(request)
            while True:
                answer = self._sock.recv(1 << 16)
                for kind, sequence, body in _messages(answer):
                    if sequence != self._sequence:
                        continue  # of a question that timed out
                    if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                        return
                    if kind == _RTM_NEWSTATS:
                        yield from _counters(body)
                        if self._interface is not None:
                            return
        except OSError:
            return


def _messages(answer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, sequence number, body) of the netlink messages in one datagram (netlink(7))."""
    at = 0
    while at + _NLMSGHDR.size <= len(answer):
        length, kind, _, sequence, _ = _NLMSGHDR.unpack_from(answer, at)
        if length < _NLMSGHDR.size:
            return
        yield kind, sequence, answer[at + _NLMSGHDR.size : at + length]
        at += (length + 3) & ~3


def _counters(body: bytes) -> Iterator[tuple[int, int]]:
    interface: int = _IF_STATS_MSG.unpack_from(body)[1]
    at = _IF_STATS_MSG.size
    while at + _RTATTR.size <= len(body):
        length, kind = _RTATTR.unpack_from(body, at)
        if length < _RTATTR.size:
            return
        if kind == _IFLA_STATS_LINK_64 and length >= _RTATTR.size + _STATS64.size:
            stats = _STATS64.unpack_from(body, at + _RTATTR.size)
            yield interface, stats[_RX_DROPPED] + stats[_RX_MISSED_ERRORS]
        at += (length + 3) & ~3
