"""IEEE 1905.1: how the parts of a home network find each other; its TLVs by name."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, Bit, Flags8, Header, Hex8, Hex16, address, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

declare("ieee1905", "ieee1905", "discovery")

MESSAGES = {
    0x0000: "Topology discovery",
    0x0001: "Topology notification",
    0x0002: "Topology query",
    0x0003: "Topology response",
    0x0004: "Vendor specific",
    0x0005: "Link metric query",
    0x0006: "Link metric response",
    0x0007: "AP autoconfiguration search",
    0x0008: "AP autoconfiguration response",
    0x0009: "AP autoconfiguration Wi-Fi simple configuration (WSC)",
    0x000A: "AP autoconfiguration renew",
    0x000B: "1905 push button event notification",
    0x000C: "1905 push button join notification",
    0x000D: "Higher layer query",
    0x000E: "Higher layer response",
    0x8000: "1905 Ack",
    0x8001: "AP Capability Query",
    0x8002: "AP Capability Report",
    0x8003: "Multi-AP Policy Config Request",
    0x8004: "Channel Preference Query",
    0x8005: "Channel Preference Report",
    0x8006: "Channel Selection Request",
    0x8007: "Channel Selection Response",
    0x8008: "Operating Channel Report",
}
TLVS = {
    0x00: "End of message",
    0x01: "1905 AL MAC address type",
    0x02: "MAC address type",
    0x03: "1905 device information type",
    0x06: "Non-1905 neighbor device list",
    0x07: "1905 neighbor device",
    0x08: "Link metric query",
    0x09: "1905 transmitter link metric",
    0x0A: "1905 receiver link metric",
    0x0B: "Vendor specific",
    0x0D: "SearchedRole",
    0x0E: "AutoconfigFreqBand",
    0x0F: "SupportedRole",
    0x10: "SupportedFreqBand",
    0x11: "WSC",
}
HEAD = Header(
    "ieee1905",
    "IEEE 1905.1a",
    (
        U8("message_version", "Message version"),
        U8("message_reserved", "Message reserved"),
        Hex16("message_type", "Message type", MESSAGES),
        Hex16("message_id", "Message id"),
        Hex8("fragment_id", "Fragment id"),
        Flags8(
            "flags",
            "Flags",
            Bit(0x80, "last_fragment", "Last fragment"),
            Bit(0x40, "relay_indicator", "Relay indicator"),
        ),
    ),
)
LAST = 0x80
TLV, TLV_LENGTH = number("ieee1905.tlv_type", "TLV type", TLVS, digits=2), number("ieee1905.tlv_length", "TLV length")
AL_ADDRESS, ADDRESS = (
    address("ieee1905.al_mac_addr", "1905 AL MAC address type", 6),
    address("ieee1905.mac_addr_type", "MAC address", 6),
)
TLV_DATA = octets("ieee1905.tlv_data", "TLV data")


@on("ethertype", 0x893A)
def ieee1905(packet: Packet, at: int, limit: int) -> Step | None:
    """A head, then records of one byte of type and two of length, of which 14 bits count."""
    packet.check("IEEE 1905.1a", at, HEAD.size, limit)
    packet.column("ieee1905")
    layer, (_, _, kind, ident, fragment, flags) = packet.open(HEAD, at, limit)
    packet.info = layer.said = MESSAGES.get(kind, f"Unknown: {kind}")
    in_parts = fragment or not flags & LAST
    if in_parts:
        packet.info += f" (Message ID: {ident}, Fragment ID: {fragment}, VLAN ID: {packet.values.get('vlan.id', 0)})"
    where = at + HEAD.size
    if in_parts:
        return Step((), where, limit)
    while where < limit:
        code = packet.uint("IEEE 1905 TLV", where, 1, limit)
        size = packet.uint("IEEE 1905 TLV", where + 1, 2, limit) & 0x3FFF
        value = packet.take("IEEE 1905 TLV", where + 3, size, limit)
        item = packet.add(layer, TLV, code, where, 3 + size)
        packet.add(item, TLV_LENGTH, size, where + 1, 2)
        if size:
            field = {0x01: AL_ADDRESS, 0x02: ADDRESS}.get(code, TLV_DATA) if size == 6 else TLV_DATA
            packet.add(item, field, value, where + 3, size)
        where += 3 + size
        layer.size = where - at
        if code == 0:
            if packet.payload_end is None:
                packet.payload_end = where
            break
    return None
