"""Packets of somebody who wants the terminal: his tricks in every place where text of a packet is shown."""

from __future__ import annotations

import datetime
import socket
import struct
from collections.abc import Callable, Iterator
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TRICKS: tuple[bytes, ...] = (
    b"\x1b]0;forged\x07",  # the title: OSC 0 and 2, ended by BEL, by ST, by nothing
    b"\x1b]2;forged\x1b\\",
    b"\x1b]52;c;Zm9yZ2Vk\x07",  # the clipboard
    b"\x1b]8;;http://forged/\x1b\\forged\x1b]8;;\x1b\\",  # a link
    b"\x1b[2J\x1b[1;1Hforged\x1b[31m",
    b"\x1b[?1049l\x1b[?25h\x1b[6n\x1b[c",  # leave the screen; questions, which the shell would read the answers of
    b"\x1bP$qm\x1b\\\x1b_forged\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\",  # DCS, APC, PM, SOS
    b"\x1bc\x1b7\x1b8\x1bM\x1b(0",  # reset, save, restore, scroll, another character set
    b"\x9b2J\x9d0;forged\x9c\x90x\x9c",  # C1 in eight bits …
    b"\xc2\x9b2J\xc2\x9d0;forged\xc2\x9c\xc2\x85",  # … and in UTF-8
    b"\r\n    1 0.000000 192.0.2.1 192.0.2.2 TCP 60 forged\r\n",
    b"\b\b\b\b\t\t\v\f\x00\x07\x7f\x0e\x0f",
    b"\xe2\x80\xaegpj.exe\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c",  # bidi controls
    b"a\xe2\x80\x8bb\xe2\x80\x8dc\xef\xbb\xbfd\xc2\xade\xe2\x80\xa8f\xe2\x80\xa9",  # no width; other line ends
    b"Z" + b"\xcc\x81\xcd\xa2\xe2\x83\x9d\xd2\x89" * 60,  # combining marks in a heap
    b"\xe7\x95\x8c" * 70 + b"|",  # wide, with a border of two cells everywhere
    b"x\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xef\xb8\x8f" * 12,  # emoji
    b"\xff\xfe\xc3(\xe2\x82\xed\xa0\x80\xf8\x88\x80\x80\x80\xc0\x9b",  # no UTF-8, a surrogate, overlong
    b"[bold red]forged[/] [@click=app.quit]x[/] \\[ $error {0} %s%n",  # markup of Textual and Rich, formats
)


def ethernet(kind: int, payload: bytes, destination: bytes = bytes.fromhex("02000000000b")) -> bytes:
    return (destination + bytes.fromhex("02000000000a") + struct.pack("!H", kind) + payload).ljust(60, b"\0")


def ipv4(protocol: int, payload: bytes) -> bytes:
    head = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    return ethernet(0x0800, head + socket.inet_aton("10.9.0.1") + socket.inet_aton("10.9.0.2") + payload)


def udp(port: int, payload: bytes, source: int = 40000) -> bytes:
    return ipv4(17, struct.pack("!4H", source, port, 8 + len(payload), 0) + payload)


_sequence = 0


def tcp(port: int, payload: bytes, *, answered: bool = False) -> bytes:
    """A connection of its own for each."""
    global _sequence
    _sequence += 1
    ends = (port, 41000 + _sequence) if answered else (41000 + _sequence, port)
    return ipv4(6, struct.pack("!2H2L4H", *ends, 1, 1, 0x5018, 64000, 0, 0) + payload)


def label(text: bytes) -> bytes:
    text = text[:63]
    return bytes([len(text)]) + text


def dns(text: bytes, kind: int = 1, answer: bytes | None = None) -> bytes:
    owner = label(text) + label(b"a.b" + text[:20]) + b"\0"
    head = struct.pack("!6H", 7, 0x8180 if answer else 0x0100, 1, 1 if answer else 0, 0, 0)
    message = head + owner + struct.pack("!2H", kind, 1)
    return message + (b"\xc0\x0c" + struct.pack("!2HLH", kind, 1, 60, len(answer)) + answer if answer else b"")


def dhcp(text: bytes) -> bytes:
    text = text[:200]
    head = struct.pack("!4BLHH16s16s64s128sL", 1, 1, 6, 0, 9, 0, 0, b"", b"\2", text[:64], text[:128], 0x63825363)
    options = b"\x35\1\1" + b"".join(bytes([code, len(text)]) + text for code in (12, 15, 60, 81))
    return udp(67, head + options + b"\xff", 68)


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!2H", kind, len(data)) + data


def record(kind: int, handshake: bytes) -> bytes:
    body = bytes([kind]) + len(handshake).to_bytes(3, "big") + handshake
    return b"\x16\x03\x03" + struct.pack("!H", len(body)) + body


def client_hello(text: bytes) -> bytes:
    text = text[:250]
    name = b"\0" + struct.pack("!H", len(text)) + text
    more = extension(0, struct.pack("!H", len(name)) + name)
    more += extension(16, struct.pack("!H", len(text) + 1) + bytes([len(text)]) + text)
    return record(1, b"\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0" + struct.pack("!H", len(more)) + more)


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def certificate(text: bytes) -> bytes:
    words = text[:30].decode("latin-1")
    name = x509.Name([x509.NameAttribute(kind, words) for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)])
    day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, _key().public_key(), 7, day, day + datetime.timedelta(days=9))
    data = made.sign(_key(), hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    one = len(data).to_bytes(3, "big") + data
    return record(11, len(one).to_bytes(3, "big") + one)


def der(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = bytes([len(body)]) if len(body) < 128 else b"\x82" + struct.pack("!H", len(body))
    return bytes([kind]) + size + body


def snmp(text: bytes) -> bytes:
    variable = der(0x30, der(0x30, der(6, b"\x2b\6\1\2\1\1\5\0"), der(4, text)))
    return der(0x30, der(2, b"\1"), der(4, text), der(0xA0, der(2, b"\1"), der(2, b"\0"), der(2, b"\0"), variable))


def kerberos(text: bytes) -> bytes:
    name = der(0x30, der(0xA0, der(2, b"\1")), der(0xA1, der(0x30, der(0x1B, text))))
    body = der(0x30, der(0xA0, der(3, bytes(5))), der(0xA1, name), der(0xA2, der(0x1B, text)), der(0xA3, name))
    return der(0x6A, der(0x30, der(0xA1, der(2, b"\5")), der(0xA2, der(2, b"\x0a")), der(0xA4, body)))


def lldp(text: bytes) -> bytes:
    def part(kind: int, data: bytes) -> bytes:
        return struct.pack("!H", kind << 9 | len(data)) + data

    text = text[:255]
    parts = [part(1, b"\7" + text[:200]), part(2, b"\5" + text[:200]), part(3, b"\0\x78")]
    return ethernet(0x88CC, b"".join([*parts, *(part(kind, text) for kind in (4, 5, 6)), b"\0\0"]))


def cdp(text: bytes) -> bytes:
    body = b"".join(struct.pack("!2H", kind, 4 + len(text)) + text for kind in (1, 3, 5, 6, 9))
    data = bytes.fromhex("aaaa0300000c2000") + b"\2\xb4\0\0" + body
    return ethernet(len(data), data, bytes.fromhex("01000ccccccc"))


def mqtt(text: bytes) -> bytes:
    text = text[:100]
    body = struct.pack("!H", len(text)) + text + text
    return bytes([0x30, *([len(body)] if len(body) < 128 else [len(body) & 127 | 128, len(body) >> 7])]) + body


def postgresql(text: bytes) -> bytes:
    return b"Q" + struct.pack("!L", len(text) + 5) + text.replace(b"\0", b"") + b"\0"


def radius(text: bytes) -> bytes:
    pairs = b"".join(bytes([kind, 2 + len(text[:200])]) + text[:200] for kind in (1, 18, 30, 31, 32))
    return struct.pack("!2BH16s", 1, 7, 20 + len(pairs), b"") + pairs


def line(before: bytes, port: int, *, answered: bool = False) -> Callable[[bytes], bytes]:
    return lambda text: tcp(port, before + text + b"\r\n", answered=answered)


def heads(first: bytes, *names: bytes) -> Callable[[bytes], bytes]:
    def made(text: bytes) -> bytes:
        fields = b"".join(name + b": " + text + b"\r\n" for name in names)
        return first.replace(b"@", text) + b"\r\n" + fields + b"\r\n"

    return made


PLACES: dict[str, Callable[[bytes], bytes]] = {
    "DNS question": lambda text: udp(53, dns(text)),
    "DNS answer, an address": lambda text: udp(40000, dns(text, 1, b"\x0a\x09\0\1"), 53),
    "DNS answer, text": lambda text: udp(40000, dns(text, 16, label(text)), 53),
    "DNS answer, a name": lambda text: udp(40000, dns(text, 12, label(text) + b"\0"), 53),
    "mDNS": lambda text: udp(5353, dns(text, 12, label(text) + label(b"local") + b"\0"), 5353),
    "LLMNR": lambda text: udp(5355, dns(text)),
    "DHCP": dhcp,
    "TLS names": lambda text: tcp(443, client_hello(text)),
    "TLS certificate": lambda text: tcp(443, certificate(text), answered=True),
    "HTTP request": lambda text: tcp(80, heads(b"GET /@ HTTP/1.1", b"Host", b"User-Agent", b"Cookie")(text)),
    "HTTP answer": lambda text: tcp(80, heads(b"HTTP/1.1 200 @", b"Server", b"Location")(text), answered=True),
    "SSDP": lambda text: udp(1900, heads(b"NOTIFY * HTTP/1.1", b"SERVER", b"USN", b"LOCATION")(text)),
    "SIP": lambda text: udp(5060, heads(b"INVITE sip:@ SIP/2.0", b"From", b"To", b"Call-ID")(text)),
    "RTSP": lambda text: tcp(554, heads(b"DESCRIBE rtsp://@ RTSP/1.0", b"CSeq", b"User-Agent")(text)),
    "FTP greeting": line(b"220 ", 21, answered=True),
    "FTP user": line(b"USER ", 21),
    "SMTP": line(b"MAIL FROM:<", 25),
    "POP": line(b"USER ", 110),
    "IMAP": line(b"a1 LOGIN ", 143),
    "IRC": line(b"PRIVMSG #c :", 6667),
    "SSH": line(b"SSH-2.0-", 22, answered=True),
    "Telnet": line(b"", 23, answered=True),
    "Redis": lambda text: tcp(6379, b"*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n" % (len(text), text)),
    "memcached": line(b"get ", 11211),
    "SQL": lambda text: tcp(5432, postgresql(text)),
    "MQTT": lambda text: tcp(1883, mqtt(text)),
    "SNMP": lambda text: udp(161, snmp(text)),
    "Kerberos": lambda text: udp(88, kerberos(text)),
    "RADIUS": lambda text: udp(1812, radius(text)),
    "TFTP": lambda text: udp(69, b"\0\1" + text.replace(b"\0", b"") + b"\0octet\0"),
    "syslog": lambda text: udp(514, b"<13>Jan  1 00:00:00 " + text + b" prog: " + text),
    "LLDP": lldp,
    "CDP": cdp,
    "data": lambda text: udp(9999, text * 3),
}


def corpus() -> Iterator[tuple[str, bytes]]:
    """(place, packet), trick after trick, so that neighbours differ."""
    for trick in TRICKS:
        for place, make in PLACES.items():
            yield place, make(trick)[:1500]


def beacons() -> list[bytes]:
    """802.11 beacons without radiotap (link type 105), the tricks in their SSID."""
    head = bytes.fromhex("80000000ffffffffffff0200000000aa0200000000aa0000")
    return [head + bytes(8) + b"\x64\0\1\0\0" + bytes([len(trick[:32])]) + trick[:32] for trick in TRICKS]
