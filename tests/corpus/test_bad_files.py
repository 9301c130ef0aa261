"""Real captures, a third of them broken: as many packets as tshark 4.0 gives, with its times and lengths."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from netwatch.capture.block import CaptureError, Source
from netwatch.capture.sources.files import open_file

pytestmark = pytest.mark.corpus

CAPTURES = Path(__file__).parents[2] / ".." / "shared" / "captures"

TSHARK_REFUSES = {
    "DNS-OARC__dnscap/src/test/dns.pcap.xz": 133,
    # Link types that tshark 4.0 does not know list their packets as data.
    "the-tcpdump-group__libpcap/tests/filter/brcm-tag-stp.pcap": 4,
    # Version 2.3 with the lengths swapped: tshark tries the record headers of old Linux patches first.
    "seladb__PcapPlusPlus/Tests/Fuzzers/RegressionTests/regression_samples/"
    "clusterfuzz-testcase-minimized-FuzzTarget-5766899836387328": 1,
}
"""Packets that netwatch gives and tshark does not."""


class Case(NamedTuple):
    path: str
    table: str
    packets: int
    refused: bool


def cases() -> Iterator[Case]:
    if not CAPTURES.is_dir():
        return
    for line in (CAPTURES / "MAP.tsv").read_text().splitlines():
        if not line.startswith("#"):
            table, path, packets, code, *_words = line.split("\t")
            yield Case(path, table, int(packets), code != "0")


def rows(source: Source) -> list[tuple[int, int]]:
    """Time and wire length of every packet."""
    found: list[tuple[int, int]] = []
    while not source.exhausted:
        block = source.next_block(0.0)
        if block is not None:
            found += zip(block.ts.tolist(), block.wirelen.tolist(), strict=True)
    source.close()
    return found


@pytest.fixture(autouse=True)
def _captures() -> None:
    if not CAPTURES.is_dir():
        pytest.skip("the captures are not here (../shared/captures)")


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case.path.rsplit("/", 1)[-1])
def test_as_many_packets_as_tshark(case: Case) -> None:
    path = CAPTURES / "files" / case.path
    if path.stat().st_size == 0:
        with pytest.raises(CaptureError) as caught:
            open_file(path)
        assert caught.value.code == 3
        return
    source = open_file(path)
    found = rows(source)
    if case.path in TSHARK_REFUSES:
        assert len(found) == TSHARK_REFUSES[case.path]
        return
    assert len(found) == case.packets
    assert (source.damage is not None) == case.refused
    for (time, length), (text, wirelen) in zip(found, expected(case), strict=True):
        assert length == wirelen
        assert time in tshark_times(text)


def expected(case: Case) -> list[tuple[str, int]]:
    with (CAPTURES / "oracle" / f"{case.table}.tsv").open(encoding="utf-8", newline="\n") as table:
        lines = [line.split("\t") for line in table][1:]
    return [(time, int(length)) for _number, time, length, *_rest in lines]


def tshark_times(text: str) -> set[int]:
    """Nanoseconds that tshark's frame.time_epoch may stand for."""
    seconds, fraction = text.split(".")
    time = int(seconds) * 1_000_000_000 + int(fraction)
    if len(fraction) > 9:
        # A broken fraction of more than a second: no carry there, and 32 bits.
        return {time + (wraps << 32) for wraps in range(1000)}
    # Ticks of a clock that was corrected below zero are unsigned, the year 584556: 64 bits of nanoseconds end before.
    return {min(time, (1 << 63) - 1)}


def expectations() -> list[dict[str, str]]:
    path = CAPTURES / "expected" / "made__bad" / "dev_EXPECT.tsv"
    if not path.exists():
        return []
    with path.open(newline="") as table:
        return list(csv.DictReader(table, delimiter="\t"))


@pytest.mark.parametrize("case", expectations(), ids=lambda case: case["file"])
def test_broken_files_give_what_is_good_and_say_why_no_more(case: dict[str, str]) -> None:
    path = CAPTURES / "files" / "made__bad" / "dev" / case["file"]
    if case["verdict"].startswith("reject"):
        with pytest.raises(CaptureError, match="is empty"):
            open_file(path)
        return
    source = open_file(path)
    found = rows(source)
    if case["packets_expected"]:
        assert len(found) == int(case["packets_expected"])
    else:
        assert found
    assert (source.damage is not None) == ("error" in case["verdict"])
    if source.damage is not None:
        assert 0 < source.damage.offset <= max(path.stat().st_size, 4000)
        assert "\n" not in source.damage.message
