"""What a TCP segment says with all those of its connection before it: what it acknowledges and after what time, how
much is under way, how complete the connection is. The words and the rules are Wireshark's.

Only a pass over all packets that makes trees has it: `--fields`, `--json-packets`, `--detail`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.dissect.kit import duration, group, number
from netwatch.capture.dissect.segments import after

if TYPE_CHECKING:
    from collections.abc import Collection

    from netwatch.capture.dissect.context import Conversation
    from netwatch.capture.dissect.kit import Item
    from netwatch.capture.dissect.packet import Packet

__all__ = ["ACK", "FIN", "RST", "SYN", "Measured", "measure", "show_measured", "show_times"]

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
MAX_SENT: Final = 512
"""Segments of one side that wait for an acknowledgement …"""
MAX_SIDES: Final = 512
"""… and sides that have any; of the longest silent one they are forgotten."""

COMPLETENESS: Final = number("tcp.completeness", "Conversation completeness")
TIME_RELATIVE: Final = duration("tcp.time_relative", "Time since first frame in this TCP stream")
TIME_DELTA: Final = duration("tcp.time_delta", "Time since previous frame in this TCP stream")
ACKS_FRAME: Final = number("tcp.analysis.acks_frame", "This is an ACK to the segment in packet")
ACK_RTT: Final = duration("tcp.analysis.ack_rtt", "The RTT to ACK the segment was")
INITIAL_RTT: Final = duration("tcp.analysis.initial_rtt", "iRTT")
IN_FLIGHT: Final = number("tcp.analysis.bytes_in_flight", "Bytes in flight")
SINCE_PUSH: Final = number("tcp.analysis.push_bytes_sent", "Bytes sent since last PSH flag")
FIN_ACTIVE: Final = group("tcp.connection.fin_active", "This frame initiates the connection closing")
FIN_PASSIVE: Final = group("tcp.connection.fin_passive", "This frame undergoes the connection closing")


class _Sent:
    """A segment that waits for its acknowledgement."""

    __slots__ = ("end", "number", "start", "ts")

    def __init__(self, start: int, end: int, number: int, ts: int) -> None:
        self.start, self.end, self.number, self.ts = start, end, number, ts


class _Half:
    """One side."""

    __slots__ = ("closes", "pushed", "sent", "since_push", "whole")

    def __init__(self) -> None:
        self.sent: list[_Sent] = []
        self.since_push = 0
        self.pushed = False
        """Its last segment with data had PSH."""
        self.whole = True
        """No segment of what is under way was missed."""
        self.closes = False
        """It sent the first FIN."""


class _State:
    """A connection."""

    __slots__ = ("completeness", "first", "halves", "latest")

    def __init__(self, ts: int) -> None:
        self.completeness = 0
        self.first = self.latest = ts
        self.halves = (_Half(), _Half())


class Measured(NamedTuple):
    """What there is to say of a segment."""

    acks: tuple[int, int] | None = None
    """Packet that it acknowledges, and after how many nanoseconds."""
    in_flight: int = 0
    since_push: int = 0

    def __bool__(self) -> bool:
        return self.acks is not None or self.in_flight > 0


def show_times(packet: Packet, layer: Item, conversation: Conversation, flags: int, length: int) -> None:
    """When it came, how complete the connection was before it, who closes it."""
    state = _state(packet, conversation)
    packet.add(layer, COMPLETENESS, state.completeness, layer.start, 0)
    packet.add(layer, TIME_RELATIVE, packet.ts - state.first, layer.start, 0)
    packet.add(layer, TIME_DELTA, packet.ts - state.latest, layer.start, 0)
    state.latest = packet.ts
    state.completeness |= _seen(flags, length)
    if flags & FIN:
        which = conversation.side(packet)
        first = not state.halves[1 - which].closes
        state.halves[which].closes |= first
        packet.add(layer, FIN_ACTIVE if first else FIN_PASSIVE, None, layer.start, 0)


def _seen(flags: int, length: int) -> int:
    """1 SYN, 2 SYN+ACK, 4 ACK, 8 data, 16 FIN, 32 RST."""
    opening = (2 if flags & ACK else 1) if flags & SYN else 0
    answer = 4 if flags & (SYN | ACK) == ACK and not length else 0
    return opening | answer | (8 if length else 0) | (16 if flags & FIN else 0) | (32 if flags & RST else 0)


def _state(packet: Packet, conversation: Conversation) -> _State:
    memory = conversation.memory.setdefault("tcp", {})
    state: _State | None = memory.get("timing")
    if state is None:
        state = memory["timing"] = _State(packet.ts)
    return state


def measure(
    packet: Packet,
    conversation: Conversation,
    numbers: tuple[int, int],
    flags: int,
    length: int,
    said: Collection[str],
) -> Measured:
    """`numbers`: sequence and acknowledgement as on the wire. `said`: what it is beside those before it."""
    sequence, acknowledged = numbers
    state, which = _state(packet, conversation), conversation.side(packet)
    forth, back = state.halves[which], state.halves[1 - which]
    if "lost_segment" in said:
        forth.whole = False
    if length or flags & (SYN | FIN):
        _remember(packet, conversation, which, forth)
        end = (sequence + length + bool(flags & (SYN | FIN))) & 0xFFFFFFFF
        forth.sent.append(_Sent(sequence, end, packet.number, packet.ts))
        del forth.sent[:-MAX_SENT]
    acks = _acknowledge(packet, back, acknowledged) if flags & ACK else None
    if not length:
        return Measured(acks)
    forth.since_push = length if forth.pushed else forth.since_push + length
    forth.pushed = bool(flags & PSH)
    in_flight = 0
    if forth.whole:
        base = forth.sent[0].start
        first = min(after(each.start, base) for each in forth.sent)
        in_flight = max(after(each.end, base) for each in forth.sent) - first
    return Measured(acks, in_flight, forth.since_push)


def _remember(packet: Packet, conversation: Conversation, which: int, half: _Half) -> None:
    """Bounds the sides of which segments are kept."""
    kept = packet.across("tcp.sent")
    key = conversation.stream, which
    kept[key] = half
    kept.move_to_end(key)
    if len(kept) > MAX_SIDES:
        kept.popitem(last=False)[1].sent.clear()


def _acknowledge(packet: Packet, half: _Half, acknowledged: int) -> tuple[int, int] | None:
    """The first segment that ends where the acknowledgement points; what is acknowledged waits no more."""
    found, rest = None, []
    for each in half.sent:
        if each.end == acknowledged:
            found = found or (each.number, packet.ts - each.ts)
        elif after(each.end, acknowledged) > 0:
            if after(acknowledged, each.start) > 0:
                each.start = acknowledged
            rest.append(each)
    half.sent = rest
    if not rest:
        half.whole = True
    return found


def show_measured(packet: Packet, parent: Item, measured: Measured, round_trip: int | None) -> None:
    """Its lines. `round_trip`: of the handshake."""
    at = parent.start
    if measured.acks is not None:
        packet.add(parent, ACKS_FRAME, measured.acks[0], at, 0)
        if measured.acks[1]:
            packet.add(parent, ACK_RTT, measured.acks[1], at, 0)
    if round_trip:
        packet.add(parent, INITIAL_RTT, round_trip, at, 0)
    if measured.in_flight > 0:
        packet.add(parent, IN_FLIGHT, measured.in_flight, at, 0)
        packet.add(parent, SINCE_PUSH, measured.since_push, at, 0)
