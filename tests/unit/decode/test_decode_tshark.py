"""Made packets, read by the installed tshark and by us: link to transport, value by value."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from netwatch.capture.decode import Decoder
from netwatch.capture.fields import COLUMNS, FieldWriter
from netwatch.capture.sources.files import open_file

NAMES = [name for name in COLUMNS if name != "ip.len"]
"""tshark shows a total length that it then refuses; here it goes with the rest of the header."""


@pytest.fixture(scope="module")
def tshark() -> str:
    """tshark 4.0: other versions read some broken packets differently."""
    found = shutil.which("tshark")
    if found is None:
        pytest.skip("tshark is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    if "TShark (Wireshark) 4.0." not in version:
        pytest.skip(f"not tshark 4.0: {version.splitlines()[:1]}")
    return found


def compare(tshark: str, folder: Path, packets: list[bytes], wire: list[int], linktype: int = 1) -> None:
    """Write the packets as a pcap, read it with both, and show what differs."""
    path = folder / "made.pcap"
    records = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype)]
    for index, (packet, size) in enumerate(zip(packets, wire, strict=True)):
        records.append(struct.pack("<IIII", 1000 + index, index, len(packet), size) + packet)
    path.write_bytes(b"".join(records))
    command = [tshark, "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=f"]
    for name in NAMES:
        command += ["-e", name]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    theirs = [line.split("\t") for line in said.split("\n")[:-1]]
    ours = read(path)
    assert len(ours) == len(theirs) == len(packets)
    differences = [
        (f"#{number}", name, mine, other)
        for number, (mine_all, other_all) in enumerate(zip(ours, theirs, strict=True), 1)
        for name, mine, other in zip(NAMES, mine_all, other_all, strict=True)
        if mine != other
    ]
    assert not differences, (Counter(name for _, name, *_ in differences), differences[:10])


def read(path: Path) -> list[list[str]]:
    """The same columns, by the project's own reader."""
    source, decoder, writer = open_file(str(path)), Decoder(fields=True), FieldWriter(NAMES)
    lines = ""
    while not source.exhausted:
        block = source.next_block(1.0)
        if block is not None:
            lines += writer.lines(block, decoder.decode(block))
    source.close()
    return [line.split("\t") for line in lines.split("\n")[:-1]]


def test_every_cut_by_the_snap_length(tshark: str, tmp_path: Path, seeds: list[bytes]) -> None:
    packets = [seed[:cut] for seed in seeds for cut in range(1, len(seed) + 1)]
    wire = [len(seed) for seed in seeds for _ in seed]
    compare(tshark, tmp_path, packets, wire)


def test_every_short_packet(tshark: str, tmp_path: Path, seeds: list[bytes]) -> None:
    """Not cut: the packet was as short as that on the wire."""
    packets = [seed[:cut] for seed in seeds for cut in range(1, len(seed) + 1)]
    compare(tshark, tmp_path, packets, [len(packet) for packet in packets])


def test_lengths_that_lie(tshark: str, tmp_path: Path, build: Any) -> None:
    segment, datagram = build.tcp(b"z" * 17), build.udp(b"z" * 17)
    packets = []
    for total in (0, 1, 19, 20, 21, 24, 39, 40, 56, 57, 58, 1500, 65535):
        packets.append(build.ethernet(0x0800, build.ipv4(6, segment, total=total)))
        packets.append(build.ethernet(0x0800, build.ipv4(17, datagram, total=total)) + bytes(20))
        packets.append(build.ethernet(0x86DD, build.ipv6(17, datagram, size=total)))
    for length in (0, 1, 7, 8, 9, 24, 25, 26, 999, 65535):
        lying = build.udp(b"z" * 17, length=length)
        packets.append(build.ethernet(0x0800, build.ipv4(17, lying)))
        packets.append(build.ethernet(0x86DD, build.ipv6(17, lying)))
    for offset in range(16):
        packets.append(build.ethernet(0x0800, build.ipv4(6, build.tcp(b"z" * 30, offset=offset))))
    for first in (0x00, 0x05, 0x40, 0x44, 0x46, 0x4F, 0x55, 0x60, 0x75):
        packets.append(build.ethernet(0x0800, build.ipv4(6, segment, first=first)))
        packets.append(build.ethernet(0x86DD, build.ipv6(6, segment, first=first)))
    packets.append(build.ethernet(0x0800, build.ipv6(6, segment)))
    packets.append(build.ethernet(0x86DD, build.ipv4(6, segment)))
    compare(tshark, tmp_path, packets, [len(packet) for packet in packets])


def test_every_icmp_error(tshark: str, tmp_path: Path, build: Any) -> None:
    quotes = [
        build.ipv4(6, build.tcp(b"z" * 9)),
        build.ipv4(17, build.udp(b"z" * 9), total=1400)[:28],
        build.ipv4(17, build.udp(b"z" * 9), fragment=0x2000),
        build.ipv4(17, build.udp(b"z" * 9), fragment=100),
        build.ipv4(17, build.udp(b"z" * 9), options=b"\1" * 4),
        build.ipv4(6, build.tcp(), total=40)[:24],
        build.ipv4(6, build.tcp(), total=40)[:21],
        b"\x11" * 40,
    ]
    quotes6 = [build.ipv6(17, build.udp(b"z" * 9)), build.ipv6(6, build.tcp(), size=1400)[:52], b"\x11" * 60]
    packets = []
    for kind in range(20):
        header = bytes([kind]) + bytes(7)
        packets += [build.ethernet(0x0800, build.ipv4(1, header + quote)) for quote in quotes]
        packets += [build.ethernet(0x86DD, build.ipv6(58, header + quote)) for quote in quotes6]
    compare(tshark, tmp_path, packets, [len(packet) for packet in packets])


def test_fragments_in_every_order(tshark: str, tmp_path: Path, build: Any) -> None:
    datagram = build.udp(b"z" * 92)
    shapes = [
        [(0, 32), (32, 64), (64, 100)],
        [(64, 100), (0, 32), (32, 64)],
        [(32, 64), (0, 32), (0, 32), (64, 100), (64, 100)],
        [(0, 40), (32, 64), (56, 100)],
        [(0, 64), (32, 100)],
        [(0, 8), (8, 100)],
        [(0, 32), (64, 100)],
        [(0, 100)],
    ]
    packets = []
    for ident, spans in enumerate(shapes, 1000):
        for start, end in spans:
            more = end < len(datagram)
            four = build.ipv4(17, datagram[start:end], ident=ident, fragment=start // 8 | more << 13)
            packets.append(build.ethernet(0x0800, four))
            header = struct.pack(">BBHI", 17, 0, start | more, ident)
            packets.append(build.ethernet(0x86DD, build.ipv6(44, header + datagram[start:end])))
            inside = build.ipv4(17, datagram[start:end], ident=ident + 500, fragment=start // 8 | more << 13)
            packets.append(build.ethernet(0x0800, build.ipv4(47, b"\0\0\x08\0" + inside)))
    compare(tshark, tmp_path, packets, [len(packet) for packet in packets])


def test_other_link_types(tshark: str, tmp_path: Path, build: Any) -> None:
    four, six = build.ipv4(6, build.tcp(b"z")), build.ipv6(17, build.udp(b"z" * 9))
    sll = struct.pack(">HHH8s", 0, 1, 6, b"\2\0\0\0\0\1")
    sll2 = struct.pack(">HIHBB8s", 0, 3, 1, 0, 6, b"\2\0\0\0\0\1")
    snap = b"\xaa\xaa\3\0\0\0\x08\0"
    wlan = bytes(2) + bytes.fromhex("020000000001 020000000002 020000000003") + bytes(2)
    label = build.label(16, last=True)
    frames = ((b"\x08\1", b""), (b"\x88\1", bytes(2)), (b"\x08\x41", b""), (b"\xd4\0", b""))
    made = {
        113: [sll + b"\x08\0" + four, sll + b"\x86\xdd" + six, sll + b"\x81\0\0\5\x08\0" + four, sll],
        276: [b"\x08\0" + sll2 + four, b"\x86\xdd" + sll2 + six, b"\x88\x47" + sll2 + label + four],
        101: [four, six, b"\x11" * 30],
        228: [four],
        229: [six],
        0: [
            struct.pack(order, family) + packet
            for order in ("<I", ">I")
            for family, packet in ((2, four), (24, six), (28, six), (30, six))
        ],
        108: [struct.pack(">I", 2) + four, struct.pack(">I", 24) + six, struct.pack("<I", 2) + four],
        9: [b"\xff\3\0\x21" + four, b"\0\x57" + six, b"\x21" + four, b"\x0f\0\x08\0" + four],
        104: [b"\x0f\0\x08\0" + four, b"\x8f\0\x86\xdd" + six],
        107: [b"\x18\x41\3\xcc" + four, b"\x18\x41\3\0\x80\0\0\0\x08\0" + four, b"\x18\x41\x86\xdd" + six],
        105: [kind + wlan + more + snap + four for kind, more in frames],
        127: [struct.pack("<BBHIB", 0, 0, 9, 2, 0x10) + b"\x08\2" + wlan + snap + four + b"abcd"],
    }  # fmt: skip
    for linktype, packets in made.items():
        compare(tshark, tmp_path, packets, [len(packet) for packet in packets], linktype)
