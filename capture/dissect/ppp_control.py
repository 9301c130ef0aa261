"""The control protocols of PPP: LCP (RFC 1661), IPCP (RFC 1332, 1877), IPV6CP (RFC 5072), CCP (RFC 1962)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.kit import U8, U16, Field, Header, Item, address, number, octets, text
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare

declare("mplscp", "PPP MPLSCP", "link")

CODES = {
    1: "Configuration Request",
    2: "Configuration Ack",
    3: "Configuration Nak",
    4: "Configuration Reject",
    5: "Termination Request",
    6: "Termination Ack",
    7: "Code Reject",
    8: "Protocol Reject",
    9: "Echo Request",
    10: "Echo Reply",
    11: "Discard Request",
    12: "Identification",
    13: "Time Remaining",
    14: "Reset Request",
    15: "Reset Ack",
}
HEAD_ROWS = (U8("code", "Code", CODES), U8("identifier", "Identifier"), U16("length", "Length"))
NEGOTIATION = frozenset({1, 2, 3, 4})
WITH_MAGIC = frozenset({9, 10, 11, 12, 13})
MAGIC = number("lcp.magic_number", "Magic Number", digits=8)
MESSAGE = text("lcp.message", "Message")
REJECTED = number("lcp.rej_proto", "Rejected Protocol", digits=4)
DATA = octets("ppp.data", "Data")

AUTHENTICATIONS = {
    0xC023: "Password Authentication Protocol",
    0xC223: "Challenge Handshake Authentication Protocol",
    0xC227: "Extensible Authentication Protocol",
}
ALGORITHMS = {5: "CHAP with MD5", 6: "SHA-1", 128: "MS-CHAP", 129: "MS-CHAP-2"}
Option = tuple[str, tuple[tuple[Field, int, int], ...]]
"""What an option is called; its fields, each with offset behind type and length, and size."""


def _addressed(name: str, label: str) -> tuple[tuple[Field, int, int], ...]:
    return ((address(name, label, 4), 0, 4),)


LCP: Final[dict[int, Option]] = {
    1: ("Maximum Receive Unit", ((number("lcp.opt.mru", "Maximum Receive Unit"), 0, 2),)),
    2: (
        "Async Control Character Map",
        ((number("lcp.opt.asyncmap", "Async Control Character Map", digits=8), 0, 4),),
    ),
    3: (
        "Authentication Protocol",
        (
            (number("lcp.opt.auth_protocol", "Authentication Protocol", AUTHENTICATIONS, digits=4), 0, 2),
            (number("lcp.opt.algorithm", "Algorithm", ALGORITHMS), 2, 1),
        ),
    ),
    4: ("Quality Protocol", ((number("lcp.opt.quality_protocol", "Quality Protocol", digits=4), 0, 2),)),
    5: ("Magic Number", ((number("lcp.opt.magic_number", "Magic Number", digits=8), 0, 4),)),
    7: ("Protocol Field Compression", ()),
    8: ("Address and Control Field Compression", ()),
    13: ("Callback", ((number("lcp.opt.operation", "Operation"), 0, 1),)),
    17: ("Multilink MRRU", ((number("lcp.opt.mrru", "MRRU"), 0, 2),)),
    18: ("Multilink Short Sequence Number Header", ()),
    19: ("Multilink Endpoint Discriminator", ((number("lcp.opt.ep_disc_class", "Class"), 0, 1),)),
}
IPCP: Final[dict[int, Option]] = {
    1: ("IP Addresses (deprecated)", ()),
    2: (
        "IP Compression Protocol",
        (
            (number("ipcp.opt.compress_proto", "IP Compression Protocol", {0x2D: "VJ compression"}, digits=4), 0, 2),
            (number("ipcp.opt.max_slot_id", "Max Slot ID"), 2, 1),
            (number("ipcp.opt.comp_slot_id", "Comp Slot ID"), 3, 1),
        ),
    ),
    3: ("IP Address", _addressed("ipcp.opt.ip_address", "IP Address")),
    4: ("Mobile Node's Home IP Address", _addressed("ipcp.opt.mobile_node", "Mobile Node's Home Address")),
    129: ("Primary DNS Server IP Address", _addressed("ipcp.opt.pri_dns_address", "Primary DNS Address")),
    130: ("Primary NBNS Server IP Address", _addressed("ipcp.opt.pri_nbns_address", "Primary NBNS Address")),
    131: ("Secondary DNS Server IP Address", _addressed("ipcp.opt.sec_dns_address", "Secondary DNS Address")),
    132: ("Secondary NBNS Server IP Address", _addressed("ipcp.opt.sec_nbns_address", "Secondary NBNS Address")),
}
IPV6CP: Final[dict[int, Option]] = {
    1: ("Interface Identifier", ((octets("ipv6cp.interface_identifier", "Interface Identifier"), 0, 8),)),
    2: ("IPv6 Compression Protocol", ()),
}
CCP: Final[dict[int, Option]] = {
    17: ("Stac Electronics LZS", ()),
    18: ("Microsoft PPE/PPC", ((number("ccp.opt.supported_bits", "Supported Bits", digits=8), 0, 4),)),
    21: ("BSD LZW Compress", ((number("ccp.opt.vd", "Vers/Dict", digits=2), 0, 1),)),
    26: ("Deflate", ()),
}


def _control(kind: int, prefix: str, label: str, known: dict[int, Option]) -> None:
    header = Header("ppp", label, HEAD_ROWS, name=prefix)
    names = {code: name for code, (name, _) in known.items()}
    option, width = number(f"{prefix}.opt.type", "Option", names), number(f"{prefix}.opt.length", "Length")
    rest = octets(f"{prefix}.opt.data", "Data")

    def explain(packet: Packet, item: Item, code: int, at: int, size: int) -> None:
        packet.add(item, width, size, at + 1, 1)
        body, end = at + 2, at + size
        _, fields = known.get(code, ("", ()))
        reached = body
        for field, offset, length in fields:
            start = body + offset
            if start + length > end:
                break
            raw = packet.data[start : start + length]
            packet.add(item, field, raw if field in BYTES else int.from_bytes(raw, "big"), start, length)
            reached = start + length
        if reached < end:
            packet.add(item, rest, packet.data[reached:end], reached, end - reached)

    @on("ppp.protocol", kind)
    def control(packet: Packet, at: int, limit: int) -> Step | None:
        packet.column(prefix)
        layer, (code, _, length) = packet.open(header, at, limit)
        layer.said = packet.info = CODES.get(code, f"Unknown ({code})")
        end = min(limit, at + max(length, header.size))
        where = at + header.size
        if code in NEGOTIATION:
            for number_, start, size in options(packet, f"{label} option", where, end):
                item = packet.add(layer, option, number_, start, size)
                explain(packet, item, number_, start, size)
                layer.size = start + size - at
            return None
        tail = TAILS.get(prefix, _data)(packet, layer, code, where, end)
        layer.size = tail - at
        return None


def _data(packet: Packet, layer: Item, code: int, at: int, end: int) -> int:
    """What a message that negotiates nothing holds -> where it ends."""
    rest = packet.rest(at, end)
    if rest:
        packet.add(layer, MESSAGE if code == 12 else DATA, rest, at, len(rest))
    return at + len(rest)


def _lcp(packet: Packet, layer: Item, code: int, at: int, end: int) -> int:
    if code == 8:
        packet.add(layer, REJECTED, packet.uint("LCP", at, 2, end), at, 2)
        return _data(packet, layer, code, at + 2, end)
    if code in WITH_MAGIC:
        packet.add(layer, MAGIC, packet.uint("LCP magic number", at, 4, end), at, 4)
        at += 4
    return _data(packet, layer, code, at, end)


TAILS: Final[dict[str, Callable[[Packet, Item, int, int, int], int]]] = {"lcp": _lcp}
BYTES: Final = frozenset(
    field for table in (IPCP, IPV6CP) for _, fields in table.values() for field, _, size in fields if size in (4, 8)
)
"""Fields whose value is bytes: addresses and an identifier."""

for _kind, _prefix, _label, _known in (
    (0xC021, "lcp", "PPP Link Control Protocol", LCP),
    (0x8021, "ipcp", "PPP IP Control Protocol", IPCP),
    (0x8057, "ipv6cp", "PPP IPv6 Control Protocol", IPV6CP),
    (0x80FD, "ccp", "PPP Compression Control Protocol", CCP),
    (0x8281, "mplscp", "PPP MPLS Control Protocol", {}),
):
    _control(_kind, _prefix, _label, _known)
