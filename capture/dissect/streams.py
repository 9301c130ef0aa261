"""Heads of protocols over TCP: BGP, Modbus, MQTT, HTTP/2, BitTorrent, RTSP."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    Bits,
    Bytes,
    Header,
    Hex8,
    Packed8,
    Packed32,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.text import escape

BGP_TYPES = {1: "OPEN", 2: "UPDATE", 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"}
BGP = Header(
    "bgp",
    "Border Gateway Protocol",
    (Bytes("marker", "Marker", 16), U16("length", "Length"), U8("type", "Type", BGP_TYPES)),
)


@on("tcp.port", 179)
def bgp(packet: Packet, at: int, limit: int) -> Step | None:
    """Sixteen ones, a length, a type (RFC 4271, 4.1)."""
    if packet.data[at : at + 16] != b"\xff" * 16:
        return NOT_MINE
    words: list[str] = []
    while at < limit:
        head = packet.rest(at, min(at + BGP.size, limit))
        length = int.from_bytes(head[16:18], "big")
        packet.whole("BGP", at, max(BGP.size, length), limit)
        packet.column("bgp", packet.info)
        layer, (_, length, kind) = packet.open(BGP, at, limit)
        layer.said = f"{BGP_TYPES.get(kind, f'Unknown ({kind})')} Message"
        words.append(layer.said)
        packet.info = ", ".join(words)
        if length < BGP.size:
            packet.mark(f"BGP length {length}, must be at least {BGP.size}", at + 16)
            return None
        packet.run(Step((), at + BGP.size, min(at + length, limit)))
        at += length
    return None


FUNCTIONS = {
    1: "Read Coils",
    2: "Read Discrete Inputs",
    3: "Read Holding Registers",
    4: "Read Input Registers",
    5: "Write Single Coil",
    6: "Write Single Register",
    7: "Read Exception Status",
    8: "Diagnostics",
    15: "Write Multiple Coils",
    16: "Write Multiple Registers",
    17: "Report Slave ID",
    22: "Mask Write Register",
    23: "Read Write Register",
    43: "Encapsulated Interface Transport",
}
MODBUS = Header(
    "mbtcp",
    "Modbus/TCP",
    (
        U16("trans_id", "Transaction Identifier"),
        U16("prot_id", "Protocol Identifier"),
        U16("len", "Length"),
        U8("unit_id", "Unit Identifier"),
        Packed8(Bits(0x80, "", "Exception"), Bits(0x7F, "=modbus.func_code", "Function Code", FUNCTIONS)),
    ),
)


@on("tcp.port", 502)
def modbus(packet: Packet, at: int, limit: int) -> Step | None:
    """A head of seven bytes and a function."""
    head = packet.rest(at, min(at + 8, limit))
    length = int.from_bytes(head[4:6], "big")
    if len(head) < 8 or head[2:4] != b"\0\0" or not 2 <= length <= 254:
        return NOT_MINE
    packet.column("modbus")
    layer, (transaction, _, _, unit, function) = packet.open(MODBUS, at, limit)
    side = "   Query" if packet.values.get("ports", (0, 0))[1] == 502 else "Response"
    name = FUNCTIONS.get(function & 0x7F, "Unknown function")
    packet.info = f"{side}: Trans: {transaction:5}; Unit: {unit:3}, Func: {function & 0x7F:3}: {name}"
    layer.said = name
    return Step((), at + MODBUS.size, min(limit, at + 6 + length))


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


FRAMES = {
    0: "DATA",
    1: "HEADERS",
    2: "PRIORITY",
    3: "RST_STREAM",
    4: "SETTINGS",
    5: "PUSH_PROMISE",
    6: "PING",
    7: "GOAWAY",
    8: "WINDOW_UPDATE",
    9: "CONTINUATION",
}
HTTP2 = Header("http2", "HyperText Transfer Protocol 2", ())
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAGIC_LINE = text("http2.magic", "Magic")
FRAME = Header(
    "http2",
    "Stream",
    (
        U24("length", "Length"),
        U8("type", "Type", FRAMES),
        Hex8("flags", "Flags"),
        Packed32(Bits(0x7FFFFFFF, "streamid", "Stream Identifier")),
    ),
    name="",
)
FRAME_DATA = octets("", "Payload")


@signature("tcp")
def http2(packet: Packet, at: int, limit: int) -> Step | None:
    """What follows the magic (RFC 9113, 3.4); frames in later segments do not say by themselves what they are."""
    if packet.data[at : at + len(MAGIC)] != MAGIC or at + len(MAGIC) > limit:
        return NOT_MINE
    packet.column("http2", "Magic")
    layer = packet.layer(HTTP2.field, at, len(MAGIC))
    packet.add(layer, MAGIC_LINE, MAGIC, at, len(MAGIC))
    where = at + len(MAGIC)
    words = ["Magic"]
    while where < limit:
        packet.whole("HTTP/2 frame", where, FRAME.size, limit)
        length = int.from_bytes(packet.data[where : where + 3], "big")
        packet.whole("HTTP/2 frame", where, FRAME.size + length, limit)
        end = where + FRAME.size + length
        item = packet.add(layer, FRAME.field, None, where, FRAME.size)
        _, kind, _, stream = packet.add_header(item, FRAME, where, limit)
        item.said = f"{FRAMES.get(kind, f'Unknown ({kind})')}[{stream & 0x7FFFFFFF}]"
        words.append(item.said)
        packet.info = ", ".join(words)
        packet.check("HTTP/2 frame", where, FRAME.size + length, limit)
        if length:
            packet.add(item, FRAME_DATA, packet.data[end - length : end], end - length, length)
        item.size = end - where
        where = end
        layer.size = where - at
    layer.said = packet.info
    return None


BITTORRENT = Header("bittorrent", "BitTorrent", ())
TORRENT_NAME, TORRENT_HASH, TORRENT_PEER = (
    text("bittorrent.protocol.name", "Protocol Name"),
    octets("bittorrent.info_hash", "SHA1 Hash of info dictionary"),
    octets("bittorrent.peer_id", "Peer ID"),
)
HANDSHAKE = b"\x13BitTorrent protocol"


@signature("tcp")
def bittorrent(packet: Packet, at: int, limit: int) -> Step | None:
    """The handshake: a name, eight flags, which torrent, who (BEP 3)."""
    if packet.data[at : at + len(HANDSHAKE)] != HANDSHAKE or at + len(HANDSHAKE) > limit:
        return NOT_MINE
    packet.column("bittorrent", "Handshake  ")
    layer = packet.layer(BITTORRENT.field, at, len(HANDSHAKE), "Handshake")
    packet.add(layer, TORRENT_NAME, HANDSHAKE[1:], at + 1, len(HANDSHAKE) - 1)
    where = at + len(HANDSHAKE) + 8
    for field in (TORRENT_HASH, TORRENT_PEER):
        packet.add(layer, field, packet.take("BitTorrent handshake", where, 20, limit), where, 20)
        where += 20
    layer.size = where - at
    return Step((), where, limit)


RTSP = Header("rtsp", "Real Time Streaming Protocol", ())
RTSP_REQUEST, RTSP_RESPONSE = text("rtsp.request", "Request"), text("rtsp.response", "Response")
RTSP_HEADER = text("", "Header")
RTSP_METHODS = (
    b"DESCRIBE ANNOUNCE GET_PARAMETER OPTIONS PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER TEARDOWN".split()
)


@on("tcp.port", 554, 8554)
def rtsp(packet: Packet, at: int, limit: int) -> Step | None:
    """Start line and header fields (RFC 2326)."""
    rest = packet.rest(at, limit)
    start = rest.split(b"\n", 1)[0].rstrip(b"\r")
    reply = start.startswith(b"RTSP/")
    if not reply and start.split(b" ")[0] not in RTSP_METHODS:
        return NOT_MINE
    packet.column("rtsp", f"Reply: {escape(start)}" if reply else escape(start))
    layer = packet.layer(RTSP.field, at, len(rest), packet.info)
    packet.add(layer, RTSP_RESPONSE if reply else RTSP_REQUEST, start, at, len(start))
    where = at
    for line in rest.split(b"\n")[:200]:
        if where > at and line.rstrip(b"\r"):
            packet.add(layer, RTSP_HEADER, line.rstrip(b"\r"), where, len(line))
        where += len(line) + 1
    return None
