"""Which programs on this host hold the sockets that packets come from and go to, as the helper finds out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_ntop
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.helper.client import HelperError
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect import Tree
    from netwatch.capture.helper.client import Helper

__all__ = ["End", "Owner", "Owners", "ends_of"]

_AGAIN: Final = 2.0
"""Seconds between two looks, …"""
_SHARE: Final = 0.05
"""… of which looking takes no more than this part, on a host with many processes, …"""
_LATER: Final = 30.0
"""… and after one that failed: on a host where it takes too long it should not be tried all the time."""
_KEPT: Final = 8192
"""Connections that are remembered; those of a moment are gone when they are looked for again."""
_ANYWHERE: Final = ("0.0.0.0", "::")

End = tuple[str, int]
"""Address and port."""


class Owner(NamedTuple):
    """Who holds a socket. Names are of strangers, too: they are escaped."""

    program: str
    pid: int
    user: str

    @property
    def text(self) -> str:
        """`sshd (812)`."""
        return f"{self.program} ({self.pid})"


class Owners:
    """Looks only while somebody calls `look`."""

    def __init__(self, helper: Helper, at_home: Callable[[], bool] = lambda: True) -> None:
        """`at_home`: whether packets come from the network namespace that the helper is in."""
        self.beyond = 0
        """Sockets of which nothing is told: there are too many."""
        self.trouble = ""
        """Why there is nothing new."""
        self._helper = helper
        self._at_home = at_home
        self._due = 0.0
        self._asking = threading.Lock()
        self._connected: dict[tuple[str, End, End], Owner] = {}
        self._waiting: dict[tuple[str, str, int], Owner] = {}
        self._here: frozenset[str] = frozenset()

    def look(self) -> None:
        """Call while owners are shown: a thread looks again where that is due."""
        if monotonic() >= self._due and self._at_home() and self._asking.acquire(blocking=False):
            threading.Thread(target=self._look, name="owners", daemon=True).start()

    def of(self, protocol: str, one: End, other: End) -> Owner | None:
        """Who holds the socket at `one` that talks to `other`, where `one` is of this host."""
        if not self._at_home():
            return None
        exact = self._connected.get((protocol, one, other))
        if exact is not None:
            return exact
        address, port = one
        waiting = self._waiting.get((protocol, address, port))
        if waiting is not None or address not in self._here:
            return waiting
        return next((found for any_one in _ANYWHERE if (found := self._waiting.get((protocol, any_one, port)))), None)

    def of_packet(self, tree: Tree) -> str:
        """Both ends' programs, as far as they are here: `sshd (812)`, `curl (90) → nginx (71)`; empty: none."""
        ends = ends_of(tree)
        if ends is None:
            return ""
        protocol, source, destination = ends
        owners = self.of(protocol, source, destination), self.of(protocol, destination, source)
        return " → ".join(dict.fromkeys(owner.text for owner in owners if owner is not None))

    def _look(self) -> None:
        begun = monotonic()
        try:
            rows: list[Any] = []
            answer = self._helper.call("owners", first=0)
            here = frozenset(str(address) for address in answer["addresses"])
            while True:
                rows += answer["rows"]
                if answer["left"] <= 0 or not answer["rows"]:
                    break
                answer = self._helper.call("owners", first=len(rows))
            self._take(rows, here)
            self.beyond, self.trouble = max(answer["beyond"], 0), ""
            self._due = begun + max(_AGAIN, (monotonic() - begun) / _SHARE)
        except HelperError as error:
            self.trouble = str(error)
            self._due = monotonic() + _LATER
        finally:
            self._asking.release()

    def _take(self, rows: list[Any], here: frozenset[str]) -> None:
        """New tables in place of the old ones, for the thread that paints reads these."""
        waiting: dict[tuple[str, str, int], Owner] = {}
        connected = dict(self._connected)
        for row in rows:
            if not _is_row(row):
                continue
            protocol, address, port, remote, remote_port, pid, program, user = row
            owner = Owner(escape(program) or "?", pid, escape(user))
            if remote:
                key = (protocol, (address, port), (remote, remote_port))
                connected.pop(key, None)  # the newest stand last
                connected[key] = owner
            else:
                waiting.setdefault((protocol, address, port), owner)
        for key in list(connected)[: max(len(connected) - _KEPT, 0)]:
            del connected[key]
        self._connected, self._waiting, self._here = connected, waiting, here


def ends_of(tree: Tree) -> tuple[str, End, End] | None:
    """tcp or udp, sender and receiver of a packet, the innermost; None where it has none."""
    found, addresses = None, None
    for layer in tree.layers:
        name = layer.field.name
        values = {item.field.name: item.value for item in layer.children}
        source, destination = values.get(f"{name}.src"), values.get(f"{name}.dst")
        if name in ("ip", "ipv6") and isinstance(source, bytes) and isinstance(destination, bytes):
            family = AF_INET if name == "ip" else AF_INET6
            addresses = inet_ntop(family, source), inet_ntop(family, destination)
        ports = values.get(f"{name}.srcport"), values.get(f"{name}.dstport")
        if name in ("tcp", "udp") and addresses and isinstance(ports[0], int) and isinstance(ports[1], int):
            found = name, (addresses[0], ports[0]), (addresses[1], ports[1])
    return found


def _is_row(row: object) -> bool:
    kinds = (str, str, int, str, int, int, str, str)
    return isinstance(row, list) and [type(each) for each in row] == list(kinds)
