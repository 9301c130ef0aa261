"""TLS and DTLS records (RFC 5246, 8446, 6347): what is in clear in one packet, nothing decrypted."""

from __future__ import annotations

from collections.abc import Container

from netwatch.capture.dissect import tls_handshake
from netwatch.capture.dissect.kit import U8, U16, U48, Header, Hex16, Item, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.tls_handshake import show_message
from netwatch.capture.dissect.tls_names import (
    ALERT_LEVELS,
    ALERTS,
    CONTENT_TYPES,
    HANDSHAKES,
    SHOWN_VERSIONS,
    VERSIONS,
)

RECORD = Header(
    "tls.record",
    "TLS Record Layer",
    (
        U8("content_type", "Content Type", CONTENT_TYPES),
        Hex16("version", "Version", VERSIONS),
        U16("length", "Length"),
    ),
)
TLS = Header("tls", "Transport Layer Security", ())
APPLICATION = octets("tls.app_data", "Encrypted Application Data")
ALERT_LEVEL = number("tls.alert_message.level", "Level", ALERT_LEVELS)
ALERT = number("tls.alert_message.desc", "Description", ALERTS)
STREAM, DATAGRAM = tls_handshake.TLS, tls_handshake.DTLS

DTLS = Header("dtls", "Datagram Transport Layer Security", ())
DTLS_RECORD = Header(
    "dtls.record",
    "DTLS Record Layer",
    (
        U8("content_type", "Content Type", CONTENT_TYPES),
        Hex16("version", "Version", VERSIONS),
        U16("epoch", "Epoch"),
        U48("sequence_number", "Sequence Number"),
        U16("length", "Length"),
    ),
)

STREAM_VERSIONS = range(0x0300, 0x0305)
DATAGRAM_VERSIONS = (0x0100, 0xFEFF, 0xFEFD, 0xFEFC)

MAX_RECORD = 16384 + 2048
"""RFC 5246, 6.2.3."""

PORTS = (261, 443, 448, 465, 563, 614, 636, 853, 989, 990, 992, 993, 994, 995, 4843, 5061, 8443, 9443)


@on("tcp.port", *PORTS)
@signature("tcp")
def tls(packet: Packet, at: int, limit: int) -> Step | None:
    """Records, as many as are complete; a record that goes on in the next segment leaves the packet TCP."""
    head = packet.data[at : at + 5]
    if not _may_be(head):
        return NOT_MINE
    layer = packet.layer(TLS.field, at, 0)
    info: list[str] = []
    shown = ""
    start = at
    encrypted = False
    while at < limit:
        packet.whole("TLS record", at, RECORD.size, limit)
        head = packet.data[at : at + 5]
        if not _plausible(head, STREAM_VERSIONS):
            break
        length = int.from_bytes(head[3:5], "big")
        packet.whole("TLS record", at, RECORD.size + length, limit)
        if not shown:
            packet.column("tls")
        item = packet.add(layer, RECORD.field, None, at, RECORD.size + length)
        item.size = min(item.end, packet.end(limit)) - at
        layer.size = item.end - start
        kind, version, _ = packet.add_header(item, RECORD, at, limit)
        shown = shown or SHOWN_VERSIONS.get(version, "TLS")
        packet.protocol = shown
        settled, words = _fragment(packet, item, kind, at + 5, at + 5 + length, encrypted)
        encrypted = encrypted or kind == 20
        info += words
        packet.info = ", ".join(info)
        packet.check("TLS record", at + 5, length, limit)
        item.said = ", ".join(words)
        if settled in SHOWN_VERSIONS:
            packet.protocol = shown = SHOWN_VERSIONS[settled]
        at += 5 + length
    layer.said = ", ".join(info)
    return Step((), at, limit) if at < limit else None


def _may_be(head: bytes) -> bool:
    """Whether a payload that begins so, with fewer than five bytes too, can be a record."""
    if len(head) < RECORD.size:
        return len(head) > 1 and head[0] in CONTENT_TYPES and head[1] == 3
    return _plausible(head, STREAM_VERSIONS)


def _plausible(head: bytes, versions: Container[int]) -> bool:
    if len(head) < 5 or head[0] not in CONTENT_TYPES:
        return False
    return int.from_bytes(head[1:3], "big") in versions and 0 < int.from_bytes(head[3:5], "big") <= MAX_RECORD


def _fragment(packet: Packet, item: Item, kind: int, at: int, end: int, encrypted: bool) -> tuple[int, list[str]]:
    """What one record holds: the version that it settles and its words of the Info column."""
    size = end - at
    if kind == 22:
        return _handshakes(packet, item, at, end, encrypted)
    if kind == 21 and size == 2 and not encrypted:
        level, code = packet.rest(at, end).ljust(2, b"\0")[:2]
        packet.add(item, ALERT_LEVEL, level, at, 1)
        packet.add(item, ALERT, code, at + 1, 1)
        return 0, [f"Alert (Level: {ALERT_LEVELS.get(level, level)}, Description: {ALERTS.get(code, code)})"]
    if kind == 23:
        rest = packet.rest(at, end)
        packet.add(item, APPLICATION, rest, at, len(rest))
    name = CONTENT_TYPES[kind]
    return 0, [f"Encrypted {name}" if kind in (21, 24) else name]


def _handshakes(packet: Packet, item: Item, at: int, end: int, encrypted: bool) -> tuple[int, list[str]]:
    """Messages of a record; one whose type or length cannot be is encrypted."""
    words: list[str] = []
    settled = 0
    stop = packet.end(end)
    while at + 4 <= stop:
        kind, length = packet.data[at], int.from_bytes(packet.data[at + 1 : at + 4], "big")
        if encrypted or kind not in HANDSHAKES or at + 4 + length > end:
            words.append("Encrypted Handshake Message" if not words else "")
            break
        message = packet.add(item, STREAM.message, None, at, min(4 + length, stop - at), HANDSHAKES[kind])
        packet.add(message, STREAM.type, kind, at, 1)
        packet.add(message, STREAM.length, length, at + 1, 3)
        words.append(HANDSHAKES[kind])
        packet.info = ", ".join(words)
        packet.check("TLS handshake", at + 4, length, end)
        settled = show_message(packet, message, kind, at + 4, at + 4 + length, names=STREAM) or settled
        at += 4 + length
    return settled, [word for word in words if word] or ["Encrypted Handshake Message"]


@signature("udp")
def dtls(packet: Packet, at: int, limit: int) -> Step | None:
    """Records with an epoch and a sequence number; each is complete in its datagram."""
    head = packet.data[at : at + 13]
    if len(head) < 13 or not _plausible(head[:3] + head[11:13], DATAGRAM_VERSIONS):
        return NOT_MINE
    packet.column("dtls")
    packet.protocol = SHOWN_VERSIONS[int.from_bytes(head[1:3], "big")]
    layer = packet.layer(DTLS.field, at, 0)
    words: list[str] = []
    encrypted = False
    start = at
    while at < limit:
        if packet.data[at : at + 1] and packet.data[at] not in CONTENT_TYPES:
            break
        packet.check("DTLS record", at, 13, limit)
        length = int.from_bytes(packet.data[at + 11 : at + 13], "big")
        item = packet.add(layer, DTLS_RECORD.field, None, at, 13)
        kind, _, epoch, *_ = packet.add_header(item, DTLS_RECORD, at, limit)
        end = at + 13 + length
        packet.check("DTLS record", at, 13 + length, limit)
        item.size = 13 + length
        layer.size = end - start
        name = CONTENT_TYPES[kind]
        if kind == 22:
            name = HANDSHAKES.get(packet.data[at + 13], "") if length >= 12 and not epoch and not encrypted else ""
            name = name or "Encrypted Handshake Message"
            if not name.startswith("Encrypted Handshake"):
                _datagram_message(packet, item, at + 13, end)
        elif kind == 21 and length != 2:
            name = "Encrypted Alert"
        elif kind == 23:
            packet.add(item, APPLICATION, packet.data[at + 13 : end], at + 13, length)
        encrypted = encrypted or kind == 20
        words.append(name)
        item.said = name
        packet.info = ", ".join(words)
        at = end
    return None


def _datagram_message(packet: Packet, item: Item, at: int, end: int) -> None:
    """Twelve bytes of head: type, length, number, offset and length of the fragment (RFC 6347, 4.2.2)."""
    kind, length = packet.data[at], int.from_bytes(packet.data[at + 1 : at + 4], "big")
    message = packet.add(item, DATAGRAM.message, None, at, end - at, HANDSHAKES[kind])
    packet.add(message, DATAGRAM.type, kind, at, 1)
    packet.add(message, DATAGRAM.length, length, at + 1, 3)
    offset, size = (int.from_bytes(packet.data[where : where + 3], "big") for where in (at + 6, at + 9))
    if offset == 0 and size == length and at + 12 + length <= end:
        show_message(packet, message, kind, at + 12, at + 12 + length, names=DATAGRAM)
