"""Nothing that a packet says reaches the terminal as a control code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.capture.text import escape, ipv4, ipv6, mac


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"plain", "plain"),
        ("Zürich – 東京", "Zürich – 東京"),
        (b"a\\b", "a\\b"),
        (b"line\r\nnext\ttab", "line\\r\\nnext\\ttab"),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\a"),
        (b"\x00\x7f", "\\x00\\x7f"),
        ("\x9b31m", "\\u009b31m"),
        ("pay\u202eexe.pdf", "pay\\u202eexe.pdf"),
        ("\u2066\u2069\u200e\u200f\u061c", "\\u2066\\u2069\\u200e\\u200f\\u061c"),
        ("\u2028\u2029\ufeff\u00ad", "\\u2028\\u2029\\ufeff\\u00ad"),
        ("\U000e0041", "\\U000e0041"),
        (b"\xff\xc3", "\\xff\\xc3"),
        ("\ud800", "\\ud800"),
        ("a\u00a0b", "a\u00a0b"),
    ],
)
def test_escape(raw: str | bytes, shown: str) -> None:
    assert escape(raw) == shown


@given(st.one_of(st.text(), st.binary()))
def test_what_is_escaped_is_harmless_and_stays_as_it_is(raw: str | bytes) -> None:
    once = escape(raw)
    assert all(char.isprintable() or char.isspace() for char in once)
    assert not set(once) & set("\n\r\t\v\f\x1b\x07\x85\u2028\u2029")
    assert escape(once) == once


def test_bytes_that_came_through_surrogateescape_read_as_the_bytes() -> None:
    raw = b"caf\xe9"
    assert escape(raw.decode("utf-8", "surrogateescape")) == escape(raw) == "caf\\xe9"


def test_addresses() -> None:
    assert mac(bytes.fromhex("02005E100001")) == "02:00:5e:10:00:01"
    assert ipv4(bytes([192, 0, 2, 1])) == "192.0.2.1"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("20010db8000000000000000000000001", "2001:db8::1"),
        ("20010db8000000010000000000000001", "2001:db8:0:1::1"),
        ("20010db8000100020003000400050006", "2001:db8:1:2:3:4:5:6"),
        ("20010db8000000020003000400050006", "2001:db8:0:2:3:4:5:6"),
        ("00000000000000000000000000000000", "::"),
        ("00000000000000000000ffffc0000201", "::ffff:192.0.2.1"),
    ],
)
def test_ipv6_as_rfc_5952_wants_it(raw: str, shown: str) -> None:
    assert ipv6(bytes.fromhex(raw)) == shown
