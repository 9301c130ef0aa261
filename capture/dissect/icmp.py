"""ICMP (RFC 792, 4884, 950, 1256) with the packet that an error quotes."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import BAD, GOOD, STATUS, UNVERIFIED, ones_sum, show_checksum
from netwatch.capture.dissect.kit import U8, Header, Hex16, Item, address, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

TYPES = {
    0: "Echo (ping) reply",
    3: "Destination unreachable",
    4: "Source quench",
    5: "Redirect",
    8: "Echo (ping) request",
    9: "Router advertisement",
    10: "Router solicitation",
    11: "Time-to-live exceeded",
    12: "Parameter problem",
    13: "Timestamp request",
    14: "Timestamp reply",
    15: "Information request",
    16: "Information reply",
    17: "Address mask request",
    18: "Address mask reply",
    42: "Extended Echo request",
    43: "Extended Echo reply",
}
COLUMN_WIDTH = 20
"""Types stand padded in the Info column, so that what follows lines up: `Echo (ping) reply    id=`."""

CODES = {
    3: {
        0: "Network unreachable",
        1: "Host unreachable",
        2: "Protocol unreachable",
        3: "Port unreachable",
        4: "Fragmentation needed",
        5: "Source route failed",
        6: "Destination network unknown",
        7: "Destination host unknown",
        8: "Source host isolated",
        9: "Network administratively prohibited",
        10: "Host administratively prohibited",
        11: "Network unreachable for TOS",
        12: "Host unreachable for TOS",
        13: "Communication administratively filtered",
        14: "Host precedence violation",
        15: "Precedence cutoff in effect",
    },
    5: {
        0: "Redirect for network",
        1: "Redirect for host",
        2: "Redirect for TOS and network",
        3: "Redirect for TOS and host",
    },
    9: {0: "Normal router advertisement", 16: "Does not route common traffic"},
    11: {0: "Time to live exceeded in transit", 1: "Fragment reassembly time exceeded"},
    12: {0: "Pointer indicates the error", 1: "Required option missing", 2: "Bad length"},
}
ECHO = frozenset({0, 8, 13, 14, 15, 16, 17, 18})
ERRORS = frozenset({3, 4, 5, 11, 12})

ICMP = Header(
    "icmp",
    "Internet Control Message Protocol",
    (U8("type", "Type", TYPES), U8("code", "Code"), Hex16("checksum", "Checksum")),
)
CHECKSUM_STATUS = number("icmp.checksum.status", "Checksum Status", STATUS)
IDENT = number("icmp.ident", "Identifier")
SEQUENCE = number("icmp.seq", "Sequence Number")
SEQUENCE_LE = number("icmp.seq_le", "Sequence Number (LE)")
UNUSED = octets("icmp.unused", "Unused")
LENGTH = number("icmp.length", "Length of original datagram")
MTU = number("icmp.mtu", "MTU of next hop")
GATEWAY = address("icmp.redir_gw", "Gateway Address", 4)
POINTER = number("icmp.pointer", "Pointer")
DATA_TIME = number("icmp.data_time", "Timestamp from icmp data")
ORIGINATE, RECEIVE, TRANSMIT = (
    number("icmp.originate_timestamp", "Originate Timestamp"),
    number("icmp.receive_timestamp", "Receive Timestamp"),
    number("icmp.transmit_timestamp", "Transmit Timestamp"),
)


@on("ip.proto", 1)
def icmp(packet: Packet, at: int, limit: int) -> Step | None:
    """Type and code, then what the type has: identifier and number, or the packet that it is about."""
    packet.column("icmp")
    layer, (kind, code, _) = packet.open(ICMP, at, limit)
    name = TYPES.get(kind, f"Unknown ICMP type {kind}" if kind not in TYPES else "")
    meaning = CODES.get(kind, {}).get(code, "")
    layer.said = f"{name} ({meaning})" if meaning else name
    packet.info = (
        f"{name:{COLUMN_WIDTH}} ({meaning})" if meaning else f"{name:{COLUMN_WIDTH}}" if kind in ECHO else name
    )
    if packet.build:
        status = UNVERIFIED
        if limit <= packet.caplen and not packet.values.get("quoted"):
            status = GOOD if ones_sum(packet.data[at:limit]) == 0xFFFF else BAD
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 2)
    start = at + ICMP.size
    if kind in ECHO:
        return _echo(packet, layer, kind, start, limit)
    if kind in ERRORS:
        _error(packet, layer, kind, code, start, limit)
        return None
    return Step((), start, limit)


def _echo(packet: Packet, layer: Item, kind: int, at: int, limit: int) -> Step:
    ident = packet.uint("ICMP", at, 2, limit)
    sequence = packet.uint("ICMP", at + 2, 2, limit)
    swapped = sequence >> 8 | (sequence & 0xFF) << 8
    packet.add(layer, IDENT, ident, at, 2, f"{ident} (0x{ident:04x})")
    packet.add(layer, SEQUENCE, sequence, at + 2, 2)
    packet.add(layer, SEQUENCE_LE, swapped, at + 2, 2)
    layer.size += 4
    packet.info += f" id=0x{ident:04x}, seq={sequence}/{swapped}, ttl={packet.values.get('ip.ttl', 0)}"
    if kind in (13, 14):
        for field, where in ((ORIGINATE, at + 4), (RECEIVE, at + 8), (TRANSMIT, at + 12)):
            packet.add(layer, field, packet.uint("ICMP timestamp", where, 4, limit), where, 4)
            layer.size += 4
        return Step((), at + 16, limit)
    return Step((), at + 4, limit)


def _error(packet: Packet, layer: Item, kind: int, code: int, at: int, limit: int) -> None:
    packet.check("ICMP", at, 4, limit)
    word = packet.data[at : at + 4]
    if kind == 5:
        packet.add(layer, GATEWAY, word, at, 4)
    elif kind == 12:
        packet.add(layer, POINTER, word[0], at, 1)
    else:
        packet.add(layer, UNUSED, word, at, 4)
        if word[1]:
            packet.add(layer, LENGTH, word[1], at + 1, 1)
        if kind == 3 and code == 4:
            packet.add(layer, MTU, int.from_bytes(word[2:], "big"), at + 2, 2)
    layer.size += 4
    # With a length (in 4 bytes) the quote ends there and extensions follow (RFC 4884, 4).
    quoted = word[1] * 4 if kind in (3, 11, 12) else 0
    end = at + 4 + quoted if quoted and at + 4 + quoted <= limit else limit
    if at + 4 < packet.end(end):
        packet.quote(layer, step("ethertype", 0x0800, at + 4, end))
