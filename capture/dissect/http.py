"""HTTP/1 (RFC 9112) and SSDP, which has its form over UDP."""

from __future__ import annotations

from binascii import Error, a2b_base64
from collections import deque
from contextlib import suppress
from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.http_body import SPOKEN_OF, entity, media_type, show_chunks, walk
from netwatch.capture.dissect.http_names import LONGEST_METHOD, METHODS, NAMED, PORTS, REASONS, said_of
from netwatch.capture.dissect.kit import Header, Item, flag, number, text
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import SEGMENT_MARK, STOPPED, TO_THE_END, Packet, Short
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature, step

HTTP = Header("http", "Hypertext Transfer Protocol", ())
SSDP = Header("ssdp", "Simple Service Discovery Protocol", ())
REQUEST, RESPONSE = flag("http.request", "Request"), flag("http.response", "Response")
REQUEST_LINE, RESPONSE_LINE = (
    text("http.request.line", "Request header"),
    text("http.response.line", "Response header"),
)
METHOD, URI, REQUEST_VERSION = (
    text("http.request.method", "Request Method"),
    text("http.request.uri", "Request URI"),
    text("http.request.version", "Request Version"),
)
PATH, QUERY, PARAMETER = (
    text("http.request.uri.path", "Request URI Path"),
    text("http.request.uri.query", "Request URI Query"),
    text("http.request.uri.query.parameter", "Request URI Query Parameter"),
)
RESPONSE_VERSION, CODE, CODE_MEANS, PHRASE = (
    text("http.response.version", "Response Version"),
    number("http.response.code", "Status Code"),
    text("http.response.code.desc", "Status Code Description"),
    text("http.response.phrase", "Response Phrase"),
)
FULL_URI, RESPONSE_FOR = (
    text("http.request.full_uri", "Full request URI"),
    text("http.response_for.uri", "Request URI"),
)
REQUEST_IN, TIME = number("http.request_in", "Request in frame"), text("http.time", "Time since request")
NOTIFICATION = flag("http.notification", "Notification")
REQUEST_NUMBER, RESPONSE_NUMBER = (
    number("http.request_number", "Request number"),
    number("http.response_number", "Response number"),
)
CONTENT_LENGTH = number("http.content_length", "Content length")
COOKIE_PAIR = text("http.cookie_pair", "Cookie pair")
CREDENTIALS = text("http.authbasic", "Credentials")
START = text("", "Start line")
PART = text("", "Part of a body")

MAX_ASKED: Final = 64
MAX_FIELDS: Final = 200
"""Header fields that are looked at; servers take a hundred or two."""
"""Requests of a connection that wait for their response; a client chooses how many it sends at once."""
TICKETS: Final = frozenset((b"authorization", b"www-authenticate", b"proxy-authorization", b"proxy-authenticate"))
NTLM: Final = b"TlRMTVNTUA"
"""What a message of NTLM begins with, in Base64."""
SHOWN_PARTS: Final = 100
"""Parameters of a query, pairs of a cookie."""


class Asked(NamedTuple):
    """A request whose response is to come."""

    method: bytes
    uri: bytes
    upgrade: bytes
    number: int
    ts: int


class Line(NamedTuple):
    """A header field."""

    name: bytes
    """In lower case."""
    value: bytes
    at: int
    value_at: int
    after: int


class Head(NamedTuple):
    """Start line and header fields."""

    line: bytes
    after_line: int
    lines: list[Line]
    end: int
    """After the empty line, or as far as it is here."""
    complete: bool
    fields: dict[bytes, bytes]
    response: bool
    status: int
    unread: int
    """Where those fields begin that are too many to be looked at; 0: there are none."""


def _starts_message(start: bytes) -> bool:
    """Whether a payload that begins so is a request or a response."""
    if start.startswith(b"HTTP/"):
        return True
    method = start[: LONGEST_METHOD + 1].split(b" ", 1)
    return len(method) == 2 and method[0] in METHODS


def _may_start(start: bytes) -> bool:
    """Whether a few bytes can be the first of a start line."""
    return b"HTTP/".startswith(start) or any(method.startswith(start) for method in METHODS)


@on("tcp.port", *PORTS)
@signature("tcp")
def http(packet: Packet, at: int, limit: int) -> Step | None:
    """A message from its start line on; what begins otherwise goes on with one that is not known to end."""
    if not _starts_message(packet.data[at : at + 16]):
        return _goes_on(packet, at, limit)
    after = _message(packet, HTTP, at, limit)
    following = packet.values.pop("http.next", (http,))
    return Step(following, after, limit) if at < after < limit else None


@on("udp.port", 1900)
def ssdp(packet: Packet, at: int, limit: int) -> Step | None:
    """One message a datagram (UPnP Device Architecture 2.0, 1.1)."""
    if not _starts_message(packet.data[at : at + 16]):
        return NOT_MINE
    _message(packet, SSDP, at, limit)
    return None


def _goes_on(packet: Packet, at: int, limit: int) -> Step | None:
    """The rest of a body too long to be put together, or behind a gap."""
    memory = packet.memory("http")
    if memory.get("tunnel"):
        return NOT_MINE
    known = bool(memory) or not set(PORTS).isdisjoint(packet.values.get("ports", ()))
    if known and limit - at <= LONGEST_METHOD and limit <= packet.caplen and _may_start(packet.data[at:limit]):
        packet.more("HTTP", at, limit)
    if not memory:
        return NOT_MINE
    side = "left", packet.from_client
    left = memory.get(side, 0)
    end = packet.end(limit)
    size = min(limit - at, left) if left else limit - at
    memory[side] = left - size if left else 0
    layer = packet.layer(HTTP.field, at, min(at + size, end) - at, "Continuation")
    packet.add(layer, PART, packet.data[at : layer.end], at, layer.size, f"{size} bytes")
    if left > size:
        packet.info += SEGMENT_MARK
    else:
        packet.column("http", "Continuation")
    return Step((http,), at + size, limit) if left and at + size < limit else None


def _message(packet: Packet, header: Header, at: int, limit: int) -> int:
    """Start line, fields, body: the offset after what belongs to the message and is here."""
    over_tcp = header is HTTP
    head = _head(packet, at, limit, over_tcp)
    memory = packet.memory("http") if over_tcp else {}
    asked: deque[Asked] = memory.setdefault("asked", deque(maxlen=MAX_ASKED))
    request = asked[0] if asked and head.response else None
    size = _size(head, request) if head.complete else 0
    start = head.end
    before = packet.values.get("http.info", "")
    info = f"{before}{head.line.decode('utf-8', 'surrogateescape')} "
    chunks = None
    if size is None and _chunked(head):
        chunks = walk(packet.data, start, packet.end(limit))
        if chunks.need:
            _wait(packet, at, chunks.end + chunks.need - at, limit, info)
        stop = chunks.end if not chunks.broken else packet.end(limit)
    elif size is None:
        if over_tcp and packet.context and not packet.values.get("stream.ended") and limit <= packet.caplen:
            packet.more("HTTP", at, limit, TO_THE_END, info)
        stop = limit
    else:
        stop = start + size
        if over_tcp:
            _wait(packet, at, stop - at, limit, info)
    stop = max(stop, start)
    if over_tcp and stop > limit == packet.end(limit):
        memory["left", packet.from_client] = stop - limit
    packet.column(header.field.name, info)
    layer = packet.layer(header.field, at, min(stop, packet.end(limit)) - at)
    packet.in_tree(layer, _show_head, packet, layer, head, at)
    for line in head.lines:
        if line.name in TICKETS:
            packet.info += _ticket(packet, layer, line.value)
    layer.said = packet.info[len(before) :]
    if over_tcp:
        _remember(packet, layer, head, request, memory)
    else:
        packet.in_tree(layer, _show_alone, packet, layer, head)
    if not head.complete:
        if limit > packet.caplen:
            raise Short("HTTP", packet.caplen, 1, limit)
        return limit
    here = min(stop, packet.end(limit))
    if here > start:
        plain = None if chunks is None else show_chunks(packet, layer, chunks, limit)
        _show_body(packet, layer, head, plain, start, here)
    packet.values["http.info"] = packet.info
    if limit > packet.caplen and stop > packet.caplen:
        raise Short("HTTP", start, stop - start, max(limit, stop))
    return here


def _wait(packet: Packet, at: int, size: int, limit: int, info: str) -> None:
    """For the rest of a message; one that was cut, or is too long, is shown as far as it is here."""
    if limit <= packet.caplen and packet.streaming:
        packet.whole("HTTP", at, size, limit, info, counts=True)


def _head(packet: Packet, at: int, limit: int, over_tcp: bool) -> Head:
    """What stands before the body. Raises More where its end is still to come."""
    data, end = packet.data, packet.end(limit)
    waits = over_tcp and limit <= packet.caplen and not packet.values.get("stream.ended")
    if waits and data.find(b"\n\r\n", at, end) < 0 and data.find(b"\n\n", at, end) < 0:
        packet.more("HTTP", at, limit)
    stop = _line_end(data, at, end)
    line, where = data[at:stop].rstrip(b"\r"), _after(stop, end)
    after_line = where
    lines: list[Line] = []
    fields: dict[bytes, bytes] = {}
    complete = False
    unread = 0
    while where < end and not complete:
        if len(lines) >= MAX_FIELDS:
            unread = where
            empty = [
                found + len(line) for line in (b"\n\n", b"\n\r\n") if (found := data.find(line, where - 1, end)) >= 0
            ]
            where, complete = (min(empty), True) if empty else (end, False)
            unread = 0 if where - unread < 3 else unread
            break
        stop = _line_end(data, where, end)
        raw, following = data[where:stop].rstrip(b"\r"), _after(stop, end)
        if raw:
            name, _, value = raw.partition(b":")
            value_at = where + len(name) + 1 + len(value) - len(value.lstrip(b" \t"))
            key, value = name.strip().lower(), value.strip(b" \t")
            fields.setdefault(key, value)
            lines.append(Line(key, value, where, min(value_at, following), following))
        else:
            complete = True
        where = following
    response = line.startswith(b"HTTP/")
    code = line.split(b" ", 2)[1][:3] if response and b" " in line else b""
    status = int(code) if code.isdigit() else 0
    return Head(line, after_line, lines, where, complete, fields, response, status, unread)


def _line_end(data: bytes, at: int, end: int) -> int:
    found = data.find(b"\n", at, end)
    return end if found < 0 else found


def _after(stop: int, end: int) -> int:
    return stop + 1 if stop < end else end


def _chunked(head: Head) -> bool:
    return head.fields.get(b"transfer-encoding", b"").lower().endswith(b"chunked")


def _size(head: Head, request: Asked | None) -> int | None:
    """Bytes of the body; None: in chunks, or until the connection ends (RFC 9112, 6.3)."""
    status = head.status
    if head.response and (status in (204, 304) or 100 <= status < 200):
        return 0
    if request is not None and (request.method == b"HEAD" or (request.method == b"CONNECT" and 200 <= status < 300)):
        return 0
    if b"transfer-encoding" in head.fields and (_chunked(head) or head.response):
        return None
    length = head.fields.get(b"content-length", b"")
    if length.isdigit() and len(length) < 16:
        return int(length)
    return None if head.response else 0


def _show_head(packet: Packet, layer: Item, head: Head, at: int) -> None:
    start = packet.add(layer, START, head.line, at, head.after_line - at)
    words = head.line.split(b" ", 2)
    second = at + len(words[0]) + 1
    if head.response:
        packet.add(start, RESPONSE_VERSION, words[0], at, len(words[0]))
        if head.status:
            packet.add(start, CODE, head.status, second, len(words[1]))
            packet.add(start, CODE_MEANS, REASONS.get(head.status, "Unknown"), second, len(words[1]))
        if len(words) > 2:
            packet.add(start, PHRASE, words[2], second + len(words[1]) + 1, len(words[2]))
    else:
        packet.add(start, METHOD, words[0], at, len(words[0]))
        _show_uri(packet, start, words[1] if len(words) > 1 else b"", min(second, head.after_line))
        if len(words) > 2:
            packet.add(start, REQUEST_VERSION, words[2], second + len(words[1]) + 1, len(words[2]))
    for line in head.lines:
        whole = packet.data[line.at : line.after]
        field = RESPONSE_LINE if head.response else REQUEST_LINE
        parent = packet.add(layer, field, whole, line.at, line.after - line.at)
        named = NAMED.get(line.name)
        if named is not None:
            item = packet.add(parent, named, line.value, line.value_at, len(line.value))
            _show_value(packet, item, line)
    if head.unread:
        many = packet.data.count(b"\n", head.unread, head.end) - head.complete
        packet.add(layer, STOPPED, None, head.unread, head.end - head.unread, f"{many:,} more header fields")


def _ticket(packet: Packet, layer: Item, value: bytes) -> str:
    """NTLM within a header field (RFC 4559) -> its words of the Info column."""
    scheme, _, coded = value.partition(b" ")
    if scheme.lower() not in (b"ntlm", b"negotiate") or not coded.startswith(NTLM):
        return ""
    said = ""

    def show(packet: Packet, at: int, limit: int) -> Step | None:
        nonlocal said
        said = ntlmssp(packet, layer, at, limit)
        return None

    with suppress(Error):
        ticket = a2b_base64(coded)
        packet.aside("Decoded NTLMSSP", ticket, Step((show,), 0, len(ticket)))
    return said


def _show_uri(packet: Packet, start: Item, uri: bytes, at: int) -> None:
    item = packet.add(start, URI, uri, at, len(uri))
    path, mark, query = uri.partition(b"?")
    if not mark:
        return
    packet.add(item, PATH, path, at, len(path))
    item = packet.add(item, QUERY, query, at + len(path) + 1, len(query))
    where = item.start
    for part in query.split(b"&", SHOWN_PARTS)[:SHOWN_PARTS]:
        packet.add(item, PARAMETER, part, where, len(part))
        where += len(part) + 1


def _show_value(packet: Packet, item: Item, line: Line) -> None:
    """What some fields have within."""
    if line.name == b"content-length" and line.value.isdigit() and len(line.value) < 20:
        packet.add(item, CONTENT_LENGTH, int(line.value), line.value_at, len(line.value))
    elif line.name == b"cookie":
        where = line.value_at
        for pair in line.value.split(b";", SHOWN_PARTS)[:SHOWN_PARTS]:
            bare = pair.lstrip(b" ")
            packet.add(item, COOKIE_PAIR, bare, where + len(pair) - len(bare), len(bare))
            where += len(pair) + 1
    elif line.name in (b"authorization", b"proxy-authorization") and line.value[:6].lower() == b"basic ":
        with suppress(Error):
            packet.add(item, CREDENTIALS, a2b_base64(line.value[6:]), line.value_at + 6, len(line.value) - 6)


def _show_alone(packet: Packet, layer: Item, head: Head) -> None:
    """Of a message in a datagram, what it is and what it asks for."""
    start, words, host = layer.start, head.line.split(b" ", 2), head.fields.get(b"host")
    if head.response:
        packet.add(layer, RESPONSE, True, start, 0)
        return
    packet.add(layer, NOTIFICATION if words[0] == b"NOTIFY" else REQUEST, True, start, 0)
    if host is not None and len(words) > 1:
        packet.add(layer, FULL_URI, b"http://" + host + words[1], start, 0)


def _remember(packet: Packet, layer: Item, head: Head, request: Asked | None, memory: dict[Any, Any]) -> None:
    """Which request a response is for, and what the two agree to speak from here on."""
    asked: deque[Asked] = memory["asked"]
    count = memory["count", head.response] = memory.get(("count", head.response), 0) + 1
    start, words = layer.start, head.line.split(b" ", 2)
    packet.settle_on(http)
    if not head.response:
        uri = words[1] if len(words) > 1 else b""
        host = head.fields.get(b"host")
        if b"://" not in uri and host is not None and words[0] != b"CONNECT":
            uri = b"http://" + host + uri
        tells = words[0] == b"NOTIFY"
        packet.add(layer, NOTIFICATION if tells else REQUEST, True, start, 0)
        if b"://" in uri or words[0] == b"CONNECT":
            packet.add(layer, FULL_URI, uri, start, 0)
        if not tells:
            packet.add(layer, REQUEST_NUMBER, count, start, 0)
        upgrade = head.fields.get(b"upgrade", b"").lower()
        asked.append(Asked(words[0], uri[:4096], upgrade[:64], packet.number, packet.ts))
        return
    packet.add(layer, RESPONSE, True, start, 0)
    packet.add(layer, RESPONSE_NUMBER, count, start, 0)
    if request is not None:
        packet.add(layer, REQUEST_IN, request.number, start, 0)
        if packet.ts >= request.ts > 0:
            seconds, fraction = divmod(packet.ts - request.ts, 10**9)
            packet.add(layer, TIME, f"{seconds}.{fraction:09}", start, 0)
        if request.uri:
            packet.add(layer, RESPONSE_FOR, request.uri, start, 0)
        if not 100 <= head.status < 200 or head.status == 101:
            asked.popleft()
    if head.status == 101:
        _upgrade(packet, head)
    elif request is not None and request.method == b"CONNECT" and 200 <= head.status < 300:
        memory["tunnel"] = True
        packet.settle_on(None)


def _upgrade(packet: Packet, head: Head) -> None:
    """Switching Protocols (RFC 9110, 15.2.2): whoever registered for the name has what follows."""
    upgrade = head.fields.get(b"upgrade", b"").strip().lower()
    key = UPGRADES.get(upgrade)
    if key is None:
        packet.memory("http")["tunnel"] = True
        packet.values["http.next"] = ()
        packet.settle_on(None)
        return
    packet.memory("websocket")["extensions"] = head.fields.get(b"sec-websocket-extensions", b"")[:256]
    following = packet.values["http.next"] = step("http.upgrade", key, 0, 0).candidates
    packet.settle_on(following[0])


UPGRADES: Final = {b"websocket": 1, b"h2c": 2}
"""What a client asks for -> the key in the table `http.upgrade`."""


def _show_body(packet: Packet, layer: Item, head: Head, plain: bytes | None, at: int, end: int) -> None:
    """What the Info column says of a body, and the body as its media type has it."""
    kind = head.fields.get(b"content-type", b"")
    protocol, words = said_of(kind)
    coding = head.fields.get(b"content-encoding", b"")
    packet.protocol += protocol
    packet.info += words
    media = media_type(kind)
    packet.values["http.entity"] = coding.strip().lower(), media
    if media in SPOKEN_OF:
        _entity(packet, plain, at, end)
    else:
        packet.in_tree(layer, _entity, packet, plain, at, end)


def _entity(packet: Packet, plain: bytes | None, at: int, end: int) -> None:
    """As it stands here, or as its chunks make it."""
    if plain is None:
        packet.run(Step((entity,), at, end))
    elif plain:
        packet.aside("De-chunked entity body", plain, Step((entity,), 0, len(plain)))
