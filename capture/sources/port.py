"""An interface that is captured, and the sockets, ring and filter that it is captured with."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from netwatch.capture.errors import CaptureError
from netwatch.capture.kernel import bpf, hiding, link
from netwatch.capture.kernel.counters import Missed
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.kernel.sockets import Sockets
from netwatch.capture.sources.frames import LINKTYPE_LINUX_SLL2, SLL2_SIZE
from netwatch.capture.sources.ring import Ring

__all__ = ["ANY", "Filters", "Port", "Tap", "linktype_of"]

ANY: Final = "any"
"""The name that stands for all interfaces."""

_LINKTYPE_ETHERNET: Final = 1
_LINKTYPES: Final = {
    1: _LINKTYPE_ETHERNET,  # ETHER
    link.ARPHRD_LOOPBACK: _LINKTYPE_ETHERNET,
    519: 101,  # RAWIP
    768: 101,  # TUNNEL: IP in IP
    769: 101,  # TUNNEL6
    776: 101,  # SIT
    65534: 101,  # NONE: tun, WireGuard
    801: 105,  # IEEE80211
    802: 119,  # IEEE80211_PRISM
    803: 127,  # IEEE80211_RADIOTAP
}
"""LINKTYPE_ value by ARPHRD_ value of interfaces whose link header is handed over as it is (linux/if_arp.h,
https://www.tcpdump.org/linktypes.html). Anything else, PPP too (its drivers differ in what they give), is captured
cooked: without link header, with what the kernel knows of it in a LINUX_SLL2 header."""


_LATER: Final = (_LINKTYPE_ETHERNET, 101, LINKTYPE_LINUX_SLL2)
"""Link types that one may switch to."""


def linktype_of(hardware: int) -> int:
    """LINKTYPE_ value of what is captured on an interface with this ARPHRD_ value; 0 stands for `any`."""
    return _LINKTYPES.get(hardware, LINKTYPE_LINUX_SLL2)


class Filters:
    """The capture filter, as the kernel takes it, by the kind of interface.

    It is compiled for all that may come while that can still be done: libpcap reads /etc/services, and opens a socket
    for VLANs.
    """

    def __init__(self, expression: str, snaplen: int) -> None:
        self._expression = expression.strip()
        self._snaplen = snaplen
        self._compiled: dict[int, bpf.Program | CaptureError] = {}

    def program(self, name: str, hardware: int) -> bpf.Program:
        """For the interface of this name and ARPHRD_ value. Raises CaptureError 2."""
        linktype = linktype_of(hardware)
        if linktype not in self._compiled:
            self._compiled[linktype] = self._compile(name, linktype)
        program = self._compiled[linktype]
        if isinstance(program, CaptureError):
            raise program
        if name == ANY or hardware == link.ARPHRD_LOOPBACK:
            program = bpf.without_loopback_copies(program)
        return program

    def compile_all(self) -> None:
        """Now, for interfaces that come later."""
        for linktype in _LATER if self._expression else ():
            if linktype not in self._compiled:
                try:
                    self._compiled[linktype] = self._compile("lo", linktype)
                except CaptureError as error:
                    self._compiled[linktype] = error  # said where such an interface is asked for

    def _compile(self, name: str, linktype: int) -> bpf.Program:
        cooked = linktype == LINKTYPE_LINUX_SLL2
        # The header that is put in front counts as captured.
        taken = max(1, self._snaplen - SLL2_SIZE) if cooked else self._snaplen
        if not self._expression:
            return bpf.accept(taken)
        program = bpf.compile_filter(self._expression, linktype, taken, None if cooked else name)
        return bpf.without_sll2(program) if cooked else program


class Tap:
    """Sockets of one namespace with, at times, a ring: what packets of one interface after the other come through."""

    def __init__(self, sockets: Sockets, handled: Sequence[int]) -> None:
        """`handled`: see counters.handled_protocols."""
        self.sockets = sockets
        self.missed = Missed(sockets.counters, sockets.discarded, handled)
        self.ring: Ring | None = None
        self._counting = threading.Lock()
        self._before = [0, 0, 0]

    def socket(self, cooked: bool) -> socket.socket:
        """For an interface of this kind."""
        return self.sockets.cooked if cooked else self.sockets.raw

    def counted(self) -> tuple[int, int, int]:
        """Packets, with those dropped; drops; freezes; of all rings so far. Any thread."""
        with self._counting:
            if self.ring is not None:
                self.ring.count()
            now = self._of_ring()
        return now[0], now[1], now[2]

    def use(self, ring: Ring | None) -> None:
        """In place of the one before, which is given back; what that counted stays."""
        with self._counting:
            if ring is not self.ring:
                if self.ring is not None:
                    self.ring.count()
                    self._before = self._of_ring()
                    self.ring.close()
                self.ring = ring

    def close(self) -> None:
        """Idempotent. What was counted stays."""
        self.use(None)
        self.missed.end()
        self.sockets.close()

    def _of_ring(self) -> list[int]:
        if self.ring is None:
            return self._before
        counts = (self.ring.packets, self.ring.drops, self.ring.freezes)
        return [before + count for before, count in zip(self._before, counts, strict=True)]


@dataclass(slots=True, eq=False)
class Port:
    """One name that is captured."""

    name: str
    label: str
    """What it is called where there are others: with its namespace, if that is another."""
    hardware: int
    """ARPHRD_ value."""
    tap: Tap
    program: bpf.Program
    """What the kernel's filter does where nothing is hidden."""
    number: int = -1
    """Index into LiveSource.interfaces."""
    detached: bool = True
    """Nothing is captured, whatever the kernel's filter is to let through."""
    state: LinkState = LinkState.UP
    mtu: int = 0
    """0: not known yet."""
    since: float = field(default_factory=time.monotonic)
    """When it was last up (time.monotonic)."""
    deleted: bool = False
    """Whether it was deleted since then."""
    told: bool = False
    """Whether a row says that it is not up."""

    @property
    def any(self) -> bool:
        """Whether this stands for all interfaces."""
        return self.name == ANY

    @property
    def linktype(self) -> int:
        return linktype_of(self.hardware)

    @property
    def cooked(self) -> bool:
        """Without link header, with a LINUX_SLL2 header in its place."""
        return self.linktype == LINKTYPE_LINUX_SLL2

    @property
    def ring(self) -> Ring:
        assert self.tap.ring is not None  # a port that is captured has one
        return self.tap.ring

    @property
    def descriptors(self) -> tuple[int, int]:
        """Those that a capture waits for."""
        return self.ring.sock.fileno(), self.tap.sockets.changes.fileno()

    @property
    def missed(self) -> Missed:
        return self.tap.missed

    def index(self) -> int:
        """Of its interface; 0: all. Raises OSError (ENODEV)."""
        return 0 if self.any else link.index(self.ring.sock, self.name)

    def hide(self, endpoints: Sequence[Endpoint]) -> None:
        """Leave the packets of `endpoints` out, and take all others again. Raises OSError."""
        if not self.detached:
            bpf.attach(self.ring.sock, hiding.without(endpoints, self.program, self.linktype))

    def detach(self) -> None:
        """Nothing more is captured; what the ring holds stays."""
        self.detached = True
        self.ring.detach()
