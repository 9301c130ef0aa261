"""Live capture: one TPACKET_V3 ring an interface, merged into one source."""

from __future__ import annotations

import contextlib
import errno
import heapq
import math
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from netwatch.capture.block import Block, Damage, Interface, Loss
from netwatch.capture.errors import EXIT_PERMISSION, EXIT_USAGE, CaptureError
from netwatch.capture.kernel import bpf, hiding, link, memory
from netwatch.capture.kernel.counters import Missed
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.sources.frames import LINKTYPE_LINUX_SLL2, SLL2_SIZE, event_block, to_block
from netwatch.capture.sources.ring import BLOCK_TIMEOUT, Ring
from netwatch.capture.sources.waker import Waker

__all__ = ["ANY", "LiveSource", "open_live"]

ANY: Final = "any"
"""The name that stands for all interfaces."""

DEFAULT_SNAPLEN: Final = 262144
_SHARE_OF_MEMORY: Final = 0.05
_CHECK_EVERY: Final = 1.0
"""Seconds between two looks at an interface that is down or gone."""
_GATHER: Final = 0.02
"""Seconds between two blocks: fewer and larger ones cost a third less to decode. A lone packet is not held."""
_GATHER_RING: Final = 32 << 20
"""Bytes of a ring that can hold what comes meanwhile: 12 Gbit/s."""
_EVENT_DELAY: Final = {LinkState.NO_CARRIER: 1.5}
"""Seconds until a change becomes a row, at least as long as the packets before it wait in a block. The carrier is
missing for a moment whenever an interface is brought up; the kernel takes up to a second to say that it is there."""
_DRAIN_AT_MOST: Final = 1.0
"""Seconds that `finish` waits for blocks that the statistics promise."""
_MOST_FILTERS: Final = 256
"""Words of what was hidden: one who connects again and again adds to them."""

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


@dataclass(slots=True)
class Port:
    """One name that is captured, and the ring it is captured with."""

    name: str
    hardware: int
    """ARPHRD_ value."""
    linktype: int
    cooked: bool
    number: int
    """Index into LiveSource.interfaces."""
    ring: Ring
    missed: Missed
    program: bpf.Program
    """What the kernel's filter does where nothing is hidden."""
    state: LinkState = LinkState.UP
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

    def hide(self, endpoints: Sequence[Endpoint]) -> None:
        """Leave the packets of `endpoints` out, and take all others again. Raises OSError."""
        bpf.attach(self.ring.sock, hiding.without(endpoints, self.program, self.linktype))

    def close(self) -> None:
        """Idempotent."""
        self.ring.close()
        self.missed.end()


class LiveSource:
    """A Source (capture/block.py). Nothing arrives before `start`."""

    live = True
    exhausted: bool
    damage: Damage | None

    def __init__(self, ports: list[Port], *, snaplen: int, promiscuous: bool, notes: list[str]) -> None:
        self.name = ", ".join(port.name for port in ports)
        self.interfaces = [Interface(port.name, port.linktype, snaplen) for port in ports]
        self.exhausted = False
        self.damage = None
        self.notes = notes
        """One-line messages for the person."""
        self.ports = ports
        """By their index in `interfaces`."""
        self.ring_size = sum(port.ring.size for port in ports)
        """Bytes of all rings: memory of the kernel's, mapped and not the program's own."""
        self.ring_most = int(memory.available() * _SHARE_OF_MEMORY)
        """Bytes that could be had."""
        self._snaplen = snaplen
        self._promiscuous = promiscuous
        self._started = False
        self._closed = False
        self._attaching = threading.Lock()
        self._detached = False
        self._hidden: dict[str, tuple[Endpoint, ...]] = {}
        """By the reason why they are."""
        self.hidden_filters: tuple[str, ...] = ()
        """Whatever was hidden so far, in pcap-filter(7) words."""
        self._events: list[tuple[float, int, int, LinkState, str]] = []
        """Heap of (when it is due, its time stamp, port, new state, text)."""
        self._check_at = 0.0
        self._gather = _GATHER if min(port.ring.size for port in ports) >= _GATHER_RING else 0.0
        self._gather_until = 0.0
        self._behind = False
        """More can be taken at once."""
        self._links = link.watch_links()
        self._waker = Waker()
        self._poll, self._interrupts = select.poll(), select.poll()
        for poll in (self._poll, self._interrupts):
            poll.register(self._waker, select.POLLIN)
        self._poll.register(self._links, select.POLLIN)
        for port in ports:
            self._poll.register(port.ring.sock, select.POLLIN)

    def start(self) -> None:
        """Bind: packets can arrive from here on. Idempotent. Raises CaptureError."""
        if self._started:
            return
        self._started = True
        for port in self.ports:
            try:
                port.missed.begin(None if port.any else link.index(port.ring.sock, port.name))
                self._bind(port)
            except OSError as error:
                raise CaptureError(f"cannot capture on {port.name}: {error.strerror}", EXIT_USAGE) from error
        self._look(time.monotonic())

    @property
    def hidden(self) -> tuple[Endpoint, ...]:
        """Connections that the kernel rejects now."""
        return tuple(endpoint for endpoints in self._hidden.values() for endpoint in endpoints)[: hiding.MOST]

    def hide(self, endpoints: Sequence[Endpoint], reason: str = "own session") -> None:
        """From here on the kernel rejects the packets of `endpoints`, in place of others hidden for `reason`.

        Any thread, before `start` or while packets arrive: the kernel changes its filter at once, none is lost by it.
        Raises OSError.
        """
        with self._attaching:
            self._hidden[reason] = tuple(dict.fromkeys(endpoints))
            if self._detached or self._closed:
                return
            for port in self.ports:
                port.hide(self.hidden)
            words = map(hiding.filter_words, self.hidden)
            self.hidden_filters = tuple(dict.fromkeys((*self.hidden_filters, *words)))[-_MOST_FILTERS:]

    def next_block(self, timeout: float) -> Block | None:
        """See Source. Of several interfaces, the one whose packets are oldest comes first, up to 8 MiB of them."""
        deadline = time.monotonic() + timeout
        while not self.exhausted:
            now = time.monotonic()
            if now >= self._check_at:
                self._look(now)
            gathering = self._gather_until - now
            block = self._event(now) or (self._take() if gathering <= 0 else None)
            if block is not None:
                self._gather_until = now + (0.0 if self._behind else self._gather)
                return block
            if gathering > 0:
                woken = self._wait(min(gathering, deadline - now), self._interrupts)
            else:
                until = min(deadline, self._check_at, self._events[0][0] if self._events else deadline)
                woken = self._wait(until - now, self._poll)
            if woken or time.monotonic() >= deadline:
                return self._take()
        return None

    def finish(self) -> Iterator[Block]:
        """Detach, wait one block time-out, then all that the ring still holds. Afterwards `loss` is final."""
        with self._attaching:
            self._detached = True
        for port in self.ports:
            port.ring.detach()
            # What the interface drops from here on is no loss of this capture.
            port.missed.end()
        begin = time.monotonic()
        while not self.exhausted:
            block = self._take()
            if block is not None:
                yield block
                continue
            waited = time.monotonic() - begin
            # The statistics say what is still to come: a timer that is late loses nothing.
            if waited > 1.5 * BLOCK_TIMEOUT and (self._settled() or waited > _DRAIN_AT_MOST):
                break
            self._wait(BLOCK_TIMEOUT / 4, self._poll)
        while (block := self._event(math.inf)) is not None:
            yield block
        self.exhausted = True

    def read_at(self, pos: int, size: int) -> bytes:
        """Never needed: every block is `owned`."""
        raise LookupError(f"live packets are kept with their rows ({size} bytes at {pos})")

    def loss(self) -> Loss:
        """See Source. The only reader of the kernel's counters, which reset when read."""
        loss = Loss()
        for port in self.ports:
            port.ring.count()
            loss.ring += port.ring.drops
            loss.freezes += port.ring.freezes
            loss.interface += port.missed.rise()
        return loss

    @property
    def filled(self) -> float:
        """How full the ring is that has the least room, 0 to 1. For the thread that calls next_block."""
        return max(port.ring.filled for port in self.ports)

    def progress(self) -> tuple[int, int] | None:
        """A live capture has no size."""
        return None

    def wake(self) -> None:
        """See Source."""
        self._waker.set()

    def close(self) -> None:
        """See Source. `loss` stays as it was."""
        if self._closed:
            return
        self.loss()
        with self._attaching:
            self._closed = True
        self.exhausted = True
        for port in self.ports:
            port.close()
        self._links.close()
        self._waker.close()

    def _bind(self, port: Port) -> None:
        port.ring.bind(0 if port.any else link.index(port.ring.sock, port.name), self._promiscuous)

    def _take(self) -> Block | None:
        """What has arrived, from the ring whose packets are oldest."""
        while True:
            waiting = [(at, port.number) for port in self.ports if (at := port.ring.first_time()) is not None]
            if not waiting:
                return None
            port = self.ports[min(waiting)[1]]
            taken = port.ring.take()
            # Waiting between two blocks of some MiB would put a limit on what can be captured.
            self._behind = port.ring.cut or len(waiting) > 1
            if taken is not None:
                return to_block(*taken, port.number, port.linktype, self._snaplen, port.cooked)

    def _wait(self, seconds: float, poll: select.poll) -> bool:
        """Until what `poll` waits for or `seconds` have passed; True if `wake` was called."""
        woken = False
        # Rounded up: a wait that ends too early only goes round again.
        for number, what in poll.poll(math.ceil(max(0.0, seconds) * 1000)):
            if number == self._waker.fileno():
                self._waker.clear()
                woken = True
            elif number == self._links.fileno():
                link.skip_messages(self._links)
                self._check_at = 0.0
            elif what & select.POLLERR:
                self._check_at = 0.0
                self._failed(number)
        return woken

    def _failed(self, number: int) -> None:
        """The kernel took a socket off its interface: down, or deleted."""
        port = next(port for port in self.ports if port.ring.sock.fileno() == number)
        # Reading the error clears it; the socket goes on by itself when the link is up again.
        if (
            port.ring.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN
            and port.state is LinkState.UP
        ):
            self._changed(port, LinkState.DOWN)

    def _look(self, now: float) -> None:
        """Note what became of the interfaces since the last time; bind again to one that is back."""
        self._check_at = now + _CHECK_EVERY
        for port in self.ports:
            if not port.any:
                self._changed(port, self._state(port))

    def _state(self, port: Port) -> LinkState:
        if port.state is not LinkState.GONE:
            name = port.ring.bound_name()
            return link.link_state(port.ring.sock, name) if name else LinkState.GONE
        with contextlib.suppress(OSError):
            # Another kind of interface under the old name would need another socket and filter.
            if link.hardware_type(port.ring.sock, port.name) == port.hardware:
                self._bind(port)
                port.missed.follow(link.index(port.ring.sock, port.name))
                return link.link_state(port.ring.sock, port.name)
        return LinkState.GONE

    def _changed(self, port: Port, state: LinkState) -> None:
        if state is port.state:
            return
        now = time.monotonic()
        text = str(state)
        if port.state is LinkState.UP:
            port.since = now
        if state is LinkState.UP:
            text = f"{'back' if port.deleted else state} after {now - port.since:.1f} s"
            port.deleted = False
        elif state is LinkState.GONE:
            port.deleted = True
            self._check_at = 0.0  # it may be back already
        port.state = state
        if port.deleted and state not in (LinkState.UP, LinkState.GONE):
            return  # made again, but not up yet
        due = now + _EVENT_DELAY.get(state, 1.5 * BLOCK_TIMEOUT)
        heapq.heappush(self._events, (due, time.time_ns(), port.number, state, f"{port.name}: {text}"))

    def _event(self, now: float) -> Block | None:
        while self._events and now >= self._events[0][0]:
            _, ts, number, state, text = heapq.heappop(self._events)
            port = self.ports[number]
            passed = state is LinkState.NO_CARRIER and port.state is not state
            if not passed and (state is not LinkState.UP or port.told):
                port.told = state is not LinkState.UP
                return event_block(text, ts, number, port.linktype)
        return None

    def _settled(self) -> bool:
        for port in self.ports:
            port.ring.count()
        return all(port.ring.settled for port in self.ports)


def open_live(names: list[str], *, ring: int, snaplen: int, promiscuous: bool, capture_filter: str) -> LiveSource:
    """Rings of together `ring` bytes on the interfaces `names` (`any`: all), filtered, not yet bound: see `start`.

    `snaplen`: bytes kept of a packet, 0 for all; `capture_filter`: pcap-filter(7), empty for everything. At most 5 %
    of the available memory is taken.
    Raises CaptureError: 2 unknown interface, bad filter, no libpcap, or not Linux; 77 no permission.
    """
    if sys.platform != "linux":
        raise CaptureError(
            "live capture needs Linux; files (-r), streams (-r -) and `netwatch demo` work here", EXIT_USAGE
        )
    names = list(dict.fromkeys(names))
    snaplen = snaplen if snaplen > 0 else DEFAULT_SNAPLEN
    allowed = min(ring, int(memory.available() * _SHARE_OF_MEMORY))
    opened: list[Port] = []
    try:
        for number, name in enumerate(names):
            opened.append(_open_port(number, name, allowed // len(names), snaplen, capture_filter))
        notes = _notes(ring, allowed, opened)
        source = LiveSource(opened, snaplen=snaplen, promiscuous=promiscuous, notes=notes)
    except PermissionError as error:
        _close(opened)
        options = " ".join(f"-i {name}" for name in names)
        raise CaptureError(
            f"no permission to capture on {', '.join(names)}: CAP_NET_RAW is missing; "
            f'run: sudo "$(command -v netwatch)" {options}',
            EXIT_PERMISSION,
        ) from error
    except OSError as error:
        _close(opened)
        raise CaptureError(f"cannot capture on {', '.join(names)}: {error.strerror}", EXIT_USAGE) from error
    except CaptureError:
        _close(opened)
        raise
    return source


def _open_port(number: int, name: str, size: int, snaplen: int, capture_filter: str) -> Port:
    """Raises CaptureError, OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        hardware = 0
        if name != ANY:
            try:
                hardware = link.hardware_type(asking, name)
            except OSError as error:
                known = ", ".join([*(other for _, other in socket.if_nameindex()), ANY])
                raise CaptureError(f"no interface {name!r}; there are: {known}", EXIT_USAGE) from error
    linktype = _LINKTYPES.get(hardware, LINKTYPE_LINUX_SLL2)
    cooked = linktype == LINKTYPE_LINUX_SLL2
    program = _program(name, hardware, linktype, snaplen, capture_filter)
    ring = Ring(size, socket.SOCK_DGRAM if cooked else socket.SOCK_RAW, program)
    try:
        return Port(name, hardware, linktype, cooked, number, ring, Missed(), program)
    except OSError:
        ring.close()
        raise


def _program(name: str, hardware: int, linktype: int, snaplen: int, capture_filter: str) -> bpf.Program:
    cooked = linktype == LINKTYPE_LINUX_SLL2
    # The header that is put in front counts as captured.
    taken = max(1, snaplen - SLL2_SIZE) if cooked else snaplen
    if not capture_filter.strip():
        program = bpf.accept(taken)
    else:
        program = bpf.compile_filter(capture_filter, linktype, taken, None if cooked else name)
        program = bpf.without_sll2(program) if cooked else program
    if name == ANY or hardware == link.ARPHRD_LOOPBACK:
        program = bpf.without_loopback_copies(program)
    return program


def _notes(asked: int, allowed: int, ports: list[Port]) -> list[str]:
    halved = any(port.ring.halved for port in ports)
    if not halved and allowed == asked:
        return []
    size = memory.size_text(sum(port.ring.size for port in ports))
    why = "the kernel has no memory for more" if halved else "5 % of the available memory"
    return [f"ring {size} instead of {memory.size_text(asked)}: {why}"]


def _close(ports: list[Port]) -> None:
    for port in ports:
        port.close()
