"""The ways to the right to capture that docs/PERMISSION.md tells, run as they stand there."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.live.conftest import Pair

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "PERMISSION.md").read_text()
BLOCKS = dict(re.findall(r"```(sh|sudoers|ini)\n(.*?)```", PAGE, re.DOTALL))
NOBODY = 65534
NETOPS = 61_234
UNIT_USER = 61_184
"""As systemd's DynamicUser= hands them out."""

needs_sudo = pytest.mark.skipif(shutil.which("sudo") is None, reason="needs sudo")


class Elsewhere:
    """A place that everyone can read, wherever the checkout and its environment lie; mounts nobody else sees."""

    def __init__(self, folder: Path, pair: Pair) -> None:
        self.folder = folder
        self.pair = pair
        self.command = folder / "bin" / "netwatch"
        for name in ("bin", "code", "python", "state"):
            (folder / name).mkdir()
        python = folder / "python" / "bin" / "python"
        self.command.write_text(f'#!/bin/sh\nPYTHONPATH={folder}/code/src exec {python} -m netwatch "$@"\n')
        self.command.chmod(0o755)
        os.chown(folder / "state", UNIT_USER, UNIT_USER)
        self.mounts = [f"mount --bind {ROOT} {folder}/code", f"mount --bind {sys.prefix} {folder}/python"]
        base = Path(sys.base_prefix).resolve()
        closed = [each for each in reversed(base.parents) if not each.stat().st_mode & 0o001]
        if closed:
            (folder / "base").mkdir()
            opened = f"mount -t tmpfs -o mode=755 tmpfs {closed[0]} && mkdir -p {base}"
            self.mounts += [f"mount --bind {base} {folder}/base", opened, f"mount --bind {folder}/base {base}"]

    def bind(self, path: str, text: str, mode: int) -> None:
        """`text` in place of the file at `path`."""
        made = self.folder / Path(path).name
        made.write_text(text)
        made.chmod(mode)
        self.mounts.append(f"mount --bind {made} {path}")

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """As root, in the namespace of the pair's right end."""
        lines = "\n".join(["set -e", *self.mounts, f"export PATH={self.command.parent}:$PATH", script])
        command = ["ip", "netns", "exec", self.pair.right.name, "unshare", "--mount", "sh", "-c", lines]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def elsewhere(pair: Pair) -> Iterator[Elsewhere]:
    # Below /run and not below pytest's folder, which is its user's own.
    folder = Path("/run") / f"netwatch-test-permission-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield Elsewhere(folder, pair)
    finally:
        shutil.rmtree(folder)


def as_nobody(script: str, *, groups: str = "--clear-groups") -> str:
    return f"setpriv --reuid={NOBODY} --regid={NOBODY} {groups} sh -c {shlex.quote(script)}"


@needs_sudo
def test_with_the_ambient_capability_alone(elsewhere: Elsewhere, pair: Pair, mix: Path) -> None:
    elsewhere.bind("/etc/sudoers", f"#{NOBODY} ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    counted = "-i b0 -c 60 --duration 20 --summary --json --report /dev/null"
    block = BLOCKS["sh"].replace("-i eth0", counted)
    assert counted in block
    sending = f"(sleep 1; ip netns exec {pair.left.name} tcpreplay -q -i a0 --loop=2 --pps=200 {mix} >/dev/null) &\n"
    done = elsewhere.run(f"{sending}{as_nobody(block)}\nwait")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["packets"] == 60


@needs_sudo
def test_a_line_of_sudoers_allows_its_arguments_and_no_others(elsewhere: Elsewhere) -> None:
    allowed = BLOCKS["sudoers"].replace("/usr/local/bin/netwatch", str(elsewhere.command)).replace("eth0", "b0")
    elsewhere.bind("/etc/sudoers", f"Defaults !authenticate, env_reset\n{allowed}", 0o440)
    group = Path("/etc/group").read_text().rstrip("\n")
    elsewhere.bind("/etc/group", f"{group}\nnetops:x:{NETOPS}:nobody\n", 0o644)
    if shutil.which("visudo"):
        assert "parsed OK" in elsewhere.run("visudo -c -f /etc/sudoers").stdout
    shown = elsewhere.run(as_nobody("sudo -n netwatch -i b0".replace("netwatch", str(elsewhere.command))))
    # Allowed: it gets as far as to look for a terminal.
    assert shown.stderr.startswith("netwatch: standard output is no terminal"), shown.stderr
    refused = elsewhere.run(as_nobody(f"sudo -n {elsewhere.command} -i b0 -w /etc/passwd"))
    assert "netwatch:" not in refused.stderr
    assert refused.returncode == 1, refused.stderr


def test_a_service_with_no_other_right(elsewhere: Elsewhere, pair: Pair, mix: Path) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's names have capitals
    unit.read_string(BLOCKS["ini"])
    service = unit["Service"]
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == "CAP_NET_RAW"
    if shutil.which("systemd-analyze"):
        written = elsewhere.folder / "netwatch.service"
        written.write_text(BLOCKS["ini"].replace("/usr/local/bin/netwatch", str(elsewhere.command)))
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(written)], capture_output=True, text=True, check=False
        )
        assert "netwatch.service" not in checked.stderr, checked.stderr
    state = elsewhere.folder / "state"
    start = service["ExecStart"].replace("/usr/local/bin/netwatch", str(elsewhere.command)).replace("eth0", "b0")
    start = start.replace("/var/lib/netwatch", str(state)).replace("files:10", "files:10 -b packets:20 -c 50")
    caps = " ".join(f"--{kind}-caps=-all,+net_raw" for kind in ("inh", "ambient"))
    rights = (
        f"--reuid={UNIT_USER} --regid={UNIT_USER} --clear-groups {caps} --bounding-set=-all,+net_raw --no-new-privs"
    )
    sending = f"(sleep 1; ip netns exec {pair.left.name} tcpreplay -q -i a0 --loop=2 --pps=200 {mix} >/dev/null) &\n"
    done = elsewhere.run(f"{sending}setpriv {rights} timeout 30 {start} </dev/null\nwait")
    assert done.returncode == 0, done.stderr
    files = sorted(state.iterdir())
    assert len(files) == 3
    assert all(path.stat().st_uid == UNIT_USER and path.stat().st_mode & 0o777 == 0o600 for path in files)
    assert sum(_packets(path) for path in files) == 50


def _packets(path: Path) -> int:
    said = subprocess.run(
        [sys.executable, "-m", "netwatch", "-r", str(path), "--summary", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return int(json.loads(said.stdout)["packets"])
