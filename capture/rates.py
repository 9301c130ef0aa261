"""Packets and bits a second, now, at most, and over time for a sparkline."""

from __future__ import annotations

import math
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT, INCOMING, OUTGOING, UNTIMED, Columns
from netwatch.capture.stats import Partial

__all__ = ["HISTORY", "SHORTEST", "FileRates", "LiveRates", "Rates"]

HISTORY: Final = 300
"""Samples of history."""
SHORTEST: Final = 0.1
"""Seconds of a live sample; a tick that comes sooner waits for the next."""
PACKETS, BITS, BITS_IN, BITS_OUT = range(4)
"""Rows of a history: all in units a second."""

_SECOND: Final = 1_000_000_000
_NARROWEST: Final = 1_000_000
"""Nanoseconds that a bin has at least; over less no mean is taken."""


class Rates(Protocol):
    """What the header asks. Nothing is ever negative or not a number."""

    @property
    def packets(self) -> float:
        """Packets a second."""

    @property
    def bits(self) -> float:
        """Bits a second on the wire, whatever their direction."""

    @property
    def bits_in(self) -> float:
        """Bits a second of packets marked as incoming."""

    @property
    def bits_out(self) -> float:
        """Bits a second of packets marked as outgoing."""

    @property
    def peak_packets(self) -> float:
        """Packets in the busiest second."""

    @property
    def peak_bits(self) -> float:
        """Bits in the busiest second."""

    def add(self, rows: Columns, part: Partial) -> None:
        """Count a batch and what `partial` says of it."""
        ...

    def tick(self, now: float) -> None:
        """About once a second, `now` as of time.monotonic()."""
        ...

    def history(self) -> NDArray[np.float64]:
        """shape (4, n), n <= HISTORY, oldest first: packets, bits, bits in, bits out, each a second."""
        ...


class LiveRates:
    """By the clock: what arrived since the last tick, over the time that passed.

    Time stamps play no part: the clock that makes them may be set, or be another machine's.
    """

    def __init__(self, shortest: float = SHORTEST) -> None:
        """`shortest`: seconds of a sample at least."""
        self._shortest = shortest
        self.packets = self.bits = self.bits_in = self.bits_out = 0.0
        self.peak_packets = self.peak_bits = 0.0
        self._since: float | None = None
        self._counts = np.zeros(4)
        self._samples = np.zeros((4, HISTORY))
        self._taken = 0

    def add(self, rows: Columns, part: Partial) -> None:  # noqa: ARG002 - the other kind bins the rows
        """Count a batch."""
        self._counts += (part.packets, 8 * part.bytes, 8 * part.bytes_in, 8 * part.bytes_out)

    def tick(self, now: float) -> None:
        """One more sample; after a standstill as many as seconds went by, so that the time axis holds."""
        if self._since is None:
            self._since = now
            return
        elapsed = now - self._since
        if elapsed < self._shortest:
            return
        sample = self._counts / elapsed
        repeats = min(max(round(elapsed), 1), HISTORY)
        self._samples = np.roll(self._samples, -repeats, axis=1)
        self._samples[:, HISTORY - repeats :] = sample[:, np.newaxis]
        self._taken = min(self._taken + repeats, HISTORY)
        self.packets, self.bits, self.bits_in, self.bits_out = sample.tolist()
        self.peak_packets = max(self.peak_packets, self.packets)
        self.peak_bits = max(self.peak_bits, self.bits)
        self._counts[:] = 0
        self._since = now

    def history(self) -> NDArray[np.float64]:
        """shape (4, n): a sample a second."""
        return self._samples[:, HISTORY - self._taken :]


class FileRates:
    """By packet time: means over the file, its history spread over the file's own duration.

    The bins start at a millisecond and double as the file turns out to be longer, so no packet is looked at
    twice.
    """

    def __init__(self) -> None:
        self._bins = np.zeros((4, HISTORY))
        self._width = _NARROWEST
        """Nanoseconds a bin."""
        self._start = 0
        """Time of the first bin, a multiple of the width."""
        self._first: int | None = None
        self._last = 0

    def add(self, rows: Columns, part: Partial) -> None:
        """Count each packet in the bin of its time stamp."""
        if part.first_ts is None or part.last_ts is None:
            return
        first = part.first_ts if self._first is None else min(self._first, part.first_ts)
        last = part.last_ts if self._first is None else max(self._last, part.last_ts)
        self._make_room(first, last)
        self._first, self._last = first, last
        # In units of four nanoseconds no difference of time stamps overflows; start and width are multiples.
        at = ((rows.ts >> 2) - (self._start >> 2)) // (self._width >> 2)
        packet = rows.marks & (EVENT | UNTIMED) == 0
        if not packet.all():
            rows, at = rows.take(packet), at[packet]
        bits = rows.wirelen * 8.0
        self._bins[PACKETS] += np.bincount(at, minlength=HISTORY)
        self._bins[BITS] += np.bincount(at, bits, HISTORY)
        if part.packets_in:
            self._bins[BITS_IN] += np.bincount(at, bits * (rows.marks & INCOMING != 0), HISTORY)
        if part.packets_out:
            self._bins[BITS_OUT] += np.bincount(at, bits * (rows.marks & OUTGOING != 0), HISTORY)

    def tick(self, now: float) -> None:
        """A file has no present: its rates change as it is read, not as time goes by."""

    @property
    def packets(self) -> float:
        """Mean over the file; 0 while it has no duration. So are the bits."""
        return self._mean(PACKETS)

    @property
    def bits(self) -> float:
        """Mean bits a second."""
        return self._mean(BITS)

    @property
    def bits_in(self) -> float:
        """Mean bits a second of packets marked as incoming."""
        return self._mean(BITS_IN)

    @property
    def bits_out(self) -> float:
        """Mean bits a second of packets marked as outgoing."""
        return self._mean(BITS_OUT)

    @property
    def peak_packets(self) -> float:
        """The busiest second, or bin where bins are longer."""
        return self._peak(PACKETS)

    @property
    def peak_bits(self) -> float:
        """The busiest second, or bin where bins are longer."""
        return self._peak(BITS)

    def history(self) -> NDArray[np.float64]:
        """shape (4, n): a sample a bin, from the first packet's to the last one's."""
        if self._first is None:
            return np.zeros((4, 0))
        begin = (self._first - self._start) // self._width
        end = (self._last - self._start) // self._width + 1
        return self._bins[:, begin:end] * (_SECOND / self._width)

    def _mean(self, row: int) -> float:
        duration = 0 if self._first is None else self._last - self._first
        return float(self._bins[row].sum()) * _SECOND / max(duration, _NARROWEST) if duration else 0.0

    def _peak(self, row: int) -> float:
        length = min(math.ceil(_SECOND / self._width), HISTORY)
        sums = np.convolve(self._bins[row], np.ones(length))
        busiest = float(sums.max()) * _SECOND / (length * self._width)
        return max(busiest, self._mean(row))

    def _make_room(self, first: int, last: int) -> None:
        """Widen and shift the bins until first and last both lie within."""
        if self._first is None:
            self._start = first // self._width * self._width
        start = min(self._start, first // self._width * self._width)
        width = self._width
        while last - start >= HISTORY * width:
            width *= 2
            start = start // width * width
        if width == self._width and start == self._start:
            return
        # Both are multiples of the width they belong to, so that each old bin lies in exactly one of the new ones.
        times = self._start + np.arange(HISTORY, dtype=object) * self._width
        at = np.array([(time - start) // width for time in times], np.int64)
        filled = at < HISTORY
        bins = np.zeros((4, HISTORY))
        for old, new in zip(self._bins, bins, strict=True):
            np.add.at(new, at[filled], old[filled])
        self._bins, self._start, self._width = bins, start, width
