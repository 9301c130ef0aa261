"""Messages that say how long they are: reading field after field, and what is wrong staying within its message."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.packet import MAX_INFO, MAX_ITEMS, Malformed, Packet, Short, TooMuch, Verdict
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

__all__ = ["Cursor", "before", "contained", "entire", "roomy"]

RESERVE: Final = 80
"""Lines that are left for the last message that is shown."""


def entire(packet: Packet, label: str, at: int, size: int, limit: int) -> int:
    """Where a message of `size` bytes ends. It is waited for; one that the capture cut is shown as far as it is."""
    if limit <= packet.caplen:
        packet.whole(label, at, size, limit)
    return at + size


def roomy(packet: Packet) -> bool:
    """Whether more messages are shown; those after are only walked, so that the last one is known to be complete."""
    return packet.items < MAX_ITEMS - RESERVE


def before(packet: Packet, label: str) -> str:
    """What the Info column says already of messages of the same protocol that this packet completed."""
    return packet.info[:MAX_INFO] if packet.protocol == label else ""


def contained(packet: Packet, show: Callable[..., None], *given: object) -> bool:
    """Shows one message; what is malformed in it does not hide those behind. Whether all was well."""
    try:
        show(packet, *given)
    except (Short, Malformed, TooMuch) as stopped:
        verdict = stopped.verdict(packet)
        if verdict.kind == "cut" or packet.goes_beyond(stopped):
            raise
        if not packet.values.get("quoted"):
            packet.marks.append(Verdict(verdict.kind, escape(verdict.text), verdict.offset))
        return isinstance(stopped, TooMuch)
    return True


class Cursor:
    """Reads the fields of a message in their order, each a line below a parent."""

    __slots__ = ("at", "end", "label", "little", "packet")

    def __init__(self, packet: Packet, label: str, at: int, end: int, *, little: bool = False) -> None:
        self.packet = packet
        self.label = label
        """What is said to be short."""
        self.at = at
        self.end = end
        """Where the message ends by what it says."""
        self.little = little

    @property
    def left(self) -> int:
        """Bytes to the message's end."""
        return self.end - self.at

    def uint(self, size: int, *, signed: bool = False) -> int:
        """An integer that is not shown."""
        raw = self.packet.take(self.label, self.at, size, self.end)
        self.at += size
        return int.from_bytes(raw, "little" if self.little else "big", signed=signed)

    def number(self, parent: Item, field: Field, size: int, said: str = "", *, signed: bool = False) -> int:
        """An integer."""
        at = self.at
        value = self.uint(size, signed=signed)
        self.packet.add(parent, field, value, at, size, said)
        return value

    def octets(self, parent: Item, field: Field, size: int, said: str = "") -> bytes:
        """`size` bytes; of those that were cut, what is here."""
        packet, at = self.packet, self.at
        if size < 0 or at + size > self.end:
            raise Short(self.label, at, max(size, 0), self.end)
        raw = packet.data[at : at + size]
        packet.add(parent, field, raw, at, len(raw), said)
        packet.check(self.label, at, size, self.end)
        self.at += size
        return raw

    def address(self, parent: Item, field: Field, size: int) -> bytes:
        """Bytes that mean nothing if one of them is missing."""
        self.packet.check(self.label, self.at, size, self.end)
        return self.octets(parent, field, size)

    def rest(self, parent: Item, field: Field) -> bytes:
        """All to the end of the message, if there is any."""
        return self.octets(parent, field, self.left) if self.left > 0 else b""

    def cstring(self, parent: Item, field: Field) -> bytes:
        """Characters up to a zero, which the value does not have."""
        packet, at = self.packet, self.at
        end = packet.end(self.end)
        stop = packet.data.find(b"\0", at, end)
        if stop < 0:
            packet.add(parent, field, packet.data[at:end], at, max(0, end - at))
            if self.end > packet.caplen:
                raise Short(self.label, at, self.end - at, self.end)
            raise Malformed(f"{self.label}: a string without its end", at)
        raw = packet.data[at:stop]
        packet.add(parent, field, raw, at, stop + 1 - at)
        self.at = stop + 1
        return raw
