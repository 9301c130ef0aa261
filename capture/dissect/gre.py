"""GRE (RFC 2784, 2890; version 1: RFC 2637) and ERSPAN (draft-foschiano-erspan)."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import (
    U16,
    U32,
    Bit,
    Bits,
    Bytes,
    Flags16,
    Header,
    Hex16,
    Packed16,
    Packed32,
    number,
)
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step

CARRIED = {
    0x0000: "Possible GRE keepalive packet",
    0x0800: "IP",
    0x22EB: "ERSPAN III",
    0x6558: "Transparent Ethernet bridging",
    0x86DD: "IPv6",
    0x880B: "PPP",
    0x8847: "MPLS label switched packet",
    0x88BE: "ERSPAN",
}
GRE = Header(
    "gre",
    "Generic Routing Encapsulation",
    (
        Flags16(
            "flags_and_version",
            "Flags and Version",
            Bit(0x8000, "flags.checksum", "Checksum Bit"),
            Bit(0x4000, "flags.routing", "Routing Bit"),
            Bit(0x2000, "flags.key", "Key Bit"),
            Bit(0x1000, "flags.sequence_number", "Sequence Number Bit"),
            Bit(0x0800, "flags.strict_source_route", "Strict Source Route Bit"),
            Bit(0x0080, "flags.ack", "Acknowledgment"),
            Bits(0x0007, "flags.version", "Version"),
        ),
        Hex16("proto", "Protocol Type", ETHERTYPES | CARRIED),
    ),
)
CHECKSUM, OFFSET = number("gre.checksum", "Checksum", digits=4), number("gre.offset", "Offset")
KEY, PAYLOAD_LENGTH, CALL = (
    number("gre.key", "Key", digits=8),
    number("gre.key.payload_length", "Payload Length"),
    number("gre.key.call_id", "Call ID"),
)
SEQUENCE, ACKNOWLEDGED = (
    number("gre.sequence_number", "Sequence Number"),
    number("gre.ack_number", "Acknowledgment Number"),
)

ERSPAN2 = Header(
    "erspan",
    "Encapsulated Remote Switch Packet ANalysis Type II",
    (
        Packed16(Bits(0xF000, "version", "Version"), Bits(0x0FFF, "vlan", "Vlan")),
        Packed16(
            Bits(0xE000, "cos", "COS"),
            Bits(0x1800, "encap", "Encap"),
            Bits(0x0400, "truncated", "Truncated"),
            Bits(0x03FF, "spanid", "SpanID"),
        ),
        Packed32(Bits(0xFFF00000, "reserved", "Reserved"), Bits(0x000FFFFF, "index", "Index")),
    ),
)
ERSPAN3 = Header(
    "erspan",
    "Encapsulated Remote Switch Packet ANalysis Type III",
    (
        Packed16(Bits(0xF000, "version", "Version"), Bits(0x0FFF, "vlan", "Vlan")),
        Packed16(
            Bits(0xE000, "cos", "COS"),
            Bits(0x1800, "bso", "Bad/Short/Oversized"),
            Bits(0x0400, "truncated", "Truncated"),
            Bits(0x03FF, "spanid", "SpanID"),
        ),
        U32("timestamp", "Timestamp"),
        U16("sgt", "Security Group Tag"),
        Packed16(
            Bits(0x8000, "p", "PDU Frame"),
            Bits(0x7C00, "ft", "Frame Type"),
            Bits(0x03F0, "hw", "Hw ID"),
            Bits(0x0008, "direction", "Direction"),
            Bits(0x0006, "gra", "Granularity"),
            Bits(0x0001, "o", "Optional Sub headers"),
        ),
    ),
)
SUBHEADER = Header("erspan", "Platform", (U32("platid", "Platform"), Bytes("", "Platform Info", 4)), name="")


@on("ip.proto", 47)
def gre(packet: Packet, at: int, limit: int) -> Step | None:
    """Flags say which of checksum, key and numbers are there."""
    packet.column("gre")
    layer, (flags, kind) = packet.open(GRE, at, limit)
    name = CARRIED.get(kind) or ETHERTYPES.get(kind, f"0x{kind:04x} (unknown)")
    layer.said = f"({name})"
    packet.info = f"Encapsulated {name}"
    where = at + GRE.size
    version = flags & 7
    if version > 1:
        packet.mark(f"GRE version {version}", at)
        return Step((), where, limit)

    def word(size: int) -> int:
        nonlocal where
        value = packet.uint("GRE", where, size, limit)
        where += size
        return value

    if flags & 0xC000:
        packet.add(layer, CHECKSUM, word(2), where - 2, 2)
        packet.add(layer, OFFSET, word(2), where - 2, 2)
    if flags & 0x2000 and version == 1:
        packet.add(layer, PAYLOAD_LENGTH, word(2), where - 2, 2)
        packet.add(layer, CALL, word(2), where - 2, 2)
    elif flags & 0x2000:
        packet.add(layer, KEY, word(4), where - 4, 4)
    if flags & 0x1000:
        packet.add(layer, SEQUENCE, word(4), where - 4, 4)
    if flags & 0x0080 and version == 1:
        packet.add(layer, ACKNOWLEDGED, word(4), where - 4, 4)
    if flags & 0x4000:
        # Source route entries: family, offset, length, and the last has length 0 (RFC 1701).
        while (length := packet.uint("GRE routing", where + 3, 1, limit)) and packet.uint("GRE", where, 2, limit):
            where += 4 + length
            packet.count(1)
        where += 4
    layer.size = where - at
    if where >= limit:
        return None
    packet.values["gre.sequence"] = bool(flags & 0x1000)
    if kind in TABLES["gre.proto"]:
        return step("gre.proto", kind, where, limit)
    if kind not in TABLES["ethertype"]:
        return Step((), where, limit)
    return by_type(packet, kind, where, limit)


@on("gre.proto", 0x88BE)
def erspan(packet: Packet, at: int, limit: int) -> Step:
    """Type II has a header of its own and a GRE sequence number; without one it is type I, the frame at once."""
    packet.column("erspan")
    if not packet.values.get("gre.sequence"):
        return step("ethertype", 0x6558, at, limit)
    layer, (_, word, _) = packet.open(ERSPAN2, at, limit)
    layer.said = f"SpanID: {word & 0x3FF}"
    return step("ethertype", 0x6558, at + ERSPAN2.size, limit)


@on("gre.proto", 0x22EB)
def erspan3(packet: Packet, at: int, limit: int) -> Step:
    """Type III adds a time stamp and may add a platform header."""
    packet.column("erspan")
    layer, (_, word, _, _, last) = packet.open(ERSPAN3, at, limit)
    layer.said = f"SpanID: {word & 0x3FF}"
    start = at + ERSPAN3.size
    if last & 1:
        packet.add_header(layer, SUBHEADER, start, limit)
        start += SUBHEADER.size
        layer.size = start - at
    if last >> 10 & 31 == 2:
        return step("ethertype", 0x0800, start, limit)
    return step("ethertype", 0x6558, start, limit)
