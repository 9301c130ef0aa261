"""NetFlow 5, 7 and 9 (RFC 3954) and IPFIX (RFC 7011): flows; of the later two by the templates that came before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import U8, U16, U32, Field, Header, Ip4, absolute, address, group, number, octets
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.protocols import declare
from netwatch.capture.text import ipv4, ipv6

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

declare("cflow", "CFLOW", "discovery")
LABEL: Final = "Cisco NetFlow/IPFIX"


def _seconds(value: int) -> str:
    return absolute(value * 10**9)


UPTIME: Final = U32("sysuptime", "SysUptime (ms)")
SECONDS: Final = U32("unix_secs", "CurrentSecs", form=_seconds)
HEADS: Final = {
    5: Header(
        "cflow",
        LABEL,
        (
            U16("version", "Version"),
            U16("count", "Count"),
            UPTIME,
            SECONDS,
            U32("unix_nsecs", "CurrentNSecs"),
            U32("sequence", "FlowSequence"),
            U8("engine_type", "EngineType"),
            U8("engine_id", "EngineId"),
            U16("samplingmode", "SamplingMode"),
        ),
    ),
    7: Header(
        "cflow",
        LABEL,
        (
            U16("version", "Version"),
            U16("count", "Count"),
            UPTIME,
            SECONDS,
            U32("unix_nsecs", "CurrentNSecs"),
            U32("sequence", "FlowSequence"),
            U32("", "Reserved"),
        ),
    ),
    9: Header(
        "cflow",
        LABEL,
        (
            U16("version", "Version"),
            U16("count", "Count"),
            UPTIME,
            SECONDS,
            U32("sequence", "FlowSequence"),
            U32("source_id", "SourceId"),
        ),
    ),
    10: Header(
        "cflow",
        LABEL,
        (
            U16("version", "Version"),
            U16("len", "Length"),
            U32("exporttime", "ExportTime", form=_seconds),
            U32("sequence", "FlowSequence"),
            U32("od_id", "Observation Domain Id"),
        ),
    ),
}
FLOW: Final = Header(
    "cflow",
    "Flow",
    (
        Ip4("srcaddr", "SrcAddr"),
        Ip4("dstaddr", "DstAddr"),
        Ip4("nexthop", "NextHop"),
        U16("inputint", "InputInt"),
        U16("outputint", "OutputInt"),
        U32("packets", "Packets"),
        U32("octets", "Octets"),
        U32("timestart", "StartTime (ms)"),
        U32("timeend", "EndTime (ms)"),
        U16("srcport", "SrcPort"),
        U16("dstport", "DstPort"),
        U8("", "Flags"),
        U8("tcpflags", "TCP Flags"),
        U8("protocol", "Protocol"),
        U8("tos", "IP ToS"),
        U16("srcas", "SrcAS"),
        U16("dstas", "DstAS"),
        U8("srcmask", "SrcMask"),
        U8("dstmask", "DstMask"),
    ),
    name="",
)
FLOW_SIZES: Final = {5: 48, 7: 52}
PDU: Final = group("", "Flow")
SET, SET_ID, SET_SIZE = (
    group("", "FlowSet"),
    number("cflow.flowset_id", "FlowSet Id"),
    number("cflow.flowset_length", "FlowSet Length"),
)
TEMPLATE, COUNT, TYPE, LENGTH = (
    number("cflow.template_id", "Template Id"),
    number("cflow.template_field_count", "Field Count"),
    number("cflow.template_field_type", "Type"),
    number("cflow.template_field_length", "Length"),
)
ELEMENTS: Final[dict[int, Field]] = {
    1: number("cflow.octets", "Octets"),
    2: number("cflow.packets", "Packets"),
    4: number("cflow.protocol", "Protocol"),
    5: number("cflow.tos", "IP ToS"),
    6: number("cflow.tcpflags", "TCP Flags"),
    7: number("cflow.srcport", "SrcPort"),
    8: address("cflow.srcaddr", "SrcAddr", 4),
    9: number("cflow.srcmask", "SrcMask"),
    10: number("cflow.inputint", "InputInt"),
    11: number("cflow.dstport", "DstPort"),
    12: address("cflow.dstaddr", "DstAddr", 4),
    13: number("cflow.dstmask", "DstMask"),
    14: number("cflow.outputint", "OutputInt"),
    15: address("cflow.nexthop", "NextHop", 4),
    16: number("cflow.srcas", "SrcAS"),
    17: number("cflow.dstas", "DstAS"),
    21: number("cflow.timeend", "EndTime (ms)"),
    22: number("cflow.timestart", "StartTime (ms)"),
    27: address("cflow.srcaddrv6", "SrcAddr", 16),
    28: address("cflow.dstaddrv6", "DstAddr", 16),
    62: address("cflow.nexthopv6", "NextHop", 16),
}
"""Information element → field (RFC 3954, 8; IANA's IPFIX entities)."""
VALUE: Final = octets("", "Value")
FIRST_DATA: Final = 256
VARIABLE: Final = 0xFFFF
MAX_FIELDS: Final = 128


@on("udp.port", 2055, 4739, 9995, 9996)
def netflow(packet: Packet, at: int, limit: int) -> Step | None:
    """Flows of a fixed layout, or sets of templates and of what they describe."""
    version = int.from_bytes(packet.rest(at, min(at + 2, limit)), "big")
    if version not in HEADS:
        return NOT_MINE
    packet.column("cflow")
    layer, values = packet.open(HEADS[version], at, limit)
    layer.size = packet.end(limit) - at
    where = at + HEADS[version].size
    if version in FLOW_SIZES:
        plural = "" if values[1] == 1 else "s"
        packet.info = f"total: {values[1]} (v{version}) flow{plural}"
        layer.said = packet.info
        for _ in range(values[1]):
            packet.check("NetFlow", where, FLOW_SIZES[version], limit)
            item = packet.add(layer, PDU, None, where, FLOW_SIZES[version])
            _flow(packet, item, where, limit)
            where += FLOW_SIZES[version]
        return None
    if version == 9:
        plural = "" if values[1] == 1 else "s"
        packet.info = f"total: {values[1]} (v9) record{plural} Obs-Domain-ID={values[5]:5}"
    else:
        packet.info = f"IPFIX flow ({values[1]:4} bytes) Obs-Domain-ID={values[4]:5}"
    layer.said = packet.info
    domain = values[-1]
    while where + 4 <= limit:
        kind, size = packet.uint("FlowSet", where, 2, limit), packet.uint("FlowSet", where + 2, 2, limit)
        if size < 4:
            raise Malformed(f"FlowSet length {size}, must be at least 4", where + 2)
        packet.check("FlowSet", where, size, limit)
        item = packet.add(layer, SET, None, where, size)
        packet.add(item, SET_ID, kind, where, 2)
        packet.add(item, SET_SIZE, size, where + 2, 2)
        _set(packet, item, kind, where + 4, where + size, (version, domain))
        where += size
    return None


def _flow(packet: Packet, item: Item, at: int, limit: int) -> None:
    values = packet.add_header(item, FLOW, at, limit)
    item.said = f"{ipv4(values[0])}:{values[9]} → {ipv4(values[1])}:{values[10]}, {values[6]} bytes"


def _set(packet: Packet, item: Item, kind: int, at: int, end: int, origin: tuple[int, int]) -> None:
    if kind >= FIRST_DATA:
        packet.info += f" [Data:{kind}]"
        item.said = f"Data of template {kind}"
        template = packet.memory("cflow").get((*origin, kind))
        if template:
            _records(packet, item, template, at, end)
        elif end > at:
            packet.add(item, VALUE, packet.data[at:end], at, end - at)
        return
    options = kind in (1, 3)
    enterprise = origin[0] == 10
    while at + 4 <= end:
        number_, count = packet.uint("Template", at, 2, end), packet.uint("Template", at + 2, 2, end)
        if number_ < FIRST_DATA:
            break
        packet.info += f" [{'Options' if options else 'Data'}-Template:{number_}]"
        item.said = f"{'Options' if options else 'Data'} Template {number_}"
        packet.add(item, TEMPLATE, number_, at, 2)
        at += 4
        if options and kind == 1:
            # The sizes of scopes and options in bytes (RFC 3954, 6.1).
            count = (count + packet.uint("Template", at, 2, end)) // 4
        at += 2 if options else 0
        packet.add(item, COUNT, count, at, 0)
        if count > MAX_FIELDS:
            raise Malformed(f"template of {count} fields", at)
        fields: list[tuple[int, int]] = []
        for _ in range(count):
            code, size = packet.uint("Template", at, 2, end), packet.uint("Template", at + 2, 2, end)
            each = packet.add(item, TYPE, code & 0x7FFF, at, 2)
            packet.add(each, LENGTH, size, at + 2, 2)
            at += 8 if enterprise and code & 0x8000 else 4
            fields.append((-1 if enterprise and code & 0x8000 else code, size))
        remember(packet.memory("cflow"), (*origin, number_), tuple(fields))


def _records(packet: Packet, item: Item, template: tuple[tuple[int, int], ...], at: int, end: int) -> None:
    """Records one after the other; what is too short for another is padding."""
    least = sum(1 if size == VARIABLE else size for _, size in template)
    while least and at + least <= end:
        start = at
        record = packet.add(item, PDU, None, at, 0)
        ends: dict[int, Any] = {}
        for code, stated in template:
            size = stated
            if stated == VARIABLE:
                size = packet.uint("Flow", at, 1, end)
                at += 1
                if size == 0xFF:
                    size, at = packet.uint("Flow", at, 2, end), at + 2
            raw = packet.take("Flow", at, size, end)
            field = ELEMENTS.get(code, VALUE)
            if field.plain in (ipv4, ipv6) and size != (4 if field.plain is ipv4 else 16):
                field = VALUE
            if field is VALUE or field.plain in (ipv4, ipv6):
                packet.add(record, field, raw, at, size)
            else:
                packet.add(record, field, int.from_bytes(raw[:16], "big"), at, size)
            ends[code] = raw
            at += size
        record.size = at - start
        if len(ends.get(8, b"")) == 4 and len(ends.get(12, b"")) == 4:
            record.said = f"{ipv4(ends[8])} → {ipv4(ends[12])}"
