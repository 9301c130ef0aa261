"""GTP version 2 (3GPP TS 29.274): how sessions and bearers are set up: a head, and information elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.framed import Cursor, contained
from netwatch.capture.dissect.gtpv2_names import CAUSES, INTERFACES, KINDS, PDN_TYPES, RADIO, SELECTIONS, TYPES
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bits,
    Flags8,
    Header,
    Packed8,
    address,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from collections.abc import Callable

    from netwatch.capture.dissect.kit import Field, Item

GTPV2: Final = Header(
    "gtpv2",
    "GPRS Tunneling Protocol V2",
    (
        Flags8(
            "flags",
            "Flags",
            Bits(0xE0, "version", "Version"),
            Bits(0x10, "p", "Piggybacking flag (P)"),
            Bits(0x08, "t", "TEID flag (T)"),
            Bits(0x04, "mp", "Message Priority(MP)"),
        ),
        U8("message_type", "Message Type", TYPES),
        U16("msg_length", "Message Length"),
    ),
)
TEID: Final = number("gtpv2.teid", "Tunnel Endpoint Identifier", digits=8)
SEQUENCE: Final = number("gtpv2.seq", "Sequence Number", digits=6)
ELEMENT: Final = group("", "Information element")
HEAD: Final = Header(
    "gtpv2",
    "Element",
    (
        U8("ie_type", "IE Type", KINDS),
        U16("ie_len", "IE Length"),
        Packed8(Bits(0xF0, "cr", "CR flag"), Bits(0x0F, "instance", "Instance")),
    ),
    name="",
)
CAUSE: Final = Header(
    "gtpv2",
    "Cause",
    (
        U8("cause", "Cause", CAUSES),
        Packed8(
            Bit(0x04, "pce", "PCE (PDN Connection IE Error)"),
            Bit(0x02, "bce", "BCE (Bearer Context IE Error)"),
            Bit(0x01, "cs", "CS (Cause Source)"),
        ),
    ),
    name="",
)
OFFENDING: Final = number("gtpv2.cause_off_ie_t", "Type of the offending IE", KINDS)
TUNNEL: Final = Header(
    "gtpv2",
    "F-TEID",
    (
        Packed8(
            Bit(0x80, "f_teid_v4", "V4"),
            Bit(0x40, "f_teid_v6", "V6"),
            Bits(0x3F, "f_teid_interface_type", "Interface Type", INTERFACES),
        ),
    ),
    name="",
)
TUNNEL_ID: Final = number("gtpv2.f_teid_gre_key", "TEID/GRE Key", digits=8)
TUNNEL_4, TUNNEL_6 = address("gtpv2.f_teid_ipv4", "F-TEID IPv4", 4), address("gtpv2.f_teid_ipv6", "F-TEID IPv6", 16)
QOS: Final = Header(
    "gtpv2",
    "Bearer QoS",
    (
        Packed8(
            Bit(0x40, "bearer_qos_pci", "PCI (Pre-emption Capability)"),
            Bits(0x3C, "bearer_qos_pl", "PL (Priority Level)"),
            Bit(0x01, "bearer_qos_pvi", "PVI (Pre-emption Vulnerability)"),
        ),
        U8("bearer_qos_label_qci", "Label (QCI)"),
    ),
    name="",
)
RATES: Final = (
    number("gtpv2.bearer_qos_mbr_up", "Maximum Bit Rate For Uplink"),
    number("gtpv2.bearer_qos_mbr_down", "Maximum Bit Rate For Downlink"),
    number("gtpv2.bearer_qos_gbr_up", "Guaranteed Bit Rate For Uplink"),
    number("gtpv2.bearer_qos_gbr_down", "Guaranteed Bit Rate For Downlink"),
)
MOST_RATE: Final = Header(
    "gtpv2",
    "AMBR",
    (
        U32("ambr_up", "AMBR Uplink (Aggregate Maximum Bit Rate for Uplink)"),
        U32("ambr_down", "AMBR Downlink(Aggregate Maximum Bit Rate for Downlink)"),
    ),
    name="",
)
APN: Final = text("gtpv2.apn", "APN (Access Point Name)")
IMSI, MSISDN, MEI = (
    text("e212.imsi", "IMSI"),
    text("e164.msisdn", "E.164 number (MSISDN)"),
    text("gtpv2.mei", "MEI(Mobile Equipment Identity)"),
)
COUNTRY, NETWORK = number("e212.mcc", "Mobile Country Code (MCC)"), number("e212.mnc", "Mobile Network Code (MNC)")
PDN_TYPE: Final = number("gtpv2.pdn_type", "PDN Type", PDN_TYPES)
PDN_4, PDN_6 = (
    address("gtpv2.pdn_addr_and_prefix.ipv4", "PDN Address and Prefix(IPv4)", 4),
    address("gtpv2.pdn_addr_and_prefix.ipv6", "PDN Address and Prefix(IPv6)", 16),
)
PREFIX: Final = number("gtpv2.pdn_ipv6_len", "IPv6 Prefix Length")
BEARER: Final = number("gtpv2.ebi", "EPS Bearer ID (EBI)")
SELECTION: Final = number("gtpv2.selec_mode", "Selection Mode", SELECTIONS)
CONTENT: Final = octets("", "Content")
SIMPLE: Final[dict[int, tuple[Field, int]]] = {
    3: (number("gtpv2.rec", "Restart Counter"), 1),
    82: (number("gtpv2.rat_type", "RAT Type", RADIO), 1),
    94: (number("gtpv2.charging_id", "Charging id"), 4),
    127: (number("gtpv2.apn_rest", "APN Restriction"), 1),
}
"""Elements that are a number of so many bytes."""
MASKED: Final = {73: (BEARER, 0x0F), 99: (PDN_TYPE, 0x07), 128: (SELECTION, 0x03)}
DIGITS: Final = {1: IMSI, 75: MEI, 76: MSISDN}
GROUPED: Final = frozenset({93, 109})
"""Elements that are made of elements (8.28, 8.39)."""
MAX_DEPTH: Final = 4
VERSION: Final = 2
declare("gtpv2", "GTPv2", "tunnel")


@on("gtp.version", VERSION)
def gtpv2(packet: Packet, at: int, limit: int) -> Step | None:
    """The head has a tunnel's number where a flag says so; another message may stand behind it (5.5.1)."""
    said = f"{packet.info} / " if packet.protocol == "GTPv2" else ""
    packet.column("gtpv2", said)
    layer, (flags, kind, length) = packet.open(GTPV2, at, limit)
    end = min(limit, at + 4 + length)
    layer.said = TYPES.get(kind, f"Unknown ({kind})")
    packet.info += layer.said
    cursor = Cursor(packet, "GTPv2", at + GTPV2.size, end)
    if flags & 0x08:
        cursor.number(layer, TEID, 4)
    cursor.number(layer, SEQUENCE, 3)
    cursor.uint(1)
    layer.size = packet.end(end) - at
    _elements(packet, layer, cursor.at, end, 0)
    if flags & 0x10 and end < limit:
        return Step((gtpv2,), end, limit)
    return Step((), end, limit) if end < limit else None


def _elements(packet: Packet, parent: Item, at: int, end: int, depth: int) -> None:
    while at < end:
        packet.check("GTPv2 element", at, HEAD.size, end)
        kind, size = packet.data[at], packet.uint("GTPv2 element", at + 1, 2, end)
        name = KINDS.get(kind, f"Unknown ({kind})")
        item = packet.add(parent, ELEMENT, None, at, HEAD.size + size, name)
        packet.add_header(item, HEAD, at, end)
        start = at + HEAD.size
        packet.check("GTPv2 element", start, size, end)
        at = start + size
        if kind in GROUPED and depth < MAX_DEPTH:
            _elements(packet, item, start, at, depth + 1)
        elif size:
            contained(packet, _element, item, kind, start, at)


def _element(packet: Packet, item: Item, kind: int, at: int, end: int) -> None:
    cursor = Cursor(packet, f"GTPv2 {KINDS.get(kind, kind)}", at, end)
    if kind in SIMPLE:
        field, size = SIMPLE[kind]
        cursor.number(item, field, size)
    elif kind in MASKED:
        field, mask = MASKED[kind]
        packet.add(item, field, cursor.uint(1) & mask, at, 1)
    elif kind in DIGITS:
        packet.add(item, DIGITS[kind], _digits(packet.data[at:end]), at, end - at)
        return
    elif kind in SHOWN:
        SHOWN[kind](cursor, item)
    cursor.rest(item, CONTENT)


def _digits(raw: bytes) -> str:
    """Two to a byte, the lower half first; 15 fills the last (TS 23.003)."""
    return "".join(f"{byte & 15:x}{byte >> 4:x}" for byte in raw).removesuffix("f")


def _cause(cursor: Cursor, item: Item) -> None:
    cursor.packet.add_header(item, CAUSE, cursor.at, cursor.end)
    cursor.at += CAUSE.size
    if cursor.left >= 4:
        cursor.number(item, OFFENDING, 1)


def _tunnel(cursor: Cursor, item: Item) -> None:
    (flags,) = cursor.packet.add_header(item, TUNNEL, cursor.at, cursor.end)
    cursor.at += TUNNEL.size
    cursor.number(item, TUNNEL_ID, 4)
    if flags & 0x80:
        cursor.address(item, TUNNEL_4, 4)
    if flags & 0x40:
        cursor.address(item, TUNNEL_6, 16)


def _allocated(cursor: Cursor, item: Item) -> None:
    at = cursor.at
    kind = cursor.uint(1) & 7
    cursor.packet.add(item, PDN_TYPE, kind, at, 1)
    if kind in (2, 3):
        cursor.number(item, PREFIX, 1)
        cursor.address(item, PDN_6, 16)
    if kind in (1, 3):
        cursor.address(item, PDN_4, 4)


def _qos(cursor: Cursor, item: Item) -> None:
    cursor.packet.add_header(item, QOS, cursor.at, cursor.end)
    cursor.at += QOS.size
    for field in RATES:
        cursor.number(item, field, 5)


def _most_rate(cursor: Cursor, item: Item) -> None:
    cursor.packet.add_header(item, MOST_RATE, cursor.at, cursor.end)
    cursor.at += MOST_RATE.size


def _apn(cursor: Cursor, item: Item) -> None:
    """Labels behind their lengths (TS 23.003, 9.1)."""
    raw, at = cursor.packet.data[cursor.at : cursor.end], 0
    labels: list[bytes] = []
    while at < len(raw):
        labels.append(raw[at + 1 : at + 1 + raw[at]])
        at += 1 + raw[at]
    cursor.packet.add(item, APN, b".".join(labels), cursor.at, len(raw))
    cursor.at = cursor.end


def _network(cursor: Cursor, item: Item) -> None:
    """Three digits of a country, two or three of a network (8.18)."""
    at = cursor.at
    first, second, third = (cursor.uint(1) for _ in range(3))
    country = [first & 15, first >> 4, second & 15]
    network = [third & 15, third >> 4, *([second >> 4] if second >> 4 < 10 else [])]
    for field, digits, where in ((COUNTRY, country, at), (NETWORK, network, at + 1)):
        cursor.packet.add(item, field, int("".join(map(str, digits))), where, 2)


SHOWN: Final[dict[int, Callable[[Cursor, Item], None]]] = {
    2: _cause,
    71: _apn,
    72: _most_rate,
    79: _allocated,
    80: _qos,
    83: _network,
    87: _tunnel,
}
