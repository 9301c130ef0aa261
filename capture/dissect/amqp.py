"""AMQP 0-9-1, and the frames of 1.0 (AMQP 0-9-1 specification, 4.2; ISO/IEC 19464)."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.amqp_names import CLASSES, METHODS, PERFORMATIVES, PROPERTIES, SASL
from netwatch.capture.dissect.framed import Cursor, Passed, before, contained, entire, roomy, sized
from netwatch.capture.dissect.kit import Field, Header, Item, flag, group, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.tls import tls

NAME: Final = "AMQP"
AMQP = Header("amqp", "Advanced Message Queuing Protocol", ())
FRAME_TYPES: Final = {1: "Method", 2: "Content header", 3: "Content body", 4: "Heartbeat", 8: "Heartbeat"}
TYPE, CHANNEL, LENGTH = (
    number("amqp.type", "Type", FRAME_TYPES),
    number("amqp.channel", "Channel"),
    number("amqp.length", "Length"),
)
INIT, INIT_ID = text("amqp.init.protocol", "Protocol"), number("amqp.init.id", "Protocol-ID")
INIT_MAJOR, INIT_MINOR, INIT_REVISION = (
    number("amqp.init.version_major", "Version Major"),
    number("amqp.init.version_minor", "Version Minor"),
    number("amqp.init.version_revision", "Version-Revision"),
)
CLASS, METHOD = number("amqp.method.class", "Class", CLASSES), number("amqp.method.method", "Method")
ARGUMENTS = group("amqp.method.arguments", "Arguments")
HEADER_CLASS, WEIGHT, BODY_SIZE = (
    number("amqp.header.class", "Class ID", CLASSES),
    number("amqp.header.weight", "Weight"),
    number("amqp.header.body-size", "Body size"),
)
PROPERTY_FLAGS, PROPERTIES_GROUP = (
    number("amqp.header.property-flags", "Property flags", digits=4),
    group("amqp.header.properties", "Properties"),
)
PAYLOAD, TABLE_FIELD = octets("amqp.payload", "Payload"), text("amqp.field", "AMQP")
DATA_OFFSET = number("amqp.doff", "Doff")
PERFORMATIVE, SASL_METHOD = (
    number("amqp.performative", "Performative", PERFORMATIVES),
    number("amqp.sasl.method", "SASL Method", SASL),
)
SIZES: Final = {"o": 1, "h": 2, "l": 4, "L": 8}
FRAME_END: Final = 0xCE
MAX_FRAME: Final = 1 << 27
_INIT: Final = b"AMQP.{4}"
_FRAME: Final = rb"[\x01-\x04\x08]..\x00{3}" + sized(more=1)
_FRAME_1: Final = rb"\x00{3}(?=.[\x02-\xff][\x00\x01])" + sized(4, counted=4)
SMALL: Final = {
    0: b"(?:%b|%b)" % (_FRAME, _INIT),
    1: b"(?:%b|%b)" % (_FRAME_1, _INIT),
    -1: b"(?:%b|%b|%b)" % (_FRAME, _FRAME_1, _INIT),
}
"""Small frames, by the version; -1: not known."""
MAX_DEPTH: Final = 16
MAX_CHANNELS: Final = 64
SHOWN: Final = {
    "virtual_host": "vhost",
    "exchange": "x",
    "queue": "q",
    "routing_key": "rk",
    "reply_text": "reply",
    "destination": "dx",
    "source": "sx",
}
"""Arguments that stand in the Info column, and as what."""
TABLE_SIZES: Final = {"t": 1, "b": 1, "B": 1, "s": 2, "u": 2, "I": 4, "i": 4, "L": 8, "l": 8, "T": 8, "f": 4, "d": 8}
Memory = dict[Any, Any]


def _field(form: str, key: str, label: str) -> Field:
    if form == "b":
        return flag(key, label)
    if form == "T":
        return group(key, label)
    return number(key, label) if form in SIZES else text(key, label)


def _argument(form: str, name: str) -> Field:
    return _field(form, f"amqp.method.arguments.{name}", name.replace("_", "-").title())


ARGUMENT_FIELDS: Final = {
    argument: _argument(*argument.split(":"))
    for methods in METHODS.values()
    for _, arguments in methods.values()
    for argument in arguments.split()
}
PROPERTY_FIELDS: Final = tuple(
    _field(form, f"amqp.method.properties.{name}", label) for name, label, form in PROPERTIES
)


@on("tcp.port", 5672)
def amqp(packet: Packet, at: int, limit: int) -> Step | None:
    """A header that names the version, then frames."""
    memory = packet.memory("amqp")
    if not _begins(packet.data[at : at + 8], memory):
        return NOT_MINE
    return _frames(packet, at, limit, memory)


@signature("tcp")
def amqp_header(packet: Packet, at: int, limit: int) -> Step | None:
    """On another port, known by its header."""
    head = packet.data[at : at + 8]
    if len(head) < 8 or not head.startswith(b"AMQP") or head[4] not in (0, 1, 2, 3):
        return NOT_MINE
    packet.settle_on(amqp)
    return _frames(packet, at, limit, packet.memory("amqp"))


def _begins(head: bytes, memory: Memory) -> bool:
    if head[:4] == b"AMQP"[: len(head)]:
        return True
    if memory.get("version") == 1 or (head[:2] == b"\0\0" and "version" not in memory):
        return len(head) < 6 or (head[4] >= 2 and head[5] < 2 and 8 <= int.from_bytes(head[:4], "big") <= MAX_FRAME)
    return head[:1] in b"\1\2\3\4\x08" and (len(head) < 7 or int.from_bytes(head[3:7], "big") <= MAX_FRAME)


def _frames(packet: Packet, at: int, limit: int, memory: Memory) -> Step | None:
    passed = Passed(packet, SMALL[memory.get("version", -1)])
    while (at := passed.over(at, limit)) < limit:
        head = packet.data[at : at + 8]
        if not _begins(head, memory):
            return Step((), at, limit)
        if head[:4] == b"AMQP"[: len(head)]:
            end = entire(packet, NAME, at, 8, limit)
            show = _init
        elif memory.get("version") == 1 or head[:2] == b"\0\0":
            entire(packet, NAME, at, 8, limit)
            # Fewer bytes may be here of a packet that was cut: whether the size can be was not asked of those.
            end = entire(packet, NAME, at, max(8, packet.uint(NAME, at, 4, limit)), limit)
            show = _frame_1
        else:
            entire(packet, NAME, at, 7, limit)
            end = entire(packet, NAME, at, 8 + packet.uint(NAME, at + 3, 4, limit), limit)
            show = _frame
        if roomy(packet):
            packet.column("amqp", before(packet, NAME))
            layer = packet.layer(AMQP.field, at, packet.end(min(end, limit)) - at)
            if not contained(packet, show, Cursor(packet, NAME, at, min(end, limit)), layer, memory):
                packet.info += MALFORMED_MARK
            passed.one = SMALL[memory.get("version", -1)]
        else:
            passed.single(at, end)
        at = end
    return None


def _say(packet: Packet, words: str) -> None:
    packet.info += ("" if not packet.info or packet.info.endswith(" ") else " ") + words


def _init(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:
    """`AMQP`, what it is for, and the version (0-9-1, 4.2.2; 1.0, 2.2 and 5.2.1, 5.3.1)."""
    cursor.octets(layer, INIT, 4)
    kind = cursor.number(layer, INIT_ID, 1)
    major = cursor.number(layer, INIT_MAJOR, 1)
    minor = cursor.number(layer, INIT_MINOR, 1)
    revision = cursor.number(layer, INIT_REVISION, 1)
    layer.said = f"Protocol-Header {major}-{minor}-{revision}"
    _say(packet, layer.said + " ")
    first = kind in (0, 2, 3) and major == 1
    memory["version"] = 1 if first else 0
    if kind == 2 and first and not packet.from_client:
        packet.settle_on(tls)


def _frame(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:
    kind = cursor.number(layer, TYPE, 1)
    channel = cursor.number(layer, CHANNEL, 2)
    size = cursor.number(layer, LENGTH, 4)
    end = cursor.at + size
    cursor.end -= 1
    if kind == 1:
        _method(cursor, layer)
    elif kind == 2:
        content = _content(cursor, layer)
        key = packet.from_client, channel
        contents = memory.setdefault("contents", {})
        contents.pop(key, None)
        if len(contents) >= MAX_CHANNELS:
            del contents[next(iter(contents))]
        contents[key] = content
    elif kind == 3:
        layer.said = "Content-Body"
        content = memory.get("contents", {}).get((packet.from_client, channel), "")
        _say(packet, "Content-Body " + (f" ({content})" if content else ""))
        cursor.rest(layer, PAYLOAD)
    else:
        layer.said = "Heartbeat"
        _say(packet, "Heartbeat ")
    if packet.data[end : end + 1] not in (b"", b"\xce"):
        raise Malformed("AMQP: a frame without its end", end)


def _method(cursor: Cursor, layer: Item) -> None:
    packet = cursor.packet
    family = cursor.number(layer, CLASS, 2)
    code = cursor.uint(2)
    name, arguments = METHODS.get(family, {}).get(code, (str(code), ""))
    packet.add(layer, METHOD, code, cursor.at - 2, 2, f"{name} ({code})")
    layer.said = f"{CLASSES.get(family, family)}.{name}"
    _say(packet, layer.said + " ")
    parent = packet.add(layer, ARGUMENTS, None, cursor.at, max(cursor.left, 0))
    bit = 0
    for argument in arguments.split():
        field, form, called = ARGUMENT_FIELDS[argument], argument[0], argument[2:]
        if form == "b":
            if not bit:
                byte = cursor.uint(1)
            packet.add(parent, field, bool(byte >> bit & 1), cursor.at - 1, 1)
            bit = (bit + 1) % 8
            continue
        bit = 0
        said = _value(cursor, parent, field, form)
        if called in SHOWN:
            short = "bk" if called == "routing_key" and name in ("Bind", "Unbind") else SHOWN[called]
            packet.info += f"{short}={said} "


def _value(cursor: Cursor, parent: Item, field: Field, form: str) -> str:
    """An argument or a property."""
    if form in SIZES:
        return str(cursor.number(parent, field, SIZES[form]))
    if form == "T":
        start = cursor.at
        size = cursor.uint(4)
        item = cursor.packet.add(parent, field, None, start, 4 + size)
        _table(cursor, item, cursor.at + size, 0)
        return ""
    return cursor.octets(parent, field, cursor.uint(1 if form == "s" else 4)).decode("utf-8", "surrogateescape")


def _table(cursor: Cursor, parent: Item, end: int, depth: int) -> None:
    """Names and values of any type (0-9-1, 4.2.5.5)."""
    if end > cursor.end or depth > MAX_DEPTH:
        raise Malformed("AMQP: a table beyond its frame", cursor.at)
    while cursor.at < end:
        start = cursor.at
        size = cursor.uint(1)
        name = cursor.packet.take(NAME, cursor.at, size, end).decode("utf-8", "surrogateescape")
        cursor.at += size
        _entry(cursor, parent, name, start, end, depth)


def _entry(cursor: Cursor, parent: Item, name: str, start: int, end: int, depth: int) -> None:
    packet = cursor.packet
    form = chr(cursor.uint(1))
    if form in "SxFA":
        size = cursor.uint(4)
        packet.check(NAME, cursor.at, size, end)
        raw = packet.data[cursor.at : cursor.at + size]
        value: bytes | str = "" if form in "FA" else raw
        item = packet.add(parent, TABLE_FIELD, value, start, cursor.at + size - start)
        item.said = f"{name}: {raw.decode('utf-8', 'surrogateescape')}" if form == "S" else name
        last = cursor.at + size
        if form == "F":
            _table(cursor, item, last, depth + 1)
        elif form == "A" and depth < MAX_DEPTH:
            while cursor.at < last:
                _entry(cursor, item, "", cursor.at, last, depth + 1)
        cursor.at = last
        return
    size = 5 if form == "D" else 0 if form == "V" else TABLE_SIZES.get(form, -1)
    if size < 0:
        raise Malformed(f"AMQP: type {form!r} is not known", cursor.at - 1)
    raw = packet.take(NAME, cursor.at, size, end)
    cursor.at += size
    shown = str(int.from_bytes(raw, "big", signed=form in "bsIlL")) if form not in "fdDV" else raw.hex()
    if form == "t":
        shown = "true" if raw != b"\0" else "false"
    packet.add(parent, TABLE_FIELD, shown, start, cursor.at - start, f"{name}: {shown}")


def _content(cursor: Cursor, layer: Item) -> str:
    """How long the body is, and the properties that its flags name -> its media type."""
    packet = cursor.packet
    layer.said = "Content-Header"
    _say(packet, "Content-Header ")
    cursor.number(layer, HEADER_CLASS, 2)
    cursor.number(layer, WEIGHT, 2)
    cursor.number(layer, BODY_SIZE, 8)
    flags = cursor.number(layer, PROPERTY_FLAGS, 2)
    parent = packet.add(layer, PROPERTIES_GROUP, None, cursor.at, max(cursor.left, 0))
    content = ""
    for place, (name, _, form) in enumerate(PROPERTIES):
        if flags & 0x8000 >> place:
            said = _value(cursor, parent, PROPERTY_FIELDS[place], form)
            if name == "content_type":
                content = said
                packet.info += f"type={said} "
    return content


def _frame_1(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:  # noqa: ARG001
    """Size, where the data begins, and a described list (1.0, 2.3)."""
    start = cursor.at
    cursor.number(layer, LENGTH, 4)
    offset = cursor.number(layer, DATA_OFFSET, 1)
    kind = cursor.uint(1)
    packet.add(layer, TYPE, kind, cursor.at - 1, 1, {0: "AMQP (0)", 1: "SASL (1)"}.get(kind, str(kind)))
    cursor.number(layer, CHANNEL, 2)
    cursor.at = start + 4 * offset
    if cursor.left <= 0:
        layer.said = "(empty)"
        _say(packet, "(empty) ")
        return
    head = packet.rest(cursor.at, min(cursor.at + 10, cursor.end))
    # The descriptor is a small or a whole 64-bit integer (1.0, 1.3.2).
    raw = {b"\0\x53": head[2:3], b"\0\x80": head[2:10]}.get(head[:2], b"")
    code = int.from_bytes(raw, "big")
    names, field = (SASL, SASL_METHOD) if kind else (PERFORMATIVES, PERFORMATIVE)
    layer.said = f"{'sasl.' if kind else ''}{names.get(code, f'Unknown ({code})')}"
    _say(packet, layer.said + " ")
    packet.add(layer, field, code, cursor.at, min(3, len(head)))
    cursor.rest(layer, PAYLOAD)
