"""Keys under load: a million packets kept and more arriving; how soon the screen answers."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.measure import NETWATCH, Table
from benchmarks.network import SINK, Link, link, missing
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

COLUMNS, ROWS = 160, 50
BUFFER: Final = "1G"
MIX: Final = 60_000
"""Packets of the mix, sent again and again."""
FILLING: Final = 150_000
"""Packets a second until KEPT are there."""
KEPT = 1_000_000
RATES: Final = (0, 50_000, 200_000)
KEYS = 200
FPS = 10
AGAIN: Final = 20
"""Keys until the cursor goes back to the tail."""
QUIET = 5.0
"""Seconds without keys in which repaints are counted."""
PATIENCE = 5.0
"""Seconds until a key counts as not answered."""


class Watched:
    """The dashboard on a terminal, and where its cursor is."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.frames: list[float] = []
        """When a repaint began: bytes after at least 10 ms of silence."""
        self._last = 0.0

    def read(self, timeout: float) -> float | None:
        """One read; its time."""
        run = self.terminal.read(timeout)
        if run is None:
            return None
        if run.at - self._last > 0.01:
            self.frames.append(run.at)
        self._last = run.at
        return run.at

    def idle(self, seconds: float) -> None:
        """Read on for a while."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.read(left)

    def styles(self) -> list[str]:
        """The style of one cell of each row, in the middle of the packet list's columns."""
        return [row[COLUMNS // 3] for row in self.terminal.screen.style]


def background(sgr: str) -> str:
    """The background colour among SGR parameters."""
    return ";".join(sgr.partition("48;2;")[2].split(";")[:3])


def find_cursor(watched: Watched) -> str:
    """Background colour of the cursor's row: the one that goes up by one row with each `k`."""
    for _ in range(20):
        before = [background(style) for style in watched.styles()]
        watched.terminal.press("k")
        watched.idle(0.4)
        after = [background(style) for style in watched.styles()]
        for row in range(1, ROWS):
            colour = before[row]
            if before.count(colour) == after.count(colour) == 1 and after[row - 1] == colour:
                return colour
    raise RuntimeError("the cursor was not found on the screen")


def cursor_row(watched: Watched, colour: str) -> int:
    """Where the cursor is; -1: nowhere."""
    for row, style in enumerate(watched.styles()):
        if background(style) == colour:
            return row
    return -1


def answers(watched: Watched, count: int) -> list[float]:
    """Seconds from writing each key until the bytes with the cursor's new row were read."""
    dice = random.Random(1)
    colour = find_cursor(watched)
    found = []
    for number in range(count):
        if number % AGAIN == 0:
            # Back to the tail: the packet under the cursor would be evicted some day.
            for key in "Gkkk":
                watched.terminal.press(key)
                watched.idle(0.3)
        watched.idle(dice.uniform(0.0, 0.1))
        at = cursor_row(watched, colour)
        step, key = (-1, "k") if number % 2 else (1, "j")
        pressed = watched.terminal.press(key)
        while cursor_row(watched, colour) != at + step:
            answered = watched.read(PATIENCE)
            if answered is None or answered - pressed > PATIENCE:
                raise RuntimeError(f"key {number} was not answered within {PATIENCE:g} s")
        found.append(time.monotonic() - pressed)
    return found


def run(wire: Link, mix: Path, rate: int, *, keys: int, kept: int) -> tuple[object, ...]:
    """Fill the buffer, then press `keys` keys while `rate` packets a second arrive: a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["--ring", "128M", "--buffer", BUFFER, "--fps", str(FPS), "--report", str(report)]
        watched = Watched(Terminal(wire.inside(*NETWATCH, "-i", SINK, *options), COLUMNS, ROWS))
        watched.idle(2)
        fill = wire.steady(mix, FILLING, kept / FILLING)
        while fill.poll() is None:
            watched.idle(0.1)
        load = wire.steady(mix, rate, 600) if rate else None
        try:
            watched.idle(2)
            watched.frames.clear()
            watched.idle(QUIET)
            repaints = len(watched.frames) / QUIET
            before, began, cpu = wire.arrived(), time.monotonic(), watched.terminal.cpu()
            times = sorted(answers(watched, keys))
            spent, cpu = time.monotonic() - began, watched.terminal.cpu() - cpu
            arriving = (wire.arrived() - before) / spent
        finally:
            if load is not None:
                load.terminate()
                load.communicate()
        watched.idle(1)
        watched.terminal.press("q")
        watched.terminal.close()
        counted = json.loads(report.read_text())
    p50, p95, longest = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95, 1.0))
    now_kept = counted["packets"] - counted["evicted"]
    lost, stall = counted["dropped"]["ring"], counted["longest_ui_stall_ms"]
    return (int(arriving), keys, p50, p95, longest, repaints, now_kept, lost, 100 * cpu / spent, stall)


def measure(setting: Setting) -> Table:
    """One run of 200 keys at each rate."""
    columns = (
        *("packets/s arriving", "keys", "p50 ms", "p95 ms", "max ms", "repaints/s", "packets kept", "dropped"),
        *("CPU %", "longest stall ms"),
    )
    table = Table(f"Key to paint, {COLUMNS}×{ROWS}, --fps {FPS}, --buffer {BUFFER}", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    mix = setting.work / "keys.pcap"
    make(mix, MIX)
    keys, kept, rates = (10, MIX, RATES[1:2]) if setting.quick else (KEYS, KEPT, RATES)
    with link() as wire:
        for rate in rates:
            table.rows.append(run(wire, mix, rate, keys=keys, kept=kept))
    table.notes += [
        "From writing `j` or `k` until the bytes are read that put the cursor on its new row; one run each.",
        f"A repaint: bytes after 10 ms of silence, in {QUIET:g} s without keys, the list at the tail.",
        "The sender has the first processor, the dashboard the others; who reads the terminal has any.",
    ]
    return table
