"""How much memory there is to take."""

from __future__ import annotations

__all__ = ["available", "size_text"]


def available() -> int:
    """Bytes that can be taken without swapping (MemAvailable on Linux)."""
    # psutil costs some ms to import and only captures and big files ask.
    import psutil

    return int(psutil.virtual_memory().available)


def size_text(size: int) -> str:
    """`size` bytes as the options take it: `64M`, `1536K`, `100`."""
    for unit, letter in ((1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)
