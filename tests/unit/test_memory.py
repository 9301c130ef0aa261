"""Memory that stays put: minutes of flood from a million random sources, compressed into seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKETS = 2_000_000
BUFFER_MIB = 64
ALLOWED = 120_000_000
"""Bytes beside the buffer, the interpreter and all libraries included."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs proc(5)")


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    program, file = Path(__file__).with_name("flooded_dashboard.py"), tmp_path_factory.mktemp("saved") / "all.pcapng"
    done = subprocess.run(
        [sys.executable, str(program), str(PACKETS), str(BUFFER_MIB), str(file)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@pytest.mark.parametrize("part", ["plain", "all on", "saving"])
def test_memory_stays_within_the_buffer_and_a_little(flooded: dict[str, Any], part: str) -> None:
    assert flooded["evicted"] > PACKETS // 2, "the buffer was full and evicting"
    assert flooded["peaks"][part] <= (BUFFER_MIB << 20) + ALLOWED


def test_no_packet_is_lost_or_counted_twice_meanwhile(flooded: dict[str, Any]) -> None:
    assert flooded["sent"] >= PACKETS
    assert flooded["counted"] == flooded["sent"]
    assert not flooded["exact"]
    assert flooded["hosts_sent_or_got"] == 2 * flooded["sent"]


def test_what_the_filter_lets_through_is_all_in_conversations(flooded: dict[str, Any]) -> None:
    assert flooded["in_conversations"] == flooded["of_filter"] > PACKETS // 4
    assert flooded["conversations"] + flooded["other_conversations"] == flooded["in_conversations"]
    assert flooded["other_conversations"] > 0


def test_what_the_disk_does_not_take_is_counted(flooded: dict[str, Any]) -> None:
    assert flooded["written"] + flooded["not_written"] == flooded["sent"]
    assert min(flooded["written"], flooded["not_written"], flooded["saved"]) > 0
