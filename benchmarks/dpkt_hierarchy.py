"""What a Python program with dpkt does for a protocol hierarchy: `python -m benchmarks.dpkt_hierarchy FILE`."""

from __future__ import annotations

import sys
from collections import Counter

import dpkt  # type: ignore[import-not-found, import-untyped, unused-ignore]


def main(path: str) -> None:
    """Count packets and bytes by the classes of dpkt's layers."""
    packets: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    with open(path, "rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            names = []
            try:
                layer = dpkt.ethernet.Ethernet(data)
            except dpkt.UnpackError:
                layer = data
            while isinstance(layer, dpkt.Packet):
                names.append(type(layer).__name__.lower())
                layer = layer.data
            for depth in range(1, len(names) + 1):
                packets[":".join(names[:depth])] += 1
                sizes[":".join(names[:depth])] += len(data)
    for name in sorted(packets):
        print(name, packets[name], sizes[name])


if __name__ == "__main__":
    main(sys.argv[1])
