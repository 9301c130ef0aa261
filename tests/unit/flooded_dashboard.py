"""The dashboard under a flood that is made in memory: `flooded_dashboard.py PACKETS BUFFER_MIB` -> one JSON object.

Run by test_memory.py in a process of its own, for the memory is measured as the kernel counts it. All is real but the
source and the terminal: decoder, capture thread, queue, session, screen.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
from benchmarks.memory import EVERYTHING, frames

from netwatch.app.app import NetwatchApp
from netwatch.app.heap import return_freed_memory
from netwatch.capture.batch_queue import BatchQueue
from netwatch.capture.block import Block, Damage, Interface, Loss
from netwatch.capture.decode import Decoder
from netwatch.capture.engine import Engine
from netwatch.capture.session import Session
from netwatch.widgets.palette import Look

ROWS = 16_384
HEADER = 68
"""Bytes that the kernel's ring puts in front of a packet."""
SOURCE = 26
"""Where an IPv4 frame has its source address; in an IPv6 frame it is in the middle of it."""
SOURCES = 1 << 20
EVERY = 0.02
"""Seconds between two looks at the memory."""


class Flood:
    """A live source that is never out of packets: the same ones again, each time from other addresses."""

    live = True
    damage: Damage | None = None

    def __init__(self, packets: int) -> None:
        made = list(frames(ROWS))
        self.name = "flood0"
        self.interfaces = [Interface("flood0", 1)]
        self.exhausted = False
        self.sent = 0
        self._packets = packets
        self._random = np.random.default_rng(1)
        self._raw = np.frombuffer(b"".join(bytes(HEADER) + frame for frame in made), np.uint8)
        self._sizes = np.array([len(frame) for frame in made], np.uint32)
        self._starts = np.cumsum(self._sizes.astype(np.int64) + HEADER) - self._sizes

    def next_block(self, timeout: float) -> Block | None:  # noqa: ARG002 - there is always one
        if self.sent >= self._packets:
            self.exhausted = True
            return None
        raw = self._raw.copy()
        source = self._random.integers(0, SOURCES, ROWS).astype(">u4").view(np.uint8).reshape(ROWS, 4)
        for at in range(4):
            raw[self._starts + SOURCE + at] = source[:, at]
        ts = 1_700_000_000_000_000_000 + np.arange(self.sent, self.sent + ROWS, dtype=np.int64) * 5000
        self.sent += ROWS
        none, first = np.zeros(ROWS, np.uint16), np.ones(ROWS, np.uint16)
        starts, sizes = self._starts.copy(), self._sizes.copy()
        return Block(raw, starts, sizes, sizes.copy(), ts, first, none, none, starts, owned=True)

    def read_at(self, pos: int, size: int) -> bytes:
        raise LookupError(f"{size} bytes at {pos} were kept with their rows")

    def loss(self) -> Loss:
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        return None

    def wake(self) -> None:
        return

    def close(self) -> None:
        return


def rss_anon() -> int:
    """Bytes (proc(5))."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon:")).split()[1]) << 10


async def run(packets: int, buffer: int) -> dict[str, int | bool]:
    """A third of the packets plainly, the rest with a filter, its statistics and conversations."""
    source = Flood(packets)
    session = Session(source, buffer=buffer)
    batches = BatchQueue()
    engine = Engine(source, Decoder(), batches)
    return_freed_memory()
    app = NetwatchApp(session, engine, batches, look=Look("full"))
    peak = 0
    async with app.run_test(size=(160, 50)) as pilot:
        pressed = False
        while not app.state.ended:
            await asyncio.sleep(EVERY)
            peak = max(peak, rss_anon())
            if not pressed and source.sent > packets // 3:
                pressed = True
                await pilot.press(*EVERYTHING)
        talkers, conversations = session.statistics.talkers, session.conversations
        assert conversations is not None
        counts = talkers.largest(talkers.count, "bytes")[1]
        return {
            "peak": peak,
            "sent": source.sent,
            "counted": session.statistics.packets,
            "evicted": session.store.evicted,
            "hosts_sent_or_got": int(counts[0].sum() + talkers.others[0]),
            "exact": talkers.exact,
            "in_conversations": conversations.packets,
            "conversations": int(conversations.largest(conversations.count, "bytes")[1][0].sum()),
            "other_conversations": int(conversations.others[0]),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]) << 20))))
