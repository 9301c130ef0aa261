"""Where `:` goes: numbers, times, offsets, and what it says when there is no such place."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

import numpy as np
import pytest

from netwatch.capture.block import Batch
from netwatch.capture.columns import EVENT
from netwatch.capture.locate import LocateError, locate
from netwatch.capture.store import Store

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
        ("12:00:02", 4),
        ("12:00:02.25", 5),
        ("2023-11-15 12:00:03", 6),
        ("11:00", 0),
        ("2023-11-16 00:00", 10),  # later than all: the last
    ],
)
def test_finds(store: Store, text: str, index: int) -> None:
    assert locate(store, text, UTC) == index


@pytest.mark.parametrize(
    "text", ["", "0", "11", "99999999999999999999", "noon", "25:00", "2023-13-40 10:00", "+", "1.5"]
)
def test_says_what_it_wants(store: Store, text: str) -> None:
    with pytest.raises(LocateError) as caught:
        locate(store, text, UTC)
    assert "\n" not in str(caught.value)


def test_says_what_is_kept(store: Store) -> None:
    with pytest.raises(LocateError, match="packet 11 is not kept: 1 to 10 are"):
        locate(store, "11", UTC)


def test_nothing_yet() -> None:
    with pytest.raises(LocateError, match="no packets"):
        locate(Store(None), "1")
