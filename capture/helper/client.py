"""Asking the helper: who starts it, and calls its verbs (protocol.py)."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.helper import protocol
from netwatch.capture.helper.protocol import VERBS, MessageError, Shape, Verb
from netwatch.capture.unstopped import unstopped

if TYPE_CHECKING:
    from netwatch.capture.guard.identity import Identity

__all__ = ["Helper", "HelperError", "Place", "Start"]

_PROGRAM: Final = "import sys; sys.path += sys.argv[1:]; from netwatch.capture.helper.server import main; main()"
_ROOT: Final = Path(__file__).absolute().parents[3]
_PATIENCE: Final = 3.0
"""Seconds beyond a verb's own; who answers no sooner does not answer at all."""
_GRACE: Final = 1.0
_STARTING: Final = 10.0


class HelperError(Exception):
    """One line that says why there is no answer."""

    def __init__(self, words: str, errno: int = 0) -> None:
        super().__init__(words)
        self.errno = errno
        """Of the system's error behind it (errno(3)); 0: there is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory where files may be made, whose names begin and end so."""

    path: str
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What the helper is for."""

    verbs: tuple[str, ...]
    user: Identity | None = None
    """Whom it becomes; its capabilities are those of `verbs`, as far as this process has them."""
    places: dict[str, Place] = field(default_factory=dict)


class Helper:
    """The process and the socket to it. One question at a time; any thread may ask."""

    def __init__(self, start: Start) -> None:
        """It gets ready while this process goes on; see `settle`. Raises HelperError."""
        self._gone = ""
        """Why it answers no more."""
        self._lock = threading.Lock()
        self._settled = False
        self._asking: set[str] = set()
        psutil = find_spec("psutil")
        paths = [str(_ROOT), *(str(Path(psutil.origin).parents[1]) for _ in "1" if psutil and psutil.origin)]
        directories: list[int] = []
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = mine
        try:
            with theirs, unstopped():
                for place in start.places.values():
                    directories.append(os.open(place.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", _PROGRAM, *paths],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                    start_new_session=True,
                )
            body = {
                "user": [start.user.uid, start.user.gid] if start.user is not None else [],
                "verbs": list(start.verbs),
                "directories": [[name, place.prefix, place.suffix] for name, place in start.places.items()],
            }
            protocol.send(mine, protocol.pack(protocol.START, body), directories)
        except (OSError, MessageError) as error:
            mine.close()
            raise HelperError(f"no helper process: {getattr(error, 'strerror', None) or error}") from None
        finally:
            protocol.close_all(directories)

    @classmethod
    def start(cls, start: Start) -> Helper:
        """Start it. Raises HelperError."""
        return cls(start)

    def settle(self) -> None:
        """Wait until it has given up its rights and answers: it is idle then. Raises HelperError."""
        with self._lock:
            if not self._settled:
                self._settled = True
                self._answer("no helper process", protocol.START, {}, _STARTING)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """It will answer, as far as can be known."""
        if not self._gone:
            poll = select.poll()
            poll.register(self._socket, 0)
            if poll.poll(0):  # POLLHUP is always told (poll(2))
                self._gone = "it ended"
        return not self._gone

    def call(self, verb: str, **arguments: object) -> dict[str, Any]:
        """Ask and wait for the answer. Raises HelperError."""
        answer, descriptors = self.call_fd(verb, **arguments)
        protocol.close_all(descriptors)
        return answer

    def call_fd(self, verb: str, **arguments: object) -> tuple[dict[str, Any], list[int]]:
        """The answer, and the descriptors that came with it, which are the caller's. Raises HelperError."""
        known = VERBS[verb]
        assert protocol.fits(arguments, known.request), verb
        return self._exchange(verb, known, arguments)

    def ask(self, verb: str, callback: Callable[[dict[str, Any] | HelperError], None], **arguments: object) -> bool:
        """Ask without waiting: `callback` gets the answer in a thread of its own. False where the same verb was asked
        before and is not answered yet: then nothing is asked."""
        if verb in self._asking:
            return False
        self._asking.add(verb)

        def work() -> None:
            try:
                answer: dict[str, Any] | HelperError = self.call(verb, **arguments)
            except HelperError as error:
                answer = error
            finally:
                self._asking.discard(verb)
            callback(answer)

        threading.Thread(target=work, name=f"helper {verb}", daemon=True).start()
        return True

    def lend(self, terminal: int | None) -> None:
        """Told before netwatch takes the terminal: should it die with it, the helper gives it back. None: netwatch
        did so. Waits for nothing and never raises."""
        settings: list[Any] = []
        # There may be no helper any more, or no terminal.
        with contextlib.suppress(OSError, termios.error):
            if terminal is not None:
                *settings, characters = termios.tcgetattr(terminal)
                settings.append([each if isinstance(each, int) else each[0] for each in characters])
            data = protocol.pack(protocol.TERMINAL, {"settings": settings})
            protocol.send(self._socket, data, [terminal] if terminal is not None else [])

    def close(self) -> None:
        """End it."""
        self._gone = self._gone or "it was ended"
        self._socket.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):  # no right to, any more: it ends by itself, in a moment
                self._process.kill()

    def _exchange(self, what: str, verb: Verb, body: dict[str, object]) -> tuple[dict[str, Any], list[int]]:
        try:
            data = protocol.pack(verb.number, body)
        except MessageError as error:
            raise HelperError(f"{what}: {error}") from None
        self.settle()
        with self._lock:
            if not self._gone:
                try:
                    protocol.send(self._socket, data)
                except OSError as error:
                    self._gone = _why(error)
            return self._answer(what, verb.number, verb.answer, verb.seconds, verb.descriptors)

    def _answer(
        self, what: str, number: int, shape: Shape, seconds: float, most: int = 0
    ) -> tuple[dict[str, Any], list[int]]:
        """Raises HelperError."""
        answer = None
        if not self._gone:
            try:
                self._socket.settimeout(seconds + _PATIENCE)
                answer = protocol.receive(self._socket)
                self._gone = "" if answer is not None else "it ended"
            except (OSError, MessageError) as error:
                self._gone = _why(error)
        if answer is None:
            raise HelperError(f"the helper process is gone: {self._gone}")
        kind, found, descriptors = answer
        if kind == number and protocol.fits(found, shape) and len(descriptors) <= most:
            return found, descriptors
        protocol.close_all(descriptors)
        if kind == protocol.FAILED and protocol.fits(found, protocol.FAILURE):
            raise HelperError(found["words"], found["errno"])
        raise HelperError(f"the helper's answer to {what} cannot be read")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer"
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return "it ended"
    return getattr(error, "strerror", None) or str(error)
