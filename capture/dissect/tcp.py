"""TCP (RFC 9293) and its options (RFC 7323, 2018, 5925, 7413, 8684).

Sequence and acknowledgement numbers are relative to the first of their side, as far as packets before this one are
known; for a packet alone they are the header's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from netwatch.capture.dissect.checksum import STATUS, show_checksum, verified
from netwatch.capture.dissect.kit import U16, U32, Bit, Bits, Header, Hex16, Item, Packed16, number, octets
from netwatch.capture.dissect.options import options
from netwatch.capture.dissect.packet import TO_THE_END, Malformed, Packet, Short
from netwatch.capture.dissect.registry import Step, on, step_by_ports
from netwatch.capture.dissect.segments import after, forget_lost, payload
from netwatch.capture.dissect.tcp_analysis import Segment, analyse, scaling
from netwatch.capture.dissect.tcp_timing import show_times

if TYPE_CHECKING:
    from netwatch.capture.dissect.context import Conversation

FLAGS = (
    (0x100, "ae", "Accurate ECN", "AE"),
    (0x080, "cwr", "Congestion Window Reduced", "CWR"),
    (0x040, "ece", "ECN-Echo", "ECE"),
    (0x020, "urg", "Urgent", "URG"),
    (0x010, "ack", "Acknowledgment", "ACK"),
    (0x008, "push", "Push", "PSH"),
    (0x004, "reset", "Reset", "RST"),
    (0x002, "syn", "Syn", "SYN"),
    (0x001, "fin", "Fin", "FIN"),
)
SHORT = tuple((bit, short) for bit, _, _, short in reversed(FLAGS))
FLAG_TEXT = [
    ", ".join(short for bit, short in (*SHORT, (0xE00, "Reserved")) if word & bit) or "<None>" for word in range(4096)
]

TCP = Header(
    "tcp",
    "Transmission Control Protocol",
    (
        U16("srcport", "Source Port"),
        U16("dstport", "Destination Port"),
        U32("seq_raw", "Sequence Number (raw)"),
        U32("ack_raw", "Acknowledgment Number (raw)"),
        Packed16(
            Bits(0xF000, "hdr_len", "Header Length", times=4, form=lambda size: f"{size} bytes ({size // 4})"),
            Bits(
                0x0FFF,
                "flags",
                "Flags",
                digits=4,
                form=lambda word: f"0x{word:03x} ({FLAG_TEXT[word & 0xFFF]})",
                bits=(
                    Bit(0xE00, "flags.res", "Reserved"),
                    *(Bit(bit, f"flags.{name}", label) for bit, name, label, _ in FLAGS),
                ),
            ),
        ),
        U16("window_size_value", "Window"),
        Hex16("checksum", "Checksum"),
        U16("urgent_pointer", "Urgent Pointer"),
    ),
)
RAW_SEQUENCE = TCP.rows[2]
LENGTH = number("tcp.len", "TCP Segment Len")
STREAM = number("tcp.stream", "Stream index")
SEQUENCE = number("tcp.seq", "Sequence Number")
NEXT_SEQUENCE = number("tcp.nxtseq", "Next Sequence Number")
ACKNOWLEDGED = number("tcp.ack", "Acknowledgment Number")
WINDOW = number("tcp.window_size", "Calculated window size")
SCALE = number("tcp.window_size_scalefactor", "Window size scaling factor")
CHECKSUM_STATUS = number("tcp.checksum.status", "Checksum Status", STATUS)
OPTIONS = octets("tcp.options", "Options")
KIND = number("tcp.option_kind", "Kind")
OPTION_LENGTH = number("tcp.option_len", "Length")
OPTION_DATA = octets("tcp.options.unknown.payload", "Data")

KINDS = {
    0: "End of Option List",
    1: "No-Operation",
    2: "Maximum segment size",
    3: "Window scale",
    4: "SACK permitted",
    5: "SACK",
    8: "Timestamps",
    19: "TCP MD5 signature",
    28: "User Timeout",
    29: "TCP Authentication Option",
    30: "Multipath TCP",
    34: "TCP Fast Open",
    69: "Encryption Negotiation",
    253: "Experiment",
    254: "Experiment",
}
MSS = Header("tcp.options", "MSS", (U16("mss_val", "MSS Value"),), name="")
TIMESTAMPS = Header(
    "tcp.options.timestamp",
    "Timestamps",
    (U32("tsval", "Timestamp value"), U32("tsecr", "Timestamp echo reply")),
    name="",
)
LEFT_EDGE = number("tcp.options.sack_le", "left edge")
RIGHT_EDGE = number("tcp.options.sack_re", "right edge")
SHIFT = number("tcp.options.wscale.shift", "Shift count")
COOKIE = octets("tcp.options.tfo.cookie", "Fast Open Cookie")
MD5_DIGEST = octets("tcp.options.md5.digest", "MD5 digest")
MPTCP_SUBTYPE = number("tcp.options.mptcp.subtype", "Multipath TCP subtype")


@on("ip.proto", 6)
def tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Ports, numbers, flags, options; then whoever knows the payload."""
    packet.column("tcp")
    try:
        layer, values = packet.open(TCP, at, limit)
    except Short:
        if packet.end(limit) >= at + 4:
            packet.info = "{} → {}".format(*(packet.uint("TCP", where, 2, limit) for where in (at, at + 2)))
        _quoted_ports(packet, at, limit)
        raise
    source, destination, raw_sequence, raw_acknowledged, word, window, checksum, urgent = values
    layer.said = f"Src Port: {source}, Dst Port: {destination}"
    packet.values["ports"] = (source, destination)
    header = (word >> 12) * 4
    flags = word & 0x1FF
    pair = packet.values.get("ip.pseudo", b"")
    half = len(pair) // 2
    packet.values["transport"] = ("tcp", pair[:half], source, pair[half:], destination)
    seen = _seen(packet, flags, raw_sequence, raw_acknowledged, window)
    sequence, acknowledged, window = seen.sequence, seen.acknowledged, seen.window
    if header < TCP.size:
        bogus = f"bogus TCP header length ({header}, must be at least {TCP.size})"
        packet.info = f"{source} → {destination} [{FLAG_TEXT[word & 0xFFF]}] Seq={sequence} Win={window}, {bogus}"
        packet.mark(f"TCP header length {header}, must be at least {TCP.size}", at + 12)
        return None
    start = at + header
    length = limit - start
    layer.said += f", Seq: {sequence}, Len: {max(length, 0)}"
    info = [f"{source} → {destination} [{FLAG_TEXT[word & 0xFFF]}] Seq={sequence}"]
    if flags & 0x10:
        info.append(f"Ack={acknowledged}")
    info.append(f"Win={window}")
    if flags & 0x20:
        info.append(f"Urg={urgent}")
    if length < 0:
        packet.info = " ".join(info)
        packet.mark(f"TCP header length {header} beyond the {limit - at} bytes of its packet", at + 12)
        layer.size = packet.end(limit) - at
        return None
    info.append(f"Len={length}")
    packet.info = " ".join(info)
    if packet.build:
        more = (flags & 0x01) + (flags >> 1 & 0x01)
        packet.in_tree(layer, _show_seen, packet, layer, seen, at, length, more)
        show_checksum(packet, layer, CHECKSUM_STATUS, verified(packet, 6, at, limit, checksum), at + 16)
    if header > TCP.size:
        layer.size = min(start, packet.caplen) - at
        raw = packet.rest(at + TCP.size, start)
        parent = packet.add(layer, OPTIONS, raw, at + TCP.size, len(raw), f"{header - TCP.size} bytes")
        # Of the other side, from which the edges of a SACK count.
        packet.values["tcp.first"] = raw_acknowledged - acknowledged
        try:
            _options(packet, parent, at + TCP.size, start, info)
            if flags & 0x02 and seen.conversation is not None and "tcp.shift" in packet.values:
                seen.conversation.sides[seen.conversation.side(packet)].shift = packet.values["tcp.shift"]
        except Malformed as lie:
            packet.mark(lie.what, lie.offset)  # what follows does not depend on options
        finally:
            packet.info = " ".join(info)
    if seen.conversation is not None:
        if packet.context is not None and packet.context.counted:
            packet.in_tree(layer, _show_counted, packet, layer, seen.conversation, flags, length)
        segment = Segment(flags, raw_sequence, raw_acknowledged, values[5], length)
        packet.prefix += analyse(packet, layer, seen.conversation, segment, reused=seen.reused)
        if flags & 0x10 and packet.context is not None:
            other = seen.conversation.sides[1 - seen.conversation.side(packet)]
            forget_lost(packet.context, other, raw_acknowledged)
    packet.values["tcp.flags"] = flags
    following = step_by_ports("tcp", source, destination, start, limit)
    if length <= 0 or start >= packet.caplen:
        if _ends(packet, seen, flags, raw_sequence) and length <= 0:
            payload(packet, layer, start, limit, raw_sequence, True, following.candidates)
        return None
    first = (raw_sequence + (flags >> 1 & 0x01)) & 0xFFFFFFFF
    payload(packet, layer, start, limit, first, bool(flags & 0x01), following.candidates)
    return None


class Seen(NamedTuple):
    """The numbers of a segment beside what the connection was before it."""

    conversation: Conversation | None
    sequence: int
    acknowledged: int
    window: int
    reused: bool = False
    """Its ports were those of a connection before."""


def _seen(packet: Packet, flags: int, sequence: int, acknowledged: int, window: int) -> Seen:
    """Numbers relative to the first of each side, the window in bytes (RFC 7323, 2.2)."""
    conversation, context = packet.conversation, packet.context
    if conversation is None or context is None:
        return Seen(None, sequence, acknowledged, window)
    side = conversation.sides[conversation.side(packet)]
    opening, reused = flags & 0x02, False
    if opening and side.first not in (None, sequence):
        if flags & 0x10:
            # An answer with another number belongs to the same opening still.
            side.next, reused = None, True
            context.hold(side, None)
        else:
            conversation, reused = context.reopen(packet), True
            side = conversation.sides[conversation.side(packet)]
    which = conversation.side(packet)
    other = conversation.sides[1 - which]
    if opening:
        side.first = sequence
    elif side.first is None and context.whole:
        side.first = (sequence - 1) & 0xFFFFFFFF
    if opening:
        side.syn, side.next = True, (sequence + 1) & 0xFFFFFFFF if side.next is None else side.next
        conversation.client = 1 - which if flags & 0x10 else which
    if flags & 0x10 and other.first is None and (context.whole or opening):
        other.first = (acknowledged - 1) & 0xFFFFFFFF
    if not opening and (shift := scaling(conversation, which)) is not None:
        window <<= shift
    # Without the flag the number says nothing, and is 0 as a rule.
    related = flags & 0x10 and other.first is not None
    back = (acknowledged - (other.first or 0)) & 0xFFFFFFFF if related else acknowledged
    forth = sequence if side.first is None else (sequence - side.first) & 0xFFFFFFFF
    return Seen(conversation, forth, back, window, reused)


def _show_seen(packet: Packet, layer: Item, seen: Seen, at: int, length: int, more: int) -> None:
    """Lines that are not in the header, beside those that they explain. `more`: numbers that SYN and FIN take."""
    known = len(layer.children)
    stream = _stream(packet, seen)
    if stream is not None:
        packet.add(layer, STREAM, stream, at + 4, 0)
    if packet.values.get("quoted"):
        # How long it was, the quotation does not tell; its number stands as it is on the wire.
        layer.children.remove(next(item for item in layer.children if item.field is RAW_SEQUENCE))
        known -= 1
    else:
        packet.add(layer, LENGTH, length, at + 4, 0)
        packet.add(layer, NEXT_SEQUENCE, (seen.sequence + length + more) & 0xFFFFFFFF, at + 8, 0)
    packet.add(layer, SEQUENCE, seen.sequence, at + 4, 4)
    packet.add(layer, ACKNOWLEDGED, seen.acknowledged, at + 8, 4)
    packet.add(layer, WINDOW, seen.window, at + 16, 0)
    # Stable: what explains a number stands before the number as it is on the wire.
    layer.children = sorted(layer.children[known:] + layer.children[:known], key=_place)


def _show_counted(packet: Packet, layer: Item, conversation: Conversation, flags: int, length: int) -> None:
    """Lines that only a pass over all packets has."""
    show_times(packet, layer, conversation, flags, length)
    if flags & 0x02:
        return
    which = conversation.side(packet)
    shift = scaling(conversation, which)
    without = any(side.syn and side.shift is None for side in conversation.sides)
    factor = 1 << shift if shift is not None else -2 if without else -1
    packet.add(layer, SCALE, factor, layer.start + 14, 0)


def _stream(packet: Packet, seen: Seen) -> int | None:
    """The number of its connection; one that is first met in a quotation is counted, too."""
    context = packet.context or packet.values.get("quoted.by")
    if context is None or not context.counted:
        return None
    return (seen.conversation or context.conversation(packet)).stream


def _place(item: Item) -> int:
    return item.start


def _ends(packet: Packet, seen: Seen, flags: int, sequence: int) -> bool:
    """A segment without payload: SYN and FIN take a number each (RFC 9293, 3.4) -> whether a message ends with it."""
    if seen.conversation is None or not flags & 0x01:
        return False
    side = seen.conversation.sides[seen.conversation.side(packet)]
    if side.next is None or after(sequence, side.next) != 0:
        return False
    message = side.message
    ends = message is not None and message.size == TO_THE_END and not flags & 0x02
    if not ends:
        side.next = (sequence + 1) & 0xFFFFFFFF
    return ends


def _quoted_ports(packet: Packet, at: int, limit: int) -> None:
    """Of a segment cut after eight bytes, as an ICMP error quotes it, the ports and the sequence number."""
    if not packet.values.get("quoted") or packet.end(limit) < at + 8:
        return
    rows = (*TCP.rows[:2], SEQUENCE)
    values = (packet.data[at : at + 2], packet.data[at + 2 : at + 4], packet.data[at + 4 : at + 8])
    numbers = [int.from_bytes(value, "big") for value in values]
    layer = packet.layer(TCP.field, at, 8, f"Src Port: {numbers[0]}, Dst Port: {numbers[1]}")
    for row, number_, where, size in zip(rows, numbers, (at, at + 2, at + 4), (2, 2, 4), strict=True):
        packet.add(layer, row, number_, where, size)


def _options(packet: Packet, parent: Item, at: int, end: int, info: list[str]) -> None:
    for kind, where, length in options(packet, "TCP option", at, end, single=(0, 1)):
        item = packet.add(parent, KIND, kind, where, length, f"{KINDS.get(kind, 'Unknown')} ({kind})")
        if kind == 0:
            break
        if length == 1:
            continue
        packet.add(item, OPTION_LENGTH, length, where + 1, 1)
        show = SHOWN.get((kind, length)) or SHOWN.get((kind, 0))
        if show is not None:
            info += show(packet, item, where + 2, length - 2)
        elif length > 2:
            packet.add(item, OPTION_DATA, packet.data[where + 2 : where + length], where + 2, length - 2)


def _mss(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    (value,) = packet.add_header(item, MSS, at, at + size)
    return [f"MSS={value}"]


def _scale(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    shift = packet.data[at]
    packet.add(item, SHIFT, shift, at, size)
    packet.values["tcp.shift"] = shift
    return [f"WS={1 << min(shift, 14)}"]


def _sack_permitted(packet: Packet, item: Item, at: int, size: int) -> list[str]:  # noqa: ARG001
    return ["SACK_PERM"]


def _sack(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    said = []
    for where in range(at, at + size - 7, 8):
        edges = [packet.uint("TCP SACK", place, 4, at + size) for place in (where, where + 4)]
        left, right = ((edge - packet.values["tcp.first"]) & 0xFFFFFFFF for edge in edges)
        packet.add(item, LEFT_EDGE, left, where, 4)
        packet.add(item, RIGHT_EDGE, right, where + 4, 4)
        said.append(f"SLE={left} SRE={right}")
    return said


def _timestamps(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    value, echo = packet.add_header(item, TIMESTAMPS, at, at + size)
    return [f"TSval={value} TSecr={echo}"]


def _md5(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    packet.add(item, MD5_DIGEST, packet.data[at : at + size], at, size)
    return ["MD5"]


def _fast_open(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    if not size:
        return ["TFO=R"]
    packet.add(item, COOKIE, packet.data[at : at + size], at, size)
    return ["TFO=C"]


def _multipath(packet: Packet, item: Item, at: int, size: int) -> list[str]:
    packet.add(item, MPTCP_SUBTYPE, packet.data[at] >> 4 if size else 0, at, min(size, 1))
    packet.protocol = "MPTCP"
    return []


SHOWN = {
    (2, 4): _mss,
    (3, 3): _scale,
    (4, 2): _sack_permitted,
    (5, 0): _sack,
    (8, 10): _timestamps,
    (19, 18): _md5,
    (30, 0): _multipath,
    (34, 0): _fast_open,
}
"""(kind, length) → what adds its lines and its words of the Info column; length 0: any."""
