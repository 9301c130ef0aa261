"""A file played as if live."""

from __future__ import annotations

import gzip
import os
import struct
import threading
import time
from pathlib import Path

import pytest

from netwatch.capture.block import Block, CaptureError
from netwatch.capture.sources.replay import Replay

MILLISECOND = 1_000_000


def capture(folder: Path, times: list[int]) -> Path:
    """Packets at these milliseconds, each holding its number."""
    made = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
    for number, moment in enumerate(times):
        data = struct.pack("<I", number)
        made.append(struct.pack("<IIII", moment // 1000, moment % 1000 * MILLISECOND, 4, 4) + data)
    path = folder / "capture.pcap"
    path.write_bytes(b"".join(made))
    return path


def numbers(block: Block) -> list[int]:
    return [int(block.raw[start : start + 4].view("<u4")[0]) for start in block.offsets.tolist()]


def play(source: Replay, count: int) -> tuple[list[int], list[int]]:
    """Times and numbers of at least `count` packets, or of all there are."""
    times: list[int] = []
    seen: list[int] = []
    while len(seen) < count and not source.exhausted:
        block = source.next_block(5.0)
        if block is not None:
            times += block.ts.tolist()
            seen += numbers(block)
    return times, seen


def test_loops_add_a_constant_so_that_times_never_go_back(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [1000, 1010, 1040]), speed=float("inf"))
    assert source.live
    block = source.next_block(5.0)
    assert block is not None
    assert block.owned, "what loops is kept within bounds, with its bytes"
    times, seen = play(source, 9 - len(block))
    times, seen = block.ts.tolist() + times, numbers(block) + seen
    assert seen == [0, 1, 2] * 3
    # 40 ms, and the mean gap of 20 ms
    assert [time // MILLISECOND for time in times] == [1000, 1010, 1040, 1060, 1070, 1100, 1120, 1130, 1160]
    assert source.loops >= 2
    source.close()


def test_times_that_go_back_within_the_file_stay_as_they_are(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [1000, 900, 1100]), speed=float("inf"))
    times, seen = play(source, 6)
    assert seen == [0, 1, 2, 0, 1, 2]
    assert [time // MILLISECOND for time in times] == [1000, 900, 1100, 1300, 1200, 1400]
    source.close()


def test_packets_come_when_they_are_due(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [1000, 1001, 1500]), loop=False)
    begin = time.monotonic()
    block = source.next_block(5.0)
    assert block is not None
    assert numbers(block)[0] == 0
    assert source.next_block(0.0) is None
    assert play(source, 2)[1][-1] == 2
    assert time.monotonic() - begin >= 0.5
    assert source.next_block(5.0) is None
    assert source.exhausted
    assert source.damage is None
    source.close()


def test_once_and_to_the_end_with_its_damage(tmp_path: Path) -> None:
    path = capture(tmp_path, [1000, 1001])
    os.truncate(path, path.stat().st_size - 1)
    source = Replay(path, loop=False, speed=1e12)
    assert play(source, 5)[1] == [0]
    assert source.damage is not None
    assert source.damage.offset == 44


def test_a_capture_without_packets_does_not_loop_for_ever(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, []))
    assert source.next_block(5.0) is None
    assert source.exhausted


def test_a_single_packet_loops_once_a_second(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [1000]), speed=float("inf"))
    assert [time // MILLISECOND for time in play(source, 3)[0]] == [1000, 2000, 3000]
    source.close()


def test_wake_and_close_interrupt_a_wait(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [0, 3_600_000]))
    assert source.next_block(1.0) is not None
    for interrupt in (source.wake, source.close):
        timer = threading.Timer(0.05, interrupt)
        timer.start()
        begin = time.monotonic()
        assert source.next_block(30.0) is None
        assert time.monotonic() - begin < 20
        timer.join()
    assert source.exhausted


def test_what_cannot_be_played(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(CaptureError, match="pipe") as caught:
        Replay(fifo)
    assert caught.value.code == 2
    with pytest.raises(CaptureError, match="speed"):
        Replay(capture(tmp_path, [1]), speed=0)


def test_a_single_run_leaves_the_bytes_in_the_file(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [1000, 1010, 1040]), loop=False, speed=float("inf"))
    block = source.next_block(5.0)
    assert block is not None
    assert not block.owned
    assert [struct.unpack("<I", source.read_at(pos, 4))[0] for pos in block.pos.tolist()] == [0, 1, 2]
    source.close()


def test_a_compressed_file_is_replayed_too(tmp_path: Path) -> None:
    path = tmp_path / "capture.pcap.gz"
    path.write_bytes(gzip.compress(capture(tmp_path, [1000, 1010, 1040]).read_bytes()))
    source = Replay(path, loop=False, speed=1e12)
    block = source.next_block(5.0)
    assert block is not None
    assert block.owned
    assert numbers(block) == [0, 1, 2]
    assert source.pace is not None
    assert source.pace.end is None


def test_a_clock_that_was_set_back_keeps_the_pace(tmp_path: Path) -> None:
    # an hour back; then 10 ms to the next packet as before
    source = Replay(capture(tmp_path, [3_600_000, 3_600_010, 0, 10, 2_000, 990]), loop=False)
    begin = time.monotonic()
    times, seen = play(source, 6)
    assert seen == list(range(6))
    assert [time // MILLISECOND for time in times] == [3_600_000, 3_600_010, 0, 10, 2_000, 990]
    assert 2.0 <= time.monotonic() - begin < 60


def test_times_at_the_end_of_time_do_not_hang(tmp_path: Path) -> None:
    blocks = []
    for kind, body in (
        (0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        (1, struct.pack("<HHI", 1, 0, 0)),
        *(
            (6, struct.pack("<5I", 0, high, 0, 4, 4) + bytes(4))
            for high in (0, 0x7FFFFFFF, 0xFFFFFFFF, 5, 0x7FFFFFFF)
        ),
    ):
        blocks.append(struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12))
    path = tmp_path / "capture.pcapng"
    path.write_bytes(b"".join(blocks))
    source = Replay(path, loop=False, speed=1.0)
    assert source.pace is not None
    count = 0
    for _ in range(20):
        source.pace.run_on(1)  # skips whatever gap there is
        block = source.next_block(0.2)
        count += 0 if block is None else len(block)
        if source.exhausted:
            break
    assert count == 5
    assert source.exhausted


def test_paused_nothing_comes_and_afterwards_all_of_it(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [0, 20, 40, 60]), loop=False)
    assert source.pace is not None
    assert source.next_block(5.0) is not None
    source.pace.pause()
    time.sleep(0.1)
    assert source.next_block(0.05) is None
    source.pace.run_on(20 * MILLISECOND)
    block = source.next_block(5.0)
    assert block is not None
    assert numbers(block) == [1]
    assert source.next_block(0.05) is None
    source.pace.go_on()
    assert play(source, 2)[1] == [2, 3]
    source.close()


def test_the_demo_cannot_be_paused(tmp_path: Path) -> None:
    source = Replay(capture(tmp_path, [0, 20]))
    assert source.pace is None
    source.close()
