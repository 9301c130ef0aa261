"""Network Service Header (RFC 8300) and Cisco's metadata tag: what stands between an EtherType and the next."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import U8, U16, Bit, Bits, Header, Hex24, Packed16, octets
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on, step

NEXT = {1: "IPv4", 2: "IPv6", 3: "Ethernet", 4: "NSH", 5: "MPLS"}
ETHERTYPE = {1: 0x0800, 2: 0x86DD, 3: 0x6558, 4: 0x894F, 5: 0x8847}
NSH = Header(
    "nsh",
    "Network Service Header",
    (
        Packed16(
            Bits(0xC000, "version", "Version"),
            Bit(0x2000, "Obit", "O Bit"),
            Bits(0x0FC0, "ttl", "TTL"),
            Bits(0x003F, "length", "Length", times=4),
        ),
        U8("mdtype", "MD Type"),
        U8("nextproto", "Next Protocol", NEXT),
        Hex24("spi", "SPI"),
        U8("si", "SI"),
    ),
)
CONTEXT = octets("nsh.metadata", "Context")


@on("ethertype", 0x894F)
@on("gre.proto", 0x894F)
def nsh(packet: Packet, at: int, limit: int) -> Step:
    """The length counts all of it in four bytes."""
    packet.column("nsh")
    layer, (word, kind, following, path, index) = packet.open(NSH, at, limit)
    size = 4 * (word & 0x3F)
    if size < NSH.size:
        raise Malformed(f"NSH length {size}, must be at least {NSH.size}", at + 1)
    layer.said = packet.info = f"SPI: {path}, SI: {index}, MD type {kind}"
    if size > NSH.size:
        packet.add(
            layer, CONTEXT, packet.take("NSH", at + NSH.size, size - NSH.size, limit), at + NSH.size, size - NSH.size
        )
    layer.size = size
    return step("ethertype", ETHERTYPE.get(following, -1), at + size, limit)


CMD = Header(
    "cmd",
    "Cisco MetaData",
    (
        U8("version", "Version"),
        U8("length", "Length"),
        U16("options", "Options"),
        U16("sgt", "Security Group Tag"),
        U16("", "Type", ETHERTYPES),
    ),
)


@on("ethertype", 0x8909)
def metadata(packet: Packet, at: int, limit: int) -> Step:
    """A security group, then the type of what follows."""
    packet.column("cmd")
    layer, (_, _, _, tag, kind) = packet.open(CMD, at, limit)
    layer.said = packet.info = f"SGT: {tag}"
    return by_type(packet, kind, at + CMD.size, limit)
