"""X11: who connects, which requests, replies, events and errors (X Window System Protocol, 8 to 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import Header, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.x11_names import ANSWERED, ERRORS, EVENTS, REQUESTS

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

X11: Final = Header("x11", "X11", ())
ORDER: Final = text("x11.byte-order", "byte-order")
MAJOR, MINOR = (
    number("x11.protocol-major-version", "protocol-major-version"),
    number("x11.protocol-minor-version", "protocol-minor-version"),
)
METHOD: Final = text("x11.authorization-protocol-name", "authorization-protocol-name")
SUCCESS: Final = number("x11.success", "success", {0: "Failed", 1: "Success", 2: "Authenticate"})
VENDOR: Final = text("x11.vendor", "vendor")
REQUEST, OPCODE = group("x11.request", "Request"), number("x11.opcode", "opcode", REQUESTS)
LENGTH: Final = number("x11.request-length", "request-length")
BODY: Final = octets("x11.undecoded", "undecoded")
SEQUENCE: Final = number("x11.reply-sequencenumber", "sequencenumber")
EVENT, EVENT_SEQUENCE = (
    number("x11.eventcode", "eventcode", EVENTS),
    number("x11.event-sequencenumber", "event-sequencenumber"),
)
ERROR, ERROR_SEQUENCE = (
    number("x11.errorcode", "errorcode", ERRORS),
    number("x11.error_sequencenumber", "error_sequencenumber"),
)
SERVERS: Final = range(6000, 6064)
UNIT: Final = 32
"""Bytes of a reply's head, an event, an error."""
GENERIC: Final = 35


@on("tcp.port", *SERVERS)
def x11(packet: Packet, at: int, limit: int) -> Step | None:
    """Clients ask, the server on the low port answers."""
    source, destination = packet.values.get("ports", (0, 0))
    memory = packet.memory("x11")
    if destination in SERVERS and (source not in SERVERS or packet.from_client):
        return _requests(packet, at, limit, memory)
    return _answers(packet, at, limit, memory)


def _order(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> str | None:
    """As the client said when it connected; else the one in which the length of a request fits."""
    known = memory.get("order")
    if known:
        return str(known)
    head = packet.rest(at, min(at + 4, limit))
    if len(head) < 4 or not 1 <= head[0] <= 200:
        return None
    for order in ("little", "big"):
        size = 4 * _number(packet, at + 2, 2, order)
        if 4 <= size <= limit - at:
            memory["order"] = order
            return order
    return None


def _number(packet: Packet, at: int, size: int, order: str) -> int:
    return int.from_bytes(packet.data[at : at + size], "big" if order == "big" else "little")


def _requests(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    if packet.data[at : at + 1] in (b"B", b"l") and packet.rest(at + 2, min(at + 4, limit)) in (b"\0\x0b", b"\x0b\0"):
        return _connects(packet, at, limit, memory)
    order = _order(packet, at, limit, memory)
    if order is None:
        return NOT_MINE
    words: list[str] = []
    memory["pending"] = []
    while at < limit:
        if limit > packet.caplen:
            packet.protocol = "X11"
        packet.whole("X11", at, 4, limit)
        code, size = packet.uint("X11", at, 1, limit), 4 * _number(packet, at + 2, 2, order)
        if size == 0:
            packet.whole("X11", at, 8, limit)
            size = 4 * _number(packet, at + 4, 4, order)
        if code == 0 or size < 4 or size > 1 << 24:
            # Not where a request begins: one before it was cut, or was missed.
            packet.protocol = "X11"
            packet.check("X11", at, limit - at, limit)
            return Step((), at, limit)
        name = REQUESTS.get(code, f"<Unknown opcode {code}>")
        if limit > packet.caplen:
            memory["pending"] = [0, 0]
        packet.whole("X11", at, size, limit)
        if not words:
            packet.column("x11")
        words.append(name)
        packet.info = f"Requests: {', '.join(words)}"
        end = min(at + size, limit)
        layer = packet.layer(X11.field, at, packet.end(end) - at, f"Request, opcode: {code} ({name})")
        item = packet.add(layer, REQUEST, None, at, packet.end(end) - at, name)
        packet.add(item, OPCODE, code, at, 1)
        packet.add(item, LENGTH, size // 4, at + 2, 2)
        rest = packet.rest(at + 4, end)
        if rest:
            packet.add(item, BODY, rest, at + 4, len(rest))
        _asked(memory, code)
        at += size
    return None


def _asked(memory: dict[Any, Any], code: int) -> None:
    """Requests are counted from the connection's start; of one that was joined later, only the last are known."""
    count = memory.get("count")
    if count is not None:
        memory["count"] = count + 1 & 0xFFFF
        remember(memory, ("request", memory["count"]), code)
    if (code in ANSWERED or code > 127) and len(memory["pending"]) < 2:
        memory["pending"].append(code)


def _connects(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    order = "big" if packet.data[at : at + 1] == b"B" else "little"
    packet.whole("X11", at, 12, limit)
    packet.check("X11", at, 12, limit)
    name, data = _number(packet, at + 6, 2, order), _number(packet, at + 8, 2, order)
    size = 12 + name + -name % 4 + data + -data % 4
    packet.whole("X11", at, size, limit)
    packet.column("x11", "Requests: Initial connection request")
    memory.update(order=order, count=0)
    layer = packet.layer(X11.field, at, packet.end(min(at + size, limit)) - at, "Initial connection request")
    packet.add(layer, ORDER, packet.data[at : at + 1], at, 1)
    packet.add(layer, MAJOR, _number(packet, at + 2, 2, order), at + 2, 2)
    packet.add(layer, MINOR, _number(packet, at + 4, 2, order), at + 4, 2)
    if name:
        packet.add(layer, METHOD, packet.take("X11", at + 12, name, limit), at + 12, name)
    return Step((), at + size, limit) if at + size < limit else None


def _answers(packet: Packet, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    order = memory.get("order")
    first = packet.data[at] if at < packet.end(limit) else 0
    if order is None:
        if limit - at < UNIT or (limit - at) % 4 or first & 0x7F > GENERIC:
            return NOT_MINE
        low, high = packet.data[at + 2 : at + 3], packet.data[at + 3 : at + 4]
        order = "big" if low < high else "little"
        if packet.streaming:
            memory["order"] = order  # what comes next may be cut anywhere
    if memory.get("count") == 0 and not memory.get("connected"):
        return _connected(packet, at, limit, memory, order)
    words: list[str] = []
    kind = ""
    while at < limit:
        if limit > packet.caplen:
            packet.protocol = "X11"
        packet.whole("X11", at, UNIT, limit)
        code = packet.uint("X11", at, 1, limit)
        size = UNIT
        if code == 1 or code & 0x7F == GENERIC:
            packet.check("X11", at, 8, limit)
            size += 4 * _number(packet, at + 4, 4, order)
        packet.whole("X11", at, size, limit)
        if not words:
            packet.column("x11")
        said, heading = _answer(packet, at, min(at + size, limit), order, memory)
        words.append(said if heading == kind else f"{heading}: {said}")
        kind = heading
        packet.info = ", ".join(words)
        at += size
    return None


def _answer(packet: Packet, at: int, end: int, order: str, memory: dict[Any, Any]) -> tuple[str, str]:
    """One of the server's -> (its name, whether it is a reply, an event or an error)."""
    code, sequence = packet.data[at], _number(packet, at + 2, 2, order)
    layer = packet.layer(X11.field, at, packet.end(end) - at)
    if code == 1:
        packet.add(layer, SEQUENCE, sequence, at + 2, 2)
        opcode = _which(memory, sequence)
        said = REQUESTS.get(opcode, f"<Unknown opcode {opcode}>") if opcode else "to unknown request"
        heading = "Reply"
    elif code == 0:
        error = packet.uint("X11", at + 1, 1, end)
        packet.add(layer, ERROR, error, at + 1, 1)
        packet.add(layer, ERROR_SEQUENCE, sequence, at + 2, 2)
        said, heading = ERRORS.get(error, f"<Unknown errorcode {error}>"), "Error"
    else:
        event = code & 0x7F
        packet.add(layer, EVENT, event, at, 1)
        packet.add(layer, EVENT_SEQUENCE, sequence, at + 2, 2)
        said, heading = EVENTS.get(event, f"<Unknown eventcode {event}>"), "Event"
    _rest(packet, layer, at + 4, end)
    layer.said = f"{heading}: {said}"
    return said, heading


def _rest(packet: Packet, layer: Item, at: int, end: int) -> None:
    rest = packet.rest(at, end)
    if rest:
        packet.add(layer, BODY, rest, at, len(rest))


def _which(memory: dict[Any, Any], sequence: int) -> int:
    """The request that a reply belongs to; 0: not known."""
    if memory.get("count") is not None:
        return int(memory.get(("request", sequence), 0))
    pending = memory.get("pending", [])
    return int(pending[0]) if len(pending) == 1 else 0


def _connected(packet: Packet, at: int, limit: int, memory: dict[Any, Any], order: str) -> Step | None:
    """What the server says of itself."""
    packet.whole("X11", at, 8, limit)
    packet.check("X11", at, 8, limit)
    size = 8 + 4 * _number(packet, at + 6, 2, order)
    packet.whole("X11", at, size, limit)
    packet.column("x11", "Initial connection reply")
    memory["connected"] = True
    layer = packet.layer(X11.field, at, packet.end(min(at + size, limit)) - at, "Initial connection reply")
    packet.add(layer, SUCCESS, packet.data[at], at, 1)
    packet.add(layer, MAJOR, _number(packet, at + 2, 2, order), at + 2, 2)
    packet.add(layer, MINOR, _number(packet, at + 4, 2, order), at + 4, 2)
    if packet.data[at] == 1 and size >= 40:
        length = _number(packet, at + 24, 2, order)
        packet.add(layer, VENDOR, packet.take("X11", at + 40, length, limit), at + 40, length)
    return Step((x11,), at + size, limit) if at + size < limit else None
