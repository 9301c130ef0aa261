"""Protocol paths (`eth:ip:tcp:tls`) interned as small integers.

A packet's row carries one 16-bit path id; everything that the interface wants to know of its protocols (what to
show, which switches it belongs to, what `--json` counts) is a look-up by that id, computed once a path.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.protocols import ID, PROTOCOLS, SWITCHES

__all__ = ["MAX_PATHS", "NO_PATH", "PATHS", "TRANSPORTS", "PathTable"]

MAX_PATHS: Final = 4096
"""A sender chooses how headers nest; beyond this many shapes a path stops growing at its parent."""

_ROOM: Final = ((4, MAX_PATHS), (6, MAX_PATHS * 15 // 16), (9, MAX_PATHS * 3 // 4), (MAX_PATHS, MAX_PATHS // 2))
"""(layers, shapes): a path of up to so many layers is told apart while there are no more shapes than that. Who nests
headers at random fills the table with deep ones; what everybody else sends is shallow and still finds its place."""

TRANSPORTS: Final = frozenset({"tcp", "udp", "udplite", "sctp", "dccp"})
"""Protocols with ports."""

NO_PATH: Final = 0
"""The empty path, before the link layer is known."""

_QUOTES: Final = frozenset({ID["icmp"], ID["icmpv6"]})
"""What follows these in a path is the packet that an error quotes: a filter finds it, but the error decides what is
shown, switched and, as in tshark's io,phs, counted."""


class PathTable:
    """Append-only; ids stay valid for the life of the process, so any thread may read while one appends."""

    def __init__(self) -> None:
        self.names: list[str] = [""]
        """`eth:ip:tcp`, by path id."""
        self.parents: list[int] = [0]
        """Path id one level up; the empty path is its own parent."""
        self.shown: NDArray[np.uint8] = np.zeros(MAX_PATHS, np.uint8)
        """shape (MAX_PATHS,): id of the protocol that the list shows, the innermost that is not quoted."""
        self.last: NDArray[np.uint8] = np.zeros(MAX_PATHS, np.uint8)
        """shape (MAX_PATHS,): id of the last protocol of the path, quoted or not."""
        self.switches: NDArray[np.uint8] = np.zeros(MAX_PATHS, np.uint8)
        """shape (MAX_PATHS,): bit i is set where SWITCHES[i] takes the path."""
        self.carrier: NDArray[np.uint8] = np.zeros(MAX_PATHS, np.uint8)
        """shape (MAX_PATHS,): id of the outermost transport that is not quoted, that the ports of a row belong to;
        without one as `shown`."""
        self.is_transport: NDArray[np.bool_] = np.array([kind.name in TRANSPORTS for kind in PROTOCOLS])
        """By protocol id."""
        self.unquoted: list[int] = [0]
        """Path id without a quotation, by path id: what the protocol breakdown counts."""
        self.exact = True
        """No path had to stop at its parent."""
        self._depths: list[int] = [0]
        # Child path by path and protocol; 0, which is no path's child, where it is not known yet.
        self._next = np.zeros((MAX_PATHS, len(PROTOCOLS)), np.uint16)

    def __len__(self) -> int:
        return len(self.names)

    def child(self, path: int, protocol: int) -> int:
        """Path id of `path` followed by `protocol` (a protocol id)."""
        known = int(self._next[path, protocol])
        return known or self._add(path, protocol)

    def step(self, paths: NDArray[np.uint16], protocols: NDArray[np.uint8] | int) -> NDArray[np.uint16]:
        """Vectorised `child`: shape (n,) of path ids and a protocol id, or (n,) of them -> (n,) path ids."""
        following: NDArray[np.uint16] = self._next[paths, protocols]
        if not following.all():
            missing = following == NO_PATH
            kinds = np.broadcast_to(np.asarray(protocols, np.int64), paths.shape)[missing]
            # Not np.unique: its first call imports numpy.ma, 6 ms.
            for code in sorted(set((paths[missing].astype(np.int64) * 256 + kinds).tolist())):
                self.child(code >> 8, code & 0xFF)
            following = self._next[paths, protocols]
        return following

    def intern(self, name: str) -> int:
        """Path id of `eth:ip:tcp`. Raises KeyError for a protocol that is not in the table."""
        path = NO_PATH
        for part in name.split(":"):
            path = self.child(path, ID[part])
        return path

    def _add(self, path: int, protocol: int) -> int:
        new, depth = len(self.names), self._depths[path] + 1
        if new >= next(most for layers, most in _ROOM if depth <= layers):
            self.exact = False
            if path != NO_PATH:
                self._next[path, protocol] = path
            return path
        parent_name = self.names[path]
        name = PROTOCOLS[protocol].name
        quoted = any(ID[part] in _QUOTES for part in parent_name.split(":") if part)
        self.last[new] = protocol
        self.shown[new] = self.shown[path] if quoted else protocol
        carried = quoted or bool(self.is_transport[self.carrier[path]])
        self.carrier[new] = self.carrier[path] if carried else protocol
        self.switches[new] = self.switches[path] if quoted else self._switches(path, protocol)
        self.parents.append(path)
        self._depths.append(depth)
        self.unquoted.append(self.unquoted[path] if quoted else new)
        self.names.append(f"{parent_name}:{name}" if parent_name else name)
        self._next[path, protocol] = new
        return new

    def _switches(self, path: int, protocol: int) -> int:
        """The innermost protocol decides; TCP and UDP keep what rides on them, the innermost transport wins."""
        name = PROTOCOLS[protocol].name
        bits = 0
        for index, switch in enumerate(SWITCHES):
            if name in switch.names:
                bits |= 1 << index
        inherited = int(self.switches[path])
        for index, switch in enumerate(SWITCHES):
            if switch.carries and inherited & (1 << index) and not _TRANSPORT_BITS & bits:
                bits |= 1 << index
        # A network header inside a tunnel starts anew: what it carries decides.
        if name in ("ip", "ipv6", "arp"):
            bits &= ~_TRANSPORT_BITS
        return bits


_TRANSPORT_BITS: Final = sum(1 << index for index, switch in enumerate(SWITCHES) if switch.carries)

PATHS: Final = PathTable()
"""The table of this process, like the interpreter's interned strings."""
