"""Packets made by hand, byte by byte, and blocks of them."""

from __future__ import annotations

import struct
import sys
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


@pytest.fixture(scope="session")
def seeds(build: type[Build]) -> list[bytes]:
    """Frames that reach most layers, to be cut and damaged."""
    inner = build.ipv4(6, build.tcp(b"GET / HTTP/1.1\r\n"))
    six = build.ipv6(0, b"\x3c\0\1\4\0\0\0\0\x2c\0\1\4\0\0\0\0\x11\0\0\1\0\0\0\7" + build.udp(b"z" * 40))
    frame = build.ethernet(0x0800, inner)
    tagged = build.ipv4(17, build.udp(b"z" * 30, dport=53), options=b"\1" * 12)
    redirected = b"\x89" + bytes(39) + b"\1\1" + bytes(6) + b"\4\7" + bytes(6) + six
    quoted = b"\3\1" + bytes(6) + build.ipv4(6, build.tcp(), fragment=0x2000)
    stack = build.label(16, last=False) + build.label(17, last=True)
    over_ip = {
        17: [build.udp(b"z" * 60)],
        47: [
            b"\xf0\0\x08\0" + bytes(12) + b"\0\0\0\x04abcd\0\0\0\0" + inner,
            b"\x10\0\x22\xeb\0\0\0\1\x20" + bytes(10) + b"\1" + bytes(8) + frame,
        ],
        51: [b"\x29\4" + bytes(22) + six],
        1: [quoted],
    }
    over_udp = {
        4789: b"\x08" + bytes(7) + frame,
        6081: b"\2\0\x65\x58" + bytes(12) + frame,
        2152: b"\x34\xff\0\x50\0\0\0\1\0\0\0\x85\1\0\1\0" + inner,
        3544: b"\0\1\1\1" + bytes(19) + six,
        1701: b"\x4a\2\0\x40\0\1\0\1\0\1\0\0\0\2zz\0\x21" + inner,
        37008: b"\1\0\0\1\x0a\2ab\0\1" + frame,
        4790: b"\x0c\0\0\4\0\0\1\0\0\6\1\3" + bytes(20) + frame,
        5247: b"\0\x10\2\0\0\0\0\0" + frame,
    }
    for port, payload in over_udp.items():
        over_ip[17].append(build.udp(payload, dport=port))
    datagram = build.udp(b"z" * 60)
    return [
        frame,
        build.ethernet(0x86DD, six),
        build.tags([0x88A8, 0x8100, 0x8100], 0x0800, tagged),
        build.ethernet(0x86DD, build.ipv6(58, redirected)),
        build.ethernet(0x8847, stack + bytes(4) + frame),
        build.ethernet(0x8864, b"\x11\0\0\1\0\x50\0\x3d\xc0\0\0\1\0\x21" + inner),
        build.ethernet(60, b"\xaa\xaa\3\0\0\0\x08\0" + inner),
        build.ethernet(0x0800, build.ipv4(17, datagram[:32], fragment=0x2000)),
        build.ethernet(0x0800, build.ipv4(17, datagram[32:], fragment=4)),
        *(build.ethernet(0x0800, build.ipv4(number, body)) for number, bodies in over_ip.items() for body in bodies),
    ]


@pytest.fixture(autouse=True)
def no_masked_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a run that has given up its rights: np.isin and np.unique import numpy.ma when they feel like it."""
    monkeypatch.setitem(sys.modules, "numpy.ma", None)
    monkeypatch.delitem(vars(np), "ma", raising=False)
