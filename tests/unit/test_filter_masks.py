"""The display filter over columns: what matches is what a plain reading of each row says."""

from __future__ import annotations

import operator
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.columns import EVENT, KIND_IPV4, KIND_IPV6, KIND_MAC, NO_VLAN, PORTS, Columns
from netwatch.capture.filter import compile
from netwatch.capture.paths import PATHS

Row = dict[str, Any]
Case = tuple[str, Callable[[Row], bool]]

PATH_NAMES = [
    "eth:ip:tcp",
    "eth:ip:tcp:tls",
    "eth:vlan:ip:udp:dns",
    "eth:ipv6:udp",
    "eth:ipv6:icmpv6",
    "eth:ip:icmp",
    "eth:ip:icmp:ip:udp",
    "eth:ip:udp:vxlan:eth:ip:tcp",
    "eth:arp",
    "eth:data",
]
PORT_VALUES = [0, 22, 53, 80, 443, 65535]
V4 = [IPv4Address(text) for text in ("0.0.0.0", "10.0.0.1", "10.255.255.255", "11.0.0.0", "255.255.255.255")]
V6 = [
    IPv6Address(text) for text in ("::", "::1", "fe80::1", "fe80::ffff", "2001:db8::1", "2001:db8:ffff::", "ff02::1")
]
MACS = [0, 0x00005E005301, 0xFFFFFFFFFFFF]
NETWORKS: dict[str | None, tuple[int, list[int]]] = {
    "ip": (KIND_IPV4, [int(address) for address in V4]),
    "ipv6": (KIND_IPV6, [int(address) for address in V6]),
    None: (KIND_MAC, MACS),
}
LENGTHS = [0, 60, 61, 1514, 0xFFFFFFFF]


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """One row, its parts as the columns describe them."""
    path = draw(st.sampled_from(PATH_NAMES))
    names = path.split(":")
    network = next((name for name in names if name in ("ip", "ipv6")), None)
    kind, addresses = NETWORKS[network]
    has_ports = not {"tcp", "udp"}.isdisjoint(names) and draw(st.booleans())
    return {
        "names": names,
        "path": PATHS.intern(path),
        "kind": kind,
        "src": draw(st.sampled_from(addresses)),
        "dst": draw(st.sampled_from(addresses)),
        "ports": has_ports,
        "sport": draw(st.sampled_from(PORT_VALUES)) if has_ports else 0,
        "dport": draw(st.sampled_from(PORT_VALUES)) if has_ports else 0,
        "transport": [name for name in names if name in ("tcp", "udp")][:1],
        "flags": draw(st.integers(0, 0xFFF)),
        "vlan": draw(st.sampled_from([NO_VLAN, 0, 7, 4095])),
        "len": draw(st.sampled_from(LENGTHS)),
        "ts": draw(st.sampled_from([0, 1_500_000_000, 1_500_000_001, 2**62])),
    }


def columns(made: list[Row]) -> Columns:
    """The rows as columns."""
    table = Columns.zeros(len(made))
    for i, row in enumerate(made):
        table.path[i] = row["path"]
        table.kind[i] = row["kind"]
        for end in ("src", "dst"):
            getattr(table, f"{end}_hi")[i] = row[end] >> 64
            getattr(table, f"{end}_lo")[i] = row[end] & 0xFFFFFFFFFFFFFFFF
        table.sport[i], table.dport[i] = row["sport"], row["dport"]
        table.marks[i] = PORTS if row["ports"] else 0
        table.tcp_flags[i] = row["flags"]
        table.vlan[i] = row["vlan"]
        table.wirelen[i] = row["len"]
        table.ts[i] = row["ts"]
    return table


COMPARISONS: dict[str, tuple[Callable[[Any, Any], bool], Callable[..., bool]]] = {
    "==": (operator.eq, any),
    "!=": (operator.ne, all),
    "===": (operator.eq, all),
    "!==": (operator.ne, any),
    "<": (operator.lt, any),
    "<=": (operator.le, any),
    ">": (operator.gt, any),
    ">=": (operator.ge, any),
}


def port_values(row: Row, transport: str, suffix: str) -> list[int]:
    if not row["ports"] or (transport and row["transport"] != [transport]):
        return []
    return {"port": [row["sport"], row["dport"]], "srcport": [row["sport"]], "dstport": [row["dport"]]}[suffix]


def compared(values: Callable[[Row], list[Any]], symbol: str, wanted: object) -> Callable[[Row], bool]:
    """A packet without the field matches no comparison."""
    test, fold = COMPARISONS[symbol]
    return lambda row: bool(values(row)) and fold(test(value, wanted) for value in values(row))


_SYMBOL = st.sampled_from(list(COMPARISONS))


@st.composite
def port_test(draw: st.DrawFn) -> Case:
    transport, suffix = draw(st.sampled_from(["tcp", "udp"])), draw(st.sampled_from(["port", "srcport", "dstport"]))
    symbol, wanted = draw(_SYMBOL), draw(st.sampled_from(PORT_VALUES))
    case = compared(lambda row: port_values(row, transport, suffix), symbol, wanted)
    return f"{transport}.{suffix} {symbol} {wanted}", case


@st.composite
def port_set(draw: st.DrawFn) -> Case:
    low, high = sorted(draw(st.tuples(st.sampled_from(PORT_VALUES), st.sampled_from(PORT_VALUES))))
    single = draw(st.sampled_from(PORT_VALUES))
    return (
        f"udp.port in {{{low}..{high} {single}}}",
        lambda row: any(low <= port <= high or port == single for port in port_values(row, "udp", "port")),
    )


@st.composite
def address_test(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(["ip", "ipv6"]))
    kind, choices = NETWORKS[name]
    make: Callable[[int], object] = IPv4Address if name == "ip" else IPv6Address
    suffix, ends = draw(st.sampled_from([("addr", ("src", "dst")), ("src", ("src",)), ("dst", ("dst",))]))
    symbol, wanted = draw(_SYMBOL), draw(st.sampled_from(choices))
    case = compared(lambda row: [row[end] for end in ends if row["kind"] == kind], symbol, wanted)
    return f"{name}.{suffix} {symbol} {make(wanted)}", case


@st.composite
def network_test(draw: st.DrawFn) -> Case:
    four = draw(st.booleans())
    address = draw(st.sampled_from(V4)) if four else draw(st.sampled_from(V6))
    kind = KIND_IPV4 if four else KIND_IPV6
    text = f"{address}/{draw(st.integers(0, address.max_prefixlen))}"
    make: Any = (IPv4Network, IPv4Address) if four else (IPv6Network, IPv6Address)
    network = make[0](text, strict=False)
    return text, lambda row: row["kind"] == kind and any(make[1](row[end]) in network for end in ("src", "dst"))


@st.composite
def number_test(draw: st.DrawFn) -> Case:
    name, key, choices = draw(st.sampled_from([("frame.len", "len", LENGTHS), ("tcp.flags", "flags", [0, 2, 0x12])]))
    symbol, wanted = draw(_SYMBOL), draw(st.sampled_from(choices))

    def values(row: Row) -> list[int]:
        return [row[key]] if key == "len" or has_tcp(row) else []

    return f"{name} {symbol} {wanted}", compared(values, symbol, wanted)


def has_tcp(row: Row) -> bool:
    return "tcp" in row["names"]


PLAIN: list[Case] = [
    *(
        (name, lambda row, name=name: name in row["names"])
        for name in ("tcp", "udp", "dns", "ip", "ipv6", "arp", "tls")
    ),
    ("frame", lambda _row: True),
    ("443", lambda row: row["ports"] and 443 in (row["sport"], row["dport"])),
    ("src port 53", lambda row: row["ports"] and row["sport"] == 53),
    ("portrange 22-80", lambda row: row["ports"] and any(22 <= row[end] <= 80 for end in ("sport", "dport"))),
    ("00:00:5e:00:53:01", lambda row: row["kind"] == KIND_MAC and MACS[1] in (row["src"], row["dst"])),
    ("dst host ff:ff:ff:ff:ff:ff", lambda row: row["kind"] == KIND_MAC and row["dst"] == MACS[2]),
    ("vlan.id", lambda row: row["vlan"] != NO_VLAN),
    ("vlan.id == 7", lambda row: row["vlan"] == 7),
    ("vlan.id != 7", lambda row: row["vlan"] not in (7, NO_VLAN)),
    ("tcp.flags.syn", has_tcp),
    ("tcp.flags.syn == 1", lambda row: has_tcp(row) and bool(row["flags"] & 2)),
    ("tcp.flags.syn != 1", lambda row: has_tcp(row) and not row["flags"] & 2),
    ("tcp.flags.ns == true", lambda row: has_tcp(row) and bool(row["flags"] & 0x100)),
    ("tcp.flags & 0x12", lambda row: has_tcp(row) and bool(row["flags"] & 0x12)),
    ("frame.time_epoch > 1.5", lambda row: row["ts"] > 1_500_000_000),
]

leaves = st.sampled_from(PLAIN) | port_test() | port_set() | address_test() | network_test() | number_test()


def combined(parts: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    both = st.tuples(parts, parts)
    return st.one_of(
        parts.map(lambda a: (f"not ({a[0]})", lambda row: not a[1](row))),
        both.map(lambda p: (f"({p[0][0]}) and ({p[1][0]})", lambda row: p[0][1](row) and p[1][1](row))),
        both.map(lambda p: (f"({p[0][0]}) || ({p[1][0]})", lambda row: p[0][1](row) or p[1][1](row))),
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(rows(), min_size=1, max_size=20), st.recursive(leaves, combined, max_leaves=6))
def test_the_mask_is_what_each_row_says(made: list[Row], case: Case) -> None:
    text, naive = case
    assert compile(text).mask(columns(made)).tolist() == [bool(naive(row)) for row in made], text


def test_not_equal_means_that_both_differ() -> None:
    made = columns([])
    assert compile("ip.addr != 10.0.0.1").mask(made).shape == (0,)
    three = Columns.zeros(3)
    three.kind[:] = KIND_IPV4, KIND_IPV4, KIND_MAC
    three.src_lo[:] = int(V4[1])
    three.dst_lo[:] = int(V4[1]), int(V4[3]), int(V4[3])
    three.path[:] = PATHS.intern("eth:ip")
    assert compile("ip.addr == 10.0.0.1").mask(three).tolist() == [True, True, False]
    assert compile("ip.addr != 10.0.0.1").mask(three).tolist() == [False, False, False]
    assert compile("ip.addr !== 10.0.0.1").mask(three).tolist() == [False, True, False]
    assert compile("ip.addr === 10.0.0.1").mask(three).tolist() == [True, False, False]


@pytest.mark.parametrize(("text", "expected"), [("", True), ("  ", True), ("not tcp", False), ("frame", False)])
def test_events_are_no_packets(text: str, expected: bool) -> None:
    one = Columns.zeros(1)
    one.marks[:] = EVENT
    assert compile(text).mask(one).tolist() == [expected]


def test_paths_that_appear_later_are_known() -> None:
    wanted = compile("gre and stun")
    before, after = Columns.zeros(1), Columns.zeros(1)
    before.path[:] = PATHS.intern("eth:ip:gre")
    assert not wanted.mask(before)[0]
    after.path[:] = PATHS.intern("eth:ip:gre:ip:gre:ip:udp:stun")
    assert wanted.mask(after)[0]


def test_an_icmp_error_is_found_by_what_it_quotes() -> None:
    one = Columns.zeros(1)
    one.path[:] = PATHS.intern("eth:ip:icmp:ip:udp")
    one.marks[:] = PORTS
    one.dport[:] = 53
    for text in ("icmp", "udp", "udp.port == 53", "53"):
        assert compile(text).mask(one)[0], text


def test_masks_are_fresh_arrays() -> None:
    table = Columns.zeros(4)
    first = compile("frame").mask(table)
    first[:] = False
    assert np.all(compile("frame").mask(table))
