"""Keys on a terminal that takes 2 kB/s while packets rush: how soon they are answered, and what gets lost."""

from __future__ import annotations

import json
import os
import random
import select
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.keys import PATIENCE, background
from benchmarks.measure import NETWATCH, Table
from benchmarks.network import SINK, Link, link, missing, sent
from benchmarks.setting import Setting
from benchmarks.terminal import Run, Terminal
from benchmarks.traffic import make

__all__ = ["Drained", "measure"]

COLUMNS, ROWS = 120, 40
DRAIN: Final = 2000
"""Bytes a second."""
BURST: Final = 0.02
"""Seconds of them that come at once, as in packets."""
RATE: Final = 50_000
MIX: Final = 60_000
BUFFER: Final = "2G"
"""Nothing is evicted: else the packet under the cursor would be, and the whole list would move."""
SETTLING: Final = 25.0
"""Seconds until the first picture stands, and it is known how slow the terminal is."""
KEYS: Final = 40
PAUSE: Final = (0.3, 0.9)
"""Seconds between an answer and the next key, at least and at most."""
CASES: Final = ("answers nothing", "answers", "answers, over SSH")
"""A pseudo-terminal and who reads it: only its bytes, or telling where its cursor is, too; and one behind sshd, which
takes all at once."""


class Drained(Terminal):
    """A terminal at the end of a slow link."""

    def __init__(self, command: Sequence[str], rate: int, *, answers: bool, takes_all: bool = False) -> None:
        """`rate`: bytes a second that it paints. `answers`: it tells where its cursor is (DSR 6). `takes_all`:
        somebody between reads all at once and holds it."""
        super().__init__(command, COLUMNS, ROWS)
        self._rate = rate
        self._answers = answers
        self._takes_all = takes_all
        self._held = b""
        self._credit = 0.0
        self._last = time.monotonic()

    def read(self, timeout: float) -> Run | None:
        """What comes next, painted."""
        until = time.monotonic() + timeout
        while True:
            data = self._next()
            if data:
                run = self.paint(data)
                if self._answers and self.screen.asked:
                    self.press("".join(f"\x1b[{row + 1};{column + 1}R" for row, column in self.screen.asked))
                self.screen.asked.clear()
                return run
            if time.monotonic() >= until:
                return None
            time.sleep(0.005)

    def _next(self) -> bytes:
        now = time.monotonic()
        self._credit = min(self._rate * BURST, self._credit + (now - self._last) * self._rate)
        self._last = now
        size = int(self._credit)
        if self._takes_all:
            self._held += self._taken(1 << 16)
            data, self._held = self._held[:size], self._held[size:]
        else:
            data = self._taken(size) if size else b""
        self._credit -= len(data)
        return data

    def _taken(self, size: int) -> bytes:
        if not select.select([self.fd], [], [], 0)[0]:
            return b""
        try:
            return os.read(self.fd, size)
        except OSError:
            return b""


def colours(terminal: Terminal, column: int) -> list[str]:
    """The background of each row in one column."""
    return [background(row[column]) for row in terminal.screen.style]


def find_cursor(terminal: Terminal) -> str:
    """Background colour of the cursor's row: the one that goes up by one row with each `k`."""
    for _ in range(10):
        before = colours(terminal, COLUMNS // 3)
        terminal.press("k")
        terminal.watch(3)
        after = colours(terminal, COLUMNS // 3)
        for row in range(1, ROWS):
            colour = before[row]
            if before.count(colour) == after.count(colour) == 1 and after[row - 1] == colour:
                return colour
    raise RuntimeError(f"the cursor was not found on the screen: {terminal.screen.line(0).strip()}")


def stands_at(terminal: Terminal, colour: str) -> int:
    """The row that is the cursor's alone, from column to column; -1: the screen is on its way."""
    first, last = (colours(terminal, column) for column in (1, COLUMNS - 3))
    if first.count(colour) == last.count(colour) == 1 and first.index(colour) == last.index(colour):
        return first.index(colour)
    return -1


def answers(terminal: Terminal, count: int) -> list[float]:
    """Seconds from writing each key until the cursor stands on its new row, whole, and nowhere else."""
    dice = random.Random(1)
    colour = find_cursor(terminal)
    found = []
    for number in range(count):
        terminal.watch(dice.uniform(*PAUSE))
        at = stands_at(terminal, colour)
        step, key = (-1, "k") if number % 2 else (1, "j")
        pressed = terminal.press(key)
        while stands_at(terminal, colour) != at + step:
            terminal.read(0.1)
            if time.monotonic() - pressed > PATIENCE:
                raise RuntimeError(f"key {number} was not answered within {PATIENCE:g} s")
        found.append(time.monotonic() - pressed)
    return found


def run(wire: Link, mix: Path, case: str, *, keys: int, settling: float) -> tuple[object, ...]:
    """Keys while packets arrive: a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        far = "SSH" in case
        command = [*NETWATCH, "-i", SINK, "--buffer", BUFFER, "--report", str(report)]
        if far:
            command = ["env", "SSH_TTY=/dev/null", *command]
        terminal = Drained(wire.inside(*command), DRAIN, answers=case != CASES[0], takes_all=far)
        while not terminal.size:
            terminal.read(1)
        terminal.watch(2)
        load = wire.steady(mix, RATE, 600)
        try:
            terminal.watch(settling)
            size, begun = terminal.size, time.monotonic()
            times = sorted(answers(terminal, keys))
            spent = time.monotonic() - begun
        finally:
            load.terminate()
            was_sent = sent(load)
        size = terminal.size - size
        terminal.watch(2)
        terminal.press("q")
        terminal.close()
        counted = json.loads(report.read_text())
    p50, p95, longest = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95, 1.0))
    dropped = counted["dropped"]
    lost = ", ".join(f"{count:,} {cause}" for cause, count in dropped.items() if count and cause != "freezes")
    unexplained = was_sent.packets - counted["packets"] - dropped["ring"] - dropped["interface"]
    stall = counted["longest_ui_stall_ms"]
    return (case, keys, p50, p95, longest, int(size / spent), was_sent.packets, lost or "none", unexplained, stall)


def measure(setting: Setting) -> Table:
    """As many runs of each case as are asked for, in turns."""
    columns = (
        *("the terminal", "keys", "p50 ms", "p95 ms", "max ms", "bytes/s", "packets sent", "dropped"),
        *("unexplained", "longest stall ms"),
    )
    table = Table(f"Keys on a terminal that takes {DRAIN:,} bytes/s, {COLUMNS}×{ROWS}", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    mix = setting.work / "slow.pcap"
    make(mix, MIX)
    cases, keys, settling = (CASES[2:], 4, 10.0) if setting.quick else (CASES, KEYS, SETTLING)
    with link() as wire:
        rows = [run(wire, mix, case, keys=keys, settling=settling) for _ in range(setting.times) for case in cases]
    table.rows += sorted(rows, key=lambda row: CASES.index(str(row[0])))
    table.notes += [
        f"{RATE:,} packets/s. From writing `j` or `k` until the cursor's new row is painted whole, its old one too.",
        "Over SSH: SSH_TTY is set, and what netwatch writes is taken at once and painted at that rate, as sshd does.",
    ]
    return table
