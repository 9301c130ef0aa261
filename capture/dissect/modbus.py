"""Modbus over TCP (Modbus Application Protocol 1.1b3): functions, references, values; exceptions.

A response names neither the registers nor the coils that it holds: they are numbered as its query asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import U8, U16, Bits, Header, Packed8, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, Step, on

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

FUNCTIONS: Final = {
    1: "Read Coils",
    2: "Read Discrete Inputs",
    3: "Read Holding Registers",
    4: "Read Input Registers",
    5: "Write Single Coil",
    6: "Write Single Register",
    7: "Read Exception Status",
    8: "Diagnostics",
    11: "Get Comm. Event Counters",
    12: "Get Comm. Event Log",
    15: "Write Multiple Coils",
    16: "Write Multiple Registers",
    17: "Report Slave ID",
    20: "Read File Record",
    21: "Write File Record",
    22: "Mask Write Register",
    23: "Read Write Register",
    24: "Read FIFO Queue",
    43: "Encapsulated Interface Transport",
}
DIAGNOSTICS: Final = {
    0: "Return Query Data",
    1: "Restart Communications Option",
    2: "Return Diagnostic Register",
    3: "Change ASCII Input Delimiter",
    4: "Force Listen Only Mode",
    10: "Clear Counters and Diagnostic Register",
    11: "Return Bus Message Count",
    12: "Return Bus Communication Error Count",
    13: "Return Bus Exception Error Count",
    14: "Return Slave Message Count",
    15: "Return Slave No Response Count",
    16: "Return Slave NAK Count",
    17: "Return Slave Busy Count",
    18: "Return Bus Character Overrun Count",
}
EXCEPTIONS: Final = {
    1: "Illegal function",
    2: "Illegal data address",
    3: "Illegal data value",
    4: "Slave device failure",
    5: "Acknowledge",
    6: "Slave device busy",
    8: "Memory parity error",
    10: "Gateway path unavailable",
    11: "Gateway target device failed to respond",
}
MODBUS: Final = Header(
    "mbtcp",
    "Modbus/TCP",
    (
        U16("trans_id", "Transaction Identifier"),
        U16("prot_id", "Protocol Identifier"),
        U16("len", "Length"),
        U8("unit_id", "Unit Identifier"),
    ),
)
FUNCTION: Final = Header(
    "modbus",
    "Modbus",
    (Packed8(Bits(0x80, "", "Exception"), Bits(0x7F, "func_code", "Function Code", FUNCTIONS)),),
)
REFERENCE: Final = number("modbus.reference_num", "Reference Number")
BITS, WORDS, BYTES = (
    number("modbus.bit_cnt", "Bit Count"),
    number("modbus.word_cnt", "Word Count"),
    number("modbus.byte_cnt", "Byte Count"),
)
READ_REFERENCE, READ_WORDS, WRITE_REFERENCE, WRITE_WORDS = (
    number("modbus.read_reference_num", "Read Reference Number"),
    number("modbus.read_word_cnt", "Read Word Count"),
    number("modbus.write_reference_num", "Write Reference Number"),
    number("modbus.write_word_cnt", "Write Word Count"),
)
DATA, EXCEPTION = octets("modbus.data", "Data"), number("modbus.exception_code", "Exception Code", EXCEPTIONS)
DIAGNOSTIC: Final = number("modbus.diagnostic_code", "Diagnostic Code", DIAGNOSTICS)
AND, OR = number("modbus.and_mask", "AND mask", digits=4), number("modbus.or_mask", "OR mask", digits=4)
REGISTER, REGISTER_NUMBER, REGISTER_VALUE = (
    group("", "Register"),
    number("modbus.regnum16", "Register Number"),
    number("modbus.regval_uint16", "Register Value (UINT16)"),
)
BIT, BIT_NUMBER, BIT_VALUE = (
    group("", "Bit"),
    number("modbus.bitnum", "Bit Number"),
    number("modbus.bitval", "Bit Value"),
)
INTERFACE: Final = number(
    "modbus.mei", "MEI type", {13: "CANopen General Reference", 14: "Read Device Identification"}
)
DEVICE_CODE: Final = number("modbus.read_device_id", "Read Device ID")
OBJECT_NAMES: Final = {0: "VendorName", 1: "ProductCode", 2: "MajorMinorRevision", 3: "VendorURL", 4: "ProductName"}
OBJECT_ID, OBJECT_TEXT = (
    number("modbus.object_id", "Object ID", OBJECT_NAMES),
    text("modbus.object_str_value", "Object String Value"),
)
SERVER: Final = 502
READ_BITS: Final = frozenset({1, 2})
MAX_VALUES: Final = 256
MAX_OBJECTS: Final = 32
QUERIES: Final[dict[int, tuple[Field, ...]]] = {
    1: (REFERENCE, BITS),
    2: (REFERENCE, BITS),
    3: (REFERENCE, WORDS),
    4: (REFERENCE, WORDS),
    5: (REFERENCE,),
    6: (REFERENCE,),
    15: (REFERENCE, BITS),
    16: (REFERENCE, WORDS),
    22: (REFERENCE, AND, OR),
    23: (READ_REFERENCE, READ_WORDS, WRITE_REFERENCE, WRITE_WORDS),
    24: (REFERENCE,),
}
"""Function → the words that its query begins with."""
ECHOED: Final = frozenset({5, 6, 15, 16, 22})
"""Their responses begin as the queries do."""


@on("tcp.port", SERVER)
def modbus(packet: Packet, at: int, limit: int) -> Step | None:
    """A head of seven bytes and a function; one message after the other."""
    shown = False
    while at < limit:
        head = packet.rest(at, min(at + 8, limit))
        length = int.from_bytes(head[4:6], "big")
        if head[2:4] not in (b"\0\0", b"\0", b"") or (len(head) >= 6 and not 2 <= length <= 254):
            return Step((modbus,), at, limit) if shown else NOT_MINE
        packet.whole("Modbus/TCP", at, 6 + max(length, 2), limit)
        packet.column("modbus")
        shown = True
        layer, (transaction, _, _, unit) = packet.open(MODBUS, at, limit)
        end = min(limit, at + 6 + length)
        layer.said = f"Trans: {transaction}, Unit: {unit}"
        _function(packet, at + MODBUS.size, end, transaction, unit)
        at += 6 + length
    return None


def _function(packet: Packet, at: int, end: int, transaction: int, unit: int) -> None:
    layer, (code,) = packet.open(FUNCTION, at, end)
    layer.size = packet.end(end) - at
    function, failed = code & 0x7F, code >> 7
    query = packet.values.get("ports", (0, 0))[1] == SERVER
    name = FUNCTIONS.get(function, f"Unknown function ({function})")
    shown = f"{function:3}"
    rest = packet.rest(at + 1, end)
    if not failed and function == 8 and len(rest) >= 2:
        diagnostic = int.from_bytes(rest[:2], "big")
        shown, name = f"{function:3}/{len(str(diagnostic)):3}", DIAGNOSTICS.get(diagnostic, name)
    elif not failed and function == 43 and len(rest) >= 2 and rest[0] == 14:
        shown, name = f"{function:3}/{rest[1]:3}", "Read Device Identification"
    side = "   Query" if query else "Response"
    said = f"Trans: {transaction:5}; Unit: {unit:3}, Func: {shown}: {name}"
    packet.info = f"{side}: {said}" + (". Exception returned " if failed else "")
    layer.said = name
    memory: dict[Any, Any] = packet.memory("modbus")
    if failed:
        if rest:
            packet.add(layer, EXCEPTION, rest[0], at + 1, 1)
    elif query:
        asked = _words(packet, layer, function, at + 1, end)
        if asked:
            remember(memory, (transaction, unit), asked[0])
        _written(packet, layer, function, at + 1, end, asked)
    else:
        first = memory.pop((transaction, unit), None)
        _response(packet, layer, function, at + 1, end, first)
    if function == 8 and not failed:
        packet.add(layer, DIAGNOSTIC, packet.uint("Modbus", at + 1, 2, end), at + 1, 2)


def _words(packet: Packet, layer: Item, function: int, at: int, end: int) -> list[int]:
    values = []
    for field in QUERIES.get(function, ()):
        values.append(packet.uint("Modbus", at, 2, end))
        packet.add(layer, field, values[-1], at, 2)
        at += 2
    return values


def _written(packet: Packet, layer: Item, function: int, at: int, end: int, asked: list[int]) -> None:
    """What a query brings along."""
    at += 2 * len(asked)
    if function in (5, 6):
        _data(packet, layer, at, end)
    elif function in (15, 16, 23) and asked:
        size = packet.uint("Modbus", at, 1, end)
        packet.add(layer, BYTES, size, at, 1)
        first = asked[-2] if function == 23 else asked[0]
        _values(packet, layer, at + 1, min(at + 1 + size, end), first, bits=asked[1] if function == 15 else 0)
    elif function == 43:
        _identification(packet, layer, at, end, query=True)
    elif not asked and function != 8:
        _data(packet, layer, at, end)


def _response(packet: Packet, layer: Item, function: int, at: int, end: int, first: int | None) -> None:
    if function in ECHOED:
        values = _words(packet, layer, function, at, end)
        _data(packet, layer, at + 2 * len(values), end)
    elif function in (1, 2, 3, 4, 23):
        size = packet.uint("Modbus", at, 1, end)
        packet.add(layer, BYTES, size, at, 1)
        stop = min(at + 1 + size, end)
        _values(packet, layer, at + 1, stop, first, bits=8 * size if function in READ_BITS else 0)
    elif function == 43:
        _identification(packet, layer, at, end, query=False)
    elif function != 8:
        _data(packet, layer, at, end)


def _values(packet: Packet, layer: Item, at: int, end: int, first: int | None, *, bits: int) -> None:
    """Registers, or coils from the lowest bit on; without their query they are counted from 0."""
    base = first or 0
    if bits:
        for index in range(min(bits, 8 * (packet.end(end) - at), MAX_VALUES)):
            value = packet.data[at + index // 8] >> index % 8 & 1
            item = packet.add(layer, BIT, None, at + index // 8, 1, f"{base + index} : {value}")
            packet.add(item, BIT_NUMBER, base + index, at + index // 8, 1)
            packet.add(item, BIT_VALUE, value, at + index // 8, 1)
        return
    for index, where in enumerate(range(at, packet.end(end) - 1, 2)):
        value = int.from_bytes(packet.data[where : where + 2], "big")
        item = packet.add(layer, REGISTER, None, where, 2, f"{base + index} (UINT16): {value}")
        packet.add(item, REGISTER_NUMBER, base + index, where, 2)
        packet.add(item, REGISTER_VALUE, value, where, 2)


def _identification(packet: Packet, layer: Item, at: int, end: int, *, query: bool) -> None:
    """Read Device Identification: objects, each a number and a text (6.21)."""
    kind = packet.uint("Modbus", at, 1, end)
    packet.add(layer, INTERFACE, kind, at, 1)
    if kind != 14:
        _data(packet, layer, at + 1, end)
        return
    packet.add(layer, DEVICE_CODE, packet.uint("Modbus", at + 1, 1, end), at + 1, 1)
    if query:
        packet.add(layer, OBJECT_ID, packet.uint("Modbus", at + 2, 1, end), at + 2, 1)
        return
    count = packet.uint("Modbus", at + 5, 1, end)
    where = at + 6
    for _ in range(min(count, MAX_OBJECTS)):
        code, size = packet.uint("Modbus", where, 1, end), packet.uint("Modbus", where + 1, 1, end)
        item = packet.add(layer, OBJECT_ID, code, where, 2 + size)
        packet.add(item, OBJECT_TEXT, packet.take("Modbus", where + 2, size, end), where + 2, size)
        where += 2 + size


def _data(packet: Packet, layer: Item, at: int, end: int) -> None:
    rest = packet.rest(at, end)
    if rest:
        packet.add(layer, DATA, rest, at, len(rest))
