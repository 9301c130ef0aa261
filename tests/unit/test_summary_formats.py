"""The same packets in another format: the same summary, to the byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from netwatch.app.main import main

COUNT = 70_000
"""More than two blocks of a file, which end elsewhere in each format."""


def packet(n: int) -> bytes:
    """UDP between hosts that come up as often as others: what orders them must not be where a block ends."""
    payload = bytes(n * 7 % 40)
    udp = struct.pack("!4H", 5000 + n % 3, 53 if n % 5 else 9999, 8 + len(payload), 0) + payload
    ends = struct.pack("!2L", 0x0A000000 + n * 7919 % 1000, 0x0A010000 + n * 104_729 % 1000)
    ip = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + ends + udp
    return bytes.fromhex("0200000000020200000000010800") + ip


def pcap(packets: list[bytes]) -> bytes:
    records = [struct.pack("<4I", n // 1000, n % 1000, len(one), len(one)) + one for n, one in enumerate(packets)]
    return struct.pack("<I2HiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1) + b"".join(records)


def pcapng(packets: list[bytes]) -> bytes:
    blocks = [
        struct.pack("<3I2HqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28),
        struct.pack("<2I2H2I", 1, 20, 1, 0, 262144, 20),
    ]
    for n, one in enumerate(packets):
        size = 32 + len(one) + -len(one) % 4
        ts = n // 1000 * 1_000_000 + n % 1000
        head = struct.pack("<7I", 6, size, 0, ts >> 32, ts & 0xFFFFFFFF, len(one), len(one))
        blocks.append(head + one + bytes(-len(one) % 4) + struct.pack("<I", size))
    return b"".join(blocks)


def test_pcap_and_pcapng_have_one_summary(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    packets = [packet(n) for n in range(COUNT)]
    said = []
    for name, data in (("a.pcap", pcap(packets)), ("a.pcapng", pcapng(packets))):
        (tmp_path / name).write_bytes(data)
        assert main(["-r", str(tmp_path / name), "--summary", "--json"]) == 0
        said.append(capfd.readouterr().out)
    assert f'"packets": {COUNT}' in said[0]
    assert said[0] == said[1]
