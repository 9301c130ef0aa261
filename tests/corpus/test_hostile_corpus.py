"""Real captures, changed and cut: whatever the bytes, what `fuzz/` checks holds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzz.__main__ import Findings, mutated
from fuzz.seeds import seeds
from fuzz.targets import TARGETS, run

pytestmark = pytest.mark.corpus

RUNS = 200
"""Mutations for each target."""


@pytest.fixture(scope="module")
def begun(captures_folder: Path) -> dict[str, list[bytes]]:
    """What is changed, by target."""
    files = sorted(path for path in (captures_folder / "files").rglob("*") if path.is_file())
    found: dict[str, list[bytes]] = {name: [] for name in TARGETS}
    for seed in seeds(files):
        found[list(TARGETS)[seed[0]]].append(seed)
    assert sum(map(len, found.values())) > 1000
    return found


def changed(seeds_of_one: list[bytes], dice: random.Random) -> Iterator[bytes]:
    for _ in range(RUNS):
        yield mutated(dice.choice(seeds_of_one), seeds_of_one, dice)


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_of_real_captures(begun: dict[str, list[bytes]], name: str, tmp_path: Path) -> None:
    found = Findings(tmp_path, run)
    for data in changed(begun[name], random.Random(1)):
        found(data)
    assert found.places == set()


def test_streams_as_they_were_recorded(begun: dict[str, list[bytes]], tmp_path: Path) -> None:
    found = Findings(tmp_path, run)
    for seed in begun["stream"][::2]:
        found(seed)
    assert found.places == set()
