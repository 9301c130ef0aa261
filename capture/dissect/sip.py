"""SIP (RFC 3261): start line and header fields."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Header, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

SIP = Header("sip", "Session Initiation Protocol", ())
METHOD, URI, CODE = (
    text("sip.Method", "Method"),
    text("sip.r-uri", "Request-URI"),
    number("sip.Status-Code", "Status-Code"),
)
REQUEST_LINE, STATUS_LINE = text("sip.Request-Line", "Request-Line"), text("sip.Status-Line", "Status-Line")
FIELD = text("", "Message Header")
NAMED = {
    name: text(f"sip.{field}", field)
    for names, field in (
        ((b"from", b"f"), "From"),
        ((b"to", b"t"), "To"),
        ((b"call-id", b"i"), "Call-ID"),
        ((b"cseq",), "CSeq"),
        ((b"via", b"v"), "Via"),
        ((b"contact", b"m"), "Contact"),
        ((b"user-agent",), "User-Agent"),
        ((b"expires",), "Expires"),
        ((b"content-type", b"c"), "Content-Type"),
    )
    for name in names
}
BODY = octets("", "Message Body")
METHODS = frozenset(
    b"ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE".split()
)


@on("udp.port", 5060)
@on("tcp.port", 5060)
@signature("udp", "tcp")
def sip(packet: Packet, at: int, limit: int) -> Step | None:
    """A request or a status line says that it is SIP."""
    end = packet.end(limit)
    stop = packet.data.find(b"\r\n", at, end)
    line = packet.data[at : end if stop < 0 else stop]
    words = line.split(b" ", 2)
    response = line.startswith(b"SIP/2.0 ")
    if not response and (len(words) < 3 or words[0] not in METHODS or not words[2].startswith(b"SIP/2.0")):
        return NOT_MINE
    packet.column("sip")
    layer = packet.layer(SIP.field, at, end - at)
    where = end if stop < 0 else stop + 2
    start = packet.add(layer, STATUS_LINE if response else REQUEST_LINE, line, at, where - at)
    second = at + len(words[0]) + 1
    if response:
        status = words[1] if len(words) > 1 else b""
        if status.isdigit() and len(status) < 6:
            packet.add(start, CODE, int(status), second, len(status))
    else:
        packet.add(start, METHOD, words[0], at, len(words[0]))
        packet.add(start, URI, words[1], second, len(words[1]))
    fields: dict[bytes, bytes] = {}
    bindings = 0
    while where < end:
        stop = packet.data.find(b"\r\n", where, end)
        after = end if stop < 0 else stop + 2
        field = packet.data[where : end if stop < 0 else stop]
        if not field:
            where = after
            break
        key, _, value = field.partition(b":")
        key, value = key.strip().lower(), value.strip(b" \t")
        fields.setdefault(key, value)
        bindings += key in (b"contact", b"m")
        item = packet.add(layer, FIELD, field, where, after - where)
        if key in NAMED:
            packet.add(item, NAMED[key], value, where + field.find(value), len(value))
        where = after
    if where < end:
        packet.add(layer, BODY, packet.data[where:end], where, end - where)
    kind = fields.get(b"content-type", fields.get(b"c", b""))
    if where < end and kind.startswith(b"application/sdp"):
        packet.protocol = "SIP/SDP"
    packet.info = _info(words, response, fields.get(b"cseq", b""), bindings)
    layer.said = packet.info
    return None


def _info(words: list[bytes], response: bool, sequence: bytes, bindings: int) -> str:
    rest = [word.decode("utf-8", "surrogateescape") for word in words]
    method = sequence.split(b" ")[-1].decode("utf-8", "surrogateescape") if response else rest[0]
    said = f"Status: {' '.join(rest[1:])}" if response else f"Request: {rest[0]} {rest[1]}"
    if response and rest[1:2] == ["200"]:
        said += f" ({method})"
    if method == "REGISTER" and bindings and (not response or rest[1] == "200"):
        said += f"  ({bindings} binding{'s' if bindings > 1 else ''})"
    return f"{said} | "
