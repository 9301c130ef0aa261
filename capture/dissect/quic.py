"""QUIC (RFC 8999, 9000, 9369): the headers; nothing is decrypted."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Bit, Bits, Header, Hex32, Item, Packed8, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

VERSIONS = {0x00000000: "Version Negotiation", 0x00000001: "1", 0x6B3343CF: "2"}
TYPES = ("Initial", "0-RTT", "Handshake", "Retry")
"""Version 1, by the two type bits."""
TYPES_2 = ("Retry", "Initial", "0-RTT", "Handshake")
"""Version 2 (RFC 9369, 3.2)."""
VERSION_2 = frozenset({0x6B3343CF, 0x709A50C4})

LONG = Header(
    "quic",
    "QUIC IETF",
    (
        Packed8(
            Bits(0x80, "header_form", "Header Form", {0: "Short Header", 1: "Long Header"}),
            Bit(0x40, "fixed_bit", "Fixed Bit"),
            Bits(0x30, "long.packet_type", "Packet Type"),
        ),
        Hex32("version", "Version", VERSIONS),
    ),
)
SHORT = Header(
    "quic",
    "QUIC IETF",
    (
        Packed8(
            Bits(0x80, "header_form", "Header Form", {0: "Short Header", 1: "Long Header"}),
            Bit(0x40, "fixed_bit", "Fixed Bit"),
            Bit(0x20, "spin_bit", "Spin Bit"),
        ),
    ),
)
DCID_LENGTH, DCID = (
    number("quic.dcil", "Destination Connection ID Length"),
    octets("quic.dcid", "Destination Connection ID"),
)
SCID_LENGTH, SCID = number("quic.scil", "Source Connection ID Length"), octets("quic.scid", "Source Connection ID")
TOKEN_LENGTH, TOKEN = number("quic.token_length", "Token Length"), octets("quic.token", "Token")
LENGTH = number("quic.length", "Length")
SUPPORTED = number("quic.supported_version", "Supported Version", VERSIONS, digits=8)
PAYLOAD = octets("quic.remaining_payload", "Remaining Payload")
RETRY_TOKEN = octets("quic.retry_token", "Retry Token")
MIN_SHORT = 21
"""A short header's packet is no smaller in practice: flags, number, a sample and a tag (RFC 9001, 5.4.2)."""
MAX_ID = 20


def _known(version: int) -> bool:
    return version in VERSIONS or version in VERSION_2 or version >> 8 in (0xFF0000, 0xFACEB0)


@on("udp.port", 443, 4433)
@signature("udp")
def quic(packet: Packet, at: int, limit: int) -> Step | None:
    """Packets with long headers, as many as the datagram holds; a short header only where the port says QUIC."""
    head = packet.data[at : at + 7]
    if len(head) < 7:
        return NOT_MINE
    if not head[0] & 0x80:
        ports = packet.values.get("ports", ())
        if not head[0] & 0x40 or 443 not in ports or limit - at < MIN_SHORT:
            return NOT_MINE
        packet.column("quic", "Protected Payload (KP0)")
        layer, _ = packet.open(SHORT, at, limit)
        _rest(packet, layer, at + 1, limit)
        return None
    version = int.from_bytes(head[1:5], "big")
    if not _known(version) or head[5] > MAX_ID or (version and not head[0] & 0x40):
        return NOT_MINE
    packet.column("quic")
    words: list[str] = []
    while at < limit and packet.data[at : at + 1] and packet.data[at] & 0x80 and len(words) < 16:
        at = _long(packet, at, limit, words)
        packet.info = ", ".join(words)
    if at < limit and any(packet.data[at : packet.end(limit)]):
        packet.info += ", Protected Payload (KP0)"
        layer, _ = packet.open(SHORT, at, limit)
        _rest(packet, layer, at + 1, limit)
    return None


def _long(packet: Packet, at: int, limit: int, words: list[str]) -> int:
    """One packet with a long header: the offset after it."""
    layer, (first, version) = packet.open(LONG, at, limit)
    where = at + LONG.size
    kind = (TYPES_2 if version in VERSION_2 else TYPES)[first >> 4 & 3] if version else "Version Negotiation"
    said = [kind]
    for length_field, field, name in ((DCID_LENGTH, DCID, "DCID"), (SCID_LENGTH, SCID, "SCID")):
        size = packet.uint("QUIC", where, 1, limit)
        value = packet.take("QUIC", where + 1, size, limit)
        packet.add(layer, length_field, size, where, 1)
        if size:
            packet.add(layer, field, value, where + 1, size)
            said.append(f"{name}={value.hex()}")
        where += 1 + size
    layer.said = ", ".join(said)
    words.append(layer.said)
    layer.size = where - at
    if not version:
        for offset in range(where, packet.end(limit) - 3, 4):
            packet.add(layer, SUPPORTED, packet.uint("QUIC", offset, 4, limit), offset, 4)
        layer.size = packet.end(limit) - at
        return limit
    if kind == "Retry":
        rest = packet.rest(where, limit)
        packet.add(layer, RETRY_TOKEN, rest, where, len(rest))
        layer.size = where + len(rest) - at
        return limit
    if kind == "Initial":
        size, width = _varint(packet, where, limit)
        packet.add(layer, TOKEN_LENGTH, size, where, width)
        where += width
        if size:
            packet.add(layer, TOKEN, packet.take("QUIC token", where, size, limit), where, size)
        where += size
    length, width = _varint(packet, where, limit)
    packet.add(layer, LENGTH, length, where, width)
    where += width
    packet.check("QUIC", where, length, limit)
    packet.add(layer, PAYLOAD, packet.data[where : where + length], where, length)
    layer.size = where + length - at
    return where + length


def _varint(packet: Packet, at: int, limit: int) -> tuple[int, int]:
    """(value, bytes): the two highest bits give the length (RFC 9000, 16)."""
    width = 1 << (packet.uint("QUIC", at, 1, limit) >> 6)
    return packet.uint("QUIC", at, width, limit) & ((1 << (8 * width - 2)) - 1), width


def _rest(packet: Packet, layer: Item, at: int, limit: int) -> None:
    rest = packet.rest(at, limit)
    if rest:
        packet.add(layer, PAYLOAD, rest, at, len(rest))
        layer.size += len(rest)
