"""Messages that say how long they are: reading field after field, and what is wrong staying within its message."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import number
from netwatch.capture.dissect.packet import (
    MAX_INFO,
    MAX_ITEMS,
    Malformed,
    Packet,
    Short,
    TooMuch,
    Verdict,
)
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item

__all__ = ["MAX_SHOWN", "Cursor", "Passed", "before", "contained", "entire", "octet", "roomy", "sized", "small"]

RESERVE: Final = 80
"""Lines that are left for the last message that is shown."""
MAX_SHOWN: Final = 150
"""Messages of a packet that are shown; one of 64 kB may have 32,000 of them."""
MOST_SMALL: Final = 128
"""Bytes from which on a message is no small one: a packet has no more than five hundred of those."""
MAX_WALKED: Final = 900
"""Messages that are not shown and no small ones, or small ones in disguise."""
AT_ONCE: Final = (8, 1)


def _more(many: int) -> str:
    return f"{many:,} more messages" if many > 1 else "1 more message"


PASSED: Final = number("", "Not shown", form=_more)


def entire(packet: Packet, label: str, at: int, size: int, limit: int) -> int:
    """Where a message of `size` bytes ends. It is waited for; one that the capture cut is shown as far as it is."""
    if limit <= packet.caplen:
        packet.whole(label, at, size, limit)
    return at + size


def roomy(packet: Packet) -> bool:
    """Whether more messages are shown; those after are only passed over, see `Passed`."""
    return packet.items < MAX_ITEMS - RESERVE and len(packet.layers) < MAX_SHOWN


class Passed:
    """The messages behind those that are shown: how many they are, and where the last complete one ends, so that the
    rest is kept until the next segment.

    Small ones are what a sender can put thousands of into a packet. A regular expression, which matches one of them,
    passes over many at once.
    """

    __slots__ = ("many", "one", "packet", "shown", "walked")

    def __init__(self, packet: Packet, one: bytes) -> None:
        self.packet = packet
        self.one = one
        """Matches a small message, all of it, and nothing that `entire` would not take for one."""
        self.many = self.walked = 0
        self.shown: Item | None = None
        """The line that counts them."""

    def over(self, at: int, limit: int) -> int:
        """Where the small messages end that begin at `at`, if they are not to be shown any more."""
        if self.shown is None and roomy(self.packet):
            return at
        many, after = small(self.one, self.packet.data, at, self.packet.end(limit))
        if many:
            self._count(many, at, after)
        return after

    def single(self, at: int, end: int, steps: int = 1) -> None:
        """Any other message, which is not to be shown any more; its end took `steps` to find. Raises TooMuch."""
        self.walked += steps
        if self.walked > MAX_WALKED:
            raise TooMuch("more messages than are counted", at)
        self._count(1, at, self.packet.end(end))

    def _count(self, many: int, at: int, after: int) -> None:
        packet = self.packet
        if self.shown is None:
            self.shown = packet.layer(PASSED, at, 0)
            packet.marks.append(Verdict("stopped", "more messages than are shown", at))
        self.many += many
        self.shown.value, self.shown.size = self.many, after - self.shown.start


def small(one: bytes, data: bytes, at: int, end: int, most: int = 1 << 30) -> tuple[int, int]:
    """How many that `one` matches follow each other at `at`, `most` or fewer, and where the last of them ends."""
    many = 0
    for count, some in _compiled(one):
        while many + count <= most and (found := some.match(data, at, end)) is not None:
            at = found.end()
            many += count
    return many, at


@cache
def _compiled(one: bytes) -> tuple[tuple[int, re.Pattern[bytes]], ...]:
    """Only once it is needed: each takes half a millisecond."""
    return tuple((count, re.compile(b"(?:%b){%d}" % (one, count), re.DOTALL)) for count in AT_ONCE)


def octet(values: Iterable[int]) -> bytes:
    """A regular expression of one byte."""
    return b"[" + b"".join(b"\\x%02x" % value for value in sorted(values)) + b"]"


def sized(least: int = 0, *, counted: int = 0, more: int = 0, most: int = MOST_SMALL) -> bytes:
    """A regular expression of a length in one byte and as many bytes as it says, `least` or more of them.

    `counted`: bytes before those that the length counts as well; `more`: bytes that it does not count.
    """
    sizes = range(least, most)
    return b"(?:%b)" % b"|".join(octet([size + counted]) + b".{%d}" % (size + more) for size in sizes)


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
