"""MQTT (3.1.1)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    Bits,
    Header,
    Packed8,
    number,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import escape

MQTT_TYPES = {
    1: "Connect Command",
    2: "Connect Ack",
    3: "Publish Message",
    4: "Publish Ack",
    5: "Publish Received",
    6: "Publish Release",
    7: "Publish Complete",
    8: "Subscribe Request",
    9: "Subscribe Ack",
    10: "Unsubscribe Request",
    11: "Unsubscribe Ack",
    12: "Ping Request",
    13: "Ping Response",
    14: "Disconnect Req",
    15: "Authentication Exchange",
}
MQTT = Header(
    "mqtt",
    "MQ Telemetry Transport Protocol",
    (Packed8(Bits(0xF0, "msgtype", "Message Type", MQTT_TYPES), Bits(0x0F, "hdrflags", "Header Flags", digits=2)),),
)
MQTT_LENGTH, TOPIC, IDENTIFIER = (
    number("mqtt.len", "Msg Len"),
    text("mqtt.topic", "Topic"),
    number("mqtt.msgid", "Message Identifier"),
)
WITH_IDENTIFIER = frozenset({4, 5, 6, 7, 8, 9, 10, 11})


@on("tcp.port", 1883)
def mqtt(packet: Packet, at: int, limit: int) -> Step | None:
    """A type and a length of up to four bytes, seven bits each (MQTT 3.1.1, 2.2.3)."""
    first = packet.rest(at, limit)[:5]
    length = size = 0
    for byte in first[1:]:
        length |= (byte & 0x7F) << 7 * size
        size += 1
        if not byte & 0x80:
            break
    else:
        return NOT_MINE
    start, end = at + 1 + size, at + 1 + size + length
    if first[0] >> 4 not in MQTT_TYPES:
        return NOT_MINE
    packet.whole("MQTT", at, end - at, limit)
    packet.column("mqtt")
    layer, (head,) = packet.open(MQTT, at, limit)
    kind = head >> 4
    layer.said = packet.info = MQTT_TYPES[kind]
    packet.add(layer, MQTT_LENGTH, length, at + 1, size)
    layer.size = start - at
    where, end = start, min(end, limit)
    topic = b""
    if kind == 3:
        many = packet.uint("MQTT", where, 2, end)
        topic = packet.take("MQTT", where + 2, many, end)
        packet.add(layer, TOPIC, topic, where + 2, many)
        where += 2 + many
    if kind in WITH_IDENTIFIER or (kind == 3 and head & 6):
        identifier = packet.uint("MQTT", where, 2, end)
        packet.add(layer, IDENTIFIER, identifier, where, 2)
        packet.info += f" (id={identifier})"
        where += 2
    packet.info += f" [{escape(topic)}]" if topic else ""
    layer.size = where - at
    packet.run(Step((), where, end))
    return Step((mqtt,), end, limit) if end < limit else None
