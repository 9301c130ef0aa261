"""BitTorrent over TCP (BEP 3)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    Header,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, signature

BITTORRENT = Header("bittorrent", "BitTorrent", ())
TORRENT_NAME, TORRENT_HASH, TORRENT_PEER = (
    text("bittorrent.protocol.name", "Protocol Name"),
    octets("bittorrent.info_hash", "SHA1 Hash of info dictionary"),
    octets("bittorrent.peer_id", "Peer ID"),
)
HANDSHAKE = b"\x13BitTorrent protocol"


@signature("tcp")
def bittorrent(packet: Packet, at: int, limit: int) -> Step | None:
    """The handshake: a name, eight flags, which torrent, who (BEP 3)."""
    if packet.data[at : at + len(HANDSHAKE)] != HANDSHAKE or at + len(HANDSHAKE) > limit:
        return NOT_MINE
    packet.column("bittorrent", "Handshake  ")
    layer = packet.layer(BITTORRENT.field, at, len(HANDSHAKE), "Handshake")
    packet.add(layer, TORRENT_NAME, HANDSHAKE[1:], at + 1, len(HANDSHAKE) - 1)
    where = at + len(HANDSHAKE) + 8
    for field in (TORRENT_HASH, TORRENT_PEER):
        packet.add(layer, field, packet.take("BitTorrent handshake", where, 20, limit), where, 20)
        where += 20
    layer.size = where - at
    return Step((), where, limit)
