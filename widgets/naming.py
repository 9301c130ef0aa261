"""Names in place of addresses and ports, marked as what they are, and what is said of them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from netwatch.capture.names import MAX_OTHERS, Name, Origin
from netwatch.widgets.display import NAMINGS
from netwatch.widgets.painting import fit_end, harmless, spelled, width_of
from netwatch.widgets.units import exact

if TYPE_CHECKING:
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Glyphs

__all__ = ["described", "fit_name", "others_of", "said_of", "seen", "with_services"]

_SECOND: Final = 1_000_000_000
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))
_PORTS: Final = re.compile(r"(\[[^\]]*\] )?([0-9]{1,5}) → ([0-9]{1,5})(?= |$)")
"""How the info text of a segment or datagram begins."""


def fit_name(name: Name, width: int, glyphs: Glyphs, after: str = "") -> str:
    """Exactly `width` cells: the name, `after`; before it a sign, where strangers may have made it up."""
    if name.origin == Origin.VENDOR:
        return _fit_vendor(name.text, width, glyphs)
    return _fit(name.text, width, glyphs, after, glyphs.learned if name.origin.by_strangers else "")


@lru_cache(4096)
def _fit(text: str, width: int, glyphs: Glyphs, after: str, sign: str) -> str:
    """What is too long loses its beginning: the domain stays."""
    text = harmless(text if glyphs.unicode else spelled(text))
    room = width - len(sign) - len(after)
    if room < 1:
        return fit_end(text, width, glyphs.more) if text.isascii() else " " * width
    size = width_of(text)
    if size > room:
        text = glyphs.more + _end_of(text, room - 1)
        size = width_of(text)
    return sign + text + after + " " * (room - size)


@lru_cache(4096)
def _fit_vendor(text: str, width: int, glyphs: Glyphs) -> str:
    """`RaspberryPi_00:12:34`: what is too long loses letters of the vendor, never of the address."""
    vendor, line, rest = text.rpartition("_")
    room = width - len(line) - len(rest)
    return f"{vendor[:room]}{line}{rest}".ljust(width) if room > 1 else fit_end(text, width, glyphs.more)


def _end_of(text: str, width: int) -> str:
    """Its last characters, in at most `width` cells."""
    if text.isascii():
        return text[len(text) - width :]
    at, room = len(text), width
    while at and room >= cell_len(text[at - 1]):
        at -= 1
        room -= cell_len(text[at])
    return text[at:]


def others_of(name: Name) -> str:
    """` +2`: so many other names the address had."""
    if not name.others:
        return ""
    return f" +{name.others}{'' if name.others < MAX_OTHERS else ' or more'}"


def with_services(info: str, display: Display, *, udp: bool) -> str:
    """The info text of a segment or datagram with services in place of the ports that it begins with."""
    found = _PORTS.match(info)
    if found is None:
        return info
    ends = [display.service_of(int(port), udp=udp) or port for port in found.groups()[1:]]
    return f"{found[1] or ''}{ends[0]} → {ends[1]}{info[found.end() :]}"


def seen(name: Name, latest: int | None, *, flows: bool) -> str:
    """Where a name comes from, and how long before `latest`, the time of the last packet."""
    if not name.ts or latest is None:
        return name.origin.words
    return f"{name.origin.words}, {_age(latest - name.ts)} {'ago' if flows else 'before the end'}"


def described(name: Name, address: str, latest: int | None, *, flows: bool, width: int, more: str = "") -> str:
    """One line: what a name is, where it comes from, and whose it is. `more`: in place of where it comes from.

    Where `width` is too small for all of it, without the name, which stands in the row itself."""
    origin = more or seen(name, latest, flows=flows)
    words = f"{name.text}{others_of(name)} · {origin} · {address}"
    return words if width_of(words) <= width else f"{address} · {origin}"


def _age(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds) // _SECOND
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def said_of(display: Display, latest: int | None) -> str:
    """For the footer, when it was asked for names or for addresses. `latest`: the time of the last packet."""
    learner = display.learner
    if learner is None:
        return "no names were learned: netwatch was started with -n"
    if not display.named:
        return NAMINGS["none"]
    words = f"{NAMINGS[display.naming]} · {exact(len(learner.names))} known"
    ages = learner.names.ages
    if ages is not None and latest is not None:
        newest, oldest = (_age(latest - ts) for ts in ages)
        words += f", {newest if newest == oldest else f'{newest} to {oldest}'} old"
    if learner.left and not learner.share < 1:
        words += f" · {exact(learner.left)} packets still to be looked at"
    elif learner.share < 1:
        words += f" · time for {max(1, int(100 * learner.share))} % of the packets that say names"
    return f"{words} · {display.resolver.words}" if display.resolver is not None else words
