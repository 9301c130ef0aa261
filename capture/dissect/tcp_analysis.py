"""What a segment is beside those before it: sent again, out of order, a probe (RFC 9293, 3.8; RFC 5681, 3.2).

The words are those of Wireshark, which network people know, and so are the rules by which one is chosen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.dissect.kit import duration, flag, group, number
from netwatch.capture.dissect.segments import after
from netwatch.capture.dissect.tcp_timing import ACK, FIN, RST, SYN, Measured, measure, show_measured

if TYPE_CHECKING:
    from netwatch.capture.dissect.context import Conversation
    from netwatch.capture.dissect.kit import Item
    from netwatch.capture.dissect.packet import Packet

__all__ = ["Segment", "analyse", "scaling"]

SOON: Final = 20_000_000
"""Nanoseconds after a duplicate acknowledgement within which a segment sent again answers it."""
REORDERED: Final = 3_000_000
"""Nanoseconds within which a late segment was overtaken, where the round-trip time is not known."""

ANALYSIS: Final = group("tcp.analysis", "SEQ/ACK analysis")
FLAGS: Final = group("tcp.analysis.flags", "TCP Analysis Flags")
RTO: Final = duration("tcp.analysis.rto", "The RTO for this segment was")
RTO_FRAME: Final = number("tcp.analysis.rto_frame", "RTO based on delta from packet")
DUPLICATE_FRAME: Final = number("tcp.analysis.duplicate_ack_frame", "Duplicate to the ACK in packet")
DUPLICATE_NUMBER: Final = number("tcp.analysis.duplicate_ack_num", "Duplicate ACK #")

_FLAGS: Final = {
    name: (flag(f"tcp.analysis.{name}", label), label)
    for name, label in (
        ("reused_ports", "TCP Port numbers reused"),
        ("fast_retransmission", "TCP Fast Retransmission"),
        ("spurious_retransmission", "TCP Spurious Retransmission"),
        ("retransmission", "TCP Retransmission"),
        ("out_of_order", "TCP Out-Of-Order"),
        ("lost_segment", "TCP Previous segment not captured"),
        ("ack_lost_segment", "TCP ACKed unseen segment"),
        ("window_update", "TCP Window Update"),
        ("window_full", "TCP Window Full"),
        ("keep_alive", "TCP Keep-Alive"),
        ("keep_alive_ack", "TCP Keep-Alive ACK"),
        ("duplicate_ack", "TCP Dup ACK"),
        ("zero_window_probe", "TCP ZeroWindowProbe"),
        ("zero_window", "TCP ZeroWindow"),
        ("zero_window_probe_ack", "TCP ZeroWindowProbeAck"),
    )
}
"""Each is written before those above it."""


class Segment(NamedTuple):
    """What a header says, numbers as on the wire."""

    flags: int
    sequence: int
    acknowledged: int
    window: int
    length: int
    """Bytes of payload."""


class _Half:
    """What one side sent so far."""

    __slots__ = (
        "acknowledged",
        "acknowledged_at",
        "duplicates",
        "next",
        "next_at",
        "next_number",
        "original",
        "said",
        "to_come",
        "window",
    )

    def __init__(self) -> None:
        self.next: int | None = None
        """Behind the furthest byte seen."""
        self.next_at = 0
        self.next_number = 0
        self.to_come: int | None = None
        """Behind the last byte that was seen without a gap: more cannot be acknowledged unseen."""
        self.acknowledged: int | None = None
        self.acknowledged_at = 0
        self.window: int | None = None
        self.duplicates = 0
        self.original = 0
        """The packet that acknowledged what duplicates do again."""
        self.said: frozenset[str] = frozenset()
        """Of its last segment."""


class _State:
    """Both sides, and the round-trip time of the handshake."""

    __slots__ = ("halves", "opened_at", "round_trip")

    def __init__(self) -> None:
        self.halves = (_Half(), _Half())
        self.opened_at: int | None = None
        self.round_trip: int | None = None


def analyse(packet: Packet, layer: Item, conversation: Conversation, segment: Segment, *, reused: bool) -> str:
    """Compare a segment with what its connection sent before -> what stands before its Info text, `[TCP …] `."""
    memory = conversation.memory.setdefault("tcp", {})
    state: _State = memory.setdefault("analysis", _State())
    which = conversation.side(packet)
    forth, back = state.halves[which], state.halves[1 - which]
    shift = scaling(conversation, 1 - which)
    _time(state, segment, packet.ts)
    said = _said(packet, state, segment, forth, back, shift)
    if reused:
        said.add("reused_ports")
    duplicate = f"{forth.original}#{forth.duplicates}" if "duplicate_ack" in said else ""
    original = (forth.next_number, packet.ts - forth.next_at) if "retransmission" in said else None
    _advance(segment, forth, packet, said)
    prefix = ""
    for name, (_, label) in _FLAGS.items():
        if name in said:
            prefix = f"[{label} {duplicate}] {prefix}" if name == "duplicate_ack" else f"[{label}] {prefix}"

    def show() -> None:
        measured = Measured()
        if packet.context is not None and packet.context.counted:
            numbers = segment.sequence, segment.acknowledged
            measured = measure(packet, conversation, numbers, segment.flags, segment.length, said)
        if said or measured:
            parent = packet.add(layer, ANALYSIS, None, layer.start, 0, prefix.strip())
            if packet.context is not None and packet.context.counted:
                show_measured(packet, parent, measured, state.round_trip)
            if said:
                flags = packet.add(parent, FLAGS, None, layer.start, 0)
                for name in _FLAGS:
                    if name in said:
                        packet.add(flags, _FLAGS[name][0], True, layer.start, 0)
            if original is not None:
                packet.add(parent, RTO, original[1], layer.start, 0)
                packet.add(parent, RTO_FRAME, original[0], layer.start, 0)
            if duplicate:
                packet.add(parent, DUPLICATE_NUMBER, forth.duplicates, layer.start, 0)
                packet.add(parent, DUPLICATE_FRAME, forth.original, layer.start, 0)

    packet.in_tree(layer, show)
    return prefix


def scaling(conversation: Conversation, which: int) -> int | None:
    """By how many bits the windows that this side tells are shifted, where its SYN was seen (RFC 7323, 2.2).

    The other side's SYN may have passed unseen; one that was seen without the option means no scaling.
    """
    side, other = conversation.sides[which], conversation.sides[1 - which]
    if side.shift is None or (other.syn and other.shift is None):
        return None
    return min(side.shift, 14)


def _time(state: _State, segment: Segment, ts: int) -> None:
    """The time from the last SYN to the acknowledgement that ends the handshake."""
    if segment.flags & SYN:
        if state.opened_at is None or not segment.flags & ACK:
            state.opened_at = ts
    elif state.round_trip is None and state.opened_at is not None:
        state.round_trip = ts - state.opened_at


def _said(packet: Packet, state: _State, segment: Segment, forth: _Half, back: _Half, shift: int | None) -> set[str]:
    flags, sequence, acknowledged, window, length = segment
    said: set[str] = set()
    plain = not flags & (SYN | FIN | RST)
    ahead = None if forth.next is None else after(sequence, forth.next)
    same = ahead == 0 and acknowledged == forth.acknowledged and not length and plain
    if length == 1 and ahead == 0 and back.window == 0:
        said.add("zero_window_probe")
    else:
        if not window and plain:
            said.add("zero_window")
        if ahead is not None and ahead > 0 and not flags & RST:
            said.add("lost_segment")
        if length <= 1 and ahead == -1 and plain:
            said.add("keep_alive")
        if same and window and window != forth.window:
            said.add("window_update")
        if length and plain and shift is not None and back.window is not None and back.acknowledged is not None:
            room = after(sequence + length, back.acknowledged)
            if room == back.window << shift:
                said.add("window_full")
        if same and window == forth.window and "keep_alive" in back.said:
            said.add("keep_alive_ack")
        elif not window and window == forth.window and not length and ahead == 0 and "zero_window_probe" in back.said:
            said.add("zero_window_probe_ack")
        elif same and window and window == forth.window:
            forth.duplicates += 1
            said.add("duplicate_ack")
    if flags & ACK and back.to_come is not None and after(acknowledged, back.to_come) > 0:
        if "duplicate_ack" in back.said and acknowledged == (back.to_come + 1) & 0xFFFFFFFF:
            back.duplicates = 0  # it was a keep-alive of a connection that the capture met half-way
        else:
            said.add("ack_lost_segment")
            back.to_come = back.next
    if ahead is not None and ahead < 0 and (length or flags & (SYN | FIN)) and "keep_alive" not in said:
        said.add(_sent_again(packet, state, segment, forth, back))
    return said


def _sent_again(packet: Packet, state: _State, segment: Segment, forth: _Half, back: _Half) -> str:
    """Why a segment comes that begins before the furthest byte seen."""
    end = segment.sequence + segment.length + bool(segment.flags & (SYN | FIN))
    if segment.length and back.acknowledged is not None and after(end, back.acknowledged) <= 0:
        return "spurious_retransmission"
    if back.acknowledged == segment.sequence and back.duplicates >= 2 and packet.ts - back.acknowledged_at < SOON:
        return "fast_retransmission"
    overtaken = REORDERED if state.round_trip is None else state.round_trip
    if packet.ts - forth.next_at < overtaken and forth.next is not None and after(end, forth.next) != 0:
        return "out_of_order"
    return "retransmission"


def _advance(segment: Segment, forth: _Half, packet: Packet, said: set[str]) -> None:
    """What this side sent, with this segment."""
    flags, sequence, acknowledged, window, length = segment
    end = (sequence + length + bool(flags & (SYN | FIN))) & 0xFFFFFFFF
    if "zero_window_probe" not in said:
        if forth.next is None or after(end, forth.next) > 0:
            forth.next, forth.next_at, forth.next_number = end, packet.ts, packet.number
        if forth.to_come is None or sequence == forth.to_come:
            forth.to_come = forth.next
    if flags & ACK:
        if acknowledged != forth.acknowledged:
            forth.duplicates, forth.original = 0, packet.number
        forth.acknowledged, forth.acknowledged_at = acknowledged, packet.ts
    forth.window = window
    forth.said = frozenset(said)
