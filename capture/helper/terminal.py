"""The terminal of a netwatch that was killed, or fell: given back as it would have done itself.

Nobody can do that in the process: SIGKILL is not seen, and after SIGSEGV nothing can be relied on. The helper sees
its socket close before the shell is told that its job ended: a process that ends closes its files first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import termios
from typing import Any, Final

__all__ = ["Lent"]

_LFLAG: Final = 3
"""Where tcgetattr puts the local modes."""
_OFF: Final = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN
"""What is off while the dashboard is shown; a shell that has its terminal back leaves at least ISIG on."""
_PATIENCE: Final = 2
"""Seconds for a terminal that takes no bytes."""
_GIVEN_BACK: Final = (
    b"\x1b[?2026l"  # synchronised output
    b"\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # mouse
    b"\x1b[?2004l\x1b[?2048l\x1b[?1004l\x1b[?7h\x1b[<u"  # paste, size, focus; line wrap; kitty's keyboard
    b"\x1b[m\x1b[?1049l\x1b[?25h"  # colours; alternate screen; cursor
)
"""What the driver of the dashboard turned on, off (Textual's linux_driver; xterm's ctlseqs, "DEC Private Mode")."""


class Lent:
    """To netwatch; it says when it takes it and when it gave it back."""

    def __init__(self) -> None:
        self._terminal: int | None = None
        self._settings: list[Any] = []

    def take(self, settings: list[Any], terminal: int | None) -> None:
        """From now on netwatch has `terminal`, whose `settings` were these (tcgetattr); None: not any more."""
        if self._terminal is not None:
            os.close(self._terminal)
        self._terminal, self._settings = terminal, settings

    def put_right(self) -> None:
        """If netwatch still has it. Never raises; ends the process where the terminal takes too long."""
        if self._terminal is None:
            return
        # The terminal's description is the shell's, too: it may not be made non-blocking.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE)
        with contextlib.suppress(Exception):  # it hung up, or these are no settings
            if not termios.tcgetattr(self._terminal)[_LFLAG] & _OFF:
                termios.tcsetattr(self._terminal, termios.TCSANOW, self._settings)
                termios.tcflush(self._terminal, termios.TCIFLUSH)  # what the mouse said
        with contextlib.suppress(OSError):
            os.write(self._terminal, _GIVEN_BACK)
