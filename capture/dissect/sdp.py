"""SDP (RFC 8866): what two endpoints agree to send, and where to."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from netwatch.capture.dissect.kit import Header, Item, number, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step
from netwatch.capture.dissect.rtp import PAYLOAD_TYPES, announce
from netwatch.capture.dissect.text_lines import as_text

__all__ = ["sdp"]

SDP = Header("sdp", "Session Description Protocol", ())
LINES: Final = {
    key: text(f"sdp.{name}", f"{label} ({key.decode()})")
    for key, name, label in (
        (b"v", "version", "Session Description Protocol Version"),
        (b"o", "owner", "Owner/Creator, Session Id"),
        (b"s", "session_name", "Session Name"),
        (b"i", "session_info", "Session Information"),
        (b"u", "uri", "URI of Description"),
        (b"e", "email", "E-mail Address"),
        (b"p", "phone", "Phone Number"),
        (b"c", "connection_info", "Connection Information"),
        (b"b", "bandwidth", "Bandwidth Information"),
        (b"t", "time", "Time Description, active time"),
        (b"r", "repeat_time", "Repeat Time"),
        (b"z", "timezone", "Time Zone Adjustments"),
        (b"k", "encryption_key", "Encryption Key"),
        (b"a", "session_attr", "Session Attribute"),
        (b"m", "media", "Media Description, name and address"),
    )
}
MEDIA_ATTRIBUTE = text("sdp.media_attr", "Media Attribute (a)")
UNKNOWN = text("sdp.unknown", "Unknown")
PARTS: Final = {
    b"o": tuple(
        text(f"sdp.owner.{name}", label)
        for name, label in (
            ("username", "Owner Username"),
            ("sessionid", "Session ID"),
            ("version", "Session Version"),
            ("network_type", "Owner Network Type"),
            ("address_type", "Owner Address Type"),
            ("address", "Owner Address"),
        )
    ),
    b"c": tuple(
        text(f"sdp.connection_info.{name}", label)
        for name, label in (
            ("network_type", "Connection Network Type"),
            ("address_type", "Connection Address Type"),
            ("address", "Connection Address"),
        )
    ),
    b"t": (text("sdp.time.start", "Session Start Time"), text("sdp.time.stop", "Session Stop Time")),
}
MEDIA, PORT = text("sdp.media.media", "Media Type"), number("sdp.media.port", "Media Port")
PROTOCOL, FORMAT = text("sdp.media.proto", "Media Protocol"), text("sdp.media.format", "Media Format")
FIELD, VALUE = (
    text("sdp.media_attribute.field", "Media Attribute Fieldname"),
    text("sdp.media_attribute.value", "Media Attribute Value"),
)
MIME, RATE = text("sdp.mime.type", "MIME Type"), text("sdp.sample_rate", "Sample Rate")

MAX_LINES: Final = 400
MAX_MEDIA: Final = 16
"""Streams that one description may announce."""


class _Media:
    """One `m=` line and what stands below it."""

    def __init__(self, port: int, rtp: bool, host: bytes) -> None:
        self.port = port
        self.rtp = rtp
        self.host = host
        self.names: dict[int, str] = {}
        self.control = 0


def sdp(packet: Packet, at: int, limit: int) -> Step | None:
    """Lines of a letter and a value; each stream is announced to who dissects it."""
    data, end = packet.data, packet.end(limit)
    layer = packet.layer(SDP.field, at, end - at)
    media: list[_Media] = []
    host = b""
    for _ in range(MAX_LINES):
        if at >= end:
            break
        stop = data.find(b"\n", at, end)
        after = end if stop < 0 else stop + 1
        line = data[at:after].rstrip(b"\r\n")
        key, _, value = line.partition(b"=")
        field = MEDIA_ATTRIBUTE if key == b"a" and media else LINES.get(key, UNKNOWN)
        item = packet.add(layer, field, value, at, after - at)
        words = _parts(packet, item, key, value, at + 2)
        if key == b"m" and len(words) >= 3:
            port = words[1].split(b"/", 1)[0]
            number_ = int(port) if port.isdigit() and len(port) < 6 else 0
            media.append(_Media(number_ & 0xFFFF, b"RTP/" in words[2], host))
        elif key == b"c" and len(words) >= 3:
            found = _host(words[2])
            if media:
                media[-1].host = found
            else:
                host = found
        elif key == b"a" and media:
            _attribute(media[-1], value)
        at = after
    for each in media[:MAX_MEDIA]:
        if each.rtp and each.port and any(each.host):
            announce(packet, each.host, each.port, "SDP", each.names, each.control)
    return None


def _parts(packet: Packet, item: Item, key: bytes, value: bytes, at: int) -> list[bytes]:
    """The words of a line, those with a name of their own as items."""
    words = value.split(b" ")[:64]
    fields = PARTS.get(key, ())
    if key == b"a":
        name, colon, rest = value.partition(b":")
        packet.add(item, FIELD, name, at, len(name))
        if colon:
            packet.add(item, VALUE, rest, at + len(name) + 1, len(rest))
        kind, slash, rate = rest.partition(b" ")[2].partition(b"/")
        if name == b"rtpmap" and slash:
            packet.add(item, MIME, kind, at + value.find(b" ") + 1, len(kind))
            packet.add(item, RATE, rate.split(b"/", 1)[0], at + value.find(b"/") + 1, len(rate.split(b"/", 1)[0]))
    for index, word in enumerate(words if packet.build else ()):
        if key == b"m":
            _media_word(packet, item, index, word, at)
        elif index < len(fields):
            packet.add(item, fields[index], word, at, len(word))
        at += len(word) + 1
    return words


def _media_word(packet: Packet, item: Item, index: int, word: bytes, at: int) -> None:
    if index == 1:
        port = word.split(b"/", 1)[0]
        if port.isdigit() and len(port) < 6:
            packet.add(item, PORT, int(port), at, len(word))
    elif index < 3:
        packet.add(item, (MEDIA, PORT, PROTOCOL)[index], word, at, len(word))
    else:
        known = PAYLOAD_TYPES.get(int(word)) if word.isdigit() and len(word) < 4 else None
        dynamic = f"DynamicRTP-Type-{as_text(word)}" if word.isdigit() else as_text(word)
        packet.add(item, FORMAT, known or dynamic, at, len(word))


def _host(word: bytes) -> bytes:
    """An address as bytes; empty where it is a name, or all zeros: on hold (RFC 3264, 8.4)."""
    try:
        return ip_address(as_text(word.split(b"/", 1)[0])).packed
    except ValueError:
        return b""


def _attribute(media: _Media, value: bytes) -> None:
    name, _, rest = value.partition(b":")
    if name == b"rtpmap":
        code, _, kind = rest.partition(b" ")
        if code.isdigit() and len(code) < 4 and int(code) not in PAYLOAD_TYPES:
            media.names[int(code) & 0x7F] = as_text(kind.split(b"/", 1)[0][:32])
    elif name == b"rtcp":
        port = rest.split(b" ", 1)[0]
        media.control = int(port) & 0xFFFF if port.isdigit() and len(port) < 6 else 0
    elif name == b"rtcp-mux":
        media.control = media.port
