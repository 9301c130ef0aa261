"""Tunnels over UDP: VXLAN (RFC 7348), GENEVE (RFC 8926), GTP (3GPP TS 29.060, 29.281)."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    Bit,
    Bits,
    Flags8,
    Flags16,
    Header,
    Hex8,
    Hex16,
    Hex24,
    Hex32,
    Packed8,
    group,
    octets,
)
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step

VXLAN = Header(
    "vxlan",
    "Virtual eXtensible Local Area Network",
    (
        Flags16("flags", "Flags", Bit(0x8000, "flag_g", "GBP Extension"), Bit(0x0800, "flag_i", "VXLAN Network ID")),
        U16("gbp", "Group Policy ID"),
        U24("vni", "VXLAN Network Identifier (VNI)"),
        U8("reserved8", "Reserved"),
    ),
)
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

GTP_TYPES = {
    1: "Echo request",
    2: "Echo response",
    3: "Version not supported",
    16: "Create PDP context request",
    17: "Create PDP context response",
    18: "Update PDP context request",
    19: "Update PDP context response",
    20: "Delete PDP context request",
    21: "Delete PDP context response",
    26: "Error indication",
    27: "PDU notification request",
    31: "Supported extension header notification",
    254: "End marker",
    255: "T-PDU",
}
GTP = Header(
    "gtp",
    "GPRS Tunneling Protocol",
    (
        Flags8(
            "flags",
            "Flags",
            Bits(0xE0, "flags.version", "Version"),
            Bits(0x10, "flags.payload", "Protocol type", {0: "GTP'", 1: "GTP"}),
            Bit(0x04, "flags.e", "Is Next Extension Header present?"),
            Bit(0x02, "flags.s", "Is Sequence Number present?"),
            Bit(0x01, "flags.pn", "Is N-PDU number present?"),
        ),
        Hex8("message", "Message Type", GTP_TYPES),
        U16("length", "Length"),
        Hex32("teid", "TEID"),
    ),
)
GTP_OPTIONAL = Header(
    "gtp",
    "Optional",
    (
        Hex16("seq_number", "Sequence number"),
        Hex8("npdu_number", "N-PDU Number"),
        Hex8("", "Next extension header type"),
    ),
    name="",
)
GTP_EXTENSION = octets("", "Extension header")


@on("udp.port", 4789)
def vxlan(packet: Packet, at: int, limit: int) -> Step:
    """Eight bytes, then an Ethernet frame."""
    packet.column("vxlan")
    layer, (_, _, vni, _) = packet.open(VXLAN, at, limit)
    layer.said = f"VNI: {vni}"
    return step("ethertype", 0x6558, at + VXLAN.size, limit)


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


@on("udp.port", 2152, 2123, 3386)
def gtp(packet: Packet, at: int, limit: int) -> Step | None:
    """Version 1: eight bytes, four more where a flag is set, extension headers; a T-PDU is a user's packet."""
    if at < packet.end(limit) and packet.data[at] >> 5 != 1:
        return NOT_MINE
    packet.column("gtp")
    layer, (flags, kind, length, teid) = packet.open(GTP, at, limit)
    layer.said = packet.info = GTP_TYPES.get(kind, f"Unknown ({kind})")
    layer.said += f", TEID: 0x{teid:08x}"
    where = at + GTP.size
    end = min(limit, where + length)
    if flags & 7:
        _, _, following = packet.add_header(layer, GTP_OPTIONAL, where, end)
        where += GTP_OPTIONAL.size
        while flags & 4 and following:
            size = 4 * packet.uint("GTP extension header", where, 1, end)
            if not size:
                packet.mark("GTP extension header of length 0", where)
                break
            value = packet.take("GTP extension header", where, size, end)
            packet.add(layer, GTP_EXTENSION, value, where, size)
            following = value[-1]
            where += size
    layer.size = where - at
    if kind != 255 or where >= packet.end(end):
        return Step((), where, end)
    packet.run(step("ethertype", {4: 0x0800, 6: 0x86DD}.get(packet.data[where] >> 4, -1), where, end))
    packet.protocol = f"GTP <{packet.protocol}>"
    return None


TEREDO = group("teredo", "Teredo IPv6 over UDP tunneling")


@on("udp.port", 3544)
def teredo(packet: Packet, at: int, limit: int) -> Step | None:
    """IPv6 behind an optional origin indication and authentication (RFC 4380, 5.1.1)."""
    where = at
    while (kind := packet.rest(where, min(where + 2, limit))) in (b"\0\0", b"\0\1") and where < at + 600:
        if kind == b"\0\0":
            where += 8
        else:
            sizes = packet.take("Teredo", where + 2, 2, limit)
            where += 13 + sizes[0] + sizes[1]
    if packet.rest(where, min(where + 1, limit))[:1] < b"\x60" or packet.data[where] >> 4 != 6:
        return NOT_MINE
    packet.column("teredo")
    packet.layer(TEREDO, at, where - at)
    return step("ethertype", 0x86DD, where, limit)
