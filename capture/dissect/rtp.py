"""RTP (RFC 3550) where SDP, SIP or RTSP announced it."""

from __future__ import annotations

from functools import partial
from typing import Final

from netwatch.capture.dissect.kit import U16, U32, Bit, Bits, Header, Hex32, Packed16, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Dissector, Step
from netwatch.capture.dissect.rtcp import rtcp

__all__ = ["PAYLOAD_TYPES", "announce"]

PAYLOAD_TYPES: Final = {
    0: "ITU-T G.711 PCMU",
    2: "ITU-T G.721",
    3: "GSM 06.10",
    4: "ITU-T G.723",
    5: "DVI4 8000 samples/s",
    6: "DVI4 16000 samples/s",
    7: "Experimental linear predictive encoding from Xerox PARC",
    8: "ITU-T G.711 PCMA",
    9: "ITU-T G.722",
    10: "16-bit uncompressed audio, stereo",
    11: "16-bit uncompressed audio, monaural",
    12: "Qualcomm Code Excited Linear Predictive coding",
    13: "Comfort noise",
    14: "MPEG-I/II Audio",
    15: "ITU-T G.728",
    18: "ITU-T G.729",
    26: "JPEG-compressed video",
    31: "ITU-T H.261",
    32: "MPEG-I/II Video",
    33: "MPEG-II transport streams",
    34: "ITU-T H.263",
}
"""RFC 3551, 6."""
RTP = Header(
    "rtp",
    "Real-Time Transport Protocol",
    (
        Packed16(
            Bits(0xC000, "version", "Version"),
            Bit(0x2000, "padding", "Padding"),
            Bit(0x1000, "ext", "Extension"),
            Bits(0x0F00, "cc", "Contributing source identifiers count"),
            Bit(0x0080, "marker", "Marker"),
            Bits(0x007F, "p_type", "Payload type"),
        ),
        U16("seq", "Sequence number"),
        U32("timestamp", "Timestamp"),
        Hex32("ssrc", "Synchronization Source identifier"),
    ),
)
CSRC = number("rtp.csrc.item", "CSRC item", digits=8)
EXTENSION = Header(
    "rtp.ext", "Extension", (U16("profile", "Defined by profile"), U16("len", "Extension length")), name=""
)
EXTENSION_WORD = octets("rtp.hdr_ext", "Header extension")
SETUP, METHOD = number("rtp.setup-frame", "Setup frame"), text("rtp.setup-method", "Setup Method")
PAYLOAD, PADDING = octets("rtp.payload", "Payload"), octets("rtp.padding.data", "Padding data")
CODEC = text("", "Encoding")


def announce(packet: Packet, host: bytes, port: int, method: str, names: dict[int, str], control: int = 0) -> None:
    """RTP will flow to and from this port, RTCP at the next or where `control` says (RFC 3605)."""
    dissector: Dissector = partial(rtp, method, packet.number, names)
    packet.expect("udp", host, port, dissector)
    if port < 0xFFFF or control:
        packet.expect("udp", host, control or port + 1, rtcp)


def rtp(method: str, announced: int, names: dict[int, str], packet: Packet, at: int, limit: int) -> Step | None:
    """A header, sources, an extension, the payload; RTCP may share the port (RFC 5761, 4)."""
    start = packet.data[at : at + 2]
    if len(start) < 2 or start[0] >> 6 != 2:
        return NOT_MINE
    if 200 <= start[1] <= 213:
        return rtcp(packet, at, limit)
    packet.column("rtp")
    layer, (word, sequence, timestamp, source) = packet.open(RTP, at, limit)
    code = word & 0x7F
    name = (
        names.get(code)
        or PAYLOAD_TYPES.get(code)
        or (f"DynamicRTP-Type-{code}" if code >= 96 else f"Unknown ({code})")
    )
    said = f"PT={name}, SSRC=0x{source:X}, Seq={sequence}, Time={timestamp}{', Mark' if word & 0x80 else ''}"
    layer.said = packet.info = said
    packet.add(layer, SETUP, announced, at, 0)
    packet.add(layer, METHOD, method, at, 0)
    packet.add(layer, CODEC, name, at + 1, 1)
    where = at + RTP.size
    for _ in range(word >> 8 & 0x0F):
        packet.add(layer, CSRC, packet.uint("RTP", where, 4, limit), where, 4)
        where += 4
    if word & 0x1000:
        _, words = packet.add_header(layer, EXTENSION, where, limit)
        where += EXTENSION.size
        raw = packet.take("RTP extension", where, 4 * words, limit)
        packet.add(layer, EXTENSION_WORD, raw, where, len(raw))
        where += len(raw)
    stop = limit
    if word & 0x2000 and limit <= packet.caplen and where < limit:
        # The last byte says how many there are, itself among them.
        stop = max(limit - packet.data[limit - 1], where)
    rest = packet.rest(where, stop)
    layer.size = packet.end(limit) - at
    packet.add(layer, PAYLOAD, rest, where, len(rest))
    if stop < limit:
        packet.add(layer, PADDING, packet.rest(stop, limit), stop, packet.end(limit) - stop)
    return None
