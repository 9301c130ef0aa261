"""TDS, the protocol of SQL Server and Sybase (MS-TDS): packets, queries, logins, errors."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.framed import Cursor, Passed, before, contained, entire, octet, roomy, sized
from netwatch.capture.dissect.kit import U8, U16, Bit, Flags8, Header, Item, number, octets, text
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import MALFORMED_MARK, Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.tls import tls

NAME: Final = "TDS"
TYPES: Final = {
    1: "SQL batch",
    2: "TDS4/5 login",
    3: "Remote Procedure Call",
    4: "Response",
    5: "Unused",
    6: "Attention",
    7: "Bulk load data",
    8: "Federated Authentication Token",
    13: "TDS5 logout",
    14: "Transaction Manager Request",
    15: "TDS5 query",
    16: "TDS7 login",
    17: "SSPI message",
    18: "TDS7 pre-login message",
}
TDS = Header(
    "tds",
    "Tabular Data Stream",
    (
        U8("type", "Type", TYPES),
        Flags8(
            "status",
            "Status",
            Bit(0x10, "status.reset_conn_skip_tran", "Reset connection keeping transaction state"),
            Bit(0x08, "status.reset_conn", "Reset connection"),
            Bit(0x04, "status.event_notif", "Event notification"),
            Bit(0x02, "status.ignore", "Ignore this event"),
            Bit(0x01, "status.eom", "End of message"),
        ),
        U16("length", "Length"),
        U16("channel", "Channel"),
        U8("packet_number", "Packet Number"),
        U8("window", "Window"),
    ),
)
QUERY = text("tds.query", "Query")
LOGIN: Final = tuple(
    text(f"tds.7login.{name}", label)
    for name, label in (
        ("clientname", "Client name"),
        ("username", "Username"),
        ("password", "Password"),
        ("appname", "App name"),
        ("servername", "Server name"),
        ("unknown", "Unused"),
        ("libraryname", "Library name"),
        ("locale", "Locale"),
        ("databasename", "Database name"),
    )
)
OPTION = number(
    "tds.prelogin.option.token",
    "Option Token",
    {0: "Version", 1: "Encryption", 2: "InstOpt", 3: "ThreadID", 4: "MARS", 5: "TraceID", 6: "FedAuthRequired"},
)
OPTION_VALUE, ENCRYPTION = (
    octets("tds.prelogin.option.data", "Data"),
    number("tds.prelogin.option.encryption", "Encryption", {0: "off", 1: "on", 2: "not supported", 3: "required"}),
)
ERROR_NUMBER, MESSAGE = number("tds.error.number", "SQL Error Number"), text("tds.error.msgtext", "Error message")
DATA = octets("tds.data", "Data")

PASSWORD: Final = 2
ERROR, INFORMATION, CHANGE, LOGGED_IN = 0xAA, 0xAB, 0xE3, 0xAD
MAX_LENGTH: Final = 32768 + 8
SMALL: Final = octet(TYPES) + rb"[\x00-\x1f]\x00" + sized(4, counted=4)
HEADERS_FROM: Final = 22
"""Bytes of headers before the text of a batch, since TDS 7.2: they begin with their length."""


@on("tcp.port", 1433, 2433)
def tds(packet: Packet, at: int, limit: int) -> Step | None:
    """Packets of a head of 8 bytes; TLS records stand in pre-login packets (MS-TDS, 2.2.6.5)."""
    if not _plausible(packet.data[at : at + 8]):
        return NOT_MINE
    said = before(packet, NAME)
    words = [said] if said else []
    malformed = False
    passed = Passed(packet, SMALL)
    while (at := passed.over(at, limit)) < limit:
        entire(packet, NAME, at, TDS.size, limit)
        if not _plausible(packet.data[at : at + 8]):
            break
        end = entire(packet, NAME, at, packet.uint(NAME, at + 2, 2, limit), limit)
        if roomy(packet):
            packet.column("tds", "")
            layer, (kind, status, *_) = packet.open(TDS, at, limit)
            layer.said = TYPES[kind]
            layer.size = packet.end(min(end, limit)) - at
            cursor = Cursor(packet, NAME, at + TDS.size, min(end, limit), little=True)
            malformed = not contained(packet, _message, cursor, layer, kind) or malformed
            words.append(TYPES[kind] + ("" if status & 1 else " (Not last buffer)") + packet.info)
            packet.info = ", ".join(words) + (MALFORMED_MARK if malformed else "")
        else:
            passed.single(at, end)
        at = end
    return Step((tds, tls), at, limit) if at < limit else None


def _plausible(head: bytes) -> bool:
    if not head or head[0] not in TYPES or (len(head) > 1 and head[1] > 0x1F):
        return False
    return len(head) < 4 or TDS.size <= int.from_bytes(head[2:4], "big") <= MAX_LENGTH


def _message(packet: Packet, cursor: Cursor, layer: Item, kind: int) -> None:
    if kind == 1:
        _batch(cursor, layer)
    elif kind == 16:
        _login(packet, cursor, layer)
    elif kind == 17:
        at, end = cursor.at, cursor.end
        cursor.rest(layer, DATA)
        packet.info += ntlmssp(packet, layer, at, end)
    elif kind == 18 or (kind == 4 and packet.rest(cursor.at, min(cursor.at + 1, cursor.end)) == b"\0"):
        _prelogin(packet, cursor, layer)
    elif kind == 4:
        _tokens(packet, cursor, layer)
    else:
        cursor.rest(layer, DATA)


def _batch(cursor: Cursor, layer: Item) -> None:
    """UTF-16 text, behind headers in newer versions."""
    start = cursor.at
    if cursor.left >= 4 and (headers := cursor.uint(4)) == HEADERS_FROM and headers <= cursor.left + 4:
        cursor.at = start + headers
    else:
        cursor.at = start
    _wide(cursor, layer, cursor.left)


def _wide(cursor: Cursor, layer: Item, size: int) -> None:
    raw = cursor.packet.rest(cursor.at, min(cursor.at + size, cursor.end))
    if raw:
        cursor.packet.add(layer, QUERY, raw.decode("utf-16-le", "replace"), cursor.at, len(raw))
    cursor.at += size


def _login(packet: Packet, cursor: Cursor, layer: Item) -> None:
    """Places and sizes of names in UTF-16 (MS-TDS, 2.2.6.4)."""
    start, end = cursor.at, cursor.end
    cursor.at = start + 36
    for place, field in enumerate(LOGIN):
        offset, size = cursor.uint(2), 2 * cursor.uint(2)
        where = start + offset
        if not size or where + size > end:
            continue
        raw = packet.rest(where, where + size)
        if place == PASSWORD:
            # Each byte's halves are swapped, then its bits turned by 0xa5: whoever sees it can read it.
            raw = bytes((byte ^ 0xA5) >> 4 | ((byte ^ 0xA5) << 4 & 0xF0) for byte in raw)
        packet.add(layer, field, raw.decode("utf-16-le", "replace"), where, len(raw))
    packet.info += ntlmssp(packet, layer, start, end)


def _prelogin(packet: Packet, cursor: Cursor, layer: Item) -> None:
    """Options, each with the place of its value; or TLS records."""
    start = cursor.at
    memory = packet.memory("tds")
    if memory.get("tls") or packet.uint(NAME, start, 1, cursor.end) in (20, 21, 22, 23):
        memory["tls"] = True
        if _records_end(packet, start, cursor.end):
            # What it lacks does not follow in the next segment, but in the next TDS packet.
            streaming, packet.streaming = packet.streaming, False
            packet.within(layer, Step((tls,), start, cursor.end))
            packet.streaming = streaming
            packet.column("tds", "")
        else:
            cursor.rest(layer, DATA)  # a record goes on in the next TDS packet
        return
    while (code := cursor.uint(1)) != 0xFF:
        offset, size = (int.from_bytes(packet.take(NAME, cursor.at + skip, 2, cursor.end), "big") for skip in (0, 2))
        item = packet.add(layer, OPTION, code, cursor.at - 1, 5)
        cursor.at += 4
        packet.check(NAME, start + offset, size, cursor.end)
        raw = packet.data[start + offset : start + offset + size]
        if code == 1 and raw:
            packet.add(item, ENCRYPTION, raw[0], start + offset, 1)
        elif raw:
            packet.add(item, OPTION_VALUE, raw, start + offset, size)


def _records_end(packet: Packet, at: int, end: int) -> bool:
    """Whether TLS records fill the bytes."""
    while at + 5 <= end and packet.uint(NAME, at, 1, end) in (20, 21, 22, 23):
        at += 5 + packet.uint(NAME, at + 3, 2, end)
    return at == end


def _tokens(packet: Packet, cursor: Cursor, layer: Item) -> None:
    """Errors and what else says how long it is; rows only say it by their columns, and end it."""
    while cursor.left > 3:
        token = packet.uint(NAME, cursor.at, 1, cursor.end)
        if token not in (ERROR, INFORMATION, CHANGE, LOGGED_IN):
            break
        cursor.at += 1
        size = cursor.uint(2)
        end = cursor.at + size
        if token in (ERROR, INFORMATION):
            cursor.number(layer, ERROR_NUMBER, 4, signed=True)
            cursor.at += 2
            length = 2 * cursor.uint(2)
            raw = packet.take(NAME, cursor.at, length, cursor.end)
            packet.add(layer, MESSAGE, raw.decode("utf-16-le", "replace"), cursor.at, length)
        cursor.at = end
    cursor.rest(layer, DATA)
