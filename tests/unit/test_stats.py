"""Statistics against counting packet by packet; totals add up whatever is bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture import grouping
from netwatch.capture.columns import EVENT, INCOMING, KIND_IPV4, KIND_IPV6, KIND_MAC, KIND_NONE, MALFORMED, Columns
from netwatch.capture.grouping import owners
from netwatch.capture.paths import NO_PATH, PATHS
from netwatch.capture.protocols import SWITCHES
from netwatch.capture.stats import Statistics, partial
from netwatch.capture.talkers import COUNTS, HostRow, Talkers, address_text, hosts_of

MakeRows = Callable[..., Columns]
Key = tuple[int, int, int]


def packets_of(rows: Columns) -> Iterator[tuple[Key, Key, int]]:
    """Source, destination and wire length of each packet that has addresses."""
    for at in np.flatnonzero((rows.marks & EVENT == 0) & (rows.kind != KIND_NONE)).tolist():
        kind = int(rows.kind[at])
        source = (kind, int(rows.src_hi[at]), int(rows.src_lo[at]))
        yield source, (kind, int(rows.dst_hi[at]), int(rows.dst_lo[at])), int(rows.wirelen[at])


def naive_hosts(rows: Columns) -> dict[Key, list[int]]:
    """Counts in the order of COUNTS."""
    hosts: dict[Key, list[int]] = {}
    for source, destination, size in packets_of(rows):
        for host in {source, destination}:
            counts = hosts.setdefault(host, [0] * len(COUNTS))
            counts[0] += 1
            counts[1] += size
            counts[2] += host == destination
            counts[3] += size * (host == destination)
            counts[4] += host == source
            counts[5] += size * (host == source)
    return hosts


def counted(statistics: Statistics) -> dict[Key, list[int]]:
    return {row.key: list(row[3:9]) for row in statistics.hosts()}


def statistics_of(*batches: Columns, max_hosts: int = 4096, live: bool = True) -> Statistics:
    statistics = Statistics(live=live, max_hosts=max_hosts)
    for rows in batches:
        statistics.merge(partial(rows))
    return statistics


SIZES = st.lists(st.integers(0, 200), min_size=1, max_size=6)


@given(sizes=SIZES, hosts=st.sampled_from([1, 3, 1000]), events=st.sampled_from([0.0, 0.3]))
@settings(max_examples=60, deadline=None)
def test_naive_counting_agrees(make_rows: MakeRows, sizes: list[int], hosts: int, events: float) -> None:
    batches = [make_rows(n, seed, hosts=hosts, events=events) for seed, n in enumerate(sizes)]
    statistics = statistics_of(*batches)
    rows = Columns.concatenate(batches)
    packets = rows.take(rows.marks & EVENT == 0)

    assert statistics.packets == len(packets)
    assert statistics.bytes == sum(packets.wirelen.tolist())
    assert statistics.captured_bytes == sum(packets.caplen.tolist())
    assert statistics.malformed == np.count_nonzero(packets.marks & MALFORMED)
    assert statistics.packets_in == np.count_nonzero(packets.marks & INCOMING)
    assert statistics.bytes_in == sum(packets.wirelen[packets.marks & INCOMING != 0].tolist())
    assert statistics.first_ts == (packets.ts.min() if len(packets) else None)
    assert statistics.last_ts == (packets.ts.max() if len(packets) else None)
    assert counted(statistics) == naive_hosts(rows)

    own = Counter(PATHS.names[path] for path in packets.path.tolist())
    for row in statistics.protocols():
        assert row.own_packets == own[row.path]
        assert row.packets == sum(n for path, n in own.items() if f"{path}:".startswith(f"{row.path}:"))
        assert row.path.endswith(row.name)
    assert sum(row.own_packets for row in statistics.protocols()) == statistics.packets


@given(sizes=SIZES)
@settings(max_examples=30, deadline=None)
def test_the_parts_add_up_to_the_whole(make_rows: MakeRows, sizes: list[int]) -> None:
    batches = [make_rows(n, seed) for seed, n in enumerate(sizes)]
    parts, whole = statistics_of(*batches), statistics_of(Columns.concatenate(batches))
    assert counted(parts) == counted(whole)
    assert parts.protocols() == whole.protocols()
    assert parts.switch_packets() == whole.switch_packets()
    assert (parts.packets, parts.bytes, parts.truncated) == (whole.packets, whole.bytes, whole.truncated)
    assert (parts.first_ts, parts.last_ts) == (whole.first_ts, whole.last_ts)


def test_nothing_at_all() -> None:
    statistics = statistics_of(Columns.zeros(0))
    assert statistics.packets == 0
    assert statistics.first_ts is None
    assert statistics.duration == 0
    assert statistics.protocols() == []
    assert statistics.top(10) == []
    assert set(statistics.switch_packets().values()) == {0}


def test_a_packet_to_oneself_counts_once() -> None:
    rows = Columns.zeros(3)
    rows.kind[:] = KIND_IPV4
    rows.src_lo[:] = rows.dst_lo[:] = 0x7F000001
    rows.wirelen[:] = 100
    (row,) = statistics_of(rows).top(5)
    assert row.address == "127.0.0.1"
    assert (row.packets, row.packets_in, row.packets_out) == (3, 3, 3)
    assert (row.bytes, row.bytes_in, row.bytes_out) == (300, 300, 300)


def test_equal_numbers_of_another_kind_are_other_addresses() -> None:
    rows = Columns.zeros(3)
    rows.kind[:] = (KIND_MAC, KIND_IPV4, KIND_IPV6)
    rows.src_lo[:], rows.dst_lo[:] = 1, 2
    addresses = {row.address for row in statistics_of(rows).hosts()}
    assert addresses == {"00:00:00:00:00:01", "00:00:00:00:00:02", "0.0.0.1", "0.0.0.2", "::1", "::2"}


def test_lengths_do_not_overflow() -> None:
    rows = Columns.zeros(1000)
    rows.kind[:] = KIND_IPV4
    rows.wirelen[:] = rows.caplen[:] = 0xFFFFFFFF
    statistics = statistics_of(rows, rows)
    assert statistics.bytes == statistics.captured_bytes == 2000 * 0xFFFFFFFF
    assert statistics.hosts()[0].bytes == 2000 * 0xFFFFFFFF
    assert statistics.protocols()[0].bytes == 2000 * 0xFFFFFFFF


def test_the_hierarchy_is_a_tree_in_order() -> None:
    rows = Columns.zeros(10)
    paths = ["eth:arp"] * 2 + ["eth:ip:udp:dns"] * 3 + ["eth:ip:tcp"] + ["eth:ip:tcp:tls"] * 4
    rows.path[:] = [PATHS.intern(path) for path in paths]
    rows.wirelen[:] = 10
    assert [tuple(row) for row in statistics_of(rows).protocols()] == [
        ("eth", "eth", 10, 100, 0),
        ("ip", "eth:ip", 8, 80, 0),
        ("tcp", "eth:ip:tcp", 5, 50, 1),
        ("tls", "eth:ip:tcp:tls", 4, 40, 4),
        ("udp", "eth:ip:udp", 3, 30, 0),
        ("dns", "eth:ip:udp:dns", 3, 30, 3),
        ("arp", "eth:arp", 2, 20, 2),
    ]


def test_packets_without_a_path_are_data() -> None:
    rows = Columns.zeros(5)
    rows.path[:2] = NO_PATH
    rows.path[2:] = PATHS.intern("data")
    assert [tuple(row) for row in statistics_of(rows).protocols()] == [("data", "data", 5, 0, 5)]


def test_switches_count_what_they_would_show(make_rows: MakeRows) -> None:
    rows = make_rows(500)
    counts = statistics_of(rows).switch_packets()
    assert list(counts) == [switch.key for switch in SWITCHES]
    for bit, switch in enumerate(SWITCHES):
        assert counts[switch.key] == np.count_nonzero(PATHS.switches[rows.path] & 1 << bit)


@pytest.mark.parametrize("key", [*COUNTS, "byte_rate", "packet_rate"])
def test_top_is_the_head_of_all_sorted(make_rows: MakeRows, key: str) -> None:
    statistics = Statistics()
    statistics.tick(0)
    statistics.merge(partial(make_rows(2000, hosts=40)))
    statistics.tick(1)
    everything = statistics.top(10_000, key)
    values = [getattr(row, key) for row in everything]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0
    assert [getattr(row, key) for row in statistics.top(7, key)] == values[:7]


def test_shares_are_parts_of_all_bytes(make_rows: MakeRows) -> None:
    rows = make_rows(1000)
    statistics = statistics_of(rows)
    row = statistics.top(1)[0]
    assert row.share == row.bytes / statistics.bytes
    assert all(0 < row.share <= 1 for row in statistics.hosts())


def only(statistics: Statistics) -> HostRow:
    return statistics.top(1)[0]


def test_host_rates_rise_and_fall() -> None:
    rows = Columns.zeros(100)
    rows.kind[:] = KIND_IPV4
    rows.wirelen[:] = 1000
    statistics = Statistics()
    statistics.tick(10)
    rates = []
    for second in range(11, 40):
        if second < 25:
            statistics.merge(partial(rows))
        statistics.tick(second)
        rates.append(only(statistics).byte_rate)
    assert rates[:14] == sorted(rates[:14])
    assert rates[13] == pytest.approx(100_000, rel=0.01)
    assert rates[13:] == sorted(rates[13:], reverse=True)
    assert 0 <= rates[-1] < 100
    statistics.tick(39)  # a clock that stands still changes nothing
    assert only(statistics).byte_rate == rates[-1]


def test_host_rates_of_a_file_are_means() -> None:
    rows = Columns.zeros(4)
    rows.kind[:] = KIND_IPV4
    rows.src_lo[:], rows.dst_lo[:] = 1, 2
    rows.wirelen[:] = 50
    assert only(statistics_of(rows, live=False)).byte_rate == 0, "no duration yet"
    rows.ts[:] = np.arange(4) * 1_000_000_000
    row = only(statistics_of(rows, live=False))
    assert row.byte_rate == pytest.approx(200 / 3)
    assert row.packet_rate == pytest.approx(4 / 3)


@given(
    batches=st.lists(st.integers(1, 100), min_size=1, max_size=8),
    capacity=st.sampled_from([1, 7, 64, 200]),
)
@settings(max_examples=40, deadline=None)
def test_a_flood_of_sources_is_bounded_and_adds_up(make_rows: MakeRows, batches: list[int], capacity: int) -> None:
    statistics = Statistics(max_hosts=capacity)
    expected = np.zeros(len(COUNTS), np.int64)
    different = set()
    for seed, n in enumerate(batches):
        rows = make_rows(n, seed, hosts=10**6)
        statistics.merge(partial(rows))
        hosts = naive_hosts(rows)
        different |= set(hosts)
        for counts in hosts.values():
            expected += counts
        statistics.tick(seed)
    rows_told = statistics.hosts()
    assert statistics.talkers.count == len(rows_told) <= capacity
    assert len({row.key for row in rows_told}) == len(rows_told)
    told = np.array([row[3:9] for row in rows_told], np.int64).sum(axis=0)
    assert (told + statistics.talkers.others).tolist() == expected.tolist()
    assert statistics.talkers.exact == (len(different) <= capacity)


def test_a_large_host_survives_the_flood(make_rows: MakeRows) -> None:
    statistics = Statistics(max_hosts=100)
    large = Columns.zeros(10)
    large.kind[:] = KIND_IPV4
    large.src_lo[:] = large.dst_lo[:] = 0x0A000001
    large.wirelen[:] = 9000
    for seed in range(30):
        statistics.merge(partial(large))
        statistics.merge(partial(make_rows(80, seed, hosts=10**6)))
    assert only(statistics).address == "10.0.0.1"
    assert only(statistics).packets == 300


def test_known_hosts_do_not_fold_a_full_table() -> None:
    rows = Columns.zeros(10)
    rows.kind[:] = KIND_MAC
    rows.src_lo[:] = np.arange(10)
    rows.dst_lo[:] = np.arange(10)[::-1]
    talkers = Talkers(10)
    for _ in range(3):
        talkers.merge(hosts_of(rows))
    assert talkers.exact
    assert talkers.count == 10


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
@pytest.mark.parametrize("different", [1, 10, 10**6])
def test_rows_of_one_owner_are_those_with_one_key(n: int, different: int) -> None:
    random = np.random.default_rng(n)
    words = [random.integers(0, different, n).astype(np.uint64) for _ in range(2)]
    agree_with_keys(words)


def agree_with_keys(words: list[np.ndarray[tuple[int], np.dtype[np.uint64]]]) -> None:
    owner = owners(words)
    keys = list(zip(*(word.tolist() for word in words), strict=True))
    assert [keys[at] for at in owner.tolist()] == keys
    assert len(set(owner.tolist())) == len(set(keys))
    assert (owner[owner] == owner).all()


def test_keys_that_all_collide_are_told_apart_in_bounded_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_MULTIPLIERS", np.zeros_like(grouping._MULTIPLIERS))
    random = np.random.default_rng(0)
    agree_with_keys([random.integers(0, 60, 500).astype(np.uint64) for _ in range(2)])


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (KIND_IPV4, int(ip_address("192.0.2.1")), "192.0.2.1"),
        (KIND_IPV6, int(ip_address("2001:db8::1")), "2001:db8::1"),
        (KIND_IPV6, int(ip_address("fe80::a:0:0:1")), "fe80::a:0:0:1"),
        (KIND_MAC, 0x02005E100001, "02:00:5e:10:00:01"),
        (KIND_NONE, 0, ""),
    ],
)
def test_addresses_as_text(kind: int, value: int, text: str) -> None:
    assert address_text(kind, value >> 64, value & (1 << 64) - 1) == text
