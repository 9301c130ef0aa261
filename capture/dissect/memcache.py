"""Memcached: its text protocol, and its binary one (memcached's protocol.txt and protocol-binary.xml)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.framed import MOST_SMALL, Cursor, Passed, contained, entire, roomy, sized
from netwatch.capture.dissect.kit import U8, U16, U32, Header, Hex8, Hex32, Hex64, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, MAX_ITEMS, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

NAME: Final = "Memcache"
OPCODES: Final = {
    0: "Get",
    1: "Set",
    2: "Add",
    3: "Replace",
    4: "Delete",
    5: "Increment",
    6: "Decrement",
    7: "Quit",
    8: "Flush",
    9: "Get Quietly",
    10: "No-op",
    11: "Version",
    12: "Get Key",
    13: "Get Key Quietly",
    14: "Append",
    15: "Prepend",
    16: "Statistics",
    17: "Set Quietly",
    18: "Add Quietly",
    19: "Replace Quietly",
    20: "Delete Quietly",
    21: "Increment Quietly",
    22: "Decrement Quietly",
    23: "Quit Quietly",
    24: "Flush Quietly",
    25: "Append Quietly",
    26: "Prepend Quietly",
    27: "Verbosity",
    28: "Touch",
    29: "Get and Touch",
    30: "Get and Touch Quietly",
    32: "List SASL Mechanisms",
    33: "SASL Authenticate",
    34: "SASL Step",
}
STATUS: Final = {
    0x00: "No error",
    0x01: "Key not found",
    0x02: "Key exists",
    0x03: "Value too big",
    0x04: "Invalid arguments",
    0x05: "Item not stored",
    0x06: "Incr/Decr on non-numeric value",
    0x20: "Authentication error",
    0x21: "Authentication continue",
    0x81: "Unknown command",
    0x82: "Out of memory",
}
MEMCACHE = Header("memcache", "Memcache Protocol", ())


def _head(status: bool) -> Header:
    return Header(
        "memcache",
        "Memcache Protocol",
        (
            Hex8("magic", "Magic", {0x80: "Request", 0x81: "Response"}),
            U8("opcode", "Opcode", OPCODES),
            U16("key.length", "Key Length"),
            U8("extras.length", "Extras length"),
            U8("data_type", "Data type", {0: "Raw bytes"}),
            U16("status", "Status", STATUS) if status else U16("reserved", "Reserved"),
            U32("total_body_length", "Total body length"),
            Hex32("opaque", "Opaque"),
            Hex64("cas", "CAS"),
        ),
    )


REQUEST, RESPONSE = _head(False), _head(True)
EXTRAS_FLAGS, EXPIRATION = (
    number("memcache.extras.flags", "Flags", digits=8),
    number("memcache.extras.expiration", "Expiration"),
)
DELTA, INITIAL = number("memcache.extras.delta", "Amount to add"), number("memcache.extras.initial", "Initial value")
UNKNOWN = octets("memcache.extras.unknown", "Unknown")
KEY, VALUE = text("memcache.key", "Key"), text("memcache.value", "Value")
COMMAND, SUBCOMMAND, ANSWER = (
    text("memcache.command", "Command"),
    text("memcache.subcommand", "Sub command"),
    text("memcache.response", "Response"),
)
FLAGS, EXPIRES, VALUE_LENGTH = (
    number("memcache.flags", "Flags"),
    number("memcache.expiration", "Expiration"),
    number("memcache.value.length", "Value length"),
)
CAS, NO_REPLY, VERSION = (
    number("memcache.cas", "CAS"),
    text("memcache.noreply", "Noreply"),
    text("memcache.version", "Version"),
)
STAT_NAME, STAT_VALUE = text("memcache.name", "Stat name"), text("memcache.name_value", "Stat value")

STORES: Final = frozenset(b"set add replace append prepend cas".split())
COMMANDS: Final = STORES | frozenset(
    b"get gets gat gats delete incr decr touch stats version flush_all verbosity quit slabs lru watch "
    b"mg ms md ma mn me cache_memlimit shutdown misbehave".split()
)
ANSWERS: Final = frozenset(
    b"VALUE END STORED NOT_STORED EXISTS NOT_FOUND DELETED TOUCHED OK RESET STAT VERSION ERROR CLIENT_ERROR "
    b"SERVER_ERROR BUSY BADCLASS NOSPARE NOTFULL UNSAFE SAME HD EN VA MN NS EX NF ME".split()
)
NUMERIC: Final = (FLAGS, EXPIRES, VALUE_LENGTH, CAS)
MAX_DIGITS: Final = 21
MAX_LINE: Final = 1 << 16
MAX_BODY: Final = 1 << 30
SMALL: Final = rb"[\x80\x81].{7}\x00{3}" + sized(more=12)
_BYTES: Final = b"(?:%b)" % b"|".join(rb"%d\r\n.{%d}" % (size, size + 2) for size in range(MOST_SMALL))
SMALL_LINE: Final = (
    rb"(?:(?:%b)(?=[ \r])[^\n]{0,127}\n|\d{1,20}\r\n|(?:(?:%b)(?: [!-~]{1,250}){3}|VALUE(?: [!-~]{1,250}){2}) %b)"
    % (
        b"|".join(sorted((COMMANDS | ANSWERS) - STORES - {b"VALUE"})),
        b"|".join(sorted(STORES)),
        _BYTES,
    )
)
DATAGRAM_HEAD: Final = 8


@on("tcp.port", 11211)
def memcache(packet: Packet, at: int, limit: int) -> Step | None:
    """The first byte tells the binary protocol from the text one."""
    first = packet.data[at : at + 1]
    if first in (b"\x80", b"\x81"):
        return _binary(packet, at, limit)
    if not first or not _plausible(packet, at, limit):
        return NOT_MINE
    return _lines(packet, at, limit)


@on("udp.port", 11211)
def memcache_datagram(packet: Packet, at: int, limit: int) -> Step | None:
    """Request id, sequence number, how many datagrams, 0; only the first begins with a line."""
    if limit - at <= DATAGRAM_HEAD or packet.rest(at + 6, min(at + 8, limit)) != b"\0\0":
        return NOT_MINE
    return memcache(packet, at + DATAGRAM_HEAD, limit)


def _plausible(packet: Packet, at: int, limit: int) -> bool:
    """A word that is a command or an answer, or the number that counting answers."""
    end = packet.end(limit)
    line = packet.data[at : min(end, at + 32)]
    word = line.split(b" ", 1)[0].split(b"\r", 1)[0]
    return word in COMMANDS or word in ANSWERS or (word.isdigit() and b"\r\n" in line)


def _lines(packet: Packet, at: int, limit: int) -> Step | None:
    """Lines; the value of a key follows as so many bytes."""
    data, end = packet.data, packet.end(limit)
    packet.column("memcache")
    first = True
    passed = Passed(packet, SMALL_LINE)
    while (at := passed.over(at, limit)) < end:
        if not first and not _plausible(packet, at, limit):
            return Step((memcache,), at, limit)
        most = min(end, at + MAX_LINE)
        stop = data.find(b"\n", at, most)
        if stop < 0 and end - at < MAX_LINE:
            packet.more(NAME, at, limit)
        stop = most if stop < 0 else stop + 1
        words = data[at:stop].split(None, MAX_ITEMS)[:MAX_ITEMS]
        size = _value_size(words)
        after = entire(packet, NAME, at, stop - at + size + 2, limit) if size >= 0 else stop
        if roomy(packet):
            layer = packet.layer(MEMCACHE.field, at, packet.end(min(after, limit)) - at)
            contained(packet, _line, layer, words, at, stop, min(after, limit))
            layer.said = b" ".join(words).decode("utf-8", "surrogateescape")
            if first:
                packet.info = layer.said + " "
        else:
            passed.single(at, after)
        first = False
        at = after
    return None


def _value_size(words: list[bytes]) -> int:
    """Bytes that follow a line; -1: none, not even an end of line."""
    place = 4 if words and words[0] in STORES else 3 if words and words[0] == b"VALUE" else 0
    if not place or len(words) <= place or not words[place].isdigit() or len(words[place]) > 9:
        return -1
    return int(words[place])


def _line(packet: Packet, layer: Item, words: list[bytes], at: int, stop: int, end: int) -> None:
    if not words:
        return
    word, where = words[0], at
    places: list[int] = []
    for each in words:
        where = packet.data.find(each, where, stop)
        places.append(where)
        where += len(each)
    packet.add(layer, ANSWER if word in ANSWERS or word.isdigit() else COMMAND, word, places[0], len(word))

    def show(place: int, *fields: Field | None) -> None:
        for field, raw, where in zip(fields, words[place:], places[place:], strict=False):
            if field is None or (field in NUMERIC and not (raw.isdigit() and len(raw) < MAX_DIGITS)):
                continue
            packet.add(layer, field, int(raw) if field in NUMERIC else raw, where, len(raw))

    if word in STORES:
        cas = (CAS,) if word == b"cas" else ()
        show(1, KEY, FLAGS, EXPIRES, VALUE_LENGTH, *cas, NO_REPLY)
    elif word == b"VALUE":
        show(1, KEY, FLAGS, VALUE_LENGTH, CAS)
    elif word in (b"get", b"gets", b"gat", b"gats"):
        show(1 if word.startswith(b"get") else 2, *(KEY for _ in words))
    elif word in (b"delete", b"incr", b"decr", b"touch"):
        show(1, KEY, None if word == b"delete" else VALUE if word != b"touch" else EXPIRES, NO_REPLY)
    elif word == b"STAT":
        show(1, STAT_NAME, STAT_VALUE)
    elif word == b"VERSION":
        show(1, VERSION)
    elif word in (b"stats", b"slabs"):
        show(1, SUBCOMMAND)
    if end - stop >= 2:
        size = min(end - 2, packet.caplen) - stop
        packet.add(layer, VALUE, packet.data[stop : stop + size], stop, max(size, 0))


def _binary(packet: Packet, at: int, limit: int) -> Step | None:
    """A head of 24 bytes, extras, key, value."""
    shown = False
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        if packet.uint(NAME, at, 1, limit) not in (0x80, 0x81):
            return Step((memcache,), at, limit)
        entire(packet, NAME, at, REQUEST.size, limit)
        size = packet.uint(NAME, at + 8, 4, limit)
        if size > MAX_BODY:
            return Step((memcache,), at, limit) if shown else Step((), at, limit)
        end = entire(packet, NAME, at, REQUEST.size + size, limit)
        if roomy(packet):
            packet.column("memcache")
            request = packet.data[at] == 0x80
            layer, (_, code, key, extras, _, status, *_) = packet.open(REQUEST if request else RESPONSE, at, limit)
            packet.info = f"{OPCODES.get(code, f'Unknown opcode ({code})')} {'Request' if request else 'Response'}"
            if not request and status:
                packet.info += f" ({STATUS.get(status, f'Unknown status ({status})')})"
            layer.said = packet.info
            layer.size = packet.end(min(end, limit)) - at
            cursor = Cursor(packet, NAME, at + REQUEST.size, min(end, limit))
            if not contained(packet, _body, cursor, layer, code, request, key, extras):
                packet.info += MALFORMED_MARK
        else:
            passed.single(at, end)
        at, shown = end, True
    return None


def _body(packet: Packet, cursor: Cursor, layer: Item, code: int, request: bool, key: int, extras: int) -> None:
    start = cursor.at
    if extras == 20 and request:
        cursor.number(layer, DELTA, 8)
        cursor.number(layer, INITIAL, 8)
        cursor.number(layer, EXPIRATION, 4)
    elif extras == 8 and request:
        cursor.number(layer, EXTRAS_FLAGS, 4)
        cursor.number(layer, EXPIRATION, 4)
    elif extras == 4:
        cursor.number(layer, EXPIRATION if request else EXTRAS_FLAGS, 4)
    elif extras:
        cursor.octets(layer, UNKNOWN, extras)
    cursor.at = start + extras
    if key:
        cursor.octets(layer, KEY, key)
    if cursor.left > 0:
        if not request and code in (5, 6) and cursor.left == 8:
            packet.add(layer, VALUE, str(packet.uint(NAME, cursor.at, 8, cursor.end)), cursor.at, 8)
        else:
            cursor.rest(layer, VALUE)
