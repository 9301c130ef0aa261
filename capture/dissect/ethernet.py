"""Ethernet II, 802.3, and VLAN tags (IEEE 802.3, 802.1Q)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Bits, Header, Hex16, Item, Mac, Packed16, number
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step
from netwatch.capture.text import mac

ETHERNET = Header(
    "eth",
    "Ethernet II",
    (Mac("dst", "Destination"), Mac("src", "Source"), Hex16("type", "Type", ETHERTYPES)),
)
LENGTH = number("eth.len", "Length")
IPV6 = 0x86DD

ELIGIBLE = {0: "Ineligible", 1: "Eligible"}
"""To be dropped first (IEEE 802.1Q, 6.9.3)."""
VLAN = Header(
    "vlan",
    "802.1Q Virtual LAN",
    (
        Packed16(
            Bits(0xE000, "priority", "Priority"), Bits(0x1000, "dei", "DEI", ELIGIBLE), Bits(0x0FFF, "id", "ID")
        ),
        Hex16("etype", "Type", ETHERTYPES),
    ),
)
PROVIDER_VLAN = Header(
    "ieee8021ad",
    "IEEE 802.1ad",
    (
        Packed16(
            Bits(0xE000, "priority", "Priority"), Bits(0x1000, "dei", "DEI", ELIGIBLE), Bits(0x0FFF, "id", "ID")
        ),
        Hex16("=ieee8021ah.etype", "Type", ETHERTYPES),
    ),
)


@on("linktype", 1)
@on("ethertype", 0x6558)
def ethernet(packet: Packet, at: int, limit: int) -> Step | None:
    """Type or length behind two addresses: up to 1500 it is a length (IEEE 802.3, 3.2.6), 0 neither."""
    packet.column("eth", "Ethernet II")
    layer, (destination, source, kind) = packet.open(ETHERNET, at, limit)
    packet.source, packet.destination = mac(source), mac(destination)
    layer.said = f"Src: {packet.source}, Dst: {packet.destination}"
    start = at + ETHERNET.size
    if kind > 1500 or not kind:
        return by_type(packet, kind, start, limit)
    if packet.build:
        layer.children[2] = Item(LENGTH, kind, at + 12, 2)
    if kind and start + kind < limit:
        limit = start + kind
        if packet.payload_end is None:
            packet.payload_end = limit
    if packet.data[start : start + 2] == b"\xff\xff":
        return step("llc.novell", 0, start, limit)
    return step("llc", 0, start, limit)


def by_type(packet: Packet, kind: int, at: int, limit: int) -> Step:
    """What an EtherType announces. A type that nobody knows stands in the Protocol column itself."""
    if kind not in TABLES["ethertype"]:
        packet.protocol = f"0x{kind:04x}"
        packet.info = ETHERTYPES.get(kind, "Ethernet II" if packet.info in ("", "Ethernet II") else packet.info)
    elif kind == IPV6 and at < packet.end(limit) and packet.data[at] >> 4 != 6:
        packet.protocol, packet.info = "0x86dd", "IPv6"
        packet.mark(f"Bogus IPv6 version ({packet.data[at] >> 4}, must be 6)", at)
        return Step((), at, limit)
    return step("ethertype", kind, at, limit)


def _tag(packet: Packet, header: Header, name: str, at: int, limit: int, drop: str) -> Step:
    packet.column(name)
    layer, (word, kind) = packet.open(header, at, limit)
    priority, eligible, vlan = word >> 13, word >> 12 & 1, word & 0x0FFF
    packet.values["vlan.id"] = vlan
    layer.said = f"PRI: {priority}, DEI: {eligible}, ID: {vlan}"
    packet.info = f"PRI: {priority}  {drop}{eligible} {' ' if drop == 'DEI: ' else ''}ID: {vlan}"
    start = at + header.size
    if kind <= 1500:
        return step("llc", 0, start, limit)
    return by_type(packet, kind, start, limit)


@on("ethertype", 0x8100, 0x9100)
def vlan(packet: Packet, at: int, limit: int) -> Step:
    """One tag and the type of what follows."""
    return _tag(packet, VLAN, "vlan", at, limit, "DEI: ")


@on("ethertype", 0x88A8)
def provider_vlan(packet: Packet, at: int, limit: int) -> Step:
    """The outer tag of two."""
    return _tag(packet, PROVIDER_VLAN, "ieee8021ad", at, limit, "DROP: ")
