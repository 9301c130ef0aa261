"""BitTorrent over TCP (BEP 3, 5, 6, 10): the handshake, then messages with their length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.bencode import bencoded
from netwatch.capture.dissect.kit import Header, group, number, octets, text
from netwatch.capture.dissect.packet import Packet, Stopped
from netwatch.capture.dissect.registry import NOT_MINE, Step, signature

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

BITTORRENT: Final = Header("bittorrent", "BitTorrent", ())
NAME_SIZE: Final = number("bittorrent.protocol.name.length", "Protocol Name Length")
NAME: Final = text("bittorrent.protocol.name", "Protocol Name")
RESERVED: Final = octets("bittorrent.reserved", "Reserved Extension Bytes")
HASH: Final = octets("bittorrent.info_hash", "SHA1 Hash of info dictionary")
PEER: Final = octets("bittorrent.peer_id", "Peer ID")
HANDSHAKE: Final = b"\x13BitTorrent protocol"
HANDSHAKE_SIZE: Final = 68
TYPES: Final = {
    0: "Choke",
    1: "Unchoke",
    2: "Interested",
    3: "Not Interested",
    4: "Have",
    5: "Bitfield",
    6: "Request",
    7: "Piece",
    8: "Cancel",
    9: "Port",
    13: "Suggest",
    14: "Have All",
    15: "Have None",
    16: "Reject Request",
    17: "Allowed Fast",
    20: "Extended",
}
FIXED: Final = {0: 1, 1: 1, 2: 1, 3: 1, 4: 5, 6: 13, 8: 13, 9: 3, 13: 5, 14: 1, 15: 1, 16: 13, 17: 5}
"""Type → the length that its messages have to state."""
MAX_SIZE: Final = 0x40000
"""Bytes that a message may state: a piece of twice the usual block, a bitfield of two million pieces."""
MESSAGE: Final = group("bittorrent.msg", "Message")
LENGTH: Final = number("bittorrent.msg.length", "Message Length")
TYPE: Final = number("bittorrent.msg.type", "Message Type", TYPES)
INDEX, BEGIN, SIZE = (
    number("bittorrent.piece.index", "Piece index", digits=8),
    number("bittorrent.piece.begin", "Begin offset of piece", digits=8),
    number("bittorrent.piece.length", "Piece Length", digits=8),
)
BITFIELD: Final = octets("bittorrent.msg.bitfield", "Bitfield data")
PIECE: Final = octets("bittorrent.piece.data", "Data in a piece")
PORT: Final = number("bittorrent.port", "Port")
EXTENDED_ID: Final = number("bittorrent.extended.id", "Extended Message ID")
EXTENDED: Final = octets("bittorrent.extended", "Extended Message")
CONTINUED: Final = octets("bittorrent.continuous_data", "Continuation data")


@signature("tcp")
def bittorrent(packet: Packet, at: int, limit: int) -> Step | None:
    """The handshake: a name, eight bytes of flags, which torrent, who. What follows has no mark of its own."""
    if packet.data[at : at + len(HANDSHAKE)] != HANDSHAKE or at + len(HANDSHAKE) > limit:
        return NOT_MINE
    packet.whole("BitTorrent handshake", at, HANDSHAKE_SIZE, limit)
    packet.column("bittorrent", "Handshake  ")
    layer = packet.layer(BITTORRENT.field, at, len(HANDSHAKE), "Handshake")
    packet.add(layer, NAME_SIZE, 19, at, 1)
    packet.add(layer, NAME, HANDSHAKE[1:], at + 1, len(HANDSHAKE) - 1)
    where = at + len(HANDSHAKE)
    packet.add(layer, RESERVED, packet.take("BitTorrent handshake", where, 8, limit), where, 8)
    where += 8
    for field in (HASH, PEER):
        packet.add(layer, field, packet.take("BitTorrent handshake", where, 20, limit), where, 20)
        where += 20
    layer.size = where - at
    packet.settle_on(messages)
    return Step((messages,), where, limit) if where < limit else None


def _plausible(data: bytes, at: int, end: int) -> bool:
    """Whether a message may begin here: after a gap, bytes of a piece do."""
    head = data[at : min(at + 5, end)]
    size = int.from_bytes(head[:4], "big")
    if len(head) < 5:
        return len(head) < 4 or size == 0 or size <= MAX_SIZE
    if size == 0:
        return True
    return head[4] in TYPES and size <= MAX_SIZE and FIXED.get(head[4], size) == size


def messages(packet: Packet, at: int, limit: int) -> Step | None:
    """A length, a type, what the type says; one after the other."""
    if packet.data[at : at + len(HANDSHAKE)] == HANDSHAKE:
        return bittorrent(packet, at, limit)
    while at < limit:
        end = packet.end(limit)
        if _plausible(packet.data, at, end):
            packet.whole("BitTorrent", at, 4, limit)
            size = packet.uint("BitTorrent", at, 4, limit)
            packet.whole("BitTorrent", at, 4 + size, limit)
        else:
            size = max(limit - at - 4, 0)
        if packet.protocol != "BitTorrent":
            packet.column("bittorrent")
        after = min(at + 4 + size, limit)
        layer = packet.layer(BITTORRENT.field, at, packet.end(after) - at)
        if _plausible(packet.data, at, end):
            packet.add(layer, LENGTH, size, at, 4)
            layer.said = _message(packet, layer, at + 4, after) if size else "KeepAlive"
        else:
            packet.add(layer, CONTINUED, packet.data[at:end], at, end - at)
            layer.said = "Continuation data"
        packet.info += f"{layer.said}  "
        at = after
    return None


def _message(packet: Packet, layer: Item, at: int, end: int) -> str:
    kind = packet.uint("BitTorrent", at, 1, end)
    packet.add(layer, TYPE, kind, at, 1)
    name, where, size = TYPES.get(kind, f"Unknown ({kind})"), at + 1, end - at - 1

    def value(offset: int) -> int:
        return packet.uint("BitTorrent", where + offset, 4, end)

    if kind in (4, 13, 17) and size >= 4:
        packet.add(layer, INDEX, value(0), where, 4)
        return f"{name}, Piece (Idx:0x{value(0):x})"
    if kind in (6, 8, 16) and size >= 12:
        for offset, field in ((0, INDEX), (4, BEGIN), (8, SIZE)):
            packet.add(layer, field, value(offset), where + offset, 4)
        return f"{name}, Piece (Idx:0x{value(0):x},Begin:0x{value(4):x},Len:0x{value(8):x})"
    if kind == 7 and size >= 8:
        packet.add(layer, INDEX, value(0), where, 4)
        packet.add(layer, BEGIN, value(4), where + 4, 4)
        rest = packet.rest(where + 8, end)
        packet.add(layer, PIECE, rest, where + 8, len(rest))
        return f"{name}, Idx:0x{value(0):x},Begin:0x{value(4):x},Len:0x{size - 8:x}"
    if kind == 5:
        packet.add(layer, BITFIELD, packet.rest(where, end), where, packet.end(end) - where)
        return f"{name}, Len:0x{size:x}"
    if kind == 9 and size >= 2:
        packet.add(layer, PORT, packet.uint("BitTorrent", where, 2, end), where, 2)
    elif kind == 20 and size:
        packet.add(layer, EXTENDED_ID, packet.data[where], where, 1)
        rest = packet.rest(where + 1, end)
        item = packet.add(layer, EXTENDED, rest, where + 1, len(rest))
        try:
            if rest:
                bencoded(packet, item, where + 1, end)
        except Stopped as stopped:
            item.said = stopped.verdict(packet).text
    return name
