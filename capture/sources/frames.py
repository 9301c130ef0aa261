"""What a TPACKET_V3 ring block holds (linux/if_packet.h, Documentation/networking/packet_mmap.rst) -> Block.

All of it works on a copy that is ours: once the fields of the 68 bytes in front of a packet (tpacket3_hdr and
sockaddr_ll) are read, they are free, and what the kernel took off or never gave (a VLAN tag, the cooked header) is
written there. So the ring needs no PACKET_RESERVE and packets are not moved.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from itertools import repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT, INCOMING, OUTGOING

__all__ = ["LINKTYPE_LINUX_SLL2", "SLL2_SIZE", "event_block", "headers_of", "to_block"]

LINKTYPE_LINUX_SLL2: Final = 276

HEADER: Final = np.dtype(
    [
        ("next_offset", "=u4"),
        ("sec", "=u4"),
        ("nsec", "=u4"),
        ("snaplen", "=u4"),
        ("len", "=u4"),
        ("status", "=u4"),
        ("mac", "=u2"),
        ("net", "=u2"),
        ("rxhash", "=u4"),
        ("vlan_tci", "=u4"),
        ("vlan_tpid", "=u2"),
        ("padding", "V10"),
        # struct sockaddr_ll, packet(7)
        ("family", "=u2"),
        ("protocol", ">u2"),
        ("ifindex", "=u4"),
        ("hatype", "=u2"),
        ("pkttype", "u1"),
        ("halen", "u1"),
        ("addr", "V8"),
    ]
)
"""struct tpacket3_hdr and the struct sockaddr_ll behind it."""
_PLACES: Final = 6
"""The word of a header with `mac` and `net`."""
_FAMILY: Final = 12
"""The word with `family`."""
_WORTH_GUESSING: Final = 64
"""Packets from which on a look at all of the memory costs less than one at each packet."""
_SPARSE: Final = 256
"""Words a packet beyond which it does not: joined segments."""
_VLAN_VALID: Final = 1 << 4
_VLAN_TPID_VALID: Final = 1 << 6

SLL2: Final = np.dtype(
    [
        ("protocol", ">u2"),
        ("reserved", ">u2"),
        ("ifindex", ">u4"),
        ("hatype", ">u2"),
        ("pkttype", "u1"),
        ("halen", "u1"),
        ("addr", "V8"),
    ]
)
"""https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html"""
SLL2_SIZE: Final = SLL2.itemsize

TAG: Final = np.dtype([("first", ">u2"), ("second", ">u2")])
"""Four bytes of a VLAN tag: type and control information, or control information and the type that follows."""
_ETHERTYPE_VLAN: Final = 0x8100
_ETHERTYPE_IPV4: Final = 0x0800
_ETHERTYPE_IPV6: Final = 0x86DD
_IPV4_SHORTEST: Final = 0x45
_IPV4_LONGEST: Final = 0x4F
"""First byte of an IPv4 header without options, and with the most of them."""
_MAC_ADDRESSES: Final = 12

_DIRECTION: Final = np.zeros(256, np.uint16)
"""Columns.marks by sll_pkttype: to us, to all, to many, and to others (promiscuous) came in, as `inbound` has it."""
_DIRECTION[[0, 1, 2, 3]] = INCOMING
_DIRECTION[4] = OUTGOING


def headers_of(words: NDArray[np.uint32], blocks: Sequence[tuple[int, int, int]]) -> NDArray[np.int64]:
    """Where the headers of all packets of some ring blocks start, following tp_next_offset, as indices of bytes.

    `words`: the memory as native words. `blocks`: for each its first header (in words), how many there are, and its
    end (in words), one behind the other in memory.
    """
    found = _guessed(words, blocks)
    if found is not None:
        return found
    offsets: list[int] = []
    memory = words.data
    for first, count, _ in blocks:
        chain(memory, first, count, offsets)
    return np.array(offsets, np.int64) << 2


def chain(words: memoryview, first: int, count: int, offsets: list[int]) -> None:
    """Append where the `count` packets of one ring block start, in words. Headers are 8-byte aligned."""
    at = first
    append = offsets.append
    for _ in repeat(None, count):
        append(at)
        at += words[at] >> 2


def _guessed(words: NDArray[np.uint32], blocks: Sequence[tuple[int, int, int]]) -> NDArray[np.int64] | None:
    """As `headers_of`, many times faster, or None if the memory does not prove to be what was guessed.

    All headers of a ring say alike where link and network header are, so everything that says the same is taken for
    one; only when each of these leads to the next one, and a block has as many as the kernel says, is that the chain.
    """
    total = sum(count for _, count, _ in blocks)
    begin, end = blocks[0][0], blocks[-1][2]
    if total < _WORTH_GUESSING or (end - begin) > total * _SPARSE:
        return None
    # Headers are aligned to eight bytes, and the word behind `mac` and `net`, a hash that nobody asked for, is 0. Of
    # what a packet happens to hold, next to nothing has the address family in its place, too.
    first = begin + _PLACES
    pairs = words[first : end - (end - first) % 2].view(np.uint64)
    alike: NDArray[np.int64] = (pairs[: -_FAMILY // 2] == pairs[0]).nonzero()[0] * 2 + begin
    alike = alike[words[alike + _FAMILY] & 0xFFFF == socket.AF_PACKET]
    if len(alike) != total:
        return None
    # tp_next_offset of a block's last packet is 0; the next block's first one stands where its descriptor said.
    counts = np.array([count for _, count, _ in blocks], np.int64)
    firsts = np.cumsum(counts) - counts
    leads_to = alike + (words[alike] >> 2)
    leads_to[firsts[1:] - 1] = [first for first, _, _ in blocks[1:]]
    if alike[0] != begin or not np.array_equal(leads_to[:-1], alike[1:]):
        return None
    return alike << 2


def to_block(
    raw: NDArray[np.uint8], headers: NDArray[np.int64], iface: int, linktype: int, snaplen: int, cooked: bool
) -> Block:
    """The packets whose tpacket3_hdr start at `headers` (shape (n,), index in `raw`), as a Block that owns `raw`.

    Cooked packets get a LINUX_SLL2 header. VLAN tags that the kernel took off stand in front of the payload again and
    count in both lengths; nothing is longer than `snaplen`.
    """
    head = _gather(raw, headers, HEADER)
    offsets = headers + head["mac"]
    caplen = head["snaplen"].astype(np.int64)
    wirelen = head["len"].astype(np.int64)
    tagged = np.flatnonzero(head["status"] & _VLAN_VALID)
    if cooked:
        offsets, added = _add_cooked(raw, offsets, head, tagged)
        caplen += added
        wirelen += added
    elif tagged.size:
        wirelen[tagged] += TAG.itemsize
        # With less captured than the addresses, the tag lies beyond what was captured.
        tagged = tagged[caplen[tagged] >= _MAC_ADDRESSES]
        _add_tags(raw, offsets, head, tagged)
        offsets[tagged] -= TAG.itemsize
        caplen[tagged] += TAG.itemsize
    n = len(headers)
    return Block(
        raw=raw,
        offsets=offsets,
        caplen=np.minimum(caplen, snaplen).astype(np.uint32),
        wirelen=wirelen.astype(np.uint32),
        ts=head["sec"].astype(np.int64) * 1_000_000_000 + head["nsec"],
        linktype=np.full(n, linktype, np.uint16),
        iface=np.full(n, iface, np.uint16),
        marks=_DIRECTION[head["pkttype"]],
        pos=offsets,
        owned=True,
    )


def event_block(text: str, ts: int, iface: int, linktype: int) -> Block:
    """One visible row that is no packet: `text` in place of bytes, marked EVENT."""
    raw = np.frombuffer(text.encode(), np.uint8)
    return Block(
        raw=raw,
        offsets=np.zeros(1, np.int64),
        caplen=np.array([len(raw)], np.uint32),
        wirelen=np.zeros(1, np.uint32),
        ts=np.array([ts], np.int64),
        linktype=np.array([linktype], np.uint16),
        iface=np.array([iface], np.uint16),
        marks=np.array([EVENT], np.uint16),
        pos=np.zeros(1, np.int64),
        owned=True,
    )


def _window(raw: NDArray[np.uint8], size: int) -> NDArray[np.void]:
    """Every run of `size` bytes of `raw`, by the index at which it starts."""
    return np.ndarray((len(raw) - size + 1,), f"V{size}", raw, strides=(1,))


def _gather(raw: NDArray[np.uint8], at: NDArray[np.int64], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    return _window(raw, dtype.itemsize)[at].view(dtype)


def _scatter(raw: NDArray[np.uint8], at: NDArray[np.int64], values: NDArray[np.void]) -> None:
    _window(raw, values.dtype.itemsize)[at] = values.view(f"V{values.dtype.itemsize}")


def _tag_type(head: NDArray[np.void]) -> NDArray[np.uint16]:
    """802.1Q or 802.1ad; kernels before 3.14 do not say."""
    said = head["status"] & _VLAN_TPID_VALID != 0
    return np.where(said, head["vlan_tpid"], np.uint16(_ETHERTYPE_VLAN)).astype(np.uint16)


def _add_tags(
    raw: NDArray[np.uint8], offsets: NDArray[np.int64], head: NDArray[np.void], tagged: NDArray[np.intp]
) -> None:
    """Move both addresses four bytes to the front and write the tag between them and the type."""
    at = offsets[tagged]
    addresses = _window(raw, _MAC_ADDRESSES)
    addresses[at - TAG.itemsize] = addresses[at]
    tags = np.empty(len(tagged), TAG)
    tags["first"] = _tag_type(head[tagged])
    tags["second"] = head["vlan_tci"][tagged]
    _scatter(raw, at - TAG.itemsize + _MAC_ADDRESSES, tags)


def _add_cooked(
    raw: NDArray[np.uint8], offsets: NDArray[np.int64], head: NDArray[np.void], tagged: NDArray[np.intp]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write LINUX_SLL2 headers -> where the packets start now, and by how many bytes they grew."""
    added = np.full(len(head), SLL2_SIZE, np.int64)
    added[tagged] += TAG.itemsize
    cooked = np.zeros(len(head), SLL2)
    for name in ("protocol", "ifindex", "hatype", "pkttype", "halen", "addr"):
        cooked[name] = head[name]
    if tagged.size:
        tags = np.empty(len(tagged), TAG)
        tags["first"] = head["vlan_tci"][tagged]
        tags["second"] = np.where(
            _has_inner_tag(raw, offsets[tagged], head[tagged]), _ETHERTYPE_VLAN, head["protocol"][tagged]
        )
        _scatter(raw, offsets[tagged] - TAG.itemsize, tags)
        cooked["protocol"][tagged] = _tag_type(head[tagged])
    starts = offsets - added
    _scatter(raw, starts, cooked)
    return starts, added


def _has_inner_tag(raw: NDArray[np.uint8], at: NDArray[np.int64], head: NDArray[np.void]) -> NDArray[np.bool_]:
    """Whether a packet whose tag was taken off starts with the rest of a second one: control information, type.

    Kernels from 6.10 on say the innermost protocol of cooked packets, and nothing of the tag in between. What stands
    behind its type must then look like that protocol, and what stands in its place must not.
    """
    found: NDArray[np.bool_] = head["snaplen"] > TAG.itemsize
    at = np.where(found, at, 0)
    protocol = head["protocol"]
    version = np.select([protocol == _ETHERTYPE_IPV4, protocol == _ETHERTYPE_IPV6], [4, 6], 0)
    found &= _gather(raw, at, TAG)["second"] == protocol
    found &= (version == 0) | (raw[at + TAG.itemsize] >> 4 == version)
    found &= (version != 4) | (raw[at] < _IPV4_SHORTEST) | (raw[at] > _IPV4_LONGEST)
    return found
