"""TFTP (RFC 1350)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U16, Header, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape

OPCODES = {
    1: "Read Request",
    2: "Write Request",
    3: "Data Packet",
    4: "Acknowledgement",
    5: "Error Code",
    6: "Option Acknowledgement",
}
TFTP = Header("tftp", "Trivial File Transfer Protocol", (U16("opcode", "Opcode", OPCODES),))
FILE, MODE, BLOCK, ERROR = (
    text("tftp.source_file", "Source File"),
    text("tftp.type", "Type"),
    number("tftp.block", "Block"),
    text("tftp.error.message", "Error message"),
)
TFTP_DATA = octets("tftp.data", "Data")


@on("udp.port", 69)
def tftp(packet: Packet, at: int, limit: int) -> Step | None:
    """Requests go to port 69; what follows uses ports that only they tell."""
    packet.column("tftp")
    layer, (opcode,) = packet.open(TFTP, at, limit)
    packet.info = OPCODES.get(opcode, f"Unknown ({opcode})")
    where = at + TFTP.size
    rest = packet.rest(where, limit)
    if opcode in (1, 2):
        name, _, more = rest.partition(b"\0")
        mode = more.split(b"\0")[0]
        packet.add(layer, FILE, name, where, len(name))
        packet.add(layer, MODE, mode, where + len(name) + 1 if more else where, len(mode))
        packet.info += f", File: {escape(name)}, Transfer type: {escape(mode)}"
    elif opcode in (3, 4) and len(rest) >= 2:
        block = int.from_bytes(rest[:2], "big")
        packet.add(layer, BLOCK, block, where, 2)
        packet.info += f", Block: {block}"
        if opcode == 3:
            packet.add(layer, TFTP_DATA, rest[2:], where + 2, len(rest) - 2)
            packet.info += " (last)" if limit - where - 2 < 512 else ""
    elif opcode == 5 and len(rest) > 2:
        message = rest[2:].split(b"\0")[0]
        packet.add(layer, ERROR, message, where + 2, len(message))
        packet.info += f", Code: {int.from_bytes(rest[:2], 'big')}, Message: {escape(message)}"
    layer.size += len(rest)
    layer.said = packet.info
    return None
