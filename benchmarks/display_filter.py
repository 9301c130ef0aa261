"""A display filter over packets that are kept, beside tshark -Y over the file."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Table, installed, medians
from benchmarks.setting import Setting

__all__ = ["measure"]

FILTER = "tcp.port == 443"


def apply(path: Path, times: int) -> dict[str, float]:
    """Load `path` as the dashboard does, then apply the filter `times` times; CPU seconds and rows that passed."""
    from netwatch.capture.block import Batch
    from netwatch.capture.decode import Decoder
    from netwatch.capture.session import Session
    from netwatch.capture.sources.files import open_file

    source, decoder = open_file(str(path)), Decoder()
    session = Session(source, buffer=None)
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            session.ingest(Batch(decoder.decode(block).rows, None))
    spent = []
    for _ in range(times):
        session.set_filter("")
        settle(session)
        started = time.process_time()
        session.set_filter(FILTER)
        settle(session)
        spent.append(time.process_time() - started)
    return {"cpu": sorted(spent)[len(spent) // 2], "rows": len(session.view)}


def settle(session: object) -> None:
    """Until the view is complete: what a large capture leaves over is done between repaints."""
    while session.view.pending:  # type: ignore[attr-defined]
        session.tick(time.monotonic())  # type: ignore[attr-defined]


def measure(setting: Setting) -> Table:
    """The filter in a process of its own, so that its memory and time are not the benchmark's."""
    command = [sys.executable, "-m", "benchmarks.display_filter", str(setting.big), str(setting.times)]
    ours = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows: list[tuple[object, ...]] = [("netwatch, packets kept", ours["cpu"], ours["rows"], "1.0 ×")]
    notes = [
        f"`{FILTER}` over {setting.packets:,} packets; median of {setting.times}. tshark reads the file each time."
    ]
    if installed("tshark"):
        search = ["tshark", "-n", "-r", str(setting.big), "-Y", FILTER, "-T", "fields", "-e", "frame.number"]
        theirs = medians({"tshark": search}, setting.times)["tshark"].cpu
        found = subprocess.run(search, check=True, capture_output=True).stdout.count(b"\n")
        rows.append(("tshark -Y", theirs, found, f"{theirs / ours['cpu']:,.0f} ×"))
    else:
        notes.append("tshark is not installed: left out.")
    return Table("Display filter", ("program", "CPU s", "packets found", "CPU, netwatch = 1"), [*rows], notes)


if __name__ == "__main__":
    print(json.dumps(apply(Path(sys.argv[1]), int(sys.argv[2]))))
