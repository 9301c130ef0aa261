"""The targets: each takes any bytes, and raises where something does not hold that must hold for all."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import os
import random
import struct
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import numpy as np

from fuzz.checks import Both, check_columns, content
from fuzz.packets import ACK, FIN, RAW, SYN, Record, cuts, ingested, memory_file, pcap, read, segment
from netwatch.capture.block import Block
from netwatch.capture.columns import Columns
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Context, Tree
from netwatch.capture.dissect.packet import MAX_ITEMS, Packet
from netwatch.capture.dissect.registry import SIGNATURES, TABLES, Dissector, Step
from netwatch.capture.filter.compile import compile as compile_filter
from netwatch.capture.filter.lexer import FilterError
from netwatch.capture.follow import Follow, pair_of
from netwatch.capture.session import Session
from netwatch.capture.sources.files import READ_AHEAD, open_file

__all__ = ["MARK", "TARGETS", "run"]

MARK: Final = b"\xf5|\xf5"
"""Stands between the packets of one input, so that what is put in or left out moves none of the others."""
TEXT_PORTS: Final = frozenset({21, 23, 25, 110, 143, 587, 6667})
"""Lines that may be anything: whether they are is guessed a segment at a time."""
CHARACTERS: Final = bytes((*range(0x20, 0x7F), *b"\r\n\t"))
GUESSING_PORTS: Final = frozenset({3306, 20000, *range(6000, 6064)})
"""Where broken bytes are taken for a message by what came before, or by a checksum."""
LINKTYPES: Final = (*sorted(TABLES["linktype"]), 65000)
MOST_PACKETS: Final = 24
MOST_RECORDS: Final = 2000
MOST_STREAM: Final = 20_000
SECONDS: Final = float(os.environ.get("FUZZ_SECONDS", "inf"))
"""CPU time that a packet may take."""


@cache
def dissectors() -> tuple[Dissector, ...]:
    """Every one that is registered, always in the same order."""
    known = {each for table in TABLES.values() for each in table.values()}
    known |= {each for each_list in SIGNATURES.values() for each in each_list}
    return tuple(sorted(known, key=lambda each: (each.__module__, each.__qualname__)))


def packets(data: bytes) -> None:
    """A capture: link type, how much more each packet had on the wire, packets."""
    if len(data) < 2:
        return
    linktype, more = LINKTYPES[data[0] % len(LINKTYPES)], data[1] & 0x7F
    both = Both(SECONDS)
    parts = data[2:].split(MARK)[:MOST_PACKETS]
    for part in parts:
        both.add(part, linktype, len(part) + more)
    assert len(Decoder().decode(_block(parts, linktype)).rows) == len(parts)


def alone(data: bytes) -> None:
    """A dissector, ports, then what it is given: datagrams, or pieces of a stream, of one conversation."""
    if len(data) < 6:
        return
    which, flags, source, destination = struct.unpack_from("!HBBH", data)
    dissector = dissectors()[which % len(dissectors())]
    said: list[list[tuple[str, str, str]]] = []
    for build in (True, False):
        context, columns = Context(), []
        for number, part in enumerate(data[6:].split(MARK)[:MOST_PACKETS], 1):
            packet = Packet(part, len(part) + (flags >> 1 & 7), build, context, number, 10**18)
            ports = (40000 + source, destination) if number & 1 or flags & 16 else (destination, 40000 + source)
            ends = (b"\1\2\3\4", b"\5\6\7\x08") if ports[0] != destination else (b"\5\6\7\x08", b"\1\2\3\4")
            packet.values.update({"ports": ports, "ip.pseudo": b"".join(ends)})
            packet.values["transport"] = ("tcp" if flags & 1 else "udp", ends[0], ports[0], ends[1], ports[1])
            following = Step((dissector,), 0, packet.wirelen)
            if flags & 1:
                packet.attempt(following)
            else:
                packet.run(following)
            packet.finish()
            verdict = packet.verdict
            assert verdict.kind != "failed", f"{dissector.__module__}: {verdict.text}"
            assert packet.items <= 2 * MAX_ITEMS
            assert all(0 <= each.start <= each.end <= len(packet.buffers[each.buffer].data) for each in packet.layers)
            columns.append((packet.name, packet.protocol, packet.info))
        said.append(columns)
    assert said[0] == said[1], f"{dissector.__module__}: {said}"


def stream(data: bytes) -> None:
    """A port, where to cut, bytes: what is shown of them must not depend on where they are cut."""
    if len(data) < 4:
        return
    port, seed = struct.unpack_from("!HH", data)
    payload = data[4 : 4 + MOST_STREAM]
    back = bool(seed & 1)
    at_once = _shown(payload, port, [(0, len(payload))], back)
    in_pieces = _shown(payload, port, cuts(len(payload), random.Random(seed)), back)
    if port in GUESSING_PORTS or (port in TEXT_PORTS and payload.translate(None, CHARACTERS)):
        return
    if any(tree.verdict.kind != "ok" for tree in (*at_once, *in_pieces)):
        return  # what follows on broken bytes is read, or not, as the segments have it
    whole, complete = content(at_once)
    pieces, _ = content(in_pieces)
    assert whole == pieces[: len(whole)], _difference(whole, pieces)
    assert not complete or whole == pieces, _difference(whole, pieces)


def _shown(payload: bytes, port: int, pieces: list[tuple[int, int]], back: bool) -> list[Tree]:
    both = Both(SECONDS)
    both.add(segment(b"", port, 999, SYN), RAW)
    both.add(segment(b"", port, 999, SYN | ACK, back=True), RAW)
    return [
        both.add(segment(payload[first:last], port, 1000 + first, ACK | FIN * (last == len(payload)), back=back), RAW)
        for first, last in pieces
    ]


def _difference(whole: list[tuple[str, str]], pieces: list[tuple[str, str]]) -> str:
    at = next(
        (at for at, (a, b) in enumerate(zip(whole, pieces, strict=False)) if a != b), min(len(whole), len(pieces))
    )
    return f"item {at}: {whole[at : at + 3]} at once, {pieces[at : at + 3]} in pieces"


def files(data: bytes) -> None:
    """A capture file, damaged: the same packets come out however it is read."""
    if not data:
        return
    how, body = data[0], data[1:]
    match how & 7:
        case 1:
            body = gzip.compress(body, 1)
        case 2:
            body = bz2.compress(body, 1)
        case 3:
            body = lzma.compress(body, preset=0)
    found = _read(body)
    if how & 8:
        assert _read(body, 3000) == found
    for record in found[:MOST_PACKETS]:
        Both(SECONDS).add(record.data[:4000], record.linktype, record.wirelen)


def _read(body: bytes, ahead: int = READ_AHEAD) -> list[Record]:
    fd, path = memory_file(body)
    try:
        return list(read(path, MOST_RECORDS, ahead))
    finally:
        os.close(fd)


def filters(data: bytes) -> None:
    """A display filter: it is refused in one line, or answers for every row, and `!` of it for all others."""
    text = data.decode("utf-8", "replace")[:400]
    try:
        made = compile_filter(text)
    except FilterError as error:
        check_columns((error.message,))
        return
    rows = sample_rows()
    certain, possible = made.certain(rows), made.possible(rows)
    assert certain.dtype == possible.dtype == np.bool_
    assert certain.shape == possible.shape == (len(rows),)
    assert not (certain & ~possible).any()
    assert made.slow or (made.mask(rows) == possible).all()
    if not made.everything:
        with contextlib.suppress(FilterError):  # one level of nesting more may be too many
            others = compile_filter(f"!({text})")
            assert (others.possible(rows) == ~certain).all()
            assert (others.certain(rows) == ~possible).all()


@cache
def sample_rows() -> Columns:
    """Rows of several protocols."""
    return (
        Decoder()
        .decode(_block([segment(b"GET / HTTP/1.1\r\n\r\n", port, 1) for port in (80, 443, 53, 22)], RAW))
        .rows
    )


def follow(data: bytes) -> None:
    """Both sides of a connection, cut, out of order and again: the bytes come out as they were sent."""
    if len(data) < 4:
        return
    (seed,) = struct.unpack_from("!H", data)
    dice = random.Random(seed)
    if seed & 1:
        with _session(data[2:].split(MARK)[:MOST_PACKETS], LINKTYPES[seed // 2 % len(LINKTYPES)]) as session:
            for index in range(session.store.end):
                _followed(session, index)
        return
    sent = (data[2 : 2 + MOST_STREAM] + MARK).split(MARK)[:2]
    first = dice.choice((0, 1000, 2**32 - 50))
    made = [segment(b"", 80, first - 1, SYN), segment(b"", 80, first - 1, SYN | ACK, back=True)]
    for back, payload in enumerate(sent):
        pieces = cuts(len(payload), dice)
        pieces += dice.choices(pieces, k=min(len(pieces), 5)) if pieces else []
        if dice.random() < 0.5:
            dice.shuffle(pieces)
        made += [segment(payload[a:b], 80, first + a, back=bool(back)) for a, b in pieces]
    with _session(made, RAW) as session:
        both = _followed(session, dice.randrange(len(made)))
    assert both == tuple(sent), (both, sent)


def _followed(session: Session, index: int) -> tuple[bytes, bytes] | None:
    """What client and server sent in the conversation of a row."""
    pair = pair_of(session, index)
    if pair is None:
        return None
    following = Follow(session, pair, index)
    while following.work(0.1):
        following.update()
    following.update()
    client = following.connection.client
    sides = [
        b"".join(part or b"" for _, part in following.bytes_of(side, -(1 << 62), 1 << 62))
        for side in (client, 1 - client)
    ]
    return sides[0], sides[1]


@contextlib.contextmanager
def _session(made: list[bytes], linktype: int) -> Iterator[Session]:
    """All of it ingested, and readable again until the end."""
    fd, path = memory_file(pcap(made, linktype))
    try:
        source = open_file(path)
    finally:
        os.close(fd)
    with contextlib.closing(source):
        yield ingested(source)


def _block(made: list[bytes], linktype: int) -> Block:
    sizes = np.array([len(packet) for packet in made], np.uint32)
    offsets = (np.cumsum(sizes, dtype=np.int64) - sizes).astype(np.int64)
    n = len(made)
    raw = np.frombuffer(b"".join(made) + bytes(64), np.uint8)
    zeros = np.zeros(n, np.uint16)
    links = np.full(n, linktype, np.uint16)
    return Block(raw, offsets, sizes, sizes, np.arange(n, dtype=np.int64), links, zeros, zeros, offsets, True)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (packets, alone, stream, files, filters, follow)
}
_CHOICE: Final = tuple(TARGETS.values())


def run(data: bytes) -> None:
    """The first byte says which target the others are for."""
    if data:
        _CHOICE[data[0] % len(_CHOICE)](data[1:])
