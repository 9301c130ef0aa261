"""MQTT 3.1, 3.1.1 and 5.0 (OASIS)."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.framed import Cursor, Passed, before, contained, entire, octet, roomy, sized
from netwatch.capture.dissect.kit import (
    Bit,
    Bits,
    Field,
    Flags8,
    Header,
    Item,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.mqtt_names import PROPERTIES, REASONS, RETURNS, TYPES, VERSIONS
from netwatch.capture.dissect.packet import MALFORMED_MARK, Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

NAME: Final = "MQTT"
QOS: Final = {
    0: "At most once delivery (Fire and Forget)",
    1: "At least once delivery (Acknowledged deliver)",
    2: "Exactly once delivery (Assured Delivery)",
    3: "Reserved",
}
KIND: Final = Bits(0xF0, "msgtype", "Message Type", TYPES)
MQTT = Header(
    "mqtt",
    "MQ Telemetry Transport Protocol",
    (Flags8("hdrflags", "Header Flags", KIND, Bits(0x0F, "hdr_reserved", "Reserved")),),
)
PUBLISH = Header(
    "mqtt",
    "MQ Telemetry Transport Protocol",
    (
        Flags8(
            "hdrflags",
            "Header Flags",
            KIND,
            Bit(0x08, "dupflag", "DUP Flag"),
            Bits(0x06, "qos", "QoS Level", QOS),
            Bit(0x01, "retain", "Retain"),
        ),
    ),
)
CONNECT_FLAGS = Header(
    "mqtt",
    "Connect Flags",
    (
        Flags8(
            "conflags",
            "Connect Flags",
            Bit(0x80, "conflag.uname", "User Name Flag"),
            Bit(0x40, "conflag.passwd", "Password Flag"),
            Bit(0x20, "conflag.retain", "Will Retain"),
            Bits(0x18, "conflag.qos", "QoS Level", QOS),
            Bit(0x04, "conflag.willflag", "Will Flag"),
            Bit(0x02, "conflag.cleansess", "Clean Session Flag"),
            Bit(0x01, "conflag.reserved", "(Reserved)"),
        ),
    ),
    name="",
)
ACCEPTED_FLAGS = Header(
    "mqtt",
    "Acknowledge Flags",
    (
        Flags8(
            "conack.flags",
            "Acknowledge Flags",
            Bits(0xFE, "conack.flags.reserved", "Reserved"),
            Bit(0x01, "conack.flags.sp", "Session Present"),
        ),
    ),
    name="",
)
OPTIONS = Header(
    "mqtt",
    "Subscription Options",
    (
        Flags8(
            "subscription_options",
            "Subscription Options",
            Bits(0xC0, "subscription_options_reserved", "Reserved"),
            Bits(0x30, "subscription_options_retain", "Retain Handling"),
            Bit(0x08, "subscription_options_rap", "Retain As Published"),
            Bit(0x04, "subscription_options_nl", "No Local"),
            Bits(0x03, "subscription_options_qos", "QoS", QOS),
        ),
    ),
    name="",
)
LENGTH, IDENTIFIER = number("mqtt.len", "Msg Len"), number("mqtt.msgid", "Message Identifier")
TOPIC_LENGTH, TOPIC = number("mqtt.topic_len", "Topic Length"), text("mqtt.topic", "Topic")
MESSAGE = octets("mqtt.msg", "Message")
PROTOCOL_LENGTH, PROTOCOL = number("mqtt.proto_len", "Protocol Name Length"), text("mqtt.protoname", "Protocol Name")
VERSION, KEEP_ALIVE = number("mqtt.ver", "Version", VERSIONS), number("mqtt.kalive", "Keep Alive")
CLIENT_LENGTH, CLIENT = number("mqtt.clientid_len", "Client ID Length"), text("mqtt.clientid", "Client ID")
WILL_TOPIC_LENGTH, WILL_TOPIC = (
    number("mqtt.willtopic_len", "Will Topic Length"),
    text("mqtt.willtopic", "Will Topic"),
)
WILL_LENGTH, WILL = number("mqtt.willmsg_len", "Will Message Length"), octets("mqtt.willmsg", "Will Message")
USER_LENGTH, USER = number("mqtt.username_len", "User Name Length"), text("mqtt.username", "User Name")
PASSWORD_LENGTH, PASSWORD = number("mqtt.passwd_len", "Password Length"), text("mqtt.passwd", "Password")
RETURN = number("mqtt.conack.val", "Return Code", RETURNS)
REQUESTED, GRANTED = (
    number("mqtt.sub.qos", "Requested QoS", QOS),
    number("mqtt.suback.qos", "Granted QoS", {**QOS, 0x80: "Failure"}),
)
REASON: Final = {
    kind: number(f"mqtt.{name}.reason_code", "Reason Code", REASONS)
    for kind, name in (
        (2, "connack"),
        (4, "puback"),
        (5, "pubrec"),
        (6, "pubrel"),
        (7, "pubcomp"),
        (9, "suback"),
        (11, "unsuback"),
        (14, "disconnect"),
        (15, "auth"),
    )
}
PROPERTIES_GROUP, WILL_PROPERTIES = (
    group("mqtt.properties", "Properties"),
    group("mqtt.will_properties", "Will Properties"),
)
PROPERTIES_LENGTH = number("mqtt.property_len", "Total Length")
PROPERTY = number("mqtt.property_id", "ID", {code: name for code, (name, _) in PROPERTIES.items()}, digits=2)
PROPERTY_NUMBER = number("mqtt.prop_number", "Value")
PROPERTY_LENGTH, PROPERTY_TEXT = number("mqtt.prop_string_len", "Length"), text("mqtt.prop_string", "Value")
KEY_LENGTH, KEY = number("mqtt.prop_key_len", "Key Length"), text("mqtt.prop_key", "Key")
VALUE_LENGTH, VALUE = number("mqtt.prop_value_len", "Value Length"), text("mqtt.prop_value", "Value")
CONTENT_TYPE = text("mqtt.property.content_type", "Content Type")
TOPIC_ALIAS = number("mqtt.property.topic_alias", "Topic Alias")
MAXIMUM_QOS = number("mqtt.property.max_qos", "QoS", QOS)

ACKNOWLEDGED: Final = frozenset({4, 5, 6, 7})
MAX_ALIASES: Final = 256
Memory = dict[Any, Any]


@on("tcp.port", 1883)
def mqtt(packet: Packet, at: int, limit: int) -> Step | None:
    """A type, and a length of up to four bytes, seven bits each (MQTT 3.1.1, 2.2.3)."""
    if not _begins(packet.data[at : at + 8]):
        return NOT_MINE
    memory = packet.memory("mqtt")
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        head = packet.data[at : at + 5]
        if not _begins(head):
            return Step((mqtt,), at, limit)
        length = size = 0
        for byte in head[1:]:
            length |= (byte & 0x7F) << 7 * size
            size += 1
            if not byte & 0x80:
                break
        else:
            entire(packet, NAME, at, len(head) + 1, limit)
            packet.check(NAME, at, len(head) + 1, limit)
        end = entire(packet, NAME, at, 1 + size + length, limit)
        if roomy(packet):
            said = before(packet, NAME)
            packet.column("mqtt", (said + ", " if said else "") + TYPES[head[0] >> 4])
            header = PUBLISH if head[0] >> 4 == 3 else MQTT
            layer, _ = packet.open(header, at, limit)
            packet.add(layer, LENGTH, length, at + 1, size)
            layer.size = packet.end(min(end, limit)) - at
            cursor = Cursor(packet, NAME, at + 1 + size, min(end, limit))
            if not contained(packet, _message, cursor, layer, head[0], memory):
                packet.info += MALFORMED_MARK
            layer.said = TYPES[head[0] >> 4]
        else:
            passed.single(at, end)
        at = end
    return None


def _begins(head: bytes) -> bool:
    """Reserved bits are as they must be (2.2.2), the length ends, and a first packet names its protocol."""
    if not head or head[0] >> 4 not in TYPES:
        return False
    kind, low = head[0] >> 4, head[0] & 0x0F
    if kind != 3 and low != (2 if kind in (6, 8, 10) else 0) and low & 0x07 != 2:
        return False
    if len(head) >= 5 and all(byte & 0x80 for byte in head[1:5]):
        return False
    return kind != 1 or len(head) < 8 or b"M" in head[3:8]


SMALL: Final = octet(first for first in range(32, 256) if _begins(bytes([first]))) + sized()


def _message(packet: Packet, cursor: Cursor, layer: Item, first: int, memory: Memory) -> None:
    kind = first >> 4
    version = memory.get("version", 0)
    if kind == 1:
        _connect(cursor, layer, memory)
    elif kind == 2:
        _flags(cursor, layer, ACCEPTED_FLAGS)
        cursor.number(layer, REASON[2] if version == 5 else RETURN, 1)
        if version == 5:
            _properties(cursor, layer, PROPERTIES_GROUP)
    elif kind == 3:
        _publish(cursor, layer, first >> 1 & 3, memory)
    elif kind in ACKNOWLEDGED:
        _identifier(cursor, layer)
        _reason(cursor, layer, kind, version)
    elif kind in (8, 10):
        _identifier(cursor, layer)
        if version == 5:
            _properties(cursor, layer, PROPERTIES_GROUP)
        while cursor.left > 0:
            topic = _string(cursor, layer, TOPIC_LENGTH, TOPIC)
            packet.info += f" [{topic}]" if kind == 8 else ""
            if kind == 8 and version == 5:
                _flags(cursor, layer, OPTIONS)
            elif kind == 8:
                cursor.number(layer, REQUESTED, 1)
    elif kind in (9, 11):
        _identifier(cursor, layer)
        if version == 5:
            _properties(cursor, layer, PROPERTIES_GROUP)
        while cursor.left > 0:
            cursor.number(layer, REASON[kind] if version == 5 else GRANTED, 1)
    elif kind in (14, 15):
        _reason(cursor, layer, kind, version)


def _flags(cursor: Cursor, layer: Item, header: Header) -> int:
    (word,) = cursor.packet.add_header(layer, header, cursor.at, cursor.end)
    cursor.at += header.size
    return int(word)


def _string(cursor: Cursor, layer: Item, length: Field, field: Field) -> str:
    size = cursor.number(layer, length, 2)
    return cursor.octets(layer, field, size).decode("utf-8", "surrogateescape")


def _identifier(cursor: Cursor, layer: Item) -> None:
    cursor.packet.info += f" (id={cursor.number(layer, IDENTIFIER, 2)})"


def _reason(cursor: Cursor, layer: Item, kind: int, version: int) -> None:
    """Version 5 has a reason, which may be missing for success (3.4.2.1)."""
    if version == 5 and cursor.left > 0:
        cursor.number(layer, REASON[kind], 1)
        if cursor.left > 0:
            _properties(cursor, layer, PROPERTIES_GROUP)


def _connect(cursor: Cursor, layer: Item, memory: Memory) -> None:
    _string(cursor, layer, PROTOCOL_LENGTH, PROTOCOL)
    # A bridge sets the highest bit.
    version = cursor.number(layer, VERSION, 1) & 0x7F
    memory["version"] = version
    flags = _flags(cursor, layer, CONNECT_FLAGS)
    cursor.number(layer, KEEP_ALIVE, 2)
    if version == 5:
        _properties(cursor, layer, PROPERTIES_GROUP)
    _string(cursor, layer, CLIENT_LENGTH, CLIENT)
    if flags & 0x04:
        if version == 5:
            _properties(cursor, layer, WILL_PROPERTIES)
        _string(cursor, layer, WILL_TOPIC_LENGTH, WILL_TOPIC)
        _payload(cursor, layer, WILL, cursor.number(layer, WILL_LENGTH, 2))
    if flags & 0x80:
        _string(cursor, layer, USER_LENGTH, USER)
    if flags & 0x40:
        _string(cursor, layer, PASSWORD_LENGTH, PASSWORD)


def _publish(cursor: Cursor, layer: Item, qos: int, memory: Memory) -> None:
    packet = cursor.packet
    topic = _string(cursor, layer, TOPIC_LENGTH, TOPIC)
    if qos:
        _identifier(cursor, layer)
    content = ""
    if memory.get("version") == 5:
        found = _properties(cursor, layer, PROPERTIES_GROUP)
        aliases = memory.setdefault(("aliases", packet.from_client), {})
        alias = found.get(0x23)
        if alias is not None and topic and len(aliases) < MAX_ALIASES:
            aliases[alias] = topic
        topic = topic or aliases.get(alias, "")
        content = str(found.get(0x03, ""))
    packet.info += f" [{topic}]" + (f" ({content})" if content else "")
    if cursor.left > 0:
        _payload(cursor, layer, MESSAGE, cursor.left)


def _payload(cursor: Cursor, layer: Item, field: Field, size: int) -> None:
    """Bytes of an application; text where they read as text."""
    raw = cursor.packet.rest(cursor.at, min(cursor.at + size, cursor.end))[:1024]
    try:
        said = raw.decode("utf-8") if len(raw) == size else ""
    except UnicodeDecodeError:
        said = ""
    cursor.octets(layer, field, size, said if said.isprintable() else "")


def _variable(cursor: Cursor) -> int:
    value = 0
    for shift in (0, 7, 14, 21):
        byte = cursor.uint(1)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value
    raise Malformed("MQTT: an integer of more than four bytes", cursor.at - 1)


def _properties(cursor: Cursor, layer: Item, field: Field) -> dict[int, int | str]:
    """Properties of version 5 (2.2.2): those with a single value by their identifier."""
    packet, start = cursor.packet, cursor.at
    total = _variable(cursor)
    item = packet.add(layer, field, None, start, cursor.at - start + min(total, max(cursor.left, 0)))
    packet.add(item, PROPERTIES_LENGTH, total, start, cursor.at - start)
    end = cursor.at + total
    if end > cursor.end:
        raise Malformed("MQTT: properties beyond their packet", start)
    found: dict[int, int | str] = {}
    while cursor.at < end:
        where = cursor.at
        code = cursor.uint(1)
        if code not in PROPERTIES:
            raise Malformed(f"MQTT: property {code} is not known", where)
        _, form = PROPERTIES[code]
        each = packet.add(item, PROPERTY, code, where, 1)
        if isinstance(form, int):
            value = {0x23: TOPIC_ALIAS, 0x24: MAXIMUM_QOS}.get(code, PROPERTY_NUMBER)
            found[code] = cursor.number(each, value, form)
        elif form == "variable":
            where = cursor.at
            packet.add(each, PROPERTY_NUMBER, _variable(cursor), where, cursor.at - where)
        elif form == "pair":
            _string(cursor, each, KEY_LENGTH, KEY)
            _string(cursor, each, VALUE_LENGTH, VALUE)
        else:
            shown = CONTENT_TYPE if code == 0x03 else PROPERTY_TEXT
            found[code] = _string(cursor, each, PROPERTY_LENGTH, shown)
        each.size = cursor.at - each.start
    return found
