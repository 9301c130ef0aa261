"""IRC (RFC 2812): messages of one line."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Field, Header, Item, number, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.text_lines import (
    Line,
    as_text,
    from_server,
    looks_like_text,
    wait_for_line,
    whole_lines,
)

IRC = Header("irc", "Internet Relay Chat", ())


class _Fields:
    """The fields of one direction, which are named alike."""

    def __init__(self, way: str, label: str) -> None:
        self.line: Field = text(f"irc.{way}", label)
        self.prefix = text(f"irc.{way}.prefix", "Prefix")
        self.command = text(f"irc.{way}.command", "Command")
        self.parameter = text(f"irc.{way}.command_parameter", "Parameter")
        self.trailer = text(f"irc.{way}.trailer", "Trailer")


ASKS, ANSWERS = _Fields("request", "Request"), _Fields("response", "Response")
NUMERIC = number("irc.response.num_command", "Command")
PORTS: Final = (6667, 57000)
SHOWN_PARAMETERS: Final = 20


@on("tcp.port", *PORTS)
def irc(packet: Packet, at: int, limit: int) -> Step | None:
    """Whole lines; the server's port says who speaks."""
    if not looks_like_text(packet, at, limit):
        return NOT_MINE
    lines, rest = whole_lines(packet, at, limit)
    if lines:
        answer = from_server(packet, *PORTS)
        packet.column("irc")
        layer = packet.layer(IRC.field, at, rest - at)
        commands = [_line(packet, layer, line, answer) for line in lines if line.text]
        layer.said = " ".join(("Response" if answer else "Request", *(f"({command})" for command in commands)))
        packet.info = layer.said
    wait_for_line(packet, "IRC", rest, limit)
    return None


def _line(packet: Packet, layer: Item, line: Line, answer: bool) -> str:
    """`:prefix COMMAND parameter parameter :trailer` -> the command."""
    fields = ANSWERS if answer else ASKS
    item = packet.add(layer, fields.line, line.text, line.at, line.size)
    at, rest = line.at, line.text
    if rest.startswith(b":"):
        prefix, _, rest = rest.partition(b" ")
        packet.add(item, fields.prefix, prefix[1:], at + 1, len(prefix) - 1)
        at += len(prefix) + 1
    front, colon, trailer = rest.partition(b" :")
    command, *parameters = front.split(b" ", SHOWN_PARAMETERS)[: SHOWN_PARAMETERS + 1]
    if answer and len(command) == 3 and command.isdigit():
        packet.add(item, NUMERIC, int(command), at, 3)
    else:
        packet.add(item, fields.command, command, at, len(command))
    where = at + len(command) + 1
    for parameter in parameters:
        if parameter:
            packet.add(item, fields.parameter, parameter, where, len(parameter))
        where += len(parameter) + 1
    if colon:
        packet.add(item, fields.trailer, trailer, at + len(front) + 2, len(trailer))
    return as_text(command)
