"""What every benchmark gets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Setting"]


@dataclass(frozen=True, slots=True)
class Setting:
    """The large capture, and how to measure."""

    big: Path
    """A pcap file of Ethernet frames."""
    packets: int
    """How many are in it."""
    times: int
    """Runs of which the median counts."""
    work: Path
    """A folder that is removed at the end."""
    quick: bool = False
    """Only show that everything runs."""
    seconds: float = 600.0
    """Of the flood under which memory is watched."""
