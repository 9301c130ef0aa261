"""BGP messages (RFC 4271)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bytes,
    Header,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

BGP_TYPES = {1: "OPEN", 2: "UPDATE", 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"}
BGP = Header(
    "bgp",
    "Border Gateway Protocol",
    (Bytes("marker", "Marker", 16), U16("length", "Length"), U8("type", "Type", BGP_TYPES)),
)


@on("tcp.port", 179)
def bgp(packet: Packet, at: int, limit: int) -> Step | None:
    """Sixteen ones, a length, a type (RFC 4271, 4.1)."""
    if packet.data[at : at + 16] != b"\xff" * 16:
        return NOT_MINE
    words: list[str] = []
    while at < limit:
        head = packet.rest(at, min(at + BGP.size, limit))
        length = int.from_bytes(head[16:18], "big")
        packet.whole("BGP", at, max(BGP.size, length), limit)
        packet.column("bgp", packet.info)
        layer, (_, length, kind) = packet.open(BGP, at, limit)
        layer.said = f"{BGP_TYPES.get(kind, f'Unknown ({kind})')} Message"
        words.append(layer.said)
        packet.info = ", ".join(words)
        if length < BGP.size:
            packet.mark(f"BGP length {length}, must be at least {BGP.size}", at + 16)
            return None
        packet.run(Step((), at + BGP.size, min(at + length, limit)))
        at += length
    return None
