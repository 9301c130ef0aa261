"""Path attributes and prefixes of BGP (RFC 4271, 4.3; 4760; 1997; 8092; 6793)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect import bgp_names as names
from netwatch.capture.dissect.kit import Bit, Field, Header, Packed8, address, group, number, octets, text
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.text import ipv4, ipv6

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

__all__ = ["attributes", "prefixes"]

PREFIX: Final = "bgp.update.path_attribute"
ATTRIBUTE: Final = group(PREFIX, "Path Attribute")
FLAGS: Final = Header(
    PREFIX,
    "Flags",
    (
        Packed8(
            Bit(0x80, "flags.optional", "Optional"),
            Bit(0x40, "flags.transitive", "Transitive"),
            Bit(0x20, "flags.partial", "Partial"),
            Bit(0x10, "flags.extended_length", "Extended-Length"),
        ),
    ),
    name="",
)
EXTENDED: Final = 0x10
CODE: Final = number(f"{PREFIX}.type_code", "Type Code", names.ATTRIBUTES)
LENGTH: Final = number(f"{PREFIX}.length", "Length")
ORIGIN: Final = number(f"{PREFIX}.origin", "Origin", names.ORIGINS)
SEGMENT: Final = group(f"{PREFIX}.as_path_segment", "AS Path segment")
SEGMENT_TYPE: Final = number(f"{PREFIX}.as_path_segment.type", "Segment type", names.SEGMENTS)
SEGMENT_SIZE: Final = number(f"{PREFIX}.as_path_segment.length", "Segment length (number of ASN)")
AS2, AS4 = (
    number(f"{PREFIX}.as_path_segment.as2", "AS2"),
    number(f"{PREFIX}.as_path_segment.as4", "AS4"),
)
NEXT_HOP: Final = address(f"{PREFIX}.next_hop", "Next hop", 4)
MED: Final = number(f"{PREFIX}.multi_exit_disc", "Multiple exit discriminator")
LOCAL_PREF: Final = number(f"{PREFIX}.local_pref", "Local preference")
AGGREGATOR_AS: Final = number(f"{PREFIX}.aggregator_as", "Aggregator AS")
AGGREGATOR: Final = address(f"{PREFIX}.aggregator_origin", "Aggregator origin", 4)
COMMUNITY: Final = group(f"{PREFIX}.community", "Community")
WELL_KNOWN: Final = number(f"{PREFIX}.community_wellknown", "Community Well-known", names.COMMUNITIES, digits=8)
COMMUNITY_AS: Final = number(f"{PREFIX}.community_as", "Community AS")
COMMUNITY_VALUE: Final = number(f"{PREFIX}.community_value", "Community value")
ORIGINATOR: Final = address(f"{PREFIX}.originator_id", "Originator identifier", 4)
CLUSTER: Final = address("bgp.path_attribute.cluster_id", "Cluster ID", 4)
LARGE: Final = text("bgp.large_communities", "Large Communities")
EXTENDED_COMMUNITY: Final = octets("bgp.ext_com.value_raw", "Extended community")
AFI: Final = number(f"{PREFIX}.mp_reach_nlri.afi", "Address family identifier (AFI)", names.FAMILIES)
SAFI: Final = number(f"{PREFIX}.mp_reach_nlri.safi", "Subsequent address family identifier (SAFI)", names.SUBSEQUENT)
GONE_AFI: Final = number(f"{PREFIX}.mp_unreach_nlri.afi", "Address family identifier (AFI)", names.FAMILIES)
GONE_SAFI: Final = number(
    f"{PREFIX}.mp_unreach_nlri.safi", "Subsequent address family identifier (SAFI)", names.SUBSEQUENT
)
HOP4: Final = address(f"{PREFIX}.mp_reach_nlri.next_hop.ipv4", "IPv4 Address", 4)
HOP6: Final = address(f"{PREFIX}.mp_reach_nlri.next_hop.ipv6", "IPv6 Address", 16)
LOCAL6: Final = address(f"{PREFIX}.mp_reach_nlri.next_hop.ipv6.link_local", "Link-local Address", 16)
HOP: Final = octets(f"{PREFIX}.mp_reach_nlri.next_hop", "Next hop")
VALUE: Final = octets("", "Value")
ENTRY: Final = group("", "Prefix")
WIDTH: Final = number("bgp.prefix_length", "Prefix Length")
REACHED4: Final = address("bgp.mp_reach_nlri_ipv4_prefix", "MP Reach NLRI IPv4 prefix", 4)
REACHED6: Final = address("bgp.mp_reach_nlri_ipv6_prefix", "MP Reach NLRI IPv6 prefix", 16)
GONE4: Final = address("bgp.mp_unreach_nlri_ipv4_prefix", "MP Unreach NLRI IPv4 prefix", 4)
GONE6: Final = address("bgp.mp_unreach_nlri_ipv6_prefix", "MP Unreach NLRI IPv6 prefix", 16)


def prefixes(packet: Packet, parent: Item, field: Field, at: int, end: int, size: int = 4) -> list[str]:
    """Networks: bits that count, then as few bytes as hold them (RFC 4271, 4.3)."""
    said = []
    while at < end:
        width = packet.uint("BGP prefix", at, 1, end)
        if width > 8 * size:
            raise Malformed(f"BGP prefix of {width} bits", at)
        many = (width + 7) // 8
        raw = packet.take("BGP prefix", at + 1, many, end) + bytes(size - many)
        shown = f"{ipv4(raw) if size == 4 else ipv6(raw)}/{width}"
        item = packet.add(parent, ENTRY, None, at, 1 + many, shown)
        packet.add(item, WIDTH, width, at, 1)
        packet.add(item, field, raw, at + 1, many)
        said.append(shown)
        at += 1 + many
    return said


def attributes(packet: Packet, parent: Item, at: int, end: int) -> None:
    """Flags, type, length of one or two bytes, value."""
    while at < end:
        flags = packet.uint("BGP path attribute", at, 1, end)
        code = packet.uint("BGP path attribute", at + 1, 1, end)
        wide = 2 if flags & EXTENDED else 1
        size = packet.uint("BGP path attribute", at + 2, wide, end)
        start = at + 2 + wide
        packet.check("BGP path attribute", start, size, end)
        name = names.ATTRIBUTES.get(code, f"Unknown ({code})")
        item = packet.add(parent, ATTRIBUTE, None, at, start + size - at, name)
        packet.add_header(item, FLAGS, at, end)
        packet.add(item, CODE, code, at + 1, 1)
        packet.add(item, LENGTH, size, at + 2, wide)
        show = SHOWN.get(code)
        said = show(packet, item, start, start + size) if show is not None else ""
        if show is None and size:
            packet.add(item, VALUE, packet.data[start : start + size], start, size)
        item.said = f"{name}: {said}" if said else name
        at = start + size


def _plain(field: Field, size: int) -> Callable[[Packet, Item, int, int], str]:
    """A single value; addresses stay bytes."""

    def show(packet: Packet, item: Item, at: int, end: int) -> str:
        raw = packet.take(field.label, at, size, end)
        packet.add(item, field, raw if field.plain is ipv4 else int.from_bytes(raw, "big"), at, size)
        if field.plain is ipv4:
            return ipv4(raw)
        value = int.from_bytes(raw, "big")
        return field.names.get(value, str(value)) if field.names else str(value)

    return show


def _width(data: bytes, at: int, end: int) -> int:
    """Bytes of each AS number: only an OPEN says; the one with which the segments fill the attribute."""
    for width in (2, 4):
        where = at
        while where + 2 <= end and data[where] in names.SEGMENTS and data[where + 1]:
            where += 2 + data[where + 1] * width
        if where == end:
            return width
    return 4


def _path(packet: Packet, item: Item, at: int, end: int) -> str:
    width = _width(packet.data, at, end)
    said = []
    while at < end:
        kind, count = packet.uint("AS path", at, 1, end), packet.uint("AS path", at + 1, 1, end)
        segment = packet.add(item, SEGMENT, None, at, 2 + width * count)
        packet.add(segment, SEGMENT_TYPE, kind, at, 1)
        packet.add(segment, SEGMENT_SIZE, count, at + 1, 1)
        at += 2
        packet.check("AS path", at, width * count, end)
        numbers = [
            int.from_bytes(packet.data[where : where + width], "big")
            for where in range(at, at + width * count, width)
        ]
        for index, value in enumerate(numbers):
            packet.add(segment, AS2 if width == 2 else AS4, value, at + width * index, width)
        at += width * count
        joined = " ".join(map(str, numbers))
        segment.said = f"{names.SEGMENTS.get(kind, f'Unknown ({kind})')}: {joined}"
        said.append(f"{{{joined.replace(' ', ', ')}}}" if kind == 1 else joined)
    return " ".join(said) or "empty"


def _aggregator(packet: Packet, item: Item, at: int, end: int) -> str:
    width = end - at - 4
    value = packet.uint("Aggregator", at, width if width in (2, 4) else 2, end)
    packet.add(item, AGGREGATOR_AS, value, at, width)
    origin = packet.take("Aggregator", end - 4, 4, end)
    packet.add(item, AGGREGATOR, origin, end - 4, 4)
    return f"AS: {value} origin: {ipv4(origin)}"


def _communities(packet: Packet, item: Item, at: int, end: int) -> str:
    said = []
    for where in range(at, end - 3, 4):
        value = packet.uint("Community", where, 4, end)
        if value in names.COMMUNITIES:
            packet.add(item, WELL_KNOWN, value, where, 4)
            said.append(names.COMMUNITIES[value])
            continue
        shown = f"{value >> 16}:{value & 0xFFFF}"
        each = packet.add(item, COMMUNITY, None, where, 4, shown)
        packet.add(each, COMMUNITY_AS, value >> 16, where, 2)
        packet.add(each, COMMUNITY_VALUE, value & 0xFFFF, where + 2, 2)
        said.append(shown)
    return " ".join(said)


def _large(packet: Packet, item: Item, at: int, end: int) -> str:
    said = []
    for where in range(at, end - 11, 12):
        parts = [packet.uint("Large community", where + part, 4, end) for part in (0, 4, 8)]
        said.append(":".join(map(str, parts)))
        packet.add(item, LARGE, said[-1], where, 12)
    return " ".join(said)


def _each(field: Field, size: int) -> Callable[[Packet, Item, int, int], str]:
    def show(packet: Packet, item: Item, at: int, end: int) -> str:
        for where in range(at, end - size + 1, size):
            packet.add(item, field, packet.data[where : where + size], where, size)
        return ""

    return show


def _reach(packet: Packet, item: Item, at: int, end: int) -> str:
    """RFC 4760, 3."""
    family, kind = packet.uint("MP_REACH_NLRI", at, 2, end), packet.uint("MP_REACH_NLRI", at + 2, 1, end)
    packet.add(item, AFI, family, at, 2)
    packet.add(item, SAFI, kind, at + 2, 1)
    size = packet.uint("MP_REACH_NLRI", at + 3, 1, end)
    hop = packet.take("MP_REACH_NLRI", at + 4, size, end)
    start = at + 4
    if size in (16, 32):
        packet.add(item, HOP6, hop[:16], start, 16)
        if size == 32:
            packet.add(item, LOCAL6, hop[16:], start + 16, 16)
    elif size == 4:
        packet.add(item, HOP4, hop, start, 4)
    elif size:
        packet.add(item, HOP, hop, start, size)
    return _networks(packet, item, family, kind, start + size + 1, end, REACHED4, REACHED6)


def _unreach(packet: Packet, item: Item, at: int, end: int) -> str:
    """RFC 4760, 4."""
    family, kind = packet.uint("MP_UNREACH_NLRI", at, 2, end), packet.uint("MP_UNREACH_NLRI", at + 2, 1, end)
    packet.add(item, GONE_AFI, family, at, 2)
    packet.add(item, GONE_SAFI, kind, at + 2, 1)
    return _networks(packet, item, family, kind, at + 3, end, GONE4, GONE6)


def _networks(packet: Packet, item: Item, family: int, kind: int, at: int, end: int, four: Field, six: Field) -> str:
    if kind in (1, 2) and family in (1, 2):
        size = 4 if family == 1 else 16
        return " ".join(prefixes(packet, item, four if size == 4 else six, at, end, size))
    if end > at:
        packet.add(item, VALUE, packet.data[at:end], at, end - at)
    return f"{names.FAMILIES.get(family, family)} {names.SUBSEQUENT.get(kind, kind)}"


SHOWN: Final[dict[int, Callable[[Packet, Item, int, int], str]]] = {
    1: _plain(ORIGIN, 1),
    2: _path,
    3: _plain(NEXT_HOP, 4),
    4: _plain(MED, 4),
    5: _plain(LOCAL_PREF, 4),
    7: _aggregator,
    8: _communities,
    9: _plain(ORIGINATOR, 4),
    10: _each(CLUSTER, 4),
    14: _reach,
    15: _unreach,
    16: _each(EXTENDED_COMMUNITY, 8),
    17: _path,
    18: _aggregator,
    32: _large,
}
"""Type → what shows its value."""
