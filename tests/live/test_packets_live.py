"""`--json-packets` and `--fields` of packets that just arrive: dissected in order, printed at once, to the last."""

from __future__ import annotations

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Protocol

import pytest

REQUEST = b"GET /live HTTP/1.1\r\nHost: example.org\r\n\r\n"


class Veth(Protocol):
    """Two namespaces: `left` sends on a0, `right` captures on b0."""

    left: Any
    right: Any

    def replay(self, path: Path, *options: str) -> int: ...


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A request in two segments."""
    path, data = tmp_path / "halves.pcap", struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    for start, end in ((0, 20), (20, len(REQUEST))):
        tcp = struct.pack(">2H2I4H", 40000, 80, 1 + start, 1, 0x5018, 512, 0, 0) + REQUEST[start:end]
        ip = struct.pack(">2B3H2BH8s", 0x45, 0, 20 + len(tcp), 1, 0, 64, 6, 0, b"\n\x09\0\1\n\x09\0\2")
        frame = bytes.fromhex("ffffffffffff 02000000000a 0800") + ip + tcp
        data += struct.pack("=IIII", 1, start, len(frame), len(frame)) + frame
    path.write_bytes(data)
    return path


def lines(pair: Veth, halves: Path, *arguments: str) -> Generator[str, None, None]:
    """What it prints before it is stopped, and that it ends in order then."""
    command = ("ip", "netns", "exec", pair.right.name, sys.executable, "-m", "netwatch", "-i", "b0", *arguments)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stderr.readline() == "netwatch: capturing on b0\n"
            assert pair.replay(halves) == 2
            yield from iter(process.stdout.readline, "")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


def test_a_request_is_whole_in_its_second_packet(pair: Veth, halves: Path) -> None:
    printed = lines(pair, halves, "--json-packets", "tcp port 80")
    first, second = (json.loads(next(printed)) for _ in range(2))
    assert (first["number"], first["protocol"], "http.host" in first["values"]) == (1, "TCP", False)
    assert (second["number"], second["protocol"], second["values"]["http.host"]) == (2, "HTTP", ["example.org"])
    assert float(second["time"]) >= float(first["time"]) > 1_600_000_000
    printed.close()


def test_fields_of_dissectors_come_live_and_end_by_count(pair: Veth, halves: Path) -> None:
    printed = list(lines(pair, halves, "--fields", "frame.number,http.host", "-c", "2", "tcp port 80"))
    assert printed == ["frame.number\thttp.host\n", "1\t\n", "2\texample.org\n"]
