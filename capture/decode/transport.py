"""Transport layers: TCP, UDP and their kin; ICMP with the packet that an error quotes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED, PORTS
from netwatch.capture.decode.tables import IP_PROTOCOL, RANK_TRANSPORT, TCP_PORT, UDP_PORT
from netwatch.capture.decode.walk import DATA, PARTIAL, Front, Table, Walk, layer, number_of
from netwatch.capture.layouts import ICMP, IPV4, PORT_PAIR, TCP, TCP_AND_OPTION, TCP_FIRST, UDP, wide
from netwatch.capture.protocols import ID

ICMP_ERRORS: Final = np.zeros(256, np.bool_)
ICMP_ERRORS[[3, 4, 5, 11, 12]] = True
ICMP_REDIRECT: Final = 5
QUOTED_WORDS: Final = 5
"""Where the length of the quotation stands, in 4-byte words."""
ICMPV6_REDIRECT: Final = 137
REDIRECTED_HEADER: Final = 4
"""Option of neighbour discovery."""
ICMPV6_ERRORS: Final = np.zeros(256, np.bool_)
ICMPV6_ERRORS[[1, 2, 3, 4]] = True


def _ports(walk: Walk, front: Front, header: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The pair of ports, shown where it is the first of the packet."""
    sport, dport = wide(header["sport"]), wide(header["dport"])
    rows, row = walk.rows, front.row
    marks = rows.marks[row]
    later = marks & PORTS != 0
    if later.any():
        index = (~later).nonzero()[0]
        row, marks = row[index], marks[index]
        rows.sport[row], rows.dport[row] = sport[index], dport[index]
    else:
        rows.sport[row], rows.dport[row] = sport, dport
    rows.marks[row] = marks | np.uint16(PORTS)
    return sport, dport


def _whole(walk: Walk, front: Front, size: int) -> Front:
    """The packets with `size` captured bytes; the others end here with their ports."""
    short = front.end - front.at < size
    if not short.any():
        return front
    rest = front.take(short)
    _ports(walk, rest, walk.read(rest.at, PORT_PAIR))
    walk.having(rest, size)
    return front.take(~short)


@layer("tcp", RANK_TRANSPORT, (IP_PROTOCOL, [6]))
def _tcp(walk: Walk, front: Front) -> None:
    front = _whole(walk, walk.enter(front, ID["tcp"], PORT_PAIR.itemsize), TCP_FIRST.itemsize)
    # One read for all that is looked at; only at the very end of the memory there may be too little of it.
    roomy = int(front.at.max(initial=0)) + TCP_AND_OPTION.itemsize <= len(walk.raw)
    header = walk.read(front.at, TCP_AND_OPTION if roomy else TCP_FIRST)
    option = header["option"] if roomy else np.zeros(len(front), np.uint32)
    sport, dport = _ports(walk, front, header)
    word = wide(header["offset_flags"])
    size = (word >> 12) * 4
    small = size < TCP.itemsize
    if small.any():
        walk.mark(front.row[small], MALFORMED)
        walk.stop(front.take(small))
        good = (~small).nonzero()[0]
        front, word, size, option = front.take(good), word[good], size[good], option[good]
        sport, dport = sport[good], dport[good]
    walk.note("tcp flags", front)
    first = (walk.rows.tcp_flags[front.row] == 0).nonzero()[0]
    walk.rows.tcp_flags[front.row[first]] = word[first] & 0x0FFF
    front, keep = walk.having(front, size)
    if keep is not None:
        size, option, sport, dport = size[keep], option[keep], sport[keep], dport[keep]
    some = (~sound_options(size, option)).nonzero()[0]
    check_options(walk, front.row[some], front.at[some], size[some])
    front = front.moved(size)
    layers = by_port(TCP_PORT, sport, dport, number_of("tcp payload"))
    layers[front.end <= front.at] = DATA
    walk.hand(front, layers)


END_OF_OPTIONS: Final = 0
NO_OPERATION: Final = 1
TIMESTAMPS_ALONE: Final = int.from_bytes(b"\1\1\x08\x0a", "little")
"""NOP, NOP, timestamps of 10 bytes (RFC 7323, appendix A): with 32 bytes of header there is nothing else."""


def sound_options(size: NDArray[np.integer], option: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """shape (m,): headers that need no closer look, which are nearly all; by their sizes and the four bytes behind
    the fixed part."""
    sound: NDArray[np.bool_] = (size == TCP.itemsize) | ((size == 32) & (option == TIMESTAMPS_ALONE))
    return sound


def check_options(walk: Walk, row: NDArray[np.intp], start: NDArray[np.intp], size: NDArray[np.integer]) -> None:
    """Mark headers with an option whose length is below its own two bytes or beyond the header (RFC 9293, 3.1).

    shape (m,): rows, where their headers start, and the sizes of these.
    """
    raw = walk.raw
    at, end = start + TCP.itemsize, start + size
    # Every turn takes a byte at least, of 40 at most.
    while len(row):
        kind = raw[at]
        after = at + np.where(kind == NO_OPERATION, 1, raw[np.minimum(at + 1, end - 1)])
        # A length has its place behind the kind: without that place it is beyond the header.
        lying = (kind > NO_OPERATION) & ((after < at + 2) | (after > end) | (at + 1 == end))
        if lying.any():
            walk.mark(row[lying], MALFORMED)
        on = ((kind != END_OF_OPTIONS) & ~lying & (after < end)).nonzero()[0]
        row, at, end = row[on], after[on], end[on]


@layer("udp", RANK_TRANSPORT, (IP_PROTOCOL, [17]))
def _udp(walk: Walk, front: Front) -> None:
    front = _whole(walk, walk.enter(front, ID["udp"], PORT_PAIR.itemsize), UDP.itemsize)
    header = walk.read(front.at, UDP)
    sport, dport = _ports(walk, front, header)
    size = wide(header["length"])
    room = front.limit - front.at
    # RFC 2675: zero in a jumbogram. Anything else below the header's own size is a lie, as is more than there is.
    size = np.where((size == 0) & (room > 0xFFFF), room, size)
    lying = (size < UDP.itemsize) | (size > room)
    if lying.any():
        walk.mark(front.row[lying & (front.mode & PARTIAL == 0)], MALFORMED)
    front = front.within(front.at + np.maximum(size, UDP.itemsize)).moved(UDP.itemsize)
    layers = by_port(UDP_PORT, sport, dport, number_of("udp payload"))
    layers[front.end <= front.at] = DATA
    walk.hand(front, layers)


def by_port(
    table: Table, sport: NDArray[np.integer], dport: NDArray[np.integer], otherwise: int
) -> NDArray[np.uint8]:
    """What the lower of the two ports stands for, else the higher: servers have the low ones."""
    layers: NDArray[np.uint8] = table.layers.take(np.minimum(sport, dport))
    unknown = (layers == DATA).nonzero()[0]
    layers[unknown] = table.layers[np.maximum(sport[unknown], dport[unknown])]
    layers[layers == DATA] = otherwise
    return layers


@layer("udplite", RANK_TRANSPORT, (IP_PROTOCOL, [136]))
def _udplite(walk: Walk, front: Front) -> None:
    # Its fields are those of UDP, checksum coverage in place of the length (RFC 3828, 3.1).
    walk.note("udp", front)
    walk.note("udplite", front)
    _only_ports(walk, front, "udplite")


@layer("sctp", RANK_TRANSPORT, (IP_PROTOCOL, [132]))
def _sctp(walk: Walk, front: Front) -> None:
    _only_ports(walk, front, "sctp")


@layer("dccp", RANK_TRANSPORT, (IP_PROTOCOL, [33]))
def _dccp(walk: Walk, front: Front) -> None:
    _only_ports(walk, front, "dccp")


def _only_ports(walk: Walk, front: Front, name: str) -> None:
    front = walk.enter(front, ID[name], PORT_PAIR.itemsize)
    _ports(walk, front, walk.read(front.at, PORT_PAIR))
    walk.stop(front)


@layer("icmp", RANK_TRANSPORT, (IP_PROTOCOL, [1]))
def _icmp(walk: Walk, front: Front) -> None:
    front, kind = _any_icmp(walk, front, "icmp")
    error = ICMP_ERRORS[kind]
    front, kind = front.take(error), kind[error]
    # RFC 792 quotes the header and 64 bits; more may follow in other errors, in a redirect no more is read. A length
    # of the quotation (RFC 4884, section 4) without room for an IP header is taken for that of what follows it.
    words = wide(walk.raw[front.at - ICMP.itemsize + QUOTED_WORDS])
    words[kind == ICMP_REDIRECT] = 2
    short = (words > 0) & (words < IPV4.itemsize // 4)
    rest, keep = walk.having(front.take(short), 1)
    words = words[short] if keep is None else words[short][keep]
    header = (wide(walk.raw[rest.at]) & 0x0F) * 4
    walk.hand(rest.within(rest.at + header + words * 4), number_of("ip"))
    walk.hand(front.take(~short), number_of("ip"))


@layer("icmpv6", RANK_TRANSPORT, (IP_PROTOCOL, [58]))
def _icmpv6(walk: Walk, front: Front) -> None:
    front, kind = _any_icmp(walk, front, "icmpv6")
    walk.hand(front.take(ICMPV6_ERRORS[kind]), number_of("ipv6"))
    redirect = front.take(kind == ICMPV6_REDIRECT)
    # RFC 4861, 4.5: target and destination, then options.
    redirect, _ = walk.having(redirect, 32)
    walk.hand(redirect.moved(32), number_of("icmpv6 option"))


def _any_icmp(walk: Walk, front: Front, name: str) -> tuple[Front, NDArray[np.uint8]]:
    """The packets that have more than the header, behind it and as a quotation, and their types."""
    front = walk.enter(front, ID[name], 1)
    kind = walk.raw[front.at]
    first = (walk.rows.icmp_type[front.row] == 0).nonzero()[0]
    walk.rows.icmp_type[front.row[first]] = kind[first]
    walk.stop(front)
    front, keep = walk.having(front, ICMP.itemsize)
    if keep is not None:
        kind = kind[keep]
    front = front.moved(ICMP.itemsize)
    front.mode = front.mode | np.uint8(PARTIAL)
    return front, kind


@layer("icmpv6 option", RANK_TRANSPORT)
def _icmpv6_option(walk: Walk, front: Front) -> None:
    """RFC 4861, 4.6: options in units of 8 bytes; the redirected header holds the packet."""
    front = front.take(front.end - front.at >= 8)
    kind, size = walk.raw[front.at], wide(walk.raw[front.at + 1]) * 8
    redirected = kind == REDIRECTED_HEADER
    walk.hand(front.take(redirected).moved(8), number_of("ipv6"))
    others = ((~redirected) & (size > 0)).nonzero()[0]
    walk.hand(front.take(others).moved(size[others]), number_of("icmpv6 option"))
