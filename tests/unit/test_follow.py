"""Following a stream: whatever the network did to the segments, the bytes come out as they were sent."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import socket
import stat
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture import follow as module
from netwatch.capture.block import Batch, Block, Damage, Interface, Loss
from netwatch.capture.decode import Decoder
from netwatch.capture.directory import PlainDirectory
from netwatch.capture.follow import CUT, DATA, GAP, NOTE, Follow, Turn, pair_of
from netwatch.capture.follow_half import Half
from netwatch.capture.follow_save import StreamSave
from netwatch.capture.follow_search import pattern, search
from netwatch.capture.session import Session
from netwatch.capture.stats import partial

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLIENT, SERVER = ("192.0.2.1", 40000), ("198.51.100.80", 80)
End = tuple[str, int]


# Packets and a capture of them


def ethernet(packet: bytes, kind: int = 0x0800, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack("!2H", 0x8100, vlan)
    return bytes.fromhex("020000000002020000000001") + tag + struct.pack("!H", kind) + packet


def ip(payload: bytes, source: str, destination: str, protocol: int = 6, ident: int = 1, fragment: int = 0) -> bytes:
    if ":" in source:
        head = struct.pack("!LHBB", 6 << 28, len(payload), protocol, 64)
        return head + socket.inet_pton(10, source) + socket.inet_pton(10, destination) + payload
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0)
    return head + socket.inet_aton(source) + socket.inet_aton(destination) + payload


def tcp(payload: bytes, seq: int, flags: int = ACK, ack: int = 0, frm: End = CLIENT, to: End = SERVER) -> bytes:
    """A segment in IP, without the link."""
    head = struct.pack("!2H2L4H", frm[1], to[1], seq % 2**32, ack % 2**32, 0x5000 | flags, 64000, 0, 0)
    return ip(head + payload, frm[0], to[0])


def up(payload: bytes, seq: int, flags: int = ACK, ack: int = 0) -> bytes:
    return ethernet(tcp(payload, seq, flags, ack))


def down(payload: bytes, seq: int, flags: int = ACK, ack: int = 0) -> bytes:
    return ethernet(tcp(payload, seq, flags, ack, SERVER, CLIENT))


def udp(payload: bytes, frm: End = CLIENT, to: End = SERVER) -> bytes:
    head = struct.pack("!4H", frm[1], to[1], 8 + len(payload), 0)
    return ethernet(ip(head + payload, frm[0], to[0], 17))


def hello(client: int = 1000, server: int = 5000) -> list[bytes]:
    """The handshake: the first bytes have the numbers after these."""
    return [
        up(b"", client, SYN),
        down(b"", server, SYN | ACK, client + 1),
        up(b"", client + 1, ACK, server + 1),
    ]


class Capture:
    """A session over packets that the test makes."""

    name, live, exhausted = "test", True, False

    def __init__(self, packets: Sequence[bytes], *, snap: int = 65535, buffer: int | None = None) -> None:
        self.interfaces = [Interface("test", 1)]
        self.damage: Damage | None = None
        self._decoder = Decoder()
        self._fed = 0
        self._snap = snap
        self.session = Session(self, buffer=buffer)
        self.feed(packets)

    def feed(self, packets: Sequence[bytes]) -> None:
        wire = np.array([len(packet) for packet in packets], np.uint32)
        kept = [packet[: self._snap] for packet in packets]
        sizes = np.array([len(packet) for packet in kept], np.uint32)
        n = len(packets)
        offsets = (np.cumsum(sizes) - sizes).astype(np.int64)
        ts = 10**18 + (self._fed + np.arange(n, dtype=np.int64)) * 1_000_000
        zeros = np.zeros(n, np.uint16)
        raw = np.frombuffer(b"".join(kept) + bytes(64), np.uint8)
        block = Block(raw, offsets, sizes, wire, ts, np.ones(n, np.uint16), zeros, zeros, offsets, True)
        self._fed += n
        rows = self._decoder.decode(block).rows
        self.session.ingest(Batch(rows, block.raw, partial(rows)))

    def next_block(self, timeout: float) -> Block | None:
        raise NotImplementedError

    def read_at(self, pos: int, size: int) -> bytes:
        raise NotImplementedError

    def loss(self) -> Loss:
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        return None

    def wake(self) -> None: ...

    def close(self) -> None: ...


@dataclass
class Said:
    """What came out."""

    client: bytes
    server: bytes
    turns: list[Turn]
    follow: Follow

    @property
    def shape(self) -> str:
        """`>5 <3 gap4`: who said how much, in order."""
        words = []
        for turn in self.turns:
            sign = ">" if turn.side == self.follow.connection.client else "<"
            kind = {DATA: "", GAP: "gap", CUT: "cut", NOTE: "note"}[turn.kind]
            words.append(f"{sign}{kind}" + (str(turn.end - turn.start) if turn.kind != NOTE else ""))
        return " ".join(words)


def stream(follow: Follow, side: int) -> bytes:
    return b"".join(data if data is not None else b"" for _, data in follow.bytes_of(side, -(1 << 62), 1 << 62))


def listen(follow: Follow) -> Said:
    while follow.work(0.001):
        follow.update()
    follow.update()
    turns = [follow.turns[at] for at in range(len(follow.turns))]
    client = follow.connection.client
    return Said(stream(follow, client), stream(follow, 1 - client), turns, follow)


def following(capture: Capture, index: int = 0) -> Follow:
    pair = pair_of(capture.session, index)
    assert pair is not None
    return Follow(capture.session, pair, index)


def said(packets: Sequence[bytes], index: int = 0, **how: int) -> Said:
    return listen(following(Capture(packets, **how), index))


# What everybody expects


def test_a_question_and_its_answer() -> None:
    one = said([*hello(), up(b"GET /\r\n", 1001), down(b"HTTP", 5001), down(b"/1.1", 5005), up(b"bye", 1008)])
    assert (one.client, one.server) == (b"GET /\r\nbye", b"HTTP/1.1")
    assert one.shape == ">7 <8 >3"


@pytest.mark.parametrize("index", range(7))
def test_any_packet_of_it_leads_there(index: int) -> None:
    packets = [*hello(), up(b"ask", 1001), down(b"answer", 5001), up(b"", 1004, FIN | ACK), down(b"", 5007, RST)]
    one = said(packets, index)
    assert (one.client, one.server) == (b"ask", b"answer")


def test_what_others_say_is_not_in_it() -> None:
    other = ethernet(tcp(b"other", 1001, frm=("192.0.2.1", 40001)))
    back = ethernet(tcp(b"other", 1001, frm=("192.0.2.9", 40000)))
    same_ports = udp(b"datagram")
    one = said([other, *hello(), same_ports, up(b"mine", 1001), back], 1)
    assert (one.client, one.server) == (b"mine", b"")


def test_the_client_is_who_opened_it_or_has_the_higher_port() -> None:
    for packets in ([down(b"x", 5001)], [up(b"x", 1001)]):
        follow = said(packets).follow
        ends = (follow.pair.a, follow.pair.b)
        assert str(ends[follow.connection.client]) == "192.0.2.1:40000"
    active = [ethernet(tcp(b"", 1, SYN, frm=("192.0.2.1", 20), to=("192.0.2.2", 40000)))]
    follow = said(active).follow
    assert (follow.pair.a, follow.pair.b)[follow.connection.client].port == 20


def test_the_client_of_datagrams_is_who_sent_first() -> None:
    low, high = ("192.0.2.1", 546), ("192.0.2.2", 5470)
    packets = [udp(b"one", frm=low, to=high), udp(b"two", frm=high, to=low)]
    for order, client in ((packets, low), (packets[::-1], high)):
        for index in (0, 1):
            follow = said(order, index).follow
            assert str((follow.pair.a, follow.pair.b)[follow.connection.client]) == f"{client[0]}:{client[1]}"


@pytest.mark.parametrize("group", ["224.0.0.251", "239.255.255.250", "255.255.255.255"])
def test_a_group_is_never_the_client(group: str) -> None:
    packets = [udp(b"from nobody", frm=(group, 5353), to=("192.0.2.1", 1900))]
    packets += [udp(b"who", frm=("192.0.2.1", 1900), to=(group, 5353))]
    for index in (0, 1):
        one = said(packets, index)
        assert (one.client, one.server) == (b"who", b"from nobody")


def test_nothing_to_follow() -> None:
    arp = ethernet(struct.pack("!2H2BH", 1, 0x0800, 6, 4, 1) + bytes(20), 0x0806)
    ping = ethernet(ip(b"\x08\0\0\0\0\0\0\0", "192.0.2.1", "192.0.2.2", 1))
    for packet in (arp, ping, arp[:10]):
        assert pair_of(Capture([packet]).session, 0) is None


def test_a_packet_that_an_error_quotes_is_not_part_of_the_conversation() -> None:
    quoted = tcp(b"lost", 1001)
    error = ethernet(ip(b"\x03\x04" + bytes(6) + quoted, "203.0.113.1", "192.0.2.1", 1))
    one = said([*hello(), error, up(b"mine", 1001)])
    assert one.client == b"mine"


# What the network does


def test_order_is_that_of_the_numbers() -> None:
    one = said([*hello(), up(b"c", 1003), up(b"a", 1001), down(b"!", 5001), up(b"b", 1002)])
    assert one.client == b"abc"
    assert one.shape == ">1 <1 >2"  # what overtook waits for what it needs


def test_numbers_wrap() -> None:
    start = 2**32 - 3
    packets = [*hello(start), up(b"abc", start + 1), up(b"defg", start + 4), up(b"abcdefg", start + 1)]
    one = said(packets)
    assert one.client == b"abcdefg"
    assert one.follow.connection.halves[0].repeated == 7


def test_numbers_wrap_more_than_once() -> None:
    step = 1 << 29
    half = Half()
    half.open(4_000_000_000)
    for at in range(20):
        start = half.offset((4_000_000_001 + at * step) % 2**32)
        assert start == at * step
        half.add(start, step, step, at, 0)
        assert half.offset((4_000_000_001 + at * step - 5) % 2**32) == at * step - 5
    assert half.last == 20 * step


def test_segments_that_overtake_the_syn() -> None:
    one = said([up(b"second", 1006), up(b"first", 1001), *hello()])
    assert one.client == b"firstsecond"
    assert "gap" not in one.shape


def test_data_in_the_syn_and_once_more_behind_it() -> None:
    packets = [up(b"early", 1000, SYN), down(b"", 5000, SYN | ACK, 1001), up(b"early", 1001), up(b" late", 1006)]
    assert said(packets).client == b"early late"


def test_a_keep_alive_is_no_byte_of_the_stream() -> None:
    packets = [*hello(), up(b"a", 1001), up(b"\0", 1001), up(b"\0", 1001), up(b"b", 1002)]
    one = said(packets)
    assert one.client == b"ab"
    assert one.shape == ">2"
    assert said([*hello(), up(b"\0", 1000), up(b"ab", 1001)]).client == b"ab"


def test_a_zero_window_probe_is() -> None:
    one = said([*hello(), up(b"abc", 1001), up(b"d", 1004), up(b"d", 1004), up(b"defg", 1004)])
    assert one.client == b"abcdefg"
    assert one.shape == ">7"


def test_a_gap_is_told_with_its_size() -> None:
    one = said([*hello(), down(b"a" * 100, 5001), down(b"c" * 50, 5001 + 1560), up(b"thanks", 1001)])
    assert one.shape == "<100 <gap1460 <50 >6"
    assert one.follow.turns.missing() == (1, 1460)


def test_a_gap_that_is_filled_late_is_none() -> None:
    capture = Capture([*hello(), down(b"a", 5001), down(b"c", 5003), up(b"x", 1001)])
    follow = following(capture)
    assert listen(follow).shape == "<1 <gap1 <1 >1"
    capture.feed([down(b"b", 5002), down(b"d", 5004)])
    one = listen(follow)
    assert (one.server, one.shape) == (b"abcd", "<1 >1 <3")


def test_missing_beginnings_and_ends_are_gaps_too() -> None:
    one = said([*hello(), up(b"late", 1011), down(b"", 5001, FIN | ACK, 1035), up(b"", 1035, FIN)])
    assert one.shape == ">gap10 >4 >gap20"
    acknowledged = said([*hello(), up(b"late", 1001), down(b"", 5001, ACK, 1105)])
    assert acknowledged.shape == ">4 >gap100"


def test_a_capture_that_begins_in_the_middle_lacks_nothing_that_is_known() -> None:
    one = said([up(b"", 7000), down(b"middle", 900), down(b"end", 906), down(b"the ", 896)])
    assert (one.server, one.shape) == (b"the middleend", "<13")


# Twice the same, and twice not the same


def test_repetitions_and_overlaps_of_the_same_bytes_are_quiet() -> None:
    packets = [*hello(), up(b"abcd", 1001), up(b"cdef", 1003), up(b"abcdefgh", 1001), up(b"b", 1002)]
    one = said(packets)
    assert (one.client, one.shape) == (b"abcdefgh", ">8")
    assert one.follow.connection.conflicts == 0
    assert one.follow.connection.halves[0].repeated == 9


def test_of_different_bytes_the_first_ones_stay_and_both_lengths_are_told() -> None:
    one = said([*hello(), up(b"GET /safe ", 1001), up(b"/evil HTTP", 1005), up(b"!", 1015)])
    assert one.client == b"GET /safe HTTP!"
    (note,) = one.follow.connection.notes
    assert (note.kind, note.start, note.size, note.packet_size, note.first_size) == ("conflict", 5, 4, 10, 10)
    assert (note.row, note.first, note.other) == (4, 3, b"evil"[:4])
    assert one.shape == ">15 >note".replace(">15 >note", ">14 >note >1")


def test_a_conflict_around_a_gap() -> None:
    """A hole is filled with what comes, around it the first ones stay."""
    one = said([*hello(), up(b"AA", 1001), up(b"CC", 1005), up(b"xxBBxx", 1001)])
    assert one.client == b"AABBCC"
    assert one.follow.connection.conflicts == 2


# The end, and what comes behind it


def test_bytes_behind_the_fin_are_left_out_and_told() -> None:
    one = said([*hello(), up(b"all", 1001, FIN | ACK), up(b"more", 1004), up(b"all", 1001)])
    assert one.client == b"all"
    (note,) = one.follow.connection.notes
    assert (note.kind, note.size, note.other) == ("after FIN", 4, b"more")


def test_the_fin_may_overtake() -> None:
    one = said([*hello(), up(b"", 1004, FIN | ACK), up(b"all", 1001), up(b"llx", 1002)])
    assert one.client == b"all"
    assert [note.size for note in one.follow.connection.notes] == [1]


def test_a_late_fin_of_a_connection_before_does_not_last() -> None:
    one = said([*hello(), up(b"", 9_000_000, FIN | ACK), up(b"all", 1001), up(b"", 1004, FIN | ACK)])
    assert (one.client, one.shape) == (b"all", ">3")


def test_what_was_under_way_when_the_reset_came_was_said() -> None:
    one = said([*hello(), up(b"all", 1001), down(b"why", 5001, RST | ACK), up(b" of it", 1004)])
    assert (one.client, one.server) == (b"all of it", b"")
    assert one.follow.connection.state == "reset by server"
    assert [note.kind for note in one.follow.connection.notes] == ["with RST"]


def test_a_number_out_of_any_window_is_not_believed() -> None:
    one = said([*hello(), up(b"ab", 1001), up(b"spoofed", 1003 + (3 << 29)), up(b"cd", 1003)])
    assert (one.client, one.shape) == (b"abcd", ">2 >note >2")


def test_ports_that_are_used_again_are_another_stream() -> None:
    first = [*hello(), up(b"one", 1001), up(b"", 1004, FIN | ACK), down(b"", 5001, FIN | ACK)]
    second = [*hello(90_000, 70_000), up(b"two", 90_001), up(b"", 90_000, SYN)]
    third = [up(b"three", 7_000_000)]  # its SYN was not captured, but the others' ends were
    packets = [*first, *second, down(b"", 70_001, RST), *third]
    for index in range(len(packets)):
        number = (index >= len(first)) + (index > len(first) + len(second))
        assert said(packets, index).client == (b"one", b"two", b"three")[number]


def test_a_syn_that_comes_again_is_the_same_stream() -> None:
    one = said([up(b"", 1000, SYN), up(b"", 1000, SYN), *hello()[1:], up(b"one", 1001), up(b"", 1000, SYN)])
    assert one.client == b"one"
    assert one.follow.connection.packets == 6


def test_of_several_answers_the_one_that_bytes_follow_holds() -> None:
    answers = [down(b"", number, SYN | ACK, 1001) for number in (5000, 2_000_000_000, 5000, 2_000_000_000)]
    for first in (5001, 2_000_000_001):
        packets = [up(b"", 1000, SYN), *answers, up(b"ask", 1001), down(b"fir", first), down(b"st", first + 3)]
        one = said(packets)
        assert (one.client, one.server, one.shape) == (b"ask", b"first", ">3 <5")


def test_an_answer_to_nobody_and_a_reset_before_the_true_one() -> None:
    """What is left of a connection before: a challenge (RFC 5961, 4), and what it is answered with."""
    packets = [up(b"", 1000, SYN), down(b"", 77, ACK, 3_000_000_000), up(b"", 3_000_000_000, RST), *hello()]
    one = said([*packets, up(b"ask", 1001), down(b"answer", 5001)])
    assert (one.client, one.server) == (b"ask", b"answer")
    assert one.follow.connection.state == ""


def test_a_tunnel_that_comes_in_fragments() -> None:
    """The fragments have the addresses of the tunnel, and only the last of each is known to be one."""
    packets = []
    for ident, at in enumerate(range(0, 90, 30)):
        inner = struct.pack("!2H", 0, 0x0800) + tcp(b"%030d" % at, 1000 + at)
        for start in (0, 32):
            more = 0x2000 if not start else 0
            part = inner[start : start + 32] if not start else inner[start:]
            packets.append(ethernet(ip(part, "203.0.113.1", "203.0.113.2", 47, ident, start >> 3 | more)))
    for index in range(len(packets)):
        assert said(packets, index).client == b"%030d" % 0 + b"%030d" % 30 + b"%030d" % 60


# Whatever is around it


def wrapped(packet: bytes, how: str) -> list[bytes]:
    """An IP packet as it may come."""
    if how == "vlan":
        return [ethernet(packet, vlan=7)]
    if how == "gre":
        return [ethernet(ip(struct.pack("!2H", 0, 0x0800) + packet, "203.0.113.1", "203.0.113.2", 47))]
    if how == "ipip":
        return [ethernet(ip(packet, "203.0.113.1", "203.0.113.2", 4))]
    if how == "vxlan":
        port = 50000 + hashlib.sha256(packet).digest()[0]
        inside = struct.pack("!2L", 0x08000000, 42 << 8) + ethernet(packet)
        return [udp(inside, ("203.0.113.1", port), ("203.0.113.2", 4789))]
    if how == "fragments":
        ident = int.from_bytes(hashlib.sha256(packet).digest()[:2])
        source, destination = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        body = packet[20:]
        parts = [(at, body[at : at + 24]) for at in range(0, len(body), 24)]
        last = parts[-1][0]
        made = [
            ethernet(ip(part, source, destination, 6, ident, at >> 3 | (0x2000 if at != last else 0)))
            for at, part in parts
        ]
        return made[::-1]
    return [ethernet(packet)]


@pytest.mark.parametrize("how", ["plain", "vlan", "gre", "ipip", "vxlan", "fragments"])
def test_inner_addresses_decide_whatever_is_around(how: str) -> None:
    text = b"The quick brown fox jumps over the lazy dog, and again. " * 3
    other = ("192.0.2.1", 40002)
    segments = [tcp(b"", 999, SYN)]
    for at in range(0, len(text), 50):
        segments += [tcp(text[at : at + 50], 1000 + at), tcp(b"noise" * 9, 1000 + at, frm=other)]
    packets = [part for segment in segments for part in wrapped(segment, how)]
    for index in (0, len(wrapped(segments[0], how))):
        one = said(packets, index)
        assert one.client == text


def test_inside_and_outside_of_a_tunnel_it_is_the_same_stream() -> None:
    there = [wrapped(tcp(b"ask", 1001), "gre")[0], wrapped(tcp(b"more", 1004), "gre")[0]]
    one = said([*hello(), there[0], down(b"answer", 5001), there[1]], 4)
    assert (one.client, one.server) == (b"askmore", b"answer")


def test_ipv6() -> None:
    ends = (("2001:db8::1", 40000), ("2001:db8::80", 80))
    packets = [ethernet(tcp(b"six", 5, frm=ends[0], to=ends[1]), 0x86DD)]
    packets += [ethernet(tcp(b"seven", 5, frm=ends[1], to=ends[0]), 0x86DD)]
    one = said(packets)
    assert (one.client, one.server) == (b"six", b"seven")
    assert str(one.follow.pair.a) == "[2001:db8::1]:40000"


def test_padding_is_no_payload() -> None:
    one = said([*hello(), up(b"a", 1001) + bytes(5), up(b"b", 1002) + bytes(5)])
    assert one.client == b"ab"


def test_what_the_snap_length_cut_off_is_missing_and_said_to_be_cut() -> None:
    packets = [*hello(), up(b"a" * 100, 1001), up(b"b" * 10, 1101), up(b"a" * 100, 1001)]
    one = said(packets, snap=54 + 30)
    assert one.client == b"a" * 30 + b"b" * 10
    assert one.shape == ">30 >cut70 >10"
    assert said(packets, snap=54).shape == ">cut110"


def test_datagrams_in_the_order_in_which_they_came() -> None:
    one = said([udp(b"ask"), udp(b"answer", SERVER, CLIENT), udp(b"ask"), udp(b"")])
    assert (one.client, one.server, one.shape) == (b"askask", b"answer", ">3 <6 >3")
    cut = said([udp(b"x" * 50), udp(b"y" * 50)], snap=42 + 20)
    assert cut.shape == ">20 >cut30 >20 >cut30"


# Any segmentation gives the string back


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[bytes, int, list[tuple[int, int]]]:
    """A string, its first number, and the (start, end) of segments as they come: in any order, some twice."""
    text = draw(st.binary(min_size=1, max_size=300))
    isn = draw(st.one_of(st.integers(0, 2**32 - 1), st.integers(2**32 - 300, 2**32 - 1)))
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=12))})
    parts = list(pairwise(cuts))
    place = st.integers(0, len(text))
    again = draw(st.lists(st.tuples(place, place).map(lambda pair: (min(pair), max(pair))), max_size=8))
    return text, isn, draw(st.permutations(parts + again))


@settings(max_examples=150, deadline=None)
@given(deliveries(), st.booleans())
def test_any_segmentation_duplication_and_order(
    delivery: tuple[bytes, int, list[tuple[int, int]]], handshake: bool
) -> None:
    text, isn, parts = delivery
    packets = [*(hello(isn) if handshake else []), *(up(text[start:end], isn + 1 + start) for start, end in parts)]
    capture = Capture(packets[:1])
    follow = following(capture)
    for packet in packets[1:]:
        capture.feed([packet])
        follow.work(1)
        follow.update()
    one = listen(follow)
    if handshake or not any(end - start == 1 for start, end in parts):
        assert one.client == text
        assert follow.connection.conflicts == 0
        assert "".join(one.shape.split()) == f">{len(text)}"
    whole = listen(following(Capture(packets)))
    assert whole.turns == one.turns  # slice by slice as at once


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=20)), max_size=25))
def test_of_every_byte_the_first_one_stays(segments: list[tuple[int, bytes]]) -> None:
    """Whatever overlaps with whatever: beside a model of one byte a place."""
    model: dict[int, int] = {}
    for at, data in segments:
        for place, byte in enumerate(data, at):
            model.setdefault(place, byte)
    one = said([*hello(), *(up(data, 1001 + at) for at, data in segments)])
    assert one.client == bytes(model[place] for place in sorted(model))
    holes = max(model, default=-1) + 1 - len(model)
    assert one.follow.turns.missing()[1] == holes


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 12), st.integers(0, 31)), max_size=40))
def test_whatever_comes_in_slices_it_is_as_at_once(segments: list[tuple[bool, int, int, int]]) -> None:
    """Also of nonsense, the list of turns that grew is the one that is made at once, and it holds every byte once."""
    packets = [up(b"start", 1000)]
    packets += [
        (up if ours else down)(bytes([65 + at % 26]) * size, (1000 if ours else 5000) + at, flags)
        for ours, at, size, flags in segments
    ]
    capture = Capture(packets[:1])
    follow = following(capture)
    listen(follow)
    for packet in packets[1:]:
        capture.feed([packet])
        listen(follow)
    one, whole = listen(follow), listen(following(Capture(packets)))
    assert one.turns == whole.turns
    for side in (0, 1):
        mine = [turn for turn in one.turns if turn.side == side and turn.kind == DATA]
        assert sum(turn.end - turn.start for turn in mine) == len(stream(follow, side))
        assert all(a.end <= b.start for a, b in pairwise(mine))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=120), min_size=1, max_size=8), st.integers(0, 7))
def test_noise_does_no_harm(noise: list[bytes], index: int) -> None:
    packets = [up(b"a", 1), *(ethernet(each) for each in noise), *(up(b"", 2)[:-10] + each for each in noise)]
    capture = Capture(packets)
    index %= len(packets)
    pair = pair_of(capture.session, index)
    if pair is not None:
        listen(Follow(capture.session, pair, index))


# Memory and time


def test_what_is_evicted_is_told_and_the_rest_is_there() -> None:
    capture = Capture(hello(), buffer=1 << 20)
    follow = following(capture)
    text = random.Random(4).randbytes(3 << 20)
    for at in range(0, len(text), 60_000):
        capture.feed([up(text[at + part : at + part + 1000], 1001 + at + part) for part in range(0, 60_000, 1000)])
        listen(follow)
    assert capture.session.store.evicted > 0
    assert listen(follow).client == text  # copied, as long as that is not too much
    follow._held.clear()
    parts = [data for _, data in follow.bytes_of(follow.connection.client, 0, len(text))]
    assert parts[0] is None
    assert parts[-1] is not None


def test_what_is_known_of_a_stream_does_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_LIVE", 100)
    one = said([udp(b"x") for _ in range(150)], buffer=1 << 20)
    assert (one.client, one.follow.full, one.follow.complete) == (b"x" * 100, True, True)


def test_segments_backwards_are_not_quadratic() -> None:
    count = 30_000
    one = said([*hello(), *(up(b"x", 1001 + at) for at in reversed(range(count)))])
    assert len(one.client) == count


def test_pause_holds_it_where_the_list_stands() -> None:
    capture = Capture([*hello(), up(b"before", 1001)])
    follow = following(capture)
    capture.session.pause(0, 3)
    capture.feed([up(b" after", 1007)])
    assert listen(follow).client == b"before"
    capture.session.resume()
    assert listen(follow).client == b"before after"


# Finding and saving


def talk() -> Follow:
    packets = [*hello(), up(b"GET /index\r\n", 1001), down(b"<h1>Index</h1>", 5001), up(b"GET /index2\r\n\0", 1013)]
    return listen(following(Capture(packets))).follow


def places(found: Iterator[tuple[int, int] | None]) -> tuple[int, int] | None:
    return next((place for place in found if place is not None), None)


def test_finding_goes_around() -> None:
    follow, wanted = talk(), pattern("index")
    seen, here = [], (0, -1)
    for _ in range(4):
        found = places(search(follow, wanted, here, forward=True, side=None))
        assert found is not None
        seen.append(found)
        here = found
    assert seen == [(0, 5), (1, 4), (2, 17), (0, 5)]
    backwards = places(search(follow, wanted, (0, 5), forward=False, side=None))
    assert backwards == (2, 17)
    client = follow.connection.client
    assert places(search(follow, wanted, (0, 5), forward=True, side=1 - client)) == (1, 4)
    assert places(search(follow, pattern(r"\r\n\x00"), (0, -1), forward=True, side=None)) == (2, 23)
    assert places(search(follow, pattern("nowhere"), (0, -1), forward=True, side=None)) is None


@pytest.mark.parametrize(("what", "expected"), [(None, "both"), (0, "client"), (1, "server")])
def test_saving(tmp_path: Path, what: int | None, expected: str) -> None:
    follow = talk()
    client = follow.connection.client
    target = tmp_path / "out"
    save = StreamSave(follow, PlainDirectory(str(tmp_path)), "out", side={None: None, 0: client, 1: 1 - client}[what])
    while not save.done:
        save.step(0.001)
    ours, theirs = b"GET /index\r\nGET /index2\r\n\0", b"<h1>Index</h1>"
    turns = {"both": ours[:12] + theirs + ours[12:], "client": ours, "server": theirs}
    assert target.read_bytes() == turns[expected]
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    assert save.bytes == len(turns[expected])


def test_saving_replaces_only_where_that_was_said_and_only_by_a_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_bytes(b"old")
    follow = talk()
    with pytest.raises(FileExistsError):
        StreamSave(follow, PlainDirectory(str(tmp_path)), "out", side=None)
    given_up = StreamSave(follow, PlainDirectory(str(tmp_path)), "out", side=None, replace=True)
    given_up.cancel()
    assert target.read_bytes() == b"old"
    save = StreamSave(follow, PlainDirectory(str(tmp_path)), "out", side=None, replace=True)
    save.step(10)
    assert save.done
    assert target.read_bytes().startswith(b"GET")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_file: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    save = StreamSave(talk(), PlainDirectory(str(tmp_path)), "out", side=None)
    monkeypatch.setattr(os, "write", write)
    save.step(10)
    assert save.done
    assert save.fault is not None
    assert list(tmp_path.iterdir()) == []


def test_gaps_are_left_out_of_the_file_and_counted(tmp_path: Path) -> None:
    follow = said([*hello(), down(b"a", 5001), down(b"c", 5003)]).follow
    save = StreamSave(follow, PlainDirectory(str(tmp_path)), "out", side=None)
    save.step(10)
    assert ((tmp_path / "out").read_bytes(), save.missing) == (b"ac", 1)
