"""IKE (RFC 7296), and ESP in UDP (RFC 3948)."""

from __future__ import annotations

from netwatch.capture.dissect.ipv6 import esp
from netwatch.capture.dissect.kit import U8, U32, Bytes, Header, Hex8, Hex32
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

EXCHANGES = {
    2: "Identity Protection (Main Mode)",
    4: "Aggressive",
    5: "Informational",
    32: "Quick Mode",
    34: "IKE_SA_INIT",
    35: "IKE_AUTH",
    36: "CREATE_CHILD_SA",
    37: "INFORMATIONAL",
}
ISAKMP = Header(
    "isakmp",
    "Internet Security Association and Key Management Protocol",
    (
        Bytes("ispi", "Initiator SPI", 8),
        Bytes("rspi", "Responder SPI", 8),
        U8("nextpayload", "Next payload"),
        Hex8("version", "Version"),
        U8("exchangetype", "Exchange type", EXCHANGES),
        Hex8("flags", "Flags"),
        Hex32("messageid", "Message ID"),
        U32("length", "Length"),
    ),
)


@on("udp.port", 500)
def isakmp(packet: Packet, at: int, limit: int) -> Step | None:
    """The head of IKE version 1 and 2."""
    packet.column("isakmp")
    layer, (_, _, _, version, exchange, flags, message, _) = packet.open(ISAKMP, at, limit)
    packet.info = EXCHANGES.get(exchange, f"Unknown exchange ({exchange})")
    if version >> 4 == 2:
        side, way = "Initiator" if flags & 8 else "Responder", "Response" if flags & 0x20 else "Request"
        packet.info += f" MID={message:02x} {side} {way}"
    layer.said = packet.info
    return Step((), at + ISAKMP.size, limit)


@on("udp.port", 4500)
def esp_in_udp(packet: Packet, at: int, limit: int) -> Step | None:
    """IKE behind four zeros, a single 0xff to keep the NAT's entry, else ESP (RFC 3948, 2)."""
    head = packet.rest(at, min(at + 4, limit))
    if head == bytes(4):
        return Step((isakmp,), at + 4, limit)
    if head == b"\xff" and limit - at == 1:
        packet.info = "NAT-keepalive"
        return Step((), at, limit)
    return Step((esp,), at, limit)
