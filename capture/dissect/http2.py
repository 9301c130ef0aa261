"""HTTP/2 in clear (RFC 9113)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U24,
    Bits,
    Header,
    Hex8,
    Packed32,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, signature

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
