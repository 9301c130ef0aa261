"""What is written can be read again: by netwatch, and by tshark."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.columns import EVENT, INCOMING, OUTGOING
from netwatch.capture.sources.files import open_file
from netwatch.capture.writer import PcapngWriter

Packet = tuple[int, bytes, int, int, int]
"""Time, bytes, wire length, interface, marks."""

ETHERNET = [Interface("eth0", 1, 262144)]
START = 1_700_000_000_123_456_789


def block_of(packets: list[Packet], slack: int = 0) -> Block:
    raw = np.frombuffer(b"\xaa" + b"\xaa".join(data for _ts, data, *_rest in packets) + bytes(slack), np.uint8)
    sizes = np.array([len(data) for _ts, data, *_rest in packets], np.int64)
    offsets = 1 + np.concatenate([[0], np.cumsum(sizes + 1)[:-1]]).astype(np.int64)
    return Block(
        raw=raw,
        offsets=offsets,
        caplen=sizes.astype(np.uint32),
        wirelen=np.array([packet[2] for packet in packets], np.uint32),
        ts=np.array([packet[0] for packet in packets], np.int64),
        linktype=np.full(len(packets), 1, np.uint16),
        iface=np.array([packet[3] for packet in packets], np.uint16),
        marks=np.array([packet[4] for packet in packets], np.uint16),
        pos=offsets,
        owned=True,
    )


def read(path: Path) -> tuple[list[Packet], list[Interface]]:
    source = open_file(path)
    rows: list[Packet] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        if block is None:
            continue
        for row, (start, size) in enumerate(zip(block.offsets.tolist(), block.caplen.tolist(), strict=True)):
            data = block.raw[start : start + size].tobytes()
            meta = (int(block.iface[row]), int(block.marks[row]))
            rows.append((int(block.ts[row]), data, int(block.wirelen[row]), *meta))
    assert source.damage is None
    source.close()
    return rows, source.interfaces


def numbered(count: int, size: int) -> list[Packet]:
    return [(START + number, bytes([number & 255]) * size, size, 0, 0) for number in range(count)]


@settings(deadline=None, max_examples=60)
@given(
    packets=st.lists(
        st.tuples(
            st.integers(0, (1 << 63) - 1),
            st.one_of(st.binary(max_size=40), st.integers(0, 9000).map(os.urandom)),
            st.integers(0, 1 << 20),
            st.integers(0, 2),
            st.sampled_from([0, INCOMING, OUTGOING]),
        ),
        min_size=1,
        max_size=30,
    ),
    slack=st.sampled_from([0, 100, 5000]),
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, packets: list[Packet], slack: int) -> None:
    path = tmp_path_factory.getbasetemp() / "out.pcapng"
    packets = [(ts, data, len(data) + cut, iface, marks) for ts, data, cut, iface, marks in packets]
    interfaces = [Interface("eth0", 1, 262144), Interface("", 101, 0), Interface("wlän0", 113, 96)]
    writer = PcapngWriter(path, interfaces, loss=Loss)
    writer.write(block_of(packets, slack))
    writer.write(block_of(packets[::-1], slack))
    writer.close()
    assert read(path) == (packets + packets[::-1], interfaces)
    assert writer.tally.packets == 2 * len(packets)
    assert writer.bytes == path.stat().st_size


def test_short_packets_behind_long_ones(tmp_path: Path) -> None:
    packets = [
        (START + number, bytes([number & 255]) * size, size, 0, INCOMING)
        for number, size in enumerate([700, 0, 1, 255, 0, 0, 256, 257, 3, 4096, 4097, 65536, 0, 5, 1514, 1, 1, 1])
    ]
    writer = PcapngWriter(tmp_path / "out", ETHERNET)
    writer.write(block_of(packets, 1000))
    writer.close()
    assert read(tmp_path / "out") == (packets, ETHERNET)


def test_an_interface_that_appears_later_is_described_before_its_first_packet(tmp_path: Path) -> None:
    interfaces = [Interface("eth0", 1)]
    writer = PcapngWriter(tmp_path / "out", interfaces, loss=Loss)
    writer.write(block_of(numbered(2, 10)))
    interfaces.append(Interface("tun0", 101))
    later: list[Packet] = [(START + 9, b"tunnel", 6, 1, 0)]
    writer.write(block_of(later))
    writer.close()
    assert read(tmp_path / "out") == (numbered(2, 10) + later, interfaces)


def test_what_was_before_1970_is_counted_and_dated_1970(tmp_path: Path) -> None:
    path = tmp_path / "out"
    writer = PcapngWriter(path, ETHERNET)
    block = block_of(numbered(3, 60))
    block.ts[:] = [-5_000_000_000, 0, 7]
    writer.write(block)
    writer.close()
    assert writer.tally.before_1970 == 1
    source = open_file(path)
    found = source.next_block(0.0)
    assert found is not None
    assert found.ts.tolist() == [0, 0, 7]
    source.close()


def test_events_are_no_packets(tmp_path: Path) -> None:
    packets = numbered(3, 10)
    event: Packet = (START + 5, b"eth0 is down", 12, 0, EVENT)
    writer = PcapngWriter(tmp_path / "out", ETHERNET)
    writer.write(block_of([packets[0], event, *packets[1:]]))
    writer.write(block_of([event]))
    writer.close()
    assert read(tmp_path / "out")[0] == packets


def test_the_file_is_valid_from_the_first_moment_and_after_every_block(tmp_path: Path) -> None:
    writer = PcapngWriter(tmp_path / "out", ETHERNET)
    assert read(tmp_path / "out") == ([], ETHERNET)
    writer.write(block_of(numbered(5, 100)))
    assert len(read(tmp_path / "out")[0]) == 5
    writer.close()
    writer.close()


def test_standard_output(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> None:
    writer = PcapngWriter("-", ETHERNET, loss=Loss)
    writer.write(block_of(numbered(3, 10)))
    writer.close()
    (tmp_path / "out").write_bytes(capfdbinary.readouterr().out)
    assert read(tmp_path / "out")[0] == numbered(3, 10)


def test_a_full_disk_leaves_whole_packets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    writer = PcapngWriter(path, ETHERNET, loss=lambda: Loss(ring=1))
    writer.write(block_of(numbered(3, 100)))
    write, room = os.write, [250, 77, 200]

    def full(fd: int, data: memoryview) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(fd, data[: room.pop(0)])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            writer.write(block_of(numbered(10, 100)))
    # 527 bytes were taken; a packet has 132 of them.
    assert writer.tally.packets == 3 + 3
    assert writer.bytes == path.stat().st_size
    assert read(path)[0] == numbered(3, 100) + numbered(3, 100)
    writer.write(block_of(numbered(10, 100)))
    writer.close()
    assert read(path)[0] == numbered(3, 100) + numbered(3, 100) + numbered(10, 100)


def test_what_cannot_be_taken_back_is_before_anything_else_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    writer = PcapngWriter(path, ETHERNET)
    write, room = os.write, [200]

    def full(fd: int, data: memoryview) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(fd, data[: room.pop(0)])

    def stuck(fd: int, size: int) -> None:
        raise OSError(5, "Input/output error", fd, size)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        patch.setattr(os, "ftruncate", stuck)
        with pytest.raises(OSError, match="error"):
            writer.write(block_of(numbered(10, 100)))
        with pytest.raises(OSError, match="Input/output"):
            writer.write(block_of(numbered(1, 100)))
    assert (writer.tally.packets, writer.bytes) == (1, path.stat().st_size - 200 + 132)
    writer.write(block_of(numbered(2, 100)))
    writer.close()
    assert read(path)[0] == numbered(1, 100) + numbered(2, 100)


def test_a_pipe_that_broke_within_a_packet_is_not_written_on() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = PcapngWriter(writing, ETHERNET)
    room = os.get_blocking(writing), os.read(reading, 1 << 16)
    assert room[1]
    os.close(reading)
    os.close(writing)
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            writer.write(block_of(numbered(3, 1000)))
    assert writer.tally.packets == 0
    writer.close()


def test_a_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "out"
    PcapngWriter(path, ETHERNET).close()
    assert path.stat().st_mode & 0o777 == 0o600
    PcapngWriter(path, ETHERNET).close()


def test_partial_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:1000]))
    writer = PcapngWriter(tmp_path / "out", ETHERNET)
    writer.write(block_of(numbered(100, 100)))
    writer.close()
    assert read(tmp_path / "out")[0] == numbered(100, 100)


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="directory"):
        PcapngWriter(tmp_path, ETHERNET)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match="space"):
            PcapngWriter("/dev/full", ETHERNET)
    reading, writing = os.pipe()
    writer = PcapngWriter(writing, ETHERNET)
    os.close(reading)
    os.close(writing)
    with pytest.raises(BrokenPipeError):
        writer.write(block_of(numbered(1, 1)))
    writer.close()


def test_statistics_of_the_interface(tmp_path: Path) -> None:
    writer = PcapngWriter(tmp_path / "out", ETHERNET, loss=lambda: Loss(ring=7, interface=2, queue=1))
    writer.write(block_of(numbered(5, 100)))
    writer.tally.drop(4)
    writer.close()
    whole = (tmp_path / "out").read_bytes()
    size = struct.unpack_from("<I", whole, len(whole) - 4)[0]
    block = whole[-size:]
    kind, _size, iface, high, low = struct.unpack_from("<5I", block)
    assert (kind, iface, high << 32 | low) == (5, 0, START + 4)
    options = {}
    at = 20
    while (code := struct.unpack_from("<H", block, at)[0]) != 0:
        options[code] = struct.unpack_from("<Q", block, at + 4)[0]
        at += 12
    assert options == {4: 5 + 7 + 2 + 1 + 4, 5: 2, 7: 12, 8: 5}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_it(tmp_path: Path) -> None:
    frame = bytes.fromhex("ffffffffffff0200000000010806") + bytes(46)
    packets: list[Packet] = [
        (START, frame, 60, 0, INCOMING),
        (START + 1, frame[:33], 1514, 0, OUTGOING),
        (START + 2, frame[:20], 20, 1, 0),
    ]
    writer = PcapngWriter(tmp_path / "out", [Interface("eth0", 1), Interface("eth1", 1)], loss=Loss)
    writer.write(block_of(packets))
    writer.close()
    fields = [
        "frame.time_epoch",
        "frame.cap_len",
        "frame.len",
        "frame.interface_name",
        "frame.packet_flags_direction",
    ]
    command = ["tshark", "-n", "-r", str(tmp_path / "out"), "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split("\t") for line in done.stdout.splitlines()] == [
        ["1700000000.123456789", "60", "60", "eth0", "0x00000001"],
        ["1700000000.123456790", "33", "1514", "eth0", "0x00000002"],
        ["1700000000.123456791", "20", "20", "eth1", ""],
    ]
