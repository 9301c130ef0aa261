"""The display filter as a language: what is accepted, and what is said of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.capture.filter import FilterError, compile
from netwatch.capture.filter.fields import FIELDS
from netwatch.capture.filter.lexer import MAX_LENGTH

SAME = [
    ("tcp and udp or arp", "(tcp && udp) || arp"),
    ("tcp or udp and arp", "tcp or (udp and arp)"),
    ("not tcp and udp", "(not tcp) and udp"),
    ("!!tcp", "tcp"),
    ("TCP AND Not UDP", "tcp&&!udp"),
    ("tcp.port eq 0x50", "tcp.port == 80"),
    ("tcp.port ne 80", "tcp.port!=80"),
    ("tcp.port in {80, 443}", "tcp.port in {80 443}"),
    ("tcp.port not in {80}", "not tcp.port in {80}"),
    ("443", "port 443"),
    ("10.0.0.0/8", "ip.addr == 10.0.0.0/8"),
    ("10.1.2.3/8", "net 10"),
    ("host 10.0.0.1", "ip.addr == 10.0.0.1"),
    ("src 10.0.0.1", "ip.src == 10.0.0.1"),
    ("dst host fe80::1", "ipv6.dst == fe80::1"),
    ("net 192.168", "192.168.0.0/16"),
    ("src net 2001:db8::/32", "ipv6.src == 2001:db8::/32"),
    ("tcp dst port 80", "tcp and dst port 80"),
    ("tcp src portrange 1-1024", "tcp and src portrange 1-1024"),
    ("src port 53", "src 53"),
    ("less 100", "frame.len <= 100"),
    ("greater 100", "frame.len >= 100"),
    ("ip6", "ipv6"),
    ("host 00-00-5e-00-53-01", "00:00:5E:00:53:01"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_ways_to_say_one_thing(one: str, other: str) -> None:
    assert compile(one).tree == compile(other).tree


WRONG = [
    ("ip.addr =! 1", 8, "'=!' was not expected here"),
    ("tcp = 3", 4, "'=' was not expected here; equal is '=='"),
    ("tcp.prt == 3", 0, "unknown field 'tcp.prt'; near: tcp.port, tcp.srcport, tcp.dstport"),
    ("arp or htpp", 7, "unknown protocol or field 'htpp'; near: http, http2"),
    ("xyzzyxyzzy", 0, "unknown protocol or field 'xyzzyxyzzy'"),
    ("tcp ==", 0, "'tcp' is a protocol and has no value; its fields: tcp.port, tcp.srcport"),
    ("tcp.port ==", 11, "a value is missing at the end"),
    ("tcp.port == tcp.srcport", 12, "tcp.port: 'tcp.srcport' is not a number"),
    ("tcp.port == 70000", 12, "tcp.port: 70000 is out of range, it goes up to 65535"),
    ("port 99999", 5, "port: 99999 is out of range, it goes up to 65535"),
    ("99999", 0, "port: 99999 is out of range, it goes up to 65535"),
    ("portrange 9-1", 10, "'9' is more than '1': the lower end comes first"),
    ("portrange 9", 10, "'9' is not a range of ports as 1-1024"),
    ("tcp.port in {9..1}", 13, "'9' is more than '1': the lower end comes first"),
    ("tcp.port in {80", 12, "this '{' is not closed"),
    ("tcp.port in {}", 12, "a set needs at least one value"),
    ("tcp.port in 80", 12, "'80' was not expected here"),
    ("10.0.0.300", 0, "'10.0.0.300' is not an IPv4 address"),
    ("10.0.0.0/33", 0, "'/33' is not a prefix length from 0 to 32"),
    ("fe80:::1", 0, "'fe80:::1' is not an IPv6 address"),
    ("ip.addr == fe80::1", 11, "ip.addr: 'fe80::1' is not an IPv4 address"),
    ("host example.org", 5, "'example.org' is not an address; names are not looked up"),
    ("ip.addr & 3", 8, "'&' needs a number, and ip.addr is none"),
    ("tcp.flags.syn == 2", 17, "tcp.flags.syn: '2' is neither 1 nor 0"),
    ("frame.time_epoch > noon", 19, "frame.time_epoch: 'noon' is not a time in seconds since 1970"),
    ("(tcp", 0, "this '(' is not closed"),
    ("tcp)", 3, "')' was not expected here"),
    ("tcp not", 4, "'not' was not expected here"),
    ("tcp udp", 4, "'udp' was not expected here"),
    ("not", 3, "a protocol, a field, a port or an address is missing at the end"),
    ("and tcp", 0, "'and' was not expected here"),
    ("tcp 'x'", 4, '"\'" was not expected here'),
    ("tcp \x1b]0;x\x07", 4, "'\\x1b' was not expected here"),
]


@pytest.mark.parametrize(("text", "position", "message"), WRONG)
def test_errors_say_what_and_where(text: str, position: int, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        compile(text)
    assert str(caught.value).startswith(message)
    assert caught.value.position == position
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", ["(" * 10_000, "(" * 4_000, "(" * 2_000 + "tcp" + ")" * 2_000, "{" * 4_000])
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(FilterError):
        compile(text)


@pytest.mark.parametrize("text", ["!" * 4_000 + "tcp", " or ".join(["tcp"] * 580), "not " * 1_000 + "udp"])
def test_long_but_flat_is_fine(text: str) -> None:
    assert len(text) <= MAX_LENGTH
    compile(text)


def complaint(text: str) -> FilterError | None:
    """What is wrong with `text`, if anything is."""
    try:
        compile(text)
    except FilterError as error:
        return error
    return None


@given(st.text(max_size=40) | st.text("()!&|=<>{}.:/,0123456789abcdeftcpnior ", max_size=40))
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    error = complaint(text)
    assert error is None or (0 <= error.position <= len(text) and str(error).isprintable())


_WORDS = st.sampled_from(
    ["tcp", "tcp.port", "ip.addr", "in", "==", "{", "}", "(", ")", "not", "and", "80", "1.2.3.4"]
)


@given(st.lists(_WORDS, max_size=12))
def test_any_sequence_of_words_is_a_filter_or_a_filter_error(words: list[str]) -> None:
    text = " ".join(words)
    error = complaint(text)
    assert error is None or 0 <= error.position <= len(text)


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_is_asked_for_by_its_name(name: str) -> None:
    assert compile(name).tree == compile(f" ( {name.upper()} ) ").tree
