"""OSPF (RFC 2328, version 3: RFC 5340): hellos, descriptions, requests, link states and their acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    U32,
    Bit,
    Bits,
    Bytes,
    Field,
    Flags8,
    Flags16,
    Header,
    Hex16,
    Hex24,
    Hex32,
    Ip4,
    Item,
    Packed8,
    Packed16,
    address,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import ipv4

TYPES = {1: "Hello Packet", 2: "DB Description", 3: "LS Request", 4: "LS Update", 5: "LS Acknowledge"}
OSPF = Header(
    "ospf",
    "Open Shortest Path First",
    (
        U8("version", "Version"),
        U8("msg", "Message Type", TYPES),
        U16("packet_length", "Packet Length"),
        Ip4("srcrouter", "Source OSPF Router"),
        Ip4("area_id", "Area ID"),
        Hex16("checksum", "Checksum"),
    ),
)
AUTH = Header(
    "ospf",
    "Authentication",
    (U16("auth.type", "Auth Type", {0: "Null", 1: "Simple password", 2: "Cryptographic"}),),
    name="",
)
AUTH_DATA: Final = {
    0: octets("ospf.auth.none", "Auth Data (none)"),
    1: text("ospf.auth.simple", "Auth Data (Simple)"),
    2: octets("ospf.auth.crypt.data", "Auth Crypt Data"),
}
INSTANCE = Header("ospf", "Instance", (U8("instance_id", "Instance ID"), Bytes("reserved", "Reserved", 1)), name="")

OPTIONS = Flags8(
    "v2.options",
    "Options",
    Bit(0x80, "v2.options.dn", "DN"),
    Bit(0x40, "v2.options.o", "O"),
    Bit(0x20, "v2.options.dc", "(DC) Demand Circuits"),
    Bit(0x10, "v2.options.l", "(L) LLS Data block"),
    Bit(0x08, "v2.options.n", "(N) NSSA"),
    Bit(0x04, "v2.options.mc", "(MC) Multicast"),
    Bit(0x02, "v2.options.e", "(E) External Routing"),
    Bit(0x01, "v2.options.mt", "(MT) Multi-Topology Routing"),
)
OPTIONS3 = Hex24("v3.options", "Options")
HELLO = Header(
    "ospf",
    "OSPF Hello Packet",
    (
        Ip4("hello.network_mask", "Network Mask"),
        U16("hello.hello_interval", "Hello Interval [sec]"),
        OPTIONS,
        U8("hello.router_priority", "Router Priority"),
        U32("hello.router_dead_interval", "Router Dead Interval [sec]"),
        Ip4("hello.designated_router", "Designated Router"),
        Ip4("hello.backup_designated_router", "Backup Designated Router"),
    ),
    name="ospf.hello",
)
HELLO3 = Header(
    "ospf",
    "OSPF Hello Packet",
    (
        U32("hello.interface_id", "Interface ID"),
        U8("hello.router_priority", "Router Priority"),
        OPTIONS3,
        U16("hello.hello_interval", "Hello Interval [sec]"),
        U16("hello.router_dead_interval", "Router Dead Interval [sec]"),
        Ip4("hello.designated_router", "Designated Router"),
        Ip4("hello.backup_designated_router", "Backup Designated Router"),
    ),
    name="ospf.hello",
)
NEIGHBOR = address("ospf.hello.active_neighbor", "Active Neighbor", 4)
DESCRIBED = Flags8(
    "dbd",
    "DB Description",
    Bit(0x08, "dbd.r", "(R) OOBResync"),
    Bit(0x04, "dbd.i", "(I) Init"),
    Bit(0x02, "dbd.m", "(M) More"),
    Bit(0x01, "dbd.ms", "(MS) Master"),
)
DESCRIPTION = Header(
    "ospf",
    "OSPF DB Description",
    (U16("db.interface_mtu", "Interface MTU"), OPTIONS, DESCRIBED, U32("db.dd_sequence", "DD Sequence")),
    name="",
)
DESCRIPTION3 = Header(
    "ospf",
    "OSPF DB Description",
    (
        Bytes("reserved", "Reserved", 1),
        OPTIONS3,
        U16("db.interface_mtu", "Interface MTU"),
        Bytes("reserved", "Reserved", 1),
        DESCRIBED,
        U32("db.dd_sequence", "DD Sequence"),
    ),
    name="",
)
KINDS = {
    1: "Router-LSA",
    2: "Network-LSA",
    3: "Summary-LSA (IP network)",
    4: "Summary-LSA (ASBR)",
    5: "AS-External-LSA (ASBR)",
    6: "Group Membership LSA",
    7: "NSSA AS-External-LSA",
    9: "Opaque LSA, Link-local scope",
    10: "Opaque LSA, Area-local scope",
    11: "Opaque LSA, AS-local scope",
}
KINDS3 = {
    1: "Router-LSA",
    2: "Network-LSA",
    3: "Inter-Area-Prefix-LSA",
    4: "Inter-Area-Router-LSA",
    5: "AS-External-LSA",
    7: "NSSA-LSA",
    8: "Link-LSA",
    9: "Intra-Area-Prefix-LSA",
}
AGE = Packed16(Bits(0x8000, "lsa.donotage", "Do Not Age Flag"), Bits(0x7FFF, "lsa.age", "LS Age (seconds)"))
IDENTITY: tuple[Field, ...] = (
    Ip4("lsa.id", "Link State ID"),
    Ip4("advrouter", "Advertising Router"),
    Hex32("lsa.seqnum", "Sequence Number"),
    Hex16("lsa.chksum", "Checksum"),
    U16("lsa.length", "Length"),
)
LSA = Header("ospf", "LSA", (AGE, OPTIONS, U8("lsa", "LS Type", KINDS), *IDENTITY), name="")
KIND3 = Flags16(
    "v3.lsa",
    "LS Type",
    Bits(0x8000, "v3.lsa.u", "LSA Handling"),
    Bits(0x6000, "v3.lsa.s12", "Flooding Scope", {0: "Link-Local", 1: "Area", 2: "AS"}, digits=1),
    Bits(0x1FFF, "v3.lsa.fc", "Function Code", KINDS3),
)
LSA3 = Header("ospf", "LSA", (AGE, KIND3, *IDENTITY), name="")
REQUEST = Header(
    "ospf",
    "Link State Request",
    (U32("lsa", "LS Type", KINDS), Ip4("link_state_id", "Link State ID"), Ip4("advrouter", "Advertising Router")),
    name="",
)
REQUEST3 = Header(
    "ospf",
    "Link State Request",
    (
        Bytes("reserved", "Reserved", 2),
        KIND3,
        Ip4("link_state_id", "Link State ID"),
        Ip4("advrouter", "Advertising Router"),
    ),
    name="",
)
PART = group("", "LSA")
HEAD = group("ospf.header", "OSPF Header")
COUNT = number("ospf.ls.number_of_lsas", "Number of LSAs")

ROUTER = Header(
    "ospf",
    "Router LSA",
    (
        Flags8(
            "v2.router.lsa.flags",
            "Flags",
            Bit(0x80, "v2.router.lsa.flags.h", "(H) flag"),
            Bit(0x10, "v2.router.lsa.flags.n", "(N) flag"),
            Bit(0x08, "v2.router.lsa.flags.w", "(W) Wild-card multicast receiver"),
            Bit(0x04, "v2.router.lsa.flags.v", "(V) Virtual link endpoint"),
            Bit(0x02, "v2.router.lsa.flags.e", "(E) AS boundary router"),
            Bit(0x01, "v2.router.lsa.flags.b", "(B) Area border router"),
        ),
        U8("", "Reserved"),
        U16("lsa.number_of_links", "Number of Links"),
    ),
    name="",
)
LINK_TYPES = {
    1: "Point-to-point connection to another router",
    2: "Connection to a transit network",
    3: "Connection to a stub network",
    4: "Virtual link",
}
LINK = Header(
    "ospf.lsa.router",
    "Link",
    (
        Ip4("linkid", "Link ID"),
        Ip4("linkdata", "Link Data"),
        U8("linktype", "Link Type", LINK_TYPES),
        U8("nummetrics", "Number of Metrics"),
        U16("metric0", "0 Metric"),
    ),
    name="",
)
NETWORK = Header("ospf", "Network LSA", (Ip4("lsa.network.netmask", "Netmask"),), name="")
ATTACHED = address("ospf.lsa.network.attchrtr", "Attached Router", 4)
SUMMARY = Header(
    "ospf",
    "Summary LSA",
    (Ip4("lsa.asbr.netmask", "Netmask"), U8("lsa.tos", "TOS"), U24("metric", "Metric")),
    name="",
)
EXTERNAL = Header(
    "ospf",
    "AS-External LSA",
    (
        Ip4("lsa.asext.netmask", "Netmask"),
        Packed8(
            Bits(0x80, "lsa.asext.type", "External Type", {0: "Type 1", 1: "Type 2"}), Bits(0x7F, "lsa.tos", "TOS")
        ),
        U24("metric", "Metric"),
        Ip4("lsa.asext.fwdaddr", "Forwarding Address"),
        U32("lsa.asext.extrttag", "External Route Tag"),
    ),
    name="",
)
LSA_DATA = octets("", "LSA data")


@on("ip.proto", 89)
def ospf(packet: Packet, at: int, limit: int) -> Step | None:
    """The head of version 2 has authentication, that of 3 an instance (RFC 2328, A.3.1; RFC 5340, A.3.1)."""
    packet.column("ospf")
    layer, (version, kind, length, router, area, _) = packet.open(OSPF, at, limit)
    packet.info = TYPES.get(kind, f"Unknown ({kind})")
    layer.said = f"{packet.info}, Router: {ipv4(router)}, Area: {ipv4(area)}"
    if version not in (2, 3):
        return Step((), at + OSPF.size, limit)
    end = min(limit, at + max(length, OSPF.size))
    where = at + OSPF.size
    if version == 2:
        (authentication,) = packet.add_header(layer, AUTH, where, end)
        secret = packet.take("OSPF", where + 2, 8, end)
        packet.add(layer, AUTH_DATA.get(authentication, AUTH_DATA[2]), secret, where + 2, 8)
        where += 10
    else:
        packet.add_header(layer, INSTANCE, where, end)
        where += INSTANCE.size
    layer.size = where - at
    if packet.build:
        head = Item(HEAD, None, at, where - at, "", layer.children, buffer=packet.buffer)
        layer.children = [head]
    show = MESSAGES.get(kind)
    if show is None:
        return Step((), where, end)
    where = show(packet, layer, version == 3, where, end)
    layer.size = where - at
    # Behind the length stand a digest or signals of the link (RFC 2328, D.3; RFC 5613).
    return Step((), max(where, end), limit) if max(where, end) < limit else None


def _hello(packet: Packet, layer: Item, third: bool, at: int, end: int) -> int:
    head = HELLO3 if third else HELLO
    item = packet.add(layer, HELLO.field, None, at, end - at)
    packet.add_header(item, head, at, end)
    where = at + head.size
    while where + 4 <= end:
        packet.add(item, NEIGHBOR, packet.take("OSPF neighbor", where, 4, end), where, 4)
        where += 4
    return where


def _description(packet: Packet, layer: Item, third: bool, at: int, end: int) -> int:
    head = DESCRIPTION3 if third else DESCRIPTION
    packet.add_header(layer, head, at, end)
    return _acknowledged(packet, layer, third, at + head.size, end)


def _acknowledged(packet: Packet, layer: Item, third: bool, at: int, end: int) -> int:
    """Heads of link states, one after the other."""
    while at < end:
        _head(packet, layer, third, at, end)
        at += LSA.size
    return at


def _requests(packet: Packet, layer: Item, third: bool, at: int, end: int) -> int:
    head = REQUEST3 if third else REQUEST
    while at < end:
        packet.add_header(packet.add(layer, PART, None, at, head.size, "request"), head, at, end)
        at += head.size
    return at


def _update(packet: Packet, layer: Item, third: bool, at: int, end: int) -> int:
    count = packet.uint("OSPF update", at, 4, end)
    packet.add(layer, COUNT, count, at, 4)
    at += 4
    for _ in range(count):
        if at >= end:
            break
        item, kind, length = _head(packet, layer, third, at, end)
        if length < LSA.size:
            packet.mark(f"OSPF: LSA length {length}, must be at least {LSA.size}", at + 18)
            return at + LSA.size
        packet.check("OSPF LSA", at, length, end)
        item.size = length
        _body(packet, item, 0 if third else kind, at + LSA.size, at + length)
        at += length
    return at


def _head(packet: Packet, layer: Item, third: bool, at: int, end: int) -> tuple[Item, int, int]:
    item = packet.add(layer, PART, None, at, LSA.size)
    if third:
        _, kind, ident, router, _, _, length = packet.add_header(item, LSA3, at, end)
        name = KINDS3.get(kind & 0x1FFF, f"type {kind}")
    else:
        _, _, kind, ident, router, _, _, length = packet.add_header(item, LSA, at, end)
        name = KINDS.get(kind, f"type {kind}")
    item.said = f"{name}, ID {ipv4(ident)}, from {ipv4(router)}, len {length}"
    return item, kind, length


def _body(packet: Packet, item: Item, kind: int, at: int, end: int) -> None:
    """What the kinds of version 2 that every network has say (RFC 2328, A.4)."""
    head = {1: ROUTER, 2: NETWORK, 3: SUMMARY, 4: SUMMARY, 5: EXTERNAL, 7: EXTERNAL}.get(kind)
    if head is None or at + head.size > end:
        if at < end:
            packet.add(item, LSA_DATA, packet.data[at:end], at, end - at)
        return
    values = packet.add_header(item, head, at, end)
    at += head.size
    if kind == 1:
        for _ in range(values[2]):
            if at + LINK.size > end:
                break
            metrics = packet.data[at + 9]
            size = min(LINK.size + 4 * metrics, end - at)
            link = packet.add(item, PART, None, at, size)
            ident, data, sort, _, metric = packet.add_header(link, LINK, at, end)
            link.said = f"{LINK_TYPES.get(sort, sort)}, ID {ipv4(ident)}, data {ipv4(data)}, metric {metric}"
            at += size
    elif kind == 2:
        for where in range(at, end - 3, 4):
            packet.add(item, ATTACHED, packet.data[where : where + 4], where, 4)


MESSAGES: Final[dict[int, Callable[[Packet, Item, bool, int, int], int]]] = {
    1: _hello,
    2: _description,
    3: _requests,
    4: _update,
    5: _acknowledged,
}
