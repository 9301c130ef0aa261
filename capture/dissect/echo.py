"""Echo (RFC 862): what is asked is the answer."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Header, flag, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

PORT = 7
ECHO = Header("echo", "Echo", ())
DATA = octets("echo.data", "Echo data")
REQUEST, RESPONSE = flag("echo.request", "Echo request"), flag("echo.response", "Echo response")


@on("udp.port", PORT)
@on("tcp.port", PORT)
def echo(packet: Packet, at: int, limit: int) -> Step | None:
    """Whatever somebody sends to the port, and the same back."""
    asks = packet.values.get("ports", (0, PORT))[1] == PORT
    packet.column("echo", "Request" if asks else "Response")
    rest = packet.rest(at, limit)
    layer = packet.layer(ECHO.field, at, len(rest), packet.info)
    packet.add(layer, REQUEST if asks else RESPONSE, True, at, 0)
    packet.add(layer, DATA, rest, at, len(rest))
    return None
