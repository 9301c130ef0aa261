"""Two network namespaces joined by a veth pair, and tcpreplay from one to the other."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import installed

__all__ = ["SINK", "Link", "link", "missing"]

SINK: Final = "sink0"
"""The interface that is captured."""
_SOURCE: Final = "source0"


def missing() -> str:
    """Why the live benchmarks cannot run, or nothing."""
    if os.geteuid():
        return "needs root, for network namespaces"
    lacking = [program for program in ("ip", "ethtool", "tcpreplay") if not installed(program)]
    return f"needs {', '.join(lacking)}" if lacking else ""


@dataclass(frozen=True, slots=True)
class Link:
    """A cable between a sender and a receiver."""

    sender: str
    receiver: str

    def inside(self, *command: str) -> list[str]:
        """`command`, run where packets arrive."""
        return ["ip", "netns", "exec", self.receiver, *command]

    def replay(self, path: Path, *options: str) -> subprocess.Popen[str]:
        """Start to send a capture file."""
        command = ["ip", "netns", "exec", self.sender, "tcpreplay", "-q", "-K", "-i", _SOURCE, *options, str(path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def arrived(self) -> int:
        """Packets that reached the receiving interface since it was made."""
        counters = subprocess.run(
            self.inside("cat", "/proc/net/dev"), capture_output=True, text=True, check=True
        ).stdout.partition(f"{SINK}:")[2]
        return int(counters.split()[1])


def sent(replay: subprocess.Popen[str]) -> tuple[int, float]:
    """Wait for tcpreplay: packets that it sent, packets a second."""
    said = replay.communicate()[0]
    packets = re.search(r"Successful packets:\s+(\d+)", said)
    rate = re.search(r"([\d.]+) pps", said)
    if packets is None or rate is None:
        raise RuntimeError(f"tcpreplay: {said.strip()}")
    return int(packets[1]), float(rate[1])


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
