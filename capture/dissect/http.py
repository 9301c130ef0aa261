"""HTTP/1 (RFC 9112) and SSDP, which has its form over UDP."""

from __future__ import annotations

import re
from typing import Final

from netwatch.capture.dissect.kit import Header, Item, number, text
from netwatch.capture.dissect.packet import Packet, Short
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

HTTP = Header("http", "Hypertext Transfer Protocol", ())
SSDP = Header("ssdp", "Simple Service Discovery Protocol", ())
REQUEST_LINE, RESPONSE_LINE = (
    text("http.request.line", "Request header"),
    text("http.response.line", "Response header"),
)
METHOD, URI, REQUEST_VERSION = (
    text("http.request.method", "Request Method"),
    text("http.request.uri", "Request URI"),
    text("http.request.version", "Request Version"),
)
RESPONSE_VERSION, CODE, PHRASE = (
    text("http.response.version", "Response Version"),
    number("http.response.code", "Status Code"),
    text("http.response.phrase", "Response Phrase"),
)
BODY = text("http.file_data", "File Data")
START = text("", "Start line")
NAMED: Final = {
    name: text(f"http.{field}", label)
    for name, field, label in (
        (b"host", "host", "Host"),
        (b"user-agent", "user_agent", "User-Agent"),
        (b"accept", "accept", "Accept"),
        (b"accept-encoding", "accept_encoding", "Accept-Encoding"),
        (b"accept-language", "accept_language", "Accept-Language"),
        (b"authorization", "authorization", "Authorization"),
        (b"cache-control", "cache_control", "Cache-Control"),
        (b"connection", "connection", "Connection"),
        (b"content-encoding", "content_encoding", "Content-Encoding"),
        (b"content-length", "content_length_header", "Content-Length"),
        (b"content-type", "content_type", "Content-Type"),
        (b"cookie", "cookie", "Cookie"),
        (b"date", "date", "Date"),
        (b"last-modified", "last_modified", "Last-Modified"),
        (b"location", "location", "Location"),
        (b"proxy-authenticate", "proxy_authenticate", "Proxy-Authenticate"),
        (b"proxy-authorization", "proxy_authorization", "Proxy-Authorization"),
        (b"referer", "referer", "Referer"),
        (b"sec-websocket-key", "sec_websocket_key", "Sec-WebSocket-Key"),
        (b"server", "server", "Server"),
        (b"set-cookie", "set_cookie", "Set-Cookie"),
        (b"transfer-encoding", "transfer_encoding", "Transfer-Encoding"),
        (b"upgrade", "upgrade", "Upgrade"),
        (b"www-authenticate", "www_authenticate", "WWW-Authenticate"),
        (b"x-forwarded-for", "x_forwarded_for", "X-Forwarded-For"),
    )
}
"""Header fields that have a name of their own."""

METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK NOTIFY "
    b"M-SEARCH SUBSCRIBE UNSUBSCRIBE SEARCH BCOPY BDELETE BMOVE BPROPFIND BPROPPATCH POLL REPORT CHECKOUT MERGE "
    b"RPC_CONNECT RPC_IN_DATA RPC_OUT_DATA CCM_POST PURGE LINK UNLINK BIND MKCALENDAR".split()
)
PORTS = (80, 2869, 3128, 3132, 5985, 8008, 8080, 8088, 11371)
LONGEST_METHOD: Final = max(map(len, METHODS))
KNOWN_MEDIA: Final = {
    b"image/png": "(PNG)",
    b"image/jpeg": "(JPEG JFIF image)",
    b"image/gif": "(GIF89a)",
    b"application/x-www-form-urlencoded": "(application/x-www-form-urlencoded)",
}
XML = re.compile(rb"(?:text|application)/(?:xml|[\w.-]+\+xml)$")


def _starts_message(start: bytes) -> bool:
    """Whether a payload that begins so is a request or a response."""
    if start.startswith(b"HTTP/"):
        return True
    method = start[: LONGEST_METHOD + 1].split(b" ", 1)
    return len(method) == 2 and method[0] in METHODS


@on("tcp.port", *PORTS)
@signature("tcp")
def http(packet: Packet, at: int, limit: int) -> Step | None:
    """A message from its start line on; what begins otherwise is the middle of one that other packets began."""
    if not _starts_message(packet.data[at : at + 16]):
        return NOT_MINE
    packet.column("http")
    after = _message(packet, HTTP, at, limit)
    return Step((http,), after, limit) if at < after < limit else None


@on("udp.port", 1900)
def ssdp(packet: Packet, at: int, limit: int) -> Step | None:
    """One message a datagram (UPnP Device Architecture 2.0, 1.1)."""
    if not _starts_message(packet.data[at : at + 16]):
        return NOT_MINE
    packet.column("ssdp")
    _message(packet, SSDP, at, limit)
    return None


def _message(packet: Packet, header: Header, at: int, limit: int) -> int:
    """Start line, fields, body: the offset after what belongs to the message and is here."""
    data, end = packet.data, packet.end(limit)
    layer = packet.layer(header.field, at, end - at)
    stop = _line_end(data, at, end)
    line = data[at:stop].rstrip(b"\r")
    start = packet.add(layer, START, line, at, _after(stop, end) - at)
    response = line.startswith(b"HTTP/")
    status = _start_line(packet, start, line, at, response)
    layer.said = packet.info
    where = start.end if packet.build else _after(stop, end)
    fields: dict[bytes, bytes] = {}
    complete = False
    while where < end:
        stop = _line_end(data, where, end)
        line = data[where:stop].rstrip(b"\r")
        following = _after(stop, end)
        if not line:
            where, complete = following, True
            break
        name, _, value = line.partition(b":")
        key, value = name.strip().lower(), value.strip(b" \t")
        fields.setdefault(key, value)
        parent = packet.add(
            layer, RESPONSE_LINE if response else REQUEST_LINE, data[where:following], where, following - where
        )
        if key in NAMED:
            offset = where + line.rfind(value) if value else following
            packet.add(parent, NAMED[key], value, min(offset, following), len(value))
        where = following
    if not complete and limit > packet.caplen:
        raise Short("HTTP", where, 1, limit)
    if not complete:
        packet.more("HTTP", at, limit)
        return end
    return _body(packet, layer, fields, where, limit, response, status)


def _line_end(data: bytes, at: int, end: int) -> int:
    found = data.find(b"\n", at, end)
    return end if found < 0 else found


def _after(stop: int, end: int) -> int:
    return stop + 1 if stop < end else end


def _start_line(packet: Packet, start: Item, line: bytes, at: int, response: bool) -> int:
    """The parts of a request or status line; the status, 0 for a request."""
    words = line.split(b" ", 2)
    if response:
        packet.info = line.decode("utf-8", "surrogateescape") + " "
        packet.add(start, RESPONSE_VERSION, words[0], at, len(words[0]))
        if len(words) > 1 and words[1][:3].isdigit():
            where = at + len(words[0]) + 1
            packet.add(start, CODE, int(words[1][:3]), where, len(words[1]))
            if len(words) > 2:
                packet.add(start, PHRASE, words[2], where + len(words[1]) + 1, len(words[2]))
            return int(words[1][:3])
        return 0
    packet.info = line.decode("utf-8", "surrogateescape") + " "
    packet.add(start, METHOD, words[0], at, len(words[0]))
    where = at + len(words[0]) + 1
    uri = words[1] if len(words) > 1 else b""
    packet.add(start, URI, uri, min(where, at + len(line)), len(uri))
    if len(words) > 2:
        packet.add(start, REQUEST_VERSION, words[2], where + len(uri) + 1, len(words[2]))
    return 0


def _body(
    packet: Packet, layer: Item, fields: dict[bytes, bytes], at: int, limit: int, response: bool, status: int
) -> int:
    """What follows the empty line, by Content-Length or until the connection ends (RFC 9112, 6.3)."""
    length = fields.get(b"content-length", b"")
    stop = limit
    without = status in (204, 304) or 100 <= status < 200
    if without or (not response and not length and b"transfer-encoding" not in fields):
        stop = at
    elif length.isdigit() and len(length) < 16:
        stop = at + int(length)
    chunked = fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked") and not without
    finished = stop <= limit if not chunked else packet.data[:limit].endswith(b"0\r\n\r\n")
    if response and not length and not chunked and not without:
        finished = False
    here = packet.data[at : packet.end(min(stop, limit))]
    if here:
        packet.add(layer, BODY, here, at, len(here))
    layer.size = at + len(here) - layer.start
    if not finished and limit <= packet.caplen and layer.field is HTTP.field:
        # A body to the end of the connection has no packet that is known to complete it: the names stand here.
        if stop > limit:
            packet.whole("HTTP", layer.start, stop - layer.start, limit)
        elif chunked:
            packet.more("HTTP", layer.start, limit)
    elif here:
        _media(packet, fields.get(b"content-type", b""))
    return layer.end if packet.build else at + len(here)


def _media(packet: Packet, content: bytes) -> None:
    """What the Info column says of a whole body."""
    kind = content.split(b";")[0].strip().lower()
    if XML.match(kind):
        packet.protocol += "/XML"
    elif kind == b"application/json":
        packet.protocol += "/JSON"
        packet.info += ", JavaScript Object Notation (application/json)"
    elif kind in KNOWN_MEDIA:
        packet.info += f" {KNOWN_MEDIA[kind]}"
    elif kind.startswith((b"text/", b"application/")):
        packet.info += f" ({kind.decode('ascii', 'replace')})"
