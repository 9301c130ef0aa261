"""The walk in many lanes finds what the walk one by one finds, whatever the guesses are worth."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.sources import pcap
from netwatch.capture.sources.lanes import Layout, walk_lanes
from netwatch.capture.sources.pcap import PcapParser
from netwatch.capture.sources.records import SLACK

SECONDS = 1_700_000_000


def records(order: str, header: int, sizes: list[int], fill: Callable[[int], bytes]) -> bytes:
    made = []
    for number, size in enumerate(sizes):
        head = struct.pack(f"{order}IIII", SECONDS + number // 100, number % 1_000_000, size, size + number % 2)
        made += [head, bytes(header - 16), fill(size)]
    return b"".join(made)


def one_by_one(content: bytes, layout: Layout) -> list[int]:
    at, found = 0, []
    while at + layout.header <= len(content):
        (size,) = struct.unpack_from(f"{layout.order}I", content, at + 8)
        if at + layout.header + size > len(content):
            break
        found.append(at)
        at += layout.header + size
    return found


def compare(content: bytes, layout: Layout) -> int:
    """Check the walk over `content`; how many records the lanes made sure of."""
    raw = np.frombuffer(content + bytes(SLACK), np.uint8)
    heads, rest = walk_lanes(raw, 0, len(content), layout)
    whole = one_by_one(content, layout)
    found = heads.tolist()
    assert found == whole[: len(found)]
    assert rest == (whole[len(found)] if len(found) < len(whole) else rest)
    assert rest >= (found[-1] if found else 0)
    return len(found)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("header", [16, 24])
def test_a_clean_capture_is_walked_nearly_to_its_end(order: str, header: int) -> None:
    sizes = [60 + number * 7919 % 1455 for number in range(2000)]
    content = records(order, header, sizes, bytes)
    layout = Layout(order, header, 1_000_000, 262_144)
    assert compare(content, layout) >= 1990
    for cut in (1, 17, 1000):
        assert compare(content[:-cut], layout) >= 1980


def test_payloads_that_look_like_headers() -> None:
    """Packets that carry captures: every guess may be wrong, no row is."""
    inner = records("<", 16, [10] * 50, bytes)
    layout = Layout("<", 16, 1_000_000, 262_144)
    content = records("<", 16, [len(inner)] * 300, lambda _size: inner)
    compare(content, layout)
    # The same, with what is guessed leading far away.
    false = struct.pack("<IIII", SECONDS, 0, 200_000, 200_000) * 60
    compare(records("<", 16, [len(false)] * 500, lambda _size: false), layout)


def test_one_long_lane_among_short_ones() -> None:
    sizes = [1400] * 300 + [0] * 30_000 + [200_000] * 3 + [60] * 3000
    assert compare(records("<", 16, sizes, bytes), Layout("<", 16, 1_000_000, 262_144)) > 20_000


@settings(deadline=None, max_examples=60)
@given(
    st.data(),
    st.sampled_from(["<", ">"]),
    st.lists(st.integers(0, 1600), min_size=1, max_size=40),
    st.integers(0, 5),
)
def test_random_captures_with_random_damage(data: st.DataObject, order: str, pattern: list[int], hits: int) -> None:
    sizes = pattern * (400_000 // (sum(pattern) + 16 * len(pattern)))
    content = bytearray(
        records(order, 16, sizes, lambda size: bytes(range(256)) * 7 if size == 1792 else bytes(size))
    )
    for _ in range(hits):
        at = data.draw(st.integers(0, len(content) - 4))
        content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    compare(bytes(content), Layout(order, 16, 1_000_000, 262_144))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=30), st.integers(0, 3000))
def test_the_parser_gives_the_same_with_lanes_and_without(pattern: list[int], cut: int) -> None:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    sizes = pattern * (600_000 // (sum(pattern) + 16 * len(pattern)))
    content = records("<", 16, sizes, bytes)[cut:]
    raw = np.frombuffer(content + bytes(SLACK), np.uint8)
    results = []
    for worth in (1 << 18, 1 << 60):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pcap, "_WORTH_LANES", worth)
            found = PcapParser(head).parse(raw, 0, len(content), 24)
        results.append((found.offsets.tolist(), found.ts.tolist(), found.end, found.need, found.damage))
    assert results[0] == results[1]
