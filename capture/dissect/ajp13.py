"""AJP 1.3, between a web server and Tomcat: requests as they came in, packed, and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.framed import Cursor, Passed, contained, entire, roomy, sized
from netwatch.capture.dissect.kit import Header, flag, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.text_lines import as_text
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

AJP: Final = Header("ajp13", "Apache JServ Protocol v1.3", ())
MAGIC, LENGTH = octets("ajp13.magic", "Magic"), number("ajp13.len", "Length")
FORWARD, CHUNK, HEADERS, END, MORE = 2, 3, 4, 5, 6
CODES: Final = {
    FORWARD: "FORWARD REQUEST",
    CHUNK: "SEND BODY CHUNK",
    HEADERS: "SEND HEADERS",
    END: "END RESPONSE",
    MORE: "GET BODY CHUNK",
    7: "SHUTDOWN",
    8: "PING",
    9: "CPONG",
    10: "CPING",
}
CODE: Final = number("ajp13.code", "Code", CODES)
METHODS: Final = dict(
    enumerate(
        "OPTIONS GET HEAD POST PUT DELETE TRACE PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK ACL REPORT "  # noqa: SIM905 - shorter
        "VERSION-CONTROL CHECKIN CHECKOUT UNCHECKOUT SEARCH MKWORKSPACE UPDATE LABEL MERGE BASELINE-CONTROL "
        "MKACTIVITY".split(),
        1,
    )
)
METHOD: Final = number("ajp13.method", "Method", METHODS)
VERSION, URI = text("ajp13.ver", "Version"), text("ajp13.uri", "URI")
ASKED_FROM: Final = (text("ajp13.raddr", "RADDR"), text("ajp13.rhost", "RHOST"), text("ajp13.srv", "SRV"))
PORT, SECURE = number("ajp13.port", "PORT"), flag("ajp13.sslp", "SSLP")
COUNT, STATUS, REASON = (
    number("ajp13.nhdr", "NHDR"),
    number("ajp13.rstatus", "RSTATUS"),
    text("ajp13.rmsg", "RSMSG"),
)
WANTED, AGAIN = number("ajp13.rlen", "RLEN"), number("ajp13.reusep", "REUSEP")
DATA: Final = text("ajp13.data", "Data")


def _names(*labels: str) -> dict[int, Field]:
    """Fields by the second byte of their code, from 1 on."""
    return {
        code: text(f"ajp13.{label.lower().replace('-', '_')}", label) for code, label in enumerate(labels, 1) if label
    }


ASKS: Final = _names(
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Connection"),
    *("Content-Type", "Content-Length", "Cookie", "Cookie2", "Host", "Pragma", "Referer", "User-Agent"),
)
ANSWERS: Final = _names(
    *("Content-Type", "Content-Language", "Content-Length", "Date", "Last-Modified", "Location", "Set-Cookie"),
    *("Set-Cookie2", "Servlet-Engine", "Status", "WWW-Authenticate"),
)
ATTRIBUTES: Final = _names(
    *("Context", "Servlet-Path", "Remote-User", "Auth-Type", "Query-String", "Route", "SSL-Cert", "SSL-Cipher"),
    *("SSL-Session", "", "", "Secret", "Stored-Method"),
)
OTHER_HEADER, OTHER_ATTRIBUTE = (
    text("ajp13.unknown_header", "unknown_header"),
    text("ajp13.req_attribute", "req_attribute"),
)
KEY_SIZE: Final = number("ajp13.ssl_key_size", "SSL-Key-Size")
NAMED, SIZED, LAST = 10, 11, 0xFF
"""Attributes: one with a name of its own, the size of a key, none."""
CONTENT_LENGTH: Final = 8
KNOWN: Final = 0xA0
NOTHING: Final = 0xFFFF
"""The length of a string that is not there."""
HEAD: Final = 4
SMALL: Final = rb"(?:\x12\x34|AB)\0" + sized()
MAX_PACKET: Final = 1 << 16
NAME: Final = "AJP13"
declare("ajp13", NAME, "web")
Memory = dict[Any, Any]


@on("tcp.port", 8009)
def ajp13(packet: Packet, at: int, limit: int) -> Step | None:
    """Packets of a magic number, which is the sender's kind, and a length."""
    memory = packet.memory("ajp13")
    conversation = packet.conversation
    told = conversation is not None and packet.context is not None and packet.context.counted
    prefix = f"{conversation.stream}:" if conversation is not None and told else ""
    shown = False
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        head = packet.data[at : at + 2]
        asks = head == b"\x12\x34"
        if not asks and head != b"AB":
            return Step((ajp13,), at, limit) if shown else NOT_MINE
        entire(packet, NAME, at, HEAD, limit)
        size = packet.uint(NAME, at + 2, 2, limit)
        end = entire(packet, NAME, at, HEAD + size, limit)
        shown = True
        if roomy(packet):
            packet.column("ajp13", f"{prefix}{'REQ' if asks else 'RSP'}:")
            layer = packet.layer(AJP.field, at, packet.end(min(end, limit)) - at)
            packet.add(layer, MAGIC, head, at, 2)
            packet.add(layer, LENGTH, size, at + 2, 2)
            cursor = Cursor(packet, NAME, at + HEAD, min(end, limit))
            if not contained(packet, _request if asks else _answer, cursor, layer, memory):
                packet.info += MALFORMED_MARK
            layer.said = packet.info
        else:
            passed.single(at, end)
        at = end
    return None


def _string(cursor: Cursor, item: Item, field: Field) -> bytes:
    """A length, so many characters, a zero."""
    at, size = cursor.at, cursor.uint(2)
    if size == NOTHING:
        cursor.packet.add(item, field, b"", at, 2)
        return b""
    raw = cursor.packet.take(NAME, cursor.at, size, cursor.end)
    cursor.packet.add(item, field, raw, cursor.at, size)
    cursor.at += size
    cursor.uint(1)
    return raw


def _request(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:
    left = memory.get("left", 0)
    if left or not cursor.left:
        # The body of the request before; an empty packet ends it.
        packet.info += "Body"
        if cursor.left:
            size = cursor.uint(2)
            cursor.octets(layer, DATA, size)
            memory["left"] = max(0, left - size)
        return
    code = cursor.number(layer, CODE, 1)
    if code != FORWARD:
        if code not in CODES:
            raise Malformed(f"AJP13: code {code} of a request", cursor.at - 1)
        packet.info += CODES[code]
        return
    method = METHODS.get(cursor.number(layer, METHOD, 1), "Unknown")
    version, uri = _string(cursor, layer, VERSION), _string(cursor, layer, URI)
    packet.info += f"{method} {as_text(uri)} {as_text(version)}"
    for field in ASKED_FROM:
        _string(cursor, layer, field)
    cursor.number(layer, PORT, 2)
    at = cursor.at
    packet.add(layer, SECURE, bool(cursor.uint(1)), at, 1)
    length = _headers(cursor, layer, ASKS)
    memory["left"] = int(length) if length.isdigit() and len(length) < 10 else 0
    _attributes(cursor, layer)


def _headers(cursor: Cursor, layer: Item, names: dict[int, Field]) -> bytes:
    """Names that are known by a number, and others -> the length of a request's body."""
    length = b""
    for _ in range(cursor.number(layer, COUNT, 2)):
        known = cursor.packet.data[cursor.at : cursor.at + 1] == bytes([KNOWN])
        code = cursor.uint(2)
        if known:
            field = names.get(code & 0xFF)
            value = _string(cursor, layer, field or OTHER_HEADER)
            length = value if names is ASKS and code & 0xFF == CONTENT_LENGTH else length
        else:
            _pair(cursor, layer, OTHER_HEADER, code)
    return length


def _pair(cursor: Cursor, layer: Item, field: Field, size: int) -> None:
    """A name of so many characters, and its value; shown as one."""
    packet, at = cursor.packet, cursor.at - 2
    name = packet.take(NAME, cursor.at, size, cursor.end)
    cursor.at += size + 1
    size = cursor.uint(2)
    value = packet.take(NAME, cursor.at, 0 if size == NOTHING else size, cursor.end)
    cursor.at += len(value) + (size != NOTHING)
    packet.check(NAME, at, cursor.at - at, cursor.end)
    packet.add(layer, field, name + b": " + value, at, cursor.at - at)


def _attributes(cursor: Cursor, layer: Item) -> None:
    while cursor.left:
        code = cursor.uint(1)
        if code == LAST:
            return
        if code == NAMED:
            _pair(cursor, layer, OTHER_ATTRIBUTE, cursor.uint(2))
        elif code == SIZED:
            cursor.number(layer, KEY_SIZE, 2)
        elif code in ATTRIBUTES:
            _string(cursor, layer, ATTRIBUTES[code])
        else:
            raise Malformed(f"AJP13: attribute {code}", cursor.at - 1)


def _answer(packet: Packet, cursor: Cursor, layer: Item, memory: Memory) -> None:  # noqa: ARG001 - as _request
    code = cursor.number(layer, CODE, 1)
    if code not in CODES:
        raise Malformed(f"AJP13: code {code} of an answer", cursor.at - 1)
    packet.info += CODES[code]
    if code == CHUNK:
        cursor.octets(layer, DATA, cursor.uint(2))
    elif code == HEADERS:
        status = cursor.number(layer, STATUS, 2)
        packet.info += f":{status} {as_text(_string(cursor, layer, REASON))}"
        _headers(cursor, layer, ANSWERS)
    elif code == END:
        cursor.number(layer, AGAIN, 1)
    elif code == MORE:
        cursor.number(layer, WANTED, 2)
