"""Statistics of packets: totals, the protocol hierarchy, hosts.

`partial` counts a batch in the capture thread; `Statistics.merge` adds the result up in the UI thread, which costs
what the batch has of different paths and addresses, not what it has of packets.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT, INCOMING, MALFORMED, OUTGOING, TRUNCATED, UNTIMED, Columns
from netwatch.capture.paths import MAX_PATHS, NO_PATH, PATHS
from netwatch.capture.protocols import PROTOCOLS, SWITCHES
from netwatch.capture.talkers import MAX_HOSTS, HostRow, Hosts, Talkers, hosts_of

__all__ = ["Partial", "ProtocolRow", "Statistics", "partial"]


@dataclass(slots=True)
class Partial:
    """Statistics of one batch; event rows are not packets."""

    packets: int
    bytes: int
    """On the wire."""
    captured_bytes: int
    truncated: int
    malformed: int
    first_ts: int | None
    """The smallest time stamp, nanoseconds since 1970; None without packets."""
    last_ts: int | None
    packets_in: int
    """Packets of which the source said that they came in."""
    bytes_in: int
    packets_out: int
    bytes_out: int
    path_packets: NDArray[np.int64]
    """shape (p,), p at most MAX_PATHS: packets by path id, each at its whole path only."""
    path_bytes: NDArray[np.int64]
    hosts: Hosts


def partial(rows: Columns) -> Partial:
    """Count `rows`. Runs in the capture thread; about 50 ns a packet."""
    marks = rows.marks
    seen = int(np.bitwise_or.reduce(marks)) if len(rows) else 0
    if seen & EVENT:
        rows = rows.take(marks & EVENT == 0)
        marks = rows.marks
    n = len(rows)
    times = rows.ts[marks & UNTIMED == 0] if seen & UNTIMED else rows.ts
    incoming, outgoing = _marked(rows, INCOMING, seen), _marked(rows, OUTGOING, seen)
    return Partial(
        packets=n,
        bytes=int(rows.wirelen.sum(dtype=np.int64)),
        captured_bytes=int(rows.caplen.sum(dtype=np.int64)),
        truncated=_marked(rows, TRUNCATED, seen)[0],
        malformed=_marked(rows, MALFORMED, seen)[0],
        first_ts=int(times.min()) if len(times) else None,
        last_ts=int(times.max()) if len(times) else None,
        packets_in=incoming[0],
        bytes_in=incoming[1],
        packets_out=outgoing[0],
        bytes_out=outgoing[1],
        path_packets=np.bincount(rows.path).astype(np.int64),
        path_bytes=np.bincount(rows.path, rows.wirelen).astype(np.int64),
        hosts=hosts_of(rows),
    )


def _marked(rows: Columns, mark: int, seen: int) -> tuple[int, int]:
    """Packets and wire bytes that carry `mark`, where any row does."""
    if not seen & mark:
        return 0, 0
    chosen = rows.marks & mark != 0
    return int(np.count_nonzero(chosen)), int(rows.wirelen[chosen].sum(dtype=np.int64))


class ProtocolRow(NamedTuple):
    """One line of the protocol hierarchy."""

    name: str
    """Wireshark's filter name of the last protocol in `path`."""
    path: str
    """`eth:ip:tcp:tls`."""
    packets: int
    """Packets whose path begins with this one, as `tshark -z io,phs` counts."""
    bytes: int
    own_packets: int
    """Packets whose path ends here."""


class Statistics:
    """Sums of partials, of everything captured or of what a filter lets through."""

    def __init__(self, *, live: bool = True, max_hosts: int = MAX_HOSTS) -> None:
        self.live = live
        """Rates are those of the present; False: means over the capture's own time."""
        self.packets = 0
        self.bytes = 0
        self.captured_bytes = 0
        self.truncated = 0
        self.malformed = 0
        self.first_ts: int | None = None
        self.last_ts: int | None = None
        self.packets_in = 0
        self.bytes_in = 0
        self.packets_out = 0
        self.bytes_out = 0
        self.talkers = Talkers(max_hosts)
        self._path_packets = np.zeros(MAX_PATHS, np.int64)
        self._path_bytes = np.zeros(MAX_PATHS, np.int64)

    def merge(self, part: Partial) -> None:
        """Add a batch."""
        if not part.packets:
            return
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(part, name))
        if part.first_ts is not None and part.last_ts is not None:
            self.first_ts = part.first_ts if self.first_ts is None else min(self.first_ts, part.first_ts)
            self.last_ts = part.last_ts if self.last_ts is None else max(self.last_ts, part.last_ts)
        self._path_packets[: len(part.path_packets)] += part.path_packets
        self._path_bytes[: len(part.path_bytes)] += part.path_bytes
        self.talkers.merge(part.hosts)

    def tick(self, now: float) -> None:
        """Take the hosts' rates; about once a second. `now` as of time.monotonic()."""
        self.talkers.tick(now)

    @property
    def duration(self) -> float:
        """Seconds from the earliest to the latest packet."""
        if self.first_ts is None or self.last_ts is None:
            return 0.0
        return (self.last_ts - self.first_ts) / 1e9

    def protocols(self) -> list[ProtocolRow]:
        """Each protocol followed by what rides on it; siblings with the most packets first, then by name."""
        known = len(PATHS)
        whole = PATHS.unquoted[:known]  # what an ICMP error quotes is part of the error
        own, sizes = (
            np.bincount(whole, counts[:known], known).astype(np.int64).tolist()
            for counts in (self._path_packets, self._path_bytes)
        )
        if own[NO_PATH]:  # what no one could name is data, as is what has an unknown type
            own[_DATA] += own[NO_PATH]
            sizes[_DATA] += sizes[NO_PATH]
        packets = own.copy()
        children: defaultdict[int, list[int]] = defaultdict(list)
        # A path's id is larger than its parent's, so from the back every count is complete when it is handed up.
        for path in range(known - 1, 0, -1):
            if packets[path]:
                parent = PATHS.parents[path]
                children[parent].append(path)
                packets[parent] += packets[path]
                sizes[parent] += sizes[path]
        rows = []

        def least_first(paths: list[int]) -> list[int]:
            return sorted(sorted(paths, key=PATHS.names.__getitem__, reverse=True), key=packets.__getitem__)

        waiting = least_first(children[NO_PATH])
        while waiting:
            path = waiting.pop()
            name = PROTOCOLS[PATHS.last[path]].name
            rows.append(ProtocolRow(name, PATHS.names[path], packets[path], sizes[path], own[path]))
            waiting += least_first(children[path])
        return rows

    def switch_packets(self) -> dict[str, int]:
        """Packets that each protocol switch takes, by its key."""
        return {
            switch.key: int(self._path_packets[PATHS.switches & 1 << bit != 0].sum())
            for bit, switch in enumerate(SWITCHES)
        }

    def top(self, n: int, key: str = "bytes") -> list[HostRow]:
        """The n hosts with the largest `key`: one of talkers.COUNTS, `byte_rate` or `packet_rate`."""
        return self.talkers.top(n, key, self.bytes, None if self.live else self.duration)

    def hosts(self) -> list[HostRow]:
        """All hosts that are told apart, those with the most bytes first."""
        return self.top(self.talkers.count)


_DATA: Final = PATHS.intern("data")
_SUMS: Final = (
    "packets",
    "bytes",
    "captured_bytes",
    "truncated",
    "malformed",
    "packets_in",
    "bytes_in",
    "packets_out",
    "bytes_out",
)
