"""GENEVE (RFC 8926)."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import Bit, Bits, Flags8, Header, Hex8, Hex16, Hex24, Packed8, octets
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

GENEVE = Header(
    "geneve",
    "Generic Network Virtualization Encapsulation",
    (
        Packed8(Bits(0xC0, "version", "Version"), Bits(0x3F, "", "Options length", times=4)),
        Flags8(
            "flags", "Flags", Bit(0x80, "flags.oam", "OAM Frame"), Bit(0x40, "flags.critical", "Critical Options")
        ),
        Hex16("proto_type", "Protocol Type", ETHERTYPES),
        Hex24("vni", "Virtual Network Identifier (VNI)"),
        Hex8("reserved", "Reserved"),
    ),
)
GENEVE_OPTION = Header(
    "geneve.option",
    "Option",
    (
        Hex16("class", "Class"),
        Hex8("type", "Type"),
        Packed8(Bits(0x1F, "length", "Length", times=4)),
    ),
)
GENEVE_DATA = octets("geneve.option.unknown.data", "Data")


@on("udp.port", 6081)
def geneve(packet: Packet, at: int, limit: int) -> Step:
    """Eight bytes and options, then what the protocol type names."""
    packet.column("geneve")
    layer, (first, _, kind, vni, _) = packet.open(GENEVE, at, limit)
    layer.said = f"VNI: {vni}"
    packet.info = f"Encapsulated {ETHERTYPES.get(kind, f'0x{kind:04x}')}"
    where, end = at + GENEVE.size, at + GENEVE.size + 4 * (first & 0x3F)
    packet.check("GENEVE options", where, end - where, limit)
    while where < end:
        option = packet.add(layer, GENEVE_OPTION.field, None, where, GENEVE_OPTION.size)
        _, _, words = packet.add_header(option, GENEVE_OPTION, where, end)
        size = 4 * (words & 0x1F)
        value = packet.take("GENEVE option", where + 4, size, end)
        option.size += size
        if size:
            packet.add(option, GENEVE_DATA, value, where + 4, size)
        where += 4 + size
    layer.size = end - at
    return by_type(packet, kind, end, limit)
