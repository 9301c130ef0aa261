"""RADIUS (RFC 2865)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, Bytes, Header, number, octets, text
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

RADIUS_CODES = {
    1: "Access-Request",
    2: "Access-Accept",
    3: "Access-Reject",
    4: "Accounting-Request",
    5: "Accounting-Response",
    11: "Access-Challenge",
    12: "Status-Server",
    40: "Disconnect-Request",
    41: "Disconnect-ACK",
    42: "Disconnect-NAK",
    43: "CoA-Request",
    44: "CoA-ACK",
    45: "CoA-NAK",
}
RADIUS = Header(
    "radius",
    "RADIUS Protocol",
    (
        U8("code", "Code", RADIUS_CODES),
        U8("id", "Packet identifier"),
        U16("length", "Length"),
        Bytes("authenticator", "Authenticator", 16),
    ),
)
PAIR, PAIR_VALUE = number("radius.avp.type", "Type"), octets("", "Value")
USER_NAME = text("radius.User_Name", "User-Name")


@on("udp.port", 1645, 1646, 1812, 1813)
def radius(packet: Packet, at: int, limit: int) -> Step | None:
    """A head and pairs of attribute and value."""
    packet.column("radius")
    layer, (code, ident, length, _) = packet.open(RADIUS, at, limit)
    packet.info = f"{RADIUS_CODES.get(code, f'Unknown ({code})')} id={ident}"
    layer.said = packet.info
    end = min(limit, at + max(length, RADIUS.size))
    for kind, where, size in options(packet, "RADIUS attribute", at + RADIUS.size, end):
        item = packet.add(layer, PAIR, kind, where, size)
        field = USER_NAME if kind == 1 else PAIR_VALUE
        packet.add(item, field, packet.data[where + 2 : where + size], where + 2, size - 2)
        layer.size = where + size - at
    return None
