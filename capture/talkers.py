"""Top talkers: what each address sent and received, in a table of bounded size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC, Columns
from netwatch.capture.grouping import hash_words, owners
from netwatch.capture.text import ipv4, ipv6, mac

__all__ = ["COUNTS", "MAX_HOSTS", "HostRow", "Hosts", "Talkers", "address_text", "hosts_of"]

MAX_HOSTS: Final = 65_536
"""Addresses that are told apart. A sender chooses its source addresses, so the table may not grow with them."""
COUNTS: Final = ("packets", "bytes", "packets_in", "bytes_in", "packets_out", "bytes_out")
"""Rows of Hosts.counts. In: the address is the destination. A packet to oneself counts once in `packets`."""
RATE_SECONDS: Final = 2.0
"""Time constant of the rates' exponential average: steady enough to read, gone a few seconds after the traffic."""

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
    """shape (6, k): a row for each of COUNTS."""

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, index: slice | NDArray[np.intp] | NDArray[np.bool_]) -> Hosts:
        """Some of the addresses."""
        return Hosts(self.kind[index], self.hi[index], self.lo[index], self.counts[:, index])

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


class Talkers:
    """Addresses and their counts, found by an open-addressing hash table that whole batches probe at once.

    When `capacity` addresses are known and more come, the half with the fewer bytes is folded into `others`; sums
    over all addresses and `others` stay exact, but an address that comes back after that starts at zero.
    """

    def __init__(self, capacity: int = MAX_HOSTS) -> None:
        self.capacity = capacity
        self.count = 0
        """Addresses that are told apart."""
        self.others: NDArray[np.int64] = np.zeros(len(COUNTS), np.int64)
        """shape (6,): what addresses had that are no longer told apart, in the order of COUNTS."""
        self._hosts = Hosts.zeros(capacity)
        self._seen = np.zeros((2, capacity), np.int64)  # packets and bytes at the last tick
        self._rates = np.zeros((2, capacity))
        # A quarter full at most: a probe seldom goes past the second slot. 0 is a free slot, else host number + 1.
        self._slots = np.zeros(4 << (capacity - 1).bit_length(), np.int32)
        self._ticked: float | None = None

    @property
    def exact(self) -> bool:
        """Every address is told apart."""
        return not self.others.any()

    def merge(self, delta: Hosts) -> None:
        """Add the counts of addresses, each of which occurs once in `delta`."""
        step = max(self.capacity // 2, 1)
        for start in range(0, len(delta), step):
            part = delta.take(slice(start, start + step))
            number = self._find(part)
            known = number >= 0
            if known.all():
                self._hosts.counts[:, number] += part.counts
                continue
            self._hosts.counts[:, number[known]] += part.counts[:, known]
            fresh = part.take(~known)
            if self.count + len(fresh) > self.capacity:
                self._fold()
            self._insert(fresh)

    def tick(self, now: float) -> None:
        """Rates from what came since the last tick; `now` in seconds of a clock that never goes back."""
        n, counts = self.count, self._hosts.counts
        elapsed = 0.0 if self._ticked is None else now - self._ticked
        if elapsed > 0:
            current = (counts[: _BYTES + 1, :n] - self._seen[:, :n]) / elapsed
            self._rates[:, :n] += (current - self._rates[:, :n]) * -math.expm1(-elapsed / RATE_SECONDS)
        if self._ticked is None or elapsed > 0:
            self._seen[:, :n] = counts[: _BYTES + 1, :n]
            self._ticked = now

    def top(self, n: int, key: str, total: int, seconds: float | None = None) -> list[HostRow]:
        """The n addresses with the largest `key`, one of COUNTS or `byte_rate`, `packet_rate`; largest first.

        `total` is the wire bytes of all packets, for the shares. Rates are those of the last tick, or the mean over
        `seconds` where given (a file has no present).
        """
        if key in ("byte_rate", "packet_rate") and seconds is not None:
            key = "bytes" if key == "byte_rate" else "packets"
        if key in COUNTS:
            values: NDArray[np.float64] | NDArray[np.int64] = self._hosts.counts[COUNTS.index(key), : self.count]
        else:
            values = self._rates[("packet_rate", "byte_rate").index(key), : self.count]
        rest = max(self.count - n, 0)
        chosen = np.argpartition(values, rest)[rest:] if rest else np.arange(self.count)
        chosen = chosen[np.lexsort((chosen, -values[chosen]))]
        return self._rows(chosen, total, seconds)

    def _rows(self, chosen: NDArray[np.intp], total: int, seconds: float | None) -> list[HostRow]:
        hosts = self._hosts.take(chosen)
        mean = seconds is not None
        rates = hosts.counts[: _BYTES + 1] / (seconds or math.inf) if mean else self._rates[:, chosen]
        share = hosts.counts[_BYTES] / max(total, 1)
        columns = (hosts.kind, hosts.hi, hosts.lo, *hosts.counts, rates[_BYTES], rates[_PACKETS], share)
        return [HostRow(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def _home(self, hosts: Hosts) -> NDArray[np.int64]:
        """shape (k,): the slot where the search for each address begins."""
        shift = np.uint64(65 - len(self._slots).bit_length())
        return (hash_words((hosts.lo, hosts.hi, hosts.kind)) >> shift).view(np.int64)

    def _find(self, hosts: Hosts) -> NDArray[np.int64]:
        """shape (k,): host number of each address, -1 where it is not known."""
        number = np.full(len(hosts), -1, np.int64)
        slots, last = self._home(hosts), len(self._slots) - 1
        looking = np.arange(len(hosts))
        while len(looking):
            entry = self._slots[slots[looking]].astype(np.int64) - 1
            hit = (
                (self._hosts.lo[entry] == hosts.lo[looking])
                & (self._hosts.hi[entry] == hosts.hi[looking])
                & (self._hosts.kind[entry] == hosts.kind[looking])
                & (entry >= 0)
            )
            number[looking[hit]] = entry[hit]
            looking = looking[~hit & (entry >= 0)]
            slots[looking] = slots[looking] + 1 & last
        return number

    def _insert(self, hosts: Hosts) -> None:
        """Addresses that are not known; there is room for them."""
        start, end = self.count, self.count + len(hosts)
        self._hosts.kind[start:end] = hosts.kind
        self._hosts.hi[start:end] = hosts.hi
        self._hosts.lo[start:end] = hosts.lo
        self._hosts.counts[:, start:end] = hosts.counts
        self._seen[:, start:end] = 0
        self._rates[:, start:end] = 0
        self.count = end
        self._enter(start)

    def _enter(self, start: int) -> None:
        """Put the hosts from number `start` on into slots; who finds its slot taken goes to the next one."""
        slots = self._home(self._hosts.take(slice(start, self.count)))
        last = len(self._slots) - 1
        entering = np.arange(start, self.count, dtype=np.int32) + np.int32(1)
        while len(entering):
            free = self._slots[slots] == 0
            self._slots[slots[free]] = entering[free]
            lost = self._slots[slots] != entering
            entering, slots = entering[lost], slots[lost] + 1 & last

    def _fold(self) -> None:
        n = self.count
        keep = np.sort(np.argpartition(self._hosts.counts[_BYTES, :n], n // 2)[n - n // 2 :])
        kept = self._hosts.take(keep)
        m = self.count = len(keep)
        self.others += self._hosts.counts[:, :n].sum(axis=1) - kept.counts.sum(axis=1)
        self._hosts.kind[:m], self._hosts.hi[:m], self._hosts.lo[:m] = kept.kind, kept.hi, kept.lo
        self._hosts.counts[:, :m] = kept.counts
        self._seen[:, :m] = self._seen[:, keep]
        self._rates[:, :m] = self._rates[:, keep]
        self._slots.fill(0)
        self._enter(0)
