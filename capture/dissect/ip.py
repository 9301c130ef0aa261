"""IPv4 (RFC 791): header, options, fragments."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.fragments import completed, fragment_fields, show
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bit,
    Bits,
    Field,
    Header,
    Hex16,
    Ip4,
    Item,
    Packed8,
    Packed16,
    address,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.numbers import IP_PROTOCOLS
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import TABLES, Step, on, step
from netwatch.capture.dissect.services import DSCP, ECN, traffic_class
from netwatch.capture.text import ipv4 as ipv4_text

IPV4 = Header(
    "ip",
    "Internet Protocol Version 4",
    (
        Packed8(
            Bits(0xF0, "version", "Version"),
            Bits(0x0F, "hdr_len", "Header Length", times=4, form=lambda size: f"{size} bytes ({size // 4})"),
        ),
        Field(
            "dsfield",
            "Differentiated Services Field",
            plain="0x{:02x}".format,
            form=traffic_class,
            code="B",
            size=1,
            bits=(
                Bits(0xFC, "dsfield.dscp", "Differentiated Services Codepoint", DSCP),
                Bits(0x03, "dsfield.ecn", "Explicit Congestion Notification", ECN),
            ),
        ),
        U16("len", "Total Length"),
        Hex16("id", "Identification"),
        Packed16(
            Bits(
                0xE000,
                "flags",
                "Flags",
                digits=2,
                bits=(
                    Bit(0x8000, "flags.rb", "Reserved bit"),
                    Bit(0x4000, "flags.df", "Don't fragment"),
                    Bit(0x2000, "flags.mf", "More fragments"),
                ),
            ),
            Bits(0x1FFF, "frag_offset", "Fragment Offset", form=lambda units: str(units * 8)),
        ),
        U8("ttl", "Time to Live"),
        U8("proto", "Protocol", IP_PROTOCOLS),
        Hex16("checksum", "Header Checksum"),
        Ip4("src", "Source Address"),
        Ip4("dst", "Destination Address"),
    ),
)
CHECKSUM_STATUS = number("ip.checksum.status", "Header checksum status", STATUS)
OPTIONS = group("", "Options")
OPTION_TYPE = number("ip.opt.type", "Type")
OPTION_LEN = number("ip.opt.len", "Length")
OPTION_DATA = octets("", "Data")
OPTION_POINTER = number("ip.opt.ptr", "Pointer")
RECORDED, EMPTY = address("ip.rec_rt", "Recorded Route", 4), address("ip.empty_rt", "Empty Route", 4)
NEXT_HOP, HOP = address("ip.cur_rt", "Current Route", 4), address("ip.src_rt", "Source Route", 4)
LAST_HOP = address("ip.dst", "Destination Address", 4)
OPTION_OVERFLOW = number("ip.opt.overflow", "Overflow")
OPTION_FLAG = number(
    "ip.opt.flag",
    "Flag",
    {0: "Time stamps only", 1: "Time stamp and address", 3: "Time stamps for prespecified addresses"},
    digits=1,
)
OPTION_STAMPED = address("ip.opt.time_stamp_addr", "Address", 4)
OPTION_STAMP = number("ip.opt.time_stamp", "Time stamp")
OPTION_ALERT = number("ip.opt.ra", "Router Alert")
OPTION_NAMES = {
    0: "End of Options List",
    1: "No-Operation",
    7: "Record Route",
    68: "Time Stamp",
    130: "Security",
    131: "Loose Source Route",
    133: "Extended Security",
    134: "Commercial Security",
    136: "Stream ID",
    137: "Strict Source Route",
    148: "Router Alert",
}
FRAGMENT = octets("", "IPv4 fragment")
FRAGMENTS = fragment_fields("ip", "IPv4")


@on("ethertype", 0x0800)
@on("ip.proto", 4, 94)
@on("ppp.protocol", 0x0021)
@on("linktype", 228)
def ipv4(packet: Packet, at: int, limit: int) -> Step | None:
    """The header, and what its protocol number announces; a fragment's payload is shown as such."""
    version = packet.uint("IPv4", at, 1, limit) >> 4 if at < packet.end(limit) else 4
    if version == 6 and 0x86DD in TABLES["ethertype"]:
        return step("ethertype", 0x86DD, at, limit)
    packet.column("ip")
    layer, values = packet.open(IPV4, at, limit)
    first, _, total, ident, fragment, ttl, protocol, checksum, source, destination = values
    header = (first & 0x0F) * 4
    if version != 4:
        packet.info = f"Bogus IPv4 version ({version}, must be 4)"
        packet.mark(packet.info, at)
        return None
    if header < IPV4.size:
        packet.info = f"Bogus IP header length ({header}, must be at least 20)"
        packet.mark(packet.info, at)
        return None
    packet.source, packet.destination = ipv4_text(source), ipv4_text(destination)
    layer.said = f"Src: {packet.source}, Dst: {packet.destination}"
    packet.values["ip.ttl"] = ttl
    packet.values["ip.pseudo"] = source + destination
    if total == 0 and not packet.values.get("quoted"):
        # Segmentation offload: the kernel handed over more than 64 KiB or left the length to the card.
        end = limit
    elif total < header:
        packet.info = f"Bogus IP length ({total}, less than header length {header})"
        packet.mark(packet.info, at + 2)
        end = limit
        layer.size = min(header, packet.end(limit) - at)
        layer.children = [item for item in layer.children if item.start < at + 4]
        return None
    else:
        end = at + total
    if end > limit:
        if not packet.values.get("quoted"):
            packet.mark(f"IPv4: total length {total} beyond the packet's {limit - at} bytes", at + 2)
        end = limit
    if packet.payload_end is None:
        packet.payload_end = end
    if header > IPV4.size:
        _options(packet, layer, at + IPV4.size, at + header, end)
    if packet.build:
        status = UNVERIFIED
        if packet.caplen >= at + header and checksum:
            status = GOOD if ones_sum(packet.data[at : at + header]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 10)
    start = at + header
    offset = (fragment & 0x1FFF) * 8
    more = fragment & 0x2000
    if offset or more:
        name = IP_PROTOCOLS.get(protocol, "Unknown")
        packet.info = f"Fragmented IP protocol (proto={name} {protocol}, off={offset}, ID={ident:04x})"
        # A first fragment that is quoted or cut will never be put together: it shows what it has.
        if offset or not (packet.values.get("quoted") or end > packet.caplen):
            key = (source, destination, protocol, ident)
            payload = completed(packet, layer, FRAGMENTS, key, offset, bool(more), start, end)
            _fragment(packet, start, end)
            if payload is not None:
                show(packet, "Reassembled IPv4", payload, step("ip.proto", protocol, 0, len(payload)))
            return None
    packet.values["ip.fragment"] = bool(offset or more)
    if protocol not in TABLES["ip.proto"] and not packet.info:
        packet.info = f"{IP_PROTOCOLS.get(protocol, 'Unknown')} ({protocol})"
    return step("ip.proto", protocol, start, end)


def _fragment(packet: Packet, at: int, limit: int) -> None:
    rest = packet.rest(at, limit)
    if rest:
        layer = packet.layer(FRAGMENT, at, len(rest), f"{len(rest)} bytes")
        layer.value = rest


def _options(packet: Packet, layer: Item, at: int, end: int, limit: int) -> None:
    """Type, length, data; types 0 and 1 are one byte (RFC 791, 3.1)."""
    stop = min(end, limit)
    layer.size = min(end, packet.end(limit)) - layer.start
    parent = packet.add(layer, OPTIONS, None, at, layer.end - at, f"{end - at} bytes")
    for kind, where, length in options(packet, "IP option", at, stop, single=(0, 1)):
        item = packet.add(parent, OPTION_TYPE, kind, where, length, OPTION_NAMES.get(kind, f"Option {kind}"))
        if kind == 0:
            break
        if length < 2:
            continue
        packet.add(item, OPTION_LEN, length, where + 1, 1)
        if kind in (7, 131, 137) and length >= 3:
            _route(packet, item, kind, where, length)
        elif kind == 68 and length >= 4:
            _timestamps(packet, item, where, length)
        elif kind == 148 and length == 4:
            packet.add(item, OPTION_ALERT, packet.uint("IP option", where + 2, 2, stop), where + 2, 2)
        elif length > 2:
            packet.add(item, OPTION_DATA, packet.data[where + 2 : where + length], where + 2, length - 2)


def _route(packet: Packet, item: Item, kind: int, at: int, length: int) -> None:
    """Addresses before the pointer are recorded, those of a source route from there on to come (RFC 791, 3.1)."""
    pointer = packet.data[at + 2]
    packet.add(item, OPTION_POINTER, pointer, at + 2, 1)
    for hop in range(at + 3, at + length - 3, 4):
        place = hop - at + 1
        if place < pointer:
            field = RECORDED
        elif kind == 7:
            field = EMPTY
        elif hop + 4 > at + length - 4:
            field = LAST_HOP
        else:
            field = NEXT_HOP if place == pointer else HOP
        packet.add(item, field, packet.data[hop : hop + 4], hop, 4)
        if field is LAST_HOP:
            # On its way there: the header's destination is the next hop, the checksum counts the last.
            last = packet.data[hop : hop + 4]
            packet.destination = ipv4_text(last)
            packet.values["ip.pseudo"] = packet.values.get("ip.pseudo", b"")[:4] + last


def _timestamps(packet: Packet, item: Item, at: int, length: int) -> None:
    """Milliseconds since midnight, each behind its address where the flag says so (RFC 791, 3.1)."""
    packet.add(item, OPTION_POINTER, packet.data[at + 2], at + 2, 1)
    kind = packet.data[at + 3] & 0x0F
    packet.add(item, OPTION_OVERFLOW, packet.data[at + 3] >> 4, at + 3, 1)
    packet.add(item, OPTION_FLAG, kind, at + 3, 1)
    addressed = kind in (1, 3)
    step_size = 8 if addressed else 4
    for where in range(at + 4, at + length - step_size + 1, step_size):
        if addressed:
            packet.add(item, OPTION_STAMPED, packet.data[where : where + 4], where, 4)
        stamp = where + step_size - 4
        packet.add(item, OPTION_STAMP, int.from_bytes(packet.data[stamp : stamp + 4], "big"), stamp, 4)
