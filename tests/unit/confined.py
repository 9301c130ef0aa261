"""A program that gives up its rights as netwatch does, then tries what it must not: prints what came of each as JSON.

python confined.py READ WRITE [--as-user NAME] [--no-sandbox] [--alone]
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import signal
import socket
import termios
import threading
from collections.abc import Callable
from pathlib import Path

from netwatch.capture.errors import CaptureError
from netwatch.capture.guard.confine import Confinement, confine
from netwatch.capture.guard.identity import identity

libc = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: int) -> Callable[[], object]:
    """A system call by number (x86_64)."""

    def run() -> None:
        if libc.syscall(number, *arguments) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return run


def run_program() -> None:
    """In a child: where it is not refused, it takes the child over."""
    child = os.fork()
    if child == 0:
        try:
            os.execv("/bin/true", ["true"])
        except OSError as error:
            os._exit(error.errno or 1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def types_into_the_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSTI, b"x")


def be_alone() -> None:
    """The only user of a user namespace: root there, an ordinary user outside."""
    os.setgroups([])
    os.setresgid(12345, 12345, 12345)
    os.setresuid(12345, 12345, 12345)
    libc.prctl(4, 1)  # PR_SET_DUMPABLE: its maps are its own again
    call(272, 0x10000000)()
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text("0 12345 1")
    Path("/proc/self/uid_map").write_text("0 12345 1")


def thread_status() -> list[str]:
    found = []
    started, over = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        over.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    started.wait()
    for task in (os.getpid(), thread.native_id):
        found.append(Path(f"/proc/self/task/{task}/status").read_text())
    over.set()
    thread.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("read")
    parser.add_argument("write")
    parser.add_argument("--as-user")
    parser.add_argument("--no-sandbox", dest="sandbox", action="store_false")
    parser.add_argument("--alone", action="store_true")
    given = parser.parse_args()
    if given.alone:
        be_alone()
    parent = os.getppid()
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    unconnected = socket.socket()
    home = os.path.expanduser("~")
    user = identity(given.as_user, os.environ)
    try:
        said = confine(
            Confinement(user, read=(given.read, "/proc/self"), write=(given.write,), sandbox=given.sandbox)
        )
    except CaptureError as error:
        print(json.dumps({"refused": str(error), "code": error.code}))
        return
    tries: dict[str, Callable[[], object]] = {
        "read what is named": lambda: os.close(os.open(given.read, os.O_RDONLY)),
        "list home": lambda: os.listdir(home),
        "read /etc/passwd": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "write in /tmp": lambda: os.close(os.open(f"/tmp/confined-{os.getpid()}", os.O_CREAT | os.O_WRONLY)),
        "write what is named": lambda: os.close(os.open(f"{given.write}/made", os.O_CREAT | os.O_WRONLY, 0o600)),
        "read what was written": lambda: os.close(os.open(f"{given.write}/made", os.O_RDONLY)),
        "rename what was written": lambda: os.rename(f"{given.write}/made", f"{given.write}/renamed"),
        "make a directory": lambda: os.mkdir(f"{given.write}/directory"),
        "utime": lambda: os.utime(f"{given.write}/renamed"),
        "removexattr": lambda: os.removexattr(f"{given.write}/renamed", "user.x"),
        "chmod": lambda: os.chmod(f"{given.write}/renamed", 0o777),
        "remove what was written": lambda: os.unlink(f"{given.write}/renamed"),
        "exec": run_program,
        "socket": lambda: socket.socket().close(),
        "unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "connect": lambda: unconnected.connect(("127.0.0.1", port)),
        "socketpair": socket.socketpair,
        "thread": lambda: threading.Thread(target=int).start(),
        "fork": lambda: os.waitpid(os.fork() or os._exit(0), 0),
        "setuid": lambda: os.setuid(0),
        "setgroups": lambda: os.setgroups([0]),
        "ptrace": call(101, 16, parent),
        "process_vm_readv": call(310, parent, 0, 0, 0, 0, 0),
        "io_uring": call(425, 8, 0),
        "unshare a user namespace": call(272, 0x10000000),
        "setns": call(308, 0, 0),
        "mount": call(165, 0, 0, 0, 0, 0),
        "chroot": lambda: os.chroot("/"),
        "bpf": call(321, 0, 0, 0),
        "perf_event_open": call(298, 0, 0, 0, 0, 0),
        "keyctl": call(250, 0, 0),
        "userfaultfd": call(323, 0),
        "pidfd_getfd": call(438, 0, 0, 0),
        "open_by_handle_at": call(304, 0, 0, 0),
        "kexec": call(246, 0, 0, 0, 0),
        "load a module": call(175, 0, 0, 0),
        "another ABI's getpid": call(0x40000000 | 39),
        "type into the terminal": types_into_the_terminal,
        "stop itself": lambda: os.kill(os.getpid(), signal.SIGCONT),
    }
    status = thread_status()
    outcome: dict[str, str] = {}
    for name, what in tries.items():
        try:
            what()
        except OSError as error:
            outcome[name] = os.strerror(error.errno or 0)
        else:
            outcome[name] = "done"
    print(json.dumps({"said": said, "outcome": outcome, "status": status}))


if __name__ == "__main__":
    main()
