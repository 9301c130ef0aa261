"""Whatever the bytes: every record is a row, nothing raises, and a batch says what each packet alone says."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC, KIND_NONE, Columns
from netwatch.capture.decode import Decoder
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import PROTOCOLS

LINKTYPES = (0, 1, 6, 9, 10, 12, 50, 51, 100, 101, 104, 105, 107, 108, 113, 117, 119, 122, 127, 138, 147, 163, 192,
             204, 228, 229, 276)  # fmt: skip


def damaged(seeds: list[bytes], count: int, seed: int) -> tuple[list[bytes], list[int], list[int]]:
    """Packets with bytes changed and ends cut off, their sizes on the wire and link types."""
    chance = random.Random(seed)
    packets, wire, links = [], [], []
    for _ in range(count):
        packet = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((0, 1, 2, 8))):
            packet[chance.randrange(len(packet))] = chance.choice(
                (0, 1, 4, 6, 17, 41, 47, 255, chance.randrange(256))
            )
        size = len(packet)
        if chance.random() < 0.4:
            del packet[chance.randrange(size) :]
        packets.append(bytes(packet))
        wire.append(size if chance.random() < 0.5 else len(packet))
        links.append(1 if chance.random() < 0.7 else chance.choice(LINKTYPES))
    return packets, wire, links


def check(rows: Columns, n: int) -> None:
    """What holds for all rows."""
    assert len(rows) == n
    assert rows.path.max(initial=0) < len(PATHS)
    assert not n or rows.path.min() > 0
    assert np.isin(rows.kind, (KIND_NONE, KIND_MAC, KIND_IPV4, KIND_IPV6)).all()
    assert (rows.tcp_flags <= 0x0FFF).all()
    assert (rows.src_lo[rows.kind == KIND_IPV4] < 1 << 32).all()
    assert (rows.src_lo[rows.kind == KIND_MAC] < 1 << 48).all()
    assert not rows.src_hi[rows.kind != KIND_IPV6].any()
    assert len(PROTOCOLS) <= 255


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=120), st.sampled_from(LINKTYPES)), max_size=12))
def test_random_bytes(build: Any, packets: list[tuple[bytes, int]]) -> None:
    links = [link for _, link in packets]
    block = build.block([data for data, _ in packets], links)
    check(Decoder(fields=True).decode(block).rows, len(packets))


@pytest.mark.parametrize("seed", range(6))
def test_damaged_packets(build: Any, seeds: list[bytes], seed: int) -> None:
    packets, wire, links = damaged(seeds, 400, seed)
    check(Decoder(fields=True).decode(build.block(packets, links, wire)).rows, 400)


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_says_what_each_packet_says(build: Any, seeds: list[bytes], seed: int) -> None:
    packets, wire, links = damaged(seeds, 150, seed)
    together = Decoder().decode(build.block(packets, links, wire)).rows
    decoder = Decoder()
    alone = [
        decoder.decode(build.block([packet], link, [size])).rows
        for packet, size, link in zip(packets, wire, links, strict=True)
    ]
    one = Columns.concatenate(alone)
    for name in ("src_hi", "src_lo", "dst_hi", "dst_lo", "kind", "sport", "dport", "tcp_flags", "ip_proto",
                 "icmp_type", "vlan", "path", "marks"):  # fmt: skip
        np.testing.assert_array_equal(getattr(together, name), getattr(one, name), name)


@pytest.mark.parametrize("seed", range(2))
def test_bytes_between_records_are_never_read(build: Any, seeds: list[bytes], seed: int) -> None:
    """What lies behind a packet in memory changes nothing."""
    packets, wire, links = damaged(seeds, 200, seed)
    zeros = Decoder().decode(build.block(packets, links, wire, gap=b"\0" * 40)).rows
    ones = Decoder().decode(build.block(packets, links, wire, gap=b"\xff" * 40)).rows
    for mine, theirs in zip(zeros.arrays(), ones.arrays(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_every_cut_of_every_seed(build: Any, seeds: list[bytes]) -> None:
    packets = [seed[:cut] for seed in seeds for cut in range(len(seed))]
    check(Decoder(fields=True).decode(build.block(packets)).rows, len(packets))


def test_empty_blocks_and_packets(build: Any) -> None:
    check(Decoder().decode(build.block([])).rows, 0)
    check(Decoder().decode(build.block([b""] * 3)).rows, 3)


def test_long_chains_are_bounded(build: Any) -> None:
    """65,000 bytes of tags, labels, options or tunnels end as one row each."""
    packets = [
        build.ethernet(0x8100, b"\0\1\x81\0" * 16000),
        build.ethernet(0x8847, b"\0\1\0\x40" * 16000),
        build.ethernet(0x86DD, build.ipv6(60, b"\x3c\0\1\4\0\0\0\0" * 8000)),
        build.ethernet(0x86DD, build.ipv6(60, b"\x3c\xff" + b"\0" * 60000)),
        build.ethernet(0x0800, build.ipv4(47, b"\x40\0\x08\0\0\0\0\0" + b"\0\0\0\1z" * 12000)),
        build.ethernet(0x0800, build.ipv4(17, build.udp(b"\1\0\0\1" + b"\0" * 60000, dport=37008))),
    ]
    check(Decoder(fields=True).decode(build.block(packets)).rows, len(packets))
