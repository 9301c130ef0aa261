"""VXLAN (RFC 7348) and its generic extension."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, U24, Bit, Bits, Flags8, Flags16, Header, Hex16
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

VXLAN = Header(
    "vxlan",
    "Virtual eXtensible Local Area Network",
    (
        Flags16(
            "flags",
            "Flags",
            Bit(0x8000, "flag_g", "GBP Extension"),
            Bit(0x0800, "flag_i", "VXLAN Network ID"),
            Bit(0x0040, "flag_d", "Don't Learn"),
            Bit(0x0008, "flag_a", "Policy Applied"),
        ),
        U16("gbp", "Group Policy ID"),
        U24("vni", "VXLAN Network Identifier (VNI)"),
        U8("reserved8", "Reserved"),
    ),
)

GPE = Header(
    "vxlan",
    "Virtual eXtensible Local Area Network",
    (
        Flags8(
            "flags",
            "Flags",
            Bits(0x30, "ver", "Version"),
            Bit(0x08, "i_bit", "Instance"),
            Bit(0x04, "p_bit", "Next Protocol Bit"),
            Bit(0x01, "o_bit", "OAM bit"),
        ),
        Hex16("reserved_16", "Reserved"),
        U8(
            "next_proto",
            "Next Protocol",
            {1: "IPv4", 2: "IPv6", 3: "Ethernet", 4: "Network Service Header", 5: "MPLS"},
        ),
        U24("vni", "VXLAN Network Identifier (VNI)"),
        U8("reserved8", "Reserved"),
    ),
)
CARRIED = {1: 0x0800, 2: 0x86DD, 3: 0x6558, 4: 0x894F, 5: 0x8847}


@on("udp.port", 4789)
def vxlan(packet: Packet, at: int, limit: int) -> Step:
    """Eight bytes, then an Ethernet frame."""
    packet.column("vxlan")
    layer, (_, _, vni, _) = packet.open(VXLAN, at, limit)
    layer.said = f"VNI: {vni}"
    return step("ethertype", 0x6558, at + VXLAN.size, limit)


@on("udp.port", 4790)
def generic(packet: Packet, at: int, limit: int) -> Step:
    """The generic extension says what follows (draft-ietf-nvo3-vxlan-gpe)."""
    packet.column("vxlan")
    layer, (_, _, following, vni, _) = packet.open(GPE, at, limit)
    layer.said = f"VNI: {vni}"
    return step("ethertype", CARRIED.get(following, -1), at + GPE.size, limit)
