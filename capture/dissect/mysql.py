"""MySQL and MariaDB (MySQL source documentation, "Client/Server Protocol")."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

from netwatch.capture.dissect.framed import Cursor, Passed, before, contained, entire, roomy, sized
from netwatch.capture.dissect.kit import Header, Item, group, number, octets, text
from netwatch.capture.dissect.mysql_names import (
    CLIENT_CAPABILITIES,
    CLIENT_EXTENDED,
    COLLATIONS,
    COLUMN_FLAGS,
    COLUMN_TYPES,
    COMMANDS,
    SERVER_CAPABILITIES,
    SERVER_EXTENDED,
    SERVER_STATUS,
)
from netwatch.capture.dissect.packet import MALFORMED_MARK, MAX_MESSAGE, Malformed, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.tls import tls

PORT: Final = 3306
NAME: Final = "MySQL"
MYSQL = Header("mysql", "MySQL Protocol", ())
LENGTH, NUMBER = number("mysql.packet_length", "Packet Length"), number("mysql.packet_number", "Packet Number")
COMPRESSED_LENGTH = number("mysql.compressed_packet_length", "Compressed Packet Length")
COMPRESSED_NUMBER = number("mysql.compressed_packet_number", "Compressed Packet Number")
UNCOMPRESSED = number("mysql.compressed_packet_length_uncompressed", "Uncompressed Packet Length")
GREETING, LOGIN = group("mysql.server_greeting", "Server Greeting"), group("mysql.login_request", "Login Request")
REQUEST = group("mysql.request", "Request Command")
PROTOCOL, VERSION = number("mysql.protocol", "Protocol"), text("mysql.version", "Version")
THREAD = number("mysql.thread_id", "Thread ID")
SALT, SALT2 = text("mysql.salt", "Salt"), text("mysql.salt2", "Salt")
LANGUAGE = number("mysql.server_language", "Server Language", COLLATIONS)
CHARSET = number("mysql.charset", "Charset", COLLATIONS)
PLUGIN_LENGTH = number("mysql.auth_plugin.length", "Authentication Plugin Length")
PLUGIN, CLIENT_PLUGIN = (
    text("mysql.auth_plugin", "Authentication Plugin"),
    text("mysql.client_auth_plugin", "Client Auth Plugin"),
)
UNUSED, PAYLOAD = octets("mysql.unused", "Unused"), octets("mysql.payload", "Payload")
MAX_PACKET = number("mysql.max_packet", "MAX Packet")
USER, SCHEMA, PASSWORD = (
    text("mysql.user", "Username"),
    text("mysql.schema", "Schema"),
    octets("mysql.passwd", "Password"),
)
ATTRIBUTES = group("mysql.connattrs", "Connection Attributes")
ATTRIBUTES_LENGTH = number("mysql.connattrs.length", "Connection Attributes length")
ATTRIBUTE = group("mysql.connattrs.attr", "Connection Attribute")
ATTRIBUTE_NAME = text("mysql.connattrs.name", "Connection Attribute Name")
ATTRIBUTE_VALUE = text("mysql.connattrs.value", "Connection Attribute Value")
COMMAND = number("mysql.command", "Command", COMMANDS)
QUERY = text("mysql.query", "Statement")
CODE = number(
    "mysql.response_code",
    "Response Code",
    {0: "OK Packet", 0xFB: "LOCAL INFILE Packet", 0xFE: "EOF Packet", 0xFF: "ERR Packet"},
    digits=2,
)
ERROR_CODE, SQLSTATE = number("mysql.error_code", "Error Code"), text("mysql.sqlstate", "SQL state")
ERROR_MESSAGE, MESSAGE = text("mysql.error.message", "Error message"), text("mysql.message", "Message")
AFFECTED, INSERTED = number("mysql.affected_rows", "Affected Rows"), number("mysql.insert_id", "Last INSERT ID")
WARNINGS, EOF = number("mysql.warnings", "Warnings"), number("mysql.eof", "EOF marker")
COLUMNS, PARAMETERS = (
    number("mysql.num_fields", "Number of fields"),
    number("mysql.num_params", "Number of parameter"),
)
STATEMENT_ID, FETCHED = number("mysql.stmt_id", "Statement ID"), number("mysql.num_rows", "Rows to fetch")
ROW_TEXT = text("mysql.row.text", "text")
COLUMN_NAMES = tuple(
    text(f"mysql.field.{name}", label)
    for name, label in (
        ("catalog", "Catalog"),
        ("db", "Database"),
        ("table", "Table"),
        ("org_table", "Original table"),
        ("name", "Name"),
        ("org_name", "Original name"),
    )
)
COLUMN_CHARSET = number("mysql.field.charsetnr", "Charset number", COLLATIONS)
COLUMN_LENGTH, COLUMN_TYPE = (
    number("mysql.field.length", "Length"),
    number("mysql.field.type", "Type", COLUMN_TYPES),
)
DECIMALS = number("mysql.field.decimals", "Decimals")

WITH_DATABASE, COMPRESS, PROTOCOL_41, SSL, SECURE = 0x8, 0x20, 0x200, 0x800, 0x8000
PLUGIN_AUTH, CONNECT_ATTRIBUTES, LENGTH_ENCODED, NO_EOF, QUERY_ATTRIBUTES = (
    0x80000,
    0x100000,
    0x200000,
    0x1000000,
    0x8000000,
)
MARIADB_OLD: Final = 0x1
"""MariaDB does not set the lowest bit: it has capabilities of its own in bytes that MySQL fills with 0."""
EXTENDED_METADATA: Final = 0x8
MORE_RESULTS: Final = 0x8
HEAD: Final = 4
SMALL: Final = rb"(?=.\x00{2})" + sized(more=3)
SMALL_COMPRESSED: Final = rb"(?=.\x00{2})" + sized(more=6)
Memory = dict[Any, Any]


@on("tcp.port", PORT)
def mysql(packet: Packet, at: int, limit: int) -> Step | None:
    """Packets of a length and a number; after a login that agreed on it they are packed into compressed ones."""
    ports = packet.values.get("ports", (0, 0))
    asks = ports[1] == PORT or (ports[0] != PORT and packet.from_client)
    memory = packet.memory("mysql")
    if memory.get("compressed"):
        return _compressed(packet, at, limit, asks, memory)
    if not _plausible(packet.data[at : at + 5], asks, memory):
        return NOT_MINE
    _packets(packet, at, limit, asks, memory)
    return None


def _plausible(head: bytes, asks: bool, memory: Memory) -> bool:
    """TLS that begins at once, or the middle of something, is none: numbers count from 0 in each exchange."""
    if head[:2] == b"\x16\x03" and not memory:
        return False
    return len(head) < HEAD or not asks or bool(memory) or head[3] < 4


def _packets(packet: Packet, at: int, limit: int, asks: bool, memory: Memory) -> None:
    fixed = before(packet, NAME)
    fixed = fixed + " " if fixed and not fixed.endswith(" ") else fixed
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, HEAD, limit)
        end = entire(packet, NAME, at, HEAD + int.from_bytes(packet.take(NAME, at, 3, limit), "little"), limit)
        # One word for all packets of an answer, but for the heads of tables.
        word = "Request" if asks else "Response "
        if roomy(packet):
            layer = packet.layer(MYSQL.field, at, packet.end(min(end, limit)) - at)
            packet.column("mysql", fixed + word)
            cursor = Cursor(packet, NAME, at, min(end, limit), little=True)
            if not contained(packet, _packet, cursor, layer, asks, memory):
                packet.info += MALFORMED_MARK
            if packet.info.endswith("TABULAR "):
                fixed = packet.info
        else:
            passed.single(at, end)
        at = end


def _packet(packet: Packet, cursor: Cursor, layer: Item, asks: bool, memory: Memory) -> None:
    cursor.number(layer, LENGTH, 3)
    order = cursor.number(layer, NUMBER, 1)
    if not cursor.left:
        return
    if asks:
        state = memory.get("state", "login" if order else "command")
        if state == "login" and order:
            _login(cursor, layer, memory)
        elif state == "authentication" or (order and state != "command"):
            cursor.rest(layer, PAYLOAD)
        else:
            _command(cursor, layer, memory)
    elif order == 0 and "state" not in memory and packet.uint(NAME, cursor.at, 1, cursor.end) in (9, 10):
        _greeting(cursor, layer, memory)
    else:
        _response(cursor, layer, memory)


def _greeting(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """The server speaks first."""
    packet = cursor.packet
    item = packet.add(layer, GREETING, None, cursor.at, cursor.left)
    protocol = cursor.number(item, PROTOCOL, 1)
    version = cursor.cstring(item, VERSION).decode("utf-8", "surrogateescape")
    # MariaDB's goes in front of what old replicas look at.
    packet.info = f"Server Greeting  proto={protocol} version={version.removeprefix('5.5.5-')} "
    layer.said = "Server Greeting"
    memory["state"] = "login"
    cursor.number(item, THREAD, 4)
    cursor.cstring(item, SALT)
    if not cursor.left:
        return
    capabilities = _flags(cursor, item, SERVER_CAPABILITIES)
    if cursor.left < 16:
        memory["server"] = capabilities
        return
    cursor.number(item, LANGUAGE, 1)
    _flags(cursor, item, SERVER_STATUS)
    capabilities |= _flags(cursor, item, SERVER_EXTENDED) << 16
    memory["server"] = capabilities
    cursor.number(item, PLUGIN_LENGTH, 1)
    if not capabilities & MARIADB_OLD:
        memory["mariadb"] = int.from_bytes(packet.rest(cursor.at + 6, min(cursor.at + 10, cursor.end)), "little")
    cursor.octets(item, UNUSED, 10)
    if cursor.left:
        cursor.cstring(item, SALT2)
    if cursor.left:
        # Some servers leave the zero behind it out.
        end = cursor.end - (packet.data[cursor.end - 1 : cursor.end] == b"\0")
        packet.add(item, PLUGIN, packet.rest(cursor.at, end), cursor.at, cursor.left)


def _flags(cursor: Cursor, parent: Item, header: Header) -> int:
    (word,) = cursor.packet.add_header(parent, header, cursor.at, cursor.end)
    cursor.at += header.size
    return int(word)


def _login(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """The client's capabilities, its name, what proves it."""
    packet = cursor.packet
    item = packet.add(layer, LOGIN, None, cursor.at, cursor.left)
    layer.said = "Login Request"
    capabilities = _flags(cursor, item, CLIENT_CAPABILITIES)
    if capabilities & PROTOCOL_41:
        capabilities |= _flags(cursor, item, CLIENT_EXTENDED) << 16
        cursor.number(item, MAX_PACKET, 4)
        cursor.number(item, CHARSET, 1)
        own = packet.rest(cursor.at + 19, min(cursor.at + 23, cursor.end))
        both = 0 if capabilities & MARIADB_OLD else memory.get("mariadb", 0xFFFFFFFF)
        memory["mariadb"] = both & int.from_bytes(own, "little")
        cursor.octets(item, UNUSED, 23)
    else:
        cursor.number(item, MAX_PACKET, 3)
    memory["client"] = capabilities
    if capabilities & SSL and not cursor.left:
        packet.info = "Response: SSL Handshake user= "
        packet.settle_on(tls)
        return
    user = cursor.cstring(item, USER)
    packet.info = f"Login Request user={user.decode('utf-8', 'surrogateescape')} "
    memory["state"] = "authentication"
    if not cursor.left:
        return
    if capabilities & LENGTH_ENCODED:
        size = _length(cursor)
    elif capabilities & SECURE:
        size = cursor.uint(1)
    else:
        size = packet.data.find(b"\0", cursor.at, packet.end(cursor.end)) - cursor.at
        size = cursor.left if size < 0 else size + 1
    if size:
        cursor.octets(item, PASSWORD, size)
    if capabilities & WITH_DATABASE and cursor.left:
        schema = cursor.cstring(item, SCHEMA)
        packet.info += f"db={schema.decode('utf-8', 'surrogateescape')} "
    if capabilities & PLUGIN_AUTH and cursor.left:
        cursor.cstring(item, CLIENT_PLUGIN)
    if capabilities & CONNECT_ATTRIBUTES and cursor.left:
        _attributes(cursor, item)


def _attributes(cursor: Cursor, parent: Item) -> None:
    packet, start = cursor.packet, cursor.at
    size = _length(cursor)
    item = packet.add(parent, ATTRIBUTES, None, start, cursor.end - start)
    packet.add(item, ATTRIBUTES_LENGTH, size, start, cursor.at - start)
    end = min(cursor.end, cursor.at + size)
    while cursor.at < end:
        each = packet.add(item, ATTRIBUTE, None, cursor.at, 0)
        name = cursor.octets(each, ATTRIBUTE_NAME, _length(cursor))
        value = cursor.octets(each, ATTRIBUTE_VALUE, _length(cursor))
        each.said = f"{name.decode('utf-8', 'surrogateescape')}: {value.decode('utf-8', 'surrogateescape')}"


def _length(cursor: Cursor) -> int:
    """A length-encoded integer; -1: NULL."""
    first = cursor.uint(1)
    if first < 0xFB:
        return first
    if first == 0xFB:
        return -1
    if first == 0xFF:
        raise Malformed("MySQL: a length that is none", cursor.at - 1)
    return cursor.uint({0xFC: 2, 0xFD: 3, 0xFE: 8}[first])


def _command(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """The first byte says what; most of what follows is text."""
    packet, start = cursor.packet, cursor.at
    code = packet.uint(NAME, start, 1, cursor.end)
    if code not in COMMANDS:
        cursor.rest(layer, PAYLOAD)
        raise Malformed(f"MySQL: command {code} is not known", start)
    layer.said = packet.info = f"Request {COMMANDS[code]}"
    memory.update(state="response", command=code, left=0)
    item = packet.add(layer, REQUEST, None, start, cursor.left)
    cursor.number(item, COMMAND, 1)
    if code == 3:
        both = memory.get("client", 0) & memory.get("server", 0)
        if both & QUERY_ATTRIBUTES:
            many = _length(cursor)
            _length(cursor)
            if many:
                cursor.rest(item, PAYLOAD)
                return
        cursor.rest(item, QUERY)
    elif code == 22:
        cursor.rest(item, QUERY)
    elif code in (2, 5, 6):
        cursor.rest(item, SCHEMA)
    elif code in (23, 24, 25, 26, 28):
        cursor.number(item, STATEMENT_ID, 4)
        if code == 28:
            cursor.number(item, FETCHED, 4)
    elif code == 17:
        cursor.cstring(item, USER)
        memory["state"] = "authentication"
    if cursor.left:
        cursor.rest(item, PAYLOAD)
    if code in (24, 25):
        memory["state"] = "command"  # these have no answer


def _response(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """What it is follows from what was asked, and what came before it."""
    packet = cursor.packet
    state = memory.get("state", "")
    code = packet.uint(NAME, cursor.at, 1, cursor.end)
    last = code == 0xFE and cursor.left < 9
    if code == 0xFF:
        memory["state"] = "command"
        _error(cursor, layer)
    elif state == "columns" and not last:
        _column(cursor, layer, memory)
    elif state == "rows" and not last and not (code == 0xFE and memory.get("client", 0) & NO_EOF):
        layer.said = "row packet"
        _row(cursor, layer, memory)
    elif state == "rows" and memory.get("client", 0) & NO_EOF:
        layer.said = "response EOF"
        _ok(cursor, layer, memory)
    elif last:
        _eof(cursor, layer, memory, state)
    elif state == "authentication" and code in (1, 0xFE):
        cursor.rest(layer, PAYLOAD)
    elif code == 0 and state == "response" and memory.get("command") == 22:
        _prepared(cursor, layer, memory)
    elif code == 0 and (state != "response" or memory.get("command") != 9):
        layer.said = "response OK"
        _ok(cursor, layer, memory)
    elif state == "response" and memory.get("command") == 9:
        memory["state"] = "command"
        cursor.rest(layer, MESSAGE)
    elif state == "response" and memory.get("command") in (3, 10, 23, 250) and code != 0xFB:
        layer.said = "column count"
        many = cursor.left and _length(cursor)
        packet.add(layer, COLUMNS, many, cursor.at - 1, 1)
        packet.info += "TABULAR "
        cached = cursor.left and not cursor.uint(1)
        memory.update(state="columns", left=0 if cached else many)
        if cached:
            memory["state"] = "rows"
    else:
        cursor.rest(layer, PAYLOAD)


def _error(cursor: Cursor, layer: Item) -> None:
    layer.said = "response Error"
    cursor.number(layer, CODE, 1)
    code = cursor.number(layer, ERROR_CODE, 2)
    cursor.packet.info += f" Error {code} "
    if cursor.packet.rest(cursor.at, min(cursor.at + 1, cursor.end)) == b"#":
        cursor.at += 1
        cursor.octets(layer, SQLSTATE, 5)
    cursor.rest(layer, ERROR_MESSAGE)


def _ok(cursor: Cursor, layer: Item, memory: Memory) -> None:
    packet = cursor.packet
    cursor.number(layer, CODE, 1)
    packet.info += " OK "
    start = cursor.at
    affected = _length(cursor)
    packet.add(layer, AFFECTED, affected, start, cursor.at - start)
    start = cursor.at
    inserted = _length(cursor)
    if inserted:
        packet.add(layer, INSERTED, inserted, start, cursor.at - start)
    status = _flags(cursor, layer, SERVER_STATUS) if cursor.left >= 2 else 0
    if cursor.left >= 2:
        cursor.number(layer, WARNINGS, 2)
    if memory.get("state") == "authentication" and _both(memory) & COMPRESS:
        memory["compressed"] = True
    memory["state"] = "response" if status & MORE_RESULTS else "command"
    if cursor.left:
        said = _length(cursor)
        if 0 < said <= cursor.left:
            cursor.octets(layer, MESSAGE, said)
    if cursor.left:
        cursor.rest(layer, PAYLOAD)


def _both(memory: Memory) -> int:
    return int(memory.get("client", 0) & memory.get("server", 0))


def _eof(cursor: Cursor, layer: Item, memory: Memory, state: str) -> None:
    layer.said = "intermediate EOF" if state == "columns" else "response EOF"
    cursor.number(layer, CODE, 1)
    cursor.packet.add(layer, EOF, 0xFE, cursor.at - 1, 1)
    status = 0
    if cursor.left >= 4:
        cursor.number(layer, WARNINGS, 2)
        status = _flags(cursor, layer, SERVER_STATUS)
    if state == "columns" and memory.get("command") not in (4, 22):
        memory["state"] = "rows"
    elif state == "columns" and memory.pop("more columns", 0):
        pass  # the columns of a prepared statement follow its parameters
    else:
        memory["state"] = "response" if status & MORE_RESULTS else "command"


def _column(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """What one column is called and holds."""
    layer.said = "field packet"
    for field in COLUMN_NAMES:
        cursor.octets(layer, field, max(_length(cursor), 0))
    if memory.get("mariadb", 0) & EXTENDED_METADATA:
        extended = _length(cursor)
        if extended > 0:
            cursor.octets(layer, PAYLOAD, extended)
    cursor.at += 1
    cursor.number(layer, COLUMN_CHARSET, 2)
    cursor.number(layer, COLUMN_LENGTH, 4)
    cursor.number(layer, COLUMN_TYPE, 1)
    _flags(cursor, layer, COLUMN_FLAGS)
    cursor.number(layer, DECIMALS, 1)
    memory["left"] = memory.get("left", 0) - 1
    if not memory["left"] and memory.get("client", 0) & NO_EOF:
        memory["state"] = "command" if memory.get("command") == 22 else "rows"


def _row(cursor: Cursor, layer: Item, memory: Memory) -> None:
    """Values as text; a prepared statement's are in the form of their columns."""
    if memory.get("command") in (23, 250):
        cursor.rest(layer, PAYLOAD)
        return
    while cursor.left > 0:
        start = cursor.at
        size = _length(cursor)
        if size < 0:
            cursor.packet.add(layer, ROW_TEXT, b"NULL", start, 1)
        else:
            cursor.octets(layer, ROW_TEXT, size)


def _prepared(cursor: Cursor, layer: Item, memory: Memory) -> None:
    layer.said = "response to PREPARE"
    cursor.packet.info += " OK "
    cursor.number(layer, CODE, 1)
    cursor.number(layer, STATEMENT_ID, 4)
    columns = cursor.number(layer, COLUMNS, 2)
    parameters = cursor.number(layer, PARAMETERS, 2)
    cursor.at += 1
    if cursor.left >= 2:
        cursor.number(layer, WARNINGS, 2)
    memory["state"] = "columns" if columns or parameters else "command"
    memory["left"] = columns + parameters
    if columns and parameters:
        memory["more columns"] = 1


def _compressed(packet: Packet, at: int, limit: int, asks: bool, memory: Memory) -> Step | None:
    """A head of 7 bytes; what it says to have 0 bytes uncompressed stands as it is."""
    passed = Passed(packet, SMALL_COMPRESSED)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, 7, limit)
        size = int.from_bytes(packet.take(NAME, at, 3, limit), "little")
        end = entire(packet, NAME, at, 7 + size, limit)
        if roomy(packet):
            if packet.protocol != NAME:
                packet.column("mysql", "")
            layer = packet.layer(MYSQL.field, at, packet.end(min(end, limit)) - at, "Compressed packet")
            cursor = Cursor(packet, NAME, at, min(end, limit), little=True)
            cursor.number(layer, COMPRESSED_LENGTH, 3)
            cursor.number(layer, COMPRESSED_NUMBER, 1)
            full = cursor.number(layer, UNCOMPRESSED, 3)
            _inside(packet, layer, at + 7, min(end, limit), full, asks, memory)
        else:
            passed.single(at, end)
        at = end
    return None


def _inside(packet: Packet, layer: Item, at: int, end: int, full: int, asks: bool, memory: Memory) -> None:
    """The packets in a compressed one; the last may go on in the next compressed one."""
    raw = packet.take(NAME, at, end - at, end)
    packet.add(layer, PAYLOAD, raw, at, len(raw))
    if full:
        try:
            raw = zlib.decompressobj().decompress(raw, min(full, MAX_MESSAGE))
        except zlib.error as error:
            packet.mark(f"MySQL: {error}", at)
            return
    raw = memory.pop(("rest", asks), b"") + raw
    stop = 0
    while (following := stop + HEAD + int.from_bytes(raw[stop : stop + 3], "little")) <= len(raw):
        stop = following
    if len(raw) - stop <= MAX_MESSAGE:
        memory["rest", asks] = raw[stop:]
    if not stop:
        packet.info = packet.info or ("Request" if asks else "Response ")
        return

    def inner(packet: Packet, at: int, limit: int) -> Step | None:
        _packets(packet, at, limit, asks, memory)
        return None

    shown: Callable[[Packet, int, int], Step | None] = inner
    packet.aside("Uncompressed MySQL", raw[:stop], Step((shown,), 0, stop))
