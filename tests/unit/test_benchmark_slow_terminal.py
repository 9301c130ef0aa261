"""The slow terminal of the benchmarks: it takes what it should, and says where its cursor is if it should."""

from __future__ import annotations

import time

import pytest
from benchmarks.slow_terminal import BURST, Drained

_PATIENCE = 20.0
_ASK = (
    "bash",
    "-c",
    r"stty raw -echo; printf '%0300d\033[1;1Hab\033[6n'; IFS= read -rd R -t 2 answer; printf 'got %s.' ${answer:2}",
)


@pytest.mark.parametrize("takes_all", [False, True])
@pytest.mark.parametrize("answers", [False, True])
def test_it_takes_little_at_a_time_and_answers_if_it_should(*, answers: bool, takes_all: bool) -> None:
    terminal = Drained(_ASK, 1000, answers=answers, takes_all=takes_all)
    try:
        sizes, deadline = [], time.monotonic() + _PATIENCE
        while "got" not in terminal.screen.line(0) or "." not in terminal.screen.line(0):
            assert time.monotonic() < deadline, terminal.screen.line(0)
            run = terminal.read(0.1)
            if run is not None:
                sizes.append(run.size)
    finally:
        terminal.kill()
    assert max(sizes) <= 1000 * BURST
    assert sum(sizes) == terminal.size > 300
    assert ("got 1;3." in terminal.screen.line(0)) == answers
