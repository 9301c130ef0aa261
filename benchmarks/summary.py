"""A protocol hierarchy of a large capture: netwatch --summary beside tshark, tcpdump, dpkt and scapy."""

from __future__ import annotations

import importlib.util
import struct
import sys
from dataclasses import replace
from typing import Final

from benchmarks.measure import NETWATCH, Cost, Table, installed, medians
from benchmarks.setting import Setting
from benchmarks.traffic import make

__all__ = ["measure"]

OURS: Final = "netwatch --summary"
SCAPY: Final = "scapy"
PART: Final = 10
"""scapy gets this part of the packets: it needs minutes for a million."""


def measure(setting: Setting) -> Table:
    """CPU and wall time over the large capture, and CPU time over an empty one (start-up)."""
    big, packets, times = setting.big, setting.packets, setting.times
    empty = setting.work / "empty.pcap"
    empty.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    notes = [f"{packets:,} packets, {big.stat().st_size / 1e6:,.0f} MB; median of {times} runs, taken in turns."]
    commands = {OURS: [*NETWATCH, "--summary", "-r"]}
    for name, command in (
        ("tshark -q -z io,phs", ["tshark", "-q", "-z", "io,phs", "-r"]),
        ("tcpdump -n > /dev/null", ["tcpdump", "-n", "-r"]),
    ):
        if installed(command[0]):
            commands[name] = command
        else:
            notes.append(f"{command[0]} is not installed: left out.")
    for name in ("dpkt", SCAPY):
        if importlib.util.find_spec(name):
            commands[name] = [sys.executable, "-m", f"benchmarks.{name}_hierarchy"]
        else:
            notes.append(f"{name} is not installed: left out.")

    full = medians({name: [*command, str(big)] for name, command in commands.items() if name != SCAPY}, times)
    start = medians({name: [*command, str(empty)] for name, command in commands.items()}, times)
    if SCAPY in commands:
        part = setting.work / "part.pcap"
        count = make(part, packets // PART)
        cost = medians({SCAPY: [*commands[SCAPY], str(part)]}, 1)[SCAPY]
        full[SCAPY] = scaled(cost, start[SCAPY], packets / count)
        notes.append(f"scapy: one run over {count:,} packets of the same mix; time beyond start-up scaled up.")
    ours = full[OURS].cpu, start[OURS].cpu
    rows = [
        (
            *(name, cost.cpu, cost.wall, start[name].cpu, cost.cpu / packets * 1e6, cost.rss // 2**20),
            f"{cost.cpu / ours[0]:.1f} ×",
            f"{(cost.cpu - start[name].cpu) / (ours[0] - ours[1]):.1f} ×",
        )
        for name, cost in full.items()
    ]
    columns = (
        *("program", "CPU s", "wall s", "start-up CPU s", "µs a packet", "memory MB"),
        *("CPU, netwatch = 1", "without start-up"),
    )
    return Table("Protocol summary of a file", columns, [*rows], notes)


def scaled(cost: Cost, start: Cost, factor: float) -> Cost:
    """For `factor` times as many packets."""
    cpu, wall = ((whole - once) * factor + once for whole, once in ((cost.cpu, start.cpu), (cost.wall, start.wall)))
    return replace(cost, cpu=cpu, wall=wall)
