"""Where packets start in ring blocks: found at once where the memory allows, and always what the chain says."""

from __future__ import annotations

import random

import numpy as np
import pytest

from netwatch.capture.sources import frames

MAC_AND_NET = 82 | 96 << 16
HEAD_WORDS = 17
DESCRIPTOR_WORDS = 12

Block = tuple[int, int, int]


def ring_memory(counts: list[int], words_a_packet: tuple[int, int] = (20, 200)) -> tuple[np.ndarray, list[Block]]:
    """Blocks with `counts` packets each, of random bytes, as the kernel chains them; and where each block lies."""
    dice = random.Random(7)
    memory: list[int] = []
    blocks = []
    for count in counts:
        memory += [dice.getrandbits(32) for _ in range(DESCRIPTOR_WORDS)]
        first = len(memory)
        for number in range(count):
            size = dice.randrange(*words_a_packet) * 2
            packet = [dice.getrandbits(32) for _ in range(size)]
            packet[0] = 4 * size if number < count - 1 else 0
            packet[6] = MAC_AND_NET
            packet[12] = 17 | packet[12] & 0xFFFF0000
            memory += packet
        blocks.append((first, count, len(memory)))
    return np.array(memory, np.uint32), blocks


def followed(words: np.ndarray, blocks: list[Block]) -> list[int]:
    """By the definition of tp_next_offset."""
    found = []
    for first, count, _ in blocks:
        at = first
        for _ in range(count):
            found.append(4 * at)
            at += int(words[at]) // 4
    return found


@pytest.mark.parametrize("counts", [[1], [3], [100], [200, 1, 300], [1] * 80, [2000, 1700]])
def test_all_are_found(counts: list[int]) -> None:
    words, blocks = ring_memory(counts)
    assert frames.headers_of(words, blocks).tolist() == followed(words, blocks)


def test_a_packet_that_holds_what_looks_like_a_header_fools_nobody() -> None:
    words, blocks = ring_memory([100, 100])
    start = followed(words, blocks)[50] // 4
    words[start + HEAD_WORDS + 1] = MAC_AND_NET  # on the header's raster: 18 words behind an even one
    words[start + HEAD_WORDS - 5] = 80
    words[start + HEAD_WORDS + 7] = 17
    assert frames.headers_of(words, blocks).tolist() == followed(words, blocks)


def test_a_false_header_in_place_of_one_that_differs_fools_nobody() -> None:
    words, blocks = ring_memory([100, 100])
    starts = followed(words, blocks)
    words[starts[30] // 4 + 6] = 86 | 100 << 16  # a tag in the packet: its network header is further on
    words[starts[60] // 4 + HEAD_WORDS + 1] = MAC_AND_NET
    words[starts[60] // 4 + HEAD_WORDS + 7] = 17
    assert frames.headers_of(words, blocks).tolist() == starts


def test_joined_segments_are_followed() -> None:
    words, blocks = ring_memory([70], (8000, 8100))
    assert frames.headers_of(words, blocks).tolist() == followed(words, blocks)
