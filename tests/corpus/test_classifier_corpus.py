"""What the batch decoder says of a row, beside what a dissector says of the same packet alone.

Both are given one packet and nothing of those before it. Left out is what one packet does not decide:

- fragments, and what they complete: the decoder puts datagrams together, a packet alone cannot be;
- segments in which a message does not end: the decoder goes by how it begins and names it, the dissector, like
  tshark, calls it TCP until the packet that completes it;
- segments that are the middle of a message on a port of TLS: the dissector shows them as that conversation's, the
  decoder, without its conversation, as TCP.

Protocols that only dissectors know count as what carries them. What is left, 0.6 % of packets, the larger classes:

- SMB in NetBIOS datagrams stands behind two names of any length: the row says what the port says;
- X11, SOCKS, VNC, OpenVPN over TCP: the port says so in the row, the dissector wants the conversation's beginning;
- IPX, NetBIOS in LLC, HSRP 2, GQUIC: the one knows more of a family than the other;
- made packets with random or broken payload on a known port (SNMP, DNP3, synchrophasor, pseudowires): the row
  believes the port, the dissector reads on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from netwatch.capture.block import CaptureError
from netwatch.capture.columns import EVENT, FRAGMENT, REASSEMBLED
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Tree, dissect, summarise
from netwatch.capture.paths import PATHS
from netwatch.capture.protocols import ID, PROTOCOLS
from netwatch.capture.sources.files import open_file

pytestmark = pytest.mark.corpus

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
DEMO = Path(__file__).parents[2] / "capture" / "data" / "demo.pcapng"

FLOOR = 0.99
"""Reached: 99.4 %."""
ONLY_DISSECTORS = frozenset({"browser"})
"""Known to protocols.py for their colour, but by no port."""
MIDDLE = ("tls.ignored_unknown_record",)
"""Fields of segments that begin no message."""


def captures() -> Iterator[Path]:
    """The demo's, and all that tshark read anything of."""
    yield DEMO
    if CAPTURES.is_dir():
        for line in (CAPTURES / "MAP.tsv").read_text().splitlines():
            if not line.startswith("#") and int(line.split("\t")[2]):
                yield CAPTURES / "files" / line.split("\t")[1]


def carrier(tree: Tree, name: str) -> str:
    """`name`, or what carries it where the decoder's table does not know it."""
    outer = [layer.field.name for layer in tree.layers]
    while name not in ID or name in ONLY_DISSECTORS:
        outer = outer[: outer.index(name)] if name in outer else outer[:-1]
        name = outer[-1] if outer else "data"
    return name


def decides(tree: Tree, marks: int) -> bool:
    """Whether this packet alone tells what it is."""
    if marks & (FRAGMENT | REASSEMBLED):
        return False
    if any(layer.field.name == "tcp.segment_data" for layer in tree.layers):
        return False
    return not any(
        child.field.label == "Continuation Data" or child.field.name in MIDDLE
        for layer in tree.layers
        for child in layer.children
    )


class Compared:
    """Both readings of every packet."""

    def __init__(self) -> None:
        self.total = self.left_out = 0
        self.different: Counter[tuple[str, str]] = Counter()
        """(the decoder's, the dissector's)"""
        self.examples: dict[tuple[str, str], str] = {}
        for path in captures():
            self._add(path)

    def _add(self, path: Path) -> None:
        try:
            source, decoder, number = open_file(path), Decoder(), 0
        except CaptureError:
            return
        while not source.exhausted:
            block = source.next_block(0)
            if block is None:
                continue
            rows = decoder.decode(block).rows
            shown = PATHS.shown[rows.path]
            for at in range(len(block)):
                marks = int(rows.marks[at])
                if marks & EVENT:
                    continue
                number += 1
                start, size = int(block.offsets[at]), int(block.caplen[at])
                given = block.raw[start : start + size].tobytes(), int(block.linktype[at]), int(block.wirelen[at])
                self._compare(f"{path.name} #{number}", PROTOCOLS[shown[at]].name, marks, *given)
        source.close()

    def _compare(self, where: str, shown: str, marks: int, data: bytes, linktype: int, wirelen: int) -> None:
        name = summarise(data, linktype, wirelen).name
        if name != shown:
            tree = dissect(data, linktype, wirelen)
            if not decides(tree, marks):
                self.left_out += 1
                return
            name = carrier(tree, name)
        self.total += 1
        if name != shown:
            self.different[shown, name] += 1
            self.examples.setdefault((shown, name), where)

    @property
    def share(self) -> float:
        """Packets of which both say the same, of those that one packet decides."""
        return 1 - self.different.total() / self.total


@pytest.fixture(scope="module")
def compared() -> Compared:
    return Compared()


def test_the_decoder_says_what_the_dissectors_say(compared: Compared) -> None:
    assert compared.total > 4000
    assert compared.share >= FLOOR, compared.different.most_common(20)


def report() -> None:
    """The classes of difference, largest first."""
    result = Compared()
    print(
        f"{result.total} packets: {result.share:.2%} the same; {result.left_out} more are not decided by one packet"
    )
    for pair, count in result.different.most_common():
        print(f"{count:6} {pair[0]} in the row, {pair[1]} in the tree: {result.examples[pair]}")


if __name__ == "__main__":
    report()
