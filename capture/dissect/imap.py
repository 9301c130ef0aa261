"""IMAP (RFC 9051): commands and responses with their literals, STARTTLS."""

from __future__ import annotations

import re
from typing import Any, Final

from netwatch.capture.dissect.imf import imf
from netwatch.capture.dissect.kit import Header, Item, flag, number, text
from netwatch.capture.dissect.packet import MAX_ITEMS, MAX_MESSAGE, Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.text_lines import (
    Line,
    as_text,
    from_server,
    looks_like_text,
    wait_for_line,
)
from netwatch.capture.dissect.tls import tls

IMAP = Header("imap", "Internet Message Access Protocol", ())
IS_REQUEST, LINE = flag("imap.isrequest", "Request"), text("imap.line", "Line")
TAG, COMMAND = text("imap.tag", "Tag"), text("imap.command", "Command")
REQUEST_TAG, REQUEST = text("imap.request_tag", "Request Tag"), text("imap.request", "Request")
REQUEST_COMMAND = text("imap.request.command", "Request Command")
UID = flag("imap.request.command.uid", "Request isUID")
USER, PASSWORD = text("imap.request.username", "Request Username"), text("imap.request.password", "Request Password")
FOLDER = text("imap.request.folder", "Request Folder")
RESPONSE_TAG, RESPONSE = text("imap.response_tag", "Response Tag"), text("imap.response", "Response")
RESPONSE_COMMAND, STATUS = (
    text("imap.response.command", "Response Command"),
    text("imap.response.status", "Response Status"),
)
RESPONSE_TO, TIME = number("imap.response_to", "Request In"), text("imap.time", "Response Time")

PORT: Final = 143
LITERAL: Final = re.compile(rb"\{(\d{1,9})\+?\}$")
"""So many bytes follow the end of the line and belong to it (4.3)."""
WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)')
MESSAGE: Final = re.compile(rb"FETCH.*(?:BODY\[(?:HEADER)?\]|RFC822(?:\.HEADER)?) \{", re.IGNORECASE | re.DOTALL)
FOLDERS: Final = frozenset(
    b"SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE STATUS APPEND COPY MOVE".split()
)
"""Commands that name one; the last two do behind the messages."""
MAX_TAG: Final = 64
MAX_LITERALS: Final = 100
"""Of one line."""


@on("tcp.port", PORT)
def imap(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines with their literals; the server's port says who speaks."""
    if not looks_like_text(packet, at, limit):
        return NOT_MINE
    answer = from_server(packet, PORT)
    lines, rest, size = _lines(packet, at, limit)
    if lines:
        said = next((line.text for line, _ in lines if line.text[:2] != b"* "), lines[-1][0].text)
        packet.column("imap", f"{'Response' if answer else 'Request'}: {as_text(said)}")
        layer = packet.layer(IMAP.field, at, rest - at, packet.info)
        packet.add(layer, IS_REQUEST, not answer, at, 0)
        memory = packet.memory("imap")
        for line, literals in lines:
            item = packet.add(layer, LINE, line.raw(packet), line.at, line.size)
            (_response if answer else _request)(packet, item, line, memory)
            if answer and literals and MESSAGE.search(packet.data, line.at, literals[0][0]):
                packet.run(Step((imf,), *literals[0]))
    if size:
        packet.whole("IMAP", rest, size, limit)
    wait_for_line(packet, "IMAP", rest, limit)
    return None


def _lines(packet: Packet, at: int, limit: int) -> tuple[list[tuple[Line, list[tuple[int, int]]]], int, int]:
    """Lines and where their literals are; where the last begins that is not whole, and its bytes as far as known."""
    found: list[tuple[Line, list[tuple[int, int]]]] = []
    end = packet.end(limit)
    literals: list[tuple[int, int]] = []
    start = where = at
    while where < end and len(found) <= MAX_ITEMS:
        stop = packet.data.find(b"\n", where, end)
        if stop < 0:
            break
        literal = LITERAL.search(packet.data[max(where, stop - 16) : stop].rstrip(b"\r"))
        where = stop + 1
        if literal is None or len(literals) >= MAX_LITERALS:
            found.append((Line(packet.data[start:where].rstrip(b"\r\n"), start, where), literals))
            start, literals = where, []
            continue
        size = int(literal[1])
        if where + size > end and where + size + 2 - start <= MAX_MESSAGE:
            return found, start, where + size + 2 - start
        literals.append((where, min(where + size, end)))
        where = min(where + size, end)
    return found, start, 0


def _request(packet: Packet, item: Item, line: Line, memory: dict[Any, Any]) -> None:
    tag, _, rest = line.text.partition(b" ")
    packet.add(item, REQUEST_TAG, tag, line.at, len(tag))
    packet.add(item, TAG, tag, line.at, len(tag))
    packet.add(item, REQUEST, line.text, line.at, len(line.text))
    at = line.at + len(tag) + 1
    remember(memory.setdefault("asked", {}), tag[:MAX_TAG], (packet.number, packet.ts))
    found = _words(rest)
    if not found:
        return
    packet.add(item, COMMAND, found[0][0], at + found[0].start(), len(found[0][0]))
    uid = found[0][0].upper() == b"UID"
    if uid:
        packet.add(item, UID, uid, at, 3)
    words = [(match[1] if match[2] is None else match[2], match.start()) for match in found[uid:]]
    if not words:
        return
    command, offset = words[0]
    packet.add(item, REQUEST_COMMAND, command, at + offset, len(command))
    command = command.upper()
    if command == b"STARTTLS":
        memory["starttls"] = tag[:64]
    elif command == b"LOGIN" and len(words) > 2:
        for field, (word, offset) in zip((USER, PASSWORD), words[1:], strict=False):
            packet.add(item, field, word, at + offset, len(word))
    elif command in FOLDERS:
        place = 2 if command in (b"COPY", b"MOVE") else 1
        for match in found[uid + place : uid + place + 1]:
            packet.add(item, FOLDER, match[0], at + match.start(), len(match[0]))


def _words(rest: bytes) -> list[re.Match[bytes]]:
    """The first four words, quoted or not."""
    found: list[re.Match[bytes]] = []
    for match in WORD.finditer(rest[:1024]):
        found.append(match)
        if len(found) == 4:
            break
    return found


def _response(packet: Packet, item: Item, line: Line, memory: dict[Any, Any]) -> None:
    """What is not the end of a command has no tag (7)."""
    words = line.text.split(b" ", 3)
    if words[0] == b"*":
        return
    fields = (RESPONSE_TAG, STATUS, RESPONSE_COMMAND), (TAG, None, COMMAND)
    at = line.at
    for word, *named in zip(words, *fields, strict=False):
        for field in named:
            if field is not None and word:
                packet.add(item, field, word, at, len(word))
        at += len(word) + 1
    packet.add(item, RESPONSE, line.text, line.at, len(line.text))
    asked = memory.get("asked", {}).pop(words[0][:MAX_TAG], None)
    if asked is not None:
        packet.add(item, RESPONSE_TO, asked[0], line.at, 0)
        packet.add(item, TIME, f"{max(packet.ts - asked[1], 0) / 10**9:.9f}", line.at, 0)
    if words[1:2] == [b"OK"] and memory.get("starttls") == words[0]:
        packet.settle_on(tls)
