"""Local Service Discovery (BEP 14): who on this network has a torrent."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Header, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.protocols import declare

declare("lsd", "LSD", "discovery")
LSD: Final = Header("lsd", "Local Service Discovery", ())
HEADER: Final = text("lsd.header", "Header")
HEAD: Final = b"BT-SEARCH * HTTP/1.1\r\n"
FIELDS: Final = {
    b"host": text("lsd.host", "Host"),
    b"port": text("lsd.port", "Port"),
    b"infohash": text("lsd.infohash", "Infohash"),
    b"cookie": text("lsd.cookie", "cookie"),
}
GROUPS: Final = frozenset({"239.192.152.143", "ff15::efc0:988f"})
MAX_LINES: Final = 64


@on("udp.port", 6771)
def lsd(packet: Packet, at: int, limit: int) -> Step | None:
    """Lines as in HTTP, to a multicast group."""
    if packet.data[at : at + len(HEAD)] != HEAD or packet.destination not in GROUPS:
        return NOT_MINE
    packet.column("lsd")
    end = packet.end(limit)
    layer = packet.layer(LSD.field, at, end - at)
    packet.add(layer, HEADER, HEAD.rstrip(), at, len(HEAD))
    where = at + len(HEAD)
    for _ in range(MAX_LINES):
        stop = packet.data.find(b"\r\n", where, end)
        if stop <= where:
            break
        name, _, value = packet.data[where:stop].partition(b":")
        field = FIELDS.get(name.strip().lower())
        if field is not None:
            packet.add(layer, field, value.strip(), where, stop - where)
        where = stop + 2
    return None
