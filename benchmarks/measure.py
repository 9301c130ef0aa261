"""Run a program and say what it cost, as CPU time: wall time on a machine that others use says little."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

__all__ = ["NETWATCH", "Cost", "Table", "installed", "median", "medians", "run", "wait"]

NETWATCH: Final = [str(Path(sys.executable).with_name("netwatch"))]
"""The command of the environment that runs the benchmark."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took."""

    cpu: float
    """Seconds, user and system, of the process and the children it waited for (os.wait4)."""
    wall: float
    rss: int
    """Bytes at the peak."""
    status: int
    """Exit code."""
    errors: str
    """What it wrote to stderr, the last 2,000 characters."""


def run(command: Sequence[str]) -> Cost:
    """Run to the end, its standard output to /dev/null."""
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        return wait(process, started, errors)


def wait(process: subprocess.Popen[bytes], started: float, errors: IO[bytes]) -> Cost:
    """Wait for a program to end and take its account."""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    errors.seek(0)
    return Cost(
        cpu=usage.ru_utime + usage.ru_stime,
        wall=wall,
        rss=usage.ru_maxrss * 1024,
        status=process.returncode,
        errors=errors.read()[-2000:].decode("utf-8", "replace"),
    )


def medians(commands: Mapping[str, Sequence[str]], times: int) -> dict[str, Cost]:
    """The run with the median CPU time of each command; they take turns, so that a busy minute hits them all."""
    runs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            cost = run(command)
            if cost.status:
                raise RuntimeError(f"{' '.join(command)}: exit {cost.status}: {cost.errors.strip()}")
            runs[name].append(cost)
    return {name: median(costs) for name, costs in runs.items()}


def median(costs: Sequence[Cost]) -> Cost:
    """The run in the middle."""
    middle = statistics.median_low([cost.cpu for cost in costs])
    return next(cost for cost in costs if cost.cpu == middle)


def installed(program: str) -> bool:
    """Whether a peer can be run; /usr/sbin is not in everybody's PATH."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is not None


@dataclass(slots=True)
class Table:
    """One result: a Markdown table under a title, and the same as data."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[object]]
    notes: list[str]

    def markdown(self) -> str:
        """As in docs/PERFORMANCE.md."""
        lines = [f"### {self.title}", ""]
        lines += [f"| {' | '.join(self.columns)} |", f"|{'---|' * len(self.columns)}"]
        lines += [f"| {' | '.join(text(cell) for cell in row)} |" for row in self.rows]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes), ""])

    def data(self) -> dict[str, object]:
        """For --json."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": self.notes}


def text(cell: object) -> str:
    """A cell of the table."""
    if isinstance(cell, float):
        return f"{cell:,.3f}" if cell < 10 else f"{cell:,.1f}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
