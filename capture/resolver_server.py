"""The process that asks name servers what addresses are called (--resolve): a program of its own, so that it has
nothing of netwatch's memory.

Started by resolver.py as `python -I -S -c …`, with a socket (SOCK_SEQPACKET) as standard input. It opens one UDP
socket for each name server, tells from where to where (netwatch leaves these packets out of its picture), gives up
its rights, and asks. Imports the standard library, what rights are given up with, and dnspython.

    first message  JSON: [[local address, local port, remote address, remote port], …]
    request        the 4 or 16 bytes of an address
    answer         their count, the address, its name in ASCII; no name: there is none, or nobody said it in time
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import resource
import selectors
import socket
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from netwatch.capture.guard.confine import Confinement, confine
from netwatch.capture.guard.identity import Identity

if TYPE_CHECKING:
    import dns.message

PORT = 53
INTERVAL = 0.105
"""Seconds between two packets: that is less than ten a second."""
PATIENCE = 2.0
"""Seconds for an answer; then the next name server is asked."""
MOST = 64
"""Addresses that wait; those beyond are told to have no name."""
LARGEST = 4096
"""Bytes of an answer that are read. Without EDNS 512 come (RFC 1035, 4.2.1)."""
MOST_ALIASES = 8
"""An address block that was delegated has one in front of each name (RFC 2317)."""

_MODULES = (
    *("message", "reversename", "rdtypes.IN.A", "rdtypes.IN.AAAA"),
    *(f"rdtypes.ANY.{kind}" for kind in ("CNAME", "DNAME", "NS", "OPT", "PTR", "RRSIG", "SOA")),
)
_NOBODY = Identity(65_534, 65_534, "nobody")
"""Not the user that netwatch becomes: this process may not even send it a signal."""
_MEMORY = 1 << 30
_FILES = 32


@dataclass
class Question:
    """What was asked, and is not answered yet."""

    packed: bytes
    query: dns.message.QueryMessage
    server: int
    """Which of the sockets it went to."""
    tries: int
    until: float


class Asker:
    """Asks one name server after the other about each address, never faster than INTERVAL."""

    def __init__(self, channel: socket.socket, servers: list[socket.socket]) -> None:
        self._channel = channel
        self._servers = servers
        self._best = 0
        """The server that answered last."""
        self._waiting: collections.deque[tuple[bytes, int]] = collections.deque()
        self._asked: list[Question] = []
        self._next = 0.0

    def serve(self) -> None:
        """Until the other end of the channel is closed."""
        with selectors.DefaultSelector() as selector:
            for each in (self._channel, *self._servers):
                each.setblocking(each is self._channel)
                selector.register(each, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(self._pause()):
                    if key.fileobj is not self._channel:
                        self._read(self._servers.index(key.fileobj))  # type: ignore[arg-type]
                        continue
                    try:
                        packed = self._channel.recv(64)
                    except ConnectionResetError:  # it went without reading all answers
                        return
                    if not packed:
                        return
                    if len(packed) in (4, 16):
                        self._take(packed)
                self._expire()
                if self._waiting and time.monotonic() >= self._next:
                    self._send(*self._waiting.popleft())

    def _take(self, packed: bytes) -> None:
        if len(self._waiting) + len(self._asked) < MOST:
            self._waiting.append((packed, 0))
        else:
            self._tell(packed, "")

    def _pause(self) -> float | None:
        moments = [question.until for question in self._asked] + ([self._next] if self._waiting else [])
        return max(min(moments) - time.monotonic(), 0.0) if moments else None

    def _send(self, packed: bytes, tries: int) -> None:
        query = question(packed)
        server = (self._best + tries) % len(self._servers)
        now = time.monotonic()
        self._next = now + INTERVAL
        self._asked.append(Question(packed, query, server, tries + 1, now + PATIENCE))
        try:
            self._servers[server].send(query.to_wire())
        except OSError:
            self._asked[-1].until = now  # no way there, for now

    def _read(self, server: int) -> None:
        import dns.exception
        import dns.message

        try:
            data = self._servers[server].recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            # Nobody listens there (ICMP): no use in waiting.
            for question in self._asked:
                if question.server == server:
                    question.until = 0.0
            return
        try:
            answer = dns.message.from_wire(data)
        except (dns.exception.DNSException, ValueError):
            return
        for question in self._asked:
            # Number, kind and question are those of the query.
            if question.server == server and question.query.is_response(answer):
                self._asked.remove(question)
                self._best = server
                self._tell(question.packed, name_in(answer))
                return

    def _expire(self) -> None:
        now = time.monotonic()
        late = [question for question in self._asked if question.until <= now]
        for question in late:
            self._asked.remove(question)
            if question.tries < len(self._servers):
                self._waiting.append((question.packed, question.tries))
            else:
                self._tell(question.packed, "")

    def _tell(self, packed: bytes, name: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # serve() is told next
            self._channel.send(bytes([len(packed)]) + packed + name.encode("ascii", "replace"))


def question(packed: bytes) -> dns.message.QueryMessage:
    """What an address is called."""
    import dns.message
    import dns.rdatatype
    import dns.reversename

    text = socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
    return dns.message.make_query(dns.reversename.from_address(text), dns.rdatatype.PTR)


def name_in(answer: dns.message.Message) -> str:
    """The name that an answer gives to the address; empty if it gives none."""
    import dns.rdataclass
    import dns.rdatatype

    owner = answer.question[0].name
    for _ in range(MOST_ALIASES):
        found = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.PTR)
        if found is not None:
            return str(found[0].target.to_text(omit_final_dot=True))
        alias = answer.get_rrset(answer.answer, owner, dns.rdataclass.IN, dns.rdatatype.CNAME)
        if alias is None:
            break
        owner = alias[0].target
    return ""


def open_sockets(servers: list[str]) -> list[socket.socket]:
    """One for each name server that there is a way to, from a port that stays: the kernel picks one at random."""
    opened = []
    for server in servers:
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                server, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )[0]
            made = socket.socket(family, kind)
            made.connect(address)
        except OSError:
            continue
        opened.append(made)
    return opened


def give_up_rights(*, sandbox: bool) -> None:
    """Nobody's: no files, no other program, no socket but those that are open."""
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What the kernel cannot deny netwatch tells of itself.
    confine(Confinement(_NOBODY if os.geteuid() == 0 else None, sandbox=sandbox))


def load() -> None:
    """All of dnspython that an answer can need: afterwards its files may not be readable any more."""
    for name in _MODULES:
        import_module(f"dns.{name}")
    question(bytes(4)).to_wire()  # what it imports by itself


def main(options: list[str]) -> None:
    """`options`: "sandbox" or nothing, then the name servers."""
    channel = socket.socket(fileno=os.dup(0))
    sockets = open_sockets(options[1:])
    ends = [[*each.getsockname()[:2], *each.getpeername()[:2]] for each in sockets]
    channel.send(json.dumps(ends).encode())
    if sockets:
        load()
        give_up_rights(sandbox=bool(options[0]))
        Asker(channel, sockets).serve()
