"""Dropbox LAN sync discovery: a JSON object to all of the network."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Header, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.protocols import declare

declare("db-lsp-disc", "DB-LSP-DISC", "discovery")
DROPBOX: Final = Header("db-lsp-disc", "Dropbox LAN sync Discovery Protocol", ())
TEXT: Final = text("db-lsp.text", "Text")


@on("udp.port", 17500)
def dropbox(packet: Packet, at: int, limit: int) -> Step | None:
    """Which versions, which namespaces, which host."""
    rest = packet.rest(at, limit)
    if rest[:1] != b"{":
        return NOT_MINE
    packet.column("db-lsp-disc", "Dropbox LAN sync Discovery Protocol, JavaScript Object Notation")
    packet.protocol = "DB-LSP-DISC/JSON"
    layer = packet.layer(DROPBOX.field, at, len(rest), f"{len(rest)} bytes")
    packet.add(layer, TEXT, rest, at, len(rest))
    return None
