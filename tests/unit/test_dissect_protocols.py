"""One packet of each protocol, made by hand: its row, its fields, their bytes."""

from __future__ import annotations

import struct

import pytest

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, find, summarise
from netwatch.capture.dissect.checksum import ones_sum, pseudo_header

ETHERNET, RAW, NULL, COOKED, COOKED2, PPP = 1, 101, 0, 113, 276, 9
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
SOURCE6, TARGET6 = (
    bytes.fromhex("20010db8000000000000000000000001"),
    bytes.fromhex("ff020000000000000000000000000001"),
)


def eth(payload: bytes, kind: int = 0x0800) -> bytes:
    return bytes.fromhex("02005e10000202005e100001") + struct.pack("!H", kind) + payload


def ip(
    payload: bytes, protocol: int = 17, *, total: int | None = None, fragment: int = 0, options: bytes = b""
) -> bytes:
    words = 5 + len(options) // 4
    size = 4 * words + len(payload) if total is None else total
    head = (
        struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, size, 0x1A2B, fragment, 64, protocol, 0, CLIENT, SERVER)
        + options
    )
    checksum = 0xFFFF - ones_sum(head)
    return head[:10] + struct.pack("!H", checksum) + head[12:] + payload


def ip6(payload: bytes, following: int) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, len(payload), following, 255, SOURCE6, TARGET6) + payload


def udp(payload: bytes, source: int = 40000, destination: int = 53) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def tcp(
    payload: bytes,
    source: int = 40000,
    destination: int = 80,
    *,
    flags: int = 0x18,
    options: bytes = b"",
    sequence: int = 1000,
) -> bytes:
    word = (5 + len(options) // 4) << 12 | flags
    return struct.pack("!HHIIHHHH", source, destination, sequence, 2000, word, 512, 0, 0) + options + payload


def labels(*names: bytes) -> bytes:
    return b"".join(bytes([len(name)]) + name for name in names) + b"\0"


def dns(body: bytes, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    return struct.pack("!HH4H", 0x1234, flags, *counts) + body


def value(tree: Tree, name: str) -> str | None:
    item = find(tree, name)
    return None if item is None else fields_text(item)


def item(tree: Tree, name: str) -> Item:
    found = find(tree, name)
    assert found is not None
    return found


def layers(tree: Tree) -> list[str]:
    return [layer.field.name for layer in tree.layers]


ANY = udp(b"x", 5000, 6000)
QUESTION = labels(b"example", b"org") + struct.pack("!HH", 1, 1)
ADDRESS = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, SERVER)
HELLO = bytes.fromhex("0303") + bytes(32) + b"\0" + bytes.fromhex("00021301") + b"\x01\0"
SERVER_NAME = struct.pack("!HHHBH", 0, 16, 14, 0, 11) + b"example.org"
ALPN = bytes.fromhex("0010000e000c02683208687474702f312e31")


def client_hello() -> bytes:
    body = HELLO + struct.pack("!H", len(SERVER_NAME + ALPN)) + SERVER_NAME + ALPN
    return struct.pack("!BHHB3s", 22, 0x0301, len(body) + 4, 1, len(body).to_bytes(3, "big")) + body


DISCOVER = (
    struct.pack("!4BIHH", 1, 1, 6, 0, 0x3903F326, 0, 0)
    + bytes(16)
    + bytes.fromhex("02005e100001")
    + bytes(10 + 64 + 128)
    + bytes.fromhex("63825363 350101 0c04") + b"host" + bytes.fromhex("3204c0000209 ff")
)  # fmt: skip

ROWS = [
    (eth(bytes.fromhex("0001080006040001 02005e100001 c0000201 000000000000 c0000209"), 0x0806), ETHERNET,
     "ARP", "Who has 192.0.2.9? Tell 192.0.2.1"),
    (eth(ip(udp(dns(QUESTION)))), ETHERNET, "DNS", "Standard query 0x1234 A example.org"),
    (eth(ip(udp(dns(QUESTION + ADDRESS, 0x8180, (1, 1, 0, 0)), 53, 40000))),
     ETHERNET, "DNS", "Standard query response 0x1234 A example.org A 198.51.100.7"),
    (eth(ip(udp(dns(QUESTION, 0x8183), 53, 40000))), ETHERNET,
     "DNS", "Standard query response 0x1234 No such name A example.org"),
    (eth(ip(udp(dns(labels(b"host", b"local") + struct.pack("!HH", 28, 0x8001), 0), 5353, 5353))), ETHERNET,
     "MDNS", 'Standard query 0x1234 AAAA host.local, "QU" question'),
    (eth(ip(udp(b"hello", 5000, 6000))), ETHERNET, "UDP", "5000 → 6000 Len=5"),
    (eth(ip(tcp(b"", flags=0x02, options=bytes.fromhex("020405b40402080a00000001000000000103030a")), 6)), ETHERNET,
     "TCP", "40000 → 80 [SYN] Seq=1000 Win=512 Len=0 MSS=1460 SACK_PERM TSval=1 TSecr=0 WS=1024"),
    (eth(ip(tcp(b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n"), 6)), ETHERNET,
     "HTTP", "GET /index.html HTTP/1.1 "),
    (eth(ip(tcp(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", 80, 40000), 6)),
     ETHERNET, "HTTP", "HTTP/1.1 200 OK  (text/html)"),
    (eth(ip(tcp(client_hello(), 40000, 443), 6)), ETHERNET, "TLSv1", "Client Hello"),
    (eth(ip(tcp(bytes.fromhex("140303000101 1603030010") + bytes(range(64, 80)), 443, 40000), 6)), ETHERNET,
     "TLSv1.2", "Change Cipher Spec, Encrypted Handshake Message"),
    (eth(ip(tcp(b"SSH-2.0-OpenSSH_9.6\r\n", 22, 40000), 6)), ETHERNET,
     "SSH", "Server: Protocol (SSH-2.0-OpenSSH_9.6)"),
    (eth(ip(tcp(b"220 ready\r\n", 21, 40000), 6)), ETHERNET, "FTP", "Response: 220 ready"),
    (eth(ip(bytes.fromhex("0800f7fd00020001") + b"ping", 1)), ETHERNET,
     "ICMP", "Echo (ping) request  id=0x0002, seq=1/256, ttl=64"),
    (eth(ip(bytes.fromhex("0303000000000000") + ip(udp(b"x", 4000, 33434)), 1)), ETHERNET,
     "ICMP", "Destination unreachable (Port unreachable)"),
    (eth(ip6(bytes.fromhex("8700000000000000") + SOURCE6 + bytes.fromhex("010102005e100001"), 58), 0x86DD), ETHERNET,
     "ICMPv6", "Neighbor Solicitation for 2001:db8::1 from 02:00:5e:10:00:01"),
    (eth(ip(udp(DISCOVER, 68, 67))), ETHERNET, "DHCP", "DHCP Discover - Transaction ID 0x3903f326"),
    (eth(ip(udp(b"\x23" + bytes(47), 123, 123))), ETHERNET, "NTP", "NTP Version 4, client"),
    (eth(ip(b"12345678", 17, fragment=0x2000)), ETHERNET,
     "IPv4", "Fragmented IP protocol (proto=UDP 17, off=0, ID=1a2b)"),
    (eth(ip(b"12345678", 17, fragment=0x0010)), ETHERNET,
     "IPv4", "Fragmented IP protocol (proto=UDP 17, off=128, ID=1a2b)"),
    (eth(ip(struct.pack("!II", 0xDEADBEEF, 1) + bytes(16), 50)), ETHERNET, "ESP", "ESP (SPI=0xdeadbeef)"),
    (ip(ANY), RAW, "UDP", "5000 → 6000 Len=1"),
    (b"\x02\0\0\0" + ip(ANY), NULL, "UDP", "5000 → 6000 Len=1"),
    (struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800) + ip(ANY), COOKED, "UDP", "5000 → 6000 Len=1"),
    (struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 4, 6, bytes(8)) + ip(ANY), COOKED2,
     "UDP", "5000 → 6000 Len=1"),
    (bytes.fromhex("ff030021") + ip(ANY), PPP, "UDP", "5000 → 6000 Len=1"),
    (eth(bytes.fromhex("2064 0800") + ip(ANY), 0x8100), ETHERNET, "UDP", "5000 → 6000 Len=1"),
    (eth(bytes.fromhex("0001f140") + ip(ANY), 0x8847), ETHERNET, "UDP", "5000 → 6000 Len=1"),
    (eth(bytes.fromhex("11000001001f0021") + ip(ANY), 0x8864), ETHERNET, "UDP", "5000 → 6000 Len=1"),
    (eth(ip(bytes.fromhex("20006558 00000007") + eth(ip(ANY)), 47)), ETHERNET,
     "UDP", "5000 → 6000 Len=1"),
    (eth(ip(udp(bytes.fromhex("0800000000002a00") + eth(ip(ANY)), 50000, 4789))), ETHERNET,
     "UDP", "5000 → 6000 Len=1"),
    (eth(ip(udp(bytes.fromhex("30ff001d00000001") + ip(ANY), 2152, 2152))), ETHERNET,
     "GTP <UDP>", "5000 → 6000 Len=1"),
    (eth(b"what nobody knows", 0x1234 + 0x8000), ETHERNET, "0x9234", "Ethernet II"),
    (b"what nobody knows", 999, "Data", ""),
]  # fmt: skip


@pytest.mark.parametrize(("data", "linktype", "protocol", "info"), ROWS)
def test_the_row_of_a_packet(data: bytes, linktype: int, protocol: str, info: str) -> None:
    tree = dissect(data, linktype)
    assert (tree.protocol, tree.info) == (protocol, info)
    assert tree.verdict.kind == "ok"
    assert summarise(data, linktype)[:4] == (protocol, info, tree.source, tree.destination)


def test_every_field_says_where_its_bytes_are() -> None:
    tree = dissect(eth(ip(udp(dns(QUESTION)))), ETHERNET)
    assert layers(tree) == ["eth", "ip", "udp", "dns"]
    places = {name: (item(tree, name).start, item(tree, name).size) for name in (
        "eth.dst", "eth.type", "ip.version", "ip.hdr_len", "ip.flags.df", "ip.ttl", "ip.src", "udp.dstport", "dns.id",
        "dns.qry.name", "dns.qry.type")}  # fmt: skip
    assert places == {
        "eth.dst": (0, 6),
        "eth.type": (12, 2),
        "ip.version": (14, 1),
        "ip.hdr_len": (14, 1),
        "ip.flags.df": (20, 1),
        "ip.ttl": (22, 1),
        "ip.src": (26, 4),
        "udp.dstport": (36, 2),
        "dns.id": (42, 2),
        "dns.qry.name": (54, 13),
        "dns.qry.type": (67, 2),
    }
    assert (tree.layers[3].start, tree.layers[3].size) == (42, 12 + len(QUESTION))


def test_values_print_as_tshark_prints_them() -> None:
    tree = dissect(eth(ip(tcp(client_hello(), 40000, 443), 6)), ETHERNET)
    wanted = {
        "eth.src": "02:00:5e:10:00:01",
        "eth.type": "0x0800",
        "ip.proto": "6",
        "ip.hdr_len": "20",
        "ip.flags": "0x00",
        "ip.id": "0x1a2b",
        "tcp.flags": "0x0018",
        "tcp.flags.syn": "0",
        "tcp.flags.push": "1",
        "tcp.hdr_len": "20",
        "tls.record.version": "0x0301",
        "tls.handshake.ciphersuite": "0x1301",
        "tls.handshake.extensions_server_name": "example.org",
        "tls.handshake.extensions_alpn_str": "h2",
    }
    assert {name: value(tree, name) for name in wanted} == wanted


def test_a_hello_in_two_segments_is_shown_and_named_where_it_is_complete() -> None:
    hello = client_hello()
    context = Context()
    first = dissect(eth(ip(tcp(hello[:-4], 40000, 443), 6)), ETHERNET, context=context, number=1)
    assert (first.protocol, first.verdict.kind) == ("TCP", "ok")
    assert first.info.endswith("[TCP segment of a reassembled PDU]")
    assert value(first, "tls.handshake.extensions_server_name") is None
    rest = eth(ip(tcp(hello[-4:], 40000, 443, sequence=1000 + len(hello) - 4), 6))
    whole = dissect(rest, ETHERNET, context=context, number=2)
    assert (whole.protocol, whole.info) == ("TLSv1", "Client Hello")
    assert value(whole, "tls.handshake.extensions_server_name") == "example.org"
    assert value(whole, "tcp.segment.count") == "2"
    assert [buffer.name for buffer in whole.buffers] == ["Packet", "Reassembled TCP"]
    assert whole.buffers[1].data == hello
    assert {layer.field.name: layer.buffer for layer in whole.layers}["tls"] == 1


def test_the_fragment_that_completes_a_datagram_shows_it() -> None:
    context = Context()
    datagram = udp(dns(labels(b"example", b"org") + b"\0\x01\0\x01"))
    pieces = [(datagram[16:], 2), (datagram[:16], 0x2000)]
    trees = [
        dissect(eth(ip(piece, fragment=fragment)), ETHERNET, context=context, number=number)
        for number, (piece, fragment) in enumerate(pieces, 1)
    ]
    assert [tree.protocol for tree in trees] == ["IPv4", "DNS"]
    assert value(trees[1], "dns.qry.name") == "example.org"
    assert value(trees[1], "ip.fragment.count") == "2"
    assert item(trees[1], "ip.fragments").text == "reassembled from 2 packets, 37 bytes: #1, #2"
    assert trees[1].buffers[1].data == datagram
    assert all(tree.verdict.kind == "ok" for tree in trees)


def test_a_request_whose_body_goes_on_is_named_where_it_is_complete() -> None:
    head = b"POST /form HTTP/1.1\r\nHost: example.org\r\nContent-Length: 10\r\n\r\n"
    part = dissect(eth(ip(tcp(head + b"12345"), 6)), ETHERNET)
    assert part.protocol == "TCP"
    assert value(part, "http.host") is None
    whole = dissect(eth(ip(tcp(head + b"1234567890"), 6)), ETHERNET)
    assert (value(whole, "http.host"), value(whole, "http.request.uri")) == ("example.org", "/form")


def test_the_quoted_packet_belongs_to_the_error() -> None:
    tree = dissect(eth(ip(bytes.fromhex("0303000000000000") + ip(udp(b"", 4000, 33434))[:28], 1)), ETHERNET)
    assert layers(tree) == ["eth", "ip", "icmp"]
    quoted = [child for child in tree.layers[2].children if child.field.name in ("ip", "udp")]
    assert [child.field.name for child in quoted] == ["ip", "udp"]
    assert value(tree, "udp.dstport") == "33434"
    assert tree.source == "192.0.2.1"


def test_a_first_fragment_that_was_cut_shows_what_it_has() -> None:
    data = eth(ip(udp(bytes(100), 5000, 6000), fragment=0x2000))
    cut = dissect(data[:60], ETHERNET, len(data))
    assert (cut.protocol, value(cut, "udp.dstport")) == ("UDP", "6000")
    assert value(dissect(data, ETHERNET), "udp.dstport") is None


def test_ethernet_padding_is_no_payload() -> None:
    data = eth(ip(ANY))
    tree = dissect(data + bytes(60 - len(data)), ETHERNET)
    assert layers(tree) == ["eth", "ip", "udp", "data", "eth.padding"]
    assert (tree.layers[3].size, tree.layers[4].start) == (1, len(data))
    assert layers(dissect(data + b"\x01\x02", ETHERNET))[-1] == "eth.trailer"


@pytest.mark.parametrize(("change", "status"), [(0, "1"), (1, "0")])
def test_a_checksum_is_good_or_bad(change: int, status: str) -> None:
    segment = tcp(b"data")
    right = 0xFFFF - ones_sum(pseudo_header(CLIENT + SERVER, 6, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", right ^ change) + segment[18:]
    tree = dissect(eth(ip(segment, 6)), ETHERNET)
    assert (value(tree, "tcp.checksum.status"), value(tree, "ip.checksum.status")) == (status, "1")


def test_what_the_card_would_complete_is_not_called_bad() -> None:
    segment = tcp(b"data")
    pseudo = ones_sum(pseudo_header(CLIENT + SERVER, 6, len(segment)))
    segment = segment[:16] + struct.pack("!H", pseudo) + segment[18:]
    assert value(dissect(eth(ip(segment, 6)), ETHERNET), "tcp.checksum.status") == "2"
    cut = dissect(eth(ip(tcp(b"data"), 6))[:-2], ETHERNET, len(eth(ip(tcp(b"data"), 6))))
    assert value(cut, "tcp.checksum.status") == "2"


def test_options_of_ipv4() -> None:
    tree = dissect(eth(ip(udp(b"", 5000, 6000), options=bytes.fromhex("94040000"))), ETHERNET)
    assert value(tree, "ip.opt.ra") == "0"
    assert tree.info == "5000 → 6000 Len=0"


def test_records_of_dns() -> None:
    body = QUESTION + b"".join(
        struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
        for kind, data in (
            (5, labels(b"www") [:-1] + b"\xc0\x0c"),
            (15, struct.pack("!H", 10) + labels(b"mail")),
            (16, b"\x05hello"),
            (28, SOURCE6),
            (33, struct.pack("!HHH", 1, 2, 80) + labels(b"srv")),
            (65280, b"??"),
        )
    )  # fmt: skip
    tree = dissect(eth(ip(udp(dns(body, 0x8180, (1, 6, 0, 0)), 53, 40000))), ETHERNET)
    assert tree.info == (
        "Standard query response 0x1234 A example.org CNAME www.example.org MX 10 mail TXT AAAA 2001:db8::1"
        " SRV 1 2 80 srv Unknown (65280)"
    )
    assert value(tree, "dns.txt") == "hello"
    assert value(tree, "dns.data") == "3f3f"


def test_dns_over_tcp_has_a_length_before_it() -> None:
    message = dns(QUESTION)
    data = struct.pack("!H", len(message)) + message
    tree = dissect(eth(ip(tcp(data, 40000, 53), 6)), ETHERNET)
    assert (tree.protocol, value(tree, "dns.length"), value(tree, "dns.qry.name")) == ("DNS", "29", "example.org")
    part = dissect(eth(ip(tcp(data[:20], 40000, 53), 6)), ETHERNET)
    assert (part.protocol, value(part, "dns.qry.name")) == ("TCP", None)


def test_a_dhcp_request() -> None:
    tree = dissect(eth(ip(udp(DISCOVER, 68, 67))), ETHERNET)
    wanted = {
        "dhcp.hw.mac_addr": "02:00:5e:10:00:01",
        "dhcp.option.dhcp": "1",
        "dhcp.option.hostname": "host",
        "dhcp.option.requested_ip_address": "192.0.2.9",
    }
    assert {name: value(tree, name) for name in wanted} == wanted
