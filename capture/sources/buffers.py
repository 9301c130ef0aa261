"""Memory for what a ring hands over, used again once nobody holds it."""

from __future__ import annotations

import sys
from mmap import mmap
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffers"]

_NOBODY: Final = 2
"""References to an array that only the list has: the list's, and that of who asks."""


class Buffers:
    """Arrays of one size. One thread takes them; whoever holds a view of one may let go of it in any thread.

    New memory costs a page fault for every eight packets, and giving it back as much again: at line rate a fifth of
    all time. It is mapped here because numpy would ask for huge pages, which a virtual machine may have to get from
    its host first: 7 ms for 4 MiB instead of 2.
    """

    def __init__(self, size: int, spare: int) -> None:
        """`size`: bytes of each; `spare`: how many that nobody holds are kept."""
        self.size = size
        self._spare = spare
        self._all: list[NDArray[np.uint8]] = []

    def take(self) -> NDArray[np.uint8]:
        """`size` bytes that are nobody else's: those of an array that is no longer held, or new ones."""
        free = self._free()
        self._give_back(free[self._spare + 1 :])
        if free:
            return self._all[free[0]]
        self._all.append(np.frombuffer(mmap(-1, self.size), np.uint8))
        return self._all[-1]

    def trim(self) -> None:
        """Give back what is more than the spare. For whoever takes none: as it is let go of, nobody is told."""
        self._give_back(self._free()[self._spare :])

    def _free(self) -> list[int]:
        """Numbers of the arrays that nobody holds, ascending."""
        return [at for at in range(len(self._all)) if sys.getrefcount(self._all[at]) == _NOBODY]

    def _give_back(self, numbers: list[int]) -> None:
        for at in reversed(numbers):
            del self._all[at]
