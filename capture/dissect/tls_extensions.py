"""Extensions of TLS hellos and certificates (IANA "TLS ExtensionType Values")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from netwatch.capture.dissect.ja4 import Hello
from netwatch.capture.dissect.kit import Field, Item, absolute
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.tls_fields import Names
from netwatch.capture.dissect.tls_names import EXTENSIONS, GROUPS

__all__ = ["NAME", "integer", "show_algorithm", "show_algorithms", "show_extensions", "show_timestamps", "vector"]

NAME: Final = "TLS handshake"

CLIENT_HELLO: Final = 1
SESSION_TICKET: Final = 4
LAST_MOMENT: Final = 1 << 47
"""Milliseconds since 1970 that a date can say, roughly."""


class Inside(NamedTuple):
    """The message that an extension is part of."""

    names: Names
    hello: Hello
    """What goes into fingerprints."""
    message: int
    """The handshake type, which decides the form of some."""


Body = Callable[[Packet, Item, int, int, Inside], None]
"""(packet, extension, start, end, the message)"""


def integer(packet: Packet, parent: Item, field: Field, at: int, size: int, end: int) -> int:
    """An integer that must be there, as a line: its value."""
    value = packet.uint(NAME, at, size, end)
    packet.add(parent, field, value, at, size)
    return value


def vector(packet: Packet, parent: Item, length: Field, field: Field, at: int, width: int, end: int) -> int:
    """A length of `width` bytes and that many bytes, as two lines: the offset after them (RFC 8446, 3.4)."""
    size = integer(packet, parent, length, at, width, end)
    value = packet.take(NAME, at + width, size, end)
    if size:
        packet.add(parent, field, value, at + width, size)
    return at + width + size


def show_extensions(
    packet: Packet, parent: Item, at: int, end: int, names: Names, message: int, hello: Hello | None = None
) -> None:
    """Length of all, then type, length and data of each. `message`: the handshake type."""
    inside = Inside(names, Hello() if hello is None else hello, message)
    stop = at + 2 + integer(packet, parent, names.extensions_length, at, 2, end)
    at += 2
    while at < stop:
        limit = min(stop, end)
        kind, size = packet.uint(NAME, at, 2, limit), packet.uint(NAME, at + 2, 2, limit)
        packet.check(NAME, at + 4, size, limit)
        said = f"{EXTENSIONS.get(kind, f'Unknown type {kind}')} (len={size})"
        item = packet.add(parent, names.extension, kind, at, 4 + size, said)
        packet.add(item, names.extension_length, size, at + 2, 2)
        inside.hello.extensions.append(kind)
        body, at = at + 4, at + 4 + size
        if size:
            BODIES.get(kind, _unknown)(packet, item, body, at, inside)


def show_algorithm(packet: Packet, parent: Item, at: int, end: int, names: Names) -> int:
    """One signature scheme, read as TLS 1.2 did as well: hash and signature apart (RFC 5246, 7.4.1.4.1)."""
    value = packet.uint(NAME, at, 2, end)
    item = packet.add(parent, names.algorithm, value, at, 2)
    packet.add(item, names.hash, value >> 8, at, 1)
    packet.add(item, names.signer, value & 0xFF, at + 1, 1)
    return value


def show_algorithms(packet: Packet, parent: Item, at: int, end: int, names: Names) -> tuple[list[int], int]:
    """A list of signature schemes: (they, the offset after them)."""
    size = integer(packet, parent, names.algorithms_length, at, 2, end)
    packet.check(NAME, at + 2, size, end)
    several = packet.add(parent, names.algorithms, None, at + 2, size, f"{size // 2} algorithms")
    stop = at + 2 + size
    return [show_algorithm(packet, several, where, stop, names) for where in range(at + 2, stop - 1, 2)], stop


def _unknown(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    packet.add(item, inside.names.extension_data, packet.data[at:end], at, end - at)


def _server_names(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    integer(packet, item, inside.names.server_names_length, at, 2, end)
    at += 2
    while at < end:
        integer(packet, item, inside.names.server_name_type, at, 1, end)
        at = vector(packet, item, inside.names.server_name_length, inside.names.server_name, at + 1, 2, end)


def _one(name: str, size: int) -> Body:
    """A single integer."""

    def show(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
        integer(packet, item, getattr(inside.names, name), at, size, end)

    return show


def _vector(length: str, field: str, width: int) -> Body:
    def show(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
        vector(packet, item, getattr(inside.names, length), getattr(inside.names, field), at, width, end)

    return show


def _bytes(field: str) -> Body:
    def show(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
        packet.add(item, getattr(inside.names, field), packet.data[at:end], at, end - at)

    return show


def _list(length: str, head: int, several: str, field: str, size: int, kept: str, word: str) -> Body:
    """A length, then integers of `size` bytes. `kept`: where in the fingerprint they go."""

    def show(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
        count = integer(packet, item, getattr(inside.names, length), at, head, end)
        packet.check(NAME, at + head, count, end)
        parent, at = item, at + head
        if several:
            parent = packet.add(item, getattr(inside.names, several), None, at, count, f"{count // size} {word}")
        row = getattr(inside.names, field)
        values = [integer(packet, parent, row, where, size, end) for where in range(at, at + count + 1 - size, size)]
        if kept:
            getattr(inside.hello, kept).extend(values)

    return show


def _algorithms(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    inside.hello.algorithms += show_algorithms(packet, item, at, end, inside.names)[0]


def _more_algorithms(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    show_algorithms(packet, item, at, end, inside.names)


def _protocols(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    size = integer(packet, item, inside.names.alpn_length, at, 2, end)
    at += 2
    several = packet.add(item, inside.names.alpn_list, None, at, min(size, end - at))
    while at < end:
        length = packet.uint(NAME, at, 1, end)
        at = vector(packet, several, inside.names.alpn_size, inside.names.alpn, at, 1, end)
        inside.hello.protocols.append(packet.data[at - length : at])


def _settings(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """Protocols for which there are settings (draft-vvv-tls-alps)."""
    if inside.message != CLIENT_HELLO:
        packet.add(item, inside.names.extension_data, packet.data[at:end], at, end - at)
        return
    integer(packet, item, inside.names.alps_length, at, 2, end)
    at += 2
    while at < end:
        at = vector(packet, item, inside.names.alps_size, inside.names.alps, at, 1, end)


def _next_protocols(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    while at < end:
        at = vector(packet, item, inside.names.npn_size, inside.names.npn, at, 1, end)


def _status(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """A request (RFC 6066, 8); in a TLS 1.3 certificate the response itself."""
    if inside.message != CLIENT_HELLO:
        _unknown(packet, item, at, end, inside)
        return
    integer(packet, item, inside.names.status_type, at, 1, end)
    responders = integer(packet, item, inside.names.status_responders, at + 1, 2, end)
    packet.check(NAME, at + 3, responders, end)
    integer(packet, item, inside.names.status_extensions, at + 3 + responders, 2, end)


def _certificate_kind(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    if inside.message == CLIENT_HELLO:
        integer(packet, item, inside.names.certificate_kinds_length, at, 1, end)
        at += 1
    for where in range(at, end):
        integer(packet, item, inside.names.certificate_kind, where, 1, end)


def _shared_psk(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """Tickets that the client has, and proofs that it knows their keys; the server says which (RFC 8446, 4.2.11)."""
    if inside.message != CLIENT_HELLO:
        integer(packet, item, inside.names.psk_selected, at, 2, end)
        return
    stop = at + 2 + integer(packet, item, inside.names.psk_identities_length, at, 2, end)
    at += 2
    while at < stop:
        at = vector(packet, item, inside.names.psk_identity_length, inside.names.psk_identity, at, 2, end)
        integer(packet, item, inside.names.psk_age, at, 4, end)
        at += 4
    size = integer(packet, item, inside.names.psk_binders_length, at, 2, end)
    packet.check(NAME, at + 2, size, end)
    packet.add(item, inside.names.psk_binders, None, at + 2, size, f"{size} bytes")


def _early_data(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    if inside.message == SESSION_TICKET:
        integer(packet, item, inside.names.early_data, at, 4, end)
    else:
        _unknown(packet, item, at, end, inside)


def _versions(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """What the client can, or the one that the server chose."""
    if inside.message == CLIENT_HELLO:
        _OFFERED_VERSIONS(packet, item, at, end, inside)
    else:
        inside.hello.versions.append(integer(packet, item, inside.names.version, at, 2, end))


_OFFERED_VERSIONS: Final = _list("versions_length", 1, "", "version", 2, "versions", "")


def _shares(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """Public keys of the client, the server's, or the group that a retry asks for (RFC 8446, 4.2.8)."""
    if end - at == 2:
        integer(packet, item, inside.names.share_selected, at, 2, end)
        return
    if inside.message == CLIENT_HELLO:
        integer(packet, item, inside.names.shares_length, at, 2, end)
        at += 2
    while at < end:
        kind, size = packet.uint(NAME, at, 2, end), packet.uint(NAME, at + 2, 2, end)
        packet.check(NAME, at + 4, size, end)
        said = f"{GROUPS.get(kind, f'Unknown ({kind})')}, key of {size} bytes"
        share = packet.add(item, inside.names.share, kind, at, 4 + size, said)
        at = vector(packet, share, inside.names.share_length, inside.names.share_key, at + 2, 2, end)


def _timestamps(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    show_timestamps(packet, item, at, end, inside.names)


def show_timestamps(packet: Packet, item: Item, at: int, end: int, names: Names) -> None:
    """That logs have seen a certificate, in a handshake or in the certificate itself (RFC 6962, 3.3)."""
    integer(packet, item, names.scts_length, at, 2, end)
    at += 2
    while at < end:
        size = integer(packet, item, names.sct_length, at, 2, end)
        stop = at + 2 + size
        packet.check(NAME, at + 2, size, end)
        integer(packet, item, names.sct_version, at + 2, 1, stop)
        packet.add(item, names.sct_log, packet.take(NAME, at + 3, 32, stop), at + 3, 32)
        when = packet.uint(NAME, at + 35, 8, stop)
        packet.add(item, names.sct_time, absolute(when * 10**6) if when < LAST_MOMENT else str(when), at + 35, 8)
        where = at + 45 + integer(packet, item, names.sct_extensions, at + 43, 2, stop)
        show_algorithm(packet, item, where, stop, names)
        vector(packet, item, names.sct_signature_length, names.sct_signature, where + 2, 2, stop)
        at = stop


def _srtp(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    size = integer(packet, item, inside.names.srtp_length, at, 2, end)
    packet.check(NAME, at + 2, size, end)
    for where in range(at + 2, at + 1 + size, 2):
        integer(packet, item, inside.names.srtp, where, 2, end)
    vector(packet, item, inside.names.srtp_mki_length, inside.names.srtp_mki, at + 2 + size, 1, end)


def _encrypted_hello(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """The hello that is meant lies encrypted within one for everybody (RFC 9849)."""
    if inside.message != CLIENT_HELLO:
        _unknown(packet, item, at, end, inside)
        return
    if integer(packet, item, inside.names.ech_type, at, 1, end):
        return
    integer(packet, item, inside.names.ech_kdf, at + 1, 2, end)
    integer(packet, item, inside.names.ech_aead, at + 3, 2, end)
    integer(packet, item, inside.names.ech_config, at + 5, 1, end)
    at = vector(packet, item, inside.names.ech_key_length, inside.names.ech_key, at + 6, 2, end)
    vector(packet, item, inside.names.ech_payload_length, inside.names.ech_payload, at, 2, end)
    item.said += ": the server name in clear may be another's"


def _varint(packet: Packet, at: int, end: int) -> tuple[int, int]:
    """(value, the offset after it): the two highest bits give the length (RFC 9000, 16)."""
    width = 1 << (packet.uint(NAME, at, 1, end) >> 6)
    return packet.uint(NAME, at, width, end) & ((1 << (8 * width - 2)) - 1), at + width


def _quic(packet: Packet, item: Item, at: int, end: int, inside: Inside) -> None:
    """Transport parameters: type, length and value of each (RFC 9000, 18)."""
    while at < end:
        kind, length_at = _varint(packet, at, end)
        size, body = _varint(packet, length_at, end)
        packet.check(NAME, body, size, end)
        value = packet.data[body : body + size]
        reserved = "GREASE" if kind % 31 == 27 else ""
        parameter = packet.add(item, inside.names.quic_type, kind, at, body + size - at, reserved)
        packet.add(parameter, inside.names.quic_length, size, length_at, body - length_at)
        at = body + size
        if not size:
            continue
        if kind in inside.names.quic_numbers:
            packet.add(parameter, inside.names.quic_numbers[kind], _varint(packet, body, at)[0], body, size)
        elif kind in inside.names.quic_bytes:
            packet.add(parameter, inside.names.quic_bytes[kind], value, body, size)
        elif kind == 0x0D and size >= 24:
            packet.add(parameter, inside.names.quic_ipv4, value[:4], body, 4)
            packet.add(parameter, inside.names.quic_ipv6, value[6:22], body + 6, 16)
        elif kind == 0x11:
            for where in range(body, at - 3, 4):
                field = inside.names.quic_chosen if where == body else inside.names.quic_other
                integer(packet, parameter, field, where, 4, at)
        elif kind == 0x3129:
            packet.add(parameter, inside.names.quic_agent, value, body, size)
        else:
            packet.add(parameter, inside.names.quic_value, value, body, size)


BODIES: Final[dict[int, Body]] = {
    0: _server_names,
    1: _one("max_fragment", 1),
    5: _status,
    10: _list("groups_length", 2, "groups", "group", 2, "groups", "groups"),
    11: _list("formats_length", 1, "formats", "format", 1, "point_formats", "formats"),
    13: _algorithms,
    14: _srtp,
    15: _one("heartbeat_mode", 1),
    16: _protocols,
    18: _timestamps,
    19: _certificate_kind,
    20: _certificate_kind,
    21: _bytes("padding"),
    27: _list("compressors_length", 1, "", "compressor", 2, "", ""),
    28: _one("record_limit", 2),
    41: _shared_psk,
    42: _early_data,
    43: _versions,
    44: _vector("retry_cookie_length", "retry_cookie", 2),
    45: _list("psk_modes_length", 1, "", "psk_mode", 1, "", ""),
    50: _more_algorithms,
    51: _shares,
    53: _vector("connection_length", "connection", 1),
    54: _vector("connection_length", "connection", 1),
    57: _quic,
    13172: _next_protocols,
    17513: _settings,
    17613: _settings,
    65037: _encrypted_hello,
    65281: _vector("renegotiation_length", "renegotiation", 1),
    65445: _quic,
}
