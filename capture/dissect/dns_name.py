"""Names of DNS: labels and pointers to earlier ones (RFC 1035, 4.1.4)."""

from __future__ import annotations

from typing import NamedTuple

from netwatch.capture.dissect.packet import Malformed, Packet

__all__ = ["LOOPED", "Name", "read_name"]

LOOPED = "<Name contains a pointer that loops>"


class Name(NamedTuple):
    """A name as it stands in a message."""

    text: str
    """Labels with dots between; bytes that are not UTF-8 as surrogates."""
    end: int
    """Offset of the byte after it, where it stands (not where a pointer led)."""


def read_name(packet: Packet, message: int, at: int, limit: int) -> Name:
    """The name at `at`; pointers count from `message` (RFC 1035, 4.1.4).

    A pointer that does not lead back gives LOOPED in place of the name; what follows it can be read all the same.
    Raises Short where a label is missing, Malformed for a label that cannot be, a name without end, or a pointer out
    of the message.
    """
    labels: list[str] = []
    data = packet.data
    stop = packet.end(limit)
    after = -1
    lowest = at
    size = 0
    while True:
        if at >= stop:
            packet.check("DNS name", at, 1, limit)
        length = data[at]
        if length == 0:
            break
        if length >= 0xC0:
            packet.check("DNS name", at, 2, limit)
            target = message + ((length & 0x3F) << 8 | data[at + 1])
            if after < 0:
                after = at + 2
            if target >= limit:
                raise Malformed("DNS name: pointer out of the message", at)
            # Each pointer must lead further back than all before it: a loop cannot.
            if target >= lowest:
                packet.mark("DNS name: pointer does not lead back", at)
                return Name(LOOPED, after)
            lowest = at = target
            continue
        if length > 63:
            raise Malformed(f"DNS name: label type 0x{length:02x}", at)
        if at + 1 + length > stop:
            packet.check("DNS name", at, 1 + length, limit)
        size += 1 + length
        if size > 255:
            raise Malformed("DNS name: longer than 255 bytes", at)
        labels.append(data[at + 1 : at + 1 + length].decode("utf-8", "surrogateescape"))
        at += 1 + length
    return Name(".".join(labels) or "<Root>", at + 1 if after < 0 else after)
