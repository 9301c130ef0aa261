"""Finding bytes in a conversation, in slices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from netwatch.capture.follow_turns import DATA

if TYPE_CHECKING:
    from netwatch.capture.follow import Follow

__all__ = ["Place", "pattern", "search"]

WINDOW: Final = 128 << 10
"""Bytes that are looked through at once."""
_ESCAPE: Final = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|([rnt\\]))")
_LETTERS: Final = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}

Place = tuple[int, int]
"""Number of a turn, and an offset in it."""


def pattern(text: str) -> re.Pattern[bytes]:
    """What to look for: `text` as it stands, in upper and lower case; \\r \\n \\t \\\\ and \\xNN are bytes."""

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes.fromhex(match[1].decode()) if match[1] else _LETTERS[match[2]]

    wanted = _ESCAPE.sub(byte, text.encode("utf-8", "surrogateescape"))
    return re.compile(re.escape(wanted), re.IGNORECASE)


def search(
    follow: Follow, wanted: re.Pattern[bytes], start: Place, *, forward: bool, side: int | None
) -> Iterator[Place | None]:
    """The next match behind `start` (or the last before it), around the end if need be: its place, at last.

    None: looked through a window, nothing yet. `side`: look at what that one of the pair sent; None: at both.
    """
    turns = follow.turns
    count = len(turns)
    if not count:
        return
    first = min(start[0], count - 1)
    step = 1 if forward else -1
    overlap = len(wanted.pattern)
    # The turn where it begins comes twice: behind the place, and, having come around, before it.
    for round_ in range(count + 1):
        number = (first + step * round_) % count
        if number >= len(turns):
            return  # it became another conversation meanwhile
        turn = turns[number]
        if turn.kind != DATA or (side is not None and turn.side != side):
            if not round_ % 256:
                yield None
            continue
        low, high = turn.start, turn.end
        if round_ == 0:
            low, high = (max(low, start[1] + 1), high) if forward else (low, min(high, start[1] + overlap - 1))
        windows = range(low, high, WINDOW)
        for at in windows if forward else reversed(windows):
            data = follow.window(turn.side, at, min(at + WINDOW + overlap, high)) or b""
            if forward:
                match = wanted.search(data)
                if match is not None:
                    yield number, at + match.start()
                    return
            else:
                found = [match.start() for match in wanted.finditer(data)]
                found = [each for each in found if round_ or at + each < start[1]]
                if found:
                    yield number, at + found[-1]
                    return
            yield None
