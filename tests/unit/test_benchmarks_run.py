"""`python -m benchmarks --quick` runs each part that needs no root; figures are another matter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_ROOT = ("summary", "start", "filter", "dissect", "growth")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, list[dict[str, object]]]]:
    figures = tmp_path_factory.mktemp("bench") / "figures.json"
    ended = run("--quick", "--json", str(figures), *WITHOUT_ROOT)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, json.loads(figures.read_text())


def test_each_part_is_a_table_in_markdown(quick: tuple[str, dict[str, list[dict[str, object]]]]) -> None:
    markdown, _ = quick
    assert markdown.count("### ") == len(WITHOUT_ROOT)
    assert "| netwatch --summary |" in markdown


def test_the_same_figures_are_in_the_json(quick: tuple[str, dict[str, list[dict[str, object]]]]) -> None:
    markdown, figures = quick
    assert [f"### {table['title']}" in markdown for table in figures["tables"]] == [True] * len(WITHOUT_ROOT)
    assert all(table["rows"] for table in figures["tables"])


def test_an_unknown_part_is_named(tmp_path: Path) -> None:
    ended = run("sumary", "--json", str(tmp_path / "never.json"))
    assert ended.returncode == 2
    assert "no such benchmark: sumary" in ended.stderr
