"""RESP, the protocol of Redis: version 2, and the types of version 3 (Redis serialization protocol specification)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.dissect.framed import MOST_SMALL, RESERVE, Passed, before, roomy, small
from netwatch.capture.dissect.kit import Field, Header, flag, group, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, MAX_ITEMS, MAX_MESSAGE, Malformed, Packet, TooMuch
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

PORT: Final = 6379
RESP = Header("resp", "REdis Serialization Protocol", ())
NAME: Final = "RESP"
STRING, ERROR = text("resp.string", "String"), text("resp.error", "Error")
INTEGER = number("resp.integer", "Integer")
INLINE = text("resp.fragment", "Inline command")
NULL, BOOLEAN = group("resp.null", "Null"), flag("resp.boolean", "Boolean")
DOUBLE, BIG = text("resp.double", "Double"), text("resp.big_number", "Big Number")


class Kind(NamedTuple):
    """A type that says how much follows."""

    field: Field
    length: Field
    value: Field | None
    word: str
    """What the Info column calls it; empty: its elements are what is called by name."""
    each: int
    """Elements for each that it counts: 2 in a map."""


def _kind(name: str, label: str, each: int = 0) -> Kind:
    word = label.replace(" ", "")
    length = number(f"resp.{name}.length", "Length")
    return Kind(
        group(f"resp.{name}", label), length, None if each else octets(f"resp.{name}.value", "Value"), word, each
    )


BULK: Final = {
    ord("$"): _kind("bulk_string", "Bulk String"),
    ord("!"): _kind("bulk_error", "Bulk Error"),
    ord("="): _kind("verbatim_string", "Verbatim String"),
}
MANY: Final = {
    ord("*"): _kind("array", "Array", 1),
    ord("~"): _kind("set", "Set", 1),
    ord(">"): _kind("push", "Push", 1),
    ord("%"): _kind("map", "Map", 2),
    ord("|"): _kind("attribute", "Attribute", 2),
}
LINES: Final = {
    ord("+"): STRING,
    ord("-"): ERROR,
    ord(":"): INTEGER,
    ord("_"): NULL,
    ord("#"): BOOLEAN,
    ord(","): DOUBLE,
    ord("("): BIG,
}
TYPES: Final = frozenset({*BULK, *MANY, *LINES})
SHORTEST: Final = 3
"""Bytes that any element takes: a letter, CR and LF."""
MAX_LINE: Final = 1 << 16
"""Servers take no longer line."""
MAX_LATE_LINE: Final = 4096
"""Of one in a message that is longer than that already."""
MAX_NESTED: Final = 64
"""Arrays within arrays; servers answer with a few."""
MAX_NUMBER: Final = 32
"""Digits of a length."""
MAX_DEPTH: Final = 30
"""Levels that the tree shows; what nests deeper stands at the last."""


def _element(longest: int) -> bytes:
    """A regular expression of what has nothing within and is small."""
    bulk = b"|".join(rb"%d\r\n.{%d}" % (size, size + 2) for size in range(longest))
    return rb"(?:[+:_#,(-][^\r\n]{0,99}\r\n|[*~>%%|](?:0|-1)\r\n|[$!=](?:-1\r\n|%b))" % bulk


_FEW: Final = rb"(?:[*~>]2|%%1)\r\n%b{2}|[*~>]3\r\n%b{3}|(?:[*~>]4|%%2)\r\n%b{4}|[*~>]5\r\n%b{5}" % (
    (_element(32),) * 4
)
SMALL: Final = rb"(?:[*~>]1\r\n){0,30}(?:%b|%b)" % (_element(MOST_SMALL), _FEW)
"""An element that is small and simple, and a few of them in an array."""
ARRAY: Final = re.compile(rb"[*~>]([1-9]\d{0,5})\r\n")
MAX_ELEMENTS: Final = 2000
"""Others of which the end is looked for."""
EACH: Final = 32
"""Bytes for each of them, in a message that is longer."""
SHOWN: Final = 100
"""Bytes of a string that the Info column spells out, as tshark has it."""


@on("tcp.port", PORT)
def resp(packet: Packet, at: int, limit: int) -> Step | None:
    """Elements, each with its type in the first byte; a person may type a command as a line of words."""
    asks = packet.values.get("ports", (0, 0))[1] == PORT
    first = packet.data[at : at + 1]
    if not first or not (first[0] in TYPES or (asks and first.isalpha())):
        return NOT_MINE
    packet.column("redis", before(packet, NAME) or ("Request:" if asks else "Response:"))
    end = packet.end(limit)
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < end:
        try:
            size, line, steps = _size(packet, at, end)
        except Malformed as malformed:
            layer = packet.layer(RESP.field, at, end - at)
            packet.add(layer, INLINE, packet.data[at:end], at, end - at)
            packet.mark(malformed.what, malformed.offset)
            packet.info += MALFORMED_MARK
            return None
        if at + size > end and limit <= packet.caplen:
            if line:
                packet.more(NAME, at, limit)
            packet.whole(NAME, at, size, limit)
        if roomy(packet):
            layer = packet.layer(RESP.field, at, min(size, end - at))
            said = [packet.info]
            _show(packet, layer, at, min(at + size, end), asks, said)
            packet.info = " ".join(said)
        else:
            passed.single(at, at + size, steps)
        packet.check(NAME, at, size, max(limit, at + size))
        at += size
    return None


def _size(packet: Packet, at: int, end: int) -> tuple[int, bool, int]:
    """Bytes of the element at `at`; more than there are to `end`: at least so many. And whether what is missing is
    the end of a line, wherever that may be; and how much work that was."""
    data = packet.data
    start, left, steps = at, 1, 0
    within: list[int] = []  # elements that are left behind each array that is open
    array = ARRAY.match(data, at, end)
    if array is not None:
        # Most are of simple elements, all of which are here.
        many, at = small(SMALL, data, array.end(), end, int(array[1]))
        left, steps, within = int(array[1]) - many, 1, [0]
    while left:
        if at >= end:
            return at + left * SHORTEST - start, False, steps
        steps += 1
        if steps > MAX_ELEMENTS + (at - start) // EACH:
            raise TooMuch("more elements than are counted", at)
        kind = data[at]
        number = kind in BULK or kind in MANY
        whole = end - start < MAX_LINE
        most = MAX_NUMBER if number else MAX_LINE if whole else MAX_LATE_LINE
        stop = data.find(b"\r\n", at, min(end, at + most + 2))
        if stop < 0:
            if end - at > most:
                raise Malformed("RESP: a line without its end", at)
            return max(end + 1, at + left * SHORTEST) - start, whole and not number, steps
        left -= 1
        if kind in MANY:
            while within and left < within[-1]:
                within.pop()
            within.append(left)
            left += max(_length(data, at, stop), 0) * MANY[kind].each
            if len(within) > MAX_NESTED:
                raise Malformed("RESP: arrays nest too deep", at)
        elif kind in BULK:
            size = _length(data, at, stop)
            stop += size + 2 if size >= 0 else 0
        elif kind not in LINES and at != start:
            raise Malformed(f"RESP: type {chr(kind)!r} is not known", at)
        at = stop + 2
        if left > 1:
            many, at = small(SMALL, data, at, end, left)
            left -= many
        if at - start + left * SHORTEST > MAX_MESSAGE:
            break
    return at - start + left * SHORTEST, False, steps


def _length(data: bytes, at: int, stop: int) -> int:
    """What stands behind the type; -1: null."""
    digits = data[at + 1 : stop]
    if digits == b"-1":
        return -1
    if not digits.isdigit() or len(digits) > MAX_NUMBER:
        raise Malformed("RESP: a length that is none", at + 1)
    return int(digits)


def _show(packet: Packet, layer: Item, at: int, end: int, asks: bool, said: list[str]) -> None:
    """The elements between `at` and `end`; `said`: words of the Info column."""
    data = packet.data
    open_: list[tuple[Item, int]] = [(layer, 1)]
    while open_ and at < end and packet.items < MAX_ITEMS - RESERVE:
        parent, left = open_.pop()
        if not left:
            parent.size = max(parent.size, at - parent.start)
            continue
        open_.append((parent, left - 1))
        depth = len(open_) - 1
        kind = data[at]
        stop = data.find(b"\r\n", at, end)
        if stop < 0:
            return  # the capture cut it
        after = stop + 2
        if kind in MANY:
            many = _length(data, at, stop)
            about = MANY[kind]
            item = packet.add(parent, about.field, None, at, after - at, f"Length {many}" if many >= 0 else "[NULL]")
            packet.add(item, about.length, many, at, after - at)
            if not asks and not depth:
                said.append(f"{about.word}({many})")
            if many > 0:
                open_.append((item if depth < MAX_DEPTH else parent, many * about.each))
        elif kind in BULK:
            size = _length(data, at, stop)
            about = BULK[kind]
            value = data[after : min(after + size, end)] if size > 0 else b""
            following = min(after + size + 2, end) if size >= 0 else after
            shown = value.split(b"\0", 1)[0].decode("utf-8", "surrogateescape") if size >= 0 else "[NULL]"
            item = packet.add(parent, about.field, None, at, following - at, shown[: 2 * SHOWN])
            packet.add(item, about.length, size, at, after - at)
            if value and about.value is not None:
                packet.add(item, about.value, value, after, len(value))
            if size >= 0:
                _say(said, about, shown, size, asks, depth)
            after = following
        else:
            _line(packet, parent, kind, at, stop, after, said, not asks and not depth)
        at = after


def _say(said: list[str], about: Kind, shown: str, size: int, asks: bool, depth: int) -> None:
    """Words of a command, and an answer that is one string; of what is no text only how long it is."""
    if (depth == 1 if asks else not depth) and shown.isascii():
        said.append(shown if size < SHOWN else f"{about.word}({size})")
    elif not depth:
        said.append(f"{about.word}({size})")


def _line(
    packet: Packet, parent: Item, kind: int, at: int, stop: int, after: int, said: list[str], outer: bool
) -> None:
    """An element that is a line."""
    raw = packet.data[at + 1 : stop]
    word = raw.decode("utf-8", "surrogateescape")
    field = LINES.get(kind)
    if field is None:
        raw = packet.data[at:stop]
        packet.add(parent, INLINE, raw, at, after - at)
        said.append(raw.decode("utf-8", "surrogateescape"))
        return
    if field is INTEGER:
        if not raw.lstrip(b"+-").isdigit() or len(raw) > MAX_NUMBER:
            packet.mark("RESP: an integer that is none", at)
            return
        packet.add(parent, field, int(raw), at, after - at)
    elif field is NULL:
        packet.add(parent, field, None, at, after - at)
        word = "Null"
    elif field is BOOLEAN:
        packet.add(parent, field, raw == b"t", at, after - at)
        word = f"Boolean({raw == b't'})"
    else:
        packet.add(parent, field, raw, at, after - at)
    if field is ERROR:
        said.append(f"Error: {word}")
    elif outer:
        said.append(f"Double({word})" if field is DOUBLE else word)
