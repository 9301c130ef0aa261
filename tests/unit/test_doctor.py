"""`netwatch doctor` says what works, and the command that mends what does not."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netwatch.app import doctor
from netwatch.app.doctor import permission, system, terminal
from netwatch.app.doctor.finding import FAILS, OPTIONAL, WORKS
from netwatch.app.options import parse
from netwatch.capture.errors import CaptureError

NET_RAW = 1 << 13


def held(monkeypatch: pytest.MonkeyPatch, **sets: int) -> None:
    monkeypatch.setattr(permission, "status", lambda: {name: f"{value:016x}" for name, value in sets.items()})


def test_the_capability_is_looked_for_in_each_set(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, CapEff=NET_RAW, CapPrm=NET_RAW, CapBnd=NET_RAW)
    (finding,) = permission.capability()
    assert finding.state == WORKS
    assert finding.says == "in the effective, permitted, bounding sets; not in inheritable, ambient"


def test_a_capability_that_was_taken_from_all_is_no_matter_for_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, CapEff=0, CapBnd=0)
    (finding,) = permission.capability()
    assert (finding.state, finding.mends) == (FAILS, ())
    assert "for root, too" in finding.says


def test_who_is_not_permitted_is_told_how_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, CapEff=0, CapBnd=NET_RAW)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    finding = permission._refused(OSError(errno.EPERM, "Operation not permitted"))
    assert finding.state == FAILS
    assert finding.mends[0].startswith("sudo ")
    assert "--ambient-caps=+net_raw" in finding.mends[1]


def test_a_right_that_is_there_and_refused_points_at_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    held(monkeypatch, CapEff=NET_RAW)
    assert "seccomp profile" in permission._refused(OSError(errno.EPERM, "Operation not permitted")).says


def test_a_library_that_is_missing_has_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netwatch.capture.kernel.bpf.libpcap_version", lambda: None)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    (pcap,), (shark,) = system.libpcap(), system.tshark()
    assert (pcap.state, pcap.mends) == (OPTIONAL, ("sudo apt-get install libpcap0.8",))
    assert (shark.state, shark.mends) == (OPTIONAL, ("sudo apt-get install tshark",))


@pytest.mark.parametrize(
    ("environment", "state", "word"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, WORKS, "16 million"),
        ({"TERM": "screen-256color"}, WORKS, "256"),
        ({"TERM": "linux"}, OPTIONAL, "16"),
        ({"TERM": "dumb"}, FAILS, "TERM is dumb"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, OPTIONAL, "NO_COLOR"),
    ],
)
def test_colours_go_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], state: str, word: str
) -> None:
    monkeypatch.setattr(terminal, "_shown", lambda: True)
    for name in ("TERM", "COLORTERM", "NO_COLOR", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (finding,) = terminal.colours()
    assert finding.state == state
    assert word in finding.says


def test_a_locale_without_utf8_means_a_plain_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.ISO-8859-1")
    (finding,) = terminal.characters()
    assert finding.state == OPTIONAL
    assert "ASCII" in finding.says


def test_a_check_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd_thing() -> list[doctor.Finding]:
        raise RuntimeError("what a machine")

    monkeypatch.setattr(system, "CHECKS", (odd_thing, *system.CHECKS))
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["odd thing"].says == "could not be looked at: RuntimeError: what a machine"
    assert {"capturing", "libpcap", "terminal"} <= set(found)


def test_each_line_fits_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text, code = doctor.run()
    assert code in (0, 77)
    assert all(len(line) <= 80 for line in text.splitlines() if not line.lstrip().startswith("$ "))
    assert "\x1b" not in text


def test_it_takes_nothing_else() -> None:
    assert parse(["doctor"]).doctor
    with pytest.raises(CaptureError, match="takes nothing else: leave out -i eth0"):
        parse(["-i", "eth0", "doctor"])
    assert parse(["--", "doctor"]).capture_filter == "doctor"


def test_the_command_prints_it_without_textual() -> None:
    code = "import sys; from netwatch.app.main import main; main(['doctor']); print('textual' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.splitlines()[-1] == "False"
    assert re.search(r"^(ok|--|no) +capturing ", said, re.MULTILINE)


def test_the_page_names_the_test_that_runs_it() -> None:
    page = Path(__file__).parents[2] / "docs" / "PERMISSION.md"
    assert "tests/live/test_permission.py" in page.read_text()
    assert (page.parents[1] / "tests" / "live" / "test_permission.py").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize("name", ["tshark", "tmux"])
def test_ctrl_z_waits_for_what_is_started(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop that met the new process before its exec would leave a job that neither runs nor stops."""
    program, seen = tmp_path / name, tmp_path / "seen"
    # No other program: dash lets all signals through before it waits for one.
    look = f'case $line in SigBlk*) echo "$line" > {seen} ;; esac'
    program.write_text(f"#!/bin/sh\nwhile read -r line; do {look}; done < /proc/$$/status\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if name == "tshark":
        system.tshark()
    else:
        terminal._tmux()
    assert int(seen.read_text().split()[1], 16) >> (signal.SIGTSTP - 1) & 1
    assert signal.SIGTSTP not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
