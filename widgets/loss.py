"""What was lost: in the header, by cause, with what to do about it; and in full, for the help."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

from netwatch.capture.kernel.memory import size_text
from netwatch.capture.text import escape
from netwatch.widgets.parts import Part
from netwatch.widgets.units import exact, quantity

if TYPE_CHECKING:
    from netwatch.capture.block import Loss, Source
    from netwatch.capture.session import Session
    from netwatch.widgets.palette import Look

__all__ = ["loss_advice", "loss_notes", "loss_part"]

_NUMBER: Final = 5
_CAUSES: Final = ("ring", "interface", "writer")
"""Fields of Loss that count packets. `freezes` counts how often the ring was full; `queue` is always 0: what finds no
room there stays in the ring."""
_LEAST_RING: Final = 128 << 20


class _Advice(NamedTuple):
    full: str
    brief: str


_ADVICE: Final = {
    "interface": _Advice("try the driver's ring: ethtool -G", "ethtool -G"),
    "writer": _Advice("try a faster disk", "a faster disk"),
}
_NO_ROOM: Final = _Advice("make room, or -b files:N", "make room")
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def loss_advice(cause: str, source: Source, fault: OSError | None = None) -> _Advice:
    """What to set so that no more is lost for this cause; `fault`: what the output of `-w` said."""
    if cause == "ring":
        more = max(2 * getattr(source, "ring_size", 0), _LEAST_RING)
        if more > getattr(source, "ring_most", more):
            words = "-s 128, or a capture filter"  # the ring is as large as it gets
        else:
            words = f"--ring {size_text(more)}"
        return _Advice(f"try {words}", words)
    if cause == "writer" and fault is not None:
        if fault.errno in _FULL:
            return _NO_ROOM
        words = escape(fault.strerror or str(fault))
        return _Advice(words, words)
    return _ADVICE[cause]


def loss_part(look: Look, loss: Loss, source: Source, fault: OSError | None = None) -> Part:
    """Nothing lost, or a red mark with the cause that lost most, and all of them where there is room.

    `fault`: why packets were not written, if the output of `-w` said so."""
    if not loss.packets:
        if loss.freezes:
            words = f"ring full {exact(loss.freezes)}×"
            forms = [f"{words}: {loss_advice('ring', source).full}", words]
            return Part(8, [[(text, look["alert"])] for text in forms], right=True)
        return Part(8, [[("lost 0", look["dim"])]], right=True)
    causes = [(name, getattr(loss, name)) for name in _CAUSES if getattr(loss, name)]
    worst = max(causes, key=lambda cause: cause[1])[0]
    advice = loss_advice(worst, source, fault)
    every = "LOST " + ", ".join(f"{name} {exact(count)}" for name, count in causes)
    one = f"LOST {exact(loss.packets)} {worst}"
    short = f"LOST {quantity(loss.packets)}"
    forms = [f"{every}: {advice.full}", f"{one}: {advice.full}"] if len(causes) > 1 else [f"{one}: {advice.full}"]
    if loss.freezes:
        forms.insert(0, f"{every}, full {exact(loss.freezes)}×: {advice.full}")
    spare = len(forms)
    # An option names the cause by itself.
    forms += [
        f"{short}: {advice.brief}" if worst in advice.brief else f"{short} {worst}: {advice.brief}",
        f"{short} {worst}",
    ]
    forms[spare:] = [form.ljust(len(form) + _NUMBER - len(quantity(loss.packets))) for form in forms[spare:]]
    return Part(0, [[(f" {words} ", look["alert-chip"])] for words in forms], right=True, grows=7, spare=spare)


def loss_notes(session: Session) -> tuple[str, ...]:
    """All causes with their numbers, and what else takes memory or was given up: lines for the help."""
    loss, store = session.loss, session.store
    ring = getattr(session.source, "ring_size", 0)
    lost = (
        f"This capture lost {exact(loss.packets)}: ring {exact(loss.ring)}, interface {exact(loss.interface)}, "
        f"writer {exact(loss.writer)}. The ring was full {exact(loss.freezes)} times. "
        f"Evicted: {exact(store.evicted)}."
    )
    return (lost, f"The kernel's ring takes {size_text(ring)} beside the buffer.") if ring else (lost,)
