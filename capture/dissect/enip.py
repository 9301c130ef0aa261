"""EtherNet/IP: encapsulation of CIP over TCP and UDP (CIP Networks Library, Volume 2, 2-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import U16, Bytes, Header, Hex16, Hex32, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

COMMANDS: Final = {
    0x0000: "NOP",
    0x0004: "List Services",
    0x0063: "List Identity",
    0x0064: "List Interfaces",
    0x0065: "Register Session",
    0x0066: "Unregister Session",
    0x006F: "Send RR Data",
    0x0070: "Send Unit Data",
    0x0072: "Indicate Status",
    0x0073: "Cancel",
}
LIST_SERVICES, LIST_IDENTITY, REGISTER, UNREGISTER, SEND_RR, SEND_UNIT = 0x04, 0x63, 0x65, 0x66, 0x6F, 0x70
STATUS: Final = {
    0x0000: "Success",
    0x0001: "Invalid Command",
    0x0002: "No Memory Resources",
    0x0003: "Incorrect Data",
    0x0064: "Invalid Session Handle",
    0x0065: "Invalid Length",
    0x0069: "Unsupported Protocol Revision",
}
ENIP: Final = Header(
    "enip",
    "EtherNet/IP (Industrial Protocol)",
    (
        Hex16("command", "Command", COMMANDS),
        U16("length", "Length"),
        Hex32("session", "Session Handle"),
        Hex32("status", "Status", STATUS),
        Bytes("context", "Sender Context", 8),
        Hex32("options", "Options"),
    ),
    little=True,
)
ITEMS: Final = {
    0x0000: "Null Address Item",
    0x000C: "List Identity Response",
    0x00A1: "Connected Address Item",
    0x00B1: "Connected Data Item",
    0x00B2: "Unconnected Data Item",
    0x0100: "List Services Response",
    0x8000: "Socket Address Info O->T",
    0x8001: "Socket Address Info T->O",
    0x8002: "Sequenced Address Item",
}
CONNECTED, UNCONNECTED = 0x00B1, 0x00B2
COUNT: Final = number("enip.cpf.itemcount", "Item Count")
ITEM: Final = group("", "Item")
ITEM_TYPE, ITEM_SIZE = number("enip.cpf.typeid", "Type ID", ITEMS, digits=4), number("enip.cpf.length", "Length")
CONNECTION: Final = number("enip.cpf.cai.connid", "Connection ID", digits=8)
SEQUENCE: Final = number("cip.seq", "CIP Sequence Count")
VENDOR, PRODUCT = number("enip.lir.vendor", "Vendor ID", digits=4), text("enip.lir.name", "Product Name")
ITEM_DATA: Final = octets("enip.cpf.data", "Data")
SERVER: Final = 44818
MAX_ITEMS: Final = 32


@on("tcp.port", SERVER)
@on("udp.port", SERVER)
def enip(packet: Packet, at: int, limit: int) -> Step | None:
    """Messages with their length, one after the other."""
    words: list[str] = []
    protocol = ""
    while at < limit:
        head = packet.rest(at, min(at + 4, limit))
        if len(head) >= 2 and int.from_bytes(head[:2], "little") not in COMMANDS:
            return Step((enip,), at, limit) if words else NOT_MINE
        size = ENIP.size + int.from_bytes(head[2:4], "little")
        packet.whole("ENIP", at, max(size, ENIP.size), limit)
        packet.column("enip", " | ".join(words))
        words.append(_message(packet, at, min(at + size, limit)))
        packet.info = " | ".join(words)
        protocol = packet.protocol if packet.protocol != "ENIP" else protocol
        packet.protocol = protocol or packet.protocol
        at += size
    return None


def _message(packet: Packet, at: int, end: int) -> str:
    layer, (command, _, session, status, context, _) = packet.open(ENIP, at, end)
    answer = packet.values.get("ports", (0, 0))[1] != SERVER
    said = f"{COMMANDS[command]} ({'Rsp' if answer else 'Req'})"
    if command in (REGISTER, UNREGISTER) or command in (SEND_RR, SEND_UNIT):
        said += f", Session: 0x{session:08X}"
    if status and answer:
        said += f", {STATUS.get(status, f'Unknown (0x{status:08x})')}"
    layer.said = said
    packet.info = said
    layer.size = packet.end(end) - at
    where = at + ENIP.size
    if command in (SEND_RR, SEND_UNIT):
        packet.check("ENIP", where, 6, end)
        packet.values["cip.key"] = context
        return _items(packet, layer, where + 6, end) or said
    if command in (LIST_SERVICES, LIST_IDENTITY) and where < end:
        return said + _items(packet, layer, where, end)
    return said


def _items(packet: Packet, layer: Item, at: int, end: int) -> str:
    """The common packet format -> what the data items say."""
    count = int.from_bytes(packet.take("ENIP items", at, 2, end), "little")
    packet.add(layer, COUNT, count, at, 2)
    at += 2
    said = ""
    for _ in range(min(count, MAX_ITEMS)):
        head = packet.take("ENIP item", at, 4, end)
        kind, size = int.from_bytes(head[:2], "little"), int.from_bytes(head[2:], "little")
        start = at + 4
        packet.check("ENIP item", start, size, end)
        item = packet.add(layer, ITEM, None, at, 4 + size, ITEMS.get(kind, f"Unknown (0x{kind:04x})"))
        packet.add(item, ITEM_TYPE, kind, at, 2)
        packet.add(item, ITEM_SIZE, size, at + 2, 2)
        raw = packet.data[start : start + size]
        if kind in (CONNECTED, UNCONNECTED) and size > (2 if kind == CONNECTED else 0):
            offset = 2 if kind == CONNECTED else 0
            if offset:
                sequence = int.from_bytes(raw[:2], "little")
                packet.add(item, SEQUENCE, sequence, start, 2)
                packet.values["cip.key"] = sequence
            packet.info = ""
            packet.run(step("enip.cip", 0, start + offset, start + size))
            said = packet.info
        elif kind == 0x00A1 and size == 4:
            packet.add(item, CONNECTION, int.from_bytes(raw, "little"), start, 4)
        elif kind == 0x000C and size > 33:
            packet.add(item, VENDOR, int.from_bytes(raw[18:20], "little"), start + 18, 2)
            name = raw[33 : 33 + raw[32]]
            packet.add(item, PRODUCT, name, start + 33, len(name))
            said = f", {escape(name)}"
        elif kind == 0x0100 and size > 4:
            said = f", {escape(raw[4:].split(bytes(1))[0])}"
        elif size:
            packet.add(item, ITEM_DATA, raw, start, size)
        at = start + size
    return said
