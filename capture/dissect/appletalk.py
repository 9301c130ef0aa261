"""AppleTalk: DDP, and over it NBP and RTMP (Inside AppleTalk, 1990); AARP."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bits,
    Header,
    Hex16,
    Item,
    Mac,
    Packed8,
    Packed16,
    group,
    number,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.protocols import declare

for _name, _label in (("ddp", "DDP"), ("nbp", "NBP"), ("rtmp", "RTMP"), ("aarp", "AARP")):
    declare(_name, _label, "ip")

TYPES = {1: "RTMP", 2: "NBP", 3: "ATP", 4: "AEP", 5: "RTMP request", 6: "ZIP", 7: "ADSP", 22: "IP", 88: "EIGRP"}
DDP = Header(
    "ddp",
    "Datagram Delivery Protocol",
    (
        Packed16(Bits(0x3C00, "hopcount", "Hop count"), Bits(0x03FF, "len", "Datagram length")),
        Hex16("checksum", "Checksum"),
        U16("dst.net", "Destination Net"),
        U16("src.net", "Source Net"),
        U8("dst.node", "Destination Node"),
        U8("src.node", "Source Node"),
        U8("dst_socket", "Destination Socket"),
        U8("src_socket", "Source Socket"),
        U8("type", "Protocol type", TYPES),
    ),
)


@on("ethertype", 0x809B)
@on("snap.080007", 0x809B)
@on("ppp.protocol", 0x0029)
def ddp(packet: Packet, at: int, limit: int) -> Step:
    """Networks, nodes and sockets of both ends."""
    packet.column("ddp")
    layer, (word, _, to_net, from_net, to_node, from_node, to_socket, from_socket, kind) = packet.open(DDP, at, limit)
    packet.source, packet.destination = f"{from_net}.{from_node}", f"{to_net}.{to_node}"
    layer.said = f"Src: {from_net}.{from_node}:{from_socket}, Dst: {to_net}.{to_node}:{to_socket}"
    packet.info = TYPES.get(kind, f"Unknown DDP protocol ({kind:02x})")
    end = min(limit, at + max(word & 0x3FF, DDP.size))
    if packet.payload_end is None:
        packet.payload_end = end
    return step("ddp.type", kind, at + DDP.size, end)


OPERATIONS = {1: "broadcast request", 2: "lookup", 3: "lookup reply", 4: "forward request"}
NBP = Header(
    "nbp",
    "Name Binding Protocol",
    (
        Packed8(Bits(0xF0, "op", "Operation", OPERATIONS), Bits(0x0F, "count", "Count")),
        U8("tid", "Transaction ID"),
    ),
)
NODE = Header(
    "nbp",
    "Node",
    (U16("net", "Network"), U8("node", "Node"), U8("port", "Port"), U8("enum", "Enumerator")),
    name="",
)
TUPLE = group("nbp.nodeid", "Node")
NAMES = (text("nbp.object", "Object"), text("nbp.type", "Type"), text("nbp.zone", "Zone"))


@on("ddp.type", 2)
def nbp(packet: Packet, at: int, limit: int) -> None:
    """Names and where they are: an address, then object, type and zone behind their lengths."""
    packet.column("nbp")
    layer, (word, _) = packet.open(NBP, at, limit)
    packet.info = f"Op: {OPERATIONS.get(word >> 4, f'unknown (0x{word >> 4:02x})')}  Count: {word & 15}"
    layer.said = packet.info
    where = at + NBP.size
    for _ in range(word & 15):
        item = packet.add(layer, TUPLE, None, where, NODE.size)
        packet.add_header(item, NODE, where, limit)
        where = _names(packet, item, where + NODE.size, limit)
        item.size = where - item.start
        layer.size = where - at


def _names(packet: Packet, item: Item, at: int, limit: int) -> int:
    for field in NAMES:
        size = packet.uint("NBP name", at, 1, limit)
        packet.add(item, field, packet.take("NBP name", at + 1, size, limit), at, 1 + size)
        at += 1 + size
    return at


RTMP = Header(
    "rtmp",
    "Routing Table Maintenance Protocol",
    (U16("net", "Net"), U8("nodelength", "Node Length"), U8("node", "Node")),
)
ROUTE = Header(
    "rtmp.tuple",
    "Tuple",
    (U16("net", "Net"), Packed8(Bits(0x80, "extended", "Extended"), Bits(0x1F, "dist", "Distance"))),
)
RANGE_END = number("rtmp.tuple.range_end", "Range End")


@on("ddp.type", 1)
def rtmp(packet: Packet, at: int, limit: int) -> None:
    """Who sends, then the networks that it reaches and how far they are."""
    packet.column("rtmp")
    layer, (net, bits, node) = packet.open(RTMP, at, limit)
    packet.info = f"Net: {net}  Node Len: {bits}  Node: {node}"
    layer.said = packet.info
    where = at + RTMP.size
    while where + ROUTE.size <= limit:
        item = packet.add(layer, ROUTE.field, None, where, ROUTE.size)
        first, distance = packet.add_header(item, ROUTE, where, limit)
        item.said = f"Net {first}, distance {distance & 31}"
        where += ROUTE.size
        if distance & 0x80:
            packet.add(item, RANGE_END, packet.uint("RTMP tuple", where, 2, limit), where, 2)
            where += 3
        layer.size = where - at


FUNCTIONS = {1: "request", 2: "reply", 3: "probe"}
AARP = Header(
    "aarp",
    "AppleTalk Address Resolution Protocol",
    (
        Hex16("hard.type", "Hardware type", {1: "Ethernet", 2: "Token Ring"}),
        Hex16("proto.type", "Protocol type", {0x809B: "Appletalk"}),
        U8("hard.size", "Hardware size"),
        U8("proto.size", "Protocol size"),
        U16("opcode", "Opcode", FUNCTIONS),
        Mac("src.hw_mac", "Sender MAC address"),
        U8("", "Zero"),
        U16("src.proto.net", "Sender Net"),
        U8("src.proto.node", "Sender Node"),
        Mac("dst.hw_mac", "Target MAC address"),
        U8("", "Zero"),
        U16("dst.proto.net", "Target Net"),
        U8("dst.proto.node", "Target Node"),
    ),
)


@on("ethertype", 0x80F3)
@on("snap.000000", 0x80F3)
def aarp(packet: Packet, at: int, limit: int) -> None:
    """Which station has an AppleTalk address."""
    packet.column("aarp")
    layer, values = packet.open(AARP, at, limit)
    kind, sender, target = values[4], f"{values[7]}.{values[8]}", f"{values[11]}.{values[12]}"
    if kind == 1:
        packet.info = f"Who has {target}?  Tell {sender}"
    elif kind == 2:
        packet.info = f"{sender} is at {values[5].hex(':')}"
    elif kind == 3:
        packet.info = f"Is there a {target}"
    else:
        packet.info = f"Unknown AARP opcode 0x{kind:04x}"
    layer.said = FUNCTIONS.get(kind, f"opcode {kind}")
    if packet.payload_end is None:
        packet.payload_end = at + AARP.size
