"""The helper of a run: started before rights go, and what is said when it is not there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netwatch.app.options import Options
from netwatch.app.output import STDOUT, failed
from netwatch.capture.helper.client import Helper, HelperError, Place, Start
from netwatch.capture.helper.directory import HelperDirectory
from netwatch.capture.helper.protocol import VERBS
from netwatch.capture.rotation import parts

if TYPE_CHECKING:
    from netwatch.capture.directory import Directory
    from netwatch.capture.guard.identity import Identity
    from netwatch.widgets.footer import Footer

__all__ = ["Helping"]


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
        self._of_files: Helper | None = None
        try:
            if options.rotation is not None and options.write is not None:
                self._start_writing(options.write, user)
            if shown:
                self.helper = Helper.start(Start(tuple(VERBS), user, {"save": Place(options.save_dir)}))
                self.saves = HelperDirectory(self.helper, "save", options.save_dir)
        except HelperError as error:
            self.trouble = str(error)

    def _start_writing(self, path: str, user: Identity | None) -> None:
        """For the files of `-b` a process of its own: they do not wait for what the other one looks for. Raises
        CaptureError 74, HelperError."""
        folder, prefix, suffix = parts(path)
        self.writes = _Nowhere(self, folder)
        try:
            os.stat(folder or ".")
        except OSError as error:
            raise failed(path, error) from None
        self._of_files = Helper.start(
            Start(("open", "unlink"), user, {"write": Place(folder or ".", f"{prefix}_", suffix)})
        )
        self.writes = HelperDirectory(self._of_files, "write", folder)

    def settle(self) -> list[str]:
        """Call before rights go: a line if there is no helper."""
        for helper in self._helpers:
            try:
                helper.settle()
            except HelperError as error:
                self.trouble = str(error)
                helper.close()
        return [self.trouble] if self.trouble else []

    def look(self, footer: Footer) -> None:
        """Call now and then: it is said once that the helper is gone."""
        if not self._said and (self.helper is None or not self.helper.alive):
            self._said = True
            words = self.trouble or "the helper process is gone"
            footer.say(f"{words}; e cannot save, no programs are named", role="filter-chip", seconds=None)

    def lend(self, taken: bool) -> None:
        """The screen has the terminal, or gave it back: the helper does so for a process that is killed."""
        if self.helper is not None:
            self.helper.lend(STDOUT if taken else None)

    def close(self) -> None:
        """End it."""
        for helper in self._helpers:
            helper.close()

    @property
    def _helpers(self) -> list[Helper]:
        return [helper for helper in (self.helper, self._of_files) if helper is not None]


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
