"""Google's QUIC before the IETF's (Q009 to Q046): public headers, and handshakes, which were in clear.

No standard describes it; the layout is that of Google's "QUIC Wire Layout Specification" and "QUIC Crypto".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from netwatch.capture.dissect.gquic_names import ID_LENGTHS, KNOWN, LONG, MESSAGES, PUBLIC, SHORT, UNKNOWN, Tag
from netwatch.capture.dissect.kit import Item, flag, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.quic_frames import Crypto, crypto_frame, varint
from netwatch.capture.dissect.registry import NOT_MINE, Step, signature

CID = number("gquic.cid", "CID")
VERSION = text("gquic.version", "Version")
NONCE = octets("gquic.diversification_nonce", "Diversification nonce")
NUMBER = number("gquic.packet_number", "Packet Number")
HASH = octets("gquic.message_authentication_hash", "Message Authentication Hash")
PRIVATE = number("gquic.prflags", "Private Flags", digits=2)
PAYLOAD = octets("gquic.payload", "Payload")

FRAMES: Final = {0: "PADDING", 2: "CONNECTION_CLOSE", 8: "CRYPTO"}
PADDING_FRAME = group("gquic.frame", "PADDING")
CRYPTO_FRAME = group("gquic.frame", "CRYPTO")
CLOSE_FRAME = group("gquic.frame", "CONNECTION_CLOSE")
STREAM_FRAME = group("gquic.frame", "STREAM (Special Frame Type)")
ACK_FRAME = group("gquic.frame", "ACK (Special Frame Type)")
TYPE = number("gquic.frame_type", "Frame Type", FRAMES, digits=2)
PADDING_LENGTH = number("gquic.frame_type.padding.length", "Padding Length")
ERROR = number("gquic.frame_type.cc.error_code", "Error code")
REASON_LENGTH = number("gquic.frame_type.cc.reason_phrase.length", "Reason phrase Length")
REASON = text("gquic.frame_type.cc.reason_phrase", "Reason phrase")
LARGEST = number("gquic.frame_type.ack.largest_acked", "Largest Acked")
FIN = flag("gquic.frame_type.stream.f", "FIN")
STREAM_ID = number("gquic.stream_id", "Stream ID")
OFFSET = number("gquic.offset", "Offset")
DATA_LENGTH = number("gquic.data_len", "Data Length")
STREAM_DATA = octets("gquic.stream_data", "Stream Data")

TAG = text("gquic.tag", "Tag")
TAG_NUMBER = number("gquic.tag_number", "Tag Number")
TAGS = group("gquic.tags", "Tag/value")
TAG_TYPE = text("gquic.tag_type", "Tag Type")
TAG_END = number("gquic.tag_offset_end", "Tag offset end")
TAG_LENGTH = number("gquic.tag_offset_length", "Tag length")
TAG_VALUE = octets("gquic.tag_value", "Tag/value")

NONCE_SIZE, HASH_SIZE, TAG_SIZE = 32, 12, 8
BIG_ENDIAN_SINCE: Final = 39
"""Q039: numbers in network order from there on."""
PRIVATE_UNTIL: Final = 33
NAME: Final = "GQUIC"


class Head(NamedTuple):
    """What a public header says."""

    layer: Item
    version: int
    end: int
    number: int | None
    cid: int | None


@signature("udp")
def gquic(packet: Packet, at: int, limit: int) -> Step | None:
    """A packet that names its version; the others of its conversation, which do not."""
    data = packet.data
    settled = _is_settled(packet)
    long = _version(data, at + 1) > 43 and data[at] & 0xC0 == 0xC0
    named = data[at : at + 1] and data[at] & 0x89 == 0x09 and _version(data, at + 9)
    if not long and not named:
        # Within a conversation a version of the IETF may follow; it names itself.
        other = data[at : at + 1] and data[at] & 0xC0 == 0xC0
        if not settled or other or at >= packet.end(limit):
            return NOT_MINE
    packet.column("gquic")
    packet.settle_on(gquic)
    memory = packet.memory("gquic")
    conversation = packet.conversation
    side = 0 if conversation is None else conversation.side(packet)
    if not settled and (long or named):
        memory["client"] = side
        memory["version"] = _version(data, at + 1) if long else _version(data, at + 9)
        memory["long"] = bool(long)
    from_client = memory.get("client", side) == side
    if long or memory.get("long"):
        head = _long_head(packet, at, limit, memory, from_client)
    else:
        opened = _public_head(packet, at, limit, memory, from_client)
        if opened is None:
            return None
        head = opened
    words = _payload(packet, head, limit)
    packet.info = words + _ending(head)
    head.layer.said = packet.info
    return None


def _ending(head: Head) -> str:
    said = f", PKN: {head.number}" if head.number is not None else ""
    return said + (f", CID: {head.cid}" if head.cid is not None else "")


def _version(data: bytes, at: int) -> int:
    """35 of `Q035`; 0 for none."""
    name = data[at : at + 4]
    return int(name[1:]) if len(name) == 4 and name[:2] == b"Q0" and name[1:].isdigit() and name < b"Q050" else 0


def _is_settled(packet: Packet) -> bool:
    context = packet.context
    return context is not None and "transport" in packet.values and context.dissector(packet) is gquic


def _integer(packet: Packet, at: int, size: int, limit: int, version: int) -> int:
    """A number in the order that the version has."""
    order = "big" if version >= BIG_ENDIAN_SINCE else "little"
    return int.from_bytes(packet.take(NAME, at, size, limit), order)  # type: ignore[arg-type]


def _public_head(packet: Packet, at: int, limit: int, memory: dict[Any, Any], from_client: bool) -> Head | None:
    """Flags, then what they announce. None: a packet that has no number, and is shown."""
    layer, (flags,) = packet.open(PUBLIC, at, limit)
    version: int = memory.get("version", BIG_ENDIAN_SINCE)
    where = at + 1
    cid = None
    if flags & 0x08:
        cid = _integer(packet, where, 8, limit, version)
        packet.add(layer, CID, cid, where, 8)
        where += 8
    if flags & 0x01:
        # From the server: all versions that it knows.
        end = where + 4 if from_client else max(where + 4, packet.end(limit) - 3)
        for offset in range(where, end, 4):
            packet.add(layer, VERSION, packet.take(NAME, offset, 4, limit), offset, 4)
        where = where + 4
    head = Head(layer, version, where, None, cid)
    layer.size = where - at
    if flags & 0x01 and not from_client:
        layer.said = packet.info = "Version Negotiation" + _ending(head)
        layer.size = packet.end(limit) - at
        return None
    if flags & 0x02:
        packet.info = "Public Reset"
        _message(packet, layer, where, limit)
        layer.said = packet.info = "Public Reset" + _ending(head)
        return None
    if flags & 0x04 and not flags & 0x01 and not from_client:
        packet.add(layer, NONCE, packet.take(NAME, where, NONCE_SIZE, limit), where, NONCE_SIZE)
        where += NONCE_SIZE
    size = (1, 2, 4, 6)[flags >> 4 & 3]
    count = _integer(packet, where, size, limit, version)
    packet.add(layer, NUMBER, count, where, size)
    return Head(layer, version, where + size, count, cid)


def _long_head(packet: Packet, at: int, limit: int, memory: dict[Any, Any], from_client: bool) -> Head:
    """Q046 has headers as the drafts of IETF QUIC had then."""
    first = packet.uint(NAME, at, 1, limit)
    layer, _ = packet.open(LONG if first & 0x80 else SHORT, at, limit)
    where = at + 1
    has_id = from_client
    if first & 0x80:
        packet.add(layer, VERSION, packet.take(NAME, where, 4, limit), where, 4)
        (lengths,) = packet.add_header(layer, ID_LENGTHS, where + 4, limit)
        has_id = bool(lengths)
        where += 5
    cid = None
    if has_id:
        cid = packet.uint(NAME, where, 8, limit)
        packet.add(layer, CID, cid, where, 8)
        where += 8
    size = (first & 3) + 1
    count = packet.uint(NAME, where, size, limit)
    packet.add(layer, NUMBER, count, where, size)
    return Head(layer, memory.get("version", 46), where + size, count, cid)


def _payload(packet: Packet, head: Head, limit: int) -> str:
    """Frames where they are in clear: handshakes, and connections that are closed before one."""
    layer, at, end = head.layer, head.end, packet.end(limit)
    layer.size = at - layer.start
    private = int(head.version <= PRIVATE_UNTIL)
    frames = at + HASH_SIZE + private
    if not _is_clear(packet.data, frames, end, head.version):
        rest = packet.rest(at, limit)
        if rest:
            packet.add(layer, PAYLOAD, rest, at, len(rest))
            layer.size += len(rest)
        return "Payload (Encrypted)"
    packet.add(layer, HASH, packet.data[at : at + HASH_SIZE], at, HASH_SIZE)
    if private:
        packet.add(layer, PRIVATE, packet.data[at + HASH_SIZE], at + HASH_SIZE, 1)
    words = ""
    at = frames
    while at < limit:
        code = packet.uint(NAME, at, 1, limit)
        if not code:
            item, size = packet.add(layer, PADDING_FRAME, None, at, end - at, f"Length: {end - at}"), end - at
            packet.add(item, TYPE, code, at, 1)
            packet.add(item, PADDING_LENGTH, size, at, size)
            at = end
        elif code & 0x80:
            at, name = _stream(packet, layer, code, at, limit, head.version)
            words = words or name
        elif code & 0x40:
            after = _after_ack(packet.data, at, end, head.version)
            item = packet.add(layer, ACK_FRAME, None, at, after - at)
            packet.add(item, TYPE, code, at, 1)
            size = (1, 2, 4, 6)[code >> 2 & 3]
            packet.add(item, LARGEST, _integer(packet, at + 1, size, limit, head.version), at + 1, size)
            at = after
        elif code == 2:
            at = _close(packet, layer, at, limit, head.version)
            words = words or "Connection Close"
        else:
            break
    if at < end:
        packet.add(layer, PAYLOAD, packet.data[at:end], at, end - at)
    layer.size = end - layer.start
    return words


def _is_clear(data: bytes, at: int, end: int, version: int) -> bool:
    """Whether frames begin at `at`: a message on stream 1, maybe after an ACK, or a reason to close that fits."""
    if at >= end:
        return False
    code = data[at]
    if code & 0xC0 == 0x40:
        at = _after_ack(data, at, end, version)
        return at < end and bool(data[at] & 0x80) and _is_clear(data, at, end, version)
    if code & 0x80:
        stream = at + 1
        size = (code & 3) + 1
        body = stream + size + _offset_size(code) + (2 if code & 0x20 else 0)
        order = "big" if version >= BIG_ENDIAN_SINCE else "little"
        return (
            int.from_bytes(data[stream : stream + size], order) == 1  # type: ignore[arg-type]
            and data[body : body + 4] in MESSAGES
        )
    return (
        code == 2
        and at + 7 <= end
        and not any(data[at + 1 : at + 3] if version >= BIG_ENDIAN_SINCE else data[at + 3 : at + 5])
    )


def _offset_size(code: int) -> int:
    """0, or 2 to 8 bytes."""
    bits = code >> 2 & 7
    return bits + 1 if bits else 0


def _after_ack(data: bytes, at: int, end: int, version: int) -> int:
    """The offset after an ACK (Q034 and later); `end` where it does not fit."""
    code = data[at]
    largest, block = (1, 2, 4, 6)[code >> 2 & 3], (1, 2, 4, 6)[code & 3]
    where = at + 1 + largest + 2
    if version <= PRIVATE_UNTIL or where >= end:
        return end
    blocks = 0
    if code & 0x20:
        blocks, where = data[where], where + 1
    where += block + blocks * (1 + block)
    if where >= end:
        return end
    stamps = data[where]
    return min(end, where + 1 + (5 + 3 * (stamps - 1) if stamps else 0))


def _stream(packet: Packet, layer: Item, code: int, at: int, limit: int, version: int) -> tuple[int, str]:
    """Data of a stream: the offset after it and the name of the message that it begins with."""
    item = packet.add(layer, STREAM_FRAME, None, at, 1)
    packet.add(item, TYPE, code, at, 1)
    packet.add(item, FIN, bool(code & 0x40), at, 1)
    where, size = at + 1, (code & 3) + 1
    stream = _integer(packet, where, size, limit, version)
    packet.add(item, STREAM_ID, stream, where, size)
    item.said = f"Stream ID: {stream}"
    where += size
    size = _offset_size(code)
    if size:
        packet.add(item, OFFSET, _integer(packet, where, size, limit, version), where, size)
        where += size
    end = limit
    if code & 0x20:
        length = _integer(packet, where, 2, limit, version)
        packet.add(item, DATA_LENGTH, length, where, 2)
        where += 2
        end = where + length
    name = MESSAGES.get(packet.data[where : where + 4], "") if stream == 1 else ""
    if name:
        packet.info = name
        item.said += f", Type: {name}"
        after = _message(packet, item, where, min(end, limit))
        # Without a length the message says where it ends; zeros behind it are padding.
        end = end if code & 0x20 else after
    packet.check(NAME, where, end - where, limit)
    if not name:
        packet.add(item, STREAM_DATA, packet.data[where:end], where, end - where)
    item.size = end - at
    return end, name


def _message(packet: Packet, item: Item, at: int, limit: int) -> int:
    """A tag, a count, that many tags with the offset at which their values end, and the values."""
    packet.add(item, TAG, packet.take(NAME, at, 4, limit).rstrip(b"\0"), at, 4)
    count = int.from_bytes(packet.take(NAME, at + 4, 2, limit), "little")
    packet.add(item, TAG_NUMBER, count, at + 4, 2)
    index, values = at + 8, at + 8 + count * TAG_SIZE
    packet.check(NAME, index, count * TAG_SIZE, limit)
    begin = 0
    for where in range(index, values, TAG_SIZE):
        name, end = packet.data[where : where + 4], int.from_bytes(packet.data[where + 4 : where + 8], "little")
        size = end - begin
        if size < 0:
            packet.mark(f"GQUIC tag ends at {end}, before it begins", where + 4)
            return values + begin
        value = packet.take(NAME, values + begin, size, limit)
        known = KNOWN.get(name, UNKNOWN)
        short = name.rstrip(b"\0\xff").decode("latin-1")
        tag = packet.add(item, TAGS, None, where, TAG_SIZE, f"{short} ({known.label}) (l={size})")
        packet.add(tag, TAG_TYPE, name.rstrip(b"\0"), where, 4)
        packet.add(tag, TAG_END, end, where + 4, 4)
        packet.add(tag, TAG_LENGTH, size, where + 4, 4)
        _value(packet, tag, known, value, values + begin)
        begin = end
    item.size = max(item.size, values + begin - item.start)
    return values + begin


def _value(packet: Packet, tag: Item, known: Tag, value: bytes, at: int) -> None:
    packet.add(tag, TAG_VALUE, value, at, len(value))
    if known.kind == "list":
        for offset in range(0, len(value) - 3, 4):
            packet.add(tag, known.field, value[offset : offset + 4].rstrip(b"\0"), at + offset, 4)
    elif known.kind == "number":
        packet.add(tag, known.field, int.from_bytes(value[:8], "little"), at, len(value))
    else:
        packet.add(tag, known.field, value, at, len(value))
        if known.kind == "text":
            tag.said += ": " + value.decode("utf-8", "surrogateescape")


def _close(packet: Packet, layer: Item, at: int, limit: int, version: int) -> int:
    """An error and words for it."""
    item = packet.add(layer, CLOSE_FRAME, None, at, 7)
    packet.add(item, TYPE, 2, at, 1)
    error, size = _integer(packet, at + 1, 4, limit, version), _integer(packet, at + 5, 2, limit, version)
    item.said = f"Error code: {error}"
    packet.add(item, ERROR, error, at + 1, 4)
    packet.add(item, REASON_LENGTH, size, at + 5, 2)
    packet.add(item, REASON, packet.take(NAME, at + 7, size, limit), at + 7, size)
    item.size = 7 + size
    return at + 7 + size


def google_frames(crypto: Crypto) -> Callable[[Packet, int, int], Step | None]:
    """A dissector of decrypted frames of Q050, T050 and T051: handshakes of Google's kind, or of TLS in `crypto`."""

    def show(packet: Packet, at: int, limit: int) -> Step | None:
        while at < limit and packet.data[at] in (0, 8):
            code = packet.data[at]
            item = packet.layer(CRYPTO_FRAME if code else PADDING_FRAME, at, 1)
            packet.add(item, TYPE, code, at, 1)
            start, at = at, limit
            if code:
                packet.info += ", CRYPTO"
                at = _crypto(packet, item, start + 1, limit, crypto)
            else:
                packet.add(item, PADDING_LENGTH, at - start, start, at - start)
            item.size = at - start
        return Step((), at, limit) if at < limit else None

    return show


def _crypto(packet: Packet, item: Item, at: int, limit: int, crypto: Crypto) -> int:
    """A piece of a handshake: the offset after it."""
    _, width = varint(packet, at, limit)
    size, more = varint(packet, at + width, limit)
    body = at + width + more
    name = MESSAGES.get(packet.data[body : body + 4])
    if name is None:
        return crypto_frame(packet, item, 6, at, limit, crypto)
    packet.info = name
    _message(packet, item, body, min(body + size, limit))
    return body + size
