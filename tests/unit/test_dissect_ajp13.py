"""AJP 1.3, against what tshark 4.0 says of the same bytes."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import Opened, value, values


def string(raw: bytes | None) -> bytes:
    return b"\xff\xff" if raw is None else struct.pack("!H", len(raw)) + raw + b"\0"


def asks(body: bytes) -> bytes:
    return b"\x12\x34" + struct.pack("!H", len(body)) + body


def answers(body: bytes) -> bytes:
    return b"AB" + struct.pack("!H", len(body)) + body


def forward(method: int, headers: list[bytes], attributes: bytes = b"") -> bytes:
    head = bytes([2, method]) + b"".join(map(string, (b"HTTP/1.1", b"/a", b"192.0.2.1", None, b"a.example")))
    return asks(head + struct.pack("!HBH", 443, 1, len(headers)) + b"".join(headers) + attributes + b"\xff")


GET = forward(
    2,
    [b"\xa0\x0b" + string(b"a.example"), string(b"X-A") + string(b"b")],
    b"\x05" + string(b"q=1") + b"\x0a" + string(b"JK") + string(b"v") + b"\x0b\1\0",
)
POST = forward(4, [b"\xa0\x08" + string(b"5")])
HEADERS = answers(b"\x04\0\xc8" + string(b"OK") + b"\0\1\xa0\1" + string(b"text/html"))
CHUNK, END = answers(b"\x03\0\x05hello\0"), answers(b"\x05\1")


def test_a_request() -> None:
    tree = Opened(8009).ask(GET)
    assert (tree.protocol, tree.info) == ("AJP13", "0:REQ:GET /a HTTP/1.1")
    names = ("method", "raddr", "rhost", "srv", "port", "sslp", "nhdr", "host", "query_string", "ssl_key_size")
    assert [value(tree, f"ajp13.{name}") for name in names] == [
        *("2", "192.0.2.1", "", "a.example", "443", "1", "2", "a.example", "q=1", "256"),
    ]
    assert (value(tree, "ajp13.unknown_header"), value(tree, "ajp13.req_attribute")) == ("X-A: b", "JK: v")
    assert tree.verdict.kind == "ok"


def test_a_body_is_asked_for_and_sent() -> None:
    talk = Opened(8009)
    rows = [
        talk.ask(POST),
        talk.ask(asks(b"\0\3abc")),
        talk.answer(answers(b"\x06\0\x64")),
        talk.ask(asks(b"\0\2de")),
        talk.ask(asks(b"")),
        talk.answer(HEADERS + CHUNK),
        talk.answer(END),
        talk.ask(asks(b"\x0a")),
        talk.answer(answers(b"\x09")),
    ]
    assert [tree.info.removeprefix("0:") for tree in rows] == [
        "REQ:POST /a HTTP/1.1",
        "REQ:Body",
        "RSP:GET BODY CHUNK",
        "REQ:Body",
        "REQ:Body",
        "RSP:SEND BODY CHUNK",
        "RSP:END RESPONSE",
        "REQ:CPING",
        "RSP:CPONG",
    ]
    assert [values(tree, "ajp13.data") for tree in rows[1:6]] == [["abc"], [], ["de"], [], ["hello"]]
    assert (value(rows[5], "ajp13.rstatus"), value(rows[5], "ajp13.content_type")) == ("200", "text/html")


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_a_packet_in_two_segments(cut: int) -> None:
    talk = Opened(8009)
    talk.ask(forward(2, []))
    talk.ask(GET[:cut])
    assert talk.ask(GET[cut:]).info == "0:REQ:GET /a HTTP/1.1"


def test_what_is_wrong_stays_in_its_packet() -> None:
    talk = Opened(8009)
    tree = talk.ask(asks(b"\x02\x02\0\x63a") + asks(b"\x0a"))
    assert tree.verdict.kind == "malformed"
    assert tree.info == "0:REQ:CPING"
    assert talk.ask(asks(b"\x63")).info == "0:REQ:[Malformed Packet]"
    assert talk.ask(b"\x16\x03\x01" + bytes(80)).protocol == "TCP"
