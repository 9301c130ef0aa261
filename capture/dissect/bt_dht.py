"""BitTorrent's distributed hash table (BEP 5): bencoded queries and answers."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.bencode import bencoded
from netwatch.capture.dissect.kit import Header
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, signature
from netwatch.capture.protocols import declare

declare("bt-dht", "BT-DHT", "files")
DHT: Final = Header("bt-dht", "BitTorrent DHT Protocol", ())
BEGINS: Final = (b"d1:ad", b"d1:rd", b"d2:ip", b"d1:el")
"""Arguments, return values, the address that an answer names, errors: keys are sorted."""


@signature("udp")
def bt_dht(packet: Packet, at: int, limit: int) -> Step | None:
    """A single dictionary."""
    if packet.data[at : at + 5] not in BEGINS or at + 5 > limit:
        return NOT_MINE
    packet.column("bt-dht", "BitTorrent DHT Protocol")
    layer = packet.layer(DHT.field, at, packet.end(limit) - at)
    end, _ = bencoded(packet, layer, at, limit)
    layer.size = end - at
    return Step((), end, limit) if end < limit else None
