"""What the mutations begin with: the capture of `netwatch demo`, and others that are named."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fuzz.packets import Record, pcap, read
from fuzz.targets import LINKTYPES, MARK, TARGETS, dissectors
from netwatch.capture.dissect import Tree, dissect, find
from netwatch.capture.dissect.registry import TABLES

__all__ = ["DEMO", "seeds"]

DEMO: Final = Path(__file__).parents[1] / "capture" / "data" / "demo.pcapng"
FILTERS: Final = (
    b"tcp.port == 80 && ip.addr == 192.0.2.0/24",
    b"!(dns or http) and frame.len > 100",
    b"tcp.flags & 0x12 == 2 or eth.src == 02:00:00:00:00:01",
    b"ip.src in {192.0.2.1, 198.51.100.0/24} and not (udp.dstport in {1..1024 5353})",
    b"ipv6.addr == 2001:db8::/32 || frame.time_relative >= 1.5",
    b'vlan.id == 7 xor tls contains "a\\x00b" matches "x"',
)
_NAMES: Final = tuple(TARGETS)
MOST: Final = 4000
"""Packets of one capture that are looked at."""


def seeds(captures: list[Path]) -> Iterator[bytes]:
    """Inputs of every target."""
    for text in FILTERS:
        yield _for("filters") + text
    for path in (DEMO, *captures):
        yield from _of_capture(path, list(read(path, MOST)))
        head = path.read_bytes()[:6000]
        yield _for("files") + b"\x08" + head
        yield _for("files") + b"\x01" + head


def _for(name: str) -> bytes:
    return bytes([_NAMES.index(name)])


def _of_capture(path: Path, records: list[Record]) -> Iterator[bytes]:
    shown: set[str] = set()
    streams: dict[tuple[str, ...], bytearray] = {}
    numbers = {each: number for number, each in enumerate(dissectors())}
    for at, record in enumerate(records):
        if record.linktype not in LINKTYPES:
            continue
        tree = dissect(record.data, record.linktype, record.wirelen)
        kind = tree.protocol
        fresh = kind not in shown
        shown.add(kind)
        if fresh or at % 200 == 0:
            near = [other.data[:1500] for other in records[at : at + 6] if other.linktype == record.linktype]
            head = bytes([LINKTYPES.index(record.linktype), len(near[0]) and record.wirelen > len(record.data)])
            yield _for("packets") + head + MARK.join(near)
            yield _for("follow") + struct.pack("!H", 2 * LINKTYPES.index(record.linktype) + 1) + MARK.join(near)
            yield _for("files") + b"\x08" + pcap(near, record.linktype)
        for transport in ("tcp", "udp"):
            ports = _values(tree, f"{transport}.srcport", f"{transport}.dstport")
            payload = _payload(record, tree, transport)
            if len(ports) < 2 or not payload:
                continue
            if transport == "tcp":
                key = (*_values(tree, "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"), *ports)
                streams.setdefault(key, bytearray()).extend(payload)
            known = TABLES[f"{transport}.port"]
            for port in {int(port) for port in ports if fresh and int(port) in known}:
                flags = (transport == "tcp") | 16
                yield _for("alone") + struct.pack("!HBBH", numbers[known[port]], flags, 7, port) + payload[:2000]
    for key, sent in list(streams.items())[:60]:
        low, high = sorted((int(key[-2]), int(key[-1])))
        seed = int(int(key[-2]) == low)
        yield _for("stream") + struct.pack("!HH", low, 6 + seed) + sent[:6000]
        yield _for("follow") + struct.pack("!H", 2 * (high % 1000)) + sent[:1000] + MARK + sent[1000:2000]
    assert path.exists()


def _values(tree: Tree, *names: str) -> list[str]:
    found = (find(tree, name) for name in names)
    return [str(item.value) for item in found if item is not None]


def _payload(record: Record, tree: Tree, transport: str) -> bytes:
    layer = next((layer for layer in tree.layers if layer.field.name == transport and not layer.buffer), None)
    return b"" if layer is None else record.data[layer.end : record.wirelen]
