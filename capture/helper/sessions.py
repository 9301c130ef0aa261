"""`session`: the connections that carry netwatch's terminal now.

From netwatch up through its parents, and from the first process of each one's session, until there is a program that
has a terminal on one side and the network on the other: sshd, whose own TCP socket tells the connection, or
mosh-server. A multiplexer (tmux, screen) stands between terminals: it holds those of the clients that are attached
now, and from the processes on these the search goes on. So neither sudo, which clears the environment and may put a
terminal of its own in between, nor attaching again from elsewhere hides the connection.

Where sshd's sockets may not be read (netwatch without root), SSH_CONNECTION of the environments counts, if there is
such a connection. Everything is read from /proc (proc(5)), may be gone at the next look, and is bounded.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from netwatch.capture.helper.protocol import Served

__all__ = ["Connection", "Finder", "session"]

_DAEMONS: Final = frozenset({"sshd", "sshd-session", "dropbear"})
"""What answers SSH. OpenSSH has sessions in a program of their own since 9.8."""
_CLIENTS: Final = frozenset({"ssh", "dbclient"})
_ROAMING: Final = "mosh-server"

_MOST_PROCESSES: Final = 256
"""That are climbed through at one look."""
_MOST_FOUND: Final = 16
_MOST_DESCRIPTORS: Final = 4096
"""That are looked at, of a process."""
_MOST_TABLE: Final = 64 << 20
"""Bytes of a table of sockets: some 400,000 of them."""
_MOST_ENVIRONMENT: Final = 128 << 10
_MOST_KNOWN: Final = 4096
"""Sockets whose connection is remembered."""

_LISTEN: Final = b"0A"
_ESTABLISHED: Final = "01"
"""States (net/tcp_states.h), as a table of sockets has them."""
_END: Final = rb"([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4})"
_ROW: Final = re.compile(rb" *[0-9]+: " + _END + b" " + _END + b" ")
_PTS_MAJOR: Final = 136
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""IPv4 in IPv6 (RFC 4291, 2.5.5.2)"""
_TERMINAL: Final = re.compile(r"/dev/pts/([0-9]{1,7})")
_SOCKET: Final = re.compile(r"socket:\[([0-9]{1,20})\]")


class Connection(NamedTuple):
    """As a row of the answer has it."""

    protocol: str
    local: str
    """Empty: any address."""
    local_port: int
    remote: str = ""
    """Empty: any address, any port; a client of mosh roams."""
    remote_port: int = 0


class _Process(NamedTuple):
    pid: int
    name: str
    parent: int
    session: int
    terminal: int
    """Device number; 0: none."""
    started: int


def session(served: Served, request: dict[str, Any]) -> tuple[dict[str, object], list[int]]:
    """`connection`: SSH_CONNECTION of netwatch's own environment, or nothing."""
    found = _finder().find(served.netwatch, request["connection"][:256])
    return {"rows": [list(connection) for connection in found]}, []


@functools.cache
def _finder() -> Finder:
    return Finder()


class Finder:
    """Looks again and again: what was read once and cannot have changed is not read again."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._known: dict[tuple[int, int, int], Connection | None] = {}
        """What a socket of a process is, by process id, its start and inode; None: no connection."""
        self._other_ends: dict[tuple[int, int, int], int] = {}
        """The process on this machine at the other end; 0: there is none."""
        self._leaders: dict[int, int] = {}
        """The first process of the session that has a terminal; 0: none is seen."""
        self._all: list[_Process] | None = None
        self._tables: dict[str, bytes] = {}
        """All processes, and tables of sockets: of this look."""

    def find(self, pid: int, told: str = "") -> list[Connection]:
        """Of the terminal that process `pid` runs on. `told`: what its own environment says."""
        try:
            return self._find(pid, told)
        finally:
            self._all = None
            self._tables.clear()

    def _find(self, pid: int, told: str) -> list[Connection]:
        found: dict[Connection, None] = {}
        climbed: list[_Process] = []
        seen: set[int] = set()
        terminals: set[int] = set()
        certain = False
        waiting = [pid]
        while waiting and len(seen) < _MOST_PROCESSES and len(found) < _MOST_FOUND:
            process = self._process(waiting.pop())
            if process is None or process.pid in seen:
                continue
            seen.add(process.pid)
            if process.name in _DAEMONS:
                below = climbed[-1] if climbed else None
                connection, other_end = self._of_daemon(process, below)
                if connection is not None:
                    certain = True
                    found[connection] = None
                    waiting.append(other_end)
            elif process.name == _ROAMING:
                certain = True
                found.update(dict.fromkeys(self._of_roaming(process)))
            elif process.name == "tmux: server" or (process.name == "screen" and not process.terminal):
                links = self._links(process.pid)
                certain = certain or links is not None
                held = {_device(int(match[1])) for to in links or () if (match := _TERMINAL.fullmatch(to))}
                terminals |= held
                waiting += [leader for terminal in held if (leader := self._leader(terminal))]
            else:
                climbed.append(process)
                # The parent last: it is looked at next, so that what stands right below a daemon is known.
                waiting += [process.session, process.parent]
        self._leaders = {terminal: leader for terminal, leader in self._leaders.items() if terminal in terminals}
        if not certain:
            found.update(dict.fromkeys(self._believed(climbed, told)))
        return sorted(found)[:_MOST_FOUND]

    # Connections

    def _of_daemon(self, daemon: _Process, below: _Process | None) -> tuple[Connection | None, int]:
        """The connection that sshd serves, and the process at its other end if that is here.

        It may hold others, which it forwards; those are not its parent's, the monitor's (OpenSSH's README.privsep),
        and were opened later.
        """
        mine = [row for row in self._sockets_of(daemon, "tcp") if row[1].remote_port]
        monitor = self._process(daemon.parent)
        if len(mine) > 1 and monitor is not None and monitor.name in _DAEMONS:
            shared = set(self._socket_numbers(monitor.pid) or ())
            mine = [row for row in mine if row[0] in shared] or mine
        said = _parsed(self._environment(below.pid)) if below is not None else None
        if len(mine) > 1:
            mine = [row for row in mine if row[1] == said] or mine
        if mine:
            number, connection = mine[0]
            return connection, self._other_end(daemon, number, connection)
        if said is not None and self._inode(daemon.pid, said) is not None:
            return said, 0
        return None, 0

    def _of_roaming(self, process: _Process) -> Iterator[Connection]:
        for _, connection in self._sockets_of(process, "udp"):
            yield Connection("udp", _unless_any(connection.local), connection.local_port)

    def _believed(self, climbed: list[_Process], told: str) -> Iterator[Connection]:
        """What environments say, if it is so."""
        for process in climbed:
            for said in (_parsed(self._environment(process.pid)), _parsed(told)):
                if said is not None and self._inode(process.pid, said) is not None:
                    yield said
                    return

    def _sockets_of(self, process: _Process, protocol: str) -> list[tuple[int, Connection]]:
        """Inode and connection of each socket that has one, by descriptor."""
        numbers = self._socket_numbers(process.pid) or []
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        keys = [(process.pid, process.started, number) for number in numbers]
        for key in keys:
            if key not in self._known:
                self._known[key] = self._looked_up(process.pid, key[2], protocol)
        return [(key[2], known) for key in keys if (known := self._known[key]) is not None]

    def _looked_up(self, pid: int, number: int, protocol: str) -> Connection | None:
        wanted = b"%d" % number
        for table in (protocol, f"{protocol}6"):
            data, at = self._sockets(pid, table), -1
            while (at := data.find(b" %s " % wanted, at + 1)) >= 0:
                row = data[data.rfind(b"\n", 0, at) + 1 : data.find(b"\n", at)]
                fields = row.split()
                if len(fields) > 9 and fields[9] == wanted and fields[3] != _LISTEN and (ends := _ends(row)):
                    return Connection(protocol, *ends[0], *ends[1])
        return None

    def _other_end(self, daemon: _Process, number: int, connection: Connection) -> int:
        """The ssh on this machine that the connection comes from; 0: it comes from elsewhere."""
        key = (daemon.pid, daemon.started, number)
        if key not in self._other_ends:
            if len(self._other_ends) > _MOST_KNOWN:
                self._other_ends.clear()
            _, local, local_port, remote, remote_port = connection
            there = self._inode(daemon.pid, Connection("tcp", remote, remote_port, local, local_port))
            clients = (each.pid for each in self._processes() if each.name in _CLIENTS) if there is not None else ()
            self._other_ends[key] = next((pid for pid in clients if there in (self._socket_numbers(pid) or ())), 0)
        return self._other_ends[key]

    def _inode(self, pid: int, connection: Connection) -> int | None:
        """Number of the socket that has this connection, IPv4 as such or mapped."""
        family = socket.AF_INET6 if ":" in connection.local else socket.AF_INET
        try:
            packed = [socket.inet_pton(family, each) for each in (connection.local, connection.remote)]
        except OSError:
            return None
        ports = (connection.local_port, connection.remote_port)
        forms = (
            [("tcp6", packed)] if family == socket.AF_INET6 else [("tcp", packed), ("tcp6", [*map(_mapped, packed)])]
        )
        for table, addresses in forms:
            ends = [f"{_hex(address)}:{port:04X}" for address, port in zip(addresses, ports, strict=True)]
            data = self._sockets(pid, table)
            at = data.find(f" {ends[0]} {ends[1]} {_ESTABLISHED} ".encode())
            if at >= 0:
                fields = data[at : data.find(b"\n", at)].split()
                return int(fields[8]) if len(fields) > 8 and fields[8].isdigit() else None
        return None

    # Processes

    def _process(self, pid: int) -> _Process | None:
        """None: it is gone."""
        if pid <= 0:
            return None
        try:
            data = self._read(f"{pid}/stat", 4096).decode("utf-8", "replace")
            name = data[data.index("(") + 1 : data.rindex(")")]
            fields = data[data.rindex(")") + 2 :].split()
            return _Process(pid, name, int(fields[1]), int(fields[3]), int(fields[4]), int(fields[19]))
        except (ValueError, IndexError):
            return None

    def _processes(self) -> list[_Process]:
        if self._all is None:
            try:
                pids = [int(name) for name in os.listdir(self._proc) if name.isdecimal()]
            except OSError:
                pids = []
            self._all = [process for pid in pids if (process := self._process(pid)) is not None]
        return self._all

    def _leader(self, terminal: int) -> int:
        """Who has this terminal: the first process of the one session that may (credentials(7))."""
        known = self._leaders.get(terminal)
        if known is not None:
            leader = self._process(known)
            if not known or (leader is not None and leader.terminal == terminal):
                return known
        self._leaders[terminal] = next((each.session for each in self._processes() if each.terminal == terminal), 0)
        return self._leaders[terminal]

    def _environment(self, pid: int) -> str:
        """SSH_CONNECTION of a process; empty where there is none, or it may not be read."""
        for entry in self._read(f"{pid}/environ", _MOST_ENVIRONMENT).split(b"\0"):
            if entry.startswith(b"SSH_CONNECTION="):
                return entry.partition(b"=")[2][:256].decode("ascii", "replace")
        return ""

    def _socket_numbers(self, pid: int) -> list[int] | None:
        """Inodes, by descriptor; None where they may not be read."""
        links = self._links(pid)
        if links is None:
            return None
        return list(dict.fromkeys(int(match[1]) for to in links if (match := _SOCKET.fullmatch(to))))

    def _sockets(self, pid: int, table: str) -> bytes:
        """A table of /proc/PID/net: of the network namespace that the process is in."""
        name = f"{pid}/net/{table}"
        if name not in self._tables:
            self._tables[name] = self._read(name, _MOST_TABLE)
        return self._tables[name]

    def _links(self, pid: int) -> list[str] | None:
        """What the descriptors of a process are, in their order; None where that may not be read."""
        folder = f"{self._proc}/{pid}/fd"
        try:
            numbers = sorted(int(name) for name in os.listdir(folder) if name.isdecimal())
        except OSError:
            return None
        links = []
        for number in numbers[:_MOST_DESCRIPTORS]:
            try:
                links.append(os.readlink(f"{folder}/{number}"))
            except OSError:
                continue
        return links

    def _read(self, name: str, most: int) -> bytes:
        """Empty where it is gone, or may not be read."""
        try:
            with open(f"{self._proc}/{name}", "rb", buffering=0) as file:
                pieces: list[bytes] = []
                left = most
                while left > 0 and (piece := file.read(min(left, 1 << 20))):
                    pieces.append(piece)
                    left -= len(piece)
        except OSError:
            return b""
        return b"".join(pieces)


def _parsed(said: str) -> Connection | None:
    """SSH_CONNECTION (ssh(1)): address and port of the client, then of the server."""
    words = said.split()
    if len(words) != 4 or not all(word.isascii() and word.isdecimal() and len(word) <= 5 for word in words[1::2]):
        return None
    ends = [
        (_plain(address.partition("%")[0]), int(port)) for address, port in zip(words[::2], words[1::2], strict=True)
    ]
    if not all(address and 0 < port < 1 << 16 for address, port in ends):
        return None
    return Connection("tcp", *ends[1], *ends[0])


def _plain(address: str) -> str:
    """As it is written everywhere here, IPv4 in IPv6 as IPv4; empty: it is none."""
    try:
        return _text(socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address))
    except (OSError, ValueError):
        return ""


def _text(packed: bytes) -> str:
    if packed.startswith(_MAPPED):
        packed = packed[len(_MAPPED) :]
    return socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)


def _mapped(packed: bytes) -> bytes:
    return _MAPPED + packed


def _unless_any(address: str) -> str:
    return "" if address in ("0.0.0.0", "::") else address


def _ends(row: bytes) -> list[tuple[str, int]]:
    """Both addresses and ports of a row; none where it is not whole. An address is words of 32 bits in this machine's
    byte order."""
    found = _ROW.match(row)
    if found is None:
        return []
    ends = []
    for words, port in (found.group(1, 2), found.group(3, 4)):
        numbers = [int(words[at : at + 8], 16) for at in range(0, len(words), 8)]
        ends.append((_text(struct.pack(f"={len(numbers)}I", *numbers)), int(port, 16)))
    return ends


def _hex(packed: bytes) -> str:
    """The same, the other way round."""
    return "".join(f"{number:08X}" for (number,) in struct.iter_unpack("=I", packed))


def _device(number: int) -> int:
    """Of /dev/pts/`number`, as /proc/PID/stat writes it (linux/kdev_t.h, new_encode_dev)."""
    return (number & 0xFF) | _PTS_MAJOR << 8 | (number & ~0xFF) << 12
