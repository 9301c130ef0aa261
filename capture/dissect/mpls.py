"""MPLS (RFC 3032), pseudo-wires that carry Ethernet (RFC 4448)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Bits, Header, Packed32, group
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

MPLS = Header(
    "mpls",
    "MultiProtocol Label Switching Header",
    (
        Packed32(
            Bits(0xFFFFF000, "label", "MPLS Label"),
            Bits(0x00000E00, "exp", "MPLS Experimental Bits"),
            Bits(0x00000100, "bottom", "MPLS Bottom Of Label Stack"),
            Bits(0x000000FF, "ttl", "MPLS TTL"),
        ),
    ),
)
CONTROL_WORD = group("pwethcw", "PW Ethernet Control Word")
BY_NIBBLE = {4: 0x0800, 6: 0x86DD}


@on("ethertype", 0x8847, 0x8848)
@on("ip.proto", 137)
@on("ppp.protocol", 0x0281)
@on("udp.port", 6635)
def mpls(packet: Packet, at: int, limit: int) -> Step:
    """One label; below the last, the first four bits tell IP from a pseudo-wire's control word (RFC 4928, 3)."""
    packet.column("mpls", "MPLS Label Switched Packet")
    layer, (word,) = packet.open(MPLS, at, limit)
    layer.said = f"Label: {word >> 12}, Exp: {word >> 9 & 7}, S: {word >> 8 & 1}, TTL: {word & 255}"
    start = at + MPLS.size
    if not word & 0x100:
        return Step((mpls,), start, limit)
    if start >= packet.end(limit):
        return Step((), start, limit)
    nibble = packet.data[start] >> 4
    if nibble in BY_NIBBLE:
        return step("ethertype", BY_NIBBLE[nibble], start, limit)
    if nibble == 0 and start + 18 <= limit:
        packet.check("PW Ethernet control word", start, 4, limit)
        packet.layer(CONTROL_WORD, start, 4)
        return step("ethertype", 0x6558, start + 4, limit)
    return Step((), start, limit)
