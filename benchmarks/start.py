"""The first frame: how long until packets stand on the screen, at what cost, beside termshark."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from benchmarks.measure import NETWATCH, Table, installed
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import DEMO

__all__ = ["measure"]

SIZES: Final = ((80, 24), (120, 40), (160, 50))
WIDE: Final = 120
"""Columns from which on termshark shows both addresses."""
ADDRESS: Final = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}:[0-9a-f:…]*:[0-9a-f:…]+)"
PACKET: Final = re.compile(rf"\d\.\d+ +{ADDRESS} +{ADDRESS} ")
"""A line with a time and two addresses, as both programs show a packet."""
LINES: Final = 3
"""So many of them are a first frame."""
PATIENCE: Final = 20.0


def first_frame(command: list[str], columns: int, rows: int) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds of the process itself and bytes until packets were on the screen."""
    terminal = Terminal(command, columns, rows)
    try:
        while sum(PACKET.search(terminal.screen.line(row)) is not None for row in range(rows)) < LINES:
            if terminal.read(PATIENCE) is None:
                raise RuntimeError(f"{' '.join(command)}: no first frame")
        return time.monotonic() - terminal.began, terminal.cpu(), terminal.size
    finally:
        terminal.kill()


@contextlib.contextmanager
def packets_on_loopback() -> Iterator[None]:
    """A hundred a second."""
    with subprocess.Popen(("ping", "-q", "-i", "0.02", "127.0.0.1"), stdout=subprocess.DEVNULL) as ping:
        try:
            yield
        finally:
            ping.kill()


def measure(setting: Setting) -> Table:
    """The demo, the large file and a live capture at three sizes of the terminal."""
    programs = {
        "netwatch demo": [*NETWATCH, "demo"],
        f"netwatch -r {DEMO.name}": [*NETWATCH, "-r", str(DEMO)],
        "netwatch -r large file": [*NETWATCH, "-r", str(setting.big)],
    }
    notes = [f"Until {LINES} packets were on the screen; median of {setting.times} runs, taken in turns."]
    live = os.geteuid() == 0 and installed("ping")
    if live:
        programs["netwatch -i lo"] = [*NETWATCH, "-i", "lo"]
        notes.append("A live capture has imported all that it can ever need, and given its rights up, before that.")
    else:
        notes.append("netwatch -i lo needs root and ping: left out.")
    if installed("termshark"):
        programs["termshark -r large file"] = ["termshark", "-r", str(setting.big)]
        notes.append("termshark's CPU is that of its own process alone: it has tshark read the file.")
        os.environ.setdefault("XDG_CACHE_HOME", str(setting.work / "cache"))
        os.environ.setdefault("XDG_CONFIG_HOME", str(setting.work / "config"))
    else:
        notes.append("termshark is not installed: left out.")
    sizes = SIZES[1:2] if setting.quick else SIZES
    cases = [(name, size) for name in programs for size in sizes if size[0] >= WIDE or name.startswith("netwatch")]
    found: dict[tuple[str, tuple[int, int]], list[tuple[float, float, int]]] = {case: [] for case in cases}
    with packets_on_loopback() if live else contextlib.nullcontext():
        for _ in range(setting.times):
            for name, size in cases:
                found[name, size].append(first_frame(programs[name], *size))
    rows = []
    for (name, (columns, lines)), runs in found.items():
        wall, cpu, size = (statistics.median(values) for values in zip(*runs, strict=True))
        rows.append((name, f"{columns}×{lines}", float(wall), float(cpu), int(size)))
    notes.append("Wall time depends on what else the machine does.")
    return Table("First frame", ("program", "terminal", "wall s", "CPU s", "bytes to the terminal"), [*rows], notes)
