"""Handshake messages of TLS and DTLS (RFC 5246, 8446, 6066, 8879), whoever carries them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.certificates import show_certificate, show_name
from netwatch.capture.dissect.ja4 import Hello, ja3, ja3s, ja4, ja4_raw
from netwatch.capture.dissect.kit import Item, absolute, group, octets
from netwatch.capture.dissect.ocsp import show_response
from netwatch.capture.dissect.packet import MAX_ITEMS, Malformed, Packet, Short, TooMuch
from netwatch.capture.dissect.tls_extensions import (
    NAME,
    integer,
    show_algorithm,
    show_algorithms,
    show_extensions,
    vector,
)
from netwatch.capture.dissect.tls_fields import DTLS, TLS, Names
from netwatch.capture.dissect.tls_names import CIPHERS, HANDSHAKES

__all__ = ["DTLS", "TLS", "Shown", "show_handshakes", "show_message"]

TLS_1_2: Final = 0x0303
TLS_1_3: Final = 0x0304
TLS_1_3_VERSIONS: Final = (TLS_1_3, 0xFEFC)

RETRY_RANDOM: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a Server Hello that is a Hello Retry Request: SHA-256 of those words (RFC 8446, 4.1.3)."""

BODY: Final = octets("", "Data")
PARAMETERS: Final = group("", "Parameters")
TICKET: Final = group("", "TLS Session Ticket")
CUT: Final = group("", "Not shown")


class Shown(NamedTuple):
    """What `show_handshakes` found."""

    words: list[str]
    """For the Info column: `Client Hello`."""
    version: int
    """That a Server Hello settled on; 0: none."""
    end: int
    """Offset after the last message that is complete; before the end of the bytes: a message goes on."""


def show_handshakes(
    packet: Packet,
    parent: Item,
    at: int,
    end: int,
    *,
    names: Names = TLS,
    transport: str = "t",
    state: dict[Any, Any] | None = None,
) -> Shown:
    """The lines of all complete handshake messages from `at` on, below `parent`: a record's, or CRYPTO frames'.

    Stops, without a mark, at a message that goes beyond `end` or whose type is none. `transport`: what JA4 calls
    what carries it, `t` for TCP, `d` for DTLS, `q` for QUIC. `state`: what earlier messages of the conversation
    settled (version, cipher), for those whose form depends on it.
    """
    words: list[str] = []
    settled = 0
    state = {} if state is None else state
    stop = packet.end(end)
    while at + 4 <= stop:
        kind, length = packet.data[at], int.from_bytes(packet.data[at + 1 : at + 4], "big")
        if kind not in HANDSHAKES or at + 4 + length > end:
            break
        body = at + 4
        word = _word(packet, kind, body)
        message = packet.add(parent, names.message, None, at, min(4 + length, stop - at), word)
        packet.add(message, names.type, kind, at, 1)
        packet.add(message, names.length, length, at + 1, 3)
        words.append(word)
        packet.check(NAME, body, length, end)
        at = body + length
        settled = show_message(packet, message, kind, body, at, names, transport, state) or settled
    return Shown(words, settled, at)


def _word(packet: Packet, kind: int, at: int) -> str:
    if kind == 2 and packet.data[at + 2 : at + 34] == RETRY_RANDOM:
        return "Hello Retry Request"
    return HANDSHAKES[kind]


def show_message(
    packet: Packet,
    parent: Item,
    kind: int,
    at: int,
    end: int,
    names: Names = TLS,
    transport: str = "t",
    state: dict[Any, Any] | None = None,
) -> int:
    """The lines of one message whose body is from `at` to `end`; the version that it settles, 0 if none.

    What does not fit its own lengths ends the message's lines, not the record's.
    """
    reading = Reading(names, transport, {} if state is None else state)
    settled = _settle(packet, at, end, names, reading.state) if kind == 2 else 0
    if not packet.build:
        return settled
    # Certificates alone may be a thousand lines: they have a budget of their own, records keep theirs.
    spent, packet.items = packet.items, packet.values.get("tree.lines", MAX_ITEMS // 4)
    try:
        MESSAGES.get(kind, _data)(packet, parent, at, end, reading)
    except Short as short:
        packet.mark(f"{HANDSHAKES[kind]}: need {short.need} bytes at {short.offset}", short.offset)
    except Malformed as malformed:
        packet.mark(malformed.what, malformed.offset)
    except TooMuch as much:
        parent.children.append(Item(CUT, None, end, 0, much.what, buffer=packet.buffer))
    finally:
        packet.values["tree.lines"], packet.items = packet.items, spent
    return settled


class Reading(NamedTuple):
    """What a message needs to know of those before it."""

    names: Names
    transport: str
    state: dict[Any, Any]

    @property
    def version(self) -> int:
        """That the Server Hello chose; TLS 1.2 if none was seen."""
        return int(self.state.get("version", TLS_1_2))

    @property
    def key_exchange(self) -> str:
        """`ECDHE_RSA`, from the cipher suite's name; empty if none was seen."""
        suite = CIPHERS.get(self.state.get("cipher", -1), "")
        return suite.partition("_WITH_")[0].removeprefix("TLS_") if "_WITH_" in suite else ""

    @property
    def names_algorithm(self) -> bool:
        """Whether signatures say how they were made (RFC 5246, 4.7)."""
        return self.version in (TLS_1_2, TLS_1_3, 0xFEFD, 0xFEFC)


def _settle(packet: Packet, at: int, end: int, names: Names, state: dict[Any, Any]) -> int:
    """Version and cipher that a Server Hello chose: the version in an extension goes before its own."""
    data = packet.data
    where = at + 34
    if where + 1 > end or where + 4 + data[where] > end:
        return 0
    where += 1 + data[where]
    version = int.from_bytes(data[at : at + 2], "big")
    state["cipher"] = int.from_bytes(data[where : where + 2], "big")
    where += 5
    while where + 4 <= end:
        kind, size = (int.from_bytes(data[each : each + 2], "big") for each in (where, where + 2))
        if kind == 43 and size == 2 and where + 6 <= end:
            version = int.from_bytes(data[where + 4 : where + 6], "big")
            if version >> 8 == 0x7F and names is TLS:
                version = TLS_1_3  # a draft of it
        where += 4 + size
    state["version"] = version
    return version


def _data(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:  # noqa: ARG001
    if at < end:
        packet.add(parent, BODY, packet.data[at:end], at, end - at)


def _head(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> Hello:
    """Version and random bytes, the first four of which were the time before TLS 1.3 (RFC 5246, 7.4.1.2)."""
    names = reading.names
    version, random = packet.add_header(parent, names.hello, at, end)
    if reading.version in TLS_1_3_VERSIONS:
        return Hello(version)
    line = parent.children[-1]
    packet.add(line, names.random_time, absolute(int.from_bytes(random[:4], "big") * 10**9), at + 2, 4)
    packet.add(line, names.random_bytes, random[4:], at + 6, 28)
    return Hello(version)


def _client_hello(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    names = reading.names
    hello = _head(packet, parent, at, end, reading)
    at = vector(packet, parent, names.session_length, names.session, at + names.hello.size, 1, end)
    if names is DTLS:
        at = vector(packet, parent, names.cookie_length, names.cookie, at, 1, end)
    length = integer(packet, parent, names.suites_length, at, 2, end)
    packet.check(NAME, at + 2, length, end)
    several = packet.add(parent, names.suites, None, at + 2, length, f"{length // 2} suites")
    hello.ciphers = [
        integer(packet, several, names.suite, each, 2, end) for each in range(at + 2, at + 1 + length, 2)
    ]
    at += 2 + length
    length = integer(packet, parent, names.compressions_length, at, 1, end)
    packet.check(NAME, at + 1, length, end)
    several = packet.add(parent, names.compressions, None, at + 1, length, _methods(length))
    for each in range(at + 1, at + 1 + length):
        integer(packet, several, names.compression, each, 1, end)
    at += 1 + length
    try:
        if at < end:
            show_extensions(packet, parent, at, end, names, 1, hello)
    finally:
        size = end - parent.start
        digest, full = ja3(hello)
        for field, value in (
            (names.ja4, ja4(hello, reading.transport)),
            (names.ja4_raw, ja4_raw(hello, reading.transport)),
            (names.ja3_full, full),
            (names.ja3, digest),
        ):
            packet.add(parent, field, value, parent.start, size)


def _methods(many: int) -> str:
    return f"{many} method{'s' if many != 1 else ''}"


def _server_hello(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    names = reading.names
    hello = _head(packet, parent, at, end, reading)
    at = vector(packet, parent, names.session_length, names.session, at + names.hello.size, 1, end)
    hello.ciphers = [integer(packet, parent, names.suite, at, 2, end)]
    integer(packet, parent, names.compression, at + 2, 1, end)
    try:
        if at + 3 < end:
            show_extensions(packet, parent, at + 3, end, names, 2, hello)
    finally:
        digest, full = ja3s(hello)
        packet.add(parent, names.ja3s_full, full, parent.start, end - parent.start)
        packet.add(parent, names.ja3s, digest, parent.start, end - parent.start)


def _verify_request(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """The server asks whether the address is the client's own (RFC 6347, 4.2.1)."""
    names = reading.names
    version = names.hello.rows[0]
    packet.add(parent, version, packet.uint(NAME, at, 2, end), at, 2)
    vector(packet, parent, names.cookie_length, names.cookie, at + 2, 1, end)


def _session_ticket(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """RFC 5077, 3.3; RFC 8446, 4.6.1."""
    names = reading.names
    ticket = packet.add(parent, TICKET, None, at, end - at)
    integer(packet, ticket, names.ticket_lifetime, at, 4, end)
    at += 4
    if reading.version in TLS_1_3_VERSIONS:
        integer(packet, ticket, names.ticket_age_add, at, 4, end)
        at = vector(packet, ticket, names.ticket_nonce_length, names.ticket_nonce, at + 4, 1, end)
    at = vector(packet, ticket, names.ticket_length, names.ticket, at, 2, end)
    if at < end:
        show_extensions(packet, parent, at, end, names, 4)


def _encrypted_extensions(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    if reading.version in TLS_1_3_VERSIONS:
        show_extensions(packet, parent, at, end, reading.names, 8)
    else:
        _data(packet, parent, at, end, reading)


def _certificates(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """A list of certificates, each behind three bytes of length; in TLS 1.3 extensions behind each."""
    names = reading.names
    latest = reading.version in TLS_1_3_VERSIONS
    if latest:
        at = vector(packet, parent, names.context_length, names.context, at, 1, end)
    length = integer(packet, parent, names.certificates_length, at, 3, end)
    stop = min(at + 3 + length, end)
    at += 3
    several = packet.add(parent, names.certificates, None, at, stop - at, f"{length} bytes")
    while at < stop:
        size = integer(packet, several, names.certificate_length, at, 3, stop)
        value = packet.take(NAME, at + 3, size, stop)
        item = packet.add(several, names.certificate, value, at + 3, size)
        at += 3 + size
        show_certificate(packet, item, at - size, at)
        if latest:
            size = packet.uint(NAME, at, 2, stop)
            show_extensions(packet, several, at, stop, names, 11)
            at += 2 + size


def _certificate_request(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """Kinds of certificate, signatures and authorities that the server takes (RFC 5246, 7.4.4)."""
    names = reading.names
    if reading.version in TLS_1_3_VERSIONS:
        at = vector(packet, parent, names.context_length, names.context, at, 1, end)
        show_extensions(packet, parent, at, end, names, 13)
        return
    count = integer(packet, parent, names.signers_count, at, 1, end)
    packet.check(NAME, at + 1, count, end)
    several = packet.add(parent, names.signers, None, at + 1, count, f"{count} types")
    for where in range(at + 1, at + 1 + count):
        integer(packet, several, names.signer_type, where, 1, end)
    at += 1 + count
    if reading.names_algorithm:
        _, at = show_algorithms(packet, parent, at, end, names)
    size = integer(packet, parent, names.names_length, at, 2, end)
    packet.check(NAME, at + 2, size, end)
    several = packet.add(parent, names.names, None, at + 2, size, f"{size} bytes")
    at += 2
    while at < end:
        size = integer(packet, several, names.name_length, at, 2, end)
        packet.check(NAME, at + 2, size, end)
        name = packet.add(several, names.name, None, at + 2, size)
        at += 2 + size
        name.said = show_name(packet, name, at - size, at)


def _server_key(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """What the server adds to the key, signed with its certificate's (RFC 5246, 7.4.3; RFC 8422, 5.4)."""
    names, exchange = reading.names, reading.key_exchange
    if "PSK" in exchange:
        at = vector(packet, parent, names.hint_length, names.hint, at, 2, end)
        if at >= end:
            return
    if exchange.startswith("ECDH") or (not exchange and packet.data[at] == 3):
        part = packet.add(parent, PARAMETERS, None, at, end - at, "EC Diffie-Hellman Server Params")
        kind = integer(packet, part, names.curve_type, at, 1, end)
        if kind != 3:
            _data(packet, part, at + 1, end, reading)
            return
        integer(packet, part, names.curve, at + 1, 2, end)
        at = vector(packet, part, names.server_point_length, names.server_point, at + 3, 1, end)
    elif exchange.startswith("DH"):
        part = packet.add(parent, PARAMETERS, None, at, end - at, "Diffie-Hellman Server Params")
        at = vector(packet, part, names.p_length, names.p, at, 2, end)
        at = vector(packet, part, names.g_length, names.g, at, 2, end)
        at = vector(packet, part, names.server_key_length, names.server_key, at, 2, end)
    else:
        _data(packet, parent, at, end, reading)
        return
    if at < end:
        if reading.names_algorithm:
            show_algorithm(packet, part, at, end, names)
            at += 2
        vector(packet, part, names.signature_length, names.signature, at, 2, end)


def _client_key(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """The client's part of the key (RFC 5246, 7.4.7; RFC 8422, 5.7)."""
    names, exchange = reading.names, reading.key_exchange
    if "PSK" in exchange:
        at = vector(packet, parent, names.identity_length, names.identity, at, 2, end)
        if at >= end:
            return
    if exchange.startswith("ECDH"):
        part = packet.add(parent, PARAMETERS, None, at, end - at, "EC Diffie-Hellman Client Params")
        vector(packet, part, names.client_point_length, names.client_point, at, 1, end)
    elif exchange.startswith("DH"):
        part = packet.add(parent, PARAMETERS, None, at, end - at, "Diffie-Hellman Client Params")
        vector(packet, part, names.client_key_length, names.client_key, at, 2, end)
    elif exchange.startswith("RSA"):
        part = packet.add(parent, PARAMETERS, None, at, end - at, "RSA Encrypted PreMaster Secret")
        if reading.version == 0x0300:
            packet.add(part, names.premaster, packet.data[at:end], at, end - at)  # without a length
        else:
            vector(packet, part, names.premaster_length, names.premaster, at, 2, end)
    else:
        _data(packet, parent, at, end, reading)


def _certificate_verify(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    names = reading.names
    if reading.names_algorithm:
        show_algorithm(packet, parent, at, end, names)
        at += 2
    vector(packet, parent, names.verify_length, names.verify, at, 2, end)


def _finished(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    packet.add(parent, reading.names.verify_data, packet.data[at:end], at, end - at)


def _certificate_status(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    """What the authority's responder says of the certificate, stapled (RFC 6066, 8)."""
    names = reading.names
    kind = integer(packet, parent, names.status_type, at, 1, end)
    if kind != 1:
        _data(packet, parent, at + 1, end, reading)
        return
    size = integer(packet, parent, names.ocsp_length, at + 1, 3, end)
    packet.check(NAME, at + 4, size, end)
    show_response(packet, parent, at + 4, at + 4 + size)


def _key_update(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    integer(packet, parent, reading.names.update, at, 1, end)


def _compressed(packet: Packet, parent: Item, at: int, end: int, reading: Reading) -> None:
    names = reading.names
    integer(packet, parent, names.compressor, at, 2, end)
    integer(packet, parent, names.uncompressed, at + 2, 3, end)
    vector(packet, parent, names.compressed_length, names.compressed, at + 5, 3, end)


Message = Callable[[Packet, Item, int, int, Reading], None]

MESSAGES: Final[dict[int, Message]] = {
    1: _client_hello,
    2: _server_hello,
    3: _verify_request,
    4: _session_ticket,
    8: _encrypted_extensions,
    11: _certificates,
    12: _server_key,
    13: _certificate_request,
    15: _certificate_verify,
    16: _client_key,
    20: _finished,
    22: _certificate_status,
    24: _key_update,
    25: _compressed,
}
