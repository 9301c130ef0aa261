"""What rides on TCP and UDP, by ports and first bytes: only where one packet decides.

A port proposes a protocol, the first bytes confirm it; what no port explains may still give itself away by its bytes.
A segment of TCP whose protocol shows only together with others stays TCP.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.decode.dns import check_message
from netwatch.capture.decode.tables import RANK_APPLICATION, TCP_PORT, UDP_PORT
from netwatch.capture.decode.walk import FIRST_BYTES, Front, Table, Walk, layer, number_of
from netwatch.capture.protocols import ID

HEAD: Final = FIRST_BYTES.itemsize
"""First bytes that are looked at."""

Head = NDArray[np.uint8]
Sizes = NDArray[np.intp]
Mask = NDArray[np.bool_]
Probe = Callable[[Head, Sizes], Mask]
"""(m, HEAD) first bytes, zeros where there are fewer, and (m,) sizes as the limits say → (m,) whether they fit."""


def head(walk: Walk, front: Front) -> Head:
    """The first bytes of every packet's layer."""
    found = walk.first.take(front.row)
    unread = (walk.first_at.take(front.row) != front.at).nonzero()[0]
    if len(unread) and len(walk.raw) >= HEAD:
        found[unread] = walk.read(np.minimum(front.at[unread], len(walk.raw) - HEAD), FIRST_BYTES)
    first: Head = found.view(np.uint8).reshape(-1, HEAD)
    whole = front.end - front.at >= HEAD
    if not whole.all():
        few = (~whole).nonzero()[0]
        place = np.arange(HEAD)
        index = front.at[few, None] + place
        inside = index < front.end[few, None]
        first[few] = np.where(inside, walk.raw[np.minimum(index, len(walk.raw) - 1)], 0)
    return first


class Starts:
    """Tells what begins with one of some words, of which the first 8 bytes count; each has at least 2."""

    def __init__(self, *words: bytes) -> None:
        by_pair: dict[int, list[bytes]] = {}
        for word in words:
            by_pair.setdefault(int.from_bytes(word[:2], "little"), []).append(word[:8])
        shape = len(by_pair) + 1, max(map(len, by_pair.values()))
        # Row 0 stays for all other pairs: nothing without bits is 1.
        self._wanted = np.ones(shape, np.uint64)
        self._masks = np.zeros(shape, np.uint64)
        self.pairs: NDArray[np.uint8] = np.zeros(65536, np.uint8)
        """By the first two bytes: 0 where no word begins with them."""
        for row, (pair, alike) in enumerate(by_pair.items(), 1):
            self.pairs[pair] = row
            for column, word in enumerate(alike):
                self._wanted[row, column] = int.from_bytes(word, "little")
                self._masks[row, column] = (1 << 8 * len(word)) - 1

    def __call__(self, first: Head, _: Sizes | None = None) -> Mask:
        """A Probe, to which at least 8 bytes of each are enough."""
        rows = self.pairs.take(_pairs(first))
        found: Mask = rows != 0
        # Two bytes leave few: these are compared with the words that begin so.
        some = found.nonzero()[0]
        if len(some):
            rows, begin = rows.take(some), first[some, :8].view("<u8")
            found[some] = (begin & self._masks.take(rows, 0) == self._wanted.take(rows, 0)).any(axis=1)
        return found


def _pairs(first: Head) -> NDArray[np.uint16]:
    """The first two bytes of each row as a number."""
    return np.ascontiguousarray(first[:, :2]).view("<u2")[:, 0]


# RFC 9110, 9 and the methods of WebDAV and UPnP
_http: Final = Starts(
    b"HTTP/1.", b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"CONNECT ", b"TRACE ", b"PATCH ",
    b"PROPFIND ", b"PROPPATCH ", b"MKCOL ", b"COPY ", b"MOVE ", b"LOCK ", b"UNLOCK ", b"NOTIFY ", b"SUBSCRIBE ",
    b"UNSUBSCRIBE ", b"M-SEARCH ", b"REPORT ", b"SEARCH ", b"RPC_CONNECT ", b"RPC_IN_DATA ", b"RPC_OUT_DATA ",
    b"CHECKOUT ", b"MERGE ", b"PURGE ", b"LINK ", b"UNLINK ", b"BIND ", b"MKCALENDAR ", b"POLL ",
    b"BCOPY ", b"BDELETE ", b"BMOVE ", b"BPROPFIND ", b"BPROPPATCH ", b"CCM_POST ",
)  # fmt: skip
_ssdp: Final = Starts(b"NOTIFY ", b"M-SEARCH ", b"HTTP/1.")
_sip: Final = Starts(
    b"SIP/2.0 ", b"INVITE ", b"ACK ", b"BYE ", b"CANCEL ", b"REGISTER ", b"OPTIONS ", b"SUBSCRIBE ", b"NOTIFY ",
    b"PUBLISH ", b"INFO ", b"MESSAGE ", b"PRACK ", b"REFER ", b"UPDATE ",
)  # fmt: skip
_rtsp: Final = Starts(
    b"RTSP/", b"DESCRIBE ", b"ANNOUNCE ", b"GET_PARAMETER ", b"OPTIONS ", b"PAUSE ", b"PLAY ", b"RECORD ",
    b"REDIRECT ", b"SETUP ", b"SET_PARAMETER ", b"TEARDOWN ",
)  # fmt: skip
_http2: Final = Starts(b"PRI * HTTP/2.0")
_bittorrent: Final = Starts(b"\x13BitTorrent protocol")
_bgp: Final = Starts(b"\xff" * 16)
_QUIC_VERSIONS: Final = Starts(b"\0\0\0\1", b"\x6b\x33\x43\xcf", b"\xff\0\0")
_STUN_COOKIE: Final = Starts(b"\x21\x12\xa4\x42")
_THREE_ZEROS: Final = Starts(b"\0\0\0")
_synphasor: Final = Starts(
    b"\xaa\x01",
    b"\xaa\x11",
    b"\xaa\x21",
    b"\xaa\x31",
    b"\xaa\x41",
    b"\xaa\x51",
    b"\xaa\x02",
    b"\xaa\x12",
    b"\xaa\x22",
    b"\xaa\x32",
    b"\xaa\x42",
    b"\xaa\x52",
)
_dnp3: Final = Starts(b"\x05\x64")
_FOUR_ZEROS: Final = Starts(b"\0\0\0\0")
_SMB: Final = Starts(b"\xffSMB")
_SMB2: Final = Starts(b"\xfeSMB")


TLS_RECORDS: Final = range(20, 25)
"""Content types."""


def _tls(first: Head, sizes: Sizes) -> Mask:
    """RFC 8446, 5.1: a content type, version 3.x, a length; RFC 5246, E.2: a hello of SSL 2."""
    kind, length = first[:, 0], first[:, 3].astype(np.intp) * 256 + first[:, 4]
    record = (kind >= TLS_RECORDS[0]) & (kind <= TLS_RECORDS[-1]) & (first[:, 1] == 3) & (first[:, 2] <= 4)
    fits: Mask = record & (length > 0) & (length <= 16384 + 2048) & (sizes >= 5)
    return fits


def _in_clear(first: Head, sizes: Sizes) -> Mask:
    """Not TLS, to which many protocols change over on their own port."""
    return ~_tls(first, sizes)


def _dtls(first: Head, sizes: Sizes) -> Mask:
    """RFC 6347, 4.1: version 1.0 or 1.2 (of the first drafts 0x0100), a record that fits."""
    kind, length = first[:, 0], first[:, 11].astype(np.intp) * 256 + first[:, 12]
    version = (first[:, 1] == 0xFE) & ((first[:, 2] == 0xFF) | (first[:, 2] == 0xFD))
    version |= (first[:, 1] == 1) & (first[:, 2] == 0)
    fits: Mask = (kind >= 20) & (kind <= 25) & version & (length > 0) & (length <= sizes - 13)
    return fits


def _quic(first: Head, sizes: Sizes) -> Mask:
    """RFC 9000, 17.2: a long header of a version in use; 17.3: a short header."""
    fits: Mask = _quic_long(first, sizes) | ((first[:, 0] & 0xC0 == 0x40) & (sizes > 20))
    return fits


def _quic_long(first: Head, sizes: Sizes) -> Mask:
    version = first[:, 1:9]
    known = _QUIC_VERSIONS(version)
    fits: Mask = (first[:, 0] & 0xC0 == 0xC0) & known & (sizes > 20) & (first[:, 5] <= 20)
    return fits


def _stun(first: Head, sizes: Sizes) -> Mask:
    """RFC 8489, 5: two zero bits, the magic cookie, a length that fits."""
    length = first[:, 2].astype(np.intp) * 256 + first[:, 3]
    cookie = _STUN_COOKIE(first[:, 4:12])
    fits: Mask = (first[:, 0] & 0xC0 == 0) & cookie & (length + 20 <= sizes)
    # Without attributes in units of 4 bytes it has at least a method that is known.
    fits &= (first[:, 3] & 3 == 0) | (first[:, 0] & 0x3E == 0)
    return fits


def _stun_anywhere(first: Head, sizes: Sizes) -> Mask:
    """On other ports also a length in units of 4 bytes."""
    fits: Mask = _stun(first, sizes) & (first[:, 3] & 3 == 0)
    return fits


def _wireguard(first: Head, sizes: Sizes) -> Mask:
    """The four messages have a type, three zeros and sizes of their own."""
    kind = first[:, 0]
    zeros = _THREE_ZEROS(first[:, 1:9])
    right = np.where(
        kind == 1, sizes == 148, np.where(kind == 2, sizes == 92, np.where(kind == 3, sizes == 64, False))
    )
    fits: Mask = zeros & (right | ((kind == 4) & (sizes >= 32) & (sizes & 15 == 0)))
    return fits


def _modbus(first: Head, sizes: Sizes) -> Mask:
    length = first[:, 4].astype(np.intp) * 256 + first[:, 5]
    fits: Mask = (first[:, 2] == 0) & (first[:, 3] == 0) & (length >= 2) & (length <= 254) & (sizes >= 8)
    return fits


def _tpkt(first: Head, sizes: Sizes) -> Mask:
    """RFC 1006, section 6: version 3, a zero, the length of it all."""
    length = first[:, 2].astype(np.intp) * 256 + first[:, 3]
    fits: Mask = (first[:, 0] == 3) & (first[:, 1] == 0) & (length >= 7) & (length <= np.maximum(sizes, 7))
    return fits


def _dhcp(first: Head, sizes: Sizes) -> Mask:
    fits: Mask = (first[:, 0] >= 1) & (first[:, 0] <= 2) & (sizes >= 236)
    return fits


def _mqtt(first: Head, _: Sizes) -> Mask:
    fits: Mask = first[:, 0] >= 0x10
    return fits


def _any(first: Head, _: Sizes) -> Mask:
    return np.ones(len(first), np.bool_)


class Rule(NamedTuple):
    """A protocol, the ports that propose it, and what its first bytes must be."""

    name: str
    """Several are separated by colons, as in a path."""
    tcp: Sequence[int] = ()
    udp: Sequence[int] = ()
    probe: Probe = _any
    check: Callable[[Walk, Front], None] | None = None
    """Marks what breaks the rules of the protocol in datagrams, where a message is whole."""


RULES: Final = (
    Rule("dns", tcp=[53], udp=[53], check=check_message),
    Rule("mdns", udp=[5353], check=check_message),
    Rule("llmnr", tcp=[5355], udp=[5355], check=check_message),
    Rule("nbns", udp=[137], check=check_message),
    Rule("nbdgm", udp=[138]),
    Rule("dhcp", udp=[67, 68, 4011], probe=_dhcp),
    Rule("dhcpv6", udp=[546, 547]),
    Rule("ntp", udp=[123]),
    Rule("http", tcp=[80, 591, 3128, 3132, 5985, 8080, 8088, 11371, 2869, 2710, 1900], probe=_http),
    Rule("tls", tcp=[443, 261, 448, 465, 563, 585, 614, 636, 684, 853, 989, 990, 991, 992, 993, 994, 995, 4031,
                     5061, 6619, 8443, 9443], probe=_tls),
    Rule("ssh", tcp=[22]),
    Rule("telnet", tcp=[23, 2323]),
    Rule("ftp", tcp=[21], probe=_in_clear),
    Rule("smtp", tcp=[25, 587], probe=_in_clear),
    Rule("pop", tcp=[110], probe=_in_clear),
    Rule("imap", tcp=[143], probe=_in_clear),
    Rule("kerberos", tcp=[88], udp=[88]),
    Rule("ldap", tcp=[389, 3268], udp=[389], probe=_in_clear),
    Rule("bgp", tcp=[179], probe=_bgp),
    Rule("rtsp", tcp=[554, 8554], probe=_rtsp),
    Rule("sip", tcp=[5060], udp=[5060], probe=_sip),
    Rule("mbtcp:modbus", tcp=[502], probe=_modbus),
    Rule("synphasor", tcp=[4712, 4713], udp=[4712, 4713], probe=_synphasor),
    Rule("x11", tcp=range(6000, 6064)),
    Rule("irc", tcp=[6667, 57000]),
    Rule("socks", tcp=[1080]),
    Rule("vnc", tcp=[5500, 5501, 5900, 5901]),
    Rule("tds", tcp=[1433, 2433]),
    Rule("tpkt", tcp=[102, 3389], probe=_tpkt),
    Rule("enip", tcp=[44818], udp=[44818]),
    Rule("dnp3", tcp=[20000], udp=[20000], probe=_dnp3),
    Rule("mqtt", tcp=[1883], probe=_mqtt),
    Rule("amqp", tcp=[5672], probe=_in_clear),
    Rule("redis", tcp=[6379], probe=_in_clear),
    Rule("pgsql", tcp=[5432], probe=_in_clear),
    Rule("mysql", tcp=[3306], probe=_in_clear),
    Rule("memcache", tcp=[11211], udp=[11211]),
    Rule("kafka", tcp=[9092]),
    Rule("rpc", tcp=[111], udp=[111]),
    Rule("openvpn", tcp=[1194], udp=[1194]),
    Rule("echo", tcp=[7], udp=[7]),
    Rule("snmp", tcp=[161, 162], udp=[161, 162]),
    Rule("syslog", udp=[514]),
    Rule("tftp", udp=[69]),
    Rule("ssdp", udp=[1900], probe=_ssdp),
    Rule("radius", udp=[1645, 1646, 1700, 1812, 1813, 3799]),
    Rule("isakmp", udp=[500]),
    Rule("rip", udp=[520]),
    Rule("ptp", udp=[319, 320]),
    Rule("hsrp", udp=[1985, 2029]),
    Rule("bfd", udp=[3784, 4784, 6784, 7784]),
    Rule("stun", tcp=[3478], udp=[3478], probe=_stun),
    Rule("quic", udp=[443], probe=_quic),
    Rule("dtls", udp=[853, 4433, 5684], probe=_dtls),
    Rule("bittorrent", tcp=range(6881, 6890), probe=_bittorrent),
)  # fmt: skip
"""What ports propose."""

# What gives itself away on any port.
TCP_GUESSES: Final[tuple[tuple[str, Probe], ...]] = (
    ("tls", _tls),
    ("http2", _http2),
    ("http", _http),
    ("bittorrent", _bittorrent),
)
TCP_PAIRS: Final = (_http2.pairs | _http.pairs | _bittorrent.pairs) != 0
TCP_PAIRS[[3 << 8 | kind for kind in TLS_RECORDS]] = True
"""By the first two bytes: whether any of them may fit."""
UDP_GUESSES: Final[tuple[tuple[str, Probe], ...]] = (
    ("stun", _stun_anywhere),
    ("dtls", _dtls),
    ("quic", _quic_long),
    ("wg", _wireguard),
)
UDP_PAIRS: Final = np.tile((np.arange(256) < 0x40) | (np.arange(256) >= 0xC0), 256)
"""All of them begin with two zero bits, or with two ones."""


def _guess(walk: Walk, front: Front, guesses: Sequence[tuple[str, Probe]], pairs: Mask) -> None:
    walk.stop(front)  # with the path that it has, unless more is found
    first = head(walk, front)
    some = pairs.take(_pairs(first)).nonzero()[0]
    front, first = front.take(some), first[some]
    sizes = front.limit - front.at
    for name, probe in guesses:
        if not len(front):
            return
        fits = probe(first, sizes)
        if fits.any():
            walk.end(front.take(fits), ID[name])
            rest = (~fits).nonzero()[0]
            front, first, sizes = front.take(rest), first[rest], sizes[rest]


@layer("tcp payload", RANK_APPLICATION + 1)
def _tcp_payload(walk: Walk, front: Front) -> None:
    _guess(walk, front, TCP_GUESSES, TCP_PAIRS)


@layer("udp payload", RANK_APPLICATION + 1)
def _udp_payload(walk: Walk, front: Front) -> None:
    _guess(walk, front, UDP_GUESSES, UDP_PAIRS)


def _follow(rule: Rule, table: Table, ports: Sequence[int], otherwise: int) -> None:
    """Enter a layer for the rule on one transport; what its probe refuses goes to `otherwise`."""

    *above, kind = (ID[name] for name in rule.name.split(":"))

    def handle(walk: Walk, front: Front) -> None:
        if rule.probe is not _any:
            fits = rule.probe(head(walk, front), front.limit - front.at)
            if not fits.all():
                walk.hand(front.take(~fits), otherwise)
                front = front.take(fits)
        if rule.check is not None and table is UDP_PORT:
            rule.check(walk, front)
        for protocol in above:
            front = walk.below(front, protocol)
        walk.end(front, kind)

    name = f"{rule.name} at {otherwise}"
    layer(name, RANK_APPLICATION, (table, ports))(handle)


for _rule in RULES:
    if _rule.tcp:
        _follow(_rule, TCP_PORT, _rule.tcp, number_of("tcp payload"))
    if _rule.udp:
        _follow(_rule, UDP_PORT, _rule.udp, number_of("udp payload"))


@layer("nbss", RANK_APPLICATION, (TCP_PORT, [139, 445]))
def _nbss(walk: Walk, front: Front) -> None:
    """RFC 1002, 4.3: session packets. SMB says its version behind the header, or at once where that came before."""
    first = head(walk, front)
    for starts, name in ((_SMB, "smb"), (_SMB2, "smb2")):
        fits = starts(first[:, 4:12]) | starts(first)
        walk.end(walk.below(front.take(fits), ID["nbss"]), ID[name])
        front, first = front.take(~fits), first[~fits]
    length = first[:, 2].astype(np.intp) * 256 + first[:, 3] + 4
    known = (first[:, 0] >= 0x81) & (first[:, 0] <= 0x85) | (first[:, 0] == 0) & (length == front.limit - front.at)
    walk.end(front.take(known), ID["nbss"])
    walk.hand(front.take(~known), number_of("tcp payload"))


@layer("udp encapsulation", RANK_APPLICATION, (UDP_PORT, [4500]))
def _encapsulated(walk: Walk, front: Front) -> None:
    """RFC 3948: ESP in UDP, or IKE behind four zeros."""
    front = walk.enter(front, ID["udpencap"], 1)
    zeros = _FOUR_ZEROS(head(walk, front))
    walk.end(front.take(zeros), ID["isakmp"])
    front = front.take(~zeros)
    alive = front.limit - front.at == 1
    walk.stop(front.take(alive))
    walk.end(front.take(~alive), ID["esp"])
