"""Filters over what only dissectors name: the language, the values, and what the dashboard finds with them."""

from __future__ import annotations

import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netwatch.capture import sieve as sieve_module
from netwatch.capture import view as view_module
from netwatch.capture.block import Batch
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Context, Field, Item, Tree, dissect
from netwatch.capture.dissect.kit import address, flag, number, octets, text
from netwatch.capture.filter import FilterError, compile, syntax
from netwatch.capture.filter.literals import Literal, holds
from netwatch.capture.session import Session
from netwatch.capture.sources.files import open_file

# The language

SAME = [
    ('http.host == "a"', 'HTTP.HOST eq "a"'),
    ("dns.qry.type not in {1}", "not dns.qry.type in {1}"),
    ('http.host == "a\\x41\\""', 'http.host == "aA\\u0022"'),
    ("smb2.cmd in {5, 6}", "smb2.cmd in {5 6}"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_say_one_thing(one: str, other: str) -> None:
    assert compile(one).tree == compile(other).tree


WRONG = [
    ('http.host == "a', 13, "this '\"' is not closed"),
    ("http.host ==", 12, "a value is missing at the end"),
    ('tcp.port contains "a"', 9, "'contains' needs a text, and tcp.port is none"),
    ('http contains "a"', 0, "'http' is a protocol and has no value"),
    ("dns.qry.type in {1", 16, "this '{' is not closed"),
    ("dns.qry.type in {}", 16, "a set needs at least one value"),
    ("dns.count.queries == many", 21, "dns.count.queries: 'many' is not a number"),
    ("http.hots", 0, "unknown field 'http.hots'; near: http.host"),
    (
        "tcp.analysis.retransmision",
        0,
        "unknown field 'tcp.analysis.retransmision'; near: tcp.analysis.retransmission",
    ),
    ("tcp.stream == 3", 0, "connections have no numbers here; 'f' follows one"),
    ('"http"', 0, "'\"http\"' was not expected here"),
    ('tcp.port == "80"', 12, "'\"80\"' was not expected here"),
]


@pytest.mark.parametrize(("wrong", "position", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_line(wrong: str, position: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile(wrong)
    assert caught.value.position == position
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("wrong", ['http.host matches "a+"', 'http.host ~ "a+"'])
def test_there_are_no_regular_expressions(wrong: str) -> None:
    with pytest.raises(FilterError, match="use contains"):
        compile(wrong)


@given(st.text(st.sampled_from('ab"\\ \n{}().=x41u'), max_size=12))
def test_any_text_is_a_string(said: str) -> None:
    quoted = said.replace("\\", "\\\\").replace('"', '\\"')
    tree = compile(f'http.host == "{quoted}"').tree
    assert isinstance(tree, syntax.Dissected)
    assert tree.values[0][0].text == said


def test_a_filter_of_columns_loads_no_dissector() -> None:
    code = (
        "import sys; from netwatch.capture.filter import compile; from netwatch.capture.session import Session;"
        "compile('tcp.port == 80 and not dns or 10.0.0.0/8 or vlan.id');"
        "print('netwatch.capture.dissect' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "False\n"


# Values

NUMBER = number("test.number", "Number", {5: "five"})
HEX = number("test.hex", "Hex", digits=4)
FLAG = flag("test.flag", "Flag")
TEXT = text("test.text", "Text")
OCTETS = octets("test.octets", "Octets")
IP4, MAC, IP6 = address("test.ip4", "A", 4), address("test.mac", "A", 6), address("test.ip6", "A", 16)

VALUES: list[tuple[Field, object, str, str, bool]] = [
    (NUMBER, 5, "==", "5", True),
    (NUMBER, 5, "==", "0x05", True),
    (NUMBER, 5, "==", '"five"', True),
    (NUMBER, 5, "!=", '"five"', False),
    (NUMBER, 5, "<", "5.5", True),
    (NUMBER, -1, ">=", "-1", True),
    (NUMBER, 5, "&", "4", True),
    (NUMBER, 5, "&", "2", False),
    (HEX, 16, "==", "16", True),
    (HEX, 16, "==", "0x0010", True),
    (FLAG, True, "==", "true", True),
    (FLAG, True, "==", "0", False),
    (TEXT, b"docs.example", "==", "docs.example", True),
    (TEXT, b"docs.example", "==", '"Docs.example"', False),
    (TEXT, b"docs.example", "contains", '"s.ex"', True),
    (TEXT, b"a\xff\x1b", "contains", '"\\xff\\x1b"', True),
    (TEXT, b"a\xff\x1b", "==", '"a\\xff\\x1b"', True),
    (TEXT, "name", ">", "mame", True),
    (TEXT, "007", "==", "7", False),
    (OCTETS, b"\x0a\x0b\x0c", "==", "0a:0b:0c", True),
    (OCTETS, b"\x0a\x0b\x0c", "==", "0a0b0c", True),
    (OCTETS, b"\x0a\x0b\x0c", "contains", "0b:0c", True),
    (OCTETS, b"GET /", "contains", '"ET"', True),
    (IP4, bytes([10, 1, 2, 3]), "==", "10.1.2.3", True),
    (IP4, bytes([10, 1, 2, 3]), "==", "10.0.0.0/8", True),
    (IP4, bytes([10, 1, 2, 3]), "!=", "10.0.0.0/8", False),
    (IP4, bytes([10, 1, 2, 3]), "<", "10.1.2.4", True),
    (MAC, bytes(5) + b"\1", "==", "00:00:00:00:00:01", True),
    (IP6, bytes(15) + b"\1", "==", "::1", True),
]


@pytest.mark.parametrize(("field", "value", "operator", "literal", "expected"), VALUES)
def test_a_value_is_compared_as_what_it_is(
    field: Field, value: object, operator: str, literal: str, expected: bool
) -> None:
    tree = compile(f"{field.name} {operator} {literal}").tree
    assert isinstance(tree, syntax.Dissected)
    assert holds(tree, [Item(field, value, 0, 0)]) is expected


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("==", [1, 2], True),
        ("===", [1, 2], False),
        ("!=", [1, 2], False),
        ("!==", [1, 2], True),
        ("!=", [2, 3], True),
        ("<", [0, 2], True),
        ("==", [], False),
        ("!=", [], False),
        ("", [], False),
        ("", [1], True),
    ],
)
def test_several_items_of_a_name(operator: str, values: list[int], expected: bool) -> None:
    one = Literal("1")
    node = syntax.Dissected("test.number", operator, ((one, one),) if operator else ())
    assert holds(node, [Item(NUMBER, value, 0, 0) for value in values]) is expected


def test_an_element_of_a_set_may_be_a_range() -> None:
    tree = compile("test.number in {1, 4..6}").tree
    assert isinstance(tree, syntax.Dissected)
    assert [value for value in range(9) if holds(tree, [Item(NUMBER, value, 0, 0)])] == [1, 4, 5, 6]


# Packets

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def ethernet(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + source + destination
    return bytes(12) + b"\x08\x00" + head + payload


def segment(client: bool, port: int, sequence: int, flags: int, payload: bytes = b"") -> bytes:
    ports = (port, 80) if client else (80, port)
    head = struct.pack(">HHIIBBHHH", *ports, sequence, 1, 0x50, flags, 512, 0, 0)
    return ethernet(A if client else B, B if client else A, 6, head + payload)


def query(identity: int, name: str, response: bool = False) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    message = struct.pack(">HHHHHH", identity, 0x8180 if response else 0x0100, 1, 0, 0, 0) + labels + b"\0\1\0\1"
    ports = (53, 5000) if response else (5000, 53)
    head = struct.pack(">HHHH", *ports, 8 + len(message), 0)
    return ethernet(B if response else A, A if response else B, 17, head + message)


def exchange(port: int, host: str, cut: int) -> list[bytes]:
    """A connection with a request in two segments and an answer, and acknowledgements between them."""
    request = f"GET /{port} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n".encode()
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    return [
        segment(True, port, 100, 0x02),
        segment(False, port, 900, 0x12),
        segment(True, port, 101, 0x10),
        segment(True, port, 101, 0x18, request[:cut]),
        segment(False, port, 901, 0x10),
        segment(True, port, 101 + cut, 0x18, request[cut:]),
        segment(False, port, 901, 0x18, answer),
        segment(True, port, 101 + len(request), 0x10),
        segment(False, port, 901, 0x18, answer),
        segment(True, port, 101 + len(request), 0x11),
    ]


def packets(count: int) -> list[bytes]:
    found: list[bytes] = []
    for turn in range(count):
        host = ("docs.example", "www.example", "docs.test")[turn % 3]
        one = exchange(2000 + turn, host, 20 + turn % 17)
        two = [query(turn, host), query(turn, host, True)]
        found += one[:4] + two[:1] + one[4:7] + two[1:] + one[7:]
    return found


def pcap(path: Path, frames: list[bytes]) -> Path:
    body = b"".join(struct.pack("<IIII", at, 0, len(frame), len(frame)) + frame for at, frame in enumerate(frames))
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + body)
    return path


def session_of(path: Path) -> Session:
    source, decoder = open_file(path), Decoder()
    session = Session(source, buffer=None)
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            session.ingest(Batch(decoder.decode(block).rows, block.raw if block.owned else None))
    return session


def shown(session: Session) -> list[int]:
    while session.catch_up():
        pass
    view = session.view
    assert not view.pending
    return list(view.indices(0, len(view)).tolist())


FRAMES = packets(12)


def trees() -> list[Tree]:
    context = Context()
    return [dissect(data, 1, context=context, number=n) for n, data in enumerate(FRAMES, 1)]


TREES = trees()


def texts(tree: Tree, name: str) -> list[str]:
    def walk(items: list[Item]) -> list[str]:
        found: list[str] = []
        for item in items:
            if item.field.name == name:
                found.append("1" if item.value is None else item.field.plain(item.value))
            found += walk(item.children)
        return found

    return walk(list(tree.layers))


Leaf = tuple[str, Callable[[int], bool]]
LEAVES: list[Leaf] = [
    ("http.request", lambda n: "http.request" in names_of(n)),
    ('http.host == "docs.example"', lambda n: "docs.example" in texts(TREES[n], "http.host")),
    ('http.host != "docs.example"', lambda n: texts(TREES[n], "http.host") not in ([], ["docs.example"])),
    ('dns.qry.name contains "test"', lambda n: any("test" in name for name in texts(TREES[n], "dns.qry.name"))),
    ("http.response.code >= 400", lambda n: any(int(code) >= 400 for code in texts(TREES[n], "http.response.code"))),
    ("tcp.analysis.retransmission", lambda n: bool(texts(TREES[n], "tcp.analysis.retransmission"))),
    ("tcp.seq_raw in {101..121}", lambda n: any(101 <= int(seq) <= 121 for seq in texts(TREES[n], "tcp.seq_raw"))),
    ("ip.ttl == 64", lambda _: True),
    ("udp", lambda n: FRAMES[n][23] == 17),
    ("tcp.flags.fin == 1", lambda n: FRAMES[n][23] == 6 and bool(FRAMES[n][47] & 1)),
    ("frame.len > 80", lambda n: len(FRAMES[n]) > 80),
]


def names_of(n: int) -> set[str]:
    def walk(items: list[Item]) -> set[str]:
        return {item.field.name for item in items}.union(*(walk(item.children) for item in items))

    return walk(list(TREES[n].layers))


def negated(inner: Leaf) -> Leaf:
    return f"not ({inner[0]})", lambda n: not inner[1](n)


def joined(word: str, quantified: Callable[[list[bool]], bool], parts: list[Leaf]) -> Leaf:
    return f" {word} ".join(f"({part[0]})" for part in parts), lambda n: quantified([part[1](n) for part in parts])


EXPRESSIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.one_of(
        inner.map(negated),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined("and", all, parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: joined("or", any, parts)),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pcap(tmp_path_factory.mktemp("sieve") / "t.pcap", FRAMES)


@pytest.fixture(scope="module")
def session(capture: Path) -> Session:
    return session_of(capture)


def test_each_leaf_finds_something(session: Session) -> None:
    for said, _ in LEAVES:
        session.set_filter(said)
        assert shown(session), said


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXPRESSIONS, st.sampled_from([7, 64, 4096]))
def test_what_is_found_is_what_a_plain_reading_of_each_packet_finds(
    session: Session, expression: Leaf, run_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(view_module, "RUN_ROWS", run_rows)
        session.set_filter(expression[0])
        assert shown(session) == [n for n in range(len(FRAMES)) if expression[1](n)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXPRESSIONS)
def test_columns_alone_say_what_is_certain_and_what_is_possible(session: Session, expression: Leaf) -> None:
    rows = session.store.chunks_kept[0].rows()
    wanted = compile(expression[0])
    certain, possible = wanted.certain(rows), wanted.possible(rows)
    truth = np.array([expression[1](n) for n in range(len(FRAMES))])
    assert not (certain & ~truth).any()
    assert not (truth & ~possible).any()
    if not wanted.slow:
        assert (certain == possible).all()


def test_a_message_that_spans_packets_matches_where_it_ends(session: Session) -> None:
    session.set_filter('http.host == "www.example" and http.request')
    assert [FRAMES[n][54:] != b"" and b"\r\n\r\n" in FRAMES[n] for n in shown(session)] == [True] * 4


def test_a_message_that_began_in_the_run_before_is_known(capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "RUN_ROWS", 5)
    session = session_of(capture)
    session.set_filter("http.host")
    assert len(shown(session)) == 12
    monkeypatch.setattr(sieve_module, "BEFORE", 0)
    session.set_filter("ip and http.host")
    assert len(shown(session)) < 12  # else what stands before the run was of no use


def test_a_switch_and_a_filter_hold_both(session: Session) -> None:
    session.set_filter("dns.qry.name or http.request")
    everything = shown(session)
    session.toggle("d")
    try:
        found = shown(session)
        assert 0 < len(found) < len(everything)
        assert all(FRAMES[n][23] == 17 for n in found)
    finally:
        session.clear_switches()


def test_the_view_works_in_slices(tmp_path: Path) -> None:
    session = session_of(pcap(tmp_path / "many.pcap", packets(400)))
    session.set_filter("http.host")
    assert session.looked_at is not None
    pending, slices = [session.view.pending], 0
    begun = perf_counter()
    while session.catch_up():
        pending.append(session.view.pending)
        slices += 1
        assert perf_counter() - begun < 60
    assert pending == sorted(pending, reverse=True)
    assert slices > 5
    assert not session.view.pending
    assert session.matches == 400


def test_new_packets_are_looked_at_first_and_those_that_wait_are_counted(tmp_path: Path) -> None:
    """Live: what came is found in its order, whatever older rows wait."""
    frames = packets(300)
    source, decoder = open_file(pcap(tmp_path / "live.pcap", frames)), Decoder()
    block = source.next_block(0)
    assert block is not None
    rows = decoder.decode(block).rows
    session = Session(source, buffer=None)
    half = len(frames) // 2
    session.ingest(Batch(rows.take(slice(0, half)), None))
    session.set_filter("http.host")
    session.ingest(Batch(rows.take(slice(half, len(frames))), None))
    before = session.view.pending
    assert before >= len(frames) - half
    assert session.looked_at is not None
    while session.view._found[-1].high < session.store.end:
        session.catch_up()
        found = session.view.indices(0, len(session.view))
        assert (found >= half).all() or not session.view._found[0].low
    assert len(session.view) >= 149
    assert len(shown(session)) == 300


def test_rows_that_are_evicted_unseen_are_pending_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = packets(2000)
    source, decoder = open_file(pcap(tmp_path / "evicted.pcap", frames)), Decoder()
    monkeypatch.setattr(type(source), "rereadable", False)  # as from a network
    session = Session(source, buffer=1 << 20)
    session.set_filter("http.host")
    block = source.next_block(0)
    assert block is not None
    rows = decoder.decode(block).rows
    for start in range(0, len(rows), 1000):
        part = rows.take(slice(start, start + 1000)).copy(len(frames[start : start + 1000]))
        part.pos[:] = np.cumsum([0, *map(len, frames[start : start + 1000])])[: len(part)]
        session.ingest(Batch(part, np.frombuffer(b"".join(frames[start : start + 1000]), np.uint8)))
    assert session.store.evicted > 0
    assert session.view.pending <= session.store.end - session.store.first
    found = shown(session)
    assert found
    assert min(found) >= session.store.first
    session.set_filter("http.request")
    assert set(found) <= set(shown(session))


def test_statistics_follow_a_slow_filter(session: Session) -> None:
    session.set_filter("dns.qry.name")
    session.statistics_follow_filter = True
    try:
        assert len(shown(session)) == 24
        assert session.shown_statistics.packets == 24
    finally:
        session.statistics_follow_filter = False


def test_what_was_found_is_not_looked_for_again(session: Session) -> None:
    session.set_filter("http.host")
    found = shown(session)
    session.set_filter("http.host")  # enter, behind what was typed
    assert not session.view.pending
    session.statistics_follow_filter = True
    try:
        assert not session.view.pending
        assert shown(session) == found
        assert session.shown_statistics.packets == len(found)
        session.show_conversations(True)
        assert not session.view.pending
        assert shown(session) == found
        assert session.top_conversations(100)
        assert session.shown_statistics.packets == len(found)
    finally:
        session.statistics_follow_filter = False
        session.show_conversations(False)
    session.set_filter("dns.qry.name")
    assert not set(shown(session)) & set(found)
