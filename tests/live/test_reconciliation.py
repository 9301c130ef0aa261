"""What was sent is what was captured and what was lost by cause, at rest and while nobody reads the ring."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 20.0
RING = "1M"
SENT_AT_REST = 6_000
SENT_AT_ONCE = 60_000
SOL_PACKET, PACKET_RX_RING = 263, 5
MOST_BLOCKS = 4
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


@pytest.fixture
def many(mix_frames: list[bytes], write_pcap: Any, tmp_path: Path) -> Path:
    """1,000 packets, also such as the kernel counts as dropped by the interface behind the capture."""
    path = tmp_path / "many.pcap"
    write_pcap(path, (mix_frames * 20)[:1000])
    return path


def send(pair: Any, many: Path, pid: int, stalled: bool) -> int:
    """At a pace that any ring can hold; or all at once, while the program stands still."""
    if not stalled:
        return int(pair.replay(many, "--pps=10000", f"--loop={SENT_AT_REST // 1000}"))
    os.kill(pid, signal.SIGSTOP)
    try:
        return int(pair.replay(many, "--topspeed", f"--loop={SENT_AT_ONCE // 1000}"))
    finally:
        os.kill(pid, signal.SIGCONT)


def reconcile(made: dict[str, Any], sent: int, stalled: bool) -> None:
    dropped = made["dropped"]
    assert made["packets"] + dropped["ring"] + dropped["interface"] == sent
    assert (dropped["queue"], dropped["writer"]) == (0, 0)
    assert (dropped["ring"] > 0) == (dropped["freezes"] > 0) == stalled
    assert sum(row["own_packets"] for row in made["protocols"]) == made["packets"]


@pytest.mark.parametrize("stalled", [False, True])
def test_without_a_screen(pair: Any, many: Path, stalled: bool) -> None:
    command = ("ip", "netns", "exec", pair.right.name, sys.executable, "-m", "netwatch")
    with subprocess.Popen(
        [*command, "-i", "b0", "--json", "--ring", RING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"netwatch: capturing on b0\n"
            sent = send(pair, many, process.pid, stalled)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                process.kill()
    reconcile(json.loads(out), sent, stalled)


@pytest.mark.parametrize("stalled", [False, True])
def test_with_the_dashboard(pair: Any, many: Path, tmp_path: Path, stalled: bool) -> None:
    report = tmp_path / "report.json"
    command = ["ip", "netns", "exec", pair.right.name, sys.executable, "-m", "netwatch"]
    command += ["-i", "b0", "--ring", RING, "--report", str(report)]
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execvp(command[0], command)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    said = b""

    def read_until(wanted: bytes) -> None:
        nonlocal said
        end = time.monotonic() + PATIENCE
        while wanted not in said:
            assert time.monotonic() < end, said[-2000:]
            if select.select([fd], [], [], 0.1)[0]:
                said += os.read(fd, 1 << 16)

    try:
        read_until(b" LIVE ")
        time.sleep(0.5)  # it is bound only when the first frame stands
        sent = send(pair, many, pid, stalled)
        if stalled:
            read_until(b" LOST ")
            read_until(b"--ring 128M")
        else:
            time.sleep(0.2)
            assert b"LOST" not in said
        os.write(fd, b"q")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if select.select([fd], [], [], 0.1)[0]:
                    os.read(fd, 1 << 16)
            except OSError:
                break
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)
    reconcile(json.loads(report.read_text()), sent, stalled)


def test_a_ring_for_which_there_is_no_memory_is_halved_and_told(
    pair: Any, capturing: Any, many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poor(socket.socket):
        """The kernel has memory for some blocks only."""

        def setsockopt(self, level: int, option: int, value: Any, *rest: Any) -> None:
            if (level, option) == (SOL_PACKET, PACKET_RX_RING) and struct.unpack_from("=2I", value)[1] > MOST_BLOCKS:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
            super().setsockopt(level, option, value, *rest)

    monkeypatch.setattr(socket, "socket", Poor)
    with capturing(pair.right, "b0", ring=16 << 20) as got:
        monkeypatch.undo()
        sent = pair.replay(many, "--pps=10000")
    assert got.notes == ["ring 4M instead of 16M: the kernel has no memory for more"]
    assert len(got) == got.counted == sent


def tun(name: str) -> int:
    """A new TUN device without packet information, in the caller's network namespace."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="needs /dev/net/tun")
def test_what_the_interface_drops_is_counted_as_its_own(pair: Any) -> None:
    # A TUN device takes IPv4 and IPv6 from whoever owns it, and counts anything else as dropped.
    device = pair.right.call(lambda: tun("tun9"))
    packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28, 1, 0, 64, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2") + bytes(8)
    try:
        pair.right.silence("tun9")
        pair.right.run("ip", "link", "set", "tun9", "up")
        command = ("ip", "netns", "exec", pair.right.name, sys.executable, "-m", "netwatch")
        with subprocess.Popen(
            [*command, "-i", "tun9", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline() == b"netwatch: capturing on tun9\n"
                for _ in range(30):
                    os.write(device, packet)
                for _ in range(7):
                    with pytest.raises(OSError, match="Invalid argument"):
                        os.write(device, b"\0 neither of them")
                time.sleep(0.2)
                process.send_signal(signal.SIGINT)
                out, _ = process.communicate(timeout=PATIENCE)
            finally:
                if process.poll() is None:
                    process.kill()
    finally:
        os.close(device)
    made = json.loads(out)
    assert made["packets"] == 30
    assert made["dropped"] == {"ring": 0, "freezes": 0, "interface": 7, "queue": 0, "writer": 0}
