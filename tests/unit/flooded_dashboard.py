"""The dashboard under a flood that is made in memory: `flooded_dashboard.py PACKETS BUFFER_MIB FILE` -> JSON.

Run by test_memory.py in a process of its own, for the memory is measured as the kernel counts it. All is real but the
source, the terminal and the disk of `-w`: decoder, capture thread, queues, session, screen, a file that is saved.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.memory import EVERYTHING, frames

from netwatch.app.app import NetwatchApp
from netwatch.app.heap import return_freed_memory, return_holes
from netwatch.app.main_screen import MainScreen
from netwatch.capture.batch_queue import BatchQueue
from netwatch.capture.block import Block, Damage, Interface, Loss
from netwatch.capture.decode import Decoder
from netwatch.capture.engine import Engine
from netwatch.capture.recorder import Recorder
from netwatch.capture.session import Session
from netwatch.capture.spooler import Spooler
from netwatch.capture.writer import PcapngWriter
from netwatch.widgets.palette import Look
from netwatch.widgets.save_prompt import ALL

ROWS = 8_192
"""Of a block; with their bytes two thirds of what a ring hands over at most."""
HEADER = 68
"""Bytes that the kernel's ring puts in front of a packet."""
SOURCE = 26
"""Where an IPv4 frame has its source address; in an IPv6 frame it is in the middle of it."""
SOURCES = 1 << 20
EVERY = 0.02
"""Seconds between two looks at the memory."""
PATIENCE = 90.0
"""Seconds for any part of it."""
SLOW = 0.01
"""Seconds that the disk takes for 64 KiB."""


class Flood:
    """A live source that is never out of packets: the same ones again, each time from other addresses. After each
    of its parts it waits for `go_on`, so that what happens between them does so at the same packet each time."""

    live = True
    damage: Damage | None = None

    def __init__(self, parts: Sequence[int]) -> None:
        """`parts`: packets of each."""
        made = list(frames(ROWS))
        self.name = "flood0"
        self.interfaces = [Interface("flood0", 1)]
        self.exhausted = False
        self.sent = 0
        self._ends = np.cumsum(parts).tolist()
        self._going = threading.Event()
        self._random = np.random.default_rng(1)
        self._raw = np.frombuffer(b"".join(bytes(HEADER) + frame for frame in made), np.uint8)
        self._sizes = np.array([len(frame) for frame in made], np.uint32)
        self._starts = np.cumsum(self._sizes.astype(np.int64) + HEADER) - self._sizes

    @property
    def waits(self) -> bool:
        """A part was sent."""
        return not self._going.is_set()

    def go_on(self) -> None:
        """Begin with the next part."""
        self._going.set()

    def next_block(self, timeout: float) -> Block | None:
        if self.sent >= self._ends[0]:
            del self._ends[0]
            self._going.clear()
            self.exhausted = not self._ends
        if not self._going.wait(timeout) or self.exhausted:
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


class Disk:
    """A pipe whose other end reads slowly, until it is told that time does not matter any more."""

    def __init__(self) -> None:
        self._reading, self.descriptor = os.pipe()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while os.read(self._reading, 1 << 16):
            self._hurry.wait(SLOW)

    def hurry(self) -> None:
        """From here on take everything at once."""
        self._hurry.set()

    def end(self) -> None:
        """Take what is left; everybody else has closed it."""
        os.close(self.descriptor)
        self._thread.join(PATIENCE)


async def run(packets: int, buffer: int, path: str) -> dict[str, object]:
    """A third of the packets plainly, one with a filter, its statistics and conversations, one while a file is saved;
    all of them to a disk that does not take them all."""
    source = Flood([packets // 3] * 3)
    batches = BatchQueue()
    disk = Disk()
    recorder = Recorder(PcapngWriter(disk.descriptor, source.interfaces), live=True)
    spooler = Spooler(recorder, may_wait=lambda _: False)
    session = Session(source, buffer=buffer, waiting=lambda: batches.qsize() + spooler.queued)
    engine = Engine(source, Decoder(), batches, writer=spooler)
    return_freed_memory()
    app = NetwatchApp(session, engine, batches, look=Look("full"), weigh=return_holes)
    peaks: dict[str, int] = {}

    async def part(name: str) -> None:
        source.go_on()
        async with asyncio.timeout(PATIENCE):
            while not (source.waits and session.store.end == source.sent) or session.view.pending:
                peaks[name] = max(peaks.get(name, 0), rss_anon())
                await asyncio.sleep(EVERY)

    async with app.run_test(size=(160, 50)) as pilot:
        await part("plain")
        await pilot.press(*EVERYTHING)
        await part("all on")
        main = app.screen
        assert isinstance(main, MainScreen)
        main.saving.begin(ALL, path)
        await part("saving")
        async with asyncio.timeout(PATIENCE):
            while main.saving.busy or not app.state.ended or session.tick(0.0):
                await asyncio.sleep(EVERY)
    disk.hurry()
    spooler.close()
    disk.end()
    talkers, conversations = session.statistics.talkers, session.conversations
    assert conversations is not None
    counts = talkers.largest(talkers.count, "bytes")[1]
    return {
        "peaks": peaks,
        "sent": source.sent,
        "counted": session.statistics.packets,
        "evicted": session.store.evicted,
        "hosts_sent_or_got": int(counts[0].sum() + talkers.others[0]),
        "exact": talkers.exact,
        "of_filter": session.shown_statistics.packets,
        "in_conversations": conversations.packets,
        "conversations": int(conversations.largest(conversations.count, "bytes")[1][0].sum()),
        "other_conversations": int(conversations.others[0]),
        "written": recorder.tally.packets,
        "not_written": recorder.dropped,
        "saved": os.path.getsize(path),
    }


if __name__ == "__main__":
    try:
        print(json.dumps(asyncio.run(run(int(sys.argv[1]), int(sys.argv[2]) << 20, sys.argv[3]))), flush=True)
    except BaseException:
        traceback.print_exc()
        os._exit(1)  # whatever its threads still wait for
