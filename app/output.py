"""Standard output and error, written without Python's buffer, which would be flushed, and fail, after the end."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Iterator

from netwatch.capture.errors import EXIT_OUTPUT, CaptureError
from netwatch.capture.text import escape

__all__ = ["STDERR", "STDOUT", "failed", "fill_closed_descriptors", "print_out", "tell", "when_nobody_reads"]

STDOUT = 1
STDERR = 2


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
