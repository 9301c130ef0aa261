"""How the C library manages the memory of numpy's arrays."""

from __future__ import annotations

import contextlib
import ctypes
from typing import Final

__all__ = ["keep_freed_memory"]

# mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_FROM_HEAP: Final = 32 << 20
_KEPT: Final = 256 << 20


def keep_freed_memory() -> None:
    """Let freed arrays be used again, where glibc would give them back to the kernel and ask for the same anew.

    Decoding makes and drops the same arrays for each block; page faults for them are a tenth of the time that a
    summary takes. Not for the dashboard, which wants evicted packets' memory to be free for others.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
