"""Live capture: one TPACKET_V3 ring an interface, merged into one source."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from netwatch.capture.block import Block, Damage, Interface, Loss
from netwatch.capture.errors import EXIT_PERMISSION, EXIT_USAGE, CaptureError
from netwatch.capture.kernel import hiding, link, memory
from netwatch.capture.kernel.counters import handled_protocols
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.kernel.namespaces import OWN, Place
from netwatch.capture.kernel.rtnetlink import Link, links
from netwatch.capture.kernel.sockets import Sockets
from netwatch.capture.sources.events import Events
from netwatch.capture.sources.frames import to_block
from netwatch.capture.sources.port import ANY, Filters, Port, Tap
from netwatch.capture.sources.ring import BLOCK_TIMEOUT
from netwatch.capture.sources.switching import Plan, Wanted, plan
from netwatch.capture.sources.waker import Waker

__all__ = ["ANY", "LiveSource", "open_live"]

DEFAULT_SNAPLEN: Final = 262144
_SHARE_OF_MEMORY: Final = 0.05
_CHECK_EVERY: Final = 1.0
"""Seconds between two looks at an interface that is down or gone."""
_GATHER: Final = 0.02
"""Seconds between two blocks: fewer and larger ones cost a third less to decode. A lone packet is not held."""
_GATHER_RING: Final = 32 << 20
"""Bytes of a ring that can hold what comes meanwhile: 12 Gbit/s."""
_DRAIN_AT_MOST: Final = 1.0
"""Seconds that `finish` waits for blocks that the statistics promise."""
_MOST_FILTERS: Final = 256
"""Words of what was hidden: one who connects again and again adds to them."""


class LiveSource:
    """A Source (capture/block.py). Nothing arrives before `start`."""

    live = True
    exhausted: bool
    damage: Damage | None

    def __init__(
        self,
        ports: list[Port],
        *,
        place: Place,
        snaplen: int,
        promiscuous: bool,
        ring: int,
        filters: Filters,
        handled: Sequence[int],
        notes: list[str],
    ) -> None:
        """`ring`: bytes of all rings that are to be had; `handled`: see counters.handled_protocols."""
        self.interfaces: list[Interface] = []
        """Those that were captured so far; one that is captured again stands there once."""
        self.exhausted = False
        self.damage = None
        self.notes = notes
        """One-line messages for the person."""
        self.ports = ports
        """What is captured now."""
        self.place = place
        """The network namespace of all ports."""
        self.ring_most = int(memory.available() * _SHARE_OF_MEMORY)
        """Bytes that could be had."""
        self.home = place
        """The namespace in which the capture began."""
        self._ring = ring
        self._filters = filters
        self._handled = handled
        self._taps = [port.tap for port in ports]
        """All that there were: what they counted stays."""
        self._spare: list[Tap] = []
        """Of `home`, while others are captured: the way back needs nobody's help."""
        self._snaplen = snaplen
        self._promiscuous = promiscuous
        self._started = False
        self._closed = False
        self._attaching = threading.RLock()
        self._detached = False
        self._hidden: dict[str, tuple[Endpoint, ...]] = {}
        """By the reason why they are."""
        self.hidden_filters: tuple[str, ...] = ()
        """Whatever was hidden so far, in pcap-filter(7) words."""
        self._planning = threading.Lock()
        self._plan: Plan | None = None
        """What is to be captured in place of what is."""
        self._place_told = False
        """A row says that the namespace was deleted."""
        self._events = Events()
        self._check_at = 0.0
        self._gather_until = 0.0
        self._behind = False
        """More can be taken at once."""
        self._waker = Waker()
        for port in ports:
            self._describe(port)
        self._take_over(ports, place)

    def _take_over(self, ports: list[Port], place: Place) -> None:
        """These are captured from now on."""
        self.ports, self.place = ports, place
        self.name = " ".join(filter(None, (place.words, ", ".join(port.name for port in ports) or "deleted")))
        self.ring_size = sum(port.ring.size for port in ports)
        """Bytes of all rings: memory of the kernel's, mapped and not the program's own."""
        rings = [port.ring.size for port in ports]
        self._gather = _GATHER if min(rings, default=0) >= _GATHER_RING else 0.0
        self._poll, self._interrupts = select.poll(), select.poll()
        for poll in (self._poll, self._interrupts):
            poll.register(self._waker, select.POLLIN)
        for port in ports:
            self._poll.register(port.tap.sockets.changes, select.POLLIN)
            self._poll.register(port.ring.sock, select.POLLIN)

    def _describe(self, port: Port) -> None:
        """Give it its place among the interfaces."""
        described = Interface(port.label, port.linktype, self._snaplen)
        if described not in self.interfaces:
            self.interfaces.append(described)
        port.number = self.interfaces.index(described)

    def start(self) -> None:
        """Bind: packets can arrive from here on. Idempotent. Raises CaptureError."""
        if self._started:
            return
        self._started = True
        for port in self.ports:
            try:
                self._bind(port)
            except OSError as error:
                raise CaptureError(f"cannot capture on {port.name}: {error.strerror}", EXIT_USAGE) from error
        self._look(time.monotonic())

    def links(self, place: Place | None = None) -> list[Link]:
        """The interfaces of the namespace that is captured, or of `place`, as they are now; none where no socket is
        of it. One thread at a time. Raises OSError."""
        here = place is None or place.inode == self.place.inode
        taps = [port.tap for port in self.ports] if here else []
        if place is not None and place.inode == self.home.inode:
            taps = taps + self._spare
        return links(taps[0].sockets.route) if taps else []

    def switch(
        self, names: Sequence[str], place: Place | None = None, fetch: Callable[[], Sockets] | None = None
    ) -> None:
        """Capture on `names` of the namespace `place` (None: the present one), in place of what is captured now.

        Any thread but that of next_block, which does it once all that is in the rings was taken; a row says so.
        `fetch` makes sockets in `place`; where the present ones are enough it is not called, and may be None.
        Raises CaptureError, then everything stays as it is; what `fetch` raises.
        """
        with self._planning:
            place = self.home if place is not None and place.inode == self.home.inode else place
            if self._plan is not None or self._closed:
                raise CaptureError("one moment: it is just being switched", EXIT_USAGE)
            wanted = Wanted(tuple(dict.fromkeys(names)), place or self.place, self.home, fetch)
            there = (self.ports, self.place, self._spare, self._filters, self._handled, self._ring)
            try:
                made = plan(wanted, *there)
            except OSError as error:
                raise CaptureError(f"cannot capture on {', '.join(names)}: {error.strerror}", EXIT_USAGE) from error
            if made.coming or made.leaving:
                self._plan = made
        self.wake()

    @property
    def switching(self) -> bool:
        """What `switch` was told is still to be done."""
        return self._plan is not None

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
            if self._plan is not None:
                self._go_over(self._plan, now)
            if now >= self._check_at:
                self._look(now)
            gathering = self._gather_until - now
            block = self._events.next(now, self.ports) or (self._take() if gathering <= 0 else None)
            if block is not None:
                self._gather_until = now + (0.0 if self._behind else self._gather)
                return block
            if gathering > 0:
                woken = self._wait(min(gathering, deadline - now), self._interrupts)
            else:
                until = min(deadline, self._check_at, self._events.due(deadline))
                if self._plan is not None:
                    until = min(until, now + BLOCK_TIMEOUT / 4)
                woken = self._wait(until - now, self._poll)
            if woken or time.monotonic() >= deadline:
                return self._take()
        return None

    def finish(self) -> Iterator[Block]:
        """Detach, wait one block time-out, then all that the ring still holds. Afterwards `loss` is final."""
        with self._attaching:
            self._detached = True
            for port in self.ports:
                port.detach()
        for port in self.ports:
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
            if waited > 1.5 * BLOCK_TIMEOUT and (_settled(self.ports) or waited > _DRAIN_AT_MOST):
                break
            self._wait(BLOCK_TIMEOUT / 4, self._poll)
        while (block := self._events.next(math.inf, self.ports)) is not None:
            yield block
        self.exhausted = True

    def read_at(self, pos: int, size: int) -> bytes:
        """Never needed: every block is `owned`."""
        raise LookupError(f"live packets are kept with their rows ({size} bytes at {pos})")

    def loss(self) -> Loss:
        """See Source. The only reader of the kernel's counters, which reset when read."""
        loss = Loss()
        for tap in list(self._taps):
            _, drops, freezes = tap.counted()
            loss.ring += drops
            loss.freezes += freezes
            loss.interface += tap.missed.rise()
        return loss

    @property
    def counted(self) -> int:
        """Packets that the kernel put into the rings, of all interfaces so far."""
        counts = [tap.counted() for tap in list(self._taps)]
        return sum(packets - drops for packets, drops, _ in counts)

    @property
    def filled(self) -> float:
        """How full the ring is that has the least room, 0 to 1. For the thread that calls next_block."""
        return max((port.ring.filled for port in self.ports), default=0.0)

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
        with self._planning:
            dropped, self._plan = self._plan, None
        if dropped is not None:
            dropped.give_back()
        for tap in self._taps:
            tap.close()
        self._waker.close()

    def _bind(self, port: Port) -> None:
        """Raises OSError; then nothing is captured on it."""
        index = port.index()
        if port.missed.counting:
            port.missed.follow(index)  # made again under its name: its counters began at zero
        else:
            port.missed.begin(index or None)
        port.ring.bind(index, self._promiscuous)
        with self._attaching:
            # After this: the packets of the interface before are not taken for this one's.
            port.detached = False
            port.hide(self.hidden)

    def _go_over(self, wanted: Plan, now: float) -> None:
        """Let go of what is captured, and once that is taken turn to what is wanted."""
        if wanted.since is None:
            wanted.since = now
            with self._attaching:
                for port in wanted.leaving:
                    port.detach()
            for port in wanted.leaving:
                port.missed.end()
            return
        waited = now - wanted.since
        if waited <= 1.5 * BLOCK_TIMEOUT or any(port.ring.first_time() is not None for port in wanted.leaving):
            return
        if not _settled(wanted.leaving) and waited <= _DRAIN_AT_MOST:
            return
        with self._attaching:
            self._taps += wanted.fetched
            for tap, ring in wanted.rings:
                tap.use(ring)
            for tap in wanted.spare:
                tap.use(None)
            for tap in wanted.over:
                tap.close()
            self._spare = wanted.spare
            for port in wanted.coming:
                self._describe(port)
            self._take_over(wanted.ports, wanted.place)
        self._place_told = not wanted.ports
        self._events.tell((wanted.ports or wanted.leaving)[0], wanted.said or f"switched to {self.name}", 0.0)
        for port in wanted.coming:
            try:
                self._bind(port)
            except OSError as error:
                self._events.changed(port, LinkState.GONE)
                if error.errno != errno.ENODEV:
                    self._events.tell(port, f"cannot capture on {port.label}: {error.strerror}")
        self._plan = None
        self._check_at = 0.0

    def _take(self) -> Block | None:
        """What has arrived, from the ring whose packets are oldest."""
        while True:
            waiting = [(at, n) for n, port in enumerate(self.ports) if (at := port.ring.first_time()) is not None]
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
                continue
            port = next(port for port in self.ports if number in port.descriptors)
            if number == port.tap.sockets.changes.fileno():
                link.skip_messages(port.tap.sockets.changes)
                self._check_at = 0.0
            elif what & select.POLLERR:
                self._check_at = 0.0
                self._failed(port)
        return woken

    def _failed(self, port: Port) -> None:
        """The kernel took a socket off its interface: down, or deleted."""
        # Reading the error clears it; the socket goes on by itself when the link is up again.
        if (
            port.ring.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN
            and port.state is LinkState.UP
        ):
            self._events.changed(port, LinkState.DOWN)

    def _look(self, now: float) -> None:
        """Note what became of the interfaces since the last time; bind again to one that is back."""
        self._check_at = now + _CHECK_EVERY
        if not self._place_told and self.place.gone:
            self._place_deleted()
        for port in self.ports:
            if not (port.any or (port.detached and port.state is not LinkState.GONE)):
                if self._events.changed(port, self._state(port)):
                    self._check_at = 0.0  # it may be back already
                self._note_mtu(port)

    def _state(self, port: Port) -> LinkState:
        if port.state is not LinkState.GONE:
            name = port.ring.bound_name()
            if name and name != port.name:
                self._renamed(port, name)
            return link.link_state(port.ring.sock, name) if name else LinkState.GONE
        with contextlib.suppress(OSError):
            # Another kind of interface under the old name would need another socket and filter.
            if link.hardware_type(port.ring.sock, port.name) == port.hardware:
                self._bind(port)
                return link.link_state(port.ring.sock, port.name)
        return LinkState.GONE

    def _renamed(self, port: Port, name: str) -> None:
        """The socket stays with its interface; what comes from here on has the new name."""
        self._events.tell(port, f"{port.label}: renamed to {name}")
        port.label, port.name = port.label.removesuffix(port.name) + name, name
        self._describe(port)
        self._take_over(self.ports, self.place)

    def _note_mtu(self, port: Port) -> None:
        with contextlib.suppress(OSError):  # it is gone
            mtu = link.mtu(port.ring.sock, port.name)
            if port.mtu not in (0, mtu):
                self._events.tell(port, f"{port.label}: MTU {mtu:,}, was {port.mtu:,}")
            port.mtu = mtu

    def _place_deleted(self) -> None:
        """The namespace has lost its name. It would last as long as there is a socket in it; so they are closed, as
        far as this process is not in it itself."""
        if self.place == self.home:
            self._place_told = True
            self._events.tell(self.ports[0], f"{self.place.words}: namespace deleted; it lasts until netwatch ends")
            return
        # Whoever plans a switch may wait for sockets; packets cannot: then at the next look.
        if self._planning.acquire(blocking=False):
            try:
                if self._plan is None:
                    said = f"{self.place.words}: namespace deleted"
                    self._plan = Plan.of_nothing(self.ports, self.place, self._spare, said)
            finally:
                self._planning.release()


def _settled(ports: Sequence[Port]) -> bool:
    """All that the kernel counted as captured was handed out."""
    for port in ports:
        port.ring.count()
    return all(port.ring.settled for port in ports)


def open_live(
    names: list[str], *, ring: int, snaplen: int, promiscuous: bool, capture_filter: str, place: Place | None = None
) -> LiveSource:
    """Rings of together `ring` bytes on the interfaces `names` (`any`: all), filtered, not yet bound: see `start`.

    `snaplen`: bytes kept of a packet, 0 for all; `capture_filter`: pcap-filter(7), empty for everything. At most 5 %
    of the available memory is taken. `place`: the namespace that this thread is in, where it has a name.
    Raises CaptureError: 2 unknown interface, bad filter, no libpcap, or not Linux; 77 no permission.
    """
    if sys.platform != "linux":
        raise CaptureError(
            "live capture needs Linux; files (-r), streams (-r -) and `netwatch demo` work here", EXIT_USAGE
        )
    snaplen = snaplen if snaplen > 0 else DEFAULT_SNAPLEN
    allowed = min(ring, int(memory.available() * _SHARE_OF_MEMORY))
    wanted = Wanted(tuple(dict.fromkeys(names)), *_here(place), Sockets.make)
    filters = Filters(capture_filter, snaplen)
    try:
        handled = handled_protocols()
        opened = plan(wanted, [], None, [], filters, handled, allowed)
    except PermissionError as error:
        options = " ".join(f"-i {name}" for name in names)
        raise CaptureError(
            f"no permission to capture on {', '.join(names)}: CAP_NET_RAW is missing; "
            f'run: sudo "$(command -v netwatch)" {options}',
            EXIT_PERMISSION,
        ) from error
    except OSError as error:
        raise CaptureError(f"cannot capture on {', '.join(names)}: {error.strerror}", EXIT_USAGE) from error
    for tap, made in opened.rings:
        tap.use(made)
    filters.compile_all()
    return LiveSource(
        opened.ports,
        place=wanted.place,
        snaplen=snaplen,
        promiscuous=promiscuous,
        ring=allowed,
        filters=filters,
        handled=handled,
        notes=_notes(ring, allowed, opened.ports),
    )


def _here(place: Place | None) -> tuple[Place, Place]:
    """The namespace of this thread, as the one to capture in and the one to come back to."""
    if place is None:
        try:
            place = Place(inode=os.stat(OWN).st_ino)
        except OSError:
            place = Place()
    return place, place


def _notes(asked: int, allowed: int, ports: list[Port]) -> list[str]:
    halved = any(port.ring.halved for port in ports)
    if not halved and allowed == asked:
        return []
    size = memory.size_text(sum(port.ring.size for port in ports))
    why = "the kernel has no memory for more" if halved else "5 % of the available memory"
    return [f"ring {size} instead of {memory.size_text(asked)}: {why}"]
