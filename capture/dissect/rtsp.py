"""RTSP (RFC 2326): requests and replies, the streams that they set up, and RTP within the connection."""

from __future__ import annotations

import re
from typing import Final

from netwatch.capture.dissect.kit import U8, U16, Header, number, octets, text
from netwatch.capture.dissect.packet import Packet, data
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.rtp import announce, rtp
from netwatch.capture.dissect.sdp import sdp
from netwatch.capture.dissect.text_lines import as_text

RTSP = Header("rtsp", "Real Time Streaming Protocol", ())
REQUEST, RESPONSE = text("rtsp.request", "Request"), text("rtsp.response", "Response")
METHOD, URL = text("rtsp.method", "Method"), text("rtsp.url", "URL")
STATUS = number("rtsp.status", "Status")
HEADER = text("", "Header")
NAMED: Final = {
    b"session": text("rtsp.session", "Session"),
    b"transport": text("rtsp.transport", "Transport"),
    b"content-type": text("rtsp.content-type", "Content-type"),
    b"content-length": text("rtsp.content-length", "Content-length"),
}
BODY = octets("", "Body")
INTERLEAVED = Header(
    "rtsp", "RTSP Interleaved Frame", (U8("magic", "Magic"), U8("channel", "Channel"), U16("length", "Length"))
)
METHODS: Final = frozenset(
    b"DESCRIBE ANNOUNCE GET_PARAMETER OPTIONS PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER TEARDOWN".split()
)
CLIENT_PORT: Final = re.compile(rb"client_port=(\d{1,5})")
SERVER_PORT: Final = re.compile(rb"server_port=(\d{1,5})")


@on("tcp.port", 554, 8554)
def rtsp(packet: Packet, at: int, limit: int) -> Step | None:
    """One message, or one frame of RTP or RTCP; the next may stand behind it."""
    raw, end = packet.data, packet.end(limit)
    if raw[at : at + 1] == b"$":
        while packet.data[at : at + 1] == b"$" and at < limit:
            at = _interleaved(packet, at, limit)
        return Step((rtsp,), at, limit) if at < limit else None
    stop = raw.find(b"\n", at, end)
    start = raw[at : end if stop < 0 else stop].rstrip(b"\r")
    reply = start.startswith(b"RTSP/")
    words = start.split(b" ", 2)
    if not reply and words[0] not in METHODS:
        return NOT_MINE
    lines: list[tuple[bytes, bytes, int, int]] = []
    fields: dict[bytes, bytes] = {}
    where = end if stop < 0 else stop + 1
    first = where
    complete = False
    while where < end and not complete:
        stop = raw.find(b"\n", where, end)
        after = end if stop < 0 else stop + 1
        line = raw[where:after].rstrip(b"\r\n")
        complete = not line and stop >= 0
        if line:
            key, _, value = line.partition(b":")
            lines.append((key.lower(), value.strip(), where, after))
            fields.setdefault(key.lower(), value.strip())
        where = after
    if not complete:
        packet.more("RTSP", at, limit)
    length = fields.get(b"content-length", b"")
    size = int(length) if length.isdigit() and len(length) < 8 else 0
    if limit <= packet.caplen:
        packet.whole("RTSP", at, where + size - at, limit)
    last = min(where + size, end)
    packet.column("rtsp", f"{'Reply: ' if reply else ''}{as_text(start)}")
    layer = packet.layer(RTSP.field, at, last - at, packet.info)
    item = packet.add(layer, RESPONSE if reply else REQUEST, start, at, first - at)
    second = at + len(words[0]) + 1
    if reply and len(words) > 1 and words[1].isdigit() and len(words[1]) < 6:
        packet.add(item, STATUS, int(words[1]), second, len(words[1]))
    elif not reply and len(words) > 1:
        packet.add(item, METHOD, words[0], at, len(words[0]))
        packet.add(item, URL, words[1], second, len(words[1]))
    for key, value, begins, after in lines:
        header = packet.add(layer, HEADER, raw[begins:after].rstrip(b"\r\n"), begins, after - begins)
        if key in NAMED:
            packet.add(header, NAMED[key], value, raw.find(value, begins, after), len(value))
    if reply:
        _announce(packet, fields.get(b"transport", b""))
    if where < last:
        _body(packet, fields.get(b"content-type", b""), where, last)
    following = where + size
    return Step((rtsp,), following, limit) if following < limit else None


def _body(packet: Packet, kind: bytes, at: int, end: int) -> None:
    if kind.lower().startswith(b"application/sdp"):
        info = packet.info
        packet.run(Step((sdp,), at, end))
        packet.protocol, packet.info = "RTSP/SDP", info
    else:
        packet.add(packet.layers[-1], BODY, packet.data[at:end], at, end - at)


def _announce(packet: Packet, transport: bytes) -> None:
    """A server agrees to a transport: RTP will flow between these ports (12.39)."""
    _, server, _, client, _ = packet.values.get("transport", ("", b"", 0, b"", 0))
    for pattern, host in ((CLIENT_PORT, client), (SERVER_PORT, server)):
        found = pattern.search(transport)
        if found is not None and 0 < int(found[1]) <= 0xFFFF and host:
            announce(packet, host, int(found[1]), "RTSP", {})


def _interleaved(packet: Packet, at: int, limit: int) -> int:
    """`$`, a channel, a length, and RTP or RTCP (10.12) -> the offset after them."""
    packet.whole("RTSP frame", at, INTERLEAVED.size, limit)
    size = int.from_bytes(packet.data[at + 2 : at + 4], "big")
    packet.whole("RTSP frame", at, INTERLEAVED.size + size, limit)
    packet.column("rtsp")
    layer, (_, channel, _) = packet.open(INTERLEAVED, at, limit)
    start, stop = at + INTERLEAVED.size, at + INTERLEAVED.size + size
    layer.said = packet.info = f"Interleaved channel 0x{channel:02x}, {size} bytes"
    if rtp("RTSP", 0, {}, packet, start, min(stop, limit)) is NOT_MINE:
        data(packet, start, min(stop, limit))
    return stop
