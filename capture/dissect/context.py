"""What packets leave behind for those after them: conversations, and datagrams of which parts are still to come."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.datagrams import Datagrams

if TYPE_CHECKING:
    from netwatch.capture.dissect.packet import Packet
    from netwatch.capture.dissect.registry import Dissector

__all__ = ["Context", "Conversation", "Fragments", "Message", "Side"]

MAX_CONVERSATIONS: Final = 1 << 14
"""Beyond, the one that was silent for longest is forgotten: a sender chooses how many there are."""
MAX_EXPECTED: Final = 1 << 10
MAX_HELD: Final = 32 << 20
"""Bytes of incomplete messages in all conversations."""
MAX_EARLY: Final = 64
"""Segments of one message that came before one that is still missing."""

Key = tuple[str, bytes, int, bytes, int]


class Message:
    """One message of a byte stream, as far as its segments came."""

    __slots__ = ("data", "early", "numbers", "sequence", "size")

    def __init__(self, sequence: int, size: int, data: bytes, number: int) -> None:
        self.sequence = sequence
        """That of its first byte."""
        self.size = size
        """Bytes of it in all; 0: not known, at least one more segment; TO_THE_END."""
        self.data = bytearray(data)
        self.early: dict[int, tuple[bytes, int]] = {}
        """Offset → bytes behind a gap, and their packet's number."""
        self.numbers = [number]
        """Of the packets that brought it."""

    @property
    def weight(self) -> int:
        """Bytes that keeping it takes, roughly."""
        return 200 + len(self.data) + sum(len(data) + 100 for data, _ in self.early.values())

    def add(self, offset: int, data: bytes, number: int) -> None:
        """Bytes at an offset; those that are there already stay as they came first."""
        if offset > len(self.data):
            if len(self.early) < MAX_EARLY:
                self.early.setdefault(offset, (data, number))
            return
        self._append(offset, data, number)
        while self.early:
            nearest = min(self.early)
            if nearest > len(self.data):
                break
            self._append(nearest, *self.early.pop(nearest))

    def _append(self, offset: int, data: bytes, number: int) -> None:
        fresh = data[len(self.data) - offset :]
        if fresh:
            self.data += fresh
            self.numbers.append(number)


class Side:
    """What one endpoint of a TCP connection sent."""

    __slots__ = ("fin", "first", "known", "message", "next", "passing", "shift", "syn")

    def __init__(self) -> None:
        self.first: int | None = None
        """The sequence number that shown ones are relative to."""
        self.next: int | None = None
        """The one that is expected next."""
        self.shift: int | None = None
        """Window scale of its SYN (RFC 7323, 2); None: none seen."""
        self.syn = False
        self.fin = False
        self.message: Message | None = None
        """What of it is still incomplete."""
        self.known = False
        """What was shown last is a message."""
        self.passing: int | None = None
        """Where a message ends that is too long to be put together."""


class Conversation:
    """Two endpoints over one transport."""

    __slots__ = ("client", "dissector", "low", "memory", "sides", "stream")

    def __init__(self, stream: int, low: tuple[bytes, int]) -> None:
        self.stream = stream
        """Counted from 0, as `tcp.stream`."""
        self.low = low
        """The endpoint that is side 0."""
        self.client: int | None = None
        """The side that opened it."""
        self.dissector: Dissector | None = None
        """Who knew its bytes so far, and is asked first."""
        self.memory: dict[str, dict[Any, Any]] = {}
        """Protocol → what it remembers."""
        self.sides = (Side(), Side())

    def side(self, packet: Packet) -> int:
        """0 or 1: which of the two sent the packet."""
        _, source, port, _, _ = packet.values["transport"]
        return int((source, port) != self.low)


class Fragments:
    """IP datagrams of which fragments are missing: the same rules and bounds as the batch decoder's."""

    def __init__(self) -> None:
        self._datagrams = Datagrams()

    def add(
        self, key: tuple[Any, ...], offset: int, more: bool, data: bytes, number: int
    ) -> tuple[bytes, list[int]] | None:
        """A fragment → the payload of its datagram and the numbers of its packets, where this one completes it."""
        datagram = self._datagrams.add(key, offset, more, data, number)
        return None if datagram is None else (datagram.assembled(), datagram.numbers)


class Context:
    """State of one pass over packets in their order. Packets of several captures, or out of order, need others."""

    def __init__(self, *, whole: bool = True, counted: bool = True) -> None:
        self.whole = whole
        """The pass began where the capture did: a connection that it meets half-way has no earlier packet."""
        self.counted = counted
        """The pass meets all conversations, so that they have numbers."""
        self.fragments = Fragments()
        self.across: dict[str, OrderedDict[Any, Any]] = {}
        """Protocol → what it remembers beyond conversations. It bounds that."""
        self._conversations: OrderedDict[Key, Conversation] = OrderedDict()
        self._streams: dict[str, int] = {}
        self._expected: OrderedDict[tuple[str, bytes, int], Dissector] = OrderedDict()
        self._held: OrderedDict[int, tuple[Side, int]] = OrderedDict()
        self._held_bytes = 0

    def skip(self) -> None:
        """Packets are left out here: nothing that comes continues what was, and no gap is one of the capture's."""
        for conversation in self._conversations.values():
            conversation.memory.pop("tcp", None)
            for side in conversation.sides:
                side.next = side.passing = None
                self.hold(side, None)

    def conversation(self, packet: Packet) -> Conversation:
        """The conversation that the packet's innermost transport header belongs to."""
        key = _key(packet)
        found = self._conversations.get(key)
        if found is None:
            return self._new(key)
        self._conversations.move_to_end(key)
        return found

    def reopen(self, packet: Packet) -> Conversation:
        """Ports that are used again: a conversation of its own from here on."""
        key = _key(packet)
        self._forget(self._conversations.pop(key, None))
        return self._new(key)

    def dissector(self, packet: Packet) -> Dissector | None:
        """Who knew the bytes of this conversation before, or was announced for one of its endpoints."""
        if self._conversations:
            known = self._conversations.get(_key(packet))
            if known is not None and known.dissector is not None:
                return known.dissector
        if not self._expected:
            return None
        transport, source, source_port, destination, destination_port = packet.values["transport"]
        to = self._expected.get((transport, destination, destination_port))
        return to or self._expected.get((transport, source, source_port))

    def expect(self, transport: str, address: bytes, port: int, dissector: Dissector) -> None:
        """What goes to or comes from this port of an address will be `dissector`'s."""
        if len(self._expected) >= MAX_EXPECTED:
            self._expected.popitem(last=False)
        self._expected[transport, address, port] = dissector

    def hold(self, side: Side, message: Message | None) -> None:
        """`message` is what is incomplete of a side now. Where all together are too much, the oldest is given up."""
        _, weight = self._held.pop(id(side), (None, 0))
        self._held_bytes -= weight
        side.message = message
        if message is None:
            return
        weight = message.weight
        self._held[id(side)] = side, weight
        self._held_bytes += weight
        while self._held_bytes > MAX_HELD and len(self._held) > 1:
            _, (old, weight) = self._held.popitem(last=False)
            self._held_bytes -= weight
            old.message = None

    def _new(self, key: Key) -> Conversation:
        if len(self._conversations) >= MAX_CONVERSATIONS:
            self._forget(self._conversations.popitem(last=False)[1])
        stream = self._streams.get(key[0], 0)
        self._streams[key[0]] = stream + 1
        made = self._conversations[key] = Conversation(stream, (key[1], key[2]))
        return made

    def _forget(self, conversation: Conversation | None) -> None:
        for side in () if conversation is None else conversation.sides:
            self.hold(side, None)


def _key(packet: Packet) -> Key:
    transport, source, source_port, destination, destination_port = packet.values["transport"]
    if (source, source_port) <= (destination, destination_port):
        return transport, source, source_port, destination, destination_port
    return transport, destination, destination_port, source, source_port
