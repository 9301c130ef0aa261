"""OpenVPN over UDP and TCP: what is sent, acknowledged and signed, and the TLS of its control channel.

How a control message is laid out depends on what both ends were told: with --tls-auth a digest stands before the
numbers, with --tls-crypt all behind the session is encrypted. The layout that the bytes agree with is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.dissect.kit import Bits, Header, Packed8, absolute, number, octets
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature, step

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

OPCODES: Final = {
    1: "P_CONTROL_HARD_RESET_CLIENT_V1",
    2: "P_CONTROL_HARD_RESET_SERVER_V1",
    3: "P_CONTROL_SOFT_RESET_V1",
    4: "P_CONTROL_V1",
    5: "P_ACK_V1",
    6: "P_DATA_V1",
    7: "P_CONTROL_HARD_RESET_CLIENT_V2",
    8: "P_CONTROL_HARD_RESET_SERVER_V2",
    9: "P_DATA_V2",
    10: "P_CONTROL_HARD_RESET_CLIENT_V3",
    11: "P_CONTROL_WKC_V1",
}
CONTROL, ACK, DATA1, RESET_CLIENT, DATA2 = 4, 5, 6, 7, 9
RESETS: Final = frozenset({1, 2, 7, 8})
"""They carry nothing behind their numbers."""
OPENVPN: Final = Header(
    "openvpn",
    "OpenVPN Protocol",
    (Packed8(Bits(0xF8, "opcode", "Opcode", OPCODES, digits=2), Bits(0x07, "keyid", "Key ID")),),
)
SIZE: Final = number("openvpn.plen", "Packet Length")
SESSION, REMOTE = (
    number("openvpn.sessionid", "Session ID"),
    number("openvpn.rsessionid", "Remote Session ID"),
)
HMAC: Final = octets("openvpn.hmac", "HMAC")
REPLAY: Final = number("openvpn.pid", "Replay-Packet-ID")
TIME: Final = number("openvpn.net_time", "Net Time", form=lambda value: absolute(value * 10**9))
ACKS: Final = number("openvpn.mpidarraylength", "Message Packet-ID Array Length")
ACKED: Final = number("openvpn.mpidarrayelement", "Message Packet-ID Array Element")
MESSAGE_ID: Final = number("openvpn.mpid", "Message Packet-ID")
PEER: Final = number("openvpn.peerid", "Peer ID")
DATA: Final = octets("openvpn.data", "Data")
DIGESTS: Final = (0, 20, 32, 64, 16, 28, 48)
"""Bytes of the digest of --tls-auth: none, SHA1, SHA256, SHA512, MD5 …"""
MAX_ACKS: Final = 8
MAX_ID: Final = 1 << 24
"""A control channel numbers its packets from 0."""
MAX_CONTROL: Final = 1 << 16
"""Bytes of the control channel that are kept for the message that they begin."""


class Layout(NamedTuple):
    """Where the numbers of a control message stand."""

    digest: int
    """Bytes of its digest; 0: none, and no number against replay either."""
    acks: int
    """Offset of the count of acknowledged packets."""
    end: int
    """Offset of what it carries."""


def _layout(data: bytes, at: int, end: int, opcode: int) -> Layout | None:
    """`at`: behind the session id."""
    for digest in DIGESTS:
        acks = at + digest + (8 if digest else 0)
        if acks >= end or data[acks] > MAX_ACKS:
            continue
        if digest and not 0 < int.from_bytes(data[at + digest : at + digest + 4], "big") < MAX_ID:
            continue
        count = data[acks]
        after = acks + 1 + (4 * count + 8 if count else 0)
        last = after + (0 if opcode == ACK else 4)
        ids = [data[where : where + 4] for where in range(acks + 1, acks + 1 + 4 * count, 4)]
        ids += [] if opcode == ACK else [data[after:last]]
        if last > end or any(int.from_bytes(each, "big") >= MAX_ID for each in ids):
            continue
        if (opcode == ACK or opcode in RESETS) and last != end:
            continue
        return Layout(digest, acks, last)
    return None


@on("udp.port", 1194)
def openvpn(packet: Packet, at: int, limit: int) -> Step | None:
    """One message a datagram."""
    if at >= packet.end(limit) or packet.data[at] >> 3 not in OPCODES:
        return NOT_MINE
    _message(packet, at, limit, at)
    return None


@signature("udp")
def openvpn_reset(packet: Packet, at: int, limit: int) -> Step | None:
    """A client's first message, on whatever port: it has to agree with a layout to its last byte."""
    if packet.data[at : at + 1] != b"\x38" or limit - at < 14 or packet.caplen < limit:
        return NOT_MINE
    layout = _layout(packet.data, at + 9, limit, RESET_CLIENT)
    if layout is None or packet.data[layout.acks : limit] != bytes(5):
        return NOT_MINE
    packet.settle_on(openvpn)
    return openvpn(packet, at, limit)


@on("tcp.port", 1194)
def openvpn_over_tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Each message behind its length."""
    while at < limit:
        head = packet.rest(at, min(at + 3, limit))
        size = int.from_bytes(head[:2], "big")
        if len(head) == 3 and (size < 1 or head[2] >> 3 not in OPCODES):
            return NOT_MINE if "MessageType" not in packet.info else Step((), at, limit)
        packet.whole("OpenVPN", at, 2 + max(size, 1), limit)
        _message(packet, at + 2, min(at + 2 + size, limit), at)
        at += 2 + size
    return None


def _message(packet: Packet, at: int, end: int, start: int) -> None:
    packet.column("openvpn")
    layer, (first,) = packet.open(OPENVPN, at, end)
    opcode = first >> 3
    if start < at:
        layer.start, layer.size = start, at + 1 - start
        packet.add(layer, SIZE, int.from_bytes(packet.data[start:at], "big"), start, 2)
    layer.said = OPCODES.get(opcode, f"Unknown ({opcode})")
    packet.info = f"MessageType: {layer.said}"
    layer.size = packet.end(end) - layer.start
    where = at + 1
    if opcode in (DATA1, DATA2):
        if opcode == DATA2:
            packet.add(layer, PEER, packet.uint("OpenVPN", where, 3, end), where, 3)
            where += 3
        _rest(packet, layer, where, end)
        return
    session = packet.uint("OpenVPN", where, 8, end)
    packet.add(layer, SESSION, session, where, 8)
    where += 8
    layout = _layout(packet.data, where, packet.end(end), opcode)
    if layout is None:
        _rest(packet, layer, where, end)
        return
    if layout.digest:
        packet.add(layer, HMAC, packet.take("OpenVPN", where, layout.digest, end), where, layout.digest)
        where += layout.digest
        packet.add(layer, REPLAY, packet.uint("OpenVPN", where, 4, end), where, 4)
        packet.add(layer, TIME, packet.uint("OpenVPN", where + 4, 4, end), where + 4, 4)
    message = _numbers(packet, layer, layout, opcode, end)
    if opcode == CONTROL and layout.end < end:
        _rest(packet, layer, layout.end, end)
        _control(packet, session, message, layout.end, end)


def _numbers(packet: Packet, layer: Item, layout: Layout, opcode: int, end: int) -> int:
    """What is acknowledged, and the number of this one."""
    where = layout.acks
    count = packet.data[where]
    packet.add(layer, ACKS, count, where, 1)
    where += 1
    for _ in range(count):
        packet.add(layer, ACKED, packet.uint("OpenVPN", where, 4, end), where, 4)
        where += 4
    if count:
        packet.add(layer, REMOTE, packet.uint("OpenVPN", where, 8, end), where, 8)
        where += 8
    if opcode == ACK:
        return 0
    packet.add(layer, MESSAGE_ID, packet.uint("OpenVPN", where, 4, end), where, 4)
    return packet.uint("OpenVPN", where, 4, end)


def _rest(packet: Packet, layer: Item, at: int, end: int) -> None:
    rest = packet.rest(at, end)
    if rest:
        packet.add(layer, DATA, rest, at, len(rest))


def _control(packet: Packet, session: int, message: int, at: int, end: int) -> None:
    """TLS within the control channel, put together in the order of its numbers; without those, what begins here."""
    memory: dict[Any, Any] = packet.memory("openvpn")
    expected, kept = memory.get(session, (message, b""))
    if message < expected:
        return
    data = kept + packet.rest(at, end) if message == expected else packet.rest(at, end)
    if data[:1] not in (b"\x14", b"\x15", b"\x16", b"\x17") or data[1:2] != b"\x03":
        return
    more = packet.aside("OpenVPN control channel", data, step("tcp.port", 443, 0, len(data)), stream=True)
    rest = data[more.at :] if more is not None else b""
    if len(memory) < 8 or session in memory:
        memory[session] = (message + 1, rest if len(rest) <= MAX_CONTROL else b"")
