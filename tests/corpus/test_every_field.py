"""Every field that a dissector names beside tshark's value of it, first occurrences in one pass.

`python tests/corpus/test_every_field.py [part of a path]` prints the fields that differ most, with an example each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from netwatch.capture.block import Block
from netwatch.capture.decode import Decoder
from netwatch.capture.dissect import Context, Item, dissect
from netwatch.capture.errors import CaptureError
from netwatch.capture.fields import FieldWriter
from netwatch.capture.passing import passing
from netwatch.capture.sources.files import open_file

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark"),
]

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

FLOOR = 0.97
"""Reached: 98.1 % of 1.1 million values of 1,900 fields."""
EVERY = 4
"""The test looks at one capture of so many."""

VERIFIED = [f"{name}.check_checksum:TRUE" for name in ("ip", "tcp", "udp")]
"""Checksums are always verified here."""


class Differences:
    """By field: how many values there are, and how many of them are ours alone, tshark's alone, or not the same."""

    def __init__(self) -> None:
        self.values: Counter[str] = Counter()
        self.differing: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], str] = {}

    def add(self, name: str, ours: str, theirs: str, where: str) -> None:
        """One value."""
        if not (ours or theirs):
            return
        self.values[name] += 1
        if ours != theirs:
            kind = "ours alone" if not theirs else "tshark's alone" if not ours else "other"
            self.differing[name, kind] += 1
            self.examples.setdefault((name, kind), f"{where}: {ours[:60]!r}, tshark {theirs[:60]!r}")

    @property
    def equal(self) -> float:
        """The share of equal values."""
        return 1 - self.differing.total() / self.values.total()


def compare(path: Path, known: frozenset[str], into: Differences) -> None:
    """All fields of one capture."""
    try:
        packets = list(_blocks(path))
    except CaptureError:
        return
    names = sorted(_names(packets) & known)
    if not names:
        return
    asked = [word for name in names for word in ("-e", name)]
    options = [word for option in VERIFIED for word in ("-o", option)]
    command = ["tshark", "-n", "-r", str(path), *options, "-T", "fields", "-E", "occurrence=f", *asked]
    said = subprocess.run(command, capture_output=True, check=False).stdout.decode("utf-8", "replace").split("\n")
    writer, decoder = FieldWriter(names), Decoder(fields=True)
    ours = [line for block in packets for line in writer.lines(block, decoder.decode(block)).split("\n")[:-1]]
    for number, (mine, theirs) in enumerate(zip(ours, said, strict=False), 1):
        if mine != theirs:
            for name, one, other in zip(names, mine.split("\t"), theirs.split("\t"), strict=False):
                into.add(name, one, other, f"{path.name} #{number}")
        else:
            into.values.update(name for name, one in zip(names, mine.split("\t"), strict=True) if one)


def _blocks(path: Path) -> list[Block]:
    source, found = open_file(str(path)), []
    while not source.exhausted:
        block = source.next_block(1.0)
        if block is not None:
            # The source uses its memory again.
            block.raw = block.raw.copy()
            found.append(block)
    source.close()
    return found


def _names(packets: list[Block]) -> set[str]:
    """What the dissectors name in them, without what they only head."""
    context, number, names = Context(), 1, set[str]()
    for block in packets:
        for packet in passing(block, number):
            number += 1
            tree = dissect(packet.data, packet.linktype, packet.wirelen, context=context, number=packet.number)
            rest: list[Item] = list(tree.layers)
            while rest:
                item = rest.pop()
                rest += item.children
                if item.value is not None:
                    names.add(item.field.name)
    return names


def known_to_tshark() -> frozenset[str]:
    """The names of its fields."""
    told = subprocess.run(["tshark", "-G", "fields"], capture_output=True, text=True, check=True).stdout
    return frozenset(line.split("\t")[2] for line in told.splitlines() if line.startswith("F\t"))


def files() -> list[Path]:
    """The captures."""
    lines = (CAPTURES / "MAP.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [CAPTURES / "files" / path for _, path, count, *_ in rows if int(count)]


@pytest.mark.usefixtures("captures_folder")
def test_nearly_all_values_of_all_fields_are_those_of_tshark() -> None:
    found, known = Differences(), known_to_tshark()
    for path in files()[::EVERY]:
        compare(path, known, found)
    assert found.values.total() > 100_000
    print(f"{found.values.total()} values of {len(found.values)} fields, {found.equal:.2%} equal")
    assert found.equal >= FLOOR, found.differing.most_common(20)


def report(part: str) -> None:
    """The fields that differ, most first."""
    found, known = Differences(), known_to_tshark()
    for path in files():
        if part in str(path):
            compare(path, known, found)
    print(f"{found.values.total()} values of {len(found.values)} fields, {found.equal:.2%} equal")
    for (name, kind), count in found.differing.most_common(150):
        print(f"{count:6} of {found.values[name]:<6} {name} ({kind}): {found.examples[name, kind]}")


if __name__ == "__main__":
    report(sys.argv[1] if len(sys.argv) > 1 else "")
