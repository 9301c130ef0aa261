"""TFTP (RFC 1350) and its options (RFC 2347, 2348, 2349, 7440).

A request goes to port 69; the answer comes from another port, and all that follows goes to and fro between that and
the client's: the client's port is expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import U16, Header, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

OPCODES: Final = {
    1: "Read Request",
    2: "Write Request",
    3: "Data Packet",
    4: "Acknowledgement",
    5: "Error Code",
    6: "Option Acknowledgement",
}
ERRORS: Final = {
    0: "Not defined",
    1: "File not found",
    2: "Access violation",
    3: "Disk full or allocation exceeded",
    4: "Illegal TFTP Operation",
    5: "Unknown transfer ID",
    6: "File already exists",
    7: "No such user",
    8: "Option negotiation failed",
}
TFTP: Final = Header("tftp", "Trivial File Transfer Protocol", (U16("opcode", "Opcode", OPCODES),))
SOURCE, DESTINATION = (
    text("tftp.source_file", "Source File"),
    text("tftp.destination_file", "DESTINATION File"),
)
MODE, BLOCK = text("tftp.type", "Type"), number("tftp.block", "Block")
CODE, MESSAGE = number("tftp.error.code", "Error code", ERRORS), text("tftp.error.message", "Error message")
OPTION, OPTION_NAME, OPTION_VALUE = (
    group("", "Option"),
    text("tftp.option.name", "Option name"),
    text("tftp.option.value", "Option value"),
)
DATA: Final = octets("tftp.data", "Data")
BLOCK_SIZE: Final = 512
MAX_OPTIONS: Final = 16


@on("udp.port", 69)
def tftp(packet: Packet, at: int, limit: int) -> Step | None:
    """A request, on the port that all know."""
    return _message(packet, at, limit)


def transfer(packet: Packet, at: int, limit: int) -> Step | None:
    """What a request announced: blocks, acknowledgements, errors."""
    head = packet.data[at : at + 2]
    if limit - at < 4 or len(head) < 2 or not 1 <= int.from_bytes(head, "big") <= 6:
        return NOT_MINE
    packet.settle_on(transfer)
    return _message(packet, at, limit)


def _message(packet: Packet, at: int, limit: int) -> Step | None:
    packet.column("tftp")
    layer, (opcode,) = packet.open(TFTP, at, limit)
    packet.info = OPCODES.get(opcode, f"Unknown ({opcode})")
    where = at + TFTP.size
    rest = packet.rest(where, limit)
    memory: dict[Any, Any] = packet.memory("tftp")
    if opcode in (1, 2):
        _request(packet, layer, opcode, where, limit)
    elif opcode in (3, 4) and len(rest) >= 2:
        block = int.from_bytes(rest[:2], "big")
        packet.add(layer, BLOCK, block, where, 2)
        packet.info += f", Block: {block}"
        if opcode == 3:
            packet.add(layer, DATA, rest[2:], where + 2, len(rest) - 2)
            packet.info += " (last)" if limit - where - 2 < memory.get("size", BLOCK_SIZE) else ""
    elif opcode == 5 and len(rest) >= 2:
        code = int.from_bytes(rest[:2], "big")
        message = rest[2:].split(b"\0")[0]
        packet.add(layer, CODE, code, where, 2)
        packet.add(layer, MESSAGE, message, where + 2, len(message))
        packet.info += f", Code: {ERRORS.get(code, f'Unknown({code})')}, Message: {escape(message)}"
    elif opcode == 6:
        for name, value in _options(packet, layer, where, limit):
            if name.lower() == b"blksize" and value.isdigit() and len(value) <= 5:
                memory["size"] = int(value)
    layer.size += len(rest)
    layer.said = packet.info
    return None


def _request(packet: Packet, layer: Item, opcode: int, at: int, limit: int) -> None:
    rest = packet.rest(at, limit)
    name, _, more = rest.partition(b"\0")
    mode, ended, _ = more.partition(b"\0")
    packet.add(layer, SOURCE if opcode == 1 else DESTINATION, name, at, len(name))
    start = min(at + len(name) + 1, at + len(rest))
    packet.add(layer, MODE, mode, start, len(mode))
    packet.info += f", File: {escape(name)}, Transfer type: {escape(mode)}"
    if ended:
        _options(packet, layer, start + len(mode) + 1, limit)
    _, address, port, _, _ = packet.values.get("transport", ("", b"", 0, b"", 0))
    if port:
        packet.expect("udp", address, port, transfer)


def _options(packet: Packet, layer: Item, at: int, limit: int) -> list[tuple[bytes, bytes]]:
    """Names and values, each ended by a zero (RFC 2347)."""
    found = []
    for _ in range(MAX_OPTIONS):
        rest = packet.rest(at, limit)
        name, ended, more = rest.partition(b"\0")
        value, whole, _ = more.partition(b"\0")
        if not name or not ended or not whole:
            break
        item = packet.add(layer, OPTION, None, at, len(name) + len(value) + 2, f"{escape(name)} = {escape(value)}")
        packet.add(item, OPTION_NAME, name, at, len(name))
        packet.add(item, OPTION_VALUE, value, at + len(name) + 1, len(value))
        packet.info += f", {escape(name)}={escape(value)}"
        found.append((name, value))
        at += len(name) + len(value) + 2
    return found
