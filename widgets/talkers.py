"""Top talkers: addresses by what they sent and received."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.style import Style

from netwatch.capture.columns import KIND_IPV4, KIND_IPV6, KIND_MAC
from netwatch.capture.heavy import COUNTS
from netwatch.capture.leading import leading_protocol, newest
from netwatch.capture.talkers import HostRow
from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.naming import described, fit_name, others_of
from netwatch.widgets.packet_row import address
from netwatch.widgets.painting import bar, fit, fit_left, fit_middle, harmless, spelled, width_of
from netwatch.widgets.pane import Label
from netwatch.widgets.units import exact, quantity, rate

if TYPE_CHECKING:
    from netwatch.capture.columns import Columns
    from netwatch.capture.session import Session
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Look

__all__ = ["Talkers", "filter_of"]

_MOST: Final = 1000
"""Addresses that can be scrolled to; nobody reads further down."""

_NUMBER: Final = 5
_BAR: Final = 6
"""Cells of a bar that says something."""
_WIDEST: Final = 39
"""Cells of the longest address there is."""
_BYTES: Final = COUNTS.index("bytes")


class _Columns(NamedTuple):
    address: int
    packets: bool
    rate: int
    bar: int

    @classmethod
    def of_width(cls, inner: int, named: bool) -> _Columns:
        """`named`: names are longer than addresses; what they take the bar has less."""
        address_width = 15 if inner < 52 else 18 if inner < 62 else 26 if inner < 90 else 39
        packets = inner >= 58
        rate_width = _NUMBER if inner >= 34 else 0
        used = address_width + (4 if packets else 2) * (_NUMBER + 1) + (rate_width + 1) + 1
        bar_width = max(0, inner - used)
        if named:
            more = min(max(_WIDEST - address_width, 0), bar_width - _BAR if bar_width >= _BAR else bar_width)
            address_width, bar_width = address_width + more, bar_width - more
        return cls(address_width, packets, rate_width, bar_width)


def filter_of(row: HostRow) -> str:
    """The display filter that shows this address only."""
    name = {KIND_IPV4: "ip.addr ==", KIND_IPV6: "ipv6.addr ==", KIND_MAC: "ether host"}[row.kind]
    return f"{name} {row.address}"


class Talkers(KeyTable[HostRow]):
    """Bytes and packets in and out, rate and share of each address. Its cursor belongs to an address."""

    DEFAULT_CSS = "Talkers { width: 1fr; height: 1fr; }"

    def __init__(
        self,
        session: Session,
        look: Look,
        display: Display,
        *,
        clock: Callable[[], float] = monotonic,
        id: str | None = None,
    ) -> None:
        super().__init__(session, look, display, clock=clock, id=id)
        self._recent: Columns | None = None
        self._spoken: dict[tuple[int, int, int], int] = {}
        self._stale: set[tuple[int, int, int]] = set()
        """Keys of _spoken that were not looked up since the last fetch."""

    def fetch(self) -> list[HostRow]:
        self._recent = newest(self.session.store)
        self._stale = set(self._spoken)
        return self.session.shown_statistics.top(_MOST)

    def key_of(self, row: HostRow) -> Hashable:
        return row.key

    def labels_above(self, inner: int) -> list[Label]:
        look = self.look
        columns = _Columns.of_width(inner, self.display_as.named)
        labels: list[Label] = [(1, " Talkers ", self.title_style)]
        incoming, outgoing = look.glyphs.incoming, look.glyphs.outgoing
        names = [f"pkt{incoming}", f"pkt{outgoing}"] if columns.packets else []
        at = columns.address + 1
        names += [f"in{incoming}", f"out{outgoing}"]
        if columns.rate:
            names.append(self.display_as.volume_unit)
        for name in names:
            labels.append((at + _NUMBER - len(name), f"{name} ", look["head"]))
            at += _NUMBER + 1
        if columns.bar >= _BAR:
            labels.append((at, "share ", look["head"]))
        return labels

    def labels_below(self, inner: int) -> list[Label]:
        look, session = self.look, self.session
        statistics = session.shown_statistics
        named = self._named_label(inner)
        if named is not None:
            return [named]
        labels = [self.scope_label(inner)]
        count = statistics.talkers.count
        words = f" {exact(count)} address{'' if count == 1 else 'es'} "
        if not statistics.talkers.exact:
            words = f" over {exact(count)}, others {quantity(int(statistics.talkers.others[_BYTES]))}B "
        labels.append((-2, words, look["dim"]))
        return labels

    def _named_label(self, inner: int) -> Label | None:
        """Where the name under the cursor comes from, while one looks at it."""
        row = self.selected_row if self.has_focus else None
        name = self.display_as.name_of(row.address) if row is not None else None
        if row is None or name is None:
            return None
        latest, flows = self.session.statistics.last_ts, self.session.flows
        vendor = self.display_as.organisation_of(row.address) if row.kind == KIND_MAC else ""
        words = harmless(described(name, row.address, latest, flows=flows, width=inner - 4, more=vendor))
        words = words if self.look.glyphs.unicode else spelled(words)
        return (1, f" {fit(words, min(width_of(words), inner - 4), self.look.glyphs.more)} ", self.look["bright"])

    def pieces(self, row: HostRow, inner: int) -> list[tuple[str, Style]]:
        look = self.look
        columns = _Columns.of_width(inner, self.display_as.named)
        incoming, outgoing = look["incoming"], look["outgoing"]
        text = address(row.kind, row.hi, row.lo)
        name = self.display_as.name_of(text)
        if name is None:
            shown = fit_middle(text, columns.address, look.glyphs.more)
        else:
            shown = fit_name(name, columns.address, look.glyphs, others_of(name))
        pieces = [(f"{shown} ", self._colour(row.key))]
        if columns.packets:
            pieces.append((fit_left(quantity(row.packets_in), _NUMBER) + " ", look["dim"]))
            pieces.append((fit_left(quantity(row.packets_out), _NUMBER) + " ", look["dim"]))
        pieces.append((fit_left(quantity(row.bytes_in), _NUMBER) + " ", incoming))
        pieces.append((fit_left(quantity(row.bytes_out), _NUMBER) + " ", outgoing))
        if columns.rate:
            speed = self.display_as.volume(row.byte_rate)
            pieces.append((fit_left(rate(speed), columns.rate) + " ", look["bright" if speed >= 1 else "faint"]))
        if columns.bar:
            pieces += self._share(row, columns.bar)
        return pieces

    def _colour(self, key: tuple[int, int, int]) -> Style:
        """That of the protocol it spoke most of late; looked up anew when the table was fetched anew."""
        if self._recent is not None and (key in self._stale or key not in self._spoken):
            self._stale.discard(key)
            found = leading_protocol(self._recent, *key)
            if found is not None:
                if len(self._spoken) >= _MOST:
                    self._spoken.clear()
                self._spoken[key] = found
        protocol = self._spoken.get(key)
        return self.look["text"] if protocol is None else self.look.protocols[protocol]

    def _share(self, row: HostRow, width: int) -> list[tuple[str, Style]]:
        """A bar of two colours: what came in and what went out."""
        look = self.look
        filled, track = bar(row.share, width, look.glyphs)
        both = row.bytes_in + row.bytes_out
        split = round(len(filled) * row.bytes_in / both) if both else 0
        return [
            (filled[:split], look["incoming"]),
            (filled[split:], look["outgoing"]),
            (track, look["track"]),
        ]
