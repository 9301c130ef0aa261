"""Run the benchmarks: all of them, or those that are named."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.measure import Table
from benchmarks.setting import Setting
from benchmarks.traffic import MIXES, make

NAMES: Final = ("summary", "start", "filter", "dissect", "live", "keys", "terminal", "growth", "memory")
"""Each a module with `measure(setting) -> Table`, under its own name or those of MODULES."""
MODULES: Final = {"filter": ("display_filter",), "terminal": ("screen_bytes", "slow_terminal")}
QUICK: Final = 20_000
"""Packets of the large capture that only shows that everything runs."""


def machine() -> str:
    """What the figures belong to."""
    model = "unknown processor"
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    busy = os.getloadavg()[0]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, Linux {platform.release()}, {os.cpu_count()} × {model}, load {busy:.1f} at the start"


def main() -> int:
    """Make the packets, measure, print Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="netwatch beside its peers, in one run."
    )
    option = parser.add_argument
    option("names", nargs="*", metavar="NAME", help=f"what to run (default: all): {', '.join(NAMES)}")
    option("--packets", type=int, default=1_000_000, help="size of the large capture (default: %(default)s)")
    option("--times", type=int, default=5, help="runs of which the median counts (default: %(default)s)")
    option("--mix", choices=sorted(MIXES), default="web", help="which packets are generated (default: %(default)s)")
    option("--repeat", type=Path, metavar="FILE", help="repeat this capture instead")
    option("--seconds", type=float, default=600, help="of the flood that `memory` watches (default: %(default)g)")
    option("--quick", action="store_true", help="small and once: only shows that everything runs")
    option("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(NAMES)})")

    print(machine(), flush=True)
    print("CPU time is user + system of a program and its children.\n", flush=True)
    packets, times = (QUICK, 1) if options.quick else (options.packets, options.times)
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as folder:
        work = Path(folder)
        big = work / "big.pcap"
        packets = make(big, packets, options.repeat or options.mix)
        setting = Setting(
            big=big, packets=packets, times=times, work=work, quick=options.quick, seconds=options.seconds
        )
        for name in options.names or NAMES:
            for module in MODULES.get(name, (name,)):
                tables.append(importlib.import_module(f"benchmarks.{module}").measure(setting))
                print(tables[-1].markdown(), flush=True)
    if options.json:
        options.json.write_text(
            json.dumps({"machine": machine(), "tables": [table.data() for table in tables]}, indent=2) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
