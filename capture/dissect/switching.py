"""What switches and stations say: CDP, EAPOL (IEEE 802.1X), slow protocols (802.3, 57A), GOOSE, MACsec."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, U32, Bits, Header, Hex8, Hex16, Packed8, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape

CDP = Header(
    "cdp",
    "Cisco Discovery Protocol",
    (U8("version", "Version"), U8("ttl", "TTL (s)"), Hex16("checksum", "Checksum")),
)
CDP_NAMES = {
    1: "Device ID",
    2: "Addresses",
    3: "Port ID",
    4: "Capabilities",
    5: "Software version",
    6: "Platform",
    9: "VTP Management Domain",
    10: "Native VLAN",
    11: "Duplex",
    22: "Management Addresses",
}
CDP_TYPE = number("cdp.tlv.type", "Type", CDP_NAMES, digits=4)
CDP_LENGTH = number("cdp.tlv.len", "Length")
CDP_TEXTS = {
    1: text("cdp.deviceid", "Device ID"),
    3: text("cdp.portid", "Sent through Interface"),
    5: text("cdp.software_version", "Software version"),
    6: text("cdp.platform", "Platform"),
}
CDP_DATA = octets("", "Data")
IN_INFO = frozenset({1, 3})


@on("snap.00000c", 0x2000)
def cdp(packet: Packet, at: int, limit: int) -> None:
    """Type and length of two bytes each; the length counts them."""
    packet.column("cdp")
    layer, _ = packet.open(CDP, at, limit)
    where = at + CDP.size
    while where < limit:
        kind, size = packet.uint("CDP", where, 2, limit), packet.uint("CDP", where + 2, 2, limit)
        if size < 4:
            packet.mark(f"CDP length {size}, must be at least 4", where + 2)
            return
        packet.check("CDP", where, size, limit)
        item = packet.add(layer, CDP_TYPE, kind, where, size)
        packet.add(item, CDP_LENGTH, size, where + 2, 2)
        value = packet.data[where + 4 : where + size]
        packet.add(item, CDP_TEXTS.get(kind, CDP_DATA), value, where + 4, size - 4)
        if kind in IN_INFO:
            packet.info += f"{CDP_NAMES[kind]}: {escape(value)}  "
        where += size
        layer.size = where - at


EAPOL_TYPES = {0: "EAP Packet", 1: "Start", 2: "Logoff", 3: "Key", 4: "Encapsulated ASF Alert", 5: "MKA"}
EAPOL = Header(
    "eapol",
    "802.1X Authentication",
    (U8("version", "Version"), U8("type", "Type", EAPOL_TYPES), U16("len", "Length")),
)
KEY_TYPE = number("eapol.keydes.type", "Key Descriptor Type", {2: "EAPOL RSN Key", 254: "EAPOL WPA Key"})


@on("ethertype", 0x888E)
def eapol(packet: Packet, at: int, limit: int) -> Step:
    """The head; of a key its type."""
    packet.column("eapol")
    layer, (_, kind, _) = packet.open(EAPOL, at, limit)
    layer.said = packet.info = EAPOL_TYPES.get(kind, f"Unknown Type (0x{kind:02X})")
    where = at + EAPOL.size
    if kind == 3 and where < packet.end(limit):
        packet.add(layer, KEY_TYPE, packet.data[where], where, 1)
        where += 1
        layer.size += 1
    return Step((), where, limit)


SUBTYPES = {1: "LACP", 2: "Marker", 3: "OAM", 10: "OSSP"}
SLOW = Header("slow", "Slow Protocols", (Hex8("subtype", "Slow Protocols subtype", SUBTYPES),))


@on("ethertype", 0x8809)
def slow(packet: Packet, at: int, limit: int) -> Step:
    """Link aggregation and others, told apart by their first byte."""
    packet.column("slow")
    packet.protocol = "Slow Protocols"
    layer, (subtype,) = packet.open(SLOW, at, limit)
    packet.info = SUBTYPES.get(subtype, f"Subtype = {subtype}")
    if subtype == 1:
        packet.column("lacp")
    layer.said = SUBTYPES.get(subtype, f"Subtype {subtype}")
    return Step((), at + SLOW.size, limit)


GOOSE = Header(
    "goose",
    "GOOSE",
    (
        Hex16("appid", "APPID"),
        U16("length", "Length"),
        Hex16("reserve1", "Reserved 1"),
        Hex16("reserve2", "Reserved 2"),
    ),
)


@on("ethertype", 0x88B8)
def goose(packet: Packet, at: int, limit: int) -> Step:
    """The head (IEC 61850-8-1)."""
    packet.column("goose")
    layer, (application, *_) = packet.open(GOOSE, at, limit)
    layer.said = f"APPID: 0x{application:04x}"
    return Step((), at + GOOSE.size, limit)


MACSEC = Header(
    "macsec",
    "802.1AE Security tag",
    (
        Packed8(Bits(0xFC, "TCI", "TCI Field", digits=2), Bits(0x03, "AN", "AN")),
        U8("SL", "Short length"),
        U32("PN", "Packet number"),
    ),
)


@on("ethertype", 0x88E5)
def macsec(packet: Packet, at: int, limit: int) -> Step:
    """The tag; what follows is encrypted."""
    packet.column("macsec", "MACsec frame")
    packet.open(MACSEC, at, limit)
    return Step((), at + MACSEC.size, limit)
