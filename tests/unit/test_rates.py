"""Rates: by the clock for live sources, by packet time for files; never negative, never not a number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netwatch.capture.columns import EVENT, INCOMING, OUTGOING, Columns
from netwatch.capture.rates import BITS, BITS_IN, BITS_OUT, HISTORY, PACKETS, FileRates, LiveRates, Rates
from netwatch.capture.stats import partial

MakeRows = Callable[..., Columns]

SECOND = 1_000_000_000


def feed(rates: Rates, rows: Columns) -> None:
    rates.add(rows, partial(rows))


def sane(rates: Rates) -> None:
    values = [rates.packets, rates.bits, rates.bits_in, rates.bits_out, rates.peak_packets, rates.peak_bits]
    assert np.isfinite(values).all()
    assert min(values) >= 0
    history = rates.history()
    assert history.shape[0] == 4
    assert history.shape[1] <= HISTORY
    assert np.isfinite(history).all()
    assert (history >= 0).all()


def rows_at(times: list[int], size: int = 100, marks: int = 0) -> Columns:
    rows = Columns.zeros(len(times))
    rows.ts[:] = times
    rows.wirelen[:] = size
    rows.marks[:] = marks
    return rows


@pytest.mark.parametrize("rates", [LiveRates(), FileRates()])
def test_before_the_first_packet(rates: Rates) -> None:
    rates.tick(1)
    feed(rates, rows_at([]))
    sane(rates)
    assert rates.packets == rates.peak_bits == 0
    assert not rates.history().any()


def test_live_is_what_arrived_over_the_time_that_passed() -> None:
    rates = LiveRates()
    rates.tick(100)
    feed(rates, rows_at([0] * 30, marks=INCOMING))
    feed(rates, rows_at([0] * 10, marks=OUTGOING))
    rates.tick(102)
    assert rates.packets == 20
    assert (rates.bits, rates.bits_in, rates.bits_out) == (16_000, 12_000, 4_000)
    assert rates.history().tolist() == [[20, 20], [16_000] * 2, [12_000] * 2, [4_000] * 2]
    rates.tick(103)
    assert rates.packets == rates.bits == 0
    assert rates.peak_packets == 20
    assert rates.peak_bits == 16_000
    assert rates.history()[PACKETS].tolist() == [20, 20, 0]


def test_live_does_not_heed_time_stamps_that_jump() -> None:
    rates = LiveRates()
    rates.tick(0)
    feed(rates, rows_at([5 * SECOND, 2**62, -(2**62), 0]))
    rates.tick(1)
    assert rates.packets == 4
    sane(rates)


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-5, 1000)), max_size=40))
def test_live_stays_sane_whatever_the_clock_does(steps: list[tuple[int, float]]) -> None:
    rates, now = LiveRates(), 0.0
    for n, step in steps:
        feed(rates, rows_at([0] * n))
        now += step
        rates.tick(now)
        sane(rates)


def test_live_history_is_a_ring() -> None:
    rates = LiveRates()
    rates.tick(0)
    for second in range(1, 2 * HISTORY):
        feed(rates, rows_at([0] * second))
        rates.tick(second)
    assert rates.history()[PACKETS].tolist() == list(range(HISTORY, 2 * HISTORY))
    rates.tick(100 * HISTORY)
    assert rates.history().shape == (4, HISTORY)


def test_a_file_has_its_own_time() -> None:
    rates = FileRates()
    start = 1_700_000_000 * SECOND
    feed(rates, rows_at([start + at * SECOND // 10 for at in range(100)], marks=INCOMING))
    feed(rates, rows_at([start + 20 * SECOND], marks=OUTGOING))
    feed(rates, rows_at([start + 7 * SECOND] * 3, marks=EVENT))
    rates.tick(1)
    sane(rates)
    assert rates.packets == pytest.approx(101 / 20)
    assert rates.bits == pytest.approx(101 * 800 / 20)
    assert rates.bits_in == pytest.approx(100 * 800 / 20)
    assert rates.bits_out == pytest.approx(800 / 20)
    assert rates.peak_packets == pytest.approx(10, rel=0.2)
    history = rates.history()
    assert 240 > history.shape[1] > 100
    assert history[PACKETS, :20].all(), "ten packets a second at the beginning"
    assert not history[PACKETS, -20:-1].any(), "silence before the last one"
    assert history[PACKETS, -1] > 0


@given(
    batches=st.lists(
        st.lists(st.one_of(st.integers(0, 10**10), st.integers(-(2**63), 2**63 - 1)), max_size=20), max_size=8
    )
)
@settings(max_examples=200, deadline=None)
def test_no_packet_falls_out_of_a_file_history(batches: list[list[int]]) -> None:
    rates = FileRates()
    for times in batches:
        feed(rates, rows_at(times, marks=INCOMING))
        sane(rates)
    times = [time for batch in batches for time in batch]
    history = rates.history()
    if not times:
        assert history.shape == (4, 0)
        return
    seconds = rates._width / SECOND
    assert (history[PACKETS] * seconds).sum() == pytest.approx(len(times))
    assert (history[BITS] * seconds).sum() == pytest.approx(len(times) * 800)
    assert history[BITS_IN].tolist() == history[BITS].tolist()
    assert not history[BITS_OUT].any()
    assert history[PACKETS, 0] > 0
    assert history[PACKETS, -1] > 0
    # Each packet stands in the bin of its time: the bins agree with counting.
    first = min(times)
    begin = rates._start + (first - rates._start) // rates._width * rates._width
    for at in range(history.shape[1]):
        low = begin + at * rates._width
        assert history[PACKETS, at] * seconds == pytest.approx(
            sum(low <= time < low + rates._width for time in times)
        )


def test_a_single_packet_has_no_rate() -> None:
    rates = FileRates()
    feed(rates, rows_at([SECOND]))
    assert rates.packets == 0
    assert rates.history().shape == (4, 1)
