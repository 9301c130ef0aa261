"""DTLS records (RFC 6347, 9147): TLS in datagrams, its handshake messages put together from fragments."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.kit import U8, U16, U48, Header, Hex16, Item, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.tls import show_alert, show_heartbeat, side
from netwatch.capture.dissect.tls_fields import DTLS
from netwatch.capture.dissect.tls_handshake import show_message
from netwatch.capture.dissect.tls_names import CONTENT_TYPES, HANDSHAKES, SHOWN_VERSIONS, VERSIONS

LAYER: Final = Header("dtls", "Datagram Transport Layer Security", ())
RECORD: Final = Header(
    "dtls.record",
    "DTLS Record Layer",
    (
        U8("content_type", "Content Type", CONTENT_TYPES),
        Hex16("version", "Version", VERSIONS),
        U16("epoch", "Epoch"),
        U48("sequence_number", "Sequence Number"),
        U16("length", "Length"),
    ),
)
SEQUENCE: Final = number("dtls.handshake.message_seq", "Message Sequence")
OFFSET: Final = number("dtls.handshake.fragment_offset", "Fragment Offset")
SIZE: Final = number("dtls.handshake.fragment_length", "Fragment Length")
PIECE: Final = octets("", "Part of the message")
PIECES: Final = number("dtls.fragment.count", "Message fragment count")
ENCRYPTED: Final = octets("dtls.enc_content", "Encrypted Record Content")

RECORD_VERSIONS: Final = frozenset({0x0100, 0xFEFF, 0xFEFD, 0xFEFC})
HEAD: Final = 12
"""Bytes before a fragment: type, length, number, offset and length of the fragment (RFC 6347, 4.2.2)."""
MAX_MESSAGE: Final = 1 << 15
"""Bytes of a message that is put together …"""
MAX_MESSAGES: Final = 8
"""… of so many at a time in a conversation …"""
MAX_PIECES: Final = 256
"""… from so many fragments each."""


@on("udp.port", 853, 2221, 5684, 5868)
@on("sctp.ppi", 47)
@signature("udp")
def dtls(packet: Packet, at: int, limit: int) -> Step | None:
    """Records with an epoch and a sequence number; each is complete in its datagram."""
    if not _plausible(packet.data[at : at + RECORD.size]):
        return NOT_MINE
    memory = packet.memory("dtls")
    sender = side(packet)
    packet.column("dtls")
    layer = packet.layer(LAYER.field, at, 0)
    words: list[str] = []
    start = at
    while at < limit and (at == start or _plausible(packet.data[at : at + RECORD.size])):
        packet.check("DTLS record", at, RECORD.size, limit)
        length = int.from_bytes(packet.data[at + 11 : at + 13], "big")
        item = packet.add(layer, RECORD.field, None, at, RECORD.size)
        kind, version, epoch, *_ = packet.add_header(item, RECORD, at, limit)
        layer.size = at + RECORD.size - start
        body, at = at + RECORD.size, at + RECORD.size + length
        packet.protocol = SHOWN_VERSIONS.get(memory.get("version", version), "DTLS")
        packet.check("DTLS record", body, length, limit)
        item.size += length
        layer.size = at - start
        found = _record(packet, item, kind, body, at, epoch, sender, memory)
        if found[:1] == ["Client Hello"]:
            packet.protocol = SHOWN_VERSIONS.get(memory.get("version", 0), "DTLS")
        else:
            packet.protocol = SHOWN_VERSIONS.get(memory.setdefault("version", version), "DTLS")
        item.said = f"{packet.protocol} {', '.join(found)}"
        words += found
        packet.info = ", ".join(words)
    layer.said = packet.info
    return Step((), at, limit) if at < limit else None


def _plausible(head: bytes) -> bool:
    return (
        len(head) == RECORD.size
        and head[0] in CONTENT_TYPES
        and int.from_bytes(head[1:3], "big") in RECORD_VERSIONS
        and 0 < int.from_bytes(head[11:13], "big") <= 16384 + 2048
    )


def _record(
    packet: Packet, item: Item, kind: int, at: int, end: int, epoch: int, sender: int, memory: dict[Any, Any]
) -> list[str]:
    """What one record holds: its words. From epoch 1 on all is encrypted."""
    if kind == 22:
        if epoch or not _is_plain(packet.data, at, end):
            packet.add(item, DTLS.message, None, at, end - at, "Encrypted Handshake Message")
            return ["Encrypted Handshake Message"]
        words = []
        while at < end and _is_plain(packet.data, at, end):
            size = int.from_bytes(packet.data[at + 9 : at + 12], "big")
            words.append(_message(packet, item, at, at + HEAD + size, sender, memory))
            at += HEAD + size
        return words
    if kind == 20:
        packet.add(item, DTLS.change, None, at, end - at)
        return ["Change Cipher Spec"]
    if kind == 21:
        return [show_alert(packet, item, at, end, DTLS, bool(epoch))]
    if kind == 24:
        return [show_heartbeat(packet, item, at, end, DTLS, bool(epoch))]
    packet.add(item, DTLS.application if kind == 23 else ENCRYPTED, packet.data[at:end], at, end - at)
    return ["Application Data" if kind == 23 else CONTENT_TYPES[kind]]


def _is_plain(data: bytes, at: int, end: int) -> bool:
    """Whether a fragment begins here that lies within its message and its record."""
    if end - at < HEAD or data[at] not in HANDSHAKES:
        return False
    length, offset, size = (int.from_bytes(data[each : each + 3], "big") for each in (at + 1, at + 6, at + 9))
    return offset + size <= length and at + HEAD + size <= end


def _message(packet: Packet, item: Item, at: int, end: int, sender: int, memory: dict[Any, Any]) -> str:
    """One fragment, often the whole message: its word."""
    data = packet.data
    kind, length = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
    number = int.from_bytes(data[at + 4 : at + 6], "big")
    offset, size = (int.from_bytes(data[each : each + 3], "big") for each in (at + 6, at + 9))
    word = HANDSHAKES[kind]
    message = packet.add(item, DTLS.message, None, at, end - at, word)
    packet.add(message, DTLS.type, kind, at, 1)
    packet.add(message, DTLS.length, length, at + 1, 3)
    packet.add(message, SEQUENCE, number, at + 4, 2)
    packet.add(message, OFFSET, offset, at + 6, 3)
    packet.add(message, SIZE, size, at + 9, 3)
    if size == length:
        show_message(packet, message, kind, at + HEAD, end, DTLS, "d", memory)
        return word
    packet.add(message, PIECE, data[at + HEAD : end], at + HEAD, size)
    joined = _join(memory, (sender, number, kind, length), offset, data[at + HEAD : end])
    if joined is None:
        message.said = f"{word} (Fragment)"
        return message.said
    message.said = f"{word} (Reassembled)"

    def show(packet: Packet, at: int, limit: int) -> None:
        layer = packet.layer(DTLS.message, at, limit - at, f"{word}, reassembled from {joined[1]} fragments")
        packet.add(layer, PIECES, joined[1], at, 0)
        show_message(packet, layer, kind, at, limit, DTLS, "d", memory)

    packet.aside("Reassembled DTLS handshake", joined[0], Step((show,), 0, length))
    return message.said


def _join(memory: dict[Any, Any], key: tuple[int, ...], offset: int, piece: bytes) -> tuple[bytes, int] | None:
    """Keeps a fragment: the whole message and how many it took, where none is missing any more."""
    waiting: dict[tuple[int, ...], dict[int, bytes]] = memory.setdefault("pieces", {})
    length = key[3]
    if length > MAX_MESSAGE:
        return None
    if key not in waiting and len(waiting) >= MAX_MESSAGES:
        del waiting[next(iter(waiting))]
    pieces = waiting.setdefault(key, {})
    if len(pieces) >= MAX_PIECES:
        return None
    if len(piece) > len(pieces.get(offset, b"")):
        pieces[offset] = piece
    made = bytearray()
    for start in sorted(pieces):
        if start > len(made):
            return None
        made += pieces[start][len(made) - start :]
    if len(made) < length:
        return None
    del waiting[key]
    return bytes(made), len(pieces)
