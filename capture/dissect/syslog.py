"""Syslog (RFC 3164)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Header, number, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape

LEVELS = ("EMERG", "ALERT", "CRIT", "ERR", "WARNING", "NOTICE", "INFO", "DEBUG")
FACILITIES = [
    "KERN",
    "USER",
    "MAIL",
    "DAEMON",
    "AUTH",
    "SYSLOG",
    "LPR",
    "NEWS",
    "UUCP",
    "CRON",
    "AUTHPRIV",
    "FTP",
    "NTP",
    "LOGAUDIT",
    "LOGALERT",
    "CRON2",
    "LOCAL0",
    "LOCAL1",
    "LOCAL2",
    "LOCAL3",
    "LOCAL4",
    "LOCAL5",
    "LOCAL6",
    "LOCAL7",
]
SYSLOG = Header("syslog", "Syslog message", ())
FACILITY, LEVEL, MESSAGE = (
    number("syslog.facility", "Facility", dict(enumerate(FACILITIES))),
    number("syslog.level", "Level", dict(enumerate(LEVELS))),
    text("syslog.msg", "Message"),
)


@on("udp.port", 514)
def syslog(packet: Packet, at: int, limit: int) -> Step | None:
    """A priority in angle brackets, then text."""
    raw = packet.rest(at, limit)
    digits, closed, message = raw[1:5].partition(b">")[0], raw[:6].find(b">"), raw
    known = raw[:1] == b"<" and digits.isdigit() and 1 < closed < 5 and int(digits) < 8 * len(FACILITIES)
    packet.column("syslog")
    layer = packet.layer(SYSLOG.field, at, len(raw))
    start = at
    if known:
        priority = int(digits)
        packet.add(layer, FACILITY, priority >> 3, at, closed + 1)
        packet.add(layer, LEVEL, priority & 7, at, closed + 1)
        packet.info = f"{FACILITIES[priority >> 3]}.{LEVELS[priority & 7]}: "
        start, message = at + closed + 1, raw[closed + 1 :]
    packet.add(layer, MESSAGE, message, start, len(message))
    layer.said = packet.info.rstrip(": ")
    packet.info += escape(message.rstrip(b"\r\n\0"))
    return None
