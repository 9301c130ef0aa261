"""Echo: who asks and who answers is told by the port."""

from __future__ import annotations

import struct

import pytest

from netwatch.capture.dissect import dissect, fields_text, find

RAW = 101


@pytest.mark.parametrize(("ports", "info"), [((40000, 7), "Request"), ((7, 40000), "Response"), ((7, 7), "Request")])
@pytest.mark.parametrize("protocol", [6, 17])
def test_the_port_says_who_asks(ports: tuple[int, int], info: str, protocol: int) -> None:
    head = struct.pack("!2H", *ports)
    head += struct.pack("!2H", 13, 0) if protocol == 17 else struct.pack("!2L4H", 1, 1, 0x5018, 512, 0, 0)
    packet = struct.pack("!2B3H2BH", 0x45, 0, 25 + len(head), 1, 0, 64, protocol, 0) + bytes(8) + head + b"hello"
    tree = dissect(packet, RAW)
    assert (tree.protocol, tree.info) == ("ECHO", info)
    data, kind = find(tree, "echo.data"), find(tree, f"echo.{info.lower()}")
    assert data is not None
    assert fields_text(data) == b"hello".hex()
    assert kind is not None
    assert kind.value is True
