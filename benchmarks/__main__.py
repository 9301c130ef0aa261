"""Run the benchmarks: all of them, or those that are named."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.measure import Table
from benchmarks.setting import Setting
from benchmarks.traffic import make

NAMES: Final = ("summary", "start", "filter", "live", "keys")
"""Each a module with `measure(setting) -> Table`."""


def main() -> int:
    """Make the packets, measure, print Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="netwatch beside its peers, in one run."
    )
    option = parser.add_argument
    option("names", nargs="*", metavar="NAME", help=f"what to run (default: all): {', '.join(NAMES)}")
    option("--packets", type=int, default=1_000_000, help="size of the large capture (default: %(default)s)")
    option("--times", type=int, default=5, help="runs of which the median counts (default: %(default)s)")
    option("--repeat", type=Path, metavar="FILE", help="repeat this capture instead of the generated mix")
    option("--json", type=Path, metavar="FILE", help="write the figures as JSON, too")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are {', '.join(NAMES)})")

    print(f"{platform.python_implementation()} {platform.python_version()}, Linux {platform.release()}", flush=True)
    print("CPU time is user + system of a program and its children.\n", flush=True)
    tables: list[Table] = []
    with tempfile.TemporaryDirectory(prefix="netwatch-bench-") as folder:
        work = Path(folder)
        big = work / "big.pcap"
        packets = make(big, options.packets, options.repeat)
        setting = Setting(big=big, packets=packets, times=options.times, work=work)
        for name in options.names or NAMES:
            module = importlib.import_module(f"benchmarks.{'display_filter' if name == 'filter' else name}")
            tables.append(module.measure(setting))
            print(tables[-1].markdown(), flush=True)
    if options.json:
        options.json.write_text(json.dumps([table.data() for table in tables], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
