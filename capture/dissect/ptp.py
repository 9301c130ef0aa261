"""PTP version 2 (IEEE 1588-2008, 13): who has the best clock, what time it is, how long the way takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U48,
    Bit,
    Bits,
    Flags16,
    Header,
    Hex8,
    Hex64,
    Packed8,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

SYNC, DELAY_REQUEST, PATH_REQUEST, PATH_RESPONSE, FOLLOW_UP, DELAY_RESPONSE, PATH_FOLLOW_UP = 0, 1, 2, 3, 8, 9, 10
ANNOUNCE, SIGNALLING, MANAGEMENT = 11, 12, 13
TYPES: Final = {
    SYNC: "Sync Message",
    DELAY_REQUEST: "Delay_Req Message",
    PATH_REQUEST: "Peer_Delay_Req Message",
    PATH_RESPONSE: "Peer_Delay_Resp Message",
    FOLLOW_UP: "Follow_Up Message",
    DELAY_RESPONSE: "Delay_Resp Message",
    PATH_FOLLOW_UP: "Peer_Delay_Resp_Follow_Up Message",
    ANNOUNCE: "Announce Message",
    SIGNALLING: "Signalling Message",
    MANAGEMENT: "Management Message",
}
CONTROLS: Final = {
    0: "Sync Message",
    1: "Delay_Req Message",
    2: "Follow_Up Message",
    3: "Delay_Resp Message",
    4: "Management Message",
    5: "Other Message",
}


def _signed(value: int) -> str:
    return str(value - 256 if value > 127 else value)


def _offset(value: int) -> str:
    return str(value - 65536 if value > 32767 else value)


PTP: Final = Header(
    "ptp.v2",
    "Precision Time Protocol (IEEE1588)",
    (
        Packed8(
            Bits(0xF0, "majorsdoid", "majorSdoId", {1: "gPTP Domain", 2: "CMLDS"}, digits=2),
            Bits(0x0F, "messagetype", "messageType", TYPES, digits=2),
        ),
        Packed8(Bits(0xF0, "minorversionptp", "minorVersionPTP"), Bits(0x0F, "versionptp", "versionPTP")),
        U16("messagelength", "messageLength"),
        U8("domainnumber", "domainNumber"),
        U8("minorsdoid", "minorSdoId"),
        Flags16(
            "flags",
            "flags",
            Bit(0x8000, "flags.security", "PTP_SECURITY"),
            Bit(0x4000, "flags.specific2", "PTP profile Specific 2"),
            Bit(0x2000, "flags.specific1", "PTP profile Specific 1"),
            Bit(0x0400, "flags.unicast", "PTP_UNICAST"),
            Bit(0x0200, "flags.twostep", "PTP_TWO_STEP"),
            Bit(0x0100, "flags.alternatemaster", "PTP_ALTERNATE_MASTER"),
            Bit(0x0040, "flags.synchronizationUncertain", "SYNCHRONIZATION_UNCERTAIN"),
            Bit(0x0020, "flags.frequencytraceable", "FREQUENCY_TRACEABLE"),
            Bit(0x0010, "flags.timetraceable", "TIME_TRACEABLE"),
            Bit(0x0008, "flags.timescale", "PTP_TIMESCALE"),
            Bit(0x0004, "flags.utcreasonable", "PTP_UTC_REASONABLE"),
            Bit(0x0002, "flags.li59", "PTP_LI_59"),
            Bit(0x0001, "flags.li61", "PTP_LI_61"),
        ),
    ),
    name="ptp",
)
CORRECTION: Final = group("", "correctionField")
CORRECTION_NS, CORRECTION_PART = (
    number("ptp.v2.correction.ns", "correction: Ns"),
    text("ptp.v2.correction.subns", "correctionSubNs"),
)
REST: Final = Header(
    "ptp.v2",
    "",
    (
        U32("messagetypespecific", "messageTypeSpecific"),
        Hex64("clockidentity", "ClockIdentity"),
        U16("sourceportid", "SourcePortID"),
        U16("sequenceid", "sequenceId"),
        U8("controlfield", "controlField", CONTROLS),
        U8("logmessageperiod", "logMessagePeriod", form=_signed, plain=_signed),
    ),
    name="",
)
HEAD: Final = 34


def _time(prefix: str, name: str) -> Header:
    """Seconds since 1970, TAI or not by the flags, and nanoseconds."""
    key = name.lower()
    rows = U48(f"{key}.seconds", f"{name} (seconds)"), U32(f"{key}.nanoseconds", f"{name} (nanoseconds)")
    return Header(f"ptp.v2.{prefix}", name, rows, name="")


def _port(prefix: str, identity: str, port: str, names: tuple[str, str]) -> Header:
    return Header(f"ptp.v2.{prefix}", "port", (Hex64(identity, names[0]), U16(port, names[1])), name="")


ASKING: Final = "requestingSourcePortIdentity", "requestingSourcePortId"
TARGET: Final = "targetPortIdentity", "targetPortId"
RECEIPT: Final = Header(
    "ptp.v2.pdrs",
    "requestreceiptTimestamp",
    (
        U48("requestreceipttimestamp.seconds", "requestreceiptTimestamp (seconds)"),
        U32("requestreceipttimestamp.nanoseconds", "requestreceiptTimestamp (nanoseconds)"),
    ),
    name="",
)
WITHIN: Final = (
    *("25 ns", "100 ns", "250 ns", "1 us", "2.5 us", "10 us", "25 us", "100 us", "250 us"),
    *("1 ms", "2.5 ms", "10 ms", "25 ms", "100 ms", "250 ms", "1 s", "10 s"),
)
ACCURACY: Final = {0x20 + place: f"The time is accurate to within {size}" for place, size in enumerate(WITHIN)} | {
    0x31: "The time is accurate to >10 s",
    0xFE: "Accuracy Unknown",
}
SOURCES: Final = {
    0x10: "ATOMIC_CLOCK",
    0x20: "GPS",
    0x30: "TERRESTRIAL_RADIO",
    0x40: "PTP",
    0x50: "NTP",
    0x60: "HAND_SET",
    0x90: "OTHER",
    0xA0: "INTERNAL_OSCILLATOR",
}
OFFERED: Final = Header(
    "ptp.v2.an",
    "Announce",
    (
        U16("origincurrentutcoffset", "originCurrentUTCOffset", form=_offset, plain=_offset),
        U8("", "Reserved"),
        U8("priority1", "priority1"),
        U8("grandmasterclockclass", "grandmasterClockClass"),
        Hex8("grandmasterclockaccuracy", "grandmasterClockAccuracy", ACCURACY),
        U16("grandmasterclockvariance", "grandmasterClockVariance"),
        U8("priority2", "priority2"),
        Hex64("grandmasterclockidentity", "grandmasterClockIdentity"),
        U16("localstepsremoved", "localStepsRemoved"),
        Hex8("=ptp.v2.timesource", "TimeSource", SOURCES),
    ),
    name="",
)
TLVS: Final = {
    1: "Management",
    2: "Management error status",
    3: "Organization extension",
    4: "Request unicast transmission",
    5: "Grant unicast transmission",
    6: "Cancel unicast transmission",
    7: "Acknowledge cancel unicast transmission",
    8: "Path trace",
    9: "Alternate time offset indicator",
}
ACTIONS: Final = {0: "GET", 1: "SET", 2: "RESPONSE", 3: "COMMAND", 4: "ACKNOWLEDGE"}
SUBJECTS: Final = {
    0x0000: "NULL_MANAGEMENT",
    0x0001: "CLOCK_DESCRIPTION",
    0x0002: "USER_DESCRIPTION",
    0x0005: "INITIALIZE",
    0x0006: "FAULT_LOG",
    0x2000: "DEFAULT_DATA_SET",
    0x2001: "CURRENT_DATA_SET",
    0x2002: "PARENT_DATA_SET",
    0x2003: "TIME_PROPERTIES_DATA_SET",
    0x2004: "PORT_DATA_SET",
    0x2005: "PRIORITY1",
    0x2006: "PRIORITY2",
    0x2007: "DOMAIN",
    0x2008: "SLAVE_ONLY",
    0x200F: "TIME",
    0x2010: "CLOCK_ACCURACY",
    0x6000: "DELAY_MECHANISM",
}
MANAGED: Final = Header(
    "ptp.v2.mm",
    "Management",
    (
        U8("startingboundaryhops", "startingBoundaryHops"),
        U8("boundaryhops", "boundaryHops"),
        Packed8(Bits(0x0F, "action", "action", ACTIONS)),
        U8("", "Reserved"),
    ),
    name="",
)
PARTS: Final[dict[int, tuple[Header, ...]]] = {
    SYNC: (_time("sdr", "originTimestamp"),),
    DELAY_REQUEST: (_time("sdr", "originTimestamp"),),
    PATH_REQUEST: (_time("pdrq", "originTimestamp"),),
    PATH_RESPONSE: (RECEIPT, _port("pdrs", "requestingportidentity", "requestingsourceportid", ASKING)),
    FOLLOW_UP: (_time("fu", "preciseOriginTimestamp"),),
    DELAY_RESPONSE: (
        _time("dr", "receiveTimestamp"),
        _port("dr", "requestingsourceportidentity", "requestingsourceportid", ASKING),
    ),
    PATH_FOLLOW_UP: (
        _time("pdfu", "responseOriginTimestamp"),
        _port("pdfu", "requestingportidentity", "requestingsourceportid", ASKING),
    ),
    ANNOUNCE: (_time("an", "originTimestamp"), OFFERED),
    SIGNALLING: (_port("sig", "targetportidentity", "targetportid", TARGET),),
    MANAGEMENT: (_port("mm", "targetportidentity", "targetportid", TARGET), MANAGED),
}
RESERVED: Final = {PATH_REQUEST: 10}
"""Bytes behind the parts that make two kinds equally long (13.9)."""


def _tlv(prefix: str, data: str) -> tuple[Field, Field, Field]:
    return (
        number(prefix and f"ptp.v2.{prefix}tlvType", "tlvType", TLVS),
        number(prefix and f"ptp.v2.{prefix}lengthField", "lengthField"),
        octets(data and f"ptp.v2.{prefix}{data}", "data"),
    )


TLV: Final = group("", "TLV")
TLV_FIELDS: Final = {SIGNALLING: _tlv("sig.tlv.", "data"), MANAGEMENT: _tlv("mm.", "data"), ANNOUNCE: _tlv("an.", "")}
OTHER_TLV: Final = _tlv("", "")
CLOCK: Final = number("ptp.v2.an.pathsequence", "PathSequence", digits=16)
PATH: Final = 8
LOW_BITS: Final = number("ptp.v2.fu.preciseorigintimestamp.32bit", "preciseOriginTimestamp (32bit)")
SUBJECT: Final = number("ptp.v2.mm.managementId", "managementId", SUBJECTS)


@on("ethertype", 0x88F7)
@on("udp.port", 319, 320)
def ptp(packet: Packet, at: int, limit: int) -> Step | None:
    """A head of 34 bytes, what its type says, and what stands behind as type, length, value."""
    if packet.rest(at + 1, min(at + 2, limit)) and packet.data[at + 1] & 15 != 2:
        return NOT_MINE
    packet.column("ptp")
    packet.protocol = "PTPv2"
    layer, (first, _, length, *_) = packet.open(PTP, at, limit)
    kind = first & 15
    packet.info = layer.said = TYPES.get(kind, f"Unknown PTP Message ({kind})")
    end = min(limit, at + max(length, HEAD))
    if packet.payload_end is None:
        packet.payload_end = end
    where = at + PTP.size
    correction = int.from_bytes(packet.take("PTP", where, 8, end), "big", signed=True)
    item = packet.add(layer, CORRECTION, None, where, 8, f"{correction / 65536:f} nanoseconds")
    packet.add(item, CORRECTION_NS, correction >> 16, where, 6)
    packet.add(item, CORRECTION_PART, f"{(correction & 0xFFFF) / 65536:g}", where + 6, 2)
    packet.add_header(layer, REST, where + 8, end)
    layer.size = HEAD
    where = at + HEAD
    for part in PARTS.get(kind, ()):
        values = packet.add_header(layer, part, where, end)
        if kind == FOLLOW_UP:
            low = (values[0] * 10**9 + values[1]) & 0xFFFFFFFF
            packet.add(layer, LOW_BITS, low, where, part.size)
        if part is MANAGED:
            packet.info = layer.said = f"Management {ACTIONS.get(values[2] & 15, 'Unknown')}"
        where += part.size
    where = min(where + RESERVED.get(kind, 0), end)
    if kind in PARTS:
        where = _tlvs(packet, layer, kind, where, end)
    layer.size = packet.end(where) - at
    return Step((), where, end) if where < end else None


def _tlvs(packet: Packet, layer: Item, kind: int, at: int, end: int) -> int:
    """Types, lengths, values (14.1)."""
    sort_field, length_field, data_field = TLV_FIELDS.get(kind, OTHER_TLV)
    while at + 4 <= end:
        sort, size = packet.uint("PTP TLV", at, 2, end), packet.uint("PTP TLV", at + 2, 2, end)
        packet.check("PTP TLV", at + 4, size, end)
        item = packet.add(layer, TLV, None, at, 4 + size, TLVS.get(sort, f"type {sort}"))
        packet.add(item, sort_field, sort, at, 2)
        packet.add(item, length_field, size, at + 2, 2)
        start = at + 4
        at = start + size
        if kind == MANAGEMENT and sort == 1 and size >= 2:
            subject = packet.uint("PTP TLV", start, 2, end)
            packet.add(item, SUBJECT, subject, start, 2)
            said = SUBJECTS.get(subject, f"Unknown (0x{subject:04x})")
            packet.info = layer.said = packet.info.replace("Management ", f"Management ({said}) ", 1)
            start += 2
        if kind == ANNOUNCE and sort == PATH:
            # The clocks that it came by (16.2).
            while start + 8 <= at:
                packet.add(item, CLOCK, packet.uint("PTP TLV", start, 8, end), start, 8)
                start += 8
        if start < at:
            packet.add(item, data_field, packet.data[start:at], start, at - start)
    return at
