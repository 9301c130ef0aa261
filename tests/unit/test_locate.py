"""Where `:` goes: numbers, times, offsets, and what it says when there is no such place."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT
from netwatch.capture.locate import LocateError, at_time, kept_times, locate, moved
from netwatch.capture.store import Store
from netwatch.widgets.units import elapsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from netwatch.capture.columns import Columns

NOON = 1_700_049_600  # 2023-11-15 12:00:00 UTC


@pytest.fixture
def store(make_rows: Callable[..., Columns]) -> Store:
    """Ten packets, half a second apart from noon on; row 4 is an event."""
    rows = make_rows(11)
    rows.ts[:] = NOON * 1_000_000_000 + np.arange(11) * 500_000_000
    rows.marks[4] = EVENT
    made = Store(None)
    made.append(Batch(rows, None))
    return made


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("1", 0),
        ("#4", 3),
        ("5", 5),  # the event before it has no number
        ("10", 10),
        ("+1.5", 3),
        ("+0", 0),
        ("-0.5", 9),
        ("1.5", 3),
        ("1.", 2),
        ("2s", 4),
        ("1500 ms", 3),
        ("0m02", 4),
        ("+0h00m02s", 4),
        ("0d00h", 0),
        ("1 min", 10),
        ("-0m01s", 8),
        ("+1.2", 3),  # between two packets: the next
        ("12:00:02", 4),
        ("12:00:02.25", 5),
        ("2023-11-15 12:00:03", 6),
        ("11:00", 0),
        ("2023-11-16 00:00", 10),  # later than all: the last
    ],
)
def test_finds(store: Store, text: str, index: int) -> None:
    assert locate(store, text, UTC).index == index


def test_offsets_count_from_where_the_time_column_does(store: Store) -> None:
    assert locate(store, "+1.5", UTC, start=NOON * 1_000_000_000 - 500_000_000).index == 2


@pytest.mark.parametrize(
    ("text", "index"),
    [("0:02", 4), ("0:00:01.5", 3), ("12:00:02", 4), ("12:00", 0), ("11:00", 0), ("13:00", 10), ("0:04", 8)],
)
def test_a_colon_is_for_a_time_of_day_or_else_one_since_the_start_where_those_are_shown(
    store: Store, text: str, index: int
) -> None:
    assert locate(store, text, UTC, running=True).index == index


def test_what_the_screen_shows_can_be_typed(make_rows: Callable[..., Columns]) -> None:
    rows = make_rows(50)
    rows.ts[:] = NOON * 1_000_000_000 + np.arange(50) * 3_725_000_000_000
    store = Store(None)
    store.append(Batch(rows, None))
    for span in (1, 3_000_000_000_000, 80_000_000_000_000, 200_000_000_000_000):
        for index in (0, 2, 20, 49):
            distance = index * 3_725_000_000_000
            if span > 86_400_000_000_000:
                distance -= distance % 60_000_000_000
            assert locate(store, elapsed(distance, span)).index == index


@pytest.mark.parametrize(
    ("text", "index", "note"),
    [
        ("11:00", 0, "earlier than"),
        ("13:00", 10, "later than"),
        ("+99", 10, "later than"),
        ("-99", 0, "earlier than"),
    ],
)
def test_says_what_lies_outside_of_what_is_kept(store: Store, text: str, index: int, note: str) -> None:
    place = locate(store, text, UTC)
    assert place.index == index
    assert place.note.startswith(note)


def test_a_clock_that_jumps_back_is_searched_to_its_end(make_rows: Callable[..., Columns]) -> None:
    rows = make_rows(6)
    rows.ts[:] = [100, 200, 300, 10, 20, 400]
    store = Store(None)
    store.append(Batch(rows, None))
    assert [at_time(store, moment) for moment in (0, 15, 250, 350, 500)] == [0, 0, 2, 5, None]
    assert kept_times(store) == (100, 400)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "11",
        "99999999999999999999",
        "noon",
        "25:00",
        "2023-13-40 10:00",
        "+",
        "1,5",
        "1.5.2",
        "9999-99-99 99:99",
        "12:00:99",
    ],
)
def test_says_what_it_wants(store: Store, text: str) -> None:
    with pytest.raises(LocateError) as caught:
        locate(store, text, UTC)
    assert "\n" not in str(caught.value)


def test_says_what_is_kept(store: Store) -> None:
    with pytest.raises(LocateError, match=r"kept: 1-10; no packet 11 so far$"):
        locate(store, "11", UTC)
    with pytest.raises(LocateError, match=r"kept: 1-10; no packet 11$"):
        locate(store, "11", UTC, complete=True)


def test_says_what_was_evicted(make_rows: Callable[..., Columns]) -> None:
    store = Store(1 << 20)
    for _ in range(40):
        store.append(Batch(make_rows(1000), np.zeros(64_000, np.uint8)))
    assert store.first > 0
    with pytest.raises(LocateError, match=rf"kept: {store.first + 1:,}-40,000; packet 1 was evicted"):
        locate(store, "1", UTC)
    middle = (store.first + store.end) // 2
    store.pin(np.array([store.first, middle]), middle)
    pinned = store.first
    for _ in range(40):
        store.append(Batch(make_rows(1000), np.zeros(64_000, np.uint8)))
    assert store.first == pinned
    hole = next(index for index in range(pinned, store.end) if index not in store)
    with pytest.raises(LocateError, match="was evicted"):
        locate(store, str(hole + 1), UTC)


def test_nothing_yet() -> None:
    with pytest.raises(LocateError, match="no packets"):
        locate(Store(None), "1")


def stored(make_rows: Callable[..., Columns], times: list[int]) -> Store:
    rows = make_rows(len(times))
    rows.ts[:] = np.array(times) * 1_000_000_000
    store = Store(None)
    for start in range(0, len(times), 4):
        store.append(Batch(rows.take(slice(start, start + 4)), None))
    return store


@pytest.mark.parametrize(
    ("index", "seconds", "expected"),
    [
        (0, 3, 3),
        (0, 100, None),
        (5, -2, 3),
        (5, -100, None),
        (5, -1, 4),
        (9, 1, None),
        (9, -1, 8),
        (0, -1, None),
        (6, 1, 7),
        (8, -3, 6),  # between two packets: the later one
    ],
)
def test_steps_in_time(make_rows: Callable[..., Columns], index: int, seconds: int, expected: int | None) -> None:
    store = stored(make_rows, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13])
    assert moved(store, index, seconds * 1_000_000_000) == expected


def test_a_step_ends_where_the_clock_was_set(make_rows: Callable[..., Columns]) -> None:
    store = stored(make_rows, [100, 101, 102, 103, 104, 5, 6, 7, 8, 9])
    second = 1_000_000_000
    assert moved(store, 3, 100 * second) == 5
    assert moved(store, 8, -2 * second) == 6
    assert moved(store, 8, -50 * second) == 5
    assert moved(store, 5, -50 * second) == 4
    assert moved(store, 4, -2 * second) == 2
    assert moved(store, 6, 100 * second) is None
