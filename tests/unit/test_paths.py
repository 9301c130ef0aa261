"""Shapes of packets as small integers: bounded, told when it binds, and never full for what everybody sends."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from netwatch.capture.paths import MAX_PATHS, PathTable
from netwatch.capture.protocols import ID, PROTOCOLS


def filled() -> PathTable:
    """After a sender that nested headers in every way it could think of."""
    table = PathTable()
    nests = itertools.product(("ip", "ipv6", "mpls", "gre", "vlan"), repeat=7)
    for nest in itertools.islice(nests, 5000):
        path = table.intern("eth")
        for name in nest:
            path = table.child(path, ID[name])
        table.child(path, ID["tcp"])
    return table


def test_a_table_that_nobody_filled_is_exact() -> None:
    table = PathTable()
    table.intern("eth:ip:tcp:tls")
    assert table.exact


def test_a_hostile_sender_leaves_room_for_what_everybody_sends() -> None:
    table = filled()
    assert not table.exact
    assert len(table) < MAX_PATHS
    for name in ("eth:ip:tcp:tls", "eth:ipv6:udp:quic", "eth:vlan:ip:udp:dns", "eth:arp", "sll:ip:tcp:http"):
        assert table.names[table.intern(name)] == name


def test_a_path_that_finds_no_room_stops_at_its_parent() -> None:
    table = filled()
    deep = table.intern("eth" + ":ip:gre" * 5)
    assert len(table.names[deep].split(":")) < 11
    parent = table.names[deep]
    again = table.step(np.full(3, deep, np.uint16), ID["gre"])
    assert {table.names[path] for path in again.tolist()} == {parent}
    known = len(table)
    table.intern("eth" + ":ip:gre" * 5)
    assert len(table) == known


@pytest.mark.parametrize(
    ("name", "carrier"),
    [
        ("eth:ip:tcp:tls", "tcp"),
        ("eth:ip:udp:vxlan:eth:ip:tcp", "udp"),
        ("eth:ip:gre:ip:sctp", "sctp"),
        ("eth:ip:icmp:ip:udp", "icmp"),
        ("eth:ip", "ip"),
        ("eth:arp", "arp"),
    ],
)
def test_ports_belong_to_the_outermost_transport_that_is_not_quoted(name: str, carrier: str) -> None:
    table = PathTable()
    assert PROTOCOLS[table.carrier[table.intern(name)]].name == carrier
