"""UDP (RFC 768) and UDP-Lite (RFC 3828)."""

from __future__ import annotations

from netwatch.capture.dissect.checksum import STATUS, UNVERIFIED, ones_sum, pseudo_header, show_checksum, verified
from netwatch.capture.dissect.kit import U16, Header, Hex16, Item, duration, number
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step_by_ports

UDP = Header(
    "udp",
    "User Datagram Protocol",
    (
        U16("srcport", "Source Port"),
        U16("dstport", "Destination Port"),
        U16("length", "Length"),
        Hex16("checksum", "Checksum"),
    ),
)
UDP_LITE = Header(
    "udp",
    "Lightweight User Datagram Protocol",
    (
        U16("srcport", "Source Port"),
        U16("dstport", "Destination Port"),
        U16("checksum_coverage", "Checksum coverage"),
        Hex16("checksum", "Checksum"),
    ),
    name="udplite",
)
ILLEGAL = " [ILLEGAL CHECKSUM (0)]"
CHECKSUM_STATUS = number("udp.checksum.status", "Checksum status", STATUS)
STREAM = number("udp.stream", "Stream index")
TIME_RELATIVE = duration("udp.time_relative", "Time since first frame")
TIME_DELTA = duration("udp.time_delta", "Time since previous frame")
LITE_STATUS = number("udp.checksum.status", "Checksum status", STATUS)


@on("ip.proto", 17)
def udp(packet: Packet, at: int, limit: int) -> Step | None:
    """Ports and a length that must not pass the network layer's; a jumbogram says 0 (RFC 2675, 4)."""
    packet.column("udp")
    layer, (source, destination, length, checksum) = packet.open(UDP, at, limit)
    layer.said = f"Src Port: {source}, Dst Port: {destination}"
    packet.values["ports"] = (source, destination)
    end = limit
    if length < UDP.size and not (length == 0 and limit - at > 0xFFFF):
        packet.info = f"{source} → {destination} [BAD UDP LENGTH {length} < {UDP.size}]"
        packet.mark(f"UDP length {length}, must be at least {UDP.size}", at + 4)
        return None
    fragment = packet.values.get("ip.fragment") or packet.values.get("quoted")
    if at + length > limit and not fragment:
        packet.info = f"{source} → {destination} [BAD UDP LENGTH {length} > IP PAYLOAD LENGTH]"
        packet.mark(f"UDP length {length} beyond the {limit - at} bytes of its packet", at + 4)
    elif length:
        end = min(limit, at + length)
    if not packet.info:
        packet.info = f"{source} → {destination} Len={(length or limit - at) - UDP.size}"
    illegal = not checksum and len(packet.values.get("ip.pseudo", b"")) == 32
    if illegal:
        # Over IPv6 only tunnels may go without one (RFC 8200, 8.1; RFC 6935).
        packet.info += ILLEGAL
    if packet.build:
        status = UNVERIFIED if checksum == 0 else verified(packet, 17, at, end, checksum)
        show_checksum(packet, layer, CHECKSUM_STATUS, status, at + 6)
    return _following(packet, "udp", layer, source, destination, at + UDP.size, end)


def _following(packet: Packet, transport: str, layer: Item, source: int, destination: int, at: int, end: int) -> Step:
    """Who knew the conversation before or was announced, then who goes by port or payload."""
    pair = packet.values.get("ip.pseudo", b"")
    half = len(pair) // 2
    packet.values["transport"] = (transport, pair[:half], source, pair[half:], destination)
    packet.in_tree(layer, _show_counted, packet, layer)
    if at >= end:
        return Step((), at, end)
    following = step_by_ports("udp", source, destination, at, end)
    known = packet.context.dissector(packet) if packet.context is not None else None
    return following if known is None else following._replace(candidates=(known, *following.candidates))


def _show_counted(packet: Packet, layer: Item) -> None:
    """Lines that only a pass over all packets has; a datagram that is quoted belongs to its stream, too."""
    context = packet.context or packet.values.get("quoted.by")
    if context is None or not context.counted:
        return
    conversation = context.conversation(packet)
    packet.add(layer, STREAM, conversation.stream, layer.start, 0)
    if packet.context is None:
        return
    memory = conversation.memory.setdefault("udp", {})
    packet.add(layer, TIME_RELATIVE, packet.ts - memory.setdefault("first", packet.ts), layer.start, 0)
    packet.add(layer, TIME_DELTA, packet.ts - memory.get("latest", packet.ts), layer.start, 0)
    memory["latest"] = packet.ts


@on("ip.proto", 136)
def udp_lite(packet: Packet, at: int, limit: int) -> Step | None:
    """The length field says how much the checksum covers; 0: all."""
    packet.column("udplite")
    layer, (source, destination, coverage, checksum) = packet.open(UDP_LITE, at, limit)
    layer.said = f"Src Port: {source}, Dst Port: {destination}"
    packet.protocol = "UDP-Lite"
    packet.info = f"{source} → {destination}"
    covered = coverage or limit - at
    if covered < UDP_LITE.size or covered > limit - at:
        packet.info += f" [BAD LIGHTWEIGHT UDP CHECKSUM COVERAGE LENGTH {coverage} < 8 or > {limit - at}]"
    packet.info += f" Len={limit - at - UDP_LITE.size}"
    if not checksum:
        # Unlike with UDP, nothing may go without one (RFC 3828, 3.1).
        packet.info += ILLEGAL
    if covered < UDP_LITE.size or covered > limit - at:
        packet.mark(f"UDP-Lite checksum coverage {coverage}", at + 4)
    elif packet.build and at + covered <= packet.caplen and "ip.pseudo" in packet.values:
        pseudo = pseudo_header(packet.values["ip.pseudo"], 136, limit - at)
        good = ones_sum(pseudo + packet.data[at : at + covered]) == 0xFFFF
        show_checksum(packet, layer, LITE_STATUS, int(good), at + 6)
    return _following(packet, "udplite", layer, source, destination, at + UDP_LITE.size, limit)
