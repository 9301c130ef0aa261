"""--resolve: names of the addresses on screen, asked of the name servers by a process that may do nothing else."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections import OrderedDict, deque
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Final

import netwatch
from netwatch.capture.errors import EXIT_USAGE, CaptureError
from netwatch.capture.kernel.hiding import Endpoint
from netwatch.capture.unstopped import unstopped

__all__ = ["Resolver", "name_servers"]

_PROGRAM: Final = (
    "import sys; sys.path += sys.argv[1:3]; from netwatch.capture.resolver_server import main; main(sys.argv[3:])"
)
_ROOT: Final = Path(netwatch.__file__).parents[1]
_RESOLV_CONF: Final = "/etc/resolv.conf"
_MOST_SERVERS: Final = 3
"""As the C library takes (resolv.conf(5), MAXNS)."""
_MOST_BYTES: Final = 1 << 16
_LONGEST: Final = 512
"""Bytes of a message: a name has 255 characters, each of which may be written as four."""
_BEGIN: Final = 5.0
_GRACE: Final = 2.0
"""Seconds for the process to start, and to end."""
_MOST_WAITING: Final = 256
"""Addresses that are on screen and to be asked for: two screens full."""
_MOST_OPEN: Final = 16
"""Of those, how many the process has at a time: what is no longer on screen need not be asked for."""
_MOST_REMEMBERED: Final = 32_768
"""Addresses that were asked for, with an answer or none. A sender chooses which; the oldest are forgotten."""


class Resolver:
    """A process that asks, started while sockets may still be made. Nothing here waits for it."""

    def __init__(self, servers: list[str], *, sandbox: bool = True) -> None:
        """`sandbox`: Landlock and seccomp guard it, as they do netwatch. Raises CaptureError 2 if none of the name
        servers can be asked."""
        library = find_spec("dns")
        if library is None or library.origin is None:
            raise CaptureError("--resolve needs dnspython: pip install dnspython", EXIT_USAGE)
        paths = str(_ROOT), str(Path(library.origin).parents[1])
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, unstopped():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *paths, "sandbox" if sandbox else "", *servers],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        self._socket = mine
        self._waiting: deque[str] = deque()
        """The one that came last is asked for first: it is on screen now."""
        self._open: dict[bytes, str] = {}
        self._asked: OrderedDict[str, None] = OrderedDict()
        self._answered = 0
        self._named = 0
        self.gone = False
        """The process ended."""
        self.endpoints = self._greeting()
        """From where to where it asks."""
        if not self.endpoints:
            self.close()
            listed = ", ".join(servers) if servers else "none is listed"
            raise CaptureError(f"--resolve: no way to a name server of {_RESOLV_CONF} ({listed})", EXIT_USAGE)
        self._socket.setblocking(False)

    @classmethod
    def start(cls, *, sandbox: bool = True) -> Resolver:
        """With the name servers of this machine. Raises CaptureError 2."""
        try:
            return cls(name_servers(), sandbox=sandbox)
        except OSError as error:
            raise CaptureError(f"--resolve: its process does not start ({error.strerror})", EXIT_USAGE) from None

    @property
    def pid(self) -> int:
        """Of the process that asks."""
        return self._process.pid

    @property
    def words(self) -> str:
        """How far it is, for a person."""
        if self.gone:
            return "the process that asks for names is gone"
        left = len(self._waiting) + len(self._open)
        return f"asked {self._answered:,}{f' of {self._answered + left:,}' if left else ''}, found {self._named:,}"

    def want(self, address: str) -> None:
        """An address is on screen and has no name: it will be asked for, once."""
        if address in self._asked or self.gone:
            return
        self._remember(address)
        if _packed(address):
            self._waiting.append(address)
            if len(self._waiting) > _MOST_WAITING:
                del self._asked[self._waiting.popleft()]

    def work(self) -> list[tuple[str, str]]:
        """Pass on what is wanted -> addresses and their names that were found meanwhile."""
        found: list[tuple[str, str]] = []
        if self.gone:
            return found
        try:
            while self._waiting and len(self._open) < _MOST_OPEN:
                packed = _packed(self._waiting[-1])
                self._socket.send(packed)
                self._open[packed] = self._waiting.pop()
            for _ in range(2 * _MOST_OPEN):  # there too it is seen that it ended
                said = self._socket.recv(_MOST_BYTES)
                if not said:
                    raise BrokenPipeError
                size = said[0]
                address, name = self._open.pop(said[1 : 1 + size], None), said[1 + size :]
                self._answered += address is not None
                if address is not None and 0 < len(name) <= _LONGEST - size - 1:
                    found.append((address, name.decode("ascii", "replace")))
        except BlockingIOError:
            pass
        except OSError:
            self.gone = True
        self._named += len(found)
        return found

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(PermissionError):  # it is nobody's, and this process no longer root's
                self._process.kill()

    def _remember(self, address: str) -> None:
        self._asked[address] = None
        if len(self._asked) > _MOST_REMEMBERED:
            self._asked.popitem(last=False)

    def _greeting(self) -> tuple[Endpoint, ...]:
        self._socket.settimeout(_BEGIN)
        try:
            ends = json.loads(self._socket.recv(_MOST_BYTES))
            return tuple(
                Endpoint("udp", mine.partition("%")[0], port, theirs.partition("%")[0], other)
                for mine, port, theirs, other in ends
            )
        except (OSError, ValueError, TypeError, AttributeError):
            return ()


def name_servers(path: str = _RESOLV_CONF) -> list[str]:
    """Those that resolv.conf(5) lists, three at most; empty where there is none."""
    try:
        with open(path, "rb") as file:
            lines = file.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for words in map(str.split, lines):
        if len(words) > 1 and words[0] == "nameserver":
            try:
                ip_address(words[1])
            except ValueError:
                continue
            found.append(words[1])
    return list(dict.fromkeys(found))[:_MOST_SERVERS]


def _packed(address: str) -> bytes:
    """The bytes of an address that a name server may know; empty for others."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return b""
    nobodys = found.is_loopback or found.is_multicast or found.is_unspecified or found.is_link_local
    return b"" if nobodys or address == "255.255.255.255" else found.packed
