"""From what is captured to what is wanted: which sockets stay, which are used for something else, which must come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from netwatch.capture.errors import EXIT_USAGE, CaptureError
from netwatch.capture.kernel import link
from netwatch.capture.kernel.namespaces import Place
from netwatch.capture.kernel.rtnetlink import links
from netwatch.capture.kernel.sockets import Sockets
from netwatch.capture.sources.port import ANY, Filters, Port, Tap
from netwatch.capture.sources.ring import Ring

__all__ = ["Plan", "Wanted", "plan"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be captured."""

    names: tuple[str, ...]
    """Of interfaces, ANY among them perhaps; each once."""
    place: Place
    home: Place
    """Where the capture began: sockets of this namespace are kept for the way back."""
    fetch: Callable[[], Sockets] | None
    """Makes further sockets in `place`; None: nobody can."""


@dataclass(slots=True)
class Plan:
    """How to get there; everything that can fail has been done."""

    ports: list[Port]
    """What is captured afterwards."""
    place: Place
    leaving: list[Port]
    """What is captured now and not afterwards: their rings are emptied first."""
    coming: list[Port] = field(default_factory=list)
    """Those of `ports` that are to be bound."""
    rings: list[tuple[Tap, Ring]] = field(default_factory=list)
    """What each of them is captured with."""
    spare: list[Tap] = field(default_factory=list)
    """Not used afterwards, but kept."""
    over: list[Tap] = field(default_factory=list)
    """Not used afterwards."""
    fetched: list[Tap] = field(default_factory=list)
    """New."""
    said: str = ""
    """What the row says; empty: what is captured afterwards."""
    since: float | None = None
    """When it was begun (time.monotonic)."""

    @classmethod
    def of_nothing(cls, ports: list[Port], place: Place, spare: list[Tap], said: str) -> Plan:
        """All that is captured ends."""
        return cls([], place, ports, spare=spare, over=[port.tap for port in ports], said=said)

    def give_back(self) -> None:
        """It will not be carried out."""
        _give_back(self.rings, self.fetched)


def plan(
    wanted: Wanted,
    ports: list[Port],
    place: Place | None,
    spare: list[Tap],
    filters: Filters,
    handled: Sequence[int],
    size: int,
) -> Plan:
    """`ports` of `place` are captured now, `spare` are sockets of home that wait. `size`: bytes of all rings.

    Raises CaptureError 2 for an interface that is not there, or a filter that it cannot have, OSError, and what
    `fetch` raises: then all is as it was.
    """
    here = place is not None and place.inode == wanted.place.inode
    at_home = place is None or place.inode == wanted.home.inode
    kept = {port.name: port for port in ports if here and port.name in wanted.names}
    leaving = [port for port in ports if port.name not in kept]
    left = [port.tap for port in leaving]
    free = left if here else []
    if wanted.place.inode == wanted.home.inode:
        free = free + spare
    coming: list[Port] = []
    rings: list[tuple[Tap, Ring]] = []
    fetched: list[Tap] = []
    try:
        for name in wanted.names:
            if name in kept:
                continue
            if not free:
                fetched.append(_fetched(wanted, handled))
                free = fetched[-1:]
            hardware = _hardware(name, free[0])
            program = filters.program(name, hardware)
            label = name if wanted.place.inode == wanted.home.inode else f"{wanted.place.words} {name}"
            port = Port(name, label, hardware, free[0], program)
            # One whose ring is of the right kind already, if there is one.
            suited = [tap for tap in free if tap.ring is not None and tap.ring.sock is tap.socket(port.cooked)]
            port.tap = (suited or free)[0]
            ring = port.tap.ring if suited else Ring(size // len(wanted.names), port.tap.socket(port.cooked))
            assert ring is not None  # what suits has one
            rings.append((port.tap, ring))
            coming.append(port)
            free = [tap for tap in free if tap is not port.tap]
    except BaseException:
        _give_back(rings, fetched)
        raise
    new = {port.name: port for port in coming}
    used = [tap for tap, _ in rings]
    unused = [tap for tap in left if tap not in used]
    return Plan(
        ports=[kept.get(name) or new[name] for name in wanted.names],
        place=wanted.place,
        leaving=leaving,
        coming=coming,
        rings=rings,
        spare=[tap for tap in spare if tap not in used] + (unused if at_home else []),
        over=[] if at_home else unused,
        fetched=fetched,
    )


def _fetched(wanted: Wanted, handled: Sequence[int]) -> Tap:
    if wanted.fetch is None:
        raise CaptureError("nobody can make another socket any more: the helper process is gone", EXIT_USAGE)
    return Tap(wanted.fetch(), handled)


def _hardware(name: str, tap: Tap) -> int:
    """ARPHRD_ value. Raises CaptureError 2."""
    if name == ANY:
        return 0
    try:
        return link.hardware_type(tap.sockets.raw, name)
    except OSError as error:
        there = sorted(links(tap.sockets.route), key=lambda each: each.index)
        known = ", ".join([*(each.name for each in there), ANY])
        raise CaptureError(f"no interface {name!r}; there are: {known}", EXIT_USAGE) from error


def _give_back(rings: list[tuple[Tap, Ring]], fetched: list[Tap]) -> None:
    for tap, ring in rings:
        if ring is not tap.ring:
            ring.close()
    for tap in fetched:
        tap.close()
