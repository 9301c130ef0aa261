"""Names in place of addresses, marked as what they are: learned from strangers' packets, and from which."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from netwatch.capture.names import MAX_OTHERS, Name
from netwatch.widgets.painting import fit_end, harmless, spelled, width_of
from netwatch.widgets.units import exact

if TYPE_CHECKING:
    from netwatch.capture.name_index import Learner
    from netwatch.widgets.palette import Glyphs

__all__ = ["described", "fit_name", "others_of", "said_of"]

_SECOND: Final = 1_000_000_000
_AGES: Final = ((86_400, "d"), (3_600, "h"), (60, "m"))


@lru_cache(4096)
def fit_name(text: str, width: int, glyphs: Glyphs, after: str = "") -> str:
    """Exactly `width` cells: the sign, the name, `after`. What is too long loses its beginning: the domain stays."""
    text = harmless(text if glyphs.braille else spelled(text))
    room = width - len(glyphs.learned) - len(after)
    if room < 1:
        return fit_end(text, width, glyphs.more) if text.isascii() else " " * width
    size = width_of(text)
    if size > room:
        text = glyphs.more + _end_of(text, room - 1)
        size = width_of(text)
    return glyphs.learned + text + after + " " * (room - size)


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


def described(name: Name, address: str, latest: int | None, *, flows: bool, width: int) -> str:
    """One line: where a name comes from, how long before `latest`, the time of the last packet, and whose it is.

    Where `width` is too small for all of it, without the name, which stands in the row itself."""
    origin = name.origin.words
    if name.ts and latest is not None:
        origin += f", {_age(max(0, latest - name.ts))} {'ago' if flows else 'before the end'}"
    words = f"{name.text}{others_of(name)} · {origin} · {address}"
    return words if width_of(words) <= width else f"{address} · {origin}"


def _age(nanoseconds: int) -> str:
    seconds = nanoseconds // _SECOND
    for size, unit in _AGES:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def said_of(learner: Learner | None, *, named: bool) -> str:
    """For the footer, when it was asked for names or for addresses."""
    if learner is None:
        return "no names were learned: netwatch was started with -n"
    if not named:
        return "addresses"
    count = len(learner.names)
    have = "address has" if count == 1 else "addresses have"
    words = f"names, as learned from packets and /etc/hosts: {exact(count)} {have} one"
    if learner.left and not learner.share < 1:
        return f"{words}; {exact(learner.left)} packets are still to be looked at"
    if learner.share < 1:
        part = max(1, int(100 * learner.share))
        return f"{words}; of the packets that say names there was time for {part} %"
    return words
