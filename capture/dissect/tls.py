"""TLS records over TCP (RFC 5246, 8446; SSL 2.0 hellos: RFC 5246, appendix E): what is in clear, nothing decrypted.

What a conversation settled is remembered: its version, what each side still has to send of a message, and from when
on its messages are encrypted.
"""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.framed import Passed, roomy, sized
from netwatch.capture.dissect.kit import U8, U16, Header, Hex16, Item, group, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.tls_fields import TLS, Names
from netwatch.capture.dissect.tls_handshake import show_handshakes
from netwatch.capture.dissect.tls_names import (
    ALERT_LEVELS,
    ALERTS,
    CIPHERS,
    CONTENT_TYPES,
    HANDSHAKES,
    SHOWN_VERSIONS,
    VERSIONS,
)

__all__ = ["is_plain", "show_alert", "show_heartbeat", "side", "tls"]


def _record(kind: str, label: str) -> Header:
    return Header(
        "tls.record",
        "TLS Record Layer",
        (U8(kind, label, CONTENT_TYPES), Hex16("version", "Version", VERSIONS), U16("length", "Length")),
    )


RECORD: Final = _record("content_type", "Content Type")
OPAQUE: Final = _record("opaque_type", "Opaque Type")
"""In TLS 1.3 the type of what is encrypted is encrypted as well (RFC 8446, 5.2)."""
LAYER: Final = Header("tls", "Transport Layer Security", ())
FRAGMENT: Final = octets("", "Part of a handshake message")
PARTS: Final = number("tls.handshake.fragment.count", "Handshake Fragment count")
IGNORED: Final = octets("tls.ignored_unknown_record", "Ignored Unknown Record")
CONTINUED: Final = octets("", "Continuation Data")

NAME: Final = "TLS record"
STREAM_VERSIONS: Final = range(0x0300, 0x0305)
TLS_1_3: Final = 0x0304
MAX_RECORD: Final = 16384 + 2048
SMALL: Final = rb"\x17\x03[\x00-\x04]\x00" + sized()
"""A small record of application data: nothing later depends on it."""
"""RFC 5246, 6.2.3."""
MAX_MESSAGE: Final = 1 << 17
"""Of a handshake message in several records; who sends more has no certificate."""

PORTS: Final = (
    *(324, 443, 465, 636, 802, 853, 993, 995, 1300, 2221, 2443, 3249, 3250, 3251, 3252, 3496),
    *(5061, 5671, 5684, 5868, 8883, 11207, 19999),
)
"""Where what is no text is taken for TLS; on all others it is recognised by its first bytes."""

HELLO_2: Final = Header(
    "tls.record",
    "SSLv2 Record Layer",
    (
        U16("length", "Length", form=lambda word: str(word & 0x7FFF), plain=lambda word: str(word & 0x7FFF)),
        U8("=tls.handshake.type", "Handshake Message Type", {1: "Client Hello"}),
        Hex16("=tls.handshake.version", "Version", VERSIONS),
        U16("=tls.handshake.cipher_spec_len", "Cipher Spec Length"),
        U16("=tls.handshake.session_id_length", "Session ID Length"),
        U16("=tls.handshake.challenge_length", "Challenge Length"),
    ),
)
SPECS: Final = group("", "Cipher Specs")
SPEC: Final = number("tls.handshake.cipherspec", "Cipher Spec", CIPHERS, digits=6)
CHALLENGE: Final = octets("tls.handshake.challenge", "Challenge")


def side(packet: Packet) -> int:
    """Which of the two endpoints sent the packet."""
    conversation = packet.conversation
    return 0 if conversation is None else conversation.side(packet)


@on("tcp.port", *PORTS)
def tls_by_port(packet: Packet, at: int, limit: int) -> Step | None:
    """On its ports what is no record is taken for a later part of one, unless it is text."""
    following = _dissect(packet, at, limit, packet.memory("tls"))
    head = packet.data[at : at + 4]
    if following is NOT_MINE and len(head) == 4 and not all(0x20 <= byte < 0x7F for byte in head):
        _lump(packet, at, limit, CONTINUED, "SSL")
        return None
    return following


@signature("tcp")
def tls(packet: Packet, at: int, limit: int) -> Step | None:
    """On other ports a conversation is TLS from a handshake message or application data on."""
    memory = packet.memory("tls")
    if not memory and (limit - at < 2 or packet.data[at : at + 1] not in (b"\x16", b"\x17", b"\x80")):
        return NOT_MINE
    following = _dissect(packet, at, limit, memory)
    if following is not NOT_MINE and "settled" not in memory:
        memory["settled"] = True
        packet.settle_on(tls)
    return following


def _dissect(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    """Records, as many as are complete."""
    version = memory.get("version", 0)
    head = packet.data[at : at + 5]
    if _is_hello_2(packet.data[at : at + 11], limit - at):
        _hello_2(packet, at, limit)
        return None
    if not (_may_be(head) or ((version or memory.get("begun")) and len(head) < RECORD.size)):
        if not version:
            return NOT_MINE
        _lump(packet, at, limit, IGNORED, SHOWN_VERSIONS.get(version, "TLS"))
        return None
    layer = packet.layer(LAYER.field, at, 0)
    # A segment may end one message and hold others: their words stand in one line.
    words: list[str] = packet.values.setdefault("tls.words", [])
    said: list[str] = []
    sender = side(packet)
    start = at
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        packet.whole(NAME, at, RECORD.size, limit, "")
        head = packet.data[at : at + 5]
        if not _plausible(head):
            if said:
                said.append("Ignored Unknown Record")
                words.append("Ignored Unknown Record")
                rest = packet.rest(at, limit)
                packet.add(layer, IGNORED, rest, at, len(rest))
                at = limit
            break
        length = int.from_bytes(head[3:5], "big")
        packet.whole(NAME, at, RECORD.size + length, limit, "")
        end = at + RECORD.size + length
        if head[0] == 23 and not roomy(packet):
            passed.single(at, end)
            at = end
            continue
        memory["begun"] = True
        if not words:
            packet.column("tls")
        kind, shown = head[0], memory.get("version", 0)
        if not shown:
            shown = int.from_bytes(head[1:3], "big")
            if kind != 22:
                memory["version"] = shown
        packet.protocol = SHOWN_VERSIONS.get(shown, "TLS")
        header = OPAQUE if kind == 23 and shown == TLS_1_3 else RECORD
        item = packet.add(layer, header.field, None, at, RECORD.size + length)
        layer.size = end - start
        packet.add_header(item, header, at, limit)
        found = _fragment(packet, item, kind, at + 5, end, sender, memory)
        if kind == 22 and not memory.get("version") and found != ["Client Hello"]:
            memory["version"] = shown
        packet.protocol = SHOWN_VERSIONS.get(memory.get("version", shown), "TLS")
        said += found
        words += found
        # A record in the middle of a message has no words of its own; a row without any would say nothing.
        middle = "" if found else _going_on(memory, sender)
        item.said = f"{packet.protocol} {', '.join(found) or middle}"
        packet.info = ", ".join(words) or middle
        at = end
    layer.said = ", ".join(said)
    return Step((), at, limit) if at < limit else None


def _going_on(memory: dict[Any, Any], sender: int) -> str:
    """`[Certificate Fragment]`: what a side has begun to send."""
    part, _ = memory.get(("part", sender), (b"", 0))
    return f"[{HANDSHAKES.get(part[0], 'Handshake') if part else 'Handshake'} Fragment]"


def _may_be(head: bytes) -> bool:
    """Whether a payload that begins so, with fewer than five bytes too, can be a record."""
    if len(head) < RECORD.size:
        return head in (b"\x16", b"\x17") or (len(head) > 1 and head[0] in CONTENT_TYPES and head[1] == 3)
    return _plausible(head)


def _plausible(head: bytes) -> bool:
    if len(head) < RECORD.size or head[0] not in CONTENT_TYPES:
        return False
    length = int.from_bytes(head[3:5], "big")
    return int.from_bytes(head[1:3], "big") in STREAM_VERSIONS and (0 < length <= MAX_RECORD or head[0] == 23)


def _lump(packet: Packet, at: int, limit: int, field: Any, protocol: str) -> None:
    """Bytes in which no record begins."""
    words: list[str] = packet.values.setdefault("tls.words", [])
    if words[-1:] != [field.label]:
        words.append(field.label)
    packet.column("tls", ", ".join(words))
    packet.protocol = protocol
    rest = packet.rest(at, limit)
    layer = packet.layer(LAYER.field, at, len(rest), field.label)
    packet.add(layer, field, rest, at, len(rest))


def _fragment(
    packet: Packet, item: Item, kind: int, at: int, end: int, sender: int, memory: dict[Any, Any]
) -> list[str]:
    """What one record holds: its words of the Info column."""
    encrypted = memory.get(("encrypted", sender), False)
    if kind == 22:
        return _handshakes(packet, item, at, end, sender, memory)
    if kind == 20:
        memory["encrypted", sender] = True
        packet.add(item, TLS.change, None, at, end - at)
        return ["Change Cipher Spec"]
    if kind == 21:
        return [show_alert(packet, item, at, end, TLS, encrypted)]
    if kind == 24:
        return [show_heartbeat(packet, item, at, end, TLS, encrypted)]
    rest = packet.rest(at, end)
    packet.add(item, TLS.application, rest, at, len(rest))
    return ["Application Data"]


def show_alert(packet: Packet, item: Item, at: int, end: int, names: Names, encrypted: bool) -> str:
    """Level and description (RFC 5246, 7.2), where they can be read."""
    if end - at != 2 or encrypted:
        packet.add(item, names.alert, None, at, end - at, "Encrypted Alert")
        return "Encrypted Alert"
    level, code = packet.rest(at, end).ljust(2, b"\0")[:2]
    level_name, code_name = ALERT_LEVELS.get(level, level), ALERTS.get(code, code)
    alert = packet.add(item, names.alert, None, at, 2, str(code_name))
    packet.add(alert, names.alert_level, level, at, 1)
    packet.add(alert, names.alert_code, code, at + 1, 1)
    return f"Alert (Level: {level_name}, Description: {code_name})"


def show_heartbeat(packet: Packet, item: Item, at: int, end: int, names: Names, encrypted: bool) -> str:
    """RFC 6520, 4. A payload that is said to be longer than its record asks for what is not its own."""
    kind = packet.data[at] if at < end else 0
    if encrypted or kind not in (1, 2) or end - at < 3:
        packet.add(item, names.heartbeat, None, at, end - at, "Encrypted Heartbeat")
        return "Encrypted Heartbeat"
    said = f"Heartbeat {'Request' if kind == 1 else 'Response'}"
    beat = packet.add(item, names.heartbeat, None, at, end - at, said)
    size = int.from_bytes(packet.data[at + 1 : at + 3], "big")
    packet.add(beat, names.heartbeat_type, kind, at, 1)
    packet.add(beat, names.heartbeat_length, size, at + 1, 2)
    stop = min(at + 3 + size, end)
    packet.add(beat, names.heartbeat_payload, packet.data[at + 3 : stop], at + 3, stop - at - 3)
    if at + 3 + size > end:
        packet.mark(f"TLS heartbeat: {size} bytes of payload in a record of {end - at} (Heartbleed)", at + 1)
    elif stop < end:
        packet.add(beat, names.heartbeat_padding, packet.data[stop:end], stop, end - stop)
    return said


def is_plain(data: bytes, at: int, end: int, encrypted: bool) -> bool:
    """Whether a handshake record is in clear. After Change Cipher Spec only the hellos of a retry are."""
    kind, length = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
    if encrypted:
        return kind in (1, 2) and at + 4 + length == end
    # A record whose nonce is zero looks like Hello Requests, which stand alone.
    return kind in HANDSHAKES and length <= MAX_MESSAGE and (kind != 0 or end - at == 4)


def _handshakes(packet: Packet, item: Item, at: int, end: int, sender: int, memory: dict[Any, Any]) -> list[str]:
    """Messages of a record, the first of which may have begun in others, the last of which may go on."""
    part, count = memory.pop(("part", sender), (bytearray(), 0))
    words: list[str] = []
    if part:
        before = len(part)
        part += packet.data[at:end]
        length = 4 + int.from_bytes(part[1:4], "big")
        if len(part) < 4 or len(part) < length:
            _keep(packet, item, at, end, part, count, sender, memory)
            return []
        _show_joined(packet, bytes(part[:length]), count + 1, words, memory)
        at += length - before
        if at == end:
            return words
    if end - at < 4:
        if memory.get(("encrypted", sender)):
            return ["Encrypted Handshake Message"]
        word = _keep(packet, item, at, end, bytearray(packet.data[at:end]), 0, sender, memory)
        return words or [word]
    if not is_plain(packet.data, at, end, memory.get(("encrypted", sender), False)):
        packet.add(item, TLS.message, None, at, end - at, "Encrypted Handshake Message")
        return [*words, "Encrypted Handshake Message"]
    shown = show_handshakes(packet, item, at, end, state=memory)
    words += shown.words
    if shown.end < end:
        rest = bytearray(packet.data[shown.end : end])
        word = _keep(packet, item, shown.end, end, rest, 0, sender, memory)
        if not words:
            words.append(word)
    return words


def _keep(
    packet: Packet, item: Item, at: int, end: int, part: bytearray, count: int, sender: int, memory: dict[Any, Any]
) -> str:
    """The part of a message that a record holds, kept for the record that ends it: its word."""
    packet.add(item, FRAGMENT, packet.data[at:end], at, end - at)
    if len(part) >= 4 and int.from_bytes(part[1:4], "big") > MAX_MESSAGE:
        return "Encrypted Handshake Message"
    memory["part", sender] = part, count + 1
    return _going_on(memory, sender)


def _show_joined(packet: Packet, joined: bytes, count: int, words: list[str], memory: dict[Any, Any]) -> None:
    """A message out of several records: as a layer, over bytes of its own."""

    def show(packet: Packet, at: int, limit: int) -> None:
        layer = packet.layer(TLS.message, at, limit - at, f"reassembled from {count} records")
        packet.add(layer, PARTS, count, at, 0)
        words.extend(show_handshakes(packet, layer, at, limit, state=memory).words)

    packet.aside("Reassembled TLS handshake", joined, Step((show,), 0, len(joined)))


def _is_hello_2(head: bytes, size: int) -> bool:
    """A Client Hello of SSL 2.0 (RFC 5246, E.2): its lengths fill its record."""
    if len(head) < HELLO_2.size or not head[0] & 0x80 or head[2] != 1 or head[3:5] not in HELLO_2_VERSIONS:
        return False
    lengths = [int.from_bytes(head[where : where + 2], "big") for where in (5, 7, 9)]
    length = int.from_bytes(head[:2], "big") & 0x7FFF
    return length == 9 + sum(lengths) and lengths[0] % 3 == 0 and length + 2 <= size


HELLO_2_VERSIONS: Final = (b"\0\2", b"\3\0", b"\3\1", b"\3\2", b"\3\3")


def _hello_2(packet: Packet, at: int, limit: int) -> None:
    packet.column("tls", "Client Hello")
    packet.protocol = "SSLv2"
    layer = packet.layer(LAYER.field, at, limit - at, "Client Hello")
    item = packet.add(layer, HELLO_2.field, None, at, limit - at, "SSLv2 Client Hello")
    _, _, _, specs, session, challenge = packet.add_header(item, HELLO_2, at, limit)
    at += HELLO_2.size
    several = packet.add(item, SPECS, None, at, specs, f"{specs // 3} specs")
    for where in range(at, at + specs, 3):
        packet.add(several, SPEC, packet.uint("SSLv2 Client Hello", where, 3, limit), where, 3)
    at += specs
    for field, size in ((TLS.session, session), (CHALLENGE, challenge)):
        if size:
            packet.add(item, field, packet.take("SSLv2 Client Hello", at, size, limit), at, size)
        at += size
