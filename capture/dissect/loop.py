"""The Ethernet loopback test (DEC, Ethernet Configuration Testing Protocol)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Field, Header, address, number
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

FUNCTIONS = {1: "Reply", 2: "Forward Data"}
LOOP = Header(
    "loop",
    "Configuration Test Protocol (loopback)",
    (Field("skipcount", "skipCount", code="H", size=2),),
    little=True,
)
FUNCTION = number("loop.function", "Function", FUNCTIONS)
RECEIPT = number("loop.receipt_number", "Receipt number")
FORWARDING = address("loop.forwarding_address", "Forwarding address", 6)


@on("ethertype", 0x9000)
def loop(packet: Packet, at: int, limit: int) -> Step:
    """Functions one after the other, numbers with the least significant byte first; a reply is the last."""
    packet.column("loop")
    layer, (skip,) = packet.open(LOOP, at, limit)
    where = at + LOOP.size
    relevant = where + skip
    while True:
        function = int.from_bytes(packet.take("Loopback function", where, 2, limit), "little")
        packet.add(layer, FUNCTION, function, where, 2)
        if where == relevant:
            layer.said = packet.info = FUNCTIONS.get(function, f"Unknown function ({function})")
        where += 2
        layer.size = where - at
        if function == 2 and where + 6 <= limit:
            packet.add(layer, FORWARDING, packet.take("Loopback address", where, 6, limit), where, 6)
            where += 6
            continue
        if function == 1 and where + 2 <= limit:
            receipt = int.from_bytes(packet.take("Loopback receipt", where, 2, limit), "little")
            packet.add(layer, RECEIPT, receipt, where, 2)
            where += 2
            layer.size = where - at
        if not packet.info:
            layer.said = packet.info = "No valid function found"
        return Step((), where, limit)
