"""64 kB segments, as GRO makes them, full of the smallest messages of each protocol over TCP."""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.unit.handmade import tcp

from netwatch.capture.dissect.dnp3 import checksum

__all__ = ["FULL", "TINY", "Tiny", "stream"]

SIZE: Final = (1 << 16) - 41
"""Bytes that a segment in IPv4 has room for: one is left, so that the last message of most goes on."""
UPGRADE: Final = b"GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
UPGRADED: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
HANDSHAKE: Final = b"\x13BitTorrent protocol" + bytes(48)
CONNECT_5: Final = bytes.fromhex("100f00044d5154540502003c000002") + b"\0\0"
X11_SETUP: Final = b"l\0\x0b\0\0\0\0\0\0\0\0\0"
GREETING: Final = bytes.fromhex("0a352e372e30000100000061626364656667680000000200000000000000000000000000000000")


class Tiny(NamedTuple):
    """A message that is repeated."""

    port: int
    message: bytes
    back: bool = False
    """The server sends it."""
    before: tuple[tuple[bool, bytes], ...] = ()
    """What was said before: by the server?"""
    start: bytes = b""
    """What the segment begins with."""


def _dnp3() -> bytes:
    head = bytes.fromhex("056405c901000004")
    return head + checksum(head).to_bytes(2, "little")


def _http2() -> tuple[tuple[bool, bytes], ...]:
    return ((False, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4\0" + bytes(4)),)


def _lines(port: int, *more: bytes) -> dict[str, Tiny]:
    """Lines of a protocol of text, from either side."""
    found = {}
    for each in (b"\n", b"\r\n", b"a\r\n", b"a b\r\n", b"200 a\r\n", b"200-a\r\n", *more):
        for back in (False, True):
            found[f"{port} {each.decode()!r} {'server' if back else 'client'}"] = Tiny(port, each, back)
    return found


VNC_INIT: Final = bytes.fromhex("00010001 20180001 00ff00ff00ff10080000 0000 00000000")
VNC_BEFORE: Final = (
    (True, b"RFB 003.008\n"), (False, b"RFB 003.008\n"), (True, b"\1\1"), (False, b"\1"), (True, bytes(4)),
    (False, b"\1"), (True, VNC_INIT),
)  # fmt: skip
TINY: Final[dict[str, Tiny]] = {
    "ajp13 ping": Tiny(8009, b"\x12\x34\0\1\x0a"),
    "ajp13 body": Tiny(8009, b"\x12\x34\0\0"),
    "ajp13 answer": Tiny(8009, b"AB\0\1\x09", True),
    "ajp13 end": Tiny(8009, b"AB\0\2\5\1", True),
    "amqp heartbeat": Tiny(5672, bytes.fromhex("08000000000000ce")),
    "amqp body": Tiny(5672, bytes.fromhex("03000100000000ce")),
    "amqp method": Tiny(5672, bytes.fromhex("01000100000004000a001fce")),
    "amqp 1.0 empty": Tiny(5672, bytes.fromhex("0000000802000000"), start=b"AMQP\0\1\0\0"),
    "amqp header": Tiny(5672, b"AMQP\0\0\x09\1"),
    "bgp keepalive": Tiny(179, b"\xff" * 16 + b"\0\x13\4"),
    "bgp refresh": Tiny(179, b"\xff" * 16 + b"\0\x17\5\0\1\0\1"),
    "bgp update": Tiny(179, b"\xff" * 16 + b"\0\x17\2\0\0\0\0"),
    "bittorrent keepalive": Tiny(6881, bytes(4), start=HANDSHAKE),
    "bittorrent choke": Tiny(6881, b"\0\0\0\1\0", start=HANDSHAKE),
    "bittorrent have": Tiny(6881, b"\0\0\0\5\4\0\0\0\1", start=HANDSHAKE),
    "bittorrent later": Tiny(6881, b"\0\0\0\1\0", before=((False, HANDSHAKE), (True, HANDSHAKE))),
    "dcerpc": Tiny(135, bytes.fromhex("05001203 10000000 1000 0000 00000001")),
    "dcerpc request": Tiny(135, bytes.fromhex("05000003 10000000 1800 0000 00000001 00000000 0000 0000")),
    "dnp3": Tiny(20000, _dnp3()),
    "dns": Tiny(53, b"\0\x0c" + bytes(12)),
    "dns question": Tiny(53, b"\0\x11\0\1\1\0\0\1" + bytes(6) + b"\0\0\1\0\1"),
    "echo": Tiny(7, b"a"),
    "enip nop": Tiny(44818, bytes(24)),
    "enip list": Tiny(44818, b"\x04" + bytes(23), True),
    "http get": Tiny(80, b"GET / HTTP/1.0\r\n\r\n"),
    "http short": Tiny(80, b"GET /\r\n\r\n"),
    "http 304": Tiny(80, b"HTTP/1.1 304 \r\n\r\n", True),
    "http chunks": Tiny(80, b"1\r\na\r\n", True, start=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "http headers": Tiny(80, b"a:\r\n", start=b"GET / HTTP/1.1\r\n"),
    "http2 data": Tiny(80, bytes(3) + b"\0\0\0\0\0\1", before=_http2()),
    "http2 settings": Tiny(80, bytes(3) + b"\4\1\0\0\0\0", before=_http2()),
    "http2 reset": Tiny(80, b"\0\0\4\3\0\0\0\0\1\0\0\0\0", before=_http2()),
    "http2 window": Tiny(80, b"\0\0\4\x08\0\0\0\0\1\0\0\0\1", before=_http2()),
    "http2 headers": Tiny(80, b"\0\0\1\1\5\0\0\0\1\x82", before=_http2()),
    "kafka request": Tiny(9092, bytes.fromhex("0000000a 0012 0000 00000001 ffff")),
    "kafka answer": Tiny(9092, bytes.fromhex("00000004 00000001"), True),
    "kerberos": Tiny(88, b"\0\0\0\2\x6a\0"),
    "kerberos error": Tiny(88, bytes.fromhex("0000000a7e083006a003020105"), True),
    "ldap unbind": Tiny(389, bytes.fromhex("30050201014200")),
    "ldap abandon": Tiny(389, bytes.fromhex("3006020101500100")),
    "ldap sequence": Tiny(389, b"\x30\0"),
    "ldap nothing": Tiny(389, b"\x30\2\2\0"),
    "memcache get": Tiny(11211, b"get\r\n"),
    "memcache end": Tiny(11211, b"END\r\n", True),
    "memcache number": Tiny(11211, b"1\r\n", True),
    "memcache empty line": Tiny(11211, b"\n", start=b"get\r\n"),
    "memcache binary": Tiny(11211, b"\x80\x0a" + bytes(22)),
    "memcache binary answer": Tiny(11211, b"\x81\x0a" + bytes(22), True),
    "modbus": Tiny(502, bytes.fromhex("0001000000020107")),
    "modbus answer": Tiny(502, bytes.fromhex("000100000003010100"), True),
    "mqtt ping": Tiny(1883, b"\xc0\0"),
    "mqtt pong": Tiny(1883, b"\xd0\0", True),
    "mqtt disconnect": Tiny(1883, b"\xe0\0"),
    "mqtt publish": Tiny(1883, b"\x30\2\0\0"),
    "mqtt acknowledge": Tiny(1883, b"\x40\2\0\1"),
    "mqtt subscribe": Tiny(1883, b"\x82\2\0\1"),
    "mqtt broken": Tiny(1883, b"\x30\0"),
    "mqtt 5 publish": Tiny(1883, b"\x30\3\0\0\0", before=((False, CONNECT_5),)),
    "mysql empty": Tiny(3306, bytes(4)),
    "mysql quit": Tiny(3306, b"\1\0\0\0\1"),
    "mysql ping": Tiny(
        3306, b"\1\0\0\0\x0e", before=((True, len(GREETING).to_bytes(3, "little") + b"\0" + GREETING),)
    ),
    "mysql answer": Tiny(3306, b"\1\0\0\1\xfe", True),
    "mysql ok": Tiny(3306, b"\7\0\0\1\0\0\0\2\0\0\0", True),
    "nbss keepalive": Tiny(139, b"\x85\0\0\0"),
    "nbss message": Tiny(445, bytes(4)),
    "nbss session": Tiny(445, b"\0\0\0\x44" + b"\xfeSMB\x40\0" + bytes(6) + b"\x0d\0" + bytes(50) + b"\4\0\0\0"),
    "nbss smb": Tiny(445, b"\0\0\0\x23" + b"\xffSMB\x2b" + bytes(30)),
    "openvpn": Tiny(1194, b"\0\1\x30"),
    "openvpn acknowledge": Tiny(1194, b"\0\x0e\x28" + bytes(8) + bytes(5)),
    "pgsql sync": Tiny(5432, b"S\0\0\0\4"),
    "pgsql bind complete": Tiny(5432, b"2\0\0\0\4", True),
    "pgsql row": Tiny(5432, b"D\0\0\0\6\0\0", True),
    "pgsql ready": Tiny(5432, b"Z\0\0\0\5I", True),
    "redis string": Tiny(6379, b"+\r\n", True),
    "redis integer": Tiny(6379, b":1\r\n", True),
    "redis array": Tiny(6379, b"*0\r\n", True),
    "redis null": Tiny(6379, b"_\r\n", True),
    "redis command": Tiny(6379, b"*1\r\n$0\r\n\r\n"),
    "redis inline": Tiny(6379, b"a\r\n"),
    "redis nested": Tiny(6379, b"+\r\n", True, start=b"*20000\r\n"),
    "rpc fragment": Tiny(111, b"\x80\0\0\0"),
    "rpc unfinished": Tiny(2049, b"\0\0\0\0"),
    "rpc call": Tiny(
        111, bytes.fromhex("80000028 00000001 00000000 00000002 000186a0 00000002 00000000") + bytes(16)
    ),
    "rpc answer": Tiny(111, bytes.fromhex("80000018 00000001 00000001 00000000") + bytes(12), True),
    "rtsp interleaved": Tiny(554, b"$\0\0\0"),
    "rtsp options": Tiny(554, b"OPTIONS * RTSP/1.0\r\n\r\n"),
    "rtsp empty line": Tiny(554, b"\r\n"),
    "sip options": Tiny(5060, b"OPTIONS sip:a SIP/2.0\r\nl:0\r\n\r\n"),
    "sip empty line": Tiny(5060, b"\r\n"),
    "sip answer": Tiny(5060, b"SIP/2.0 200 \r\nl:0\r\n\r\n", True),
    "socks": Tiny(1080, b"\5\0"),
    "ssh banner": Tiny(22, b"SSH-2.0-a\r\n"),
    "ssh new keys": Tiny(22, bytes.fromhex("0000000c0a15") + bytes(10), start=b"SSH-2.0-a\r\n"),
    "ssh ignore": Tiny(22, bytes.fromhex("0000000c060200000000") + bytes(6), start=b"SSH-2.0-a\r\n"),
    "stun": Tiny(3478, bytes.fromhex("00010000 2112a442") + bytes(12)),
    "stun channel": Tiny(3478, bytes.fromhex("40000000")),
    "synphasor": Tiny(4712, bytes.fromhex("aa410012 0001 00000000 00000000 0002 0000")),
    "tds batch": Tiny(1433, bytes.fromhex("0101000800000100")),
    "tds answer": Tiny(1433, bytes.fromhex("0401000800000100"), True),
    "telnet characters": Tiny(23, b"\xff\xff"),
    "telnet nop": Tiny(23, b"\xff\xf1"),
    "telnet do": Tiny(23, b"\xff\xfd\1"),
    "telnet option": Tiny(23, b"\xff\xfa\1\xff\xf0"),
    "tls data": Tiny(443, b"\x17\3\3\0\1\0"),
    "tls alert": Tiny(443, b"\x15\3\3\0\2\1\0"),
    "tls cipher": Tiny(443, b"\x14\3\3\0\1\1"),
    "tls hello request": Tiny(443, b"\x16\3\3\0\4\0\0\0\0", True),
    "tls key update": Tiny(443, b"\x16\3\3\0\5\x18\0\0\1\0"),
    "tls in one record": Tiny(443, bytes(4), True, start=b"\x16\3\3\x40\0"),
    "tls empty": Tiny(443, b"\x17\3\3\0\0"),
    "tpkt data": Tiny(102, bytes.fromhex("0300000702f080")),
    "tpkt empty": Tiny(102, bytes.fromhex("0300000402f080")),
    "tpkt session": Tiny(102, bytes.fromhex("0300000b02f08001000100")),
    "vnc key": Tiny(5900, b"\4\1\0\0\0\0\0\x61", before=VNC_BEFORE),
    "vnc pointer": Tiny(5900, b"\5\0\0\0\0\0", before=VNC_BEFORE),
    "vnc bell": Tiny(5900, b"\2", True, before=VNC_BEFORE),
    "vnc update": Tiny(5900, b"\0\0\0\0", True, before=VNC_BEFORE),
    "websocket empty": Tiny(80, b"\x81\0", True, before=((False, UPGRADE), (True, UPGRADED))),
    "websocket ping": Tiny(80, b"\x89\x80\0\0\0\0", before=((False, UPGRADE), (True, UPGRADED))),
    "x11 request": Tiny(6000, b"\x7f\0\1\0"),
    "x11 setup first": Tiny(6000, b"\x7f\0\1\0", before=((False, X11_SETUP),)),
    "x11 pointer": Tiny(6000, b"\x26\0\2\0\0\0\0\0", before=((False, X11_SETUP),)),
    "x11 event": Tiny(6000, b"\2" + bytes(31), True, before=((False, X11_SETUP),)),
    **_lines(21, b"USER a\r\n", b"NOOP\r\n"),
    **_lines(25, b"NOOP\r\n"),
    **_lines(110, b"NOOP\r\n", b"+OK\r\n"),
    **_lines(143, b"* a\r\n", b"a OK a\r\n"),
    **_lines(6667, b":a b c :d\r\n", b"PING\r\n"),
    **_lines(554),
}
"""What is repeated, by what it is called."""
FULL: Final = {name: (each.start + each.message * (SIZE // len(each.message)))[:SIZE] for name, each in TINY.items()}


def stream(name: str, size: int = SIZE) -> tuple[list[bytes], bytes]:
    """The packets before, and the one that is full; of LINKTYPE_RAW."""
    each = TINY[name]
    client, server = 40000, each.port
    sequence = {False: 1000, True: 5000}
    made: list[bytes] = []

    def say(payload: bytes, back: bool, flags: int = 0x18) -> bytes:
        ports = (server, client) if back else (client, server)
        packet = tcp(*ports, payload, back=back, flags=flags, numbers=(sequence[back], sequence[not back]))
        sequence[back] += len(payload) + (flags >> 1 & 1)
        return packet

    made = [say(b"", False, 0x02), say(b"", True, 0x12)]
    made += [say(payload, back) for back, payload in each.before]
    return made, say(FULL[name][:size], each.back)
