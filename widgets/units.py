"""Numbers as the screen shows them: fixed width, fixed units, so that nothing jitters while they run."""

from __future__ import annotations

from typing import Final

__all__ = [
    "byte_size",
    "elapsed",
    "exact",
    "lasting",
    "length",
    "mebibytes",
    "quantity",
    "rate",
    "short",
    "spaced",
    "step_of",
    "stretch",
]

_SUFFIXES: Final = "kMGTPE"
_STEPS: Final = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
"""Seconds of steps that sound like such."""


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


def byte_size(size: int) -> str:
    """`512 bytes`, `1.5 KiB`, `4.2 MiB`, `1.3 GiB`"""
    if size < 1024:
        return f"{size} bytes"
    value = float(size)
    for unit in ("KiB", "MiB"):
        value /= 1024
        if round(value, 1) < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} GiB"


def step_of(span: int) -> int:
    """Nanoseconds of one step along `span` of them: a round number, about a twentieth."""
    wanted = span / 19  # a recording of a minute is often a little shorter
    if wanted < 1_000_000_000:
        decade = 10 ** (len(str(max(int(wanted), 1))) - 1)
        return max((step for step in (decade, 2 * decade, 5 * decade) if step <= wanted), default=1)
    fitting = [step for step in _STEPS if step * 1_000_000_000 <= wanted]
    return fitting[-1] * 1_000_000_000 * max(int(wanted / (fitting[-1] * 1_000_000_000)), 1)


def elapsed(time: int, of: int) -> str:
    """Nanoseconds in the form that suits `of` of them: `12.3 ms`, `4.56 s`, `12m34s`, `1h02m03s`, `3d04h05m`.

    No colons, which are for times of day: what stands on the screen can be typed after `:`.
    """
    sign, time = ("-" if time < 0 else ""), abs(time)
    if of < 1_000_000_000:
        return f"{sign}{time / 1e6:.1f} ms"
    if of < 60_000_000_000:
        return f"{sign}{time / 1e9:.2f} s"
    minutes, seconds = divmod(time // 1_000_000_000, 60)
    if of < 3_600_000_000_000:
        return f"{sign}{minutes}m{seconds:02}s"
    hours, minutes = divmod(minutes, 60)
    if of < 86_400_000_000_000:
        return f"{sign}{hours}h{minutes:02}m{seconds:02}s"
    days, hours = divmod(hours, 24)
    return f"{sign}{days}d{hours:02}h{minutes:02}m"


def stretch(time: int) -> str:
    """A length of time in words, at most eight characters: `20 ms`, `10 s`, `5 min`, `2 h`, `3 d`."""
    for unit, size in (("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("min", 60_000_000_000)):
        if time >= 2 * size or time == size:
            return f"{time / size:.0f} {unit}"
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if time >= size:
            return f"{time / size:.0f} {unit}"
    return f"{time} ns"


def spaced(text: str) -> str:
    """`410k` as `410 k`: a number and its prefix, for who writes the unit out."""
    return f"{text[:-1]} {text[-1]}" if text[-1:].isalpha() else text


def lasting(time: int) -> str:
    """A length of time in nanoseconds, to be read at a glance: `870 ms`, `12.3 s`, `4 m 10 s`, `2 h 05 m`."""
    milliseconds = max(time, 0) // 1_000_000
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    seconds, tenths = divmod(milliseconds // 100, 10)
    for size, unit, part, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // part:02} {below}"
    return f"{seconds}.{tenths} s"
