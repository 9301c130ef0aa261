"""The capture thread on a ring that is full when it ends: what the kernel counted adds up, however long it takes."""

from __future__ import annotations

import queue
import time
from pathlib import Path
from typing import Any

import numpy as np

from netwatch.capture.block import Batch, Block
from netwatch.capture.columns import EVENT
from netwatch.capture.decode import Decoded, Decoder
from netwatch.capture.engine import Engine
from netwatch.capture.sources.afpacket import open_live


class Slow(Decoder):
    """Takes longer for the rest of the ring than a person waits for a key."""

    def decode(self, block: Block) -> Decoded:
        time.sleep(0.2)
        return super().decode(block)


def test_what_the_ring_holds_at_the_end_is_counted(pair: Any, mix: Path) -> None:
    source = pair.right.call(
        lambda: open_live(["b0"], ring=16 << 20, snaplen=0, promiscuous=False, capture_filter="")
    )
    batches: queue.Queue[Batch] = queue.Queue(1)
    engine = Engine(source, Slow(), batches)
    try:
        engine.start()
        assert engine.started.wait(10)
        sent = pair.replay(mix, "--topspeed", "--loop=1500")
        packets = sum(int(np.count_nonzero(batch.rows.marks & EVENT == 0)) for batch in engine.stop())
        lost = source.loss()
        (ring,) = [port.ring for port in source.ports]
        assert packets == ring.packets - ring.drops
        assert packets + lost.ring + lost.interface == sent
        assert lost.ring > 0
        assert engine.ended
        assert engine.failed is None
    finally:
        source.close()
