"""Who talks to whom: both directions of a conversation are one row, and a filter shows just that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture import filter as display_filter
from netwatch.capture.columns import EVENT, KIND_IPV4, KIND_NONE, PORTS, Columns
from netwatch.capture.conversations import Conversations, Endpoint
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import PROTOCOLS

MakeRows = Callable[..., Columns]

ENDS = ("10.0.0.0", "0.0.0.1")


def with_ports(rows: Columns, seed: int, ports: int = 4) -> Columns:
    """The same rows, those of TCP and UDP with one of a few ports at either end."""
    random = np.random.default_rng(seed)
    names = [PATHS.names[path].split(":") for path in rows.path.tolist()]
    ported = np.array([not {"tcp", "udp"}.isdisjoint(name) for name in names], np.bool_)
    rows.sport[:] = np.where(ported, random.integers(1, ports + 1, len(rows)), 0)
    rows.dport[:] = np.where(ported, random.integers(1, ports + 1, len(rows)), 0)
    rows.marks[ported] |= np.uint16(PORTS)
    return rows


def naive(batches: list[Columns]) -> dict[frozenset[tuple[str, int]], dict[str, list[int]]]:
    """By the ends of a conversation and its protocol: what each end sent, in packets and bytes."""
    found: dict[frozenset[tuple[str, int]], dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for rows in batches:
        for at in range(len(rows)):
            if rows.kind[at] == KIND_NONE:
                continue
            kind = int(rows.kind[at])
            source = Endpoint(kind, int(rows.src_hi[at]), int(rows.src_lo[at]), int(rows.sport[at]))
            target = Endpoint(kind, int(rows.dst_hi[at]), int(rows.dst_lo[at]), int(rows.dport[at]))
            protocol = PROTOCOLS[PATHS.carrier[rows.path[at]]].name
            ends = frozenset((f"{protocol} {end.address}", end.port) for end in (source, target))
            sent = found[ends][f"{source.address} {source.port}"]
            sent[0] += 1
            sent[1] += int(rows.wirelen[at])
    return found


def counted(*batches: Columns, capacity: int = 4096) -> Conversations:
    table = Conversations(capacity)
    for rows in batches:
        table.merge(rows)
    return table


@given(st.lists(st.integers(0, 120), min_size=1, max_size=5), st.sampled_from([2, 30]), st.sampled_from([0.0, 0.2]))
@settings(max_examples=40, deadline=None)
def test_a_naive_count_agrees(make_rows: MakeRows, sizes: list[int], hosts: int, events: float) -> None:
    batches = [with_ports(make_rows(n, seed, hosts=hosts, events=events), seed) for seed, n in enumerate(sizes)]
    table = counted(*batches)
    expected = naive(batches)
    rows = table.top(10_000, 1)
    assert len(rows) == len(expected) == table.count
    for row in rows:
        name = PROTOCOLS[row.protocol].name
        sent = expected[frozenset((f"{name} {end.address}", end.port) for end in (row.left, row.right))]
        if row.left == row.right:
            assert [row.packets, row.bytes] == sent[f"{row.left.address} {row.left.port}"]
            continue
        assert [row.packets_out, row.bytes_out] == sent[f"{row.left.address} {row.left.port}"]
        assert [row.packets_in, row.bytes_in] == sent[f"{row.right.address} {row.right.port}"]
        assert row.left.port >= row.right.port
    assert sum(row.packets for row in rows) == table.packets == sum(int((b.kind != KIND_NONE).sum()) for b in batches)


def test_its_filter_shows_each_conversation_and_no_other(make_rows: MakeRows) -> None:
    rows = with_ports(make_rows(600, hosts=3), 7, ports=2)
    table = counted(rows)
    for row in table.top(1000, 1):
        shown = rows.take(display_filter.compile(row.filter).mask(rows))
        # Ends that changed their ports with each other are another conversation, which the filter cannot tell.
        crossed = row.left.address != row.right.address and row.left.port != row.right.port
        assert len(shown) == row.packets if not crossed else len(shown) >= row.packets
        ends = {(int(lo), int(port)) for lo, port in zip(shown.src_lo, shown.sport, strict=True)}
        assert {lo for lo, _ in ends} <= {row.left.lo, row.right.lo}
        assert {port for _, port in ends} <= {row.left.port, row.right.port}


@pytest.mark.parametrize(
    ("path", "ports", "expected"),
    [
        ("eth:ip:tcp:tls", (40000, 443), "tcp.port == 40000 and tcp.port == 443"),
        ("eth:ip:udp:ntp", (123, 123), "udp.srcport == 123 and udp.dstport == 123"),
        ("eth:ip:dccp", (9, 5), "port 9 and port 5"),
        ("eth:ip:icmp", (0, 0), "icmp"),
    ],
)
def test_filters_in_words(make_rows: MakeRows, path: str, ports: tuple[int, int], expected: str) -> None:
    rows = make_rows(1, path=PATHS.intern(path), kind=KIND_IPV4, src_hi=0, dst_hi=0, src_lo=10 << 24, dst_lo=1)
    rows.sport[:], rows.dport[:] = ports
    rows.marks[:] = PORTS if any(ports) else 0
    (row,) = counted(rows).top(2, 1)
    assert row.filter in (f"ip.addr == {a} and ip.addr == {b} and {expected}" for a, b in (ENDS, ENDS[::-1]))
    assert display_filter.compile(row.filter).mask(rows).tolist() == [True]


def test_one_host_that_talks_to_itself(make_rows: MakeRows) -> None:
    rows = make_rows(1, path=PATHS.intern("eth:ip:tcp"), kind=KIND_IPV4, src_hi=0, dst_hi=0, src_lo=1, dst_lo=1)
    rows.sport[:], rows.dport[:], rows.marks[:] = 5000, 80, PORTS
    (row,) = counted(rows).top(2, 1)
    assert row.filter == "ip.src == 0.0.0.1 and ip.dst == 0.0.0.1 and tcp.port == 5000 and tcp.port == 80"
    assert display_filter.compile(row.filter).mask(rows).tolist() == [True]


def test_a_full_table_still_adds_up(make_rows: MakeRows) -> None:
    batches = [with_ports(make_rows(400, seed, hosts=1000, events=0.1), seed, ports=1000) for seed in range(6)]
    table = counted(*batches, capacity=100)
    assert not table.exact
    packets = sum(int(np.count_nonzero((rows.marks & EVENT == 0) & (rows.kind != KIND_NONE))) for rows in batches)
    assert sum(row.packets for row in table.top(100, 1)) + table.others[0] == table.packets == packets
