"""A protocol hierarchy of a large capture: netwatch --summary beside tshark, tcpdump and dpkt."""

from __future__ import annotations

import importlib.util
import struct
import sys

from benchmarks.measure import NETWATCH, Table, installed, medians
from benchmarks.setting import Setting

__all__ = ["measure"]


def measure(setting: Setting) -> Table:
    """CPU time over the large capture and over an empty one (start-up)."""
    big, packets, times = setting.big, setting.packets, setting.times
    empty = setting.work / "empty.pcap"
    empty.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
    notes = []
    commands = {"netwatch --summary": [*NETWATCH, "--summary", "-r"]}
    if installed("tshark"):
        commands["tshark -q -z io,phs"] = ["tshark", "-q", "-z", "io,phs", "-r"]
    else:
        notes.append("tshark is not installed: left out.")
    if installed("tcpdump"):
        commands["tcpdump -n > /dev/null"] = ["tcpdump", "-n", "-r"]
    else:
        notes.append("tcpdump is not installed: left out.")
    if importlib.util.find_spec("dpkt"):
        commands["dpkt"] = [sys.executable, "-m", "benchmarks.dpkt_hierarchy"]
    else:
        notes.append("dpkt is not installed: left out.")

    full = medians({name: [*command, str(big)] for name, command in commands.items()}, times)
    start = medians({name: [*command, str(empty)] for name, command in commands.items()}, times)
    ours = full["netwatch --summary"].cpu, start["netwatch --summary"].cpu
    rows = [
        (
            *(name, cost.cpu, start[name].cpu, cost.cpu / packets * 1e6, cost.rss // 2**20),
            f"{cost.cpu / ours[0]:.1f} ×",
            f"{(cost.cpu - start[name].cpu) / (ours[0] - ours[1]):.1f} ×",
        )
        for name, cost in full.items()
    ]
    notes.append(f"{packets:,} packets, {big.stat().st_size / 1e6:,.0f} MB; median of {times} runs, taken in turns.")
    return Table(
        "Protocol summary of a file",
        ("program", "CPU s", "of it start-up", "µs a packet", "memory MB", "CPU, netwatch = 1", "without start-up"),
        [*rows],
        notes,
    )
