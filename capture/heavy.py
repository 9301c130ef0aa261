"""A table of bounded size for what senders choose: who has most bytes is told apart, the rest is added up.

Counting as by Misra and Gries ("Finding repeated elements", 1982), in batches and compacted by the median as by
Anderson et al. ("A High-Performance Algorithm for Identifying Frequent Items in Data Streams", 2017, IMC):
when the table is full and more keys come, the half with the fewer bytes is folded into `others`, and the largest of
what was folded is added to `error`. So

- sums over all keys and `others` are exact, always;
- no key, in the table or not, had more than `error` bytes above what the table says of it;
- a key that had more than `error` bytes in all is in the table.

Space-saving (Metwally et al., 2005) has the same bound, but it hands the counts of one key on to the next: its sums
would be of no capture that there ever was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.grouping import hash_words

__all__ = ["COUNTS", "HeavyHitters"]

COUNTS: Final = ("packets", "bytes", "packets_in", "bytes_in", "packets_out", "bytes_out")
"""What is counted of each key, in the order of all arrays of counts."""
RATE_SECONDS: Final = 2.0
"""Time constant of the rates' exponential average: steady enough to read, gone a few seconds after the traffic."""

_BYTES: Final = COUNTS.index("bytes")
_RATED: Final = 2
"""Packets and bytes have rates."""


class HeavyHitters:
    """Keys of some 64-bit words and their counts, found by an open-addressing hash table that whole batches probe."""

    def __init__(self, capacity: int, words: int) -> None:
        """At most `capacity` keys of `words` words, as many as grouping.hash_words takes."""
        self.capacity = capacity
        self.count = 0
        """Keys that are told apart."""
        self.others: NDArray[np.int64] = np.zeros(len(COUNTS), np.int64)
        """shape (6,): what keys had that are no longer told apart, in the order of COUNTS."""
        self.error = 0
        """Bytes by which what is told of a key may be too little."""
        self._words = np.zeros((words, capacity), np.uint64)
        self._counts = np.zeros((len(COUNTS), capacity), np.int64)
        self._seen = np.zeros((_RATED, capacity), np.int64)  # packets and bytes at the last tick
        self._rates = np.zeros((_RATED, capacity))
        # A quarter full at most: a probe seldom goes past the second slot. 0 is a free slot, else number of key + 1.
        self._slots = np.zeros(4 << (capacity - 1).bit_length(), np.int32)
        self._ticked: float | None = None

    @property
    def exact(self) -> bool:
        """Every key is told apart."""
        return not self.others.any()

    def add(self, words: Sequence[NDArray[np.uint64]], counts: NDArray[np.int64]) -> None:
        """Add the counts, shape (6, k), of keys, each of which occurs once; `words`: arrays of shape (k,)."""
        step = max(self.capacity // 2, 1)
        for start in range(0, counts.shape[1], step):
            part = slice(start, start + step)
            keys, more = [word[part] for word in words], counts[:, part]
            number = self._find(keys)
            known = number >= 0
            if known.all():
                self._counts[:, number] += more
                continue
            self._counts[:, number[known]] += more[:, known]
            fresh = np.flatnonzero(~known)
            if self.count + len(fresh) > self.capacity:
                self._fold()
            self._insert([word[fresh] for word in keys], more[:, fresh])

    def tick(self, now: float) -> None:
        """Rates from what came since the last tick; `now` in seconds of a clock that never goes back."""
        n, counts = self.count, self._counts
        elapsed = 0.0 if self._ticked is None else now - self._ticked
        if elapsed > 0:
            current = (counts[:_RATED, :n] - self._seen[:, :n]) / elapsed
            self._rates[:, :n] += (current - self._rates[:, :n]) * -math.expm1(-elapsed / RATE_SECONDS)
        if self._ticked is None or elapsed > 0:
            self._seen[:, :n] = counts[:_RATED, :n]
            self._ticked = now

    def largest(
        self, n: int, key: str, seconds: float | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.float64]]:
        """The n keys with the largest `key`, one of COUNTS or `byte_rate`, `packet_rate`; largest first.

        Returns their words, shape (words, n), counts, shape (6, n), and packets and bytes a second, shape (2, n):
        those of the last tick, or the mean over `seconds` where given (a file has no present).
        """
        if key in ("byte_rate", "packet_rate") and seconds is not None:
            key = "bytes" if key == "byte_rate" else "packets"
        if key in COUNTS:
            values: NDArray[np.float64] | NDArray[np.int64] = self._counts[COUNTS.index(key), : self.count]
        else:
            values = self._rates[("packet_rate", "byte_rate").index(key), : self.count]
        rest = max(self.count - n, 0)
        chosen = np.argpartition(values, rest)[rest:] if rest else np.arange(self.count)
        # Equals stand in the order of their words, not in that in which they came: blocks may be cut anywhere.
        chosen = chosen[np.lexsort((*self._words[::-1, chosen], -values[chosen]))]
        counts = self._counts[:, chosen]
        rates = self._rates[:, chosen] if seconds is None else counts[:_RATED] / (seconds or math.inf)
        return self._words[:, chosen], counts, rates

    def _home(self, words: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
        """shape (k,): the slot where the search for each key begins."""
        shift = np.uint64(65 - len(self._slots).bit_length())
        return (hash_words(words) >> shift).view(np.int64)

    def _find(self, words: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
        """shape (k,): number of each key, -1 where it is not known."""
        k = len(words[0])
        number = np.full(k, -1, np.int64)
        slots, last = self._home(words), len(self._slots) - 1
        looking = np.arange(k)
        while len(looking):
            entry = self._slots[slots[looking]].astype(np.int64) - 1
            hit = entry >= 0
            for mine, theirs in zip(self._words, words, strict=True):
                hit &= mine[entry] == theirs[looking]
            number[looking[hit]] = entry[hit]
            looking = looking[~hit & (entry >= 0)]
            slots[looking] = slots[looking] + 1 & last
        return number

    def _insert(self, words: Sequence[NDArray[np.uint64]], counts: NDArray[np.int64]) -> None:
        """Keys that are not known; there is room for them."""
        start, end = self.count, self.count + counts.shape[1]
        for mine, theirs in zip(self._words, words, strict=True):
            mine[start:end] = theirs
        self._counts[:, start:end] = counts
        self._seen[:, start:end] = 0
        self._rates[:, start:end] = 0
        self.count = end
        self._enter(start)

    def _enter(self, start: int) -> None:
        """Put the keys from number `start` on into slots; who finds its slot taken goes to the next one."""
        slots = self._home(list(self._words[:, start : self.count]))
        last = len(self._slots) - 1
        entering = np.arange(start, self.count, dtype=np.int32) + np.int32(1)
        while len(entering):
            free = self._slots[slots] == 0
            self._slots[slots[free]] = entering[free]
            lost = self._slots[slots] != entering
            entering, slots = entering[lost], slots[lost] + 1 & last

    def _fold(self) -> None:
        """Give up the half with the fewer bytes; what is left moves together in place, a row of a table at a time."""
        n, sizes = self.count, self._counts[_BYTES, : self.count]
        order = np.argpartition(sizes, n // 2)
        gone, keep = order[: n - n // 2], np.sort(order[n - n // 2 :])
        self.error += int(sizes[gone].max())
        self.others += self._counts[:, gone].sum(axis=1)
        m = self.count = len(keep)
        for table in (self._words, self._counts, self._seen, self._rates):
            for row in table:
                row[:m] = row[keep]
        self._slots.fill(0)
        self._enter(0)
