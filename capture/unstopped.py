"""ctrl+z while another program is started."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

__all__ = ["unstopped"]


@contextlib.contextmanager
def unstopped() -> Iterator[None]:
    """A stop from the terminal waits until this is over.

    It would reach the child between vfork(2) and exec, too. Then it is stopped, this process waits for it as nothing
    can interrupt, and the shell never learns that its job stopped.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
