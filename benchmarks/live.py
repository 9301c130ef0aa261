"""Packets at line rate: what netwatch and tcpdump lose, and what a packet costs them."""

from __future__ import annotations

import json
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.measure import NETWATCH, Table, installed, wait
from benchmarks.network import SINK, Link, Sent, link, missing, sent
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

PACKETS: Final = 60_000
"""Of the mix, sent again and again."""
SECONDS: Final = 10.0
RING: Final = "128M"
RING_KIB: Final = str(128 << 10)
BUFFER: Final = "128M"
"""Of the dashboard: full within the first second."""
READY: Final = 15.0
"""Seconds that a program may take to begin."""
QUIET: Final = 2.0
"""Seconds after the last packet until the program is ended."""

Start = Callable[[], subprocess.Popen[str]]
"""Begin to send."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. Packets, but for what is said."""

    sent: Sent
    arrived: int
    """At the interface."""
    seen: int = 0
    dropped: int = 0
    """By the ring, and by the interface."""
    cpu: float = 0.0
    """Seconds."""
    frames: int | str = "–"
    stall: float | str = "–"
    """Milliseconds."""

    @property
    def unexplained(self) -> int:
        """What was sent and is neither seen nor reported as dropped."""
        return self.sent.packets - self.seen - self.dropped


Program = Callable[[Link, Start], Outcome]
"""Run something while packets arrive."""


def printing(wire: Link, start: Start, command: Sequence[str], ready: bytes) -> tuple[str, str, Outcome]:
    """Run a program that says `ready` on stderr, send, interrupt it; its stdout, stderr and account."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(wire.inside(*command), stdin=subprocess.DEVNULL, stdout=out, stderr=errors)
        said = b""
        while ready not in said:
            if process.poll() is not None or time.monotonic() - started > READY:
                process.kill()
                raise RuntimeError(f"{command[0]} did not begin: {said.decode('utf-8', 'replace').strip()}")
            time.sleep(0.05)
            errors.seek(0)
            said = errors.read()
        before = wire.arrived()
        was_sent = sent(start())
        time.sleep(QUIET)
        outcome = Outcome(was_sent, wire.arrived() - before)
        process.send_signal(signal.SIGINT)
        cost = wait(process, started, errors)
        out.seek(0)
        return out.read().decode(), cost.errors, replace(outcome, cpu=cost.cpu)


def summary(wire: Link, start: Start) -> Outcome:
    """netwatch --summary --json."""
    command = [*NETWATCH, "--summary", "--json", "-i", SINK, "--ring", RING]
    out, _, outcome = printing(wire, start, command, b"capturing on")
    return counts(outcome, json.loads(out))


def counts(outcome: Outcome, report: dict[str, int | dict[str, int]]) -> Outcome:
    """With what netwatch has counted."""
    packets, dropped = report["packets"], report["dropped"]
    assert isinstance(packets, int)
    assert isinstance(dropped, dict)
    return replace(outcome, seen=packets, dropped=dropped["ring"] + dropped["interface"])


def tcpdump(file: str) -> Program:
    """tcpdump with a ring of the same size that writes to `file`."""

    def run(wire: Link, start: Start) -> Outcome:
        command = ["tcpdump", "-i", SINK, "-B", RING_KIB, "-s", "0", "-Z", "root", "-w", file]
        _, errors, outcome = printing(wire, start, command, b"listening on")
        if file != "/dev/null":
            Path(file).unlink(missing_ok=True)
        # What it was interrupted over is "received by filter", not yet "captured".
        seen, dropped = (
            int(found[1]) if (found := re.search(rf"(\d+) packets {word}", errors)) else 0
            for word in ("received by filter", "dropped by kernel")
        )
        return replace(outcome, seen=seen - dropped, dropped=dropped)

    return run


def dashboard(wire: Link, start: Start) -> Outcome:
    """The dashboard on a terminal of 160×50, TCP switched on; its counts are those of --report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [*NETWATCH, "-i", SINK, "--ring", RING, "--buffer", BUFFER, "--fps", "10", "--report", str(report)]
        terminal = Terminal(wire.inside(*command), 160, 50, painted=False)
        terminal.watch(2)
        terminal.press("t")
        terminal.watch(1)
        before = wire.arrived()
        sender = start()
        while sender.poll() is None:
            terminal.read(0.1)
        was_sent = sent(sender)
        terminal.watch(QUIET)
        outcome = Outcome(was_sent, wire.arrived() - before)
        terminal.press("q")
        cpu = terminal.close()
        told = json.loads(report.read_text())
    return replace(counts(outcome, told), cpu=cpu, frames=told["frames"], stall=told["longest_ui_stall_ms"])


def measure(setting: Setting) -> Table:
    """All in turns; the run with the median CPU time of each."""
    columns = (
        *("program", "sender", "sent", "packets/s", "seen", "dropped", "unexplained"),
        *("CPU s", "µs a packet", "frames", "longest stall ms"),
    )
    table = Table("Live at line rate, over a veth pair", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    seconds = SECONDS if not setting.quick else 1.0
    mix = setting.work / "live.pcap"
    make(mix, PACKETS)
    with link() as wire, wire.taking_floods() as hindrance:
        if hindrance:
            table.notes.append(f"The kernel cannot send frames itself ({hindrance}): many a system call instead.")

        def fast() -> subprocess.Popen[str]:
            return wire.steady(mix, 0, seconds) if hindrance else wire.flood(mix, seconds)

        def replayed() -> subprocess.Popen[str]:
            return wire.replay(mix, "--topspeed", "--no-flow-stats", f"--duration={round(seconds)}", "--loop=0")

        whole = f"netwatch, dashboard, --ring {RING} --buffer {BUFFER}"
        cases: dict[tuple[str, str], tuple[Program, Start]] = {
            (f"netwatch --summary --ring {RING}", "kernel"): (summary, fast),
            (whole, "kernel"): (dashboard, fast),
        }
        if installed("tcpdump"):
            cases[f"tcpdump -B {RING_KIB} -w /dev/null", "kernel"] = (tcpdump("/dev/null"), fast)
            cases[f"tcpdump -B {RING_KIB} -w FILE", "kernel"] = (tcpdump(str(setting.work / "live-out.pcap")), fast)
        else:
            table.notes.append("tcpdump is not installed: left out.")
        if installed("tcpreplay"):
            cases[whole, "tcpreplay"] = (dashboard, replayed)
        else:
            table.notes.append("tcpreplay is not installed: left out.")
        runs: dict[tuple[str, str], list[Outcome]] = {name: [] for name in cases}
        for _ in range(setting.times):
            for case, (program, start) in cases.items():
                runs[case].append(program(wire, start))
    for (name, sender), outcomes in runs.items():
        middle = statistics.median_low([outcome.cpu for outcome in outcomes])
        one = next(outcome for outcome in outcomes if outcome.cpu == middle)
        found = (one.sent.packets, int(one.sent.rate), one.seen, one.dropped, one.unexplained)
        table.rows.append((name, sender, *found, one.cpu, one.cpu / one.sent.packets * 1e6, one.frames, one.stall))
        dropped = ", ".join(f"{outcome.dropped:,} of {outcome.sent.packets:,}" for outcome in outcomes)
        table.notes.append(f"{name} ({sender}): dropped in {len(outcomes)} runs: {dropped}.")
    table.notes += [
        f"{seconds:g} s at the sender's top speed. The sender has the first processor, with it the kernel's part of "
        "receiving; the program has the other.",
        "CPU is that of the program, its start-up and some seconds of quiet included. The dashboard: 160×50, TCP "
        "switched on, the buffer full and evicting within the first second.",
    ]
    return table
