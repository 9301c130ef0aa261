"""What the options ask for. Imports no more than that: mistakes are told before numpy and Textual load."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.app.interrupt import Stop
from netwatch.app.options import Options, help_text, parse
from netwatch.app.output import STDOUT, fill_closed_descriptors, print_out, tell
from netwatch.app.signals import Signals
from netwatch.capture.errors import EXIT_FAULT, EXIT_USAGE, CaptureError

if TYPE_CHECKING:
    from netwatch.app.confining import Rights

__all__ = ["run"]


def run(arguments: Sequence[str] | None, signals: Signals) -> int:
    """Do what `arguments` say (sys.argv's if None) -> the exit code (CONTRACT; 70: a mistake of ours)."""
    fill_closed_descriptors()
    try:
        ours = arguments is None
        return _run(parse(sys.argv[1:] if arguments is None else arguments), Stop(signals), ours=ours)
    except CaptureError as error:
        tell(str(error))
        return error.code
    except (BrokenPipeError, KeyboardInterrupt):
        return 0
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        tell(_fault(error))
        return EXIT_FAULT


def _run(options: Options, stop: Stop, *, ours: bool) -> int:
    if options.doctor:
        from netwatch.app.doctor import run as examined

        text, code = examined()
        print_out(text.encode("utf-8", "backslashreplace"))
        return code
    if options.netns is not None:
        from netwatch.capture.kernel.namespaces import enter_named

        # While there is one thread: others would stay where they are.
        options = replace(options, place=enter_named(options.netns))
    told = _tell_about(options)
    if told:
        print_out(told.encode("utf-8", "backslashreplace"))
        return 0
    # Before numpy: its BLAS would start a thread for each core, for which nothing here has work (58 ms).
    # And rights are a thread's own: no other may run when they are given up.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    shown = os.isatty(STDOUT)
    if shown and options.write == "-":
        raise CaptureError("-w - writes the packets to standard output, which is the terminal", EXIT_USAGE)
    printed = options.headless or (options.write is not None and not shown)
    if not (printed or shown):
        raise CaptureError("standard output is no terminal; add --summary, --json or --fields", EXIT_USAGE)
    from netwatch.app.confining import Rights
    from netwatch.app.mistakes import look_for_mistakes
    from netwatch.capture.guard.identity import identity

    look_for_mistakes(options)
    # Before anything is open: a mistake in it is told at once.
    rights = Rights(identity(options.user, os.environ) if ours else None, options.sandbox, ours)
    if options.plugins:
        _load_plugins()
    if printed:
        with _importing():
            from netwatch.app.headless import run
        return run(options, stop, rights)
    return _show(options, stop, rights)


def _fault(error: Exception) -> str:
    """One line for a mistake of ours: what, and where to look."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}" if place is not None else "?"
    # What other errors say may quote a packet.
    why = f": {error}" if isinstance(error, OSError | ImportError) else ""
    return f"fault in netwatch: {type(error).__name__} at {where}{why} (python -X dev -m netwatch shows more)"


def _tell_about(options: Options) -> str:
    """What --help, --version and --list print; empty if it is none of these."""
    if options.help:
        return help_text()
    if options.version:
        from netwatch.app.version import version_text

        return version_text()
    if options.list_interfaces:
        from netwatch.app.listing import listing

        return listing()
    return ""


def _load_plugins() -> None:
    """Code that is somebody's own runs only where that was asked for, and it is told which."""
    with _importing():
        from netwatch.capture.plugins import folder, load
    loaded = load(folder(), tell)
    if loaded:
        tell(f"plug-ins: {', '.join(loaded)}")


@contextlib.contextmanager
def _importing() -> Iterator[None]:
    """No look for garbage meanwhile, nor later at what was made: it stays, and a look at all of it costs 10 ms."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _show(options: Options, stop: Stop, rights: Rights) -> int:
    with _importing():
        from netwatch.app.opening import open_source

    source = open_source(options, reread=True)
    try:
        from netwatch.app.dashboard import run_dashboard

        stop.leave()
        return 0 if stop.asked else run_dashboard(options, source, rights)
    finally:
        stop.come_back()
        source.close()
