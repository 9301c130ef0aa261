"""Bencoding (BEP 3): strings with their length, integers, lists, dictionaries; one pass, bounded in depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import group, text
from netwatch.capture.dissect.packet import Malformed, Packet, Short

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

__all__ = ["bencoded"]

STRING: Final = text("bt-dht.bencoded.string", "String")
INTEGER: Final = text("bt-dht.bencoded.int", "Int")
LIST: Final = group("bt-dht.bencoded.list", "List")
DICTIONARY: Final = group("bt-dht.bencoded.dict", "Dictionary")
ENTRY: Final = group("bt-dht.bencoded.dict_entry", "Dictionary Entry")
MAX_DEPTH: Final = 12
MAX_DIGITS: Final = 20
SHOWN: Final = 40
"""Bytes of a value that stand behind its key."""


def bencoded(packet: Packet, parent: Item, at: int, limit: int, depth: int = 0) -> tuple[int, bytes]:
    """Shows the value at `at` -> (offset after it, its bytes if it is a string or an integer)."""
    if depth > MAX_DEPTH:
        raise Malformed(f"bencoded values deeper than {MAX_DEPTH}", at)
    first = packet.take("Bencode", at, 1, limit)
    if first.isdigit():
        start, size = _number(packet, at, b":", limit)
        raw = packet.take("Bencode", start, size, limit)
        packet.add(parent, STRING, raw, at, start + size - at)
        return start + size, raw
    if first == b"i":
        after, _ = _number(packet, at + 1, b"e", limit)
        raw = packet.data[at + 1 : after - 1]
        packet.add(parent, INTEGER, raw, at, after - at)
        return after, raw
    if first == b"l":
        item = packet.add(parent, LIST, None, at, 1)
        at += 1
        while packet.take("Bencode", at, 1, limit) != b"e":
            at, _ = bencoded(packet, item, at, limit, depth + 1)
    elif first == b"d":
        item = packet.add(parent, DICTIONARY, None, at, 1)
        at += 1
        while packet.take("Bencode", at, 1, limit) != b"e":
            entry = packet.add(item, ENTRY, None, at, 1)
            start, key = bencoded(packet, entry, at, limit, depth + 1)
            at, value = bencoded(packet, entry, start, limit, depth + 1)
            entry.said = f"{_shown(key)}: {_shown(value)}" if value else _shown(key)
    else:
        raise Malformed("no bencoded value", at)
    return at + 1, b""


def _number(packet: Packet, at: int, stop: bytes, limit: int) -> tuple[int, int]:
    """(offset after its end mark, its value) of digits."""
    end = packet.data.find(stop, at, min(at + MAX_DIGITS, packet.end(limit)))
    if end < 0:
        if packet.end(limit) < min(at + MAX_DIGITS, limit):
            raise Short("Bencode", at, MAX_DIGITS, limit)
        raise Malformed("bencoded number without an end", at)
    digits = packet.data[at:end]
    if not digits.removeprefix(b"-").isdigit():
        raise Malformed("bencoded number that is none", at)
    return end + 1, max(int(digits), 0)


def _shown(raw: bytes) -> str:
    if raw.isascii() and raw.decode("ascii").isprintable():
        return raw[:SHOWN].decode("ascii")
    return raw[:SHOWN].hex()
