"""What a DNS message in one datagram must hold: its header, and a first name that ends.

mDNS, LLMNR and NBNS have the same header and names (RFC 6762, RFC 4795, RFC 1002).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED
from netwatch.capture.decode.walk import PARTIAL, Front, Walk
from netwatch.capture.layouts import LITTLE32, wide

__all__ = ["check_message"]

HEADER: Final = 12
COUNTS: Final = 4
"""Where the numbers of questions and answers stand, 16 bits each."""
MAX_NAME: Final = 255
"""RFC 1035, 2.3.4: bytes of a name."""
POINTER: Final = 0xC0
GLANCE: Final = 80
"""Bytes of a name that are looked at in one go."""
_GLANCE: Final = np.dtype([("bytes", "u1", (GLANCE,))])


def check_message(walk: Walk, front: Front) -> None:
    """Mark messages in UDP that are shorter than their header, and those whose first name never ends.

    Nothing stands before the first name that a compression pointer in it could mean (RFC 1035, 4.1.4: a prior
    occurrence): such a pointer leads into the header, round in a circle, or to what is still to come.
    """
    walk.short(front, HEADER)
    there = (front.end - front.at > HEADER) & (front.mode & PARTIAL == 0)
    front = front.take(there).moved(HEADER)
    named = walk.read(front.at + (COUNTS - HEADER), LITTLE32)["word"] != 0
    _check_name(walk, front.take(named & ~_ends_soon(walk, front)))


def _ends_soon(walk: Walk, front: Front) -> NDArray[np.bool_]:
    """Names with a zero behind the first label and before anything that could be a pointer; shape (m,).

    They end there, or a later label holds a zero, which is let pass.
    """
    room = len(walk.raw) - GLANCE
    if room < 0:
        return np.zeros(len(front), np.bool_)
    name = walk.read(np.minimum(front.at, room), _GLANCE).view(np.uint8).reshape(-1, GLANCE)
    # Less one, a zero is above all that is no pointer.
    telling = name - np.uint8(1) >= POINTER - 1
    first = telling.argmax(axis=1)
    zero = name.take(np.arange(0, name.size, GLANCE) + first) == 0
    zero &= (name[:, 0] < first) | (first == 0)
    ends: NDArray[np.bool_] = zero & (front.at + first < front.limit) & (front.at <= room)
    return ends


def _check_name(walk: Walk, front: Front) -> None:
    """Mark those whose labels lead to a pointer, or out of the message."""
    row, at, end, limit = front.row, front.at, front.end, front.limit
    last = at + MAX_NAME
    # Every turn takes a byte at least: MAX_NAME of them at most, in ordinary names as many as there are labels.
    while len(row):
        size = wide(walk.raw[at])
        at = at + size + 1
        endless = (size >= POINTER) | ((at >= limit) & (size > 0))
        if endless.any():
            walk.mark(row[endless], MALFORMED)
        on = ((size > 0) & ~endless & (at < np.minimum(end, last))).nonzero()[0]
        row, at, end, limit, last = row[on], at[on], end[on], limit[on], last[on]
