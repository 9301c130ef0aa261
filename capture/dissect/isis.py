"""IS-IS (ISO 10589, RFC 1195, 5305, 5308): hellos, link state, sequence numbers."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bits,
    Bytes,
    Field,
    Header,
    Hex16,
    Hex32,
    Item,
    Packed8,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.protocols import declare
from netwatch.capture.text import ipv4, ipv6

declare("isis.hello", "ISIS HELLO", "routing")
declare("isis.lsp", "ISIS LSP", "routing")
declare("isis.csnp", "ISIS CSNP", "routing")
declare("isis.psnp", "ISIS PSNP", "routing")

TYPES = {
    15: "L1 HELLO",
    16: "L2 HELLO",
    17: "P2P HELLO",
    18: "L1 LSP",
    20: "L2 LSP",
    24: "L1 CSNP",
    25: "L2 CSNP",
    26: "L1 PSNP",
    27: "L2 PSNP",
}
ISIS = Header(
    "isis",
    "ISO 10589 ISIS InTRA Domain Routeing Information Exchange Protocol",
    (
        U8("irpd", "Intradomain Routing Protocol Discriminator", {0x83: "ISIS"}),
        U8("len", "Length Indicator"),
        U8("version", "Version/Protocol ID Extension"),
        U8("sysid_len", "ID Length"),
        Packed8(Bits(0xE0, "type.reserved", "Reserved"), Bits(0x1F, "type", "PDU Type", TYPES)),
        U8("version2", "Version"),
        U8("reserved", "Reserved"),
        U8("max_area_adr", "Maximum Area Addresses"),
    ),
)


def _system(value: bytes) -> str:
    """`0000.0000.0002`, with a circuit `.01`, with a fragment's number `-00`."""
    said = ".".join([value[index : index + 2].hex() for index in range(0, min(len(value), 6), 2)])
    if len(value) > 6:
        said += f".{value[6]:02x}"
    return f"{said}-{value[7]:02x}" if len(value) > 7 else said


def _id(name: str, label: str, size: int) -> Field:
    return Field(name, label, plain=_system, code=f"{size}s", size=size)


CIRCUITS = {1: "Level 1 only", 2: "Level 2 only", 3: "Level 1 and 2"}
HELLO = Header(
    "isis.hello",
    "ISIS HELLO",
    (
        Packed8(
            Bits(0xFC, "reserved", "Reserved", digits=2),
            Bits(0x03, "circuit_type", "Circuit type", CIRCUITS, digits=2),
        ),
        _id("source_id", "SystemID {Sender of PDU}", 6),
        U16("holding_timer", "Holding timer"),
        U16("pdu_length", "PDU length"),
    ),
)
LAN = Header(
    "isis.hello",
    "LAN",
    (Packed8(Bits(0x7F, "priority", "Priority")), _id("lan_id", "SystemID {Designated IS}", 7)),
    name="",
)
POINT = Header("isis.hello", "Point to point", (U8("local_circuit_id", "Local circuit ID"),), name="")
LSP = Header(
    "isis.lsp",
    "ISO 10589 ISIS Link State Protocol Data Unit",
    (
        U16("pdu_length", "PDU length"),
        U16("remaining_life", "Remaining lifetime"),
        _id("lsp_id", "LSP-ID", 8),
        Hex32("sequence_number", "Sequence number"),
        Hex16("checksum", "Checksum"),
        Packed8(
            Bits(0x80, "partition_repair", "Partition Repair"),
            Bits(0x78, "att", "Attachment"),
            Bits(0x04, "overload", "Overload bit"),
            Bits(0x03, "is_type", "Type of Intermediate System", {1: "Level 1", 3: "Level 2"}),
        ),
    ),
)
CSNP = Header(
    "isis.csnp",
    "ISO 10589 ISIS Complete Sequence Numbers Protocol Data Unit",
    (
        U16("pdu_length", "PDU length"),
        _id("source_id", "Source-ID", 6),
        Bytes("source_circuit", "Source-ID-Circuit", 1),
        _id("start_lsp_id", "Start LSP-ID", 8),
        _id("end_lsp_id", "End LSP-ID", 8),
    ),
)
PSNP = Header(
    "isis.psnp",
    "ISO 10589 ISIS Partial Sequence Numbers Protocol Data Unit",
    (
        U16("pdu_length", "PDU length"),
        _id("source_id", "Source-ID", 6),
        Bytes("source_circuit", "Source-ID-Circuit", 1),
    ),
)
TLVS = {
    1: "Area address(es)",
    2: "IS Reachability",
    6: "IS Neighbor(s)",
    8: "Padding",
    9: "LSP entries",
    10: "Authentication",
    22: "Extended IS reachability",
    128: "IP Internal reachability",
    129: "Protocols Supported",
    130: "IP External reachability",
    132: "IP Interface address(es)",
    134: "Traffic Engineering Router ID",
    135: "Extended IP Reachability",
    137: "Hostname",
    211: "Restart Signaling",
    229: "Multi Topology",
    232: "IPv6 Interface address(es)",
    236: "IPv6 reachability",
    240: "Point-to-point Adjacency State",
    242: "Router Capability",
}


def _entry(prefix: str) -> Header:
    return Header(
        prefix,
        "LSP Entry",
        (
            U16("lsp_remain_life", "Remaining Lifetime"),
            _id("lsp_id", "LSP-ID", 8),
            Hex32("lsp_seq_num", "LSP Sequence Number"),
            Hex16("lsp_checksum", "LSP checksum"),
        ),
        name="",
    )


class Records:
    """The names of the records of one kind of PDU."""

    def __init__(self, prefix: str) -> None:
        self.type = number(f"{prefix}.clv.type", "Type", TLVS)
        self.length = number(f"{prefix}.clv.length", "Length")
        self.area = octets(f"{prefix}.area_address", "Area address")
        self.ip4 = address(f"{prefix}.clv_ipv4_int_addr", "IPv4 interface address", 4)
        self.ip6 = address(f"{prefix}.clv_ipv6_int_addr", "IPv6 interface address", 16)
        self.protocol = number(
            f"{prefix}.clv_nlpid.nlpid", "NLPID", {0xCC: "IP", 0x8E: "IPv6", 0x81: "CLNP"}, digits=2
        )
        self.neighbor = address(f"{prefix}.is_neighbor", "IS Neighbor", 6)
        self.hostname = text(f"{prefix}.hostname", "Hostname")
        self.entry = _entry(prefix)


HELLO_RECORDS, LSP_RECORDS, CSNP_RECORDS, PSNP_RECORDS = (
    Records(prefix) for prefix in ("isis.hello", "isis.lsp", "isis.csnp", "isis.psnp")
)
DATA = octets("", "Data")
ROUTE = number("isis.lsp.ext_ip_reachability.metric", "Ext. IP Reachability, metric")
ROUTE6 = number("isis.lsp.ipv6_reachability.metric", "IPv6 Reachability, metric")
NEIGHBOR = Field("isis.lsp.ext_is_reachability.is_neighbor_id", "IS Neighbor", plain=_system)
HELLOS, LINK_STATES, COMPLETE, PARTIAL = (frozenset(kinds) for kinds in ((15, 16, 17), (18, 20), (24, 25), (26, 27)))
LAN_HELLOS: Final = frozenset({15, 16})
DISCRIMINATOR: Final = 0x83


@on("osi.nlpid", DISCRIMINATOR)
def isis(packet: Packet, at: int, limit: int) -> Step | None:
    """A head that all have, one of the PDU's kind, then records."""
    packet.column("isis")
    layer, (_, _, _, _, word, *_) = packet.open(ISIS, at, limit)
    kind, start = word & 31, at + ISIS.size
    name = TYPES.get(kind, f"Unknown ({kind})")
    layer.said = packet.info = name
    if kind in HELLOS:
        packet.column("isis.hello", name)
        part, (_, source, _, length) = packet.open(HELLO, start, limit)
        packet.info += f", System-ID: {_system(source)}"
        tail = LAN if kind in LAN_HELLOS else POINT
        packet.add_header(part, tail, start + HELLO.size, limit)
        _records(packet, part, HELLO_RECORDS, start + HELLO.size + tail.size, min(limit, at + length))
    elif kind in LINK_STATES:
        packet.column("isis.lsp", name)
        part, (length, life, ident, sequence, *_) = packet.open(LSP, start, limit)
        packet.info += f", LSP-ID: {_system(ident)}, Sequence: 0x{sequence:08x}, Lifetime: {life:5}s"
        _records(packet, part, LSP_RECORDS, start + LSP.size, min(limit, at + length))
    elif kind in COMPLETE:
        packet.column("isis.csnp", name)
        part, (length, source, circuit, first, last) = packet.open(CSNP, start, limit)
        packet.info += f", Source-ID: {_system(source)}.{circuit.hex()}"
        packet.info += f", Start LSP-ID: {_system(first)}, End LSP-ID: {_system(last)}"
        _records(packet, part, CSNP_RECORDS, start + CSNP.size, min(limit, at + length))
    elif kind in PARTIAL:
        packet.column("isis.psnp", name)
        part, (length, source, circuit) = packet.open(PSNP, start, limit)
        packet.info += f", Source-ID: {_system(source)}.{circuit.hex()}"
        _records(packet, part, PSNP_RECORDS, start + PSNP.size, min(limit, at + length))
    else:
        return Step((), start, limit)
    return None


def _records(packet: Packet, layer: Item, names: Records, at: int, limit: int) -> None:
    """One byte of type, one of length."""
    while at < limit:
        kind, size = packet.take("IS-IS record", at, 2, limit)
        value = packet.take(f"IS-IS record {kind}", at + 2, size, limit)
        item = packet.add(layer, names.type, kind, at, 2 + size, f"{TLVS.get(kind, 'Unknown')} (t={kind}, l={size})")
        packet.add(item, names.length, size, at + 1, 1)
        _value(packet, item, names, kind, value, at + 2)
        at += 2 + size
        layer.size = at - layer.start


def _value(packet: Packet, item: Item, names: Records, kind: int, value: bytes, at: int) -> None:
    end = at + len(value)
    if kind == 1:
        _areas(packet, item, names, value, at)
    elif kind == 129:
        for index, protocol in enumerate(value):
            packet.add(item, names.protocol, protocol, at + index, 1)
    elif kind in (6, 132, 232) and value:
        field, width = {6: (names.neighbor, 6), 132: (names.ip4, 4), 232: (names.ip6, 16)}[kind]
        for where in range(at, end - width + 1, width):
            packet.add(item, field, packet.data[where : where + width], where, width)
    elif kind == 9:
        for where in range(at, end - names.entry.size + 1, names.entry.size):
            packet.add_header(item, names.entry, where, end)
    elif kind == 137:
        packet.add(item, names.hostname, value, at, len(value))
    elif kind in (135, 236):
        _routes(packet, item, kind == 236, at, end)
    elif kind == 22:
        _neighbors(packet, item, at, end)
    elif value and kind != 8:
        packet.add(item, DATA, value, at, len(value))


def _areas(packet: Packet, item: Item, names: Records, value: bytes, at: int) -> None:
    where = 0
    while where < len(value):
        size = value[where]
        area = value[where + 1 : where + 1 + size]
        said = area[:1].hex() + "".join([f".{area[index : index + 2].hex()}" for index in range(1, len(area), 2)])
        packet.add(item, names.area, area, at + where + 1, len(area), said)
        where += 1 + size


def _routes(packet: Packet, item: Item, six: bool, at: int, end: int) -> None:
    """A metric, flags with the prefix's length or before it, as many bytes as it takes, parts of a part."""
    width, more = (16, 0x20) if six else (4, 0x40)
    while at < end:
        metric = packet.uint("IS-IS route", at, 4, end)
        flags = packet.uint("IS-IS route", at + 4, 1, end)
        length = packet.uint("IS-IS route", at + 5, 1, end) if six else flags & 0x3F
        start = at + (6 if six else 5)
        prefix = packet.take("IS-IS route", start, (length + 7) // 8, end)[:width]
        size = start - at + (length + 7) // 8
        if flags & more:
            size += 1 + packet.uint("IS-IS route", at + size, 1, end)
        shown = (ipv6 if six else ipv4)(prefix.ljust(width, b"\0"))
        packet.add(
            item, ROUTE6 if six else ROUTE, metric, at, min(size, end - at), f"{shown}/{length}, metric {metric}"
        )
        at += size


def _neighbors(packet: Packet, item: Item, at: int, end: int) -> None:
    while at < end:
        head = packet.take("IS-IS neighbor", at, 11, end)
        size = min(11 + head[10], end - at)
        metric = int.from_bytes(head[7:10], "big")
        packet.add(item, NEIGHBOR, head[:7], at, size, f"{_system(head[:7])}, metric {metric}")
        at += size


@on("llc.sap", 0xFE)
@on("gre.proto", 0x00FE)
@on("ppp.protocol", 0x0023)
def osi(packet: Packet, at: int, limit: int) -> Step:
    """The first byte of an OSI network protocol says which (ISO 9577)."""
    if at >= packet.end(limit):
        return Step((), at, limit)
    return step("osi.nlpid", packet.data[at], at, limit)
