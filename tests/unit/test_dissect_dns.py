"""DNS: what each kind of record and option holds, questions and their answers, names that loop."""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, summarise

RAW = 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])


def packet(payload: bytes, *, port: int = 53, server: bool = False, sequence: int = 0) -> bytes:
    """A datagram; with a sequence number a segment."""
    ends = (SERVER, CLIENT) if server else (CLIENT, SERVER)
    ports = (port, 40000) if server else (40000, port)
    if sequence:
        inner = struct.pack("!HHIIHHHH", *ports, sequence, 1, 0x5018, 512, 0, 0) + payload
    else:
        inner = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(inner), 1, 0, 64, 6 if sequence else 17, 0)
    return head + b"".join(ends) + inner


def name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def question(kind: int, ident: int = 1, host: str = "x.test", flags: int = 0x0100) -> bytes:
    return struct.pack("!6H", ident, flags, 1, 0, 0, 0) + name(host) + struct.pack("!HH", kind, 1)


def record(kind: int, body: bytes, owner: bytes = b"\xc0\x0c", network: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, network, 300, len(body)) + body


def answer(kind: int, body: bytes, ident: int = 1) -> bytes:
    asked = name("x.test") + struct.pack("!HH", kind, 1)
    return struct.pack("!6H", ident, 0x8180, 1, 1, 0, 0) + asked + record(kind, body)


def options(*pairs: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in pairs)
    return (
        struct.pack("!6H", 1, 0x0100, 0, 0, 0, 1) + b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, len(body)) + body
    )


def show(data: bytes, context: Context | None = None, number: int = 0, ts: int = 0) -> Tree:
    tree = dissect(data, RAW, context=context, number=number, ts=ts)
    assert tree.verdict.kind != "failed", tree.verdict
    return tree


def items(tree: Tree) -> Iterator[Item]:
    below = list(tree.layers)[::-1]
    while below:
        item = below.pop()
        yield item
        below += item.children[::-1]


def values(tree: Tree, field: str) -> list[str]:
    return [fields_text(item) for item in items(tree) if item.field.name == field]


RECORDS = [
    (1, b"\xc0\0\2\1", "A 192.0.2.1", {"dns.a": "192.0.2.1"}),
    (28, bytes.fromhex("20010db8") + bytes(11) + b"\1", "AAAA 2001:db8::1", {"dns.aaaa": "2001:db8::1"}),
    (2, name("ns.test"), "NS ns.test", {"dns.ns": "ns.test"}),
    (5, b"\1c\xc0\x0e", "CNAME c.test", {"dns.cname": "c.test"}),
    (12, name("p.test"), "PTR p.test", {"dns.ptr.domain_name": "p.test"}),
    (
        15,
        b"\0\x0a" + name("mx.test"),
        "MX 10 mx.test",
        {"dns.mx.mail_exchange": "mx.test", "dns.mx.preference": "10"},
    ),
    (16, b"\5hello\2yo", "TXT", {"dns.txt": "hello", "dns.txt.length": "5"}),
    (
        6,
        name("a.test") + name("h.test") + struct.pack("!5I", 7, 7200, 3600, 86400, 300),
        "SOA a.test",
        {"dns.soa.rname": "h.test", "dns.soa.serial_number": "7", "dns.soa.minimum_ttl": "300"},
    ),
    (33, struct.pack("!3H", 1, 2, 5060) + name("s.test"), "SRV 1 2 5060 s.test", {"dns.srv.port": "5060"}),
    (
        35,
        struct.pack("!HH", 100, 10) + b"\1U\7E2U+sip\4!a!b\0",
        "NAPTR 100 10 U",
        {"dns.naptr.service": "E2U+sip", "dns.naptr.regex": "!a!b", "dns.naptr.replacement": "<Root>"},
    ),
    (
        257,
        b"\x80\5issueca.test",
        "CAA",
        {"dns.caa.flags": "0x80", "dns.caa.tag": "issue", "dns.caa.issue": "ca.test"},
    ),
    (
        65,
        b"\0\1" + name("svc.test") + bytes.fromhex("0001 0006 02 6832 02 6833 0003 0002 20fb 0004 0004 c0000201"),
        "HTTPS",
        {
            "dns.svcb.svcpriority": "1",
            "dns.svcb.targetname": "svc.test",
            "dns.svcb.svcparam.alpn": "h2",
            "dns.svcb.svcparam.port": "8443",
            "dns.svcb.svcparam.ipv4hint.ip": "192.0.2.1",
        },
    ),
    (43, bytes.fromhex("ec45 05 01") + b"\x2b" * 20, "DS", {"dns.ds.key_id": "0xec45", "dns.ds.digest": "2b" * 20}),
    (
        48,
        # RFC 4034, 5.4: this key's tag is 60485
        bytes.fromhex("0100 03 05")
        + b64decode(
            "AQOeiiR0GOMYkDshWoSKz9XzfwJr1AYtsmx3TGkJaNXVbfi/2pHm822aJ5iI9BMzNXxeYCmZDRD99WYwYqUSdjMmmAphXdvx"
            "egXd/M5+X7OrzKBaMbCVdFLUUh6DhweJBjEVv5f2wwjM9XzcnOf+EPbtG9DMBmADjFDc2w/rljwvFw=="
        ),
        "DNSKEY",
        {"dns.dnskey.algorithm": "5", "dns.dnskey.key_id": "60485", "dns.dnskey.flags.zone_key": "1"},
    ),
    (
        46,
        struct.pack("!HBBIIIH", 1, 8, 2, 3600, 1924905600, 1704067200, 12345) + name("test") + b"sig",
        "RRSIG",
        {
            "dns.rrsig.signature_expiration": "Dec 31, 2030 00:00:00.000000000 UTC",
            "dns.rrsig.signers_name": "test",
            "dns.rrsig.key_tag": "12345",
        },
    ),
    (47, name("b.test") + bytes.fromhex("0006 400100000003"), "NSEC b.test", {"dns.nsec.next_domain_name": "b.test"}),
    (
        50,
        bytes.fromhex("01 01 000c 04 aabbccdd 14") + bytes(20) + bytes.fromhex("0001 40"),
        "NSEC3",
        {"dns.nsec3.salt_value": "aabbccdd", "dns.nsec3.hash_value": "0" * 32, "dns.nsec3.iterations": "12"},
    ),
    (52, b"\3\1\1" + b"\xd2" * 32, "TLSA x.test", {"dns.tlsa.certificate_usage": "3"}),
    (44, b"\4\2" + bytes(32), "SSHFP", {"dns.sshfp.algorithm": "4", "dns.sshfp.fingerprint.type": "2"}),
    (13, b"\2PC\5Linux", "HINFO PC Linux", {"dns.hinfo.cpu": "PC", "dns.hinfo.os": "Linux"}),
    (39, name("d.test"), "DNAME d.test", {"dns.dname": "d.test"}),
    (65400, b"abc", "Unknown (65400)", {"dns.data": "616263"}),
]


@pytest.mark.parametrize(("kind", "body", "info", "wanted"), RECORDS, ids=[str(row[0]) for row in RECORDS])
def test_records(kind: int, body: bytes, info: str, wanted: dict[str, str]) -> None:
    data = packet(answer(kind, body), server=True)
    tree = show(data)
    kind_name = info.split(" ")[0] if "Unknown" not in info else info
    assert (tree.verdict.kind, tree.protocol) == ("ok", "DNS")
    assert tree.info == f"Standard query response 0x0001 {kind_name} x.test {info}"
    assert {field: values(tree, field)[0] for field in wanted} == wanted
    assert summarise(data, RAW).info == tree.info


@pytest.mark.parametrize(("kind", "body", "info", "wanted"), RECORDS, ids=[str(row[0]) for row in RECORDS])
def test_records_that_are_shorter_than_what_they_hold(
    kind: int, body: bytes, info: str, wanted: dict[str, str]
) -> None:
    for size in range(1, len(body)):
        tree = show(packet(answer(kind, body[:size]), server=True))
        assert tree.info.startswith("Standard query response 0x0001"), (info, wanted)


def test_types_that_a_name_has() -> None:
    tree = show(packet(answer(47, name("b.test") + bytes.fromhex("0006 400100000003 0101 40")), server=True))
    shown = [item.value for item in items(tree) if item.field.label == "RR type in bit map"]
    assert shown == [1, 15, 46, 47, 257]


@pytest.mark.parametrize(
    ("code", "value", "wanted"),
    [
        (
            8,
            bytes.fromhex("0001 18 00 c00002"),
            {"dns.opt.client.addr4": "192.0.2.0", "dns.opt.client.netmask": "24"},
        ),
        (8, bytes.fromhex("0002 20 00 20010db8"), {"dns.opt.client.addr6": "2001:db8::"}),
        (10, b"12345678" + b"s" * 8, {"dns.opt.cookie.client": b"12345678".hex(), "dns.opt.cookie.server": "73" * 8}),
        (11, b"\0\x64", {"dns.opt.edns_tcp_keepalive.timeout": "100"}),
        (12, bytes(5), {"dns.opt.padding": "00" * 5}),
        (15, b"\0\x12no", {"dns.opt.ext_error.info_code": "18", "dns.opt.ext_error.extra_text": "no"}),
        (5, b"\x08\x0d", {"dns.opt.dau": "8"}),
        (65001, b"abc", {"dns.opt.data": "616263", "dns.opt.code": "65001"}),
        (8, b"\0", {"dns.opt.data": "00"}),
    ],
)
def test_options(code: int, value: bytes, wanted: dict[str, str]) -> None:
    tree = show(packet(options((3, b""), (code, value))))
    assert tree.info == "Standard query 0x0001 OPT"
    assert tree.verdict.kind == "ok"
    assert {field: values(tree, field)[-1 if field == "dns.opt.code" else 0] for field in wanted} == wanted


def test_an_answer_knows_its_question() -> None:
    context = Context()
    show(packet(question(1)), context, 1, 10**9)
    again = show(packet(question(1)), context, 2, 10**9 + 5)
    assert values(again, "dns.retransmit_request_in") == ["1"]
    first = show(packet(answer(1, b"\xc0\0\2\1"), server=True), context, 3, 10**9 + 1_234_000)
    assert values(first, "dns.response_to") == ["1"]
    assert values(first, "dns.time") == ["0.001234000"]
    twice = show(packet(answer(1, b"\xc0\0\2\1"), server=True), context, 4, 2 * 10**9)
    assert values(twice, "dns.retransmit_response_in") == ["3"]
    assert values(twice, "dns.time") == []
    other = show(packet(answer(1, b"\xc0\0\2\1", ident=9), server=True), context, 5, 2 * 10**9)
    assert values(other, "dns.response_to") == []
    new = show(packet(question(1)), context, 6, 3 * 10**9)
    assert values(new, "dns.retransmission") == []


def test_questions_without_answers_are_forgotten() -> None:
    context = Context()
    for ident in range(1000):
        show(packet(question(1, ident)), context, ident + 1)
    late = show(packet(answer(1, b"\xc0\0\2\1", ident=999), server=True), context, 2000)
    early = show(packet(answer(1, b"\xc0\0\2\1", ident=0), server=True), context, 2001)
    assert values(late, "dns.response_to") == ["1000"]
    assert values(early, "dns.response_to") == []


@pytest.mark.parametrize("size", [1, 2, 3, 30, 500])
def test_over_tcp_in_segments_of_any_size(size: int) -> None:
    context = Context()
    first, second = answer(16, b"\xc8" + b"x" * 200, 1), answer(1, b"\xc0\0\2\1", 2)
    stream = b"".join(len(each).to_bytes(2, "big") + each for each in (first, second))
    shown = []
    for at in range(0, len(stream), size):
        tree = show(packet(stream[at : at + size], server=True, sequence=1000 + at), context, at + 1)
        if tree.protocol == "DNS":
            shown += values(tree, "dns.txt") + values(tree, "dns.a")
    assert shown == ["x" * 200, "192.0.2.1"]


def test_an_update_has_sections_of_its_own() -> None:
    message = struct.pack("!6H", 1, 0x2800, 1, 0, 1, 0) + name("x.test") + struct.pack("!HH", 6, 1)
    tree = show(packet(message + record(1, b"\xc0\0\2\1")))
    assert tree.info == "Dynamic update 0x0001 SOA x.test A 192.0.2.1"
    assert (values(tree, "dns.count.zones"), values(tree, "dns.count.updates")) == (["1"], ["1"])


def test_multicast_names() -> None:
    message = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0) + record(1, b"\xc0\0\2\1", name("a.local"), 0x8001)
    tree = show(packet(message, port=5353))
    assert (tree.protocol, tree.info) == ("MDNS", "Standard query response 0x0000 A, cache flush 192.0.2.1")
    tree = show(packet(question(28, host="host"), port=5355))
    assert (tree.protocol, tree.info) == ("LLMNR", "Standard query 0x0001 AAAA host")
    assert values(tree, "dns.flags.tentative") == ["1"]


@pytest.mark.parametrize("loop", [b"\xc0\x0c", b"\1a\xc0\x0c", b"\xc0\x0e\xc0\x0c", b"\xff\xff"])
def test_names_that_loop_end(loop: bytes) -> None:
    message = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0) + loop + struct.pack("!HH", 1, 1)
    assert show(packet(message)).verdict.kind == "malformed"


@given(kind=st.sampled_from([row[0] for row in RECORDS]), body=st.binary(min_size=1, max_size=80))
@settings(max_examples=300, deadline=None)
def test_any_bytes_in_any_record(kind: int, body: bytes) -> None:
    data = packet(answer(kind, body), server=True)
    tree = show(data)
    assert summarise(data, RAW).info == tree.info


@given(code=st.sampled_from([3, 5, 8, 10, 11, 12, 13, 15]), value=st.binary(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_in_any_option(code: int, value: bytes) -> None:
    data = packet(options((code, value)))
    assert summarise(data, RAW).info == show(data).info


def test_a_pointer_out_of_the_message_is_malformed() -> None:
    asked = name("x.test") + struct.pack("!HH", 1, 1)
    head = struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0)
    tree = show(packet(head + asked + record(1, bytes(4), owner=b"\xff\xff"), server=True))
    assert tree.verdict.text == "DNS name: pointer out of the message"
    assert tree.info == "Standard query response 0x0001 A x.test[Malformed Packet]"


def test_flags_say_what_the_message_is() -> None:
    def flags(data: bytes) -> str:
        (layer,) = (layer for layer in show(packet(data)).layers if layer.field.name == "dns")
        return next(item.text for item in layer.children if item.field.name == "dns.flags")

    assert flags(question(1)) == "0x0100 Standard query"
    assert flags(answer(1, bytes(4))) == "0x8180 Standard query response, No error"
    assert flags(question(1, flags=0x8583)) == "0x8583 Standard query response, No such name"
