"""What each layer makes of its packets: paths, columns and marks."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from netwatch.capture.columns import (
    EVENT,
    KIND_IPV4,
    KIND_IPV6,
    KIND_MAC,
    MALFORMED,
    NO_VLAN,
    PORTS,
    TRUNCATED,
    TUNNELLED,
    Columns,
)
from netwatch.capture.decode import Decoder
from netwatch.capture.paths import PATHS

SNAP = b"\xaa\xaa\3\0\0\0\x08\0"


def rows_of(build: Any, packets: list[bytes], linktype: int = 1, wire: list[int] | None = None) -> Columns:
    return Decoder().decode(build.block(packets, linktype, wire)).rows


def paths_of(rows: Columns) -> list[str]:
    return [PATHS.names[path] for path in rows.path.tolist()]


def test_a_plain_tcp_segment(build: Any) -> None:
    rows = rows_of(build, [build.ethernet(0x0800, build.ipv4(6, build.tcp(b"zzz")))])
    assert paths_of(rows) == ["eth:ip:tcp"]
    assert (rows.kind[0], rows.src_lo[0], rows.dst_lo[0]) == (KIND_IPV4, 0x0A000001, 0x0A000002)
    assert (rows.sport[0], rows.dport[0], rows.tcp_flags[0], rows.ip_proto[0]) == (7777, 8888, 0x018, 6)
    assert (rows.marks[0], rows.vlan[0]) == (PORTS, NO_VLAN)


def test_ipv6_addresses_are_two_words(build: Any) -> None:
    rows = rows_of(build, [build.ethernet(0x86DD, build.ipv6(17, build.udp(b"zzz")))])
    assert paths_of(rows) == ["eth:ipv6:udp"]
    assert (rows.kind[0], rows.src_hi[0], rows.src_lo[0]) == (KIND_IPV6, 0x20010DB8 << 32, 1)
    assert (rows.dst_hi[0], rows.dst_lo[0], rows.ip_proto[0]) == (0x20010DB8 << 32, 2, 0)


def test_without_ip_the_ethernet_addresses_are_shown(build: Any) -> None:
    rows = rows_of(build, [build.ethernet(0x0806, b"\0" * 28), build.ethernet(0xEEEE, b"")])
    assert paths_of(rows) == ["eth:arp", "eth"]
    assert rows.kind.tolist() == [KIND_MAC, KIND_MAC]
    assert rows.src_lo.tolist() == [0x0200000000A0] * 2
    assert rows.dst_lo.tolist() == [0x0200000000B0] * 2


def test_an_unknown_link_type_lists_its_packets(build: Any) -> None:
    rows = rows_of(build, [b"abc", b""], 9999)
    assert paths_of(rows) == ["data", "data"]
    assert rows.marks.tolist() == [0, 0]


def test_events_are_rows_of_their_own(build: Any) -> None:
    block = build.block([b"eth0 is down", build.ethernet(0x0800, build.ipv4(6, build.tcp()))])
    block.marks[0] = EVENT
    rows = Decoder().decode(block).rows
    assert paths_of(rows) == ["event", "eth:ip:tcp"]
    assert rows.marks.tolist() == [EVENT, PORTS]


@pytest.mark.parametrize(
    ("kinds", "path", "vlan"),
    [
        ([0x8100], "eth:vlan:ip:tcp", 10),
        ([0x9100, 0x8100], "eth:vlan:vlan:ip:tcp", 10),
        ([0x88A8, 0x8100], "eth:ieee8021ad:vlan:ip:tcp", 10),
    ],
)
def test_stacked_tags(build: Any, kinds: list[int], path: str, vlan: int) -> None:
    rows = rows_of(build, [build.tags(kinds, 0x0800, build.ipv4(6, build.tcp()))])
    assert (paths_of(rows), rows.vlan[0]) == ([path], vlan)


@pytest.mark.parametrize(
    ("linktype", "header", "path"),
    [
        (113, struct.pack(">HHH8sH", 0, 1, 6, bytes.fromhex("0200000000a00000"), 0x0800), "sll:ip:tcp"),
        (276, struct.pack(">HHIHBB8s", 0x0800, 0, 3, 1, 0, 6, bytes.fromhex("0200000000a00000")), "sll:ip:tcp"),
        (101, b"", "raw:ip:tcp"),
        (12, b"", "raw:ip:tcp"),
        (228, b"", "ip:tcp"),
        (0, b"\2\0\0\0", "null:ip:tcp"),
        (0, b"\0\0\0\2", "null:ip:tcp"),
        (108, b"\0\0\0\2", "null:ip:tcp"),
        (9, b"\xff\x03\0\x21", "ppp:ip:tcp"),
        (50, b"\x21", "ppp:ip:tcp"),
        (104, b"\x0f\0\x08\0", "chdlc:ip:tcp"),
        (107, b"\x18\x41\x03\xcc", "fr:ip:tcp"),
        (127, b"\0\0\x08\0\0\0\0\0\x08\x01" + b"\0" * 22 + SNAP, "radiotap:wlan_radio:wlan:llc:ip:tcp"),
    ],
)  # fmt: skip
def test_link_types(build: Any, linktype: int, header: bytes, path: str) -> None:
    assert paths_of(rows_of(build, [header + build.ipv4(6, build.tcp())], linktype)) == [path]


@pytest.mark.parametrize("family", [24, 28, 30])
def test_families_of_ipv6_on_several_systems(build: Any, family: int) -> None:
    packet = build.ipv6(17, build.udp(b"zzz"))
    packets = [struct.pack("<I", family) + packet, struct.pack(">I", family) + packet]
    assert paths_of(rows_of(build, packets, 0)) == ["null:ipv6:udp"] * 2


def test_tunnels_are_walked_and_the_outer_addresses_shown(build: Any) -> None:
    inner = build.ipv4(6, build.tcp(), src="10.9.9.9")
    frame = build.ethernet(0x0800, inner)
    extended = b"\x34\xff" + struct.pack(">HI", 8 + len(inner), 1) + b"\0\0\0\x85\1\0\1\0"
    outer = {
        "eth:ip:ip:tcp": build.ipv4(4, inner),
        "eth:ip:gre:ip:tcp": build.ipv4(47, b"\x30\0\x08\0" + b"\0" * 8 + inner),
        "eth:ip:gre:ppp:ip:tcp": build.ipv4(47, b"\x30\x81\x88\x0b" + b"\0" * 12 + b"\xff\x03\0\x21" + inner),
        "eth:ip:gre:eth:ip:tcp": build.ipv4(47, b"\0\0\x88\xbe" + frame),
        "eth:ip:gre:erspan:eth:ip:tcp": build.ipv4(47, b"\x10\0\x88\xbe\0\0\0\1\x10" + b"\0" * 7 + frame),
        "eth:ip:udp:vxlan:eth:ip:tcp": build.ipv4(17, build.udp(b"\x08" + b"\0" * 7 + frame, dport=4789)),
        "eth:ip:udp:geneve:eth:ip:tcp": build.ipv4(
            17, build.udp(b"\1\0\x65\x58\0\0\1\0" + b"\0" * 4 + frame, dport=6081)
        ),
        "eth:ip:udp:gtp:ip:tcp": build.ipv4(17, build.udp(extended + inner, dport=2152)),
        "eth:ip:ah:tcp": build.ipv4(51, b"\6\4" + b"\0" * 22 + build.tcp()),
    }  # fmt: skip
    rows = rows_of(build, [build.ethernet(0x0800, packet) for packet in outer.values()])
    assert paths_of(rows) == list(outer)
    assert set(rows.src_lo.tolist()) == {0x0A000001}
    tunnelled = rows.marks & TUNNELLED != 0
    assert tunnelled.tolist() == [True] * 8 + [False]
    assert rows.tcp_flags.tolist() == [0x18] * 9
    # The ports are those of the outermost transport header.
    assert rows.dport[[0, 5]].tolist() == [8888, 4789]


def test_mpls_and_pppoe(build: Any) -> None:
    inner = build.ipv4(6, build.tcp())
    stack = build.label(16, last=False) + build.label(17, last=True)
    vendors = bytes.fromhex("001122334455 00aabbccddee 0800")
    session = struct.pack(">HHH", 0x1100, 1, len(inner) + 2)
    packets = {
        "eth:mpls:ip:tcp": build.ethernet(0x8847, stack + inner),
        "eth:mpls:pwethheuristic:pwethcw:eth:ip:tcp": build.ethernet(0x8847, stack + b"\0\0\0\0" + vendors + inner),
        "eth:pppoes:ppp:ip:tcp": build.ethernet(0x8864, session + b"\0\x21" + inner),
        "eth:pppoed": build.ethernet(0x8863, b"\x11\x09\0\0\0\0"),
    }  # fmt: skip
    assert paths_of(rows_of(build, list(packets.values()))) == list(packets)


def test_an_icmp_error_shows_the_ports_that_it_quotes(build: Any) -> None:
    quoted = build.ipv4(17, build.udp(b"zzz", dport=33434), total=1400)
    quoted6 = build.ipv6(6, build.tcp(), size=1400)
    packets = [
        build.ethernet(0x0800, build.ipv4(1, b"\x0b\0\0\0\0\0\0\0" + quoted[:28])),
        build.ethernet(0x86DD, build.ipv6(58, b"\1\0\0\0\0\0\0\0" + quoted6[:44])),
    ]
    rows = rows_of(build, packets)
    assert paths_of(rows) == ["eth:ip:icmp:ip:udp", "eth:ipv6:icmpv6:ipv6:tcp"]
    assert rows.icmp_type.tolist() == [11, 1]
    assert rows.dport.tolist() == [33434, 8888]
    # What is quoted ends early by nature: nothing malformed, nothing tunnelled.
    assert rows.marks.tolist() == [PORTS, PORTS]


def test_extension_headers_are_walked_in_any_number(build: Any) -> None:
    option = b"\x3c\0\1\4\0\0\0\0"
    chain = option * 10 + b"\x11\0\1\4\0\0\0\0"
    rows = rows_of(build, [build.ethernet(0x86DD, build.ipv6(60, chain + build.udp(b"zzz")))])
    assert (paths_of(rows), rows.dport[0]) == (["eth:ipv6:udp"], 8888)


def test_a_payload_ends_where_its_header_says(build: Any) -> None:
    """Padding behind a packet of 40 bytes is no data: TCP, not TLS."""
    hello = b"\x16\x03\x01\0\x20" + b"\0" * 32
    packets = [
        build.ethernet(0x0800, build.ipv4(6, build.tcp(hello, dport=443), total=40)),
        build.ethernet(0x0800, build.ipv4(6, build.tcp(hello, dport=443))),
        build.ethernet(0x0800, build.ipv4(6, build.tcp(hello, dport=443), total=0)),
    ]
    assert paths_of(rows_of(build, packets)) == ["eth:ip:tcp", "eth:ip:tcp:tls", "eth:ip:tcp:tls"]


@pytest.mark.parametrize(
    "packet",
    [
        pytest.param(lambda b: b.ipv4(6, b.tcp(), first=0x44), id="header shorter than its fixed part"),
        pytest.param(lambda b: b.ipv4(6, b.tcp(), first=0x55), id="version 5"),
        pytest.param(lambda b: b.ipv4(6, b.tcp(), total=19), id="total length below the header"),
        pytest.param(lambda b: b.ipv4(6, b.tcp(), total=4000), id="total length beyond the frame"),
        pytest.param(lambda b: b.ipv4(6, b.tcp(offset=4)), id="TCP data offset 4"),
        pytest.param(lambda b: b.ipv4(6, b.tcp(offset=15)), id="TCP header beyond the packet"),
        pytest.param(lambda b: b.ipv4(17, b.udp(b"zz", length=7)), id="UDP length below the header"),
        pytest.param(lambda b: b.ipv4(17, b.udp(b"zz", length=99)), id="UDP length beyond the packet"),
        pytest.param(lambda b: b.ipv4(17, b"\0\1\0"), id="three bytes of UDP"),
        pytest.param(lambda b: b.ipv4(47, b"\0"), id="a byte of GRE"),
    ],
)
def test_what_is_malformed(build: Any, packet: Any) -> None:
    frame = build.ethernet(0x0800, packet(build))
    assert rows_of(build, [frame]).marks[0] & MALFORMED


def test_an_empty_tunnel_is_not_malformed(build: Any) -> None:
    """PPTP's acknowledgement, a GRE keep-alive, a label with nothing behind it."""
    packets = [
        build.ethernet(0x0800, build.ipv4(47, b"\x20\x81\x88\x0b\0\0\0\1\0\0\0\2")),
        build.ethernet(0x0800, build.ipv4(47, b"\0\0\x08\0")),
        build.ethernet(0x8847, build.label(16, last=True)),
    ]
    rows = rows_of(build, packets)
    assert paths_of(rows) == ["eth:ip:gre", "eth:ip:gre", "eth:mpls"]
    assert rows.marks.tolist() == [0, 0, 0]


def test_a_loop_of_tunnels_ends(build: Any) -> None:
    packet = build.tcp()
    for _ in range(200):
        packet = build.ipv4(4, packet)
    rows = rows_of(build, [build.ethernet(0x0800, packet)])
    assert rows.marks[0] & MALFORMED
    assert rows.marks[0] & TUNNELLED


@pytest.mark.parametrize("six", [False, True])
def test_a_cut_is_never_malformed(build: Any, six: bool) -> None:
    whole = (
        build.ipv6(60, b"\6\0\1\4\0\0\0\0" + build.tcp()) if six else build.ipv4(6, build.tcp(), options=b"\1" * 8)
    )
    frame = build.ethernet(0x86DD if six else 0x0800, whole)
    cuts = list(range(len(frame)))
    rows = rows_of(build, [frame[:cut] for cut in cuts], wire=[len(frame)] * len(cuts))
    assert set((rows.marks & MALFORMED).tolist()) == {0}
    assert set((rows.marks & TRUNCATED).tolist()) == {TRUNCATED}
    # Ports show as a pair, as soon as both were captured.
    shown = np.array(cuts) >= len(frame) - 16
    assert (rows.marks & PORTS != 0).tolist() == shown.tolist()


@pytest.mark.parametrize(
    ("transport", "name"),
    [
        (lambda b: b.ipv4(17, b.udp(b"\0" * 12, dport=53)), "udp:dns"),
        (lambda b: b.ipv4(17, b.udp(b"\0" * 12, dport=5353)), "udp:mdns"),
        (lambda b: b.ipv4(17, b.udp(b"\1" + b"\0" * 240, sport=68, dport=67)), "udp:dhcp"),
        (lambda b: b.ipv4(17, b.udp(b"\x23" + b"\0" * 47, sport=123, dport=123)), "udp:ntp"),
        (lambda b: b.ipv4(17, b.udp(b"\xc3\0\0\0\1\x08" + b"\0" * 1200, dport=443)), "udp:quic"),
        (lambda b: b.ipv4(17, b.udp(b"\x16\xfe\xfd" + b"\0" * 8 + b"\0\x10" + b"\0" * 16)), "udp:dtls"),
        (lambda b: b.ipv4(17, b.udp(b"\1\0\0\0" + b"\0" * 144)), "udp:wg"),
        (lambda b: b.ipv4(17, b.udp(b"\0\1\0\0\x21\x12\xa4\x42" + b"\0" * 12)), "udp:stun"),
        (lambda b: b.ipv4(17, b.udp(b"zz")), "udp"),
        (lambda b: b.ipv4(6, b.tcp(b"GET / HTTP/1.1\r\n")), "tcp:http"),
        (lambda b: b.ipv4(6, b.tcp(b"HTTP/1.1 200 OK\r\n", sport=80)), "tcp:http"),
        (lambda b: b.ipv4(6, b.tcp(b"<html>", sport=80)), "tcp"),
        (lambda b: b.ipv4(6, b.tcp(b"SSH-2.0-x\r\n", dport=22)), "tcp:ssh"),
        (lambda b: b.ipv4(6, b.tcp(b"", dport=22)), "tcp"),
        (lambda b: b.ipv4(6, b.tcp(b"\x17\x03\x03\0\x05" + b"z" * 5)), "tcp:tls"),
        (lambda b: b.ipv4(6, b.tcp(b"\0\0\0\x44\xfeSMB" + b"\0" * 64, dport=445)), "tcp:nbss:smb2"),
    ],
)
def test_what_rides_on_top(build: Any, transport: Any, name: str) -> None:
    assert paths_of(rows_of(build, [build.ethernet(0x0800, transport(build))])) == [f"eth:ip:{name}"]
