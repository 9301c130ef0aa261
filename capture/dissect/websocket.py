"""WebSocket (RFC 6455) after its upgrade from HTTP, with messages compressed as RFC 7692 has it."""

from __future__ import annotations

import zlib
from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.framed import Passed, roomy, sized
from netwatch.capture.dissect.http_body import entity
from netwatch.capture.dissect.kit import Bit, Bits, Field, Header, Item, Packed16, flag, number, octets, text
from netwatch.capture.dissect.packet import MAX_MESSAGE, SEGMENT_MARK, Packet
from netwatch.capture.dissect.registry import Step, on

OPCODES: Final = {0: "Continuation", 1: "Text", 2: "Binary", 8: "Connection Close", 9: "Ping", 10: "Pong"}
CLOSE_CODES: Final = {
    1000: "Normal Closure",
    1001: "Going Away",
    1002: "Protocol error",
    1003: "Unsupported Data",
    1005: "No Status Rcvd",
    1006: "Abnormal Closure",
    1007: "Invalid frame payload data",
    1008: "Policy Violation",
    1009: "Message Too Big",
    1010: "Mandatory Ext.",
    1011: "Internal Server",
    1015: "TLS handshake",
}
FRAME: Final = Header(
    "websocket",
    "WebSocket",
    (
        Packed16(
            Bit(0x8000, "fin", "Fin"),
            Bits(0x7000, "rsv", "Reserved", digits=1),
            Bits(0x0F00, "opcode", "Opcode", OPCODES),
            Bit(0x0080, "mask", "Mask"),
            Bits(0x007F, "payload_length", "Payload length"),
        ),
    ),
)
LENGTH16: Final = number("websocket.payload_length_ext_16", "Extended Payload length (16 bits)")
LENGTH64: Final = number("websocket.payload_length_ext_64", "Extended Payload length (64 bits)")
COMPRESSED: Final = flag("websocket.pmc", "Per-Message Compressed")
KEY: Final = octets("websocket.masking_key", "Masking-Key")
CODE: Final = number("websocket.payload.close.status_code", "Status code", CLOSE_CODES)
REASON: Final = text("websocket.payload.close.reason", "Reason")
CLOSE: Final = octets("websocket.payload.close", "Close")
PAYLOADS: Final[dict[int, Field]] = {
    0: octets("websocket.payload.continue", "Continue"),
    1: text("websocket.payload.text", "Text"),
    2: octets("", "Binary"),
    9: octets("websocket.payload.ping", "Ping"),
    10: octets("websocket.payload.pong", "Pong"),
}
UNKNOWN: Final = octets("websocket.payload.unknown", "Unknown")
REST: Final = octets("", "Part of a frame")

MAX_PLAIN: Final = 1 << 20
"""Bytes that a message is put together or unpacked to; a sender chooses how far it swells."""


class Frame(NamedTuple):
    """The head of a frame (RFC 6455, 5.2)."""

    fin: bool
    reserved: int
    opcode: int
    masked: bool
    size: int
    start: int
    """Of its payload."""


@on("http.upgrade", 1)
def websocket(packet: Packet, at: int, limit: int) -> Step | None:
    """Frames, as many as are complete. Asked for by HTTP alone: a frame does not say what it is."""
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        at = _next(packet, at, limit, passed)
    return None


def _next(packet: Packet, at: int, limit: int, passed: Passed) -> int:
    """One frame -> the offset after it."""
    side = packet.from_client
    memory = packet.memory("websocket")
    left = memory.get(("left", side), 0)
    if left:
        return _goes_on(packet, at, limit, memory, left)
    frame = _frame(packet, at, limit)
    end = frame.start + frame.size
    packet.whole("WebSocket", at, end - at, limit, counts=True)
    if end > limit:
        memory["left", side] = end - limit
    elif not roomy(packet) and _alone(frame):
        passed.single(at, end)
        return end
    before = packet.values.get("http.info", "")
    name = OPCODES.get(frame.opcode, "Unknown Opcode")
    said = f"WebSocket {name}{' [FIN]' if frame.fin else '[FRAGMENT]'}{' [MASKED]' if frame.masked else ''}"
    packet.column("websocket", before + said)
    layer = packet.layer(FRAME.field, at, min(end, packet.end(limit)) - at, said)
    packet.add_header(layer, FRAME, at, limit)
    if frame.reserved & 4:
        packet.add(layer, COMPRESSED, True, at, 1)
    extended = frame.start - at - 2 - 4 * frame.masked
    if extended:
        packet.add(layer, LENGTH16 if extended == 2 else LENGTH64, frame.size, at + 2, extended)
    data = packet.data[frame.start : min(end, packet.end(limit))]
    if frame.masked:
        key = packet.data[frame.start - 4 : frame.start]
        packet.add(layer, KEY, key, frame.start - 4, 4)
        data = _unmasked(data, key)
    if end <= limit:
        _payload(packet, layer, frame, data, memory)
    return end


def _alone(frame: Frame) -> bool:
    """Whether no later frame depends on it: no part of a message, and not compressed with what came before."""
    return frame.fin and frame.opcode != 0 and not frame.reserved


SMALL: Final = rb"[\x81-\x8f](?:(?=[\x00-\x7d])%b|%b)" % (sized(most=126), sized(counted=0x80, more=4, most=126))
"""A small frame that stands alone; of a client, with its key."""


def _goes_on(packet: Packet, at: int, limit: int, memory: dict[Any, Any], left: int) -> int:
    """A frame too long to be put together."""
    size = min(left, limit - at)
    memory["left", packet.from_client] = left - size
    layer = packet.layer(FRAME.field, at, packet.end(at + size) - at, "goes on")
    packet.add(layer, REST, packet.data[at : layer.end], at, layer.size)
    packet.info += SEGMENT_MARK
    return at + size


def _frame(packet: Packet, at: int, limit: int) -> Frame:
    packet.whole("WebSocket", at, 2, limit)
    first, second = packet.data[at], packet.data[at + 1]
    masked, size = bool(second & 0x80), second & 0x7F
    extended = {126: 2, 127: 8}.get(size, 0)
    start = at + 2 + extended + 4 * masked
    packet.whole("WebSocket", at, start - at, limit)
    if extended:
        size = int.from_bytes(packet.data[at + 2 : at + 2 + extended], "big")
    return Frame(bool(first & 0x80), first >> 4 & 7, first & 0x0F, masked, size, start)


def _unmasked(data: bytes, key: bytes) -> bytes:
    """Each byte with that of the key that stands over it (RFC 6455, 5.3)."""
    size = len(data)
    stream = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def _payload(packet: Packet, layer: Item, frame: Frame, data: bytes, memory: dict[Any, Any]) -> None:
    start, size = frame.start, frame.size
    if frame.opcode >= 8:
        if frame.opcode == 8:
            _close(packet, layer, data, start)
        elif size:
            packet.add(layer, PAYLOADS.get(frame.opcode, UNKNOWN), data, start, size)
        return
    side = packet.from_client
    if frame.opcode:
        memory["parts", side] = frame.opcode, bool(frame.reserved & 4), bytearray()
    opcode, compressed, parts = memory.get(("parts", side), (frame.opcode, False, bytearray()))
    whole = frame.fin and not parts and frame.opcode
    if len(parts) + size <= MAX_MESSAGE:
        parts += data
    if not frame.fin:
        packet.add(layer, PAYLOADS.get(frame.opcode, UNKNOWN), data, start, size)
        return
    memory.pop(("parts", side), None)
    plain = _unpacked(bytes(parts), memory, side) if compressed else bytes(parts)
    if plain is None:
        packet.add(layer, UNKNOWN, data, start, size, f"{size} bytes, compressed with what came before")
        return
    packet.add(layer, PAYLOADS.get(opcode, UNKNOWN), plain, start, size)
    if not packet.build or not plain:
        return
    packet.values["http.entity"] = b"", b"text/plain"
    inner = (entity,) if opcode == 1 else ()
    if whole and not compressed and not frame.masked:
        packet.in_tree(layer, packet.run, Step(inner, start, start + size))
        return
    name = "Decompressed payload" if compressed else "Unmasked data" if whole else "Reassembled WebSocket"
    packet.in_tree(layer, packet.aside, name, plain, Step(inner, 0, len(plain)))


def _close(packet: Packet, layer: Item, data: bytes, start: int) -> None:
    """A status code and words (RFC 6455, 5.5.1); both may be missing."""
    if len(data) < 2:
        return
    item = packet.add(layer, CLOSE, data, start, len(data))
    packet.add(item, CODE, int.from_bytes(data[:2], "big"), start, 2)
    if len(data) > 2:
        packet.add(item, REASON, data[2:], start + 2, len(data) - 2)


def _unpacked(data: bytes, memory: dict[Any, Any], side: bool) -> bytes | None:
    """One message (RFC 7692, 7.2.2); None where what it refers to is not known, or it swells beyond MAX_PLAIN."""
    who = b"client" if side else b"server"
    fresh = ("inflate", side) not in memory or who + b"_no_context_takeover" in memory.get("extensions", b"")
    inflate = zlib.decompressobj(-15) if fresh else memory["inflate", side]
    if inflate is None:
        return None
    memory["inflate", side] = None
    try:
        plain: bytes = inflate.decompress(data + b"\0\0\xff\xff", MAX_PLAIN)
    except zlib.error:
        return None
    if inflate.unconsumed_tail:
        return plain  # the rest is not read: what comes later cannot refer to it
    memory["inflate", side] = inflate
    return plain
