"""The helper's program, started by client.py as `python -I -S -c …` with a socket as standard input.

A process of its own: it has none of netwatch's memory, descriptors or packets. It gives up what no verb needs, then
answers one request at a time until the socket closes, which it does at once when netwatch dies. In a session of its
own, so that ctrl+c and ctrl+z of the terminal mean netwatch alone. Imports nothing but the standard library; psutil
where a verb needs it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import Any, Final

from netwatch.capture.guard.kernel import CAPABILITY_SETS, capabilities, prctl, set_capabilities
from netwatch.capture.helper import protocol
from netwatch.capture.helper.protocol import VERBS, Directory, MessageError, RefusedError, Served, Verb
from netwatch.capture.helper.terminal import Lent

__all__ = ["main", "serve"]

Function = Callable[[Served, dict[str, Any]], tuple[dict[str, object], list[int]]]

# prctl(2)
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 8, 24, 38
_PR_SET_PDEATHSIG: Final = 1
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

_MOST_CAPABILITIES: Final = 64
_MEMORY: Final = 512 << 20
_DESCRIPTORS: Final = 256


class _Late(BaseException):
    """A verb's time is over. No Exception: whoever catches those may not catch this."""


class _Clock:
    """Ends a verb."""

    def __init__(self) -> None:
        self._running = False
        signal.signal(signal.SIGALRM, self._ring)

    def run(self, function: Function, served: Served, body: dict[str, Any], seconds: float) -> Any:
        """Raises _Late."""
        try:
            self._running = True
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return function(served, body)
        finally:
            self._running = False
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal.signal's
        if self._running:
            raise _Late


class _Rights:
    """What this process may: nothing, but for the time of a verb what that one needs."""

    def __init__(self, user: tuple[int, int] | None, wanted: set[int]) -> None:
        """Becomes `user`; of its capabilities those `wanted` stay within reach. Raises OSError."""
        prctl(_PR_SET_KEEPCAPS, 1)
        for capability in range(_MOST_CAPABILITIES):
            # Not beyond those that the kernel knows, nor without CAP_SETPCAP: then there was nothing to lose.
            with contextlib.suppress(OSError):
                prctl(_PR_CAPBSET_DROP, capability)
        if user is not None:
            # Refused where a user namespace knows nobody else: then this is as good as nobody, outside.
            with contextlib.suppress(OSError):
                os.setgroups([])
                os.setresgid(user[1], user[1], user[1])
                os.setresuid(user[0], user[0], user[0])
        with contextlib.suppress(OSError):  # before Linux 4.3 there is no ambient set
            prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        prctl(_PR_SET_DUMPABLE, 0)
        held = CAPABILITY_SETS.unpack(capabilities())
        self._permitted = _mask(wanted) & (held[1] | held[4] << 32)
        self.have(())

    def have(self, rights: tuple[int, ...]) -> None:
        """From now on, as far as they were there at the start."""
        low, high = 0xFFFF_FFFF, 32
        effective, permitted = _mask(set(rights)) & self._permitted, self._permitted
        sets = (effective & low, permitted & low, 0, effective >> high, permitted >> high, 0)
        set_capabilities(CAPABILITY_SETS.pack(*sets))


def main() -> None:
    """Serve what is on standard input, until it ends."""
    os.closerange(3, 1 << 16)
    os.chdir("/")
    os.umask(0o077)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_AS, _MEMORY),
    ):
        with contextlib.suppress(OSError, ValueError):  # lower already
            resource.setrlimit(kind, (most, most))
    with socket.socket(fileno=0) as channel, contextlib.suppress(OSError):
        serve(channel)


def serve(channel: socket.socket) -> None:
    """The first message starts it, the others are requests. Raises OSError."""
    try:
        first = protocol.receive(channel)
        if first is None:
            return
        served, wanted = _started(*first)
        functions = {verb.number: (verb, _function(verb)) for verb in wanted}
        rights = _Rights(served.user, {right for verb in wanted for right in verb.rights})
    except Exception as error:
        protocol.send(channel, protocol.failure(_words(error), getattr(error, "errno", None) or 0))
        return
    clock, lent = _Clock(), Lent()
    # Nobody waits for a verb any more when netwatch died, and its terminal is to be given back (prctl(2)).
    prctl(_PR_SET_PDEATHSIG, signal.SIGALRM)
    protocol.send(channel, protocol.pack(protocol.START, {}))
    while True:
        descriptors: list[int] = []
        try:
            message = protocol.receive(channel)
            if message is None:
                prctl(_PR_SET_PDEATHSIG, 0)
                lent.put_right()
                return
            number, body, unwanted = message
            if number == protocol.TERMINAL and protocol.fits(body, protocol.TAKEN):
                lent.take(body["settings"], unwanted.pop() if unwanted else None)
                protocol.close_all(unwanted)
                continue
            protocol.close_all(unwanted)
            verb, function = functions.get(number, (None, None))
            if verb is None or function is None or not protocol.fits(body, verb.request):
                raise MessageError("this is not asked of the helper")
            rights.have(verb.rights)
            try:
                answer, descriptors = clock.run(function, served, body, verb.seconds)
            finally:
                rights.have(())
            if not protocol.fits(answer, verb.answer) or len(descriptors) > verb.descriptors:
                raise MessageError("the answer has another shape than was agreed")
            reply = protocol.pack(number, answer)
        except _Late:
            reply = protocol.failure("it took too long")
        except Exception as error:
            protocol.close_all(descriptors)
            descriptors = []
            reply = protocol.failure(_words(error), getattr(error, "errno", None) or 0)
        try:
            # Who died may have said something about the terminal before, which is still to be received.
            with contextlib.suppress(ConnectionError):
                protocol.send(channel, reply, descriptors)
        finally:
            protocol.close_all(descriptors)


def _started(number: int, body: dict[str, Any], descriptors: list[int]) -> tuple[Served, list[Verb]]:
    """Raises MessageError."""
    if number != protocol.START or not protocol.fits(body, protocol.STARTED):
        raise MessageError("the first message starts the helper")
    user, names, directories = body["user"], body["verbs"], body["directories"]
    good = (
        (not user or (len(user) == 2 and all(type(each) is int and 0 < each < 0xFFFF_FFFF for each in user)))
        and all(isinstance(name, str) and name in VERBS for name in names)
        and all(
            isinstance(row, list) and len(row) == 3 and all(isinstance(e, str) for e in row) for row in directories
        )
        and len(directories) == len(descriptors)
    )
    if not good:
        raise MessageError("the helper cannot be started so")
    served = Served(user=tuple(user) or None, netwatch=os.getppid())
    for (name, prefix, suffix), fd in zip(directories, descriptors, strict=True):
        served.directories[name] = Directory(fd, prefix, suffix)
    return served, [VERBS[name] for name in names]


def _function(verb: Verb) -> Function:
    """Imported now: later it may not be readable."""
    module, _, name = verb.function.partition(":")
    found: Function = getattr(import_module(f"netwatch.capture.helper.{module}"), name)
    return found


def _words(error: Exception) -> str:
    if isinstance(error, RefusedError | MessageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"a fault in the helper ({type(error).__name__})"


def _mask(rights: set[int]) -> int:
    return sum(1 << right for right in rights)
