"""Plain packets take a short cut to the columns that the walk, which --fields always takes, would have filled in."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from netwatch.capture.columns import EVENT
from netwatch.capture.decode import Decoder, plain
from netwatch.capture.decode.walk import Walk

TIMESTAMPS = b"\1\1\x08\x0a" + bytes(8)
MSS_AND_MORE = b"\2\4\5\xb4\4\2\x08\x0a" + bytes(8) + b"\1\3\3\7"
GAP = bytes(range(128))


def plain_packets(build: Any) -> list[bytes]:
    """Both transports over both versions, with what applications say and without, with and without padding."""
    carried = []
    for options in (b"", TIMESTAMPS, MSS_AND_MORE, b"\x13\1\2\3"):
        for said, port in ((b"", 443), (b"\x16\3\1\0\5hello", 443), (b"GET / HTTP/1.1\r\n\r\n", 80), (b"?" * 30, 9)):
            carried.append((6, build.tcp(options + said, dport=port, offset=5 + len(options) // 4)))
    name = b"\0\7\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1"
    for said, port in ((b"", 9), (name, 53), (b"\x08\0\0\0\0\0\1\0" + bytes(60), 4789), (b"!" * 50, 5000)):
        carried.append((17, build.udp(said, dport=port)))
    frames = [build.ethernet(0x0800, build.ipv4(protocol, data)) for protocol, data in carried]
    frames += [build.ethernet(0x86DD, build.ipv6(protocol, data)) for protocol, data in carried]
    return frames + [frame.ljust(60, b"\0") for frame in frames]


def compare(block: Any) -> None:
    short, long = Decoder().decode(block).rows, Decoder(fields=True).decode(block).rows
    for mine, theirs in zip(short.arrays(), long.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_plain_packets_are_known_as_such(build: Any) -> None:
    packets = plain_packets(build)
    block = build.block(packets, gap=GAP)
    rows = Decoder().decode(block).rows
    left = plain.walk_plain(Walk(block.raw, rows, None), block)
    assert not len(left)
    compare(block)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_ones_are_read_as_the_walk_reads_them(build: Any, seed: int) -> None:
    chance = random.Random(seed)
    packets, wire = [], []
    seeds = plain_packets(build)
    for _ in range(1500):
        packet = bytearray(chance.choice(seeds))
        size = len(packet)
        for _ in range(chance.choice((0, 1, 1, 2))):
            # In the headers, where it counts: types, lengths, fragments, protocols, offsets.
            packet[chance.randrange(12, min(80, size))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.4:
            del packet[chance.randrange(size) :]
        packets.append(bytes(packet))
        wire.append(chance.choice((size, len(packet), size + 40)))
    compare(build.block(packets, 1, wire, gap=GAP[: chance.choice((0, 16, 128))]))


def test_every_cut(build: Any) -> None:
    packets = [packet[:cut] for packet in plain_packets(build)[:40] for cut in range(len(packet))]
    compare(build.block(packets, gap=GAP))


def test_only_ethernet_and_no_events(build: Any) -> None:
    packets = plain_packets(build)
    compare(build.block(packets, [1, 12, 113, 0] * (len(packets) // 4), gap=GAP))
    block = build.block(packets, gap=GAP)
    block.marks[::3] |= EVENT
    compare(block)
