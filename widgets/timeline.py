"""The line above the keys: how far a file is read, or where in the time that is kept the list stands.

Always one line, so that nothing moves when a file has been read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from netwatch.capture.locate import kept_times, time_of
from netwatch.widgets.painting import Piece, fit_left, line, width_of
from netwatch.widgets.pane import Lines
from netwatch.widgets.units import elapsed, exact, quantity, rate, step_of, stretch

if TYPE_CHECKING:
    from collections.abc import Callable

    from netwatch.capture.pace import Pace
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.header import RunState
    from netwatch.widgets.packet_list import PacketList
    from netwatch.widgets.palette import Look

__all__ = ["Timeline"]

_SHORTEST: Final = 10
"""Cells of the bar; words leave before it becomes shorter."""
_MEASURED: Final = 3.0
"""Seconds over which the speed of reading is taken."""
_FORECAST: Final = 0.5
"""Seconds of reading before which nothing is said of the time left."""
_WORTH_SKIPPING: Final = 2.0
"""Seconds without a packet from which on a replay says how to skip them."""
_BLIND_STEP: Final = 10_000_000_000
"""Nanoseconds of a step of a replay whose times say nothing."""


class _Word(NamedTuple):
    """Words beside the bar."""

    rank: int
    """The lowest gets room first."""
    text: str
    role: str = "dim"
    key: str = ""
    """Stands before the text."""
    action: str = ""
    """What a click does."""


_SPEED_WORDS: Final = (
    _Word(4, "slower", key="-", action="speed(False)"),
    _Word(4, "faster", key="+", action="speed(True)"),
)
_SHORT_SPEED: Final = (_Word(4, "speed", key="- +"),)
_NARROW: Final = 72
"""Columns below which the keys for the speed share a word: one of them alone would mislead."""


class Timeline(Lines):
    """A bar with words at both ends. A click on the bar travels there, one on a key does what the key does."""

    DEFAULT_CSS = "Timeline { width: 1fr; height: 1; }"

    @dataclass
    class Sought(Message):
        """The bar was clicked, at `share` (0 to 1) of it."""

        timeline: Timeline
        share: float

        @property
        def control(self) -> Timeline:
            return self.timeline

    @dataclass
    class Chosen(Message):
        """A key beside the bar was clicked."""

        timeline: Timeline
        action: str

        @property
        def control(self) -> Timeline:
            return self.timeline

    def __init__(
        self,
        session: Session,
        look: Look,
        display: Display,
        state: RunState,
        packets: PacketList,
        *,
        clock: Callable[[], float] = monotonic,
        id: str | None = None,
    ) -> None:
        super().__init__(look, id=id)
        self.session = session
        self.display_as = display
        self.state = state
        self._packets = packets
        self._clock = clock
        self._read: deque[tuple[float, int, int]] = deque()
        """Moments of the last seconds, bytes read and packets there were."""
        self._bar = range(0)
        self._spans: list[tuple[range, str]] = []

    @property
    def span(self) -> tuple[int, int] | None:
        """Times at the ends of the bar, nanoseconds since 1970; None before the first packet.

        What is kept; of a replay, up to where the file ends. Where its end is not known, it is reckoned from the
        bytes that were read.
        """
        kept = kept_times(self.session.store)
        pace = self._pace
        if kept is None or pace is None:
            return kept
        first, head = kept
        if pace.end is not None:
            return first, max(head, pace.end)
        read, size = self.state.progress(self.session.source) or (1, 1)
        return first, first + int((head - first) * max(size / max(read, 1), 1.0))

    @property
    def step(self) -> int:
        """Nanoseconds of one step back or forward."""
        first, last = self.span or (0, 0)
        return step_of(last - first) if last > first else _BLIND_STEP

    @property
    def step_packets(self) -> int:
        """Rows of one step where the bar is one of packets."""
        return max((self.session.store.end - self.session.store.first) // 20, 1)

    @property
    def here(self) -> int | None:
        """Row index of the packet under the cursor, at the tail of the newest; None before the first packet."""
        store, cursor = self.session.store, self._packets.cursor
        if store.end <= store.first:
            return None
        return store.end - 1 if cursor is None or self._packets.follow or cursor not in store else cursor

    @property
    def by_time(self) -> bool:
        """The bar is a stretch of time; else, where the clock went back or stood still, one of packets."""
        first, last = self.span or (0, 0)
        return last > first or self.session.store.end - self.session.store.first <= 1

    @property
    def _pace(self) -> Pace | None:
        """The clock of a replay, as long as it plays."""
        return None if self.state.ended else self.session.pace

    def draw(self, width: int, height: int) -> list[Strip]:
        if self.state.loading(self.session.source):
            row = self._loading(width)
        else:
            self._read.clear()
            row = self._kept(width)
        return [line(row, width, self.look.ground)] + [Strip.blank(width, self.look.ground)] * (height - 1)

    def on_click(self, event: events.Click) -> None:
        """Travel, or do what the key does."""
        for span, action in self._spans:
            if event.x in span:
                self.post_message(self.Chosen(self, action))
                return
        if event.x in self._bar and not self.state.loading(self.session.source):
            self.post_message(self.Sought(self, (event.x - self._bar.start) / max(len(self._bar) - 1, 1)))

    # A file that is being read

    def _loading(self, width: int) -> list[Piece]:
        read, size = self.state.progress(self.session.source) or (0, 0)
        packets = self.session.statistics.packets
        share = read / size if size else 1.0
        percent = f"{int(100 * share):3}%"
        count = fit_left(quantity(packets), 5)
        if self.state.held:
            self._read.clear()
            words = [
                _Word(0, f"stopped at{percent}", "bright"),
                _Word(2, f"{count} packets"),
                _Word(1, "reads on", key="L", action="load"),
            ]
            return self._row(width, [], words, share, None, "dim")
        bytes_a_second, packets_a_second = self._speed(read, packets)
        left = (size - read) / bytes_a_second if bytes_a_second else None
        words = [
            _Word(0, percent, "bright"),
            _Word(3, f"{count} packets"),
            _Word(4, f"{fit_left(rate(packets_a_second), 5)}/s" if packets_a_second else " " * 7),
            _Word(2, " " * 11 if left is None else f"{fit_left(_seconds(left), 6)} left"),
            _Word(1, "stops", key="esc", action="load"),
        ]
        return self._row(width, [], words, share, None, "total")

    def _speed(self, read: int, packets: int) -> tuple[float, float]:
        """Bytes and packets a second of late; 0 as long as it cannot be told."""
        now = self._clock()
        self._read.append((now, read, packets))
        while now - self._read[0][0] > _MEASURED:
            self._read.popleft()
        since, read_then, packets_then = self._read[0]
        if now - since < _FORECAST:
            return 0.0, 0.0
        return (read - read_then) / (now - since), (packets - packets_then) / (now - since)

    # What is kept

    def _kept(self, width: int) -> list[Piece]:
        span, here = self.span, self.here
        if span is None or here is None:
            self._bar, self._spans = range(0), []
            return []
        if not self.by_time:
            return self._by_packets(width, here)
        store, pace = self.session.store, self._pace
        now, (first, last) = time_of(store, here), span
        reached = self.session.shown_end - 1
        played = self._share(time_of(store, reached), span) if reached in store else 1.0
        about = "~" if pace is not None and pace.end is None else ""
        words = [
            _Word(0, self._moment(first, span)),
            _Word(0, about + self._moment(last, span)),
            _Word(1, self._moment(now, span), "bright", key="at"),
            *self._keys(stretch(self.step)),
        ]
        return self._row(width, words[:1], words[1:], played, self._share(now, span), "border-focus")

    def _by_packets(self, width: int, here: int) -> list[Piece]:
        store, pace, played = self.session.store, self._pace, 1.0
        if pace is not None:
            read, size = self.state.progress(self.session.source) or (1, 1)
            played = read / max(size, 1)
        first, last = store.first, store.end - 1
        words = [
            _Word(0, exact(store.number(first) or 0)),
            _Word(0, exact(store.number(last) or 0)),
            _Word(1, exact(store.number(here) or 0), "bright", key="at packet"),
            *self._keys(f"{quantity(self.step_packets)} packets"),
        ]
        return self._row(
            width, words[:1], words[1:], played, played * (here - first) / (last - first), "border-focus"
        )

    def _keys(self, step: str) -> list[_Word]:
        """What keys do here: a step is as long as `step` says. In a gap: how long it is, and when it ends."""
        pace = self._pace
        seconds, gap = (pace.waits() if pace is not None else None) or (0.0, 0)
        if seconds < _WORTH_SKIPPING:
            words = [_Word(3, step, key="[ ]")]
        else:
            words = [_Word(0, f"skips a gap of {stretch(gap)}, or {seconds:.0f} s", "bright", "]", "step(True)")]
        if pace is None:
            return words
        return [*words, *(_SPEED_WORDS if self.size.width >= _NARROW else _SHORT_SPEED)]

    def _share(self, time: int, span: tuple[int, int]) -> float:
        first, last = span
        return min(max((time - first) / (last - first), 0.0), 1.0) if last > first else 1.0

    def _moment(self, time: int, span: tuple[int, int]) -> str:
        """A time as the list writes it, as precise as the bar is."""
        if self.display_as.time_format in ("local", "utc"):
            try:
                date = datetime.fromtimestamp(time // 1_000_000_000, UTC)
                return f"{date if self.display_as.time_format == 'utc' else date.astimezone():%H:%M:%S}"
            except (ValueError, OverflowError, OSError):
                return "?"
        base = self._packets.time_base
        base = span[0] if base is None else base
        return elapsed(time - base, max(span[1] - base, 1))

    # Painting

    def _row(
        self, width: int, before: list[_Word], after: list[_Word], filled: float, marker: float | None, role: str
    ) -> list[Piece]:
        """Words, a bar of which `filled` is drawn in `role` with a mark at `marker`, and words."""
        look, ground = self.look, self.look.ground
        chosen = self._fitting([*before, *after], width - 2 - _SHORTEST)
        left = [word for at, word in enumerate(before) if at in chosen]
        right = [word for at, word in enumerate(after, len(before)) if at in chosen]
        self._spans = []
        pieces: list[Piece] = [(" ", ground)]
        column = 1
        for word in left:
            column = self._say(pieces, word, column) + 2
            pieces.append(("  ", ground))
        taken = sum(2 + self._width(word) for word in right)
        cells = max(width - 1 - column - taken, 0)
        self._bar = range(column, column + cells)
        pieces += self._drawn_bar(cells, filled, marker, look[role])
        column += cells
        for word in right:
            pieces.append(("  ", ground))
            column = self._say(pieces, word, column + 2)
        return pieces

    def _drawn_bar(self, cells: int, filled: float, marker: float | None, style: Style) -> list[Piece]:
        glyphs, track = self.look.glyphs, self.look["track"]
        full = round(filled * cells)
        if marker is None:
            return [(glyphs.bar * full, style), (glyphs.track * (cells - full), track)]
        at = round(marker * (cells - 1))
        pieces: list[Piece] = []
        for start, stop in ((0, at), (at + 1, cells)):
            drawn = max(min(full, stop) - start, 0)
            pieces += [(glyphs.bar * drawn, style), (glyphs.track * (stop - start - drawn), track)]
            if start == 0:
                pieces.append((glyphs.here, self.look["bright"]))
        return pieces

    @staticmethod
    def _width(word: _Word) -> int:
        return width_of(word.text) + (width_of(word.key) + 1 if word.key else 0)

    def _fitting(self, words: list[_Word], room: int) -> set[int]:
        """Which of the words have room, by rank; one that is empty has none."""
        chosen = set()
        for at, word in sorted(enumerate(words), key=lambda item: item[1].rank):
            need = self._width(word) + 2
            if word.text and need <= room:
                chosen.add(at)
                room -= need
        return chosen

    def _say(self, pieces: list[Piece], word: _Word, column: int) -> int:
        """Add a word; the column after it."""
        if word.key:
            pieces.append((f"{word.key} ", self.look["key" if word.action or word.key in ("[ ]", "- +") else "dim"]))
        pieces.append((word.text, self.look[word.role]))
        end = column + self._width(word)
        if word.action:
            self._spans.append((range(column, end), word.action))
        return end


def _seconds(seconds: float) -> str:
    return stretch(max(round(seconds), 1) * 1_000_000_000)
