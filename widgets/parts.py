"""A line made of parts that stand or fall as a whole, as there is room: the header."""

from __future__ import annotations

from typing import Final, NamedTuple

from rich.style import Style

from netwatch.widgets.painting import Piece, width_of

__all__ = ["Part", "arrange"]


_LAST: Final = 100


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
    spare: int = 0
    """So many of the widest forms are only for room that no other part has a use for."""


def _width(pieces: list[Piece]) -> int:
    return sum(width_of(text) for text, _ in pieces)


def arrange(parts: list[Part], width: int, ground: Style) -> list[Piece]:
    """The parts that fit into `width` cells, in their order, the right ones at the right.

    Parts take their shortest form by rank, and a longer one when those of a lower rank have room; what is left at
    last widens the gaps from one cell to two.
    """
    wishes = [(part.rank, part.rank, at, [part.forms[-1]]) for at, part in enumerate(parts)]
    for at, part in enumerate(parts):
        wishes.append((part.grows, part.rank, at, part.forms[part.spare :]))
        wishes.append((_LAST, part.rank, at, part.forms[: part.spare]))
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
