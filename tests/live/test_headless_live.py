"""The command on a real interface: what it counts, how it ends, what it says."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

DEADLINE = 20.0


class Space(Protocol):
    """A network namespace, as conftest.py makes it."""

    name: str

    def run(self, *command: str) -> str: ...


class Veth(Protocol):
    """Two namespaces: `left` sends on a0, `right` captures on b0."""

    left: Any
    right: Any

    def replay(self, path: Path, *options: str) -> int: ...


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 UDP packets that the kernel has no reason to drop behind the capture."""
    path = tmp_path_factory.mktemp("plain") / "plain.pcap"
    data = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for number in range(200):
        udp = struct.pack(">HHHH", 1000 + number, 53, 28, 0) + bytes(20)
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 48, number, 0, 64, 17, 0, b"\n\t\0\1", b"\n\t\0\2")
        frame = bytes.fromhex("ffffffffffff 02000000000a 0800") + ip + udp
        data += struct.pack("=IIII", 1_700_000_000, number, len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


@contextlib.contextmanager
def netwatch(space: Space, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """The command in the namespace, once it says that it captures."""
    inside = ("ip", "netns", "exec", space.name, *before, sys.executable, "-m", "netwatch", *arguments)
    with subprocess.Popen(inside, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            assert until(process.stderr, lambda said: b"\n" in said) == b"netwatch: capturing on b0\n"
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def until(pipe: IO[bytes], enough: Callable[[bytes], bool]) -> bytes:
    """What comes through `pipe` until it is enough."""
    said, end = b"", time.monotonic() + DEADLINE
    while not enough(said):
        assert select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0], said
        piece = os.read(pipe.fileno(), 1 << 16)
        assert piece, said
        said += piece
    return said


def ending(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The object that is printed at the end of a run that ends well."""
    out, err = process.communicate(timeout=DEADLINE)
    # A pair that was made a moment ago may still be coming up.
    unexpected = [line for line in err.splitlines() if not line.startswith(b"netwatch: b0: ")]
    assert (process.returncode, unexpected, out.count(b"\n")) == (0, [], 1)
    made: dict[str, Any] = json.loads(out)
    assert sum(row["own_packets"] for row in made["protocols"]) == made["packets"]
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_every_packet_is_counted(pair: Veth, plain: Path, number: signal.Signals) -> None:
    with netwatch(pair.right, "-i", "b0", "--summary", "--json") as process:
        sent = sum(pair.replay(plain, "--topspeed", "--loop", "20") for _ in range(2))
        process.send_signal(number)
        made = ending(process)
    assert made["packets"] + made["dropped"]["ring"] + made["dropped"]["interface"] == sent
    assert made["dropped"]["ring"] == 0
    assert made["hosts_exact"]
    now = time.time()
    assert now - 60 < float(made["first_ts"]) <= float(made["last_ts"]) <= now


def test_duration_counts_from_the_first_moment(pair: Veth, mix: Path) -> None:
    with netwatch(pair.right, "-i", "b0", "--json", "--duration", "1.5") as process:
        begun = time.monotonic()
        sent = pair.replay(mix, "--topspeed", "--loop", "10")
        made = ending(process)
        took = time.monotonic() - begun
    assert made["packets"] == sent
    assert 1.0 < took < 5.0


def test_count_is_exact(pair: Veth, mix: Path) -> None:
    with netwatch(pair.right, "-i", "b0", "--json", "-c", "25") as process:
        pair.replay(mix, "--topspeed", "--loop", "10")
        made = ending(process)
    assert (made["packets"], made["dropped"]["ring"]) == (25, 0)


def test_a_capture_filter_is_the_kernels(pair: Veth, mix: Path) -> None:
    with netwatch(pair.right, "-i", "b0", "--json", "arp") as process:
        sent = pair.replay(mix, "--topspeed", "--loop", "5")
        process.send_signal(signal.SIGTERM)
        made = ending(process)
    assert 0 < made["packets"] < sent
    assert [row["path"] for row in made["protocols"]] == ["eth", "eth:arp"]


def test_what_is_written_is_what_was_counted(pair: Veth, mix: Path, tmp_path: Path) -> None:
    kept, report = tmp_path / "kept.pcapng", tmp_path / "report.json"
    with netwatch(pair.right, "-i", "b0", "-w", str(kept), "--json", "--report", str(report)) as process:
        sent = pair.replay(mix, "--topspeed", "--loop", "20")
        process.send_signal(signal.SIGINT)
        made = ending(process)
    again = subprocess.run(
        [sys.executable, "-m", "netwatch", "-r", str(kept), "--json"], capture_output=True, check=True, timeout=60
    )
    read = json.loads(again.stdout)
    assert read["packets"] == made["packets"] == sent
    same = ("bytes", "captured_bytes", "first_ts", "last_ts", "protocols", "hosts")
    assert {key: read[key] for key in same} == {key: made[key] for key in same}
    reported = json.loads(report.read_text())
    assert {key: reported[key] for key in made} == made


def test_fields_come_as_the_packets_do(pair: Veth, plain: Path) -> None:
    with netwatch(pair.right, "-i", "b0", "--fields", "frame.number,udp.dstport") as process:
        sent = pair.replay(plain)
        assert process.stdout is not None
        lines = until(process.stdout, lambda said: said.count(b"\n") > sent).decode().splitlines()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=DEADLINE)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert lines[0] == "frame.number\tudp.dstport"
    assert lines[1:] == [f"{number}\t53" for number in range(1, sent + 1)]


@pytest.mark.parametrize("output", [["--fields", "frame.number"], ["-w", "-"]])
def test_a_reader_that_goes_ends_it_though_no_packet_comes(pair: Veth, output: list[str]) -> None:
    with netwatch(pair.right, "-i", "b0", *output, "udp", "port", "9") as process:
        assert process.stdout is not None
        until(process.stdout, lambda said: len(said) > 0)
        process.stdout.close()
        assert process.wait(timeout=DEADLINE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_an_interface_that_goes_is_told(fresh_pair: Veth) -> None:
    with netwatch(fresh_pair.right, "-i", "b0", "--json") as process:
        fresh_pair.right.run("ip", "link", "set", "b0", "down")
        assert process.stderr is not None
        until(process.stderr, lambda said: said.endswith(b"netwatch: b0: link down\n"))
        process.send_signal(signal.SIGINT)
        made = ending(process)
    assert (made["packets"], made["protocols"]) == (0, [])


def test_without_permission_it_says_what_to_run(pair: Veth) -> None:
    inside = ("ip", "netns", "exec", pair.right.name, "setpriv", "--bounding-set=-net_raw")
    done = subprocess.run(
        [*inside, sys.executable, "-m", "netwatch", "-i", "b0", "--json"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (77, "", 1)
    assert done.stderr.startswith("netwatch: no permission to capture on b0: CAP_NET_RAW is missing; run: sudo ")


def test_the_list_is_that_of_the_namespace(pair: Veth) -> None:
    said = pair.right.run(sys.executable, "-m", "netwatch", "--list")
    assert [line.split()[0] for line in said.splitlines()] == ["interface", "b0", "lo"]
