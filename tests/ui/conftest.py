"""A dashboard over packets that the test makes: no thread, no clock, no terminal."""

from __future__ import annotations

import queue
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from netwatch.app.app import NetwatchApp
from netwatch.capture.block import Batch, Block, Damage, Interface, Loss
from netwatch.capture.columns import EVENT
from netwatch.capture.decode import Decoder
from netwatch.capture.session import Session
from netwatch.capture.stats import partial
from netwatch.widgets.palette import Look

_START = 1_700_000_000_000_000_000
_STEP = 1_000_000


def ethernet(kind: int, payload: bytes) -> bytes:
    return bytes.fromhex("020000000002020000000001") + struct.pack("!H", kind) + payload


def ipv4(protocol: int, payload: bytes, source: str = "192.0.2.1", destination: str = "192.0.2.53") -> bytes:
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    return ethernet(0x0800, head + socket.inet_aton(source) + socket.inet_aton(destination) + payload)


def tcp(sport: int = 40000, dport: int = 443, payload: bytes = b"", **ends: str) -> bytes:
    return ipv4(6, struct.pack("!2H2L4H", sport, dport, 1, 1, 0x5018, 64000, 0, 0) + payload, **ends)


def udp(sport: int = 40000, dport: int = 9999, payload: bytes = b"", **ends: str) -> bytes:
    return ipv4(17, struct.pack("!4H", sport, dport, 8 + len(payload), 0) + payload, **ends)


def dns(name: bytes, **ends: str) -> bytes:
    question = bytes([len(name)]) + name + b"\0" + struct.pack("!2H", 1, 1)
    return udp(40001, 53, struct.pack("!6H", 0xBC38, 0x0100, 1, 0, 0, 0) + question, **ends)


def ping6() -> bytes:
    address = socket.inet_pton(socket.AF_INET6, "2001:db8:1:2:3:4:5:6")
    echo = struct.pack("!2B3H", 128, 0, 0, 7, 1) + bytes(16)
    return ethernet(0x86DD, struct.pack("!LHBB", 6 << 28, len(echo), 58, 64) + address * 2 + echo)


def arp() -> bytes:
    return ethernet(0x0806, struct.pack("!2H2BH", 1, 0x0800, 6, 4, 1) + bytes(range(20)))


_KINDS: tuple[Callable[[int, dict[str, str]], bytes], ...] = (
    lambda n, ends: tcp(40000 + n % 3, 443, b"x" * (n % 400), **ends),
    lambda n, ends: tcp(443, 40000 + n % 3, b"y" * (n * 7 % 900), **ends),
    lambda n, ends: dns(b"host%d" % n, **ends),
    lambda n, ends: udp(5000 + n % 5, 6000, b"z" * (n % 100), **ends),
    lambda n, ends: tcp(40010, 80, b"GET /page%d HTTP/1.1\r\n\r\n" % n, **ends),
    lambda n, ends: ping6(),  # noqa: ARG005
    lambda n, ends: arp(),  # noqa: ARG005
)


def mix(count: int) -> list[bytes]:
    """A deterministic mixture of `count` packets between some hosts."""
    made = []
    for n in range(count):
        ends = {"source": f"192.0.2.{1 + n % 7}", "destination": f"198.51.100.{1 + n * n % 11}"}
        made.append(_KINDS[n * 5 % 13 % len(_KINDS)](n, ends))
    return made


class StillSource:
    """What the session asks of a source."""

    def __init__(self, *, live: bool) -> None:
        self.name = "test0"
        self.live = live
        self.interfaces = [Interface("test0", 1)]
        self.exhausted = not live
        self.damage: Damage | None = None
        self.lost = Loss()
        self.follows_from: int | None = None

    def next_block(self, timeout: float) -> Block | None:  # noqa: ARG002 - the test feeds the session itself
        return None

    def read_at(self, pos: int, size: int) -> bytes:
        raise LookupError(f"{size} bytes at {pos} were kept with their rows")

    def loss(self) -> Loss:
        return self.lost

    def progress(self) -> tuple[int, int] | None:
        return None if self.live else (100, 100)

    def wake(self) -> None:
        return

    def close(self) -> None:
        return


class StillEngine:
    """What the app asks of an engine; the test says when it ended."""

    def __init__(self, *, ended: bool) -> None:
        self.started = threading.Event()
        self.started.set()
        self.ended = ended
        self.held = False
        self.failed: str | None = None
        self.code = 0

    def start(self) -> None:
        return

    def hold(self) -> None:
        self.held = True

    def go_on(self) -> None:
        self.held = False

    def stop(self) -> list[Batch]:
        return []


@dataclass
class World:
    """A session, its app, and packets that come when the test says so."""

    live: bool = True
    buffer: int | None = 256 << 20
    follows_from: int | None = None
    depth: str = "full"
    packets: Sequence[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.source = StillSource(live=self.live)
        self.source.follows_from = self.follows_from
        self.session = Session(self.source, buffer=self.buffer)
        self.engine = StillEngine(ended=not self.live)
        self.app = NetwatchApp(
            self.session,
            self.engine,  # type: ignore[arg-type]  # as much of an engine as the app uses
            queue.Queue(),
            look=Look(self.depth),  # type: ignore[arg-type]
        )
        self._decoder = Decoder()
        self._fed = 0
        if self.packets:
            self.feed(self.packets)
        # The clock stands still: rates are what the test says.
        self.session.tick = lambda now: False  # type: ignore[method-assign]  # noqa: ARG005

    def feed(self, packets: Sequence[bytes], *, event: bool = False) -> None:
        """Let `packets` arrive, a millisecond apart; `event`: they are messages of the source."""
        sizes = np.array([len(packet) for packet in packets], np.uint32)
        n = len(packets)
        offsets = np.cumsum(np.concatenate([[0], sizes[:-1]])).astype(np.int64)
        block = Block(
            raw=np.frombuffer(b"".join(packets) + bytes(64), np.uint8),
            offsets=offsets,
            caplen=sizes,
            wirelen=sizes,
            ts=_START + (self._fed + np.arange(n, dtype=np.int64)) * _STEP,
            linktype=np.ones(n, np.uint16),
            iface=np.zeros(n, np.uint16),
            marks=np.full(n, EVENT if event else 0, np.uint16),
            pos=offsets,
            owned=True,
        )
        self._fed += n
        rows = self._decoder.decode(block).rows
        self.session.ingest(Batch(rows, block.raw, partial(rows)))


@pytest.fixture
def world() -> type[World]:
    """World(live=…, packets=…): see there."""
    return World


@pytest.fixture
def packets_of() -> Callable[[int], list[bytes]]:
    """packets_of(n): a mixture."""
    return mix


@pytest.fixture
def hostile_packets() -> list[bytes]:
    """Names and payloads that try to take the terminal over."""
    tricks = (
        b"\x1b]0;owned\x07",
        b"\x1b[2J\x1b[1;1Howned",
        b"\x9b31mowned",
        b"\xc2\x9b31mowned",
        b"\xe2\x80\xae" + b"gpj.exe",
        b"a\r\nb\tc\x00d\x7f",
        b"\x1b]52;c;b3duZWQ=\x07",
    )
    made: list[bytes] = []
    for trick in tricks:
        made += [dns(trick), tcp(40000, 80, b"GET /" + trick + b" HTTP/1.1\r\nHost: " + trick + b"\r\n\r\n")]
        made += [tcp(21, 40000, b"220 " + trick + b"\r\n"), udp(514, 514, b"<13>" + trick)]
    return made
