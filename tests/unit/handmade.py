"""Packets made by hand and how they are shown, for the tests of dissectors."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import pytest

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, find, summarise
from netwatch.capture.dissect.packet import MAX_ITEMS

ETHERNET, RAW = 1, 101
CLIENT, SERVER = bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7])
ACK_PSH = 0x18
PING = bytes.fromhex("4500001c00010000400166de0a0000010a0000020800f7ff00000000")
HELLO = bytes.fromhex("160303002f 0100002b 0303") + bytes(32) + bytes.fromhex("00 0002 1301 01 00 0000")
"""A TLS Client Hello without extensions."""


def ip(payload: bytes, protocol: int, *, back: bool = False) -> bytes:
    ends = (SERVER, CLIENT) if back else (CLIENT, SERVER)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, *ends) + payload


def udp(source: int, destination: int, payload: bytes, *, back: bool = False) -> bytes:
    return ip(struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload, 17, back=back)


def tcp(
    source: int,
    destination: int,
    payload: bytes,
    *,
    back: bool = False,
    flags: int = ACK_PSH,
    numbers: tuple[int, int] = (1, 1),
) -> bytes:
    """`numbers`: of its first byte, and of the one that it acknowledges."""
    head = struct.pack("!HHIIHHHH", source, destination, *numbers, 5 << 12 | flags, 512, 0, 0)
    return ip(head + payload, 6, back=back)


class Talk:
    """Two endpoints whose packets go through one context."""

    def __init__(self, server: int, transport: str = "tcp", client: int = 40000) -> None:
        self.context = Context()
        self.ports = client, server
        self.transport = transport
        self.sequence = {False: 1000, True: 5000}
        self.number = 0

    def say(
        self,
        payload: bytes,
        *,
        back: bool = False,
        ports: tuple[int, int] | None = None,
        cut: int | None = None,
        flags: int = ACK_PSH,
    ) -> Tree:
        """`back`: from the server. `cut`: what the capture kept."""
        source, destination = ports or self.ports
        if back:
            source, destination = destination, source
        if self.transport == "udp":
            data = udp(source, destination, payload, back=back)
        else:
            numbers = self.sequence[back], self.sequence[not back]
            data = tcp(source, destination, payload, back=back, flags=flags, numbers=numbers)
            self.sequence[back] += len(payload)
        self.number += 1
        tree = dissect(data[:cut], RAW, len(data), context=self.context, number=self.number)
        assert tree.verdict.kind != "failed", tree.verdict
        return tree

    def ask(self, payload: bytes) -> Tree:
        return self.say(payload)

    def answer(self, payload: bytes) -> Tree:
        return self.say(payload, back=True)


class Opened(Talk):
    """A TCP connection from its handshake on."""

    def __init__(self, server: int) -> None:
        super().__init__(server)
        for back, flags in ((False, 0x02), (True, 0x12)):
            self.say(b"", back=back, flags=flags)
            self.sequence[back] += 1


def items(tree: Tree) -> Iterator[Item]:
    """Every line of the tree, from the top."""
    below = list(reversed(tree.layers))
    while below:
        item = below.pop()
        yield item
        below += reversed(item.children)


def texts(tree: Tree) -> list[str]:
    return [f"{item.field.label}: {item.text}" for item in items(tree)]


def value(tree: Tree, name: str) -> str:
    item = find(tree, name)
    return "" if item is None else fields_text(item)


def values(tree: Tree, name: str) -> list[str]:
    """Every value of a field, in the order of the tree."""
    found = [item for item in items(tree) if item.field.name == name]
    return [fields_text(item) if item.value is not None else item.text for item in found]


def row(tree: Tree) -> tuple[str, str]:
    return tree.protocol, tree.info.strip()


def holds(tree: Tree, size: int) -> None:
    """Each line lies within what it is a part of, and there is no end of them."""
    below: list[tuple[Item, int, int]] = [(layer, 0, size) for layer in tree.layers if not layer.buffer]
    count = 0
    while below:
        item, first, last = below.pop()
        count += 1
        assert first <= item.start <= item.end <= last, item
        below += [(child, item.start, item.end) for child in item.children if not child.buffer]
    assert count <= 2 * MAX_ITEMS


class Sample(NamedTuple):
    """A packet, its row, and values that its fields must have."""

    data: bytes
    linktype: int
    protocol: str
    info: str
    fields: dict[str, str]


class Samples:
    """What must hold for each of a class's samples."""

    samples: ClassVar[list[Sample]]

    def test_row_and_fields(self, sample: Sample) -> None:
        tree = dissect(sample.data, sample.linktype)
        assert (tree.protocol, tree.info) == (sample.protocol, sample.info)
        assert {name: value(tree, name) for name in sample.fields} == sample.fields
        assert tree.verdict.kind == "ok", tree.verdict
        holds(tree, len(sample.data))

    def test_without_a_tree_the_row_is_the_same(self, sample: Sample) -> None:
        assert summarise(sample.data, sample.linktype)[:2] == (sample.protocol, sample.info)

    def test_a_cut_at_any_byte_is_a_cut(self, sample: Sample) -> None:
        for keep in range(len(sample.data)):
            tree = dissect(sample.data[:keep], sample.linktype, len(sample.data))
            assert tree.verdict.kind == "cut", (keep, tree.verdict)
            holds(tree, keep)

    def test_a_frame_that_ends_at_any_byte_is_no_failure(self, sample: Sample) -> None:
        for keep in range(len(sample.data)):
            tree = dissect(sample.data[:keep], sample.linktype)
            assert tree.verdict.kind != "failed", (keep, tree.verdict)
            holds(tree, keep)

    @pytest.mark.parametrize("lie", [0x00, 0x01, 0x7F, 0xFF])
    def test_any_byte_may_lie(self, sample: Sample, lie: int) -> None:
        for place in range(len(sample.data)):
            data = sample.data[:place] + bytes([lie]) + sample.data[place + 1 :]
            tree = dissect(data, sample.linktype)
            assert tree.verdict.kind != "failed", (place, tree.verdict)
            holds(tree, len(data))
