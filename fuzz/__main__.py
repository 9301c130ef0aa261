"""Run the targets: with atheris where that is installed, which follows coverage, else with mutations by chance."""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def main() -> int:
    """Exit code 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("inputs", nargs="*", type=Path, help="run these inputs once, as findings are looked at")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--captures", type=Path, help="a folder of captures to begin with, beside the demo's")
    parser.add_argument("--corpus", type=Path, help="folder in which inputs that reach new code are kept")
    parser.add_argument("--findings", type=Path, default=Path("findings"), help="folder for what breaks something")
    parser.add_argument("--seed", type=int, default=1, help="of the mutations without atheris")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    atheris = None if options.plain or options.inputs else _atheris()
    # What traces coverage is several times slower than what people run.
    os.environ.setdefault("FUZZ_SECONDS", "0.5" if atheris is None else "3")
    if atheris is None:
        from fuzz.targets import run
    else:
        with atheris.instrument_imports(include=["netwatch"]):
            from fuzz.targets import run
    if options.inputs:
        for path in options.inputs:
            run(path.read_bytes())
        return 0
    from fuzz.seeds import seeds

    folder = options.captures
    captures = sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
    found = Findings(options.findings, run)
    if atheris is None:
        return by_chance(found, list(seeds(captures)), options.seconds, options.seed)
    return _with_atheris(atheris, found, seeds(captures), options.corpus, options.seconds)


class Findings:
    """Runs inputs, and keeps the first that breaks something at each place."""

    def __init__(self, folder: Path, run: Callable[[bytes], None]) -> None:
        self._folder = folder
        self._run = run
        self.places: set[str] = set()
        self.runs = 0
        self._begun = time.monotonic()
        self._told = 0.0

    def __call__(self, data: bytes) -> None:
        """One input."""
        self.runs += 1
        try:
            self._run(data)
        except Exception as error:
            self._keep(data, error)
        now = time.monotonic() - self._begun
        if now > self._told + 60:
            self._told = now
            self._tell(f"{self.runs} runs in {now:.0f} s, {len(self.places)} findings")

    def _keep(self, data: bytes, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        place = " ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:])
        place += f" {type(error).__name__} {str(error)[:40]}"
        if place in self.places:
            return
        self.places.add(place)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha1(data).hexdigest()[:12]
        (self._folder / name).write_bytes(data)
        self._tell(f"FOUND {name}: {place}\n  {str(error)[:600]}")

    @staticmethod
    def _tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def _atheris() -> Any:
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        print("atheris is not installed: mutations by chance", file=sys.stderr)
        return None
    return atheris


def _with_atheris(atheris: Any, found: Findings, begin: Any, corpus: Path | None, seconds: int) -> int:
    with tempfile.TemporaryDirectory() as made:
        kept = corpus or Path(made)
        kept.mkdir(parents=True, exist_ok=True)
        for data in begin:
            (kept / hashlib.sha1(data).hexdigest()).write_bytes(data)
        limits = [f"-max_total_time={seconds}", "-max_len=8192", f"-timeout={LONGEST}", "-rss_limit_mb=8000"]
        artifacts = f"-artifact_prefix={found._folder}/"
        found._folder.mkdir(parents=True, exist_ok=True)
        atheris.Setup([sys.argv[0], str(kept), *limits, artifacts, "-print_final_stats=1"], found)
        atheris.Fuzz()  # does not return
    return 0


LONGEST = 60
"""Seconds of one input, with atheris (which has its own clock) and without."""


def _too_long(*_: object) -> None:
    raise TimeoutError(f"one input takes longer than {LONGEST} s")


def by_chance(found: Findings, begin: list[bytes], seconds: float, seed: int) -> int:
    """Seeds with a few changes each, for so long."""
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    before = signal.signal(signal.SIGALRM, _too_long)
    try:
        while time.monotonic() < end:
            signal.alarm(LONGEST)
            found(mutated(dice.choice(begin), begin, dice))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    found._tell(f"{found.runs} runs, {len(found.places)} findings")
    return int(bool(found.places))


NUMBERS = [bytes([each]) for each in (0, 1, 0x1B, 0x7F, 0x80, 0xC0, 0xFF)]
NUMBERS += [b"\0\0", b"\xff\xff", b"\x7f\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\r\n"]


def mutated(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """The same bytes with a few changes; the first, which names the target, stays."""
    made = bytearray(data[:8192])
    for _ in range(dice.choice((0, 1, 1, 2, 4, 16))):
        at = dice.randint(1, len(made))
        match dice.randrange(7):
            case 0:
                made[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                number = dice.choice(NUMBERS)
                made[at : at + len(number)] = number
            case 2:
                made[at:at] = dice.choice(NUMBERS)
            case 3:
                del made[at : at + dice.randint(1, 8)]
            case 4:
                made[at:at] = made[at : at + dice.randint(1, 64)] * dice.randint(1, 8)
            case 5:
                other = dice.choice(others)
                place = dice.randint(0, len(other))
                made[at : at + dice.choice((0, 20))] = other[place : place + dice.randint(1, 100)]
            case 6:
                del made[at:]
    return bytes(made[:8192])


if __name__ == "__main__":
    sys.exit(main())
