"""NTP (RFC 5905, 7.3; control messages: RFC 9327)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netwatch.capture.dissect.kit import (
    U8,
    U32,
    Bits,
    Field,
    Header,
    Packed8,
    absolute,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import ipv4

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

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


def _octets(raw: bytes) -> str:
    return raw.hex()


def _reference(raw: bytes) -> str:
    """Letters of a clock, else the address of who the time is from (RFC 5905, 7.3)."""
    letters = raw.rstrip(b"\0")
    if letters and letters.isalnum():
        return letters.decode("ascii", "replace")
    return ipv4(raw) if any(raw) else "NULL"


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
        Field("refid", "Reference ID", plain=_octets, form=_reference, code="4s", size=4),
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


EXTENSION = group("ntp.ext", "Extension")
EXTENSION_TYPE = number(
    "ntp.ext.type",
    "Field Type",
    {
        0x0104: "Unique Identifier",
        0x0204: "NTS Cookie",
        0x0304: "NTS Cookie Placeholder",
        0x0404: "NTS Authenticator",
    },
    digits=4,
)
EXTENSION_SIZE, EXTENSION_VALUE = number("ntp.ext.length", "Length"), octets("ntp.ext.value", "Value")
KEY, MAC = octets("ntp.keyid", "Key ID"), octets("ntp.mac", "Message Authentication Code")
MACS, LONG_MACS = frozenset({4, 20, 24}), frozenset({36, 52, 68})
"""Bytes of a key's number and a digest: none for a crypto-NAK, MD5, SHA-1 (RFC 5905, 7.3); longer ones may as well be
an extension field with one of these behind it."""


@on("udp.port", 123)
def ntp(packet: Packet, at: int, limit: int) -> Step | None:
    """48 bytes of time stamps; modes 6 and 7 have a layout of their own."""
    packet.column("ntp")
    first = packet.uint("NTP", at, 1, limit)
    mode = first & 7
    layer, _ = packet.open(OTHER if mode in (0, 6, 7) else NTP, at, limit)
    packet.info = f"NTP Version {first >> 3 & 7}, {MODES[mode]}"
    layer.said = packet.info
    if mode in (0, 6, 7):
        return Step((), layer.end, limit)
    return _behind(packet, layer, layer.end, limit)


def _behind(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    """Extension fields (RFC 7822, 3), then who signed it."""
    while at < limit:
        left = limit - at
        kind, size = packet.uint("NTP extension", at, 2, limit), packet.uint("NTP extension", at + 2, 2, limit)
        fits = kind and 16 <= size <= left and size % 4 == 0
        if left in MACS or (left in LONG_MACS and not fits):
            packet.add(layer, KEY, packet.take("NTP key", at, 4, limit), at, 4)
            if left > 4:
                packet.add(layer, MAC, packet.take("NTP digest", at + 4, left - 4, limit), at + 4, left - 4)
            layer.size = packet.end(limit) - layer.start
            return None
        if not fits:
            return Step((), at, limit)
        item = packet.add(layer, EXTENSION, None, at, size)
        packet.add(item, EXTENSION_TYPE, kind, at, 2)
        packet.add(item, EXTENSION_SIZE, size, at + 2, 2)
        packet.add(item, EXTENSION_VALUE, packet.take("NTP extension", at + 4, size - 4, limit), at + 4, size - 4)
        at += size
        layer.size = packet.end(at) - layer.start
    return None
