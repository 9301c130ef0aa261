"""Where packets say what an address is called: a parser for nothing but that.

The dissectors would take ten times as long for a packet: they say all that is in it. Everything here is bounded by
the bytes at hand; IndexError and struct.error are what a packet that was cut raises, and end it.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from functools import lru_cache
from socket import AF_INET6, inet_ntoa, inet_ntop
from struct import Struct, error
from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.names import Names, Origin
from netwatch.capture.paths import PATHS

if TYPE_CHECKING:
    from netwatch.capture.name_quic import Hellos

__all__ = ["MOST_BYTES", "Kind", "Reader", "Recipe", "recipe_of"]

MOST_BYTES: Final = 4096
"""Of a packet that are looked at: a hello, a request's head and all but the largest answers."""

_MOST_RECORDS: Final = 64
_MOST_QUESTIONS: Final = 8
_MOST_EXTENSIONS: Final = 64
_MOST_ALIASES: Final = 16
_MOST_OPTIONS: Final = 64
_MOST_RELAYS: Final = 8
"""Relays that a message passed (RFC 8415, 7.6)."""
_LONGEST_CLIENT: Final = 130
"""Bytes of a client's identifier (RFC 8415, 11.1)."""
_MOST_CLIENTS: Final = 1024
"""DHCP clients whose host name waits for an address."""

_HEAD: Final = Struct("!HBBHHHH").unpack_from
_RECORD: Final = Struct("!HHIH").unpack_from
_QUESTION: Final = 4
_SHORT: Final = Struct("!H").unpack_from


class Kind(IntEnum):
    """What the payload is."""

    NONE = 0
    DNS = 1
    MDNS = 2
    LLMNR = 3
    NBNS = 4
    DHCP = 5
    TLS = 6
    HTTP = 7
    QUIC = 8
    DHCPV6 = 9


_KINDS: Final = {kind.name.lower(): kind for kind in Kind if kind}


class _Layer(IntEnum):
    IP = 0
    IPV6 = 1
    UDP = 2
    TCP = 3
    VXLAN = 4
    ETH = 5
    VLAN = 6
    MPLS = 7
    SLL = 8
    NULL = 9
    GRE = 10
    PPPOES = 11
    PPP = 12
    GENEVE = 13
    GTP = 14


_IP, _IPV6, _UDP, _TCP, _VXLAN, _ETH, _VLAN, _MPLS, _SLL, _NULL, _GRE, _PPPOES, _PPP, _GENEVE, _GTP = _Layer
_LAYERS: Final = {layer.name.lower(): layer for layer in _Layer} | {"ieee8021ad": _VLAN}
_FIXED: Final = {_ETH: 14, _VLAN: 4, _NULL: 4, _VXLAN: 8, _PPPOES: 6, _PPP: 2, _UDP: 8}
_SLL2: Final = 276
_LONG_HEADER: Final = 0xC0
"""A QUIC packet of the handshake begins with this or more (RFC 9000, 17.2)."""
_RECORD_HEAD: Final = 5
"""Bytes before a handshake message in a TLS record; QUIC has none."""


class Recipe(NamedTuple):
    """How to get at the payload of a path."""

    kind: Kind
    start: int
    """Bytes before the first layer whose length must be read."""
    layers: tuple[int, ...]
    """From there on."""
    tcp: bool


@lru_cache(4096)
def recipe_of(path: int) -> Recipe:
    """For a path id; of kind NONE where there is no name to be found."""
    *before, last = PATHS.names[path].split(":")
    nothing = Recipe(Kind.NONE, 0, (), tcp=False)
    kind = _KINDS.get(last, Kind.NONE)
    if not kind or any(name not in _LAYERS and name != "raw" for name in before):
        return nothing
    layers = [_LAYERS[name] for name in before if name != "raw"]
    if len(layers) < 2 or layers[-1] not in (_UDP, _TCP) or layers[-2] not in (_IP, _IPV6):
        return nothing
    start = 0
    while layers[0] in _FIXED:
        start += _FIXED[layers.pop(0)]
    return Recipe(kind, start, tuple(map(int, layers)), tcp=layers[-1] == _TCP)


class Reader:
    """Gives names what packets say. Keeps what a DHCP client called itself until it has an address."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._clients: OrderedDict[bytes, bytes] = OrderedDict()
        self._hellos: Hellos | None = None

    def read(self, data: bytes, recipe: Recipe, linktype: int, ts: int) -> None:
        """One packet: its first MOST_BYTES, or fewer. Never raises for what it holds."""
        try:
            at, end, net, six = _payload(data, recipe, linktype)
            kind = recipe.kind
            if kind == Kind.TLS:
                if end - at > 47 and data[at] == 22 and data[at + 5] == 1:
                    self._of_server(data, net, six, _server_name(data, at, end), Origin.SNI, ts)
            elif kind == Kind.HTTP:
                if at < end:
                    self._of_server(data, net, six, _host(data, at, end), Origin.HTTP, ts)
            elif kind == Kind.QUIC:
                if data[at] >= _LONG_HEADER:
                    self._quic(data, at, end, net, six, ts)
            elif kind == Kind.DHCP:
                self._dhcp(data, at, end, ts)
            elif kind == Kind.DHCPV6:
                self._dhcpv6(data, at, end, ts)
            elif kind == Kind.NBNS:
                self._nbns(data, at, end, net, six, ts)
            else:
                self._dns(data, at + 2 if recipe.tcp else at, end, kind, ts)
        except (IndexError, error, ValueError):
            return

    def _of_server(self, data: bytes, net: int, six: bool, name: bytes, origin: Origin, ts: int) -> None:
        """The destination of a packet is who the client asked for."""
        if name:
            address = _ipv6(data, net + 24) if six else _ipv4(data, net + 16)
            if address:
                self._names.learn(address, name.lower().decode("utf-8", "surrogateescape"), origin, ts)

    def _quic(self, data: bytes, at: int, end: int, net: int, six: bool, ts: int) -> None:
        """The server name of an encrypted hello. It costs as much as ten others: only for who has no name."""
        known = self._names.of(_ipv6(data, net + 24) if six else _ipv4(data, net + 16))
        if known is not None and known.origin <= Origin.SNI:
            return
        if self._hellos is None:
            from netwatch.capture.name_quic import Hellos  # it brings a library for cryptography

            self._hellos = Hellos()
        hello = self._hellos.add(data, at, end)
        if hello:
            record = bytes(_RECORD_HEAD) + hello
            self._of_server(data, net, six, _server_name(record, 0, len(record)), Origin.SNI, ts)

    def _dns(self, data: bytes, base: int, end: int, kind: Kind, ts: int) -> None:
        """Answers alone: A, AAAA, and PTR of addresses (RFC 1035, 3.5; RFC 3596), by the name that was asked for."""
        _, flags, code, questions, answers, servers, more = _HEAD(data, base)
        # A response to a query, without an error.
        if flags & 0xF8 != 0x80 or code & 0x0F or not answers + more:
            return
        at = base + 12
        known: dict[int, bytes] = {}
        for _ in range(min(questions, _MOST_QUESTIONS)):
            at = _name(data, base, at, end, known)[1] + _QUESTION
        if questions > _MOST_QUESTIONS:
            return
        origin = _ORIGINS[kind]
        aliases: dict[bytes, bytes] = {}
        found: list[tuple[str, bytes]] = []
        for _ in range(min(answers + servers + more, _MOST_RECORDS)):
            if at + 11 > end:
                break
            owner, at = _name(data, base, at, end, known)
            record, group, _, size = _RECORD(data, at)
            at += 10
            stop = at + size
            if stop > end:
                break
            # The upper bit says in mDNS that the record is the only one (RFC 6762, 10.2).
            if group & 0x7FFF == 1:
                if record == 1 and size == 4:
                    found.append((_ipv4(data, at), owner))
                elif record == 28 and size == 16:
                    found.append((_ipv6(data, at), owner))
                elif record == 5:
                    aliases[_name(data, base, at, end, known)[0].lower()] = owner
                elif record == 12:
                    address = _reverse(owner.lower())
                    if address:
                        self._learn(address, _name(data, base, at, end, known)[0], _PTR_ORIGINS[kind], ts)
            at = stop
        for address, name in found:
            for _ in range(_MOST_ALIASES if aliases else 0):
                alias = aliases.get(name.lower())
                if alias is None:
                    break
                name = alias
            if address:
                self._learn(address, name, origin, ts)

    def _learn(self, address: str, name: bytes, origin: Origin, ts: int) -> None:
        # Resolvers mix upper and lower case at random (draft-vixie-dnsext-dns0x20).
        text = name.lower() if origin <= Origin.PTR else name
        self._names.learn(address, text.decode("utf-8", "surrogateescape"), origin, ts)

    def _nbns(self, data: bytes, base: int, end: int, net: int, six: bool, ts: int) -> None:
        """Answers, and what a host registers for itself (RFC 1002, 4.2); groups are nobody's name."""
        _, flags, code, questions, answers, servers, more = _HEAD(data, base)
        registers = flags & 0xF8 == 0x28
        if not (registers or flags & 0xF8 == 0x80) or (code & 0x0F and not registers):
            return
        at = base + 12
        known: dict[int, bytes] = {}
        for _ in range(min(questions, _MOST_QUESTIONS)):
            at = _name(data, base, at, end, known)[1] + _QUESTION
        for _ in range(min(answers + servers + more, _MOST_RECORDS)):
            owner, at = _name(data, base, at, end, known)
            record, _, _, size = _RECORD(data, at)
            at += 10
            stop = min(at + size, end)
            if record == 0x20:
                name = _netbios(owner)
                while at + 6 <= stop and name:
                    address = _ipv4(data, at + 2)
                    if address and not data[at] & 0x80:
                        self._learn(address, name, Origin.NBNS, ts)
                    at += 6
            elif record == 0x21 and not six:
                name = _of_status(data, at, stop)
                address = _ipv4(data, net + 12)
                if name and address:
                    self._learn(address, name, Origin.NBNS, ts)
            at = stop

    def _dhcp(self, data: bytes, at: int, end: int, ts: int) -> None:
        """A client says its name when it asks, and the answer says its address (RFC 2132, 3.14; RFC 4702)."""
        if data[at + 236 : at + 240] != b"\x63\x82\x53\x63":
            return
        answers, client, message, name = data[at] == 2, data[at + 28 : at + 44], 0, b""
        where = at + 240
        for _ in range(_MOST_OPTIONS):
            if where >= end or data[where] == 255:
                break
            if data[where] == 0:
                where += 1
                continue
            code, size = data[where], data[where + 1]
            value = data[where + 2 : where + 2 + size]
            if code == 53 and size == 1:
                message = value[0]
            elif code == 12:
                name = value.rstrip(b"\0")
            elif code == 81 and not name and size > 3:
                name = _plain(value[3:], wire=bool(value[0] & 4))
            where += 2 + size
        if answers:
            address, name = _ipv4(data, at + 16), name or self._clients.get(client, b"")
            if message == 5 and address and name:
                self._learn(address, name, Origin.DHCP, ts)
            return
        if not name:
            return
        address = _ipv4(data, at + 12)
        if address:  # it has one already
            self._learn(address, name, Origin.DHCP, ts)
        self._remember(client, name)

    def _dhcpv6(self, data: bytes, at: int, end: int, ts: int) -> None:
        """The same in IPv6 (RFC 8415; RFC 4704); what relays pass on is looked into."""
        for _ in range(_MOST_RELAYS):
            if data[at] not in _RELAYED:
                break
            inside = next((where for code, where, _ in _options(data, at + 34, end) if code == 9), 0)
            if not inside:
                return
            at = inside
        message, client, name, found = data[at], b"", b"", list[str]()
        for code, where, stop in _options(data, at + 4, end):
            if code == 1:
                client = data[where : min(stop, where + _LONGEST_CLIENT)]
            elif code == 39 and stop > where + 1:
                name = _plain(data[where + 1 : stop], wire=True)
            elif code in (3, 4):  # addresses, to stay or temporary
                for inner, first, last in _options(data, where + (12 if code == 3 else 4), stop):
                    if inner == 5 and last - first >= 24 and any(data[first + 20 : first + 24]):
                        found.append(_ipv6(data, first))
        if message not in _HOLDS_THEM:
            if name and client:
                self._remember(client, name)
            return
        name = name or self._clients.get(client, b"")
        for address in found if name else ():
            if address:
                self._learn(address, name, Origin.DHCP, ts)

    def _remember(self, client: bytes, name: bytes) -> None:
        """Until an answer says its address."""
        self._clients[client] = name
        self._clients.move_to_end(client)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)


_RELAYED: Final = (12, 13)
_HOLDS_THEM: Final = (5, 6, 7)
"""Messages of DHCPv6 whose addresses are the client's: Renew, Rebind, Reply (RFC 8415, 7.3)."""


def _options(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """Code, first byte and end of each option of DHCPv6."""
    found = []
    for _ in range(_MOST_OPTIONS):
        if at + 4 > end:
            break
        code, size = _SHORT(data, at)[0], _SHORT(data, at + 2)[0]
        at += 4
        if at + size > end:
            break
        found.append((code, at, at + size))
        at += size
    return found


_ORIGINS: Final = {Kind.DNS: Origin.DNS, Kind.MDNS: Origin.MDNS, Kind.LLMNR: Origin.LLMNR}
_PTR_ORIGINS: Final = _ORIGINS | {Kind.DNS: Origin.PTR}


def _payload(data: bytes, recipe: Recipe, linktype: int) -> tuple[int, int, int, bool]:
    """Where the payload begins and ends, where the innermost network header does, and whether that is IPv6."""
    at, net, six, end = recipe.start, 0, False, len(data)
    for layer in recipe.layers:
        if layer == _IP:
            net, six = at, False
            if (data[at + 6] << 8 | data[at + 7]) & 0x1FFF:
                raise ValueError("a fragment but the first")
            total = data[at + 2] << 8 | data[at + 3]
            if total:  # 0 where the card cuts it into segments
                end = min(end, at + total)
            at += (data[at] & 0x0F) << 2
        elif layer == _TCP:
            at += data[at + 12] >> 4 << 2
        elif layer == _IPV6:
            net, six = at, True
            at = _after_ipv6(data, at)
        elif layer == _MPLS:
            while not data[at + 2] & 1:
                at += 4
            at += 4
        elif layer == _SLL:
            at += 20 if linktype == _SLL2 else 16
        elif layer == _GRE:
            flags = data[at]
            at += 4 + (4 if flags & 0x80 else 0) + (4 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        elif layer == _GENEVE:
            at += 8 + ((data[at] & 0x3F) << 2)
        elif layer == _GTP:
            at = _after_gtp(data, at)
        else:
            at += _FIXED[_Layer(layer)]
    return at, end, net, six


def _after_ipv6(data: bytes, at: int) -> int:
    """Where the transport header begins (RFC 8200, 4)."""
    following = data[at + 6]
    at += 40
    for _ in range(8):
        if following in (0, 43, 60):
            following, at = data[at], at + 8 + 8 * data[at + 1]
        elif following == 44:
            if (data[at + 2] << 8 | data[at + 3]) & 0xFFF8:
                raise ValueError("a fragment but the first")
            following, at = data[at], at + 8
        else:
            break
    return at


def _after_gtp(data: bytes, at: int) -> int:
    """Where the tunnelled packet begins (3GPP TS 29.281, 5)."""
    flags = data[at]
    if not flags & 0x07:
        return at + 8
    following, at = data[at + 11] if flags & 0x04 else 0, at + 12
    for _ in range(8):
        if not following:
            break
        at += max(data[at], 1) << 2
        following = data[at - 1]
    return at


def _ipv4(data: bytes, at: int) -> str:
    """As text; empty for what is no host's: unspecified, loopback, multicast."""
    first = data[at]
    return "" if first in (0, 127) or first >= 224 else inet_ntoa(data[at : at + 4])


_LOCAL: Final = bytes(15)


def _ipv6(data: bytes, at: int) -> str:
    address = data[at : at + 16]
    return "" if address[0] == 0xFF or address.startswith(_LOCAL) else inet_ntop(AF_INET6, address)


def _name(data: bytes, base: int, at: int, end: int, known: dict[int, bytes]) -> tuple[bytes, int]:
    """A domain name, and where it ends (RFC 1035, 4.1.4). `known`: names of this message by where they begin."""
    start, after, size, lowest = at, 0, 0, at
    labels = []
    while True:
        length = data[at]
        if length == 0:
            at += 1
            break
        if length >= 0xC0:
            after = after or at + 2
            at = base + ((length & 0x3F) << 8 | data[at + 1])
            if at in known:
                labels.append(known[at])
                break
            if at >= lowest:
                raise ValueError("a pointer that does not lead back")
            lowest = at
            continue
        size += length + 1
        if length > 63 or size > 255 or at + length >= end:
            raise ValueError("a label too long")
        labels.append(data[at + 1 : at + 1 + length])
        at += length + 1
    name = labels[0] if len(labels) == 1 else b".".join(labels)
    if len(name) > 255:
        raise ValueError("a name too long")
    known[start] = name
    return name, after or at


def _reverse(name: bytes) -> str:
    """The address that a name under in-addr.arpa or ip6.arpa stands for; empty if it does for none."""
    if name.endswith(b".in-addr.arpa"):
        octets = name[:-13].split(b".")
        if len(octets) == 4 and all(octet.isdigit() and len(octet) < 4 for octet in octets):
            return _ipv4(bytes(int(octet) for octet in reversed(octets)), 0)
    elif name.endswith(b".ip6.arpa") and len(name) == 72:
        return _ipv6(bytes.fromhex(name[:-9].replace(b".", b"")[::-1].decode("ascii")), 0)
    return ""


def _plain(name: bytes, *, wire: bool) -> bytes:
    """The name of a DHCP client's FQDN option (RFC 4702, 2.3)."""
    return _name(name + b"\0", 0, 0, len(name) + 1, {})[0] if wire else name


def _server_name(data: bytes, at: int, end: int) -> bytes:
    """The host name of a ClientHello (RFC 8446, 4.1.2; RFC 6066, 3); empty if it has none."""
    at += 43
    at += 1 + data[at]
    at += 2 + _SHORT(data, at)[0]
    at += 1 + data[at]
    at += 2
    for _ in range(_MOST_EXTENSIONS):
        if at + 4 > end:
            break
        size = data[at + 2] << 8 | data[at + 3]
        if data[at] == 0 and data[at + 1] == 0:
            length = _SHORT(data, at + 7)[0]
            return data[at + 9 : at + 9 + length] if data[at + 6] == 0 and at + 9 + length <= end else b""
        at += 4 + size
    return b""


def _host(data: bytes, at: int, end: int) -> bytes:
    """The host that a request is for; empty where it goes to a proxy, or says none (RFC 9112, 3.2)."""
    if not 65 <= data[at] <= 90:
        return b""
    space = data.find(b" ", at, at + 20)
    if space < 0 or data[space + 1] != 0x2F:
        return b""
    where = data.find(b"\r\nHost:", at, end)
    if where < 0:
        where = data.find(b"\r\nhost:", at, end)
    if where < 0:
        return b""
    stop = data.find(b"\r", where + 7, min(end, where + 300))
    if stop < 0:
        return b""
    value = data[where + 7 : stop].strip(b" \t")
    return b"" if value.startswith(b"[") else value.partition(b":")[0]


def _netbios(coded: bytes) -> bytes:
    """A workstation's or server's name of its half octets (RFC 1001, 14.1); empty for other services."""
    coded = coded[:32]
    if len(coded) < 32:
        return b""
    name = bytes((coded[at] - 65 << 4 | coded[at + 1] - 65) & 0xFF for at in range(0, 32, 2))
    return name[:15].rstrip(b" \0") if name[15] in (0x00, 0x20) else b""


def _of_status(data: bytes, at: int, stop: int) -> bytes:
    """A host's own name among those that it lists (RFC 1002, 4.2.18)."""
    for entry in range(at + 1, min(at + 1 + 18 * data[at], stop - 17), 18):
        if data[entry + 15] == 0 and not data[entry + 16] & 0x80:
            return data[entry : entry + 15].rstrip(b" \0")
    return b""
