"""What is wrong with a capture is told in one line, with the right exit code; what was read before stays."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from netwatch.app.main import main

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
COUNT = 50
PACKET = bytes.fromhex("020000000002 020000000001 88b5") + bytes(46)


def record(number: int) -> bytes:
    return struct.pack("<IIII", 1_700_000_000 + number, 0, 60, 60) + PACKET


GOOD = HEADER + b"".join(map(record, range(COUNT)))


def block(kind: int, body: bytes, size: int | None = None, trailer: int | None = None) -> bytes:
    size = 12 + len(body) if size is None else size
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size if trailer is None else trailer)


def ng_packet(size: int | None = None, trailer: int | None = None, caplen: int = 60) -> bytes:
    return block(6, struct.pack("<5I", 0, 0, 0, caplen, caplen) + PACKET, size, trailer)


GOOD_NG = (
    block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    + block(1, struct.pack("<HHI", 1, 0, 0))
    + ng_packet() * COUNT
)
SNOOP = b"snoop\0\0\0\0\0\0\2\0\0\0\4" + (struct.pack(">6I", 60, 60, 84, 0, 1, 0) + PACKET) * COUNT
ERF = (struct.pack("<QBBHHH", 1 << 32, 2, 4, 0x4E00, 0, 0x3C00) + bytes(2) + PACKET) * COUNT


class Bad(NamedTuple):
    content: bytes
    packets: int
    offset: int
    words: str


BAD = {
    "cut": Bad(GOOD[:-7], COUNT - 1, len(GOOD) - 76, "cut short"),
    "4 GiB": Bad(GOOD + struct.pack("<IIII", 0, 0, 0xFFFFFFFF, 60), COUNT, len(GOOD), "4,294,967,295 bytes"),
    "pcapng 0": Bad(GOOD_NG + block(6, b"", 0), COUNT, len(GOOD_NG), "gives its length as 0 bytes"),
    "pcapng too small": Bad(GOOD_NG + ng_packet(size=40), COUNT, len(GOOD_NG), "different lengths"),
    "pcapng too large": Bad(GOOD_NG + ng_packet(size=400), COUNT, len(GOOD_NG), "cut short"),
    "pcapng 4 GiB": Bad(GOOD_NG + ng_packet(size=0xFFFFFFFC), COUNT, len(GOOD_NG), "length as 4,294,967,292 bytes"),
    "pcapng odd": Bad(GOOD_NG + ng_packet(size=93), COUNT, len(GOOD_NG), "gives its length as 93 bytes"),
    "pcapng trailer": Bad(GOOD_NG + ng_packet(trailer=96), COUNT, len(GOOD_NG), "two different lengths"),
    "pcapng packet 4 GiB": Bad(GOOD_NG + ng_packet(caplen=0xFFFFFFFF), COUNT, len(GOOD_NG), "4,294,967,295 bytes"),
    "snoop 4 GiB": Bad(SNOOP + b"\xff" * 24, COUNT, len(SNOOP), "4,294,967,295 bytes"),
    "erf 0": Bad(ERF + bytes(16), COUNT, len(ERF), "a record of 0 bytes"),
    "empty": Bad(b"", 0, 0, "is empty"),
    "ten bytes": Bad(b"0123456789", 0, 0, "is not a pcap"),
    "ten bytes of pcap": Bad(GOOD[:10], 0, 0, "cut short within the file header: 10 bytes"),
    "random": Bad(random.Random(1).randbytes(100_000), 0, 0, "is not a pcap"),
}


class Told(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Told]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """run(*arguments, stdin=b""): the command, in this process; `stdin` comes through a pipe."""

    def call(*arguments: object, stdin: bytes | None = None) -> Told:
        kept = os.dup(0)
        feeder = None
        if stdin is not None:
            reading, writing = os.pipe()
            os.dup2(reading, 0)
            os.close(reading)
            feeder = threading.Thread(target=feed, args=(writing, stdin))
            feeder.start()
        try:
            code = main([str(argument) for argument in arguments])
        finally:
            os.dup2(kept, 0)
            os.close(kept)
            if feeder is not None:
                feeder.join()
        return Told(code, *capfd.readouterr())

    return call


def feed(fd: int, data: bytes) -> None:
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        pass


def check(told: Told, bad: Bad, shown: str) -> None:
    assert told.code == 3
    (line,) = told.err.splitlines()
    assert line.startswith(f"netwatch: {shown}")
    assert bad.words in line
    assert f"damaged at byte {bad.offset}:" in line or not bad.offset
    assert len(told.out.splitlines()) == (1 + bad.packets if bad.packets else len(told.out.splitlines()))


@pytest.mark.parametrize("name", BAD)
def test_in_a_file_and_through_a_pipe(name: str, run: Run, tmp_path: Path) -> None:
    bad = BAD[name]
    path = tmp_path / "capture"
    path.write_bytes(bad.content)
    check(run("-r", path, "--fields", "frame.number"), bad, "capture" if bad.offset else str(path))
    check(run("-r", "-", "--fields", "frame.number", stdin=bad.content), bad, "stdin")


@pytest.mark.parametrize("name", BAD)
def test_the_summary_is_one_object_and_says_where(name: str, run: Run, tmp_path: Path) -> None:
    bad = BAD[name]
    path = tmp_path / "capture"
    path.write_bytes(bad.content)
    told = run("-r", path, "--summary", "--json")
    made = json.loads(told.out)
    assert (told.code, made["packets"], made["error"]["offset"]) == (3, bad.packets, bad.offset)
    assert bad.words in made["error"]["message"]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("through_pipe", [False, True])
def test_compressed_and_cut(compress: Callable[[bytes], bytes], through_pipe: bool, run: Run, tmp_path: Path) -> None:
    # Random payload: it does not all end up in the last bytes.
    noise = random.Random(2)
    content = HEADER + b"".join(
        struct.pack("<IIII", n, 0, 1000, 1000) + PACKET[:14] + noise.randbytes(986) for n in range(2000)
    )
    path = tmp_path / "capture.gz"
    path.write_bytes(compress(content)[:1_500_000])
    arguments = ["-r", "-" if through_pipe else str(path), "--fields", "frame.number"]
    told = run(*arguments, stdin=path.read_bytes() if through_pipe else None)
    assert told.code == 3
    assert len(told.out.splitlines()) > 800
    assert "data is cut short" in told.err
    assert told.err.count("\n") == 1


def test_a_directory_and_what_there_is_not(run: Run, tmp_path: Path) -> None:
    told = run("-r", tmp_path, "--summary")
    assert (told.code, told.err) == (2, f"netwatch: {tmp_path} is a directory; name a capture file in it\n")
    told = run("-r", tmp_path / "nothing", "--summary")
    assert (told.code, told.err) == (2, f"netwatch: {tmp_path}/nothing: no such file\n")


@pytest.mark.parametrize(("device", "words"), [("/dev/null", "is empty"), ("/dev/zero", "begins with 00 00 00 00")])
def test_devices(device: str, words: str, run: Run) -> None:
    told = run("-r", device, "--fields", "frame.number")
    assert told.code == 3
    assert words in told.err
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(("content", "packets", "code"), [(GOOD, COUNT, 0), (GOOD[:-7], COUNT - 1, 3), (b"", 0, 3)])
def test_a_fifo_whose_writer_goes(content: bytes, packets: int, code: int, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)

    def write() -> None:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            time.sleep(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    told = run("-r", path, "--fields", "frame.number")
    writer.join()
    assert (told.code, told.err.count("\n")) == (code, 1 if code else 0)
    assert len(told.out.splitlines()) == 1 + packets


def test_a_clock_that_jumps_back(run: Run, tmp_path: Path) -> None:
    times = [1_700_000_000, 1_700_000_100, 5, 1_700_000_001, 4_294_967_295]
    path = tmp_path / "capture"
    path.write_bytes(HEADER + b"".join(struct.pack("<IIII", time, 0, 60, 60) + PACKET for time in times))
    told = run("-r", path, "--fields", "frame.time_epoch")
    assert [int(line.partition(".")[0]) for line in told.out.splitlines()[1:]] == times
    made = json.loads(run("-r", path, "--json").out)
    assert (made["first_ts"], made["last_ts"]) == ("5.000000000", "4294967295.000000000")
    assert made["packets"] == 5


def test_what_the_capture_says_was_lost_is_told_and_not_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "capture"
    drops = struct.pack("<HHQHHQ", 5, 8, 1_000, 7, 8, 234)
    path.write_bytes(GOOD_NG + block(5, struct.pack("<III", 0, 0, 0) + drops))
    told = run("-r", path, "--json")
    assert told.err == "netwatch: capture: 1,234 packets were lost when this was captured, by its own count\n"
    assert told.code == 0
    assert set(json.loads(told.out)["dropped"].values()) == {0}
    path.write_bytes(SNOOP + struct.pack(">6I", 60, 60, 84, 77, 1, 0) + PACKET)
    assert "77 packets were lost" in run("-r", path, "--summary").err
    path.write_bytes(ERF + struct.pack("<QBBHHH", 1 << 32, 2, 4, 0x4E00, 0x0500, 0x3C00) + bytes(2) + PACKET)
    assert "5 packets were lost" in run("-r", path, "--fields", "frame.number").err


# --follow, as a process


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """following(*arguments): the command with --follow on tmp_path/capture, which holds GOOD."""
    (tmp_path / "capture").write_bytes(GOOD)
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "netwatch", "-r", str(tmp_path / "capture"), "--follow", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


Following = Callable[..., subprocess.Popen[str]]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_fields_of_what_is_added_come_at_once(following: Following, tmp_path: Path) -> None:
    process = following("--fields", "frame.number")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(COUNT + 1)][-1] == f"{COUNT}\n"
    for number in range(3):
        append(tmp_path / "capture", record(COUNT + number))
        assert process.stdout.readline() == f"{COUNT + 1 + number}\n"
    append(tmp_path / "capture", record(0)[:20])
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    at = len(GOOD) + 3 * 76
    said = f"netwatch: capture: the last packet was not complete yet: 20 bytes at byte {at}\n"
    assert (process.returncode, out, err) == (0, "", said)


def test_the_summary_comes_at_the_end(following: Following, tmp_path: Path) -> None:
    process = following("--json", "--count", str(COUNT + 5))
    for number in range(10):
        time.sleep(0.1)
        append(tmp_path / "capture", record(COUNT + number))
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["packets"] == COUNT + 5


def test_a_file_that_is_emptied_ends_it(following: Following, tmp_path: Path) -> None:
    process = following("--fields", "frame.number")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(COUNT + 1)][-1] == f"{COUNT}\n"
    os.truncate(tmp_path / "capture", 100)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "damaged at byte 100: the file shrank at byte 100" in err
    assert err.count("\n") == 1
