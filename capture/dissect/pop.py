"""POP3 (RFC 1939): commands and responses, messages put together, STLS (RFC 2595)."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.imf import imf
from netwatch.capture.dissect.kit import Header, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.text_lines import as_text, from_server, looks_like_text, wait_for_line, whole_lines
from netwatch.capture.dissect.tls import tls

POP = Header("pop", "Post Office Protocol", ())
REQUEST, RESPONSE = text("pop.request", "Request"), text("pop.response", "Response")
COMMAND, PARAMETER = (
    text("pop.request.command", "Request command"),
    text("pop.request.parameter", "Request parameter"),
)
INDICATOR, DESCRIPTION = (
    text("pop.response.indicator", "Response indicator"),
    text("pop.response.description", "Response description"),
)
DATA = text("pop.response.data", "Data")

PORT: Final = 110
END: Final = b"\r\n.\r\n"
MAX_MAIL: Final = 1 << 20
"""Bytes of a message that are kept until it is whole."""


@on("tcp.port", PORT)
def pop(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines, or a part of a message that RETR or TOP asked for."""
    memory = packet.memory("pop")
    answer = from_server(packet, PORT)
    if answer and "mail" in memory:
        return _mail(packet, at, limit, memory, at)
    if not looks_like_text(packet, at, limit):
        return NOT_MINE
    lines, rest = whole_lines(packet, at, limit)
    if lines:
        begun = not answer or lines[0].text.startswith((b"+", b"-"))
        said = as_text(lines[0].text) if begun else f"DATA fragment, {rest - at} bytes"
        packet.column("pop", f"{'S' if answer else 'C'}: {said}")
        layer = packet.layer(POP.field, at, rest - at, packet.info)
    for line in lines:
        first, _, words = line.text.partition(b" ")
        shown = first.upper()
        if answer and not shown.startswith((b"+", b"-")):
            packet.add(layer, DATA, line.text, line.at, line.size)
            continue
        # As in Wireshark, a line that has no value of its own.
        item = packet.add(layer, RESPONSE if answer else REQUEST, b"", line.at, line.size, as_text(line.text))
        packet.add(item, INDICATOR if answer else COMMAND, first, line.at, len(first))
        if words:
            packet.add(item, DESCRIPTION if answer else PARAMETER, words, line.at + len(first) + 1, len(words))
        if not answer:
            memory["asked"] = shown[:8]
        elif shown == b"+OK":
            asked = memory.pop("asked", b"")
            if asked == b"STLS":
                packet.settle_on(tls)
            elif asked in (b"RETR", b"TOP"):
                memory["mail"] = bytearray()
                layer.size = line.after - at
                return _mail(packet, line.after, limit, memory, at) if line.after < packet.end(limit) else None
    wait_for_line(packet, "POP", rest, limit)
    return None


def _mail(packet: Packet, at: int, limit: int, memory: dict[Any, Any], start: int) -> Step | None:
    """A part of a message; the one that ends it shows it whole."""
    kept: bytearray = memory["mail"]
    end, before = packet.end(limit), len(kept)
    look = max(before - len(END) + 1, 0)
    found = (bytes(kept[look:]) + packet.data[at:end]).find(END)
    stop = end if found < 0 else at + look + found + len(END) - before
    if before + stop - at <= MAX_MAIL:
        kept += packet.data[at:stop]
    if start == at:
        packet.column("pop", f"S: DATA fragment, {stop - at} bytes")
    layer = packet.layer(POP.field, at, stop - at)
    packet.add(layer, DATA, packet.data[at:stop], at, stop - at)
    if found >= 0:
        del memory["mail"]
        whole = bytes(kept[: look + found + 2]).replace(b"\r\n..", b"\r\n.")
        packet.aside("Reassembled message", whole, Step((imf,), 0, len(whole)))
    return Step((pop,), stop, limit) if stop < end else None
