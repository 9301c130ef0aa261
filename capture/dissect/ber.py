"""BER elements (X.690): tag, length, value; object identifiers."""

from __future__ import annotations

from netwatch.capture.dissect.packet import Malformed, Packet

__all__ = ["integer", "oid", "tlv"]


def tlv(packet: Packet, at: int, limit: int) -> tuple[int, int, int]:
    """(tag, start of the value, end of it) of an element (X.690, 8.1); definite lengths of up to four bytes."""
    tag = packet.uint("BER", at, 1, limit)
    first = packet.uint("BER", at + 1, 1, limit)
    if first < 0x80:
        start, length = at + 2, first
    else:
        many = first & 0x7F
        if not 1 <= many <= 4:
            raise Malformed(f"BER length of {many} bytes", at + 1)
        start, length = at + 2 + many, packet.uint("BER", at + 2, many, limit)
    packet.check("BER", start, length, limit)
    return tag, start, start + length


def integer(packet: Packet, start: int, end: int) -> int:
    """A signed integer (X.690, 8.3); of one that is too long for any use, what its first bytes say."""
    return int.from_bytes(packet.data[start : min(end, start + 16)], "big", signed=True)


def oid(raw: bytes) -> str:
    """An object identifier's numbers (X.690, 8.19)."""
    numbers: list[int] = []
    value = 0
    for byte in raw[:512]:
        value = (value << 7 | byte & 0x7F) & 0xFFFFFFFFFFFFFFFF
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))
