"""SNMP versions 1 and 2c (RFC 1157, 3416): version, community, PDU, the names that it asks for."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Header, Item, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet, Stopped
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

SNMP = Header("snmp", "Simple Network Management Protocol", ())
VERSIONS = {0: "version-1", 1: "v2c", 3: "snmpv3"}
PDUS = {
    0xA0: "get-request",
    0xA1: "get-next-request",
    0xA2: "get-response",
    0xA3: "set-request",
    0xA4: "trap",
    0xA5: "getBulkRequest",
    0xA6: "informRequest",
    0xA7: "snmpV2-trap",
    0xA8: "report",
}
VERSION, COMMUNITY = number("snmp.version", "version", VERSIONS), text("snmp.community", "community")
PDU = number("snmp.data", "data", {tag & 0x1F: name for tag, name in PDUS.items()})
REQUEST, ERROR, INDEX = (
    number("snmp.request_id", "request-id"),
    number("snmp.error_status", "error-status"),
    number("snmp.error_index", "error-index"),
)
NAME, VALUE = text("snmp.name", "Object Name"), octets("", "Value")


def tlv(packet: Packet, at: int, limit: int) -> tuple[int, int, int]:
    """(tag, start of the value, end of it) of a BER element (X.690, 8.1); definite lengths of up to four bytes."""
    tag = packet.uint("BER", at, 1, limit)
    first = packet.uint("BER", at + 1, 1, limit)
    if first < 0x80:
        start, length = at + 2, first
    else:
        many = first & 0x7F
        if not 1 <= many <= 4:
            raise Malformed(f"BER length of {many} bytes", at + 1)
        start, length = at + 2 + many, packet.uint("BER", at + 2, many, limit)
    packet.check("BER", start, length, limit)
    return tag, start, start + length


def oid(raw: bytes) -> str:
    """An object identifier's numbers (X.690, 8.19)."""
    numbers: list[int] = []
    value = 0
    for byte in raw:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def _fits(packet: Packet, at: int, limit: int) -> bool:
    """Whether the outer sequence fills the datagram and no more."""
    try:
        return tlv(packet, at, packet.wirelen)[2] <= limit
    except Stopped as stopped:
        return stopped.verdict(packet).kind == "cut" and limit > packet.caplen


@on("udp.port", 161, 162)
def snmp(packet: Packet, at: int, limit: int) -> Step | None:
    """A sequence of version, community and PDU; version 3 is shown as far as its version."""
    if packet.data[at : at + 1] != b"\x30" or not _fits(packet, at, limit):
        return NOT_MINE
    packet.column("snmp")
    layer = packet.layer(SNMP.field, at, 0)
    _, where, end = tlv(packet, at, limit)
    layer.size = end - at
    _, start, stop = tlv(packet, where, end)
    version = int.from_bytes(packet.data[start:stop], "big")
    packet.add(layer, VERSION, version, start, stop - start)
    layer.said = VERSIONS.get(version, f"Unknown ({version})")
    if version == 3:
        return None
    _, start, stop = tlv(packet, stop, end)
    packet.add(layer, COMMUNITY, packet.data[start:stop], start, stop - start)
    kind, start, after = tlv(packet, stop, end)
    packet.info = PDUS.get(kind, f"Unknown (0x{kind:02x})")
    layer.said = packet.info
    item = packet.add(layer, PDU, kind & 0x1F, stop, after - stop)
    if kind == 0xA4:
        return None
    where = start
    for field in (REQUEST, ERROR, INDEX):
        _, start, stop = tlv(packet, where, after)
        packet.add(item, field, int.from_bytes(packet.data[start:stop], "big", signed=True), start, stop - start)
        where = stop
    _, where, end = tlv(packet, where, after)
    names: list[str] = [packet.info]
    while where < end:
        where = _binding(packet, item, where, end, names)
    packet.info = " ".join(names)
    return None


def _binding(packet: Packet, item: Item, at: int, limit: int, names: list[str]) -> int:
    _, start, end = tlv(packet, at, limit)
    _, first, after = tlv(packet, start, end)
    name = oid(packet.data[first:after])
    names.append(name)
    pair = packet.add(item, NAME, name, at, end - at)
    _, first, last = tlv(packet, after, end)
    packet.add(pair, VALUE, packet.data[first:last], first, last - first)
    return end
