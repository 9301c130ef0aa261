"""Small protocols over UDP: TFTP (RFC 1350), syslog (RFC 3164), WireGuard, RADIUS (RFC 2865), IKE (RFC 7296)."""

from __future__ import annotations

from netwatch.capture.dissect.ipv6 import esp
from netwatch.capture.dissect.kit import U8, U16, U32, Bytes, Header, Hex8, Hex32, number, octets, text
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.text import escape

OPCODES = {
    1: "Read Request",
    2: "Write Request",
    3: "Data Packet",
    4: "Acknowledgement",
    5: "Error Code",
    6: "Option Acknowledgement",
}
TFTP = Header("tftp", "Trivial File Transfer Protocol", (U16("opcode", "Opcode", OPCODES),))
FILE, MODE, BLOCK, ERROR = (
    text("tftp.source_file", "Source File"),
    text("tftp.type", "Type"),
    number("tftp.block", "Block"),
    text("tftp.error.message", "Error message"),
)
TFTP_DATA = octets("tftp.data", "Data")


@on("udp.port", 69)
def tftp(packet: Packet, at: int, limit: int) -> Step | None:
    """Requests go to port 69; what follows uses ports that only they tell."""
    packet.column("tftp")
    layer, (opcode,) = packet.open(TFTP, at, limit)
    packet.info = OPCODES.get(opcode, f"Unknown ({opcode})")
    where = at + TFTP.size
    rest = packet.rest(where, limit)
    if opcode in (1, 2):
        name, _, more = rest.partition(b"\0")
        mode = more.split(b"\0")[0]
        packet.add(layer, FILE, name, where, len(name))
        packet.add(layer, MODE, mode, where + len(name) + 1 if more else where, len(mode))
        packet.info += f", File: {escape(name)}, Transfer type: {escape(mode)}"
    elif opcode in (3, 4) and len(rest) >= 2:
        block = int.from_bytes(rest[:2], "big")
        packet.add(layer, BLOCK, block, where, 2)
        packet.info += f", Block: {block}"
        if opcode == 3:
            packet.add(layer, TFTP_DATA, rest[2:], where + 2, len(rest) - 2)
            packet.info += " (last)" if limit - where - 2 < 512 else ""
    elif opcode == 5 and len(rest) > 2:
        message = rest[2:].split(b"\0")[0]
        packet.add(layer, ERROR, message, where + 2, len(message))
        packet.info += f", Code: {int.from_bytes(rest[:2], 'big')}, Message: {escape(message)}"
    layer.size += len(rest)
    layer.said = packet.info
    return None


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


WIREGUARD_TYPES = {1: "Handshake Initiation", 2: "Handshake Response", 3: "Cookie Reply", 4: "Transport Data"}
WIREGUARD_SIZES = {1: 148, 2: 92, 3: 64}
"""Bytes of the messages of fixed size (WireGuard white paper, 5.4)."""
WIREGUARD = Header(
    "wg", "WireGuard Protocol", (U8("type", "Type", WIREGUARD_TYPES), Bytes("reserved", "Reserved", 3))
)
SENDER, RECEIVER = number("wg.sender", "Sender", digits=8), number("wg.receiver", "Receiver", digits=8)
COUNTER = number("wg.counter", "Counter")


@on("udp.port", 51820)
@signature("udp")
def wireguard(packet: Packet, at: int, limit: int) -> Step | None:
    """A type, three zeros and the size of its message; transport data only on the usual port."""
    head = packet.data[at : at + 4]
    size = limit - at
    if len(head) < 4 or head[0] not in WIREGUARD_TYPES or any(head[1:]):
        return NOT_MINE
    data = head[0] == 4 and size >= 32 and size % 16 == 0 and 51820 in packet.values.get("ports", ())
    if not data and WIREGUARD_SIZES.get(head[0]) != size:
        return NOT_MINE
    packet.column("wg")
    layer, (kind, _) = packet.open(WIREGUARD, at, limit)
    packet.info = WIREGUARD_TYPES[kind]
    where = at + WIREGUARD.size
    for field, word in {1: ((SENDER, "sender"),), 2: ((SENDER, "sender"), (RECEIVER, "receiver"))}.get(
        kind, ((RECEIVER, "receiver"),)
    ):
        value = int.from_bytes(packet.take("WireGuard", where, 4, limit), "little")
        packet.add(layer, field, value, where, 4)
        packet.info += f", {word}=0x{value:08X}"
        where += 4
    if kind == 4:
        counter = int.from_bytes(packet.take("WireGuard", where, 8, limit), "little")
        packet.add(layer, COUNTER, counter, where, 8)
        packet.info += f", counter={counter}, datalen={size - 16}"
        where += 8
    layer.size = where - at
    layer.said = WIREGUARD_TYPES[kind]
    return Step((), where, limit)


RADIUS_CODES = {
    1: "Access-Request",
    2: "Access-Accept",
    3: "Access-Reject",
    4: "Accounting-Request",
    5: "Accounting-Response",
    11: "Access-Challenge",
    12: "Status-Server",
    40: "Disconnect-Request",
    41: "Disconnect-ACK",
    42: "Disconnect-NAK",
    43: "CoA-Request",
    44: "CoA-ACK",
    45: "CoA-NAK",
}
RADIUS = Header(
    "radius",
    "RADIUS Protocol",
    (
        U8("code", "Code", RADIUS_CODES),
        U8("id", "Packet identifier"),
        U16("length", "Length"),
        Bytes("authenticator", "Authenticator", 16),
    ),
)
PAIR, PAIR_VALUE = number("radius.avp.type", "Type"), octets("", "Value")
USER_NAME = text("radius.User_Name", "User-Name")


@on("udp.port", 1645, 1646, 1812, 1813)
def radius(packet: Packet, at: int, limit: int) -> Step | None:
    """A head and pairs of attribute and value."""
    packet.column("radius")
    layer, (code, ident, length, _) = packet.open(RADIUS, at, limit)
    packet.info = f"{RADIUS_CODES.get(code, f'Unknown ({code})')} id={ident}"
    layer.said = packet.info
    end = min(limit, at + max(length, RADIUS.size))
    for kind, where, size in options(packet, "RADIUS attribute", at + RADIUS.size, end):
        item = packet.add(layer, PAIR, kind, where, size)
        field = USER_NAME if kind == 1 else PAIR_VALUE
        packet.add(item, field, packet.data[where + 2 : where + size], where + 2, size - 2)
        layer.size = where + size - at
    return None


EXCHANGES = {
    2: "Identity Protection (Main Mode)",
    4: "Aggressive",
    5: "Informational",
    32: "Quick Mode",
    34: "IKE_SA_INIT",
    35: "IKE_AUTH",
    36: "CREATE_CHILD_SA",
    37: "INFORMATIONAL",
}
ISAKMP = Header(
    "isakmp",
    "Internet Security Association and Key Management Protocol",
    (
        Bytes("ispi", "Initiator SPI", 8),
        Bytes("rspi", "Responder SPI", 8),
        U8("nextpayload", "Next payload"),
        Hex8("version", "Version"),
        U8("exchangetype", "Exchange type", EXCHANGES),
        Hex8("flags", "Flags"),
        Hex32("messageid", "Message ID"),
        U32("length", "Length"),
    ),
)


@on("udp.port", 500)
def isakmp(packet: Packet, at: int, limit: int) -> Step | None:
    """The head of IKE version 1 and 2."""
    packet.column("isakmp")
    layer, (_, _, _, version, exchange, flags, message, _) = packet.open(ISAKMP, at, limit)
    packet.info = EXCHANGES.get(exchange, f"Unknown exchange ({exchange})")
    if version >> 4 == 2:
        side, way = "Initiator" if flags & 8 else "Responder", "Response" if flags & 0x20 else "Request"
        packet.info += f" MID={message:02x} {side} {way}"
    layer.said = packet.info
    return Step((), at + ISAKMP.size, limit)


@on("udp.port", 4500)
def esp_in_udp(packet: Packet, at: int, limit: int) -> Step | None:
    """IKE behind four zeros, a single 0xff to keep the NAT's entry, else ESP (RFC 3948, 2)."""
    head = packet.rest(at, min(at + 4, limit))
    if head == bytes(4):
        return Step((isakmp,), at + 4, limit)
    if head == b"\xff" and limit - at == 1:
        packet.info = "NAT-keepalive"
        return Step((), at, limit)
    return Step((esp,), at, limit)
