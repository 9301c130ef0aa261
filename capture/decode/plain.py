"""Plain packets: TCP or UDP in IPv4 without options or in IPv6 without extensions, in Ethernet, all as it should be.

Nine in ten packets of a usual network are such. Their headers stand at fixed places, so two words tell them apart and
three reads take all that is looked at: 75 ns a packet where the walk, which can take any way, needs 200. The columns
become what the walk would have made of them, and whatever is not plain in any respect (a tag, a fragment, a header
cut or with a length that lies) is left to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT, KIND_IPV4, KIND_IPV6, PORTS, Columns
from netwatch.capture.decode.tables import TCP_PORT, UDP_PORT
from netwatch.capture.decode.transport import by_port, check_options, sound_options
from netwatch.capture.decode.walk import FIRST_BYTES, INNER, Front, Walk, number_of
from netwatch.capture.layouts import ETHERNET, IPV4, IPV6, TCP, UDP, gather
from netwatch.capture.paths import NO_PATH, PATHS

__all__ = ["walk_plain"]

LINKTYPE_ETHERNET: Final = 1

FIRST: Final = 10
"""Where in a packet NETWORK begins: numbers of both IP versions are then at multiples of their size."""
NETWORK: Final = np.dtype(
    {
        "names": ["kind", "next", "length4", "src4", "dst4", "length6", "src6_hi", "src6_lo", "dst6_hi", "dst6_lo"],
        "formats": ["<u8", "<u8", ">u2", ">u4", ">u4", ">u2", ">u8", ">u8", ">u8", ">u8"],
        "offsets": [0, 8, 6, 16, 20, 8, 12, 20, 28, 36],
        "itemsize": 48,
    }
)
"""Ethernet's type with what follows as IPv4 and as IPv6; `kind` and `next` are the words that tell them apart."""
TRANSPORT: Final = np.dtype(
    {
        "names": ["sport", "dport", "udp_length", "offset_flags", "option"],
        "formats": [">u2", ">u2", ">u2", ">u2", "<u4"],
        "offsets": [0, 2, 4, 12, 20],
        "itemsize": 24,
    }
)
START4: Final = ETHERNET.itemsize + IPV4.itemsize
START6: Final = ETHERNET.itemsize + IPV6.itemsize
READ: Final = 128
"""Bytes that are read of any packet at most, be they its own or not."""
FARTHEST: Final = READ - FIRST_BYTES.itemsize


def _word(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(bytes.fromhex(text), "little"))


# Bytes 10 to 17 and 18 to 25 of the packet: EtherType, version and header length; fragment and protocol.
KIND4, IS4 = _word("0000ffffff000000"), _word("0000080045000000")
KIND6, IS6 = _word("0000fffff0000000"), _word("000086dd60000000")
NEXT4, TCP4, UDP4 = _word("00003fff00ff0000"), _word("0000000000060000"), _word("0000000000110000")
NEXT6, TCP6, UDP6 = _word("0000ff0000000000"), _word("0000060000000000"), _word("0000110000000000")

PROTOCOL_TCP: Final = 6
PROTOCOL_UDP: Final = 17
_PATHS: Final = (
    PATHS.intern("eth:ip:tcp"),
    PATHS.intern("eth:ip:udp"),
    PATHS.intern("eth:ipv6:tcp"),
    PATHS.intern("eth:ipv6:udp"),
)
PATH_OF: Final = np.array([NO_PATH, *_PATHS], np.uint16)
"""Path ids by a number: 1 for TCP, 2 for UDP, 2 more over IPv6; 0: not plain."""
TCP_PAYLOAD: Final = number_of("tcp payload")
UDP_PAYLOAD: Final = number_of("udp payload")

Mask = NDArray[np.bool_]


def walk_plain(walk: Walk, block: Block) -> NDArray[np.intp]:
    """Fill in the columns of plain packets and hand over what they carry; the rows of the others."""
    plain = np.zeros(len(block), np.bool_)
    for first, memory, place in _stretches(block):
        plain[first : first + len(place)] = _walk_stretch(walk, block, first, memory, place)
    return (~plain).nonzero()[0]


def _stretches(block: Block) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.intp]]]:
    """Neighbouring packets: the first one's row, memory with their first bytes, where in it each begins."""
    first = 0
    for heads in block.heads:
        count = min(len(heads), len(block) - first)
        yield first, heads.reshape(-1), np.arange(count) * heads.shape[1]
        first += count
    # Records are in order: the last ones may have too little memory behind them.
    last = int(np.searchsorted(block.offsets, len(block.raw) - READ, side="right"))
    if first < last:
        yield first, block.raw, block.offsets[first:last].astype(np.intp, copy=False)


def _walk_stretch(
    walk: Walk, block: Block, first: int, memory: NDArray[np.uint8], place: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Which of neighbouring packets were plain.

    Distances are counted from a packet's start, in 32 bits. There are no branches by row and hardly an index: where
    kinds are mixed, processors guess wrong, and a product with a mask costs a tenth of a choice by it.
    """
    part = slice(first, first + len(place))
    rows = walk.rows.take(part)
    network = gather(memory, place + FIRST, NETWORK)
    kind, following = network["kind"], network["next"]
    ethernet = (block.linktype[part] == LINKTYPE_ETHERNET) & (block.marks[part] & EVENT == 0)
    four, six = (kind & KIND4 == IS4) & ethernet, (kind & KIND6 == IS6) & ethernet
    next4, next6 = following & NEXT4, following & NEXT6
    tcp = four & (next4 == TCP4) | six & (next6 == TCP6)
    udp = four & (next4 == UDP4) | six & (next6 == UDP6)

    captured = block.caplen[part].view(np.int32)
    limit = np.maximum(captured, block.wirelen[part].view(np.int32))
    start = START4 + six * np.uint8(START6 - START4)
    stop = network["length4"] * four + np.int32(ETHERNET.itemsize)
    stop += network["length6"].astype(np.int32) * six + six * np.uint8(IPV6.itemsize)
    transport = gather(memory, place + start, TRANSPORT)
    word = transport["offset_flags"].astype(np.uint16)
    header = (word >> 12) * 4
    length = transport["udp_length"].astype(np.int32)
    honest = stop <= limit
    tcp &= honest & (header >= TCP.itemsize)
    udp &= honest & (length >= UDP.itemsize) & (start + length <= stop)
    header = header * tcp + udp * np.uint16(UDP.itemsize)
    payload = start + header.astype(np.int32)
    stop += (start + length - stop) * udp
    end = np.minimum(captured, stop)
    whole = payload <= end
    tcp &= whole
    udp &= whole
    plain: NDArray[np.bool_] = tcp | udp

    four &= plain
    six &= plain
    _show_addresses(rows, network, four, six)
    rows.ip_proto[:] = (tcp * np.uint8(PROTOCOL_TCP) + udp * np.uint8(PROTOCOL_UDP)) * four
    rows.sport[:] = transport["sport"] * plain
    rows.dport[:] = transport["dport"] * plain
    rows.marks |= plain * np.uint16(PORTS)
    rows.tcp_flags[:] = (word & 0x0FFF) * tcp
    rows.path[:] = PATH_OF[tcp + udp * np.uint8(2) + six * np.uint8(2)]

    at = block.offsets[part]
    doubtful = (tcp & ~sound_options(header, transport["option"])).nonzero()[0]
    check_options(walk, doubtful + first, at[doubtful] + start[doubtful], header[doubtful])
    over6 = (six & udp).nonzero()[0]
    walk.network[over6 + first] = at[over6] + ETHERNET.itemsize
    more = payload < end
    for chosen, table, otherwise in ((tcp, TCP_PORT, TCP_PAYLOAD), (udp, UDP_PORT, UDP_PAYLOAD)):
        row = (chosen & more).nonzero()[0]
        base = at[row]
        near = row[payload[row] <= FARTHEST]
        walk.first[near + first] = gather(memory, place[near] + payload[near], FIRST_BYTES)
        walk.first_at[near + first] = at[near] + payload[near]
        mode = np.full(len(row), INNER, np.uint8)
        front = Front(row + first, base + payload[row], base + end[row], base + stop[row], rows.path[row], mode)
        walk.hand(front, by_port(table, rows.sport[row], rows.dport[row], otherwise))
    return plain


def _show_addresses(rows: Columns, network: NDArray[Any], four: Mask, six: Mask) -> None:
    rows.kind[:] = four * np.uint8(KIND_IPV4) + six * np.uint8(KIND_IPV6)
    rows.src_lo[:] = network["src4"] * four
    rows.dst_lo[:] = network["dst4"] * four
    if six.any():
        rows.src_hi[:] = network["src6_hi"] * six
        rows.dst_hi[:] = network["dst6_hi"] * six
        rows.src_lo |= network["src6_lo"] * six
        rows.dst_lo |= network["dst6_lo"] * six
