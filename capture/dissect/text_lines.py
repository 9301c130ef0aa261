"""What protocols of text lines share: lines that are whole, who speaks, and whether it is text at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.dissect.packet import MAX_ITEMS

if TYPE_CHECKING:
    from netwatch.capture.dissect.packet import Packet

__all__ = ["Line", "as_text", "from_server", "looks_like_text", "wait_for_line", "whole_lines"]

MAX_LINE: Final = 1 << 13
"""Bytes of a line; a longer one is taken for several, wherever its segments end."""
LOOKED_AT: Final = 64
"""Bytes that have to be text."""


class Line(NamedTuple):
    """One line without its end."""

    text: bytes
    at: int
    after: int

    @property
    def size(self) -> int:
        """With its end."""
        return self.after - self.at

    def raw(self, packet: Packet) -> bytes:
        """As it came, with its end."""
        return packet.data[self.at : self.after]


def whole_lines(packet: Packet, at: int, limit: int) -> tuple[list[Line], int]:
    """The lines that are here, no more than are shown, and where the last begins whose end is not."""
    data, end = packet.data, packet.end(limit)
    lines: list[Line] = []
    while at < end and len(lines) <= MAX_ITEMS:
        stop = data.find(b"\n", at, min(end, at + MAX_LINE))
        if stop < 0 and end - at < MAX_LINE:
            break
        after = at + MAX_LINE if stop < 0 else stop + 1
        lines.append(Line(data[at:after].rstrip(b"\r\n"), at, after))
        at = after
    return lines, at


def wait_for_line(packet: Packet, layer: str, at: int, limit: int) -> None:
    """For the end of a line that began; to be called once the lines before are shown."""
    if at < limit:
        packet.more(layer, at, limit)


def looks_like_text(packet: Packet, at: int, limit: int) -> bool:
    """Bytes that are no text are something else: TLS, a transfer, the middle of a line that came before."""
    return not any(
        byte < 0x20 and byte not in b"\t\r\n\x1b\x01" for byte in packet.rest(at, min(limit, at + LOOKED_AT))
    )


def from_server(packet: Packet, *servers: int) -> bool:
    """Whether this came from one of the ports where servers are."""
    source, destination = packet.values.get("ports", (0, 0))
    if source in servers or destination in servers:
        return source in servers
    return not packet.from_client


def as_text(raw: bytes) -> str:
    """Bytes as they came, for the Info column, which is escaped as a whole."""
    return raw.decode("utf-8", "surrogateescape")
