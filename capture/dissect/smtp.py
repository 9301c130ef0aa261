"""SMTP (RFC 5321): commands and replies, messages put together, STARTTLS (RFC 3207), CHUNKING (RFC 3030)."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.imf import imf
from netwatch.capture.dissect.kit import Header, Item, flag, number, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.text_lines import (
    Line,
    as_text,
    from_server,
    looks_like_text,
    wait_for_line,
    whole_lines,
)
from netwatch.capture.dissect.tls import tls

SMTP = Header("smtp", "Simple Mail Transfer Protocol", ())
REQUEST, RESPONSE = flag("smtp.req", "Request"), flag("smtp.rsp", "Response")
COMMAND_LINE, RESPONSE_LINE = text("smtp.command_line", "Command Line"), text("smtp.response", "Response")
COMMAND, PARAMETER = text("smtp.req.command", "Command"), text("smtp.req.parameter", "Request parameter")
CODE, WORDS = number("smtp.response.code", "Response code"), text("smtp.rsp.parameter", "Response parameter")
USER, PASSWORD = text("smtp.auth.username", "Username"), text("smtp.auth.password", "Password")
BOTH = text("smtp.auth.username_password", "Username/Password")
MESSAGE = text("smtp.message", "Message")

PORTS: Final = (25, 587)
END: Final = b"\r\n.\r\n"
MAX_MAIL: Final = 1 << 20
"""Bytes of a message that are kept until it is whole."""


@on("tcp.port", *PORTS)
def smtp(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines, or a part of a message; what was said before decides."""
    memory = packet.memory("smtp")
    answer = from_server(packet, *PORTS)
    if not answer and ("mail" in memory or memory.get("left")):
        return _mail(packet, at, limit, memory)
    if not looks_like_text(packet, at, limit):
        return NOT_MINE
    lines, rest = whole_lines(packet, at, limit)
    if lines:
        said: list[str] = []
        packet.column("smtp")
        layer = packet.layer(SMTP.field, at, rest - at)
        packet.add(layer, RESPONSE if answer else REQUEST, True, at, 0)
        for index, line in enumerate(lines):
            if answer:
                said.append(_response(packet, layer, line, memory, index > 0 and lines[index - 1].text[3:4] == b"-"))
            else:
                said.append(_request(packet, layer, line, memory))
        layer.said = f"{'S' if answer else 'C'}: {' | '.join(said)}"
        packet.info = f"{packet.values.get('smtp.info', '')}{layer.said}"
    wait_for_line(packet, "SMTP", rest, limit)
    return None


def _request(packet: Packet, layer: Item, line: Line, memory: dict[Any, Any]) -> str:
    item = packet.add(layer, COMMAND_LINE, line.raw(packet), line.at, line.size)
    shown = as_text(line.text)
    login = memory.pop("login", b"")
    if login:
        packet.add(item, USER if login == b"user" else PASSWORD, line.text, line.at, len(line.text))
        return f"{'User' if login == b'user' else 'Pass'}: {shown}"
    command, _, rest = line.text.partition(b" ")
    where = line.at + len(command) + 1
    # Four letters, and what follows a fifth byte: of STARTTLS it is STAR and TLS.
    packet.add(item, COMMAND, line.text[:4], line.at, min(len(line.text), 4))
    if line.text[5:]:
        packet.add(item, PARAMETER, line.text[5:], line.at + 5, len(line.text) - 5)
    command = command.upper()
    words = rest.split(b" ")
    if command == b"AUTH":
        memory["auth"] = words[0].upper()[:16]
        if memory["auth"] == b"PLAIN" and len(words) > 1:
            packet.add(item, BOTH, words[1], where + 6, len(words[1]))
    elif command == b"BDAT" and words[0].isdigit() and len(words[0]) < 12:
        memory["left"], memory["last"] = int(words[0]), words[-1].upper() == b"LAST"
        memory.setdefault("chunks", bytearray())
    else:
        memory["asked"] = command[:16]
    return shown


def _response(packet: Packet, layer: Item, line: Line, memory: dict[Any, Any], goes_on: bool) -> str:
    """A reply line; of a reply of several lines the Info column has the code only once (RFC 5321, 4.2.1)."""
    item = packet.add(layer, RESPONSE_LINE, line.raw(packet), line.at, line.size)
    code, rest = line.text[:3], line.text[4:]
    if not code.isdigit():
        return as_text(line.text)
    packet.add(item, CODE, int(code), line.at, 3)
    if rest:
        packet.add(item, WORDS, rest, line.at + 4, len(rest))
    if code == b"354":
        memory["mail"] = bytearray()
    elif code == b"334" and memory.get("auth") == b"LOGIN":
        memory["login"] = b"pass" if memory.get("user") else b"user"
        memory["user"] = not memory.get("user")
    elif code == b"220" and memory.get("asked") == b"STARTTLS":
        packet.settle_on(tls)
    elif line.text[3:4] != b"-" and code[:1] in b"25":
        memory.pop("auth", None)
    return as_text(rest if goes_on else line.text)


def _mail(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    """A part of a message; the one that ends it shows it whole."""
    data, end = packet.data, packet.end(limit)
    chunked = bool(memory.get("left"))
    kept: bytearray = memory["chunks" if chunked else "mail"]
    before = len(kept)
    if chunked:
        stop = min(end, at + memory["left"])
        memory["left"] -= stop - at
        done, mail = not memory["left"] and memory["last"], before + stop - at
    else:
        look = max(before - len(END) + 1, 0)
        tail = bytes(kept[look:]) + data[at:end]
        found = tail.find(END) if before or data[at : at + 3] != b".\r\n" else -2
        done, mail = found != -1, look + found + 2
        stop = end if not done else at + (3 if found == -2 else look + found + len(END) - before)
        mail = 0 if found == -2 else mail
    if before + stop - at <= MAX_MAIL:
        kept += data[at:stop]
    packet.column("smtp", f"C: DATA fragment, {stop - at} bytes")
    layer = packet.layer(SMTP.field, at, stop - at, packet.info)
    packet.add(layer, MESSAGE, data[at:stop], at, stop - at)
    if done:
        whole = bytes(kept[:mail]).replace(b"\r\n..", b"\r\n.") if not chunked else bytes(kept)
        memory.pop("chunks" if chunked else "mail")
        if whole:
            packet.aside("Reassembled DATA", whole, Step((imf,), 0, len(whole)))
    if stop < limit:
        packet.values["smtp.info"] = f"{packet.info} | "
    return Step((smtp,), stop, limit) if stop < end else None
