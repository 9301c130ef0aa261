"""The header: what is captured, how fast, what was lost; with room to spare a graph of the traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from netwatch.capture.rates import BITS, BITS_IN, BITS_OUT
from netwatch.capture.text import escape
from netwatch.widgets.painting import Piece, bar, braille, fit, fit_left, line, width_of
from netwatch.widgets.pane import Lines
from netwatch.widgets.units import exact, mebibytes, quantity, rate

if TYPE_CHECKING:
    from netwatch.capture.block import Source
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["Header", "Part", "RunState", "arrange", "loss_words"]

_LEGEND: Final = 36
"""Cells before the graph."""
_NUMBER: Final = 5
"""Cells of a number that runs."""
_SPARKS: Final = (12, 10, 8, 6)
"""Cells of the sparkline, as there is room."""


@dataclass
class RunState:
    """How the capture is getting on; the app keeps it up to date."""

    ended: bool = False
    """No packet will come: the file is read, the stream closed, the count reached."""
    failed: str | None = None
    """One line: why the capture ended early."""
    ring: int = 0
    """Bytes of the kernel's ring; 0 where there is none."""
    held: bool = False
    """The person stopped the reading of the file."""

    def loading(self, source: Source) -> bool:
        """A regular file is being read, or was stopped on the way."""
        return not self.ended and not source.live and source.progress() is not None


class Part(NamedTuple):
    """A piece of the header that stands or falls as a whole."""

    rank: int
    """The lowest gets room first."""
    forms: list[list[Piece]]
    """What it may look like, the widest first. A form is as wide whatever its numbers are: nothing comes and goes."""
    right: bool = False
    """At the right end."""
    grows: int = 99
    """As `rank`, for the longer forms."""


def _width(pieces: list[Piece]) -> int:
    return sum(width_of(text) for text, _ in pieces)


def arrange(parts: list[Part], width: int, ground: Style) -> list[Piece]:
    """The parts that fit into `width` cells, in their order, the right ones at the right.

    Parts take their shortest form by rank, and a longer one when those of a lower rank have room; what is left at
    last widens the gaps from one cell to two.
    """
    wishes = [(part.rank, part.rank, at, [part.forms[-1]]) for at, part in enumerate(parts)]
    wishes += [(part.grows, part.rank, at, part.forms) for at, part in enumerate(parts) if len(part.forms) > 1]
    chosen: dict[int, list[Piece]] = {}
    room = width + 1
    for _, _, at, forms in sorted(wishes, key=lambda wish: wish[:3]):
        before = _width(chosen[at]) + 1 if at in chosen else 0
        for form in forms:
            if _width(form) + 1 - before <= room:
                chosen[at] = form
                room -= _width(form) + 1 - before
                break
    if not chosen:
        return []
    gap = 2 if room >= len(chosen) - 1 else 1
    left = _joined([chosen[at] for at in sorted(chosen) if not parts[at].right], gap, ground)
    right = _joined([chosen[at] for at in sorted(chosen) if parts[at].right], gap, ground)
    return [*left, (" " * (width - _width(left) - _width(right)), ground), *right] if right else left


def _joined(forms: list[list[Piece]], gap: int, ground: Style) -> list[Piece]:
    pieces: list[Piece] = []
    for form in forms:
        pieces += [(" " * gap, ground), *form] if pieces else form
    return pieces


def loss_words(cause: str, ring: int) -> str:
    """What to set so that no more is lost for this cause."""
    if cause == "ring":
        return f"--ring {max(ring * 2, 128 << 20) >> 20}M"
    return {"interface": "the driver's ring: ethtool -G", "queue": "fewer filters", "writer": "a faster disk"}[cause]


class Header(Lines):
    """One line; three and more hold a graph of bits a second: in above, out below."""

    DEFAULT_CSS = "Header { width: 1fr; height: 1; }"

    def __init__(
        self, session: Session, look: Look, display: Display, state: RunState, *, id: str | None = None
    ) -> None:
        super().__init__(look, id=id)
        self.session = session
        self.display_as = display
        self.state = state
        self._graphs: LRUCache[tuple[object, ...], list[str]] = LRUCache(8)

    def draw(self, width: int, height: int) -> list[Strip]:
        ground = self.look.ground
        small = height < 3
        lines = [line([(" ", ground), *self._first(width - 2, small), (" ", ground)], width, ground)]
        if not small:
            lines += self._graph(width, height - 1)
        return lines + [Strip.blank(width, ground)] * (height - len(lines))

    def _first(self, room: int, small: bool) -> list[Piece]:
        parts = [self._source(), *self._chips()]
        if small:
            parts += [self._packets(), self._volumes(), self._spark()]
        parts += [self._captured(small), self._lost(), self._buffer(small)]
        return arrange(parts, room, self.look.ground)

    # The parts of the first line. What must not be overlooked comes first: loss, pause, damage, filter.

    def _source(self) -> Part:
        name, more = escape(self.session.source.name), self.look.glyphs.more
        widths = dict.fromkeys(min(width_of(name), most) for most in (60, 30, 20, 12, 8, 4))
        return Part(4, [[(fit(name, width, more), self.look["bright"])] for width in widths])

    def _chips(self) -> list[Part]:
        look, session = self.look, self.session
        parts = []
        words, role = self._state()
        going_on = not self.state.ended
        if not session.paused or role != "live-chip":
            urgent = role == "alert-chip"
            parts.append(Part(1 if urgent else 5, [[(f" {word} ", look[role])] for word in words]))
        if session.paused:
            new, evicted = quantity(session.new_since_pause), quantity(session.evicted_since_pause)
            words = [
                f" PAUSED  {fit_left(new, _NUMBER)} new · {fit_left(evicted, _NUMBER)} evicted ",
                f" PAUSED {fit_left('+' + new, _NUMBER + 1)} {fit_left('-' + evicted, _NUMBER + 1)} ",
            ]
            forms = [[(word, look["pause-chip"])] for word in (words if going_on else [" PAUSED "])]
            parts.append(Part(2, forms, grows=6))
        if session.filtered:
            words = [f" FILTER {fit_left(quantity(session.matches), _NUMBER)} match ", " FILTER "]
            parts.append(Part(3, [[(word, look["filter-chip"])] for word in words]))
        return parts

    def _state(self) -> tuple[list[str], str]:
        """How the capture is getting on, the longest words first, and their style."""
        source = self.session.source
        if self.state.failed is not None:
            return ["FAILED"], "alert-chip"
        if self.state.ended:
            return (["DAMAGED"], "alert-chip") if source.damage is not None else (["ENDED"], "ended-chip")
        progress = source.progress()
        if progress is not None and not source.live:
            read, size = progress
            if self.state.held:
                return [f"STOPPED {100 * read // max(size, 1):3}%"], "pause-chip"
            return [f"LOADING {100 * read // max(size, 1):3}%"], "busy-chip"
        loops = getattr(source, "loops", None)
        if loops is not None:  # a capture that is played as if it were live
            return [f"RECORDED  loop {loops + 1:<3}", "RECORDED"], "busy-chip"
        return ["LIVE"], "live-chip"

    def _packets(self) -> Part:
        look = self.look
        return Part(
            6, [[(fit_left(rate(self.session.rates.packets), _NUMBER), look["bright"]), (" p/s", look["dim"])]]
        )

    def _volumes(self) -> Part:
        """In and out stand or fall together: one without the other would pass for the whole."""
        look, rates, glyphs = self.look, self.session.rates, self.look.glyphs
        if self.session.direction_known:
            numbers = [
                (glyphs.incoming + self._volume(rates.bits_in), look["incoming"]),
                (" ", look.ground),
                (glyphs.outgoing + self._volume(rates.bits_out), look["outgoing"]),
            ]
        else:
            numbers = [(self._volume(rates.bits), look["total"])]
        unit = self.display_as.volume_unit
        units = dict.fromkeys((unit, unit.replace("bit", "b")))
        return Part(9, [[*numbers, (f" {unit}", look["dim"])] for unit in units])

    def _spark(self) -> Part:
        glyphs, style = self.look.glyphs, self.look["total"]
        values = self._samples(_SPARKS[0])[BITS]
        top = max(float(values.max(initial=0.0)), 1.0)
        levels = len(glyphs.graph) - 1
        text = "".join(glyphs.graph[0 if v <= 0 else max(1, round(v / top * levels))] for v in values.tolist())
        return Part(12, [[(fit_left(text[-cells:], cells), style)] for cells in _SPARKS])

    def _captured(self, small: bool) -> Part:
        look, count = self.look, self.session.statistics.packets
        short = [(fit_left(quantity(count), _NUMBER), look["text"]), (" pkts", look["dim"])]
        if small:
            return Part(10, [short], right=True)
        size = quantity(self.session.statistics.bytes)
        full = [
            (fit_left(exact(count), 11), look["text"]),
            (" captured ", look["dim"]),
            (fit_left(size + "B", 7), look["dim"]),
        ]
        return Part(10, [full, short], right=True)

    def _lost(self) -> Part:
        look = self.look
        loss = self.session.loss
        if not loss.packets:
            return Part(8, [[("lost 0", look["dim"])]], right=True)
        causes = [(name, getattr(loss, name)) for name in ("ring", "interface", "queue", "writer")]
        causes = [(name, count) for name, count in causes if count]
        worst = max(causes, key=lambda cause: cause[1])[0]
        every = "LOST " + ", ".join(f"{name} {exact(count)}" for name, count in causes)
        one = f"LOST {exact(loss.packets)} {worst}"
        advice = f": try {loss_words(worst, self.state.ring)}"
        forms = [every + advice, one + advice, every] if len(causes) > 1 else [one + advice]
        forms += [one, f"LOST {fit_left(quantity(loss.packets), _NUMBER)} {worst}"]
        return Part(0, [[(f" {words} ", look["alert-chip"])] for words in forms], right=True)

    def _buffer(self, small: bool) -> Part:
        look, store = self.look, self.session.store
        used = mebibytes(store.used)
        if store.budget is None:
            return Part(11, [[(f"{fit_left(used, 4)}{'M' if small else ' MiB'}", look["dim"])]], right=True)
        budget = mebibytes(store.budget)
        numbers = f"{fit_left(used, len(budget))}/{budget}"
        short = [(numbers + "M", look["dim"])]
        if small:
            return Part(11, [short], right=True)
        filled, track = bar(store.used / store.budget, 10, look.glyphs)
        full = [("buffer ", look["dim"]), (filled, look["total"]), (track, look["track"]), (" ", look.ground)]
        return Part(11, [[*full, (f"{numbers} MiB", look["dim"])], short], right=True)

    # The lines below

    def _graph(self, width: int, rows: int) -> list[Strip]:
        """Legend at the left, graph at the right."""
        look, ground, rates = self.look, self.look.ground, self.session.rates
        cells = max(0, width - _LEGEND - 2)
        samples = self._samples(cells * 2)
        unit = f" {self.display_as.volume_unit}"
        glyphs = look.glyphs
        packets = [(fit_left(rate(rates.packets), 6), look["bright"]), (fit(" pkt/s", 8), look["dim"])]
        peak = [(fit_left(rate(rates.peak_packets), 6), look["dim"]), (fit(" peak", 8), look["dim"])]
        legend: list[list[Piece]]
        if self.session.direction_known:
            split = rows // 2
            top = float(samples[BITS_IN : BITS_OUT + 1].max(initial=0.0))
            graph = self._drawing(samples[BITS_IN], top, cells, rows - split)
            hanging = self._drawing(samples[BITS_OUT], top, cells, split, hanging=True)
            styles = [look["incoming"]] * (rows - split) + [look["outgoing"]] * split
            drawn = [(text, style) for text, style in zip(graph + hanging, styles, strict=True)]
            legend = [
                [*packets, (f"{glyphs.incoming} in ", look["incoming"]), *self._amount(rates.bits_in, unit)],
                [*peak, (f"{glyphs.outgoing} out", look["outgoing"]), *self._amount(rates.bits_out, unit)],
            ]
        else:
            top = float(samples[BITS].max(initial=0.0))
            drawn = [(text, look["total"]) for text in self._drawing(samples[BITS], top, cells, rows)]
            legend = [
                [*packets, ("total", look["total"]), *self._amount(rates.bits, unit)],
                [*peak, ("peak ", look["dim"]), *self._amount(rates.peak_bits, unit, quiet=True)],
            ]
        before = (rows - len(legend)) // 2
        lines = []
        for row, piece in enumerate(drawn):
            words = legend[row - before] if 0 <= row - before < len(legend) else []
            used = sum(width_of(text) for text, _ in words)
            padding = (" " * max(0, _LEGEND - used), ground)
            lines.append(line([(" ", ground), *words, padding, piece, (" ", ground)], width, ground))
        return lines

    def _amount(self, bits: float, unit: str, *, quiet: bool = False) -> list[Piece]:
        look = self.look
        return [(fit_left(self._volume(bits), 7), look["dim" if quiet else "bright"]), (unit, look["dim"])]

    def _drawing(
        self, values: NDArray[np.float64], top: float, cells: int, rows: int, *, hanging: bool = False
    ) -> list[str]:
        key = (values.tobytes(), top, cells, rows, hanging)
        lines = self._graphs.get(key)  # it changes once a second, the header with every repaint
        if lines is None:
            lines = braille(values.tolist(), top, cells, rows, hanging=hanging)
            if not self.look.glyphs.braille:
                lines = ["".join(" " if char == " " else "#" for char in text) for text in lines]
            self._graphs[key] = lines
        return lines

    def _samples(self, wanted: int) -> NDArray[np.float64]:
        """The newest `wanted` samples of the present, or the whole of a file stretched to as many."""
        history = self.session.rates.history()
        count = history.shape[1]
        if self.session.source.live or not count or not wanted:
            return history[:, max(0, count - wanted) :]
        edges = np.linspace(0, count, wanted + 1)
        at = np.minimum(edges[:-1].astype(np.intp), count - 1)
        if count <= wanted:
            return history[:, at]
        peaks: NDArray[np.float64] = np.maximum.reduceat(history, at, axis=1)
        return peaks

    def _volume(self, bits: float) -> str:
        return fit_left(rate(self.display_as.volume(bits / 8)), 5)
