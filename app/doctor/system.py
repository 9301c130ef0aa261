"""What netwatch stands on: interfaces, libpcap, tshark, memory for what is kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from typing import Final

from netwatch.app.doctor.finding import FAILS, OPTIONAL, WORKS, Finding
from netwatch.capture.errors import CaptureError
from netwatch.capture.unstopped import unstopped

__all__ = ["CHECKS"]

_PATIENCE: Final = 10.0
_BUFFER: Final = 256 << 20
"""What --buffer is unless told."""


def interface() -> list[Finding]:
    """Which one is captured unless told."""
    from netwatch.capture.kernel.interfaces import default_interface, list_interfaces

    up = [facts.name for facts in list_interfaces() if facts.up]
    try:
        chosen = default_interface()
    except CaptureError as error:
        return [Finding("interfaces", OPTIONAL, str(error), ("netwatch --list",))]
    others = [name for name in up if name != chosen]
    says = f"{chosen} unless told"
    return [Finding("interfaces", WORKS, says + (f"; also up: {', '.join(others[:8])}" if others else ""))]


def libpcap() -> list[Finding]:
    """Capture filters are its language."""
    from netwatch.capture.kernel.bpf import libpcap_version

    version = libpcap_version()
    if version is not None:
        return [Finding("libpcap", WORKS, version)]
    return [Finding("libpcap", OPTIONAL, "not found: no capture filters", _install("libpcap0.8", "libpcap"))]


def tshark() -> list[Finding]:
    """`W` in an opened packet."""
    found = shutil.which("tshark")
    if found is None:
        return [
            Finding(
                "tshark",
                OPTIONAL,
                "not found: W in an opened packet has nobody to ask",
                _install("tshark", "wireshark-cli"),
            )
        ]
    try:
        with unstopped():
            said = subprocess.run(
                [found, "--version"], capture_output=True, timeout=_PATIENCE, text=True, errors="replace", check=False
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding("tshark", FAILS, f"{found} does not start: {error}")]
    return [Finding("tshark", WORKS, said.stdout.split("\n", 1)[0].rstrip(".") or found)]


def memory() -> list[Finding]:
    """Room for what is kept."""
    from netwatch.capture.kernel.memory import available

    free = available()
    if free >= 2 * _BUFFER:
        return [
            Finding(
                "memory", WORKS, f"{free >> 20:,} MiB available; {_BUFFER >> 20} are used for packets unless told"
            )
        ]
    buffer = max(free >> 22, 1)
    return [
        Finding(
            "memory",
            OPTIONAL,
            f"{free >> 20:,} MiB available: less for packets would be wise",
            (f"netwatch --buffer {buffer}M",),
        )
    ]


CHECKS: Final[tuple[Callable[[], list[Finding]], ...]] = (interface, libpcap, tshark, memory)


def _install(debian: str, fedora: str) -> tuple[str, ...]:
    if shutil.which("apt-get"):
        return (f"sudo apt-get install {debian}",)
    if shutil.which("dnf"):
        return (f"sudo dnf install {fedora}",)
    return ()
