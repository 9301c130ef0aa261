"""From a source that is open to a dashboard on the terminal, and what is said and reported afterwards."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from netwatch.app.options import Options
from netwatch.app.output import failed, tell
from netwatch.capture.block import Source
from netwatch.capture.errors import EXIT_DAMAGED, EXIT_USAGE, CaptureError

if TYPE_CHECKING:
    from netwatch.app.app import NetwatchApp
    from netwatch.capture.writer import PcapngWriter

__all__ = ["DEFAULT_FPS", "run_dashboard"]

DEFAULT_FPS: Final = 10
_TERMINAL: Final = "/dev/tty"
_CRASHED: Final = 1


def run_dashboard(options: Options, source: Source) -> int:
    """Show the dashboard until the person quits -> the exit code. `source` stays open; a live one is not bound yet.

    The capture starts once the first frame stands. Raises CaptureError for what does not let it begin or end well.
    """
    _need_terminal(options)
    # Textual costs 0.2 s to import, numpy half of that: only who shows a dashboard pays.
    from netwatch.app.app import NetwatchApp
    from netwatch.app.reports import Report
    from netwatch.app.terminal import Written, driver
    from netwatch.capture.batch_queue import BatchQueue
    from netwatch.capture.decode import Decoder
    from netwatch.capture.engine import Engine
    from netwatch.capture.session import Session
    from netwatch.capture.summary import Summary

    report = Report(options.report) if options.report is not None else None
    writer = _writer(options, source)
    regular = not source.live and source.progress() is not None
    session = Session(source, buffer=None if regular else options.buffer)
    batches = BatchQueue()
    engine = Engine(source, Decoder(), batches, writer=writer, count=options.count)
    written = Written()
    app = NetwatchApp(
        session,
        engine,
        batches,
        fps=options.fps or DEFAULT_FPS,
        duration=options.duration,
        weigh=report.memory.sample if report is not None else None,
        driver_class=driver(written),
    )
    try:
        app.run()
    finally:
        for batch in engine.stop():
            session.ingest(batch)
        _close(writer, options, source)
    if report is not None:
        summary = Summary(
            source.name, session.statistics, loss=source.loss(), evicted=session.store.evicted, damage=source.damage
        )
        stall = app.longest_stall * 1000
        report.write(summary, frames=app.frames, terminal_bytes=written.bytes, longest_ui_stall_ms=stall)
    return _say(app, source, engine.failed, engine.code)


def _need_terminal(options: Options) -> None:
    """Raises CaptureError 2 without one. With `-r -` the keys come from the terminal, not from standard input."""
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        raise CaptureError("standard output is no terminal; add --summary, --json or --fields", EXIT_USAGE)
    if sys.__stdin__ is not None and sys.__stdin__.isatty() and options.read != "-":
        return
    try:
        # Textual reads whatever this name stands for; descriptor 0 stays with the capture that flows in.
        sys.__stdin__ = open(_TERMINAL, encoding="utf-8")  # type: ignore[misc]  # noqa: SIM115 - until the end
    except OSError as error:
        raise CaptureError(f"no terminal for the keyboard ({error.strerror}); add --summary", EXIT_USAGE) from None


def _writer(options: Options, source: Source) -> PcapngWriter | None:
    if options.write is None:
        return None
    from netwatch.capture.writer import PcapngWriter

    try:
        return PcapngWriter(options.write, source.interfaces)
    except OSError as error:
        raise failed(options.write, error) from None


def _close(writer: PcapngWriter | None, options: Options, source: Source) -> None:
    if writer is None or options.write is None:
        return
    try:
        writer.close(source.loss())
    except OSError as error:
        raise failed(options.write, error) from None


def _say(app: NetwatchApp, source: Source, failure: str | None, code: int) -> int:
    """What the person should still know when the screen is gone -> the exit code."""
    if app.crash is not None:
        return _CRASHED  # said already
    if failure is not None:
        tell(failure)
        return code
    if source.damage is not None:
        tell(f"{source.name}: damaged at byte {source.damage.offset:,}: {source.damage.message}")
        return EXIT_DAMAGED
    return 0
