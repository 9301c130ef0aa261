"""What is left once rights were given up: a program tries; and the numbers that the filter is made of."""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.guard import landlock, rights, seccomp
from netwatch.capture.guard.identity import Identity, identity

CONFINED = Path(__file__).with_name("confined.py")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has these")
X86_64 = pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="calls by number")
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

PERMITTED = {
    "read what is named", "write what is named", "rename what was written", "remove what was written",
    "socketpair", "thread", "fork", "stop itself",
}  # fmt: skip
DENIED_BY_LANDLOCK = {"list home", "read /etc/passwd", "write in /tmp", "read what was written", "make a directory"}


@pytest.fixture
def public() -> Iterator[Path]:
    """A file `read` and a directory `write` that anybody may use; pytest's own folders are its user's."""
    with tempfile.TemporaryDirectory(prefix="netwatch-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "read").write_text("x")
        (folder / "write").mkdir()
        (folder / "write").chmod(0o777)
        yield folder


def tried(public: Path, *options: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What confined.py says."""
    read, write = public / "read", public / "write"
    command = [sys.executable, str(CONFINED), str(read), str(write), *options]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUDO_")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        env=kept | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def lines_of(status: str) -> dict[str, str]:
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in status.splitlines())}


@X86_64
def test_what_is_left_once_confined(public: Path) -> None:
    told = tried(public)
    if told["said"]:
        pytest.skip(f"not all of it is to be had here: {told['said']}")
    outcome = told["outcome"]
    assert {name for name, what in outcome.items() if what == "done"} == PERMITTED
    refused = {outcome[name] for name in outcome if name not in PERMITTED}
    assert refused == {os.strerror(errno.EPERM), os.strerror(errno.EACCES)}
    assert {outcome[name] for name in DENIED_BY_LANDLOCK} == {os.strerror(errno.EACCES)}
    assert len(told["status"]) == 2
    for lines in map(lines_of, told["status"]):
        assert (lines["NoNewPrivs"], lines["Seccomp"]) == ("1", "2")
        assert {int(lines[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


@ROOT
@X86_64
@pytest.mark.parametrize(
    ("environment", "options", "uid", "gid"),
    [
        ({}, (), pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid),
        ({"SUDO_UID": "12345", "SUDO_GID": "54321"}, (), 12345, 54321),
        ({"SUDO_UID": "12345"}, (), 12345, 65534),
        ({"SUDO_UID": "0", "SUDO_GID": "0"}, (), pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid),
        (
            {"SUDO_UID": "12345"},
            ("--as-user", "daemon"),
            pwd.getpwnam("daemon").pw_uid,
            pwd.getpwnam("daemon").pw_gid,
        ),
    ],
    ids=["root", "sudo", "sudo without group", "sudo by root", "--user"],
)
def test_root_becomes_another(
    public: Path, environment: dict[str, str], options: tuple[str, ...], uid: int, gid: int
) -> None:
    told = tried(public, *options, environment=environment)
    for lines in map(lines_of, told["status"]):
        assert (lines["Uid"], lines["Gid"], lines["Groups"]) == (
            f"{uid} " * 3 + f"{uid}",
            f"{gid} " * 3 + f"{gid}",
            "",
        )
        assert {int(value, 16) for name, value in lines.items() if name.startswith("Cap")} == {0}


@LINUX
def test_without_a_sandbox_the_rights_go_all_the_same(public: Path) -> None:
    told = tried(public, "--no-sandbox")
    assert told["said"] == []
    assert (told["outcome"]["socket"], told["outcome"]["read /etc/passwd"]) == ("done", "done")
    assert told["outcome"]["packet socket"] == told["outcome"]["setuid"] == os.strerror(errno.EPERM)
    for lines in map(lines_of, told["status"]):
        assert (lines["NoNewPrivs"], int(lines["CapPrm"], 16)) == ("1", 0)


@ROOT
def test_where_the_user_cannot_be_left_nothing_goes_on(public: Path) -> None:
    """As in a container without CAP_SETUID."""
    command = ["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid", sys.executable, str(CONFINED)]
    done = subprocess.run(
        [*command, str(public / "read"), str(public / "write")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = json.loads(done.stdout)
    assert said["code"] == 77
    assert re.match("root's rights cannot be given up .*CAP_SETUID", said["refused"])
    assert "\n" not in said["refused"]


@ROOT
def test_a_user_namespace_of_one_user(public: Path) -> None:
    """`unshare -r`: root there is an ordinary user, and there is nobody else to become."""
    told = tried(public, "--alone")
    assert told["said"][0].startswith("this user namespace has one user: netwatch stays user 0 there, who is 12345")
    assert told["outcome"]["packet socket"] != "done"
    for lines in map(lines_of, told["status"]):
        assert {int(value, 16) for name, value in lines.items() if name.startswith("Cap")} == {0}


def test_another_user_names_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert identity(None, {"SUDO_UID": "1"}) is None
    with pytest.raises(CaptureError, match="--user is for root") as caught:
        identity("nobody", {})
    assert caught.value.code == 2


def test_who_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    daemon = pwd.getpwnam("daemon")
    assert (
        identity("daemon", {}) == identity(str(daemon.pw_uid), {}) == Identity(daemon.pw_uid, daemon.pw_gid, "daemon")
    )
    for named, words in (
        ("root", "another than root"),
        ("nobody-of-that-name", "no such user"),
        ("", "wants a name or a number"),
        ("4294967295", "no such"),
        ("4294967296", "no such"),
        ("9" * 30, "no such"),
        ("9" * 5000, "no such"),
        ("-1", "no such"),
        ("१२", "no such"),
        ("nobody\0", "no such"),
    ):
        with pytest.raises(CaptureError, match=words) as caught:
            identity(named, {})
        assert caught.value.code == 2


@pytest.mark.parametrize("text", ["", "-1", "0", "4294967295", "99999999999999", "१२", "1 2", "root"])
def test_a_number_of_sudo_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert identity(None, {"SUDO_UID": text, "SUDO_GID": "12"}) == identity(None, {})


def verdict(machine: str, number: int, architecture: int, second_argument: int = 0) -> int:
    """The filter, run as the kernel does (classic BPF, the five instructions that it uses)."""
    data = {0: number, 4: architecture, 24: second_argument}
    program, at, value = seccomp.program(machine), 0, 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        if code == 0x20:
            value = data[k]
        elif code == 0x06:
            return k
        else:
            at += if_true if (value == k if code == 0x15 else value >= k) else if_false


ALLOWED, REFUSED, KILLED = 0x7FFF0000, 0x00050001, 0x80000000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@pytest.mark.parametrize(("machine", "architecture"), MACHINES.items())
def test_every_system_call(machine: str, architecture: int) -> None:
    column = list(MACHINES).index(machine)
    denied = {numbers[column] for numbers in seccomp.DENIED.values()} - {-1}
    assert {number for number in range(600) if verdict(machine, number, architecture) != ALLOWED} == denied
    assert {verdict(machine, number, architecture) for number in denied} == {REFUSED}


@pytest.mark.parametrize(("machine", "architecture"), MACHINES.items())
def test_calls_of_another_architecture(machine: str, architecture: int) -> None:
    i386, arm = 0x40000003, 0x40000028
    other = next(value for value in MACHINES.values() if value != architecture)
    assert {verdict(machine, 39, each) for each in (i386, arm, other)} == {KILLED}
    assert verdict("x86_64", 0x40000000 | 39, MACHINES["x86_64"]) == REFUSED


@pytest.mark.parametrize(("machine", "architecture"), MACHINES.items())
def test_requests_of_ioctl(machine: str, architecture: int) -> None:
    ioctl = {"x86_64": 16, "aarch64": 29}[machine]
    found = {request: verdict(machine, ioctl, architecture, request) for request in (0x5401, 0x5412, 0x5413, 0x541C)}
    assert found == {0x5401: ALLOWED, 0x5412: REFUSED, 0x5413: ALLOWED, 0x541C: REFUSED}


HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")


@pytest.mark.parametrize("column", range(2), ids=MACHINES)
def test_numbers_are_the_kernels(column: int) -> None:
    header = Path(HEADERS[column])
    if not header.is_file():
        pytest.skip(f"{header} is not there")
    known = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    numbers = {name: numbers[column] for name, numbers in seccomp.DENIED.items() if numbers[column] >= 0}
    wrong = {name: number for name, number in numbers.items() if int(known.get(name, number)) != number}
    newer = {name for name in numbers if name not in known}
    assert wrong == {}
    assert newer <= {"fchmodat2", "setxattrat", "removexattrat", "open_tree_attr", "file_setattr"}


class Kernel:
    """Answers in place of landlock's system calls."""

    def __init__(self, version: int | OSError) -> None:
        self.version = version
        self.attributes = b""

    def __call__(self, number: int, *arguments: Any) -> int:
        if number == 444 and isinstance(self.version, OSError):
            raise self.version
        if number == 444 and arguments[0] is None:
            assert isinstance(self.version, int)
            return self.version
        if number == 444:
            self.attributes = arguments[0][: arguments[1]]
            return os.open(os.devnull, os.O_RDONLY)
        return 0


@LINUX
@pytest.mark.parametrize(
    ("version", "files", "size"),
    [(1, 13, 8), (2, 14, 8), (3, 15, 8), (4, 15, 16), (5, 16, 16), (6, 16, 24), (9, 16, 24)],
)
def test_each_version_of_landlock(version: int, files: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(version)
    monkeypatch.setattr(landlock, "system_call", kernel)
    made = landlock.Landlock(["/"], ["/nowhere"])
    made.enforce()
    assert made.missing == []
    assert (made.unknown == []) is (version >= 6)
    words = [int.from_bytes(kernel.attributes[at : at + 8], sys.byteorder) for at in range(0, size, 8)]
    assert words[0] == (1 << files) - 1
    assert words[1:] == [3, 1][: len(words) - 1]


@LINUX
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_no_landlock_is_told(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "system_call", Kernel(OSError(number, os.strerror(number))))
    made = landlock.Landlock(["/"], [])
    made.enforce()
    assert len(made.missing) == 1
    assert made.missing[0].startswith("no Landlock: ")


@LINUX
def test_no_seccomp_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(seccomp, "system_call", refuse)
    assert len(seccomp.deny_calls()) == 1
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert seccomp.deny_calls() == ["no seccomp: the numbers of system calls on riscv64 are not known"]


@LINUX
def test_users_of_a_namespace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "uid_map"
    monkeypatch.setattr(rights, "_UID_MAP", str(table))
    for text, outside in (
        ("0 1000 1\n", 1000),
        ("0 0 4294967295\n", None),
        ("0 0 1\n", None),
        ("0 5 1\n1 7 9\n", None),
    ):
        table.write_text(text)
        assert rights._alone() == outside
