"""DNS (RFC 1035), over UDP and TCP, multicast DNS (RFC 6762) and LLMNR (RFC 4795)."""

from __future__ import annotations

from typing import NamedTuple

from netwatch.capture.dissect.dns_name import read_name
from netwatch.capture.dissect.dns_records import seconds, show_body
from netwatch.capture.dissect.dns_types import TYPES
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bit,
    Bits,
    Field,
    Header,
    Hex8,
    Hex16,
    Item,
    Packed16,
    duration,
    flag,
    group,
    number,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

OPCODES = {
    0: "Standard query",
    1: "Inverse query",
    2: "Server status request",
    4: "Zone change notification",
    5: "Dynamic update",
    6: "DNS Stateful operations",
}
RCODES = {
    0: "No error",
    1: "Format error",
    2: "Server failure",
    3: "No such name",
    4: "Not implemented",
    5: "Refused",
    6: "Name exists",
    7: "RRset exists",
    8: "RRset does not exist",
    9: "Not authoritative",
    10: "Name out of zone",
}
CLASSES = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

AUTHENTIC = 0x0020
ANSWER_FLAGS = (
    Bit(0x8000, "flags.response", "Response"),
    Bits(0x7800, "flags.opcode", "Opcode", OPCODES),
    Bit(0x0400, "flags.authoritative", "Authoritative"),
    Bit(0x0200, "flags.truncated", "Truncated"),
    Bit(0x0100, "flags.recdesired", "Recursion desired"),
    Bit(0x0080, "flags.recavail", "Recursion available"),
    Bit(0x0040, "flags.z", "Z"),
    Bit(AUTHENTIC, "flags.authenticated", "Answer authenticated"),
    Bit(0x0010, "flags.checkdisable", "Non-authenticated data"),
    Bits(0x000F, "flags.rcode", "Reply code", RCODES),
)
IN_QUERIES = frozenset({0x8000, 0x7800, 0x0200, 0x0100, 0x0040, 0x0010})
"""Flags that mean something in a query."""
QUERY_FLAGS = tuple(bit for bit in ANSWER_FLAGS if bit.mask in IN_QUERIES)
ASKED_FLAGS = tuple(bit for bit in ANSWER_FLAGS if bit.mask in IN_QUERIES or bit.mask == AUTHENTIC)
"""Of a query that asks whether the answer is authentic (RFC 6840, 5.7)."""


ANSWER_ROWS = (
    U16("count.queries", "Questions"),
    U16("count.answers", "Answer RRs"),
    U16("count.auth_rr", "Authority RRs"),
    U16("count.add_rr", "Additional RRs"),
)
UPDATE_ROWS = (
    U16("count.zones", "Zones"),
    U16("count.prerequisites", "Prerequisites"),
    U16("count.updates", "Updates"),
    U16("count.add_rr", "Additional RRs"),
)
"""What the sections of an update are (RFC 2136, 2.2)."""
LOCAL_FLAGS = (
    *ANSWER_FLAGS[:2],
    Bit(0x0400, "flags.conflict", "Conflict"),
    Bit(0x0200, "flags.truncated", "Truncated"),
    Bit(0x0100, "flags.tentative", "Tentative"),
    ANSWER_FLAGS[-1],
)
"""Of LLMNR (RFC 4795, 2.1.1)."""


def _said(flags: int) -> str:
    """The flags and what they make of the message: `0x8180 Standard query response, No error`."""
    said = f"0x{flags:04x} {OPCODES.get(flags >> 11 & 15, 'Unknown operation')}"
    return said if flags < 0x8000 else f"{said} response, {RCODES.get(flags & 15, 'Unknown error')}"


def _message(flags: tuple[Field, ...], counts: tuple[Field, ...] = ANSWER_ROWS) -> Header:
    return Header(
        "dns",
        "Domain Name System",
        (
            Hex16("id", "Transaction ID"),
            Field("flags", "Flags", plain="0x{:04x}".format, form=_said, code="H", size=2, bits=flags),
            *counts,
        ),
    )


DNS, ASKED, ANSWER = _message(QUERY_FLAGS), _message(ASKED_FLAGS), _message(ANSWER_FLAGS)
UPDATE, UPDATED = _message(QUERY_FLAGS, UPDATE_ROWS), _message(ANSWER_FLAGS, UPDATE_ROWS)
LOCAL, LOCAL_ANSWER = _message(LOCAL_FLAGS[:-1]), _message(LOCAL_FLAGS)
LENGTH = number("dns.length", "Length")

QUERY = text("dns.qry.name", "Name")
QUERY_LENGTH, QUERY_LABELS = number("dns.qry.name.len", "Name Length"), number("dns.count.labels", "Label Count")
QUERY_TYPE = number("dns.qry.type", "Type", TYPES)
QUERY_CLASS = number("dns.qry.class", "Class", CLASSES, digits=4)
QUERY_UNICAST = flag("dns.qry.qu", '"QU" question')
NAME = text("dns.resp.name", "Name")
SERVICE, SERVICE_PROTOCOL = text("dns.srv.service", "Service"), text("dns.srv.proto", "Protocol")
SERVICE_NAME = text("dns.srv.name", "Name")
TYPE = number("dns.resp.type", "Type", TYPES)
CLASS = number("dns.resp.class", "Class", CLASSES, digits=4)
FLUSH = flag("dns.resp.cache_flush", "Cache flush")
TTL = number("dns.resp.ttl", "Time to live", form=seconds)
DATA_LENGTH = number("dns.resp.len", "Data length")
UDP_SIZE = number("dns.rr.udp_payload_size", "UDP payload size")
EXTENDED = Header(
    "dns.resp",
    "Extended RCODE and flags",
    (
        Hex8("ext_rcode", "Higher bits in extended RCODE"),
        U8("edns0_version", "EDNS0 version"),
        Packed16(Bit(0x8000, "z.do", "DO bit"), Bits(0x7FFF, "z.reserved", "Reserved", digits=4)),
    ),
    name="",
)
SECTIONS = tuple(
    group("", label) for label in ("Queries", "Answers", "Authoritative nameservers", "Additional records")
)
RECORD = group("", "Record")
RESPONSE_TO, TIME = number("dns.response_to", "Request In"), duration("dns.time", "Time")
RETRANSMISSION = flag("dns.retransmission", "Retransmission")
REQUEST_AGAIN = flag("dns.retransmit_request", "Retransmitted request")
RESPONSE_AGAIN = flag("dns.retransmit_response", "Retransmitted response")
UNSOLICITED = flag("dns.unsolicited", "Unsolicited")
LAYERS = {
    "mdns": group("mdns", "Multicast Domain Name System"),
    "llmnr": group("llmnr", "Link-local Multicast Name Resolution"),
}
"""What the same message is called elsewhere."""
REQUEST_BEFORE = number("dns.retransmit_request_in", "Retransmitted request. Original request in")
RESPONSE_BEFORE = number("dns.retransmit_response_in", "Retransmitted response. Original response in")
SRV = 33
MAX_WAITING = 256
"""Questions of one conversation that are remembered until they are answered."""
NAMES_OWNER = frozenset({17, 18, 19, 20, 21, 42, 49, 51, 52, 55})
"""Types of which the Info column says whose record it is, not what it holds."""


class Flavour(NamedTuple):
    """What DNS, mDNS and LLMNR do differently."""

    name: str
    multicast: bool = False
    """The top bit of a class means unicast wanted, or cache flush (RFC 6762, 5.4 and 10.2)."""


@on("udp.port", 53)
def dns(packet: Packet, at: int, limit: int) -> Step | None:
    """A message in a datagram."""
    return _dissect(packet, at, limit, Flavour("dns"))


@on("udp.port", 5353)
def mdns(packet: Packet, at: int, limit: int) -> Step | None:
    """Multicast DNS."""
    return _dissect(packet, at, limit, Flavour("mdns", multicast=True))


@on("udp.port", 5355)
def llmnr(packet: Packet, at: int, limit: int) -> Step | None:
    """Link-local multicast name resolution."""
    return _dissect(packet, at, limit, Flavour("llmnr"))


@on("tcp.port", 53)
def dns_over_tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Messages behind a length of two bytes each (RFC 1035, 4.2.2)."""
    flavour = Flavour("dns")
    done = False
    while at < limit:
        packet.whole("DNS length", at, 2, limit)
        length = int.from_bytes(packet.data[at : at + 2], "big")
        if length < DNS.size:
            return Step((dns_over_tcp,), at, limit) if done else NOT_MINE
        packet.whole("DNS", at, 2 + length, limit)
        done = True
        _dissect(packet, at + 2, at + 2 + length, flavour, prefixed=2)
        at += 2 + length
    return None


def _dissect(packet: Packet, at: int, limit: int, flavour: Flavour, prefixed: int = 0) -> Step | None:
    packet.column(flavour.name)
    layer, (ident, flags, *counts) = packet.open(_header(packet, at, limit, flavour), at, limit)
    layer.field = LAYERS.get(flavour.name, layer.field)
    if prefixed and packet.build:
        layer.start -= prefixed
        layer.size += prefixed
        layer.children.insert(0, Item(LENGTH, limit - at, layer.start, prefixed))
    opcode, response = flags >> 11 & 15, flags & 0x8000
    info = [OPCODES.get(opcode, f"Unknown operation ({opcode})")]
    if response:
        info.append("response")
    info.append(f"0x{ident:04x}")
    if response and flags & 15:
        info.append(RCODES.get(flags & 15, f"Unknown error ({flags & 15})"))
    layer.said = " ".join(info[:2] if response else info[:1])
    where = at + DNS.size
    try:
        for section, count in enumerate(counts):
            if not count:
                continue
            read = _question if section == 0 else _record
            parent = packet.add(layer, SECTIONS[section], None, where, 0)
            for _ in range(count):
                where = read(packet, parent, flavour, at, where, limit, info)
                parent.size = where - parent.start
                layer.size = where - layer.start
    finally:
        packet.info = " ".join(info)
    if not flavour.multicast:
        _transaction(packet, layer, ident, bool(response))
    return Step((), where, limit) if where < limit else None


def _header(packet: Packet, at: int, limit: int, flavour: Flavour) -> Header:
    """What the flags and counts of this message mean."""
    flags = int.from_bytes(packet.rest(at + 2, min(at + 4, limit)).ljust(2, b"\0"), "big")
    answer = flags >> 15
    if flavour.name == "llmnr":
        return LOCAL_ANSWER if answer else LOCAL
    if flags >> 11 & 15 == 5:
        return UPDATED if answer else UPDATE
    return ANSWER if answer else ASKED if flags & AUTHENTIC else DNS


def _transaction(packet: Packet, layer: Item, ident: int, response: bool) -> None:
    """Which question this answers and how long that took, or whether either came before."""
    if packet.conversation is None:
        return
    memory = packet.memory("dns")
    asked, when, answered = memory.get(ident, (0, 0, 0))
    at = layer.start
    if not response:
        if asked and not answered:
            packet.add(layer, RETRANSMISSION, True, at, 0)
            packet.add(layer, REQUEST_AGAIN, True, at, 0)
            packet.add(layer, REQUEST_BEFORE, asked, at, 0)
            return
        if len(memory) >= MAX_WAITING and ident not in memory:
            del memory[next(iter(memory))]
        memory[ident] = packet.number, packet.ts, 0
    elif answered:
        packet.add(layer, RETRANSMISSION, True, at, 0)
        packet.add(layer, RESPONSE_AGAIN, True, at, 0)
        packet.add(layer, RESPONSE_BEFORE, answered, at, 0)
    elif asked:
        memory[ident] = asked, when, packet.number
        packet.add(layer, RESPONSE_TO, asked, at, 0)
        if packet.ts and when:
            packet.add(layer, TIME, packet.ts - when, at, 0)
    else:
        packet.add(layer, UNSOLICITED, True, at, 0)


def _question(
    packet: Packet, parent: Item, flavour: Flavour, message: int, at: int, limit: int, info: list[str]
) -> int:
    name, end = read_name(packet, message, at, limit)
    packet.check("DNS question", end, 4, limit)
    kind = int.from_bytes(packet.data[end : end + 2], "big")
    network = int.from_bytes(packet.data[end + 2 : end + 4], "big")
    kind_name = TYPES.get(kind, f"Unknown ({kind})")
    info.append(f"{kind_name} {name}")
    item = packet.add(parent, RECORD, None, at, end + 4 - at, f"{name}: type {kind_name}")
    packet.add(item, QUERY, name, at, end - at)
    packet.add(item, QUERY_LENGTH, len(name), at, end - at)
    packet.add(item, QUERY_LABELS, name.count(".") + 1, at, end - at)
    packet.add(item, QUERY_TYPE, kind, end, 2)
    if flavour.multicast:
        info[-1] += f', "{"QU" if network & 0x8000 else "QM"}" question'
        packet.add(item, QUERY_CLASS, network & 0x7FFF, end + 2, 2)
        packet.add(item, QUERY_UNICAST, network >> 15, end + 2, 1)
    else:
        packet.add(item, QUERY_CLASS, network, end + 2, 2)
    return end + 4


def _record(
    packet: Packet, parent: Item, flavour: Flavour, message: int, at: int, limit: int, info: list[str]
) -> int:
    name, end = read_name(packet, message, at, limit)
    packet.check("DNS record", end, 10, limit)
    kind, network = (int.from_bytes(packet.data[where : where + 2], "big") for where in (end, end + 2))
    length = int.from_bytes(packet.data[end + 8 : end + 10], "big")
    body = end + 10
    kind_name = TYPES.get(kind, f"Unknown ({kind})")
    item = packet.add(
        parent, RECORD, None, at, min(body + length, packet.end(limit)) - at, f"{name}: type {kind_name}"
    )
    _name(packet, item, kind, name, at, end - at)
    packet.add(item, TYPE, kind, end, 2)
    info.append(kind_name)
    if kind == 41:
        packet.add(item, UDP_SIZE, network, end + 2, 2)
        packet.add_header(item, EXTENDED, end + 4, limit)
    else:
        if flavour.multicast:
            packet.add(item, CLASS, network & 0x7FFF, end + 2, 2)
            packet.add(item, FLUSH, network >> 15, end + 2, 1)
            if network & 0x8000:
                info[-1] += ", cache flush"
        else:
            packet.add(item, CLASS, network, end + 2, 2)
        packet.add(item, TTL, int.from_bytes(packet.data[end + 4 : end + 8], "big"), end + 4, 4)
    packet.add(item, DATA_LENGTH, length, end + 8, 2)
    if length:
        packet.check("DNS record", body, length, limit)
        # An update deletes by records without data (RFC 2136, 2.5).
        said = show_body(packet, item, kind, message, body, body + length)
        if said:
            item.said += f", {said}"
        said = said or (name if kind in NAMES_OWNER else "")
        if said:
            info[-1] += f" {said}"
    return body + length


def _name(packet: Packet, item: Item, kind: int, name: str, at: int, size: int) -> None:
    """Whose record it is; the name of a service is made of three (RFC 2782)."""
    parts = name.split(".", 2) if kind == SRV else []
    if len(parts) == 3:
        for field, part in zip((SERVICE, SERVICE_PROTOCOL, SERVICE_NAME), parts, strict=True):
            packet.add(item, field, part, at, size)
    else:
        packet.add(item, NAME, name, at, size)
