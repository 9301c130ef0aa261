"""What the screen may cost: a budget, and what a link takes, on a clock that the test turns."""

from __future__ import annotations

import pytest

from netwatch.app.link import Link, link_of
from netwatch.app.options import parse
from netwatch.capture.errors import CaptureError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take(link: Link, size: int) -> None:
    """The terminal takes it at once."""
    link.write(size)
    link.taken += size


def repaint(link: Link, clock: Clock, seconds: float, size: int) -> int:
    """Ask ten times a second, write `size` where a repaint is allowed -> bytes."""
    before = link.bytes
    for _ in range(round(seconds * 10)):
        clock.now += 0.1
        if not link.busy():
            take(link, size)
    return link.bytes - before


@pytest.mark.parametrize("budget", [8 << 10, 32 << 10])
@pytest.mark.parametrize("size", [300, 3000, 9000])
def test_the_mean_of_any_ten_seconds_stays_within_the_budget(clock: Clock, budget: int, size: int) -> None:
    link = Link(budget, clock=clock)
    take(link, 12_000)  # the first picture
    sums = [0]
    for _ in range(40):
        repaint(link, clock, 1, size)
        sums.append(link.bytes)
        assert sums[-1] - sums[max(0, len(sums) - 11)] <= 10 * budget + size
    assert link.mean == pytest.approx((sums[-1] - sums[-11]) / 10, rel=0.05)
    assert link.mean > min(0.7 * budget, 9.5 * size)


def test_a_key_s_answer_waits_for_no_budget_but_is_counted(clock: Clock) -> None:
    link = Link(8 << 10, clock=clock)
    take(link, 20_000)
    assert link.busy()
    assert link.room(awaited=False) == 0
    assert link.room(awaited=True) == float("inf")
    take(link, 8000)
    assert repaint(link, clock, 2, 100) == 0
    assert repaint(link, clock, 2, 100) > 0


def test_without_a_budget_there_is_room(clock: Clock) -> None:
    link = Link(clock=clock)
    assert repaint(link, clock, 1, 50_000) == 500_000


def test_what_the_terminal_did_not_take_holds_the_clock_up(clock: Clock) -> None:
    link = Link(clock=clock)
    link.write(100)
    assert link.waiting
    assert link.busy()
    link.taken += 100
    assert not link.busy()
    link.pending = True
    assert link.busy()


def test_full_buffers_tell_the_rate(clock: Clock) -> None:
    link = Link(clock=clock)
    take(link, 17_000)
    link.full(17_000, clock.now)
    assert link.rate is None
    clock.now += 1
    take(link, 2000)
    link.full(19_000, clock.now)
    assert link.rate == pytest.approx(1700)
    assert link.room(awaited=True) == 0
    clock.now += 12.3
    assert 0 < link.room(awaited=False) < link.room(awaited=True) < 600
    take(link, 150)
    link.paced(150)
    clock.now += 0.1
    assert link.room(awaited=False) == 0
    clock.now += 0.1
    assert link.room(awaited=False) > 0


def test_a_buffer_that_is_full_too_soon_lowers_the_rate(clock: Clock) -> None:
    link = Link(clock=clock)
    take(link, 17_000)
    link.full(17_000, clock.now)
    clock.now += 2
    take(link, 8000)
    link.full(25_000, clock.now)
    assert link.rate == pytest.approx(3400)
    clock.now += 6
    link.full(25_000, clock.now)
    assert link.rate == pytest.approx(3400 * 0.6)


def test_a_buffer_that_may_have_been_empty_meanwhile_tells_nothing(clock: Clock) -> None:
    link = Link(clock=clock)
    link.full(17_000, clock.now)
    clock.now += 2
    link.full(57_000, clock.now)
    assert link.rate is None


def test_a_terminal_that_hung_is_tried_anew(clock: Clock) -> None:
    link = Link(clock=clock)
    for _ in range(2):
        link.full(link.taken, clock.now)
        take(link, 2000)
        clock.now += 1
    assert link.rate is not None
    clock.now += 400
    assert link.room(awaited=False) == float("inf")


def answering(link: Link, clock: Clock, rate: float, trip: float, sizes: list[int]) -> None:
    """A terminal that takes `rate` bytes a second and answers."""
    free = clock.now
    for size in sizes:
        mark = link.ask()
        assert mark is not None
        take(link, size)
        link.asked(mark)
        free = max(free, clock.now) + size / rate
        clock.now = free + trip
        link.answer(mark, clock.now)


def test_answers_tell_the_rate_beyond_the_time_that_they_travel(clock: Clock) -> None:
    link = Link(32 << 10, far=True, clock=clock)
    answering(link, clock, 2000, 0.2, [10, 4000, 400, 400, 400])
    assert link.rate == pytest.approx(2000, rel=0.1)
    assert link.room(awaited=True) < 0.3 * 2300
    take(link, 600)
    assert link.room(awaited=True) < 100
    assert link.busy()


def test_a_fast_link_far_away_is_not_held_up(clock: Clock) -> None:
    link = Link(1 << 20, far=True, clock=clock)
    answering(link, clock, 10e6, 0.2, [10, 4000, 4000, 4000, 4000])
    assert link.rate is not None
    assert link.rate > 100_000
    assert link.room(awaited=False) > 20_000


def test_a_link_that_hung_is_not_slow_for_ever(clock: Clock) -> None:
    """So slow that there is room for fewer bytes than tell a rate."""
    link = Link(far=True, clock=clock)
    answering(link, clock, 1e6, 0.05, [10, 4000, 4000])
    for _ in range(4):
        answering(link, clock, 300, 0.05, [300])
    assert link.rate == pytest.approx(300, rel=0.2)
    for _ in range(30):
        clock.now += 0.35
        size = int(min(link.room(awaited=True), 1000))
        if size:
            answering(link, clock, 1e6, 0.05, [size])
    assert link.rate is not None
    assert link.rate > 20_000


def test_an_answer_that_is_late_holds_the_clock_up_and_one_that_is_lost_does_not_for_ever(clock: Clock) -> None:
    link = Link(32 << 10, far=True, clock=clock)
    answering(link, clock, 1e6, 0.05, [10, 1000])
    mark = link.ask()
    assert mark is not None
    take(link, 1000)
    link.asked(mark)
    clock.now += 0.2
    assert not link.busy()
    clock.now += 0.4
    assert link.busy()
    clock.now += 10
    assert not link.busy()
    link.answer(mark, clock.now)  # nobody asks for it any more


def test_an_answer_tells_which_question_it_belongs_to(clock: Clock) -> None:
    link = Link(32 << 10, far=True, clock=clock)
    marks = []
    for _ in range(3):
        mark = link.ask()
        assert mark is not None
        take(link, 100)
        link.asked(mark)
        marks.append(mark)
    assert len(set(marks)) == 3
    clock.now += 0.1
    link.answer(99, clock.now)
    link.answer(marks[2], clock.now)
    assert link.ask() is not None
    assert not link._questions


def test_a_far_terminal_that_never_answers_is_trusted_in_the_end(clock: Clock) -> None:
    link = Link(32 << 10, far=True, clock=clock)
    mark = link.ask()
    assert mark is not None
    take(link, 9000)
    link.asked(mark)
    clock.now += 0.5
    assert link.busy()
    assert link.room(awaited=True) == float("inf")
    clock.now += 3
    assert not link.busy()
    assert link.room(awaited=False) < 2000
    clock.now += 8
    assert link.room(awaited=False) == float("inf")


def test_nobody_asks_a_terminal_that_is_near_and_fast(clock: Clock) -> None:
    link = Link(clock=clock)
    assert link.ask() is None
    link.full(17_000, clock.now)
    assert link.ask() is not None


def test_ssh_has_a_budget_and_a_local_terminal_none() -> None:
    assert link_of(None, {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}).budget == 32 << 10
    assert link_of(None, {"SSH_TTY": "/dev/pts/3"}).far
    assert link_of(9000, {"SSH_TTY": "/dev/pts/3"}).budget == 9000
    assert link_of(None, {}).budget is None
    assert not link_of(9000, {}).far


def test_a_session_that_is_found_brings_a_budget_and_one_that_goes_takes_it_away(clock: Clock) -> None:
    link = Link(clock=clock)
    link.carried(over=True)
    assert (link.budget, link.far) == (32 << 10, True)
    link.carried(over=False)
    assert link.budget is None
    asked = Link(9000, clock=clock)
    for over in (True, False):
        asked.carried(over=over)
        assert asked.budget == 9000


def test_what_it_costs_is_told(clock: Clock) -> None:
    link = Link(8000, clock=clock)
    for _ in range(20):
        clock.now += 1
        take(link, 1500)
    assert "30.0kB so far, 1500B/s of late (10 s), at most 8000B/s" in link.words


def test_the_option_takes_a_rate() -> None:
    assert parse(["--link-budget", "8k"]).link_budget == 8 << 10
    assert parse([]).link_budget is None
    for wrong in ("0", "100", "fast"):
        with pytest.raises(CaptureError, match="link-budget"):
            parse(["--link-budget", wrong])
