"""-b: when a file ends, what the next one is called, and that each is whole."""

from __future__ import annotations

import os
import struct
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.rotating import _LATE, RotatingWriter
from netwatch.capture.rotation import Rotation, file_name, read_rotation
from netwatch.capture.sources.files import open_file

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ETHERNET = [Interface("eth0", 1)]


def block_of(times: list[int], size: int = 100) -> Block:
    n = len(times)
    offsets = np.arange(n, dtype=np.int64) * size
    return Block(
        raw=np.zeros(n * size, np.uint8),
        offsets=offsets,
        caplen=np.full(n, size, np.uint32),
        wirelen=np.full(n, size, np.uint32),
        ts=np.array(times, np.int64),
        linktype=np.ones(n, np.uint16),
        iface=np.zeros(n, np.uint16),
        marks=np.zeros(n, np.uint16),
        pos=offsets,
        owned=True,
    )


def times_in(path: str) -> list[int]:
    source = open_file(path)
    found: list[int] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        found += block.ts.tolist() if block is not None else []
    assert source.damage is None
    source.close()
    return found


def written(folder: Path, rotation: Rotation, blocks: list[Block]) -> list[list[int]]:
    """The times in each of the files."""
    writer = RotatingWriter(str(folder / "out.pcapng"), ETHERNET, rotation, loss=Loss, live=False)
    for block in blocks:
        writer.write(block)
    writer.close()
    assert sorted(os.path.join(folder, name) for name in os.listdir(folder)) == list(writer.paths)
    assert writer.tally.packets == sum(map(len, blocks))
    return [times_in(path) for path in writer.paths]


@pytest.mark.parametrize(
    ("criteria", "rotation"),
    [
        (["filesize:1000"], Rotation(filesize=1_000_000)),
        (["filesize:64M"], Rotation(filesize=64 << 20)),
        (["FILESIZE:1k".lower()], Rotation(filesize=1024)),
        (["duration:60", "files:5"], Rotation(duration=60 * SECOND, files=5)),
        (["duration:0.25"], Rotation(duration=SECOND // 4)),
        (["interval:3600", "packets:7", "packets:8"], Rotation(interval=3600 * SECOND, packets=8)),
    ],
)
def test_criteria(criteria: list[str], rotation: Rotation) -> None:
    assert read_rotation(criteria) == rotation
    assert read_rotation([]) is None


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        ("files:3", "when a file is full"),
        ("size:3", "give filesize:NUM"),
        ("", "give filesize:NUM"),
        ("packets", "not a number of packets above 0"),
        ("packets:0", "'0' is not a number of packets"),
        ("packets:1.5", "'1.5' is not"),
        ("packets:64M", "'64M' is not"),
        ("duration:0.0", "'0.0' is not a number of seconds"),
        ("interval:1.5", "'1.5' is not a number of seconds"),
        ("duration:4611686019", "that is more than 4,611,686,018 seconds"),
        ("interval:99999999999999999999", "that is more than 4,611,686,018 seconds"),
        ("packets:99999999999999999999", "that is more than 4,611,686,018,427,387,903 packets"),
        ("filesize:99999999999G", "more than 4,611,686,018,427,387,903 bytes"),
        ("duration:-1", "'-1' is not a number of seconds"),
        ("interval:1e3", "'1e3' is not a number of seconds"),
        ("filesize:0", "'0' is not a number of kB"),
    ],
)
def test_criteria_that_mean_nothing(criterion: str, words: str) -> None:
    with pytest.raises(ValueError, match="-b") as caught:
        read_rotation([criterion])
    assert words in str(caught.value)


def test_names_are_dumpcaps() -> None:
    when = time.mktime((2026, 11, 22, 14, 0, 0, 0, 0, -1))
    assert file_name("trace.pcapng", 1, when) == "trace_00001_20261122140000.pcapng"
    assert file_name("/a.b/trace", 123456, when) == "/a.b/trace_123456_20261122140000"
    assert file_name("a.b.pcap", 20, when) == "a.b_00020_20261122140000.pcap"


@pytest.mark.parametrize("rows_in_a_block", [1, 7, 100])
def test_packets_by_file(tmp_path: Path, rows_in_a_block: int) -> None:
    times = [START + number for number in range(100)]
    blocks = [block_of(times[at : at + rows_in_a_block]) for at in range(0, 100, rows_in_a_block)]
    got = written(tmp_path, Rotation(packets=30), blocks)
    assert [len(each) for each in got] == [30, 30, 30, 10]
    assert list(chain.from_iterable(got)) == times


def test_the_packet_that_reaches_the_size_is_the_last(tmp_path: Path) -> None:
    got = written(tmp_path, Rotation(filesize=1000), [block_of([START] * 50), block_of([START] * 50)])
    writer = RotatingWriter(str(tmp_path / "one.pcapng"), ETHERNET, Rotation(packets=1), live=False)
    header = os.path.getsize(writer.paths[0])
    each = -(-(1000 - header) // 132)
    assert [len(times) for times in got] == [each] * (100 // each) + [100 % each] * (100 % each > 0)


def test_a_size_that_the_headers_alone_reach_still_takes_a_packet(tmp_path: Path) -> None:
    assert written(tmp_path, Rotation(filesize=1), [block_of([START] * 3)]) == [[START]] * 3


def test_a_duration_begins_with_the_first_packet_and_keeps_step(tmp_path: Path) -> None:
    times = [START + number * SECOND // 2 for number in range(10)]
    got = written(tmp_path, Rotation(duration=2 * SECOND), [block_of(times)])
    assert [len(each) for each in got] == [4, 4, 2]


def test_no_file_is_made_for_a_time_without_packets(tmp_path: Path) -> None:
    got = written(tmp_path, Rotation(duration=SECOND), [block_of([START]), block_of([START + 3600 * SECOND])])
    assert got == [[START], [START + 3600 * SECOND]]


def test_intervals_end_at_multiples_of_the_time(tmp_path: Path) -> None:
    times = [START + offset * SECOND for offset in (55, 59, 60, 61, 119, 120, 500)]
    first = -START % (60 * SECOND)
    got = written(tmp_path, Rotation(interval=60 * SECOND), [block_of([first + at for at in times])])
    assert [len(each) for each in got] == [2, 3, 1, 1]


def test_a_clock_that_jumps_back_makes_no_file(tmp_path: Path) -> None:
    times = [START, START - 3600 * SECOND, START + SECOND - 1]
    assert written(tmp_path, Rotation(duration=SECOND), [block_of(times)]) == [times]


@pytest.mark.parametrize("rows_in_a_block", [1, 3, 100])
def test_a_clock_that_was_set_back_goes_on_from_there(tmp_path: Path, rows_in_a_block: int) -> None:
    back = START - 3600 * SECOND
    times = [START, START + SECOND // 2, *(back + number * SECOND // 2 for number in range(7))]
    blocks = [block_of(times[at : at + rows_in_a_block]) for at in range(0, len(times), rows_in_a_block)]
    got = written(tmp_path, Rotation(duration=SECOND), blocks)
    # The second packet from before tells: from there on, a second each.
    assert got == [times[:5], times[5:7], times[7:]]


def test_a_clock_that_is_set_back_while_no_packet_comes(tmp_path: Path) -> None:
    writer = RotatingWriter(str(tmp_path / "a"), ETHERNET, Rotation(duration=SECOND), loss=Loss, live=True)
    assert writer.until is not None
    earlier = writer.until - 3600 * SECOND
    writer.statistics(earlier)
    assert writer.until < earlier + 2 * SECOND
    writer.statistics(earlier + 2 * SECOND)
    assert len(writer.paths) == 2
    writer.close()


def statistics_times(path: str) -> list[int]:
    """When each of the statistics blocks was made."""
    data, found = Path(path).read_bytes(), []
    while data:
        kind, size, _number, high, low = struct.unpack_from("<5I", data)
        if kind == 5:
            found.append(high << 32 | low)
        data = data[size:]
    return found


def test_the_last_statistics_are_as_of_the_end_of_their_file(tmp_path: Path) -> None:
    writer = RotatingWriter(str(tmp_path / "a"), ETHERNET, Rotation(duration=SECOND), loss=Loss, live=True)
    ends = []
    for _ in range(3):
        assert writer.until is not None
        ends.append(writer.until)
        writer.statistics(writer.until + 1)
    writer.close(ends[-1] + SECOND)
    told = [statistics_times(path)[-1] for path in writer.paths]
    assert told[1:3] == [told[0] + SECOND, told[0] + 2 * SECOND]
    assert told[0] == ends[0] - _LATE
    assert told[3] == ends[-1] + SECOND


def test_a_ring_of_files_keeps_the_newest(tmp_path: Path) -> None:
    blocks = [block_of([START + number]) for number in range(10)]
    got = written(tmp_path, Rotation(packets=2, files=3), blocks)
    assert got == [[START + at, START + at + 1] for at in (4, 6, 8)]


def test_a_quiet_link_changes_files_by_the_clock(tmp_path: Path) -> None:
    writer = RotatingWriter(str(tmp_path / "a"), ETHERNET, Rotation(duration=SECOND), loss=Loss, live=True)
    assert writer.until is not None
    ends = writer.until
    writer.statistics(ends)
    assert len(writer.paths) == 1
    writer.statistics(ends + 1)
    writer.close()
    assert [times_in(path) for path in writer.paths] == [[], []]
    assert writer.until == ends + SECOND


def test_files_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.rotating.time.time", lambda: 1_700_000_000.0)
    precious = Path(file_name(str(tmp_path / "a"), 1, 1_700_000_000))
    precious.write_bytes(b"precious")
    linked = Path(file_name(str(tmp_path / "a"), 2, 1_700_000_000))
    linked.symlink_to(tmp_path / "elsewhere")
    writer = RotatingWriter(str(tmp_path / "a"), ETHERNET, Rotation(packets=1), live=False)
    writer.close()
    assert [path[-20:-15] for path in writer.paths] == ["00003"]
    assert precious.read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()
    assert os.stat(writer.paths[0]).st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = RotatingWriter(str(folder / "a"), ETHERNET, Rotation(packets=1), live=False)
    writer.write(block_of([START]))
    folder.rename(tmp_path / "gone")
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            writer.write(block_of([START + 1]))
    (tmp_path / "gone").rename(folder)
    writer.write(block_of([START + 2]))
    writer.close()
    assert [times_in(path) for path in writer.paths] == [[START], [START + 2]]
