"""What is said to the person when something cannot be done. Light: a typing error is told at once."""

from __future__ import annotations

from typing import Final

__all__ = ["EXIT_DAMAGED", "EXIT_FAULT", "EXIT_OUTPUT", "EXIT_PERMISSION", "EXIT_USAGE", "CaptureError"]

# Exit codes (CONTRACT.md; from 70 on as in sysexits.h)
EXIT_USAGE: Final = 2
EXIT_DAMAGED: Final = 3
EXIT_FAULT: Final = 70
"""netwatch itself is wrong; never meant to happen."""
EXIT_OUTPUT: Final = 74
EXIT_PERMISSION: Final = 77


class CaptureError(Exception):
    """Something cannot be opened or done. `str()` is one line for the person; `code` the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
