"""Transport layers: TCP, UDP and their kin; ICMP with the packet that an error quotes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED, PORTS
from netwatch.capture.decode.tables import IP_PROTOCOL, RANK_TRANSPORT, TCP_PORT, UDP_PORT
from netwatch.capture.decode.walk import DATA, PARTIAL, Front, Table, Walk, layer, number_of
from netwatch.capture.layouts import ICMP, PORT_PAIR, TCP, UDP, WORD16, wide
from netwatch.capture.protocols import ID

ICMP_ERRORS: Final = np.zeros(256, np.bool_)
ICMP_ERRORS[[3, 4, 5, 11, 12]] = True
ICMP_REDIRECT: Final = 5
ICMPV6_REDIRECT: Final = 137
REDIRECTED_HEADER: Final = 4
"""Option of neighbour discovery."""
ICMPV6_ERRORS: Final = np.zeros(256, np.bool_)
ICMPV6_ERRORS[[1, 2, 3, 4]] = True


def _ports(walk: Walk, front: Front) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Read the pair; show it where it is the first of the packet."""
    header = walk.read(front.at, PORT_PAIR)
    rows = walk.rows
    marks = rows.marks[front.row]
    first = marks & PORTS == 0
    if first.all():
        row, pair = front.row, header
    else:
        index = first.nonzero()[0]
        row, pair, marks = front.row[index], header[index], marks[index]
    rows.sport[row] = pair["sport"].astype(np.uint16)
    rows.dport[row] = pair["dport"].astype(np.uint16)
    rows.marks[row] = marks | np.uint16(PORTS)
    return wide(header["sport"]), wide(header["dport"])


@layer("tcp", RANK_TRANSPORT, (IP_PROTOCOL, [6]))
def _tcp(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["tcp"], PORT_PAIR.itemsize)
    sport, dport = _ports(walk, front)
    front, keep = walk.having(front, 16)
    if keep is not None:
        sport, dport = sport[keep], dport[keep]
    word = wide(walk.read(front.at + 12, WORD16)["word"])
    size = (word >> 12) * 4
    small = size < TCP.itemsize
    if small.any():
        bad = front.take(small)
        walk.mark(bad.row, MALFORMED)
        walk.stop(bad, bad.path)
        good = (~small).nonzero()[0]
        front, word, size, sport, dport = front.take(good), word[good], size[good], sport[good], dport[good]
    walk.note("tcp flags", front)
    rows = walk.rows
    first = (rows.tcp_flags[front.row] == 0).nonzero()[0]
    rows.tcp_flags[front.row[first]] = word[first] & 0x0FFF
    front, keep = walk.having(front, size)
    if keep is not None:
        size, sport, dport = size[keep], sport[keep], dport[keep]
    front = front.moved(size)
    loaded = front.end > front.at
    empty = (~loaded).nonzero()[0]
    walk.stop(front.take(empty), front.path[empty])
    walk.hand(front.take(loaded), _by_port(TCP_PORT, sport[loaded], dport[loaded], number_of("tcp payload")))


@layer("udp", RANK_TRANSPORT, (IP_PROTOCOL, [17]))
def _udp(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["udp"], PORT_PAIR.itemsize)
    sport, dport = _ports(walk, front)
    front, keep = walk.having(front, UDP.itemsize)
    if keep is not None:
        sport, dport = sport[keep], dport[keep]
    size = wide(walk.read(front.at + 4, WORD16)["word"])
    room = front.limit - front.at
    # RFC 2675: zero in a jumbogram. Anything else below the header's own size is a lie, as is more than there is.
    size = np.where((size == 0) & (room > 0xFFFF), room, size)
    lying = (size < UDP.itemsize) | (size > room)
    if lying.any():
        walk.mark(front.row[lying & (front.mode & PARTIAL == 0)], MALFORMED)
    front = front.within(front.at + np.maximum(size, UDP.itemsize)).moved(UDP.itemsize)
    loaded = front.end > front.at
    empty = (~loaded).nonzero()[0]
    walk.stop(front.take(empty), front.path[empty])
    walk.hand(front.take(loaded), _by_port(UDP_PORT, sport[loaded], dport[loaded], number_of("udp payload")))


def _by_port(table: Table, sport: NDArray[np.intp], dport: NDArray[np.intp], otherwise: int) -> NDArray[np.uint8]:
    """What the lower of the two ports stands for, else the higher: servers have the low ones."""
    layers = table.layers[np.minimum(sport, dport)]
    unknown = (layers == DATA).nonzero()[0]
    layers[unknown] = table.layers[np.maximum(sport[unknown], dport[unknown])]
    layers[layers == DATA] = otherwise
    return layers


@layer("udplite", RANK_TRANSPORT, (IP_PROTOCOL, [136]))
def _udplite(walk: Walk, front: Front) -> None:
    # Its fields are those of UDP, checksum coverage in place of the length (RFC 3828, 3.1).
    walk.note("udp", front)
    _only_ports(walk, front, "udplite")


@layer("sctp", RANK_TRANSPORT, (IP_PROTOCOL, [132]))
def _sctp(walk: Walk, front: Front) -> None:
    _only_ports(walk, front, "sctp")


@layer("dccp", RANK_TRANSPORT, (IP_PROTOCOL, [33]))
def _dccp(walk: Walk, front: Front) -> None:
    _only_ports(walk, front, "dccp")


def _only_ports(walk: Walk, front: Front, name: str) -> None:
    front = walk.enter(front, ID[name], PORT_PAIR.itemsize)
    _ports(walk, front)
    walk.stop(front, front.path)


@layer("icmp", RANK_TRANSPORT, (IP_PROTOCOL, [1]))
def _icmp(walk: Walk, front: Front) -> None:
    front, kind = _any_icmp(walk, front, "icmp")
    error = ICMP_ERRORS[kind]
    front, kind = front.take(error), kind[error]
    redirect = kind == ICMP_REDIRECT
    # RFC 792 quotes the header and 64 bits; more may follow in other errors, in a redirect no more is read.
    rest, _ = walk.having(front.take(redirect), 1)
    header = (wide(walk.raw[rest.at]) & 0x0F) * 4
    walk.hand(rest.within(rest.at + header + 8), number_of("ip"))
    walk.hand(front.take(~redirect), number_of("ip"))


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
    walk.stop(front, front.path)
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
