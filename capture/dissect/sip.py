"""SIP (RFC 3261): start line, header fields, and the session that a body describes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from netwatch.capture.dissect.kit import Field, Header, Item, number, octets, text
from netwatch.capture.dissect.packet import STOPPED, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.sdp import sdp
from netwatch.capture.dissect.text_lines import as_text

SIP = Header("sip", "Session Initiation Protocol", ())
METHOD, CODE = text("sip.Method", "Method"), number("sip.Status-Code", "Status-Code")
URI = text("sip.r-uri", "Request-URI")
REQUEST_LINE, STATUS_LINE = text("sip.Request-Line", "Request-Line"), text("sip.Status-Line", "Status-Line")
FIELD = text("", "Message Header")
COMPACT: Final = {b"f": b"from", b"t": b"to", b"i": b"call-id", b"v": b"via", b"m": b"contact", b"c": b"content-type"}
COMPACT_LENGTH: Final = b"l"
"""Short forms of names (7.3.3)."""
NAMED: Final = {
    label.lower(): text(f"sip.{label.decode()}", label.decode())
    for label in (
        b"From To Call-ID CSeq Via Contact User-Agent Server Expires Content-Type Content-Length Max-Forwards Allow "
        b"Supported Require Route Record-Route Authorization Proxy-Authorization WWW-Authenticate Proxy-Authenticate "
        b"Subject Date Event Refer-To Reason Session-Expires"
    ).split()
}


class Address(NamedTuple):
    """The fields of an address and what is in it."""

    uri: Field
    user: Field
    host: Field
    port: Field


def _address(name: str, uri: str, label: str) -> Address:
    return Address(
        text(f"sip.{name}.{uri}" if uri else f"sip.{name}", label),
        text(f"sip.{name}.user", f"{label} User Part"),
        text(f"sip.{name}.host", f"{label} Host Part"),
        text(f"sip.{name}.port", f"{label} Host Port"),
    )


ADDRESSES: Final = {
    b"from": _address("from", "addr", "SIP from address"),
    b"to": _address("to", "addr", "SIP to address"),
    b"contact": _address("contact", "uri", "Contact URI"),
}
ASKED: Final = _address("r-uri", "", "Request-URI")
TAGS: Final = {b"from": text("sip.from.tag", "SIP from tag"), b"to": text("sip.to.tag", "SIP to tag")}
SEQUENCE, SEQUENCE_METHOD = number("sip.CSeq.seq", "Sequence Number"), text("sip.CSeq.method", "Method")
VIA: Final = (
    text("sip.Via.transport", "Transport"),
    text("sip.Via.sent-by.address", "Sent-by Address"),
    text("sip.Via.sent-by.port", "Sent-by port"),
)
BRANCH = text("sip.Via.branch", "Branch")
DISPLAY = text("sip.display.info", "SIP Display info")
DISPLAYS: Final = {
    b"from": text("sip.from.display.info", "SIP from display info"),
    b"to": text("sip.to.display.info", "SIP to display info"),
}
ANY_TAG = text("sip.tag", "SIP Tag")
RPORT, RECEIVED = text("sip.Via.rport", "RPort"), text("sip.Via.received", "Received")
VIA_RPORT: Final = re.compile(rb";\s*(?:rport=(?=\d))?(\d{1,5}\b|rport\b)")
VIA_RECEIVED: Final = re.compile(rb";\s*received=([^;,\s]{1,64})")
AUTH: Final = text("sip.auth", "Authentication")
AUTH_PARTS: Final = {
    name.encode(): text(f"sip.auth.{field}", label)
    for name, field, label in (
        ("username", "username", "Username"),
        ("realm", "realm", "Realm"),
        ("nonce", "nonce", "Nonce Value"),
        ("uri", "uri", "Authentication URI"),
        ("response", "digest.response", "Digest Authentication Response"),
        ("algorithm", "algorithm", "Algorithm"),
        ("qop", "qop", "QOP"),
        ("opaque", "opaque", "Opaque Value"),
        ("cnonce", "cnonce", "CNonce Value"),
        ("nc", "nc", "Nonce Count"),
    )
}
AUTH_PART: Final = re.compile(rb'(\w{2,16})\s*=\s*("[^"]{0,512}"|[^\s,"]{1,256})')
MAX_AUTH: Final = 2048
AUTHENTICATIONS: Final = frozenset(
    {b"authorization", b"www-authenticate", b"proxy-authorization", b"proxy-authenticate"}
)
BODY = octets("sip.msg_body", "Message Body")
METHODS: Final = frozenset(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)
URI_PARTS: Final = re.compile(rb"sips?:(?:([^@;>\s]{1,256})@)?(\[[0-9a-fA-F:.]+\]|[^:;>\s,]{1,256})(?::(\d{1,5}))?")
VIA_PARTS: Final = re.compile(rb"SIP/2\.0/(\w+)\s+(\[[0-9a-fA-F:.]+\]|[^:;\s]{1,256})(?::(\d{1,5}))?")
TAG: Final = re.compile(rb";tag=([^;\s]{1,256})")
BRANCH_PART: Final = re.compile(rb";branch=([^;\s,]{1,256})")
NOW: Final = re.compile(rb";\s*expires=0+(?:$|[;,\s])")
"""A binding that ends at once is removed (10.2.2)."""


@on("udp.port", 5060)
@on("tcp.port", 5060)
@signature("udp", "tcp")
def sip(packet: Packet, at: int, limit: int) -> Step | None:
    """A request or a status line says that it is SIP."""
    data, end = packet.data, packet.end(limit)
    stop = data.find(b"\r\n", at, end)
    line = data[at : end if stop < 0 else stop]
    words = line.split(b" ", 2)
    response = line.startswith(b"SIP/2.0 ")
    if not response and (len(words) < 3 or words[0] not in METHODS or not words[2].startswith(b"SIP/2.0")):
        begun = words[0] in METHODS and len(words) > 1 and words[1][:4] in (b"sip:", b"sips", b"tel:")
        if stop < 0 and at < end and packet.streaming and (begun or packet.memory("sip")):
            packet.more("SIP", at, limit)
        return NOT_MINE
    body = data.find(b"\r\n\r\n", at, end)
    if body < 0 and packet.streaming:
        packet.more("SIP", at, limit)
    body = end if body < 0 else body + 4
    fields, lines = _fields(data, end if stop < 0 else stop + 2, body)
    length = fields.get(b"content-length", b"")
    after = limit
    if packet.streaming:
        # Over a stream the next message may stand behind it, and who does not say how long it is has no body (18.3).
        size = int(length) if length.isdigit() and len(length) < 8 else 0
        packet.whole("SIP", at, body + size - at, limit)
        after = min(body + size, limit)
        packet.memory("sip")["stream"] = True
    packet.column("sip")
    layer = packet.layer(SIP.field, at, min(after, end) - at)
    _start_line(packet, layer, line, words, at, lines[0][2] if lines else body, response)
    packet.in_tree(layer, _show_fields, packet, layer, lines, body)
    layer.said = _info(words, response, fields, [value for key, value, *_ in lines if key == b"contact"])
    packet.info = packet.values["sip.info"] = shown = packet.values.get("sip.info", "") + layer.said
    stop = min(after, end)
    if body < stop:
        if fields.get(b"content-type", b"").lower().startswith(b"application/sdp"):
            packet.protocol = "SIP/SDP"
            packet.run(Step((sdp,), body, stop))
            packet.info = shown
        else:
            packet.add(layer, BODY, data[body:stop], body, stop - body)
    return Step((sip,), after, limit) if after < limit else None


MAX_FIELDS: Final = 200
"""Header fields that are looked at; real messages have a few dozen."""
Row = tuple[bytes, bytes, int, int, int]
"""Name in lower case, value, where the line, the value and the next line begin."""


def _fields(data: bytes, at: int, body: int) -> tuple[dict[bytes, bytes], list[Row]]:
    """Header fields up to the empty line; the first of a name, and all of them."""
    fields: dict[bytes, bytes] = {}
    rows: list[Row] = []
    while at < body and len(rows) < MAX_FIELDS:
        stop = data.find(b"\r\n", at, body)
        after = body if stop < 0 else stop + 2
        line = data[at : body if stop < 0 else stop]
        if line:
            name, _, value = line.partition(b":")
            key = name.strip().lower()
            key = b"content-length" if key == COMPACT_LENGTH else COMPACT.get(key, key)
            bare = value.lstrip(b" \t")
            value_at = at + len(line) - len(bare)
            fields.setdefault(key, bare.rstrip())
            rows.append((key, bare.rstrip(), at, value_at, after))
        at = after
    return fields, rows


def _start_line(
    packet: Packet, layer: Item, line: bytes, words: list[bytes], at: int, after: int, response: bool
) -> None:
    start = packet.add(layer, STATUS_LINE if response else REQUEST_LINE, line, at, max(after - at, len(line)))
    second = at + len(words[0]) + 1
    if not response:
        packet.add(start, METHOD, words[0], at, len(words[0]))
        item = packet.add(start, URI, words[1], second, len(words[1]))
        _uri(packet, item, words[1], second, ASKED)
    elif len(words) > 1 and words[1].isdigit() and len(words[1]) < 6:
        packet.add(start, CODE, int(words[1]), second, len(words[1]))


def _show_fields(packet: Packet, layer: Item, lines: list[Row], body: int) -> None:
    for key, value, start, value_at, following in lines:
        item = packet.add(layer, FIELD, packet.data[start:following].rstrip(b"\r\n"), start, following - start)
        if key in AUTHENTICATIONS:
            line = packet.data[start:following]
            _authentication(packet, packet.add(item, AUTH, line, start, len(line)), value, value_at)
        if key in NAMED:
            _value(packet, packet.add(item, NAMED[key], value, value_at, len(value)), key, value, value_at)
    start = lines[-1][-1] if len(lines) == MAX_FIELDS else body
    many = packet.data.count(b"\r\n", start, body) - 1
    if many > 0:
        packet.add(layer, STOPPED, None, start, body - start, f"{many:,} more header fields")


def _value(packet: Packet, item: Item, key: bytes, value: bytes, at: int) -> None:
    """What some fields have within."""
    if key in ADDRESSES:
        found = URI_PARTS.search(value)
        if found is not None:
            fields = ADDRESSES[key]
            uri = packet.add(item, fields.uri, found[0], at + found.start(), len(found[0]))
            _uri(packet, uri, found[0], at + found.start(), fields)
            shown = value[: found.start()].rstrip(b" <")
            if shown and key in DISPLAYS:
                packet.add(item, DISPLAY, shown, at, len(shown))
                packet.add(item, DISPLAYS[key], shown, at, len(shown))
        tag = TAG.search(value) if key in TAGS else None
        if tag is not None:
            packet.add(item, ANY_TAG, tag[1], at + tag.start(1), len(tag[1]))
            packet.add(item, TAGS[key], tag[1], at + tag.start(1), len(tag[1]))
    elif key == b"cseq":
        digits, _, method = value.partition(b" ")
        if digits.isdigit() and len(digits) < 11:
            packet.add(item, SEQUENCE, int(digits), at, len(digits))
            packet.add(item, SEQUENCE_METHOD, method.strip(), at + len(digits) + 1, len(method))
    elif key == b"via":
        via, branch = VIA_PARTS.match(value), BRANCH_PART.search(value)
        for index, field in enumerate(VIA, 1) if via is not None else ():
            if via is not None and via[index]:
                packet.add(item, field, via[index], at + via.start(index), len(via[index]))
        for field, pattern in ((RPORT, VIA_RPORT), (RECEIVED, VIA_RECEIVED)):
            told = pattern.search(value)
            if told is not None:
                packet.add(item, field, told[1], at + told.start(1), len(told[1]))
        if branch is not None:
            packet.add(item, BRANCH, branch[1], at + branch.start(1), len(branch[1]))


def _authentication(packet: Packet, item: Item, value: bytes, at: int) -> None:
    """The parts of a challenge or an answer to one (RFC 3261, 22.4), as they are written."""
    for part in AUTH_PART.finditer(value[:MAX_AUTH]):
        field = AUTH_PARTS.get(part[1].lower())
        if field is not None:
            packet.add(item, field, part[2], at + part.start(2), len(part[2]))


def _uri(packet: Packet, item: Item, value: bytes, at: int, fields: Address) -> None:
    found = URI_PARTS.match(value)
    if found is None:
        return
    for index, field in ((1, fields.user), (2, fields.host), (3, fields.port)):
        if found[index] is not None:
            packet.add(item, field, found[index], at + found.start(index), len(found[index]))


def _info(words: list[bytes], response: bool, fields: dict[bytes, bytes], contacts: list[bytes]) -> str:
    rest = [as_text(word) for word in words]
    method = as_text(fields.get(b"cseq", b"").split(b" ")[-1]) if response else rest[0]
    said = f"Status: {' '.join(rest[1:])}" if response else f"Request: {rest[0]} {rest[1]}"
    if response and rest[1:2] == ["200"]:
        said += f" ({method})"
    if method == "REGISTER" and (not response or rest[1] == "200"):
        said += _bindings(fields, contacts, response)
    return f"{said} | "


def _bindings(fields: dict[bytes, bytes], contacts: list[bytes], response: bool) -> str:
    """What a registration does with its contacts (10.2)."""
    ends = fields.get(b"expires", b"").strip(b"0") == b"" and b"expires" in fields
    count = sum(max(contact.count(b"<sip"), 1) for contact in contacts)
    removed = sum(len(NOW.findall(contact)) for contact in contacts) + (count if ends else 0)
    if b"*" in contacts and ends:
        return "  (remove all bindings)"
    if removed:
        return f"  (remove {removed} binding{'s' if removed > 1 else ''})"
    if contacts or response:
        return f"  ({count} binding{'' if count == 1 else 's'})"
    return "  (fetch bindings)"
