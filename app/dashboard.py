"""From a source that is open to a dashboard on the terminal, and what it cost in the end."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from time import process_time
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.errors import EXIT_USAGE, CaptureError

if TYPE_CHECKING:
    import queue

    from netwatch.capture.block import Batch
    from netwatch.capture.engine import Engine
    from netwatch.capture.session import Session

__all__ = ["DEFAULT_FPS", "DashboardReport", "keyboard_from_terminal", "run_dashboard"]

DEFAULT_FPS: Final = 10
_TERMINAL: Final = "/dev/tty"


@dataclass(frozen=True, slots=True)
class DashboardReport:
    """What `--report` says of a dashboard, beside the session's own numbers."""

    frames: int
    """Repaints by the clock."""
    terminal_bytes: int
    """Written to the terminal, from its first byte to its last."""
    cpu_seconds: float
    """User and system, the whole process."""
    rss_anon_peak: int
    """Bytes of anonymous memory, at most, looked at once a second; 0 where the system does not say."""
    longest_ui_stall_ms: float
    """Longest time for which no key could be answered."""
    failed: str | None
    """One line: why the capture or the program ended early."""
    code: int
    """Exit code that belongs to it."""


def keyboard_from_terminal() -> int:
    """Make the terminal standard input, where the keys come from -> another descriptor of what it was before.

    For `-r -`: the capture flows in through a pipe. Raises CaptureError 2 where there is no terminal.
    """
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR)
    except OSError as error:
        raise CaptureError(
            f"no terminal for the keyboard ({error.strerror}): use --summary or --fields", EXIT_USAGE
        ) from error
    stream = os.dup(0)
    os.dup2(terminal, 0)
    os.close(terminal)
    return stream


def run_dashboard(
    session: Session,
    engine: Engine,
    batches: queue.Queue[Batch],
    *,
    fps: float = DEFAULT_FPS,
    ring: int = 0,
    duration: float | None = None,
) -> DashboardReport:
    """Show the dashboard until the person quits; starts the engine once it stands, stops it, and takes in the rest.

    Afterwards the session holds every packet that was captured, and the terminal is as it was. `ring`: bytes of the
    kernel's ring, for the advice when it overflows. Raises CaptureError 2 where stdout is no terminal.
    """
    if not sys.__stdout__ or not sys.__stdout__.isatty() or not sys.__stdin__ or not sys.__stdin__.isatty():
        raise CaptureError("the dashboard needs a terminal: use --summary or --fields", EXIT_USAGE)
    # Textual costs 0.2 s to import: only who shows a dashboard pays.
    from textual.drivers.linux_driver import LinuxDriver

    from netwatch.app.app import NetwatchApp

    written = 0

    class CountingDriver(LinuxDriver):
        """On stdout, where Textual's own takes stderr; and it counts what netwatch costs the link."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            assert sys.__stdout__ is not None
            self._file = sys.__stdout__

        def write(self, data: str) -> None:
            nonlocal written
            written += len(data) if data.isascii() else len(data.encode("utf-8", "replace"))
            super().write(data)

    app = NetwatchApp(session, engine, batches, fps=fps, ring=ring, duration=duration, driver_class=CountingDriver)
    try:
        app.run()
    finally:
        for batch in engine.stop():
            session.ingest(batch)
    failed, code = (app.crash, 1) if app.crash is not None else (engine.failed, engine.code)
    return DashboardReport(
        frames=app.frames,
        terminal_bytes=written,
        cpu_seconds=process_time(),
        rss_anon_peak=app.memory_peak,
        longest_ui_stall_ms=app.longest_stall * 1000,
        failed=failed,
        code=code,
    )
