"""BACnet's application layer (ASHRAE 135, 20): who asks for which property of which object, and what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.dissect.bacapp_names import (
    ABORTS,
    ACKNOWLEDGED,
    CLASSES,
    ERRORS,
    OBJECTS,
    PROPERTIES,
    REJECTS,
    SAID,
    TAGS,
    UNACKNOWLEDGED,
)
from netwatch.capture.dissect.kit import Header, group, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

BACAPP: Final = Header("bacapp", "Building Automation and Control Network APDU", ())
TYPE: Final = number("bacapp.type", "APDU Type", SAID)
FLAGS: Final = number("bacapp.pduflags", "PDU Flags", digits=2)
SEGMENTED, MORE, TAKES = (
    number("bacapp.segmented_request", "Segmented Request"),
    number("bacapp.more_segments", "More Segments"),
    number("bacapp.SA", "SA"),
)
SERVER: Final = number("bacapp.SRV", "SRV")
SEGMENTS, SIZE = (
    number("bacapp.response_segments", "Max Response Segments accepted"),
    number("bacapp.max_adpu_size", "Size of Maximum ADPU accepted"),
)
INVOKED: Final = number("bacapp.invoke_id", "Invoke ID")
SEQUENCE, WINDOW = (
    number("bacapp.sequence_number", "Sequence Number"),
    number("bacapp.window_size", "Proposed Window Size"),
)
ASKED: Final = number("bacapp.confirmed_service", "Service Choice", ACKNOWLEDGED)
TOLD: Final = number("bacapp.unconfirmed_service", "Unconfirmed Service Choice", UNACKNOWLEDGED)
REJECTED: Final = number("bacapp.reject_reason", "Reject Reason", REJECTS)
ABORTED: Final = number("bacapp.abort_reason", "Abort Reason", ABORTS)
TAG: Final = group("", "Tag")
CLASS: Final = number("bacapp.tag_class", "Tag Class", {0: "Application Tag", 1: "Context Specific Tag"})
CONTEXT_NUMBER = number("bacapp.context_tag_number", "Context Tag Number")
OWN_NUMBER = number("bacapp.application_tag_number", "Application Tag Number", TAGS)
NAMED: Final = number("bacapp.named_tag", "Named Tag", {5: "Extended Value", 6: "Opening Tag", 7: "Closing Tag"})
LENGTH: Final = number("bacapp.LVT", "Length Value Type")
OBJECT, INSTANCE = (
    number("bacapp.objectType", "Object Type", OBJECTS),
    number("bacapp.instance_number", "Instance Number"),
)
PROPERTY: Final = number("bacapp.property_identifier", "Property Identifier", PROPERTIES)
LOW, HIGH = (
    number("bacapp.who_is.low_limit", "Device Instance Range Low Limit"),
    number("bacapp.who_is.high_limit", "Device Instance Range High Limit"),
)
ERROR_CLASS: Final = number("bacapp.error_class", "Error Class", CLASSES)
ERROR: Final = number("bacapp.error_code", "Error Code", ERRORS)
VENDOR: Final = number("bacapp.vendor_identifier", "Vendor Identifier")
NAME: Final = text("bacapp.object_name", "Object Name")
VALUE: Final = octets("", "Value")
REQUEST, UNCONFIRMED, SIMPLE, COMPLEX, SEGMENT, FAILED, REJECT, ABORT = range(8)
READ, WRITE, WHO_HAS, WHO_IS, I_AM, I_HAVE = 12, 15, 7, 8, 0, 1
OBJECT_NAME: Final = 77
OPENING, CLOSING, EXTENDED = 6, 7, 5
declare("bacapp", "BACnet-APDU", "other")


class Tag(NamedTuple):
    """What stands before a value (20.2.1)."""

    number: int
    context: bool
    kind: int
    """OPENING, CLOSING; else how its length is written."""
    size: int
    """Bytes of the value; of an application's Boolean the value itself."""
    start: int
    """Where the value begins."""


@on("bacnet", 1)
def bacapp(packet: Packet, at: int, limit: int) -> Step | None:
    """A type with flags, who asks, which service, and tagged values."""
    packet.column("bacapp")
    layer = packet.layer(BACAPP.field, at, packet.end(limit) - at)
    first = packet.uint("BACnet APDU", at, 1, limit)
    kind = first >> 4
    packet.add(layer, TYPE, kind, at, 1)
    said = SAID.get(kind, "Reserved")
    where = at + 1
    segmented = False
    if kind in (REQUEST, COMPLEX):
        segmented = bool(first & 8)
        packet.add(layer, FLAGS, first & 15, at, 1)
        packet.add(layer, SEGMENTED, first >> 3 & 1, at, 1)
        packet.add(layer, MORE, first >> 2 & 1, at, 1)
    if kind == REQUEST:
        packet.add(layer, TAKES, first >> 1 & 1, at, 1)
        most = packet.uint("BACnet APDU", where, 1, limit)
        packet.add(layer, SEGMENTS, most >> 4 & 7, where, 1)
        packet.add(layer, SIZE, most & 15, where, 1)
        where += 1
    if kind in (SEGMENT, ABORT):
        packet.add(layer, SERVER, first & 1, at, 1)
    invoked = 0
    if kind != UNCONFIRMED:
        invoked = packet.uint("BACnet APDU", where, 1, limit)
        packet.add(layer, INVOKED, invoked, where, 1)
        where += 1
    if segmented or kind == SEGMENT:
        for field in (SEQUENCE, WINDOW):
            packet.add(layer, field, packet.uint("BACnet APDU", where, 1, limit), where, 1)
            where += 1
    packet.info = layer.said = f"{said:<16}"
    if kind > ABORT or kind == SEGMENT:
        return Step((), where, limit) if where < limit else None
    field, names = {UNCONFIRMED: (TOLD, UNACKNOWLEDGED), REJECT: (REJECTED, REJECTS), ABORT: (ABORTED, ABORTS)}.get(
        kind, (ASKED, ACKNOWLEDGED)
    )
    code = packet.uint("BACnet APDU", where, 1, limit)
    packet.add(layer, field, code, where, 1)
    packet.info += names.get(code, f"unknown ({code})") + (f"[{invoked:3}] " if kind != UNCONFIRMED else " ")
    if segmented:
        return Step((), where + 1, limit) if where + 1 < limit else None
    _values(packet, layer, kind, code, where + 1, limit)
    layer.said = packet.info
    return None


def _tag(packet: Packet, at: int, limit: int) -> Tag:
    first = packet.uint("BACnet tag", at, 1, limit)
    label, context, size = first >> 4, bool(first & 8), first & 7
    at += 1
    if label == 15:
        label = packet.uint("BACnet tag", at, 1, limit)
        at += 1
    kind = size
    if context and kind in (OPENING, CLOSING):
        return Tag(label, context, kind, 0, at)
    if kind == EXTENDED:
        size = packet.uint("BACnet tag", at, 1, limit)
        at += 1
        wide = {254: 2, 255: 4}.get(size, 0)
        if wide:
            size = packet.uint("BACnet tag", at, wide, limit)
            at += wide
    elif kind > EXTENDED:
        raise Malformed(f"BACnet: a tag of an application cannot have length {kind}", at - 1)
    return Tag(label, context, kind, size, at)


def _values(packet: Packet, layer: Item, kind: int, code: int, at: int, limit: int) -> None:
    """Tags one after the other; between an opening and a closing one they are of one value."""
    depth, place, named = 0, 0, -1
    while at < limit:
        tag = _tag(packet, at, limit)
        bracket = tag.context and tag.kind in (OPENING, CLOSING)
        size = 0 if bracket or (not tag.context and tag.number == 1) else tag.size
        packet.check("BACnet value", tag.start, size, limit)
        item = packet.add(layer, TAG, None, at, tag.start + size - at)
        packet.add(item, CLASS, int(tag.context), at, 1)
        packet.add(item, CONTEXT_NUMBER if tag.context else OWN_NUMBER, tag.number, at, 1)
        if bracket or tag.kind == EXTENDED:
            packet.add(item, NAMED, tag.kind, at, 1)
        if bracket:
            item.said = f"{'{' if tag.kind == OPENING else '}'}[{tag.number}]"
            depth += 1 if tag.kind == OPENING else -1
        else:
            packet.add(item, LENGTH, tag.size, at, tag.start - at)
            field = _field(kind, code, tag, depth, place, named)
            if size:
                found = _value(packet, item, tag, field, size)
                named = found if field is PROPERTY else named
            place += 1
        at = tag.start + size


def _field(kind: int, code: int, tag: Tag, depth: int, place: int, named: int) -> Field | None:
    """What a value is, by its service and place (13 to 16)."""
    if not tag.context and tag.number == 12:
        return OBJECT
    if kind == UNCONFIRMED and code == WHO_IS and tag.context:
        return {0: LOW, 1: HIGH}.get(tag.number)
    if kind == UNCONFIRMED and code == WHO_HAS and tag.context:
        return {0: LOW, 1: HIGH, 2: OBJECT, 3: NAME}.get(tag.number)
    if kind == UNCONFIRMED and code == I_AM:
        return VENDOR if place == 3 else None
    if kind == UNCONFIRMED and code == I_HAVE:
        return NAME if tag.number == 7 else None
    if kind == FAILED and not tag.context:
        return {0: ERROR_CLASS, 1: ERROR}.get(place)
    if kind in (REQUEST, COMPLEX) and code in (READ, WRITE):
        if tag.context and not depth:
            return {0: OBJECT, 1: PROPERTY}.get(tag.number)
        if named == OBJECT_NAME and tag.number == 7:
            return NAME
    return None


def _value(packet: Packet, item: Item, tag: Tag, field: Field | None, size: int) -> int:
    """A value's line, and its word of the Info column -> it, as a number."""
    start = tag.start
    value = int.from_bytes(packet.data[start : start + min(size, 4)], "big")
    if field is OBJECT and size == 4:
        sort, instance = value >> 22, value & 0x3FFFFF
        packet.add(item, OBJECT, sort, start, 4)
        packet.add(item, INSTANCE, instance, start, 4)
        item.said = f"{OBJECTS.get(sort, f'unknown ({sort})')},{instance}"
        packet.info += f"{item.said} "
    elif field is NAME and size > 1 and packet.data[start] == 0:
        packet.add(item, NAME, packet.data[start + 1 : start + size], start + 1, size - 1)
    elif field is None or field in (OBJECT, NAME) or size > 4:
        packet.add(item, VALUE, packet.data[start : start + size], start, size)
    else:
        packet.add(item, field, value, start, size)
        if field is PROPERTY:
            packet.info += f"{PROPERTIES.get(value, f'unknown ({value})')} "
        elif field in (LOW, HIGH):
            packet.info += f"{value} "
    return value
