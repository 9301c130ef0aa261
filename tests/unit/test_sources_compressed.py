"""Every format in every compression; kept on disk to be read again where that is asked for; damage of each kind."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import Block, CaptureError, Source
from netwatch.capture.sources import scratch
from netwatch.capture.sources.files import open_file
from netwatch.capture.sources.scratch import Scratch, open_scratch
from netwatch.capture.sources.stream import open_stream

Compress = Callable[[bytes], bytes]


def zstd(data: bytes) -> bytes:
    module: Any
    try:
        module = importlib.import_module("compression.zstd")
    except ModuleNotFoundError:
        module = importlib.import_module("backports.zstd")
    made: bytes = module.compress(data, options={module.CompressionParameter.checksum_flag: 1})
    return made


def pzstd(data: bytes) -> bytes:
    """As pzstd writes: before each frame one to be skipped, which tells its size."""
    frame = zstd(data)
    return struct.pack("<III", 0x184D2A50, 4, len(frame)) + frame


COMPRESSIONS: dict[str, Compress] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "pzstd": pzstd,
}
COUNT = 3000


def payload(number: int) -> bytes:
    return number.to_bytes(4, "big") * (number % 200 + 1)


def pcap() -> bytes:
    records = (struct.pack("<IIII", n, 0, len(payload(n)), len(payload(n))) + payload(n) for n in range(COUNT))
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records)


def pcapng() -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        size = struct.pack("<I", 12 + len(body))
        return struct.pack("<I", kind) + size + body + size

    def packet(n: int) -> bytes:
        ticks = n * 1_000_000
        head = struct.pack("<5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(payload(n)), len(payload(n)))
        return block(6, head + payload(n))

    section = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    return section + block(1, struct.pack("<HHI", 1, 0, 0)) + b"".join(map(packet, range(COUNT)))


def snoop() -> bytes:
    records = (
        struct.pack(">6I", len(payload(n)), len(payload(n)), 24 + len(payload(n)), 0, n, 0) + payload(n)
        for n in range(COUNT)
    )
    return b"snoop\0\0\0" + struct.pack(">II", 2, 4) + b"".join(records)


def erf() -> bytes:
    records = (
        struct.pack("<QBB", n << 32, 2, 4)
        + struct.pack(">HHH", 18 + len(payload(n)), 0, len(payload(n)))
        + bytes(2)
        + payload(n)
        for n in range(COUNT)
    )
    return b"".join(records)


FORMATS: dict[str, Callable[[], bytes]] = {"pcap": pcap, "pcapng": pcapng, "snoop": snoop, "erf": erf}


def blocks(source: Source) -> list[Block]:
    found = []
    while not source.exhausted:
        block = source.next_block(5.0)
        if block is not None:
            found.append(block)
    return found


def packets(source: Source, found: list[Block]) -> list[tuple[int, bytes]]:
    """Seconds and bytes of each; bytes read again where the block does not own them."""
    rows = []
    for block in found:
        for ts, offset, pos, size in zip(
            block.ts.tolist(), block.offsets.tolist(), block.pos.tolist(), block.caplen.tolist(), strict=True
        ):
            data = block.raw[offset : offset + size].tobytes()
            assert block.owned or source.read_at(pos, size) == data
            rows.append((ts // 1_000_000_000, data))
    return rows


EXPECTED = [(n, payload(n)) for n in range(COUNT)]


@pytest.fixture
def store(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "capture"
        path.write_bytes(content)
        return path

    return write


Store = Callable[[bytes], Path]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_in_every_compression(name: str, compression: str, store: Store) -> None:
    content, compress = FORMATS[name](), COMPRESSIONS[compression]
    third = len(content) // 3
    path = store(b"".join(compress(content[at : at + third + 1]) for at in range(0, len(content), third + 1)))
    for reread in (False, True):
        source = open_file(path, reread=reread)
        begun = source.progress()
        found = blocks(source)
        assert packets(source, found) == EXPECTED
        assert {block.owned for block in found} == {not reread}
        assert source.damage is None
        size = path.stat().st_size
        assert begun is not None
        assert 0 < begun[0] <= begun[1] == size
        assert source.progress() == (size, size)
        source.close()
        assert source.read_at(24, 10) == b""


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_cut_or_broken_it_gives_what_came_before(compression: str, store: Store) -> None:
    whole = COMPRESSIONS[compression](pcap())
    broken = bytearray(whole)
    broken[len(whole) * 3 // 4] ^= 0xFF
    for content in (whole[: len(whole) * 3 // 4], bytes(broken)):
        source = open_file(store(content), reread=True)
        rows = packets(source, blocks(source))
        good = next((n for n, row in enumerate(rows) if row != EXPECTED[n]), len(rows))
        assert good > (0 if compression == "bzip2" else COUNT // 20)  # a block of bzip2 may be all there is
        assert source.damage is not None
        assert "\n" not in source.damage.message
        source.close()


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_is_no_member_is_told_and_padding_is_not(compression: str, store: Store) -> None:
    compress = COMPRESSIONS[compression]
    whole = pcap()
    half = 24 + sum(16 + len(payload(number)) for number in range(COUNT // 2))
    first, second = compress(whole[:half]), compress(whole[half:])
    garbage = "ignored {:,} bytes of trailing garbage behind the compressed data"
    for content, count, notes in (
        (first + b"!" + second, COUNT // 2, [garbage.format(1 + len(second))]),
        (first + b"!", COUNT // 2, [garbage.format(1)]),
        (first + bytes(512) + b"!" * 70_000, COUNT // 2, [garbage.format(70_000)]),
        (first + bytes(100_000), COUNT // 2, []),
        (first + bytes(512) + second, COUNT, []),
    ):
        source = open_file(store(content))
        assert sum(len(block) for block in blocks(source)) == count
        assert source.damage is None
        assert getattr(source, "notes", None) == notes
        source.close()


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz", "zstd"])
def test_compressed_twice(compression: str, store: Store) -> None:
    compress = COMPRESSIONS[compression]
    with pytest.raises(CaptureError, match="is compressed twice: unpack it once") as caught:
        open_file(store(compress(compress(pcap()))))
    assert caught.value.code == 3


def test_a_file_that_shrinks_while_it_is_read(store: Store) -> None:
    # What is random does not compress: the file is long.
    noise = struct.pack("<IIII", 0, 0, 100_000, 100_000) + os.urandom(100_000)
    path = store(gzip.compress(pcap() + noise * 40))
    source = open_file(path)
    os.truncate(path, 1_000_000)
    rows = packets(source, blocks(source))
    assert rows[:COUNT] == EXPECTED
    assert source.damage is not None
    assert "the file shrank at byte 1000000 while it was read" in source.damage.message
    source.close()


def test_a_decoder_that_wants_four_gibibytes_is_refused(store: Store) -> None:
    def checked(data: bytes) -> bytes:
        return data + struct.pack("<I", zlib.crc32(data))

    # The .xz file format 1.1, sections 2.1.1, 3.1 and 5.3.1: a block with the largest dictionary
    header = b"\xfd7zXZ\0" + checked(b"\0\4") + checked(bytes([2, 0, 0x21, 1, 40, 0, 0, 0]))
    with store(header + bytes(100)).open("rb") as file:
        source = open_stream(file.fileno(), "capture")
    assert blocks(source) == []
    assert source.damage is not None
    assert "the xz data is damaged: Memory usage limit exceeded" in source.damage.message
    source.close()


SMALL = {name: compress(snoop()[: 16 + 24 * 60]) for name, compress in COMPRESSIONS.items()}


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
def test_random_damage_never_raises(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[float, int]], cut: float
) -> None:
    content = bytearray(SMALL[name])
    for at, value in changes:
        content[int(at * len(content))] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: int(cut * len(content))])
    try:
        source = open_file(path, reread=True)
    except CaptureError:
        return
    packets(source, blocks(source))
    source.close()


# The scratch file


def test_it_has_no_name_and_is_not_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    kept = open_scratch(10)
    kept.append(b"some")
    kept.append(b"thing")
    assert list(tmp_path.iterdir()) == []
    assert kept.read_at(2, 5) == b"methi"
    assert kept.read_at(7, 100) == b"ng"
    assert kept.read_at(100, 5) == b""
    kept.close()
    kept.close()
    assert kept.read_at(0, 4) == b""


def test_a_place_on_disk_comes_before_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(scratch, "_device", lambda folder: "disk" if folder == "/var/tmp" else "memory")
    monkeypatch.setattr(scratch, "_mounts_in_memory", lambda: ["memory"])
    kept = open_scratch(10)
    assert kept.folder == "/var/tmp"
    kept.close()


def test_without_room_the_blocks_own_their_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_room", lambda _folder: 0)
    source = open_file(store(gzip.compress(pcap())), reread=True)
    found = blocks(source)
    assert all(block.owned for block in found)
    assert packets(source, found) == EXPECTED
    assert not source.rereadable  # type: ignore[attr-defined]
    (note,) = source.notes  # type: ignore[attr-defined]
    assert "no room in" in note
    source.close()


def test_when_the_room_ends_on_the_way_what_is_there_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(fd: int, data: memoryview, pos: int) -> int:
        if pos + len(data) > 300_000:
            raise OSError(28, "No space left on device")
        return real(fd, data, pos)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", write)
    records = pcap()[24:]
    source = open_file(store(gzip.compress(pcap() + records + records)), reread=True)
    monkeypatch.setattr(Scratch, "append", limited(Scratch.append, 300_000))
    found = blocks(source)
    owned = [block.owned for block in found]
    assert packets(source, found) == EXPECTED * 3
    assert owned == sorted(owned)
    assert owned[-1]
    source.close()


def limited(append: Callable[[Scratch, bytes], None], most: int) -> Callable[[Scratch, bytes], None]:
    """In pieces, so that some of them fit."""

    def pieces(self: Scratch, data: bytes) -> None:
        for at in range(0, len(data), most // 8):
            append(self, data[at : at + most // 8])

    return pieces
