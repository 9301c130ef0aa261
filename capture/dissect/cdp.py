"""Cisco Discovery Protocol: who is at the other end of the cable."""

from __future__ import annotations

from collections.abc import Callable

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import U8, Bit, Field, Flags32, Header, Hex16, Item, address, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import escape, ipv4

CDP = Header(
    "cdp",
    "Cisco Discovery Protocol",
    (U8("version", "Version"), U8("ttl", "TTL (s)"), Hex16("checksum", "Checksum")),
)
CHECKSUM_STATUS = number("cdp.checksum.status", "Checksum Status", STATUS)
TYPES = {
    1: "Device ID",
    2: "Addresses",
    3: "Port ID",
    4: "Capabilities",
    5: "Software version",
    6: "Platform",
    7: "IP Prefix/Gateway (used for ODR)",
    8: "Protocol Hello",
    9: "VTP Management Domain",
    10: "Native VLAN",
    11: "Duplex",
    14: "VoIP VLAN Reply",
    15: "VoIP VLAN Query",
    16: "Power consumption",
    17: "MTU",
    18: "Trust Bitmap",
    19: "Untrusted Port CoS",
    20: "System Name",
    21: "System Object ID",
    22: "Management Address",
    23: "Location",
    25: "Power Requested",
    26: "Power Available",
}
TYPE = number("cdp.tlv.type", "Type", TYPES, digits=4)
LENGTH = number("cdp.tlv.len", "Length")
TEXTS = {
    1: text("cdp.deviceid", "Device ID"),
    3: text("cdp.portid", "Sent through Interface"),
    5: text("cdp.software_version", "Software version"),
    6: text("cdp.platform", "Platform"),
    9: text("cdp.vtp_management_domain", "VTP Management Domain"),
    20: text("cdp.system_name", "System Name"),
}
NUMBERS: dict[tuple[int, int], Field] = {
    (10, 2): number("cdp.native_vlan", "Native VLAN"),
    (11, 1): number("cdp.duplex", "Duplex", {0: "Half", 1: "Full"}),
    (16, 2): number("cdp.power_consumption", "Power Consumption (mW)"),
    (17, 4): number("cdp.mtu", "MTU"),
    (18, 1): number("cdp.trust_bitmap", "Trust Bitmap", digits=2),
    (19, 1): number("cdp.untrusted_port_cos", "Untrusted port CoS", digits=2),
}
"""By type and size of the value."""
DATA = octets("", "Data")
IN_INFO = frozenset({1, 3})

COUNT = number("cdp.number_of_addresses", "Number of addresses")
PROTOCOL_TYPE, PROTOCOL_LENGTH, PROTOCOL, ADDRESS_LENGTH = (
    number("cdp.protocol_type", "Protocol type", {1: "NLPID", 2: "802.2"}, digits=2),
    number("cdp.protocol_length", "Protocol length"),
    octets("cdp.protocol", "Protocol"),
    number("cdp.address_length", "Address length"),
)
IP_ADDRESS, ADDRESS = address("cdp.nrgyz.ip_address", "IP Address", 4), octets("cdp.address", "Address")
PREFIX = octets("cdp.ip_prefix", "IP Prefix")
CAPABILITIES = Header(
    "cdp",
    "Capabilities",
    (
        Flags32(
            "capabilities",
            "Capabilities",
            Bit(0x001, "capabilities.router", "Router"),
            Bit(0x002, "capabilities.trans_bridge", "Transparent Bridge"),
            Bit(0x004, "capabilities.src_bridge", "Source Route Bridge"),
            Bit(0x008, "capabilities.switch", "Switch"),
            Bit(0x010, "capabilities.host", "Host"),
            Bit(0x020, "capabilities.igmp_capable", "IGMP capable"),
            Bit(0x040, "capabilities.repeater", "Repeater"),
            Bit(0x080, "capabilities.voip_phone", "VoIP Phone"),
            Bit(0x100, "capabilities.remote", "Remotely Managed Device"),
            Bit(0x200, "capabilities.cvta", "CVTA/STP Dispute Resolution/Cisco VT Camera"),
            Bit(0x400, "capabilities.mac_relay", "Two Port Mac Relay"),
        ),
    ),
    name="",
)


@on("snap.00000c", 0x2000)
def cdp(packet: Packet, at: int, limit: int) -> None:
    """Type and length of two bytes each; the length counts them."""
    packet.column("cdp")
    layer, (_, _, stored) = packet.open(CDP, at, limit)
    if packet.build:
        show_checksum(packet, layer, CHECKSUM_STATUS, _checksum(packet, at, limit, stored), at + 2)
    where = at + CDP.size
    while where < limit:
        kind, size = packet.uint("CDP", where, 2, limit), packet.uint("CDP", where + 2, 2, limit)
        if size < 4:
            packet.mark(f"CDP length {size}, must be at least 4", where + 2)
            return
        packet.check("CDP", where, size, limit)
        item = packet.add(layer, TYPE, kind, where, size)
        packet.add(item, LENGTH, size, where + 2, 2)
        value = packet.data[where + 4 : where + size]
        _value(packet, item, kind, value, where + 4)
        if kind in IN_INFO:
            packet.info += f"{TYPES[kind]}: {escape(value)}  "
        where += size
        layer.size = where - at


def _checksum(packet: Packet, at: int, limit: int, stored: int) -> int:
    """Of an odd number of bytes, the last counts as if a zero stood before it, not behind; Cisco's own variant."""
    if limit > packet.caplen:
        return UNVERIFIED
    data = packet.data[at:limit]
    if len(data) & 1:
        data = data[:-1] + b"\0" + data[-1:]
    return GOOD if stored and ones_sum(data) == 0xFFFF else BAD


def _value(packet: Packet, item: Item, kind: int, value: bytes, at: int) -> None:
    size = len(value)
    fixed = NUMBERS.get((kind, size))
    if fixed is not None:
        packet.add(item, fixed, int.from_bytes(value, "big"), at, size)
    elif kind in TEXTS:
        packet.add(item, TEXTS[kind], value, at, size)
    elif kind in PARTS:
        PARTS[kind](packet, item, at, at + size)
    elif size:
        packet.add(item, DATA, value, at, size)


def _addresses(packet: Packet, item: Item, at: int, end: int) -> None:
    """A count, then each address behind its protocol: NLPID 0xcc is IP."""
    count = packet.uint("CDP addresses", at, 4, end)
    packet.add(item, COUNT, count, at, 4)
    at += 4
    for _ in range(count):
        if at >= end:
            break
        kind, width = packet.take("CDP address", at, 2, end)
        protocol = packet.take("CDP address", at + 2, width, end)
        size = packet.uint("CDP address", at + 2 + width, 2, end)
        value = packet.take("CDP address", at + 4 + width, size, end)
        packet.add(item, PROTOCOL_TYPE, kind, at, 1)
        packet.add(item, PROTOCOL_LENGTH, width, at + 1, 1)
        packet.add(item, PROTOCOL, protocol, at + 2, width, "IP" if protocol == b"\xcc" else "")
        packet.add(item, ADDRESS_LENGTH, size, at + 2 + width, 2)
        packet.add(item, IP_ADDRESS if size == 4 else ADDRESS, value, at + 4 + width, size)
        at += 4 + width + size


def _capabilities(packet: Packet, item: Item, at: int, end: int) -> None:
    packet.add_header(item, CAPABILITIES, at, end)


def _prefixes(packet: Packet, item: Item, at: int, end: int) -> None:
    """An address and the bits of its mask."""
    for where in range(at, end - 4, 5):
        value = packet.data[where : where + 5]
        packet.add(item, PREFIX, value, where, 5, f"{ipv4(value[:4])}/{value[4]}")


PARTS: dict[int, Callable[[Packet, Item, int, int], None]] = {
    2: _addresses,
    4: _capabilities,
    7: _prefixes,
    22: _addresses,
}
