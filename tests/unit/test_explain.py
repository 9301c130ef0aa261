"""A row of the list says what a pass over the whole capture would say of it, wherever one begins to look."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from netwatch.app.opening import DEMO
from netwatch.capture.block import Batch
from netwatch.capture.columns import TUNNELLED
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Context, Summary, dissect, find, summarise
from netwatch.capture.engine import batches
from netwatch.capture.explain import Explainer
from netwatch.capture.sources.files import open_file
from netwatch.capture.store import Store

SCREEN = 40


class Demo:
    """The demo capture in a store, and what one pass says of each packet."""

    def __init__(self) -> None:
        self.source = open_file(str(DEMO))
        self.store = Store(None, self.source.read_at)
        for batch in batches(self.source, Decoder(), threading.Event()):
            self.store.append(batch)
        rows = self.store.rows(np.arange(self.store.end))
        self.tunnelled = ((rows.marks & TUNNELLED) != 0).tolist()
        context = Context()
        self.passed = [
            summarise(
                self.store.data(index),
                self.source.interfaces[int(rows.iface[index])].linktype,
                int(rows.wirelen[index]),
                context=context,
                number=index + 1,
                ts=int(rows.ts[index]),
            )
            for index in range(self.store.end)
        ]


@pytest.fixture(scope="module")
def demo() -> Demo:
    return Demo()


def screens(count: int) -> list[range]:
    return [range(start, min(start + SCREEN, count)) for start in range(0, count, SCREEN)]


def said(explainer: Explainer, order: list[range]) -> dict[int, Summary]:
    made: dict[int, Summary] = {}
    for screen in order:
        explainer.prepare(screen)
        made |= {index: explainer.summary(index) for index in screen}
    return made


@pytest.mark.parametrize("arranged", [list, lambda order: order[::-1]], ids=["downwards", "upwards"])
def test_each_row_says_what_one_pass_over_all_says(
    demo: Demo, arranged: Callable[[list[range]], list[range]]
) -> None:
    made = said(Explainer(demo.store, demo.source), arranged(screens(demo.store.end)))
    differing = [index for index, summary in made.items() if summary != demo.passed[index]]
    # A connection whose halves take different tunnels is one only for who looks inside all of them.
    assert [index for index in differing if not demo.tunnelled[index]] == []
    assert len(differing) < demo.store.end // 500


def test_a_packet_is_opened_with_the_segments_that_it_completes(demo: Demo) -> None:
    explainer = Explainer(demo.store, demo.source)
    # The end of a body of 36 kB: whoever looks at the packet alone sees a segment of something.
    index = next(
        at
        for at, row in enumerate(demo.passed)
        if row.info.startswith("HTTP/1.1 200")
        and demo.passed[at - 1].info.endswith("[TCP segment of a reassembled PDU]")
    )
    tree = explainer.tree(index)
    assert (tree.protocol, tree.info) == (demo.passed[index].protocol, demo.passed[index].info)
    # How many conversations there were before this one is not known here: no number is better than a wrong one.
    assert find(tree, "tcp.stream") is None
    segments = find(tree, "tcp.segment.count")
    assert segments is not None
    assert segments.value > 1
    assert [buffer.name for buffer in tree.buffers][:2] == ["Packet", "Reassembled TCP"]


def test_numbers_of_a_connection_whose_beginning_is_gone_are_the_header_s_own(demo: Demo) -> None:
    gone = 1000
    store = Store(None, demo.source.read_at)
    rows = demo.store.rows(np.arange(gone, demo.store.end))
    store.append(Batch(rows, None, None))
    began = [find_raw(demo, index) for index in range(gone)]
    index = next(
        at
        for at, row in enumerate(demo.passed[gone:])
        if " [ACK] Seq=" in row.info and find_raw(demo, gone + at)[0] in {ports for ports, _ in began}
    )
    _, raw = find_raw(demo, gone + index)
    said_whole = said(Explainer(store, demo.source), [range(index, index + 1)])[index]
    assert f"Seq={raw} " not in said_whole.info
    store.evicted = gone
    said_evicted = said(Explainer(store, demo.source), [range(index, index + 1)])[index]
    assert f"Seq={raw} " in said_evicted.info


def find_raw(demo: Demo, index: int) -> tuple[tuple[int, int], int]:
    """Ports, ascending, and the sequence number of the header; zeros for what is no TCP."""
    tree = dissect(demo.store.data(index), 1)
    found = [find(tree, name) for name in ("tcp.srcport", "tcp.dstport", "tcp.seq_raw")]
    source, destination, sequence = (0 if item is None else item.value for item in found)
    return (min(source, destination), max(source, destination)), sequence
