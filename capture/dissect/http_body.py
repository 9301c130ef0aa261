"""Bodies of HTTP messages: chunks put together, compression undone, and what the media type says is inside."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from netwatch.capture.dissect.http_names import JSON, XML
from netwatch.capture.dissect.kit import Header, number, octets, text, to_zero
from netwatch.capture.dissect.ocsp import show_request, show_response
from netwatch.capture.dissect.registry import Step, step
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item
    from netwatch.capture.dissect.packet import Packet

__all__ = ["SPOKEN_OF", "Chunks", "entity", "media_type", "show_chunks", "walk"]

FILE_DATA: Final = to_zero("http.file_data", "File Data")
CHUNK: Final = text("", "Data chunk")
CHUNK_SIZE: Final = number("http.chunk_size", "Chunk size")
CHUNK_DATA: Final = octets("http.chunk_data", "Chunk data")
CHUNK_BOUNDARY: Final = octets("http.chunk_boundary", "Chunk boundary")
TRAILER: Final = text("http.chunked_trailer_part", "trailer-part")
JSON_LAYER: Final = Header("json", "JavaScript Object Notation", ())
XML_LAYER: Final = Header("xml", "eXtensible Markup Language", ())
TEXT_LAYER: Final = Header("data-text-lines", "Line-based text data", ())
TEXT_LINE: Final = text("", "Line")
FORM: Final = Header("urlencoded-form", "HTML Form URL Encoded", ())
FORM_KEY, FORM_VALUE = text("urlencoded-form.key", "Key"), text("urlencoded-form.value", "Value")
DNS: Final = b"application/dns-message"
OCSP_REQUEST, OCSP_RESPONSE = b"application/ocsp-request", b"application/ocsp-response"
SPOKEN_OF: Final = frozenset({DNS, OCSP_REQUEST, OCSP_RESPONSE})
"""Media types that a row's columns tell of."""
MEDIA: Final = Header("media", "Media Type", ())
MEDIA_TYPE: Final = text("media.type", "Media type")

OCSP: Final = Header("ocsp", "Online Certificate Status Protocol", ())
declare("ocsp", "OCSP", "tls")
declare("doh", "DoH", "dns")

MAX_CHUNKS: Final = 2000
"""Of a body in more of them, the rest is shown as a continuation."""
MAX_CHUNK_LINE: Final = 4096
MAX_PLAIN: Final = 1 << 20
"""Bytes that a compressed body is unpacked to; a sender chooses how far it swells."""
SHOWN_LINES: Final = 200
SHOWN_PAIRS: Final = 100


class Chunks(NamedTuple):
    """A chunked body (RFC 9112, 7.1), as far as it is here."""

    parts: list[tuple[int, int, int]]
    """Where its line begins, where its data begins, its size."""
    end: int
    """After the last byte that was understood."""
    need: int
    """Bytes that at least have to follow `end`; 0: it is complete, or will not become so."""
    trailers: tuple[int, int] = (0, 0)
    broken: bool = False


def walk(data: bytes, at: int, limit: int) -> Chunks:
    """Chunk by chunk to the last, of size 0, and the trailers behind it."""
    parts: list[tuple[int, int, int]] = []
    while len(parts) < MAX_CHUNKS:
        stop = data.find(b"\n", at, min(limit, at + MAX_CHUNK_LINE))
        if stop < 0:
            broken = limit - at >= MAX_CHUNK_LINE
            return Chunks(parts, at, 0 if broken else limit - at + 1, broken=broken)
        digits = data[at:stop].split(b";", 1)[0].strip()
        try:
            size = int(digits, 16) if digits.isalnum() and len(digits) < 16 else -1
        except ValueError:
            size = -1
        if size < 0:
            return Chunks(parts, at, 0, broken=True)
        start = stop + 1
        if size == 0:
            return _trailers(data, parts, at, start, limit)
        # The data's own line end, and the shortest last chunk.
        if start + size + 2 > limit:
            return Chunks(parts, at, start + size + 2 + 5 - at)
        parts.append((at, start, size))
        at = start + size + (2 if data[start + size] == 0x0D else 1)
    return Chunks(parts, at, 0, broken=True)


def _trailers(data: bytes, parts: list[tuple[int, int, int]], at: int, start: int, limit: int) -> Chunks:
    """Header fields up to an empty line."""
    parts.append((at, start, 0))
    where = start
    while True:
        stop = data.find(b"\n", where, min(limit, start + MAX_CHUNK_LINE))
        if stop < 0:
            broken = limit - start >= MAX_CHUNK_LINE
            return Chunks(parts, at, 0 if broken else limit - at + 1, broken=broken)
        if stop - where <= 1 and data[where:stop] in (b"", b"\r"):
            return Chunks(parts, stop + 1, 0, (start, where))
        where = stop + 1


def show_chunks(packet: Packet, layer: Item, chunks: Chunks, limit: int) -> bytes:
    """A line for each chunk -> the body that they make."""
    data, end = packet.data, packet.end(limit)
    packet.in_tree(layer, _show_parts, packet, layer, chunks, end)
    first, last = chunks.trailers
    if first < last:
        packet.add(layer, TRAILER, data[first:last], first, last - first)
    if chunks.broken and chunks.end < end:
        packet.mark("chunk without a size", chunks.end)
    return b"".join(data[start : start + size] for _, start, size in chunks.parts)


def _show_parts(packet: Packet, layer: Item, chunks: Chunks, end: int) -> None:
    data = packet.data
    for at, start, size in chunks.parts[:SHOWN_LINES]:
        stop = min(start + size, end)
        item = packet.add(layer, CHUNK, None, at, min(stop + 2, end) - at, f"{size} octets" if size else "end")
        packet.add(item, CHUNK_SIZE, size, at, start - at)
        if size:
            packet.add(item, CHUNK_DATA, data[start:stop], start, stop - start)
            packet.add(item, CHUNK_BOUNDARY, data[stop : stop + 2], stop, min(2, end - stop))


def media_type(kind: bytes) -> bytes:
    """Without its parameters; upper case means nothing (RFC 9110, 8.3.1)."""
    return kind.split(b";", 1)[0].strip().lower()


def entity(packet: Packet, at: int, limit: int) -> Step | None:
    """A whole body; `http.entity` says how it is coded and what it is."""
    coding, kind = packet.values["http.entity"]
    if coding in (b"gzip", b"x-gzip", b"deflate"):
        plain = _unpacked(packet.rest(at, limit))
        if plain is None:
            packet.mark("compressed body that does not unpack", at)
            return None
        packet.values["http.entity"] = b"", kind
        packet.aside("Uncompressed entity body", plain, Step((entity,), 0, len(plain)))
        return None
    if coding not in (b"", b"identity"):
        return None
    _media(packet, kind, at, packet.end(limit))
    return None


def _unpacked(raw: bytes) -> bytes | None:
    """The first MAX_PLAIN bytes of what is packed, whole or cut; deflate comes with and without its frame."""
    for window in (47, -15):
        try:
            return zlib.decompressobj(window).decompress(raw, MAX_PLAIN)
        except zlib.error:
            continue
    return None


def _media(packet: Packet, kind: bytes, at: int, end: int) -> None:
    data, size = packet.data[at:end], end - at
    if kind == DNS:
        packet.run(step("udp.port", 53, at, end))
        packet.column("doh", packet.info)
    elif kind in (OCSP_REQUEST, OCSP_RESPONSE):
        _ocsp(packet, at, end, kind == OCSP_RESPONSE)
    elif JSON.match(kind) or XML.match(kind):
        layer = packet.layer((JSON_LAYER if JSON.match(kind) else XML_LAYER).field, at, size, f"{size} bytes")
        packet.add(layer, FILE_DATA, data, at, size)
    elif kind == b"application/x-www-form-urlencoded":
        _form(packet, at, end)
    elif kind.startswith(b"text/") or kind in (b"application/javascript", b"application/x-javascript"):
        _lines(packet, at, end)
    else:
        layer = packet.layer(MEDIA.field, at, size, f"{size} bytes")
        if kind:
            packet.add(layer, MEDIA_TYPE, kind, at, 0)
        packet.add(layer, FILE_DATA, data, at, size)


def _ocsp(packet: Packet, at: int, end: int, response: bool) -> None:
    """What an authority says of a certificate, or which ones it is asked about."""
    packet.column("ocsp", "Response" if response else "Request")
    layer = packet.layer(OCSP.field, at, end - at, packet.info)
    packet.in_tree(layer, show_response if response else show_request, packet, layer, at, end)


def _lines(packet: Packet, at: int, end: int) -> None:
    count = packet.data.count(b"\n", at, end) + (packet.data[end - 1 : end] != b"\n")
    layer = packet.layer(TEXT_LAYER.field, at, end - at, f"{count} lines")
    packet.add(layer, FILE_DATA, packet.data[at:end], at, end - at)
    for _ in range(SHOWN_LINES):
        if at >= end:
            return
        stop = packet.data.find(b"\n", at, end)
        after = end if stop < 0 else stop + 1
        packet.add(layer, TEXT_LINE, packet.data[at:after].rstrip(b"\r\n"), at, after - at)
        at = after


def _form(packet: Packet, at: int, end: int) -> None:
    layer = packet.layer(FORM.field, at, end - at)
    packet.add(layer, FILE_DATA, packet.data[at:end], at, end - at)
    for pair in packet.data[at:end].split(b"&", SHOWN_PAIRS)[:SHOWN_PAIRS]:
        key, _, value = pair.partition(b"=")
        packet.add(layer, FORM_KEY, unquote_to_bytes(key.replace(b"+", b" ")), at, len(key))
        packet.add(
            layer, FORM_VALUE, unquote_to_bytes(value.replace(b"+", b" ")), at + len(pair) - len(value), len(value)
        )
        at += len(pair) + 1
