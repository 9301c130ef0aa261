"""The time of a file's last packet, told from its end."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from netwatch.capture.sources.ending import last_time

SECOND = 1_000_000_000


def pcap(count: int, *, order: str = "<", magic: int = 0xA1B2C3D4, size: int = 100) -> bytes:
    made = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)]
    for number in range(count):
        made.append(struct.pack(f"{order}IIII", 1000 + number, 500, size, size) + bytes(size))
    return b"".join(made)


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(count: int, after: bytes = b"") -> bytes:
    made = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    made += block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + bytes(4))  # if_tsresol: ns
    for number in range(count):
        ticks = 1000 * SECOND + number
        made += block(6, struct.pack("<5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, 60, 60) + bytes(60))
    return made + after


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (pcap(50), 1049 * SECOND + 500_000),
        (pcap(50, order=">"), 1049 * SECOND + 500_000),
        (pcap(50, magic=0xA1B23C4D), 1049 * SECOND + 500),
        (pcap(9, size=65535), 1008 * SECOND + 500_000),
        (pcap(9, size=65535)[:-1], None),
        (pcap(2), None),
        (pcap(0), None),
        (pcap(50) + bytes(7), None),
        (b"", None),
        (b"no capture at all", None),
        (pcapng(20), 1000 * SECOND + 19),
        (pcapng(20, block(5, bytes(12)) * 3), 1000 * SECOND + 19),
        (pcapng(20, block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))), None),
        (pcapng(20)[:-2], None),
        (pcapng(0), None),
        (pcapng(3) + b"\xff" * 40, None),
    ],
)
def test_last_time(tmp_path: Path, data: bytes, expected: int | None) -> None:
    path = tmp_path / "capture"
    path.write_bytes(data)
    assert last_time(path) == expected


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert last_time(tmp_path / "nothing") is None
