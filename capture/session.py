"""The model that widgets paint. One writer: everything here runs in the UI thread, so nothing is locked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import numpy as np

from netwatch.capture import filter as display_filter
from netwatch.capture.backlog import Backlog
from netwatch.capture.block import Batch, Loss, Source
from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, Columns
from netwatch.capture.conversations import ConversationRow, Conversations
from netwatch.capture.kernel.memory import available
from netwatch.capture.pace import Pace
from netwatch.capture.protocols import SWITCHES
from netwatch.capture.rates import SHORTEST, FileRates, LiveRates, Rates
from netwatch.capture.stats import Partial, Statistics, partial
from netwatch.capture.store import Store
from netwatch.capture.talkers import MAX_HOSTS
from netwatch.capture.view import View

if TYPE_CHECKING:
    from netwatch.capture.explain import Explainer

__all__ = ["Session"]

AT_ONCE: Final = 0.02
"""Seconds that a new filter may take before the screen is painted; what is left is done between repaints."""
BETWEEN: Final = 0.01
"""Seconds of such work at each tick."""

_SECOND: Final = 0.95
"""A second of a replay's time, which goes by faster or slower than one of the clock that asks for rates."""


class Session:
    """Everything that is known of one capture."""

    def __init__(
        self,
        source: Source,
        *,
        buffer: int | None,
        own_addresses: Iterable[str] = (),
        loss: Callable[[], Loss] | None = None,
        waiting: Callable[[], int] | None = None,
    ) -> None:
        """Nothing was captured yet.

        `buffer`: bytes for columns and raw memory; what can be read again is all kept, as columns, whatever it says.
        `own_addresses`: IP addresses by which in and out are told where the source does not know the direction.
        `loss`: what was lost so far, where others than the source lose packets, too. `waiting`: bytes of packets that
        wait outside, of which `buffer` is the bound, too.
        """
        self.source = source
        self._loss = loss
        self._waiting = waiting
        self.pace: Pace | None = getattr(source, "pace", None)
        """The clock of a replay that the person may stop and set; None where packets come by themselves."""
        self._buffer = buffer
        self._rereadable = bool(getattr(source, "rereadable", False))
        self.store = Store(None if self._rereadable else buffer, source.read_at)
        self._explainer: Explainer | None = None
        self.view = View(self.store)
        self._follows_from: int | None = getattr(source, "follows_from", None)
        self.flows = source.live or self._follows_from is not None
        """Packets come by themselves: from the network, a pipe, a replay, or into a file that grows."""
        self.statistics = Statistics(live=self.flows)
        """Of everything captured, evicted packets included."""
        self.rates: Rates = LiveRates(SHORTEST if self.pace is None else _SECOND) if self.flows else FileRates()
        self.marked: set[int] = set()
        """Indices of rows that the person marked."""
        self.switches: frozenset[str] = frozenset()
        """Keys of the protocol switches that are on; none: all protocols are shown."""
        self.filter_text = ""
        self.warning: str | None = None
        """One line for the person, once there is something to say."""
        self._filter = display_filter.compile("")
        self._sifted: tuple[display_filter.Filter, int] | None = None
        """The slow filter that the view has, and the switches: what it found must not be looked for again."""
        self._own = frozenset(_address(text) for text in own_addresses)
        self._paused: tuple[int, int, int] | None = None  # end, packets and evicted when the pause began
        self._following: Statistics | None = None
        self._of_filter = False
        self._conversations: Conversations | None = None
        self._backlog = Backlog(self.store, self._count)
        self._to_count = 0
        """Rows that the statistics of the filter, or the conversations, had to count when they began."""
        self._available: int | None = None
        self._ticked: float | None = None

    # Capture

    def ingest(self, batch: Batch) -> None:
        """Take a batch over. Costs what the batch has, whatever is kept already."""
        part = batch.partial if isinstance(batch.partial, Partial) else partial(batch.rows)
        if self._own and not part.packets_in and not part.packets_out:
            self._tell_direction(part)
        if batch.raw is None:
            self.store.budget = None  # a file that can be read again: its columns are small enough to keep them all
        elif self._rereadable and self.store.budget is None and self._buffer is not None:
            self.store.budget = self._buffer
            self.warning = "no more room on disk for what is decompressed: from here on --buffer limits what is kept"
        evictions = self.store.evictions
        self.store.aside = 0 if self._waiting is None else self._waiting()
        self.store.make_room(batch)
        if evictions != self.store.evictions:
            self.view.update()
            self._backlog.let_go()
        self.store.append(batch)
        self.statistics.merge(part)
        if self._follows_from is None or (batch.rows.pos >= self._follows_from).any():
            self.rates.add(batch.rows, part)
        self.view.update()
        if self._conversations is not None and not self._of_filter:
            self._conversations.merge(batch.rows)
        self._backlog.let_go()
        self._backlog.work(BETWEEN)
        if self.store.budget is None:
            self._watch_memory()

    def tick(self, now: float) -> bool:
        """Call at every repaint, `now` = time.monotonic(): rates once a second, and work that a filter left over.

        Returns whether the view or the statistics changed by that work.
        """
        if self._ticked is None or now - self._ticked >= 1:
            self._ticked = now
            moment = now if self.pace is None else self.pace.seconds()  # what a second is, a replay says itself
            self.rates.tick(moment)
            self.statistics.tick(moment)
            if self._following is not None:
                self._following.tick(moment)
            if self._conversations is not None:
                self._conversations.tick(moment)
        return self.catch_up()

    def catch_up(self) -> bool:
        """A hundredth of a second of work that a filter or a table left over; whether there was any."""
        return self._catch_up(BETWEEN)

    def release(self) -> None:
        """Let go of all packets, at the end: the statistics stay."""
        self._backlog.clear()
        self.store.release()
        self.view.show()
        self._sifted = None

    @property
    def loss(self) -> Loss:
        """Packets lost before they became rows, by cause."""
        return self.source.loss() if self._loss is None else self._loss()

    @property
    def direction_known(self) -> bool:
        """Bits in and out mean something: the source tells directions, or own addresses are known."""
        return bool(self._own or self.statistics.packets_in or self.statistics.packets_out)

    # What is shown

    def toggle(self, key: str) -> None:
        """Turn the protocol switch with this key on or off. Raises KeyError for another key."""
        self.switches ^= {SWITCHES[_SWITCH[key]].key}
        self._show()

    def clear_switches(self) -> None:
        """All off: every protocol is shown."""
        self.switches = frozenset()
        self._show()

    def set_filter(self, text: str) -> None:
        """Show only what the display filter `text` lets through; empty: everything.

        Raises FilterError (message, position) where it is not valid; then the one before stays.
        """
        wanted = display_filter.compile(text)
        if wanted.slow and text == self.filter_text:
            return  # what was found so far stays
        self._filter = wanted
        self.filter_text = text
        self._show()

    @property
    def filtered(self) -> bool:
        """A switch or a typed filter is on."""
        return self.view.filtered

    @property
    def matches(self) -> int:
        """Packets that the list can show; with a large buffer still growing while view.pending is not 0."""
        return self.view.packets

    @property
    def looked_at(self) -> int | None:
        """How many of a hundred rows a filter has looked at that needs their trees; None: all, or it needs none."""
        if not (self.view.slow and (pending := self.view.pending)):
            return None
        rows = sum(chunk.n for chunk in self.store.chunks_kept)
        return min(100 * (rows - pending) // max(rows, 1), 99)

    @property
    def kept(self) -> int:
        """Packets that the list could show without a filter: kept, and not newer than the pause."""
        return self.store.kept_before(self.shown_end)

    @property
    def shrank(self) -> str:
        """What became of a file from which bytes are missing: `shrank at byte N`, or `shrank` if nobody knows."""
        at = getattr(self.source, "shrank_at", None)
        return "shrank" if at is None else f"shrank at byte {at:,}"

    @property
    def explainer(self) -> Explainer:
        """Rows and trees of packets, with what their conversations said before."""
        if self._explainer is None:
            from netwatch.capture.explain import Explainer  # a tenth of a second: the first frame comes before it

            self._explainer = Explainer(self.store, self.source)
        return self._explainer

    # Pause

    @property
    def paused(self) -> bool:
        """The list stands still; the capture and its statistics go on."""
        return self._paused is not None

    @property
    def shown_end(self) -> int:
        """Index after the last row that the list may show."""
        return self.store.end if self._paused is None else self._paused[0]

    def pause(self, first: int, last: int) -> None:
        """Freeze the list and keep the rows first <= index <= last that it shows, those on screen, and those around
        them, up to half of the buffer. Call again when they scroll."""
        if self._paused is None:
            self._paused = (self.store.end, self.store.packets, self.store.evicted)
            self.view.freeze(self.store.end)
        view = self.view
        on_screen = view.indices(view.position(first), view.position(last) + 1 if first <= last else 0)
        self.store.pin(on_screen, self.shown_end)

    def resume(self) -> None:
        """Back to live."""
        self._paused = None
        self.view.thaw()
        self.store.unpin()

    @property
    def new_since_pause(self) -> int:
        """Packets that came since the pause began."""
        return 0 if self._paused is None else self.store.packets - self._paused[1]

    @property
    def evicted_since_pause(self) -> int:
        """Packets that had to leave the buffer since the pause began."""
        return 0 if self._paused is None else self.store.evicted - self._paused[2]

    # Marks

    def toggle_mark(self, index: int) -> None:
        """Mark a row, or take its mark away."""
        self.marked ^= {index}

    # Statistics of the filter

    @property
    def statistics_follow_filter(self) -> bool:
        """The panes count only what the filter lets through: of what is kept now, and of all that comes."""
        return self._following is not None

    @statistics_follow_filter.setter
    def statistics_follow_filter(self, follow: bool) -> None:
        self._following = self._statistics_of_filter() if follow else None
        self._show()

    @property
    def shown_statistics(self) -> Statistics:
        """What the panes paint: of everything, or of the filter."""
        return self._following if self._following is not None and self.filtered else self.statistics

    @property
    def conversations(self) -> Conversations | None:
        """Who talks to whom, of what is kept when they were asked for and of all that came since, as far as it was
        counted; where the statistics follow the filter, of what that lets through. None: nobody asks."""
        return self._conversations

    @property
    def counted(self) -> float | None:
        """How much of what is kept the statistics of the filter and the conversations have counted, 0 to 1; None: all
        of it. Until then they lack some of it, and say so."""
        left = self._backlog.rows + (self.view.pending if self._of_filter else 0)
        return 1 - left / max(self._to_count, left) if left else None

    def show_conversations(self, shown: bool) -> None:
        """Count conversations from now on, or no more: it costs each packet twice what all other statistics do."""
        self._conversations = Conversations() if shown else None
        if self._of_filter:
            self._show()
        else:
            self._backlog.clear()
            if shown:
                self._count_kept()
                self._catch_up(AT_ONCE)

    def top_conversations(self, n: int) -> list[ConversationRow]:
        """The n conversations with the most bytes, largest first."""
        if self._conversations is None:
            return []
        shown = self.shown_statistics
        return self._conversations.top(n, shown.bytes, None if shown.live else shown.duration)

    # Inside

    def _show(self) -> None:
        """Apply switches and filter to all that is kept, as far as that goes at once."""
        bits = sum(1 << _SWITCH[key] for key in self.switches)
        was_of_filter = self._of_filter
        if self._following is not None:
            self._following = self._statistics_of_filter()
        self.view.on_found = None if self._following is None else self._backlog.add
        known = self._filter.slow and self._sifted == (self._filter, bits)
        if self._filter.slow and not known:
            from netwatch.capture.sieve import Sieve  # dissectors take a tenth of a second to load

            self.view.show(sieve=Sieve(self.store, self.source, self._filter, bits))
        elif not known:
            self.view.show(bits, None if self._filter.everything else self._filter.mask)
        self._sifted = (self._filter, bits) if self._filter.slow else None
        self._of_filter = self._following is not None and self.filtered
        if self._of_filter or was_of_filter:
            self._backlog.clear()
            self._to_count = self.view.pending
            if self._conversations is not None:
                self._conversations = Conversations()
                if not self._of_filter:
                    self._count_kept()
        if known:
            self.view.tell_found()
        self._catch_up(AT_ONCE)

    def _count_kept(self) -> None:
        self._backlog.add_kept()
        self._to_count = self._backlog.rows

    def _statistics_of_filter(self) -> Statistics:
        return Statistics(live=self.flows, max_hosts=MAX_HOSTS // 4)

    def _catch_up(self, seconds: float) -> bool:
        left = bool(self.view.pending or self._backlog)
        if left and self.view.catch_up(seconds):
            self._backlog.work(seconds)
        elif left and self.view.slow:
            self._backlog.work(seconds / 10)  # what it found so far: it may take minutes, or never be through
        return left

    def _count(self, rows: Columns) -> None:
        """Rows that passed the filter, or any where only conversations are asked for."""
        if self._of_filter and self._following is not None:
            self._following.merge(partial(rows))
        if self._conversations is not None:
            self._conversations.merge(rows)

    def _tell_direction(self, part: Partial) -> None:
        """In and out from own addresses: a packet between two of them counts as both."""
        hosts = part.hosts
        for kind, hi, lo in self._own:
            for at in np.flatnonzero((hosts.lo == lo) & (hosts.hi == hi) & (hosts.kind == kind)).tolist():
                _, _, packets_in, bytes_in, packets_out, bytes_out = hosts.counts[:, at].tolist()
                part.packets_in += packets_in
                part.bytes_in += bytes_in
                part.packets_out += packets_out
                part.bytes_out += bytes_out

    def _watch_memory(self) -> None:
        """Once, when what is kept without a budget has become much."""
        if self._available is None:
            self._available = available()
        if self.warning is None and self.store.used > self._available // 2:
            self.warning = (
                f"{self.store.packets:,} packets take {self.store.used >> 20} MiB, over half of the memory that was "
                "available; a part of the file (editcap -c) takes less"
            )


_SWITCH: Final = {switch.key: bit for bit, switch in enumerate(SWITCHES)}


def _address(text: str) -> tuple[int, int, int]:
    """(kind, upper and lower 64 bits) as in Columns. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    value = int(address)
    return KIND_IPV4 if address.version == 4 else KIND_IPV6, value >> 64, value & (1 << 64) - 1
