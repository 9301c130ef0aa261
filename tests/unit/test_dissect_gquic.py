"""Google's QUIC: each kind of header, messages with their tags, and what lies."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from time import perf_counter

import pytest

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text, summarise

RAW = 101
CID = bytes(range(1, 9))
HASH = b"h" * 12


def udp(payload: bytes, back: bool = False, port: int = 443) -> bytes:
    ports, ends = (40000, port), (bytes([192, 0, 2, 1]), bytes([198, 51, 100, 7]))
    if back:
        ports, ends = ports[::-1], ends[::-1]
    datagram = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0, *ends) + datagram


def message(tag: bytes, *tags: tuple[bytes, bytes]) -> bytes:
    index = values = b""
    for name, value in tags:
        values += value
        index += name.ljust(4, b"\0") + struct.pack("<I", len(values))
    return tag.ljust(4, b"\0") + struct.pack("<HH", len(tags), 0) + index + values


def stream(data: bytes, order: str = ">") -> bytes:
    return b"\xa0\x01" + struct.pack(f"{order}H", len(data)) + data


CHLO = message(
    b"CHLO",
    (b"SNI", b"www.example.org"),
    (b"VER", b"Q043"),
    (b"UAID", b"an \x1b agent"),
    (b"COPT", b"NSTPBBR2"),
    (b"ICSL", struct.pack("<I", 30)),
    (b"CRT\xff", b"chain"),
    (b"CTIM", struct.pack("<Q", 1767225600)),
    (b"XYZ", b"unknown"),
)
HELLO = b"\x09" + CID + b"Q043\x01" + HASH + stream(CHLO) + bytes(20)


def every(tree: Tree, name: str) -> list[str]:
    def below(items: list[Item]) -> Iterator[Item]:
        for item in items:
            yield item
            yield from below(item.children)

    return [fields_text(item) for item in below(list(tree.layers)) if item.field.name == name]


def show(context: Context, payload: bytes, back: bool = False) -> Tree:
    tree = dissect(udp(payload, back), RAW, context=context)
    assert tree.protocol == "GQUIC"
    return tree


@pytest.mark.parametrize(
    ("version", "order", "private", "cid"),
    [
        (b"Q024", "<", b"\0", int.from_bytes(CID, "little")),
        (b"Q035", "<", b"", int.from_bytes(CID, "little")),
        (b"Q039", ">", b"", int.from_bytes(CID, "big")),
        (b"Q043", ">", b"", int.from_bytes(CID, "big")),
    ],
)
@pytest.mark.parametrize("port", [80, 443, 5555])
def test_a_client_hello_names_itself(version: bytes, order: str, private: bytes, cid: int, port: int) -> None:
    packet = b"\x09" + CID + version + b"\x01" + HASH + private + stream(CHLO, order) + bytes(20)
    tree = dissect(udp(packet, port=port), RAW)
    assert (tree.protocol, tree.info) == ("GQUIC", f"Client Hello, PKN: 1, CID: {cid}")
    assert summarise(udp(packet, port=port), RAW).info == tree.info
    assert tree.verdict.kind == "ok"
    assert every(tree, "gquic.version") == [version.decode()]
    assert every(tree, "gquic.tag_type") == ["SNI", "VER", "UAID", "COPT", "ICSL", "CRT\\xff", "CTIM", "XYZ"]
    assert every(tree, "gquic.tag.sni") == ["www.example.org"]
    assert every(tree, "gquic.tag.uaid") == ["an \\x1b agent"]
    assert every(tree, "gquic.tag.copt") == ["NSTP", "BBR2"]
    assert every(tree, "gquic.tag.icsl") == ["30"]
    assert every(tree, "gquic.tag.crt") == [b"chain".hex()]
    assert every(tree, "gquic.tag.unknown") == [b"unknown".hex()]
    assert every(tree, "gquic.frame_type.padding.length") == ["20"]


def test_what_follows_a_hello() -> None:
    """These packets name no version: the conversation tells what they are."""
    context = Context()
    show(context, HELLO)
    cid = int.from_bytes(CID, "big")
    rejection = message(b"REJ", (b"STK", b"k" * 20), (b"SNO", b"n" * 8))
    tree = show(context, b"\x08" + CID + b"\x01" + HASH + stream(rejection), back=True)
    assert tree.info == f"Rejection, PKN: 1, CID: {cid}"
    assert every(tree, "gquic.tag.stk") == [b"k".hex() * 20]
    ack = b"\x40\x01\0\0\x01\0"
    tree = show(context, b"\0\x03" + HASH + ack + stream(message(b"SHLO", (b"VER", b"Q043Q039"))), back=True)
    assert tree.info == "Server Hello, PKN: 3"
    assert every(tree, "gquic.tag.version") == ["Q043", "Q039"]
    tree = show(context, b"\x04" + b"d" * 32 + b"\x04" + b"x" * 40, back=True)
    assert tree.info == "Payload (Encrypted), PKN: 4"
    assert every(tree, "gquic.diversification_nonce") == [b"d".hex() * 32]
    assert show(context, b"\x0c" + CID + b"\x05" + b"x" * 40).info == f"Payload (Encrypted), PKN: 5, CID: {cid}"
    assert show(context, b"\x18" + CID + b"\x01\x02" + b"x" * 40).info == f"Payload (Encrypted), PKN: 258, CID: {cid}"
    tree = show(context, b"\x08" + CID + b"\x04" + HASH + b"\x02" + struct.pack(">IH", 25, 3) + b"why")
    assert tree.info == f"Connection Close, PKN: 4, CID: {cid}"
    assert every(tree, "gquic.frame_type.cc.reason_phrase") == ["why"]
    reset = message(b"PRST", (b"RNON", b"12345678"), (b"RSEQ", b"\x01" + bytes(7)))
    tree = show(context, b"\x0a" + CID + reset, back=True)
    assert tree.info == f"Public Reset, CID: {cid}"
    assert every(tree, "gquic.tag.rseq") == ["1"]
    tree = show(context, b"\x09" + CID + b"Q043Q039Q046", back=True)
    assert tree.info == f"Version Negotiation, CID: {cid}"
    assert every(tree, "gquic.version") == ["Q043", "Q039", "Q046"]


def test_the_headers_of_q046() -> None:
    context, cid = Context(), int.from_bytes(CID, "big")
    tree = show(context, b"\xc3Q046\x50" + CID + b"\0\0\0\x01" + HASH + stream(CHLO))
    assert tree.info == f"Client Hello, PKN: 1, CID: {cid}"
    assert every(tree, "gquic.dcil") == ["5"]
    assert show(context, b"\x43" + CID + b"\0\0\0\x02" + b"y" * 50).info == f"Payload (Encrypted), PKN: 2, CID: {cid}"
    assert show(context, b"\x40\x03" + b"y" * 50, back=True).info == "Payload (Encrypted), PKN: 3"


def test_a_version_of_the_ietf_in_the_same_conversation() -> None:
    context = Context()
    show(context, HELLO)
    packet = b"\xe0\0\0\0\x01\x08" + CID + b"\0\x14" + b"z" * 20
    assert dissect(udp(packet), RAW, context=context).protocol == "QUIC"


def test_without_the_hello_nothing_tells() -> None:
    for packet in (
        b"\x08" + CID + b"\x01" + b"y" * 50,
        b"\x09" + CID + b"X043\x01" + b"y" * 50,
        b"\x09" + CID + b"Q0",
    ):
        assert dissect(udp(packet, port=5555), RAW, context=Context()).protocol == "UDP"


def test_what_lies() -> None:
    for size in range(13, len(HELLO)):
        tree = dissect(udp(HELLO[:size]), RAW, context=Context())
        assert tree.verdict.kind in ("ok", "malformed"), tree.verdict
        assert tree.protocol == "GQUIC"
    many = bytearray(HELLO)
    many[HELLO.index(b"CHLO") + 4 : HELLO.index(b"CHLO") + 6] = b"\xff\xff"
    assert dissect(udp(bytes(many)), RAW).verdict.kind == "malformed"
    back = bytearray(HELLO)
    back[HELLO.index(b"VER\0") + 4] = 3
    assert dissect(udp(bytes(back)), RAW).verdict.kind == "malformed"
    chance = random.Random(3)
    for _ in range(500):
        changed = bytearray(HELLO)
        for _ in range(6):
            changed[chance.randrange(13, len(changed))] = chance.randrange(256)
        assert dissect(udp(bytes(changed)), RAW, context=Context()).verdict.kind in ("ok", "malformed")


def test_many_tags_and_frames_are_bounded() -> None:
    tags = message(b"CHLO", *[(b"ABCD", b"")] * 1500)
    start = perf_counter()
    for body in (
        stream(tags),
        stream(CHLO) + b"\x40\x01\0\0\x01\0" * 2000,
        stream(CHLO) + b"\x80\x01CHLO\0\0\0\0" * 800,
    ):
        tree = dissect(udp(b"\x09" + CID + b"Q043\x01" + HASH + body), RAW)
        assert tree.verdict.kind in ("stopped", "malformed", "ok")
        assert tree.protocol == "GQUIC"
    assert (
        dissect(udp(b"\x09" + CID + b"Q043\x01" + HASH + b"\x40\x01\0\0\x01\0" * 2000), RAW).verdict.kind != "failed"
    )
    assert perf_counter() - start < 1
