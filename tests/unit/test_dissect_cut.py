"""Packets of which the capture kept little: no dissector goes on for ever where a length says nothing."""

from __future__ import annotations

import sys

import pytest

from netwatch.capture.dissect import Context
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import SIGNATURES, TABLES, Dissector, Step

EVERY = sorted(
    {each for table in TABLES.values() for each in table.values()}
    | {each for some in SIGNATURES.values() for each in some},
    key=lambda each: (each.__module__, each.__qualname__),
)
FILLED = [b"\0", b"\xff", b"\1", b"\0\0\0\1", b"\x80\0", b"AB\0\0", b"\x30\0", b"\5\0\0\3\x10\0\0\0\0\0"]
MANY = 4000
"""Calls of functions: none needs a tenth of that."""


class Endless(BaseException):
    """Not to be caught by what catches the mistakes of dissectors."""


def watched(dissector: Dissector, data: bytes, missing: int, ports: tuple[int, int]) -> None:
    packet, count = Packet(data, len(data) + missing, True, Context(), 1), 0
    packet.values.update({"ports": ports, "ip.pseudo": bytes(8)})
    packet.values["transport"] = ("tcp", b"\1\2\3\4", ports[0], b"\5\6\7\x08", ports[1])

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count > MANY:
            raise Endless(f"{dissector.__module__}.{dissector.__qualname__}")

    before = sys.getprofile()
    sys.setprofile(step)
    try:
        packet.attempt(Step((dissector,), 0, packet.wirelen))
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize("filled", FILLED, ids=bytes.hex)
def test_a_packet_cut_at_any_byte(filled: bytes) -> None:
    data = filled * 40
    for dissector in EVERY:
        ports = next((port for table in TABLES.values() for port, each in table.items() if each is dissector), 9)
        for size in range(33):
            for missing in (1, 1000):
                watched(dissector, data[:size], missing, (ports, 40000) if size & 1 else (40000, ports))
