"""The command `netwatch`: takes the signals, then loads and runs the rest.

Imports nothing itself: until the signals are taken, one of them ends the process in the middle of what is loading.
"""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run with `arguments` -> the exit code (CONTRACT; 70: a mistake of ours).

    None: those of the process, which ends after this; signals are ignored from then on.
    """
    early = False
    try:
        from netwatch.app.signals import Signals
    except KeyboardInterrupt:
        from netwatch.app.signals import Signals

        early = True
    signals = Signals(came=early)
    try:
        from netwatch.app.command import run

        code = run(arguments, signals)
        if arguments is None:
            signals.ignore()
            _leave(code)
        return code
    finally:
        if arguments is None:
            signals.ignore()
        else:
            signals.restore()


def _leave(code: int) -> None:
    """End the process without taking the interpreter apart, which frees what the kernel frees anyway: 13 ms.

    All output was written without a buffer. Where a thread still runs, or somebody looks on who has his own work to
    do at the end (a profiler, a measurement of coverage), the process ends in the usual way.
    """
    import os
    import sys
    import threading

    watched = sys.flags.dev_mode or sys.gettrace() is not None or sys.getprofile() is not None
    if threading.active_count() == 1 and not watched:
        os._exit(code)
