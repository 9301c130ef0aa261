"""Telnet (RFC 854): characters, and commands and options behind 0xff."""

from __future__ import annotations

import re
from typing import Final

from netwatch.capture.dissect.kit import Header, Item, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on

TELNET = Header("telnet", "Telnet", ())
COMMANDS: Final = {
    236: "End of File",
    237: "Suspend Current Process",
    238: "Abort Process",
    239: "End of Record",
    240: "Suboption End",
    241: "No-Op",
    242: "Data Mark",
    243: "Break",
    244: "Interrupt Process",
    245: "Abort Output",
    246: "Are You There?",
    247: "Escape Character",
    248: "Erase Line",
    249: "Go Ahead",
    250: "Suboption",
    251: "Will",
    252: "Won't",
    253: "Do",
    254: "Don't",
    255: "Escape",
}
OPTIONS: Final = {
    0: "Binary Transmission",
    1: "Echo",
    2: "Reconnection",
    3: "Suppress Go Ahead",
    5: "Status",
    6: "Timing Mark",
    17: "Extended ASCII",
    18: "Logout",
    24: "Terminal Type",
    25: "End of Record",
    31: "Negotiate About Window Size",
    32: "Terminal Speed",
    33: "Remote Flow Control",
    34: "Linemode",
    35: "X Display Location",
    36: "Environment Option",
    37: "Authentication Option",
    38: "Encryption Option",
    39: "New Environment Option",
    40: "TN3270E",
    44: "Com Port Control Option",
    46: "START_TLS",
}
COMMAND, OPTION = number("telnet.cmd", "Command", COMMANDS), number("telnet.subcmd", "Subcommand", OPTIONS)
DATA, OPTION_DATA = text("telnet.data", "Data"), octets("telnet.option_data", "Option data")
VALUE = text("telnet.string_subopt.value", "Value")
WIDTH, HEIGHT = number("telnet.naws_subopt.width", "Width"), number("telnet.naws_subopt.height", "Height")
IAC: Final = 0xFF
CHARACTERS: Final = re.compile(rb"(?:[^\xff\n]+|\xff\xff)*\n?")
SUBOPTION, WILL, DONT = 250, 251, 254
STRINGS: Final = frozenset((24, 32, 35))
"""Options whose value is text behind a 0 (RFC 1091)."""


@on("tcp.port", 23)
def telnet(packet: Packet, at: int, limit: int) -> Step | None:
    """Runs of characters and commands as they come; what goes on in the next segment is shown as far as it is."""
    packet.column("telnet", "Telnet Data ...")
    end = packet.end(limit)
    layer = packet.layer(TELNET.field, at, end - at, f"{end - at} bytes")
    while at < end:
        if packet.data[at] != IAC or packet.data[at + 1 : at + 2] == b"\xff":
            at = _characters(packet, layer, at, end)
        else:
            at = _command(packet, layer, at, end)
    return None


def _characters(packet: Packet, layer: Item, at: int, end: int) -> int:
    """Up to the next line or command; 0xff twice is a character."""
    run = CHARACTERS.match(packet.data, at, end)
    stop = max(at + 1 if run is None else run.end(), at + 1)
    packet.add(layer, DATA, packet.data[at:stop].replace(b"\xff\xff", b"\xff"), at, stop - at)
    return stop


def _command(packet: Packet, layer: Item, at: int, end: int) -> int:
    if at + 1 >= end:
        packet.add(layer, DATA, packet.data[at:end], at, end - at)
        return end
    code = packet.data[at + 1]
    after = min(end, at + (3 if SUBOPTION <= code <= DONT else 2))
    option = packet.data[at + 2] if after == at + 3 else None
    if code == SUBOPTION:
        stop = packet.data.find(b"\xff\xf0", after, end)
        after = end if stop < 0 else stop
    said = COMMANDS.get(code, f"Unknown {code}")
    if option is not None:
        said += f" {OPTIONS.get(option, f'Option {option}')}"
    item = packet.add(layer, COMMAND, code, at, after - at, said)
    if option is None:
        return after
    packet.add(item, OPTION, option, at + 2, 1)
    value = packet.data[at + 3 : after]
    if option in STRINGS and value[:1] == b"\0":
        packet.add(item, VALUE, value[1:], at + 4, len(value) - 1)
    elif option == 31 and len(value) == 4:
        packet.add(item, WIDTH, int.from_bytes(value[:2], "big"), at + 3, 2)
        packet.add(item, HEIGHT, int.from_bytes(value[2:], "big"), at + 5, 2)
    elif value:
        packet.add(item, OPTION_DATA, value, at + 3, len(value))
    return after
