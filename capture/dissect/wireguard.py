"""WireGuard."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, Bytes, Header, number
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

WIREGUARD_TYPES = {1: "Handshake Initiation", 2: "Handshake Response", 3: "Cookie Reply", 4: "Transport Data"}
WIREGUARD_SIZES = {1: 148, 2: 92, 3: 64}
"""Bytes of the messages of fixed size (WireGuard white paper, 5.4)."""
WIREGUARD = Header(
    "wg", "WireGuard Protocol", (U8("type", "Type", WIREGUARD_TYPES), Bytes("reserved", "Reserved", 3))
)
SENDER, RECEIVER = number("wg.sender", "Sender", digits=8), number("wg.receiver", "Receiver", digits=8)
COUNTER = number("wg.counter", "Counter")


@on("udp.port", 51820)
@signature("udp")
def wireguard(packet: Packet, at: int, limit: int) -> Step | None:
    """A type, three zeros and the size of its message; transport data only on the usual port."""
    head = packet.data[at : at + 4]
    size = limit - at
    if len(head) < 4 or head[0] not in WIREGUARD_TYPES or any(head[1:]):
        return NOT_MINE
    data = head[0] == 4 and size >= 32 and size % 16 == 0 and 51820 in packet.values.get("ports", ())
    if not data and WIREGUARD_SIZES.get(head[0]) != size:
        return NOT_MINE
    packet.column("wg")
    layer, (kind, _) = packet.open(WIREGUARD, at, limit)
    packet.info = WIREGUARD_TYPES[kind]
    where = at + WIREGUARD.size
    for field, word in {1: ((SENDER, "sender"),), 2: ((SENDER, "sender"), (RECEIVER, "receiver"))}.get(
        kind, ((RECEIVER, "receiver"),)
    ):
        value = int.from_bytes(packet.take("WireGuard", where, 4, limit), "little")
        packet.add(layer, field, value, where, 4)
        packet.info += f", {word}=0x{value:08X}"
        where += 4
    if kind == 4:
        counter = int.from_bytes(packet.take("WireGuard", where, 8, limit), "little")
        packet.add(layer, COUNTER, counter, where, 8)
        packet.info += f", counter={counter}, datalen={size - 16}"
        where += 8
    layer.size = where - at
    layer.said = WIREGUARD_TYPES[kind]
    return Step((), where, limit)
