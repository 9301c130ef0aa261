"""GOOSE, sampled values' sister: events of a substation (IEC 61850-8-1), its head."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U16, Header, Hex16
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

GOOSE = Header(
    "goose",
    "GOOSE",
    (
        Hex16("appid", "APPID"),
        U16("length", "Length"),
        Hex16("reserve1", "Reserved 1"),
        Hex16("reserve2", "Reserved 2"),
    ),
)


@on("ethertype", 0x88B8)
def goose(packet: Packet, at: int, limit: int) -> Step:
    """The length counts from the application's number on."""
    packet.column("goose")
    layer, (application, length, *_) = packet.open(GOOSE, at, limit)
    layer.said = f"APPID: 0x{application:04x}"
    end = min(limit, at + max(length, GOOSE.size))
    if packet.payload_end is None:
        packet.payload_end = end
    return Step((), at + GOOSE.size, end)
