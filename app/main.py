"""The command `netwatch`: takes the signals, then loads and runs the rest.

Imports nothing itself: until the signals are taken, one of them ends the process in the middle of what is loading.
"""

from __future__ import annotations

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run with `arguments` -> the exit code (CONTRACT: 0, 2, 3, 74, 77).

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

        return run(arguments, signals)
    finally:
        if arguments is None:
            signals.ignore()
        else:
            signals.restore()
