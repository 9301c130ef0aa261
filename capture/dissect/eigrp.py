"""EIGRP (RFC 7868): the head and its TLVs."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import U8, U16, U32, Bit, Flags32, Header, Hex16, Item, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on

CODES = {1: "Update", 2: "Request", 3: "Query", 4: "Reply", 5: "Hello", 10: "SIA-Query", 11: "SIA-Reply"}
EIGRP = Header(
    "eigrp",
    "Enhanced Interior Gateway Routing Protocol",
    (
        U8("version", "Version"),
        U8("opcode", "Opcode", CODES),
        Hex16("checksum", "Checksum"),
        Flags32(
            "flags",
            "Flags",
            Bit(0x01, "flags.init", "Init"),
            Bit(0x02, "flags.condrecv", "Conditional Receive"),
            Bit(0x04, "flags.restart", "Restart"),
            Bit(0x08, "flags.eot", "End Of Table"),
        ),
        U32("seq", "Sequence"),
        U32("ack", "Acknowledge"),
        U16("vrid", "Virtual Router ID"),
        U16("as", "Autonomous System"),
    ),
)
CHECKSUM_STATUS = number("eigrp.checksum.status", "Checksum Status", STATUS)
TLVS = {
    0x0001: "Parameters",
    0x0002: "Authentication",
    0x0003: "Sequence",
    0x0004: "Software Version",
    0x0005: "Next multicast sequence",
    0x0006: "Peer Information",
    0x0007: "Peer Termination",
    0x0102: "Internal Route(IPv4)",
    0x0103: "External Route(IPv4)",
    0x0402: "Internal Route(IPv6)",
    0x0403: "External Route(IPv6)",
    0x0602: "Internal Route(MTR)",
    0x0603: "External Route(MTR)",
}
TLV, TLV_LENGTH = number("eigrp.tlv_type", "Type", TLVS, digits=4), number("eigrp.tlv.len", "Length")
PARAMETERS = Header(
    "eigrp.par",
    "Parameters",
    (*(U8(f"k{index}", f"K{index}") for index in range(1, 7)), U16("holdtime", "Hold Time")),
    name="",
)
RELEASE = Header(
    "eigrp",
    "Software Version",
    (U16("release_version", "EIGRP Release"), U16("tlv_version", "EIGRP TLV version")),
    name="",
)
TLV_DATA = octets("", "Data")
HELLO = 5


@on("ip.proto", 88)
def eigrp(packet: Packet, at: int, limit: int) -> None:
    """Type and length of two bytes each; the length counts them (6.6). A hello that acknowledges has none."""
    packet.column("eigrp")
    layer, (_, opcode, _, _, _, acknowledged, _, autonomous) = packet.open(EIGRP, at, limit)
    packet.info = CODES.get(opcode, f"Unknown OpCode ({opcode})")
    if opcode == HELLO and acknowledged:
        packet.info += " (Ack)"
    layer.said = f"{packet.info}, AS: {autonomous}"
    if packet.build:
        status = UNVERIFIED
        if limit <= packet.caplen and not packet.values.get("quoted"):
            status = GOOD if ones_sum(packet.data[at:limit]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 2)
    where = at + EIGRP.size
    while where < limit:
        kind, size = packet.uint("EIGRP TLV", where, 2, limit), packet.uint("EIGRP TLV", where + 2, 2, limit)
        if size < 4:
            packet.mark(f"EIGRP TLV length {size}, must be at least 4", where + 2)
            return
        packet.check("EIGRP TLV", where, size, limit)
        item = packet.add(layer, TLV, kind, where, size)
        packet.add(item, TLV_LENGTH, size, where + 2, 2)
        _value(packet, item, kind, where + 4, where + size)
        where += size
        layer.size = where - at


def _value(packet: Packet, item: Item, kind: int, at: int, end: int) -> None:
    head = {0x0001: PARAMETERS, 0x0004: RELEASE}.get(kind)
    if head is not None and at + head.size <= end:
        packet.add_header(item, head, at, end)
    elif at < end:
        packet.add(item, TLV_DATA, packet.data[at:end], at, end - at)
