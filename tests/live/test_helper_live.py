"""The helper beside a capture: files of a run that has no rights any more; a helper that is killed."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.test_stopped import NETWATCH, Shell

from netwatch.capture.helper.protocol import CAP_DAC_OVERRIDE
from netwatch.capture.sources.files import open_file

NOBODY = 65534


def children(pid: int, of: str) -> list[int]:
    """Processes below `pid` whose command line has these words."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "status").read_text()
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
        except (OSError, ValueError):
            continue
        parent = next((line.split()[1] for line in status.splitlines() if line.startswith("PPid:")), "")
        if entry.name.isdecimal() and parent == str(pid):
            found += [int(entry.name)] * (of in words) + children(int(entry.name), of)
    return found


def helper_of(pid: int) -> int:
    return helpers_of(pid, 1)[0]


def helpers_of(pid: int, count: int) -> list[int]:
    """Which there are; `count`: as many."""
    deadline = time.monotonic() + 10
    found: list[int] = []
    while time.monotonic() < deadline and len(found) < count:
        found = children(pid, "netwatch.capture.helper.server")
        time.sleep(0.05)
    assert len(found) == count
    return found


def ended(pid: int) -> bool:
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def packets_in(path: Path) -> int:
    source = open_file(path)
    count = 0
    while not source.exhausted:
        block = source.next_block(0.0)
        count += len(block) if block is not None else 0
    assert source.damage is None
    source.close()
    return count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where only root may be."""
    made = tmp_path / "only for root"
    made.mkdir(mode=0o700)
    return made


def test_saves_of_a_dashboard_without_rights_and_a_helper_that_is_killed(
    fresh_pair: Any, mix: Path, tmp_path: Path, folder: Path
) -> None:
    report = tmp_path / "report.json"
    shell = Shell(fresh_pair.right)
    shell.type("", "ready> ")
    command = [*NETWATCH, "-i", "b0", "--save-dir", str(folder), "--report", str(report)]
    shell.type(shlex.join(command) + "\n", "\x1b[?1049h", "LIVE")
    shell.look(1)
    helper = helper_of(shell.pid)
    opened = [os.readlink(entry) for entry in Path(f"/proc/{helper}/fd").iterdir()]
    assert len([each for each in opened if each.startswith("socket:")]) == 1, "it has no packet socket"
    sent = fresh_pair.replay(mix)
    shell.look(1)
    shell.type("e", "only for root", ".pcapng")
    shell.type("\r", "saved ")
    (saved,) = folder.iterdir()
    assert (saved.stat().st_uid, saved.stat().st_mode & 0o777, packets_in(saved)) == (NOBODY, 0o600, sent)

    shell.type("\x1a", "Stopped", "ready> ")  # neither ctrl+z nor ctrl+c means the helper
    shell.type("fg\n", "\x1b[?1049h")
    shell.look(1)
    shell.type("e", ".pcapng")
    shell.type("\x15" + saved.name + "\r", "enter again")
    shell.type("\r", "saved ")
    assert (os.listdir(folder), packets_in(saved)) == ([saved.name], sent)

    os.kill(helper, signal.SIGKILL)
    shell.type("", "the helper process is gone")
    sent += fresh_pair.replay(mix)
    shell.look(1)
    shell.type("\x1b", "pause")
    shell.type("e", ".pcapng")
    shell.type("\x15another.pcapng\r", "the helper process is gone")
    shell.look(0.5)
    shell.type("\x1b", "pause")
    shell.type("v", "Conversations")
    shell.look(1)
    shell.type("q", "\x1b[?1049l", "ready> ")
    shell.end()
    found = json.loads(report.read_text())
    assert (found["packets"], sum(found["dropped"].values())) == (sent, 0)
    assert os.listdir(folder) == [saved.name]


def test_saves_where_the_user_may_look_too(fresh_pair: Any, mix: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chown(folder, NOBODY, NOBODY)
        shell = Shell(fresh_pair.right)
        shell.type("", "ready> ")
        shell.type(shlex.join([*NETWATCH, "-i", "b0", "--save-dir", name]) + "\n", "\x1b[?1049h", "LIVE")
        shell.look(1)
        sent = fresh_pair.replay(mix)
        shell.look(1)
        for asked in (False, True):
            shell.type("e", ".pcapng")
            shell.type("\x15a.pcapng\r", "enter again" if asked else "saved ")
            if asked:
                shell.type("\r", "saved ")
            assert (os.listdir(folder), packets_in(folder / "a.pcapng")) == (["a.pcapng"], sent)
            shell.look(0.5)
        shell.type("q", "\x1b[?1049l", "ready> ")
        shell.end()


@contextlib.contextmanager
def capture(namespace: Any, *options: str) -> Iterator[subprocess.Popen[str]]:
    """netwatch without a screen, capturing."""
    command = ["ip", "netns", "exec", namespace.name, *NETWATCH, "-i", "b0", *options]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        while line and "capturing on" not in line:
            line = process.stderr.readline()
        try:
            assert line
            yield process
        finally:
            process.kill()


def test_files_of_minus_b_are_made_where_only_root_may(fresh_pair: Any, mix: Path, folder: Path) -> None:
    with capture(fresh_pair.right, "-w", str(folder / "t.pcapng"), "-b", "packets:20", "-b", "files:2") as process:
        helper = helper_of(os.getpid())
        sent = fresh_pair.replay(mix)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert ended(helper)
    files = sorted(folder.iterdir())
    last = sent % 20 or 20
    assert [packets_in(path) for path in files] == [20, last]
    assert [int(path.name[2:7]) for path in files] == [(sent - 1) // 20, (sent - 1) // 20 + 1]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in files} == {(NOBODY, 0o600)}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_helper_ends_with_netwatch(fresh_pair: Any, folder: Path, how: signal.Signals) -> None:
    with capture(fresh_pair.right, "-w", str(folder / "t.pcapng"), "-b", "packets:20") as process:
        helper = helper_of(os.getpid())
        process.send_signal(how)
        process.wait(10)
    assert ended(helper)


def test_the_files_of_minus_b_have_a_helper_of_their_own_beside_a_dashboard(
    fresh_pair: Any, mix: Path, folder: Path
) -> None:
    shell = Shell(fresh_pair.right)
    shell.type("", "ready> ")
    options = ["-w", str(folder / "t.pcapng"), "-b", "packets:20"]
    shell.type(shlex.join([*NETWATCH, "-i", "b0", *options]) + "\n", "\x1b[?1049h", "LIVE")
    shell.look(1)
    held = {}
    for pid in helpers_of(shell.pid, 2):
        status = Path(f"/proc/{pid}/status").read_text()
        held[next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapPrm"))] = pid
    sent = fresh_pair.replay(mix)
    shell.look(1)
    assert len(os.listdir(folder)) == -(-sent // 20)
    os.kill(held[1 << CAP_DAC_OVERRIDE], signal.SIGKILL)
    fresh_pair.replay(mix)
    shell.type("", "writing stopped: the helper process is gone")
    shell.type("q", "\x1b[?1049l", "packets are missing there", "ready> ")
    shell.end()
    assert all(ended(pid) for pid in held.values())


def test_a_new_file_is_the_user_s_and_one_that_was_there_stays_whose_it_is(
    fresh_pair: Any, mix: Path, folder: Path
) -> None:
    for name in ("old.pcapng", "old.json"):
        (folder / name).write_bytes(b"old")
        (folder / name).chmod(0o640)
    for name, owner, mode in (("new", NOBODY, 0o600), ("old", 0, 0o640)):
        written, report = folder / f"{name}.pcapng", folder / f"{name}.json"
        with capture(fresh_pair.right, "-w", str(written), "--report", str(report)) as process:
            sent = fresh_pair.replay(mix)
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0
        assert (packets_in(written), json.loads(report.read_text())["packets"]) == (sent, sent)
        for path in (written, report):
            assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (owner, mode)


def test_without_a_helper_minus_b_says_why(fresh_pair: Any, mix: Path, folder: Path) -> None:
    with capture(fresh_pair.right, "-w", str(folder / "t.pcapng"), "-b", "packets:20") as process:
        os.kill(helper_of(os.getpid()), signal.SIGKILL)
        fresh_pair.replay(mix)
        assert process.wait(20) == 74
        assert process.stderr is not None
        assert "the helper process is gone: it ended" in process.stderr.read()
    assert [packets_in(path) for path in folder.iterdir()] == [20]
