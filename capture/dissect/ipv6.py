"""IPv6 (RFC 8200) and its extension headers, AH (RFC 4302) and ESP (RFC 4303)."""

from __future__ import annotations

from functools import partial

from netwatch.capture.dissect.fragments import completed, fragment_fields, show
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bits,
    Bytes,
    Header,
    Hex8,
    Hex32,
    Ip6,
    Item,
    Packed16,
    Packed32,
    address,
    number,
    octets,
)
from netwatch.capture.dissect.numbers import IP_PROTOCOLS
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step
from netwatch.capture.dissect.services import DSCP, ECN, traffic_class
from netwatch.capture.text import ipv6 as ipv6_text

IPV6 = Header(
    "ipv6",
    "Internet Protocol Version 6",
    (
        Packed32(
            Bits(0xF0000000, "version", "Version"),
            Bits(
                0x0FF00000,
                "tclass",
                "Traffic Class",
                digits=8,
                form=traffic_class,
                bits=(
                    Bits(0x0FC00000, "tclass.dscp", "Differentiated Services Codepoint", DSCP),
                    Bits(0x00300000, "tclass.ecn", "Explicit Congestion Notification", ECN),
                ),
            ),
            Bits(0x000FFFFF, "flow", "Flow Label", digits=6, form="0x{:05x}".format),
        ),
        U16("plen", "Payload Length"),
        U8("nxt", "Next Header", IP_PROTOCOLS),
        U8("hlim", "Hop Limit"),
        Ip6("src", "Source Address"),
        Ip6("dst", "Destination Address"),
    ),
)


def _extension(prefix: str, label: str) -> Header:
    return Header(prefix, label, (U8("nxt", "Next Header", IP_PROTOCOLS), U8("len", "Length")))


HOP_BY_HOP = _extension("ipv6.hopopts", "IPv6 Hop-by-Hop Option")
DESTINATION = _extension("ipv6.dstopts", "Destination Options for IPv6")
ROUTING = Header(
    "ipv6.routing",
    "Routing Header for IPv6",
    (
        U8("nxt", "Next Header", IP_PROTOCOLS),
        U8("len", "Length"),
        U8("type", "Type", {0: "Source Route", 2: "Mobile IP", 3: "RPL", 4: "Segment Routing"}),
        U8("segleft", "Segments Left"),
    ),
)
SEGMENTS = 4
ROUTING_ADDRESS = address("ipv6.routing.src.addr", "Address", 16)
ROUTING_RESERVED = octets("ipv6.routing.src.reserved", "Reserved")
HOME_RESERVED = octets("ipv6.routing.mipv6.reserved", "Reserved")
HOME = address("ipv6.routing.mipv6.home_address", "Home Address", 16)
SEGMENT_ROUTING = Header(
    "ipv6.routing.srh",
    "Segment Routing",
    (U8("last_entry", "Last Entry"), Hex8("flags", "Flags"), Bytes("tag", "Tag", 2)),
    name="",
)
SEGMENT = address("ipv6.routing.srh.addr", "Address", 16)
ROUTING_DATA = octets("ipv6.routing.unknown_data", "Type-specific data")
FRAGMENT = Header(
    "ipv6.fraghdr",
    "Fragment Header for IPv6",
    (
        U8("nxt", "Next Header", IP_PROTOCOLS),
        Hex8("reserved_octet", "Reserved octet"),
        Packed16(
            Bits(0xFFF8, "offset", "Offset", form=lambda units: f"{units} ({units * 8} bytes)"),
            Bits(0x0006, "reserved_bits", "Reserved bits"),
            Bit(0x0001, "more", "More fragments"),
        ),
        Hex32("ident", "Identification"),
    ),
)
FRAGMENT_DATA = octets("", "IPv6 fragment")
FRAGMENTS = fragment_fields("ipv6", "IPv6")
OPTION = number("ipv6.opt.type", "Option", digits=2)
OPTION_LENGTH = number("ipv6.opt.length", "Length")
OPTION_ALERT = number("ipv6.opt.router_alert", "Router Alert")
OPTION_JUMBO = number("ipv6.opt.jumbo", "Payload Length")
OPTION_PADDING = octets("ipv6.opt.padn", "PadN")
OPTION_TUNNELS = number("ipv6.opt.tel", "Tunnel Encapsulation Limit")
OPTION_HOME = address("ipv6.opt.mipv6.home_address", "MIPv6 Home Address", 16)
OPTION_DATA = octets("ipv6.opt.unknown", "Data")
OPTION_NAMES = {
    0x00: "Pad1",
    0x01: "PadN",
    0x04: "Tunnel Encapsulation Limit",
    0x05: "Router Alert",
    0x26: "Quick-Start",
    0x63: "RPL Option",
    0xC2: "Jumbo Payload",
    0xC9: "Home Address",
}

AH = Header(
    "ah",
    "Authentication Header",
    (
        U8("next_header", "Next Header", IP_PROTOCOLS),
        U8("length", "Length"),
        Bytes("reserved", "Reserved", 2),
        Hex32("spi", "AH SPI"),
        U32("sequence", "AH Sequence"),
    ),
)
AH_ICV = octets("ah.icv", "AH ICV")
ESP = Header("esp", "Encapsulating Security Payload", (Hex32("spi", "ESP SPI"), U32("sequence", "ESP Sequence")))


@on("ethertype", 0x86DD)
@on("ip.proto", 41)
@on("ppp.protocol", 0x0057)
def ipv6(packet: Packet, at: int, limit: int) -> Step | None:
    """The fixed header; a payload length of 0 with a jumbo option means what is there (RFC 2675)."""
    packet.column("ipv6")
    if limit - at < IPV6.size:
        packet.info = f"Invalid IPv6 header ({limit - at} bytes, need exactly {IPV6.size})"
    layer, (word, length, following, hops, source, destination) = packet.open(IPV6, at, limit)
    version = word >> 28
    if version != 6:
        packet.info = f"Bogus IPv6 version ({version}, must be 6)"
        packet.mark(packet.info, at)
        return None
    packet.source, packet.destination = ipv6_text(source), ipv6_text(destination)
    layer.said = f"Src: {packet.source}, Dst: {packet.destination}"
    packet.values["ip.ttl"] = hops
    packet.values["ip.pseudo"] = source + destination
    packet.values["ip.fragment"] = False
    start = at + IPV6.size
    end = start + length
    if length == 0 and following == 0:
        end = limit
    elif end > limit:
        if not packet.values.get("quoted"):
            packet.mark(f"IPv6: payload length {length} beyond the {limit - start} bytes there", at + 4)
        end = limit
    if packet.payload_end is None:
        packet.payload_end = end
    return next_header(packet, following, start, end)


def next_header(packet: Packet, following: int, at: int, limit: int) -> Step | None:
    """An extension header or a transport; 59: nothing follows."""
    if following == 59:
        packet.info = "IPv6 no next header"
        return Step((), at, limit) if at < limit else None
    extension = TABLES["ipv6.nxt"].get(following)
    if extension is not None:
        return Step((extension,), at, limit)
    if following not in TABLES["ip.proto"]:
        packet.info = f"Unknown IP Protocol: {IP_PROTOCOLS.get(following, 'Unknown')} ({following})"
    return step("ip.proto", following, at, limit)


def _options(packet: Packet, header: Header, name: str, at: int, limit: int) -> Step | None:
    packet.info = name
    layer, (following, length) = packet.open(header, at, limit)
    layer.said = f"Next Header: {IP_PROTOCOLS.get(following, following)}"
    end = at + 8 + 8 * length
    _show_options(packet, layer, at + 2, end, limit)
    layer.size = end - at
    packet.info = ""
    return next_header(packet, following, end, limit)


def _show_options(packet: Packet, layer: Item, at: int, end: int, limit: int) -> None:
    """Type and length count only the data: an option of n bytes takes n + 2 (RFC 8200, 4.2)."""
    packet.check(layer.field.label, layer.start, end - layer.start, limit)
    while at < end:
        kind = packet.data[at]
        if kind == 0:
            packet.add(layer, OPTION, 0, at, 1, "Pad1 (0x00)")
            at += 1
            continue
        length = packet.uint("IPv6 option", at + 1, 1, end)
        packet.check(f"IPv6 option {kind}", at + 2, length, end)
        item = packet.add(layer, OPTION, kind, at, 2 + length, f"{OPTION_NAMES.get(kind, 'Unknown')} (0x{kind:02x})")
        packet.add(item, OPTION_LENGTH, length, at + 1, 1)
        if length:
            padding = (OPTION_PADDING, False) if kind == 1 else (OPTION_DATA, False)
            field, whole = OPTION_FIELDS.get((kind, length), padding)
            raw = packet.data[at + 2 : at + 2 + length]
            packet.add(item, field, int.from_bytes(raw, "big") if whole else raw, at + 2, length)
            if field is OPTION_HOME:
                _sent_from(packet, raw)
        at += 2 + length


OPTION_FIELDS = {
    (0x04, 1): (OPTION_TUNNELS, True),
    (0x05, 2): (OPTION_ALERT, True),
    (0xC2, 4): (OPTION_JUMBO, True),
    (0xC9, 16): (OPTION_HOME, False),
}


def _sent_from(packet: Packet, source: bytes) -> None:
    """The checksum counts the home address for the source (RFC 6275, 6.3)."""
    packet.source = ipv6_text(source)
    packet.values["ip.pseudo"] = source + packet.values.get("ip.pseudo", b"")[16:]


def _sent_to(packet: Packet, destination: bytes) -> None:
    """The checksum counts the last address of the route for the destination (RFC 8200, 8.1)."""
    packet.destination = ipv6_text(destination)
    packet.values["ip.pseudo"] = packet.values.get("ip.pseudo", b"")[:16] + destination


@on("ipv6.nxt", 0)
def hop_by_hop(packet: Packet, at: int, limit: int) -> Step | None:
    """Options that every router looks at."""
    return _options(packet, HOP_BY_HOP, "IPv6 hop-by-hop", at, limit)


@on("ipv6.nxt", 60)
def destination_options(packet: Packet, at: int, limit: int) -> Step | None:
    """Options for who receives it."""
    return _options(packet, DESTINATION, "IPv6 destination", at, limit)


@on("ipv6.nxt", 43)
def routing(packet: Packet, at: int, limit: int) -> Step | None:
    """Addresses to go through: types 0 and 4 list them, the first not always the next."""
    packet.info = "IPv6 routing"
    layer, (following, length, kind, left) = packet.open(ROUTING, at, limit)
    layer.said = f"Type {kind}, {left} segments left"
    end = at + 8 + 8 * length
    packet.check("IPv6 routing", at, end - at, limit)
    layer.size = end - at
    packet.info = ""
    fields = ROUTES.get(kind)
    if fields is None or not length:
        packet.add(layer, ROUTING_DATA, packet.data[at + 4 : end], at + 4, end - at - 4)
        return next_header(packet, following, end, limit)
    reserved, field = fields
    hops = length // 2
    if reserved is None:
        last_entry, _, _ = packet.add_header(layer, SEGMENT_ROUTING, at + 4, end)
        hops = min(hops, last_entry + 1)
    else:
        packet.add(layer, reserved, packet.data[at + 4 : at + 8], at + 4, 4)
    addresses = [packet.data[where : where + 16] for where in range(at + 8, at + 8 + 16 * hops, 16)]
    for hop, through in enumerate(addresses):
        packet.add(layer, field, through, at + 8 + 16 * hop, 16)
    if left and addresses:
        # Segment routing lists them from the last to the first (RFC 8754, 2).
        _sent_to(packet, addresses[0] if kind == SEGMENTS else addresses[-1])
    return next_header(packet, following, end, limit)


ROUTES = {0: (ROUTING_RESERVED, ROUTING_ADDRESS), 2: (HOME_RESERVED, HOME), SEGMENTS: (None, SEGMENT)}
"""Type → what is before the addresses, and how they are called."""


@on("ipv6.nxt", 44)
def fragment(packet: Packet, at: int, limit: int) -> Step | None:
    """A fragment's payload is shown as such; an atomic fragment (offset 0, no more) is whole (RFC 6946)."""
    packet.info = "IPv6 fragment"
    layer, (following, _, word, ident) = packet.open(FRAGMENT, at, limit)
    offset, more = word & 0xFFF8, word & 1
    layer.said = f"Offset: {offset}, ID: 0x{ident:08x}"
    packet.info = f"IPv6 fragment (off={offset} more={'y' if more else 'n'} ident=0x{ident:08x} nxt={following})"
    start = at + FRAGMENT.size
    if not offset and not more:
        packet.info = ""
        return next_header(packet, following, start, limit)
    packet.values["ip.fragment"] = True
    if not offset and (packet.values.get("quoted") or limit > packet.caplen):
        return next_header(packet, following, start, limit)
    key = (packet.values.get("ip.pseudo"), ident)
    payload = completed(packet, layer, FRAGMENTS, key, offset, bool(more), start, limit)
    rest = packet.rest(start, limit)
    if rest:
        packet.layer(FRAGMENT_DATA, start, len(rest), f"{len(rest)} bytes").value = rest
    if payload is not None:
        show(packet, "Reassembled IPv6", payload, Step((partial(_behind, following),), 0, len(payload)))
    return None


def _behind(following: int, packet: Packet, at: int, limit: int) -> Step | None:
    return next_header(packet, following, at, limit)


@on("ip.proto", 51)
@on("ipv6.nxt", 51)
def authentication(packet: Packet, at: int, limit: int) -> Step | None:
    """A check value, then the protocol that it protects; the length counts 4 bytes, less two."""
    packet.column("ah")
    layer, (following, length, _, spi, _) = packet.open(AH, at, limit)
    layer.said = f"SPI: 0x{spi:08x}"
    packet.info = f"AH (SPI=0x{spi:08x})"
    end = at + 4 * (length + 2)
    if end < at + AH.size:
        packet.mark(f"AH length {length}", at + 1)
        return None
    packet.check("AH", at, end - at, limit)
    layer.size = end - at
    if end > at + AH.size:
        packet.add(layer, AH_ICV, packet.data[at + AH.size : end], at + AH.size, end - at - AH.size)
    if following in TABLES["ipv6.nxt"]:
        return next_header(packet, following, end, limit)
    return step("ip.proto", following, end, limit)


@on("ip.proto", 50)
def esp(packet: Packet, at: int, limit: int) -> Step | None:
    """What is behind the sequence number is encrypted."""
    packet.column("esp")
    layer, (spi, _) = packet.open(ESP, at, limit)
    layer.said = f"SPI: 0x{spi:08x}"
    packet.info = f"ESP (SPI=0x{spi:08x})"
    return Step((), at + ESP.size, limit)
