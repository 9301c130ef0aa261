"""What becomes of interfaces, as rows between the packets: each once the packets before it were taken."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Sequence
from typing import Final

from netwatch.capture.block import Block
from netwatch.capture.kernel.link import LinkState
from netwatch.capture.sources.frames import event_block
from netwatch.capture.sources.port import Port
from netwatch.capture.sources.ring import BLOCK_TIMEOUT

__all__ = ["Events"]

_DELAY: Final = {LinkState.NO_CARRIER: 1.5}
"""Seconds until a change becomes a row, at least as long as the packets before it wait in a block. The carrier is
missing for a moment whenever an interface is brought up; the kernel takes up to a second to say that it is there."""


class Events:
    """Those that are still to become rows. One thread."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, int, Port, LinkState | None, str]] = []
        """Heap of (when it is due, its time stamp, a number, port, new state, text)."""
        self._numbers = itertools.count()

    def due(self, otherwise: float) -> float:
        """When the next one is (time.monotonic); `otherwise` if there is none."""
        return self._waiting[0][0] if self._waiting else otherwise

    def tell(self, port: Port, text: str, delay: float = 1.5 * BLOCK_TIMEOUT) -> None:
        """A row."""
        self._add(port, None, text, delay)

    def changed(self, port: Port, state: LinkState) -> bool:
        """A row, if the interface was not so before; whether it is gone since just now."""
        if state is port.state:
            return False
        now = time.monotonic()
        text = str(state)
        if port.state is LinkState.UP:
            port.since = now
        if state is LinkState.UP:
            text = f"{'back' if port.deleted else state} after {now - port.since:.1f} s"
            port.deleted = False
        elif state is LinkState.GONE:
            port.deleted = True
        port.state = state
        # Where it was made again, but is not up yet, there is nothing to tell.
        if not port.deleted or state is LinkState.GONE:
            self._add(port, state, f"{port.label}: {text}", _DELAY.get(state, 1.5 * BLOCK_TIMEOUT))
        return state is LinkState.GONE

    def next(self, now: float, ports: Sequence[Port]) -> Block | None:
        """The next row that is due. `ports`: what is captured now."""
        while self._waiting and now >= self._waiting[0][0]:
            _, ts, _, port, state, text = heapq.heappop(self._waiting)
            passed = state is LinkState.NO_CARRIER and (port.state is not state or port not in ports)
            if state is None or (not passed and (state is not LinkState.UP or port.told)):
                port.told = port.told if state is None else state is not LinkState.UP
                return event_block(text, ts, port.number, port.linktype)
        return None

    def _add(self, port: Port, state: LinkState | None, text: str, delay: float) -> None:
        event = (time.monotonic() + delay, time.time_ns(), next(self._numbers), port, state, text)
        heapq.heappush(self._waiting, event)
