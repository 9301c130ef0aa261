"""Modbus over TCP."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    Bits,
    Header,
    Packed8,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

FUNCTIONS = {
    1: "Read Coils",
    2: "Read Discrete Inputs",
    3: "Read Holding Registers",
    4: "Read Input Registers",
    5: "Write Single Coil",
    6: "Write Single Register",
    7: "Read Exception Status",
    8: "Diagnostics",
    15: "Write Multiple Coils",
    16: "Write Multiple Registers",
    17: "Report Slave ID",
    22: "Mask Write Register",
    23: "Read Write Register",
    43: "Encapsulated Interface Transport",
}
MODBUS = Header(
    "mbtcp",
    "Modbus/TCP",
    (
        U16("trans_id", "Transaction Identifier"),
        U16("prot_id", "Protocol Identifier"),
        U16("len", "Length"),
        U8("unit_id", "Unit Identifier"),
        Packed8(Bits(0x80, "", "Exception"), Bits(0x7F, "=modbus.func_code", "Function Code", FUNCTIONS)),
    ),
)


@on("tcp.port", 502)
def modbus(packet: Packet, at: int, limit: int) -> Step | None:
    """A head of seven bytes and a function."""
    head = packet.rest(at, min(at + 8, limit))
    length = int.from_bytes(head[4:6], "big")
    if len(head) < 8 or head[2:4] != b"\0\0" or not 2 <= length <= 254:
        return NOT_MINE
    packet.column("modbus")
    layer, (transaction, _, _, unit, function) = packet.open(MODBUS, at, limit)
    side = "   Query" if packet.values.get("ports", (0, 0))[1] == 502 else "Response"
    name = FUNCTIONS.get(function & 0x7F, "Unknown function")
    packet.info = f"{side}: Trans: {transaction:5}; Unit: {unit:3}, Func: {function & 0x7F:3}: {name}"
    layer.said = name
    return Step((), at + MODBUS.size, min(limit, at + 6 + length))
