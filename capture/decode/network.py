"""Network layers: ARP, IPv4 with options and fragments, IPv6 with extension headers."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, MALFORMED, TUNNELLED
from netwatch.capture.decode.fragments import Pieces, collect
from netwatch.capture.decode.tables import (
    BSD_FAMILY,
    ETHERTYPE,
    IP_PROTOCOL,
    IP_VERSION,
    LINKTYPE,
    LLC_SAP,
    NLPID,
    PPP_PROTOCOL,
    RANK_EXTENSION,
    RANK_NETWORK,
)
from netwatch.capture.decode.walk import DATA, INNER, PARTIAL, Front, Walk, layer, leaf, number_of
from netwatch.capture.layouts import AH, ARP, EXTENSION, FRAGMENT_HEADER, IPV4, IPV6, WORD16, WORD32, pick, wide
from netwatch.capture.protocols import ID

OFFSET_MASK: Final = 0x1FFF
MORE_FRAGMENTS: Final = 0x2000
ATOMIC: Final = 0xFFF9
"""Offset and M of an IPv6 fragment header: all zero, it is the whole datagram (RFC 6946)."""


@layer("arp", RANK_NETWORK, (ETHERTYPE, [0x0806, 0x8035]))
def _arp(walk: Walk, front: Front) -> None:
    """RFC 826: two pairs of addresses, of the sizes that the header says; 28 bytes for Ethernet and IPv4."""
    front = walk.enter(front, ID["arp"], ARP.itemsize)
    size = ARP.itemsize + 2 * (wide(walk.raw[front.at + 4]) + walk.raw[front.at + 5])
    walk.short(front, size)
    walk.stop(front)


@layer(
    "ip",
    RANK_NETWORK,
    (ETHERTYPE, [0x0800]),
    (IP_PROTOCOL, [4]),
    (IP_VERSION, [4]),
    (LINKTYPE, [106, 228]),
    (PPP_PROTOCOL, [0x0021]),
    (LLC_SAP, [0x06]),
    (NLPID, [0xCC]),
    (BSD_FAMILY, [2]),
)
def _ipv4(walk: Walk, front: Front) -> None:
    short = front.end - front.at < IPV4.itemsize
    if short.any():
        _short_ipv4(walk, front.take(short))
        front = front.take(~short)
    header = walk.read(front.at, IPV4)
    first = header["version_ihl"]
    odd = (first < 0x45) | (first > 0x4F)
    if odd.any():
        _not_ipv4(walk, front.take(odd), first[odd])
        front, header = front.take(~odd), pick(header, ~odd)
    front = walk.below(front, ID["ip"])
    size = (wide(header["version_ihl"]) & 0x0F) * 4
    total = wide(header["length"])
    # RFC 791 allows no zero; segmentation offload leaves one: what is there counts.
    total = np.where(total == 0, front.limit - front.at, total)
    small = total < size
    if small.any():
        walk.mark(front.row[small], MALFORMED)
        walk.note("ip lie", front.take(small))
        walk.stop(front.take(small))
        good = (~small).nonzero()[0]
        front, header, size, total = front.take(good), pick(header, good), size[good], total[good]
    walk.note("ip", front)
    _mark_lies(walk, front, total)
    _show(walk, front, KIND_IPV4, header["src"], header["dst"])
    _show_protocol(walk, front, header["protocol"])
    start = front.at
    front, keep = walk.having(front.within(start + total), size)
    if keep is not None:
        header, size, start, total = pick(header, keep), size[keep], start[keep], total[keep]
    front = Front(front.row, start + size, front.end, front.limit, front.path, front.mode | np.uint8(INNER))
    layers = IP_PROTOCOL.layers[header["protocol"]]
    field = wide(header["fragment"])
    piece = field & (OFFSET_MASK | MORE_FRAGMENTS) != 0
    if piece.any():
        field = field[piece]
        pieces = Pieces(
            front.take(piece),
            (start + total)[piece],
            start[piece] + 12,
            8,
            (wide(header["protocol"][piece]) << 16) | header["id"][piece],
            (field & OFFSET_MASK) * 8,
            field & MORE_FRAGMENTS != 0,
            layers[piece],
            True,
        )
        collect(walk, pieces)
        front, layers = front.take(~piece), layers[~piece]
    _hand_rest(walk, front, layers)


def _show_protocol(walk: Walk, front: Front, protocols: NDArray[np.uint8]) -> None:
    """The protocol of the outermost IPv4 header, which may be inside IPv6."""
    row = front.row
    if (front.mode & INNER).any():
        first = (walk.rows.ip_proto[row] == 0).nonzero()[0]
        row, protocols = row[first], protocols[first]
    walk.rows.ip_proto[row] = protocols


def _started(walk: Walk, front: Front, protocol: int) -> Front:
    """The packets with at least a byte of the header, which decides the version; the others end as `protocol`."""
    bare = front.end <= front.at
    if not bare.any():
        return front
    walk.having(walk.below(front.take(bare), protocol), 1)
    return front.take(~bare)


def _not_ipv4(walk: Walk, front: Front, first: NDArray[np.uint8]) -> None:
    """IPv6 under IPv4's number, another version, or a header shorter than its fixed part."""
    six = first >> 4 == 6
    walk.hand(front.take(six), number_of("ipv6"))
    bad = walk.below(front.take(~six), ID["ip"])
    walk.mark(bad.row, MALFORMED)
    walk.stop(bad)


def _hand_rest(walk: Walk, front: Front, layers: NDArray[np.uint8]) -> None:
    """On to what IP carries; a packet of which nothing is left carries nothing."""
    empty = front.limit <= front.at
    if empty.any():
        layers = np.where(empty, np.uint8(DATA), layers)
    walk.hand(front, layers)


def _short_ipv4(walk: Walk, front: Front) -> None:
    """Headers of which not even the fixed part was captured: told only as far as that is still one."""
    front = _started(walk, front, ID["ip"])
    first = walk.raw[front.at]
    odd = (first < 0x45) | (first > 0x4F)
    _not_ipv4(walk, front.take(odd), first[odd])
    front, _ = walk.having(walk.below(front.take(~odd), ID["ip"]), 4)
    total = wide(walk.read(front.at + 2, WORD16)["word"])
    small = (total < (wide(walk.raw[front.at]) & 0x0F) * 4) & (total != 0)
    walk.mark(front.row[small], MALFORMED)
    walk.stop(front.take(small))
    front = front.take(~small)
    walk.note("ip", front)
    walk.having(front, IPV4.itemsize)


def _mark_lies(walk: Walk, front: Front, size: NDArray[np.intp]) -> None:
    """A length beyond what the layer around has; in a quotation it speaks of the packet that was sent."""
    lying = (front.at + size > front.limit) & (front.mode & PARTIAL == 0)
    if lying.any():
        walk.mark(front.row[lying], MALFORMED)


def _show(
    walk: Walk,
    front: Front,
    kind: int,
    src: NDArray[np.unsignedinteger],
    dst: NDArray[np.unsignedinteger],
) -> None:
    """The low words of the addresses, where this is the outermost network header; a mark, where it is not."""
    rows = walk.rows
    inner = front.mode & INNER != 0
    row = front.row
    if inner.any():
        walk.mark(row[inner & (front.mode & PARTIAL == 0)], TUNNELLED)
        outer = (~inner).nonzero()[0]
        row, src, dst = row[outer], src[outer], dst[outer]
    rows.kind[row] = kind
    rows.src_lo[row] = src.astype(np.uint64)
    rows.dst_lo[row] = dst.astype(np.uint64)


@layer(
    "ipv6",
    RANK_NETWORK,
    (ETHERTYPE, [0x86DD]),
    (IP_PROTOCOL, [41]),
    (IP_VERSION, [6]),
    (LINKTYPE, [229]),
    (PPP_PROTOCOL, [0x0057]),
    (NLPID, [0x8E]),
    (BSD_FAMILY, [24, 28, 30]),
)
def _ipv6(walk: Walk, front: Front) -> None:
    front = _started(walk, front, ID["ipv6"])
    wrong = walk.raw[front.at] >> 4 != 6
    if wrong.any():
        bad = front.take(wrong)
        walk.mark(bad.row, MALFORMED)
        walk.stop(bad)
        front = front.take(~wrong)
    front = walk.enter(front, ID["ipv6"], IPV6.itemsize)
    header = walk.read(front.at, IPV6)
    outer = (front.mode & INNER == 0).nonzero()[0]
    walk.rows.src_hi[front.row[outer]] = header["src_hi"][outer]
    walk.rows.dst_hi[front.row[outer]] = header["dst_hi"][outer]
    _show(walk, front, KIND_IPV6, header["src_lo"], header["dst_lo"])
    size = wide(header["length"])
    front = front.moved(IPV6.itemsize)
    jumbo = (size == 0) & (header["next"] == 0) & (front.end - front.at >= 8)
    if jumbo.any():
        size[jumbo] = _jumbo_size(walk, front.at[jumbo])
    _mark_lies(walk, front, size)
    walk.network[front.row] = front.at - IPV6.itemsize
    front = front.within(front.at + size)
    front.mode = front.mode | np.uint8(INNER)
    walk.hand(front, IP_PROTOCOL.layers[header["next"]])


def _jumbo_size(walk: Walk, at: NDArray[np.intp]) -> NDArray[np.intp]:
    """RFC 2675, section 2: the length in the first option of a hop-by-hop header; 0 where there is none."""
    option = walk.read(at + 2, WORD16)["word"] == 0xC204
    size = wide(walk.read(at + 4, WORD32)["word"])
    return np.where(option & (size > 0xFFFF), size, 0)


@layer("ipv6 routing", RANK_EXTENSION, (IP_PROTOCOL, [43, 140]))
def _extension(walk: Walk, front: Front) -> None:
    """Routing header, shim6: the shape of all extension headers (RFC 6564)."""
    front, _ = walk.having(front, EXTENSION.itemsize)
    header = walk.read(front.at, EXTENSION)
    size = wide(header["length"]) * 8 + 8
    front, keep = walk.having(front, size)
    if keep is not None:
        header, size = pick(header, keep), size[keep]
    walk.hand(front.moved(size), IP_PROTOCOL.layers[header["next"]])


@layer("ipv6 options", RANK_EXTENSION, (IP_PROTOCOL, [0, 60]))
def _options(walk: Walk, front: Front) -> None:
    """Hop-by-hop and destination options: one that does not fit ends the packet (RFC 8200, 4.2)."""
    front, _ = walk.having(front, EXTENSION.itemsize)
    size = wide(walk.raw[front.at + 1]) * 8 + 8
    place = np.full(len(front), EXTENSION.itemsize)
    # Every turn takes a byte at least, of 2,048 at most.
    open_ = (place < size).nonzero()[0]
    while len(open_):
        open_ = open_[front.at[open_] + place[open_] + 2 <= front.end[open_]]
        at = front.at[open_] + place[open_]
        place[open_] += np.where(walk.raw[at] == PAD1, 1, wide(walk.raw[at + 1]) + 2)
        open_ = open_[place[open_] < size[open_]]
    _extension(walk, walk.having(front, np.minimum(place, MAX_OPTIONS))[0])


PAD1: Final = 0
MAX_OPTIONS: Final = 2048


@layer("ipv6 fragment", RANK_EXTENSION, (IP_PROTOCOL, [44]))
def _ipv6_fragment(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, FRAGMENT_HEADER.itemsize)
    header = walk.read(front.at, FRAGMENT_HEADER)
    front = front.moved(FRAGMENT_HEADER.itemsize)
    layers = IP_PROTOCOL.layers[header["next"]]
    field = wide(header["fragment"])
    whole = field & ATOMIC == 0
    walk.hand(front.take(whole), layers[whole])
    piece = ~whole
    network = walk.network[front.row]
    # Without an IPv6 header around it (in IPv4, or in a datagram put together) there is nothing to know it by.
    alone = piece & (network < 0)
    walk.stop(front.take(alone))
    piece &= ~alone
    if piece.any():
        network = network[piece]
        pieces = Pieces(
            front.take(piece),
            network + IPV6.itemsize + wide(walk.read(network + 4, WORD16)["word"]),
            network + 8,
            32,
            wide(header["id"][piece]),
            field[piece] & ~7,
            field[piece] & 1 != 0,
            layers[piece],
            False,
        )
        collect(walk, pieces)


@layer("ah", RANK_EXTENSION, (IP_PROTOCOL, [51]))
def _authentication(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["ah"], AH.itemsize)
    header = walk.read(front.at, AH)
    size = (wide(header["length"]) + 2) * 4
    front, keep = walk.having(front, size)
    if keep is not None:
        header, size = pick(header, keep), size[keep]
    walk.hand(front.moved(size), IP_PROTOCOL.layers[header["next"]])


leaf("mipv6", (IP_PROTOCOL, [135]))
leaf("hip", (IP_PROTOCOL, [139]))
leaf("igmp", (IP_PROTOCOL, [2]))
leaf("esp", (IP_PROTOCOL, [50]))
leaf("ipcomp", (IP_PROTOCOL, [108]))
leaf("eigrp", (IP_PROTOCOL, [88]))
leaf("ospf", (IP_PROTOCOL, [89]))
leaf("pim", (IP_PROTOCOL, [103]))
leaf("vrrp", (IP_PROTOCOL, [112]))
leaf("l2tpv3", (IP_PROTOCOL, [115]), protocol="l2tp")
leaf("rsvp", (IP_PROTOCOL, [46]))
leaf("nhrp", (IP_PROTOCOL, [54]))
leaf("igrp", (IP_PROTOCOL, [9]))
leaf("pgm", (IP_PROTOCOL, [113]))
