"""ICMPv6 (RFC 4443), Neighbor Discovery (RFC 4861, 8106) and Multicast Listener Discovery (RFC 2710, 3810)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netwatch.capture.dissect.checksum import STATUS, show_checksum, verified
from netwatch.capture.dissect.icmp import match_echo
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bits,
    Bytes,
    Flags8,
    Flags32,
    Header,
    Hex16,
    Ip6,
    Item,
    address,
    group,
    milliseconds,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.text import ipv6, mac

TYPES = {
    1: "Destination Unreachable",
    2: "Packet Too Big",
    3: "Time Exceeded",
    4: "Parameter Problem",
    128: "Echo (ping) request",
    129: "Echo (ping) reply",
    130: "Multicast Listener Query",
    131: "Multicast Listener Report",
    132: "Multicast Listener Done",
    133: "Router Solicitation",
    134: "Router Advertisement",
    135: "Neighbor Solicitation",
    136: "Neighbor Advertisement",
    137: "Redirect",
    138: "Router Renumbering",
    139: "Node Information Query",
    140: "Node Information Reply",
    141: "Inverse Neighbor Discovery Solicitation",
    142: "Inverse Neighbor Discovery Advertisement",
    143: "Multicast Listener Report Message v2",
    144: "Home Agent Address Discovery Request",
    145: "Home Agent Address Discovery Reply",
    146: "Mobile Prefix Solicitation",
    147: "Mobile Prefix Advertisement",
    151: "Multicast Router Advertisement",
    152: "Multicast Router Solicitation",
    153: "Multicast Router Termination",
    155: "RPL Control",
    160: "Extended Echo request",
    161: "Extended Echo reply",
}
CODES = {
    1: {
        0: "no route to destination",
        1: "Administratively prohibited",
        2: "Beyond scope of source address",
        3: "Address unreachable",
        4: "Port unreachable",
        5: "Source address failed ingress/egress policy",
        6: "Reject route to destination",
        7: "Error in Source Routing Header",
    },
    3: {0: "hop limit exceeded in transit", 1: "fragment reassembly time exceeded"},
    139: {
        0: "Query subject = IPv6 addresses",
        1: "Query subject = Fully qualified domain names",
        2: "Query subject = IPv4 addresses",
    },
    140: {
        0: "Successful reply",
        1: "Responder refuses to supply answer",
        2: "Unknown query type",
    },
    155: {
        0x00: "DODAG Information Solicitation",
        0x01: "DODAG Information Object",
        0x02: "Destination Advertisement Object",
        0x03: "Destination Advertisement Object Acknowledgement",
        0x80: "Secure DODAG Information Solicitation",
        0x81: "Secure DODAG Information Object",
        0x82: "Secure Destination Advertisement Object",
    },
    160: {0: "No error"},
    161: {0: "No error", 1: "Malformed query", 2: "No such interface", 3: "No such table entry"},
    4: {
        0: "erroneous header field encountered",
        1: "unrecognized Next Header type encountered",
        2: "unrecognized IPv6 option encountered",
    },
}

ICMPV6 = Header(
    "icmpv6",
    "Internet Control Message Protocol v6",
    (U8("type", "Type", TYPES), U8("code", "Code"), Hex16("checksum", "Checksum")),
)
CHECKSUM_STATUS = number("icmpv6.checksum.status", "Checksum Status", STATUS)
ECHO = Header("icmpv6.echo", "Echo", (Hex16("identifier", "Identifier"), U16("sequence_number", "Sequence")), name="")
ERROR_WORD = Header("icmpv6", "Error", (Bytes("", "Reserved", 4),), name="")
TOO_BIG = Header("icmpv6", "Packet Too Big", (U32("mtu", "MTU"),), name="")
PROBLEM = Header("icmpv6", "Parameter Problem", (U32("pointer", "Pointer"),), name="")
SOLICITATION = Header("icmpv6.nd.rs", "Router Solicitation", (Bytes("", "Reserved", 4),), name="")
ADVERTISEMENT = Header(
    "icmpv6.nd.ra",
    "Router Advertisement",
    (
        U8("cur_hop_limit", "Cur hop limit"),
        Flags8(
            "flag",
            "Flags",
            Bit(0x80, "flag.m", "Managed address configuration"),
            Bit(0x40, "flag.o", "Other configuration"),
            Bit(0x20, "flag.h", "Home Agent"),
            Bits(0x18, "flag.prf", "Default Router Preference", {0: "Medium", 1: "High", 2: "Reserved", 3: "Low"}),
            Bit(0x04, "flag.p", "Proxy"),
        ),
        U16("router_lifetime", "Router lifetime (s)"),
        U32("reachable_time", "Reachable time (ms)"),
        U32("retrans_timer", "Retrans timer (ms)"),
    ),
    name="",
)
NEIGHBOR_SOLICITATION = Header(
    "icmpv6.nd.ns",
    "Neighbor Solicitation",
    (Bytes("", "Reserved", 4), Ip6("target_address", "Target Address")),
    name="",
)
NEIGHBOR_ADVERTISEMENT = Header(
    "icmpv6.nd.na",
    "Neighbor Advertisement",
    (
        Flags32(
            "flag",
            "Flags",
            Bit(0x80000000, "flag.r", "Router"),
            Bit(0x40000000, "flag.s", "Solicited"),
            Bit(0x20000000, "flag.o", "Override"),
        ),
        Ip6("target_address", "Target Address"),
    ),
    name="",
)
REDIRECT = Header(
    "icmpv6.rd",
    "Redirect",
    (
        Bytes("", "Reserved", 4),
        Ip6("=icmpv6.nd.rd.target_address", "Target Address"),
        Ip6("na.destination_address", "Destination Address"),
    ),
    name="",
)
LISTENER = Header(
    "icmpv6.mld",
    "Multicast Listener",
    (
        U16("maximum_response_delay", "Maximum Response Delay (ms)"),
        Bytes("", "Reserved", 2),
        Ip6("multicast_address", "Multicast Address"),
    ),
    name="",
)
QUERY = Header(
    "icmpv6.mld",
    "Multicast Listener Query, version 2",
    (
        U16("maximum_response_code", "Maximum Response Code"),
        Bytes("", "Reserved", 2),
        Ip6("multicast_address", "Multicast Address"),
        Flags8(
            "flag",
            "Flags",
            Bit(0x08, "flag.s", "Suppress Router-Side Processing"),
            Bits(0x07, "flag.qrv", "QRV (Querier's Robustness Variable)"),
        ),
        U8("qqi", "QQIC (Querier's Query Interval Code)"),
        U16("nb_sources", "Number of Sources"),
    ),
    name="",
)
QUERY_SOURCE = address("icmpv6.mld.source_address", "Source Address", 16)
REPORT = Header(
    "icmpv6.mldr",
    "Report",
    (Bytes("", "Reserved", 2), U16("nb_mcast_records", "Number of Multicast Address Records")),
    name="",
)
RECORD = group("icmpv6.mldr.mar", "Multicast Address Record")
RECORD_TYPES = {
    1: "Include",
    2: "Exclude",
    3: "Changed to include",
    4: "Changed to exclude",
    5: "Allow new sources",
    6: "Block old sources",
}
RECORD_HEAD = Header(
    "icmpv6.mldr.mar",
    "Multicast Address Record",
    (
        U8("record_type", "Record Type", RECORD_TYPES),
        U8("aux_data_len", "Aux Data Len"),
        U16("nb_sources", "Number of Sources"),
        Ip6("multicast_address", "Multicast Address"),
    ),
    name="",
)
RECORD_SOURCE = address("icmpv6.mldr.mar.source_address", "Source Address", 16)

OPTION_NAMES = {
    1: "Source link-layer address",
    2: "Target link-layer address",
    3: "Prefix information",
    4: "Redirected Header",
    5: "MTU",
    7: "Advertisement Interval",
    8: "Home Agent Information",
    14: "Nonce",
    24: "Route Information",
    25: "Recursive DNS Server",
    31: "DNS Search List",
    38: "PREF64",
}
OPTION = number("icmpv6.opt.type", "ICMPv6 Option")
OPTION_LENGTH = number("icmpv6.opt.length", "Length")
OPTION_DATA = octets("", "Data")
LINK_ADDRESS = address("icmpv6.opt.linkaddr", "Link-layer address", 6)
LINK_ADDRESSES = {
    1: address("icmpv6.opt.src_linkaddr", "Source Link-layer address", 6),
    2: address("icmpv6.opt.target_linkaddr", "Target Link-layer address", 6),
}
RESPONSE_TO = number("icmpv6.resp_to", "Response To")
RESPONSE_TIME = milliseconds("icmpv6.resptime", "Response Time")
PREFIX = Header(
    "icmpv6.opt.prefix",
    "Prefix information",
    (
        U8("length", "Prefix Length"),
        Flags8(
            "flag",
            "Flag",
            Bit(0x80, "flag.l", "On-link"),
            Bit(0x40, "flag.a", "Autonomous"),
            Bit(0x20, "flag.r", "Router Address"),
        ),
        U32("valid_lifetime", "Valid Lifetime"),
        U32("preferred_lifetime", "Preferred Lifetime"),
        Bytes("", "Reserved", 4),
        Ip6("=icmpv6.opt.prefix", "Prefix"),
    ),
    name="",
)
OPTION_MTU = Header("icmpv6.opt", "MTU", (Bytes("", "Reserved", 2), U32("mtu", "MTU")), name="")
SERVERS = Header(
    "icmpv6.opt.rdnss", "Recursive DNS Server", (Bytes("", "Reserved", 2), U32("lifetime", "Lifetime")), name=""
)
SERVER = address("icmpv6.opt.rdnss", "Recursive DNS Server", 16)
SEARCHED = Header(
    "icmpv6.opt.dnssl", "DNS Search List", (Bytes("", "Reserved", 2), U32("lifetime", "Lifetime")), name=""
)
DOMAIN = text("icmpv6.opt.dnssl", "Domain Name")
ROUTE = Header(
    "icmpv6.opt",
    "Route Information",
    (
        U8("prefix.length", "Prefix Length"),
        Flags8(
            "route_info.flag",
            "Flag",
            Bits(0x18, "route_info.flag.route_preference", "Route Preference", {0: "Medium", 1: "High", 3: "Low"}),
        ),
        U32("route_lifetime", "Route Lifetime"),
    ),
    name="",
)
ROUTE_PREFIX = address("icmpv6.opt.prefix", "Prefix", 16)
INTERVAL = Header(
    "icmpv6.opt",
    "Advertisement Interval",
    (Bytes("", "Reserved", 2), U32("advertisement_interval", "Advertisement Interval")),
    name="",
)
HOME_AGENT = Header(
    "icmpv6.opt.hai",
    "Home Agent",
    (Bytes("", "Reserved", 2), U16("preference", "Home Agent Preference"), U16("lifetime", "Home Agent Lifetime")),
    name="",
)
NONCE = octets("icmpv6.opt.nonce", "Nonce")
REDIRECTED = group("icmpv6.opt.redirected_packet", "Redirected Packet")
EXTENDED = Header(
    "icmpv6",
    "Extended Echo",
    (Hex16("echo.identifier", "Identifier"), U8("ext.echo.seq", "Sequence Number"), U8("", "Flags")),
    name="",
)


@on("ip.proto", 58)
def icmpv6(packet: Packet, at: int, limit: int) -> Step | None:
    """Type and code, then what the type has."""
    packet.column("icmpv6")
    layer, (kind, code, checksum) = packet.open(ICMPV6, at, limit)
    name = TYPES.get(kind, f"Unknown ({kind})")
    meaning = CODES.get(kind, {}).get(code, "")
    layer.said = packet.info = f"{name} ({meaning})" if meaning else name
    if packet.build:
        show_checksum(packet, layer, CHECKSUM_STATUS, verified(packet, 58, at, limit, checksum), at + 2)
    show = MESSAGES.get(kind)
    if show is None:
        return Step((), at + ICMPV6.size, limit)
    return show(packet, layer, at + ICMPV6.size, limit)


def _part(packet: Packet, layer: Item, header: Header, at: int, limit: int) -> tuple[Any, ...]:
    values = packet.add_header(layer, header, at, limit)
    layer.size = at + header.size - layer.start
    return values


def _echo(packet: Packet, layer: Item, at: int, limit: int) -> Step:
    ident, sequence = _part(packet, layer, ECHO, at, limit)
    packet.info += f" id=0x{ident:04x}, seq={sequence}, hop limit={packet.values.get('ip.ttl', 0)}"
    if packet.build:
        answer = packet.data[layer.start] == 129
        match_echo(packet, layer, (RESPONSE_TO, RESPONSE_TIME), (ident, sequence), answer=answer)
    return Step((), at + ECHO.size, limit)


def _error(header: Header) -> Callable[[Packet, Item, int, int], None]:
    def show(packet: Packet, layer: Item, at: int, limit: int) -> None:
        _part(packet, layer, header, at, limit)
        if at + 4 < packet.end(limit):
            packet.quote(layer, step("ethertype", 0x86DD, at + 4, limit))

    return show


def _router_solicitation(packet: Packet, layer: Item, at: int, limit: int) -> None:
    _part(packet, layer, SOLICITATION, at, limit)
    _options(packet, layer, at + SOLICITATION.size, limit, {1: "from"})


def _router_advertisement(packet: Packet, layer: Item, at: int, limit: int) -> None:
    _part(packet, layer, ADVERTISEMENT, at, limit)
    _options(packet, layer, at + ADVERTISEMENT.size, limit, {1: "from"})


def _neighbor_solicitation(packet: Packet, layer: Item, at: int, limit: int) -> None:
    _, target = _part(packet, layer, NEIGHBOR_SOLICITATION, at, limit)
    packet.info += f" for {ipv6(bytes(target))}"
    _options(packet, layer, at + NEIGHBOR_SOLICITATION.size, limit, {1: "from"})


def _neighbor_advertisement(packet: Packet, layer: Item, at: int, limit: int) -> None:
    flags, target = _part(packet, layer, NEIGHBOR_ADVERTISEMENT, at, limit)
    names = [name for bit, name in ((31, "rtr"), (30, "sol"), (29, "ovr")) if flags >> bit & 1]
    packet.info += f" {ipv6(bytes(target))}"
    if names:
        packet.info += f" ({', '.join(names)})"
    _options(packet, layer, at + NEIGHBOR_ADVERTISEMENT.size, limit, {2: "is at"})


def _redirect(packet: Packet, layer: Item, at: int, limit: int) -> None:
    _part(packet, layer, REDIRECT, at, limit)
    _options(packet, layer, at + REDIRECT.size, limit, {2: "is at"})


def _query(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    """Version 2 has more than a version 1 query's 24 bytes (RFC 3810, 8.1)."""
    if limit - at < QUERY.size:
        return _listener(packet, layer, at, limit)
    *_, count = _part(packet, layer, QUERY, at, limit)
    at += QUERY.size
    for _ in range(count):
        packet.add(layer, QUERY_SOURCE, packet.take("MLD source", at, 16, limit), at, 16)
        at += 16
    layer.size = at - layer.start
    return Step((), at, limit) if at < limit else None


def _extended(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    """A request for what an interface is like (RFC 8335)."""
    _part(packet, layer, EXTENDED, at, limit)
    return Step((), at + EXTENDED.size, limit) if at + EXTENDED.size < limit else None


def _listener(packet: Packet, layer: Item, at: int, limit: int) -> Step | None:
    _part(packet, layer, LISTENER, at, limit)
    return Step((), at + LISTENER.size, limit)


def _report(packet: Packet, layer: Item, at: int, limit: int) -> None:
    _, count = _part(packet, layer, REPORT, at, limit)
    at += REPORT.size
    for _ in range(int(count)):
        parent = packet.add(layer, RECORD, None, at, RECORD_HEAD.size)
        kind, extra, sources, group_ = packet.add_header(parent, RECORD_HEAD, at, limit)
        size = RECORD_HEAD.size + 16 * sources + 4 * extra
        packet.check("MLD record", at, size, limit)
        parent.size = size
        parent.said = f"{RECORD_TYPES.get(kind, kind)}: {ipv6(group_)}"
        for where in range(at + RECORD_HEAD.size, at + RECORD_HEAD.size + 16 * sources, 16):
            packet.add(parent, RECORD_SOURCE, packet.data[where : where + 16], where, 16)
        at += size
        layer.size = at - layer.start


def _options(packet: Packet, layer: Item, at: int, limit: int, words: dict[int, str]) -> None:
    """Type and length in 8 bytes (RFC 4861, 4.6); `words`: what the Info column says before a link-layer address."""
    for kind, where, length in options(packet, "ICMPv6 option", at, limit, unit=8):
        layer.size = where + length - layer.start
        item = packet.add(layer, OPTION, kind, where, length, f"{OPTION_NAMES.get(kind, 'Unknown')} ({kind})")
        packet.add(item, OPTION_LENGTH, length // 8, where + 1, 1, f"{length // 8} ({length} bytes)")
        body, size = where + 2, length - 2
        if kind in (1, 2) and size == 6:
            hardware = packet.data[body : body + 6]
            packet.add(item, LINK_ADDRESS, hardware, body, 6)
            packet.add(item, LINK_ADDRESSES[kind], hardware, body, 6)
            if kind in words:
                packet.info += f" {words[kind]} {mac(hardware)}"
        elif kind in OPTION_HEADERS and size >= OPTION_HEADERS[kind].size:
            header = OPTION_HEADERS[kind]
            packet.add_header(item, header, body, body + size)
            _behind(packet, item, kind, body + header.size, body + size)
        elif kind == 14:
            packet.add(item, NONCE, packet.data[body : body + size], body, size)
        elif kind == 4 and size > 6:
            quoted = packet.add(item, REDIRECTED, None, body + 6, size - 6)
            packet.quote(quoted, step("ethertype", 0x86DD, body + 6, body + size))
        else:
            packet.add(item, OPTION_DATA, packet.data[body : body + size], body, size)


def _behind(packet: Packet, item: Item, kind: int, at: int, end: int) -> None:
    """What follows an option's fixed fields: servers, a prefix of as many bytes as it needs, domains."""
    if kind == 25:
        for server in range(at, end - 15, 16):
            packet.add(item, SERVER, packet.data[server : server + 16], server, 16)
    elif kind == 24 and at < end:
        prefix = packet.data[at:end][:16].ljust(16, b"\0")
        packet.add(item, ROUTE_PREFIX, prefix, at, end - at)
    elif kind == 31:
        _domains(packet, item, at, end)


def _domains(packet: Packet, item: Item, at: int, end: int) -> None:
    """Names as in DNS, without compression; zeros fill the option (RFC 8106, 5.2)."""
    labels: list[bytes] = []
    start = at
    while at < end:
        size = packet.data[at]
        if not size:
            if labels:
                packet.add(item, DOMAIN, b".".join(labels), start, at + 1 - start)
            labels, start = [], at + 1
        else:
            labels.append(packet.data[at + 1 : min(end, at + 1 + size)])
        at += 1 + size


OPTION_HEADERS = {
    3: PREFIX,
    5: OPTION_MTU,
    7: INTERVAL,
    8: HOME_AGENT,
    24: ROUTE,
    25: SERVERS,
    31: SEARCHED,
}

MESSAGES: dict[int, Callable[[Packet, Item, int, int], Step | None]] = {
    1: _error(ERROR_WORD),
    2: _error(TOO_BIG),
    3: _error(ERROR_WORD),
    4: _error(PROBLEM),
    128: _echo,
    129: _echo,
    130: _query,
    131: _listener,
    132: _listener,
    133: _router_solicitation,
    134: _router_advertisement,
    135: _neighbor_solicitation,
    136: _neighbor_advertisement,
    137: _redirect,
    143: _report,
    160: _extended,
    161: _extended,
}
