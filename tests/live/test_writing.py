"""-w on a real interface: killed at any moment, on a disk that is full, in a series of files, on a quiet link."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 20.0
KILLS = 8

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


@contextlib.contextmanager
def capture(space: Any, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command on b0 in the namespace, once it says that it captures."""
    command = ("ip", "netns", "exec", space.name, sys.executable, "-m", "netwatch", "-i", "b0", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"netwatch: capturing on b0\n"
            yield process
        finally:
            if process.poll() is None:
                process.kill()


@contextlib.contextmanager
def traffic(space: Any, path: Path) -> Iterator[None]:
    """The capture is sent on a0 again and again while the body runs."""
    command = ("ip", "netns", "exec", space.name, "tcpreplay", "-q", "-i", "a0", "--loop=100000", "--pps=5000")
    with subprocess.Popen((*command, str(path)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def packets_in(path: Path) -> int:
    """As tshark counts them, which must find the file whole."""
    done = subprocess.run(
        ("tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.number"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.count("\n")


def eventually(found: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, dict[str, Any], str]:
    """(exit code, what --json printed, what was said)."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, json.loads(out) if out else {}, err.decode()


@needs_tshark
def test_killed_at_any_moment_every_file_can_be_read(pair: Any, mix: Path, tmp_path: Path) -> None:
    moments = random.Random(1)
    packets = 0
    with traffic(pair.left, mix):
        for number in range(KILLS):
            rotation = ("-b", "filesize:200") if number % 4 == 3 else ()
            with capture(pair.right, "-w", str(tmp_path / f"{number}.pcapng"), *rotation) as process:
                time.sleep(moments.uniform(0.0, 0.8))
                # `ip` became the program itself: there is no child that would go on.
                process.kill()
    for path in sorted(tmp_path.iterdir()):
        command = ("tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.number")
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode in (0, 2), done.stderr
        if done.returncode:
            assert "cut short in the middle of a packet" in done.stderr
        packets += done.stdout.count("\n")
    assert packets > 1000


@needs_tshark
def test_the_files_are_those_of_dumpcap(pair: Any, mix: Path, tmp_path: Path) -> None:
    if shutil.which("dumpcap") is None:
        pytest.skip("needs dumpcap")

    def files(command: tuple[str, ...], folder: Path, ready: str) -> list[tuple[str, int]]:
        folder.mkdir()
        inside = ("ip", "netns", "exec", pair.right.name, *command, "-i", "b0", "-w", str(folder / "out.pcapng"))
        criteria = ("-b", "packets:100", "-b", "files:3")
        with subprocess.Popen((*inside, *criteria), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while ready not in process.stderr.readline():
                assert process.poll() is None
            time.sleep(0.5)
            assert pair.replay(mix, "--pps=2000", "--loop=10") == 560
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=DEADLINE)
        found = sorted(folder.iterdir())
        assert all(re.fullmatch(r"out_\d{5}_\d{14}\.pcapng", path.name) for path in found)
        assert all(path.stat().st_mode & 0o777 == 0o600 for path in found)
        return [(path.name[:9], packets_in(path)) for path in found]

    ours = files((sys.executable, "-m", "netwatch"), tmp_path / "ours", "capturing on")
    theirs = files(("dumpcap", "-q"), tmp_path / "theirs", "File:")
    assert ours == [("out_00004", 100), ("out_00005", 100), ("out_00006", 60)]
    assert ours[-1] in theirs


def test_a_quiet_link_is_in_the_file_soon(pair: Any, tmp_path: Path, mix: Path) -> None:
    path = tmp_path / "quiet.pcapng"
    with capture(pair.right, "-w", str(path)) as process:
        header = path.stat().st_size
        sent = pair.replay(mix, "--topspeed")
        eventually(lambda: path.stat().st_size > header + sent * 60)
        # What was lost until now stands in the file every second, also when nothing comes.
        size = path.stat().st_size
        eventually(lambda: path.stat().st_size > size + 2 * 76)
        assert ended(process)[0] == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)), capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "-l", str(folder)), check=False)


@needs_tshark
def test_a_full_disk_is_told_counted_and_tried_again(pair: Any, mix: Path, small_disk: Path) -> None:
    filler, path = small_disk / "filler", small_disk / "out.pcapng"
    filler.write_bytes(bytes(600 << 10))
    with capture(pair.right, "-w", str(path), "--json") as process:
        assert process.stderr is not None
        sent = pair.replay(mix, "--loop=100", "--pps=20000")
        said = process.stderr.readline().decode()
        assert said == f"netwatch: cannot write {path}: No space left on device; trying again every second\n"
        assert packets_in(path) < sent
        filler.unlink()
        size = path.stat().st_size
        eventually(lambda: path.stat().st_size > size)
        again = pair.replay(mix)
        code, made, said = ended(process)
    missing = made["dropped"]["writer"]
    assert (code, made["packets"]) == (74, sent + again)
    assert said == (
        f"netwatch: cannot write {path}: No space left on device; {missing:,} packets are missing there\n"
    )
    assert packets_in(path) == sent + again - missing
    assert 0 < missing < sent


@needs_tshark
def test_what_a_slow_output_cannot_take_is_counted(pair: Any, mix: Path, tmp_path: Path) -> None:
    fifo, path = tmp_path / "fifo", tmp_path / "out.pcapng"
    os.mkfifo(fifo)
    # Both ways: opening it waits for nobody.
    reading = os.open(fifo, os.O_RDWR)
    with capture(pair.right, "-w", str(fifo), "--json") as process, path.open("wb") as out:
        sent = pair.replay(mix, "--topspeed", "--loop=3000")
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            while select.select([reading], [], [], 0.1)[0]:
                out.write(os.read(reading, 1 << 16))
        assert process.stdout is not None
        made = json.loads(process.stdout.read())
    os.close(reading)
    assert process.returncode == 0
    assert made["packets"] + made["dropped"]["ring"] == sent
    assert 0 < made["dropped"]["writer"] < sent
    assert packets_in(path) == made["packets"] - made["dropped"]["writer"]


@needs_tshark
def test_alone_a_full_disk_ends_the_capture(pair: Any, mix: Path, small_disk: Path) -> None:
    path = small_disk / "out.pcapng"
    (small_disk / "filler").write_bytes(bytes(900 << 10))
    with capture(pair.right, "-w", str(path)) as process, traffic(pair.left, mix):
        _, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 74
    assert err.decode() == f"netwatch: cannot write {path}: No space left on device\n"
    assert packets_in(path) > 0
