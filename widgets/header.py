"""The header: what is captured, how fast, what was lost; with room to spare a graph of the traffic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from textual.cache import LRUCache
from textual.strip import Strip

from netwatch.capture.kernel.hiding import endpoint_words
from netwatch.capture.locate import kept_times
from netwatch.capture.rates import BITS, BITS_IN, BITS_OUT
from netwatch.capture.text import escape
from netwatch.widgets.gauge import gauge
from netwatch.widgets.loss import loss_part
from netwatch.widgets.painting import Piece, braille, fit, fit_left, line, width_of
from netwatch.widgets.pane import Lines
from netwatch.widgets.parts import Part, arrange
from netwatch.widgets.units import elapsed, exact, quantity, rate

if TYPE_CHECKING:
    from netwatch.capture.block import Source
    from netwatch.capture.kernel.hiding import Endpoint
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["Header", "RunState"]

_LEGEND: Final = 36
"""Cells before the graph."""
_NUMBER: Final = 5
"""Cells of a number that runs."""
_SPARKS: Final = (12, 10, 8, 6)
"""Cells of the sparkline, as there is room."""


class Carried(Protocol):
    """The connections that carry the terminal."""

    endpoints: tuple[Endpoint, ...]
    hidden: bool


@dataclass
class RunState:
    """How the capture is getting on; the app keeps it up to date."""

    ended: bool = False
    """No packet will come: the file is read, the stream closed, the count reached."""
    failed: str | None = None
    """One line: why the capture ended early."""
    held: bool = False
    """The person stopped the reading of the file."""
    fault: OSError | None = None
    """What the output of `-w` said when it did not take packets."""
    own_session: Carried | None = None

    _moment: tuple[tuple[int, int] | None] | None = None

    def progress(self, source: Source) -> tuple[int, int] | None:
        """As Source.progress."""
        return source.progress() if self._moment is None else self._moment[0]

    @contextmanager
    def one_moment(self, source: Source) -> Iterator[None]:
        """Within it the progress stands still: all that is painted together says the same."""
        self._moment = (source.progress(),)
        try:
            yield
        finally:
            self._moment = None

    def loading(self, source: Source) -> bool:
        """A regular file is being read, or was stopped on the way."""
        return not self.ended and not source.live and self.progress(source) is not None


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
        parts += [
            self._captured(small),
            *self._own_session(),
            loss_part(self.look, self.session.loss, self.session.source, self.state.fault),
            gauge(self.look, self.session.store, with_bar=not small),
        ]
        return arrange(parts, room, self.look.ground)

    # The parts of the first line. What must not be overlooked comes first: loss, pause, damage, filter.

    def _source(self) -> Part:
        name, more = escape(self.session.source.name), self.look.glyphs.more
        widths = list(dict.fromkeys(min(width_of(name), most) for most in (60, 30, 20, 12, 8)))
        long = sum(width > 20 for width in widths)
        return Part(4, [[(fit(name, width, more), self.look["bright"])] for width in widths], grows=14, spare=long)

    def _chips(self) -> list[Part]:
        look, session = self.look, self.session
        parts = []
        words, role = self._state()
        going_on = not self.state.ended
        if not session.paused or role != "live-chip":
            urgent = role == "alert-chip"
            held_up = role == "pause-chip"
            rank, grows = (1, 99) if urgent else (2, 6) if held_up else (5, 99)
            parts.append(Part(rank, [[(f" {word} ", look[role])] for word in words], grows=grows))
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
            parts.append(Part(3, [[(word, look["filter-chip"])] for word in words], grows=12))
        return parts

    def _state(self) -> tuple[list[str], str]:
        """How the capture is getting on, the longest words first, and their style."""
        source = self.session.source
        if self.state.failed is not None:
            return ["FAILED"], "alert-chip"
        if self.state.ended:
            return (["DAMAGED"], "alert-chip") if source.damage is not None else (["ENDED"], "ended-chip")
        pace = self.session.pace
        if pace is not None:
            if pace.paused:
                first, last = kept_times(self.session.store) or (0, 0)
                at = last - first
                return [f"PAUSED at {elapsed(at, max(at, 60_000_000_000))}", "PAUSED"], "pause-chip"
            return [f"REPLAY {pace.words:>4}"], "busy-chip"
        progress = self.state.progress(source)
        if progress is not None and not source.live:
            read, size = progress
            if self.state.held:
                return [f"STOPPED {100 * read // max(size, 1):3}%"], "pause-chip"
            return [f"LOADING {100 * read // max(size, 1):3}%"], "busy-chip"
        if self.session.flows and not source.live:  # a file that another program writes
            return ["FOLLOWING"], "live-chip"
        loops = getattr(source, "loops", None)
        if loops is not None:  # a capture that is played as if it were live
            return [f"RECORDED  loop {loops + 1:<3}", "RECORDED"], "busy-chip"
        return ["LIVE"], "live-chip"

    def _own_session(self) -> list[Part]:
        """What is missing in the picture, and the key that brings it back. Where it is shown, the key is enough."""
        look, own = self.look, self.state.own_session
        if own is None or not own.endpoints or self.state.ended:
            return []
        key = [("[", look["dim"]), ("x", look["key"]), ("]", look["dim"])]
        if not own.hidden:
            return [Part(14, [[("SSH shown ", look["dim"]), *key]])]
        arrow = "→" if look.glyphs.unicode else ">"
        more = f" +{len(own.endpoints) - 1}" if own.endpoints[1:] else ""
        whole = f"hidden {endpoint_words(own.endpoints[0], arrow)}{more} "
        return [Part(7, [[(words, look["dim"]), *key] for words in (whole, "SSH hidden ", "SSH ", "")], grows=12)]

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
        return Part(13, [[(fit_left(text[-cells:], cells), style)] for cells in _SPARKS])

    def _captured(self, small: bool) -> Part:
        look, count = self.look, self.session.statistics.packets
        short = [(fit_left(quantity(count), _NUMBER), look["text"]), (" pkts", look["dim"])]
        if small:
            return Part(11, [short], right=True)
        size = quantity(self.session.statistics.bytes)
        full = [
            (fit_left(exact(count), 11), look["text"]),
            (" captured ", look["dim"]),
            (fit_left(size + "B", 7), look["dim"]),
        ]
        return Part(11, [full, short], right=True)

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
        if self.session.flows or not count or not wanted:
            return history[:, max(0, count - wanted) :]
        edges = np.linspace(0, count, wanted + 1)
        at = np.minimum(edges[:-1].astype(np.intp), count - 1)
        if count <= wanted:
            return history[:, at]
        peaks: NDArray[np.float64] = np.maximum.reduceat(history, at, axis=1)
        return peaks

    def _volume(self, bits: float) -> str:
        return fit_left(rate(self.display_as.volume(bits / 8)), 5)
