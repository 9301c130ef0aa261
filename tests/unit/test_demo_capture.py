"""The capture that `netwatch demo` plays: lively, varied, small, without a word of the machine."""

from __future__ import annotations

import ipaddress
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from netwatch.capture import columns
from netwatch.capture.columns import Columns
from netwatch.capture.decode import Decoder
from netwatch.capture.paths import PATHS
from netwatch.capture.sources.files import open_file

DEMO = Path(__file__).parents[2] / "capture" / "data" / "demo.pcapng"
DOCUMENTATION = [  # RFC 5737 and RFC 3849
    ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
LINK = [  # DHCP before there is an address, multicast, link-local
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/32", "255.255.255.255/32", "224.0.0.0/4", "::/128", "fe80::/10", "ff00::/8")
]


@pytest.fixture(scope="module")
def rows() -> Columns:
    """Every packet, decoded."""
    source, decoder, parts = open_file(str(DEMO)), Decoder(), []
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            parts.append(decoder.decode(block).rows)
    assert source.damage is None
    return Columns.concatenate(parts)


def blocks(data: bytes) -> list[tuple[int, bytes]]:
    """Type and body of each pcapng block (little-endian)."""
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        found.append((kind, data[at + 8 : at + length - 4]))
        at += length
    return found


def options(data: bytes) -> dict[int, bytes]:
    """Options of a block by their code."""
    found, at = {}, 0
    while at < len(data):
        code, length = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found[code] = data[at + 4 : at + 4 + length]
        at += 4 + (length + 3) // 4 * 4
    return found


def test_it_is_small() -> None:
    assert DEMO.stat().st_size < 1_500_000


def test_it_is_about_a_minute_of_a_few_thousand_packets(rows: Columns) -> None:
    seconds = (rows.ts[-1] - rows.ts[0]) / 1e9
    assert 55 <= seconds <= 95
    assert 3_000 <= len(rows) <= 6_500
    assert (np.diff(rows.ts) >= 0).all()


def test_every_second_has_something_to_see(rows: Columns) -> None:
    since_start = (rows.ts - rows.ts[0]) // 1_000_000_000
    assert np.bincount(since_start)[:-1].min() >= 20


def having(rows: Columns, name: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Rows with a protocol in their path."""
    return np.array([name in path.split(":") for path in PATHS.names])[rows.path]


@pytest.mark.parametrize(
    "name",
    [
        *("arp", "ip", "ipv6", "icmp", "icmpv6", "igmp", "tcp", "udp", "vlan", "vxlan"),
        *("dns", "mdns", "dhcp", "dhcpv6", "ntp", "http", "tls", "ssh", "syslog"),
    ],
)
def test_a_protocol_is_in_it(rows: Columns, name: str) -> None:
    assert having(rows, name).any()


def test_web_and_tls_run_over_both_versions_of_ip(rows: Columns) -> None:
    for version in ("ip", "ipv6"):
        for name in ("http", "tls"):
            assert (having(rows, version) & having(rows, name)).sum() >= 20


def test_there_are_fragments_and_a_few_broken_packets(rows: Columns) -> None:
    fragments = (rows.marks & columns.FRAGMENT) != 0
    assert set(rows.kind[fragments]) == {columns.KIND_IPV4, columns.KIND_IPV6}
    assert 5 <= np.count_nonzero(rows.marks & columns.MALFORMED) <= 30


def test_a_port_scan_meets_closed_ports(rows: Columns) -> None:
    syn, reset = 0x002, 0x014
    assert np.unique(rows.dport[rows.tcp_flags == syn]).size > 150
    assert np.count_nonzero(rows.tcp_flags == reset) > 150


def test_frames_are_as_on_a_cable_and_whole(rows: Columns) -> None:
    assert rows.wirelen.max() <= 1518
    assert (rows.caplen == rows.wirelen).all()


def test_packets_know_their_direction(rows: Columns) -> None:
    for direction in (columns.INCOMING, columns.OUTGOING):
        assert np.count_nonzero(rows.marks & direction) > len(rows) // 10


def test_addresses_are_those_of_the_documentation(rows: Columns) -> None:
    seen: set[tuple[int, int, int]] = set()
    for high, low in ((rows.src_hi, rows.src_lo), (rows.dst_hi, rows.dst_lo)):
        ends = np.unique(np.stack([rows.kind.astype(np.uint64), high, low], axis=1), axis=0)
        seen.update((int(kind), int(h), int(w)) for kind, h, w in ends)
    for kind, h, w in seen:
        if kind in (columns.KIND_IPV4, columns.KIND_IPV6):
            address = ipaddress.IPv4Address(w) if kind == columns.KIND_IPV4 else ipaddress.IPv6Address(h << 64 | w)
            assert any(address in network for network in DOCUMENTATION + LINK), address


def test_macs_are_locally_administered_or_groups() -> None:
    for kind, body in blocks(DEMO.read_bytes()):
        if kind == 6:
            target, source = body[20:26], body[26:32]
            assert source[0] == 0x02
            assert target[0] == 0x02 or target[0] & 1


def test_the_file_says_only_what_the_script_says() -> None:
    kinds = blocks(DEMO.read_bytes())
    assert {kind for kind, _ in kinds} == {0x0A0D0D0A, 1, 6}
    assert options(kinds[0][1][16:]) == {4: b"netwatch scripts/record_demo.py"}
    assert options(kinds[1][1][8:]) == {2: b"lan0", 9: b"\x09"}


@pytest.mark.parametrize("word", [rb"/(home|root|tmp|etc)/", rb"root@", rb"Linux [0-9]+\.[0-9]", rb"localdomain"])
def test_no_stray_word(word: bytes) -> None:
    assert re.search(word, DEMO.read_bytes()) is None


def test_names_end_in_example_or_local() -> None:
    hosts = set(re.findall(rb"\r\nHost: ([^\r]+)\r\n", DEMO.read_bytes()))
    assert b"shop.example" in hosts
    for host in hosts:
        assert re.fullmatch(rb"([a-z-]+\.)+example(:[0-9]+)?|[0-9.]+(:1900)?|\[[0-9a-f:]+\]", host), host
