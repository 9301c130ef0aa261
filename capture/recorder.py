"""Writing that goes on: what the output does not take is counted, and tried again; statistics stand every second.

Nothing here raises: a capture does not end because of its file.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from netwatch.capture.block import Block
from netwatch.capture.columns import EVENT
from netwatch.capture.writer import Tally

__all__ = ["Output", "Recorder", "packets_in"]

_SECOND: Final = 1_000_000_000
_RETRY: Final = 1.0
"""Seconds between two tries of an output that failed."""


class Output(Protocol):
    """A writer.PcapngWriter, or a series of them."""

    tally: Tally

    @property
    def until(self) -> int | None:
        """Time (ns) after which `statistics` is called at once, for the file ends; None: it is in no hurry."""
        ...

    def write(self, block: Block) -> None:
        """Raises OSError; `tally` knows what was written nevertheless."""
        ...

    def statistics(self, ts: int) -> None:
        """Append what was received and lost by now, which is `ts` (ns). Raises OSError."""
        ...

    def close(self, ts: int | None = None) -> None:
        """Append the same for the last time, and close. Raises OSError."""
        ...


class Recorder:
    """Writes blocks to `output`, by one thread; the properties are for any."""

    def __init__(self, output: Output, *, live: bool, on_fault: Callable[[OSError], None] | None = None) -> None:
        """`live`: packets come from the kernel, and their time is that of the clock. `on_fault` is told when writing
        stops, by the thread that writes."""
        self.tally = output.tally
        self.fault: OSError | None = None
        """Why nothing is written now."""
        self.first_fault: OSError | None = None
        """Why something was not written, whatever came later."""
        self._output = output
        self._live = live
        self._on_fault = on_fault
        self._retry_at = 0.0
        self._packets_failed = False
        """Since then no packet was written."""
        self._told_at = time.monotonic()
        """When the statistics were last written, by the clock and in the time of the packets."""
        self._told_ts: int | None = None
        self._quiet = True
        """No packet was written since."""

    @property
    def dropped(self) -> int:
        """Packets that were not written."""
        return self.tally.dropped

    def write(self, block: Block) -> None:
        """Append the packets of `block`, and count those that are not taken."""
        packets = packets_in(block)
        if not packets:
            return
        before = self.tally.packets
        if self._try(lambda: self._output.write(block), packets=True):
            self._quiet = False
            if self._told_ts is None:
                self._told_ts = int(block.ts.min())
            if abs(self.tally.latest - self._told_ts) >= _SECOND:
                self._tell(self.tally.latest)
        self.tally.drop(packets - (self.tally.packets - before))

    def tick(self) -> None:
        """Call several times a second where packets come by themselves: the statistics do not wait for the next."""
        if self._live and self._output.until is not None and time.time_ns() > self._output.until:
            self._tell(time.time_ns())
        elif time.monotonic() - self._told_at >= 1.0 and (self._live or not self._quiet):
            self._tell(self._now())

    def close(self) -> None:
        """Write the last statistics and close the output."""
        self._retry_at = 0.0
        self._try(lambda: self._output.close(self._now()))

    def give_up(self, packets: int, why: OSError) -> None:
        """Count packets that were to be written and will not be. Any thread."""
        self.tally.drop(packets)
        self.fault = why
        self.first_fault = self.first_fault or why

    def _now(self) -> int:
        """The time of the packets, or the clock's where none comes."""
        return time.time_ns() if (self._live and self._quiet) or not self.tally.packets else self.tally.latest

    def _tell(self, ts: int) -> None:
        self._told_ts, self._told_at, self._quiet = ts, time.monotonic(), True
        self._try(lambda: self._output.statistics(ts))

    def _try(self, work: Callable[[], None], *, packets: bool = False) -> bool:
        if self.fault is not None and time.monotonic() < self._retry_at:
            return False
        try:
            work()
        except Exception as caught:
            # Whatever it was: a thread that dies unseen would leave a file that only looks whole.
            error = (
                caught if isinstance(caught, OSError) else OSError(errno.EIO, f"{type(caught).__name__}: {caught}")
            )
            self._retry_at = time.monotonic() + _RETRY
            fresh, self.fault = self.fault is None, error
            self._packets_failed = packets or self._packets_failed
            self.first_fault = self.first_fault or error
            if fresh and self._on_fault is not None:
                self._on_fault(error)
            return False
        # A full disk may still take the few bytes of the statistics.
        if packets or not self._packets_failed:
            self.fault, self._packets_failed = None, False
        return True


def packets_in(block: Block) -> int:
    """Rows that are packets."""
    return int(np.count_nonzero(block.marks & EVENT == 0))
