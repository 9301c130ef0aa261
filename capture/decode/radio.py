"""802.11 and what monitors put in front of it: data frames hold LLC, all others end here."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.decode.tables import LINKTYPE, RANK_FRAME, RANK_LINK
from netwatch.capture.decode.walk import DATA, Front, Walk, layer, number_of
from netwatch.capture.layouts import LITTLE16, LITTLE32, RADIOTAP, WORD32, wide
from netwatch.capture.protocols import ID

# IEEE 802.11, 9.2.4.1: the two bytes of frame control
VERSION: Final = 0x03
TYPE: Final = 0x0C
DATA_FRAME: Final = 0x08
NO_DATA: Final = 0x40
QUALITY: Final = 0x80
BOTH_WAYS: Final = 0x03
MORE_FRAGMENTS: Final = 0x04
PROTECTED: Final = 0x40
ORDER: Final = 0x80

# radiotap.org: fields of the first word of presence, flags
HAS_TSFT: Final = 1 << 0
HAS_FLAGS: Final = 1 << 1
HAS_MORE: Final = 1 << 31
FCS_AT_END: Final = 0x10
PADDED: Final = 0x20
MAX_WORDS: Final = 16


@layer("wlan", RANK_LINK, (LINKTYPE, [105]))
def _wlan(walk: Walk, front: Front) -> None:
    _frame(walk, front, np.zeros(len(front), np.bool_))


def _frame(walk: Walk, front: Front, padded: NDArray[np.bool_]) -> None:
    """`padded`: the header is filled up to a multiple of 4 bytes."""
    short = front.end - front.at < 24
    bare = walk.enter(front.take(short), ID["wlan"], 2)
    walk.short(bare, 10)
    walk.stop(bare)
    front, padded = walk.enter(front.take(~short), ID["wlan"], 24), padded[~short]
    control, flags = walk.raw[front.at], walk.raw[front.at + 1]
    quality = control & QUALITY != 0
    size = 24 + np.where(flags & BOTH_WAYS == BOTH_WAYS, 6, 0)
    at_quality = size.copy()
    size += np.where(quality, 2 + np.where(flags & ORDER, 4, 0), 0)
    size = np.where(padded, (size + 3) & ~3, size)
    readable = (control & (VERSION | TYPE | NO_DATA) == DATA_FRAME) & (flags & (PROTECTED | MORE_FRAGMENTS) == 0)
    walk.hand(front.take(~readable), DATA)
    front, size, quality, at_quality = front.take(readable), size[readable], quality[readable], at_quality[readable]
    front, keep = walk.having(front, size)
    if keep is not None:
        size, quality, at_quality = size[keep], quality[keep], at_quality[keep]
    aggregated = quality.copy()
    aggregated[quality] = walk.raw[front.at[quality] + at_quality[quality]] & 0x80 != 0
    # The first of several frames in one: two addresses and a length in front of it.
    walk.hand(front.moved(size + np.where(aggregated, 14, 0)), number_of("llc"))


@layer("radiotap", RANK_FRAME, (LINKTYPE, [127]))
def _radiotap(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["radiotap"], RADIOTAP.itemsize)
    header = walk.read(front.at, RADIOTAP)
    size, present = wide(header["length"]), header["present"].astype(np.uint32)
    flags = _radiotap_flags(walk, front, present)
    front, keep = walk.having(front, size)
    if keep is not None:
        size, flags = size[keep], flags[keep]
    front = walk.below(front.moved(size), ID["wlan_radio"])
    _frame(walk, front.within(front.limit - np.where(flags & FCS_AT_END, 4, 0)), flags & PADDED != 0)


def _radiotap_flags(walk: Walk, front: Front, present: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """The flags field, behind the words of presence and the time; zero where there is none."""
    place = np.full(len(front), 4)
    word = present
    for _ in range(MAX_WORDS):
        place += 4
        more = ((word & HAS_MORE != 0) & (front.end - front.at >= place + 4)).nonzero()[0]
        if not len(more):
            break
        following = np.zeros(len(front), np.uint32)
        following[more] = walk.read(front.at[more] + place[more], LITTLE32)["word"]
        ended = np.ones(len(front), np.bool_)
        ended[more] = False
        place[ended] -= 4
        word = following
    timed = present & HAS_TSFT != 0
    place = np.where(timed, ((place + 7) & ~7) + 8, place)
    flags = np.zeros(len(front), np.uint8)
    there = ((present & HAS_FLAGS != 0) & (front.end - front.at > place)).nonzero()[0]
    flags[there] = walk.raw[front.at[there] + place[there]]
    return flags


@layer("prism", RANK_FRAME, (LINKTYPE, [119]))
def _prism(walk: Walk, front: Front) -> None:
    """144 bytes; an AVS header, known by its magic number, may come under the same link type."""
    front = walk.enter(front, ID["prism"], 8)
    front, _ = walk.having(front, 144)
    walk.hand(walk.below(front.moved(144), ID["wlan_radio"]), number_of("wlan"))


@layer("wlancap", RANK_FRAME, (LINKTYPE, [163]))
def _avs(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["wlancap"], 8)
    size = walk.read(front.at + 4, WORD32)["word"].astype(np.intp)
    front, keep = walk.having(front, size)
    walk.hand(walk.below(front.moved(size if keep is None else size[keep]), ID["wlan_radio"]), number_of("wlan"))


@layer("ppi", RANK_FRAME, (LINKTYPE, [192]))
def _per_packet_information(walk: Walk, front: Front) -> None:
    """A header that names the link type behind it."""
    front = walk.enter(front, ID["ppi"], 8)
    size = wide(walk.read(front.at + 2, LITTLE16)["word"])
    linktype = walk.read(front.at + 4, LITTLE32)["word"]
    front, keep = walk.having(front, np.maximum(size, 8))
    if keep is not None:
        size, linktype = size[keep], linktype[keep]
    front = front.moved(np.maximum(size, 8))
    radio = linktype == 105
    walk.hand(walk.below(front.take(radio), ID["wlan_radio"]), number_of("wlan"))
    walk.hand(front.take(linktype == 1), number_of("eth"))
    walk.hand(front.take(~radio & (linktype != 1)), DATA)
