"""The command as a process: full disks, closed pipes, signals, and what it imports."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netwatch.app.opening import DEMO

COMMAND = [sys.executable, "-m", "netwatch"]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """`$N` is the command, `$F` a capture."""
    environment = os.environ | {"N": " ".join(COMMAND), "F": DEMO}
    return subprocess.run(
        ["bash", "-c", words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@LINUX
@pytest.mark.parametrize(
    "arguments", ["-r $F --summary", "-r $F --json", "-r $F --fields ip.src", "--list", "--help", "--version"]
)
def test_a_full_disk_is_told(arguments: str) -> None:
    done = shell(f"$N {arguments} > /dev/full")
    assert (done.returncode, done.stderr) == (
        74,
        "netwatch: cannot write standard output: No space left on device\n",
    )


@pytest.mark.parametrize("compress", ["gzip", "bzip2", "xz", "zstd"])
def test_a_compressed_stream_is_read_without_rights(compress: str, tmp_path: Path) -> None:
    """What decompresses is loaded before it is known what comes: afterwards nothing can be imported."""
    if shutil.which(compress) is None:
        pytest.skip(f"needs {compress}")
    done = shell(f"{compress} -c $F > {tmp_path}/f; cat {tmp_path}/f | $N -r - --json; $N -r - --json < {tmp_path}/f")
    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["packets"] > 0 for line in done.stdout.splitlines()] == [True, True]


@LINUX
def test_packets_to_a_full_standard_output() -> None:
    done = shell("$N -r $F -w - > /dev/full")
    assert (done.returncode, done.stderr) == (
        74,
        "netwatch: cannot write standard output: No space left on device\n",
    )


@LINUX
def test_a_report_that_fails_leaves_the_summary() -> None:
    done = shell("$N -r $F --json --report /dev/full")
    assert (done.returncode, done.stderr) == (74, "netwatch: cannot write /dev/full: No space left on device\n")
    assert json.loads(done.stdout)["packets"] > 0


def test_a_disk_that_fills_up_ends_the_capture_with_what_there_is(tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    done = shell(f"ulimit -f 64; $N -r $F -w {kept}")
    assert (done.returncode, done.stderr) == (74, f"netwatch: cannot write {kept}: File too large\n")
    again = shell(f"$N -r {kept} --json")
    assert again.returncode == 0
    assert json.loads(again.stdout)["packets"] > 0


def test_a_disk_that_fills_up_leaves_the_other_outputs_whole(tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    whole = json.loads(shell("$N -r $F --json").stdout)
    done = shell(f"ulimit -f 64; $N -r $F -w {kept} --json")
    made = json.loads(done.stdout)
    missing = made["dropped"]["writer"]
    said = f"netwatch: cannot write {kept}: File too large; {missing:,} packets are missing there\n"
    assert (done.returncode, done.stderr, made["packets"]) == (74, said, whole["packets"])
    assert json.loads(shell(f"$N -r {kept} --json").stdout)["packets"] == whole["packets"] - missing > 0


@pytest.mark.parametrize("arguments", ["-r $F --fields frame.number,ip.src", "-r $F --json", "--help", "-r $F -w -"])
def test_a_broken_pipe_ends_silently(arguments: str) -> None:
    done = shell(f"set -o pipefail; $N {arguments} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_header_of_fields_does_not_wait_for_packets_nor_the_end_of_its_reader() -> None:
    with subprocess.Popen(
        [*COMMAND, "-r", "-", "--fields", "frame.number,ip.src"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(Path(DEMO).read_bytes()[:28])
        process.stdin.flush()
        # No packet comes, and standard input stays open.
        assert process.stdout.readline() == b"frame.number\tip.src\n"
        process.stdout.close()
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == b""


def test_what_is_reported_is_complete_although_nobody_reads_the_fields(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = shell(f"set -o pipefail; $N -r $F --fields ip.src --report {report} | true")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu_seconds" in json.loads(report.read_text())


def test_a_closed_output_is_told_and_nothing_else_gets_it(tmp_path: Path) -> None:
    kept = tmp_path / "kept.pcapng"
    done = shell(f"$N -r $F -w {kept} --json >&-")
    assert (done.returncode, done.stderr) == (74, "netwatch: cannot write standard output: Bad file descriptor\n")
    assert b'"packets"' not in kept.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [["-r", "-", "--json"], ["demo", "--json", "--duration", "60"]])
def test_a_signal_ends_the_run_with_its_output_complete(number: signal.Signals, arguments: list[str]) -> None:
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        process.stdin.write(Path(DEMO).read_bytes()[:50_000])
        process.stdin.flush()
        time.sleep(1.0)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err, out.count(b"\n")) == (0, b"", 1)
    assert json.loads(out)["packets"] > 0


def test_a_background_job_of_a_script_ends_on_kill() -> None:
    done = shell("$N demo --json --duration 60 & sleep 1; kill -INT $!; wait $!")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["packets"] > 0


MISTAKES = (
    ["--nonsense"],
    ["lab"],
    ["-c", "0"],
    ["-r", "nowhere", "--json"],
    ["-r", "/", "--summary"],
    ["-i", "nope", "--json"],
    ["--fields", "nope,ip.src", "-r", DEMO],
    ["-i", "lo", "--json", "prot", "443"],
    ["-r", DEMO, "--json", "port", "nope"],
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--list"], *MISTAKES], ids=" ".join)
def test_help_and_mistakes_do_not_wait_for_numpy_and_textual(arguments: list[str]) -> None:
    code = (
        "import sys; from netwatch.app.main import main; main(sys.argv[1:]);"
        "print([name for name in ('numpy', 'textual', 'rich') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_summary_does_not_load_the_screen() -> None:
    code = (
        "import sys; from netwatch.app.main import main; main(sys.argv[1:]);"
        "print([name for name in ('textual', 'rich', 'psutil') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-r", DEMO, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
