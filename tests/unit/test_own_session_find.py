"""Who carries a terminal, found in a /proc of the test's own: processes, their descriptors, tables of sockets."""

from __future__ import annotations

import os
import random
import socket
import struct
from pathlib import Path

import pytest

from netwatch.capture.helper.sessions import Connection, Finder

SERVER, CLIENT = "192.0.2.1", "198.51.100.7"
SSH = Connection("tcp", SERVER, 22, CLIENT, 50122)
OTHER = Connection("tcp", SERVER, 22, CLIENT, 50999)


def hexadecimal(address: str, port: int) -> str:
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    return "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", packed)) + f":{port:04X}"


def pts(number: int) -> int:
    return os.makedev(136, number) if number < 256 else (number & 0xFF) | 136 << 8 | (number & ~0xFF) << 12


class Proc:
    """A /proc that a test fills."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tables: dict[str, list[str]] = {"tcp": [], "tcp6": [], "udp": [], "udp6": []}
        self.finder = Finder(str(root))

    def process(
        self,
        pid: int,
        name: str,
        parent: int,
        *descriptors: str,
        tty: int = 0,
        session: int = 0,
        environment: str = "",
    ) -> None:
        folder = self.root / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        for path in (folder / "fd").iterdir():
            path.unlink()
        fields = [parent, pid, session or pid, tty, -1, *[0] * 13, 1000 + pid, 0]
        (folder / "stat").write_text(f"{pid} ({name}) S {' '.join(map(str, fields))}\n")
        (folder / "environ").write_bytes(b"A=1\0" + environment.encode() + b"\0")
        for number, to in enumerate(descriptors):
            (folder / "fd" / str(number)).symlink_to(to)
        if not (folder / "net").exists():
            (folder / "net").symlink_to(self.root / "net")

    def socket(self, inode: int, connection: Connection, *, table: str = "", state: int = 1) -> str:
        """-> what the link of its descriptor says."""
        table = table or connection.protocol + ("6" if ":" in connection.local else "")
        ends = [
            hexadecimal(connection.local, connection.local_port),
            hexadecimal(connection.remote or ("::" if table.endswith("6") else "0.0.0.0"), connection.remote_port),
        ]
        row = f"0: {' '.join(ends)} {state:02X} 00000000:00000000 00:00000000 00000000  0  0 {inode} 1 0 20 4"
        self.tables[table].append(f"   {row}")
        (self.root / "net").mkdir(exist_ok=True)
        for name, rows in self.tables.items():
            (self.root / "net" / name).write_text("  sl  local_address ...\n" + "\n".join(rows) + "\n")
        return f"socket:[{inode}]"

    def login(self, base: int, connection: Connection, inode: int, tty: int) -> int:
        """sshd's monitor, its child and a shell from `base` on -> the shell."""
        name = self.socket(inode, connection)
        self.process(base, "sshd", 10, "/dev/null", f"socket:[{inode + 1}]", name)
        self.process(base + 1, "sshd", base, "/dev/null", f"socket:[{inode + 2}]", name, "/dev/ptmx", session=base)
        self.process(base + 2, "bash", base + 1, *[f"/dev/pts/{tty}"] * 3, tty=pts(tty))
        return base + 2


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    """With sshd's listener, process 10."""
    made = Proc(tmp_path)
    listening = made.socket(1, Connection("tcp", "0.0.0.0", 22), state=10)
    made.process(1, "systemd", 0)
    made.process(10, "sshd", 1, listening)
    return made


def test_straight_from_the_shell(proc: Proc) -> None:
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(200, "netwatch", shell, session=shell, tty=pts(4))
    assert proc.finder.find(200) == [SSH]
    assert proc.finder.find(200) == [SSH]


def test_sudo_with_a_terminal_of_its_own(proc: Proc) -> None:
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(200, "sudo", shell, session=shell, tty=pts(4))
    proc.process(201, "sudo", 200, tty=pts(7))
    proc.process(202, "netwatch", 201, session=201, tty=pts(7))
    assert proc.finder.find(202) == [SSH]


def test_a_parent_that_is_gone_leaves_the_session(proc: Proc) -> None:
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(200, "netwatch", 1, session=shell, tty=pts(4))
    assert proc.finder.find(200) == [SSH]


def test_what_sshd_forwards_does_not_count(proc: Proc) -> None:
    shell = proc.login(100, SSH, 5000, 4)
    forwarded = proc.socket(4000, Connection("tcp", "192.0.2.1", 40000, "192.0.2.9", 5432))
    proc.process(101, "sshd", 100, forwarded, "socket:[5000]", session=100)
    assert proc.finder.find(shell) == [SSH]


def test_of_root_one_sshd_serves_all(proc: Proc) -> None:
    """The environment of its shell tells the connection from what it forwards; else the one that was opened first."""
    forwarded = proc.socket(4000, Connection("tcp", "192.0.2.1", 40000, "192.0.2.9", 5432))
    ours = proc.socket(5000, SSH)
    proc.process(100, "sshd", 10, ours, forwarded)
    proc.process(101, "bash", 100)
    assert proc.finder.find(101) == [SSH]
    proc.process(100, "sshd", 10, forwarded, ours)
    proc.process(101, "bash", 100, environment=f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 22")
    assert proc.finder.find(101) == [SSH]


@pytest.mark.parametrize("name", ["sshd-session", "dropbear"])
def test_other_daemons(proc: Proc, name: str) -> None:
    proc.process(100, name, 10, proc.socket(5000, SSH))
    proc.process(101, "sh", 100)
    assert proc.finder.find(101) == [SSH]


@pytest.mark.parametrize("server", ["tmux: server", "screen"])
def test_attached_detached_and_attached_from_elsewhere(proc: Proc, server: str) -> None:
    first, second = proc.login(100, SSH, 5000, 4), proc.login(110, OTHER, 6000, 300)
    proc.process(120, "tmux: client", first, "/dev/pts/4", tty=pts(4), session=first)
    proc.process(200, "bash", 150, "/dev/pts/9", tty=pts(9), environment=f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 22")
    proc.process(201, "netwatch", 200, session=200, tty=pts(9))
    for held, found in (
        (["/dev/pts/4"], [SSH]),
        (["/dev/pts/4", "/dev/pts/300"], [SSH, OTHER]),
        ([], []),
        (["/dev/pts/300"], [OTHER]),
        (["/dev/pts/77"], []),
    ):
        proc.process(150, server, 1, "/dev/null", "/dev/ptmx", *held)
        assert proc.finder.find(201) == found
    assert proc.finder.find(second) == [OTHER]


def test_a_terminal_that_somebody_else_has_now(proc: Proc) -> None:
    proc.login(100, SSH, 5000, 4)
    proc.process(150, "tmux: server", 1, "/dev/pts/4")
    proc.process(200, "bash", 150)
    assert proc.finder.find(200) == [SSH]
    proc.process(102, "bash", 101, tty=pts(5))
    proc.login(110, OTHER, 6000, 4)
    assert proc.finder.find(200) == [OTHER]


def test_screens_client_is_no_server(proc: Proc) -> None:
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(120, "screen", shell, "/dev/pts/4", tty=pts(4), session=shell)
    proc.process(121, "netwatch", 120)
    assert proc.finder.find(121) == [SSH]


@pytest.mark.parametrize(
    ("local", "found"), [("192.0.2.1", "192.0.2.1"), ("0.0.0.0", ""), ("2001:db8::1", "2001:db8::1"), ("::", "")]
)
def test_mosh_roams(proc: Proc, local: str, found: str) -> None:
    name = proc.socket(7000, Connection("udp", local, 60001), state=7)
    proc.process(100, "mosh-server", 1, "/dev/null", name, "/dev/ptmx")
    proc.process(101, "bash", 100)
    assert proc.finder.find(101) == [Connection("udp", found, 60001)]


def test_addresses_of_both_families(proc: Proc) -> None:
    mapped = Connection("tcp", f"::ffff:{SERVER}", 22, f"::ffff:{CLIENT}", 50122)
    assert proc.finder.find(proc.login(100, mapped, 5000, 4)) == [SSH]
    local = Connection("tcp", "fe80::1", 22, "fe80::2", 50122)
    assert proc.finder.find(proc.login(110, local, 6000, 5)) == [local]


def test_a_second_hop_on_the_machine_itself(proc: Proc) -> None:
    outer = proc.login(100, SSH, 5000, 4)
    loop = Connection("tcp", "127.0.0.1", 22, "127.0.0.1", 44444)
    other_end = proc.socket(8000, Connection("tcp", "127.0.0.1", 44444, "127.0.0.1", 22))
    proc.process(150, "ssh", outer, "/dev/pts/4", other_end, session=outer, tty=pts(4))
    inner = proc.login(110, loop, 6000, 5)
    assert proc.finder.find(inner) == sorted([SSH, loop])


ZONED = "SSH_CONNECTION=fe80::2%eth0 50122 fe80::1%eth0 22"


@pytest.mark.parametrize(
    ("environment", "exists", "found"),
    [
        (f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 22", SSH, [SSH]),
        (f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 22", OTHER, []),
        (
            ZONED,
            Connection("tcp", "fe80::1", 22, "fe80::2", 50122),
            [Connection("tcp", "fe80::1", 22, "fe80::2", 50122)],
        ),
        (f"SSH_CONNECTION=::ffff:{CLIENT} 50122 ::ffff:{SERVER} 22", SSH, [SSH]),
        ("SSH_CONNECTION=a b c d", SSH, []),
        (f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 70000", SSH, []),
        (f"SSH_CONNECTION={CLIENT} -1 {SERVER} 22", SSH, []),
        ("SSH_CONNECTION=", SSH, []),
        ("", SSH, []),
    ],
)
@pytest.mark.parametrize("own", [True, False])
def test_without_rights_the_environment_counts_if_it_is_so(
    proc: Proc, environment: str, exists: Connection, found: list[Connection], own: bool
) -> None:
    """sshd's descriptors cannot be read: there is no folder of them."""
    proc.socket(5000, exists)
    proc.process(100, "bash", 1, environment="" if own else environment)
    proc.process(200, "netwatch", 100)
    assert proc.finder.find(200, environment.partition("=")[2] if own else "") == found


def test_without_rights_through_tmux(proc: Proc) -> None:
    """tmux is one's own; the sshd before it is not."""
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(101, "sshd", 100)
    proc.process(shell, "bash", 101, tty=pts(4), environment=f"SSH_CONNECTION={CLIENT} 50122 {SERVER} 22")
    proc.process(150, "tmux: server", 1, "/dev/pts/4")
    proc.process(200, "bash", 150)
    assert proc.finder.find(200) == [SSH]
    proc.process(150, "tmux: server", 1)
    assert proc.finder.find(200, f"{CLIENT} 50122 {SERVER} 22") == []


def test_no_session_at_all(proc: Proc) -> None:
    proc.socket(5000, SSH)
    proc.process(100, "login", 1, tty=os.makedev(4, 1))
    proc.process(101, "bash", 100, tty=os.makedev(4, 1))
    assert proc.finder.find(101) == []
    assert proc.finder.find(4242) == []


def test_whatever_proc_says(proc: Proc) -> None:
    """Names may hold anything, files may be cut anywhere, processes go while one looks."""
    shell = proc.login(100, SSH, 5000, 4)
    proc.process(120, "a) S 1 (b", shell)
    assert proc.finder.find(120) == [SSH]
    random.seed(5)
    paths = [path for path in proc.root.rglob("*") if path.is_file() and not path.is_symlink()]
    whole = {path: path.read_bytes() for path in paths}
    for _ in range(1000):
        path = random.choice(paths)
        data = whole[path]
        at = random.randrange(len(data) + 1)
        path.write_bytes(random.choice((data[:at], data[:at] + b"\xff(:" + data[at:], b"")))
        for finder in (proc.finder, Finder(str(proc.root))):
            assert set(finder.find(120)) <= {SSH}
        path.write_bytes(data)


def test_parents_that_go_in_a_circle(proc: Proc) -> None:
    proc.process(300, "a", 301, session=302)
    proc.process(301, "b", 302, session=300)
    proc.process(302, "c", 300, session=301)
    assert proc.finder.find(300) == []


def test_the_real_proc() -> None:
    for connection in Finder().find(os.getpid(), os.environ.get("SSH_CONNECTION", "")):
        assert connection.protocol in ("tcp", "udp")
