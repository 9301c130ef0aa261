"""What the dashboard sends to its terminal: following the tail, paused, and with nothing to show."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.measure import NETWATCH, Table
from benchmarks.network import SINK, Link, link, missing
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

COLUMNS, ROWS = 120, 40
RATE: Final = 50_000
MIX: Final = 60_000
SECONDS: Final = 10.0
PACES: Final = (("--fps", "10"), ("--link-budget", "32k"), ("--link-budget", "8k"))
"""The usual repaints a second, and what a link may have to take at most."""


def rates(wire: Link, setting: Setting, pace: tuple[str, str]) -> list[tuple[object, ...]]:
    """Rows of the table: bytes a second and CPU in each state."""
    seconds = 1.0 if setting.quick else SECONDS
    mix = setting.work / "screen.pcap"
    make(mix, MIX)
    command = [*NETWATCH, "-i", SINK, "--buffer", "256M", *pace]
    terminal = Terminal(wire.inside(*command), COLUMNS, ROWS, painted=False)

    def spent(state: str) -> tuple[object, ...]:
        size, cpu, begun = terminal.size, terminal.cpu(), time.monotonic()
        terminal.watch(seconds)
        passed = time.monotonic() - begun
        return (state, " ".join(pace), int((terminal.size - size) / passed), 100 * (terminal.cpu() - cpu) / passed)

    terminal.watch(2)
    rows = [spent("idle, no packets")]
    load = wire.steady(mix, RATE, 600)
    try:
        terminal.watch(2)
        rows.append(spent(f"following the tail, {RATE:,} packets/s"))
        terminal.press("k")
        terminal.watch(1)
        rows.append(spent(f"scrolled away, {RATE:,} packets/s"))
        terminal.press(" ")
        terminal.watch(1)
        rows.append(spent(f"paused, {RATE:,} packets/s"))
    finally:
        load.terminate()
        load.communicate()
    terminal.press("q")
    terminal.close()
    return rows


def measure(setting: Setting) -> Table:
    """One run at each number of repaints."""
    columns = ("state", "option", "bytes/s", "CPU %")
    table = Table(f"Bytes to the terminal, {COLUMNS}×{ROWS}", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    with link() as wire:
        for pace in PACES[:1] if setting.quick else PACES:
            table.rows += rates(wire, setting, pace)
    table.notes.append(f"Each over {SECONDS:g} s, one run; the header's rates and the tables go on in every state.")
    return table
