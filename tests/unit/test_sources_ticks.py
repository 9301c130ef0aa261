"""pcapng's clocks against exact integers."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.capture.sources.ticks import Clock

LATEST = (1 << 63) - 1


def exact(tick: int, resolution: int, offset: int) -> int:
    """What the draft says, for ticks that fit; the rest as Clock promises."""
    units: int = (2 if resolution & 0x80 else 10) ** (resolution & 0x7F)
    time = tick * 1_000_000_000 // units
    if time > LATEST and tick >= 1 << 63:
        time = (tick - (1 << 64)) * 1_000_000_000 // units
    seconds = min(max(offset * 1_000_000_000, -LATEST), LATEST)
    return min(max(min(max(time, -LATEST), LATEST) + seconds, -LATEST), LATEST)


@given(
    tick=st.integers(0, (1 << 64) - 1) | st.integers(0, 1 << 40),
    resolution=st.integers(0, 255),
    offset=st.just(0) | st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-100_000, 100_000),
)
@example(tick=(1 << 64) - 1, resolution=0x80 | 30, offset=0)
@example(tick=(1 << 64) - 1, resolution=0x80 | 31, offset=0)
@example(tick=(1 << 64) - 1, resolution=0x80 | 34, offset=0)
@example(tick=(1 << 64) - 1, resolution=6, offset=0)
@example(tick=(1 << 63) - 1, resolution=0, offset=1)
@example(tick=1 << 63, resolution=0, offset=0)
def test_exact(tick: int, resolution: int, offset: int) -> None:
    times = Clock(resolution, offset).nanoseconds(np.array([tick, tick], np.uint64))
    assert times.dtype == np.int64
    expected = exact(tick, resolution, offset)
    # Where the range ends, what is shown is within two seconds of it.
    edge = max(abs(expected), abs(exact(tick, resolution, 0))) > LATEST - 4_000_000_000
    tolerance = 2_000_000_000 if edge else 0
    assert all(abs(time - expected) <= tolerance for time in times.tolist())


def test_a_clock_below_zero() -> None:
    ticks = np.array([(1 << 64) - 506_574_713, 5], np.uint64)
    assert Clock(6, 0).nanoseconds(ticks).tolist() == [-506_574_713_000, 5000]
