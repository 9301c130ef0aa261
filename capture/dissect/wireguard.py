"""WireGuard (white paper, 5.4)."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

from netwatch.capture.dissect.kit import U8, Bytes, Field, Header, number, octets, present, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

TYPES: Final = {1: "Handshake Initiation", 2: "Handshake Response", 3: "Cookie Reply", 4: "Transport Data"}
SIZES: Final = {1: 148, 2: 92, 3: 64}
"""Bytes of the messages of fixed size."""
WIREGUARD: Final = Header("wg", "WireGuard Protocol", (U8("type", "Type", TYPES), Bytes("reserved", "Reserved", 3)))
SENDER, RECEIVER = number("wg.sender", "Sender", digits=8), number("wg.receiver", "Receiver", digits=8)
COUNTER: Final = number("wg.counter", "Counter")
EPHEMERAL: Final = text("wg.ephemeral", "Ephemeral")
"""A key, which people know as base64."""
STATIC: Final = present("wg.encrypted_static", "Encrypted Static")
TIMESTAMP: Final = present("wg.encrypted_timestamp", "Encrypted Timestamp")
EMPTY: Final = present("wg.encrypted_empty", "Encrypted Empty")
MAC1, MAC2 = octets("wg.mac1", "mac1"), octets("wg.mac2", "mac2")
NONCE, COOKIE = octets("wg.nonce", "Nonce"), octets("wg.encrypted_cookie", "Encrypted Cookie")
PAYLOAD: Final = present("wg.encrypted_packet", "Encrypted Packet")
INDICES: Final = {1: ((SENDER, "sender"),), 2: ((SENDER, "sender"), (RECEIVER, "receiver"))}
"""Of the other types: the receiver's."""
PARTS: Final[dict[int, tuple[tuple[Field, int], ...]]] = {
    1: ((EPHEMERAL, 32), (STATIC, 48), (TIMESTAMP, 28), (MAC1, 16), (MAC2, 16)),
    2: ((EPHEMERAL, 32), (EMPTY, 16), (MAC1, 16), (MAC2, 16)),
    3: ((NONCE, 24), (COOKIE, 32)),
}
TAG: Final = 16
"""Bytes that authenticate; a keepalive has nothing else."""


@on("udp.port", 51820)
@signature("udp")
def wireguard(packet: Packet, at: int, limit: int) -> Step | None:
    """A type, three zeros and the size of its message; data only where a handshake was seen, or on the usual port."""
    head = packet.data[at : at + 4]
    size = limit - at
    if len(head) < 4 or head[0] not in TYPES or any(head[1:]):
        return NOT_MINE
    known = 51820 in packet.values.get("ports", ()) or packet.memory("wg")
    data = head[0] == 4 and size >= 32 and size % 16 == 0 and known
    if not data and SIZES.get(head[0]) != size:
        return NOT_MINE
    packet.memory("wg")["seen"] = True
    packet.column("wg")
    layer, (kind, _) = packet.open(WIREGUARD, at, limit)
    layer.said = TYPES[kind]
    layer.size = packet.end(limit) - at
    packet.info = "Keepalive" if kind == 4 and size == 32 else TYPES[kind]
    where = at + WIREGUARD.size
    for field, word in INDICES.get(kind, ((RECEIVER, "receiver"),)):
        value = int.from_bytes(packet.take("WireGuard", where, 4, limit), "little")
        packet.add(layer, field, value, where, 4)
        packet.info += f", {word}=0x{value:08X}"
        where += 4
    if kind == 4:
        counter = int.from_bytes(packet.take("WireGuard", where, 8, limit), "little")
        packet.add(layer, COUNTER, counter, where, 8)
        packet.info += f", counter={counter}"
        if size > 32:
            packet.info += f", datalen={size - 16 - TAG}"
        rest = packet.rest(where + 8, limit)
        packet.add(layer, PAYLOAD, rest, where + 8, len(rest))
    for field, length in PARTS.get(kind, ()):
        raw = packet.take("WireGuard", where, length, limit)
        packet.add(layer, field, b64encode(raw) if field is EPHEMERAL else raw, where, length)
        where += length
    return None
