"""When to go on in another file, and what that is called: dumpcap's `-b`. Imports nothing heavy."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["Rotation", "file_name", "parts", "read_rotation"]

_SECOND: Final = 1_000_000_000
_UNITS: Final = {"": 1000, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
"""A bare number is one of kB, as in dumpcap; with a letter it is a size as elsewhere."""
_MOST: Final = (1 << 62) - 1
"""Of bytes, nanoseconds, packets and files."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """None: no such limit. Whichever is reached first ends a file."""

    filesize: int | None = None
    """Bytes: the packet that reaches it is the last."""
    duration: int | None = None
    """Nanoseconds since the file began."""
    interval: int | None = None
    """Nanoseconds: a file ends where the time is a multiple of it."""
    packets: int | None = None
    files: int | None = None
    """As many are left; the oldest is deleted."""


def read_rotation(criteria: Sequence[str]) -> Rotation | None:
    """`filesize:1000`, `files:5` and so on, of which the last of a kind holds. Raises ValueError with words."""
    if not criteria:
        return None
    found = Rotation()
    for text in criteria:
        name, _, value = text.partition(":")
        if name not in _READERS:
            raise ValueError(f"-b {text}: give {', '.join(f'{each}:NUM' for each in _READERS)}")
        pattern, scale, what, unit = _READERS[name]
        match = re.fullmatch(pattern, value, re.IGNORECASE)
        if match is not None and match.re.groups > 1:
            scale = _UNITS[match[2].upper()]
        number = round(float(match[1]) * scale) if match else 0
        if not number:
            raise ValueError(f"-b {text}: {value!r} is not {what} above 0")
        if number > _MOST:
            raise ValueError(f"-b {text}: that is more than {_MOST // unit[0]:,} {unit[1]}")
        found = replace(found, **{name: number})
    if found == Rotation(files=found.files):
        raise ValueError("-b files:NUM needs to be told when a file is full: filesize, duration, interval or packets")
    return found


_WHOLE: Final = "[0-9]{1,30}"
_READERS: Final = {
    "filesize": (f"({_WHOLE})([KMG]?)", 1, "a number of kB, or a size as 64M,", (1, "bytes")),
    "duration": (rf"({_WHOLE}(?:\.[0-9]{{1,9}})?)", _SECOND, "a number of seconds", (_SECOND, "seconds")),
    "interval": (f"({_WHOLE})", _SECOND, "a number of seconds", (_SECOND, "seconds")),
    "packets": (f"({_WHOLE})", 1, "a number of packets", (1, "packets")),
    "files": (f"({_WHOLE})", 1, "a number of files", (1, "files")),
}
"""What a criterion looks like, what a bare number is multiplied by, what it is, and in what its limit is told."""


def file_name(path: str, number: int, when: float) -> str:
    """`trace_00001_20261122140000.pcapng` of `trace.pcapng`: number from 1 and local time, as dumpcap has it."""
    folder, stem, suffix = parts(path)
    moment = time.strftime("%Y%m%d%H%M%S", time.localtime(when))
    return os.path.join(folder, f"{stem}_{number:05}_{moment}{suffix}")


def parts(path: str) -> tuple[str, str, str]:
    """The directory, what the names of all files begin with, and what they end with."""
    folder, name = os.path.split(path)
    stem, dot, suffix = name.rpartition(".")
    return (folder, stem, dot + suffix) if dot else (folder, name, "")
