"""DCCP (RFC 4340): a sequence number in each packet, an acknowledgement in most, options and features."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, pseudo_header, show_checksum
from netwatch.capture.dissect.kit import U8, U16, Bits, Header, Hex16, Item, Packed8, number, octets
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import Malformed, Packet
from netwatch.capture.dissect.registry import Step, on, step_by_ports

TYPES = {
    0: "Request",
    1: "Response",
    2: "Data",
    3: "Ack",
    4: "DataAck",
    5: "CloseReq",
    6: "Close",
    7: "Reset",
    8: "Sync",
    9: "SyncAck",
}
DCCP = Header(
    "dccp",
    "Datagram Congestion Control Protocol",
    (
        U16("srcport", "Source Port"),
        U16("dstport", "Destination Port"),
        U8("data_offset", "Data Offset"),
        Packed8(Bits(0xF0, "ccval", "CCVal"), Bits(0x0F, "cscov", "Checksum Coverage")),
        Hex16("checksum", "Checksum"),
        Packed8(
            Bits(0xE0, "res1", "Reserved"),
            Bits(0x1E, "type", "Type", TYPES),
            Bits(0x01, "x", "Extended Sequence Numbers"),
        ),
    ),
)
CHECKSUM_STATUS = number("dccp.checksum.status", "Checksum Status", STATUS)
SEQUENCE, SEQUENCE_RAW = number("dccp.seq", "Sequence Number"), number("dccp.seq_raw", "Sequence Number (raw)")
ACKNOWLEDGED, ACKNOWLEDGED_RAW = (
    number("dccp.ack", "Acknowledgement Number"),
    number("dccp.ack_raw", "Acknowledgement Number (raw)"),
)
SERVICES = {
    0: "NOT SPECIFIED",
    0x4C54: "LT",
    0x44495343: "DISC: DISCARD protocol",
    0x52545041: "RTPA: RTP session conveying audio data (and associated RTCP)",
    0x52545056: "RTPV: RTP session conveying video data (and associated RTCP)",
}
SERVICE = number("dccp.service_code", "Service Code", SERVICES)
RESET_CODES = {
    0: "Unspecified",
    1: "Closed",
    2: "Aborted",
    3: "No Connection",
    4: "Packet Error",
    5: "Option Error",
    6: "Mandatory Error",
    7: "Connection Refused",
    8: "Bad Service Code",
    9: "Too Busy",
    10: "Bad Init Cookie",
    11: "Aggression Penalty",
}
RESET = Header(
    "dccp",
    "Reset",
    (
        U8("reset_code", "Reset Code", RESET_CODES),
        U8("data1", "Data 1"),
        U8("data2", "Data 2"),
        U8("data3", "Data 3"),
    ),
    name="",
)
OPTIONS = {
    0: "Padding",
    1: "Mandatory",
    2: "Slow Receiver",
    32: "Change L",
    33: "Confirm L",
    34: "Change R",
    35: "Confirm R",
    36: "Init Cookie",
    37: "NDP Count",
    38: "Ack Vector [Nonce 0]",
    39: "Ack Vector [Nonce 1]",
    40: "Data Dropped",
    41: "Timestamp",
    42: "Timestamp Echo",
    43: "Elapsed Time",
    44: "Data Checksum",
    192: "CCID3 Loss Event Rate",
    193: "CCID3 Loss Intervals",
    194: "CCID3 Receive Rate",
}
OPTION = number("dccp.option_type", "Option Type", OPTIONS)
FEATURES = {
    1: "Congestion Control ID (CCID)",
    2: "Allow Short Seqnums",
    3: "Sequence Window",
    4: "ECN Incapable",
    5: "Ack Ratio",
    6: "Send Ack Vector",
    7: "Send NDP Count",
    8: "Minimum Checksum Coverage",
    9: "Check Data Checksum",
}
FEATURE = number("dccp.feature_number", "Feature Number", FEATURES)
OPTION_DATA = octets("dccp.option_data", "Data")
SINGLE = range(32)
"""Options of one byte (5.8)."""
WITH_ACK = frozenset({1, 3, 4, 5, 6, 7, 8, 9})
REQUEST, RESPONSE, DATA, DATA_ACK, RESET_TYPE = 0, 1, 2, 4, 7
SHORT_TYPES = frozenset({2, 3, 4})
"""Packets whose sequence numbers may have 24 bits instead of 48."""


@on("ip.proto", 33)
def dccp(packet: Packet, at: int, limit: int) -> Step | None:
    """The head's length is in its data offset; numbers of six bytes, or three where the X bit is clear (5.1).

    They are shown relative to those of the request and the response that began it.
    """
    packet.column("dccp")
    layer, (source, destination, offset, coverage, stored, word) = packet.open(DCCP, at, limit)
    kind, long = word >> 1 & 15, bool(word & 1)
    name = TYPES.get(kind, "Reserved")
    packet.values["ports"] = (source, destination)
    pair = packet.values.get("ip.pseudo", b"")
    half = len(pair) // 2
    packet.values["transport"] = ("dccp", pair[:half], source, pair[half:], destination)
    packet.info = f"{source} → {destination} [{name}]"
    start = at + 4 * offset
    if packet.build:
        status = _checksum(packet, at, start, limit, coverage & 15, stored)
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 6)
    if not long and kind not in SHORT_TYPES:
        raise Malformed(f"DCCP {name} with short sequence numbers", at + 8)
    width = 6 if long else 3
    where = at + 10 if long else at + 9
    number_ = packet.uint("DCCP", where, width, limit)
    memory = packet.memory("dccp")
    side = "client" if packet.from_client else "server"
    first = memory.get(side)
    shown = number_ if first is None else number_ - first & (1 << 8 * width) - 1
    if first is None and kind in (REQUEST, RESPONSE):
        memory[side] = number_
    packet.add(layer, SEQUENCE_RAW if long else SEQUENCE, number_, where, width)
    if first is not None:
        packet.add(layer, SEQUENCE, shown, where, width)
    packet.info += f" Seq={shown}"
    where += width
    if kind in WITH_ACK:
        where += 2 if long else 1
        acknowledged = packet.uint("DCCP acknowledgement", where, width, limit)
        packet.add(layer, ACKNOWLEDGED_RAW, acknowledged, where, width)
        other = "server" if side == "client" else "client"
        first = memory.get(other)
        said = acknowledged - first & (1 << 8 * width) - 1 if first is not None else acknowledged
        if first is not None:
            packet.add(layer, ACKNOWLEDGED, said, where, width)
        packet.info += f" (Ack={said})"
        where += width
    where = _specific(packet, layer, kind, where, limit)
    layer.said = f"Src Port: {source}, Dst Port: {destination} [{name}] Seq={shown}"
    if start < where:
        raise Malformed(f"DCCP data offset {offset}, must be at least {(where - at) // 4}", at + 4)
    layer.size = where - at
    _options(packet, layer, where, start, limit)
    layer.size = start - at
    if kind not in (REQUEST, RESPONSE, DATA, DATA_ACK):
        return Step((), start, limit) if start < limit else None
    return step_by_ports("dccp", source, destination, start, limit)


def _checksum(packet: Packet, at: int, start: int, limit: int, coverage: int, stored: int) -> int:
    """Over the head and, by its coverage, all, none or some words of the data (9.2)."""
    addresses = packet.values.get("ip.pseudo")
    end = limit if not coverage else min(limit, start + 4 * (coverage - 1))
    if addresses is None or end > packet.caplen or packet.values.get("quoted") or packet.values.get("ip.fragment"):
        return UNVERIFIED
    total = ones_sum(pseudo_header(addresses, 33, limit - at) + packet.data[at:end])
    return GOOD if total == 0xFFFF else BAD if stored else UNVERIFIED


def _specific(packet: Packet, layer: Item, kind: int, at: int, limit: int) -> int:
    """What only requests, responses and resets have -> where it ends."""
    if kind in (REQUEST, RESPONSE):
        service = packet.uint("DCCP service code", at, 4, limit)
        packet.add(layer, SERVICE, service, at, 4)
        packet.info += f" (service={SERVICES.get(service, f'Unknown ({service})')})"
        return at + 4
    if kind == RESET_TYPE:
        code, *_ = packet.add_header(layer, RESET, at, limit)
        packet.info += f" (code={RESET_CODES.get(code, f'Unknown ({code})')})"
        return at + RESET.size
    return at


def _options(packet: Packet, layer: Item, at: int, end: int, limit: int) -> None:
    packet.check("DCCP options", at, end - at, limit)
    for kind, where, size in options(packet, "DCCP option", at, end, single=SINGLE):
        item = packet.add(layer, OPTION, kind, where, size)
        body, left = where + 2, size - 2
        if left > 0 and 32 <= kind <= 35:
            packet.add(item, FEATURE, packet.data[body], body, 1)
            body, left = body + 1, left - 1
        if left > 0:
            packet.add(item, OPTION_DATA, packet.data[body : body + left], body, left)
