"""Protocol paths (`eth:ip:tcp:tls`) interned as small integers.

A packet's row carries one 16-bit path id; everything that the interface wants to know of its protocols (what to
show, which switches it belongs to, what `--json` counts) is a look-up by that id, computed once a path.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.protocols import ID, PROTOCOLS, SWITCHES

__all__ = ["MAX_PATHS", "NO_PATH", "PATHS", "PathTable"]

MAX_PATHS: Final = 4096
"""A sender chooses how headers nest; beyond this many shapes a path stops growing at its parent."""

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
        self.members: list[frozenset[int]] = [frozenset()]
        """Protocol ids in the path before a quotation, by path id: what the packet itself is made of."""
        self.unquoted: list[int] = [0]
        """Path id without a quotation, by path id: what the protocol breakdown counts."""
        self._next = np.full((MAX_PATHS, len(PROTOCOLS)), -1, np.int32)

    def __len__(self) -> int:
        return len(self.names)

    def child(self, path: int, protocol: int) -> int:
        """Path id of `path` followed by `protocol` (a protocol id)."""
        known = int(self._next[path, protocol])
        return known if known >= 0 else self._add(path, protocol)

    def step(self, paths: NDArray[np.uint16], protocols: NDArray[np.uint8] | int) -> NDArray[np.uint16]:
        """Vectorised `child`: shape (n,) of path ids and a protocol id, or (n,) of them -> (n,) path ids."""
        following = self._next[paths, protocols]
        if following.size and following.min() < 0:
            missing = following < 0
            kinds = np.broadcast_to(np.asarray(protocols, np.int64), paths.shape)[missing]
            # Not np.unique: its first call imports numpy.ma, 6 ms.
            for code in sorted(set((paths[missing].astype(np.int64) * 256 + kinds).tolist())):
                self.child(code >> 8, code & 0xFF)
            following = self._next[paths, protocols]
        stepped: NDArray[np.uint16] = following.astype(np.uint16)
        return stepped

    def intern(self, name: str) -> int:
        """Path id of `eth:ip:tcp`. Raises KeyError for a protocol that is not in the table."""
        path = NO_PATH
        for part in name.split(":"):
            path = self.child(path, ID[part])
        return path

    def having(self, protocol: int) -> NDArray[np.bool_]:
        """shape (MAX_PATHS,): whether `protocol` is in the path (a quotation apart)."""
        mask = np.zeros(MAX_PATHS, np.bool_)
        for path, members in enumerate(self.members):
            mask[path] = protocol in members
        return mask

    def _add(self, path: int, protocol: int) -> int:
        new = len(self.names)
        if new >= MAX_PATHS:
            self._next[path, protocol] = path
            return path
        parent_name = self.names[path]
        name = PROTOCOLS[protocol].name
        quoted = any(ID[part] in _QUOTES for part in parent_name.split(":") if part)
        self.last[new] = protocol
        self.shown[new] = self.shown[path] if quoted else protocol
        members = self.members[path] if quoted else self.members[path] | {protocol}
        self.switches[new] = self.switches[path] if quoted else self._switches(path, protocol)
        self.parents.append(path)
        self.members.append(members)
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
