"""A directory in which the helper makes the files."""

from __future__ import annotations

import errno
from typing import Any

from netwatch.capture.helper.client import Helper, HelperError

__all__ = ["HelperDirectory"]


class HelperDirectory:
    """See capture.directory.Directory."""

    def __init__(self, helper: Helper, place: str, path: str) -> None:
        """`place`: its name in the Start of the helper."""
        self.path = path
        self._helper = helper
        self._place = place

    def open_new(self, name: str, *, over: str = "") -> int:
        return self._call("open", name, over=over)[0]

    def rename(self, name: str, to: str) -> None:
        self._call("rename", name, to=to)

    def unlink(self, name: str) -> None:
        self._call("unlink", name)

    def _call(self, verb: str, name: str, **more: Any) -> list[int]:
        try:
            _, descriptors = self._helper.call_fd(verb, directory=self._place, name=name, **more)
        except HelperError as error:
            raise OSError(error.errno or errno.EPERM, str(error)) from None
        if len(descriptors) < (verb == "open"):
            raise OSError(errno.EIO, "the helper made no file")
        return descriptors
