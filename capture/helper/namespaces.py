"""`namespaces`, `interfaces`, `sockets`: other network namespaces, and sockets that belong to them.

This process enters one for as long as it takes to make the sockets (setns(2)), and reads nothing through them. Which
namespaces there are is read from /run/netns and /proc, and nobody is asked: no container runtime, no name server.
Names are what others chose: whoever shows them escapes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from netwatch.capture.helper.protocol import RefusedError, Served
from netwatch.capture.kernel.namespaces import NAMED, OWN, enter, open_namespace
from netwatch.capture.kernel.rtnetlink import open_route
from netwatch.capture.kernel.sockets import Sockets

__all__ = ["interfaces", "namespaces", "sockets"]

Answer = tuple[dict[str, object], list[int]]

_PROC: Final = "/proc"
_MOST_PROCESSES: Final = 65_536
"""That are looked at."""
_MOST_BYTES: Final = 60_000
"""Of rows in an answer."""
_LOOKED_AT: Final = 16
"""Processes of a namespace that are asked what they are."""
_TOLD: Final = 3
_LONGEST: Final = 64
"""Characters of a name."""
_HOST: Final = "host"
"""In place of a runtime: the machine itself."""
_FLAGS: Final = 6
"""Of a process, behind its name in /proc/PID/stat."""
_PF_KTHREAD: Final = 0x0020_0000
"""linux/sched.h"""
_MOST_ENVIRONMENT: Final = 128 << 10
_MOST_ARGUMENTS: Final = 32 << 10

_ID: Final = r"([0-9a-f]{64})"
_CONTAINERS: Final = tuple(
    (runtime, re.compile(pattern))
    for runtime, pattern in (
        ("docker", rf"docker[-/]{_ID}"),
        ("podman", rf"libpod-{_ID}"),
        ("nerdctl", rf"nerdctl-{_ID}"),
        ("containerd", rf"cri-containerd[-:]{_ID}"),
        ("cri-o", rf"crio-{_ID}"),
        ("container", rf"/{_ID}(?:\.scope)?$"),
        ("lxc", r"lxc(?:\.payload)?[./]([^/\n]{1,64})"),
        ("machine", r"/machine-([^/\n]{1,64})\.scope"),
    )
)
"""How container runtimes name the control group of a container (cgroups(7), /proc/PID/cgroup)."""


@dataclass(slots=True)
class _Namespace:
    names: list[str] = field(default_factory=list)
    processes: list[int] = field(default_factory=list)
    """Those of programs."""
    kernel: int = 0
    """A thread of the kernel's own: they are all in the machine's first namespace."""


def interfaces(served: Served, request: dict[str, Any]) -> Answer:  # noqa: ARG001
    """A netlink socket of the namespace, which tells its interfaces to whoever asks. Raises RefusedError, OSError."""
    with _inside(request):
        return {}, [open_route().detach()]


def sockets(served: Served, request: dict[str, Any]) -> Answer:  # noqa: ARG001
    """What a capture on one interface of the namespace needs (Sockets.of). Raises RefusedError, OSError."""
    with _inside(request):
        return {}, [each.detach() for each in Sockets.make().all()]


@contextlib.contextmanager
def _inside(request: dict[str, Any]) -> Iterator[None]:
    """In the namespace that is meant: `name` of `ip netns`, else that of the process `pid`, else our own. `inode`:
    what it was when it was listed."""
    name, pid, inode = request["name"], request["pid"], request["inode"]
    if "/" in name or "\0" in name or name in (".", ".."):
        raise RefusedError("this is no name of a namespace")
    path = os.path.join(NAMED, name) if name else f"{_PROC}/{pid}/ns/net" if pid > 0 else OWN
    try:
        theirs = open_namespace(path)
    except ValueError:
        raise RefusedError("this is no network namespace") from None
    except FileNotFoundError:
        raise RefusedError("the namespace is gone") from None
    try:
        if inode not in (0, os.fstat(theirs).st_ino):
            raise RefusedError("the namespace is gone: another one has its place")
        if os.fstat(theirs).st_ino == os.stat(OWN).st_ino:
            yield  # takes no right
            return
        ours = open_namespace(OWN)
        # No alarm meanwhile: whatever happens in there, this process comes back.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        try:
            enter(theirs)
            yield
        finally:
            try:
                enter(ours)
            except OSError:
                os._exit(1)  # whoever asks next would be answered from a namespace that nobody meant
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(ours)
    finally:
        os.close(theirs)


def namespaces(served: Served, request: dict[str, Any]) -> Answer:  # noqa: ARG001
    """Rows of [inode, whether it is our own, names, runtime, container, [[pid, program], …], processes], those with a
    name first; `left`: how many others there are."""
    own = os.stat(OWN)
    found = _found(own)
    rows = [_row(inode, inode == own.st_ino, each) for inode, each in found.items()]
    rows.sort(key=lambda row: (not row[1], not row[2], not row[3], row[2], row[4], row[0]))
    size = 0
    for at, row in enumerate(rows):
        size += len(json.dumps(row))
        if size > _MOST_BYTES:
            return {"rows": rows[:at], "left": len(rows) - at}, []
    return {"rows": rows, "left": 0}, []


def _found(own: os.stat_result) -> dict[int, _Namespace]:
    """By inode, our own among them."""
    found = {own.st_ino: _Namespace()}
    with contextlib.suppress(OSError), os.scandir(NAMED) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                there = entry.stat()
                if there.st_dev == own.st_dev:  # else nothing is mounted there
                    found.setdefault(there.st_ino, _Namespace()).names.append(entry.name[:_LONGEST])
    pids = sorted(int(name) for name in os.listdir(_PROC) if name.isdecimal())[:_MOST_PROCESSES]
    first = next((pid for pid in pids[:2] if _of_kernel(pid)), 0)  # the second is, where they can be seen
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended, or may not be looked at
            namespace = found.setdefault(os.stat(f"{_PROC}/{pid}/ns/net").st_ino, _Namespace())
            if pid == first:
                namespace.kernel = pid
            elif not (namespace.kernel and _of_kernel(pid)):
                namespace.processes.append(pid)
    return found


def _of_kernel(pid: int) -> bool:
    """By the flags in its stat (proc(5))."""
    fields = _text(f"{_PROC}/{pid}/stat").rpartition(")")[2].split()
    return len(fields) > _FLAGS and bool(int(fields[_FLAGS]) & _PF_KTHREAD)


def _row(inode: int, own: bool, namespace: _Namespace) -> list[Any]:
    pids = namespace.processes[:_LOOKED_AT] or [pid for pid in (namespace.kernel,) if pid]
    runtime, container = ("", "") if own or not pids else _container(_first(pids))
    if namespace.kernel and not own:
        runtime, container = _HOST, ""  # which containers may share
    programs: dict[str, int] = {}
    for pid in pids:
        programs.setdefault(_text(f"{_PROC}/{pid}/comm").rstrip("\n")[:_LONGEST], pid)
    told = [[pid, program] for program, pid in programs.items() if program][:_TOLD]
    return [inode, own, sorted(namespace.names)[:_TOLD], runtime, container, told, len(namespace.processes)]


def _first(pids: list[int]) -> int:
    """The one that is the first of its PID namespace, else the one with the lowest number."""
    for pid in pids:
        ids = re.search(r"^NSpid:((?:\s+\d+)+)$", _text(f"{_PROC}/{pid}/status"), re.MULTILINE)
        if ids is not None and len(ids[1].split()) > 1 and ids[1].split()[-1] == "1":
            return pid
    return pids[0]


def _container(pid: int) -> tuple[str, str]:
    """Runtime and name of the container that a process belongs to; both empty if it is in none."""
    groups = _text(f"{_PROC}/{pid}/cgroup")
    for line in groups.splitlines():
        for runtime, pattern in _CONTAINERS:
            match = pattern.search(line)
            if match is None:
                continue
            name = match[1]
            if runtime not in ("lxc", "machine"):
                name = _by_conmon(pid) or _host_name(pid) or name[:12]
            return runtime, name[:_LONGEST]
    return "", ""


def _by_conmon(pid: int) -> str:
    """podman's monitor, the parent of a container's first process, has the name among its arguments (conmon(8))."""
    parent = re.search(r"^PPid:\s+(\d+)$", _text(f"{_PROC}/{pid}/status"), re.MULTILINE)
    words = _text(f"{_PROC}/{parent[1]}/cmdline", _MOST_ARGUMENTS).split("\0") if parent is not None else [""]
    if os.path.basename(words[0]) != "conmon":
        return ""
    return next((name for flag, name in pairwise(words) if flag in ("-n", "--name")), "")


def _host_name(pid: int) -> str:
    """HOSTNAME of its environment, as docker, podman and Kubernetes set it; else what its /etc/hostname says."""
    for entry in _text(f"{_PROC}/{pid}/environ", _MOST_ENVIRONMENT).split("\0"):
        if entry.startswith("HOSTNAME="):
            return entry.removeprefix("HOSTNAME=")
    # Whoever is in there may have put links anywhere: none is followed.
    fds: list[int] = []
    try:
        fds.append(os.open(f"{_PROC}/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        fds.append(os.open("etc", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fds[0]))
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        fds.append(os.open("hostname", flags, dir_fd=fds[1]))
        return os.read(fds[2], 256).decode(errors="replace").strip() if stat.S_ISREG(os.fstat(fds[2]).st_mode) else ""
    except OSError:
        return ""
    finally:
        for fd in fds:
            os.close(fd)


def _text(path: str, most: int = 4096) -> str:
    """The beginning of a file of /proc; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(most).decode(errors="replace")
    except OSError:
        return ""
