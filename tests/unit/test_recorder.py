"""Writing that meets a full disk, a slow one, one that hangs: what is written, what is counted, when it goes on."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture.block import Block, Interface, Loss
from netwatch.capture.columns import EVENT
from netwatch.capture.recorder import Recorder
from netwatch.capture.spooler import Spooler
from netwatch.capture.writer import PcapngWriter, Tally

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


def block_of(count: int, ts: int = START, size: int = 100, marks: int = 0) -> Block:
    offsets = np.arange(count, dtype=np.int64) * size
    return Block(
        raw=np.zeros(count * size, np.uint8),
        offsets=offsets,
        caplen=np.full(count, size, np.uint32),
        wirelen=np.full(count, size, np.uint32),
        ts=np.full(count, ts, np.int64),
        linktype=np.ones(count, np.uint16),
        iface=np.zeros(count, np.uint16),
        marks=np.full(count, marks, np.uint16),
        pos=offsets,
        owned=True,
    )


class Disk:
    """An output that fails, waits, or takes what it is given, as the test says."""

    until: int | None = None

    def __init__(self) -> None:
        self.tally = Tally(written=[0])
        self.full = False
        self.takes = 10**9
        """Packets that still find room of the next block."""
        self.open = threading.Event()
        self.open.set()
        self.told: list[int] = []
        self.closed = False

    def write(self, block: Block) -> None:
        assert self.open.wait(10)
        if self.full:
            self.tally.written[0] += min(self.takes, len(block))
            raise OSError(28, "No space left on device")
        self.tally.written[0] += len(block)
        self.tally.latest = int(block.ts.max())

    def statistics(self, ts: int) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.told.append(ts)

    def close(self, ts: int | None = None) -> None:
        assert ts is not None
        self.told.append(ts)
        self.closed = True


class Clock:
    """time.monotonic and time.time_ns of the recorder."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return START + int(self.seconds * SECOND)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("netwatch.capture.recorder.time", made)
    return made


def blocks_of(path: Path) -> Iterator[tuple[int, bytes]]:
    data = path.read_bytes()
    while data:
        kind, size = struct.unpack_from("<II", data)
        yield kind, data[8 : size - 4]
        data = data[size:]


def test_what_does_not_fit_is_counted_and_writing_goes_on_when_there_is_room(clock: Clock) -> None:
    disk = Disk()
    faults: list[OSError] = []
    recorder = Recorder(disk, live=True, on_fault=faults.append)
    recorder.write(block_of(5))
    disk.full, disk.takes = True, 2
    recorder.write(block_of(5))
    assert (disk.tally.packets, recorder.dropped) == (5 + 2, 3)
    assert recorder.fault is not None
    assert recorder.fault.strerror == "No space left on device"
    disk.full = False
    recorder.write(block_of(5))  # not tried: the second is not over
    assert (disk.tally.packets, recorder.dropped) == (7, 8)
    clock.seconds += 1.1
    recorder.write(block_of(5))
    assert (disk.tally.packets, recorder.dropped) == (12, 8)
    assert faults == [recorder.first_fault]
    assert not recorder.fault


def failing(recorder: Recorder) -> bool:
    return recorder.fault is not None


def test_a_few_bytes_that_still_fit_are_no_room_for_packets(clock: Clock) -> None:
    disk = Disk()
    recorder = Recorder(disk, live=True)
    disk.full, disk.takes = True, 0
    recorder.write(block_of(5))
    disk.full = False
    clock.seconds += 2
    recorder.tick()
    assert disk.told
    assert failing(recorder)
    recorder.write(block_of(5))
    assert not failing(recorder)
    disk.full = True
    clock.seconds += 2
    recorder.tick()
    assert failing(recorder)
    disk.full = False
    clock.seconds += 2
    recorder.tick()
    assert not failing(recorder)


def test_events_are_no_packets_that_could_be_lost(clock: Clock) -> None:
    disk = Disk()
    recorder = Recorder(disk, live=True)
    disk.full, disk.takes = True, 0
    recorder.write(block_of(3, marks=EVENT))
    assert (recorder.dropped, recorder.fault) == (0, None)
    assert clock.seconds == 100.0


def test_a_mistake_of_ours_does_not_kill_the_thread_unseen() -> None:
    class Wrong(Disk):
        def write(self, block: Block) -> None:
            raise IndexError(len(block))

    recorder = Recorder(Wrong(), live=True)
    recorder.write(block_of(4))
    assert recorder.dropped == 4
    assert recorder.fault is not None
    assert recorder.fault.strerror == "IndexError: 4"


def test_statistics_stand_every_second_of_the_packets(clock: Clock) -> None:
    disk = Disk()
    recorder = Recorder(disk, live=False)
    for tenth in range(35):
        recorder.write(block_of(1, START + tenth * SECOND // 10))
    recorder.tick()
    assert disk.told == [START + SECOND, START + 2 * SECOND, START + 3 * SECOND]
    assert clock.seconds == 100.0


def test_statistics_stand_every_second_of_a_quiet_link(clock: Clock) -> None:
    disk = Disk()
    recorder = Recorder(disk, live=True)
    recorder.write(block_of(1))
    for _ in range(12):
        clock.seconds += 0.25
        recorder.tick()
    # Once for the packet, then by the clock.
    assert disk.told == [START, clock.time_ns() - SECOND, clock.time_ns()]
    recorder.close()
    assert disk.closed


def test_statistics_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    recorder = Recorder(PcapngWriter(path, [Interface("eth0", 1)], loss=lambda: Loss(ring=7)), live=False)
    for second in range(3):
        recorder.write(block_of(2, START + second * SECOND))
    recorder.tally.drop(5)
    recorder.close()
    kinds = [kind for kind, _ in blocks_of(path)]
    assert kinds == [0x0A0D0D0A, 1, 6, 6, 6, 6, 5, 6, 6, 5, 5]
    *_, (_, last) = blocks_of(path)
    options = {}
    at = 12
    while (code := struct.unpack_from("<H", last, at)[0]) != 0:
        options[code] = struct.unpack_from("<Q", last, at + 4)[0]
        at += 12
    assert options == {4: 6 + 7 + 5, 5: 0, 7: 7 + 5, 8: 6}


def test_a_thread_writes_all_in_order_and_ends_with_close() -> None:
    disk = Disk()
    spooler = Spooler(Recorder(disk, live=False), may_wait=lambda _: True, room=5000)
    for number in range(200):
        spooler.write(block_of(10, START + number))
    spooler.close()
    assert (disk.tally.packets, disk.tally.dropped, disk.tally.latest) == (2000, 0, START + 199)
    assert disk.closed


def test_what_a_slow_disk_cannot_take_is_dropped_and_counted() -> None:
    disk = Disk()
    disk.open.clear()
    recorder = Recorder(disk, live=True)
    spooler = Spooler(recorder, may_wait=lambda _: False, room=10_000)
    for _ in range(10):
        spooler.write(block_of(10))  # each takes about 3.4 kB
    assert recorder.dropped == 80
    assert recorder.fault is None
    disk.open.set()
    spooler.close()
    assert disk.tally.packets == 20


def test_a_full_queue_waits_for_a_while_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.spooler._LOOK", 0.001)
    disk = Disk()
    disk.open.clear()
    asked: list[float] = []

    def may_wait(seconds: float) -> bool:
        asked.append(seconds)
        return len(asked) < 5

    spooler = Spooler(Recorder(disk, live=True), may_wait=may_wait, room=10_000)
    for _ in range(4):
        spooler.write(block_of(10))
    assert asked == sorted(asked)
    assert (asked[0], len(asked)) == (0.0, 6)
    assert disk.tally.dropped == 20
    disk.open.set()
    spooler.close()
    assert disk.tally.packets == 20


def test_a_block_that_is_larger_than_the_queue_is_taken_alone() -> None:
    disk = Disk()
    spooler = Spooler(Recorder(disk, live=True), may_wait=lambda _: False, room=10_000)
    spooler.write(block_of(1000))
    spooler.close()
    assert (disk.tally.packets, disk.tally.dropped) == (1000, 0)


def test_a_disk_that_hangs_does_not_keep_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.spooler._PATIENCE", 0.1)
    disk = Disk()
    disk.open.clear()
    recorder = Recorder(disk, live=True)
    spooler = Spooler(recorder, may_wait=lambda _: False)
    for _ in range(3):
        spooler.write(block_of(10))
    begun = time.monotonic()
    spooler.close()
    assert time.monotonic() - begun < 5
    assert recorder.dropped == 30
    assert recorder.first_fault is not None
    disk.open.set()
