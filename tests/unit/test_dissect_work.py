"""What a packet costs to show is bounded, whatever a sender puts into it: 64 kB of the smallest messages."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from tests.unit.handmade import RAW, Opened, udp
from tests.unit.tiny import FULL, TINY, stream

from netwatch.capture.dissect import Context, Summary, Tree, dissect, summarise
from netwatch.capture.dissect.framed import MAX_SHOWN, _compiled, small
from netwatch.capture.dissect.registry import TABLES

CALLS = {summarise: 22_000, dissect: 40_000}
"""Of functions: two to four milliseconds."""
TEXT_OF_MANY = [
    udp(5060, 5060, b"OPTIONS sip:a SIP/2.0\r\n" + b"a:\r\n" * 16_000 + b"\r\n"),
    udp(1900, 1900, b"NOTIFY * HTTP/1.1\r\n" + b"a:\r\n" * 16_000 + b"\r\n"),
    udp(40000, 11211, bytes(8) + b"get" + b" a" * 30_000 + b"\r\n"),
    udp(137, 137, b"\1\2" * 32_000),
    udp(514, 514, b"<1>" + b"\xff" * 64_000),
]
Show = Callable[..., Tree | Summary]


def calls(show: Show, packets: list[bytes]) -> tuple[int, Tree | Summary]:
    """Calls of functions while the last of these is shown, and what comes of it."""
    context, count = Context(), 0
    for number, packet in enumerate(packets[:-1], 1):
        show(packet, RAW, context=context, number=number)

    def step(_frame: object, event: str, _of: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(step)
    try:
        made = show(packets[-1], RAW, context=context, number=len(packets))
    finally:
        sys.setprofile(before)
    return count, made


def test_every_protocol_over_tcp_is_among_them() -> None:
    ports = {TABLES["tcp.port"][each.port] for each in TINY.values() if each.port in TABLES["tcp.port"]}
    assert ports == set(TABLES["tcp.port"].values())


@pytest.mark.parametrize("show", CALLS, ids=["row", "tree"])
@pytest.mark.parametrize("name", TINY)
def test_a_packet_full_of_the_smallest_messages(name: str, show: Show) -> None:
    before, packet = stream(name)
    calls(show, [*before, packet])  # what is needed for the first of its kind alone
    count, _ = calls(show, [*before, packet])
    assert count <= CALLS[show]


@pytest.mark.parametrize("show", CALLS, ids=["row", "tree"])
@pytest.mark.parametrize("packet", TEXT_OF_MANY, ids=["sip", "ssdp", "memcache", "nbns", "syslog"])
def test_a_message_full_of_the_smallest_fields(packet: bytes, show: Show) -> None:
    calls(show, [packet])
    count, _ = calls(show, [packet])
    assert count <= CALLS[show]


PASSED_OVER = [
    name
    for name in TINY
    if name.split()[0] in ("ajp13", "amqp", "kafka", "ldap", "mqtt", "mysql", "pgsql") and name != "ldap sequence"
]


@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_is_not_shown_is_counted_and_the_rest_is_kept(name: str) -> None:
    before, packet = stream(name)
    tree = dissect(packet, RAW, context=Context()) if not before else calls(dissect, [*before, packet])[1]
    assert isinstance(tree, Tree)
    shown = [layer for layer in tree.layers if layer.field.name not in ("raw", "ip", "tcp", "", "tcp.segment_data")]
    hidden = [layer for layer in tree.layers if layer.field.label == "Not shown"]
    assert len(shown) <= MAX_SHOWN
    assert [layer.text for layer in hidden] == [f"{hidden[0].value:,} more messages"]
    each, size = TINY[name], len(FULL[name])
    whole, left = divmod(size - len(each.start), len(each.message))
    assert len(shown) - bool(each.start) + hidden[0].value == whole
    rest = [layer.size for layer in tree.layers if layer.field.name == "tcp.segment_data"]
    assert rest == ([left] if left else [])


def test_what_stands_behind_a_thousand_messages_goes_on_in_the_next_segment() -> None:
    talk = Opened(1883)
    talk.ask(b"\xc0\0" * 5000 + b"\x30\x05\0")
    tree = talk.ask(b"\3abc")
    assert tree.info == "Publish Message [abc]"


def test_messages_are_counted_one_by_one_and_by_the_dozen() -> None:
    for many in range(40):
        assert small(b"ab", b"ab" * many + b"a", 0, 2 * many + 1) == (many, 2 * many)
    assert small(b"ab", b"ab" * 40, 0, 80, 33) == (33, 66)
    assert _compiled(b"ab") is _compiled(b"ab")
