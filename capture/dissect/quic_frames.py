"""The frames of a QUIC packet that was decrypted (RFC 9000, 19; RFC 9221), and handshake messages put together."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.context import Context, Message, Side
from netwatch.capture.dissect.kit import Field, Item, flag, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step
from netwatch.capture.dissect.segments import SHOWN_NUMBERS, name_packets
from netwatch.capture.dissect.tls_handshake import TLS, show_handshakes
from netwatch.capture.dissect.tls_names import ALERTS

__all__ = ["Crypto", "crypto_frame", "frames", "varint"]

MAX_CRYPTO: Final = 1 << 16
"""Bytes of handshake messages that are put together at once."""

ERRORS: Final = {
    0x00: "NO_ERROR",
    0x01: "INTERNAL_ERROR",
    0x02: "CONNECTION_REFUSED",
    0x03: "FLOW_CONTROL_ERROR",
    0x04: "STREAM_LIMIT_ERROR",
    0x05: "STREAM_STATE_ERROR",
    0x06: "FINAL_SIZE_ERROR",
    0x07: "FRAME_ENCODING_ERROR",
    0x08: "TRANSPORT_PARAMETER_ERROR",
    0x09: "CONNECTION_ID_LIMIT_ERROR",
    0x0A: "PROTOCOL_VIOLATION",
    0x0B: "INVALID_TOKEN",
    0x0C: "APPLICATION_ERROR",
    0x0D: "CRYPTO_BUFFER_EXCEEDED",
    0x0E: "KEY_UPDATE_ERROR",
    0x0F: "AEAD_LIMIT_REACHED",
    0x10: "NO_VIABLE_PATH",
    0x11: "VERSION_NEGOTIATION_ERROR",
} | dict.fromkeys(range(0x100, 0x200), "CRYPTO_ERROR")


class Kind(NamedTuple):
    """A type of frame: its heading, its word of the Info column, and its numbers in their order."""

    field: Field
    word: str
    numbers: tuple[Field, ...] = ()


def _kind(label: str, word: str, *numbers: tuple[str, str]) -> Kind:
    return Kind(group("quic.frame", label), word, tuple(number(f"quic.{name}", said) for name, said in numbers))


KINDS: Final[dict[int, Kind]] = {
    0x00: _kind("PADDING", "PADDING"),
    0x01: _kind("PING", "PING"),
    0x02: _kind("ACK", "ACK"),
    0x03: _kind("ACK", "ACK_ECN"),
    0x04: _kind(
        "RESET_STREAM",
        "RS",
        ("rsts.stream_id", "Stream ID"),
        ("rsts.application_error_code", "Application Error code"),
        ("rsts.final_size", "Final Size"),
    ),
    0x05: _kind(
        "STOP_SENDING",
        "SS",
        ("ss.stream_id", "Stream ID"),
        ("ss.application_error_code", "Application Error code"),
    ),
    0x06: _kind("CRYPTO", "CRYPTO", ("crypto.offset", "Offset"), ("crypto.length", "Length")),
    0x07: _kind("NEW_TOKEN", "NT", ("nt.length", "(Token) Length")),
    **dict.fromkeys(range(0x08, 0x10), _kind("STREAM", "STREAM", ("stream.stream_id", "Stream ID"))),
    0x10: _kind("MAX_DATA", "MD", ("md.maximum_data", "Maximum Data")),
    0x11: _kind(
        "MAX_STREAM_DATA",
        "MSD",
        ("msd.stream_id", "Stream ID"),
        ("msd.maximum_stream_data", "Maximum Stream Data"),
    ),
    0x12: _kind("MAX_STREAMS (BIDI)", "MS", ("ms.max_streams", "Max Streams")),
    0x13: _kind("MAX_STREAMS (UNI)", "MS", ("ms.max_streams", "Max Streams")),
    0x14: _kind("DATA_BLOCKED", "DB", ("sb.stream_data_limit", "Stream Data Limit")),
    0x15: _kind(
        "STREAM_DATA_BLOCKED",
        "SDB",
        ("sdb.stream_id", "Stream ID"),
        ("sb.stream_data_limit", "Stream Data Limit"),
    ),
    0x16: _kind("STREAMS_BLOCKED (BIDI)", "SB", ("sib.stream_limit", "Stream Limit")),
    0x17: _kind("STREAMS_BLOCKED (UNI)", "SB", ("sib.stream_limit", "Stream Limit")),
    0x18: _kind("NEW_CONNECTION_ID", "NCI", ("nci.sequence", "Sequence"), ("nci.retire_prior_to", "Retire Prior To")),
    0x19: _kind("RETIRE_CONNECTION_ID", "RC", ("rci.sequence", "Sequence")),
    0x1A: _kind("PATH_CHALLENGE", "PC"),
    0x1B: _kind("PATH_RESPONSE", "PR"),
    0x1C: _kind("CONNECTION_CLOSE (Transport)", "CC"),
    0x1D: _kind("CONNECTION_CLOSE (Application)", "CC"),
    0x1E: _kind("HANDSHAKE_DONE", "DONE"),
    0x30: _kind("DATAGRAM", "DG"),
    0x31: _kind("DATAGRAM", "DG", ("dg.length", "Datagram Length")),
    0xAF: _kind(
        "ACK_FREQUENCY",
        "AF",
        ("af.sequence_number", "Sequence Number"),
        ("af.ack_eliciting_threshold", "Ack-Eliciting Threshold"),
        ("af.request_max_ack_delay", "Request Max Ack Delay"),
    ),
    0x2F5: _kind("TIME_STAMP", "TS", ("ts", "Time Stamp")),
}
UNKNOWN: Final = _kind("Unknown", "")
WITH_ID: Final = frozenset({0x04, 0x05, 0x11, 0x15, *range(0x08, 0x10)})
"""Frames that the Info column names with their stream."""

TYPE = number("quic.frame_type", "Frame Type", {code: kind.field.label for code, kind in KINDS.items()})
PADDING_LENGTH = number("quic.padding_length", "Padding Length")
LARGEST = number("quic.ack.largest_acknowledged", "Largest Acknowledged")
DELAY = number("quic.ack.ack_delay", "ACK Delay")
RANGE_COUNT = number("quic.ack.ack_range_count", "ACK Range Count")
FIRST_RANGE = number("quic.ack.first_ack_range", "First ACK Range")
GAP, RANGE = number("quic.ack.gap", "Gap"), number("quic.ack.ack_range", "ACK Range")
ECN = (
    number("quic.ack.ect0_count", "ECT(0) Count"),
    number("quic.ack.ect1_count", "ECT(1) Count"),
    number("quic.ack.ecn_ce_count", "ECN-CE Count"),
)
CRYPTO_DATA = group("quic.crypto.crypto_data", "Crypto Data")
RETRANSMISSION = group("quic.retransmission", "Retransmission: these bytes were seen before")
FRAGMENTS = group("quic.crypto.fragments", "Reassembled QUIC CRYPTO Data Fragments")
FRAGMENT = number("quic.crypto.fragment", "Packet")
FRAGMENT_COUNT = number("quic.crypto.fragment.count", "Fragment count")
HANDSHAKE = group("tls", "Transport Layer Security")
TOKEN = octets("quic.nt.token", "Token")
FIN, LENGTH_BIT, OFFSET_BIT = (
    flag("quic.stream.fin", "Fin"),
    flag("quic.stream.len", "Len(gth)"),
    flag("quic.stream.off", "Off(set)"),
)
INITIATOR = number("quic.stream.initiator", "Stream initiator", {0: "Client-initiated", 1: "Server-initiated"})
DIRECTION = number("quic.stream.direction", "Stream direction", {0: "Bidirectional", 1: "Unidirectional"})
OFFSET, LENGTH = number("quic.stream.offset", "Offset"), number("quic.stream.length", "Length")
STREAM_DATA = octets("quic.stream_data", "Stream Data")
ID_LENGTH = number("quic.nci.connection_id.length", "Connection ID Length")
ID = octets("quic.nci.connection_id", "Connection ID")
RESET_TOKEN = octets("quic.nci.stateless_reset_token", "Stateless Reset Token")
CHALLENGE = octets("quic.path_challenge.data", "Data")
RESPONSE = octets("quic.path_response.data", "Data")
CODE = number("quic.cc.error_code", "Error code", ERRORS)
APPLICATION_CODE = number("quic.cc.error_code.app", "Application Error code")
ALERT = number("quic.cc.error_code.tls_alert", "TLS Alert Description", ALERTS)
CLOSED_BY = number("quic.cc.frame_type", "Frame Type")
REASON_LENGTH = number("quic.cc.reason_phrase.length", "Reason phrase Length")
REASON = text("quic.cc.reason_phrase", "Reason phrase")
DATAGRAM = octets("quic.dg", "Datagram")
LAST_BYTE = number("quic.af.last_byte", "Last Byte", digits=2)

ZEROS: Final = re.compile(rb"\0+")
NAME: Final = "QUIC frame"


class Crypto:
    """The handshake messages of one direction, as far as their pieces came."""

    __slots__ = ("side", "start")

    def __init__(self) -> None:
        self.side = Side()
        """Holds what is incomplete, so that it counts with that of all conversations."""
        self.start = 0
        """Offset after the last message that was complete."""

    def add(self, offset: int, data: bytes, number: int) -> Message:
        """A piece -> all that came from `start` on."""
        message = self.side.message or Message(0, 0, b"", number)
        skipped = max(0, self.start - offset)
        message.add(offset + skipped - self.start, data[skipped:], number)
        return message

    def keep(self, context: Context | None, message: Message, shown: int) -> None:
        """The first `shown` bytes were complete messages; what follows waits for more."""
        self.start += shown
        rest: Message | None = message
        if shown:
            rest = Message(0, 0, bytes(message.data[shown:]), message.numbers[-1])
            rest.early = {offset - shown: piece for offset, piece in message.early.items()}
            if not rest.data and not rest.early:
                rest = None
        if context is None:
            self.side.message = rest
        else:
            context.hold(self.side, rest)


def _complete(data: bytes | bytearray) -> int:
    """Offset after the last handshake message of which no byte is missing."""
    at = 0
    while at + 4 <= len(data):
        after = at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        if after > len(data):
            break
        at = after
    return at


def varint(packet: Packet, at: int, limit: int) -> tuple[int, int]:
    """(value, bytes): the two highest bits give the length (RFC 9000, 16)."""
    width = 1 << (packet.uint(NAME, at, 1, limit) >> 6)
    return packet.uint(NAME, at, width, limit) & ((1 << (8 * width - 2)) - 1), width


def frames(crypto: Crypto) -> Callable[[Packet, int, int], Step | None]:
    """A dissector of the frames of a packet, whose handshake messages go on in `crypto`."""

    def show(packet: Packet, at: int, limit: int) -> Step | None:
        # Hellos come in dozens of frames; where only the columns are wanted, all share one item.
        item = Item(UNKNOWN.field, None, at, 0, buffer=packet.buffer)
        while at < limit:
            code, width = varint(packet, at, limit)
            kind = KINDS.get(code, UNKNOWN)
            if packet.build:
                item = packet.layer(kind.field, at, width)
            item.start = at
            _add(packet, item, TYPE, code, at, width)
            if kind.word and code not in WITH_ID:
                packet.info += f", {kind.word}"
            after = BODIES[code](packet, item, code, at + width, limit, crypto) if code in BODIES else at + width
            if kind.numbers and code not in BODIES:
                values, after = _numbers(packet, item, kind.numbers, after, limit)
                if code in WITH_ID:
                    packet.info += f", {kind.word}({values[0]})"
                    item.said = f"id={values[0]}"
            item.size = after - at
            at = after
        return None

    return show


def _add(packet: Packet, item: Item, field: Field, value: Any, at: int, size: int) -> None:
    if packet.build:
        packet.add(item, field, value, at, size)
    else:
        packet.count(1)


def _number(packet: Packet, item: Item, field: Field, at: int, limit: int) -> tuple[int, int]:
    """One number: its value and the offset after it."""
    value, width = varint(packet, at, limit)
    _add(packet, item, field, value, at, width)
    return value, at + width


def _numbers(packet: Packet, item: Item, fields: tuple[Field, ...], at: int, limit: int) -> tuple[list[int], int]:
    values = []
    for field in fields:
        value, at = _number(packet, item, field, at, limit)
        values.append(value)
    return values, at


def _bytes(packet: Packet, item: Item, field: Field, at: int, size: int, limit: int) -> int:
    packet.add(item, field, packet.take(NAME, at, size, limit), at, size)
    return at + size


def _padding(packet: Packet, item: Item, _code: int, at: int, limit: int, _crypto: Crypto) -> int:
    """As many as stand in a row are one line."""
    found = ZEROS.match(packet.data, at, packet.end(limit))
    end = at if found is None else found.end()
    _add(packet, item, PADDING_LENGTH, end - item.start, item.start, end - item.start)
    item.said = f"Length: {end - item.start}"
    return end


def _ack(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    """Ranges come as pairs of a gap and a length; a count that lies ends with the packet's bytes."""
    (_, _, count, _), at = _numbers(packet, item, (LARGEST, DELAY, RANGE_COUNT, FIRST_RANGE), at, limit)
    for _ in range(count):
        _, at = _numbers(packet, item, (GAP, RANGE), at, limit)
    return _numbers(packet, item, ECN, at, limit)[1] if code == 3 else at


def crypto_frame(packet: Packet, item: Item, code: int, at: int, limit: int, crypto: Crypto) -> int:
    """Handshake messages, of which this may be a part: the piece that completes some shows them."""
    (offset, size), at = _numbers(packet, item, KINDS[code].numbers, at, limit)
    data = packet.take(NAME, at, size, limit)
    _add(packet, item, CRYPTO_DATA, None, at, size)
    start = crypto.start
    known = start + (len(crypto.side.message.data) if crypto.side.message is not None else 0)
    if offset + size <= known:
        if size:
            packet.add(item, RETRANSMISSION, None, at, size)
        return at + size
    if offset + size - start > MAX_CRYPTO:
        return at + size
    message = crypto.add(offset, data, packet.number)
    end = _complete(message.data)
    if end and packet.build:
        # No name of a handshake stands in the columns: these can do without.
        if offset <= start and start + end <= offset + size:
            show_handshakes(packet, item, at + start - offset, at + start - offset + end, names=TLS, transport="q")
        else:
            packet.in_tree(item, _put_together, packet, item, message, end)
    crypto.keep(packet.context, message, end)
    return at + size


def _put_together(packet: Packet, item: Item, message: Message, end: int) -> None:
    """The messages in a buffer of their own, below the packet that completed them."""
    numbers = sorted({each for each in message.numbers if each})
    parent = packet.add(item, FRAGMENTS, None, item.start, 0, name_packets(numbers, end) if numbers else "")
    for each in numbers[:SHOWN_NUMBERS]:
        packet.add(parent, FRAGMENT, each, item.start, 0)
    packet.add(parent, FRAGMENT_COUNT, len(message.numbers), item.start, 0)

    def messages(packet: Packet, at: int, limit: int) -> Step | None:
        layer = packet.layer(HANDSHAKE, at, limit - at)
        layer.said = ", ".join(show_handshakes(packet, layer, at, limit, names=TLS, transport="q").words)
        return None

    packet.aside("Reassembled CRYPTO", bytes(message.data[:end]), Step((messages,), 0, end))


def _new_token(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    (size,), at = _numbers(packet, item, KINDS[code].numbers, at, limit)
    return _bytes(packet, item, TOKEN, at, size, limit)


def _stream(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    """The type's last three bits say what there is: an offset, a length, the end of the stream (RFC 9000, 19.8)."""
    for mask, field in ((1, FIN), (2, LENGTH_BIT), (4, OFFSET_BIT)):
        packet.add(item, field, bool(code & mask), item.start, 1)
    (stream,), after = _numbers(packet, item, KINDS[code].numbers, at, limit)
    packet.info += f", STREAM({stream})"
    packet.add(item, INITIATOR, stream & 1, at, after - at)
    packet.add(item, DIRECTION, stream >> 1 & 1, at, after - at)
    at, offset = after, 0
    if code & 4:
        offset, at = _number(packet, item, OFFSET, at, limit)
    size = limit - at
    if code & 2:
        size, at = _number(packet, item, LENGTH, at, limit)
    item.said = f"id={stream} fin={code & 1} off={offset} len={size}"
    return _bytes(packet, item, STREAM_DATA, at, size, limit)


def _new_id(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    _, at = _numbers(packet, item, KINDS[code].numbers, at, limit)
    size = packet.uint(NAME, at, 1, limit)
    packet.add(item, ID_LENGTH, size, at, 1)
    at = _bytes(packet, item, ID, at + 1, size, limit)
    return _bytes(packet, item, RESET_TOKEN, at, 16, limit)


def _path(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    return _bytes(packet, item, CHALLENGE if code == 0x1A else RESPONSE, at, 8, limit)


def _close(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    """Why the connection ends: an error of QUIC, of TLS (0x100 and its alert), or the application's."""
    start = at
    error, at = _number(packet, item, CODE if code == 0x1C else APPLICATION_CODE, at, limit)
    item.said = f"Error code: {error:#x}"
    if code == 0x1C:
        item.said = f"Error code: {ERRORS.get(error, f'{error:#x}')}"
        if error >> 8 == 1:
            alert = error & 0xFF
            packet.add(item, ALERT, alert, start, at - start)
            item.said += f" ({ALERTS.get(alert, alert)})"
        _, at = _number(packet, item, CLOSED_BY, at, limit)
    size, at = _number(packet, item, REASON_LENGTH, at, limit)
    return _bytes(packet, item, REASON, at, size, limit)


def _datagram(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    size = limit - at
    if code & 1:
        (size,), at = _numbers(packet, item, KINDS[code].numbers, at, limit)
    return _bytes(packet, item, DATAGRAM, at, size, limit)


def _ack_frequency(packet: Packet, item: Item, code: int, at: int, limit: int, _crypto: Crypto) -> int:
    _, at = _numbers(packet, item, KINDS[code].numbers, at, limit)
    packet.add(item, LAST_BYTE, packet.uint(NAME, at, 1, limit), at, 1)
    return at + 1


Body = Callable[[Packet, Item, int, int, int, Crypto], int]
BODIES: Final[dict[int, Body]] = {
    0x00: _padding,
    0x02: _ack,
    0x03: _ack,
    0x06: crypto_frame,
    0x07: _new_token,
    **dict.fromkeys(range(0x08, 0x10), _stream),
    0x18: _new_id,
    0x1A: _path,
    0x1B: _path,
    0x1C: _close,
    0x1D: _close,
    0x30: _datagram,
    0x31: _datagram,
    0xAF: _ack_frequency,
}
