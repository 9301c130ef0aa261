"""Two network namespaces joined by a veth pair, traffic of a known mix, tcpdump beside netwatch's own source."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from tests.live.wire import CLIENT, SERVER

from netwatch.capture.block import Block, Loss
from netwatch.capture.columns import EVENT
from netwatch.capture.engine import blocks
from netwatch.capture.sources.afpacket import LiveSource, open_live

T = TypeVar("T")

TOOLS = ("ip", "ethtool", "tcpdump", "tcpreplay", "ping", "setpriv")
CLONE_NEWNET = 0x40000000
COUNTER = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    reason = "needs root" if os.geteuid() else f"needs {', '.join(missing)}" if missing else ""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.live)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


def inside(fd: int, work: Callable[[], T]) -> T:
    """`work()` in a thread that has entered the namespace `fd`."""
    result: list[T] = []
    failed: list[BaseException] = []

    def enter() -> None:
        try:
            assert ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) == 0
            result.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return result[0]


@dataclass
class Namespace:
    """One network namespace."""

    name: str

    def run(self, *command: str) -> str:
        return run("ip", "netns", "exec", self.name, *command)

    def call(self, work: Callable[[], T]) -> T:
        """`work()` in a thread that has entered the namespace."""
        with open(f"/run/netns/{self.name}") as entered:
            return inside(entered.fileno(), work)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Callable[[], int]]:
        """How many packet and netlink sockets of programs are in it, also when its name is gone.

        Not whether it ends: at times the kernel keeps one that nobody holds (6.18, several in use at once).
        """

        def count() -> int:
            packet, netlink = (Path(f"/proc/thread-self/net/{kind}").read_text() for kind in ("packet", "netlink"))
            return len(packet.splitlines()[1:]) + sum(line.split()[2] != "0" for line in netlink.splitlines()[1:])

        with open(f"/run/netns/{self.name}") as entered:
            yield lambda: inside(entered.fileno(), count)

    def silence(self, interface: str) -> None:
        """No IPv6 on the interface: nothing is sent that no test sent."""
        self.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{interface}/disable_ipv6")

    def add_veth(self, name: str, peer: Namespace, peer_name: str) -> None:
        """A pair whose ends stay silent by themselves: no IPv6 autoconfiguration, no offloads."""
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", peer_name, "netns", peer.name)
        for end, interface in ((self, name), (peer, peer_name)):
            end.silence(interface)
            end.run("ethtool", "-K", interface, "tx", "off", "rx", "off", "gso", "off", "gro", "off", "tso", "off")
            end.run("ip", "link", "set", interface, "arp", "off", "up")


@dataclass
class Pair:
    """`left` sends on a0, `right` captures on b0."""

    left: Namespace
    right: Namespace

    def replay(self, path: Path, *options: str) -> int:
        """Send a capture file from left to right -> packets sent."""
        said = self.left.run("tcpreplay", "-q", "-i", "a0", *options, str(path))
        found = re.search(r"Successful packets:\s+(\d+)", said)
        assert found, said
        time.sleep(0.05)
        return int(found[1])

    @contextlib.contextmanager
    def addressed(self) -> Iterator[None]:
        """With an address at each end, for programs that talk to each other."""
        ends = (self.left, "a0", CLIENT), (self.right, "b0", SERVER)
        for namespace, interface, address in ends:
            namespace.run("ip", "address", "add", f"{address}/24", "dev", interface)
            namespace.run("ip", "link", "set", interface, "arp", "on")
        try:
            yield
        finally:
            for namespace, interface, address in ends:
                namespace.run("ip", "address", "del", f"{address}/24", "dev", interface)
                namespace.run("ip", "link", "set", interface, "arp", "off")


@dataclass
class Captured:
    """What a source gave."""

    blocks: list[Block] = field(default_factory=list)
    loss: Loss = field(default_factory=Loss)
    notes: list[str] = field(default_factory=list)
    counted: int = 0
    """Sum of tp_packets without tp_drops."""

    def column(self, name: str) -> np.ndarray[Any, np.dtype[Any]]:
        kept = [getattr(block, name)[block.marks & EVENT == 0] for block in self.blocks]
        return np.concatenate(kept) if kept else np.zeros(0)

    def __len__(self) -> int:
        return len(self.column("ts"))

    @property
    def frames(self) -> list[bytes]:
        found = []
        for block in self.blocks:
            for start, size, marks in zip(block.offsets, block.caplen, block.marks, strict=True):
                if not marks & EVENT:
                    found.append(bytes(block.raw[start : start + int(size)]))
        return found

    @property
    def events(self) -> list[str]:
        return [bytes(block.raw).decode() for block in self.blocks if len(block) and block.marks[0] & EVENT]


@contextlib.contextmanager
def _capturing(namespace: Namespace, *names: str, **options: Any) -> Iterator[Captured]:
    """Capture while the body runs; afterwards all that was captured is there, and the loss is final."""
    chosen = {"ring": 16 << 20, "snaplen": 0, "promiscuous": False, "capture_filter": "", **options}
    got = Captured()
    stopping = threading.Event()

    def consume(source: LiveSource) -> None:
        got.blocks.extend(blocks(source, stopping))

    source = namespace.call(lambda: open_live(list(names), **chosen))
    try:
        source.start()
        thread = threading.Thread(target=consume, args=(source,))
        thread.start()
        try:
            yield got
        finally:
            stopping.set()
            source.wake()
            thread.join()
            got.loss = source.loss()
            got.notes = source.notes
            got.counted = source.counted
    finally:
        source.close()


@contextlib.contextmanager
def _tcpdump(namespace: Namespace, name: str, path: Path, *options: str) -> Iterator[None]:
    """tcpdump writes what passes while the body runs, with nanoseconds."""
    command = [
        "ip",
        "netns",
        "exec",
        namespace.name,
        "tcpdump",
        "-Z",
        "root",
        "-n",
        "-i",
        name,
        "-w",
        str(path),
        "-U",
    ]
    command += ["--immediate-mode", "--time-stamp-precision=nano", "-B", "16384", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        while lines[-1] and "listening on" not in lines[-1]:
            lines.append(process.stderr.readline())
        assert lines[-1], lines
        try:
            yield
            time.sleep(0.1)
        finally:
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
    assert re.search(r"^0 packets dropped by kernel", said, re.MULTILINE), said


def _read_pcap(path: Path) -> list[tuple[int, int, bytes]]:
    """(time in ns, wire length, bytes) of each packet of a nanosecond file of this machine's byte order."""
    data = path.read_bytes()
    assert struct.unpack_from("=I", data) == (0xA1B23C4D,)
    found, at = [], 24
    while at < len(data):
        seconds, nanoseconds, caplen, wirelen = struct.unpack_from("=4I", data, at)
        found.append((seconds * 1_000_000_000 + nanoseconds, wirelen, data[at + 16 : at + 16 + caplen]))
        at += 16 + caplen
    return found


def _write_pcap(path: Path, frames: list[bytes]) -> None:
    out = [struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    for number, frame in enumerate(frames):
        out.append(struct.pack("=4I", 1_700_000_000, number, len(frame), len(frame)) + frame)
    path.write_bytes(b"".join(out))


MACS = bytes.fromhex("02000000000b02000000000a")


def ethernet(ethertype: int, payload: bytes, *tags: tuple[int, int]) -> bytes:
    """`tags`: (type, id) from the outermost."""
    head = MACS + b"".join(struct.pack(">HH", kind, number) for kind, number in tags)
    return (head + struct.pack(">H", ethertype) + payload).ljust(60, b"\0")


def ipv4(protocol: int, payload: bytes, last: int = 2) -> bytes:
    """From 10.9.0.1 to 10.9.0.`last`, without checksum."""
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0)
    return head + bytes([10, 9, 0, 1, 10, 9, 0, last]) + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    source, destination = bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02")
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload


def udp(sport: int, dport: int, size: int = 40) -> bytes:
    return struct.pack(">HHHH", sport, dport, 8 + size, 0) + bytes(index & 0xFF for index in range(size))


def tcp(sport: int, dport: int, size: int = 0) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, 0x10, 1000, 0, 0) + b"x" * size


MIX: dict[str, tuple[int, bytes]] = {
    "dns": (7, ethernet(0x0800, ipv4(17, udp(1030, 53)))),
    "dns answer": (5, ethernet(0x0800, ipv4(17, udp(53, 1030, 300)))),
    "web": (11, ethernet(0x0800, ipv4(6, tcp(40000, 80, 1000)))),
    "other host": (3, ethernet(0x0800, ipv4(6, tcp(40001, 80), last=9))),
    "ping": (4, ethernet(0x0800, ipv4(1, b"\x08\0\0\0\0\1\0\1" + b"p" * 48))),
    "dns over IPv6": (6, ethernet(0x86DD, ipv6(17, udp(1031, 53)))),
    "arp": (2, ethernet(0x0806, bytes.fromhex("0001080006040001") + bytes(20))),
    "unknown": (2, ethernet(0x88B5, b"?" * 60)),
    "802.3": (2, ethernet(46, b"\x42\x42\x03" + b"s" * 43)),
    "tagged": (8, ethernet(0x0800, ipv4(17, udp(1032, 53)), (0x8100, 5))),
    "tagged web": (3, ethernet(0x0800, ipv4(6, tcp(40002, 80, 100)), (0x8100, 6))),
    "provider": (3, ethernet(0x0800, ipv4(17, udp(1033, 53)), (0x88A8, 7), (0x8100, 8))),
}
"""Frames by what they are, and how often each comes."""


@pytest.fixture(scope="session")
def mix_frames() -> list[bytes]:
    """The mix, interleaved."""
    left = {name: count for name, (count, _) in MIX.items()}
    frames: list[bytes] = []
    while any(left.values()):
        for name, count in left.items():
            if count:
                frames.append(MIX[name][1])
                left[name] -= 1
    return frames


@pytest.fixture(scope="session")
def mix(mix_frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mix as a capture file for tcpreplay."""
    path = tmp_path_factory.mktemp("mix") / "mix.pcap"
    _write_pcap(path, mix_frames)
    return path


@contextlib.contextmanager
def namespaces(count: int) -> Iterator[list[Namespace]]:
    """New, with loopback up; gone afterwards with all that is in them."""
    made = [Namespace(f"netwatch-test-{os.getpid()}-{next(COUNTER)}") for _ in range(count)]
    try:
        for namespace in made:
            run("ip", "netns", "add", namespace.name)
            namespace.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        for namespace in made:
            subprocess.run(("ip", "netns", "del", namespace.name), capture_output=True, check=False)


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    """a0 in one namespace, b0 in the other. For all tests that leave the interfaces as they are."""
    with namespaces(2) as (left, right):
        left.add_veth("a0", right, "b0")
        yield Pair(left, right)


@pytest.fixture
def fresh_pair() -> Iterator[Pair]:
    """Like `pair`, for tests that take interfaces down or delete them."""
    with namespaces(2) as (left, right):
        left.add_veth("a0", right, "b0")
        yield Pair(left, right)


@pytest.fixture(scope="module")
def wired(pair: Pair) -> Iterator[Pair]:
    """The pair with an address at each end."""
    with pair.addressed():
        yield pair


@pytest.fixture(scope="session")
def capturing() -> Callable[..., contextlib.AbstractContextManager[Captured]]:
    """capturing(namespace, *names, **options of open_live)"""
    return _capturing


@pytest.fixture(scope="session")
def tcpdump() -> Callable[..., contextlib.AbstractContextManager[None]]:
    """tcpdump(namespace, name, path, *options)"""
    return _tcpdump


@pytest.fixture(scope="session")
def read_pcap() -> Callable[[Path], list[tuple[int, int, bytes]]]:
    return _read_pcap


@pytest.fixture(scope="session")
def write_pcap() -> Callable[[Path, list[bytes]], None]:
    return _write_pcap


@pytest.fixture
def by_tshark(tmp_path: Path) -> Callable[..., list[list[str]]]:
    """by_tshark(frames, *fields): of each the columns Protocol and Info, then all values of each field, with bars."""

    def ask(frames: list[bytes], *names: str) -> list[list[str]]:
        path = tmp_path / "seen.pcap"
        _write_pcap(path, frames)
        asked = [word for name in ("_ws.col.Protocol", "_ws.col.Info", *names) for word in ("-e", name)]
        said = run("tshark", "-n", "-r", str(path), "-T", "fields", "-E", "aggregator=|", *asked)
        return [line.split("\t") for line in said.splitlines()]

    return ask
