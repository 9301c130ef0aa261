"""ARP: who asks, who announces, and addresses that two have."""

from __future__ import annotations

import struct

from tests.unit.handmade import ETHERNET, texts, values

from netwatch.capture.dissect import Context, Tree, dissect, summarise
from netwatch.capture.dissect.arp import MAX_ADDRESSES

A, B, C, NOBODY = (bytes([2, 0, 0, 0, 0, last]) if last else bytes(6) for last in (10, 11, 12, 0))


def packet(opcode: int, mac: bytes, host: int, target_mac: bytes, target: int) -> bytes:
    """Hosts are 10.0.0.x; 0: 0.0.0.0."""
    sender, receiver = (bytes([10, 0, 0, each]) if each else bytes(4) for each in (host, target))
    body = struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, opcode, mac, sender, target_mac, receiver)
    return b"\xff" * 6 + mac + b"\x08\x06" + body


def shown(packets: list[bytes]) -> list[Tree]:
    context, rows = Context(), Context()
    trees = []
    for number, data in enumerate(packets, 1):
        trees.append(dissect(data, ETHERNET, context=context, number=number, ts=number * 10**9))
        row = summarise(data, ETHERNET, context=rows, number=number, ts=number * 10**9)
        assert row[:2] == (trees[-1].protocol, trees[-1].info)
    return trees


def test_an_address_that_two_have() -> None:
    """As tshark 4.0 has it."""
    first, second, *others = shown(
        [
            packet(1, A, 1, NOBODY, 2),
            packet(2, B, 2, A, 1),
            packet(2, C, 2, A, 1),
            packet(1, C, 1, NOBODY, 2),
            packet(1, A, 1, NOBODY, 2),
            packet(2, B, 1, C, 2),
        ]
    )
    assert not values(first, "arp.duplicate-address-detected") + values(second, "arp.duplicate-address-detected")
    assert [values(tree, "arp.duplicate-address-frame") for tree in others] == [["2"], ["3"], [], ["5", "2"]]
    assert values(others[1], "arp.seconds-since-duplicate-address-frame") == ["1"]
    assert [tree.info for tree in others] == [
        "10.0.0.2 is at 02:00:00:00:00:0c",
        "Who has 10.0.0.2? Tell 10.0.0.1 (duplicate use of 10.0.0.1 detected!)",
        "Who has 10.0.0.2? Tell 10.0.0.1",
        "10.0.0.1 is at 02:00:00:00:00:0b (duplicate use of 10.0.0.2 detected!)",
    ]
    assert (
        "Duplicate IP address detected: for 10.0.0.1 (02:00:00:00:00:0b) - also in use by 02:00:00:00:00:0a (frame 5)"
        in texts(others[3])
    )


def test_probes_and_announcements() -> None:
    """RFC 5227, 1.1 and 3."""
    packets = {
        "isprobe": packet(1, A, 0, NOBODY, 2),
        "isannouncement": packet(1, A, 2, NOBODY, 2),
        "isgratuitous": packet(2, A, 2, A, 2),
        "none": packet(1, A, 1, NOBODY, 2),
    }
    names = ("isprobe", "isannouncement", "isgratuitous")
    found = {
        name: [each for each in names if values(dissect(data, ETHERNET), f"arp.{each}")]
        for name, data in packets.items()
    }
    assert found == {
        "isprobe": ["isprobe"],
        "isannouncement": ["isannouncement", "isgratuitous"],
        "isgratuitous": ["isgratuitous"],
        "none": [],
    }
    # Who probes does not have the address yet.
    assert not any(
        "duplicate" in tree.info for tree in shown([packet(1, A, 0, NOBODY, 2), packet(1, B, 0, NOBODY, 2)])
    )


def test_addresses_that_are_remembered_have_a_bound() -> None:
    context = Context()
    for number in range(MAX_ADDRESSES + 10):
        data = bytearray(packet(1, A, 1, NOBODY, 2))
        data[28:32] = struct.pack("!I", 0x0B000000 + number)
        dissect(bytes(data), ETHERNET, context=context, number=number)
    assert len(context.across["arp"]) == MAX_ADDRESSES
