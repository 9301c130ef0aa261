"""ICMP (RFC 792, 4884, 950, 1256) with the packet that an error quotes."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bits,
    Field,
    Header,
    Hex8,
    Hex16,
    Item,
    Packed8,
    Packed16,
    Packed32,
    address,
    group,
    milliseconds,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

TYPES = {
    0: "Echo (ping) reply",
    3: "Destination unreachable",
    4: "Source quench",
    5: "Redirect",
    8: "Echo (ping) request",
    9: "Router advertisement",
    10: "Router solicitation",
    11: "Time-to-live exceeded",
    12: "Parameter problem",
    13: "Timestamp request",
    14: "Timestamp reply",
    15: "Information request",
    16: "Information reply",
    17: "Address mask request",
    18: "Address mask reply",
    30: "Traceroute",
    31: "Datagram Conversion Error",
    32: "Mobile Host Redirect",
    40: "Photuris",
    42: "Extended Echo request",
    43: "Extended Echo reply",
}
COLUMN_WIDTH = 20
"""Types stand padded in the Info column, so that what follows lines up: `Echo (ping) reply    id=`."""

CODES = {
    3: {
        0: "Network unreachable",
        1: "Host unreachable",
        2: "Protocol unreachable",
        3: "Port unreachable",
        4: "Fragmentation needed",
        5: "Source route failed",
        6: "Destination network unknown",
        7: "Destination host unknown",
        8: "Source host isolated",
        9: "Network administratively prohibited",
        10: "Host administratively prohibited",
        11: "Network unreachable for TOS",
        12: "Host unreachable for TOS",
        13: "Communication administratively filtered",
        14: "Host precedence violation",
        15: "Precedence cutoff in effect",
    },
    5: {
        0: "Redirect for network",
        1: "Redirect for host",
        2: "Redirect for TOS and network",
        3: "Redirect for TOS and host",
    },
    9: {0: "Normal router advertisement", 16: "Does not route common traffic"},
    11: {0: "Time to live exceeded in transit", 1: "Fragment reassembly time exceeded"},
    40: {
        0: "Bad SPI",
        1: "Authentication failed",
        2: "Decompression failed",
        3: "Decryption failed",
        4: "Need authentication",
        5: "Need authorization",
    },
    42: {0: "No error"},
    43: {
        0: "No error",
        1: "Malformed query",
        2: "No such interface",
        3: "No such table entry",
        4: "Multiple interfaces satisfy query",
    },
    12: {0: "Pointer indicates the error", 1: "Required option missing", 2: "Bad length"},
}
ECHO = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
ERRORS = frozenset({3, 4, 5, 11, 12})

ICMP = Header(
    "icmp",
    "Internet Control Message Protocol",
    (U8("type", "Type", TYPES), U8("code", "Code"), Hex16("checksum", "Checksum")),
)
CHECKSUM_STATUS = number("icmp.checksum.status", "Checksum Status", STATUS)
IDENT = number("icmp.ident", "Identifier")
SEQUENCE = number("icmp.seq", "Sequence Number")
SEQUENCE_LE = number("icmp.seq_le", "Sequence Number (LE)")
UNUSED = octets("icmp.unused", "Unused")
LENGTH = number("icmp.length", "Length of original datagram")
MTU = number("icmp.mtu", "MTU of next hop")
GATEWAY = address("icmp.redir_gw", "Gateway Address", 4)
POINTER = number("icmp.pointer", "Pointer")
DATA_TIME = number("icmp.data_time", "Timestamp from icmp data")
ORIGINATE, RECEIVE, TRANSMIT = (
    number("icmp.originate_timestamp", "Originate Timestamp"),
    number("icmp.receive_timestamp", "Receive Timestamp"),
    number("icmp.transmit_timestamp", "Transmit Timestamp"),
)


ADVERTISEMENT = Header(
    "icmp",
    "Router advertisement",
    (
        U8("num_addrs", "Number of addresses"),
        U8("addr_entry_size", "Address entry size"),
        U16("lifetime", "Lifetime (s)"),
    ),
    name="",
)
ROUTER, PREFERENCE = (
    address("icmp.router_address", "Router address", 4),
    number("icmp.pref_level", "Preference level"),
)
MASK = address("icmp.address_mask", "Address Mask", 4)
EXTENDED_REQUEST = Header(
    "icmp",
    "Extended Echo",
    (
        U16("ident", "Identifier"),
        U8("ext.echo.seq", "Sequence Number"),
        Packed8(Bits(1, "ext.echo.req.local", "Local bit")),
    ),
    name="",
)
STATES = {0: "Reserved", 1: "Incomplete", 2: "Reachable", 3: "Stale", 4: "Delay", 5: "Probe", 6: "Failed"}
EXTENDED_REPLY = Header(
    "icmp",
    "Extended Echo",
    (
        U16("ident", "Identifier"),
        U8("ext.echo.seq", "Sequence Number"),
        Packed8(
            Bits(0xE0, "ext.echo.rsp.state", "State", STATES),
            Bits(0x04, "ext.echo.rsp.active", "Active bit"),
            Bits(0x02, "ext.echo.rsp.ipv4", "IPv4 bit"),
            Bits(0x01, "ext.echo.rsp.ipv6", "IPv6 bit"),
        ),
    ),
    name="",
)
EXTENSIONS = Header(
    "icmp.ext",
    "ICMP Multi-Part Extensions",
    (
        Packed16(Bits(0xF000, "version", "Version"), Bits(0x0FFF, "res", "Reserved", digits=3)),
        Hex16("checksum", "Checksum"),
    ),
)
CLASSES = {1: "MPLS Label Stack Class", 2: "Interface Information Object", 3: "Interface Identification Object"}
OBJECT = Header(
    "icmp.ext", "Object", (U16("length", "Length"), U8("class", "Class", CLASSES), Hex8("ctype", "C-Type")), name=""
)
OBJECT_HEAD, OBJECT_DATA = group("", "Object"), octets("icmp.ext.data", "Data")
LABEL = Header(
    "icmp.mpls",
    "Label",
    (
        Packed32(
            Bits(0xFFFFF000, "label", "Label"),
            Bits(0x00000E00, "exp", "Experimental"),
            Bits(0x00000100, "s", "Stack bit"),
            Bits(0x000000FF, "ttl", "Time to live"),
        ),
    ),
    name="",
)
RESPONSE_TO = number("icmp.resp_to", "Request frame")
RESPONSE_TIME = milliseconds("icmp.resptime", "Response time")
MAX_WAITING: Final = 4096
"""Echo requests that are remembered until they are answered."""
WITHOUT_LENGTH: Final = 128
"""Bytes of the quotation after which old routers put their extensions without saying so (RFC 4884, 5.2)."""


@on("ip.proto", 1)
def icmp(packet: Packet, at: int, limit: int) -> Step | None:
    """Type and code, then what the type has: identifier and number, or the packet that it is about."""
    packet.column("icmp")
    layer, (kind, code, _) = packet.open(ICMP, at, limit)
    name = TYPES.get(kind, f"Unknown ICMP type {kind}" if kind not in TYPES else "")
    meaning = CODES.get(kind, {}).get(code, "")
    layer.said = f"{name} ({meaning})" if meaning else name
    packet.info = f"{name:{COLUMN_WIDTH}} ({meaning})" if meaning else f"{name:{COLUMN_WIDTH}}"
    if packet.build:
        status = UNVERIFIED
        if limit <= packet.caplen and not packet.values.get("quoted"):
            status = GOOD if ones_sum(packet.data[at:limit]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 2)
    start = at + ICMP.size
    if kind in ECHO:
        return _echo(packet, layer, kind, start, limit)
    if kind in ERRORS:
        _error(packet, layer, kind, code, start, limit)
        return None
    if kind == 9:
        if code in (0, 16):
            packet.info = f"Mobile IP Advertisement ({meaning})"
        return _advertisement(packet, layer, start, limit)
    if kind in (42, 43):
        head = EXTENDED_REQUEST if kind == 42 else EXTENDED_REPLY
        packet.add_header(layer, head, start, limit)
        layer.size += head.size
        if start + head.size < limit:
            _extensions(packet, layer, start + head.size, limit)
        return None
    return Step((), start, limit)


def _advertisement(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    """Routers, each with a preference (RFC 1256, 4)."""
    count, size, _ = packet.add_header(layer, ADVERTISEMENT, at, limit)
    at += ADVERTISEMENT.size
    for _ in range(count if size >= 2 else 0):
        packet.add(layer, ROUTER, packet.take("ICMP router", at, 4, limit), at, 4)
        packet.add(layer, PREFERENCE, packet.uint("ICMP router", at + 4, 4, limit), at + 4, 4)
        at += 4 * size
    layer.size = at - layer.start
    return Step((), at, limit) if at < limit else None


def _extensions(packet: Packet, layer: Item, at: int, limit: int) -> None:
    """Objects of length, class and type (RFC 4884, 7); a label stack is one (RFC 4950)."""
    item = packet.add(layer, EXTENSIONS.field, None, at, limit - at)
    packet.add_header(item, EXTENSIONS, at, limit)
    at += EXTENSIONS.size
    while at < limit:
        part = packet.add(item, OBJECT_HEAD, None, at, OBJECT.size)
        size, kind, _ = packet.add_header(part, OBJECT, at, limit)
        part.said = CLASSES.get(kind, f"class {kind}")
        if size < OBJECT.size:
            packet.mark(f"ICMP extension length {size}, must be at least {OBJECT.size}", at)
            break
        if at + size > limit:
            packet.mark(f"ICMP extension length {size} beyond the {limit - at} bytes there", at)
            break
        packet.check("ICMP extension", at, size, limit)
        part.size = size
        if kind == 1:
            for where in range(at + OBJECT.size, at + size - 3, LABEL.size):
                packet.add_header(part, LABEL, where, at + size)
        elif size > OBJECT.size:
            packet.add(part, OBJECT_DATA, packet.data[at + 4 : at + size], at + 4, size - 4)
        at += size
    layer.size = max(layer.size, at - layer.start)


def match_echo(
    packet: Packet, layer: Item, fields: tuple[Field, Field], numbers: tuple[int, int], *, answer: bool
) -> None:
    """Which request a reply answers, and after how many milliseconds."""
    pair, waiting = packet.values.get("ip.pseudo", b""), packet.across("icmp.echo")
    half = len(pair) // 2
    key = (pair[half:] + pair[:half] if answer else pair, packet.values.get("vlan.id"), *numbers)
    if not answer:
        waiting[key] = packet.number, packet.ts
        waiting.move_to_end(key)
        if len(waiting) > MAX_WAITING:
            waiting.popitem(last=False)
        return
    number_, when = waiting.pop(key, (0, 0))
    if number_:
        packet.add(layer, fields[0], number_, layer.start, 0)
        packet.add(layer, fields[1], packet.ts - when, layer.start, 0)


def _echo(packet: Packet, layer: Item, kind: int, at: int, limit: int) -> Step:
    ident = packet.uint("ICMP", at, 2, limit)
    sequence = packet.uint("ICMP", at + 2, 2, limit)
    swapped = sequence >> 8 | (sequence & 0xFF) << 8
    packet.add(layer, IDENT, ident, at, 2, f"{ident} (0x{ident:04x})")
    packet.add(layer, SEQUENCE, sequence, at + 2, 2)
    packet.add(layer, SEQUENCE_LE, swapped, at + 2, 2)
    layer.size += 4
    packet.info += f" id=0x{ident:04x}, seq={sequence}/{swapped}, ttl={packet.values.get('ip.ttl', 0)}"
    if packet.build and kind in (0, 8):
        match_echo(packet, layer, (RESPONSE_TO, RESPONSE_TIME), (ident, sequence), answer=kind == 0)
    if kind in (13, 14):
        for field, where in ((ORIGINATE, at + 4), (RECEIVE, at + 8), (TRANSMIT, at + 12)):
            packet.add(layer, field, packet.uint("ICMP timestamp", where, 4, limit), where, 4)
            layer.size += 4
        return Step((), at + 16, limit)
    if kind in (17, 18):
        packet.add(layer, MASK, packet.take("ICMP address mask", at + 4, 4, limit), at + 4, 4)
        layer.size += 4
        return Step((), at + 8, limit)
    return Step((), at + 4, limit)


def _error(packet: Packet, layer: Item, kind: int, code: int, at: int, limit: int) -> None:
    packet.check("ICMP", at, 4, limit)
    word = packet.data[at : at + 4]
    if kind == 5:
        packet.add(layer, GATEWAY, word, at, 4)
    elif kind == 12:
        packet.add(layer, POINTER, word[0], at, 1)
    else:
        unused = 2 if kind == 3 and code == 4 else 4
        packet.add(layer, UNUSED, word[:unused], at, unused)
        if word[1]:
            packet.add(layer, LENGTH, word[1], at + 1, 1)
        if kind == 3 and code == 4:
            packet.add(layer, MTU, int.from_bytes(word[2:], "big"), at + 2, 2)
    layer.size += 4
    # With a length (in 4 bytes) the quote ends there and extensions follow (RFC 4884, 4).
    quoted = word[1] * 4 if kind in (3, 11, 12) else 0
    end = at + 4 + quoted if quoted and at + 4 + quoted <= limit else limit
    hidden = kind in (3, 11, 12) and not quoted and limit - at - 4 >= WITHOUT_LENGTH + EXTENSIONS.size
    if hidden and at + 4 + WITHOUT_LENGTH < packet.caplen and packet.data[at + 4 + WITHOUT_LENGTH] == 0x20:
        end = at + 4 + WITHOUT_LENGTH
    if at + 4 < packet.end(end):
        packet.quote(layer, step("ethertype", 0x0800, at + 4, end))
    if end < limit and end < packet.caplen:
        _extensions(packet, layer, end, limit)
