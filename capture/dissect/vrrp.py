"""VRRP, versions 2 and 3 (RFC 3768, 5798): who is the router, and for which addresses."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, pseudo_header, show_checksum
from netwatch.capture.dissect.kit import U8, Bits, Field, Header, Hex16, Packed16, address, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

PRIORITIES = {0: "Current Master has stopped participating in VRRP", 100: "Default priority for a backup VRRP router"}
OWNER = 255
_HEAD = (
    Field(
        "typever",
        "Version, Packet type",
        form="0x{:02x}".format,
        code="B",
        size=1,
        bits=(
            Bits(0xF0, "version", "VRRP protocol version"),
            Bits(0x0F, "type", "VRRP packet type", {1: "Advertisement"}),
        ),
    ),
    U8("virt_rtr_id", "Virtual Rtr ID"),
    U8("prio", "Priority", PRIORITIES | {OWNER: "This VRRP router owns the virtual router's IP address(es)"}),
    U8("addr_count", "Addr Count"),
)
VRRP2 = Header(
    "vrrp",
    "Virtual Router Redundancy Protocol",
    (
        *_HEAD,
        U8(
            "auth_type",
            "Auth Type",
            {0: "No Authentication", 1: "Simple Text Password", 2: "IP Authentication Header"},
        ),
        U8("adver_int", "Adver Int"),
        Hex16("checksum", "Checksum"),
    ),
)
VRRP3 = Header(
    "vrrp",
    "Virtual Router Redundancy Protocol",
    (
        *_HEAD,
        Packed16(Bits(0xF000, "reserved_mbz", "Reserved"), Bits(0x0FFF, "short_adver_int", "Adver Int (1/100 s)")),
        Hex16("checksum", "Checksum"),
    ),
)
CHECKSUM_STATUS = number("vrrp.checksum.status", "Checksum Status", STATUS)
IP4, IP6 = address("vrrp.ip_addr", "IP Address", 4), address("vrrp.ipv6_addr", "IPv6 Address", 16)
SECRET = octets("vrrp.auth_string", "Authentication")


@on("ip.proto", 112)
def vrrp(packet: Packet, at: int, limit: int) -> Step | None:
    """The head, as many addresses as it says; version 2 may end with a password."""
    packet.column("vrrp")
    third = packet.uint("VRRP", at, 1, limit) >> 4 != 2
    header = VRRP3 if third else VRRP2
    layer, (first, router, _, count, *_) = packet.open(header, at, limit)
    packet.info = f"{'Announcement' if first & 15 == 1 else 'Unknown'} (v{first >> 4})"
    layer.said = f"Virtual Rtr ID: {router}"
    addresses = packet.values.get("ip.pseudo", b"")
    field, width = (IP6, 16) if len(addresses) == 32 else (IP4, 4)
    if packet.build:
        show_checksum(packet, layer, CHECKSUM_STATUS, _checksum(packet, third, addresses, at, limit), at + 6)
    where = at + header.size
    for _ in range(count):
        packet.add(layer, field, packet.take("VRRP address", where, width, limit), where, width)
        where += width
    if not third and where + 8 <= packet.end(limit):
        packet.add(layer, SECRET, packet.data[where : where + 8], where, 8)
        where += 8
    layer.size = where - at
    return Step((), where, limit) if where < limit else None


def _checksum(packet: Packet, third: bool, addresses: bytes, at: int, limit: int) -> int:
    """Version 3 adds the pseudo header (RFC 5798, 5.2.8)."""
    if limit > packet.caplen or packet.values.get("quoted"):
        return UNVERIFIED
    pseudo = pseudo_header(addresses, 112, limit - at) if third else b""
    return GOOD if ones_sum(pseudo + packet.data[at:limit]) == 0xFFFF else BAD
