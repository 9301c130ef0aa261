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


def generate(path: Path) -> Path:
    command = [sys.executable, "-m", "benchmarks.traffic", str(path), str(COUNT)]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.strip() == str(COUNT)
    return path


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("mix") / "mix.pcap")


@pytest.fixture(scope="module")
def rows(mix: Path) -> Columns:
    source, decoder, parts = open_file(str(mix)), Decoder(), []
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
    assert 250 <= rows.wirelen.mean() <= 600


def test_only_the_broken_ones_of_the_demo_are_malformed(rows: Columns) -> None:
    assert np.count_nonzero(rows.marks & columns.MALFORMED) < COUNT // 500


@pytest.mark.parametrize("name", ["tls", "http", "ssh", "dns", "icmp", "icmpv6", "arp", "ntp", "mdns", "vlan"])
def test_a_protocol_is_in_it(rows: Columns, name: str) -> None:
    assert any(name in PATHS.names[path].split(":") for path in set(rows.path.tolist()))


def test_the_same_every_time(mix: Path, tmp_path: Path) -> None:
    assert generate(tmp_path / "again.pcap").read_bytes() == mix.read_bytes()
