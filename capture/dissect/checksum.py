"""Internet checksums (RFC 1071): good, bad, or not verifiable."""

from __future__ import annotations

import struct

from netwatch.capture.dissect.kit import Field, Item
from netwatch.capture.dissect.packet import Packet

__all__ = ["BAD", "GOOD", "STATUS", "UNVERIFIED", "ones_sum", "pseudo_header", "show_checksum", "verified"]

BAD, GOOD, UNVERIFIED = 0, 1, 2
STATUS = {BAD: "Bad", GOOD: "Good", UNVERIFIED: "Unverified"}


def ones_sum(data: bytes) -> int:
    """The 16-bit one's complement sum; 0xffff over data that holds a right checksum."""
    if len(data) & 1:
        data += b"\0"
    # 2^16 is 1 modulo 0xffff, so the whole as one number leaves the same remainder as the sum of its words.
    rest = int.from_bytes(data, "big") % 0xFFFF
    return rest or (0xFFFF if any(data) else 0)


def pseudo_header(addresses: bytes, protocol: int, length: int) -> bytes:
    """What TCP and UDP add to their own bytes (RFC 9293, 3.1; RFC 8200, 8.1)."""
    return addresses + struct.pack("!II", length, protocol)


def verified(packet: Packet, protocol: int, at: int, limit: int, stored: int) -> int:
    """GOOD, BAD or UNVERIFIED for a transport whose bytes are from `at` to `limit`.

    Not verifiable: cut by the snap length, a fragment, a quoted packet, or what a host leaves to its card to
    complete: nothing, or the sum of the pseudo header alone.
    """
    addresses = packet.values.get("ip.pseudo")
    if addresses is None or limit > packet.caplen or packet.values.get("quoted") or packet.values.get("ip.fragment"):
        return UNVERIFIED
    pseudo = pseudo_header(addresses, protocol, limit - at)
    if ones_sum(pseudo + packet.data[at:limit]) == 0xFFFF:
        return GOOD
    return UNVERIFIED if stored in (0, ones_sum(pseudo)) else BAD


def show_checksum(packet: Packet, layer: Item, field: Field, status: int, at: int) -> None:
    """The line that says what the two checksum bytes at `at` are worth; rows have none, so it does not count."""
    layer.children.append(Item(field, status, at, 2, STATUS[status], buffer=packet.buffer))
