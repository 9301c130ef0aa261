"""RTSP (RFC 2326)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    Header,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import escape

RTSP = Header("rtsp", "Real Time Streaming Protocol", ())
RTSP_REQUEST, RTSP_RESPONSE = text("rtsp.request", "Request"), text("rtsp.response", "Response")
RTSP_HEADER = text("", "Header")
RTSP_METHODS = (
    b"DESCRIBE ANNOUNCE GET_PARAMETER OPTIONS PAUSE PLAY RECORD REDIRECT SETUP SET_PARAMETER TEARDOWN".split()
)


@on("tcp.port", 554, 8554)
def rtsp(packet: Packet, at: int, limit: int) -> Step | None:
    """Start line and header fields (RFC 2326)."""
    rest = packet.rest(at, limit)
    start = rest.split(b"\n", 1)[0].rstrip(b"\r")
    reply = start.startswith(b"RTSP/")
    if not reply and start.split(b" ")[0] not in RTSP_METHODS:
        return NOT_MINE
    packet.column("rtsp", f"Reply: {escape(start)}" if reply else escape(start))
    layer = packet.layer(RTSP.field, at, len(rest), packet.info)
    packet.add(layer, RTSP_RESPONSE if reply else RTSP_REQUEST, start, at, len(start))
    where = at
    for line in rest.split(b"\n")[:200]:
        if where > at and line.rstrip(b"\r"):
            packet.add(layer, RTSP_HEADER, line.rstrip(b"\r"), where, len(line))
        where += len(line) + 1
    return None
