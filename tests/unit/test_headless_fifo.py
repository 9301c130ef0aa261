"""`-w` and `--report` into a FIFO: a reader is waited for, but not for ever, and takes no other output along when it
leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netwatch.app.opening import DEMO

COMMAND = [sys.executable, "-m", "netwatch"]


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_wait_for_a_reader(fifo: Path, number: signal.Signals) -> None:
    with running("-r", DEMO, "-w", fifo) as process:
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(number)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_the_duration_ends_it_and_the_other_output_is_whole(fifo: Path) -> None:
    with running("-r", DEMO, "-w", fifo, "--json", "--duration", "0.5") as process:
        out, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["packets"] == 0


def test_a_reader_that_comes_late_has_all(fifo: Path, tmp_path: Path) -> None:
    with running("-r", DEMO, "-w", fifo) as process:
        time.sleep(1.0)
        data = fifo.read_bytes()
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0
    kept = tmp_path / "kept.pcapng"
    kept.write_bytes(data)
    with running("-r", kept, "--json") as again, running("-r", DEMO, "--json") as first:
        assert (
            json.loads(again.communicate(timeout=30)[0])["packets"]
            == (json.loads(first.communicate(timeout=30)[0])["packets"])
        )


def test_without_its_reader_the_run_goes_on_where_there_is_another_output(fifo: Path) -> None:
    with running("-r", DEMO, "-w", fifo, "--json") as process:
        reader = os.open(fifo, os.O_RDONLY)
        os.read(reader, 1)
        os.close(reader)
        out, err = process.communicate(timeout=30)
    made = json.loads(out)
    assert (process.returncode, err) == (
        0,
        f"netwatch: {fifo}: nobody reads it any more; the run goes on without it\n",
    )
    assert 0 < made["dropped"]["writer"] <= made["packets"]


def test_without_its_reader_the_run_ends_silently_where_there_is_none(fifo: Path) -> None:
    with running("demo", "-w", fifo) as process:
        reader = os.open(fifo, os.O_RDONLY)
        os.read(reader, 1)
        os.close(reader)
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_wait_for_who_reads_the_report(fifo: Path, number: signal.Signals) -> None:
    with running("-r", DEMO, "--json", "--report", fifo) as process:
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["packets"] == 0


def test_the_duration_ends_the_wait_for_who_reads_the_report(fifo: Path, tmp_path: Path) -> None:
    with running("-r", DEMO, "-w", tmp_path / "kept", "--report", fifo, "--duration", "0.5") as process:
        assert process.communicate(timeout=10) == ("", "")
        assert process.returncode == 0


def test_who_reads_the_report_may_come_late(fifo: Path) -> None:
    with running("-r", DEMO, "--json", "--report", fifo) as process:
        time.sleep(1.0)
        reported = json.loads(fifo.read_bytes())
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert reported["packets"] == json.loads(out)["packets"] > 0


def test_who_reads_the_report_may_leave_early(fifo: Path) -> None:
    """The summary is printed all the same."""
    with running("demo", "--json", "--report", fifo, "--duration", "1") as process:
        os.close(os.open(fifo, os.O_RDONLY))
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["packets"] > 0
