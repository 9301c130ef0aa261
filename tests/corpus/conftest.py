"""Real captures with tshark's reading of them: beside the project, never part of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture and tshark's table of it."""

    path: Path
    oracle: Path
    rows: int
    """Packets that tshark read."""

    def table(self) -> Iterator[list[str]]:
        """The lines of the table, split at tabs; the first holds the names of the columns."""
        with self.oracle.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                yield line.rstrip("\n").split("\t")


@pytest.fixture(scope="session")
def captures_folder() -> Path:
    """The folder with the captures; the test is skipped where it is missing."""
    if not (CAPTURES / "MAP.tsv").is_file():
        pytest.skip("no captures: ../shared/captures is missing")
    return CAPTURES


@pytest.fixture(scope="session")
def captures(captures_folder: Path) -> list[Capture]:
    """All captures that tshark read anything of."""
    found = []
    for line in (captures_folder / "MAP.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, path, rows = line.split("\t")[:3]
        if int(rows):
            oracle = captures_folder / "oracle" / f"{name}.tsv"
            found.append(Capture(captures_folder / "files" / path, oracle, int(rows)))
    return found
