"""GTP version 1 (3GPP TS 29.060, 29.281): the head, its extension headers, a user's packet."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U16,
    Bit,
    Bits,
    Flags8,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Packed8,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step

GTP_TYPES = {
    1: "Echo request",
    2: "Echo response",
    3: "Version not supported",
    16: "Create PDP context request",
    17: "Create PDP context response",
    18: "Update PDP context request",
    19: "Update PDP context response",
    20: "Delete PDP context request",
    21: "Delete PDP context response",
    26: "Error indication",
    27: "PDU notification request",
    31: "Supported extension header notification",
    254: "End Marker",
    255: "T-PDU",
}
GTP = Header(
    "gtp",
    "GPRS Tunneling Protocol",
    (
        Flags8(
            "flags",
            "Flags",
            Bits(0xE0, "flags.version", "Version"),
            Bits(0x10, "flags.payload", "Protocol type", {0: "GTP'", 1: "GTP"}),
            Bit(0x04, "flags.e", "Is Next Extension Header present?"),
            Bit(0x02, "flags.s", "Is Sequence Number present?"),
            Bit(0x01, "flags.pn", "Is N-PDU number present?"),
        ),
        Hex8("message", "Message Type", GTP_TYPES),
        U16("length", "Length"),
        Hex32("teid", "TEID"),
    ),
)
EXTENSIONS = {
    0x01: "MBMS support indication",
    0x02: "MS Info Change Reporting support indication",
    0x20: "Service Class Indicator",
    0x40: "UDP Port number",
    0x81: "RAN container",
    0x82: "Long PDCP PDU number",
    0x83: "Xw RAN container",
    0x84: "NR RAN container",
    0x85: "PDU Session container",
    0xC0: "PDCP PDU number",
    0xC1: "Suspend Request",
    0xC2: "Suspend Response",
}
GTP_OPTIONAL = Header(
    "gtp",
    "Optional",
    (
        Hex16("seq_number", "Sequence number"),
        Hex8("npdu_number", "N-PDU Number"),
        Hex8("ext_hdr.next", "Next extension header type", EXTENSIONS),
    ),
    name="",
)
EXTENSION, EXTENSION_DATA = group("gtp.ext_hdr", "Extension header"), octets("", "Content")
EXTENSION_LENGTH = number("gtp.ext_hdr.length", "Extension Header Length")
FOLLOWING = number("gtp.ext_hdr.next", "Next extension header type", EXTENSIONS, digits=2)
SESSION_TYPES = {0: "DL PDU SESSION INFORMATION", 1: "UL PDU SESSION INFORMATION"}
SESSION = Header(
    "gtp.ext_hdr.pdu_ses_con",
    "PDU Session container",
    (
        Packed8(Bits(0xF0, "pdu_type", "PDU Type", SESSION_TYPES)),
        Packed8(Bits(0x3F, "qos_flow_id", "QoS Flow Identifier (QFI)")),
    ),
    name="",
)
PDU_SESSION = 0x85


@on("udp.port", 2152, 2123, 3386)
def gtp(packet: Packet, at: int, limit: int) -> Step | None:
    """Version 1: eight bytes, four more where a flag is set, extension headers; a T-PDU is a user's packet."""
    if at < packet.end(limit) and packet.data[at] >> 5 != 1:
        other = step("gtp.version", packet.data[at] >> 5, at, limit)
        return other if other.candidates else NOT_MINE
    packet.column("gtp")
    layer, (flags, kind, length, teid) = packet.open(GTP, at, limit)
    layer.said = packet.info = GTP_TYPES.get(kind, f"Unknown ({kind})")
    layer.said += f", TEID: 0x{teid:08x}"
    where = at + GTP.size
    end = min(limit, where + length)
    if flags & 7:
        _, _, following = packet.add_header(layer, GTP_OPTIONAL, where, end)
        where += GTP_OPTIONAL.size
        while flags & 4 and following:
            size = 4 * packet.uint("GTP extension header", where, 1, end)
            if not size:
                packet.mark("GTP extension header of length 0", where)
                break
            value = packet.take("GTP extension header", where, size, end)
            item = packet.add(
                layer, EXTENSION, None, where, size, EXTENSIONS.get(following, f"type 0x{following:02x}")
            )
            packet.add(item, EXTENSION_LENGTH, size // 4, where, 1)
            if following == PDU_SESSION and size >= 2 + SESSION.size:
                packet.add_header(item, SESSION, where + 1, where + size)
            else:
                packet.add(item, EXTENSION_DATA, value[1:-1], where + 1, size - 2)
            following = value[-1]
            packet.add(item, FOLLOWING, following, where + size - 1, 1)
            where += size
    layer.size = where - at
    if kind != 255 or where >= packet.end(end):
        return Step((), where, end)
    packet.run(step("ethertype", {4: 0x0800, 6: 0x86DD}.get(packet.data[where] >> 4, -1), where, end))
    packet.protocol = f"GTP <{packet.protocol}>"
    return None
