"""Two network namespaces joined by a veth pair, and three ways to send a capture file from one to the other."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import installed

__all__ = ["SINK", "Link", "Sent", "link", "missing", "sent"]

SINK: Final = "sink0"
"""The interface that is captured."""
_SOURCE: Final = "source0"
_ROOT: Final = Path(__file__).parent.parent


def missing() -> str:
    """Why the live benchmarks cannot run, or nothing."""
    if os.geteuid():
        return "needs root, for network namespaces"
    lacking = [program for program in ("ip", "ethtool", "taskset") if not installed(program)]
    return f"needs {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What a sender says of itself."""

    packets: int
    seconds: float

    @property
    def rate(self) -> float:
        """Packets a second."""
        return self.packets / self.seconds


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between a sender, which has the first processor, and a receiver, which has the others."""

    sender: str
    receiver: str

    def inside(self, *command: str) -> list[str]:
        """`command`, run where packets arrive."""
        last = max(1, (os.cpu_count() or 1) - 1)
        pinned = ["taskset", "-c", f"1-{last}"] if (os.cpu_count() or 1) > 1 else []
        return ["ip", "netns", "exec", self.receiver, *pinned, *command]

    def _outside(self, *command: str) -> subprocess.Popen[str]:
        everything = ["ip", "netns", "exec", self.sender, "taskset", "-c", "0", *command]
        return subprocess.Popen(everything, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=_ROOT)

    def replay(self, path: Path, *options: str) -> subprocess.Popen[str]:
        """Start to send a capture file with tcpreplay."""
        return self._outside("tcpreplay", "-q", "-K", "-i", _SOURCE, *options, str(path))

    def flood(self, path: Path, seconds: float) -> subprocess.Popen[str]:
        """Start to send at line rate, as the kernel does it itself: flood.py."""
        return self._outside(sys.executable, "-m", "benchmarks.flood", _SOURCE, str(path), str(seconds))

    def steady(self, path: Path, rate: int, seconds: float) -> subprocess.Popen[str]:
        """Start to send `rate` packets a second, 0 as many as go: sender.py."""
        return self._outside(sys.executable, "-m", "benchmarks.sender", _SOURCE, str(path), str(rate), str(seconds))

    def module(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a module of this package that sends: its first argument is the interface, `arguments` follow."""
        return self._outside(sys.executable, "-m", f"benchmarks.{name}", _SOURCE, *arguments)

    @contextlib.contextmanager
    def taking_floods(self) -> Iterator[str]:
        """The receiving end takes frames in bulk, which `flood` needs -> why it does not, or nothing."""
        command = self.inside(sys.executable, "-m", "benchmarks.flood", "--open", SINK)
        opener = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT
        )
        assert opener.stdout is not None
        if opener.stdout.readline().strip() == "open":
            yield ""
            opener.communicate()
        else:
            yield (opener.communicate()[1].strip().splitlines() or ["it ended"])[-1]

    def arrived(self) -> int:
        """Packets that reached the receiving interface since it was made."""
        counters = subprocess.run(
            self.inside("cat", "/proc/net/dev"), capture_output=True, text=True, check=True
        ).stdout.partition(f"{SINK}:")[2]
        return int(counters.split()[1])


def sent(process: subprocess.Popen[str]) -> Sent:
    """Wait for a sender to end. Raises RuntimeError with what it said."""
    said = process.communicate()[0]
    with contextlib.suppress(ValueError, KeyError, TypeError):
        counted = json.loads(said)
        return Sent(counted["sent"], counted["seconds"])
    packets = re.search(r"Successful packets:\s+(\d+)", said)
    rate = re.search(r"([\d.]+) pps", said)
    if packets is None or rate is None:
        raise RuntimeError(f"the sender failed: {said.strip()}")
    return Sent(int(packets[1]), int(packets[1]) / float(rate[1]))


@contextlib.contextmanager
def link() -> Iterator[Link]:
    """Make the namespaces; both ends without IPv6 and offloads, so that what is sent is all that arrives."""
    names = [f"nwbench-{os.getpid()}-{end}" for end in ("a", "b")]

    def do(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    try:
        for name in names:
            do("ip", "netns", "add", name)
            do("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
        do(
            *("ip", "link", "add", _SOURCE, "netns", names[0], "type", "veth"),
            *("peer", SINK, "netns", names[1]),
        )
        for name, interface in zip(names, (_SOURCE, SINK), strict=True):
            inside = ("ip", "netns", "exec", name)
            off = [word for feature in ("tx", "gso", "tso", "gro") for word in (feature, "off")]
            do(*inside, "ethtool", "-K", interface, *off)
            do(*inside, "ip", "link", "set", interface, "arp", "off")
            do(*inside, "ip", "link", "set", interface, "up")
        yield Link(*names)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
