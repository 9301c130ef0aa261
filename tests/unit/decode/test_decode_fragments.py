"""Fragments: which packet shows what the datagram holds."""

from __future__ import annotations

import struct
from itertools import permutations
from typing import Any

import pytest

from netwatch.capture import datagrams as module
from netwatch.capture.columns import FRAGMENT, MALFORMED, PORTS, REASSEMBLED
from netwatch.capture.decode import Decoder
from netwatch.capture.paths import PATHS

Spans = list[tuple[int, int]]
MORE = 0x2000


def pieces4(build: Any, datagram: bytes, spans: Spans, ident: int = 7, wrap: Any = None) -> list[bytes]:
    """IPv4 fragments of a UDP datagram."""
    made = []
    for start, end in spans:
        field = start // 8 | (MORE if end < len(datagram) else 0)
        packet = build.ipv4(17, datagram[start:end], ident=ident, fragment=field)
        made.append(build.ethernet(0x0800, wrap(packet) if wrap else packet))
    return made


def pieces6(build: Any, datagram: bytes, spans: Spans, ident: int = 7) -> list[bytes]:
    made = []
    for start, end in spans:
        header = struct.pack(">BBHI", 17, 0, start | (end < len(datagram)), ident)
        made.append(build.ethernet(0x86DD, build.ipv6(44, header + datagram[start:end])))
    return made


def shown(build: Any, packets: list[bytes], wire: list[int] | None = None) -> list[bool]:
    """Whether each packet shows ports."""
    rows = Decoder().decode(build.block(packets, 1, wire)).rows
    return [bool(marks & PORTS) for marks in rows.marks.tolist()]


@pytest.fixture
def datagram(build: Any) -> bytes:
    made: bytes = build.udp(b"q" * 92)
    return made


SPANS: Spans = [(0, 32), (32, 64), (64, 100)]


@pytest.mark.parametrize("pieces", [pieces4, pieces6])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_fragment_that_completes_shows_the_ports(
    build: Any, datagram: bytes, pieces: Any, order: tuple[int, ...]
) -> None:
    packets = pieces(build, datagram, SPANS)
    rows = Decoder().decode(build.block([packets[index] for index in order])).rows
    assert [bool(marks & PORTS) for marks in rows.marks.tolist()] == [False, False, True]
    assert [bool(marks & REASSEMBLED) for marks in rows.marks.tolist()] == [False, False, True]
    assert all(marks & FRAGMENT for marks in rows.marks.tolist())
    assert (rows.sport[2], rows.dport[2]) == (7777, 8888)
    assert PATHS.names[rows.path[2]].endswith(":udp")


def test_fragments_meet_across_blocks(build: Any, datagram: bytes) -> None:
    decoder = Decoder()
    marks = [int(decoder.decode(build.block([packet])).rows.marks[0]) for packet in pieces4(build, datagram, SPANS)]
    assert [bool(mark & REASSEMBLED) for mark in marks] == [False, False, True]


def test_duplicates_and_overlaps(build: Any, datagram: bytes) -> None:
    first, second, third = pieces4(build, datagram, SPANS)
    assert shown(build, [first, first, second, second, third, first]) == [False] * 4 + [True, False]
    assert shown(build, pieces4(build, datagram, [(0, 40), (32, 64), (56, 100)])) == [False, False, True]
    assert shown(build, pieces4(build, datagram, [(0, 64), (32, 100)])) == [False, True]
    assert shown(build, pieces4(build, datagram, [(0, 32), (64, 100)])) == [False, False]


def test_of_two_first_fragments_the_earlier_wins(build: Any, datagram: bytes) -> None:
    forged = b"\x11\x11\x22\x22" + datagram[4:]
    true, tail = pieces4(build, datagram, [(0, 32), (32, 100)])
    false = pieces4(build, forged, [(0, 32)])[0]
    rows = Decoder().decode(build.block([true, false, tail])).rows
    assert (rows.sport[2], rows.dport[2]) == (7777, 8888)


def test_a_first_fragment_too_small_for_the_header(build: Any, datagram: bytes) -> None:
    assert shown(build, pieces4(build, datagram, [(0, 8), (8, 16), (16, 100)])) == [False, False, True]


def test_a_fragment_that_was_cut_is_not_put_together(build: Any, datagram: bytes) -> None:
    first, last = pieces4(build, datagram, [(0, 64), (64, 100)])
    rows = Decoder().decode(build.block([first[:60], last], 1, [len(first), len(last)])).rows
    assert [bool(mark & PORTS) for mark in rows.marks.tolist()] == [True, False]
    assert not (rows.marks & MALFORMED).any()


def test_fragments_inside_tunnels(build: Any, datagram: bytes) -> None:
    in_gre = pieces4(build, datagram, SPANS, wrap=lambda packet: build.ipv4(47, b"\0\0\x08\0" + packet))
    assert shown(build, in_gre) == [False, False, True]
    # Each fragment of the inner datagram is itself cut into two.
    nested = []
    for ident, packet in enumerate(pieces4(build, datagram, [(0, 64), (64, 100)])):
        inner = packet[14:]
        for start, end in ((0, 40), (40, len(inner))):
            field = start // 8 | (MORE if end < len(inner) else 0)
            nested.append(build.ethernet(0x0800, build.ipv4(4, inner[start:end], ident=ident, fragment=field)))
    assert shown(build, nested) == [False, False, False, True]


def test_other_tags_other_datagrams(build: Any, datagram: bytes) -> None:
    first, last = pieces4(build, datagram, [(0, 64), (64, 100)])
    tagged = last[:12] + b"\x81\0\0\5" + last[12:]
    assert shown(build, [first, tagged]) == [False, False]


def test_what_is_kept_is_bounded(build: Any, datagram: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DATAGRAMS", 2)
    firsts = [pieces4(build, datagram, SPANS[:1], ident)[0] for ident in range(3)]
    lasts = [pieces4(build, datagram, [(32, 100)], ident)[0] for ident in range(3)]
    # The oldest of three was given up.
    assert shown(build, firsts + lasts[::-1])[3:] == [True, True, False]


def test_what_is_kept_grows_old(build: Any, datagram: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AGE", 3)
    first, last = pieces4(build, datagram, [(0, 64), (64, 100)])
    other = pieces4(build, datagram, SPANS[:1], ident=9)[0]
    assert shown(build, [first, other, last])[2]
    assert not shown(build, [first, b"", b"", b"", other, last])[5]


def test_a_fragment_header_without_its_ip_header(build: Any, datagram: bytes) -> None:
    """In IPv4, and first in a datagram that was put together far into a block."""
    header = struct.pack(">BBHI", 17, 0, 1, 5)
    inside = build.ethernet(0x0800, build.ipv4(44, header + datagram))
    filler = build.ethernet(0x0800, build.ipv4(17, build.udp(b"z" * 1000)))
    nested = []
    for start, end in ((0, 16), (16, 40)):
        outer = struct.pack(">BBHI", 44, 0, start | (end < 40), 9)
        nested.append(build.ethernet(0x86DD, build.ipv6(44, outer + (header + datagram)[start:end])))
    assert shown(build, [filler, inside, *nested]) == [True, False, False, False]
