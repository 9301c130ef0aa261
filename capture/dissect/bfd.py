"""Bidirectional Forwarding Detection (RFC 5880)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U32, Bit, Bits, Flags8, Header, Hex32, Packed8, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

declare("bfd_echo", "BFD Echo", "routing")

DIAGNOSTICS = {
    0: "No Diagnostic",
    1: "Control Detection Time Expired",
    2: "Echo Function Failed",
    3: "Neighbor Signaled Session Down",
    4: "Forwarding Plane Reset",
    5: "Path Down",
    6: "Concatenated Path Down",
    7: "Administratively Down",
    8: "Reverse Concatenated Path Down",
}
STATES = {0: "AdminDown", 1: "Down", 2: "Init", 3: "Up"}
BFD = Header(
    "bfd",
    "Bidirectional Forwarding Detection",
    (
        Packed8(
            Bits(0xE0, "version", "Protocol Version"), Bits(0x1F, "diag", "Diagnostic Code", DIAGNOSTICS, digits=2)
        ),
        Flags8(
            "flags",
            "Message Flags",
            Bits(0xC0, "sta", "Session State", STATES, digits=2),
            Bit(0x20, "flags.p", "Poll"),
            Bit(0x10, "flags.f", "Final"),
            Bit(0x08, "flags.c", "Control Plane Independent"),
            Bit(0x04, "flags.a", "Authentication Present"),
            Bit(0x02, "flags.d", "Demand"),
            Bit(0x01, "flags.m", "Multipoint"),
        ),
        U8("detect_time_multiplier", "Detect Time Multiplier"),
        U8("message_length", "Message Length"),
        Hex32("my_discriminator", "My Discriminator"),
        Hex32("your_discriminator", "Your Discriminator"),
        U32("desired_min_tx_interval", "Desired Min TX Interval"),
        U32("required_min_rx_interval", "Required Min RX Interval"),
        U32("required_min_echo_interval", "Required Min Echo Interval"),
    ),
)
AUTHENTICATIONS = {
    1: "Simple Password",
    2: "Keyed MD5",
    3: "Meticulous Keyed MD5",
    4: "Keyed SHA1",
    5: "Meticulous Keyed SHA1",
}
AUTHENTICATION = Header(
    "bfd.auth",
    "Authentication",
    (
        U8("type", "Authentication Type", AUTHENTICATIONS),
        U8("len", "Authentication Length"),
        U8("key", "Authentication Key ID"),
    ),
    name="",
)
PASSWORD = text("bfd.auth.password", "Password")
SECRET = octets("", "Authentication data")
SIGNED = 0x04
ECHO = Header("bfd_echo", "Originator specific content", ())
ECHO_PACKET = octets("bfd_echo.packet", "Originator specific content")


@on("udp.port", 3784, 4784)
def bfd(packet: Packet, at: int, limit: int) -> Step | None:
    """State, how often, and who each side is; an authentication section where a flag says so."""
    packet.column("bfd")
    layer, (first, second, _, length, *_) = packet.open(BFD, at, limit)
    state = STATES[second >> 6]
    layer.said = packet.info = (
        f"Diag: {DIAGNOSTICS.get(first & 31, 'Unknown')}, State: {state}, Flags: 0x{second & 0x3F:02x}"
    )
    where, end = at + BFD.size, min(limit, at + max(length, BFD.size))
    if second & SIGNED:
        kind, size, _ = packet.add_header(layer, AUTHENTICATION, where, end)
        body, last = where + AUTHENTICATION.size, min(end, where + size)
        rest = packet.rest(body, last)
        if rest:
            packet.add(layer, PASSWORD if kind == 1 else SECRET, rest, body, len(rest))
        packet.check("BFD authentication", where, size, end)
        where = max(body, last)
    layer.size = where - at
    return Step((), where, limit) if where < limit else None


@on("udp.port", 3785)
def echo(packet: Packet, at: int, limit: int) -> None:
    """What it sends to itself by way of the other, nobody else understands (RFC 5881, 4)."""
    packet.column("bfd_echo", "Originator specific content")
    rest = packet.rest(at, limit)
    layer = packet.layer(ECHO.field, at, len(rest))
    packet.add(layer, ECHO_PACKET, rest, at, len(rest))
