"""RSVP (RFC 2205): the head and its objects; session, sender and filter in words."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import U8, U16, Bits, Header, Hex16, Item, Packed8, address, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import ipv4

MESSAGES = {
    1: "PATH Message",
    2: "RESV Message",
    3: "PATH ERROR Message",
    4: "RESV ERROR Message",
    5: "PATH TEAR Message",
    6: "RESV TEAR Message",
    7: "CONFIRM Message",
    12: "BUNDLE Message",
    13: "ACK Message",
    15: "SREFRESH Message",
    20: "HELLO Message",
    21: "NOTIFY Message",
}
RSVP = Header(
    "rsvp",
    "Resource ReserVation Protocol (RSVP)",
    (
        Packed8(Bits(0xF0, "version", "RSVP Version"), Bits(0x0F, "flags", "Flags", digits=2)),
        U8("msg", "Message Type", MESSAGES),
        Hex16("checksum", "Message Checksum"),
        U8("sending_ttl", "Sending TTL"),
        U8("", "Reserved"),
        U16("length", "Message length"),
    ),
)
CHECKSUM_STATUS = number("rsvp.checksum.status", "Checksum Status", STATUS)
CLASSES = {
    1: "SESSION",
    3: "HOP",
    4: "INTEGRITY",
    5: "TIME VALUES",
    6: "ERROR",
    7: "SCOPE",
    8: "STYLE",
    9: "FLOWSPEC",
    10: "FILTERSPEC",
    11: "SENDER TEMPLATE",
    12: "SENDER TSPEC",
    13: "ADSPEC",
    14: "POLICY",
    15: "CONFIRM",
    16: "LABEL",
    19: "LABEL REQUEST",
    20: "EXPLICIT ROUTE",
    21: "RECORD ROUTE",
    22: "HELLO",
    23: "MESSAGE-ID",
    207: "SESSION ATTRIBUTE",
}
OBJECT = number("rsvp.object", "Object class", CLASSES)
OBJECT_HEAD = Header(
    "rsvp", "Object", (U16("object.length", "Length"), U8("", "Class"), U8("ctype", "C-Type")), name=""
)
SESSION_IP, SESSION_PROTOCOL, SESSION_PORT = (
    address("rsvp.session.ip", "Destination address", 4),
    number("rsvp.session.proto", "Protocol"),
    number("rsvp.session.port", "Port number"),
)
SENDER_IP, SENDER_PORT = (
    address("rsvp.sender.ip", "Sender IPv4 address", 4),
    number("rsvp.sender.port", "Sender port number"),
)
DATA = octets("", "Data")
SESSION, FILTER, TEMPLATE = 1, 10, 11
IPV4_UDP = 1


@on("ip.proto", 46)
def rsvp(packet: Packet, at: int, limit: int) -> None:
    """Objects of length, class and type; the length counts all of it."""
    packet.column("rsvp")
    layer, (_, kind, _, _, _, length) = packet.open(RSVP, at, limit)
    packet.info = layer.said = MESSAGES.get(kind, f"Unknown ({kind})")
    end = min(limit, at + max(length, RSVP.size))
    if packet.build:
        status = UNVERIFIED
        if end <= packet.caplen and not packet.values.get("quoted"):
            status = GOOD if ones_sum(packet.data[at:end]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 2)
    packet.info += ". "
    where = at + RSVP.size
    said: dict[int, str] = {}
    while where < end:
        size, sort, form = packet.uint("RSVP object", where, 2, end), *packet.take("RSVP object", where + 2, 2, end)
        if size < OBJECT_HEAD.size:
            packet.mark(f"RSVP object length {size}, must be at least {OBJECT_HEAD.size}", where)
            break
        packet.check("RSVP object", where, size, end)
        item = packet.add(layer, OBJECT, sort, where, size)
        packet.add_header(item, OBJECT_HEAD, where, end)
        words = _value(packet, item, sort, form, where + 4, where + size)
        if words:
            said.setdefault(sort, words)
        where += size
        layer.size = where - at
    for sort in (SESSION, TEMPLATE, FILTER):
        if sort in said:
            packet.info += f"{CLASSES[sort]}: {said[sort]} "


def _value(packet: Packet, item: Item, sort: int, form: int, at: int, end: int) -> str:
    value = packet.data[at:end]
    if sort == SESSION and form == IPV4_UDP and len(value) >= 8:
        port = int.from_bytes(value[6:8], "big")
        packet.add(item, SESSION_IP, value[:4], at, 4)
        packet.add(item, SESSION_PROTOCOL, value[4], at + 4, 1)
        packet.add(item, SESSION_PORT, port, at + 6, 2)
        return f"IPv4, Destination {ipv4(value[:4])}, Protocol {value[4]}, Port {port}."
    if sort in (FILTER, TEMPLATE) and form == IPV4_UDP and len(value) >= 8:
        port = int.from_bytes(value[6:8], "big")
        packet.add(item, SENDER_IP, value[:4], at, 4)
        packet.add(item, SENDER_PORT, port, at + 6, 2)
        return f"IPv4, Sender {ipv4(value[:4])}, Port {port}."
    if value:
        packet.add(item, DATA, value, at, len(value))
    return ""
