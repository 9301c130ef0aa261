"""Where a person wants to go: a packet number or a time, as typed after `:`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from netwatch.capture.store import Store

__all__ = ["LocateError", "locate"]

_SECOND: Final = 1_000_000_000
_NUMBER: Final = re.compile(r"#?([0-9][0-9,_]{0,19})")
_OFFSET: Final = re.compile(r"([+-])([0-9]{1,10})(?:\.([0-9]{1,9}))?s?")
_CLOCK: Final = re.compile(
    r"(?:([0-9]{4})-([0-9]{2})-([0-9]{2})[T ])?([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
)


class LocateError(ValueError):
    """One line that says why there is no such place."""


def locate(store: Store, text: str, zone: tzinfo | None = None) -> int:
    """Row index that `text` names: `1234` a packet number; `+12.5` seconds after the first kept packet, `-3` before
    the last; `14:03:07.25`, with `2026-11-22 ` before it or the day of the last packet, in `zone` (None: local).

    A time gives the first row at or after it. Raises LocateError.
    """
    text = text.strip()
    if store.end <= store.first:
        raise LocateError("no packets yet")
    if match := _NUMBER.fullmatch(text):
        return _by_number(store, int(match[1].replace(",", "").replace("_", "")))
    if match := _OFFSET.fullmatch(text):
        distance = int(match[2]) * _SECOND + _fraction(match[3])
        first, last = _time(store, store.first), _time(store, store.end - 1)
        return _by_time(store, first + distance if match[1] == "+" else last - distance)
    if match := _CLOCK.fullmatch(text):
        return _by_time(store, _clock(match, _time(store, store.end - 1), zone))
    raise LocateError("a number, 14:03:07, +seconds or -seconds")


def _by_number(store: Store, number: int) -> int:
    first, last = store.number(store.first), store.number(store.end - 1)
    try:
        index = store.index(number)
    except (LookupError, ValueError):
        index = -1
    if not store.first <= index < store.end:
        raise LocateError(
            f"packet {number:,} is not kept" + (f": {first:,} to {last:,} are" if first and last else "")
        )
    return index


def _by_time(store: Store, moment: int) -> int:
    """The first row at or after `moment` (ns), else the last: clocks may jump back, so all chunks are looked at."""
    for start, rows in store.chunks(store.first):
        late = rows.ts >= moment
        if late.any():
            return start + int(np.argmax(late))
    return store.end - 1


def _time(store: Store, index: int) -> int:
    return int(store.rows(np.array([index])).ts[0])


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
    except ValueError as error:
        raise LocateError(f"no such time: {error}") from None
    return (date - datetime.fromtimestamp(0, UTC)) // timedelta(seconds=1) * _SECOND + _fraction(fraction)
