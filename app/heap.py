"""How the C library manages the memory of numpy's arrays."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, Final

__all__ = ["keep_freed_memory", "return_freed_memory", "return_holes"]

# mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_LARGEST_FROM_HEAP: Final = 32 << 20
_KEPT: Final = 256 << 20
_LARGEST_IN_DASHBOARD: Final = 512 << 10
_KEPT_IN_DASHBOARD: Final = 2 << 20
_PAD_IN_DASHBOARD: Final = 512 << 10


def keep_freed_memory() -> None:
    """Let freed arrays be used again, where glibc would give them back to the kernel and ask for the same anew.

    Decoding makes and drops the same arrays for each block; page faults for them are a tenth of the time that a
    summary takes. Not for the dashboard, which wants evicted packets' memory to be free for others.
    """
    _set({_M_MMAP_THRESHOLD: _LARGEST_FROM_HEAP, _M_TRIM_THRESHOLD: _KEPT})


def return_freed_memory() -> None:
    """Let only some MiB of freed arrays wait to be used again: a dashboard runs for days beside other programs.

    Raw memory of batches and chunks is mapped on its own, so that it goes back when it is freed; what decoding makes
    and drops comes from the heap nevertheless. Call it once a decoder is made, which sets the same for itself.
    """
    _set(
        {
            _M_MMAP_THRESHOLD: _LARGEST_IN_DASHBOARD,
            _M_TRIM_THRESHOLD: _KEPT_IN_DASHBOARD,
            _M_TOP_PAD: _PAD_IN_DASHBOARD,
        }
    )


def return_holes() -> None:
    """Give back what is free between what is used, 5 to 15 MiB under a flood; 1 ms. Call it now and then.

    Packets' columns leave the heap in another order than what is made on the way between them: it does not become
    shorter, only emptier.
    """
    trim = _function("malloc_trim")
    if trim is not None:
        trim(_PAD_IN_DASHBOARD)


def _set(parameters: dict[int, int]) -> None:
    mallopt = _function("mallopt")
    if mallopt is not None:
        for parameter, value in parameters.items():
            mallopt(parameter, value)


@cache
def _function(name: str) -> Callable[..., Any] | None:
    """Of the C library; None where it is another one than glibc."""
    with contextlib.suppress(OSError, AttributeError):
        function: Callable[..., Any] = getattr(ctypes.CDLL(None), name)
        return function
    return None
