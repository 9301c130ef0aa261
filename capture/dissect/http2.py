"""HTTP/2 in clear (RFC 9113), its headers unpacked (HPACK, RFC 7541)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.dissect.http2_names import ERRORS, FRAMES, NAMED, SETTINGS
from netwatch.capture.dissect.http_body import SPOKEN_OF, entity, media_type
from netwatch.capture.dissect.http_names import REASONS, said_of
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    U32,
    Bits,
    Header,
    Hex8,
    Item,
    Packed32,
    flag,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import MAX_MESSAGE, SEGMENT_MARK, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

if TYPE_CHECKING:
    from hpack import Decoder

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
        Packed32(Bits(0x80000000, "r", "Reserved", digits=1), Bits(0x7FFFFFFF, "streamid", "Stream Identifier")),
    ),
    name="http2.stream",
)
END_STREAM, END_HEADERS = flag("http2.flags.end_stream", "End Stream"), flag("http2.flags.eh", "End Headers")
PADDED, PRIORITISED = flag("http2.flags.padded", "Padded"), flag("http2.flags.priority", "Priority")
ACK = {4: flag("http2.flags.ack.settings", "ACK"), 6: flag("http2.flags.ack.ping", "ACK")}
PAD_LENGTH, PADDING = number("http2.padding", "Pad Length"), octets("http2.headers.padding", "Padding")
PRIORITY = Header(
    "http2",
    "Priority",
    (
        Packed32(
            Bits(0x80000000, "exclusive", "Exclusive"), Bits(0x7FFFFFFF, "stream_dependency", "Stream Dependency")
        ),
        U8("headers.weight", "Weight"),
    ),
    name="",
)
DATA, FRAME_DATA = octets("http2.data.data", "Data"), octets("http2.unknown", "Unknown")
BLOCK = octets("http2.headers", "Header Block Fragment")
HEADER, NAME, VALUE = (
    text("http2.header", "Header"),
    text("http2.header.name", "Name"),
    text("http2.header.value", "Value"),
)
HEADER_COUNT = number("http2.header.count", "Header Count")
FULL_URI = text("http2.request.full_uri", "Full request URI")
PROMISED = number("http2.push_promise.promised_stream_id", "Promised-Stream-ID")
RESET = Header("http2.rst_stream", "Reset", (U32("error", "Error", ERRORS),), name="")
SETTING_ID = number("http2.settings.id", "Settings Identifier")
UNKNOWN_SETTING = number("http2.settings.unknown", "Unknown Settings")
SETTING = Header("http2.settings", "Settings", (U16("id", "Settings Identifier"), U32("", "Value")), name="")
PING, PONG = octets("http2.ping", "Ping"), octets("http2.pong", "Pong")
GOAWAY = Header(
    "http2.goaway", "Goaway", (U32("last_stream_id", "Last-Stream-ID"), U32("error", "Error", ERRORS)), name=""
)
DEBUG = octets("http2.goaway.addata", "Additional Debug Data")
WINDOW = Header(
    "http2.window_update",
    "Window",
    (Packed32(Bits(0x7FFFFFFF, "window_size_increment", "Window Size Increment")),),
    name="",
)

MAX_TABLE: Final = 1 << 16
"""Bytes of a dynamic table, whatever the two agree on (RFC 7541, 4.2)."""
MAX_LIST: Final = 1 << 16
"""Bytes of a header list: a byte on the wire may stand for a whole entry of the table."""
MAX_BLOCK: Final = 1 << 16
"""Bytes of a header block with its continuations."""
MAX_STREAMS: Final = 256
"""Streams of which a body is kept until it is whole …"""
MAX_BODIES: Final = 1 << 20
"""… and the bytes of them all."""


class Body(NamedTuple):
    """What the DATA frames of a stream brought so far."""

    coding: bytes
    kind: bytes
    """Its media type."""
    parts: bytearray


@signature("tcp")
def magic(packet: Packet, at: int, limit: int) -> Step | None:
    """The client's first bytes (RFC 9113, 3.4); frames in later segments do not say by themselves what they are."""
    start = packet.data[at : at + len(MAGIC)]
    if start != MAGIC[: len(start)] or len(start) < 6:
        return NOT_MINE
    packet.whole("HTTP/2", at, len(MAGIC), limit)
    packet.settle_on(http2)
    _say(packet, "Magic")
    layer = packet.layer(HTTP2.field, at, len(MAGIC), "Magic")
    packet.add(layer, MAGIC_LINE, MAGIC, at, len(MAGIC))
    return Step((http2,), at + len(MAGIC), limit) if at + len(MAGIC) < limit else None


@on("http.upgrade", 2)
def http2(packet: Packet, at: int, limit: int) -> Step | None:
    """Frames, as many as are complete. Asked for by the magic, or by an upgrade from HTTP/1.1."""
    if packet.data[at : at + 6] == MAGIC[:6]:
        return magic(packet, at, limit)
    while at < limit:
        at = _next(packet, at, limit)
    return None


def _next(packet: Packet, at: int, limit: int) -> int:
    """One frame -> the offset after it."""
    memory, side = packet.memory("http2"), packet.from_client
    left: int = memory.get(("left", side), 0)
    if left:
        size = min(left, limit - at)
        memory["left", side] = left - size
        packet.info += SEGMENT_MARK
        layer = packet.layer(HTTP2.field, at, packet.end(at + size) - at, "goes on")
        packet.add(layer, FRAME_DATA, packet.data[at : layer.end], at, layer.size)
        return at + size
    packet.whole("HTTP/2 frame", at, FRAME.size, limit)
    length, kind = int.from_bytes(packet.data[at : at + 3], "big"), packet.data[at + 3]
    end = at + FRAME.size + length
    packet.whole("HTTP/2 frame", at, end - at, limit, counts=True)
    if length > MAX_MESSAGE - FRAME.size:
        memory["left", side] = end - limit
    layer = packet.layer(HTTP2.field, at, min(end, packet.end(limit)) - at)
    item = packet.add(layer, FRAME.field, None, at, layer.size)
    _, kind, flags, word = packet.add_header(item, FRAME, at, limit)
    stream = word & 0x7FFFFFFF
    said = f"{FRAMES.get(kind, f'Unknown type ({kind})')}[{stream}]"
    layer.said = item.said = said
    _say(packet, said)
    packet.check("HTTP/2 frame", at, end - at, max(limit, end))
    words = _frame(packet, item, kind, flags, stream, at + FRAME.size, end, memory)
    if words:
        layer.said = item.said = f"{said}{words}"
        packet.info = packet.values["http2.info"] = f"{packet.info}{words}"
    if kind in (0, 1) and flags & 1:
        _body(packet, stream, memory)
    return end


def _say(packet: Packet, words: str) -> None:
    """Another frame of this packet in the Info column; an upgrade's response may stand before."""
    before = packet.values.get("http2.info", packet.values.get("http.info", ""))
    packet.column("http2", f"{before}, {words}" if before else words)
    packet.values["http2.info"] = packet.info


def _frame(
    packet: Packet, item: Item, kind: int, flags: int, stream: int, at: int, end: int, memory: dict[Any, Any]
) -> str:
    """What is in a frame -> its words of the Info column."""
    data = packet.data
    if kind in ACK:
        packet.add(item, ACK[kind], bool(flags & 1), at - 5, 1)
    if kind in (0, 1):
        packet.add(item, END_STREAM, bool(flags & 1), at - 5, 1)
    if kind in (1, 5, 9):
        packet.add(item, END_HEADERS, bool(flags & 4), at - 5, 1)
    stop = end
    if kind in (0, 1, 5):
        packet.add(item, PADDED, bool(flags & 8), at - 5, 1)
        if flags & 8:
            padding = packet.uint("Padding", at, 1, end)
            packet.add(item, PAD_LENGTH, padding, at, 1)
            at, stop = at + 1, end - padding
            packet.check("Padding", at, padding, end)
    words = ""
    if kind == 0:
        _data(packet, item, stream, at, stop, memory)
    elif kind in (1, 5, 9):
        if kind == 1 and flags & 0x20:
            packet.add_header(item, PRIORITY, at, stop)
            at += PRIORITY.size
        elif kind == 5:
            packet.add(item, PROMISED, packet.uint("Promise", at, 4, stop) & 0x7FFFFFFF, at, 4)
            at += 4
        words = _block(packet, item, kind == 9, bool(flags & 4), stream, at, stop, memory)
    elif kind == 2:
        packet.add_header(item, PRIORITY, at, stop)
    elif kind == 3:
        packet.add_header(item, RESET, at, stop)
    elif kind == 4:
        _settings(packet, item, at, stop, memory)
    elif kind == 6:
        packet.add(item, PONG if flags & 1 else PING, data[at:stop], at, stop - at)
    elif kind == 7:
        packet.add_header(item, GOAWAY, at, stop)
        if stop > at + GOAWAY.size:
            packet.add(item, DEBUG, data[at + GOAWAY.size : stop], at + GOAWAY.size, stop - at - GOAWAY.size)
    elif kind == 8:
        packet.add_header(item, WINDOW, at, stop)
    elif stop > at:
        packet.add(item, FRAME_DATA, data[at:stop], at, stop - at)
    if stop < end:
        packet.add(item, PADDING, data[stop:end], stop, end - stop)
    return words


def _settings(packet: Packet, item: Item, at: int, stop: int, memory: dict[Any, Any]) -> None:
    for where in range(at, stop, SETTING.size):
        code, value = SETTING.read(packet.take("Setting", where, SETTING.size, stop), 0)
        parent = packet.add(item, SETTING_ID, code, where, SETTING.size)
        packet.add(parent, SETTINGS.get(code, UNKNOWN_SETTING), value, where + 2, 4)
        if code == 1:
            # What a side accepts is what the other side's encoder may use.
            memory["table", not packet.from_client] = min(value, MAX_TABLE)


def _block(
    packet: Packet, item: Item, goes_on: bool, ends: bool, stream: int, at: int, stop: int, memory: dict[Any, Any]
) -> str:
    """A header block, once it is whole: a block in parts is one with the frames behind it (RFC 9113, 4.3)."""
    side = packet.from_client
    packet.add(item, BLOCK, packet.data[at:stop], at, max(stop - at, 0))
    block = memory.get(("block", side), b"") + packet.data[at:stop] if goes_on else packet.data[at:stop]
    if not ends and len(block) <= MAX_BLOCK:
        memory["block", side] = block
        return ""
    memory.pop(("block", side), None)
    headers = _unpacked(block, memory, side)
    if headers is None:
        packet.mark("header block that cannot be unpacked", at)
        return ""
    packet.in_tree(item, _show_headers, packet, item, headers)
    fields = dict(reversed(headers))
    if b"content-type" in fields:
        bodies = memory.setdefault(("bodies", side), {})
        if len(bodies) >= MAX_STREAMS:
            bodies.pop(next(iter(bodies)))
        coding = fields.get(b"content-encoding", b"")[:64].strip().lower()
        bodies[stream] = Body(coding, fields[b"content-type"][:256], bytearray())
    if b":method" in fields:
        return f": {_str(fields[b':method'])} {_str(fields.get(b':path', fields.get(b':authority', b'')))}"
    if b":status" in fields:
        status = _str(fields[b":status"])
        reason = REASONS.get(int(status), "") if status.isascii() and status.isdigit() and len(status) == 3 else ""
        return f": {status} {reason}".rstrip()
    return ""


def _str(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _unpacked(block: bytes, memory: dict[Any, Any], side: bool) -> list[tuple[bytes, bytes]] | None:
    """The header list of a block; None where its sender's table is not known, or the list grows beyond MAX_LIST."""
    # hpack takes 8 ms to import, and few captures have HTTP/2 in clear.
    from hpack import Decoder, HPACKError

    decoder: Decoder | None = memory["decoder", side] if ("decoder", side) in memory else Decoder(MAX_LIST)
    if decoder is None:
        return None
    decoder.max_allowed_table_size = max(memory.get(("table", side), 4096), 4096)
    memory["decoder", side] = None
    try:
        headers = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except (HPACKError, ValueError, IndexError):
        return None
    memory["decoder", side] = decoder
    return headers


def _show_headers(packet: Packet, item: Item, headers: list[tuple[bytes, bytes]]) -> None:
    """The unpacked fields, in a buffer of their own: on the wire they are numbers and Huffman codes."""
    lines = [b"%s: %s\n" % pair for pair in headers]

    def show(packet: Packet, at: int, limit: int) -> Step | None:  # noqa: ARG001
        packet.add(item, HEADER_COUNT, len(headers), at, 0)
        for (name, value), line in zip(headers, lines, strict=True):
            header = packet.add(item, HEADER, line[:-1], at, len(line))
            packet.add(header, NAME, name, at, len(name))
            packet.add(header, VALUE, value, at + len(name) + 2, len(value))
            if name in NAMED:
                packet.add(header, NAMED[name], value, at + len(name) + 2, len(value))
            at += len(line)
        return None

    plain = b"".join(lines)
    packet.aside("Decompressed Header", plain, Step((show,), 0, len(plain)))
    fields = dict(reversed(headers))
    if b":authority" in fields and b":path" in fields:
        uri = b"%s://%s%s" % (fields.get(b":scheme", b"http"), fields[b":authority"], fields[b":path"])
        packet.add(item, FULL_URI, uri, item.start, 0)


def _data(packet: Packet, item: Item, stream: int, at: int, stop: int, memory: dict[Any, Any]) -> None:
    if at >= stop:
        return
    packet.add(item, DATA, packet.data[at:stop], at, stop - at)
    bodies: dict[int, Body] = memory.get(("bodies", packet.from_client), {})
    body = bodies.get(stream)
    if body is not None:
        body.parts.extend(packet.data[at:stop])
        if sum(len(each.parts) for each in bodies.values()) > MAX_BODIES:
            del bodies[stream]  # too much: this one's frames are shown, and not what they make


def _body(packet: Packet, stream: int, memory: dict[Any, Any]) -> None:
    """What the DATA frames of a stream make, now that it ends."""
    body: Body | None = memory.get(("bodies", packet.from_client), {}).pop(stream, None)
    if body is None or not body.parts:
        return
    protocol, words = said_of(body.kind)
    packet.protocol += protocol
    packet.info += words
    media = media_type(body.kind)
    packet.values["http.entity"] = body.coding, media
    whole = "Reassembled body", bytes(body.parts), Step((entity,), 0, len(body.parts))
    if media in SPOKEN_OF:
        packet.column("http")
        packet.aside(*whole)
    else:
        packet.in_tree(packet.layers[-1], packet.aside, *whole)
    packet.values["http2.info"] = packet.info
