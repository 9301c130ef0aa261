"""Loops over what the wire repeats: options and TLVs, bounded."""

from __future__ import annotations

from collections.abc import Container, Iterator

from netwatch.capture.dissect.packet import Malformed, Packet, Short

__all__ = ["options", "tlvs"]


def options(
    packet: Packet, name: str, at: int, limit: int, *, single: Container[int] = (), unit: int = 1, head: int = 0
) -> Iterator[tuple[int, int, int]]:
    """(kind, offset, length with kind and length bytes) of each option between `at` and `limit`.

    `single`: kinds of one byte, without a length. `unit`: bytes that the length counts in.
    `head`: 2 where the length does not count the kind and itself. Raises Malformed for a
    length that does not move on, or that passes the limit; Short where the packet was cut.
    """
    data = packet.data
    end = packet.end(limit)
    while at < end:
        kind = data[at]
        if kind in single:
            yield kind, at, 1
            at += 1
            continue
        if at + 2 > end:
            raise Short(name, at, 2, limit)
        length = data[at + 1] * unit + head
        if length < 2:
            raise Malformed(f"{name} {kind}: length {length}, must be at least 2", at + 1)
        if at + length > end:
            raise Short(f"{name} {kind}", at, length, limit)
        yield kind, at, length
        at += length
    if at < limit:
        raise Short(name, at, 1, limit)


def tlvs(
    packet: Packet, name: str, at: int, limit: int, *, kind: int = 2, length: int = 2
) -> Iterator[tuple[int, int, int]]:
    """(type, offset of the value, length of the value) of each record; `kind`, `length`: bytes of those fields.

    Raises Short for a record that does not fit.
    """
    head = kind + length
    while at < limit:
        code = packet.uint(name, at, kind, limit)
        size = packet.uint(name, at + kind, length, limit)
        packet.check(f"{name} {code}", at + head, size, limit)
        yield code, at + head, size
        at += head + size
