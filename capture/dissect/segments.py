"""TCP segments put together where a message spans packets (RFC 9293, 3.4): the packet that completes it shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.context import Message
from netwatch.capture.dissect.kit import Item, group, number
from netwatch.capture.dissect.packet import DATA, MAX_MESSAGE, SEGMENT, SEGMENT_MARK, TO_THE_END, Packet, data
from netwatch.capture.dissect.registry import Step

if TYPE_CHECKING:
    from netwatch.capture.dissect.context import Context, Conversation, Side
    from netwatch.capture.dissect.packet import More
    from netwatch.capture.dissect.registry import Dissector

__all__ = ["SHOWN_NUMBERS", "TOO_LONG", "after", "forget_lost", "name_packets", "payload"]

SEGMENTS: Final = group("tcp.segments", "Reassembled TCP segments")
SEGMENT_NUMBER: Final = number("tcp.segment", "Packet")
SEGMENT_COUNT: Final = number("tcp.segment.count", "Segment count")
LENGTH: Final = number("tcp.reassembled.length", "Reassembled TCP length")
TOO_LONG: Final = group("", "Message too long to be put together")

SHOWN_NUMBERS: Final = 64
"""Packets that a reassembled message names."""
MAX_UNKNOWN: Final = 1 << 16
"""Bytes of a message that does not say how long it is: each segment has it looked at once more."""
MAX_PASSED: Final = (1 << 31) - 1
"""Bytes by which one sequence number can be told to be behind another."""


def after(sequence: int, than: int) -> int:
    """How far one sequence number is behind another; negative: before it (RFC 9293, 3.4: modulo 2^32)."""
    return ((sequence - than + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def forget_lost(context: Context, side: Side, acknowledged: int) -> None:
    """What was acknowledged and not seen will not come any more: the message that waits for it is given up."""
    message = side.message
    if message is None or not message.early or message.size == TO_THE_END:
        return
    # As long as its segments come they are its, whatever was lost of it.
    if after(acknowledged, message.sequence + max(message.size, len(message.data) + 1)) >= 0:
        context.hold(side, None)


def payload(
    packet: Packet, layer: Item, at: int, limit: int, sequence: int, fin: bool, candidates: tuple[Dissector, ...]
) -> None:
    """Shows the payload of a segment, with what earlier ones hold of the message that it completes."""
    conversation, context = packet.conversation, packet.context
    if conversation is None or context is None:
        _fresh(packet, Step(candidates, at, limit))
        return
    side = conversation.sides[conversation.side(packet)]
    stream = _Segment(packet, context, conversation, side, layer, candidates)
    stream.take(at, limit, sequence, fin)


def _fresh(packet: Packet, following: Step, *, mark: bool = True) -> More | None:
    """What begins in this segment. A message that goes on leaves the rest of it to be shown as a segment's, and the
    Info column says so, unless the segment ends a message as well."""
    layers = len(packet.layers)
    info = packet.info
    more = packet.attempt(following)
    if more is not None:
        if len(packet.layers) == layers:
            packet.info = (packet.info + SEGMENT_MARK).lstrip() if mark else info
        packet.segment(more.at, following.limit)
    return more


class _Segment:
    """One segment's payload on its way into the messages of its side."""

    def __init__(
        self,
        packet: Packet,
        context: Context,
        conversation: Conversation,
        side: Side,
        layer: Item,
        candidates: tuple[Dissector, ...],
    ) -> None:
        self.packet = packet
        self.context = context
        self.conversation = conversation
        self.side = side
        self.layer = layer
        self.candidates = candidates

    def _asked(self) -> tuple[Dissector, ...]:
        """Who may know the next message: one before it in this segment may have said."""
        known = self.context.dissector(self.packet)
        return self.candidates if known is None else (known, *(each for each in self.candidates if each is not known))

    def take(self, at: int, limit: int, sequence: int, fin: bool) -> None:
        side, packet = self.side, self.packet
        ahead = 0 if side.next is None else after(sequence, side.next)
        size = limit - at
        message = side.message
        if ahead < 0:
            if message is not None and message.early and after(sequence, message.sequence) >= 0:
                pass  # it may fill a gap of the message
            elif ahead + size <= 0:
                packet.segment(at, limit)  # all of it came before
                return
            else:
                at, sequence, ahead = at - ahead, (sequence - ahead) & 0xFFFFFFFF, 0
        if ahead + size + fin > 0:
            side.next = (sequence + limit - at + fin) & 0xFFFFFFFF
        if at > packet.caplen:
            return  # what is new of it was not captured
        if message is not None and limit <= packet.caplen:
            offset = after(sequence, message.sequence)
            within = message.size <= 0 or offset < message.size
            if offset >= 0 and (ahead <= 0 or (message.size and within)):
                self._goes_on(message, offset, at, limit, fin)
                return
        if message is not None:
            self.context.hold(side, None)  # the rest of it never came
        self._begins(at, limit, sequence, fin)

    def _begins(self, at: int, limit: int, sequence: int, fin: bool, *, mark: bool = True) -> None:
        """Messages that begin in this segment, the last of which may go on in the next."""
        packet, side = self.packet, self.side
        values = packet.values
        if side.passing is not None:
            start = self._passes(side.passing, at, limit, sequence)
            if start == limit:
                return
            at, sequence, side.passing = start, (sequence + start - at) & 0xFFFFFFFF, None
        values["stream.ended"], values["stream.known"] = fin, side.known
        packet.beyond, layers = None, len(packet.layers)
        more = _fresh(packet, Step(self._asked(), at, limit), mark=mark)
        values["stream.ended"] = False
        self._learn((sequence - at) & 0xFFFFFFFF, layers)
        if more is None or fin:
            return
        start = (sequence + more.at - at) & 0xFFFFFFFF
        message = Message(start, more.size, self.packet.rest(more.at, limit), self.packet.number)
        self.context.hold(side, message)

    def _learn(self, sequence: int, layers: int) -> None:
        """Whether what was shown last is a message, and whether it begins one that nobody keeps: none begins in that.

        `sequence`: that of the buffer's first byte. `layers`: how many there were before.
        """
        packet, side = self.packet, self.side
        shown = [each for each in packet.layers[layers:] if each.field is not SEGMENT]
        if shown:
            side.known = shown[-1].field is not DATA.field
        if packet.beyond is None:
            return
        buffer, at, size, counts = packet.beyond
        shown = [each for each in shown if each.buffer == buffer and each.field is not DATA.field]
        if any(each.start <= at < each.end for each in shown):
            packet.layers.append(Item(TOO_LONG, None, at, 0, f"{size:,} bytes", buffer=buffer))
            if not counts:
                side.passing = (sequence + at + min(size, MAX_PASSED)) & 0xFFFFFFFF

    def _passes(self, stop: int, at: int, limit: int, sequence: int) -> int:
        """Bytes of such a message, which goes to the sequence number `stop` -> the offset after them."""
        packet = self.packet
        start = min(limit, at + max(0, after(stop, sequence)))
        if start > at:
            packet.info = (packet.info + SEGMENT_MARK).lstrip()
            packet.segment(at, start)
        return start

    def _goes_on(self, message: Message, offset: int, at: int, limit: int, fin: bool) -> None:
        """A segment that adds to a message; those behind its end begin in this packet."""
        packet = self.packet
        message.add(offset, packet.rest(at, limit), packet.number)
        layers = len(packet.layers)
        while True:
            have = len(message.data)
            whole = have >= message.size if message.size > 0 else message.size == 0 or have > MAX_MESSAGE
            whole = whole or (message.size == TO_THE_END and fin)
            if not whole:
                break
            if message.size == 0 and have > MAX_UNKNOWN:
                self.context.hold(self.side, None)
                packet.segment(at, limit)
                return
            size = message.size if message.size > 0 else have
            more = self._show(message, size, fin and size == have and not message.early)
            if more is None:
                self.context.hold(self.side, None)
                start = at + size - offset
                if at < start < limit:
                    self._begins(start, limit, (message.sequence + size) & 0xFFFFFFFF, fin, mark=False)
                elif start < at:
                    data(packet, at, limit)
                return
            if more.at:
                # Messages before it are complete and shown.
                del message.data[: more.at]
                message.sequence = (message.sequence + more.at) & 0xFFFFFFFF
                message.numbers = message.numbers[-1:]
            if more.size == message.size and not more.at:
                break  # as much as it asked for is not enough: one more segment
            message.size = more.size if more.size <= MAX_MESSAGE else 0
            if message.size == 0 and len(message.data) <= size - more.at:
                break
        if len(packet.layers) == layers:
            packet.info = (packet.info + SEGMENT_MARK).lstrip()
        packet.segment(at, limit)
        self.context.hold(self.side, None if fin else message)

    def _show(self, message: Message, size: int, ended: bool) -> More | None:
        """The message, dissected from its own bytes; taken back where it needs still more."""
        packet = self.packet
        layers = len(packet.layers)
        packet.values["stream.ended"], packet.values["stream.known"] = ended, self.side.known
        packet.beyond = None
        more = packet.aside("Reassembled TCP", bytes(message.data[:size]), Step(self._asked(), 0, size), stream=True)
        packet.values["stream.ended"] = False
        self._learn(message.sequence, layers)
        if len(packet.layers) == layers:
            packet.buffers.pop()
        else:
            packet.in_tree(self.layer, _show_parts, packet, self.layer, message.numbers, size)
        return more


def _show_parts(packet: Packet, layer: Item, numbers: list[int], size: int) -> None:
    """Which packets hold the bytes of what this one completes."""
    start = layer.start
    parent = packet.add(layer, SEGMENTS, None, start, 0, name_packets(numbers, size))
    for each in numbers[:SHOWN_NUMBERS]:
        packet.add(parent, SEGMENT_NUMBER, each, start, 0)
    packet.add(parent, SEGMENT_COUNT, len(numbers), start, 0)
    packet.add(parent, LENGTH, size, start, 0)


def name_packets(numbers: list[int], size: int) -> str:
    """`reassembled from 3 packets, 2,345 bytes: #4, #5, #7`"""
    named = ", ".join(f"#{number}" for number in numbers[:SHOWN_NUMBERS]) + (", …" if numbers[SHOWN_NUMBERS:] else "")
    return f"reassembled from {len(numbers)} packets, {size:,} bytes: {named}"
