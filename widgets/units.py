"""Numbers as the screen shows them: fixed width, fixed units, so that nothing jitters while they run."""

from __future__ import annotations

from typing import Final

__all__ = ["exact", "length", "mebibytes", "quantity", "rate", "short"]

_SUFFIXES: Final = "kMGTPE"


def _scaled(value: float, decimals: int) -> str:
    """`1.23k` `12.3k` `123k` with two decimals at most, `1.2k` `12k` `123k` with one."""
    for suffix in _SUFFIXES:
        value /= 1000
        for places in range(decimals, -1, -1):
            # Compared as it will be rounded: 999.96k must become 1.00M and not 1000k.
            if round(value, places) < (10 ** (decimals - places + 1) if places else 1000):
                return f"{value:.{places}f}{suffix}"
    return "∞"


def quantity(count: int) -> str:
    """At most five characters: `0` … `9999`, `12.3k`, `123k`, `1.23M`."""
    return str(count) if count < 10_000 else _scaled(count, 2)


def length(size: int) -> str:
    """At most five characters, exact while it fits: bytes of a packet."""
    return str(size) if size < 100_000 else _scaled(size, 2)


def short(count: int) -> str:
    """At most four characters: `0` … `999`, `1.2k`, `12k`, `123k`, `1.2M`."""
    return str(count) if count < 1000 else _scaled(count, 1)


def rate(value: float) -> str:
    """At most five characters, three significant digits: `0`, `999`, `1.23k`, `12.3M`."""
    whole = round(value)
    return str(whole) if whole < 1000 else _scaled(value, 2)


def exact(count: int) -> str:
    """`1,234,567`"""
    return f"{count:,}"


def mebibytes(size: int) -> str:
    """Whole MiB without the unit: the buffer's gauge."""
    return str(round(size / 1048576))
