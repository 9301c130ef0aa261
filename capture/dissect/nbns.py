"""NetBIOS over TCP/IP: name service, datagrams, session service (RFC 1001, 1002)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bit,
    Bits,
    Field,
    Header,
    Hex8,
    Hex16,
    Ip4,
    Item,
    Packed8,
    Packed16,
    address,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.text import ipv4

OPERATIONS = {
    0: "Name query",
    5: "Registration",
    6: "Release",
    7: "WACK",
    8: "Refresh",
    9: "Refresh (alternate opcode)",
    15: "Multi-homed registration",
}
CODES = {
    1: "Request was invalidly formatted",
    2: "Problem with NBNS, cannot process name",
    3: "Requested name does not exist",
    4: "Unsupported request error",
    5: "Refused error",
    6: "Active error",
    7: "Name in conflict error",
}
TYPES = {0x0A: "NULL", 0x20: "NB", 0x21: "NBSTAT", 0x01: "A", 0x02: "NS"}
ANSWER_FLAGS = (
    Bit(0x8000, "flags.response", "Response"),
    Bits(0x7800, "flags.opcode", "Opcode", OPERATIONS),
    Bit(0x0400, "flags.authoritative", "Authoritative"),
    Bit(0x0200, "flags.truncated", "Truncated"),
    Bit(0x0100, "flags.recdesired", "Recursion desired"),
    Bit(0x0080, "flags.recavail", "Recursion available"),
    Bit(0x0010, "flags.broadcast", "Broadcast"),
    Bits(0x000F, "flags.rcode", "Reply code", CODES),
)
IN_ANSWERS = frozenset({0x0400, 0x0080, 0x000F})
"""Flags that mean nothing in a request."""


def _message(flags: tuple[Field, ...]) -> Header:
    return Header(
        "nbns",
        "NetBIOS Name Service",
        (
            Hex16("id", "Transaction ID"),
            Packed16(*flags),
            U16("count.queries", "Questions"),
            U16("count.answers", "Answer RRs"),
            U16("count.auth_rr", "Authority RRs"),
            U16("count.add_rr", "Additional RRs"),
        ),
    )


NBNS, ANSWER = _message(tuple(bit for bit in ANSWER_FLAGS if bit.mask not in IN_ANSWERS)), _message(ANSWER_FLAGS)
NAME, TYPE, CLASS = text("nbns.name", "Name"), number("nbns.type", "Type", TYPES), number("nbns.class", "Class")
TTL, LENGTH = number("nbns.ttl", "Time to live"), number("nbns.data_length", "Data length")
FLAGS, ADDRESS = number("nbns.nb_flags", "Name flags", digits=4), address("nbns.addr", "Addr", 4)
DATA = octets("nbns.data", "Data")
RECORD = group("", "Record")
LONGEST_NAME = 255
"""Bytes of a name with its scope (RFC 1002, 4.1)."""
NAME_SIZE = 34
"""A length byte of 32, the name as letters A to P, the root label."""


def read_name(packet: Packet, message: int, at: int, limit: int) -> tuple[str, int]:
    """(name with its suffix as `HOST<20>`, offset after it). First-level encoding: RFC 1001, 14.1."""
    head = packet.uint("NetBIOS name", at, 1, limit)
    after = at + 2 if head >= 0xC0 else at
    if head >= 0xC0:
        target = message + (packet.uint("NetBIOS name", at, 2, limit) & 0x3FFF)
        if target >= at:
            raise Malformed("NetBIOS name: pointer does not lead back", at)
        at = target
        head = packet.uint("NetBIOS name", at, 1, limit)
    raw = packet.take("NetBIOS name", at + 1, head & 0x3F, limit)
    where = at + 1 + len(raw)
    scope: list[str] = []
    while size := packet.uint("NetBIOS name", where, 1, limit):
        if size > 63:
            raise Malformed("NetBIOS name: label", where)
        if where + 1 + size - at > LONGEST_NAME:
            raise Malformed(f"NetBIOS name: more than {LONGEST_NAME} bytes", at)
        scope.append(packet.take("NetBIOS name", where + 1, size, limit).decode("utf-8", "surrogateescape"))
        where += 1 + size
    name = _decode(raw)
    if scope:
        name += "." + ".".join(scope)
    return name, after if after > at else where + 1


def _decode(raw: bytes) -> str:
    """Two letters a byte; the last of 16 is the suffix. Control bytes stand as <01>, as nbtstat has it."""
    if len(raw) != 32 or any(not 0x41 <= letter <= 0x50 for letter in raw):
        return f"Illegal NetBIOS name ({raw.decode('utf-8', 'surrogateescape')})"
    plain = bytes((raw[i] - 0x41) << 4 | raw[i + 1] - 0x41 for i in range(0, 32, 2))
    shown = plain[:15].rstrip(b" \0") if plain[0] != 0x2A else b"*"
    letters = "".join(chr(code) if 0x20 <= code < 0x7F else f"<{code:02x}>" for code in shown)
    return f"{letters}<{plain[15]:02x}>"


@on("udp.port", 137)
def nbns(packet: Packet, at: int, limit: int) -> Step | None:
    """Questions and records as in DNS, with names of their own."""
    packet.column("nbns")
    answer = packet.rest(at + 2, min(at + 3, limit)) >= b"\x80"
    layer, (_, flags, questions, *records) = packet.open(ANSWER if answer else NBNS, at, limit)
    operation, response = flags >> 11 & 15, flags & 0x8000
    info = OPERATIONS.get(operation, f"Unknown ({operation})")
    layer.said = info + (" response" if response else "")
    packet.info = layer.said
    if response and flags & 15:
        packet.info += f", {CODES.get(flags & 15, 'Unknown error')}"
    where = at + NBNS.size
    for _ in range(questions):
        name, end = read_name(packet, at, where, limit)
        kind = packet.uint("NBNS question", end, 2, limit)
        item = packet.add(layer, RECORD, None, where, end + 4 - where, f"{name}: {TYPES.get(kind, kind)}")
        packet.check("NBNS question", end, 4, limit)
        packet.add(item, NAME, name, where, end - where)
        packet.add(item, TYPE, kind, end, 2)
        packet.add(item, CLASS, packet.uint("NBNS question", end + 2, 2, limit), end + 2, 2)
        packet.info += f" {TYPES.get(kind, f'Unknown ({kind})')} {name}"
        where = end + 4
        layer.size = where - at
    for section, count in enumerate(records):
        for _ in range(count):
            where = _record(packet, layer, at, where, limit, shown=section == 0)
            layer.size = where - at
    return None


def _record(packet: Packet, layer: Item, message: int, at: int, limit: int, *, shown: bool) -> int:
    name, end = read_name(packet, message, at, limit)
    kind = packet.uint("NBNS record", end, 2, limit)
    length = packet.uint("NBNS record", end + 8, 2, limit)
    body = end + 10
    packet.check("NBNS record", body, length, limit)
    item = packet.add(layer, RECORD, None, at, body + length - at, f"{name}: {TYPES.get(kind, kind)}")
    packet.add(item, NAME, name, at, end - at)
    packet.add(item, TYPE, kind, end, 2)
    packet.add(item, TTL, packet.uint("NBNS record", end + 4, 4, limit), end + 4, 4)
    packet.add(item, LENGTH, length, end + 8, 2)
    words = [TYPES.get(kind, f"Unknown ({kind})")]
    if kind == 0x20 and length >= 6:
        for where in range(body, body + length - 5, 6):
            packet.add(item, FLAGS, packet.uint("NBNS record", where, 2, limit), where, 2)
            host = packet.data[where + 2 : where + 6]
            packet.add(item, ADDRESS, host, where + 2, 4)
            words += [ipv4(host)] if len(words) == 1 else []
    elif length:
        packet.add(item, DATA, packet.data[body : body + length], body, length)
    if shown:
        packet.info += f" {' '.join(words)}"
    return body + length


DATAGRAMS = {
    0x10: "Direct_unique datagram",
    0x11: "Direct_group datagram",
    0x12: "Broadcast datagram",
    0x13: "Datagram error",
    0x14: "Datagram query request",
    0x15: "Datagram positive query response",
    0x16: "Datagram negative query response",
}
NBDGM = Header(
    "nbdgm",
    "NetBIOS Datagram Service",
    (
        U8("type", "Message Type", DATAGRAMS),
        Packed8(Bits(0x0C, "node_type", "Node Type"), Bits(0x03, "flags", "Fragment flags", digits=2)),
        Hex16("dgram_id", "Datagram ID"),
        Ip4("src.ip", "Source IP"),
        U16("src.port", "Source Port"),
    ),
)
DATAGRAM_REST = Header(
    "nbdgm", "Datagram", (U16("dgram_len", "Datagram length"), U16("pkt_offset", "Packet offset")), name=""
)
SOURCE_NAME, DESTINATION_NAME = (
    text("nbdgm.source_name", "Source name"),
    text("nbdgm.destination_name", "Destination name"),
)


@on("udp.port", 138)
def nbdgm(packet: Packet, at: int, limit: int) -> Step | None:
    """Two names, then SMB."""
    packet.column("nbdgm")
    layer, (kind, *_) = packet.open(NBDGM, at, limit)
    layer.said = packet.info = DATAGRAMS.get(kind, f"Unknown message type (0x{kind:02x})")
    where = at + NBDGM.size
    if kind not in (0x10, 0x11, 0x12):
        return Step((), where, limit)
    packet.add_header(layer, DATAGRAM_REST, where, limit)
    where += DATAGRAM_REST.size
    for field in (SOURCE_NAME, DESTINATION_NAME):
        name, end = read_name(packet, at, where, limit)
        packet.add(layer, field, name, where, end - where)
        where = end
        layer.size = where - at
    return step("nbss", 0, where, limit)


SESSIONS = {
    0x00: "Session message",
    0x81: "Session request",
    0x82: "Positive session response",
    0x83: "Negative session response",
    0x84: "Retarget session response",
    0x85: "Session keep-alive",
}
NBSS = Header("nbss", "NetBIOS Session Service", (Hex8("type", "Message Type", SESSIONS),))
NBSS_LENGTH = number("nbss.length", "Length")
CALLED, CALLING = text("nbss.called_name", "Called name"), text("nbss.calling_name", "Calling name")


@on("tcp.port", 139, 445)
def nbss(packet: Packet, at: int, limit: int) -> Step | None:
    """A type and a length; SMB within."""
    head = packet.data[at : at + 4]
    if head in SMB_MAGICS and packet.context is None:
        # Its four bytes of session service came in a segment of their own, as some servers send them.
        return step("nbss", 0, at, limit)
    begins = packet.data[at + 4 : min(at + 8, packet.end(limit))]
    if len(head) < 4 or head[0] not in SESSIONS:
        return NOT_MINE
    length = int.from_bytes(head[1:], "big")
    if head[0] == 0 and not any(magic.startswith(begins) for magic in SMB_MAGICS):
        return NOT_MINE
    if head[0] == 0 and len(begins) < 4 and not packet.streaming:
        return NOT_MINE
    end = at + 4 + length
    packet.whole("NetBIOS session", at, 4 + length, limit, SESSIONS[head[0]])
    packet.column("nbss")
    layer, (kind,) = packet.open(NBSS, at, limit)
    packet.add(layer, NBSS_LENGTH, length, at + 1, 3)
    layer.size = 4
    layer.said = packet.info = SESSIONS[kind]
    if kind == 0x81:
        called, after = read_name(packet, at, at + 4, end)
        packet.add(layer, CALLED, called, at + 4, after - at - 4)
        calling, last = read_name(packet, at, after, end)
        packet.add(layer, CALLING, calling, after, last - after)
        layer.size = last - at
        packet.info += f", to {called} from {calling}"
    elif kind == 0:
        packet.run(step("nbss", 0, at + 4, min(end, limit)))
    # The first message of a segment has the column.
    packet.info = packet.values.setdefault("nbss.info", packet.info)
    return Step((nbss,), end, limit) if end < limit else None


SMB_MAGICS = frozenset({b"\xffSMB", b"\xfeSMB", b"\xfdSMB", b"\xfcSMB"})
