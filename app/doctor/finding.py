"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FAILS", "OPTIONAL", "WORKS", "Finding"]

WORKS: Final = "ok"
OPTIONAL: Final = "--"
"""It is not there, or only in part; most does without."""
FAILS: Final = "no"


@dataclass(frozen=True, slots=True)
class Finding:
    """`mends`: commands for a shell, each by itself enough, the best first."""

    name: str
    state: str
    says: str
    mends: tuple[str, ...] = ()
