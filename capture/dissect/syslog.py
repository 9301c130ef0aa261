"""Syslog (RFC 3164, 5424)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netwatch.capture.dissect.kit import Header, number, text
from netwatch.capture.dissect.packet import MAX_INFO, Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

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

VERSION, TIMESTAMP, TIMESTAMP3164, HOST, PROGRAM, PROCESS, ID = (
    text("syslog.version", "Syslog version"),
    text("syslog.timestamp", "Syslog timestamp"),
    text("syslog.timestamp_rfc3164", "Syslog timestamp (RFC3164)"),
    text("syslog.hostname", "Syslog hostname"),
    text("syslog.appname", "Syslog app name"),
    text("syslog.procid", "Syslog process id"),
    text("syslog.msgid", "Syslog message id"),
)
RFC3164 = re.compile(
    rb"(\w{3} [ \d]\d \d\d:\d\d:\d\d) (?:(\S{1,255}) )?(?:([^\s:\[]{1,64})(?:\[([^\]\s]{1,32})\])?:)?"
)
RFC5424 = re.compile(rb"(\d{1,2}) (\S{1,64}) (\S{1,255}) (\S{1,64}) (\S{1,128}) (\S{1,64})(?: |$)")


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
    item = packet.add(layer, MESSAGE, message, start, len(message))
    if known:
        _parts(packet, item, start, message)
    layer.said = packet.info.rstrip(": ")
    packet.info += escape(message[:MAX_INFO])
    return None


def _parts(packet: Packet, item: Item, at: int, message: bytes) -> None:
    """What both forms say of who wrote it."""
    for pattern, fields in (
        (RFC5424, (VERSION, TIMESTAMP, HOST, PROGRAM, PROCESS, ID)),
        (RFC3164, (TIMESTAMP3164, HOST, PROGRAM, PROCESS)),
    ):
        found = pattern.match(message)
        if found is None:
            continue
        for index, field in enumerate(fields, 1):
            value = found[index]
            if value and value != b"-":
                packet.add(item, field, value, at + found.start(index), len(value))
        return
