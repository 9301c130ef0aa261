"""DNP3 (IEEE 1815): link frames with their checksums, transport segments, what a master asks of an outstation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import U8, U16, Bit, Flags8, Header, Hex16, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

FROM_PRIMARY: Final = {
    0: "Reset Link States",
    1: "Reset User Process",
    2: "Test Link State",
    3: "User Data",
    4: "Unconfirmed User Data",
    9: "Request Link Status",
}
FROM_SECONDARY: Final = {
    0: "ACK",
    1: "NACK",
    11: "Status of Link",
    14: "Link Service Not Functioning",
    15: "Not Used",
}
FUNCTIONS: Final = {
    0x00: "Confirm",
    0x01: "Read",
    0x02: "Write",
    0x03: "Select",
    0x04: "Operate",
    0x05: "Direct Operate",
    0x06: "Direct Operate No Ack",
    0x07: "Immediate Freeze",
    0x08: "Immediate Freeze No Ack",
    0x09: "Freeze and Clear",
    0x0A: "Freeze and Clear No ACK",
    0x0B: "Freeze With Time",
    0x0C: "Freeze With Time No Ack",
    0x0D: "Cold Restart",
    0x0E: "Warm Restart",
    0x0F: "Initialize Data",
    0x10: "Initialize Application",
    0x11: "Start Application",
    0x12: "Stop Application",
    0x13: "Save Configuration",
    0x14: "Enable Spontaneous Messages",
    0x15: "Disable Spontaneous Messages",
    0x16: "Assign Classes",
    0x17: "Delay Measurement",
    0x18: "Record Current Time",
    0x19: "Open File",
    0x1A: "Close File",
    0x1B: "Delete File",
    0x1C: "Get File Info",
    0x1D: "Authenticate File",
    0x1E: "Abort File",
    0x1F: "Activate Config",
    0x20: "Authentication Request",
    0x21: "Authentication Error",
    0x81: "Response",
    0x82: "Unsolicited Response",
    0x83: "Authentication Response",
}
PRIMARY: Final = 0x40
DNP3: Final = Header(
    "dnp3",
    "Distributed Network Protocol 3.0",
    (
        Hex16("start", "Start Bytes"),
        U8("len", "Length"),
        Flags8(
            "ctl",
            "Control",
            Bit(0x80, "ctl.dir", "Direction"),
            Bit(0x40, "ctl.prm", "Primary"),
        ),
    ),
)
ADDRESSES: Final = Header(
    "dnp3", "Addresses", (U16("dst", "Destination"), U16("src", "Source")), name="", little=True
)
PRIMARY_FUNCTION: Final = number("dnp3.ctl.prifunc", "Control Function Code", FROM_PRIMARY)
SECONDARY_FUNCTION: Final = number("dnp3.ctl.secfunc", "Control Function Code", FROM_SECONDARY)
CHECKSUM: Final = number("dnp3.hdr.CRC", "Data Link Header checksum", digits=4)
CHECKSUM_STATUS: Final = number(
    "dnp.hdr.CRC.status", "Data Link Header Checksum Status", {0: "Bad", 1: "Good", 2: "Unverified"}
)
FINAL, FIRST, SEQUENCE = (
    number("dnp3.tr.fin", "Final"),
    number("dnp3.tr.fir", "First"),
    number("dnp3.tr.seq", "Sequence"),
)
FUNCTION: Final = number("dnp3.al.func", "Function Code", FUNCTIONS, digits=2)
CONTROL: Final = number("dnp3.al.ctl", "Application Control", digits=2)
INDICATIONS: Final = number("dnp3.al.iin", "Internal Indications", digits=4)
OBJECTS: Final = octets("", "Objects")
USER_DATA: Final = octets("dnp.data_chunk", "Data Chunk")
MAGIC: Final = b"\x05\x64"
HEAD, CHUNK = 10, 16
MAX_FRAGMENT: Final = 1 << 14


def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ 0xA6BC if value & 1 else value >> 1
        table.append(value)
    return tuple(table)


CRC: Final = _table()
"""Of x^16 + x^13 + x^12 + x^11 + x^10 + x^8 + x^6 + x^5 + x^2 + 1, low bit first."""


def checksum(data: bytes) -> int:
    """Over a header or a chunk."""
    value = 0
    for byte in data:
        value = value >> 8 ^ CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFF


@on("tcp.port", 20000)
@on("udp.port", 20000)
@signature("tcp")
def dnp3(packet: Packet, at: int, limit: int) -> Step | None:
    """Frames one after the other; the header's checksum decides whether it is one."""
    shown = False
    while at < limit:
        head = packet.rest(at, min(at + HEAD, limit))
        if head[:2] != MAGIC or (len(head) == HEAD and not _good(head)):
            return Step((dnp3,), at, limit) if shown else NOT_MINE
        packet.whole("DNP3", at, HEAD, limit)
        packet.check("DNP3", at, HEAD, limit)
        size = max(packet.data[at + 2] - 5, 0)
        total = HEAD + size + 2 * -(-size // CHUNK)
        packet.whole("DNP3", at, total, limit)
        shown = True
        packet.column("dnp3")
        _frame(packet, at, size, min(at + total, limit))
        at += total
    return None


def _good(head: bytes) -> bool:
    return head[2] >= 5 and checksum(head[:8]) == int.from_bytes(head[8:10], "little")


def _frame(packet: Packet, at: int, size: int, end: int) -> None:
    layer, (_, length, control) = packet.open(DNP3, at, end)
    target, source = packet.add_header(layer, ADDRESSES, at + 4, end)
    stated = int.from_bytes(packet.take("DNP3", at + 8, 2, end), "little")
    packet.add(layer, CHECKSUM, stated, at + 8, 2)
    packet.add(layer, CHECKSUM_STATUS, int(_good(packet.data[at : at + HEAD])), at + 8, 2)
    layer.size = packet.end(end) - at
    packet.add(layer, PRIMARY_FUNCTION if control & PRIMARY else SECONDARY_FUNCTION, control & 0x0F, at + 3, 1)
    names = FROM_PRIMARY if control & PRIMARY else FROM_SECONDARY
    name = names.get(control & 0x0F, "Unknown function")
    packet.info = f"from {source} to {target}, len={length}, {name}"
    layer.said = packet.info
    if not size or not (control & PRIMARY and control & 0x0F in (3, 4)):
        return
    data = bytearray()
    for where in range(at + HEAD, end, CHUNK + 2):
        chunk = packet.rest(where, min(where + CHUNK, end - 2))
        packet.add(layer, USER_DATA, chunk, where, len(chunk))
        data += chunk
    _transport(packet, layer, at, bytes(data), source)


def _transport(packet: Packet, layer: Item, at: int, data: bytes, source: int) -> None:
    """Segments of a fragment of the application layer (IEEE 1815, 8): those that are missing are waited for."""
    if not data:
        return
    first, final = data[0] >> 6 & 1, data[0] >> 7
    packet.add(layer, FINAL, final, at + HEAD, 1)
    packet.add(layer, FIRST, first, at + HEAD, 1)
    packet.add(layer, SEQUENCE, data[0] & 0x3F, at + HEAD, 1)
    memory: dict[Any, Any] = packet.memory("dnp3")
    kept = b"" if first else memory.pop(source, None)
    if kept is None or len(kept) + len(data) > MAX_FRAGMENT:
        packet.info += f" (Application Layer Unreassembled fragment {data[0] & 0x3F})"
        return
    whole = kept + data[1:]
    if not final:
        if len(memory) < 64:
            memory[source] = whole
        packet.info += f" (Application Layer Unreassembled fragment {data[0] & 0x3F})"
        return
    packet.aside("DNP3 application data", whole, Step((_application,), 0, len(whole)))


AL: Final = Header("dnp3.al", "DNP 3.0 Application Layer", (), name="")


def _application(packet: Packet, at: int, limit: int) -> Step | None:
    layer = packet.layer(AL.field, at, limit - at)
    packet.add(layer, CONTROL, packet.uint("DNP3 application", at, 1, limit), at, 1)
    function = packet.uint("DNP3 application", at + 1, 1, limit)
    packet.add(layer, FUNCTION, function, at + 1, 1)
    packet.info = FUNCTIONS.get(function, f"Unknown function (0x{function:02x})")
    where = at + 2
    if function & 0x80:
        packet.add(layer, INDICATIONS, packet.uint("DNP3 application", where, 2, limit), where, 2)
        where += 2
    rest = packet.rest(where, limit)
    if rest:
        packet.add(layer, OBJECTS, rest, where, len(rest))
    if function == 1:
        classes = "".join(str(digit) for digit, code in CLASSES if code in rest)
        packet.info += f", Class {''.join(sorted(classes))}" if classes else ""
    elif function == 2 and rest[:2] == b"\x50\x01":
        packet.info += ", Internal Indications"
    layer.said = packet.info
    return None


CLASSES: Final = ((0, b"\x3c\x01\x06"), (1, b"\x3c\x02\x06"), (2, b"\x3c\x03\x06"), (3, b"\x3c\x04\x06"))
"""Class → the object header that asks for all of it."""
