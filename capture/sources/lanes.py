"""Record offsets of a pcap, many lanes at once.

Where a record begins is known only when the one before it was read, so the walk is a chain that no vector unit helps.
But headers can be guessed: in the middle of a buffer, a place that looks like a record header, from which a chain of
more such headers follows, nearly always is one. From each of these places a lane walks, all of them one step at a
time. A lane counts only if the lane before it, which counts, ended exactly where it begins; so by induction the
result is what a walk from the start gives, however good the guesses were.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Layout", "walk_lanes"]

_STRIDE: Final = 16384
"""Bytes at least between the places where lanes are begun …"""
_LANES: Final = 170
"""… and how many there are at most: more take longer to begin than they save."""
_WINDOW: Final = 1536
"""Bytes looked through for a lane's beginning: the largest record of an Ethernet is 1,530, so there is one."""
_CHAIN: Final = 3
"""Headers that must follow a guess."""
_FEWEST: Final = 16
"""Lanes below which one by one is quicker."""
_STEPS: Final = 32
"""Steps between looks at which lanes have arrived."""


class Layout(NamedTuple):
    """What record headers look like: two words of time, captured and wire length."""

    order: str
    """Byte order, as struct and numpy write it."""
    header: int
    """Bytes of a record header."""
    fraction: int
    """Units of the second time word in a second."""
    largest: int
    """Bytes that a packet has at most."""


def walk_lanes(raw: NDArray[np.uint8], start: int, end: int, layout: Layout) -> tuple[NDArray[np.int64], int]:
    """Positions of the headers of whole records in raw[start:end], from `start` on without a gap, and where the first
    that is not among them begins: near `end`, or earlier where guesses were wrong or too few to be worth while.

    `raw` is at least 16 bytes longer than `end`.
    """
    begins = _guess(raw, start, end, layout)
    if len(begins) < _FEWEST:
        return np.zeros(0, np.int64), start
    # Each lane ends where the next begins; the last goes on to the end.
    limits = np.append(begins[1:], end)
    arrived = np.zeros(len(begins), np.int64)
    lengths: NDArray[np.uint32] = np.ndarray((end + 4,), f"{layout.order}u4", buffer=raw.data, offset=8, strides=(1,))
    visited = []
    lanes, here = np.arange(len(begins)), begins
    while len(lanes) >= _FEWEST:
        steps = np.empty((_STEPS + 1, len(lanes)), np.int64)
        steps[0] = here
        for step in range(_STEPS):
            # Beyond its limit a lane goes on over records of others: cheaper than to stop it, and not counted.
            here = np.minimum(here + layout.header + lengths[here], end)
            steps[step + 1] = here
        limit = limits[lanes]
        inside = steps < limit
        visited.append((np.broadcast_to(lanes, inside[:-1].shape)[inside[:-1]], steps[:-1][inside[:-1]]))
        done = ~inside[-1]
        arrived[lanes[done]] = steps[np.argmin(inside[:, done], axis=0), np.flatnonzero(done)]
        lanes, here = lanes[~done], here[~done]
    visited += [_finish(raw, layout, end, arrived, *each) for each in zip(lanes, here, limits[lanes], strict=True)]
    # The lanes that count: up to the first that did not end where the next begins.
    joined = arrived[:-1] == begins[1:]
    last = len(joined) if joined.all() else int(np.argmin(joined))
    heads = np.concatenate([at if last == len(joined) else at[lane <= last] for lane, at in visited])
    heads.sort()
    # The last of them may be a record that is not whole.
    return heads[:-1], int(heads[-1])


def _finish(
    raw: NDArray[np.uint8],
    layout: Layout,
    end: int,
    arrived: NDArray[np.int64],
    lane: np.int64,
    here: np.int64,
    limit: np.int64,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk one lane that is longer than the others to its limit: its number and the places visited."""
    unpack, data = struct.Struct(f"{layout.order}I").unpack_from, raw.data
    at, stop, header = int(here), int(limit), layout.header
    visited = []
    while at < stop:
        visited.append(at)
        at = min(at + header + unpack(data, at + 8)[0], end)
    arrived[lane] = at
    return np.full(len(visited), lane), np.array(visited, np.int64)


def _guess(raw: NDArray[np.uint8], start: int, end: int, layout: Layout) -> NDArray[np.int64]:
    """`start`, and places that look like the first header in windows at regular distances; ascending."""
    stride = max(_STRIDE, (end - start) // _LANES)
    count = (end - start - _WINDOW - 1) // stride
    if count < _FEWEST:
        return np.array([start], np.int64)
    windows: NDArray[np.uint8] = np.ndarray(
        (count, _WINDOW), np.uint8, buffer=raw.data, offset=start + stride, strides=(stride, 1)
    )
    # The upper half of the seconds hardly ever changes within a buffer, and a length is below 16 MiB: bytes are
    # compared by far quicker than words that lie anywhere.
    high, low, top = (3, 2, 11) if layout.order == "<" else (0, 1, 8)
    width = _WINDOW - 16
    looks = windows[:, high : high + width] == raw[start + high]
    looks &= windows[:, low : low + width] == raw[start + low]
    looks &= windows[:, top : top + width] == 0
    lane, offset = np.divmod(np.flatnonzero(looks), width)
    at = start + (lane + 1) * stride + offset
    words: NDArray[np.uint32] = np.ndarray((end + 12,), f"{layout.order}u4", buffer=raw.data, strides=(1,))
    caplen = words[at + 8]
    fits = (words[at + 4] < layout.fraction) & (caplen <= layout.largest) & (caplen <= words[at + 12])
    lane, at = lane[fits], at[fits]
    first = np.flatnonzero(np.diff(lane, prepend=-1))
    begins = np.concatenate([np.array([start], np.int64), at[first]])
    seconds = words[start] >> 16
    good = np.ones(len(begins), np.bool_)
    link = begins
    for _ in range(_CHAIN):
        link = np.minimum(link + layout.header + words[link + 8], end)
        good &= (link == end) | (
            (words[link] >> 16 == seconds) & (words[link + 4] < layout.fraction) & (words[link + 8] <= layout.largest)
        )
    good[0] = True
    return begins[good]
