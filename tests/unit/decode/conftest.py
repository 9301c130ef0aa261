"""Packets made by hand, byte by byte, and blocks of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
import pytest

from netwatch.capture.block import Block


class Build:
    """Headers from their RFCs; every one takes what it carries as its last argument."""

    @staticmethod
    def ethernet(kind: int, payload: bytes) -> bytes:
        return bytes.fromhex("0200000000b0 0200000000a0") + struct.pack(">H", kind) + payload

    @staticmethod
    def tags(kinds: Sequence[int], last: int, payload: bytes) -> bytes:
        """An Ethernet frame with VLAN tags: ids 10, 11 …"""
        following = [*kinds[1:], last]
        tags = b"".join(struct.pack(">HH", 10 + index, kind) for index, kind in enumerate(following))
        return Build.ethernet(kinds[0], tags + payload)

    @staticmethod
    def ipv4(
        protocol: int,
        payload: bytes,
        *,
        src: str = "10.0.0.1",
        dst: str = "10.0.0.2",
        ident: int = 1,
        fragment: int = 0,
        total: int | None = None,
        first: int = 0x45,
        options: bytes = b"",
    ) -> bytes:
        first += len(options) // 4
        length = 20 + len(options) + len(payload) if total is None else total
        fixed = struct.pack(">BBHHHBBH", first, 0, length, ident, fragment, 64, protocol, 0)
        return fixed + IPv4Address(src).packed + IPv4Address(dst).packed + options + payload

    @staticmethod
    def ipv6(following: int, payload: bytes, *, size: int | None = None, first: int = 0x60) -> bytes:
        length = len(payload) if size is None else size
        fixed = struct.pack(">BBHHBB", first, 0, 0, length, following, 64)
        return fixed + IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + payload

    @staticmethod
    def tcp(
        payload: bytes = b"", *, sport: int = 7777, dport: int = 8888, offset: int = 5, flags: int = 0x18
    ) -> bytes:
        return struct.pack(">HHIIHHHH", sport, dport, 1, 2, offset << 12 | flags, 8192, 0, 0) + payload

    @staticmethod
    def udp(payload: bytes, *, sport: int = 7777, dport: int = 8888, length: int | None = None) -> bytes:
        return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload

    @staticmethod
    def label(number: int, *, last: bool) -> bytes:
        return struct.pack(">I", number << 12 | last << 8 | 64)

    @staticmethod
    def block(
        packets: Sequence[bytes],
        linktype: int | Sequence[int] = 1,
        wire: Sequence[int] | None = None,
        gap: bytes = b"",
    ) -> Block:
        """The packets one after the other, `gap` between them, as a source would hand them over."""
        n = len(packets)
        sizes = np.array([len(packet) for packet in packets], np.int64)
        ends = (sizes + len(gap)).cumsum()
        raw = np.frombuffer(b"".join(packet + gap for packet in packets), np.uint8)
        offsets = ends - sizes - len(gap)
        return Block(
            raw=raw,
            offsets=offsets,
            caplen=sizes.astype(np.uint32),
            wirelen=(sizes if wire is None else np.array(wire)).astype(np.uint32),
            ts=np.arange(n, dtype=np.int64) * 1_000_000_007,
            linktype=np.broadcast_to(np.asarray(linktype, np.uint16), (n,)).copy(),
            iface=np.zeros(n, np.uint16),
            marks=np.zeros(n, np.uint16),
            pos=offsets.copy(),
            owned=True,
        )


@pytest.fixture(scope="session")
def build() -> type[Build]:
    """The builder of packets and blocks."""
    return Build
