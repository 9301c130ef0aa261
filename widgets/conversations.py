"""Conversations: who talks to whom. The other face of the table of talkers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.columns import KIND_IPV6
from netwatch.capture.protocols import PROTOCOLS
from netwatch.widgets.key_table import KeyTable
from netwatch.widgets.naming import fit_name
from netwatch.widgets.packet_row import address
from netwatch.widgets.painting import bar, fit, fit_end, fit_left, width_of
from netwatch.widgets.pane import Label
from netwatch.widgets.units import exact, quantity, rate

if TYPE_CHECKING:
    from rich.style import Style

    from netwatch.capture.conversations import ConversationRow, Endpoint

__all__ = ["Conversations"]

_MOST: Final = 1000
"""Conversations that can be scrolled to; nobody reads further down."""
_NUMBER: Final = 5
_PROTOCOL: Final = 7
_END: Final = 21
"""Cells of an IPv4 address with its port: who talks comes before how much."""
_LONGEST: Final = 47
"""Cells of the longest end there is."""
_BAR: Final = 10
_PROGRAM: Final = 13
"""Cells of `nginx (12345)`."""


class _Columns(NamedTuple):
    left: int
    right: int
    protocol: int
    packets: bool
    split: bool
    """Bytes in and out; else their sum."""
    rate: bool
    bar: int
    program: int

    @classmethod
    def of_width(cls, inner: int, *, programs: bool) -> _Columns:
        """Once both ends stand in full, the program, a number at a time; then a bar, and room for IPv6."""
        free = inner - 2 * (_END + 1) - (_NUMBER + 1)
        named = programs and free > _PROGRAM
        free -= named * (_PROGRAM + 1)
        widths = (_NUMBER + 1, _NUMBER + 1, _PROTOCOL + 1, 2 * (_NUMBER + 1), _BAR + 1)
        shown: list[bool] = []
        for width in widths:
            shown.append(free >= width and all(shown))
            free -= width if shown[-1] else 0
        split, rated, protocol, packets, drawn = shown
        ends = min(2 * _END + free, 2 * _LONGEST)
        bar_width = _BAR + 2 * _END + free - ends if drawn else 0
        return cls(
            (ends + 1) // 2, ends // 2, protocol * _PROTOCOL, packets, split, rated, bar_width, named * _PROGRAM
        )


class Conversations(KeyTable["ConversationRow"]):
    """Both ends of a conversation, what went either way, rate and share. Its cursor belongs to a conversation."""

    DEFAULT_CSS = "Conversations { width: 1fr; height: 1fr; display: none; }"

    def fetch(self) -> list[ConversationRow]:
        return self.session.top_conversations(_MOST)

    def key_of(self, row: ConversationRow) -> Hashable:
        return row.key

    def look_up(self, *, now: bool = False) -> None:
        if self.display_as.owners is not None:
            self.display_as.owners.look()
        super().look_up(now=now)

    def _columns(self, inner: int) -> _Columns:
        return _Columns.of_width(inner, programs=self.display_as.owners is not None)

    def labels_above(self, inner: int) -> list[Label]:
        look, columns = self.look, self._columns(inner)
        incoming, outgoing = look.glyphs.incoming, look.glyphs.outgoing
        labels: list[Label] = [(1, " Conversations ", self.title_style)]
        at = columns.left + columns.right + 2
        if columns.protocol:
            labels.append((at, "proto ", look["head"]))
            at += columns.protocol + 1
        if columns.program:
            labels.append((at, "program ", look["head"]))
            at += columns.program + 1
        names = [f"pkt{incoming}", f"pkt{outgoing}"] if columns.packets else []
        names += [f"in{incoming}", f"out{outgoing}"] if columns.split else ["bytes"]
        names += [self.display_as.volume_unit] if columns.rate else []
        for name in names:
            labels.append((at + _NUMBER - len(name), f"{name} ", look["head"]))
            at += _NUMBER + 1
        if columns.bar >= 6:
            labels.append((at, "share ", look["head"]))
        return labels

    def labels_below(self, inner: int) -> list[Label]:
        table = self.session.conversations
        if table is None:
            return []
        count = exact(table.count)
        words = f" {count} conversation{'' if table.count == 1 else 's'} "
        if not table.exact:
            words = f" over {count}, others {quantity(int(table.others[0]))} packets "
        scope = self.scope_label(inner)
        if self.session.shown_statistics is self.session.statistics:
            scope = self.counting_label("of kept and new", inner) or (1, " of kept and new ", scope[2])
        return [scope, (-2, words, self.look["dim"])]

    def pieces(self, row: ConversationRow, inner: int) -> list[tuple[str, Style]]:
        look, columns = self.look, self._columns(inner)
        more, colour = look.glyphs.more, look.protocols[row.protocol]
        ends = ((row.left, columns.left), (row.right, columns.right))
        udp = PROTOCOLS[row.protocol].name == "udp"
        pieces = [(self._end(end, width, udp=udp) + " ", colour) for end, width in ends]
        if columns.protocol:
            pieces.append((fit(PROTOCOLS[row.protocol].label, columns.protocol, more) + " ", look["dim"]))
        if columns.program:
            pieces.append((self._program(row, columns.program) + " ", look["text"]))
        if columns.packets:
            pieces.append((fit_left(quantity(row.packets_in), _NUMBER) + " ", look["dim"]))
            pieces.append((fit_left(quantity(row.packets_out), _NUMBER) + " ", look["dim"]))
        if columns.split:
            pieces.append((fit_left(quantity(row.bytes_in), _NUMBER) + " ", look["incoming"]))
            pieces.append((fit_left(quantity(row.bytes_out), _NUMBER) + " ", look["outgoing"]))
        else:
            pieces.append((fit_left(quantity(row.bytes), _NUMBER) + " ", look["total"]))
        if columns.rate:
            speed = self.display_as.volume(row.byte_rate)
            pieces.append((fit_left(rate(speed), _NUMBER) + " ", look["bright" if speed >= 1 else "faint"]))
        if columns.bar:
            filled, track = bar(row.share, columns.bar, look.glyphs)
            pieces += [(filled, look["total"]), (track, look["track"])]
        return pieces

    def _program(self, row: ConversationRow, width: int) -> str:
        """Of the end that is here; of two the one that began. Its number stands in full."""
        owners, protocol = self.display_as.owners, PROTOCOLS[row.protocol].name
        if owners is None:
            return " " * width
        left, right = ((end.address, end.port) for end in (row.left, row.right))
        owner = owners.of(protocol, left, right) or owners.of(protocol, right, left)
        if owner is None:
            return " " * width
        pid, more = f" ({owner.pid})", self.look.glyphs.more
        return fit(fit(owner.program, width - len(pid), more).rstrip() + pid, width, more)

    def _end(self, end: Endpoint, width: int, *, udp: bool) -> str:
        """Host and port; the name of the port only where there is room for it beside the host in full."""
        name = self.display_as.name_of(address(end.kind, end.hi, end.lo))
        service = self.display_as.service_of(end.port, udp=udp) if end.port else ""
        port = f":{end.port}" if end.port else ""
        if name is not None:
            fits = width_of(name.text) + len(service) + 2 <= width
            return fit_name(name, width, self.look.glyphs, f":{service}" if service and fits else port)
        text = _text(end)
        if service and len(named := text.removesuffix(port) + f":{service}") <= width:
            text = named
        # Hosts of one network differ at the end of their addresses, conversations of one host in the port.
        return fit_end(text, width, self.look.glyphs.more)


def _text(end: Endpoint) -> str:
    """`192.0.2.1:443`, `[2001:db8::1]:443`, or the address alone where there are no ports."""
    text = address(end.kind, end.hi, end.lo)
    if not end.port:
        return text
    return f"[{text}]:{end.port}" if end.kind == KIND_IPV6 else f"{text}:{end.port}"
