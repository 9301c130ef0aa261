"""snoop, ERF and the rarer pcaps, made of real captures: as tshark reads them."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.app.main import main
from netwatch.capture.block import Source
from netwatch.capture.sources.files import open_file

CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures" / "files"
FIELDS = "frame.number,frame.time_epoch,frame.len,eth.src,ip.src,ip.dst,ipv6.src,tcp.srcport,udp.dstport,tcp.flags"
WANTED = 6
"""Captures that are made over; more would only take longer."""

Packet = tuple[int, bytes, int]
"""Time, bytes, wire length."""


@pytest.fixture(scope="module")
def ethernet() -> list[Path]:
    """Captures that hold whole Ethernet packets and nothing broken."""
    if not CAPTURES.is_dir():
        pytest.skip("the captures are not here (../shared/captures)")
    for tool in ("tshark", "editcap"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    chosen: list[Path] = []
    for path in sorted(CAPTURES.rglob("*.pcap")):
        if len(chosen) < WANTED and 1000 < path.stat().st_size < 100_000 and sound(path):
            chosen.append(path)
    return chosen


def sound(path: Path) -> bool:
    try:
        source = open_file(path)
    except Exception:
        return False
    packets(source)
    return source.damage is None and [each.linktype for each in source.interfaces] == [1]


def packets(source: Source) -> list[Packet]:
    found: list[Packet] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        if block is None:
            continue
        for ts, start, size, length in zip(
            block.ts.tolist(), block.offsets.tolist(), block.caplen.tolist(), block.wirelen.tolist(), strict=True
        ):
            found.append((ts, block.raw[start : start + size].tobytes(), length))
    source.close()
    return found


def tshark(path: Path) -> str:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "header=y", "-E", "occurrence=f"]
    command += [word for name in FIELDS.split(",") for word in ("-e", name)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def snoop(source: Path, target: Path) -> None:
    subprocess.run(["editcap", "-F", "snoop", str(source), str(target)], capture_output=True, timeout=60, check=True)


def erf(source: Path, target: Path) -> None:
    """editcap does not write ERF from anything else."""
    made = []
    for number, (ts, data, length) in enumerate(packets(open_file(source))):
        fixed = (ts // 1_000_000_000 << 32) + (ts % 1_000_000_000 << 32) // 1_000_000_000
        extension = b"\x04" + bytes(7) if number % 3 == 0 else b""
        size = 18 + len(extension) + len(data) + (-len(data) & 7)
        made.append(struct.pack("<QBB", fixed, 0x82 if extension else 2, 4 | number & 3))
        made.append(struct.pack(">HHH", size, 0, min(length, 0xFFFF)) + extension + bytes(2))
        made.append(data + bytes(-len(data) & 7))
    target.write_bytes(b"".join(made))


def dressed(magic: int, order: str) -> Callable[[Path, Path], None]:
    """pcap under another magic: with more words in the file header or in each record's."""

    def make(source: Path, target: Path) -> None:
        after = bytes(8) if magic == 0xA1B2CD34 else b""
        records = b"".join(
            struct.pack(f"{order}IIII", ts // 1_000_000_000, ts % 1_000_000_000 // 1000, len(data), length)
            + after
            + data
            for ts, data, length in packets(open_file(source))
        )
        head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262144, 1)
        ixia = struct.pack(f"{order}I", len(records)) if magic >> 16 == 0x1C00 else b""
        target.write_bytes(head + ixia + records)

    return make


def aix(source: Path, target: Path) -> None:
    """Version 2.2, an interface type in place of the link type, nanoseconds, the wire length first."""
    made = [struct.pack(">IHHiIII", 0xA1B2C3D4, 2, 2, 0, 0, 65535, 6)]
    for ts, data, length in packets(open_file(source)):
        made.append(struct.pack(">IIII", ts // 1_000_000_000, ts % 1_000_000_000, length, len(data)) + data)
    target.write_bytes(b"".join(made))


MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "snoop": snoop,
    "erf": erf,
    "aix": aix,
    **{
        f"{magic:08x}{'le' if order == '<' else 'be'}": dressed(magic, order)
        for magic in (0xA1B2CD34, 0x1C0001AC, 0x1C0001AB)
        for order in "<>"
    },
}


@pytest.mark.parametrize("maker", list(MAKERS))
def test_rows_are_those_of_tshark(
    maker: str, ethernet: list[Path], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    compared = 0
    for capture in ethernet[:3] if maker not in ("snoop", "erf") else ethernet:
        target = tmp_path / "capture"
        MAKERS[maker](capture, target)
        assert main(["-r", str(target), "--fields", FIELDS]) == 0
        ours = capfdbinary.readouterr().out.decode()
        assert ours == tshark(target), capture.name
        compared += ours.count("\n") - 1
    assert compared > 20
