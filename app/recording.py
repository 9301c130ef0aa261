"""`-w` and `-b`: the output, opened, and who writes it."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from netwatch.app.options import Options
from netwatch.app.output import failed, open_file
from netwatch.capture.block import Loss, Source
from netwatch.capture.directory import Directory
from netwatch.capture.engine import BlockWriter
from netwatch.capture.errors import EXIT_OUTPUT, CaptureError
from netwatch.capture.guard.identity import Identity
from netwatch.capture.recorder import Output, Recorder
from netwatch.capture.rotating import RotatingWriter
from netwatch.capture.spooler import Spooler
from netwatch.capture.writer import PcapngWriter

__all__ = ["Recording"]

_SPARE: Final = 0.5
"""The part of the ring that a slow disk may fill: the rest is for what the processor is slow at."""
_UNSEEN: Final = 0.25
"""Seconds that the screen may be late."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What is captured on its way to the disk."""

    name: str
    """Of the output, for a person."""
    recorder: Recorder
    writer: BlockWriter
    """Takes the blocks of the source."""
    queued: Callable[[], int]
    """Bytes of packets that wait for the disk."""
    close: Callable[[], None]
    """Write what waits, and the last statistics."""

    @classmethod
    def begin(
        cls,
        options: Options,
        source: Source,
        *,
        alone: bool = False,
        on_fault: Callable[[OSError], None] | None = None,
        stopping: threading.Event | None = None,
        user: Identity | None = None,
        directory: Directory | None = None,
    ) -> Recording:
        """Open what `options.write` names. Raises CaptureError 74, BrokenPipeError.

        `alone`: nobody else waits for the packets; `on_fault`: see Recorder; `stopping`: once set, the reader of a
        FIFO is not waited for any more; `user`: whose a file is that is made, None: this process's own; `directory`:
        where the files of `-b` are made, None: by this process.
        """
        path = options.write
        assert path is not None  # asked for by whoever begins
        # Only the kernel stamps packets by the clock, and only its ring cannot wait: it runs over.
        live = hasattr(source, "finish")
        named = "standard output" if path == "-" else path
        output: Output
        try:
            if options.rotation is not None:
                output = RotatingWriter(
                    path, source.interfaces, options.rotation, loss=source.loss, live=live, directory=directory
                )
            elif path == "-":
                output = PcapngWriter(path, source.interfaces, loss=source.loss)
            else:
                fd = open_file(path, user, stopping)
                try:
                    output = PcapngWriter(fd, source.interfaces, loss=source.loss)
                finally:
                    os.close(fd)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed(named, error) from None
        recorder = Recorder(output, live=live, on_fault=on_fault)
        if not source.live:
            # A file uses its memory again.
            return cls(named, recorder, recorder, lambda: 0, recorder.close)
        spooler = Spooler(recorder, may_wait=_patience(source, alone=alone))
        return cls(named, recorder, spooler, lambda: spooler.queued, spooler.close)

    @property
    def fault(self) -> OSError | None:
        """Why packets are missing in the output, as it said last."""
        return self.recorder.fault or self.recorder.first_fault

    @property
    def trouble(self) -> str | None:
        """One line while nothing can be written. How much that is stands in the header, and nowhere else: it runs."""
        fault = self.recorder.fault
        return (
            None
            if fault is None
            else f"writing stopped: {fault.strerror or fault}; LOST above counts what is missing"
        )

    @property
    def remark(self) -> str | None:
        """One line, once all is written, about what is there but not as it was."""
        early = self.recorder.tally.before_1970
        return f"{self.name}: {early:,} packets of before 1970 are dated 1970 there" if early else None

    def incomplete(self, fault: OSError) -> CaptureError:
        """What is said at the end, where `fault` was met on the way."""
        return CaptureError(
            f"{failed(self.name, fault)}; {self.recorder.dropped:,} packets are missing there", EXIT_OUTPUT
        )

    def with_dropped(self, loss: Loss) -> Loss:
        """`loss` of the source and what was not written."""
        return replace(loss, writer=loss.writer + self.recorder.dropped)


def _patience(source: Source, *, alone: bool) -> Callable[[float], bool]:
    """For how long a full queue may hold `source` up: as long as its ring has room to spare, and unseen."""
    if not hasattr(source, "filled"):
        return lambda _: True
    live = source
    longest = math.inf if alone else _UNSEEN
    return lambda seconds: seconds < longest and live.filled < _SPARE
