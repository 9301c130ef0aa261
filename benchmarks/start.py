"""The first frame: how long, at what cost, how many bytes."""

from __future__ import annotations

import statistics
import time

from benchmarks.measure import NETWATCH, Table
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import DEMO

__all__ = ["measure"]

SIZES = ((80, 24), (120, 40), (200, 60))


def first_frame(arguments: list[str], columns: int, rows: int) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds and bytes until the whole first screen was there."""
    terminal = Terminal([*NETWATCH, *arguments], columns, rows)
    painted: set[int] = set()
    while len(painted) < rows:
        run = terminal.read(10)
        if run is None:
            raise RuntimeError(f"netwatch {' '.join(arguments)}: no first frame")
        painted |= run.rows
    wall, cpu, size = time.monotonic() - terminal.began, terminal.cpu(), terminal.size
    terminal.press("q")
    terminal.close()
    return wall, cpu, size


def measure(setting: Setting) -> Table:
    """The demo and the large file at three sizes of the terminal."""
    rows = []
    for name, arguments in (
        ("demo", ["demo"]),
        (DEMO.name, ["-r", str(DEMO)]),
        ("large file", ["-r", str(setting.big)]),
    ):
        for columns, lines in SIZES:
            frames = [first_frame(arguments, columns, lines) for _ in range(setting.times)]
            wall, cpu, size = (statistics.median(values) for values in zip(*frames, strict=True))
            rows.append((name, f"{columns}×{lines}", float(wall), float(cpu), int(size)))
    return Table(
        "First frame",
        ("source", "terminal", "wall s", "CPU s", "bytes to the terminal"),
        [*rows],
        [
            f"Until every row of the screen was written; median of {setting.times} runs.",
            "Wall time depends on what else the machine does.",
        ],
    )
