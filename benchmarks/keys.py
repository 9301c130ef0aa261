"""Keys under load: a million packets kept, 50,000 a second arriving; how soon the screen answers."""

from __future__ import annotations

import json
import random
import tempfile
import time
from pathlib import Path

from benchmarks.measure import NETWATCH, Table
from benchmarks.network import SINK, link, missing
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

COLUMNS, ROWS = 160, 50
KEPT = 1_000_000
RATE = 50_000
KEYS = 200
FPS = 10
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
    return sgr.partition("48;2;")[2]


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


def measure(setting: Setting) -> Table:
    """One run of 200 keys."""
    columns = (
        "keys",
        "p50 ms",
        "p95 ms",
        "max ms",
        "repaints/s",
        "packets kept",
        "packets/s arriving",
        "dropped",
        "CPU %",
    )
    table = Table(f"Keys under load, {COLUMNS}×{ROWS}, --fps {FPS}", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    mix = setting.work / "keys.pcap"
    make(mix, 200_000)
    with link() as wire, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            *NETWATCH,
            "-i",
            SINK,
            "--ring",
            "128M",
            "--buffer",
            "1G",
            "--fps",
            str(FPS),
            "--report",
            str(report),
        ]
        watched = Watched(Terminal(wire.inside(*command), COLUMNS, ROWS))
        watched.idle(3)
        fill = wire.replay(mix, "--topspeed", f"--loop={KEPT // 200_000}")
        while fill.poll() is None:
            watched.idle(0.1)
        watched.idle(2)
        load = wire.replay(mix, f"--pps={RATE}", "--loop=1000")
        try:
            watched.idle(2)
            watched.frames.clear()
            watched.idle(QUIET)
            repaints = len(watched.frames) / QUIET
            before, began, cpu = wire.arrived(), time.monotonic(), watched.terminal.cpu()
            times = sorted(answers(watched, KEYS))
            spent, cpu = time.monotonic() - began, watched.terminal.cpu() - cpu
            arriving = (wire.arrived() - before) / spent
        finally:
            load.terminate()
            load.wait()
        watched.idle(1)
        watched.terminal.press("q")
        watched.terminal.close()
        counted = json.loads(report.read_text())
    p50, p95, longest = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95, 1.0))
    kept = counted["packets"] - counted["evicted"]
    lost = counted["dropped"]["ring"]
    table.rows.append((KEYS, p50, p95, longest, repaints, kept, int(arriving), lost, 100 * cpu / spent))
    table.notes.append("From writing `j` or `k` until the bytes are read that put the cursor on its new row.")
    table.notes.append(f"A repaint: bytes after 10 ms of silence, in {QUIET:g} s without keys, the list at the tail.")
    table.notes.append(f"--report says: longest stall of the UI thread {counted['longest_ui_stall_ms']} ms.")
    return table
