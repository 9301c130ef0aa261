"""pcapng's clocks against exact integers."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from netwatch.capture.sources.ticks import Clock

LATEST = (1 << 63) - 1


def exact(tick: int, resolution: int, offset: int) -> int:
    """What the draft says, as far as the range goes."""
    units: int = (2 if resolution & 0x80 else 10) ** (resolution & 0x7F)
    return min(max(tick * 1_000_000_000 // units + offset * 1_000_000_000, -LATEST), LATEST)


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
    # The last second at the lower end is shown as the end.
    tolerance = 1_000_000_000 if expected < -LATEST + 1_000_000_000 else 0
    assert all(abs(time - expected) <= tolerance for time in times.tolist())


def test_a_clock_below_zero_is_beyond_the_range_and_not_before_1970() -> None:
    ticks = np.array([(1 << 64) - 506_574_713, 5], np.uint64)
    assert Clock(6, 0).nanoseconds(ticks).tolist() == [LATEST, 5000]
    assert Clock(9, -9_300_000_000).nanoseconds(np.array([1 << 63], np.uint64)).tolist() == [-76_627_963_145_224_192]
