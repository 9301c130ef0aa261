"""Link layers with little or nothing before IP: raw IP, BSD loopback, Linux cooked capture v1 and v2."""

from __future__ import annotations

from netwatch.capture.dissect.ethernet import by_type
from netwatch.capture.dissect.kit import U8, U16, U32, Bytes, Header, Hex16, Item, address, group, number, octets
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.text import mac

RAW = group("raw", "Raw packet data")
NULL = group("null", "Null/Loopback")
FAMILY = number(
    "null.family", "Family", {2: "IP", 7: "OSI", 23: "IPX", 24: "IPv6", 28: "IPv6", 30: "IPv6", 10: "IPv6"}
)
IPV6_FAMILIES = frozenset({10, 24, 28, 30})
"""AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin."""

PACKET_TYPES = {0: "Unicast to us", 1: "Broadcast", 2: "Multicast", 3: "Unicast to another host", 4: "Sent by us"}
COOKED = Header(
    "sll",
    "Linux cooked capture v1",
    (
        U16("pkttype", "Packet type", PACKET_TYPES),
        U16("hatype", "Link-layer address type"),
        U16("halen", "Link-layer address length"),
        Bytes("src.other", "Source", 8),
        Hex16("etype", "Protocol", ETHERTYPES),
    ),
)
COOKED2 = Header(
    "sll",
    "Linux cooked capture v2",
    (
        Hex16("etype", "Protocol", ETHERTYPES),
        Bytes("", "Reserved", 2),
        U32("ifindex", "Interface index"),
        U16("hatype", "Link-layer address type"),
        U8("pkttype", "Packet type", PACKET_TYPES),
        U8("halen", "Link-layer address length"),
        Bytes("src.other", "Source", 8),
    ),
)
SENDER, UNUSED = address("sll.src.eth", "Source", 6), octets("sll.unused", "Unused")
HARDWARE_SIZE = 6
NETLINK_OR_CAN = frozenset({280, 824})


@on("linktype", 101, 12, 14)
def raw_ip(packet: Packet, at: int, limit: int) -> Step | None:
    """The version in the first four bits says which IP."""
    packet.column("raw", "Raw packet data")
    packet.layer(RAW, at, 0)
    return by_version(packet, at, limit)


@on("linktype", 229)
def raw_ipv6(packet: Packet, at: int, limit: int) -> Step | None:
    """IPv6 without a link layer."""
    packet.column("raw", "Raw packet data")
    packet.layer(RAW, at, 0)
    return step("ethertype", 0x86DD, at, limit)


def by_version(packet: Packet, at: int, limit: int) -> Step:
    """IPv4 or IPv6 by the first four bits; anything else is data."""
    first = packet.uint("Raw IP", at, 1, limit) >> 4
    return step("ethertype", {4: 0x0800, 6: 0x86DD}.get(first, -1), at, limit)


@on("linktype", 0, 108)
def null(packet: Packet, at: int, limit: int) -> Step | None:
    """A family in the byte order of the host that captured, or (108) of the network."""
    packet.column("null", "Null/Loopback")
    head = packet.take("Null/Loopback", at, 4, limit)
    # Families are small: whichever byte order gives a small number is the host's.
    family = min(int.from_bytes(head, "little"), int.from_bytes(head, "big"))
    layer = packet.layer(NULL, at, 4)
    packet.add(layer, FAMILY, family, at, 4)
    kind = 0x0800 if family == 2 else 0x86DD if family in IPV6_FAMILIES else family if family > 1500 else -1
    return step("ethertype", kind, at + 4, limit)


def _cooked(packet: Packet, kind: int, hardware: int, sender: bytes, at: int, limit: int) -> Step:
    packet.source = mac(sender)
    if kind in (1, 4) and hardware not in NETLINK_OR_CAN:
        return step("llc", 0, at, limit) if kind == 4 else step("llc.novell", 0, at, limit)
    return by_type(packet, kind, at, limit)


def _sender(packet: Packet, layer: Item, place: int, length: int, value: bytes) -> None:
    """Eight bytes hold an address of six as such, and what is left over."""
    if packet.build and length == HARDWARE_SIZE:
        at = layer.children[place].start
        layer.children[place : place + 1] = [
            Item(SENDER, value[:HARDWARE_SIZE], at, HARDWARE_SIZE),
            Item(UNUSED, value[HARDWARE_SIZE:], at + HARDWARE_SIZE, 2),
        ]


@on("linktype", 113)
def cooked(packet: Packet, at: int, limit: int) -> Step:
    """What `any` gave before there was version 2 (LINKTYPE_LINUX_SLL)."""
    packet.column("sll", "Ethernet II")
    layer, (direction, hardware, length, sender, kind) = packet.open(COOKED, at, limit)
    layer.said = PACKET_TYPES.get(direction, "")
    _sender(packet, layer, 3, length, sender)
    return _cooked(packet, kind, hardware, sender[: min(length, 8)], at + COOKED.size, limit)


@on("linktype", 276)
def cooked2(packet: Packet, at: int, limit: int) -> Step:
    """LINKTYPE_LINUX_SLL2: the interface's index too."""
    packet.column("sll", "Ethernet II")
    layer, (kind, _, _, hardware, direction, length, sender) = packet.open(COOKED2, at, limit)
    layer.said = PACKET_TYPES.get(direction, "")
    _sender(packet, layer, 6, length, sender)
    return _cooked(packet, kind, hardware, sender[: min(length, 8)], at + COOKED2.size, limit)
