"""Who is asked when a header says what follows: dissectors by number, port or payload.

A module registers what it is called by (`@on("udp.port", 53)`) and the header before asks the table; neither knows
the other, and there is no place where all protocols meet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from netwatch.capture.dissect.packet import Packet

__all__ = ["NOT_MINE", "SIGNATURES", "TABLES", "TAKEN", "Dissector", "Step", "on", "signature", "step"]


class Step(NamedTuple):
    """What comes next: who may know it, best first, and its bytes."""

    candidates: tuple[Dissector, ...]
    at: int
    """Offset of its first byte."""
    limit: int
    """Offset at which it ends by what the headers before say; beyond the captured bytes where the packet is cut."""


Dissector = Callable[["Packet", int, int], Step | None]
"""(packet, at, limit) -> what comes next, None for nothing, NOT_MINE where the bytes are another protocol's.

Who returns NOT_MINE must not have touched the packet.
"""

NOT_MINE: Final = Step((), -1, -1)

TABLES: Final[dict[str, dict[int, Dissector]]] = {}
"""`ethertype` → 0x0800 → dissector."""

SIGNATURES: Final[dict[str, list[Dissector]]] = {}
"""`udp` → dissectors that recognise their protocol by its bytes, asked when no port is known."""


TAKEN: Final[list[tuple[str, int]]] = []
"""Tables and keys that were registered again, in vain."""


def on(table: str, *keys: int, replace: bool = False) -> Callable[[Dissector], Dissector]:
    """Registers a dissector for values of a field of the header before it.

    Tables: linktype, ethertype, ip.proto, udp.port, tcp.port, ppp.protocol, llc.sap, gre.proto, sctp.ppi and what
    other modules ask for. The first of a key stays, unless another says that it is to `replace` it.
    """

    def register(dissector: Dissector) -> Dissector:
        known = TABLES.setdefault(table, {})
        for key in keys:
            if replace:
                known[key] = dissector
            elif known.setdefault(key, dissector) is not dissector:
                TAKEN.append((table, key))
        return dissector

    return register


def signature(*transports: str) -> Callable[[Dissector], Dissector]:
    """Registers a dissector that recognises its protocol by its first bytes, whatever the port."""

    def register(dissector: Dissector) -> Dissector:
        for transport in transports:
            SIGNATURES.setdefault(transport, []).append(dissector)
        return dissector

    return register


def step(table: str, key: int, at: int, limit: int) -> Step:
    """Who registered for `key`; nobody: the bytes are data."""
    found = TABLES.get(table, {}).get(key)
    return Step((found,) if found is not None else (), at, limit)


def step_by_ports(transport: str, source: int, destination: int, at: int, limit: int) -> Step:
    """Who registered for the lower port, for the higher, and who knows it by its bytes."""
    table = TABLES.get(f"{transport}.port", {})
    low, high = (source, destination) if source <= destination else (destination, source)
    known = [found for found in (table.get(low), table.get(high)) if found is not None]
    return Step((*known, *SIGNATURES.get(transport, ())), at, limit)
