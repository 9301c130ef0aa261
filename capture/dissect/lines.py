"""Protocols of text lines: FTP, SMTP, POP3, IMAP, Telnet."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from netwatch.capture.dissect.kit import Field, Header, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import escape


class Speech(NamedTuple):
    """How one of them is shown."""

    name: str
    layer: Header
    request: tuple[Field, Field]
    """The first word of a client's line, and the rest."""
    response: tuple[Field, Field]
    asks: str
    """What the Info column says before a client's line."""
    answers: str
    words: Callable[[list[bytes], bool], bytes]
    """(lines, whether they are the server's) → what the Info column says of them."""
    servers: frozenset[int]
    """Ports of servers."""


def _first(said: list[bytes], answer: bool) -> bytes:  # noqa: ARG001
    return said[0]


def _last(said: list[bytes], answer: bool) -> bytes:  # noqa: ARG001
    return said[-1]


def _all(said: list[bytes], answer: bool) -> bytes:
    """Of a reply of several lines, the code only once (RFC 5321, 4.2.1)."""
    return b" | ".join([said[0], *(line[4:] if answer else line for line in said[1:])])


def _speech(
    name: str,
    label: str,
    request: tuple[str, str],
    response: tuple[str, str],
    asks: str,
    answers: str,
    words: Callable[[list[bytes], bool], bytes],
    *ports: int,
) -> Speech:
    return Speech(
        name,
        Header(name, label, ()),
        (text(f"{name}.{request[0]}", "Request command"), text(f"{name}.{request[1]}", "Request parameter")),
        (text(f"{name}.{response[0]}", "Response code"), text(f"{name}.{response[1]}", "Response parameter")),
        asks,
        answers,
        words,
        frozenset(ports),
    )


COMMAND = ("request.command", "request.arg")
SPEECHES = (
    _speech(
        "ftp",
        "File Transfer Protocol (FTP)",
        COMMAND,
        ("response.code", "response.arg"),
        "Request",
        "Response",
        _first,
        21,
    ),
    _speech(
        "smtp",
        "Simple Mail Transfer Protocol",
        ("req.command", "req.parameter"),
        ("response.code", "rsp.parameter"),
        "C",
        "S",
        _all,
        25,
        587,
    ),
    _speech(
        "pop",
        "Post Office Protocol",
        ("request.command", "request.parameter"),
        ("response.indicator", "response.description"),
        "C",
        "S",
        _first,
        110,
    ),
    _speech(
        "imap",
        "Internet Message Access Protocol",
        ("request_tag", "request"),
        ("response_tag", "response"),
        "Request",
        "Response",
        _last,
        143,
    ),
)
LINE = text("", "Line")
BY_PORT = {port: speech for speech in SPEECHES for port in speech.servers}
TELNET = Header("telnet", "Telnet", ())
TELNET_DATA = text("telnet.data", "Data")


@on("tcp.port", *BY_PORT)
def lines(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines; the server's port says who speaks. Bytes that are no text are something else (STARTTLS, data)."""
    source, destination = packet.values.get("ports", (0, 0))
    speech = BY_PORT.get(source) or BY_PORT.get(destination)
    if speech is None:
        return NOT_MINE
    end = packet.end(limit)
    raw = packet.data[at:end]
    if any(byte < 0x20 and byte not in b"\t\r\n\x1b" for byte in raw[:64]) or b"\n" not in raw:
        return NOT_MINE
    answer = source in speech.servers
    packet.column(speech.name)
    layer = packet.layer(speech.layer.field, at, len(raw))
    said: list[bytes] = []
    where = at
    while where < end:
        stop = packet.data.find(b"\n", where, end)
        after = end if stop < 0 else stop + 1
        line = packet.data[where:after].rstrip(b"\r\n")
        item = packet.add(layer, LINE, line, where, after - where)
        first, _, rest = line.partition(b"-" if line[3:4] == b"-" and answer else b" ")
        command, parameter = speech.response if answer else speech.request
        packet.add(item, command, first, where, len(first))
        if rest:
            packet.add(item, parameter, rest, where + len(first) + 1, len(rest))
        said.append(line)
        where = after
    words = speech.words(said, answer)
    packet.info = f"{speech.answers if answer else speech.asks}: {escape(words)}"
    layer.said = packet.info
    return None


@on("tcp.port", 23)
def telnet(packet: Packet, at: int, limit: int) -> Step | None:
    """Characters and commands behind 0xff."""
    packet.column("telnet", "Telnet Data ...")
    rest = packet.rest(at, limit)
    layer = packet.layer(TELNET.field, at, len(rest), f"{len(rest)} bytes")
    packet.add(layer, TELNET_DATA, rest, at, len(rest))
    return None
