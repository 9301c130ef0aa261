"""IKE version 1 and 2 (RFC 2408, 2409, 7296), and ESP in UDP (RFC 3948)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.framed import Cursor, contained
from netwatch.capture.dissect.ike_names import (
    ATTRIBUTES,
    EXCHANGES,
    IDENTITIES,
    NOTIFICATIONS,
    PAYLOADS,
    PROTOCOLS,
    TRANSFORM_TYPES,
    TRANSFORMS,
    VALUES,
    VENDORS,
)
from netwatch.capture.dissect.ipv6 import esp
from netwatch.capture.dissect.kit import (
    U8,
    U32,
    Bit,
    Bits,
    Bytes,
    Field,
    Flags8,
    Header,
    Hex32,
    Item,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Malformed, Packet, Short
from netwatch.capture.dissect.registry import Step, on

NAME: Final = "ISAKMP"


def _header(*flags: Field) -> Header:
    """Both versions have the same head, but for the flags."""
    return Header(
        "isakmp",
        "Internet Security Association and Key Management Protocol",
        (
            Bytes("ispi", "Initiator SPI", 8),
            Bytes("rspi", "Responder SPI", 8),
            U8("nextpayload", "Next payload", PAYLOADS),
            Flags8(
                "version", "Version", Bits(0xF0, "mjver", "MjVer", digits=2), Bits(0x0F, "mnver", "MnVer", digits=2)
            ),
            U8("exchangetype", "Exchange type", EXCHANGES),
            Flags8("flags", "Flags", *flags),
            Hex32("messageid", "Message ID"),
            U32("length", "Length"),
        ),
    )


ISAKMP = _header(
    Bit(0x04, "flag_a", "Authentication"), Bit(0x02, "flag_c", "Commit"), Bit(0x01, "flag_e", "Encryption")
)
ISAKMP_2 = _header(Bit(0x20, "flag_r", "Response"), Bit(0x10, "flag_v", "Version"), Bit(0x08, "flag_i", "Initiator"))
PAYLOAD = number("isakmp.typepayload", "Payload", PAYLOADS)
NEXT, LENGTH = (
    number("isakmp.nextpayload", "Next payload", PAYLOADS),
    number("isakmp.payloadlength", "Payload length"),
)
RESERVED, CRITICAL = octets("isakmp.reserved", "Reserved"), number("isakmp.criticalpayload", "Critical Bit")
DOMAIN, SITUATION = (
    number("isakmp.sa.doi", "Domain of interpretation", {0: "ISAKMP", 1: "IPSEC", 2: "GDOI"}),
    octets("isakmp.sa.situation", "Situation"),
)
PROPOSAL_NUMBER, PROTOCOL = (
    number("isakmp.prop.number", "Proposal number"),
    number("isakmp.prop.protoid", "Protocol ID", PROTOCOLS),
)
SPI_SIZE, PROPOSED, SPI = (
    number("isakmp.spisize", "SPI Size"),
    number("isakmp.prop.transforms", "Proposal transforms"),
    octets("isakmp.spi", "SPI"),
)
TRANSFORM_NUMBER, TRANSFORM_ID = (
    number("isakmp.trans.number", "Transform number"),
    number("isakmp.trans.id", "Transform ID"),
)
TRANSFORM_TYPE = number("isakmp.tf.type", "Transform Type", TRANSFORM_TYPES)
TRANSFORMED: Final = {
    kind: number(f"isakmp.tf.id.{name}", f"Transform ID ({label})", TRANSFORMS[kind])
    for kind, name, label in (
        (1, "encr", "ENCR"),
        (2, "prf", "PRF"),
        (3, "integ", "INTEG"),
        (4, "dh", "D-H"),
        (5, "esn", "ESN"),
    )
}
ATTRIBUTE = group("isakmp.ike.attr", "IKE Attribute")
ATTRIBUTE_TYPE, ATTRIBUTE_VALUE = (
    number("isakmp.ike.attr.type", "Type", ATTRIBUTES),
    octets("isakmp.ike.attr.value", "Value"),
)
GROUP = number("isakmp.key_exchange.dh_group", "DH Group #", TRANSFORMS[4])
KEY, NONCE = octets("isakmp.key_exchange.data", "Key Exchange Data"), octets("isakmp.nonce", "Nonce DATA")
ID_TYPE, ID_PROTOCOL, ID_PORT = (
    number("isakmp.id.type", "ID type", IDENTITIES),
    number("isakmp.id.protoid", "Protocol ID"),
    number("isakmp.id.port", "Port"),
)
ID_DATA, ID_TEXT = octets("isakmp.id.data", "Identification Data"), text("isakmp.id.data.fqdn", "Identification Data")
NOTIFY_DOMAIN, NOTIFY_PROTOCOL = (
    number("isakmp.notify.doi", "DOI"),
    number("isakmp.notify.protoid", "Protocol ID", PROTOCOLS),
)
NOTIFY_TYPE, NOTIFY_DATA = (
    number("isakmp.notify.msgtype", "Notify Message Type", NOTIFICATIONS),
    octets("isakmp.notify.data", "Notification DATA"),
)
VENDOR, VENDOR_NAME = octets("isakmp.vid_bytes", "Vendor ID"), text("isakmp.vid_string", "Vendor ID")
HASH, DATA = octets("isakmp.hash", "Hash DATA"), octets("isakmp.datapayload", "Payload DATA")
ENCRYPTED = octets("isakmp.enc.data", "Encrypted Data")
DELETED = number("isakmp.delete.spi.count", "Number of SPIs")

TEXT_IDENTITIES: Final = (2, 3)
SA, PROPOSAL, TRANSFORM = (1, 33), 2, 3


@on("udp.port", 500)
def isakmp(packet: Packet, at: int, limit: int) -> Step | None:
    """A head, then payloads that each say what the next one is."""
    packet.check(NAME, at, ISAKMP.size, limit)
    packet.column("isakmp")
    second = packet.uint(NAME, at + 17, 1, limit) >> 4 == 2
    layer, values = packet.open(ISAKMP_2 if second else ISAKMP, at, limit)
    _, _, following, _, exchange, flags, message, length = values
    packet.info = EXCHANGES.get(exchange, f"Unknown exchange ({exchange})")
    if second:
        side, way = "Initiator" if flags & 8 else "Responder", "Response" if flags & 0x20 else "Request"
        packet.info += f" MID={message:02x} {side} {way}"
    layer.said = packet.info
    end = min(limit, at + max(length, ISAKMP.size))
    start = at + ISAKMP.size
    layer.size = max(layer.size, packet.end(end) - at)
    if not second and flags & 1 and start < end:
        raw = packet.rest(start, end)
        packet.add(layer, ENCRYPTED, raw, start, len(raw), f"{end - start} bytes")
    else:
        contained(packet, _payloads, layer, following, start, end, second)
    return Step((), end, limit) if end < limit else None


@on("udp.port", 4500)
def esp_in_udp(packet: Packet, at: int, limit: int) -> Step | None:
    """IKE behind four zeros, a single 0xff to keep the NAT's entry, else ESP (RFC 3948, 2)."""
    head = packet.rest(at, min(at + 4, limit))
    if head == bytes(4):
        return Step((isakmp,), at + 4, limit)
    if head == b"\xff" and limit - at == 1:
        packet.column("udpencap", "NAT-keepalive")
        return Step((), at, limit)
    return Step((esp,), at, limit)


def _payloads(packet: Packet, parent: Item, kind: int, at: int, end: int, second: bool) -> None:
    """The chain from `at` on; proposals and transforms are chains within one."""
    while kind and at < end:
        packet.check(NAME, at, 4, end)
        following, critical = packet.data[at], packet.data[at + 1] >> 7
        length = packet.uint(NAME, at + 2, 2, end)
        if length < 4:
            raise Malformed(f"ISAKMP: payload length {length}, must be at least 4", at + 2)
        if at + length > end:
            raise Short(NAME, at, length, end)
        item = packet.add(parent, PAYLOAD, kind, at, packet.end(at + length) - at)
        packet.add(item, NEXT, following, at, 1)
        if second and kind not in (PROPOSAL, TRANSFORM):
            packet.add(item, CRITICAL, critical, at + 1, 1)
        else:
            packet.add(item, RESERVED, packet.data[at + 1 : at + 2], at + 1, 1)
        packet.add(item, LENGTH, length, at + 2, 2)
        cursor = Cursor(packet, NAME, at + 4, at + length)
        if kind in SA:
            if kind == 1:
                cursor.number(item, DOMAIN, 4)
                cursor.octets(item, SITUATION, 4)
            _payloads(packet, item, PROPOSAL, cursor.at, cursor.end, second)
        elif kind == PROPOSAL:
            _proposal(packet, item, cursor, second)
        elif kind == TRANSFORM:
            _transform(item, cursor, second)
        elif cursor.left:
            SHOW.get(kind, _data)(item, cursor)
        if kind in (46, 53):
            return  # what it says to be next lies within, encrypted (RFC 7296, 3.14)
        kind, at = following, at + length


def _proposal(packet: Packet, item: Item, cursor: Cursor, second: bool) -> None:
    cursor.number(item, PROPOSAL_NUMBER, 1)
    cursor.number(item, PROTOCOL, 1)
    size = cursor.number(item, SPI_SIZE, 1)
    cursor.number(item, PROPOSED, 1)
    if size:
        cursor.octets(item, SPI, size)
    at = cursor.at
    while at < cursor.end:
        following = packet.uint(NAME, at, 1, cursor.end)
        length = packet.uint(NAME, at + 2, 2, cursor.end)
        if length < 4:
            raise Malformed(f"ISAKMP: transform length {length}, must be at least 4", at + 2)
        each = packet.add(item, PAYLOAD, TRANSFORM, at, min(length, cursor.end - at))
        inner = Cursor(packet, NAME, at, min(at + length, cursor.end))
        inner.number(each, NEXT, 1)
        inner.octets(each, RESERVED, 1)
        inner.number(each, LENGTH, 2)
        _transform(each, inner, second)
        at += length
        if not following:
            break


def _transform(item: Item, cursor: Cursor, second: bool) -> None:
    """An algorithm, and of which length its key is."""
    if second:
        kind = cursor.number(item, TRANSFORM_TYPE, 1)
        cursor.octets(item, RESERVED, 1)
        cursor.number(item, TRANSFORMED.get(kind, TRANSFORM_ID), 2)
    else:
        cursor.number(item, TRANSFORM_NUMBER, 1)
        cursor.number(item, TRANSFORM_ID, 1)
        cursor.octets(item, RESERVED, 2)
    while cursor.left >= 4:
        start = cursor.at
        word = cursor.uint(2)
        kind = word & 0x7FFF
        short = word & 0x8000
        size = 2 if short else cursor.uint(2)
        each = cursor.packet.add(item, ATTRIBUTE, None, start, 0)
        cursor.packet.add(each, ATTRIBUTE_TYPE, kind, start, 2)
        raw = cursor.octets(each, ATTRIBUTE_VALUE, size)
        value = int.from_bytes(raw[:8], "big")
        name = VALUES.get(kind, {}).get(value, str(value))
        each.said = f"(t={kind},l={size}): {ATTRIBUTES.get(kind, 'Unknown')}: {name}"


def _key(item: Item, cursor: Cursor) -> None:
    cursor.rest(item, KEY)


def _key_2(item: Item, cursor: Cursor) -> None:
    cursor.number(item, GROUP, 2)
    cursor.octets(item, RESERVED, 2)
    cursor.rest(item, KEY)


def _nonce(item: Item, cursor: Cursor) -> None:
    cursor.rest(item, NONCE)


def _hash(item: Item, cursor: Cursor) -> None:
    cursor.rest(item, HASH)


def _identity(item: Item, cursor: Cursor) -> None:
    kind = cursor.number(item, ID_TYPE, 1)
    cursor.number(item, ID_PROTOCOL, 1)
    cursor.number(item, ID_PORT, 2)
    cursor.rest(item, ID_TEXT if kind in TEXT_IDENTITIES else ID_DATA)


def _notification(item: Item, cursor: Cursor) -> None:
    cursor.number(item, NOTIFY_DOMAIN, 4)
    _notify(item, cursor)


def _notify(item: Item, cursor: Cursor) -> None:
    cursor.number(item, NOTIFY_PROTOCOL, 1)
    size = cursor.number(item, SPI_SIZE, 1)
    cursor.number(item, NOTIFY_TYPE, 2)
    if size:
        cursor.octets(item, SPI, size)
    cursor.rest(item, NOTIFY_DATA)


def _delete(item: Item, cursor: Cursor) -> None:
    cursor.number(item, NOTIFY_PROTOCOL, 1)
    size = cursor.number(item, SPI_SIZE, 1)
    many = cursor.number(item, DELETED, 2)
    for _ in range(many if size else 0):
        cursor.octets(item, SPI, size)


def _vendor(item: Item, cursor: Cursor) -> None:
    at, size = cursor.at, cursor.left
    raw = cursor.rest(item, VENDOR)
    name = VENDORS.get(raw, "Unknown Vendor ID")
    cursor.packet.add(item, VENDOR_NAME, name, at, size)
    item.said = f"Vendor ID ({item.value}) : {name}"


def _encrypted(item: Item, cursor: Cursor) -> None:
    cursor.rest(item, ENCRYPTED)


def _data(item: Item, cursor: Cursor) -> None:
    cursor.rest(item, DATA)


SHOW: Final[dict[int, Callable[[Item, Cursor], None]]] = {
    4: _key,
    5: _identity,
    8: _hash,
    10: _nonce,
    11: _notification,
    13: _vendor,
    34: _key_2,
    35: _identity,
    36: _identity,
    40: _nonce,
    41: _notify,
    42: _delete,
    43: _vendor,
    46: _encrypted,
    53: _encrypted,
}
