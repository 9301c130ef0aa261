"""The header: what is captured, how fast, what was lost; with room to spare a graph of the traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from textual.cache import LRUCache
from textual.strip import Strip

from netwatch.capture.rates import BITS, BITS_IN, BITS_OUT
from netwatch.capture.text import escape
from netwatch.widgets.painting import Piece, bar, braille, fit, fit_left, line, width_of
from netwatch.widgets.pane import Lines
from netwatch.widgets.units import exact, mebibytes, quantity, rate

if TYPE_CHECKING:
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["Header", "Part", "RunState", "arrange", "loss_words"]

_LEGEND: Final = 36
"""Cells before the graph."""


@dataclass
class RunState:
    """How the capture is getting on; the app keeps it up to date."""

    ended: bool = False
    """No packet will come: the file is read, the stream closed, the count reached."""
    failed: str | None = None
    """One line: why the capture ended early."""
    ring: int = 0
    """Bytes of the kernel's ring; 0 where there is none."""


class Part(NamedTuple):
    """A piece of the header that stands or falls as a whole."""

    rank: int
    """The highest goes first when room is short."""
    pieces: list[Piece]
    right: bool = False
    """At the right end."""

    @property
    def width(self) -> int:
        return sum(width_of(text) for text, _ in self.pieces)


def arrange(parts: list[Part], width: int, gap: Piece) -> list[Piece]:
    """The parts that fit into `width` cells, in their order, a gap between two, the right ones at the right."""
    chosen = list(parts)
    space = width_of(gap[0])
    while len(chosen) > 1 and sum(part.width + space for part in chosen) > width + space:
        chosen.remove(max(chosen, key=lambda part: part.rank))
    left = [part for part in chosen if not part.right]
    right = [part for part in chosen if part.right]
    pieces: list[Piece] = []
    for part in left:
        pieces += [*part.pieces, gap]
    used = sum(part.width + space for part in chosen)
    pieces.append((" " * (width + space - used), gap[1]))
    for part in right:
        pieces += [*part.pieces, gap]
    return pieces[:-1] if right else pieces


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
        gap = ("  ", self.look.ground)
        chips = self._chips(room)
        rest = [self._captured(small), self._lost(room), self._buffer(small)]
        if small:
            rest = [self._packets(), *self._volumes(), *rest]
        # The name and the sparkline take what the numbers leave.
        used = sum(part.width + 2 for part in [*chips, *rest])
        name = self._source(max(10, room - used - (0 if small else 2)))
        spark = min(12, room - used - name.width - 2) if small else 0
        if spark >= 4:
            rest.insert(1, self._spark(spark))
        return arrange([name, *chips, *rest], room, gap)

    # The parts of the first line

    def _source(self, room: int) -> Part:
        name = escape(self.session.source.name)
        return Part(0, [(fit(name, min(width_of(name), room), self.look.glyphs.more), self.look["bright"])])

    def _chips(self, room: int) -> list[Part]:
        look, session = self.look, self.session
        parts = []
        if session.paused:
            new, evicted = quantity(session.new_since_pause), quantity(session.evicted_since_pause)
            words = f" PAUSED  {fit_left(new, 5)} new · {fit_left(evicted, 5)} evicted "
            parts.append(Part(1, [(words, look["pause-chip"])]))
        else:
            words, role = self._state(room)
            parts.append(Part(1, [(f" {words} ", look[role])]))
        if session.filtered:
            words = " FILTER " if room < 110 else f" FILTER {fit_left(quantity(session.matches), 5)} match "
            parts.append(Part(2, [(words, look["filter-chip"])]))
        return parts

    def _state(self, room: int) -> tuple[str, str]:
        source = self.session.source
        if self.state.failed is not None:
            return "FAILED", "alert-chip"
        if self.state.ended:
            return ("DAMAGED", "alert-chip") if source.damage is not None else ("ENDED", "ended-chip")
        progress = source.progress()
        if progress is not None and not source.live:
            read, size = progress
            return f"LOADING {100 * read // max(size, 1):3}%", "busy-chip"
        loops = getattr(source, "loops", None)
        if loops is not None:  # a capture that is played as if it were live
            return ("RECORDED" if room < 110 else f"RECORDED  loop {loops + 1}"), "busy-chip"
        return "LIVE", "live-chip"

    def _packets(self) -> Part:
        look = self.look
        return Part(4, [(fit_left(rate(self.session.rates.packets), 5), look["bright"]), (" p/s", look["dim"])])

    def _volumes(self) -> list[Part]:
        look, rates, glyphs = self.look, self.session.rates, self.look.glyphs
        unit = (f" {self.display_as.volume_unit}", look["dim"])
        if not self.session.direction_known:
            return [Part(5, [(self._volume(rates.bits), look["total"]), unit])]
        return [
            Part(5, [(glyphs.incoming, look["incoming"]), (self._volume(rates.bits_in), look["incoming"])]),
            Part(5, [(glyphs.outgoing, look["outgoing"]), (self._volume(rates.bits_out), look["outgoing"]), unit]),
        ]

    def _spark(self, cells: int) -> Part:
        glyphs = self.look.glyphs
        values = self._samples(cells)[BITS]
        top = max(float(values.max(initial=0.0)), 1.0)
        levels = len(glyphs.graph) - 1
        text = "".join(glyphs.graph[0 if v <= 0 else max(1, round(v / top * levels))] for v in values.tolist())
        return Part(9, [(fit_left(text, cells), self.look["total"])])

    def _captured(self, small: bool) -> Part:
        look, count = self.look, self.session.statistics.packets
        if small:
            return Part(6, [(fit_left(quantity(count), 5), look["text"]), (" pkts", look["dim"])], right=True)
        size = quantity(self.session.statistics.bytes)
        return Part(
            6,
            [
                (fit_left(exact(count), 11), look["text"]),
                (" captured ", look["dim"]),
                (fit_left(size + "B", 7), look["dim"]),
            ],
            right=True,
        )

    def _lost(self, room: int) -> Part:
        look = self.look
        loss = self.session.loss
        if not loss.packets:
            return Part(8, [("lost 0", look["dim"])], right=True)
        causes = [(name, getattr(loss, name)) for name in ("ring", "interface", "queue", "writer")]
        causes = [(name, count) for name, count in causes if count]
        worst = max(causes, key=lambda cause: cause[1])[0]
        advice = loss_words(worst, self.state.ring)
        words = "LOST " + ", ".join(f"{name} {exact(count)}" for name, count in causes)
        if len(words) + len(advice) + 7 > room * 2 // 5:
            words = f"LOST {exact(loss.packets)} {worst}"
        return Part(2, [(f" {words}: try {advice} ", look["alert-chip"])], right=True)

    def _buffer(self, small: bool) -> Part:
        look, store = self.look, self.session.store
        used = mebibytes(store.used)
        if store.budget is None:
            return Part(7, [(f"{used} MiB" if not small else f"{used}M", look["dim"])], right=True)
        budget = mebibytes(store.budget)
        share = store.used / store.budget
        numbers = f"{fit_left(used, len(budget))}/{budget}"
        if small:
            return Part(7, [(numbers + "M", look["dim"])], right=True)
        filled, track = bar(share, 10, look.glyphs)
        pieces = [("buffer ", look["dim"]), (filled, look["total"]), (track, look["track"]), (" ", look.ground)]
        return Part(7, [*pieces, (f"{numbers} MiB", look["dim"])], right=True)

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
