"""Where a person wants to go: a packet number or a time, as typed after `:`."""

from __future__ import annotations

import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from netwatch.capture.store import Store

__all__ = [
    "SYNTAX",
    "LocateError",
    "Place",
    "at_time",
    "kept_times",
    "locate",
    "moment_of",
    "moved",
    "number_of",
    "time_of",
]

SYNTAX: Final = "1234   4m10s or 12.5 since start   -3 before the end   14:03:07"
"""What may be typed, for a prompt."""

_SECOND: Final = 1_000_000_000
_LATEST: Final = (1 << 63) - 1
_SET_BACK: Final = _SECOND
"""Nanoseconds: times that go back further are a clock that was set, and no step goes beyond."""
_NUMBER: Final = re.compile(r"#?([0-9][0-9,_]{0,19})")
_UNITS: Final = {"d": 86_400 * _SECOND, "h": 3_600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1_000_000}
_OFFSET: Final = re.compile(
    r"([+-]?)(?:([0-9]{1,4}) ?d ?)?(?:([0-9]{1,5}) ?h ?)?(?:([0-9]{1,7}) ?m(?:in)? ?)?"
    r"(?:([0-9]{1,10})(?:\.([0-9]{0,9}))? ?(s|ms)?)?"
)
_RUNNING: Final = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-9]{2})(?:\.([0-9]{1,9}))?")
_CLOCK: Final = re.compile(
    r"(?:([0-9]{4})-([0-9]{2})-([0-9]{2})[T ])?([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
)


class LocateError(ValueError):
    """One line that says why there is no such place."""


@dataclass(frozen=True, slots=True)
class Place:
    """A row, and what is to be said of it."""

    index: int
    note: str = ""
    """Why it is not quite what was asked for; empty if it is."""
    ahead: bool = False
    """It is still to come; `index` is that of the newest row."""


def locate(
    store: Store,
    text: str,
    zone: tzinfo | None = None,
    *,
    start: int | None = None,
    running: bool = False,
    until: int | None = None,
    complete: bool = False,
) -> Place:
    """The row that `text` names: `1234` a packet number; `2h02m20s`, `4m10`, `12.5`, with or without `+`, a time
    since `start` (ns; None: the first packet that is kept), `-3` before the last; `14:03:07.25`, with `2026-11-22 `
    before it or the day of the last packet, in `zone` (None: local).

    `running`: times are shown as such since the start, so that `4:10` is one where no packet has that time of day.
    `until`: up to when more will come, where that is known; `complete`: nothing will. A time gives the first row at
    or after it. Raises LocateError.
    """
    if store.end <= store.first:
        raise LocateError("there are no packets" if complete else "no packets yet")
    number = number_of(text)
    if number is not None:
        return Place(_by_number(store, number, complete))
    return _by_time(store, moment_of(store, text, zone, start=start, running=running, until=until))


def number_of(text: str) -> int | None:
    """The packet number that `text` is, if it is one."""
    match = _NUMBER.fullmatch(text.strip())
    return int(match[1].replace(",", "").replace("_", "")) if match is not None else None


def moment_of(
    store: Store,
    text: str,
    zone: tzinfo | None = None,
    *,
    start: int | None = None,
    running: bool = False,
    until: int | None = None,
) -> int:
    """The time that `text` names, as in `locate`, in nanoseconds since 1970. Raises LocateError.

    There must be packets.
    """
    text = text.strip()
    first, last = time_of(store, store.first), time_of(store, store.end - 1)
    start = first if start is None else start
    match = _OFFSET.fullmatch(text)
    if match is not None and any(match.groups()[1:5]):
        return _bounded(last - _distance(match) if match[1] == "-" else start + _distance(match))
    match = _CLOCK.fullmatch(text)
    since = _RUNNING.fullmatch(text) if running else None
    if since is not None:
        moment, end = start + _run(since), max(last, until or 0)
        if first <= moment <= end:
            with suppress(LocateError):
                if match is not None and first <= (of_day := _clock(match, last, zone)) <= end:
                    return of_day
            return moment
    if match is None:
        raise LocateError("a number, 4m10s, 12.5, -3 or 14:03:07")
    return _clock(match, last, zone)


def time_of(store: Store, index: int) -> int:
    """Nanoseconds since 1970 of a row. Raises IndexError if it is not kept."""
    # Not store.rows, which gathers all columns: this is asked several times a repaint.
    at = bisect_right(store.chunks_kept, index, key=lambda chunk: chunk.base) - 1
    if at < 0 or index not in store:
        raise IndexError(index)
    chunk = store.chunks_kept[at]
    return int(chunk.columns.ts[index - chunk.base])


def kept_times(store: Store) -> tuple[int, int] | None:
    """Times of the first and of the last row that are kept; None if there is none."""
    return None if store.end <= store.first else (time_of(store, store.first), time_of(store, store.end - 1))


def at_time(store: Store, moment: int) -> int | None:
    """The first row at or after `moment` (ns), None if all are earlier. Clocks may jump back: all are looked at."""
    for start, rows in store.chunks(store.first):
        late = rows.ts >= moment
        if late.any():
            return start + int(np.argmax(late))
    return None


def moved(store: Store, index: int, distance: int) -> int | None:
    """The row `distance` nanoseconds after the row `index`, before it if negative; None where the kept rows end.

    Where the clock was set back, a step ends there: times before and after it have no order.
    """
    moment = time_of(store, index) + distance
    return _after(store, index, moment) if distance > 0 else _before(store, index, moment)


def _after(store: Store, index: int, moment: int) -> int | None:
    """The first row behind `index` at or after `moment`."""
    for start, rows in store.chunks(index):
        stops = rows.ts >= moment
        stops[1:] |= np.diff(rows.ts) < -_SET_BACK
        stops = stops[max(index + 1 - start, 0) :]
        if stops.any():
            return max(start, index + 1) + int(np.argmax(stops))
    return None


def _before(store: Store, index: int, moment: int) -> int | None:
    """The first row of those directly before `index` that are at or after `moment`; at least one row back."""
    for chunk in reversed(store.chunks_kept):
        size = min(index - chunk.base, chunk.n)
        if size <= 0:
            continue
        ts = chunk.columns.ts[: min(size + 1, chunk.n)]
        stops = ts[:size] < moment
        stops[: len(ts) - 1] |= np.diff(ts) < -_SET_BACK
        if stops.any():
            return min(chunk.base + size - int(np.argmax(stops[::-1])), index - 1)
    return None


def _by_number(store: Store, number: int, complete: bool) -> int:
    # What may be asked for comes first: a narrow screen cuts the end.
    kept = f"kept: {store.number(store.first) or 0:,}-{store.packets:,}"
    if not number:
        raise LocateError("packets are counted from 1")
    try:
        index = store.index(number)
    except IndexError:
        raise LocateError(f"{kept}; no packet {number:,}{'' if complete else ' so far'}") from None
    if index not in store:
        raise LocateError(f"{kept}; packet {number:,} was evicted")
    return index


def _by_time(store: Store, moment: int) -> Place:
    index = at_time(store, moment)
    if index is None:
        return Place(store.end - 1, "later than all that is kept")
    if index == store.first and moment < time_of(store, index):
        return Place(index, "earlier than all that is kept")
    return Place(index)


def _distance(match: re.Match[str]) -> int:
    """Nanoseconds of an _OFFSET."""
    _, days, hours, minutes, whole, fraction, unit = match.groups()
    parts = zip((days, hours, minutes), ("d", "h", "m"), strict=True)
    distance = sum(int(digits or 0) * _UNITS[name] for digits, name in parts)
    return distance + (int(whole or 0) * _SECOND + _fraction(fraction)) * _UNITS[unit or "s"] // _SECOND


def _run(match: re.Match[str]) -> int:
    """Nanoseconds of a _RUNNING."""
    hours, minutes, seconds, fraction = match.groups()
    return int(hours or 0) * _UNITS["h"] + int(minutes) * _UNITS["m"] + int(seconds) * _SECOND + _fraction(fraction)


def _bounded(moment: int) -> int:
    """As far as times go."""
    return max(-_LATEST, min(moment, _LATEST))


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


def _clock(match: re.Match[str], near: int, zone: tzinfo | None) -> int:
    """Nanoseconds since 1970 of a clock time, on the day of `near` where no day is given."""
    year, month, day, hour, minute, second, fraction = match.groups()
    try:
        date = datetime.fromtimestamp(near // _SECOND, UTC).astimezone(zone)
        if year is not None:
            date = date.replace(year=int(year), month=int(month), day=int(day))
        date = date.replace(hour=int(hour), minute=int(minute), second=int(second or 0), microsecond=0)
        if zone is None:
            date = date.replace(tzinfo=None).astimezone()  # the offset of that day, not of today
    except (ValueError, OverflowError, OSError) as error:
        raise LocateError(f"no such time: {error}") from None
    return (date - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1) * _SECOND + _fraction(fraction)
