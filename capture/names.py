"""Names of addresses, learned from what passes by: nobody is asked unless --resolve says so (resolver.py).

What is learned was written by strangers. So a name is only ever shown, as one that was learned and from what;
filters, copies and exports keep to addresses.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

from netwatch.capture.text import escape

__all__ = ["LONGEST", "MAX_ADDRESSES", "MAX_CHARACTERS", "MAX_OTHERS", "Name", "Names", "Origin"]

MAX_ADDRESSES: Final = 32_768
"""Addresses that have a name. A sender chooses what it answers, so the table may not grow with it."""
MAX_CHARACTERS: Final = 1 << 20
"""Characters of all names: that is 32 for each address."""
LONGEST: Final = 255
"""Characters of a name, as DNS allows (RFC 1035, 2.3.4)."""
MAX_OTHERS: Final = 16
"""Different names of an address that are told apart."""

_HASH: Final = 4
_LIKE_AN_ADDRESS: Final = re.compile(r"[0-9.]*|.*:.*", re.DOTALL)


class Origin(IntEnum):
    """What a name was learned from, the best first."""

    HOSTS = 0
    DNS = 1
    PTR = 2
    RESOLVED = 3
    MDNS = 4
    LLMNR = 5
    DHCP = 6
    NBNS = 7
    SNI = 8
    HTTP = 9
    VENDOR = 10

    @property
    def by_strangers(self) -> bool:
        """Whoever sent a packet, or looks after the network of an address, may have made it up."""
        return self not in (Origin.HOSTS, Origin.VENDOR)

    @property
    def words(self) -> str:
        """For a person."""
        return _WORDS[self]


_WORDS: Final = (
    "/etc/hosts",
    "DNS answer",
    "DNS answer (PTR)",
    "resolved (PTR)",
    "mDNS answer",
    "LLMNR answer",
    "DHCP host name",
    "NBNS",
    "TLS server name",
    "HTTP host",
    "vendor, by the IEEE's list",
)


class Name(NamedTuple):
    """What an address is called."""

    text: str
    """Escaped: fit for a terminal."""
    origin: Origin
    ts: int
    """When it was seen last, nanoseconds since 1970 as the packets have it; 0: it was in no packet."""
    others: int = 0
    """How many different names the address had besides, MAX_OTHERS at most."""


class Names:
    """Address, as text → its best name. The address that was seen least recently goes when there is no more room."""

    def __init__(self) -> None:
        self._known: dict[str, Name] = {}
        self._hosts: dict[str, Name] = {}
        self._seen: dict[str, bytes] = {}
        """Hashes of the names of addresses that had several, _HASH bytes each: sets of them would take ten times the
        memory of all names."""
        self._characters = 0
        self.changes = 0
        """Grows with each name that is shown differently from now on."""
        self.forgotten = 0
        """Addresses that had to go."""

    def __len__(self) -> int:
        return len(self._known) + len(self._hosts)

    def of(self, address: str) -> Name | None:
        """The name of an address, if one was learned."""
        return self._hosts.get(address) or self._known.get(address)

    @property
    def ages(self) -> tuple[int, int] | None:
        """When the name that was seen most recently was, and the one that was seen least recently; None: no packet
        said one."""
        times = [name.ts for name in self._known.values() if name.ts]
        return (max(times), min(times)) if times else None

    def add_hosts(self, found: dict[str, str]) -> None:
        """What the person's own file says stands above whatever passes by."""
        self._hosts = {address: Name(escape(name)[:LONGEST], Origin.HOSTS, 0) for address, name in found.items()}
        self.changes += 1

    def learn(self, address: str, name: str, origin: Origin, ts: int) -> None:
        """A packet of the time `ts` calls `address` so. The best origin stays, within it the newest."""
        text = escape(name)[:LONGEST]
        before = self._known.get(address)
        # Neither what reads as an address, which a name must not.
        if not text or _LIKE_AN_ADDRESS.fullmatch(text):
            return
        if before is None:
            self._known[address] = Name(text, origin, ts)
            self._characters += len(text)
            self.changes += 1
            self._make_room()
            return
        others = before.others if before.text == text else self._others(address, before.text, text)
        if origin < before.origin or (origin == before.origin and ts >= before.ts):
            kept = Name(text, origin, ts, others)
        else:
            kept = Name(before.text, before.origin, before.ts, others)
        del self._known[address]  # to the end: seen most recently
        self._known[address] = kept
        if kept.text != before.text or others != before.others:
            self.changes += 1
            self._characters += len(kept.text) - len(before.text)
            self._make_room()

    def _others(self, address: str, before: str, now: str) -> int:
        """How many names an address had but one."""
        seen = self._seen.get(address) or _hashed(before)
        fresh = _hashed(now)
        if len(seen) <= MAX_OTHERS * _HASH and fresh not in [
            seen[at : at + _HASH] for at in range(0, len(seen), _HASH)
        ]:
            seen += fresh
        self._seen[address] = seen
        return len(seen) // _HASH - 1

    def _make_room(self) -> None:
        while len(self._known) > MAX_ADDRESSES or self._characters > MAX_CHARACTERS:
            oldest = next(iter(self._known))
            self._characters -= len(self._known.pop(oldest).text)
            self._seen.pop(oldest, None)
            self.forgotten += 1


def _hashed(text: str) -> bytes:
    return (hash(text) & (1 << 8 * _HASH) - 1).to_bytes(_HASH, "little")
