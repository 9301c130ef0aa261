"""What a Python program with scapy does for a protocol hierarchy: `python -m benchmarks.scapy_hierarchy FILE`."""

from __future__ import annotations

import sys
from collections import Counter

# All of scapy's protocols, as its users import them; the import is part of what it costs.
import scapy.all  # type: ignore[import-not-found, import-untyped, unused-ignore]  # noqa: F401
from scapy.utils import PcapReader  # type: ignore[import-not-found, import-untyped, unused-ignore]


def main(path: str) -> None:
    """Count packets and bytes by scapy's layers."""
    packets: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    with PcapReader(path) as reader:
        for packet in reader:
            names = [layer.__name__.lower() for layer in packet.layers()]
            for depth in range(1, len(names) + 1):
                packets[":".join(names[:depth])] += 1
                sizes[":".join(names[:depth])] += len(packet)
    for name in sorted(packets):
        print(name, packets[name], sizes[name])


if __name__ == "__main__":
    main(sys.argv[1])
