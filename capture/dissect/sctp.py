"""SCTP (RFC 9260): the head and its chunks."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U16, U32, Header, Hex8, Hex16, Hex32, group, number, octets
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
}
CHUNK = group("", "Chunk")
CHUNK_HEAD = Header(
    "sctp",
    "Chunk",
    (U8("chunk_type", "Chunk type", CHUNKS), Hex8("chunk_flags", "Chunk flags"), U16("chunk_length", "Chunk length")),
    name="",
)
DATA = Header(
    "sctp",
    "DATA",
    (
        U32("data_tsn", "Transmission sequence number"),
        Hex16("data_sid", "Stream identifier"),
        U16("data_ssn", "Stream sequence number"),
        U32("data_payload_proto_id", "Payload protocol identifier"),
    ),
    name="",
)
INIT = Header(
    "sctp",
    "INIT",
    (
        Hex32("init_initiate_tag", "Initiate tag"),
        U32("init_credit", "Advertised receiver window credit"),
        U16("init_nr_out_streams", "Number of outbound streams"),
        U16("init_nr_in_streams", "Number of inbound streams"),
        U32("init_initial_tsn", "Initial TSN"),
    ),
    name="",
)
SACK_TSN = number("sctp.sack_cumulative_tsn_ack", "Cumulative TSN ACK")
PAYLOAD = octets("", "Payload")
VALUE = octets("sctp.chunk_value", "Chunk value")


@on("ip.proto", 132)
def sctp(packet: Packet, at: int, limit: int) -> Step | None:
    """Ports, a tag, and chunks that fill up to four bytes each."""
    packet.column("sctp")
    layer, (source, destination, *_) = packet.open(SCTP, at, limit)
    layer.said = f"Src Port: {source}, Dst Port: {destination}"
    packet.values["ports"] = (source, destination)
    where = at + SCTP.size
    while where < limit:
        packet.check("SCTP chunk", where, 4, limit)
        kind, length = packet.data[where], int.from_bytes(packet.data[where + 2 : where + 4], "big")
        name = CHUNKS.get(kind, f"Unknown ({kind})")
        if length < CHUNK_HEAD.size:
            packet.mark(f"SCTP chunk length {length}, must be at least {CHUNK_HEAD.size}", where + 2)
            return None
        item = packet.add(layer, CHUNK, None, where, CHUNK_HEAD.size, name)
        _, flags, _ = packet.add_header(item, CHUNK_HEAD, where, limit)
        body, end = where + CHUNK_HEAD.size, min(where + length, limit)
        said = name
        if kind == 0 and body + DATA.size <= packet.end(end):
            tsn, *_ = packet.add_header(item, DATA, body, end)
            said += f" (TSN={tsn})" + (" (Message Fragment)" if flags & 3 != 3 else "")
            body += DATA.size
        elif kind in (1, 2):
            packet.add_header(item, INIT, body, end)
            body += INIT.size
        elif kind == 3:
            tsn = packet.uint("SCTP SACK", body, 4, end)
            packet.add(item, SACK_TSN, tsn, body, 4)
            said += f" (Ack={tsn})"
            body += 4
        rest = packet.rest(body, end)
        if rest:
            packet.add(item, PAYLOAD if kind == 0 else VALUE, rest, body, len(rest))
        item.size = body + len(rest) - where
        layer.size = item.end - at
        packet.info += f"{said} "
        packet.check("SCTP chunk", where, length, limit)
        where += length + 3 & ~3
    return None
