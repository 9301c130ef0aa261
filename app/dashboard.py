"""From a source that is open to a dashboard on the terminal, and what is said and reported afterwards."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from netwatch.app.confining import Rights
from netwatch.app.options import Options
from netwatch.app.output import tell
from netwatch.app.own_session import OwnSession
from netwatch.app.terminal_kind import need_screen
from netwatch.capture.block import Source
from netwatch.capture.errors import EXIT_DAMAGED, EXIT_FAULT, EXIT_USAGE, CaptureError

if TYPE_CHECKING:
    from netwatch.app.app import NetwatchApp
    from netwatch.app.crash import CrashLog
    from netwatch.app.helping import Helping
    from netwatch.app.recording import Recording
    from netwatch.capture.engine import Engine
    from netwatch.capture.helper.client import Helper
    from netwatch.capture.owners import Owners
    from netwatch.capture.resolver import Resolver

__all__ = ["DEFAULT_FPS", "run_dashboard"]

DEFAULT_FPS: Final = 10
_TERMINAL: Final = "/dev/tty"
_SWITCH: Final = 0.001
"""Seconds after which the interpreter lock is handed on: a key needs it three times, in three threads, while the
capture thread asks for it too."""


def run_dashboard(options: Options, source: Source, rights: Rights) -> int:
    """Show the dashboard until the person quits -> the exit code. `source` stays open; a live one is not bound yet.

    What needs rights or files comes first; then the rights go, and only then a second thread runs. The capture starts
    once the first frame stands. Raises CaptureError for what does not let it begin or end well.
    """
    _need_terminal(options)
    tshark = None
    if not options.no_tshark:
        from netwatch.capture.tshark import Tshark

        # Before anything else: the process that will ask tshark has nothing of this one's.
        tshark = Tshark.start()
    from netwatch.app.helping import Helping

    helping = Helping(options, rights.user, shown=True)
    # A file of -w lacks nothing that was not asked for.
    hidden = options.write is None or options.hide_own_session
    resolver = _resolver(source, sandbox=options.sandbox, hidden=hidden) if options.resolve else None
    own_session = OwnSession.of(source, helping.helper, hidden=hidden)
    gc.disable()
    # Textual costs 0.2 s to import, numpy half of that: only who shows a dashboard pays.
    from netwatch.app.app import NetwatchApp
    from netwatch.app.crash import CrashLog
    from netwatch.app.heap import return_freed_memory, return_holes
    from netwatch.app.link import link_of
    from netwatch.app.preload import preload_dashboard
    from netwatch.app.reports import Report
    from netwatch.app.terminal import driver
    from netwatch.app.trouble import Trouble
    from netwatch.capture.batch_queue import BatchQueue
    from netwatch.capture.decode import Decoder
    from netwatch.capture.engine import Engine
    from netwatch.capture.name_tables import Tables
    from netwatch.capture.session import Session
    from netwatch.capture.summary import Summary

    preload_dashboard()
    report = Report(options.report, rights.user) if options.report is not None else None
    recording = _recording(options, source, rights, helping)
    loss = source.loss if recording is None else lambda: recording.with_dropped(source.loss())
    batches = BatchQueue()
    unwritten = recording.queued if recording is not None else lambda: 0
    session = Session(source, buffer=options.buffer, loss=loss, waiting=lambda: batches.qsize() + unwritten())
    writer = recording.writer if recording is not None else None
    engine = Engine(source, Decoder(), batches, writer=writer, count=options.count)
    return_freed_memory()
    link = link_of(options.link_budget, os.environ)
    crash_log = CrashLog()
    crash_log.watch_threads()

    def weigh() -> None:
        if report is not None:
            report.memory.sample()
        return_holes()
        if own_session is not None:
            link.carried(over=bool(own_session.endpoints))

    app = NetwatchApp(
        session,
        engine,
        batches,
        fps=options.fps or DEFAULT_FPS,
        directory=helping.saves,
        helping=helping,
        owners=_owners(source, helping.helper),
        duration=options.duration,
        weigh=weigh,
        settled=_settled,
        unseen=link.busy,
        trouble=Trouble(recording) if recording is not None else None,
        tshark=tshark,
        names=Tables.read() if options.names else None,
        resolver=resolver,
        own_session=own_session,
        crash_log=crash_log,
        driver_class=driver(link, helping.lend),
    )
    if own_session is not None:
        own_session.begin()
        link.carried(over=bool(own_session.endpoints))
    app.costs = lambda: link.words
    with contextlib.ExitStack() as closing:
        for each in (helping, tshark, resolver, own_session):
            if each is not None:
                closing.callback(each.close)
        # Before these are closed: the helper makes the file.
        closing.enter_context(crash_log.reporting(helping.saves))
        app.remarks = [*helping.settle(), *rights.give_up()]
        try:
            app.run()
        finally:
            app.give_terminal_back()
            for batch in engine.stop():
                session.ingest(batch)
            unsaved = app.end_saving()
            if unsaved is not None:
                tell(unsaved)
            if recording is not None:
                recording.close()
            mistake = engine.fault or crash_log.unseen
            if mistake is not None:
                app.report(mistake)
        code = _say(app, source, engine, recording, crash_log)
        if report is not None:
            session.release()  # a list of all hosts takes some 25 MB
            summary = Summary(
                source.name,
                session.statistics,
                loss=session.loss,
                evicted=session.store.evicted,
                hidden_filters=getattr(source, "hidden_filters", ()),
                damage=source.damage,
            )
            stall = app.longest_stall * 1000
            try:
                report.write(summary, frames=app.frames, terminal_bytes=link.bytes, longest_ui_stall_ms=stall)
            except CaptureError as error:
                tell(str(error))
                code = code or error.code
        return code


def _resolver(source: Source, *, sandbox: bool, hidden: bool) -> Resolver:
    """Who asks for names; `hidden`: what it says to name servers stays out of the picture."""
    from netwatch.capture.resolver import Resolver
    from netwatch.capture.sources.afpacket import LiveSource

    resolver = Resolver.start(sandbox=sandbox)
    if hidden and isinstance(source, LiveSource):
        try:
            source.hide(resolver.endpoints, "name servers")
        except OSError as error:
            resolver.close()
            raise CaptureError(f"--resolve: its packets cannot be hidden ({error.strerror})", EXIT_USAGE) from error
    return resolver


def _owners(source: Source, helper: Helper | None) -> Owners | None:
    """Programs of the namespace that the helper is in, too; None where packets come from elsewhere."""
    from netwatch.capture.owners import Owners
    from netwatch.capture.sources.afpacket import LiveSource

    if helper is None or not isinstance(source, LiveSource):
        return None
    return Owners(helper, lambda: source.place == source.home)


def _settled() -> None:
    """The first frame stands. What was made for it stays, and a look for garbage among it would take 50 ms."""
    gc.freeze()
    gc.enable()
    sys.setswitchinterval(_SWITCH)


def _need_terminal(options: Options) -> None:
    """Raises CaptureError 2 without one. With `-r -` the keys come from the terminal, not from standard input."""
    if sys.__stdout__ is None or not sys.__stdout__.isatty():
        raise CaptureError("standard output is no terminal; add --summary, --json or --fields", EXIT_USAGE)
    need_screen(os.environ)
    if sys.__stdin__ is not None and sys.__stdin__.isatty() and options.read != "-":
        return
    try:
        # Textual reads whatever this name stands for; descriptor 0 stays with the capture that flows in.
        sys.__stdin__ = open(_TERMINAL, encoding="utf-8")  # type: ignore[misc]  # noqa: SIM115 - until the end
    except OSError as error:
        raise CaptureError(f"no terminal for the keyboard ({error.strerror}); add --summary", EXIT_USAGE) from None


def _recording(options: Options, source: Source, rights: Rights, helping: Helping) -> Recording | None:
    if options.write is None:
        return None
    from netwatch.app.recording import Recording

    return Recording.begin(options, source, user=rights.user, directory=helping.writes)


def _say(app: NetwatchApp, source: Source, engine: Engine, recording: Recording | None, crash_log: CrashLog) -> int:
    """What the person should still know when the screen is gone -> the exit code."""
    if crash_log.words is not None:
        captured = app.crash is None and engine.fault is not None
        tell(f"capture ended: {crash_log.words}" if captured else crash_log.words)
        return EXIT_FAULT
    if engine.failed is not None:
        tell(engine.failed)
        return engine.code
    if recording is not None and recording.recorder.first_fault is not None:
        incomplete = recording.incomplete(recording.recorder.first_fault)
        tell(str(incomplete))
        return incomplete.code
    if recording is not None and recording.remark is not None:
        tell(recording.remark)
    if not source.live:
        for note in getattr(source, "notes", ()):
            tell(f"{source.name}: {note}")
    if source.damage is not None:
        tell(f"{source.name}: {source.damage.line}")
        return EXIT_DAMAGED
    return 0
