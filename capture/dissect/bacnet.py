"""BACnet over IP (ASHRAE 135, annex J) and its network layer (6): who a message is for, through which routers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import U8, U16, Bit, Flags8, Header, Hex8, address, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

FUNCTIONS: Final = {
    0: "BVLC-Result",
    1: "Write-Broadcast-Distribution-Table",
    2: "Read-Broadcast-Distribution-Table",
    3: "Read-Broadcast-Distribution-Table-Ack",
    4: "Forwarded-NPDU",
    5: "Register-Foreign-Device",
    6: "Read-Foreign-Device-Table",
    7: "Read-Foreign-Device-Table-Ack",
    8: "Delete-Foreign-Device-Table-Entry",
    9: "Distribute-Broadcast-To-Network",
    10: "Original-Unicast-NPDU",
    11: "Original-Broadcast-NPDU",
    12: "Secured-BVLL",
}
BVLC: Final = Header(
    "bvlc",
    "BACnet Virtual Link Control",
    (Hex8("type", "Type", {0x81: "BACnet/IP (Annex J)"}), Hex8("function", "Function", FUNCTIONS), U16("", "Length")),
)
LENGTH: Final = number("bvlc.length", "BVLC-Length")
RESULT: Final = number("bvlc.result", "Result", {0: "Successful completion"}, digits=4)
LIFETIME: Final = number("bvlc.reg_ttl", "Registration TTL")
FORWARDED_IP, FORWARDED_PORT = address("bvlc.fwd_ip", "IP", 4), number("bvlc.fwd_port", "Port")
BACNET: Final = Header(
    "bacnet",
    "Building Automation and Control Network NPDU",
    (
        U8("version", "Version"),
        Flags8(
            "control",
            "Control",
            Bit(0x80, "control_net", "NSDU contains"),
            Bit(0x40, "control_res1", "Reserved"),
            Bit(0x20, "control_dest", "Destination Specifier"),
            Bit(0x10, "control_res2", "Reserved"),
            Bit(0x08, "control_src", "Source specifier"),
            Bit(0x04, "control_expect", "Expecting Reply"),
            Bit(0x02, "control_prio_high", "Priority"),
            Bit(0x01, "control_prio_low", "Priority"),
        ),
    ),
)
SENT_TO: Final = (
    number("bacnet.dnet", "Destination Network Address"),
    number("bacnet.dlen", "Destination MAC Layer Address Length"),
    number("bacnet.dadr_mstp", "DADR"),
    address("bacnet.dadr_eth", "Destination ISO 8802-3 MAC Address", 6),
    octets("bacnet.dadr_tmp", "Unknown Destination MAC"),
)
SENT_BY: Final = (
    number("bacnet.snet", "Source Network Address"),
    number("bacnet.slen", "Source MAC Layer Address Length"),
    number("bacnet.sadr_mstp", "SADR"),
    address("bacnet.sadr_eth", "SADR", 6),
    octets("bacnet.sadr_tmp", "Unknown Source MAC"),
)
HOPS: Final = number("bacnet.hopc", "Hop Count")
MESSAGES: Final = dict(
    enumerate(
        [
            "Who-Is-Router-To-Network",
            "I-Am-Router-To-Network",
            "I-Could-Be-Router-To-Network",
            "Reject-Message-To-Network",
            "Router-Busy-To-Network",
            "Router-Available-To-Network",
            "Initialize-Routing-Table",
            "Initialize-Routing-Table-Ack",
            "Establish-Connection-To-Network",
            "Disconnect-Connection-To-Network",
        ]
    )
)
MESSAGE: Final = number("bacnet.mesgtyp", "Network Layer Message Type", MESSAGES, digits=2)
NETWORK: Final = number("bacnet.dnet", "Destination Network Address")
FORWARDED, REGISTER = 4, 5
DISTRIBUTED: Final = frozenset({FORWARDED, 9, 10, 11})
"""Functions behind which a message of the network layer stands."""
TO_A_NETWORK: Final = frozenset({0, 1, 2, 4, 5})
declare("bvlc", "BVLC", "other")
declare("bacnet", "BACnet-NPDU", "other")


@on("udp.port", 47808)
def bvlc(packet: Packet, at: int, limit: int) -> Step | None:
    """Type, function, length; what is forwarded has its sender's address before it."""
    if packet.data[at : at + 1] != b"\x81":
        return NOT_MINE
    packet.column("bvlc")
    layer, (_, function, length) = packet.open(BVLC, at, limit)
    name = FUNCTIONS.get(function, f"unknown (0x{function:02x})")
    layer.said = name
    packet.info = f"BACnet Virtual Link Control BVLC Function {name}"
    where = at + BVLC.size
    end = max(where, min(limit, at + length))
    head = 10 if function == FORWARDED else 4 if function in DISTRIBUTED else length
    packet.add(layer, LENGTH, head, at + 2, 2)
    if function == FORWARDED:
        packet.add(layer, FORWARDED_IP, packet.take("BVLC", where, 4, end), where, 4)
        packet.add(layer, FORWARDED_PORT, packet.uint("BVLC", where + 4, 2, end), where + 4, 2)
        where += 6
    elif function in (0, REGISTER):
        packet.add(layer, LIFETIME if function else RESULT, packet.uint("BVLC", where, 2, end), where, 2)
        where += 2
    layer.size = where - at
    if function in DISTRIBUTED:
        return Step((bacnet,), where, end)
    return Step((), where, end) if where < end else None


def bacnet(packet: Packet, at: int, limit: int) -> Step | None:
    """Where from and where to in a network of networks, then a message of this layer or one for the application."""
    packet.column("bacnet")
    layer, (version, control) = packet.open(BACNET, at, limit)
    layer.said = f"Version: {version}"
    where = at + BACNET.size
    if control & 0x20:
        where = _end(packet, layer, SENT_TO, where, limit)
    if control & 0x08:
        where = _end(packet, layer, SENT_BY, where, limit)
    if control & 0x20:
        packet.add(layer, HOPS, packet.uint("BACnet", where, 1, limit), where, 1)
        where += 1
    layer.size = where - at
    if not control & 0x80:
        return step("bacnet", 1, where, limit)
    kind = packet.uint("BACnet", where, 1, limit)
    packet.add(layer, MESSAGE, kind, where, 1)
    packet.info = layer.said = MESSAGES.get(
        kind, "Vendor Proprietary Message" if kind & 0x80 else f"unknown ({kind})"
    )
    where += 1
    if kind in TO_A_NETWORK:
        while where + 2 <= limit:
            packet.add(layer, NETWORK, packet.uint("BACnet", where, 2, limit), where, 2)
            where += 2
    layer.size = where - at
    return Step((), where, limit) if where < limit else None


def _end(packet: Packet, layer: Item, fields: tuple[Field, ...], at: int, limit: int) -> int:
    """A network's number and an address in it; none: everybody there."""
    network, length, short, mac, other = fields
    size = packet.uint("BACnet", at + 2, 1, limit)
    packet.add(layer, network, packet.uint("BACnet", at, 2, limit), at, 2)
    packet.add(layer, length, size, at + 2, 1)
    raw = packet.take("BACnet", at + 3, size, limit)
    if size == 1:
        packet.add(layer, short, raw[0], at + 3, 1)
    elif size:
        packet.add(layer, mac if size == 6 else other, raw, at + 3, size)
    return at + 3 + size
