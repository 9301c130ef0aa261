"""A file is read a piece at a time: what comes out does not depend on where pieces and blocks end."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.decode import Decoder
from netwatch.capture.sources import files
from netwatch.capture.sources.records import HEAD_BYTES

SIZES = (0, 1, 60, 60, 90, 590, 1514, 9000, 70_000)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """Packets of all sizes, some larger than a piece."""
    dice = random.Random(5)
    packets = [dice.randbytes(dice.choice(SIZES)) for _ in range(120)]
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for number, packet in enumerate(packets):
        content += struct.pack("<IIII", 1_700_000_000, number, len(packet), len(packet)) + packet
    path = tmp_path_factory.mktemp("pieces") / "a.pcap"
    path.write_bytes(content)
    return path, packets


@pytest.mark.parametrize("piece", [1000, 65_536, 1 << 22])
@pytest.mark.parametrize("ahead", [2000, 1 << 20])
def test_every_packet_once_with_its_first_bytes(
    capture: tuple[Path, list[bytes]], monkeypatch: pytest.MonkeyPatch, piece: int, ahead: int
) -> None:
    path, packets = capture
    monkeypatch.setattr(files, "_PIECE", piece)
    source = files.open_file(path, ahead=ahead)
    found: list[bytes] = []
    while not source.exhausted:
        block = source.next_block(0)
        if block is None:
            continue
        heads = np.concatenate(block.heads)
        assert heads.shape == (len(block), HEAD_BYTES)
        for at, size, pos, head in zip(block.offsets, block.caplen, block.pos, heads, strict=True):
            packet = block.raw[at : at + size].tobytes()
            assert head[:size].tobytes() == packet[:HEAD_BYTES]
            assert source.read_at(int(pos), int(size)) == packet
            found.append(packet)
        assert len(Decoder().decode(block).rows) == len(block)
    assert source.damage is None
    assert found == packets
    source.close()


def test_blocks_are_of_bounded_size(capture: tuple[Path, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    path, packets = capture
    monkeypatch.setattr(files, "_PIECE", 10_000)
    monkeypatch.setattr(files, "MAX_BLOCK_RECORDS", 7)
    source = files.open_file(path)
    sizes = []
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            sizes.append(len(block))
            assert sum(len(part) for part in block.heads) == len(block)
    assert sum(sizes) == len(packets)
    assert max(sizes) <= 7
    source.close()
