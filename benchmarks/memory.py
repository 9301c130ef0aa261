"""Memory under a flood: the dashboard for minutes at packets from a million random sources, RssAnon each second.

As a program of its own it is the sender: `python -m benchmarks.memory IFACE RATE SECONDS`.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.measure import NETWATCH, Table
from benchmarks.network import SINK, Link, link, missing, sent
from benchmarks.sender import Sender, send
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal

__all__ = ["measure"]

SOURCES: Final = 1_000_000
RATE: Final = 100_000
"""Packets a second: the million ten times a minute, each time another order of arrival."""
BUFFER_MIB: Final = 256
RING_MIB: Final = 64
ALLOWED: Final = 120_000_000
"""Bytes beside the buffer."""
SETTLING: Final = 5.0
"""Seconds of quiet before and after."""
EVERYTHING: Final = "uSv"
"""Pressed half-way: a switch, statistics of what it lets through, conversations."""
SIZES: Final = (18, 18, 46, 110, 400, 1000)
"""Bytes of payload, of which each packet has one."""
SEED: Final = 1


def frames(count: int) -> Iterator[bytes]:
    """UDP and TCP over IPv4 and IPv6, each from another source to one of 256 hosts and any port; some in a tunnel."""
    dice = random.Random(SEED)
    payload = dice.randbytes(max(SIZES))
    ethernet = bytes.fromhex("02000000000b02000000000a")
    for number in range(count):
        size = dice.choice(SIZES)
        ports = dice.randbytes(4)
        if dice.random() < 0.5:
            protocol, head = 17, ports + (8 + size).to_bytes(2) + bytes(2)
        else:
            protocol, head = 6, ports + dice.randbytes(8) + b"\x50\x18\x01\x00\x00\x00\x00\x00"
        body = head + payload[:size]
        source, target = (number * 2654435761 & 0xFFFFFFFF).to_bytes(4), dice.randrange(256).to_bytes(1)
        if dice.random() < 0.1:  # IPv4 in IPv4
            body = ipv4(protocol, source, b"\x0a\x01\x00" + target, body)
            protocol = 4
        if dice.random() < 0.7:
            yield ethernet + b"\x08\x00" + ipv4(protocol, source, b"\x0a\x00\x00" + target, body)
        else:
            network = bytes.fromhex("20010db8")
            addresses = network + source * 3 + network + bytes(11) + target
            head = b"\x60\x00\x00\x00" + len(body).to_bytes(2) + bytes([protocol, 64])
            yield ethernet + b"\x86\xdd" + head + addresses + body


def ipv4(protocol: int, source: bytes, target: bytes, body: bytes) -> bytes:
    """A packet without checksum."""
    return (
        b"\x45\x00"
        + (20 + len(body)).to_bytes(2)
        + b"\0\1\0\0\x40"
        + bytes([protocol, 0, 0])
        + source
        + target
        + body
    )


def rss_anon(pid: int) -> int:
    """Bytes of memory of a process's own (proc(5)); without files and the kernel's ring."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) << 10


def watch(wire: Link, seconds: float, report: Path) -> tuple[list[tuple[float, int]], float, dict[str, int]]:
    """Run the dashboard and the sender -> (second of the flood, RssAnon) of each second, CPU seconds, counts."""
    options = ("--buffer", f"{BUFFER_MIB}M", "--ring", f"{RING_MIB}M", "--report", str(report))
    terminal = Terminal(wire.inside(*NETWATCH, "-i", SINK, *options), 160, 50, painted=False)
    terminal.watch(SETTLING)
    sender = wire.module("memory", str(RATE), str(seconds))
    samples: list[tuple[float, int]] = []
    began = time.monotonic()
    pressed = False
    while sender.poll() is None:
        terminal.watch(1.0)
        at = time.monotonic() - began
        samples.append((at, rss_anon(terminal.pid)))
        if not pressed and at > seconds / 2:
            pressed = True
            terminal.press(EVERYTHING)
    count = sent(sender).packets
    terminal.watch(SETTLING)
    terminal.press("q")
    cpu = terminal.close()
    counted = json.loads(report.read_text())
    counts = {"sent": count, "seen": counted["packets"], **counted["dropped"], "evicted": counted["evicted"]}
    counts["longest stall of the user interface, ms"] = round(counted["longest_ui_stall_ms"])
    return samples, cpu, counts


def measure(setting: Setting) -> Table:
    """One run: peaks of both halves, and how much the last third grew."""
    columns = ("part of the flood", "peak MB", "allowed MB", "slope MB a minute")
    table = Table("Memory of the dashboard under a flood from a million sources", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    seconds = 5.0 if setting.quick else setting.seconds
    with link() as wire:
        samples, cpu, counts = watch(wire, seconds, setting.work / "memory.json")
    allowed = ((BUFFER_MIB << 20) + ALLOWED) / 1e6
    for name, half in (
        ("plain", [sample for sample in samples if sample[0] <= seconds / 2]),
        ("filter, its statistics, conversations", [sample for sample in samples if sample[0] > seconds / 2]),
    ):
        times, sizes = np.array(half).T
        late = times > times[0] + (times[-1] - times[0]) / 2
        slope = np.polyfit(times[late], sizes[late], 1)[0] * 60 / 1e6 if late.sum() > 1 else 0.0
        table.rows.append((name, float(sizes.max() / 1e6), float(allowed), float(slope)))
    table.notes += [
        f"{seconds:.0f} s at {RATE:,} packets/s from {SOURCES:,} sources, --buffer {BUFFER_MIB}M, 160×50; RssAnon "
        "each second; the slope is that of each part's second half.",
        f"The kernel's ring is mapped beside it: {RING_MIB} MiB. CPU {cpu:.1f} s.",
        ", ".join(f"{name} {count:,}" for name, count in counts.items()) + ".",
    ]
    return table


def main(interface: str, rate: str, seconds: str) -> None:
    """Send, and say how many packets in how many seconds."""
    print(json.dumps(send(Sender(interface, list(frames(SOURCES))), int(rate), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
