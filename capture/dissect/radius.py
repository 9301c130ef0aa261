"""RADIUS (RFC 2865, 2866, 5176)."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.framed import contained
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bytes,
    Field,
    Header,
    Item,
    address,
    fields_text,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.radius_names import ATTRIBUTES, CODES, VALUES, VENDORS
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

RADIUS = Header(
    "radius",
    "RADIUS Protocol",
    (
        U8("code", "Code", CODES),
        U8("id", "Packet identifier", form=lambda value: f"0x{value:x} ({value})"),
        U16("length", "Length"),
        Bytes("authenticator", "Authenticator", 16),
    ),
)
PAIRS, PAIR = group("", "Attribute Value Pairs"), octets("radius.avp", "AVP")
TYPE, LENGTH = number("radius.avp.type", "Type"), number("radius.avp.length", "Length")
VENDOR = number("radius.avp.vendor_id", "Vendor ID", VENDORS)
VENDOR_TYPE = number("radius.avp.vendor_type", "VSA Type")
VALUE = octets("", "Value")
SIZES: Final = {"ipv4": 4, "ipv6": 16, "number": 4}
DASHED: Final = (8, 14)
"""Attributes whose field has dashes in Wireshark too."""
VENDOR_SPECIFIC: Final = 26
MAX_KNOWN: Final = 512
"""Requests of a conversation that are remembered to tell repeated ones."""


def _named(kind: int, name: str, form: str) -> Field:
    key = "radius." + name.replace("-", "_")
    if form == "number":
        return number(key, name, VALUES.get(kind))
    if form in SIZES:
        return address(f"radius.{name}" if kind in DASHED else key, name, SIZES[form])
    return text(key, name) if form in ("text", "tagged") else octets(key, name)


FIELDS: Final = {kind: _named(kind, name, form) for kind, (name, form) in ATTRIBUTES.items()}


@on("udp.port", 1645, 1646, 1700, 1812, 1813, 3799)
def radius(packet: Packet, at: int, limit: int) -> Step | None:
    """A head and pairs of attribute and value."""
    if packet.data[at : at + 1] == b"\0":
        return NOT_MINE
    packet.check("RADIUS", at, RADIUS.size, limit)
    packet.column("radius")
    layer, (code, ident, length, authenticator) = packet.open(RADIUS, at, limit)
    packet.info = f"{CODES.get(code, f'Unknown ({code})')} id={ident}"
    known = packet.memory("radius")
    if code in (1, 4, 12, 40, 43):
        if known.get((code, ident)) == authenticator:
            packet.info += ", Duplicate Request"
        elif len(known) >= MAX_KNOWN:
            del known[next(iter(known))]
        known[code, ident] = authenticator
    layer.said = packet.info
    end = min(limit, at + max(length, RADIUS.size))
    if end <= at + RADIUS.size:
        return None
    pairs = packet.add(layer, PAIRS, None, at + RADIUS.size, packet.end(end) - at - RADIUS.size)
    contained(packet, _pairs, layer, pairs, at + RADIUS.size, end)
    return None


def _pairs(packet: Packet, layer: Item, pairs: Item, at: int, end: int) -> None:
    for kind, where, size in options(packet, "RADIUS attribute", at, end):
        item = packet.add(pairs, PAIR, packet.data[where : where + size], where, size)
        packet.add(item, TYPE, kind, where, 1)
        packet.add(item, LENGTH, size, where + 1, 1)
        if kind == VENDOR_SPECIFIC and size >= 6:
            _vendor(packet, item, where, size)
        elif size > 2:
            _value(packet, item, kind, where, size)
        layer.size = where + size - layer.start


def _value(packet: Packet, item: Item, kind: int, where: int, size: int) -> None:
    """What an attribute says, in the form that its type has; in no other if its size is another."""
    name, form = ATTRIBUTES.get(kind, ("Unknown-Attribute", "octets"))
    if form == "tagged":
        skipped = packet.data[where + 2] < 0x20
        where, size = where + skipped, size - skipped
    raw = packet.data[where + 2 : where + size]
    value: bytes | int = raw
    field = FIELDS.get(kind, VALUE)
    if SIZES.get(form, len(raw)) != len(raw):
        field = VALUE
    elif form == "number":
        value = int.from_bytes(raw, "big")
    shown = packet.add(item, field, value, where + 2, size - 2)
    if packet.build:
        said = VALUES.get(kind, {}).get(value) if isinstance(value, int) else None
        said = f"{said}({value!r})" if said else fields_text(shown)
        item.said = f"t={name}({kind}) l={size} val={said[:80]}"


def _vendor(packet: Packet, item: Item, where: int, size: int) -> None:
    """A vendor's own attributes (RFC 2865, 5.26)."""
    vendor = packet.uint("RADIUS", where + 2, 4, where + size)
    packet.add(item, VENDOR, vendor, where + 2, 4)
    item.said = f"t=Vendor-Specific(26) l={size} vnd={VENDORS.get(vendor, 'Unknown')}({vendor})"
    at, end = where + 6, where + size
    while at + 2 <= end:
        length = packet.data[at + 1]
        if length < 2 or at + length > end:
            break
        each = packet.add(item, VENDOR_TYPE, packet.data[at], at, length)
        packet.add(each, VALUE, packet.data[at + 2 : at + length], at + 2, length - 2)
        at += length
    if at < end:
        packet.add(item, VALUE, packet.data[at:end], at, end - at)
