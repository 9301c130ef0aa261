"""SCTP (RFC 9260, 8260 interleaving, 6525 streams, 5061 addresses, 4895 authentication): chunks and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Field,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Item,
    address,
    group,
    number,
    octets,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

SCTP = Header(
    "sctp",
    "Stream Control Transmission Protocol",
    (
        U16("srcport", "Source port"),
        U16("dstport", "Destination port"),
        Hex32("verification_tag", "Verification tag"),
        Hex32("checksum", "Checksum"),
    ),
)
CHUNKS = {
    0: "DATA",
    1: "INIT",
    2: "INIT_ACK",
    3: "SACK",
    4: "HEARTBEAT",
    5: "HEARTBEAT_ACK",
    6: "ABORT",
    7: "SHUTDOWN",
    8: "SHUTDOWN_ACK",
    9: "ERROR",
    10: "COOKIE_ECHO",
    11: "COOKIE_ACK",
    12: "ECNE",
    13: "CWR",
    14: "SHUTDOWN_COMPLETE",
    15: "AUTH",
    64: "I_DATA",
    128: "ASCONF_ACK",
    130: "RE_CONFIG",
    132: "PAD",
    192: "FORWARD_TSN",
    193: "ASCONF",
    194: "I_FORWARD_TSN",
}
CHUNK = group("", "Chunk")


def _chunk(*flags: Field) -> Header:
    row = Hex8("chunk_flags", "Chunk flags")
    with_bits = Field("chunk_flags", "Chunk flags", plain=row.plain, code="B", size=1, bits=flags)
    kind, length = U8("chunk_type", "Chunk type", CHUNKS), U16("chunk_length", "Chunk length")
    return Header("sctp", "Chunk", (kind, with_bits if flags else row, length), name="")


PLAIN = _chunk()
FLAGGED: Final = {
    0: _chunk(
        Bit(0x08, "data_i_bit", "I-Bit"),
        Bit(0x04, "data_u_bit", "U-Bit"),
        Bit(0x02, "data_b_bit", "B-Bit"),
        Bit(0x01, "data_e_bit", "E-Bit"),
    ),
    6: _chunk(Bit(0x01, "abort_t_bit", "T-Bit")),
    14: _chunk(Bit(0x01, "shutdown_complete_t_bit", "T-Bit")),
}
FLAGGED[64] = FLAGGED[0]


def _part(label: str, *rows: Field) -> Header:
    return Header("sctp", label, rows, name="")


PAYLOADS = {
    3: "M3UA",
    18: "S1AP",
    27: "X2AP",
    46: "Diameter",
    47: "Diameter over DTLS",
    50: "WebRTC DCEP",
    60: "NGAP",
}
TSN = number("sctp.data_tsn", "Transmission sequence number (relative)")
DATA = _part(
    "DATA",
    U32("data_tsn_raw", "Transmission sequence number (absolute)"),
    Hex16("data_sid", "Stream identifier"),
    U16("data_ssn", "Stream sequence number"),
    U32("data_payload_proto_id", "Payload protocol identifier", PAYLOADS),
)
I_DATA = _part(
    "I_DATA",
    U32("data_tsn_raw", "Transmission sequence number (absolute)"),
    Hex16("data_sid", "Stream identifier"),
    Hex16("data_reserved", "Reserved"),
    U32("data_mid", "Message identifier"),
    U32("data_payload_proto_id", "Payload protocol identifier", PAYLOADS),
)


def _init(prefix: str, label: str) -> Header:
    return _part(
        label,
        Hex32(f"{prefix}_initiate_tag", "Initiate tag"),
        U32(f"{prefix}_credit", "Advertised receiver window credit (a_rwnd)"),
        U16(f"{prefix}_nr_out_streams", "Number of outbound streams"),
        U16(f"{prefix}_nr_in_streams", "Number of inbound streams"),
        U32(f"{prefix}_initial_tsn", "Initial TSN"),
    )


REACHED = number("sctp.sack_cumulative_tsn_ack", "Cumulative TSN ACK (relative)")
SACK = _part(
    "SACK",
    U32("sack_cumulative_tsn_ack_raw", "Cumulative TSN ACK (absolute)"),
    U32("sack_a_rwnd", "Advertised receiver window credit (a_rwnd)"),
    U16("sack_number_of_gap_blocks", "Number of gap acknowledgement blocks"),
    U16("sack_number_of_duplicated_tsns", "Number of duplicated TSNs"),
)
GAP_START, GAP_END, DUPLICATE = (
    number("sctp.sack_gap_block_start", "Start"),
    number("sctp.sack_gap_block_end", "End"),
    number("sctp.sack_duplicate_tsn", "Duplicate TSN"),
)
PAYLOAD, VALUE = octets("", "Payload"), octets("sctp.chunk_value", "Chunk value")
COOKIE, PADDING = octets("sctp.cookie", "Cookie"), octets("sctp.chunk_padding", "Chunk padding")
HMAC = octets("sctp.hmac", "HMAC")

PARAMETERS = {
    0x0001: "Heartbeat info",
    0x0005: "IPv4 address",
    0x0006: "IPv6 address",
    0x0007: "State cookie",
    0x0008: "Unrecognized parameter",
    0x0009: "Cookie preservative",
    0x000B: "Hostname address",
    0x000C: "Supported address types",
    0x000D: "Outgoing SSN reset request parameter",
    0x000E: "Incoming SSN reset request parameter",
    0x000F: "SSN/TSN reset request parameter",
    0x0010: "Re-configuration response parameter",
    0x0011: "Add outgoing streams request parameter",
    0x0012: "Add incoming streams request parameter",
    0x8000: "ECN",
    0x8002: "Random",
    0x8003: "Authenticated Chunk list",
    0x8004: "Requested HMAC Algorithm",
    0x8008: "Supported Extensions",
    0xC000: "Forward TSN supported",
    0xC001: "Add IP address",
    0xC002: "Delete IP address",
    0xC003: "Error cause indication",
    0xC004: "Set primary address",
    0xC005: "Success report",
    0xC006: "Adaptation Layer Indication",
}
PARAMETER, PARAMETER_LENGTH = (
    number("sctp.parameter_type", "Parameter type", PARAMETERS, digits=4),
    number("sctp.parameter_length", "Parameter length"),
)
PARAMETER_VALUE = octets("sctp.parameter_value", "Parameter value")
PARAMETER_FIELDS: Final[dict[int, tuple[Field, int]]] = {
    0x0001: (octets("sctp.parameter_heartbeat_information", "Heartbeat information"), 0),
    0x0005: (address("sctp.parameter_ipv4_address", "IP Version 4 address", 4), 4),
    0x0006: (address("sctp.parameter_ipv6_address", "IP Version 6 address", 16), 16),
    0x0007: (octets("sctp.parameter_state_cookie", "State cookie"), 0),
}
"""By type: its field, and the size that it must have (0: any)."""
CAUSES = {
    1: "Invalid stream identifier",
    2: "Missing mandatory parameter",
    3: "Stale cookie error",
    4: "Out of resource",
    5: "Unresolvable address",
    6: "Unrecognized chunk type",
    7: "Invalid mandatory parameter",
    8: "Unrecognized parameters",
    9: "No user data",
    10: "Cookie received while shutting down",
    11: "Restart of an association with new addresses",
    12: "User initiated ABORT",
    13: "Protocol violation",
}
CAUSE, CAUSE_LENGTH = (
    number("sctp.cause_code", "Cause code", CAUSES, digits=4),
    number("sctp.cause_length", "Cause length"),
)
CAUSE_INFORMATION = octets("sctp.cause_information", "Cause information")

HEADS: Final[dict[int, Header]] = {
    1: _init("init", "INIT"),
    2: _init("initack", "INIT_ACK"),
    7: _part("SHUTDOWN", U32("shutdown_cumulative_tsn_ack", "Cumulative TSN Ack")),
    12: _part("ECNE", U32("ecne_lowest_tsn", "Lowest TSN")),
    13: _part("CWR", U32("cwr_lowest_tsn", "Lowest TSN")),
    15: _part("AUTH", U16("shared_key_id", "Shared key identifier"), U16("hmac_id", "HMAC identifier")),
    128: _part("ASCONF_ACK", Hex32("asconf_ack_seq_nr_number", "Sequence number")),
    192: _part("FORWARD_TSN", U32("forward_tsn_tsn", "New cumulative TSN")),
    193: _part("ASCONF", Hex32("asconf_seq_nr_number", "Sequence number")),
}
"""By chunk, what stands at fixed places."""
WITH_PARAMETERS = frozenset({1, 2, 4, 5, 128, 130, 193})
WITH_CAUSES = frozenset({6, 9})


@on("ip.proto", 132)
def sctp(packet: Packet, at: int, limit: int) -> Step | None:
    """Ports, a tag, and chunks that fill up to four bytes each; the length leaves the filling out."""
    packet.column("sctp")
    layer, (source, destination, *_) = packet.open(SCTP, at, limit)
    layer.said = f"Src Port: {source}, Dst Port: {destination}"
    packet.values["ports"] = (source, destination)
    pair = packet.values.get("ip.pseudo", b"")
    half = len(pair) // 2
    packet.values["transport"] = ("sctp", pair[:half], source, pair[half:], destination)
    where = at + SCTP.size
    while where < limit:
        packet.check("SCTP chunk", where, 4, limit)
        kind, length = packet.data[where], int.from_bytes(packet.data[where + 2 : where + 4], "big")
        if length < PLAIN.size:
            packet.mark(f"SCTP chunk length {length}, must be at least {PLAIN.size}", where + 2)
            return None
        name = CHUNKS.get(kind, "RESERVED")
        item = packet.add(layer, CHUNK, None, where, PLAIN.size, name)
        _, flags, _ = packet.add_header(item, FLAGGED.get(kind, PLAIN), where, limit)
        body, end = where + PLAIN.size, min(where + length, limit)
        said = SHOWN.get(kind, _other)(packet, item, kind, flags, body, end)
        item.size = max(item.size, packet.end(end) - where)
        layer.size = item.end - at
        packet.info += f"{name}{said} "
        packet.check("SCTP chunk", where, length, limit)
        filled = where + ((length + 3) & ~3)
        if end < min(filled, packet.end(limit)):
            rest = packet.data[end : min(filled, packet.end(limit))]
            packet.add(item, PADDING, rest, end, len(rest))
            item.size = end + len(rest) - where
            layer.size = item.end - at
        where = filled
    return None


def _relative(packet: Packet, tsn: int, *, own: bool) -> int | None:
    """Counted from the first number that the side sent which the number is of; None where that is not known."""
    if packet.conversation is None:
        return None
    memory = packet.memory("sctp")
    side = packet.from_client is own
    if own:
        memory.setdefault(side, tsn)
    first: int | None = memory.get(side)
    return None if first is None else (tsn - first) & 0xFFFFFFFF


def _count(packet: Packet, item: Item, field: Field, tsn: int, at: int, *, own: bool) -> int:
    """Shows the relative number where it is known -> the number that the Info column has."""
    relative = _relative(packet, tsn, own=own)
    if relative is None:
        return tsn
    packet.add(item, field, relative, at, 4)
    return relative


def _rest(packet: Packet, item: Item, field: Field, at: int, end: int) -> None:
    value = packet.rest(at, end)
    if value:
        packet.add(item, field, value, at, len(value))


def _data(packet: Packet, item: Item, kind: int, flags: int, at: int, end: int) -> str:
    head = DATA if kind == 0 else I_DATA
    if at + head.size > packet.end(end):
        _rest(packet, item, VALUE, at, end)
        return ""
    shown = _count(packet, item, TSN, packet.uint("SCTP DATA", at, 4, end), at, own=True)
    packet.add_header(item, head, at, end)
    _rest(packet, item, PAYLOAD, at + head.size, end)
    return f" (TSN={shown})" + (" (Message Fragment)" if flags & 3 != 3 else "")


def _sack(packet: Packet, item: Item, kind: int, flags: int, at: int, end: int) -> str:  # noqa: ARG001 - as all
    packet.check("SACK", at, SACK.size, end)
    shown = _count(packet, item, REACHED, packet.uint("SACK", at, 4, end), at, own=False)
    _, window, gaps, doubles = packet.add_header(item, SACK, at, end)
    at += SACK.size
    reached = 0
    for _ in range(gaps):
        packet.add(item, GAP_START, packet.uint("SCTP SACK", at, 2, end), at, 2)
        reached = packet.uint("SCTP SACK", at + 2, 2, end)
        packet.add(item, GAP_END, reached, at + 2, 2)
        at += 4
    for _ in range(doubles):
        packet.add(item, DUPLICATE, packet.uint("SCTP SACK", at, 4, end), at, 4)
        at += 4
    beyond = f"+{reached}" if gaps else ""
    return f" (Ack={shown}{beyond}, Arwnd={window})"


def _cookie(packet: Packet, item: Item, kind: int, flags: int, at: int, end: int) -> str:  # noqa: ARG001
    _rest(packet, item, COOKIE, at, end)
    return ""


def _other(packet: Packet, item: Item, kind: int, flags: int, at: int, end: int) -> str:  # noqa: ARG001
    head = HEADS.get(kind)
    if head is not None:
        values = packet.add_header(item, head, at, end)
        if kind in (1, 2):
            _relative(packet, values[-1], own=True)
        at += head.size
    if kind in WITH_PARAMETERS:
        _parameters(packet, item, at, end)
    elif kind in WITH_CAUSES:
        _causes(packet, item, at, end)
    else:
        _rest(packet, item, HMAC if kind == 15 else VALUE, at, end)
    return ""


def _parameters(packet: Packet, item: Item, at: int, end: int) -> None:
    """Type and length of two bytes each; the length counts them and leaves the filling out (3.2.1)."""
    while at < end:
        kind, size = packet.uint("SCTP parameter", at, 2, end), packet.uint("SCTP parameter", at + 2, 2, end)
        if size < 4:
            packet.mark(f"SCTP parameter length {size}, must be at least 4", at + 2)
            return
        value = packet.take("SCTP parameter", at + 4, size - 4, end)
        part = packet.add(item, PARAMETER, kind, at, size)
        packet.add(part, PARAMETER_LENGTH, size, at + 2, 2)
        field, wanted = PARAMETER_FIELDS.get(kind, (PARAMETER_VALUE, 0))
        if value:
            packet.add(part, field if wanted in (0, size - 4) else PARAMETER_VALUE, value, at + 4, size - 4)
        at += (size + 3) & ~3


def _causes(packet: Packet, item: Item, at: int, end: int) -> None:
    while at < end:
        code, size = packet.uint("SCTP cause", at, 2, end), packet.uint("SCTP cause", at + 2, 2, end)
        if size < 4:
            packet.mark(f"SCTP cause length {size}, must be at least 4", at + 2)
            return
        value = packet.take("SCTP cause", at + 4, size - 4, end)
        part = packet.add(item, CAUSE, code, at, size)
        packet.add(part, CAUSE_LENGTH, size, at + 2, 2)
        if value:
            packet.add(part, CAUSE_INFORMATION, value, at + 4, size - 4)
        at += (size + 3) & ~3


SHOWN: Final[dict[int, Callable[[Packet, Item, int, int, int, int], str]]] = {
    0: _data,
    64: _data,
    3: _sack,
    10: _cookie,
}
