"""Plain text in columns, for what is printed and not shown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["table"]


def table(rows: Sequence[Sequence[str]], words: frozenset[int]) -> list[str]:
    """Lines with aligned columns, the first row as head; the columns `words` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [
        [text.ljust(width) if at in words else text.rjust(width) for at, (text, width) in enumerate(pairs)]
        for pairs in (zip(row, widths, strict=True) for row in rows)
    ]
    return ["  ".join(row).rstrip() for row in cells]
