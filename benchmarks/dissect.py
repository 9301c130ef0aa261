"""What the packets on screen cost: the words of a screen's rows, and the tree of one packet; fields beside tshark."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks.measure import NETWATCH, Table, installed, medians
from benchmarks.setting import Setting

__all__ = ["measure"]

ROWS: Final = 60
"""Packets on a screen."""
SCREENS: Final = 60
"""Places of the capture that are looked at."""
COMMON: Final = ("arp", "icmp", "icmpv6", "tcp", "udp", "dns", "http", "tls", "quic", "ssh", "ntp", "dhcp")
FIELDS: Final = (
    "frame.number,_ws.col.Protocol,_ws.col.Info,dns.qry.name,http.host,tls.handshake.extensions_server_name"
)


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def look(big: Path, demo: Path) -> dict[str, list[float] | dict[str, list[float]]]:
    """Rows of the large capture alone, then with what their conversations said; trees of the demo by protocol."""
    import numpy as np

    from netwatch.capture.decode import Decoder
    from netwatch.capture.dissect import dissect, summarise
    from netwatch.capture.engine import batches
    from netwatch.capture.explain import Explainer
    from netwatch.capture.sources.files import open_file
    from netwatch.capture.store import Store

    def load(path: Path) -> tuple[Store, Explainer]:
        source = open_file(str(path))
        store = Store(None, source.read_at)
        for batch in batches(source, Decoder(), threading.Event()):
            store.append(batch)
        return store, Explainer(store, source)

    store, explainer = load(big)
    alone, settled = [], []
    for start in np.linspace(0, max(store.end - ROWS, 0), SCREENS).astype(int).tolist():
        screen = range(start, min(start + ROWS, store.end))

        def words(screen: Sequence[int] = screen) -> None:
            rows = store.rows(np.array(screen, np.int64))
            for at, index in enumerate(screen):
                summarise(store.data(index), 1, int(rows.wirelen[at]))

        def words_for_good(screen: Sequence[int] = screen) -> None:
            explainer.prepare(screen)
            for index in screen:
                explainer.summary(index)

        alone.append(spent(words))
        settled.append(spent(words_for_good))
    store, explainer = load(demo)
    rows = store.rows(np.arange(store.end))
    trees: dict[str, list[float]] = defaultdict(list)
    for index in range(store.end):
        data, wirelen = store.data(index), int(rows.wirelen[index])
        name = summarise(data, 1, wirelen).name
        if name in COMMON and len(trees[name]) < 200:
            trees[name].append(spent(lambda data=data, wirelen=wirelen: dissect(data, 1, wirelen)))  # type: ignore[misc]
    return {"alone": alone, "settled": settled, "trees": dict(trees)}


def measure(setting: Setting) -> Table:
    """In a process of its own, whose caches are its own."""
    from netwatch.app.opening import DEMO

    command = [sys.executable, "-m", "benchmarks.dissect", str(setting.big), str(DEMO)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    rows: list[Sequence[object]] = [
        (f"info of {ROWS} rows, each alone", *three(found["alone"])),
        (f"info of {ROWS} rows, with their conversations", *three(found["settled"])),
        *((f"tree, {name}", *three(found["trees"][name])) for name in COMMON if name in found["trees"]),
    ]
    notes = [
        f"ms of CPU. Rows at {SCREENS} places of {setting.packets:,} packets; what they need of earlier ones is "
        "done between frames, eight milliseconds at a time. Trees of up to 200 packets a protocol, from the demo."
    ]
    both = {"netwatch": [*NETWATCH, "-r", str(DEMO), "--fields", FIELDS]}
    if installed("tshark"):
        asked = [part for name in FIELDS.split(",") for part in ("-e", name)]
        both["tshark"] = ["tshark", "-n", "-r", str(DEMO), "-T", "fields", "-E", "occurrence=f", *asked]
    costs = medians(both, setting.times)
    said = ", ".join(f"{name} {cost.cpu:.2f} s" for name, cost in costs.items())
    notes.append(f"`--fields {FIELDS}` of the demo's packets, start-up included, median of {setting.times}: {said}.")
    return Table("Dissection", ("what", "median", "p95", "max"), rows, notes)


def three(values: list[float]) -> tuple[float, float, float]:
    """Median, 95th percentile, maximum."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.95)], ordered[-1]


if __name__ == "__main__":
    print(json.dumps(look(Path(sys.argv[1]), Path(sys.argv[2]))))
