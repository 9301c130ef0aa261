"""Faults around the dashboard: a disk without room for what is saved, a day of packets, a clock that is set back."""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.emulator import NETWATCH, Terminal

from netwatch.app.opening import DEMO

DAY = 24 * 3600
EVERY = 4
"""Seconds between two packets of the day."""


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "none", str(disk)), check=True)
    try:
        yield disk
    finally:
        subprocess.run(("umount", "-l", str(disk)), check=False)


def test_what_finds_no_room_is_not_saved_and_told(full_disk: Path) -> None:
    terminal = Terminal((*NETWATCH, "-r", str(DEMO), "--no-tshark", "--save-dir", str(full_disk)))
    terminal.until("ENDED")
    terminal.press("e", "\x15all.pcapng\r", seconds=0.3)
    text = terminal.until("No space left on device")
    assert "not saved" in text
    terminal.press("/", "arp\r", seconds=0.5)
    terminal.press("e", "\x15few.pcapng\r", seconds=0.3)
    terminal.until("saved 84 packets")
    assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    assert b"Traceback" not in terminal.output
    assert [path.name for path in full_disk.iterdir()] == ["few.pcapng"]


def frame(number: int) -> bytes:
    head = struct.pack("!2B3H2BH4s4s", 0x45, 0, 60, number & 0xFFFF, 0, 64, 17, 0, b"\n\0\0\1", b"\n\0\0\2")
    ends = bytes.fromhex("02000000000b02000000000a0800")
    return ends + head + struct.pack("!4H", 4000, 5000, 40, 0) + bytes(32)


def write(path: Path, seconds: list[int]) -> None:
    packets = [struct.pack("<4I", at, 0, 74, 74) + frame(number) for number, at in enumerate(seconds)]
    path.write_bytes(struct.pack("<I2HiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(packets))


def test_a_day_of_packets(tmp_path: Path) -> None:
    start = 1_700_000_000
    times = list(range(start, start + DAY + 1, EVERY))
    write(tmp_path / "day.pcap", times)
    terminal = Terminal((*NETWATCH, "-r", str(tmp_path / "day.pcap"), "--no-tshark"))
    terminal.until("ENDED")
    text = terminal.until(f"{len(times):,} kept")
    assert "1 d 00" in text
    assert "lost 0" in text
    terminal.press("G", seconds=0.5)
    seen = set()
    for _ in range(6):  # every form of time
        lines = [line for line in terminal.screen.lines if "Len=32" in line]
        found = re.match(r"│\s*\d+ (.*?)\s+10\.0\.0", lines[-1])
        assert found is not None, terminal.screen.text
        seen.add(found[1])
        terminal.press("T", seconds=0.3)
    assert "86400.000000" in seen
    assert any(each.startswith("2023-11-15") or re.match(r"\d\d:13:20", each) for each in seen), seen
    terminal.press("\x1b[H", "]", "]", "[", seconds=0.3)
    terminal.press(":", f"{len(times) // 2}\r", seconds=0.5)
    terminal.until(f" packet {len(times) // 2:,} ─╯")
    assert terminal.end("q") == 0
    assert terminal.screen.alien == []


def test_a_day_passes_in_a_replay(tmp_path: Path) -> None:
    start = 1_700_000_000
    times = list(range(start, start + DAY + 1, 3600))
    write(tmp_path / "day.pcap", times)
    terminal = Terminal((*NETWATCH, "-r", str(tmp_path / "day.pcap"), "--no-tshark", "--summary"))
    assert terminal.end() == 0
    assert "24 h" in terminal.output.decode() or "86400" in terminal.output.decode().replace(",", "")


def test_a_clock_that_is_set_back(tmp_path: Path) -> None:
    # An hour back, as NTP does it once at the start, then far into the future, then before 1970's first hour.
    times = [1_700_000_000 + n for n in range(50)]
    times += [at - 3600 for at in times] + [2**32 - 10 + n // 20 for n in range(50)] + list(range(50))
    write(tmp_path / "stepped.pcap", times)
    terminal = Terminal((*NETWATCH, "-r", str(tmp_path / "stepped.pcap"), "--no-tshark"))
    terminal.until("ENDED")
    terminal.until(f"{len(times)} kept")
    for keys in ("G", "T", "T", "T", "T", "T", "[", "]", "\x1b[H", "[", "]", "v", "v"):
        terminal.press(keys, seconds=0.25)
    assert f"{len(times)} kept" in terminal.screen.text
    assert terminal.end("q") == 0
    assert terminal.screen.alien == []
    assert b"Traceback" not in terminal.output
    assert os.path.getsize(tmp_path / "stepped.pcap") == 24 + 90 * len(times)
