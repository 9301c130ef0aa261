"""Large files in the dashboard: memory a packet, time a packet, and frames that cost the same."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks.measure import NETWATCH, Table, medians
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

FACTORS: Final = (0.1, 1.0, 10.0)
"""Of the large capture's packets."""
PAGES: Final = 40
"""Keys whose frames are timed."""
PATIENCE: Final = 300.0
FILTER: Final = "/tcp.port == 443\r"


def opened(path: Path, pages: int) -> tuple[float, float, float, float]:
    """Open a file, wait until it is read, page through it, filter.

    -> RssAnon at its peak in MiB; CPU ms of a page; wall ms until a page is painted; until the filter is applied.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        terminal = Terminal([*NETWATCH, "-r", str(path), "--report", str(report)], 160, 50)
        begun = time.monotonic()
        while "ENDED" not in terminal.screen.line(0):
            terminal.read(1.0)
            if time.monotonic() - begun > PATIENCE:
                raise RuntimeError(f"{path.name} was not read within {PATIENCE:g} s")
        terminal.watch(1)
        cpu, walls = terminal.cpu(), []
        for number in range(pages):
            # Far apart, so that nothing is in a cache: to the end, and pages up from there; to the start, and down.
            key = ("G", "\x1b[5~", "g", "\x1b[6~")[number % 4]
            pressed = terminal.press(key)
            run = terminal.read(5.0)
            walls.append(1000 * ((run.at if run is not None else time.monotonic()) - pressed))
            terminal.watch(0.1)
        cpu = 1000 * (terminal.cpu() - cpu) / pages
        begun = time.monotonic()
        for key in FILTER:
            terminal.press(key)
            terminal.watch(0.02)
        while "FILTER" not in terminal.screen.line(0):
            terminal.read(5.0)
        filtered = time.monotonic() - begun
        terminal.watch(2)
        terminal.press("q")
        terminal.close()
        peak = json.loads(report.read_text())["rss_anon_peak"] / 2**20
    return peak, cpu, statistics.median(walls), 1000 * filtered


def measure(setting: Setting) -> Table:
    """The mix at three sizes; the largest is removed at once."""
    times = min(setting.times, 3)
    rows: list[tuple[object, ...]] = []
    costs: list[tuple[int, float]] = []
    for factor in FACTORS[:2] if setting.quick else FACTORS:
        path = setting.work / "growth.pcap"
        packets = make(path, int(setting.packets * factor))
        cost = medians({"summary": [*NETWATCH, "--summary", "-r", str(path)]}, times)["summary"]
        peak, cpu, wall, filtered = opened(path, 4 if setting.quick else PAGES)
        size = path.stat().st_size / 1e6
        path.unlink()
        costs.append((packets, cost.cpu))
        rows.append((packets, size, cost.cpu, peak, peak * 2**20 / packets, cpu, wall, filtered))
    steps = [(later[1] - earlier[1]) / (later[0] - earlier[0]) * 1e6 for earlier, later in pairwise(costs)]
    between = ["–", *(f"{step:.3f}" for step in steps)]
    columns = (
        *("packets", "MB", "summary CPU s", "RssAnon MiB", "RssAnon B a packet", "frame CPU ms", "frame wall ms"),
        *("filter typed and applied ms", "µs a further packet"),
    )
    notes = [
        f"Summary: median of {times}. The rest: one run of the dashboard, 160×50, the file read to its end; RssAnon "
        "is its peak, with some 40 MiB of the program itself. A frame: a page at the other end of the file.",
        "µs a further packet: CPU time of this summary less that of the one before, by the packets that it has more.",
    ]
    if len(steps) > 1:
        notes.append(f"Growth, the last of them to the one before: {steps[-1] / steps[-2]:.2f} ×.")
    return Table("Growth", columns, [(*row, step) for row, step in zip(rows, between, strict=True)], notes)
