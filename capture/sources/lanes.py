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

from netwatch.capture.sources.records import gather

__all__ = ["Layout", "walk_lanes"]

_STRIDE: Final = 16384
"""Bytes at least between the places where lanes are begun …"""
_LANES: Final = 170
"""… and how many there are at most: more take longer to begin than they save."""
_WINDOW: Final = 1536
"""Bytes looked through for a lane's beginning: the largest record of an Ethernet is 1,530, so there is one …"""
_NEAR: Final = 640
"""… and most often in these first ones."""
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
    # The captured length with its neighbour, of which it is the lower half: in one type, numpy adds twice as fast.
    pairs: NDArray[np.int64] = np.ndarray(
        (end + 1,), f"{layout.order}i8", buffer=raw.data, offset=8 if layout.order == "<" else 4, strides=(1,)
    )
    header, half, most = np.array(layout.header), np.array(0xFFFF_FFFF), np.array(end)
    visited = []
    lanes, here = np.arange(len(begins)), begins
    while len(lanes) >= _FEWEST:
        steps = np.empty((_STEPS + 1, len(lanes)), np.int64)
        steps[0] = here
        for after in steps[1:]:
            # Beyond its limit a lane goes on over records of others: cheaper than to stop it, and not counted.
            np.bitwise_and(pairs[here], half, out=after)
            np.add(after, here, out=after)
            np.add(after, header, out=after)
            here = np.minimum(after, most, out=after)
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
    windows = start + stride * np.arange(1, count + 1)
    words: NDArray[np.uint32] = np.ndarray((end + 12,), f"{layout.order}u4", buffer=raw.data, strides=(1,))
    number, near = _first(raw, words, start, windows, _NEAR, layout)
    # The others are looked through to their end.
    left = np.delete(windows, number)
    _, far = _first(raw, words, start, left + _NEAR, _WINDOW - _NEAR, layout)
    begins = np.concatenate([np.array([start], np.int64), near, far])
    begins.sort()
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


def _first(
    raw: NDArray[np.uint8],
    words: NDArray[np.uint32],
    start: int,
    windows: NDArray[np.int64],
    width: int,
    layout: Layout,
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Which windows of `width` bytes have a place that looks like a header of the time of that at `start`, and the
    first such place of each."""
    # The upper half of the seconds hardly ever changes within a buffer, and a length is below 16 MiB: bytes are
    # compared by far quicker than words that lie anywhere.
    high, low, top = (3, 2, 11) if layout.order == "<" else (0, 1, 8)
    seen = gather(raw, windows, width + top)
    looks = seen[:, top : top + width] == 0
    looks &= seen[:, high : high + width] == raw[start + high]
    looks &= seen[:, low : low + width] == raw[start + low]
    number, offset = np.divmod(np.flatnonzero(looks), width)
    at = windows[number] + offset
    caplen = words[at + 8]
    fits = (words[at + 4] < layout.fraction) & (caplen <= layout.largest) & (caplen <= words[at + 12])
    number, at = number[fits], at[fits]
    first = np.flatnonzero(np.diff(number, prepend=-1))
    return number[first], at[first]
