"""Standard output and error, written without Python's buffer, which would be flushed, and fail, after the end."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from netwatch.capture.errors import EXIT_OUTPUT, CaptureError
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.guard.identity import Identity

__all__ = [
    "STDERR",
    "STDOUT",
    "failed",
    "fill_closed_descriptors",
    "is_fifo",
    "open_file",
    "print_out",
    "tell",
    "when_nobody_reads",
]

STDOUT = 1
STDERR = 2
_LOOK: Final = 0.1
"""Seconds between two looks at whether somebody reads a FIFO."""


def tell(message: str) -> None:
    """One line on standard error, whatever `message` holds."""
    with contextlib.suppress(OSError):
        os.write(STDERR, f"netwatch: {escape(message)}\n".encode("utf-8", "backslashreplace"))


def print_out(data: bytes) -> None:
    """All of `data` to standard output.

    Raises BrokenPipeError where nobody reads any more, CaptureError 74 where it fails otherwise.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(STDOUT, view) :]
        except BlockingIOError:
            # Somebody made the terminal or pipe non-blocking, as ssh does.
            select.select([], [STDOUT], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise failed("standard output", error) from None


@contextlib.contextmanager
def when_nobody_reads(do: Callable[[], None]) -> Iterator[None]:
    """Meanwhile, `do` is called as soon as the reader of standard output is gone; from a thread of its own.

    Who prints nothing for a while would not find out.
    """
    from netwatch.capture.sources.waker import Waker

    over = Waker()
    poller = select.poll()
    # Nothing is asked for: an error and a hang-up are always told.
    poller.register(STDOUT, 0)
    poller.register(over, select.POLLIN)

    def watch() -> None:
        if any(descriptor == STDOUT for descriptor, _ in poller.poll()):
            do()

    thread = threading.Thread(target=watch, name="reader", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        over.close()


def open_file(path: str, user: Identity | None, stopping: threading.Event | None = None) -> int:
    """A file to be written. A new one is `user`'s; one that was there stays whose it is: else root would give away
    what it is told to write over. A FIFO's reader is waited for.

    Raises OSError, and BrokenPipeError where `stopping` is set before anyone reads the FIFO.
    """
    if is_fifo(path):
        return _open_fifo(path, stopping)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        fd = os.open(path, flags | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags | os.O_TRUNC, 0o600)
    if user is not None:
        with contextlib.suppress(OSError):  # a user namespace may know nobody else, a file system no owners
            os.fchown(fd, user.uid, user.gid)
    return fd


def is_fifo(path: str) -> bool:
    """Whether `path` is a FIFO that is there."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _open_fifo(path: str, stopping: threading.Event | None) -> int:
    """A descriptor of a FIFO that somebody reads. Raises BrokenPipeError where `stopping` is set before anyone does.

    Plain open() would wait, too, but be started anew behind every signal.
    """
    while True:
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        else:
            os.set_blocking(fd, True)
            return fd
        if stopping is None:
            time.sleep(_LOOK)
        elif stopping.wait(_LOOK):
            raise BrokenPipeError(errno.EPIPE, "nobody reads it")


def failed(what: str, error: OSError) -> CaptureError:
    """Writing `what` failed."""
    return CaptureError(f"cannot write {what}: {error.strerror or error}", EXIT_OUTPUT)


def fill_closed_descriptors() -> None:
    """Where the caller closed 0, 1 or 2 (`>&-`), the next file to be opened would become standard output.

    What takes their place is the wrong way round, so that using it fails as it should.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= STDERR:
        pass
    os.close(descriptor)
