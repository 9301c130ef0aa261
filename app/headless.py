"""`--summary`, `--json`, `-w` and what prints packets, without a dashboard: one thread, one loop over the source's
blocks."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from netwatch.app.confining import Rights
from netwatch.app.heap import keep_freed_memory
from netwatch.app.interrupt import Stop
from netwatch.app.opening import open_source
from netwatch.app.options import Options
from netwatch.app.output import failed, is_fifo, print_out, tell, when_nobody_reads
from netwatch.app.preload import preload_output
from netwatch.app.printing import Printer, printer_of
from netwatch.app.reports import Report
from netwatch.capture.block import Block, Damage, Loss, Source
from netwatch.capture.columns import EVENT
from netwatch.capture.decode import Decoded, Decoder
from netwatch.capture.engine import blocks
from netwatch.capture.errors import EXIT_DAMAGED, CaptureError
from netwatch.capture.stats import Statistics, partial
from netwatch.capture.summary import Summary, as_dict, as_json, as_text, lost

if TYPE_CHECKING:
    from netwatch.app.own_session import OwnSession
    from netwatch.capture.helper.client import Helper

__all__ = ["run"]


@dataclass(slots=True)
class _Outcome:
    """What the run came to, apart from the packets."""

    name: str
    damage: Damage | None = None
    loss: Loss = field(default_factory=Loss)
    code: int = 0


class _Sink(Protocol):
    """One output. All methods raise CaptureError 74, or BrokenPipeError, if it fails."""

    def begin(self, source: Source) -> None:
        """From now on packets may arrive."""
        ...

    def take(self, block: Block, decoded: Decoded | None) -> None:
        """The next packets. `decoded` is there if any of the outputs needs it."""
        ...

    def finish(self, source: Source | None, outcome: _Outcome) -> None:
        """All packets were taken. `source` is still open; None: there was no capture to be read."""
        ...


class _Counted:
    """The summary: printed, or reported, or both."""

    def __init__(self, options: Options, stop: Stop, report: Report | None) -> None:
        self._options = options
        self._stop = stop
        self._report = report
        self._statistics = Statistics(live=False)

    def begin(self, source: Source) -> None:
        pass

    def take(self, block: Block, decoded: Decoded | None) -> None:  # noqa: ARG002 - the decoder kept what counts
        assert decoded is not None  # asked for by whoever makes this sink
        self._statistics.merge(partial(decoded.rows))
        if self._report is not None:
            self._report.memory.sample()

    def finish(self, source: Source | None, outcome: _Outcome) -> None:
        hidden = getattr(source, "hidden_filters", ())
        summary = Summary(
            outcome.name, self._statistics, loss=outcome.loss, hidden_filters=hidden, damage=outcome.damage
        )
        self._stop.print_whole()
        try:
            if self._options.json:
                print_out(as_json(as_dict(summary)).encode("ascii"))
            elif self._options.summary and source is not None:
                print_out(as_text(summary).encode("utf-8", "backslashreplace"))
        finally:
            if self._report is not None:
                self._report.write(summary)


class _Printed:
    """`--fields`, `--json-packets`, `--detail`: unbuffered."""

    def __init__(self, printer: Printer, options: Options, stop: Stop) -> None:
        self._printer = printer
        self._stop = stop
        self._live = options.live

    def begin(self, source: Source) -> None:
        print_out(self._printer.begin(source.interfaces))

    def take(self, block: Block, decoded: Decoded | None) -> None:
        for data in self._printer.take(block, decoded):
            print_out(data)
            # A block of a file may take seconds; what was captured is printed to its end.
            if self._stop.asked and not self._live:
                return

    def finish(self, source: Source | None, outcome: _Outcome) -> None:
        if source is not None and not self._stop.asked and outcome.code in (0, EXIT_DAMAGED):
            self._printer.end()


class _Written:
    """`-w`. Alone, its failure ends the run; beside another output it does not."""

    def __init__(self, options: Options, source: Source, stop: Stop, rights: Rights, *, alone: bool) -> None:
        """Raises CaptureError 74, BrokenPipeError."""
        from netwatch.app.recording import Recording

        self._alone = alone
        self._live = source.live
        self._stop = stop
        assert options.write is not None  # asked for by whoever makes this sink
        if options.duration is not None and is_fifo(options.write):
            # It may be never that somebody reads it; the time begins anew with the packets.
            stop.after(options.duration)
        self._helping = None
        if options.rotation is not None:
            from netwatch.app.helping import Helping

            self._helping = Helping(options, rights.user, shown=False)
        self._recording = Recording.begin(
            options,
            source,
            alone=alone,
            on_fault=self._failed,
            stopping=stop,
            user=rights.user,
            directory=self._helping.writes if self._helping is not None else None,
        )

    def begin(self, source: Source) -> None:
        pass

    def take(self, block: Block, decoded: Decoded | None) -> None:  # noqa: ARG002 - written as it was captured
        self._recording.writer.write(block)

    def close(self) -> None:
        """All packets were taken: what waits is written now, so that it is known what was not."""
        self._recording.close()
        if self._helping is not None:
            self._helping.close()

    @property
    def fault(self) -> OSError | None:
        """Why something was not written."""
        return self._recording.recorder.first_fault

    @property
    def tells(self) -> bool:
        """`finish` will say how many packets were not written."""
        return self.fault is not None and not isinstance(self.fault, BrokenPipeError)

    @property
    def remark(self) -> str | None:
        """See Recording."""
        return self._recording.remark

    def add_dropped(self, loss: Loss) -> Loss:
        """`loss` and what was not written."""
        return self._recording.with_dropped(loss)

    def finish(self, source: Source | None, outcome: _Outcome) -> None:  # noqa: ARG002 - one of several outputs
        fault = self.fault
        if isinstance(fault, BrokenPipeError):
            if self._alone:
                raise fault
        elif fault is not None and self._alone:
            raise failed(self._recording.name, fault)
        elif fault is not None:
            raise self._recording.incomplete(fault)

    def _failed(self, fault: OSError) -> None:
        if isinstance(fault, BrokenPipeError):
            if self._alone:
                self._stop.nobody_reads()
            else:
                tell(f"{self._recording.name}: nobody reads it any more; the run goes on without it")
        elif self._alone:
            self._stop.end()
        elif self._live:
            tell(f"{failed(self._recording.name, fault)}; trying again every second")


def run(options: Options, stop: Stop, rights: Rights) -> int:
    """Read or capture until the end, `stop`, or what the options say -> the exit code.

    Raises CaptureError for what cannot be opened, BrokenPipeError where nobody reads the output.
    """
    keep_freed_memory()
    sinks: list[_Sink] = []
    printer = printer_of(options)
    if printer is not None:
        sinks.append(_Printed(printer, options, stop))
    outcome = _Outcome(name=options.read or "")
    try:
        report = _report(options, stop, rights)
    except BrokenPipeError:
        # Nobody came to read it.
        return _finish([_Counted(options, stop, None)], None, outcome)
    if options.summary or report is not None:
        # First: what cannot be printed is counted nevertheless.
        sinks.insert(0, _Counted(options, stop, report))
    try:
        source = open_source(options)
    except CaptureError as error:
        if error.code != EXIT_DAMAGED:
            raise
        # Not even a header: still a capture that is damaged, from its first byte on.
        outcome.damage, outcome.code = Damage(0, str(error)), error.code
        tell(str(error))
        return _finish(sinks, None, outcome)
    outcome.name = source.name
    own_session, helper = _own_session(source, rights) if options.hide_own_session else (None, None)
    try:
        if options.write is not None:
            try:
                sinks.append(_Written(options, source, stop, rights, alone=not options.headless))
            except BrokenPipeError as error:
                if stop.asked:
                    # Nobody came to read it.
                    return _finish(sinks, source, outcome)
                if options.headless:
                    raise failed(options.write, error) from None
                raise
        # Whether packets are dissected, the printer knows: then it has loaded the dissectors.
        dissected = printer is not None and "netwatch.capture.dissect" in sys.modules
        preload_output(json=options.json or report is not None, dissected=dissected)
        if own_session is not None:
            own_session.begin()
        for remark in rights.give_up():
            tell(remark)
        if own_session is not None:
            own_session.look_on()
        printing = printer is not None or options.write == "-"
        with when_nobody_reads(stop.nobody_reads) if printing else contextlib.nullcontext():
            return _consume(options, stop, source, sinks, outcome)
    finally:
        if own_session is not None:
            own_session.close()
        if helper is not None:
            helper.close()
        source.close()


def _consume(options: Options, stop: Stop, source: Source, sinks: list[_Sink], outcome: _Outcome) -> int:
    counted = options.summary or options.report is not None
    decoder = Decoder(fields=bool(options.fields)) if options.fields or counted else None
    stop.wake_with(source.wake)
    _start(options, stop, source)
    try:
        for sink in sinks:
            sink.begin(source)
        for block in blocks(source, stop, _count(options)):
            decoded = decoder.decode(block) if decoder is not None else None
            for sink in sinks:
                sink.take(block, decoded)
            if source.live:
                _tell_events(block)
    except BrokenPipeError:
        stop.nobody_reads()
    except CaptureError as error:
        tell(str(error))
        outcome.code = error.code
    # A stream that is cut while the run is ended is so because ctrl+c went to its writer too.
    outcome.damage = None if stop.asked else source.damage
    if outcome.damage is not None and not outcome.code:
        outcome.code = EXIT_DAMAGED
        tell(f"{source.name}: {outcome.damage.line}")
    if not (source.live or stop.unread):
        for note in getattr(source, "notes", ()):
            tell(f"{source.name}: {note}")
    outcome.loss = told = source.loss()
    for sink in sinks:
        if isinstance(sink, _Written):
            sink.close()
            if sink.remark is not None and not stop.unread:
                tell(sink.remark)
            outcome.loss = sink.add_dropped(outcome.loss)
            # What a fault cost, it says itself; a reader that left does not.
            told = told if sink.tells else outcome.loss
    if told.packets and not (options.summary or stop.unread):
        tell(lost(told))
    return _finish(sinks, source, outcome)


def _report(options: Options, stop: Stop, rights: Rights) -> Report | None:
    """Raises CaptureError 74, BrokenPipeError where the run is to end before anyone reads the FIFO that it names."""
    if options.report is None:
        return None
    if options.duration is None or not is_fifo(options.report):
        return Report(options.report, rights.user, stop)
    stop.after(options.duration)
    report = Report(options.report, rights.user, stop)
    stop.after(0)  # not at all, until packets can arrive
    return report


def _own_session(source: Source, rights: Rights) -> tuple[OwnSession | None, Helper | None]:
    """Who hides what carries the terminal, and who finds it."""
    from netwatch.app.own_session import OwnSession
    from netwatch.capture.helper.client import Helper, HelperError, Start

    helper = None
    with contextlib.suppress(HelperError):  # then it is looked for once
        helper = Helper.start(Start(("session",), rights.user))
    return OwnSession.of(source, helper, hidden=True), helper


def _count(options: Options) -> int | None:
    """Packets after which the run is over: no others are read where only some are printed."""
    if options.detail and options.count is None and options.report is None and options.write is None:
        return max(last for _, last in options.detail)
    return options.count


def _start(options: Options, stop: Stop, source: Source) -> None:
    """Let packets arrive; from here on --duration counts."""
    start = getattr(source, "start", None)
    if start is not None:
        start()
        for note in getattr(source, "notes", ()):
            tell(note)
        tell(f"capturing on {source.name}")
    if options.duration is not None:
        stop.after(options.duration)


def _tell_events(block: Block) -> None:
    """Rows that are no packets: what became of an interface."""
    for row in (block.marks & EVENT).nonzero()[0].tolist():
        start = int(block.offsets[row])
        tell(block.raw[start : start + int(block.caplen[row])].tobytes().decode("utf-8", "replace"))


def _finish(sinks: list[_Sink], source: Source | None, outcome: _Outcome) -> int:
    """Finish every output, also when another fails."""
    broken = False
    for sink in sinks:
        try:
            sink.finish(source, outcome)
        except BrokenPipeError:
            broken = True
        except CaptureError as error:
            tell(str(error))
            outcome.code = outcome.code or error.code
    if broken:
        raise BrokenPipeError(os.strerror(32))
    return outcome.code
