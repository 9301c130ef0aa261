"""How full the buffer is, and how much of the capture it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.widgets.painting import Piece, bar, fit_left
from netwatch.widgets.parts import Part
from netwatch.widgets.units import lasting, mebibytes, quantity, spaced

if TYPE_CHECKING:
    from netwatch.capture.store import Store
    from netwatch.widgets.palette import Look

__all__ = ["gauge"]

_BAR: Final = 10
_NUMBER: Final = 5


def gauge(look: Look, store: Store, *, with_bar: bool) -> Part:
    """`212/256 MiB · 410 k packets · 4 m 10 s`: memory used and allowed, packets kept, the time that they cover.

    Where the width is small it is `212/256M 410k 4m10`, then the packets leave, then the time, the memory never.
    What was evicted is told where there is most room. Without a budget, as for a file, there is none to be told.
    """
    dim, ground = look["dim"], look.ground
    used, budget = mebibytes(store.used), store.budget
    whole = "" if budget is None else mebibytes(budget)
    memory = f"{fit_left(used, len(whole))}/{whole}" if whole else fit_left(used, 4)
    packets, time = quantity(store.kept_before(store.end)), lasting(store.span)
    close = time.replace(" ", "")
    # Padded as a whole: it stays as wide, and nothing stands apart in it.
    full = fit_left(f"{memory} MiB · {spaced(packets)} packets · {time}", len(memory) + 34)
    words = [
        full,
        fit_left(f"{memory} MiB · {packets} packets · {close}", len(memory) + 29),
        fit_left(f"{memory}M · {packets} · {close}", len(memory) + 18),
        fit_left(f"{memory}M {packets} {_brief(time)}", len(memory) + 13),
        fit_left(f"{memory}M {_brief(time)}", len(memory) + 7),
        f"{memory}M",
    ]
    forms: list[list[Piece]] = []
    if budget is not None and with_bar:
        filled, track = bar(store.used / budget, _BAR, look.glyphs)
        drawn = [("buffer ", dim), (filled, look["total"]), (track, look["track"]), (" ", ground)]
        gone = fit_left(quantity(store.evicted), _NUMBER)
        forms += [[*drawn, (f"{full} · {gone} evicted", dim)], [*drawn, (full, dim)]]
    forms += [[(text, dim)] for text in words]
    # What is kept comes before the sparkline, in its shortest form.
    return Part(10, forms, right=True, grows=12, spare=len(forms) - 3)


def _brief(time: str) -> str:
    """`12.3 s` as `12.3s`; of two units only the first is named: `4 m 10 s` as `4m10`."""
    words = time.split(" ")
    return "".join(words[:3] if len(words) > 2 else words)
