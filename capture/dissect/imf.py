"""Internet messages (RFC 5322): what mail protocols carry."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Header, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step
from netwatch.capture.dissect.text_lines import as_text

__all__ = ["imf"]

IMF = Header("imf", "Internet Message Format", ())
FIELD = text("", "Header field")
MESSAGE_TEXT, TEXT_LINE = text("imf.message_text", "Message-Text"), text("", "Line")
RENAMED: Final = {b"content-type": "content.type", b"content-transfer-encoding": "content.transfer_encoding"}
NAMED: Final = {
    label.lower(): text(
        f"imf.{RENAMED.get(label.lower(), label.decode().lower().replace('-', '_'))}",
        label.decode(),
    )
    for label in (
        b"Date From Sender Reply-To To Cc Bcc Message-ID In-Reply-To References Subject Comments Keywords User-Agent "
        b"Return-Path Received MIME-Version Content-Type Content-Transfer-Encoding Delivered-To Importance Priority"
    ).split()
}
MAX_FIELDS: Final = 200
SHOWN_LINES: Final = 200
INFO_LINES: Final = 40


def imf(packet: Packet, at: int, limit: int) -> Step | None:
    """Header fields, which may be folded over lines (2.2.3), an empty line, and the body."""
    data, end = packet.data, packet.end(limit)
    packet.protocol += "/IMF"
    layer = packet.layer(IMF.field, at, end - at)
    fields: dict[bytes, bytes] = {}
    for _ in range(MAX_FIELDS):
        if at >= end:
            break
        after = _field_end(data, at, end)
        raw = data[at:after].rstrip(b"\r\n")
        if not raw:
            at = after
            break
        name, _, value = raw.partition(b":")
        value = value.strip()
        item = packet.add(layer, FIELD, raw, at, after - at)
        key = name.strip().lower()
        fields.setdefault(key, value)
        if key in NAMED:
            packet.add(item, NAMED[key], value, at + len(raw) - len(raw.split(b":", 1)[-1].lstrip()), len(value))
        at = after
    said = [f"{as_text(key)}: {as_text(fields[key])}, " for key in fields if key in (b"from", b"subject")]
    kind = fields.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    body = packet.add(layer, MESSAGE_TEXT, data[at:end], at, end - at)
    lines = data[at:end].split(b"\n", SHOWN_LINES)[:SHOWN_LINES]
    for line in lines:
        packet.add(body, TEXT_LINE, line.rstrip(b"\r"), at, min(len(line) + 1, end - at))
        at += len(line) + 1
    if kind:
        said.append(f" ({as_text(kind)})")
    else:
        said += [", " + as_text(line.rstrip(b"\r")) + "  " for line in lines[:INFO_LINES] if line]
    packet.info = layer.said = "".join(said)
    return None


def _field_end(data: bytes, at: int, end: int) -> int:
    """After the last line of a field: the next begins without a space."""
    while True:
        stop = data.find(b"\n", at, end)
        if stop < 0 or stop + 1 >= end:
            return end
        if data[stop + 1] not in b" \t" or stop - at <= 1:
            return stop + 1
        at = stop + 1
