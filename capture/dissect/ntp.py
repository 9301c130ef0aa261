"""NTP (RFC 5905, 7.3; control messages: RFC 9327)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U32, Bits, Bytes, Field, Header, Packed8, absolute
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

MODES = {
    0: "reserved",
    1: "symmetric active",
    2: "symmetric passive",
    3: "client",
    4: "server",
    5: "broadcast",
    6: "control",
    7: "private",
}
LEAP = {0: "no warning", 1: "last minute of the day has 61 seconds", 2: "last minute has 59 seconds", 3: "unknown"}


def _interval(exponent: int) -> str:
    """Log2 of seconds, signed."""
    signed = exponent - 256 if exponent > 127 else exponent
    return f"{signed} ({2.0**signed:g} s)"


NTP_EPOCH = -2208988800
"""1900, in seconds since 1970."""


def _time(raw: bytes) -> str:
    """Seconds since 1900 and 1/2^32 s; after 2036 the count starts again (RFC 5905, 6; RFC 2030, 3)."""
    if not any(raw):
        return "NULL"
    seconds, fraction = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:], "big")
    era = 0 if seconds & 0x80000000 else 1 << 32
    return absolute((seconds + NTP_EPOCH + era) * 10**9 + (fraction * 10**9 >> 32))


def _stamp(name: str, label: str) -> Field:
    return Field(name, label, plain=_time, code="8s", size=8)


def _fixed_point(value: int) -> str:
    return f"{value / 65536:.6f}"


NTP = Header(
    "ntp",
    "Network Time Protocol",
    (
        Packed8(
            Bits(0xC0, "flags.li", "Leap Indicator", LEAP),
            Bits(0x38, "flags.vn", "Version number"),
            Bits(0x07, "flags.mode", "Mode", MODES),
        ),
        U8("stratum", "Peer Clock Stratum"),
        U8("ppoll", "Peer Polling Interval", form=_interval),
        U8("precision", "Peer Clock Precision", form=_interval),
        U32("rootdelay", "Root Delay (s)", form=_fixed_point),
        U32("rootdispersion", "Root Dispersion (s)", form=_fixed_point),
        Bytes("refid", "Reference ID", 4),
        _stamp("reftime", "Reference Timestamp"),
        _stamp("org", "Origin Timestamp"),
        _stamp("rec", "Receive Timestamp"),
        _stamp("xmt", "Transmit Timestamp"),
    ),
)
OTHER = Header(
    "ntp",
    "Network Time Protocol",
    (
        Packed8(
            Bits(0xC0, "flags.li", "Leap Indicator", LEAP),
            Bits(0x38, "flags.vn", "Version number"),
            Bits(0x07, "flags.mode", "Mode", MODES),
        ),
    ),
)


@on("udp.port", 123)
def ntp(packet: Packet, at: int, limit: int) -> Step | None:
    """48 bytes of time stamps; modes 6 and 7 have a layout of their own."""
    packet.column("ntp")
    first = packet.uint("NTP", at, 1, limit)
    mode = first & 7
    layer, _ = packet.open(OTHER if mode in (0, 6, 7) else NTP, at, limit)
    packet.info = f"NTP Version {first >> 3 & 7}, {MODES[mode]}"
    layer.said = packet.info
    return Step((), layer.end, limit)
