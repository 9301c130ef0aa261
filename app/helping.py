"""The helper of a run: started before rights go, and what is said when it is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from netwatch.app.options import Options
from netwatch.app.output import failed
from netwatch.capture.helper.client import Helper, HelperError, Place, Start
from netwatch.capture.helper.directory import HelperDirectory
from netwatch.capture.helper.protocol import VERBS
from netwatch.capture.rotation import parts

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.guard.identity import Identity
    from netwatch.widgets.footer import Footer

__all__ = ["Helping"]

_SHOWN: Final = tuple(VERBS)
_WRITTEN: Final = ("open", "unlink")
"""Of `-b`, where nothing is shown."""


class Helping:
    """Never without a helper's place: who asks while there is none is told why."""

    def __init__(self, options: Options, user: Identity | None, *, shown: bool) -> None:
        """`user`: whom this process becomes; `shown`: there will be a dashboard. Raises CaptureError 74 where files
        of `-b` cannot be made."""
        self.helper: Helper | None = None
        self.trouble = ""
        """Why there is none."""
        self.saves: Directory = _Nowhere(self, options.save_dir)
        """Where `e` saves to."""
        self.writes: Directory | None = None
        """Where the files of `-b` go."""
        self._said = False
        places = {"save": Place(options.save_dir)} if shown else {}
        folder = ""
        if options.rotation is not None and options.write is not None:
            folder, prefix, suffix = parts(options.write)
            try:
                os.stat(folder or ".")
            except OSError as error:
                raise failed(options.write, error) from None
            self.writes = _Nowhere(self, folder)
            places["write"] = Place(folder or ".", f"{prefix}_", suffix)
        try:
            self.helper = Helper.start(Start(_SHOWN if shown else _WRITTEN, user, places))
        except HelperError as error:
            self.trouble = str(error)
            return
        if shown:
            self.saves = HelperDirectory(self.helper, "save", options.save_dir)
        if self.writes is not None:
            self.writes = HelperDirectory(self.helper, "write", folder)

    def settle(self) -> list[str]:
        """Call before rights go: a line if there is no helper."""
        if self.helper is not None:
            try:
                self.helper.settle()
            except HelperError as error:
                self.trouble = str(error)
                self.helper.close()
        return [self.trouble] if self.trouble else []

    def look(self, footer: Footer) -> None:
        """Call now and then: it is said once that the helper is gone."""
        if not self._said and (self.helper is None or not self.helper.alive):
            self._said = True
            words = self.trouble or "the helper process is gone"
            footer.say(f"{words}; e cannot save, no programs are named", role="filter-chip", seconds=None)

    def close(self) -> None:
        """End it."""
        if self.helper is not None:
            self.helper.close()


class _Nowhere:
    """A directory of a helper that there is not."""

    def __init__(self, helping: Helping, path: str) -> None:
        self.path = path
        self._helping = helping

    def open_new(self, name: str, *, over: str = "") -> int:  # noqa: ARG002 - as every Directory
        raise OSError(5, self._helping.trouble)

    def rename(self, name: str, to: str) -> None:  # noqa: ARG002
        raise OSError(5, self._helping.trouble)

    def unlink(self, name: str) -> None:  # noqa: ARG002
        raise OSError(5, self._helping.trouble)
