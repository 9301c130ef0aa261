"""What an interface lost before any capture could see it: rtnl_link_stats64 over netlink (RTM_GETSTATS).

Not /sys/class/net: it keeps showing the namespace in which it was mounted. A netlink socket belongs to the namespace
in which it was made, so counters stay those of the captured interface whichever thread reads them.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from netwatch.capture.kernel import bpf, link
from netwatch.capture.kernel.rtnetlink import NLMSGHDR, attributes, messages

__all__ = ["Missed", "handled_protocols"]

_RTM_NEWSTATS: Final = 92
_RTM_GETSTATS: Final = 94
_NLM_F_REQUEST: Final = 0x1
_NLM_F_DUMP: Final = 0x300
_NLMSG_ERROR: Final = 2
_NLMSG_DONE: Final = 3
_IFLA_STATS_LINK_64: Final = 1

_IF_STATS_MSG: Final = struct.Struct("=BxxxII")
"""family, interface index, filter mask"""
_STATS64: Final = struct.Struct("=16Q")
"""The first 16 counters of rtnl_link_stats64; later kernels only append."""
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_STATISTICS: Final = struct.Struct("=II")
"""tpacket_stats: packets, among them those dropped; reading resets them"""
_RX_DROPPED: Final = 6
_RX_MISSED_ERRORS: Final = 15


class Missed:
    """Rise of rx_dropped + rx_missed_errors of one interface, or of all, between `begin` and `end`.

    Without what was dropped only after captures had it: packets with a VLAN tag that no protocol of this machine
    wants. A packet socket that never reads counts them; PACKET_STATISTICS has those for which it had no room too.
    """

    def __init__(self, route: socket.socket, discarded: socket.socket, handled: Sequence[int]) -> None:
        """`route`: a netlink socket, `discarded`: a packet socket, both of the interface's namespace and this
        object's alone; they stay open. `handled`: as `handled_protocols`."""
        self._route = route
        self._discarded = discarded
        self._handled = handled
        self._reading = threading.Lock()
        self._interface: int | None = None
        self._counting = False
        self._sequence = 0
        self._risen = 0
        self._last: dict[int, int] = {}

    def begin(self, interface: int | None) -> None:
        """Count from here on, besides what was counted before. `interface`: its index; None: all. Raises OSError."""
        self.rise()
        with self._reading:
            self._interface = interface
            self._last = dict(self._read())
            self._discarded.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            bpf.attach(self._discarded, bpf.discarded_after_capture(self._handled))
            link.bind_packets(self._discarded, interface or 0)
            self._statistics()
            self._counting = True

    @property
    def counting(self) -> bool:
        """`begin` was called, and not `end` since."""
        return self._counting

    def follow(self, interface: int) -> None:
        """Go on with the interface that took the place of the one that was deleted. Raises OSError."""
        self._interface = interface
        link.bind_packets(self._discarded, interface)

    def rise(self) -> int:
        """Packets since `begin`; what an interface counted before it was deleted stays counted. Any thread."""
        with self._reading:
            if self._counting:
                for number, value in self._read():
                    # An interface that came later began at zero; one that was reset begins again.
                    self._risen += max(0, value - self._last.get(number, 0))
                    self._last[number] = value
                self._risen -= self._statistics()
            return max(0, self._risen)

    def end(self) -> None:
        """Count no further; `rise` keeps what it was, until `begin`. Idempotent."""
        self.rise()
        with self._reading:
            self._counting = False

    def _statistics(self) -> int:
        """Packets that were discarded since the last time."""
        statistics = self._discarded.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        packets: int = _STATISTICS.unpack(statistics)[0]
        return packets

    def _read(self) -> Iterator[tuple[int, int]]:
        """(interface index, packets missed) as they are now; nothing for an interface that is gone."""
        self._sequence += 1
        flags = _NLM_F_REQUEST | (_NLM_F_DUMP if self._interface is None else 0)
        size = NLMSGHDR.size + _IF_STATS_MSG.size
        request = NLMSGHDR.pack(size, _RTM_GETSTATS, flags, self._sequence, 0)
        request += _IF_STATS_MSG.pack(0, self._interface or 0, 1 << (_IFLA_STATS_LINK_64 - 1))
        try:
            self._route.send(request)
            while True:
                answer = self._route.recv(1 << 16)
                for kind, sequence, body in messages(answer):
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


def handled_protocols() -> list[int]:
    """EtherTypes that someone here takes (Documentation/filesystems/proc.rst, net/ptype). Raises OSError."""
    lines = Path("/proc/thread-self/net/ptype").read_text().splitlines()[1:]
    return sorted({int(line[:4], 16) for line in lines if line and not line.startswith("ALL")})


def _counters(body: bytes) -> Iterator[tuple[int, int]]:
    interface: int = _IF_STATS_MSG.unpack_from(body)[1]
    for kind, value in attributes(body, _IF_STATS_MSG.size):
        if kind == _IFLA_STATS_LINK_64 and len(value) >= _STATS64.size:
            stats = _STATS64.unpack_from(value)
            yield interface, stats[_RX_DROPPED] + stats[_RX_MISSED_ERRORS]
