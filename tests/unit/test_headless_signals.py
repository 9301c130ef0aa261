"""Signals at every moment of the command's life: it ends with its output whole, or before it had begun."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import netwatch
from netwatch.app.opening import DEMO

COMMAND = [sys.executable, "-m", "netwatch"]
READING = ["-r", str(DEMO), "--json"]
OURS = re.compile(f'File "{re.escape(str(Path(netwatch.__file__).parent))}/[^"]*"')


def end_of(arguments: list[str], *signals: tuple[float, signal.Signals]) -> tuple[int, str, str]:
    """Run it and send each signal after its delay (seconds) -> exit code, output, messages."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for delay, number in signals:
            time.sleep(delay)
            process.send_signal(number)
        out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def whole(out: str) -> bool:
    """One JSON object and a line feed."""
    return out.count("\n") == 1 and isinstance(json.loads(out), dict)


@pytest.fixture(scope="module")
def life() -> float:
    """Seconds that a summary takes from start to end."""
    begun = time.monotonic()
    assert whole(end_of(READING)[1])
    return time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_it_starts_finds_it_ready_or_not_begun(number: signal.Signals) -> None:
    for delay in range(5, 101, 10):
        code, out, err = end_of(READING, (delay / 1000, number))
        # While Python itself starts, it may tell of an interrupt, and makes -2 or 1 of it, or nothing.
        assert OURS.findall(err) == [], delay
        assert whole(out) if code == 0 else (code in (-number, 1) and not out), delay


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_ends_changes_nothing(life: float, number: signal.Signals) -> None:
    for part in range(76, 109, 6):
        code, out, err = end_of(READING, (life * part / 100, number))
        assert (code, whole(out), err) == (0, True, ""), part


@pytest.mark.parametrize("gap", [0.0, 0.001, 0.02, 0.05])
def test_the_echo_of_a_ctrl_c_does_not_cut_the_output(life: float, gap: float) -> None:
    for part in (60, 90):
        code, out, err = end_of(READING, (life * part / 100, signal.SIGINT), (gap, signal.SIGINT))
        assert (code, whole(out), err) == (0, True, ""), part


def test_a_duration_that_ends_as_the_run_does(life: float) -> None:
    for part in range(2, 30, 5):
        for arguments in (READING, ["demo", "-c", "40", "--json"]):
            code, out, err = end_of([*arguments, "--duration", f"{life * part / 100:.4f}"])
            assert (code, whole(out), err) == (0, True, ""), (part, arguments)


def test_a_duration_and_a_ctrl_c_together(life: float) -> None:
    for part in (80, 110, 140):
        arguments = ["demo", "--json", "--duration", f"{life / 2:.4f}"]
        code, out, err = end_of(arguments, (life * part / 100, signal.SIGINT))
        assert (code, whole(out), err) == (0, True, ""), part


def test_a_ctrl_c_two_seconds_after_the_first_ends_at_once() -> None:
    # The pipe is full and nobody reads it: the run cannot end in order.
    with subprocess.Popen(
        [*COMMAND, "-r", str(DEMO), "--fields", ",".join(["ip.src", "eth.src", "frame.time_epoch"] * 9)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        for delay in (1.0, 0.2, 2.0):
            time.sleep(delay)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
        _, err = process.communicate()
    assert err == b""


def test_the_caller_of_main_has_its_signals_back(capfd: pytest.CaptureFixture[str]) -> None:
    from netwatch.app.main import main

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.getsignal(number) for number in numbers]
    assert main([*READING, "--duration", "50"]) == 0
    assert [signal.getsignal(number) for number in numbers] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert whole(capfd.readouterr().out)
