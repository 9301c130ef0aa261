"""The clock of a replay, under a clock that the test turns."""

from __future__ import annotations

import math

import pytest

from netwatch.capture.pace import LONGEST_WAIT, SPEEDS, Pace

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def started(clock: Clock, speed: float = 1.0) -> Pace:
    """The first packet was due, and given out."""
    pace = Pace(speed, clock=clock)
    assert pace.due(0) >= 0
    pace.serve(0)
    return pace


@pytest.mark.parametrize("speed", [0.1, 1.0, 10.0, 3.5])
def test_time_goes_by_at_the_speed(clock: Clock, speed: float) -> None:
    pace = started(clock, speed)
    next_due = int(2 * speed * SECOND)
    assert pace.due(next_due) < next_due
    assert pace.wait(next_due) == pytest.approx(2.0)
    clock.now += 1.5
    assert pace.due(next_due) == pytest.approx(1.5 * speed * SECOND)
    assert pace.wait(next_due) == pytest.approx(0.5)
    clock.now += 0.5
    assert pace.due(next_due) >= next_due - 1
    assert pace.seconds() == pytest.approx(2 * speed)


def test_without_a_bound_nothing_is_waited_for(clock: Clock) -> None:
    pace = started(clock, math.inf)
    assert pace.due(1 << 60) >= 1 << 60
    assert pace.wait(1 << 60) == 0
    assert pace.waits() is None


def test_a_pause_stops_the_clock(clock: Clock) -> None:
    pace = started(clock)
    clock.now += 1
    pace.pause()
    clock.now += 1000
    assert pace.paused
    assert pace.due(1) < 0, "not even what was due before"
    assert pace.wait(SECOND * 3) == math.inf
    assert pace.waits() is None
    assert pace.seconds() == pytest.approx(1)
    pace.changed.clear()
    pace.go_on()
    assert pace.changed.is_set()
    assert pace.wait(3 * SECOND) == pytest.approx(2)


def test_a_new_speed_holds_from_now_on(clock: Clock) -> None:
    pace = started(clock)
    clock.now += 2
    pace.speed = 10.0
    clock.now += 1
    assert pace.due(20 * SECOND) == 12 * SECOND
    pace.speed = math.inf
    pace.due(15 * SECOND)
    pace.serve(15 * SECOND)
    pace.speed = 1.0
    clock.now += 1
    assert pace.due(20 * SECOND) == 16 * SECOND


def test_the_keys_step_through_the_speeds() -> None:
    pace = Pace(3.0)
    pace.faster(True)
    assert pace.words == "5x"
    pace.faster(False)
    assert pace.words == "2x"
    for _ in SPEEDS:
        pace.faster(True)
    assert pace.words == "max"
    for _ in SPEEDS:
        pace.faster(False)
    assert pace.words == "0.1x"


def test_a_long_gap_is_shortened_and_said(clock: Clock) -> None:
    pace = started(clock)
    after = 3 * 86_400 * SECOND
    pace.due(after)
    waits = pace.waits()
    assert waits is not None
    assert waits[0] == pytest.approx(LONGEST_WAIT)
    assert waits[1] == after
    clock.now += LONGEST_WAIT
    assert pace.due(after) >= after
    pace.serve(after)
    assert pace.waits() is None
    assert pace.seconds() == pytest.approx(LONGEST_WAIT), "rates are over what was waited for"


def test_a_gap_of_ten_seconds_is_waited_for_in_full(clock: Clock) -> None:
    pace = started(clock, 10.0)
    assert pace.due(int(99.0 * SECOND)) == 0
    assert pace.wait(int(99.0 * SECOND)) == pytest.approx(9.9)


def test_who_was_asleep_goes_on_from_where_it_was(clock: Clock) -> None:
    pace = started(clock)
    clock.now += 3600
    assert pace.due(2 * SECOND) == 2 * SECOND
    assert pace.wait(3 * SECOND) == pytest.approx(1)


def test_running_on_plays_at_once_up_to_there_and_adds_up(clock: Clock) -> None:
    pace = started(clock)
    pace.run_on(10 * SECOND)
    pace.run_on(10 * SECOND)
    assert pace.due(19 * SECOND) == 20 * SECOND
    pace.serve(19 * SECOND)
    assert pace.due(21 * SECOND) < 21 * SECOND
    assert pace.wait(21 * SECOND) == pytest.approx(2)


def test_running_on_passes_a_gap_and_keeps_a_pause(clock: Clock) -> None:
    pace = started(clock)
    pace.due(60 * SECOND)
    pace.pause()
    pace.run_on(SECOND)
    assert pace.due(60 * SECOND) >= 60 * SECOND
    pace.serve(60 * SECOND)
    assert pace.due(61 * SECOND) < 0
    assert pace.paused


def test_running_on_to_a_number_counts_what_a_filter_leaves(clock: Clock) -> None:
    pace = started(clock)
    pace.pause()
    pace.run_until(11)
    assert pace.owed() == 10
    pace.serve(SECOND, 10)
    pace.rejected(4)
    assert pace.owed() == 4
    pace.serve(2 * SECOND, 4)
    assert pace.owed() == 0
    assert pace.paused
    pace.run_until(99)
    pace.pause()
    assert pace.owed() == 0


def test_the_end_stops_the_clock(clock: Clock) -> None:
    pace = started(clock)
    pace.due(SECOND)
    clock.now += 1
    pace.serve(SECOND)
    pace.finish()
    clock.now += 100
    assert pace.seconds() == pytest.approx(1)
    assert pace.waits() is None
