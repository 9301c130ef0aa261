"""IGMP, versions 1 to 3 (RFC 1112, 2236, 3376)."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bits,
    Header,
    Hex8,
    Hex16,
    Ip4,
    Item,
    Packed8,
    address,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import ipv4

TYPES = {
    0x11: "Membership Query",
    0x12: "Membership Report",
    0x13: "DVMRP",
    0x14: "PIM version 1",
    0x16: "Membership Report",
    0x17: "Leave Group",
    0x22: "Membership Report",
}
IGMP = Header(
    "igmp",
    "Internet Group Management Protocol",
    (Hex8("type", "Type", TYPES), U8("max_resp", "Max Resp Time (0.1 s)"), Hex16("checksum", "Checksum")),
)
GROUP = address("igmp.maddr", "Multicast Address", 4)
RECORDS = number("igmp.num_grp_recs", "Num Group Records")
RECORD = group("", "Group Record")
RECORD_TYPES = {
    1: "Mode Is Include",
    2: "Mode Is Exclude",
    3: "Change To Include Mode",
    4: "Change To Exclude Mode",
    5: "Allow New Sources",
    6: "Block Old Sources",
}
RECORD_HEAD = Header(
    "igmp",
    "Group Record",
    (
        U8("record_type", "Record Type", RECORD_TYPES),
        U8("aux_data_len", "Aux Data Len"),
        U16("num_src", "Num Src"),
        Ip4("maddr", "Multicast Address"),
    ),
    name="",
)
SOURCE = address("igmp.saddr", "Source Address", 4)
AUXILIARY = octets("igmp.aux_data", "Aux Data")
VERSION = number("igmp.version", "IGMP Version")
CHECKSUM_STATUS = number("igmp.checksum.status", "Checksum Status", STATUS)
QUERY = Header(
    "igmp",
    "Query",
    (
        Packed8(Bits(0x08, "s", "S"), Bits(0x07, "qrv", "QRV")),
        U8("qqic", "QQIC"),
        U16("num_src", "Num Src"),
    ),
    name="",
)


@on("ip.proto", 2)
def igmp(packet: Packet, at: int, limit: int) -> None:
    """Versions 1 to 3 by type and length (RFC 3376, 7.1)."""
    packet.column("igmp")
    layer, (kind, response, _) = packet.open(IGMP, at, limit)
    name = TYPES.get(kind, f"Unknown Type 0x{kind:02x}")
    layer.said = packet.info = name
    where = at + IGMP.size
    if packet.build:
        status = UNVERIFIED
        if limit <= packet.caplen and not packet.values.get("quoted"):
            status = GOOD if ones_sum(packet.data[at:limit]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 2)
    version = _version(kind, response, limit - at)
    if version:
        packet.protocol = f"IGMPv{version}"
        packet.add(layer, VERSION, version, at, 0)
    if kind == 0x22:
        count = packet.uint("IGMP", where + 2, 2, limit)
        packet.add(layer, RECORDS, count, where + 2, 2)
        layer.size += 4
        _records(packet, layer, count, where + 4, limit)
        return
    target = packet.take("IGMP", where, 4, limit)
    packet.add(layer, GROUP, target, where, 4)
    layer.size += 4
    if kind == 0x11:
        _query(packet, layer, response, target, at, limit)
    elif kind in (0x16, 0x17):
        packet.info += f" {'group ' if kind == 0x16 else ''}{ipv4(target)}"


def _version(kind: int, response: int, size: int) -> int:
    """A query of version 1 has no response time, one of version 3 more than eight bytes; 0: of none."""
    if kind == 0x11:
        return 3 if size >= 8 + QUERY.size else 2 if response else 1
    return {0x12: 1, 0x16: 2, 0x17: 2, 0x22: 3}.get(kind, 0)


def _query(packet: Packet, layer: Item, response: int, target: bytes, at: int, limit: int) -> None:
    """Version 3 has sources that are asked for (RFC 3376, 4.1)."""
    third = limit - at >= 8 + QUERY.size
    if not third and not response:
        return
    packet.info += ", general" if not any(target) else f", specific for group {ipv4(target)}"
    if not third:
        return
    where = at + 8
    _, _, count = packet.add_header(layer, QUERY, where, limit)
    where += QUERY.size
    said = []
    for _ in range(count):
        source = packet.take("IGMP source", where, 4, limit)
        packet.add(layer, SOURCE, source, where, 4)
        said.append(ipv4(source))
        where += 4
    layer.size = where - at
    if said:
        packet.info += f", sources {{{', '.join(said)}}}"


def _records(packet: Packet, layer: Item, count: int, at: int, limit: int) -> None:
    said: list[str] = []
    try:
        for _ in range(count):
            parent = packet.add(layer, RECORD, None, at, RECORD_HEAD.size)
            kind, extra, sources, target = packet.add_header(parent, RECORD_HEAD, at, limit)
            size = RECORD_HEAD.size + 4 * sources + 4 * extra
            packet.check("IGMP group record", at, size, limit)
            parent.size = size
            found = [packet.data[where : where + 4] for where in range(at + 8, at + 8 + 4 * sources, 4)]
            for index, source in enumerate(found):
                packet.add(parent, SOURCE, source, at + 8 + 4 * index, 4)
            if extra:
                place = at + 8 + 4 * sources
                packet.add(parent, AUXILIARY, packet.data[place : at + size], place, 4 * extra)
            parent.said = f"{ipv4(target)}  {RECORD_TYPES.get(kind, kind)}"
            said.append(_record_words(kind, ipv4(target), [ipv4(source) for source in found]))
            at += size
            layer.size = at - layer.start
    finally:
        packet.info = " / ".join([packet.info, *said])


def _record_words(kind: int, target: str, sources: list[str]) -> str:
    among = f"{{{', '.join(sources)}}}"
    if kind in (1, 3):
        return f"Join group {target} for source {among}" if sources else f"Leave group {target}"
    if kind in (2, 4):
        return f"Join group {target}, not for source {among}" if sources else f"Join group {target} for any sources"
    if kind == 5:
        return f"Group {target}, new source {among}"
    if kind == 6:
        return f"Group {target}, block source {among}"
    return f"Group {target}, unknown record type {kind}"
