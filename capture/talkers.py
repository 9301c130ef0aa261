"""Top talkers: what each address sent and received, in a table of bounded size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC, Columns
from netwatch.capture.grouping import owners
from netwatch.capture.heavy import COUNTS, HeavyHitters
from netwatch.capture.text import ipv4, ipv6, mac

__all__ = ["COUNTS", "MAX_HOSTS", "HostRow", "Hosts", "Talkers", "address_text", "hosts_of"]

MAX_HOSTS: Final = 65_536
"""Addresses that are told apart. A sender chooses its source addresses, so the table may not grow with them."""

_PACKETS: Final = COUNTS.index("packets")
_BYTES: Final = COUNTS.index("bytes")


def address_text(kind: int, hi: int, lo: int) -> str:
    """An address as Columns keeps it, written as Wireshark does; IPv6 as RFC 5952. Empty for KIND_NONE."""
    if kind == KIND_IPV4:
        return ipv4((lo & 0xFFFFFFFF).to_bytes(4, "big"))
    if kind == KIND_IPV6:
        return ipv6((hi << 64 | lo).to_bytes(16, "big"))
    if kind == KIND_MAC:
        return mac((lo & 0xFFFFFFFFFFFF).to_bytes(6, "big"))
    return ""


@dataclass(slots=True)
class Hosts:
    """Counts of k different addresses."""

    kind: NDArray[np.uint64]
    """shape (k,): columns.KIND_*."""
    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    counts: NDArray[np.int64]
    """shape (6, k): a row for each of COUNTS. In: the address is the destination. A packet to oneself counts once in
    `packets`."""

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.kind.nbytes + self.hi.nbytes + self.lo.nbytes + self.counts.nbytes

    @classmethod
    def zeros(cls, n: int) -> Self:
        """n addresses of kind 0 without packets."""
        return cls(np.zeros(n, np.uint64), np.zeros(n, np.uint64), np.zeros(n, np.uint64), np.zeros((6, n), np.int64))


def hosts_of(rows: Columns) -> Hosts:
    """What each address in `rows` sent and received; events and rows without an address count for none.

    Byte counts are summed as floats, exact below 2**53: two million rows of the largest length there is.
    """
    parts = []
    for kind in (KIND_IPV4, KIND_IPV6, KIND_MAC):
        chosen = np.flatnonzero(rows.kind == kind)
        if len(chosen):
            parts.append(_hosts_of_kind(rows, kind, slice(None) if len(chosen) == len(rows) else chosen))
    if not parts:
        return Hosts.zeros(0)
    if len(parts) == 1:
        return parts[0]
    return Hosts(
        np.concatenate([part.kind for part in parts]),
        np.concatenate([part.hi for part in parts]),
        np.concatenate([part.lo for part in parts]),
        np.concatenate([part.counts for part in parts], axis=1),
    )


def _hosts_of_kind(rows: Columns, kind: int, chosen: slice | NDArray[np.intp]) -> Hosts:
    """First by pairs of addresses, of which there are far fewer than packets, then each pair's two ends."""
    sources, destinations = [rows.src_lo[chosen]], [rows.dst_lo[chosen]]
    if kind == KIND_IPV6:
        sources.append(rows.src_hi[chosen])
        destinations.append(rows.dst_hi[chosen])
    pairs = sources + destinations
    if kind == KIND_IPV4:
        pairs = [sources[0] << np.uint64(32) | destinations[0]]
    owner = owners(pairs)
    tally = np.bincount(owner)
    firsts = np.flatnonzero(tally)
    packets = tally[firsts].astype(np.float64)
    sizes = np.bincount(owner, rows.wirelen[chosen])[firsts]

    sources = [word[firsts] for word in sources]
    destinations = [word[firsts] for word in destinations]
    ends = [np.concatenate(both) for both in zip(sources, destinations, strict=True)]
    who = owners(ends)
    k, n = len(firsts), len(who)
    senders, receivers = who[:k], who[k:]
    hosts = np.flatnonzero(np.bincount(who))
    to_self = np.flatnonzero(senders == receivers)

    counts = np.empty((len(COUNTS), len(hosts)), np.int64)
    for at, values in enumerate((packets, sizes)):
        received = np.bincount(receivers, values, n)[hosts]
        sent = np.bincount(senders, values, n)[hosts]
        both = received + sent
        if len(to_self):
            both -= np.bincount(senders[to_self], values[to_self], n)[hosts]
        counts[at], counts[2 + at], counts[4 + at] = both, received, sent
    high = ends[1][hosts] if kind == KIND_IPV6 else np.zeros(len(hosts), np.uint64)
    return Hosts(np.full(len(hosts), kind, np.uint64), high, ends[0][hosts], counts)


class HostRow(NamedTuple):
    """One address as the talkers pane and `--json` show it."""

    kind: int
    hi: int
    lo: int
    packets: int
    bytes: int
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    byte_rate: float
    """Bytes a second, in and out."""
    packet_rate: float
    share: float
    """Part of all wire bytes that it sent or received, 0 to 1; over all hosts they add up to about 2."""

    @property
    def key(self) -> tuple[int, int, int]:
        """What a cursor belongs to."""
        return self[:3]

    @property
    def address(self) -> str:
        """`10.0.0.1`, `fe80::1`, `02:00:00:00:00:01`."""
        return address_text(self.kind, self.hi, self.lo)


class Talkers(HeavyHitters):
    """Addresses and their counts."""

    def __init__(self, capacity: int = MAX_HOSTS) -> None:
        super().__init__(capacity, 3)

    def merge(self, delta: Hosts) -> None:
        """Add the counts of addresses, each of which occurs once in `delta`."""
        self.add((delta.lo, delta.hi, delta.kind), delta.counts)

    def top(self, n: int, key: str, total: int, seconds: float | None = None) -> list[HostRow]:
        """The n addresses with the largest `key`, as HeavyHitters.largest has it.

        `total` is the wire bytes of all packets, for the shares.
        """
        (lo, hi, kind), counts, rates = self.largest(n, key, seconds)
        share = counts[_BYTES] / max(total, 1)
        columns = (kind, hi, lo, *counts, rates[_BYTES], rates[_PACKETS], share)
        return [HostRow(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]
