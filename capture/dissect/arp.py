"""ARP and RARP (RFC 826, 903; probes and announcements: RFC 5227)."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import U8, U16, Header, Hex16, Item, address, flag, number, octets
from netwatch.capture.dissect.numbers import ETHERTYPES
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import ipv4, mac

OPCODES = {
    1: "request",
    2: "reply",
    3: "reverse request",
    4: "reverse reply",
    8: "inverse request",
    9: "inverse reply",
}
VARIANTS = {3: "RARP", 4: "RARP", 8: "Inverse ARP", 9: "Inverse ARP"}
"""The Protocol column by opcode (RFC 903, 2390)."""
HARDWARE = {1: "Ethernet", 6: "IEEE 802", 15: "Frame Relay", 24: "IEEE 1394", 32: "InfiniBand"}

ARP = Header(
    "arp",
    "Address Resolution Protocol",
    (
        U16("hw.type", "Hardware type", HARDWARE),
        Hex16("proto.type", "Protocol type", ETHERTYPES),
        U8("hw.size", "Hardware size"),
        U8("proto.size", "Protocol size"),
        U16("opcode", "Opcode", OPCODES),
    ),
)
SENDER_MAC, SENDER_IP, TARGET_MAC, TARGET_IP = (
    address("arp.src.hw_mac", "Sender MAC address", 6),
    address("arp.src.proto_ipv4", "Sender IP address", 4),
    address("arp.dst.hw_mac", "Target MAC address", 6),
    address("arp.dst.proto_ipv4", "Target IP address", 4),
)
SENDER_HW, SENDER_PROTO, TARGET_HW, TARGET_PROTO = (
    octets("arp.src.hw", "Sender hardware address"),
    octets("arp.src.proto", "Sender protocol address"),
    octets("arp.dst.hw", "Target hardware address"),
    octets("arp.dst.proto", "Target protocol address"),
)
PROBE, GRATUITOUS, ANNOUNCEMENT = (
    flag("arp.isprobe", "Is probe"),
    flag("arp.isgratuitous", "Is gratuitous"),
    flag("arp.isannouncement", "Is announcement"),
)
DUPLICATE: Final = flag("arp.duplicate-address-detected", "Duplicate IP address detected")
EARLIER: Final = number("arp.duplicate-address-frame", "Frame showing earlier use of IP address")
SINCE: Final = number("arp.seconds-since-duplicate-address-frame", "Seconds since earlier frame seen")
REQUEST, REPLY = 1, 2
NOBODY: Final = bytes(4)
MAX_ADDRESSES: Final = 1 << 14
"""Whose MAC addresses are remembered; the one heard of least recently is forgotten."""


@on("ethertype", 0x0806, 0x8035)
def arp(packet: Packet, at: int, limit: int) -> None:
    """Who has an address, and who says so."""
    packet.column("arp")
    layer, (_, protocol, hw_size, proto_size, opcode) = packet.open(ARP, at, limit)
    layer.said = OPCODES.get(opcode, f"opcode {opcode}")
    packet.protocol = VARIANTS.get(opcode, packet.protocol)
    size = ARP.size + 2 * hw_size + 2 * proto_size
    if packet.payload_end is None and at + size <= limit:
        packet.payload_end = at + size
    values: list[str] = []
    raw: list[bytes] = []
    where = at + ARP.size
    for width, common, special, other in (
        (hw_size, 6, SENDER_MAC, SENDER_HW),
        (proto_size, 4, SENDER_IP, SENDER_PROTO),
        (hw_size, 6, TARGET_MAC, TARGET_HW),
        (proto_size, 4, TARGET_IP, TARGET_PROTO),
    ):
        value = packet.take("ARP", where, width, limit)
        known = width == common and (common == 6 or protocol == 0x0800)
        item: Item = packet.add(layer, special if known else other, value, where, width)
        layer.size += width
        values.append(item.text)
        raw.append(value)
        where += width
    packet.info = _info(opcode, *values)
    if (protocol, hw_size, proto_size) == (0x0800, 6, 4) and opcode in (REQUEST, REPLY):
        _who(packet, layer, opcode, raw)


def _who(packet: Packet, layer: Item, opcode: int, raw: list[bytes]) -> None:
    """Probes and announcements (RFC 5227, 1.1), and whether an address was another's before."""
    sender_mac, sender, target_mac, target = raw
    at = layer.start + ARP.size
    if sender == target:
        packet.add(layer, GRATUITOUS, True, at, 0)
        if opcode == REQUEST and not any(target_mac):
            packet.add(layer, ANNOUNCEMENT, True, at, 0)
    elif opcode == REQUEST and sender == NOBODY:
        packet.add(layer, PROBE, True, at, 0)
    twice = sender != NOBODY and _is_twice(packet, layer, sender_mac, sender, at + 6)
    if opcode == REPLY and sender != target:
        sender = target
        twice = target != NOBODY and _is_twice(packet, layer, target_mac, target, at + 16)
    if twice:
        packet.info += f" (duplicate use of {ipv4(sender)} detected!)"


def _is_twice(packet: Packet, layer: Item, who: bytes, host: bytes, at: int) -> bool:
    known = packet.across("arp")
    before, frame, ts = known.get(host, (who, 0, 0))
    if before == who:
        known[host] = who, packet.number, packet.ts
        known.move_to_end(host)
        if len(known) > MAX_ADDRESSES:
            known.popitem(last=False)
        return False
    said = f"for {ipv4(host)} ({mac(who)}) - also in use by {mac(before)} (frame {frame})"
    item = packet.add(layer, DUPLICATE, True, at, 4, said)
    packet.add(item, EARLIER, frame, at, 4)
    packet.add(item, SINCE, max(packet.ts - ts, 0) // 10**9, at, 4)
    return True


def _info(opcode: int, sender_mac: str, sender: str, target_mac: str, target: str) -> str:
    if opcode == 1:
        if sender == target:
            announced = target_mac == "00:00:00:00:00:00"
            return f"ARP Announcement for {sender}" if announced else f"Gratuitous ARP for {sender} (Request)"
        if sender == "0.0.0.0":
            return f"Who has {target}? (ARP Probe)"
        return f"Who has {target}? Tell {sender}"
    if opcode == 2:
        return f"{sender} is at {sender_mac}" if sender != target else f"Gratuitous ARP for {sender} (Reply)"
    if opcode in (3, 8):
        return f"Who is {target_mac}? Tell {sender_mac}"
    if opcode == 4:
        return f"{target_mac} is at {target}"
    if opcode == 9:
        return f"{sender_mac} is at {sender}"
    return OPCODES.get(opcode, f"Unknown ARP opcode 0x{opcode:04x}")
