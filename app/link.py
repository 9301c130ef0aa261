"""What the screen may cost the link that it is watched over, and how much of it is still under way.

Two things hold back what the clock repaints. A token bucket, where there is a budget: what netwatch may cost. And
what the link takes: what was written and is not seen yet delays the answer to the next key, so no more of it is
under way than arrives within some tenths of a second. Nobody tells how much that is: sshd reads all at once and
holds megabytes, a pseudo-terminal 16 KiB. Two signs remain: the terminal's own answers to questions among what is
written (DSR 6, ECMA-48 8.3.35), and writes that find no room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final, NamedTuple

from netwatch.widgets.units import quantity

__all__ = ["Link", "link_of"]

_SSH_BUDGET: Final = 32 << 10
"""Bytes a second over SSH, where nobody says otherwise."""
PERIOD: Final = 10.0
"""Seconds over which the mean has to stay within the budget."""

_TOGETHER: Final = 0.1
"""Seconds whose bytes are summed up in one."""
_FLOW: Final = 0.9
"""Part of the budget that flows into the bucket; it holds what comes to PERIOD together with that."""
_HELD: Final = 1.0
"""Seconds of the budget that the bucket holds."""
_UNDER_WAY: Final = 0.3
"""Seconds of what the link takes that may be under way."""
_ANSWER: Final = 600
"""Bytes of a key's answer: two rows in other colours. Room for them is left …"""
_LEAST: Final = 0.06
"""… as far as this many seconds remain."""
_SLOW: Final = 16 << 10
"""Bytes a second; on such a link the clock is silent after a key, and leaves half of it idle."""
_AFTER_KEY: Final = 0.4
_PTY: Final = 20 << 10
"""Bytes that a pseudo-terminal which has no room any more holds (Linux: 16 KiB and 4 KiB of its reader)."""
_CAUTION: Final = 0.85
"""Of a rate that only full buffers tell: too high, it would fill them again."""
_LESS: Final = 0.6
"""What is left of a rate when a buffer is full that should not be."""
_FORGOTTEN: Final = (300.0, 5.0)
"""Seconds without a full buffer after which a slow link, and any other, is tried anew."""
_FULL: Final = (1.0, 5.0)
"""Seconds between two full buffers, at least and at most, from which the rate is found …"""
_FULL_BYTES: Final = (512, 16_000)
"""… and bytes that went in between: with more the buffer may have been empty meanwhile, and waited."""
_UNKNOWN: Final = 4 << 10
"""Bytes a second that a far terminal is trusted with until it has answered …"""
_SILENT: Final = 10.0
"""… or this many seconds have passed: then it does not answer at all, or this question is lost."""
_SAMPLE: Final = 200
"""Bytes without which an answer does not tell that a link is slow."""
_JITTER: Final = 0.02
_SOON: Final = 0.02
_QUESTIONS: Final = 16


class _Question(NamedTuple):
    mark: int
    sent: float
    position: int
    """Bytes written before it and with it."""


class Link:
    """Counts what is written; all times are those of `clock`, in seconds."""

    def __init__(
        self, budget: int | None = None, *, far: bool = False, clock: Callable[[], float] = monotonic
    ) -> None:
        """`budget`: bytes a second; `far`: a network is between, and the terminal is asked how far it got."""
        self.bytes = 0
        """Written in all."""
        self.pending = False
        """Part of the newest picture still waits."""
        self.handed = 0
        """Bytes for the thread that writes …"""
        self.taken = 0
        """… and those that the terminal took, as that thread counts them."""
        self.rate: float | None = None
        """Bytes a second that arrive; None: no limit is known."""
        self._clock = clock
        self._began = clock()
        self._sums = deque([(self._began, 0)])
        """When, and bytes in all until then."""
        self._filled = self._began
        self._expected = 0.0
        """Bytes that a repaint by the clock takes, and those written since the last one began."""
        self._since = 0
        self._under_way = 0.0
        self._counted = self._began
        self._quiet_until = 0.0
        self._key = -_AFTER_KEY
        self._was_full: tuple[float, int] | None = None
        self._questions: deque[_Question] = deque()
        self._answered: tuple[float, int] | None = None
        self._round_trip = 0.0
        self._samples: deque[tuple[int, float]] = deque(maxlen=4)
        """Bytes, and the seconds in which they arrived."""
        self._asked_for = budget
        self._told = far
        self.far = False
        self.budget = budget
        self._tokens = (budget or 0) * _HELD
        self.carried(over=far)

    def carried(self, *, over: bool) -> None:
        """Whether a session was found that carries the terminal; tmux may be attached from elsewhere at any time."""
        far = over or self._told
        if far != self.far:
            self.far, self.budget = far, self._asked_for or (_SSH_BUDGET if far else None)
            self._began = self._filled = self._clock()
            self._tokens = (self.budget or 0) * _HELD
            self._answered, self.rate = None, float(_UNKNOWN) if far else None
            self._questions.clear()

    # What it costs

    def write(self, size: int) -> None:
        """`size` bytes are handed to the terminal."""
        now = self._clock()
        self._under_way = self.under_way + size
        self._counted = now
        self._flow_in(now)
        self._tokens -= size
        self._since += size
        self.bytes += size
        self.handed += size
        if len(self._sums) > 1 and now - self._sums[-1][0] < _TOGETHER:
            self._sums[-1] = (self._sums[-1][0], self.bytes)
        else:
            self._sums.append((now, self.bytes))
        self._forget_sums(now)

    @property
    def mean(self) -> float:
        """Bytes a second, of the last ten."""
        now = self._clock()
        self._forget_sums(now)
        return (self.bytes - self._sums[0][1]) / min(PERIOD, max(1.0, now - self._sums[0][0]))

    @property
    def words(self) -> str:
        """One line for the person."""
        words = f"The screen cost {quantity(self.bytes)}B so far, {quantity(round(self.mean))}B/s of late (10 s)"
        if self.budget is not None:
            words += f", at most {quantity(self.budget)}B/s but for keys (--link-budget)"
        if self.rate is not None and self.rate < _SLOW:
            words += f"; the terminal takes about {quantity(round(self.rate))}B/s"
        return f"{words}. Only what changes is written."

    def _forget_sums(self, now: float) -> None:
        while len(self._sums) > 1 and self._sums[1][0] <= now - PERIOD:
            self._sums.popleft()

    def _flow_in(self, now: float) -> None:
        if self.budget is not None:
            held = self.budget * _HELD
            self._tokens = min(held, self._tokens + max(0.0, now - self._filled) * self.budget * _FLOW)
        self._filled = max(now, self._filled)

    # Whether there is room

    @property
    def waiting(self) -> bool:
        """The terminal is slower than the screen changes: what is written now would block."""
        return self.handed > self.taken

    @property
    def under_way(self) -> float:
        """Bytes that have probably not arrived."""
        if self.rate is None:
            return 0.0
        return max(0.0, self._under_way - (self._clock() - self._counted) * self.rate)

    def press(self) -> None:
        """A key: the clock's repaints yield to its answer."""
        self._key = self._clock()

    def busy(self) -> bool:
        """Whether the clock should leave out a repaint."""
        now = self._clock()
        if self.pending or self.waiting or self.room(awaited=False) <= 0:
            return True
        if self.rate is not None and self.rate < _SLOW and now - self._key < _AFTER_KEY:
            return True
        self._flow_in(now)
        if self.budget is not None and self._tokens < min(self._expected, self.budget * _HELD):
            return True
        self._expected = self._since if not self._expected else 0.7 * self._expected + 0.3 * self._since
        self._since = 0
        return False

    def room(self, *, awaited: bool) -> float:
        """Bytes that may be written now; `awaited`: a person waits for them, and no budget counts."""
        now = self._clock()
        self._look_back(now)
        if awaited:
            if self.rate is None or (self.far and self._answered is None):
                return float("inf")
            return max(0.0, self.rate * _UNDER_WAY - self.under_way)
        self._flow_in(now)
        if (self.budget is not None and self._tokens <= 0) or now < self._quiet_until or self._late(now):
            return 0.0
        if self.rate is None:
            return float("inf")
        seconds = max(_LEAST, _UNDER_WAY - _ANSWER / self.rate)
        return max(0.0, self.rate * seconds - self.under_way)

    def paced(self, size: int) -> None:
        """`size` of what was written was for the clock: on a slow link as much time is left for keys."""
        if self.rate is not None and self.rate < _SLOW:
            self._quiet_until = self._clock() + 2 * size / self.rate

    def _late(self, now: float) -> bool:
        """An answer should be there: more is under way than it seemed."""
        if self._answered is None or not self._questions:
            return False
        return now - self._questions[0].sent > self._round_trip + _UNDER_WAY

    # What it takes

    def _look_back(self, now: float) -> None:
        """Nothing is for ever: questions that are lost, a terminal that never answers, one that hung."""
        if self._questions and now - self._questions[0].sent > _SILENT:
            self._questions.clear()
        if self.far and self._answered is None:
            if self.rate == _UNKNOWN and now - self._began > _SILENT:
                self.rate = None
        elif self._answered is None and self._was_full is not None:
            slow = self.rate is not None and self.rate < _SLOW
            if now - self._was_full[0] > _FORGOTTEN[0 if slow else 1]:
                self._was_full = self.rate = None

    def full(self, taken: int, now: float) -> None:
        """The terminal had no room any more at `now`, when it had taken `taken` bytes in all."""
        if self._was_full is None:
            self._was_full = (now, taken)
        if self._answered is not None:
            return
        if self.rate is not None and self.under_way < _PTY / 2 and now - self._was_full[0] > _FULL[0]:
            self.rate *= _LESS
        seconds, size = now - self._was_full[0], taken - self._was_full[1]
        if seconds >= _FULL[0]:
            self._was_full = (now, taken)
            if seconds <= _FULL[1] and _FULL_BYTES[0] <= size <= _FULL_BYTES[1]:
                self.rate = min(size / seconds * _CAUTION, self.rate or float("inf"))
        self._under_way, self._counted = float(_PTY + self.handed - taken), now

    def ask(self) -> int | None:
        """The mark for a question that goes with the next bytes; None: none is needed."""
        if not (self.far or self._was_full is not None) or len(self._questions) >= _QUESTIONS:
            return None
        return (self._questions[-1].mark + 1) % _QUESTIONS if self._questions else 1

    def asked(self, mark: int) -> None:
        """The question is written, the last of all bytes so far."""
        self._questions.append(_Question(mark, self._clock(), self.bytes))

    def answer(self, mark: int, at: float) -> None:
        """The terminal got as far as that question; its answer came at `at`."""
        if all(question.mark != mark for question in self._questions):
            return
        while (question := self._questions.popleft()).mark != mark:
            pass
        trip = at - question.sent
        before = self._answered
        # It may get slower for good: the least of all grows a little with each.
        self._round_trip = trip if before is None else min(trip, self._round_trip * 1.01)
        self._answered = (at, question.position)
        if before is not None:
            size = question.position - before[1]
            seconds = max(at - max(question.sent + self._round_trip, before[0]), _JITTER)
            # Few bytes tell that a link is faster than it was: where it was so slow that there is room for few.
            faster = self.rate is not None and before[0] <= question.sent and size / seconds > self.rate
            if size >= _SAMPLE or faster:
                self._samples.append((size, seconds))
                self.rate = sum(sample[0] for sample in self._samples) / sum(sample[1] for sample in self._samples)
        elif self.rate == _UNKNOWN:
            self.rate = None
        if self.rate is not None:
            arrived_since = self.rate * self._round_trip / 2  # while the answer was on its way
            self._under_way = max(0.0, self.bytes - question.position - arrived_since)
            self._counted = self._clock()

    def wait(self) -> float:
        """Seconds after which there may be room again, for what waits longest."""
        now = self._clock()
        if self._late(now):
            return _LEAST  # the answer will be noticed
        seconds = self._quiet_until - now
        if self.budget is not None:
            seconds = max(seconds, -self._tokens / (self.budget * _FLOW))
        if self.rate is not None:
            seconds = max(seconds, self.under_way / self.rate - _LEAST)
        return min(max(seconds, _SOON), 1.0)


def link_of(budget: int | None, environment: Mapping[str, str]) -> Link:
    """The link of this terminal: over SSH it has a budget, `budget` if one was asked for."""
    far = any(environment.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
    return Link(budget, far=far)
