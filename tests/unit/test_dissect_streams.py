"""What is shown of a byte stream wherever its segments end: messages and lines beyond what is put together."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from fuzz.packets import segment
from tests.unit.handmade import RAW, Opened, items

from netwatch.capture.dissect import Tree, dissect, summarise
from netwatch.capture.dissect.dnp3 import checksum
from netwatch.capture.dissect.text_lines import MAX_LINE


def shown(payload: bytes, port: int, places: list[int], *, back: bool = False) -> list[Tree]:
    """A connection over which `payload` goes, cut at `places`."""
    talk = Opened(port)
    return [talk.say(payload[first:last], back=back) for first, last in pairwise([0, *places, len(payload)])]


def messages(trees: list[Tree]) -> list[str]:
    """The layers of them, but for what is the middle of one."""
    names = (layer.field.name for tree in trees for layer in tree.layers[3:])
    return [name for name in names if name and name != "tcp.segment_data"]


LONG = 2_000_000
SMB = b"\xfeSMB" + struct.pack("<HHIHHIIQIIQ", 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + bytes(16) + bytes(40)
KEEP_ALIVE = b"\x85\0\0\0"
ROW = b"D" + struct.pack("!IHI", 10 + LONG, 1, LONG)
COMPLETE = b"C" + struct.pack("!I", 13) + b"SELECT 1\0"
PUBLISH = b"\x30" + bytes([LONG & 0x7F | 0x80, LONG >> 7 & 0x7F | 0x80, LONG >> 14]) + b"\0\1a"
PING = b"\xd0\0"
LONG_MESSAGES = {
    "nbss": (445, struct.pack("!I", len(SMB) + LONG) + SMB, KEEP_ALIVE, LONG),
    "pgsql": (5432, ROW, COMPLETE, LONG),
    "mqtt": (1883, PUBLISH, PING, LONG - 3),
}


@pytest.mark.parametrize("name", LONG_MESSAGES)
@pytest.mark.parametrize("first", [50_000, 200, 9, 4])
def test_what_is_in_a_message_too_long_to_be_put_together_is_none(name: str, first: int) -> None:
    port, head, behind, size = LONG_MESSAGES[name]
    payload = head + (behind * LONG)[:size] + behind
    # Wherever a segment begins within it, a message seems to begin.
    aligned = len(head) + 4000 * len(behind)
    places = [first, *range(aligned + first // aligned * aligned, len(payload), 4000 * len(behind))]
    trees = shown(payload, port, places, back=True)
    found = messages(trees)
    assert found[0] == found[-1] == name
    assert set(found) <= {name, "smb2", "_ws.unreassembled"}
    assert {tree.verdict.kind for tree in trees} == {"ok"}
    assert [number for number, tree in enumerate(trees) if messages([tree])] in (
        [0, len(trees) - 1],
        [1, len(trees) - 1],
    )


def test_a_message_behind_a_gap_in_one_too_long() -> None:
    _, head, behind, size = LONG_MESSAGES["nbss"]
    payload = head + behind * (size // 4) + KEEP_ALIVE
    talk, trees = Opened(445), []
    begun = talk.sequence[True]
    for first, last in ((0, 60_000), (60_000, 100_000), (1_900_000, 1_950_000), (1_990_000, len(payload))):
        for at in range(first, last, 50_000):
            talk.sequence[True] = begun + at
            trees.append(talk.answer(payload[at : min(last, at + 50_000)]))
    assert messages(trees) == ["nbss", "smb2", "nbss"]


@pytest.mark.parametrize("cut", [[100], [254], [255], [256], [600], [100, 880]])
def test_a_version_line_that_has_no_end(cut: list[int]) -> None:
    """RFC 4253, 4.2: it has 255 bytes at most."""
    line = b"SSH-2.0-" + b"x" * 900 + b"\r\n"
    for back in (False, True):
        trees = shown(line + b"\xff" * 40, 22, cut, back=back)
        assert [item.value for tree in trees for item in items(tree) if item.field.name == "ssh.protocol"] == [
            line[:255]
        ]


@pytest.mark.parametrize("cut", [100, MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE, 20_000])
def test_lines_that_are_too_long(cut: int) -> None:
    payload = b"NICK " + b"y" * 20_000 + b"\r\nPING a\r\n"

    def lines(trees: list[Tree]) -> list[tuple[str, object]]:
        within = (item for tree in trees for item in items(tree))
        return [(item.field.name, item.value) for item in within if item.field.name.startswith("irc.re")]

    whole = lines(shown(payload, 6667, []))
    assert len(whole) > 3
    assert lines(shown(payload, 6667, [cut])) == whole


BIND = struct.pack("<BBBBIHHI", 5, 0, 11, 3, 16, 28, 0, 1) + struct.pack("<HHIB3x", 4280, 4280, 0, 0)
CALL = struct.pack("!I12I", 0x80000000 | 48, 7, 0, 2, 100003, 3, 1, 0, 0, 0, 0, 4, 9)
LINK = bytes.fromhex("0564 05c9 0100 0400")
ONE_OF = {
    "nbss": (445, KEEP_ALIVE),
    "rtsp": (554, b"DESCRIBE rtsp://example.org/a RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    "rtsp reply": (554, b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\na\r\n"),
    "sip": (5060, b"OPTIONS sip:example.org SIP/2.0\r\nCall-ID: a\r\nContent-Length: 0\r\n\r\n"),
    "http": (80, b"PROPFIND /a HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "dcerpc": (135, BIND),
    "rpc": (111, CALL),
    "pgsql": (5432, b"Q\0\0\0\x0dSELECT 1\0"),
    "modbus": (502, bytes.fromhex("0001 0000 0006 01 03 0000 0001")),
    "enip": (44818, struct.pack("<HHIIQI", 0x63, 0, 0, 0, 0, 0)),
    "dns": (53, bytes.fromhex("0011 0001 0100 0001 0000 0000 0000 00 0001 0001")),
    "kafka": (9092, bytes.fromhex("0000000a 0012 0000 00000001 0000")),
    "mqtt": (1883, PUBLISH[:1] + b"\x05\0\1axy"),
    "memcache": (11211, b"set a 0 0 3\r\nxyz\r\n"),
    "dnp3": (20000, LINK + checksum(LINK).to_bytes(2, "little")),
    "ldap": (389, bytes.fromhex("30 0c 0201 01 60 07 0201 03 04 00 80 00")),
    "bgp": (179, b"\xff" * 16 + b"\0\x13\4"),
    "smb2": (445, struct.pack("!I", len(SMB)) + SMB),
}


@pytest.mark.parametrize("name", ONE_OF)
def test_a_message_behind_others_may_be_cut_anywhere(name: str) -> None:
    port, message = ONE_OF[name]
    count = 2 + 64 // len(message)
    expected = messages(shown(message * count, port, []))
    assert name.split()[0] in expected
    begun = len(message) * (count - 1)
    for cut in range(begun - 3, len(message) * count):
        assert messages(shown(message * count, port, [cut])) == expected, cut
        if cut > begun + 1:
            assert messages(shown(message * count, port, [begun, begun + 1, cut])) == expected, cut


def test_a_few_bytes_that_are_no_message_are_shown_as_soon_as_that_is_known() -> None:
    talk = Opened(554)
    talk.ask(ONE_OF["rtsp"][1])
    assert messages([talk.ask(b"\xff" * 20)]) == []
    assert messages([talk.ask(b"\xff" * 50)]) == ["data"]
    assert messages([talk.ask(b"\xff" * 20)]) == ["data"]


def test_answers_of_several_lines_in_several_segments() -> None:
    """RFC 1939, 3: only the first of them has an indicator."""
    trees = shown(b"+OK 2 messages\r\n1 120\r\n2 200\r\n.\r\n", 110, [16, 23], back=True)
    assert [tree.info for tree in trees] == [
        "S: +OK 2 messages",
        "S: DATA fragment, 7 bytes",
        "S: DATA fragment, 10 bytes",
    ]


@pytest.mark.parametrize("cut", [[], [100], [120], [140]])
def test_a_sip_body_of_which_nobody_says_how_long_it_is(cut: list[int]) -> None:
    """RFC 3261, 18.3: over a stream that has to be said."""
    head = b"INVITE sip:a@b.example SIP/2.0\r\nContent-Type: application/sdp\r\n"
    head += b"Content-Length: x\r\nCall-ID: a\r\n\r\n"
    trees = shown(head + b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n" * 4, 5060, cut)
    assert "sdp" not in messages(trees)
    assert messages(trees).count("sip") == 1


OCSP_BODY = bytes.fromhex("30030a0106")


@pytest.mark.parametrize(
    "kind", ["application/ocsp-response", "Application/OCSP-rEsponse; a=b", "application/dns-message"]
)
def test_a_body_with_columns_of_its_own_has_them_in_rows_too(kind: str) -> None:
    """RFC 9110, 8.3.1: upper case means nothing in a media type."""
    body = OCSP_BODY if "dns" not in kind else bytes.fromhex("0001 0100 0001 0000 0000 0000 00 0001 0001")
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    data = segment(answer, 80, 1000, back=True)
    tree, shown_row = dissect(data, RAW), summarise(data, RAW)
    assert (tree.protocol, tree.info) == shown_row[:2]
    assert tree.protocol in ("OCSP", "DoH")


@pytest.mark.parametrize("name", ["bgp", "rpc", "memcache"])
def test_what_is_no_message_behind_others_is_none_wherever_segments_end(name: str) -> None:
    """A marker that is not all ones (RFC 4271, 6.1); a fragment longer than any (RFC 5531, 11); no command."""
    port, message = ONE_OF[name]
    payload = message * 4 + b"\x7f" + message[1:] * 4
    for places in [], [len(message) * 4], [len(message) * 4 + 3]:
        found = [each for each in messages(shown(payload, port, places)) if each in (name, "data")]
        assert found == [name] * 4 + ["data"], places


def test_a_row_says_all_calls_before_what_is_no_call() -> None:
    said = summarise(segment(CALL * 2 + b"\x7f" * 80, 111, 1000), RAW).info
    assert said == dissect(segment(CALL * 2 + b"\x7f" * 80, 111, 1000), RAW).info
    assert said.count("; ") == 1


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\na=b\n"
FIELDS = b"OPTIONS sip:example.org SIP/2.0\r\n" + b"Via: SIP/2.0/UDP a;branch=1\r\n" * 1000
FIELDS += b"Content-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("port", "payload"), [(80, PLAIN * 40), (5060, FIELDS + ONE_OF["sip"][1])])
def test_rows_say_what_trees_say_of_more_than_a_tree_shows(port: int, payload: bytes) -> None:
    data = segment(payload, port, 1000, back=port == 80)
    tree, row = dissect(data, RAW), summarise(data, RAW)
    assert (tree.protocol, tree.info) == row[:2]
    assert tree.info.count("200 OK") == 40 or tree.info.count("OPTIONS") == 2


NAME = b"x" * 60 + b".example"
ASKED = [
    b"\4\2\4\0\1\2\3\4" + b"u" * 70 + b"\0",
    b"\4\1\4\0\0\0\0\1ann\0" + NAME + b"\0",
    b"\5\1\0" + b"\5\1\0\3" + bytes([len(NAME)]) + NAME + b"\0\x50",
    b"\5\1\0\3" + bytes([len(NAME)]) + NAME + b"\0\x50",
]


@pytest.mark.parametrize("asked", ASKED)
def test_a_proxy_is_asked_wherever_segments_end(asked: bytes) -> None:
    """SOCKS 4A, RFC 1928: a user and a name end with a zero, or begin with their length."""

    def values(places: list[int]) -> list[object]:
        within = (item for tree in shown(asked + b"GET", 1080, places) for item in items(tree))
        return [item.value for item in within if item.field.name.startswith("socks.") and item.size]

    whole = values([])
    assert whole[-1] in (b"u" * 70, NAME, 80)
    for cut in range(65, len(asked) + 3):
        assert values([cut]) == whole, cut
