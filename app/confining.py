"""The step after which nothing needs a right: all is open and imported, one thread runs, no packet has come."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from netwatch.capture.guard.confine import Confinement, confine
from netwatch.capture.guard.identity import Identity

__all__ = ["Rights"]

_ALWAYS_READ: Final = (os.devnull, "/proc/meminfo")
"""How much memory there is, is asked again when an interface is switched."""
_ALWAYS_WRITTEN: Final = (os.devnull,)
"""In place of a terminal that is gone."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What is to become of the rights of a process."""

    user: Identity | None
    """Whom root becomes; None: it is not root."""
    sandbox: bool
    ours: bool
    """The process is netwatch's alone; one that called main() keeps its rights."""

    def give_up(self, *, write: tuple[str, ...] = ()) -> list[str]:
        """Become `user`, confined; `write`: paths that are needed nevertheless.

        One line each for what is not as it should be. Raises CaptureError 77 where rights cannot be given up.
        """
        if not self.ours:
            return []
        said = confine(Confinement(self.user, _ALWAYS_READ, (*_ALWAYS_WRITTEN, *write), self.sandbox))
        if not self.sandbox:
            said.append("--no-sandbox: neither Landlock nor seccomp guards this run")
        return said
