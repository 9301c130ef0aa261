"""`--summary --json` beside tshark's hierarchy and endpoints, over real captures."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netwatch.app.main import main

CAPTURES = Path(__file__).parents[3] / "shared" / "captures"
FILES = CAPTURES / "files"

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not FILES.is_dir(), reason="needs ../shared/captures"),
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

LEVELS = frozenset(
    {
        "eth",
        "vlan",
        "ieee8021ad",
        "sll",
        "null",
        "raw",
        "ppp",
        "pppoes",
        "pppoed",
        "mpls",
        "llc",
        "stp",
        "arp",
        "ip",
        "ipv6",
        "icmp",
        "icmpv6",
        "igmp",
        "gre",
        "vxlan",
        "geneve",
        "gtp",
        "ah",
        "esp",
        "sctp",
        "tcp",
        "udp",
    }
)
"""Protocols that both tell apart by the same rules; above them tshark knows more than netwatch ever will."""

OTHER_FORMATS = {
    "5_packets.erf": "tshark counts the record around a packet as a protocol",
    "dns.pcap.xz": "tshark 4.0 reads no xz",
}
DIFFERENT: dict[str, str] = {
    "pk_ip_totlen_wrong.pcap": "a total length of 0xffff: tshark gives the datagram up, here its ports are shown",
    "pk_random_after_ethertype.pcap": "random bytes: each EtherType is tried, and tshark's limits of depth differ",
    "snap_41.pcap": "a cut ICMP or TCP header in MPLS: tshark leaves the protocol out there, but not elsewhere",
    "clusterfuzz-testcase-minimized-FuzzTarget-5766899836387328": "tshark refuses a packet of 538,976,288 bytes",
    "clusterfuzz-testcase-minimized-FuzzTarget-6604968558198784": "a wire length above 2^31: tshark adds it up",
    "solaris.snoop": "Novell's IPX straight behind the length: tshark knows it, here it is read as LLC",
    "radiuslayer": "a hop-by-hop option that reaches beyond its header: tshark goes on to the ICMPv6 behind it",
}
"""Captures in which the two differ, and why."""


def tshark(path: Path) -> str:
    taps = ("io,phs", "endpoints,ip", "endpoints,ipv6")
    command = ["tshark", "-n", "-q", "-r", str(path), *(word for tap in taps for word in ("-z", tap))]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def hierarchy(said: str) -> dict[str, tuple[int, int]]:
    """Path -> packets, bytes. A comment is no protocol of the packet."""
    found: dict[str, tuple[int, int]] = {}
    stack: list[str] = []
    for line in said.splitlines():
        match = re.match(r"( *)(\S+)\s+frames:(\d+) bytes:(\d+)", line)
        if match:
            stack = [*stack[: len(match[1]) // 2], match[2]]
            path = ":".join(name for name in stack if name != "pkt_comment")
            packets, size = found.get(path, (0, 0))
            if match[2] != "pkt_comment":
                found[path] = packets + int(match[3]), size + int(match[4])
    return found


def endpoints(said: str) -> dict[str, tuple[int, ...]]:
    """Address -> packets, bytes, packets out, bytes out, packets in, bytes in."""
    lines = re.finditer(r"^(\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) *$", said, re.MULTILINE)
    return {line[1]: tuple(int(line[at]) for at in range(2, 8)) for line in lines}


def captures() -> Iterator[Path]:
    yield from sorted(path for path in FILES.rglob("*") if path.is_file() and path.name not in OTHER_FORMATS)


def summary(path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> dict[str, Any]:
    code = main(["-r", str(path), "--summary", "--json"])
    told = capfdbinary.readouterr()
    made: dict[str, Any] = json.loads(told.out)
    assert code == (3 if "error" in made else 0)
    assert told.out.count(b"\n") == 1
    others = [line for line in told.err.splitlines() if b"beyond the years 1677 to 2262" not in line]
    assert len(others) == (1 if code else 0)
    return made


def consistent(made: dict[str, Any]) -> None:
    """What the parts of one summary must have to do with each other."""
    assert sum(row["own_packets"] for row in made["protocols"]) == made["packets"]
    assert sum(row["packets"] for row in made["protocols"] if ":" not in row["path"]) == made["packets"]
    assert len({row["path"] for row in made["protocols"]}) == len(made["protocols"])
    for host in made["hosts"]:
        both = host["packets_in"] + host["packets_out"]
        assert max(host["packets_in"], host["packets_out"]) <= host["packets"] <= both
    assert (made["first_ts"] is None) == (made["packets"] == 0)
    assert made["dropped"] == {"ring": 0, "freezes": 0, "interface": 0, "queue": 0, "writer": 0}


def test_protocols_and_hosts_are_those_of_tshark(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    compared = same = hosts = 0
    different: dict[str, list[str]] = {}
    for path in captures():
        made = summary(path, capfdbinary)
        consistent(made)
        said = tshark(path)
        theirs = hierarchy(said)
        ours = {row["path"]: (row["packets"], row["bytes"]) for row in made["protocols"]}
        for name in sorted(theirs.keys() | ours.keys()):
            if LEVELS.issuperset(name.split(":")):
                compared += 1
                if theirs.get(name) == ours.get(name):
                    same += 1
                else:
                    line = f"{name}: tshark {theirs.get(name)}, netwatch {ours.get(name)}"
                    different.setdefault(path.name, []).append(line)
        if one_network_layer(made):
            hosts += compare_hosts(path.name, endpoints(said), made, different)
    unexpected = {name: lines for name, lines in different.items() if name not in DIFFERENT}
    assert not unexpected, "\n".join(f"{name}: {line}" for name, lines in unexpected.items() for line in lines)
    assert same >= 0.95 * compared
    assert hosts > 300


def one_network_layer(made: dict[str, Any]) -> bool:
    """No tunnel, and no ICMP error that may quote an address: tshark counts the endpoints of every IP header."""
    paths = [row["path"].split(":") for row in made["protocols"]]
    return not any(sum(name in ("ip", "ipv6") for name in path) > 1 or path[-1].startswith("icmp") for path in paths)


def compare_hosts(
    name: str, theirs: dict[str, tuple[int, ...]], made: dict[str, Any], different: dict[str, list[str]]
) -> int:
    """A packet to its own sender counts twice for tshark, and once here (CONTRACT.md, `hosts`)."""
    ours = {host["address"]: twice(host) for host in made["hosts"]}
    for address, counts in theirs.items():
        if ours.get(address) != counts:
            different.setdefault(name, []).append(f"{address}: tshark {counts}, netwatch {ours.get(address)}")
    return len(theirs)


def twice(host: dict[str, Any]) -> tuple[int, ...]:
    packets, size = host["packets_in"] + host["packets_out"], host["bytes_in"] + host["bytes_out"]
    return packets, size, *(host[key] for key in ("packets_out", "bytes_out", "packets_in", "bytes_in"))
