"""Imports go one way: app → widgets → capture."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FORBIDDEN = {
    "capture": ("netwatch.widgets", "netwatch.app", "textual", "rich"),
    "widgets": ("netwatch.app", "netwatch.capture.sources", "netwatch.capture.engine"),
}
_MODULES = [path for layer in _FORBIDDEN for path in sorted((_ROOT / layer).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """Names of all modules that a file imports, wherever in it; `from x import y` gives x and x.y."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: str(path.relative_to(_ROOT)))
def test_a_layer_knows_nothing_of_those_above(path: Path) -> None:
    forbidden = _FORBIDDEN[path.relative_to(_ROOT).parts[0]]
    wrong = {name for name in imported(path) for other in forbidden if (name + ".").startswith(other + ".")}
    assert not wrong


def test_the_layers_are_where_the_test_looks() -> None:
    assert len(_MODULES) > 20
