"""STUN and TURN (RFC 8489, 8656)."""

from __future__ import annotations

from zlib import crc32

from netwatch.capture.dissect.kit import U16, Bytes, Header, Hex16, Item, address, flag, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.text import escape, ipv4, ipv6

METHODS = {
    0x001: "Binding",
    0x002: "SharedSecret",
    0x003: "Allocate",
    0x004: "Refresh",
    0x006: "Send",
    0x007: "Data",
    0x008: "CreatePermission",
    0x009: "Channel-Bind",
    0x00A: "Connect",
    0x00B: "ConnectionBind",
    0x00C: "ConnectionAttempt",
}
CLASSES = ("Request", "Indication", "Success Response", "Error Response")
MAGIC = 0x2112A442
PORT_NUMBER = 3478
ATTRIBUTES = {
    0x0001: "MAPPED-ADDRESS",
    0x0003: "CHANGE-REQUEST",
    0x0006: "USERNAME",
    0x0007: "PASSWORD",
    0x0008: "MESSAGE-INTEGRITY",
    0x0009: "ERROR-CODE",
    0x000A: "UNKNOWN-ATTRIBUTES",
    0x000C: "CHANNEL-NUMBER",
    0x000D: "LIFETIME",
    0x0012: "XOR-PEER-ADDRESS",
    0x0013: "DATA",
    0x0014: "REALM",
    0x0015: "NONCE",
    0x0016: "XOR-RELAYED-ADDRESS",
    0x0017: "REQUESTED-ADDRESS-FAMILY",
    0x0018: "EVEN-PORT",
    0x0019: "REQUESTED-TRANSPORT",
    0x001A: "DONT-FRAGMENT",
    0x001C: "MESSAGE-INTEGRITY-SHA256",
    0x001D: "PASSWORD-ALGORITHM",
    0x001E: "USERHASH",
    0x0020: "XOR-MAPPED-ADDRESS",
    0x0022: "RESERVATION-TOKEN",
    0x0024: "PRIORITY",
    0x0025: "USE-CANDIDATE",
    0x0026: "PADDING",
    0x0027: "RESPONSE-PORT",
    0x002A: "CONNECTION-ID",
    0x8002: "PASSWORD-ALGORITHMS",
    0x8003: "ALTERNATE-DOMAIN",
    0x8020: "XOR-MAPPED-ADDRESS",
    0x8022: "SOFTWARE",
    0x8023: "ALTERNATE-SERVER",
    0x8028: "FINGERPRINT",
    0x8029: "ICE-CONTROLLED",
    0x802A: "ICE-CONTROLLING",
    0x802B: "RESPONSE-ORIGIN",
    0x802C: "OTHER-ADDRESS",
    0xC057: "GOOG-NETWORK-INFO",
}
STUN = Header(
    "stun",
    "Session Traversal Utilities for NAT",
    (
        Hex16("type", "Message Type"),
        U16("length", "Message Length"),
        Bytes("cookie", "Message Cookie", 4),
        Bytes("id", "Message Transaction ID", 12),
    ),
)
ATTRIBUTE, LENGTH, VALUE = (
    number("stun.att.type", "Attribute Type", ATTRIBUTES, digits=4),
    number("stun.att.length", "Attribute Length"),
    octets("stun.value", "Value"),
)
PORT, ADDRESS4, ADDRESS6 = (
    number("stun.att.port", "Port"),
    address("stun.att.ipv4", "IP", 4),
    address("stun.att.ipv6", "IP", 16),
)
FAMILY = number("stun.att.family", "Protocol Family", {1: "IPv4", 2: "IPv6"})
METHOD = number("stun.type.method", "Message Method", METHODS, digits=4)
CLASS = number("stun.type.class", "Message Class", digits=4)
TRANSPORTS = {6: "TCP", 17: "UDP"}
NUMBERS = {
    0x000C: (number("stun.att.channelnum", "Channel-Number", digits=4), 2, "ChannelNumber=0x%04x"),
    0x000D: (number("stun.att.lifetime", "Lifetime"), 4, "lifetime: %d"),
    0x0019: (number("stun.att.transp", "Transport", TRANSPORTS), 1, ""),
    0x0024: (number("stun.att.priority", "Priority"), 4, ""),
    0x8028: (number("stun.att.crc32", "CRC-32", digits=8), 4, ""),
}
"""Attributes that are a number: its field, its bytes, what the Info column says of it."""
OCTETS = {
    0x0008: octets("stun.att.hmac", "HMAC-SHA1"),
    0x0022: octets("stun.att.token", "Token"),
    0x8029: octets("stun.att.tie-breaker", "Tie breaker"),
    0x802A: octets("stun.att.tie-breaker", "Tie breaker"),
}
CRC_STATUS = number("stun.att.crc32.status", "CRC-32 Status", {0: "Bad", 1: "Good"})
CHANGE_IP, CHANGE_PORT = flag("stun.att.change-ip", "Change IP"), flag("stun.att.change-port", "Change Port")
UNKNOWN = number("stun.att.unknown", "Unknown Attribute", ATTRIBUTES, digits=4)
CHANNEL = Header("stun", "ChannelData", (Hex16("channel", "Channel Number"), U16("length", "Message Length")))
FINGERPRINT_KEY = 0x5354554E
"""XORed over the CRC-32 (RFC 8489, 14.7)."""
TEXTS = {
    0x0006: (text("stun.att.username", "Username"), "user"),
    0x0014: (text("stun.att.realm", "Realm"), "realm"),
    0x0015: (text("stun.att.nonce", "Nonce"), ""),
    0x8022: (text("stun.att.software", "Software"), ""),
}
ERROR, REASON = number("stun.att.error", "Error Code"), text("stun.att.error.reason", "Error Reason Phrase")
ERRORS = {
    300: "Try Alternate",
    400: "Bad Request",
    401: "Unauthenticated",
    403: "Forbidden",
    420: "Unknown Attribute",
    437: "Allocation Mismatch",
    438: "Stale Nonce",
    441: "Wrong Credentials",
    486: "Allocation Quota Reached",
    487: "Role Conflict",
    500: "Server Error",
    508: "Insufficient Capacity",
}
PLAIN, XORED = frozenset({0x0001, 0x8023, 0x802B, 0x802C}), frozenset({0x0012, 0x0016, 0x0020, 0x8020})


def _channel(packet: Packet, at: int, limit: int) -> Step | None:
    """Data of a channel that was bound before (RFC 8656, 12.4): a number, a length, the bytes."""
    packet.column("stun", "ChannelData TURN Message")
    layer, (channel, length) = packet.open(CHANNEL, at, limit)
    layer.said = f"channel 0x{channel:04x}, {length} bytes"
    end = at + CHANNEL.size + length
    return Step((), at + CHANNEL.size, min(end, limit))


@on("udp.port", 3478)
@on("tcp.port", 3478)
@signature("udp")
def stun(packet: Packet, at: int, limit: int) -> Step | None:
    """The cookie at a fixed place and a length that fits say that it is STUN; without one (RFC 3489), the port."""
    head = packet.data[at : at + 8]
    if head[:1] and 0x40 <= head[0] <= 0x4F and packet.memory("stun") and len(head) >= 4:
        return _channel(packet, at, limit) if int.from_bytes(head[2:4], "big") + 4 <= limit - at else NOT_MINE
    if len(head) < 8 or head[0] & 0xC0:
        return NOT_MINE
    length = int.from_bytes(head[2:4], "big")
    if int.from_bytes(head[4:8], "big") != MAGIC:
        known = PORT_NUMBER in packet.values.get("ports", ()) and int.from_bytes(head[:2], "big") & 0x3EEF in METHODS
        if not known or at + STUN.size + length != limit:
            return NOT_MINE
    elif at + STUN.size + length > limit or (length & 3 and int.from_bytes(head[:2], "big") & 0x3EEF not in METHODS):
        return NOT_MINE
    packet.column("stun")
    layer, (kind, _, _, transaction) = packet.open(STUN, at, limit)
    method = kind & 0x000F | (kind & 0x00E0) >> 1 | (kind & 0x3E00) >> 2
    group = (kind & 0x0010) >> 4 | (kind & 0x0100) >> 7
    layer.said = f"{METHODS.get(method, f'Unknown (0x{method:03x})')} {CLASSES[group]}"
    packet.add(layer, CLASS, (kind & 0x0110) >> 4, at, 2, CLASSES[group])
    packet.add(layer, METHOD, method, at, 2)
    if method == 0x009 and group == 2:
        packet.memory("stun")["channel"] = True
        packet.settle_on(stun)
    words = [layer.said]
    where, end = at + STUN.size, at + STUN.size + length
    while where < end:
        code, size = packet.uint("STUN attribute", where, 2, end), packet.uint("STUN attribute", where + 2, 2, end)
        packet.check("STUN attribute", where + 4, size, end)
        item = packet.add(layer, ATTRIBUTE, code, where, 4 + size)
        packet.add(item, LENGTH, size, where + 2, 2)
        words += _attribute(packet, item, code, where + 4, size, transaction)
        if code == 0x8028 and size == 4:
            good = crc32(packet.data[at:where]) ^ FINGERPRINT_KEY == int.from_bytes(
                packet.data[where + 4 : where + 8], "big"
            )
            packet.add(item, CRC_STATUS, int(good), where + 4, 4)
        where += 4 + (size + 3 & ~3)
        layer.size = min(where, end) - at
        packet.info = " ".join(words)
    packet.info = " ".join(words)
    return Step((), end, limit)


def _attribute(packet: Packet, item: Item, code: int, at: int, size: int, transaction: bytes) -> list[str]:
    raw = packet.data[at : at + size]
    if code in PLAIN | XORED and size in (8, 20):
        key = (
            bytes(18) if code in PLAIN else (MAGIC >> 16).to_bytes(2, "big") + MAGIC.to_bytes(4, "big") + transaction
        )
        port = int.from_bytes(raw[2:4], "big") ^ int.from_bytes(key[:2], "big")
        host = bytes(one ^ other for one, other in zip(raw[4:], key[2:], strict=False))
        packet.add(item, FAMILY, raw[1], at + 1, 1)
        packet.add(item, PORT, port, at + 2, 2)
        packet.add(item, ADDRESS4 if size == 8 else ADDRESS6, host, at + 4, size - 4)
        return [f"{ATTRIBUTES[code]}: {ipv4(host) if size == 8 else ipv6(host)}:{port}"]
    if code in NUMBERS and size >= NUMBERS[code][1]:
        named, width, said = NUMBERS[code]
        value = int.from_bytes(raw[:width], "big")
        packet.add(item, named, value, at, width)
        return [said % value] if said else [TRANSPORTS[value]] if code == 0x0019 and value in TRANSPORTS else []
    if code in OCTETS:
        packet.add(item, OCTETS[code], raw, at, size)
        return []
    if code == 0x0003 and size == 4:
        packet.add(item, CHANGE_IP, bool(raw[3] & 4), at + 3, 1)
        packet.add(item, CHANGE_PORT, bool(raw[3] & 2), at + 3, 1)
        return []
    if code == 0x000A:
        for where in range(0, size - 1, 2):
            packet.add(item, UNKNOWN, int.from_bytes(raw[where : where + 2], "big"), at + where, 2)
        return []
    if code in TEXTS:
        field, word = TEXTS[code]
        packet.add(item, field, raw, at, size)
        return [f"{word}: {escape(raw)}"] if word else ["with nonce"] if code == 0x0015 else []
    if code == 0x0009 and size >= 4:
        number_ = raw[2] * 100 + raw[3]
        packet.add(item, ERROR, number_, at + 2, 2)
        packet.add(item, REASON, raw[4:], at + 4, size - 4)
        return [f"error-code: {number_} ({ERRORS.get(number_, 'Unknown')}) {escape(raw[4:])}"]
    if size:
        packet.add(item, VALUE, raw, at, size)
    return []
