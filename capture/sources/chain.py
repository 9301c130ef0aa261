"""Records that say how long they are, header included: snoop's and ERF's."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

__all__ = ["walk_chain"]


def walk_chain(
    raw: NDArray[np.uint8], start: int, end: int, *, size: struct.Struct, field: int, header: int
) -> tuple[NDArray[np.int64], int]:
    """Positions of the whole records in raw[start:end], and where the first that is not whole, or shorter than
    `header` bytes, begins.

    A record's length stands `field` bytes behind its start, as the single number of `size`.
    """
    data, unpack = raw.data, size.unpack_from
    heads: list[int] = []
    append = heads.append
    at, last = start, end - header
    while at <= last:
        after = at + unpack(data, at + field)[0]
        if after > end or after < at + header:
            break
        append(at)
        at = after
    return np.array(heads, np.int64), at
