"""Names learned from packets: what is a name, whose, which one stays, and that nothing on the wire can do harm."""

from __future__ import annotations

import hmac
import random
import socket
import struct
import tracemalloc
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from netwatch.capture.block import Batch, Block, Interface
from netwatch.capture.decode import Decoder
from netwatch.capture.hosts import read_hosts
from netwatch.capture.name_index import BEHIND, TOO_FAR, Learner
from netwatch.capture.name_quic import Hellos
from netwatch.capture.names import MAX_ADDRESSES, MAX_CHARACTERS, MAX_OTHERS, Names, Origin
from netwatch.capture.store import Store
from netwatch.capture.text import escape

SERVER = "198.51.100.7"
CLIENT = "192.0.2.1"
_SECOND = 1_000_000_000


# Packets


def eth(kind: int, payload: bytes) -> bytes:
    return bytes.fromhex("020000000002020000000001") + struct.pack("!H", kind) + payload


def ip(protocol: int, payload: bytes, source: str = CLIENT, destination: str = SERVER) -> bytes:
    if ":" in source:
        ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
        return eth(0x86DD, struct.pack("!LHBB", 6 << 28, len(payload), protocol, 64) + ends + payload)
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    return eth(0x0800, head + socket.inet_aton(source) + socket.inet_aton(destination) + payload)


def udp(sport: int, dport: int, payload: bytes, **ends: str) -> bytes:
    return ip(17, struct.pack("!4H", sport, dport, 8 + len(payload), 0) + payload, **ends)


def tcp(sport: int, dport: int, payload: bytes, **ends: str) -> bytes:
    return ip(6, struct.pack("!2H2L4H", sport, dport, 1, 1, 0x5018, 64000, 0, 0) + payload, **ends)


def domain(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


def record(owner: bytes, kind: int, data: bytes, group: int = 1) -> bytes:
    return owner + struct.pack("!2HLH", kind, group, 60, len(data)) + data


def a(owner: str, address: str) -> bytes:
    return record(domain(owner), 1, socket.inet_aton(address))


def dns(asked: str, *records: bytes, flags: int = 0x8180, kind: int = 1) -> bytes:
    head = struct.pack("!6H", 7, flags, int(bool(asked)), len(records), 0, 0)
    return head + (domain(asked) + struct.pack("!2H", kind, 1) if asked else b"") + b"".join(records)


def answer(asked: str, *records: bytes, port: int = 53, **ways: int) -> bytes:
    return udp(port, 40000, dns(asked, *records, **ways), source="192.0.2.53", destination=CLIENT)


def hello(name: str, *, first: bytes = b"") -> bytes:
    host = name.encode()
    listed = struct.pack("!BH", 0, len(host)) + host
    extension = struct.pack("!HHH", 0, len(listed) + 2, len(listed)) + listed
    extensions = first + extension
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def dhcp(
    *, reply: bool, message: int, name: bytes = b"", yours: str = "0.0.0.0", own: str = "0.0.0.0", mac: int = 1
) -> bytes:
    fixed = struct.pack("!4BLHH", 2 if reply else 1, 1, 6, 0, 77, 0, 0)
    fixed += socket.inet_aton(own) + socket.inet_aton(yours) + bytes(8)
    fixed += bytes([2, 0, 0, 0, 0, mac]) + bytes(10) + bytes(192)
    options = bytes([53, 1, message]) + (bytes([12, len(name)]) + name if name else b"") + b"\xff"
    ports = (67, 68) if reply else (68, 67)
    return udp(*ports, fixed + b"\x63\x82\x53\x63" + options, source=CLIENT, destination="255.255.255.255")


def varint(value: int) -> bytes:
    return struct.pack("!H", value | 0x4000)


def quic(frames: bytes, number: int = 0, cid: bytes = b"connection", version: int = 1) -> bytes:
    """A client's Initial packet, protected as RFC 9001, 5 has it."""

    def expand(secret: bytes, label: bytes, size: int) -> bytes:
        label = b"tls13 " + label
        return hmac.digest(secret, struct.pack("!HB", size, len(label)) + label + b"\0\x01", "sha256")[:size]

    secret = hmac.digest(bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), cid, "sha256")
    secret = expand(secret, b"client in", 32)
    key, iv, hp = (expand(secret, b"quic " + label, size) for label, size in ((b"key", 16), (b"iv", 12), (b"hp", 16)))
    plain = frames.ljust(1200, b"\0")
    head = b"\xc3" + version.to_bytes(4, "big") + bytes([len(cid)]) + cid + b"\0\0" + varint(len(plain) + 20)
    where = len(head)
    head += number.to_bytes(4, "big")
    nonce = (int.from_bytes(iv, "big") ^ number).to_bytes(12, "big")
    packet = bytearray(head + AESGCM(key).encrypt(nonce, plain, head))
    mask = Cipher(algorithms.AES(hp), modes.ECB()).encryptor().update(bytes(packet[where + 4 : where + 20]))
    packet[0] ^= mask[0] & 0x0F
    for at in range(4):
        packet[where + at] ^= mask[1 + at]
    return bytes(packet)


def crypto(data: bytes, offset: int = 0) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def coded(name: bytes, suffix: int) -> bytes:
    return (
        b"\x20" + bytes(half + 65 for byte in name.ljust(15) + bytes([suffix]) for half in divmod(byte, 16)) + b"\0"
    )


# A learner over packets


class Wire:
    """Packets in a store, and who learns from them."""

    def __init__(self, *packets: bytes, live: bool = False, in_file: bool = False) -> None:
        self.store = Store(None, lambda pos, size: self.file[pos : pos + size])
        self.file = b""
        self.in_file = in_file
        self.learner = Learner(self.store, SimpleNamespace(interfaces=[Interface("x", 1)]), live=live)
        self._decoder = Decoder()
        if packets:
            self.feed(*packets)

    @property
    def names(self) -> Names:
        return self.learner.names

    def feed(self, *packets: bytes) -> None:
        sizes = np.array([len(packet) for packet in packets], np.uint32)
        n = len(packets)
        offsets = np.cumsum(np.concatenate([[0], sizes[:-1]])).astype(np.int64)
        raw = np.frombuffer(b"".join(packets) + bytes(64), np.uint8)
        block = Block(
            raw=raw,
            offsets=offsets,
            caplen=sizes,
            wirelen=sizes,
            ts=(self.store.end + 1 + np.arange(n, dtype=np.int64)) * _SECOND,
            linktype=np.ones(n, np.uint16),
            iface=np.zeros(n, np.uint16),
            marks=np.zeros(n, np.uint16),
            pos=offsets + len(self.file),
            owned=not self.in_file,
        )
        rows = self._decoder.decode(block).rows
        if self.in_file:
            self.file += raw.tobytes()
        self.store.append(Batch(rows, None if self.in_file else raw))

    def learn(self) -> dict[str, str]:
        """All names, once everything was looked at."""
        while self.learner.work(1.0):
            continue
        return {address: name.text for address, name in self.names._known.items()}


def learned(*packets: bytes) -> dict[str, str]:
    """What is learned of packets in memory, which must be what is learned of a file."""
    found = Wire(*packets).learn()
    assert Wire(*packets, in_file=True).learn() == found
    return found


# What is a name


def test_dns_answers_name_addresses_of_both_kinds() -> None:
    six = record(domain("docs.example"), 28, socket.inet_pton(socket.AF_INET6, "2001:db8::7"))
    found = learned(answer("docs.example", a("docs.example", SERVER), six))
    assert found == {SERVER: "docs.example", "2001:db8::7": "docs.example"}


def test_a_chain_of_aliases_leads_to_the_name_that_was_asked_for() -> None:
    chain = (
        record(domain("Www.shop.example"), 5, domain("eu.cdn.example")),
        record(domain("eu.CDN.example"), 5, domain("node7.cdn.example")),
        a("node7.cdn.example", SERVER),
    )
    assert learned(answer("www.shop.example", *chain)) == {SERVER: "www.shop.example"}
    assert learned(answer("www.shop.example", *chain[::-1])) == {SERVER: "www.shop.example"}


def test_aliases_in_a_circle_end() -> None:
    circle = (
        record(domain("a.example"), 5, domain("b.example")),
        record(domain("b.example"), 5, domain("a.example")),
        a("a.example", SERVER),
    )
    assert learned(answer("a.example", *circle))[SERVER] in ("a.example", "b.example")


def test_compressed_names_and_names_over_tcp() -> None:
    message = dns("docs.example", record(b"\xc0\x0c", 1, socket.inet_aton(SERVER)))
    assert learned(udp(53, 40000, message, source="192.0.2.53", destination=CLIENT)) == {SERVER: "docs.example"}
    over_tcp = tcp(53, 40000, struct.pack("!H", len(message)) + message, source="192.0.2.53", destination=CLIENT)
    assert learned(over_tcp) == {SERVER: "docs.example"}


@pytest.mark.parametrize(
    ("owner", "address"),
    [
        ("7.100.51.198.in-addr.arpa", SERVER),
        ("7." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::7"),
    ],
)
def test_reverse_answers(owner: str, address: str) -> None:
    pointer = record(domain(owner), 12, domain("host.example"))
    wire = Wire(answer(owner, pointer, kind=12))
    assert wire.learn() == {address: "host.example"}
    assert wire.names.of(address).origin is Origin.PTR  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "packet",
    [
        udp(40000, 53, dns("docs.example", a("docs.example", SERVER), flags=0x0100)),
        answer("docs.example", a("docs.example", SERVER), flags=0x8183),
        answer("docs.example", a("docs.example", "127.0.0.1")),
        answer("docs.example", a("docs.example", "0.0.0.0")),
        answer("docs.example", a("docs.example", "224.0.0.251")),
        answer("docs.example", record(domain("docs.example"), 1, socket.inet_aton(SERVER), group=3)),
        answer("docs.example", record(domain("docs.example"), 1, b"\1\2\3")),
        answer("x.in-addr.arpa", record(domain("x.in-addr.arpa"), 12, domain("host.example"))),
        answer("docs.example", a("192.0.2.66", SERVER)),
        tcp(40000, 443, hello("192.0.2.66")),
        tcp(443, 40000, hello("docs.example")[:40]),
        tcp(80, 40000, b"HTTP/1.1 200 OK\r\nHost: docs.example\r\n\r\n"),
        tcp(40000, 80, b"CONNECT docs.example:443 HTTP/1.1\r\nHost: docs.example\r\n\r\n"),
        tcp(40000, 80, b"GET http://docs.example/ HTTP/1.1\r\nHost: docs.example\r\n\r\n"),
        tcp(40000, 80, b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"),
    ],
    ids=[
        *("question", "error", "loopback", "unspecified", "multicast", "class", "short", "arpa", "address"),
        *("sni", "cut", "response", "proxy", "absolute", "six"),
    ],
)
def test_what_names_nobody(packet: bytes) -> None:
    assert learned(packet) == {}


def test_multicast_dns_keeps_capitals() -> None:
    owner = "Printer-3.local"
    exclusive = record(domain(owner), 1, socket.inet_aton("192.0.2.30"), group=0x8001)
    packet = udp(5353, 5353, dns("", exclusive, flags=0x8400), source="192.0.2.30", destination="224.0.0.251")
    wire = Wire(packet)
    assert wire.learn() == {"192.0.2.30": owner}
    assert wire.names.of("192.0.2.30").origin is Origin.MDNS  # type: ignore[union-attr]


def test_link_local_multicast_names() -> None:
    message = dns("printer", a("printer", "192.0.2.30"), flags=0x8000)
    wire = Wire(udp(5355, 40000, message, source="192.0.2.30", destination=CLIENT))
    assert wire.learn() == {"192.0.2.30": "printer"}
    assert wire.names.of("192.0.2.30").origin is Origin.LLMNR  # type: ignore[union-attr]


def test_the_server_name_of_a_hello_is_the_destinations() -> None:
    padding = struct.pack("!HH", 21, 9) + bytes(9)
    found = learned(tcp(40000, 443, hello("API.example", first=padding)))
    assert found == {SERVER: "api.example"}
    ends = {"source": "2001:db8::1", "destination": "2001:db8::7"}
    assert learned(tcp(40000, 443, hello("api.example"), **ends)) == {"2001:db8::7": "api.example"}


def test_the_server_name_of_an_encrypted_hello() -> None:
    message = hello("api.example")[5:]
    whole = udp(50000, 443, quic(crypto(message)))
    assert learned(whole) == {SERVER: "api.example"}
    halves = crypto(message[60:], 60), b"\x01" + crypto(message[:60])
    assert learned(udp(50000, 443, quic(b"".join(halves)))) == {SERVER: "api.example"}
    one, other = (udp(50000, 443, quic(half, number)) for number, half in enumerate(halves))
    assert learned(one, other) == {SERVER: "api.example"}
    assert learned(one) == {}
    assert learned(udp(50000, 443, quic(crypto(message), version=0x0A1A2A3A))) == {}


def test_a_hello_is_decrypted_only_for_who_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    add = Hellos.add

    def counted(self: Hellos, data: bytes, at: int, end: int) -> bytes:
        calls.append(at)
        return add(self, data, at, end)

    monkeypatch.setattr(Hellos, "add", counted)
    packet = udp(50000, 443, quic(crypto(hello("api.example")[5:])))
    Wire(*[packet] * 20).learn()
    assert len(calls) == 1


def test_damaged_hellos_raise_nothing_and_are_bounded() -> None:
    chance = random.Random(3)
    message = hello("api.example")[5:]
    packets = []
    for number in range(600):
        frames = bytearray(crypto(message[: chance.randrange(len(message))]) + chance.randbytes(20))
        frames[chance.randrange(len(frames))] = chance.randrange(256)
        packets.append(udp(50000, 443, quic(bytes(frames), cid=number.to_bytes(8, "big"))))
        broken = bytearray(packets[-1])
        broken[42 + chance.randrange(40)] = chance.randrange(256)
        packets.append(bytes(broken))
    wire = Wire(*packets)
    wire.learn()
    assert wire.learner._reader._hellos is not None
    assert 0 < len(wire.learner._reader._hellos._pieces) <= 256


@pytest.mark.parametrize("head", [b"Host: Docs.example:8080", b"host:docs.example"])
def test_the_host_of_a_request_is_the_destinations(head: bytes) -> None:
    request = b"HEAD /index HTTP/1.1\r\nAccept: */*\r\n" + head + b"\r\n\r\n"
    assert learned(tcp(40000, 80, request)) == {SERVER: "docs.example"}


def test_a_dhcp_client_gets_its_name_with_its_address() -> None:
    asks = dhcp(reply=False, message=3, name=b"laptop-7")
    other = dhcp(reply=True, message=5, yours="192.0.2.99", mac=9)
    granted = dhcp(reply=True, message=5, yours="192.0.2.44")
    assert learned(asks, other, granted) == {"192.0.2.44": "laptop-7"}
    assert learned(dhcp(reply=False, message=3, name=b"laptop-7", own="192.0.2.44")) == {"192.0.2.44": "laptop-7"}
    assert learned(asks, dhcp(reply=True, message=2, yours="192.0.2.44")) == {}


def test_netbios_names_but_no_groups() -> None:
    def said(suffix: int, flags: int) -> bytes:
        data = struct.pack("!H", flags) + socket.inet_aton("192.0.2.20")
        message = struct.pack("!6H", 7, 0x8500, 0, 1, 0, 0) + record(coded(b"FILES", suffix), 0x20, data)
        return udp(137, 137, message, source="192.0.2.20", destination=CLIENT)

    assert learned(said(0x20, 0)) == {"192.0.2.20": "FILES"}
    assert learned(said(0x00, 0x8000)) == {}
    assert learned(said(0x1B, 0)) == {}


def test_names_inside_vlans_and_tunnels() -> None:
    packet = answer("docs.example", a("docs.example", SERVER))
    tagged = packet[:12] + b"\x81\x00\x00\x07" + packet[12:]
    tunnel = udp(50000, 4789, b"\x08\0\0\0\0\0\x07\0" + packet)
    assert learned(tagged) == {SERVER: "docs.example"}
    assert learned(tunnel) == {SERVER: "docs.example"}


# Which one stays


def test_an_answer_beats_what_a_client_asked_for() -> None:
    packets = [answer("docs.example", a("docs.example", SERVER)), tcp(40000, 443, hello("front.example"))]
    for order in (packets, packets[::-1]):
        wire = Wire(*order)
        assert wire.learn() == {SERVER: "docs.example"}
        assert wire.names.of(SERVER)[1::2] == (Origin.DNS, 1)  # type: ignore[index]


def test_the_newest_of_one_origin_stays_and_says_when() -> None:
    names = Names()
    names.learn(SERVER, "new.example", Origin.DNS, 20)
    names.learn(SERVER, "old.example", Origin.DNS, 10)
    assert names.of(SERVER) == ("new.example", Origin.DNS, 20, 1)
    names.learn(SERVER, "old.example", Origin.DNS, 30)
    assert names.of(SERVER) == ("old.example", Origin.DNS, 30, 1)
    names.learn(SERVER, "old.example", Origin.DNS, 40)
    assert names.of(SERVER) == ("old.example", Origin.DNS, 40, 1)


def test_changes_tell_what_is_shown_otherwise() -> None:
    names = Names()
    names.learn(SERVER, "a.example", Origin.SNI, 1)
    before = names.changes
    names.learn(SERVER, "a.example", Origin.SNI, 2)
    assert names.changes == before
    names.learn(SERVER, "b.example", Origin.DNS, 2)
    assert names.changes == before + 1


# DHCPv6


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!2H", code, len(data)) + data


def leased(address: str, lifetime: int = 3600, kind: int = 3) -> bytes:
    held = option(5, socket.inet_pton(socket.AF_INET6, address) + struct.pack("!2L", lifetime, lifetime))
    return option(kind, bytes(12 if kind == 3 else 4) + held)


def fqdn(name: bytes) -> bytes:
    return option(39, b"\x01" + name)


def dhcpv6(message: int, *options: bytes, relays: int = 0) -> bytes:
    payload = bytes([message]) + b"\1\2\3" + b"".join(options)
    for _ in range(relays):
        payload = bytes([13]) + bytes(33) + option(18, b"eth0") + option(9, payload)
    ports = (547, 547) if relays else (546, 547) if message in (1, 3, 5, 6) else (547, 546)
    return udp(*ports, payload, source="fe80::1", destination="fe80::2")


CLIENT_ID = option(1, b"\0\3\0\1\2\0\0\0\0\1")


def test_a_dhcpv6_client_says_its_name_and_the_answer_its_address() -> None:
    request = dhcpv6(3, CLIENT_ID, fqdn(domain("laptop.lan")), leased("2001:db8::bad"))
    wire = Wire(request, dhcpv6(7, CLIENT_ID, leased("2001:db8::7"), leased("2001:db8::8", kind=4)))
    assert wire.learn() == {"2001:db8::7": "laptop.lan", "2001:db8::8": "laptop.lan"}
    assert wire.names.of("2001:db8::7").origin is Origin.DHCP  # type: ignore[union-attr]
    assert learned(request) == {}
    assert learned(request, dhcpv6(2, CLIENT_ID, leased("2001:db8::7"))) == {}  # an offer
    other = option(1, b"\0\3\0\1another")
    assert learned(request, dhcpv6(7, other, leased("2001:db8::7"))) == {}
    assert learned(request, dhcpv6(7, CLIENT_ID, leased("2001:db8::7", 0))) == {}  # no longer its


def test_a_dhcpv6_answer_with_a_name_relayed_or_renewed() -> None:
    whole = (CLIENT_ID, fqdn(b"\x06laptop"), leased("2001:db8::7"))  # without its domain (RFC 4704, 4.2)
    assert learned(dhcpv6(7, *whole)) == {"2001:db8::7": "laptop"}
    assert learned(dhcpv6(7, *whole, relays=2)) == {"2001:db8::7": "laptop"}
    assert learned(dhcpv6(5, *whole)) == {"2001:db8::7": "laptop"}
    assert learned(dhcpv6(7, *whole, relays=20)) == {}
    packet = dhcpv6(7, *whole, relays=1)
    for size in range(60, len(packet)):
        assert set(learned(packet[:size]).values()) <= {"laptop"}


def test_hosts_stand_above_packets(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(f"# hosts\n{SERVER}\tgate.lan gate # mine\n2001:DB8:0::7 six\n0.0.0.0 ads\nnonsense\n192.0.2.1\n")
    names = Names()
    names.learn(SERVER, "docs.example", Origin.DNS, 1)
    names.add_hosts(read_hosts(str(file)))
    assert names.of(SERVER) == ("gate.lan", Origin.HOSTS, 0, 0)
    assert names.of("2001:db8::7") == ("six", Origin.HOSTS, 0, 0)
    assert len(names) == 3
    assert names.of("0.0.0.0") is None
    assert read_hosts(str(tmp_path / "none")) == {}


# Bounded and harmless


def test_addresses_are_bounded_and_the_least_recent_goes() -> None:
    names = Names()
    for number in range(MAX_ADDRESSES):
        names.learn(f"a{number}", "n.example", Origin.DNS, number)
    names.learn("a0", "n.example", Origin.DNS, number + 1)
    names.learn("one more", "n.example", Origin.DNS, number + 2)
    assert (len(names), names.forgotten) == (MAX_ADDRESSES, 1)
    assert [address for address in ("a0", "a1", "one more") if names.of(address) is None] == ["a1"]


def test_long_names_are_bounded_too() -> None:
    names = Names()
    for number in range(20_000):
        names.learn(f"a{number}", f"{number}x" * 200, Origin.DNS, number)
    assert len(names) <= MAX_CHARACTERS // 255 + 1
    assert len(names.of("a19999").text) == 255  # type: ignore[union-attr]
    assert sum(len(name.text) for name in names._known.values()) == names._characters


def test_names_of_one_address_are_bounded() -> None:
    names = Names()
    for number in range(1000):
        names.learn(SERVER, f"n{number}.example", Origin.DNS, number)
    assert names.of(SERVER) == ("n999.example", Origin.DNS, 999, MAX_OTHERS)
    for number in range(1000):
        names.learn(SERVER, "n999.example", Origin.DNS, 1000 + number)
        names.learn(SERVER, "n998.example", Origin.DNS, 1000 + number)
    assert len(names._seen[SERVER]) == 4 * (MAX_OTHERS + 1)


def test_names_that_return_are_counted_once() -> None:
    names = Names()
    for number in range(30):
        names.learn(SERVER, f"n{number % 3}.example", Origin.DNS, number)
    assert names.of(SERVER) == ("n2.example", Origin.DNS, 29, 2)


def test_memory_is_bounded_also_where_every_address_has_many_names() -> None:
    names = Names()
    tracemalloc.start()
    for number in range(MAX_ADDRESSES + 1000):
        for other in range(2):
            names.learn(f"10.{number >> 8}.{number & 255}.1", f"{other}.host{number}.example", Origin.DNS, number)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) <= MAX_ADDRESSES
    assert len(names._seen) <= MAX_ADDRESSES
    assert used < 20 << 20


def test_hostile_names_are_escaped_and_none_reads_as_an_address() -> None:
    names = Names()
    names.learn(SERVER, "\x1b]0;x\x07\u202ename", Origin.DNS, 1)
    assert names.of(SERVER) == ("\\x1b]0;x\\a\\u202ename", Origin.DNS, 1, 0)
    for text in ("", "10.0.0.1", "fe80::1", "02:00:5e:10:00:01", "1.2.3.4:80"):
        names.learn(CLIENT, text, Origin.DNS, 1)
    assert names.of(CLIENT) is None


_PAYLOADS = (
    lambda: dns("a.example", a("a.example", SERVER), record(domain("b.example"), 5, domain("a.example"))),
    lambda: hello("a.example"),
    lambda: b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    lambda: dhcp(reply=True, message=5, name=b"host", yours="192.0.2.9")[42:],
    lambda: struct.pack("!6H", 7, 0x8500, 0, 1, 0, 0) + record(coded(b"FILES", 0x20), 0x20, bytes(12)),
    lambda: (
        struct.pack("!6H", 7, 0x8400, 0, 1, 0, 0)
        + record(coded(b"*", 0), 0x21, b"\x01" + b"FILES".ljust(15) + bytes(3))
    ),
)
_PORTS = ((53, 40000), (40000, 443), (40000, 80), (67, 68), (137, 137), (5353, 5353), (5355, 40000))


def test_random_and_damaged_packets_raise_nothing() -> None:
    chance = random.Random(5)
    wire = Wire()
    for _ in range(60):
        packets = []
        for _ in range(50):
            payload = bytearray(chance.choice(_PAYLOADS)())
            for _ in range(chance.choice((0, 1, 2, 8))):
                payload[chance.randrange(len(payload))] = chance.randrange(256)
            if chance.random() < 0.1:
                payload = bytearray(chance.randbytes(chance.randrange(1, 300)))
            ports = chance.choice(_PORTS)
            make = udp if chance.random() < 0.6 else tcp
            packet = make(*ports, bytes(payload))
            packets.append(packet[: chance.randrange(30, len(packet))] if chance.random() < 0.5 else packet)
        wire.feed(*packets)
    wire.learn()
    assert wire.learner.looked > 500
    for name in wire.names._known.values():
        assert escape(name.text) == name.text
        assert 0 < len(name.text) <= 255


def test_pointers_in_a_message_lead_back_or_nowhere() -> None:
    for pointer in (b"\xc0\x0c", b"\xc0\xff", b"\xff\xff"):
        message = struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + pointer + struct.pack("!2H", 1, 1)
        message += record(pointer, 1, socket.inet_aton(SERVER))
        assert learned(udp(53, 40000, message)) == {}


# In the time that others leave


def test_rows_that_were_evicted_before_their_turn_are_passed() -> None:
    wire = Wire(*[answer("old.example", a("old.example", SERVER))] * 10)
    wire.store.release()
    wire.feed(answer("new.example", a("new.example", "198.51.100.8")))
    assert wire.learn() == {"198.51.100.8": "new.example"}
    assert wire.learner.left == 0


def test_what_was_evicted_meanwhile_is_let_go() -> None:
    wire = Wire(*[answer("old.example", a("old.example", SERVER))] * 2000)
    wire.learner.work(0.0)
    while not wire.learner.looked:
        wire.learner.work(0.0001)
    looked = wire.learner.looked
    chunk = weakref.ref(wire.store.chunks_kept[0].columns.ts)
    wire.store.release()
    wire.learner.let_go()
    assert chunk() is None
    assert looked + wire.learner.passed_over == 2000
    assert not wire.learner.work(1.0)


def test_packets_that_come_too_fast_are_sampled_and_it_is_said() -> None:
    some = [answer(f"h{n % 200}.example", a(f"h{n % 200}.example", f"10.0.0.{n % 200}")) for n in range(BEHIND)]
    wire = Wire(*some, live=True)
    for _ in range(3):
        wire.feed(*some)
    wire.learn()
    learner = wire.learner
    assert learner.passed_over > BEHIND
    assert learner.looked + learner.passed_over == 4 * BEHIND
    assert 0.2 < learner.share < 0.8
    complete = Wire(*some)
    complete.learn()
    assert (complete.learner.share, complete.learner.passed_over) == (1.0, 0)


def test_much_too_far_behind_it_goes_on_with_what_is_new() -> None:
    wire = Wire(live=True)
    wire.store.end = 3 * TOO_FAR
    wire.feed(answer("new.example", a("new.example", SERVER)))
    assert wire.learn() == {SERVER: "new.example"}


def test_a_slice_of_time_is_kept_to() -> None:
    packets = [answer("docs.example", a("docs.example", SERVER))] * 20_000
    wire = Wire(*packets, live=False)
    assert wire.learner.work(0.0005)
    assert 0 < wire.learner.looked < 10_000
