"""FTP (RFC 959) and the data connections that it announces (RFC 2428)."""

from __future__ import annotations

import re
from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from netwatch.capture.dissect.kit import Header, Item, address, flag, number, text
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
from netwatch.capture.protocols import declare

FTP = Header("ftp", "File Transfer Protocol (FTP)", ())
REQUEST, RESPONSE = flag("ftp.request", "Request"), flag("ftp.response", "Response")
COMMAND, ARGUMENT = text("ftp.request.command", "Request command"), text("ftp.request.arg", "Request arg")
CODE, WORDS = number("ftp.response.code", "Response code"), text("ftp.response.arg", "Response arg")
LINE = text("", "Line")
PASSIVE = address("ftp.passive.ip", "Passive IP address", 4), number("ftp.passive.port", "Passive port")
ACTIVE = address("ftp.active.cip", "Active IP address", 4), number("ftp.active.port", "Active port")
EXTENDED = {
    4: address("ftp.eprt.ip", "Extended active IP address", 4),
    16: address("ftp.eprt.ipv6", "Extended active IP address", 16),
}
EXTENDED_FAMILY = number("ftp.eprt.af", "Extended active address family", {1: "IPv4", 2: "IPv6"})
EXTENDED_PORT = number("ftp.eprt.port", "Extended active port")
FOLDER = text("ftp.current-working-directory", "Current working directory")
EPSV_PORT = number("ftp.epsv.port", "Extended passive port")
DATA = Header("ftp-data", "FTP Data", ())
DATA_METHOD, DATA_COMMAND = text("ftp-data.setup-method", "Setup method"), text("ftp-data.command", "Command")
DATA_SETUP = number("ftp-data.setup-frame", "Setup frame")
DATA_LINES = text("", "Data")
declare("ftp-data", "FTP-DATA", "files")

PORT: Final = 21
TRANSFERS: Final = frozenset(b"RETR STOR APPE STOU LIST NLST MLSD".split())
SIX: Final = re.compile(rb"(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})")
EPSV: Final = re.compile(rb"\(([!-~])\1\1(\d{1,5})\1\)")
QUOTED: Final = re.compile(rb'"((?:[^"]|"")*)"')
"""A path; quotes in it stand twice (RFC 959, appendix II)."""
MAX_COMMAND: Final = 256
MAX_PATH: Final = 4096


@on("tcp.port", PORT)
def ftp(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines; the server's port says who speaks."""
    if not looks_like_text(packet, at, limit):
        return NOT_MINE
    lines, rest = whole_lines(packet, at, limit)
    answer = from_server(packet, PORT)
    if lines:
        said = as_text(lines[0].text)
        packet.column("ftp", f"{'Response' if answer else 'Request'}: {said}")
        layer = packet.layer(FTP.field, at, rest - at, packet.info)
        packet.add(layer, REQUEST, not answer, at, 0)
        packet.add(layer, RESPONSE, answer, at, 0)
        memory = packet.memory("ftp")
        for line in lines:
            item = packet.add(layer, LINE, line.text, line.at, line.size)
            (_response if answer else _request)(packet, item, line, memory)
        if "folder" in memory:
            packet.add(layer, FOLDER, memory["folder"], at, 0)
    wait_for_line(packet, "FTP", rest, limit)
    return None


def _request(packet: Packet, item: Item, line: Line, memory: dict[Any, Any]) -> None:
    command, _, rest = line.text.partition(b" ")
    packet.add(item, COMMAND, command, line.at, len(command))
    where = line.at + len(command) + 1
    if rest:
        packet.add(item, ARGUMENT, rest, where, len(rest))
    command = command.upper()
    memory["asked"] = command[:8], rest[:MAX_PATH]
    if command == b"PORT":
        _six(packet, item, rest, where, "PORT", memory)
    elif command == b"EPRT":
        _extended(packet, item, rest, where, memory)
    elif command in TRANSFERS:
        memory["command"] = as_text(line.text[:MAX_COMMAND])
    elif command == b"AUTH":
        memory["auth"] = True


def _response(packet: Packet, item: Item, line: Line, memory: dict[Any, Any]) -> None:
    code, rest = line.text[:3], line.text[4:]
    if len(code) < 3 or not code.isdigit() or line.text[3:4] not in (b" ", b"-", b""):
        if line.text:
            packet.add(item, WORDS, line.text, line.at, len(line.text))
        return
    packet.add(item, CODE, int(code), line.at, 3)
    where = min(line.at + 4, line.after)
    if rest:
        packet.add(item, WORDS, rest, where, len(rest))
    if code == b"227":
        _six(packet, item, rest, where, "PASV", memory)
    elif code == b"229":
        found = EPSV.search(rest)
        if found is not None and int(found[2]) <= 0xFFFF:
            packet.add(item, EPSV_PORT, int(found[2]), where + found.start(2), len(found[2]))
            _announce(packet, b"", int(found[2]), "EPASV", memory)
    elif code in (b"250", b"200", b"257"):
        _go(rest, memory, told=code == b"257")
    elif code == b"234" and memory.pop("auth", False):
        packet.settle_on(tls)


def _go(rest: bytes, memory: dict[Any, Any], *, told: bool) -> None:
    """Where the client is now, as the server told or as the client asked for."""
    command, path = memory.pop("asked", (b"", b""))
    before = memory.get("folder", b"")
    if told:
        found = QUOTED.search(rest)
        memory["folder"] = found[1].replace(b'""', b'"') if found is not None else before
    elif command == b"CDUP" or (command == b"CWD" and path == b".."):
        memory["folder"] = before.rstrip(b"/").rpartition(b"/")[0] or b"/"
    elif command == b"CWD" and path:
        memory["folder"] = path if path.startswith(b"/") else before.rstrip(b"/") + b"/" + path
    if len(memory.get("folder", b"")) > MAX_PATH:
        del memory["folder"]


def _six(packet: Packet, item: Item, rest: bytes, at: int, method: str, memory: dict[Any, Any]) -> None:
    """Four numbers of an address and two of a port."""
    found = SIX.search(rest)
    numbers = [int(part) for part in found.groups()] if found is not None else [256]
    if found is None or max(numbers) > 255:
        return
    host, port = bytes(numbers[:4]), numbers[4] << 8 | numbers[5]
    fields = PASSIVE if method == "PASV" else ACTIVE
    packet.add(item, fields[0], host, at + found.start(), found.end(4) - found.start())
    packet.add(item, fields[1], port, at + found.start(5), found.end() - found.start(5))
    _announce(packet, host, port, method, memory)


def _extended(packet: Packet, item: Item, rest: bytes, at: int, memory: dict[Any, Any]) -> None:
    """`|1|192.0.2.1|6446|` (RFC 2428, 2); the delimiter is the sender's choice."""
    parts = rest.split(rest[:1] or b"|", 5)
    if len(parts) < 4 or not parts[3].isdigit() or len(parts[3]) > 5 or int(parts[3]) > 0xFFFF:
        return
    try:
        host = ip_address(as_text(parts[2])).packed
    except ValueError:
        return
    where = at + len(parts[1]) + 2
    if parts[1].isdigit() and len(parts[1]) < 4:
        packet.add(item, EXTENDED_FAMILY, int(parts[1]), at + 1, len(parts[1]))
    packet.add(item, EXTENDED[len(host)], host, where, len(parts[2]))
    packet.add(item, EXTENDED_PORT, int(parts[3]), where + len(parts[2]) + 1, len(parts[3]))
    _announce(packet, host, int(parts[3]), "EPRT", memory)


def _announce(packet: Packet, host: bytes, port: int, method: str, memory: dict[Any, Any]) -> None:
    """The data connection, to the address that was named and to the speaker's own: in between it may be rewritten."""
    dissector = partial(ftp_data, method, packet.number, memory)
    own = packet.values.get("transport", ("", b""))[1]
    for each in {host, own} - {b""}:
        packet.expect("tcp", each, port, dissector)


def ftp_data(method: str, announced: int, memory: dict[Any, Any], packet: Packet, at: int, limit: int) -> Step | None:
    """Bytes of a file or a listing."""
    command = memory.get("command", "")
    said = f"FTP Data: {limit - at} bytes ({method})" + (f" ({command})" if command else "")
    packet.column("ftp-data", said)
    rest = packet.rest(at, limit)
    layer = packet.layer(DATA.field, at, len(rest), f"{limit - at} bytes data")
    packet.add(layer, DATA_LINES, rest, at, len(rest))
    packet.add(layer, DATA_SETUP, announced, at, 0)
    packet.add(layer, DATA_METHOD, method, at, 0)
    if command:
        packet.add(layer, DATA_COMMAND, command, at, 0)
    return None
