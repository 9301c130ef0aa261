"""Packets at top speed: what netwatch and tcpdump lose, and what a packet costs them."""

from __future__ import annotations

import json
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import NETWATCH, Table, installed, wait
from benchmarks.network import SINK, Link, link, missing, sent
from benchmarks.setting import Setting
from benchmarks.terminal import Terminal
from benchmarks.traffic import make

__all__ = ["measure"]

PACKETS = 200_000
"""In the file that tcpreplay keeps in memory …"""
LOOPS = 10
"""… and sends so often."""
RING = "128M"
RING_KIB = str(128 << 10)
READY = 15.0
"""Seconds that a program may take to begin."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. Packets, but for the last two."""

    sent: int
    arrived: int
    """At the interface."""
    seen: int
    dropped: int
    """By the ring."""
    cpu: float
    rate: float
    """Packets a second, as tcpreplay says."""

    @property
    def unexplained(self) -> int:
        """What arrived and is neither seen nor reported as dropped."""
        return self.arrived - self.seen - self.dropped


def printing(wire: Link, mix: Path, command: Sequence[str], ready: bytes) -> tuple[str, str, Outcome]:
    """Run a program that says `ready` on stderr, send, interrupt it; its stdout, stderr and account (seen: 0)."""
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
        outcome = send(wire, mix)
        process.send_signal(signal.SIGINT)
        cost = wait(process, started, errors)
        out.seek(0)
        return out.read().decode(), cost.errors, replace_cpu(outcome, cost.cpu)


def replace_cpu(outcome: Outcome, cpu: float) -> Outcome:
    """The same with what the program has used."""
    return Outcome(outcome.sent, outcome.arrived, outcome.seen, outcome.dropped, cpu, outcome.rate)


def send(wire: Link, mix: Path) -> Outcome:
    """Everything, at top speed, and a moment for the last block."""
    before = wire.arrived()
    count, rate = sent(wire.replay(mix, "--topspeed", f"--loop={LOOPS}"))
    time.sleep(1)
    return Outcome(count, wire.arrived() - before, 0, 0, 0.0, rate)


def summary(wire: Link, mix: Path) -> Outcome:
    """netwatch --summary --json."""
    command = [*NETWATCH, "--summary", "--json", "-i", SINK, "--ring", RING]
    out, _, outcome = printing(wire, mix, command, b"capturing on")
    counted = json.loads(out)
    return counts(outcome, counted["packets"], counted["dropped"]["ring"])


def counts(outcome: Outcome, seen: int, dropped: int) -> Outcome:
    """The same with what the program has counted."""
    return Outcome(outcome.sent, outcome.arrived, seen, dropped, outcome.cpu, outcome.rate)


def tcpdump(wire: Link, mix: Path) -> Outcome:
    """tcpdump with a ring of the same size that writes nowhere."""
    command = ["tcpdump", "-i", SINK, "-B", RING_KIB, "-s", "0", "-Z", "root", "-w", "/dev/null"]
    _, errors, outcome = printing(wire, mix, command, b"listening on")
    seen, dropped = (
        int(found[1]) if (found := re.search(rf"(\d+) packets {word}", errors)) else -1
        for word in ("captured", "dropped by kernel")
    )
    return counts(outcome, seen, dropped)


def dashboard(wire: Link, mix: Path) -> Outcome:
    """The dashboard on a terminal of 160×50; its counts are those of --report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [*NETWATCH, "-i", SINK, "--ring", RING, "--fps", "10", "--report", str(report)]
        terminal = Terminal(wire.inside(*command), 160, 50)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            terminal.read(0.1)
        before = wire.arrived()
        replay = wire.replay(mix, "--topspeed", f"--loop={LOOPS}")
        while replay.poll() is None:
            terminal.read(0.1)
        count, rate = sent(replay)
        until = time.monotonic() + 3
        while time.monotonic() < until:
            terminal.read(0.1)
        arrived = wire.arrived() - before
        terminal.press("q")
        cpu = terminal.close()
        counted = json.loads(report.read_text())
    return Outcome(count, arrived, counted["packets"], counted["dropped"]["ring"], cpu, rate)


def measure(setting: Setting) -> Table:
    """All three, in turns; the run with the median CPU time of each."""
    counted = ("sent", "packets/s", "lost before the interface", "seen", "dropped by the ring", "unexplained")
    columns = ("program", *counted, "CPU s", "µs a packet")
    table = Table("Live, tcpreplay at top speed over a veth pair", columns, [], [])
    if reason := missing():
        table.notes.append(f"Not run: {reason}.")
        return table
    programs: dict[str, Callable[[Link, Path], Outcome]] = {
        f"netwatch --summary --ring {RING}": summary,
        "netwatch, dashboard": dashboard,
    }
    if installed("tcpdump"):
        programs[f"tcpdump -B {RING_KIB} -w /dev/null"] = tcpdump
    else:
        table.notes.append("tcpdump is not installed: left out.")
    mix = setting.work / "live.pcap"
    make(mix, PACKETS)
    runs: dict[str, list[Outcome]] = {name: [] for name in programs}
    with link() as wire:
        for _ in range(setting.times):
            for name, program in programs.items():
                runs[name].append(program(wire, mix))
    for name, outcomes in runs.items():
        middle = statistics.median_low([outcome.cpu for outcome in outcomes])
        one = next(outcome for outcome in outcomes if outcome.cpu == middle)
        found = (one.sent, int(one.rate), one.sent - one.arrived, one.seen, one.dropped, one.unexplained)
        table.rows.append((name, *found, one.cpu, one.cpu / one.sent * 1e6))
        dropped = ", ".join(f"{outcome.dropped:,}" for outcome in outcomes)
        table.notes.append(f"{name}: dropped in {len(outcomes)} runs: {dropped}.")
    table.notes.append(
        "Sender and receiver share the processors; CPU includes start-up and, in the dashboard, 6 s of quiet."
    )
    return table
