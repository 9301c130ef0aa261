"""Saving the bytes of a conversation to a file, in slices: as they were said, nothing in place of what is missing."""

from __future__ import annotations

import contextlib
import os
from time import perf_counter
from typing import TYPE_CHECKING, Final

from netwatch.capture.follow_turns import CUT, DATA, GAP

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.follow import Follow

__all__ = ["StreamSave"]

WINDOW: Final = 256 << 10


class StreamSave:
    """Writes what is put together now; to be stepped until it is done.

    A file that is replaced stays as it was until the new one is whole.
    """

    def __init__(
        self, follow: Follow, directory: Directory, name: str, *, side: int | None, replace: bool = False
    ) -> None:
        """Opens the file; `side`: what that one of the pair sent, None: both. Raises OSError."""
        self.name = name
        self.path = os.path.normpath(os.path.join(directory.path, name))
        """For a person."""
        self.bytes = 0
        """Written so far."""
        self.missing = 0
        """Bytes that the capture lacks, or that are not kept any longer."""
        self.fault: OSError | None = None
        """What the disk said; then there is no file."""
        self.done = False
        self._follow = follow
        self._side = side
        self._replace = replace
        self._directory = directory
        self._written = f"{name}.{os.getpid()}.part" if replace else name
        self._turn, self._offset = 0, 0
        self._file = directory.open_new(self._written, over=name if replace else "")

    @property
    def share(self) -> float:
        """How far it is, 0 to 1."""
        connection = self._follow.connection
        sides = (0, 1) if self._side is None else (self._side,)
        return self.bytes / max(sum(connection.halves[side].bytes for side in sides), 1)

    def step(self, seconds: float) -> None:
        """Write for about so long."""
        deadline = perf_counter() + seconds
        try:
            while not self.done and perf_counter() < deadline:
                self._write_some()
        except OSError as error:
            self.fault = error
            self.cancel()

    def cancel(self) -> None:
        """End it, without a file."""
        if not self.done:
            self.done = True
            os.close(self._file)
            with contextlib.suppress(OSError):
                self._directory.unlink(self._written)

    def _write_some(self) -> None:
        turns = self._follow.turns
        if self._turn >= len(turns):
            os.close(self._file)
            self.done = True
            if self._replace:
                self._take_the_place()
            return
        turn = turns[self._turn]
        if self._side in (None, turn.side):
            if turn.kind in (GAP, CUT):
                self.missing += turn.end - turn.start
            elif turn.kind == DATA:
                start = max(self._offset, turn.start) if self._offset else turn.start
                stop = min(start + WINDOW, turn.end)
                for piece, data in self._follow.bytes_of(turn.side, start, stop):
                    if data is None:
                        self.missing += piece.size
                    else:
                        self._write(data)
                if stop < turn.end:
                    self._offset = stop
                    return
        self._turn, self._offset = self._turn + 1, 0

    def _take_the_place(self) -> None:
        try:
            self._directory.rename(self._written, self.name)
        except OSError:
            with contextlib.suppress(OSError):
                self._directory.unlink(self._written)
            raise

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        self.bytes += len(data)
