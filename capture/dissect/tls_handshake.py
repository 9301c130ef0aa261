"""Handshake messages of TLS and DTLS: hellos with their extensions, certificates (RFC 5246, 8446, 6066, 7301)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netwatch.capture.dissect.kit import Bytes, Field, Header, Hex16, Item, group, number, octets, text
from netwatch.capture.dissect.packet import Packet, Short
from netwatch.capture.dissect.tls_names import CIPHERS, EXTENSIONS, GROUPS, HANDSHAKES, VERSIONS

__all__ = ["DTLS", "TLS", "Shown", "show_handshakes", "show_message"]


class Names:
    """The fields of one of the two protocols, which name them alike: `tls.handshake.type`, `dtls.handshake.type`."""

    def __init__(self, prefix: str) -> None:
        name = f"{prefix}.handshake"
        self.message = group(name, "Handshake Protocol")
        self.type = number(f"{name}.type", "Handshake Type", HANDSHAKES)
        self.length = number(f"{name}.length", "Length")
        self.hello = Header(
            name, "Hello", (Hex16("version", "Version", VERSIONS), Bytes("random", "Random", 32)), name=""
        )
        self.session = octets(f"{name}.session_id", "Session ID")
        self.cookie = octets(f"{name}.cookie" if prefix == "dtls" else "", "Cookie")
        self.suites_length = number(f"{name}.cipher_suites_length", "Cipher Suites Length")
        self.suite = number(f"{name}.ciphersuite", "Cipher Suite", CIPHERS, digits=4)
        self.compression = number(f"{name}.comp_method", "Compression Method", {0: "null", 1: "DEFLATE"})
        self.extensions_length = number(f"{name}.extensions_length", "Extensions Length")
        self.extension = number(f"{name}.extension.type", "Extension", EXTENSIONS)
        self.extension_length = number(f"{name}.extension.len", "Length")
        self.extension_data = octets(f"{name}.extension.data", "Data")
        self.server_name = text(f"{name}.extensions_server_name", "Server Name")
        self.alpn = text(f"{name}.extensions_alpn_str", "ALPN Next Protocol")
        self.version = number(f"{name}.extensions.supported_version", "Supported Version", VERSIONS, digits=4)
        self.group = number(f"{name}.extensions_supported_group", "Supported Group", GROUPS, digits=4)
        self.algorithm = number(f"{name}.sig_hash_alg", "Signature Algorithm", digits=4)
        self.share = number(f"{name}.extensions_key_share_group", "Group", GROUPS)
        self.certificate = octets(f"{name}.certificate", "Certificate")


TLS, DTLS = Names("tls"), Names("dtls")
BODY = octets("", "Data")

RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a Server Hello that is a Hello Retry Request: SHA-256 of those words (RFC 8446, 4.1.3)."""

NAME = "TLS handshake"


class Shown(NamedTuple):
    """What `show_handshakes` found."""

    words: list[str]
    """For the Info column: `Client Hello`."""
    version: int
    """That a Server Hello settled on; 0: none."""
    end: int
    """Offset after the last message that is complete; before the end of the bytes: a message goes on."""


def show_handshakes(packet: Packet, parent: Item, at: int, end: int, *, names: Names, transport: str = "t") -> Shown:
    """The lines of all complete handshake messages from `at` on, below `parent`: a record's, or CRYPTO frames'.

    Stops, without a mark, at a message that goes beyond `end` or whose type is none. `transport`: what JA4 calls
    what carries it, `t` for TCP, `d` for DTLS, `q` for QUIC.
    """
    words: list[str] = []
    settled = 0
    stop = packet.end(end)
    while at + 4 <= stop:
        kind, length = packet.data[at], int.from_bytes(packet.data[at + 1 : at + 4], "big")
        if kind not in HANDSHAKES or at + 4 + length > end:
            break
        message = packet.add(parent, names.message, None, at, min(4 + length, stop - at), HANDSHAKES[kind])
        packet.add(message, names.type, kind, at, 1)
        packet.add(message, names.length, length, at + 1, 3)
        words.append(HANDSHAKES[kind])
        packet.check(NAME, at + 4, length, end)
        settled = show_message(packet, message, kind, at + 4, at + 4 + length, names=names) or settled
        at += 4 + length
    return Shown(words, settled, at)


def show_message(
    packet: Packet, parent: Item, kind: int, at: int, end: int, *, names: Names, whole: bool = True
) -> int:
    """The lines of one message whose body is from `at` to `end`; the version that it settles, 0 if none.

    What does not fit its own lengths ends the message's lines, not the record's. `whole`: False if the message goes
    on in other packets.
    """
    show = MESSAGES.get(kind)
    if show is None:
        if at < end:
            packet.add(parent, BODY, packet.data[at:end], at, end - at)
        return 0
    try:
        return show(packet, parent, at, end, names)
    except Short as short:
        if whole:
            packet.mark(f"TLS {HANDSHAKES[kind]}: need {short.need} bytes at {short.offset}", short.offset)
        return 0


def _client_hello(packet: Packet, parent: Item, at: int, end: int, names: Names) -> int:
    packet.add_header(parent, names.hello, at, end)
    at = _vector(packet, parent, names.session, at + names.hello.size, end)
    if names is DTLS:
        at = _vector(packet, parent, names.cookie, at, end)
    length = packet.uint(NAME, at, 2, end)
    packet.check(NAME, at + 2, length, end)
    packet.add(parent, names.suites_length, length, at, 2)
    for where in range(at + 2, at + 1 + length, 2):
        packet.add(parent, names.suite, int.from_bytes(packet.data[where : where + 2], "big"), where, 2)
    at += 2 + length
    for where in range(at + 1, at + 1 + packet.uint(NAME, at, 1, end)):
        packet.add(parent, names.compression, packet.uint(NAME, where, 1, end), where, 1)
    at += 1 + packet.data[at]
    if at < end:
        _extensions(packet, parent, at, end, names, client=True)
    return 0


def _server_hello(packet: Packet, parent: Item, at: int, end: int, names: Names) -> int:
    version, random = packet.add_header(parent, names.hello, at, end)
    if random == RETRY_RANDOM:
        parent.said = "Hello Retry Request (2)"
    at = _vector(packet, parent, names.session, at + names.hello.size, end)
    packet.add(parent, names.suite, packet.uint(NAME, at, 2, end), at, 2)
    packet.add(parent, names.compression, packet.uint(NAME, at + 2, 1, end), at + 2, 1)
    at += 3
    settled = _extensions(packet, parent, at, end, names, client=False) if at < end else 0
    return settled or (0 if names is DTLS else int(version))


def _vector(packet: Packet, parent: Item, field: Field, at: int, end: int) -> int:
    """A length byte and that many bytes: the offset after them."""
    size = packet.uint(NAME, at, 1, end)
    value = packet.take(NAME, at + 1, size, end)
    if size:
        packet.add(parent, field, value, at + 1, size)
    return at + 1 + size


def _extensions(packet: Packet, parent: Item, at: int, end: int, names: Names, *, client: bool) -> int:
    """Type, length, data of each; the version that a Server Hello chose, 0 if none."""
    length = packet.uint(NAME, at, 2, end)
    packet.add(parent, names.extensions_length, length, at, 2)
    at += 2
    stop = at + length
    chosen = 0
    while at < stop:
        limit = min(stop, end)
        kind, size = packet.uint(NAME, at, 2, limit), packet.uint(NAME, at + 2, 2, limit)
        packet.check(NAME, at + 4, size, limit)
        item = packet.add(parent, names.extension, kind, at, 4 + size)
        packet.add(item, names.extension_length, size, at + 2, 2)
        body, after = at + 4, at + 4 + size
        if kind == 43 and not client and size == 2:
            chosen = packet.uint(NAME, body, 2, after)
            packet.add(item, names.version, chosen, body, 2)
        elif size:
            (EXTENSION_BODIES.get(kind, _unknown) if client or kind == 16 else _unknown)(
                packet, item, body, after, names
            )
        at = after
    return chosen


def _unknown(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
    packet.add(item, names.extension_data, packet.data[at:end], at, end - at)


def _server_names(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
    at += 2
    while at < end:
        size = packet.uint(NAME, at + 1, 2, end)
        name = packet.take(NAME, at + 3, size, end)
        packet.add(item, names.server_name, name, at + 3, size)
        at += 3 + size


def _protocols(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
    at += 2
    while at < end:
        at = _vector(packet, item, names.alpn, at, end)


def _numbers(kind: str, head: int) -> Callable[[Packet, Item, int, int, Names], None]:
    def show(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
        field: Field = getattr(names, kind)
        for where in range(at + head, end - 1, 2):
            value = int.from_bytes(packet.data[where : where + 2], "big")
            packet.add(item, field, value, where, 2)

    return show


def _shares(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
    at += 2
    while at < end:
        size = packet.uint(NAME, at + 2, 2, end)
        packet.check(NAME, at + 4, size, end)
        share = packet.add(item, names.share, packet.uint(NAME, at, 2, end), at, 4 + size)
        packet.add(share, names.extension_data, packet.data[at + 4 : at + 4 + size], at + 4, size)
        at += 4 + size


EXTENSION_BODIES = {
    0: _server_names,
    10: _numbers("group", 2),
    13: _numbers("algorithm", 2),
    16: _protocols,
    43: _numbers("version", 1),
    51: _shares,
}


def _certificates(packet: Packet, parent: Item, at: int, end: int, names: Names) -> int:
    """A list of certificates, each behind three bytes of length (before TLS 1.3)."""
    stop = at + 3 + packet.uint(NAME, at, 3, end)
    at += 3
    while at < min(stop, end):
        size = packet.uint(NAME, at, 3, end)
        value = packet.take(NAME, at + 3, size, end)
        packet.add(parent, names.certificate, value, at + 3, size)
        at += 3 + size
    return 0


MESSAGES: dict[int, Callable[[Packet, Item, int, int, Names], int]] = {
    1: _client_hello,
    2: _server_hello,
    11: _certificates,
}
