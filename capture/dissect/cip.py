"""CIP (the Common Industrial Protocol): which service of which object, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.dissect.kit import Header, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.protocols import declare
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

declare("cip", "CIP", "data")
CLASSES: Final = {
    0x01: "Identity",
    0x02: "Message Router",
    0x03: "DeviceNet",
    0x04: "Assembly",
    0x05: "Connection",
    0x06: "Connection Manager",
    0x07: "Register",
    0x08: "Discrete Input Point",
    0x09: "Discrete Output Point",
    0x0A: "Analog Input Point",
    0x0B: "Analog Output Point",
    0x0E: "Presence Sensing",
    0x0F: "Parameter",
    0x10: "Parameter Group",
    0x12: "Group",
    0x1D: "Discrete Input Group",
    0x1E: "Discrete Output Group",
    0x1F: "Discrete Group",
    0x28: "Motor Data",
    0x29: "Control Supervisor",
    0x2A: "AC/DC Drive",
    0x2C: "Overload",
    0x2D: "Softstart",
    0x37: "File",
    0x39: "Safety Supervisor",
    0x42: "Motion Device Axis",
    0x43: "Time Sync",
    0x44: "Modbus",
    0x46: "Modbus Serial Link",
    0x47: "Device Level Ring (DLR)",
    0x48: "QoS",
    0x4E: "Base Energy",
    0x52: "SNMP",
    0xF0: "ControlNet",
    0xF3: "Connection Configuration",
    0xF4: "Port",
    0xF5: "TCP/IP Interface",
    0xF6: "Ethernet Link",
}
SERVICES: Final = {
    0x01: "Get Attributes All",
    0x02: "Set Attributes All",
    0x03: "Get Attribute List",
    0x04: "Set Attribute List",
    0x05: "Reset",
    0x06: "Start",
    0x07: "Stop",
    0x08: "Create",
    0x09: "Delete",
    0x0A: "Multiple Service Packet",
    0x0D: "Apply Attributes",
    0x0E: "Get Attribute Single",
    0x10: "Set Attribute Single",
    0x11: "Find Next Object Instance",
    0x15: "Restore",
    0x16: "Save",
    0x17: "Nop",
    0x18: "Get Member",
    0x19: "Set Member",
    0x1A: "Insert Member",
    0x1B: "Remove Member",
    0x1C: "Group Sync",
}
MANAGER: Final = 0x06
MANAGED: Final = {
    0x4E: "Forward Close",
    0x52: "Unconnected Send",
    0x54: "Forward Open",
    0x56: "Get Connection Data",
    0x57: "Search Connection Data",
    0x5A: "Get Connection Owner",
    0x5B: "Large Forward Open",
}
"""Services of the Connection Manager alone."""
STATUS: Final = {
    0x00: "Success",
    0x01: "Connection failure",
    0x02: "Resource unavailable",
    0x03: "Invalid parameter value",
    0x04: "Path segment error",
    0x05: "Path destination unknown",
    0x06: "Partial transfer",
    0x07: "Connection lost",
    0x08: "Service not supported",
    0x09: "Invalid attribute value",
    0x0A: "Attribute list error",
    0x0B: "Already in requested mode/state",
    0x0C: "Object state conflict",
    0x0D: "Object already exists",
    0x0E: "Attribute not settable",
    0x0F: "Privilege violation",
    0x10: "Device state conflict",
    0x11: "Reply data too large",
    0x13: "Not enough data",
    0x14: "Attribute not supported",
    0x15: "Too much data",
    0x16: "Object does not exist",
    0x1E: "Embedded service error",
    0x1F: "Vendor specific error",
    0x26: "Path size invalid",
}
CIP: Final = Header("cip", "Common Industrial Protocol", ())
KIND: Final = number("cip.rr", "Request/Response", {0: "Request", 1: "Response"})
SERVICE: Final = number("cip.sc", "Service", SERVICES, digits=2)
PATH_SIZE: Final = number("cip.request_path_size", "Request Path Size")
PATH: Final = group("cip.epath", "Request Path")
CLASS, INSTANCE, ATTRIBUTE = (
    number("cip.class", "Class", CLASSES, digits=2),
    number("cip.instance", "Instance", digits=2),
    number("cip.attribute", "Attribute", digits=2),
)
SYMBOL: Final = text("cip.symbol", "ANSI Symbol")
GENERAL: Final = number("cip.genstat", "General Status", STATUS, digits=2)
MORE_SIZE: Final = number("cip.addstat_size", "Additional Status Size")
DATA: Final = octets("cip.data", "Command Specific Data")
LOGICAL: Final = {0: CLASS, 1: INSTANCE, 4: ATTRIBUTE}
"""Logical type → what it picks; the low bits say how wide (Volume 1, C-1.4.2)."""
WIDTHS: Final = {0: 1, 1: 2, 2: 4}
MAX_SEGMENTS: Final = 32


class Target(NamedTuple):
    """What a path leads to."""

    kind: int | None
    """Its class."""
    symbol: str


@on("enip.cip", 0)
def cip(packet: Packet, at: int, limit: int) -> Step | None:
    """A request with a path, or the response to one: the sequence of its connection finds the request."""
    kept = packet.info
    packet.column("cip", kept)
    service = packet.uint("CIP", at, 1, limit)
    layer = packet.layer(CIP.field, at, packet.end(limit) - at)
    answer, code = service >> 7, service & 0x7F
    packet.add(layer, KIND, answer, at, 1)
    item = packet.add(layer, SERVICE, code, at, 1)
    memory: dict[Any, Any] = packet.memory("cip")
    key = packet.values.get("cip.key")
    if answer:
        status = packet.uint("CIP", at + 2, 1, limit)
        more = packet.uint("CIP", at + 3, 1, limit)
        packet.add(layer, GENERAL, status, at + 2, 1)
        packet.add(layer, MORE_SIZE, more, at + 3, 1)
        where = at + 4 + 2 * more
        target = memory.get(key, Target(None, ""))
        said = f"{STATUS.get(status, f'Unknown Response (0x{status:02x})')}: {_named(target, code)}"
    else:
        size = 2 * packet.uint("CIP", at + 1, 1, limit)
        packet.add(layer, PATH_SIZE, size // 2, at + 1, 1)
        packet.check("CIP", at + 2, size, limit)
        target = _path(packet, packet.add(layer, PATH, None, at + 2, size), at + 2, at + 2 + size)
        where = at + 2 + size
        said = _named(target, code)
        remember(memory, key, target)
    if target.kind == MANAGER:
        item.said = f"{MANAGED.get(code) or SERVICES.get(code, 'Unknown')} (0x{code:02x})"
        packet.protocol = "CIP CM"
    rest = packet.rest(where, limit)
    if rest:
        packet.add(layer, DATA, rest, where, len(rest))
    layer.said = said
    packet.info = said
    return None


def _named(target: Target, code: int) -> str:
    """`Identity - Get Attribute Single`"""
    own = MANAGED if target.kind == MANAGER else {}
    service = own.get(code) or SERVICES.get(code, f"Service (0x{code:02x})")
    if code == 0x0A:
        service += ": "
    if target.symbol:
        return f"'{target.symbol}' - {service}"
    if target.kind is None:
        return service
    return f"{CLASSES.get(target.kind, f'Class (0x{target.kind:02x})')} - {service}"


def _path(packet: Packet, parent: Item, at: int, end: int) -> Target:
    """Segments (Volume 1, C-1.4): logical ones, and symbols that controllers name their tags with."""
    kind: int | None = None
    symbols: list[str] = []
    for _ in range(MAX_SEGMENTS):
        if at >= end:
            break
        first = packet.data[at]
        if first >> 5 == 1:
            field, width = LOGICAL.get(first >> 2 & 7), WIDTHS.get(first & 3)
            if width is None or (field is None and first & 0x1C == 0x14):
                break
            start = at + (1 if width == 1 else 2)
            value = int.from_bytes(packet.take("CIP path", start, width, end), "little")
            if field is not None:
                packet.add(parent, field, value, start, width)
            if field is CLASS:
                kind = value
            at = start + width
        elif first == 0x91:
            size = packet.uint("CIP path", at + 1, 1, end)
            raw = packet.take("CIP path", at + 2, size, end)
            packet.add(parent, SYMBOL, raw, at + 2, size)
            symbols.append(escape(raw))
            at += 2 + size + size % 2
        elif first >> 5 == 0 and first:
            # A port to go out by, and the address there, which may be text (C-1.4.1).
            start = at + 1
            size = 1
            if first & 0x10:
                size, start = packet.uint("CIP path", at + 1, 1, end), at + 2
            at = start + (2 if first & 0x0F == 0x0F else 0) + size
            at += (at - parent.start) % 2
        else:
            break
    return Target(kind, ".".join(symbols))
