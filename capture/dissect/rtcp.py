"""RTCP (RFC 3550, 6; RFC 4585): reports beside RTP."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    U32,
    Bit,
    Bits,
    Header,
    Hex32,
    Item,
    Packed8,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

TYPES: Final = {
    192: "Full INTRA-frame Request",
    193: "Negative ACK",
    200: "Sender Report",
    201: "Receiver Report",
    202: "Source description",
    203: "Goodbye",
    204: "Application specific",
    205: "Generic RTP Feedback",
    206: "Payload-specific Feedback",
    207: "Extended report (RFC 3611)",
    208: "AVB RTCP packet (IEEE1733)",
}
SDES_TYPES: Final = {
    0: "END",
    1: "CNAME (user and domain)",
    2: "NAME (common name)",
    3: "EMAIL (e-mail address)",
    4: "PHONE (phone number)",
    5: "LOC (geographic location)",
    6: "TOOL (name/version of source app)",
    7: "NOTE (note about source)",
    8: "PRIV (private extensions)",
}
RTCP = Header(
    "rtcp",
    "Real-time Transport Control Protocol",
    (
        Packed8(
            Bits(0xC0, "version", "Version"), Bit(0x20, "padding", "Padding"), Bits(0x1F, "rc", "Count or format")
        ),
        U8("pt", "Packet type", TYPES),
        U16("length", "Length"),
    ),
)
SENDER = number("rtcp.senderssrc", "Sender SSRC", digits=8)
MEDIA = number("rtcp.mediassrc", "Media source SSRC", digits=8)
SENT = Header(
    "rtcp",
    "Sender information",
    (
        U32("timestamp.ntp.msw", "Timestamp, MSW"),
        U32("timestamp.ntp.lsw", "Timestamp, LSW"),
        U32("timestamp.rtp", "RTP timestamp"),
        U32("sender.packetcount", "Sender's packet count"),
        U32("sender.octetcount", "Sender's octet count"),
    ),
    name="",
)
REPORT = Header(
    "rtcp.ssrc",
    "Source",
    (
        Hex32("identifier", "Identifier"),
        U8("fraction", "Fraction lost"),
        U24("cum_nr", "Cumulative number of packets lost"),
        U32("ext_high", "Extended highest sequence number received"),
        U32("jitter", "Interarrival jitter"),
        U32("lsr", "Last SR timestamp"),
        U32("dlsr", "Delay since last SR timestamp"),
    ),
    name="",
)
SOURCE = number("rtcp.ssrc.identifier", "Identifier", digits=8)
ITEM_TYPE = number("rtcp.sdes.type", "Type", SDES_TYPES)
ITEM_LENGTH, ITEM_TEXT = number("rtcp.sdes.length", "Length"), text("rtcp.sdes.text", "Text")
REST = octets("rtcp.fci", "Content")


@on("udp.port", 5005)
def rtcp(packet: Packet, at: int, limit: int) -> Step | None:
    """One or more packets, each with its length in words (6.1)."""
    start = packet.data[at : at + 2]
    if len(start) < 2 or start[0] >> 6 != 2 or start[1] not in TYPES:
        return NOT_MINE
    packet.column("rtcp")
    words: list[str] = []
    while at < limit and packet.data[at : at + 1] and packet.data[at] >> 6 == 2:
        layer, (first, kind, length) = packet.open(RTCP, at, limit)
        end = at + 4 + 4 * length
        words.append(TYPES.get(kind, f"Unknown ({kind})"))
        layer.said = words[-1]
        packet.info = "   ".join(words)
        packet.check("RTCP", at, end - at, limit)
        layer.size = end - at
        _content(packet, layer, kind, first & 0x1F, at + 4, end)
        at = end
    return Step((), at, limit) if at < limit else None


def _content(packet: Packet, layer: Item, kind: int, count: int, at: int, end: int) -> None:
    if kind == 202:
        _description(packet, layer, count, at, end)
        return
    if kind == 203:
        for _ in range(count):
            packet.add(layer, SOURCE, packet.uint("RTCP", at, 4, end), at, 4)
            at += 4
    elif at + 4 <= end:
        packet.add(layer, SENDER, packet.uint("RTCP", at, 4, end), at, 4)
        at += 4
        if kind == 200:
            packet.add_header(layer, SENT, at, end)
            at += SENT.size
        if kind in (200, 201):
            for _ in range(count):
                packet.add_header(layer, REPORT, at, end)
                at += REPORT.size
        elif kind in (205, 206):
            packet.add(layer, MEDIA, packet.uint("RTCP", at, 4, end), at, 4)
            at += 4
    if at < end:
        packet.add(layer, REST, packet.data[at:end], at, end - at)


def _description(packet: Packet, layer: Item, count: int, at: int, end: int) -> None:
    """Chunks: a source, then items up to a zero, filled up to a word (6.5)."""
    for _ in range(count):
        chunk = packet.add(layer, SOURCE, packet.uint("RTCP source", at, 4, end), at, 4)
        start = at
        at += 4
        while at < end:
            code = packet.data[at]
            if code == 0:
                at += 1
                break
            size = packet.uint("RTCP item", at + 1, 1, end)
            raw = packet.take("RTCP item", at + 2, size, end)
            item = packet.add(chunk, ITEM_TYPE, code, at, 2 + size)
            packet.add(item, ITEM_LENGTH, size, at + 1, 1)
            packet.add(item, ITEM_TEXT, raw, at + 2, size)
            at += 2 + size
        at = min(start + (at - start + 3 & ~3), end)
