"""The packets that the benchmarks make are what they claim: whole, decodable, of many protocols, always the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture import columns
from netwatch.capture.columns import Columns
from netwatch.capture.decode import Decoder
from netwatch.capture.paths import PATHS
from netwatch.capture.sources.files import open_file

ROOT = Path(__file__).parents[2]
COUNT = 20_000


def generate(path: Path, mix: str = "web") -> Path:
    command = [sys.executable, "-m", "benchmarks.traffic", str(path), str(COUNT), mix]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.strip() == str(COUNT)
    return path


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("mix") / "mix.pcap")


@pytest.fixture(scope="module")
def rows(mix: Path) -> Columns:
    return decoded(mix)


def decoded(path: Path) -> Columns:
    source, decoder, parts = open_file(str(path)), Decoder(), []
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            parts.append(decoder.decode(block).rows)
    assert source.damage is None
    return Columns.concatenate(parts)


def test_there_are_as_many_packets_as_asked_for(rows: Columns) -> None:
    assert len(rows) == COUNT


def test_they_fit_a_cable(rows: Columns) -> None:
    assert rows.wirelen.max() <= 1518
    assert 420 <= rows.wirelen.mean() <= 560  # few long connections weigh much in few packets


def test_only_the_broken_ones_of_the_demo_are_malformed(rows: Columns) -> None:
    assert np.count_nonzero(rows.marks & columns.MALFORMED) < COUNT // 500


def speaking(rows: Columns, name: str) -> Columns:
    known = np.array([name in path.split(":") for path in PATHS.names])
    return rows.take(known[rows.path])


def connections(rows: Columns) -> np.ndarray:
    """Packets of each pair of addresses and ports that speaks TCP."""
    tcp = speaking(rows, "tcp")
    tcp = tcp.take(tcp.sport > 0)
    ends = np.stack([tcp.src_lo * 65536 + tcp.sport, tcp.dst_lo * 65536 + tcp.dport])
    return np.unique(np.sort(ends, axis=0), axis=1, return_counts=True)[1]


def test_most_connections_are_short_and_each_has_its_handshake(rows: Columns) -> None:
    packets = connections(rows)
    assert 10 <= np.median(packets) <= 30
    assert 20 <= packets.mean() <= 40
    opened = np.count_nonzero(rows.tcp_flags & 0x12 == 0x02)
    assert 0.9 * len(packets) <= opened <= 1.1 * len(packets)


def test_names_are_looked_up_from_ports_of_their_own(rows: Columns) -> None:
    dns = speaking(rows, "dns")
    queries, answers = dns.take(dns.dport == 53), dns.take(dns.sport == 53)
    assert 0.04 <= len(dns) / len(rows) <= 0.12
    assert abs(len(queries) - len(answers)) <= 0.1 * len(queries)
    assert len(np.unique(queries.sport)) >= 0.8 * len(queries)


def test_the_other_mix_is_of_smaller_packets(tmp_path: Path) -> None:
    plain = decoded(generate(tmp_path / "plain.pcap", "plain"))
    assert 300 <= plain.wirelen.mean() <= 460


@pytest.mark.parametrize("name", ["tls", "http", "ssh", "dns", "icmp", "icmpv6", "arp", "ntp", "mdns", "vlan"])
def test_a_protocol_is_in_it(rows: Columns, name: str) -> None:
    assert any(name in PATHS.names[path].split(":") for path in set(rows.path.tolist()))


def test_the_same_every_time(mix: Path, tmp_path: Path) -> None:
    assert generate(tmp_path / "again.pcap").read_bytes() == mix.read_bytes()
