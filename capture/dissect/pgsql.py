"""PostgreSQL, version 3 of its protocol (PostgreSQL documentation, "Frontend/Backend Protocol")."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.framed import Cursor, Passed, before, contained, entire, octet, roomy, sized
from netwatch.capture.dissect.kit import Header, Item, flag, number, octets, text
from netwatch.capture.dissect.packet import MALFORMED_MARK, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.tls import tls

if TYPE_CHECKING:
    from typing import Any

PORT: Final = 5432
PGSQL = Header("pgsql", "PostgreSQL", ())
NAME: Final = "PostgreSQL"
FRONTEND = flag("pgsql.frontend", "Frontend")
TYPE = text("pgsql.type", "Type")
LENGTH = number("pgsql.length", "Length")
MAJOR, MINOR = (
    number("pgsql.version_major", "Protocol major version"),
    number("pgsql.version_minor", "Protocol minor version"),
)
PARAMETER, VALUE = text("pgsql.parameter_name", "Parameter name"), text("pgsql.parameter_value", "Parameter value")
SUPPORTED = number("pgsql.version_supported_minor", "Supported minor version")
REFUSED_COUNT = number("pgsql.number_nonsupported_options", "Number nonsupported options")
REFUSED = text("pgsql.nonsupported_option", "Nonsupported option")
QUERY, STATEMENT, PORTAL = (
    text("pgsql.query", "Query"),
    text("pgsql.statement", "Statement"),
    text("pgsql.portal", "Portal"),
)
PASSWORD = text("pgsql.password", "Password")
SALT = octets("pgsql.salt", "Salt value")
GSSAPI = octets("pgsql.auth.gssapi_sspi.data", "GSSAPI or SSPI data")
MECHANISM = text("pgsql.auth.sasl.mech", "SASL authentication mechanism")
SASL_LENGTH = number("pgsql.auth.sasl.data.length", "SASL authentication data length")
SASL = octets("pgsql.auth.sasl.data", "SASL authentication data")
AUTHENTICATION = number(
    "pgsql.authtype",
    "Authentication type",
    {
        0: "Success",
        1: "Kerberos V4",
        2: "Kerberos V5",
        3: "Plaintext password",
        4: "crypt()ed password",
        5: "MD5 password",
        6: "SCM credentials",
        7: "GSSAPI",
        8: "GSSAPI/SSPI continue",
        9: "SSPI",
        10: "SASL",
        11: "SASL continue",
        12: "SASL complete",
    },
)
ROWS = number("pgsql.returns", "Returns")
TAG, ERROR = text("pgsql.tag", "Tag"), text("pgsql.error", "Error")
STATUS = number("pgsql.status", "Status", {0x45: "In a failed transaction", 0x49: "Idle", 0x54: "In a transaction"})
COPIED = octets("pgsql.copydata", "Copy data")
PID, KEY = number("pgsql.pid", "PID"), number("pgsql.key", "Key")
CONDITION, SAID = text("pgsql.condition", "Condition"), text("pgsql.text", "Text")
TABLE_OID, TYPE_OID, OID = (
    number("pgsql.oid.table", "Table OID"),
    number("pgsql.oid.type", "Type OID"),
    number("pgsql.oid", "OID"),
)
FORMAT = number("pgsql.format", "Format", {0: "Text", 1: "Binary"})
FIELDS = number("pgsql.field.count", "Field count")
COLUMN, COLUMN_INDEX = text("pgsql.col.name", "Column name"), number("pgsql.col.index", "Column index")
VALUE_LENGTH, DATA = number("pgsql.val.length", "Column length"), octets("pgsql.val.data", "Data")
MODIFIER = number("pgsql.col.typemod", "Type modifier")
ERROR_FIELDS: Final = {
    ord(letter): text(f"pgsql.{name}", label)
    for letter, name, label in (
        ("S", "severity", "Severity"),
        ("V", "text", "Text"),
        ("C", "code", "Code"),
        ("M", "message", "Message"),
        ("D", "detail", "Detail"),
        ("H", "hint", "Hint"),
        ("P", "position", "Position"),
        ("p", "internal_position", "Position (Internal)"),
        ("q", "internal_query", "Query (Internal)"),
        ("W", "where", "Context"),
        ("s", "schema_name", "Schema"),
        ("t", "table_name", "Table"),
        ("c", "column_name", "Column"),
        ("d", "type_name", "Type"),
        ("n", "constraint_name", "Constraint"),
        ("F", "file", "File"),
        ("L", "line", "Line"),
        ("R", "routine", "Routine"),
    )
}

ASKED: Final = {
    "p": "Password message",
    "Q": "Simple query",
    "P": "Parse",
    "B": "Bind",
    "E": "Execute",
    "D": "Describe",
    "C": "Close",
    "H": "Flush",
    "S": "Sync",
    "F": "Function call",
    "d": "Copy data",
    "c": "Copy completion",
    "f": "Copy failure",
    "X": "Termination",
}
ANSWERED: Final = {
    "R": "Authentication request",
    "K": "Backend key data",
    "S": "Parameter status",
    "1": "Parse completion",
    "2": "Bind completion",
    "3": "Close completion",
    "C": "Command completion",
    "t": "Parameter description",
    "T": "Row description",
    "D": "Data row",
    "I": "Empty query",
    "n": "No data",
    "E": "Error",
    "N": "Notice",
    "s": "Portal suspended",
    "Z": "Ready for query",
    "A": "Notification",
    "V": "Function call response",
    "G": "CopyIn response",
    "H": "CopyOut response",
    "W": "CopyBoth response",
    "d": "Copy data",
    "c": "Copy completion",
    "v": "Negotiate protocol version",
}
CANCEL, SSL, GSS = 80877102, 80877103, 80877104
UNTYPED: Final = {CANCEL: "Cancel request", SSL: "SSL request", GSS: "GSS encrypt request"}
PASSWORDS: Final = {
    7: "GSSResponse message",
    8: "GSSResponse message",
    9: "GSSResponse message",
    10: "SASLInitialResponse message",
    11: "SASLResponse message",
}
"""What the client's `p` is, by what the server asked for last."""
MAX_STARTUP: Final = 10_000
"""Bytes of a first message: servers take no longer one."""
MAX_LENGTH: Final = 0x3FFFFFFF
_LENGTH: Final = rb"\x00{3}" + sized(counted=4)
_CODES: Final = b"|".join([rb"\x00[\x02\x03]..", *(re.escape(code.to_bytes(4, "big")) for code in UNTYPED)])
SMALL_ANSWERED: Final = octet(map(ord, ANSWERED)) + _LENGTH
SMALL_ASKED: Final = b"(?:%b|%b)" % (
    octet(map(ord, ASKED)) + _LENGTH,
    rb"\x00{3}(?=.(?:%b))" % _CODES + sized(4, counted=4),
)


@on("tcp.port", PORT)
def pgsql(packet: Packet, at: int, limit: int) -> Step | None:
    """A letter and a length; a client's first messages have no letter, and an answer to SSLRequest has no length."""
    _, destination = packet.values.get("ports", (0, 0))
    asks = destination == PORT or (packet.from_client and packet.values.get("ports", (0, 0))[0] != PORT)
    memory = packet.memory("pgsql")
    if not asks and memory.get("encrypt") and limit - at == 1 and packet.data[at : at + 1] in (b"S", b"N", b"G"):
        return _encryption(packet, at, memory)
    if not _plausible(packet.data[at : at + 8], asks):
        return NOT_MINE
    words: list[str] = []
    said = before(packet, "PGSQL") + (">" if asks else "<")
    malformed = False
    passed = Passed(packet, SMALL_ASKED if asks else SMALL_ANSWERED)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, 5, limit)
        head = packet.data[at : at + 8]
        if not _plausible(head, asks):
            break
        letter = chr(head[0]) if head[0] else ""
        start = at + len(letter)
        end = entire(packet, NAME, at, len(letter) + int.from_bytes(packet.take(NAME, start, 4, limit), "big"), limit)
        if roomy(packet):
            if letter:
                words.append(letter)
            packet.column("pgsql", said + "/".join(words))
            layer = packet.layer(PGSQL.field, at, packet.end(min(end, limit)) - at)
            malformed = (
                not contained(packet, _message, layer, letter, asks, start, min(end, limit), memory) or malformed
            )
        else:
            passed.single(at, end)
        at = end
    packet.column("pgsql", said + "/".join(words) + (MALFORMED_MARK if malformed else ""))
    return Step((pgsql,), at, limit) if at < limit else None


def _plausible(head: bytes, asks: bool) -> bool:
    """Whether a message can begin so."""
    if not head:
        return False
    if head[0] == 0:
        return asks and 8 <= int.from_bytes(head[:4].ljust(4, b"\xff"), "big") <= MAX_STARTUP and _known(head[4:8])
    if chr(head[0]) not in (ASKED if asks else ANSWERED):
        return False
    return len(head) < 5 or 4 <= int.from_bytes(head[1:5], "big") <= MAX_LENGTH


def _known(version: bytes) -> bool:
    code = int.from_bytes(version, "big")
    return len(version) < 4 or code in UNTYPED or code >> 16 in (2, 3)


def _encryption(packet: Packet, at: int, memory: dict[Any, Any]) -> Step | None:
    """One byte: whether what follows is encrypted."""
    del memory["encrypt"]
    letter = chr(packet.data[at])
    packet.column("pgsql", "<")
    layer = packet.layer(PGSQL.field, at, 1)
    packet.add(layer, FRONTEND, False, at, 0)
    packet.add(layer, TYPE, {"S": "SSL accepted", "G": "GSS accepted", "N": "Encryption refused"}[letter], at, 1)
    if letter == "S":
        packet.settle_on(tls)
    return None


def _message(packet: Packet, layer: Item, letter: str, asks: bool, at: int, end: int, memory: dict[Any, Any]) -> None:
    """What one message holds; `at`: of its length."""
    code = 0
    if not letter:
        code = packet.uint(NAME, at + 4, 4, end)
        name = UNTYPED.get(code, "Startup message")
    else:
        name = (ASKED if asks else ANSWERED)[letter]
        if asks and letter == "p":
            name = PASSWORDS.get(memory.get("asked", 0), name)
    packet.add(layer, FRONTEND, asks, layer.start, 0)
    packet.add(layer, TYPE, name, layer.start, len(letter))
    cursor = Cursor(packet, NAME, at, end)
    cursor.number(layer, LENGTH, 4)
    if not letter:
        _startup(cursor, layer, code, memory)
        return
    if letter == "p" and asks:
        _password(cursor, layer, memory.get("asked", 0))
        return
    if letter == "R" and not asks:
        memory["asked"] = _authentication(cursor, layer)
        return
    show = (SHOW_ASKED if asks else SHOW_ANSWERED).get(letter)
    if show is not None:
        show(cursor, layer)


def _startup(cursor: Cursor, layer: Item, code: int, memory: dict[Any, Any]) -> None:
    if code in UNTYPED:
        cursor.at += 4
        if code == CANCEL:
            cursor.number(layer, PID, 4)
            cursor.number(layer, KEY, 4)
        else:
            memory["encrypt"] = True
        return
    cursor.number(layer, MAJOR, 2)
    cursor.number(layer, MINOR, 2)
    while cursor.left > 1:
        cursor.cstring(layer, PARAMETER)
        cursor.cstring(layer, VALUE)


def _password(cursor: Cursor, layer: Item, asked: int) -> None:
    """Its form follows from what the server asked for."""
    if asked == 10:
        cursor.cstring(layer, MECHANISM)
        size = cursor.number(layer, SASL_LENGTH, 4, signed=True)
        if size > 0:
            cursor.octets(layer, SASL, size)
    elif asked == 11:
        cursor.rest(layer, SASL)
    elif asked in PASSWORDS:
        cursor.rest(layer, GSSAPI)
    else:
        cursor.cstring(layer, PASSWORD)


def _authentication(cursor: Cursor, layer: Item) -> int:
    """What the server asks for next."""
    kind = cursor.number(layer, AUTHENTICATION, 4)
    if kind in (4, 5):
        cursor.octets(layer, SALT, 2 if kind == 4 else 4)
    elif kind == 8:
        cursor.rest(layer, GSSAPI)
    elif kind == 10:
        while cursor.left > 1:
            cursor.cstring(layer, MECHANISM)
    elif kind in (11, 12):
        cursor.rest(layer, SASL)
    return kind


def _query(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, QUERY)


def _parse(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, STATEMENT)
    cursor.cstring(layer, QUERY)
    _types(cursor, layer)


def _types(cursor: Cursor, layer: Item) -> None:
    for _ in range(cursor.uint(2)):
        cursor.number(layer, TYPE_OID, 4)


def _bind(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, PORTAL)
    cursor.cstring(layer, STATEMENT)
    _formats(cursor, layer)
    _values(cursor, layer, cursor.number(layer, FIELDS, 2))
    _formats(cursor, layer)


def _formats(cursor: Cursor, layer: Item) -> None:
    for _ in range(cursor.uint(2)):
        cursor.number(layer, FORMAT, 2)


def _values(cursor: Cursor, layer: Item, many: int) -> None:
    """Length and bytes of each; -1: NULL."""
    for _ in range(many):
        size = cursor.number(layer, VALUE_LENGTH, 4, signed=True)
        if size > 0:
            cursor.octets(layer, DATA, size)


def _row(cursor: Cursor, layer: Item) -> None:
    _values(cursor, layer, cursor.number(layer, FIELDS, 2))


def _columns(cursor: Cursor, layer: Item) -> None:
    packet = cursor.packet
    for _ in range(cursor.number(layer, FIELDS, 2)):
        start = cursor.at
        column = Item(COLUMN, b"", start, 0, buffer=packet.buffer)
        name = cursor.cstring(layer, COLUMN)
        if packet.build:
            column = layer.children[-1]
        column.value = name
        cursor.number(column, TABLE_OID, 4)
        cursor.number(column, COLUMN_INDEX, 2)
        cursor.number(column, TYPE_OID, 4)
        cursor.number(column, VALUE_LENGTH, 2, signed=True)
        cursor.number(column, MODIFIER, 4, signed=True)
        cursor.number(column, FORMAT, 2)
        column.size = cursor.at - start


def _execute(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, PORTAL)
    rows = packet_rows = cursor.uint(4)
    cursor.packet.add(layer, ROWS, rows, cursor.at - 4, 4, "all rows" if not packet_rows else f"{rows} rows")


def _named(cursor: Cursor, layer: Item) -> None:
    """Describe and Close: of a statement or a portal."""
    kind = cursor.uint(1)
    cursor.cstring(layer, PORTAL if kind == ord("P") else STATEMENT)


def _call(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, OID, 4)
    _formats(cursor, layer)
    _values(cursor, layer, cursor.number(layer, FIELDS, 2))
    cursor.number(layer, FORMAT, 2)


def _called(cursor: Cursor, layer: Item) -> None:
    _values(cursor, layer, 1)


def _copied(cursor: Cursor, layer: Item) -> None:
    cursor.rest(layer, COPIED)


def _copy_failed(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, ERROR)


def _copies(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, FORMAT, 1)
    for _ in range(cursor.number(layer, FIELDS, 2)):
        cursor.number(layer, FORMAT, 2)


def _key(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, PID, 4)
    # Four bytes in version 3.0, up to 256 since 3.2.
    if cursor.left == 4:
        cursor.number(layer, KEY, 4)


def _parameter(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, PARAMETER)
    cursor.cstring(layer, VALUE)


def _completed(cursor: Cursor, layer: Item) -> None:
    cursor.cstring(layer, TAG)


def _ready(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, STATUS, 1)


def _noticed(cursor: Cursor, layer: Item) -> None:
    """Fields of a letter each; one that is not known is to be left out."""
    packet = cursor.packet
    while cursor.left > 0:
        field = ERROR_FIELDS.get(packet.uint(NAME, cursor.at, 1, cursor.end))
        if field is None and not packet.data[cursor.at]:
            return
        cursor.at += 1
        cursor.cstring(layer, field or SAID)


def _notification(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, PID, 4)
    cursor.cstring(layer, CONDITION)
    if cursor.left > 1:
        cursor.cstring(layer, SAID)


def _negotiated(cursor: Cursor, layer: Item) -> None:
    cursor.number(layer, SUPPORTED, 4)
    for _ in range(cursor.number(layer, REFUSED_COUNT, 4)):
        cursor.cstring(layer, REFUSED)


Show = Callable[[Cursor, Item], None]
SHOW_ASKED: Final[dict[str, Show]] = {
    "Q": _query,
    "P": _parse,
    "B": _bind,
    "E": _execute,
    "D": _named,
    "C": _named,
    "F": _call,
    "d": _copied,
    "f": _copy_failed,
}
SHOW_ANSWERED: Final[dict[str, Show]] = {
    "K": _key,
    "S": _parameter,
    "C": _completed,
    "t": _types,
    "T": _columns,
    "D": _row,
    "E": _noticed,
    "N": _noticed,
    "Z": _ready,
    "A": _notification,
    "V": _called,
    "G": _copies,
    "H": _copies,
    "W": _copies,
    "d": _copied,
    "v": _negotiated,
}
