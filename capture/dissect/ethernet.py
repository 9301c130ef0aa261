"""Ethernet II, 802.3 with LLC and SNAP, and VLAN tags (IEEE 802.3, 802.2, 802.1Q)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U24, Bit, Bits, Header, Hex16, Item, Mac, Packed8, Packed16, number
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

VLAN = Header(
    "vlan",
    "802.1Q Virtual LAN",
    (
        Packed16(Bits(0xE000, "priority", "Priority"), Bit(0x1000, "dei", "DEI"), Bits(0x0FFF, "id", "ID")),
        Hex16("etype", "Type", ETHERTYPES),
    ),
)
PROVIDER_VLAN = Header(
    "ieee8021ad",
    "IEEE 802.1ad",
    (
        Packed16(Bits(0xE000, "priority", "Priority"), Bits(0x1000, "dei", "DEI"), Bits(0x0FFF, "id", "ID")),
        Hex16("=vlan.etype", "Type", ETHERTYPES),
    ),
)

SAPS = {
    0x00: "NULL LSAP",
    0x02: "LLC Sub-Layer Management",
    0x06: "TCP/IP",
    0x42: "Spanning Tree BPDU",
    0x98: "ARP",
    0xAA: "SNAP",
    0xBC: "Banyan Vines",
    0xE0: "NetWare",
    0xF0: "NetBIOS",
    0xF4: "IBM Net Management",
    0xFE: "ISO Network Layer",
    0xFF: "Global",
}
LLC = Header(
    "llc",
    "Logical-Link Control",
    (
        Packed8(Bits(0xFF, "dsap", "DSAP", SAPS, digits=2)),
        Packed8(Bits(0xFF, "ssap", "SSAP", SAPS, digits=2)),
    ),
)
CONTROL = number("llc.control", "Control field", digits=4)
SNAP = Header(
    "llc",
    "Subnetwork Access Protocol",
    (U24("oui", "Organization Code"), Hex16("type", "Type", ETHERTYPES)),
    name="",
)

COMMANDS = {
    0x00: "UI",
    0x0C: "XID",
    0x38: "TEST",
    0x6C: "SABME",
    0x40: "DISC",
    0x60: "UA",
    0x0F: "SARM",
    0x84: "FRMR",
}
"""Unnumbered frames: the control field without the poll bit and the two lowest bits (IEEE 802.2, 5.4)."""


@on("linktype", 1)
@on("ethertype", 0x6558)
def ethernet(packet: Packet, at: int, limit: int) -> Step | None:
    """Type or length behind two addresses: up to 1500 it is a length (IEEE 802.3, 3.2.6)."""
    packet.column("eth", "Ethernet II")
    layer, (destination, source, kind) = packet.open(ETHERNET, at, limit)
    packet.source, packet.destination = mac(source), mac(destination)
    layer.said = f"Src: {packet.source}, Dst: {packet.destination}"
    start = at + ETHERNET.size
    if kind > 1500:
        return by_type(packet, kind, start, limit)
    if packet.build:
        layer.children[2] = Item(LENGTH, kind, at + 12, 2)
    if kind and start + kind < limit:
        limit = start + kind
        if packet.payload_end is None:
            packet.payload_end = limit
    if packet.data[start : start + 2] == b"\xff\xff":
        return step("llc.novell", 0, start, limit)
    return Step((llc,), start, limit)


def by_type(packet: Packet, kind: int, at: int, limit: int) -> Step:
    """What an EtherType announces. A type that nobody knows stands in the Protocol column itself."""
    if kind not in TABLES["ethertype"]:
        packet.protocol = f"0x{kind:04x}"
        packet.info = ETHERTYPES.get(kind, "Ethernet II" if packet.info in ("", "Ethernet II") else packet.info)
    return step("ethertype", kind, at, limit)


def _tag(packet: Packet, header: Header, name: str, at: int, limit: int, drop: str) -> Step:
    packet.column(name)
    layer, (word, kind) = packet.open(header, at, limit)
    priority, eligible, vlan = word >> 13, word >> 12 & 1, word & 0x0FFF
    layer.said = f"PRI: {priority}, DEI: {eligible}, ID: {vlan}"
    packet.info = f"PRI: {priority}  {drop}{eligible} {' ' if drop == 'DEI: ' else ''}ID: {vlan}"
    start = at + header.size
    if kind <= 1500:
        return Step((llc,), start, limit)
    return by_type(packet, kind, start, limit)


@on("ethertype", 0x8100, 0x9100)
def vlan(packet: Packet, at: int, limit: int) -> Step:
    """One tag and the type of what follows."""
    return _tag(packet, VLAN, "vlan", at, limit, "DEI: ")


@on("ethertype", 0x88A8)
def provider_vlan(packet: Packet, at: int, limit: int) -> Step:
    """The outer tag of two."""
    return _tag(packet, PROVIDER_VLAN, "ieee8021ad", at, limit, "DROP: ")


def _sap(value: int) -> str:
    return SAPS.get(value & 0xFE if value != 0xFF else value, f"0x{value & 0xFE:02x}")


@on("ethertype", 0x8870)
@on("gre.proto", 0x00FE)
@on("linktype", 100)
def llc(packet: Packet, at: int, limit: int) -> Step | None:
    """Two service access points and a control field of one or two bytes; SNAP gives an EtherType."""
    packet.column("llc")
    layer, (target, origin) = packet.open(LLC, at, limit)
    first = packet.uint("LLC control", at + 2, 1, limit)
    width = 1 if first & 3 == 3 else 2
    word = int.from_bytes(packet.take("LLC control", at + 2, width, limit), "little")
    packet.info = f"{_control(first, word >> 8, width, origin)}; {_points(target, origin)}"
    if first == 0x03:
        packet.info = f"U, func=UI; {_points(target, origin)}"
    layer.size += width
    packet.add(layer, CONTROL, word, at + 2, width, packet.info.split(";")[0])
    layer.said = _points(target, origin)
    start = at + 2 + width
    if target == 0xAA and origin == 0xAA and first == 0x03:
        organisation, kind = packet.add_header(layer, SNAP, start, limit)
        layer.size += SNAP.size
        start += SNAP.size
        if organisation in (0, 0xF8):
            packet.info = "Ethernet II"
            return by_type(packet, kind, start, limit)
        return step(f"snap.{organisation:06x}", kind, start, limit)
    return step("llc.sap", target, start, limit)


def _points(target: int, origin: int) -> str:
    reach = "Group" if target & 1 else "Individual"
    role = "Response" if origin & 1 else "Command"
    return f"DSAP {_sap(target)} {reach}, SSAP {_sap(origin)} {role}"


def _control(first: int, second: int, width: int, origin: int) -> str:
    if width == 1:
        poll = (" F" if origin & 1 else " P") if first & 0x10 else ""
        return f"U{poll}, func={COMMANDS.get(first & 0xEC, 'Unknown')}"
    poll = " P" if second & 1 else ""
    if not first & 1:
        return f"I{poll}, N(R)={second >> 1}, N(S)={first >> 1}"
    function = ("RR", "RNR", "REJ", "SREJ")[first >> 2 & 3]
    return f"S{poll}, func={function}, N(R)={second >> 1}"
