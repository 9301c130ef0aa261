"""Loading all that a run can ever need, before rights are given up.

Who was root may not be able to read the files of this program any more, and Landlock denies them to everybody: what
is imported later, or opened by its name, fails. What a module imports inside of a function is found by walking this
package; what other packages import so is named here. tests/live/test_preload.py finds what is missing.
"""

from __future__ import annotations

import codecs
import os
import time
from importlib import import_module
from typing import Final

import netwatch

__all__ = ["preload_dashboard", "preload_output"]

_FOR_DISSECTORS: Final = (
    # QUIC's first packets, headers of HTTP/2
    "cryptography.hazmat.primitives.ciphers.aead",
    "hpack",
    # dates in certificates: datetime imports it by itself
    "_strptime",
)
_FOR_SCREENS: Final = (
    # np.unique asks it whether an array is masked
    "numpy.ma",
    # what Textual imports once it runs, and to say why it ends
    "rich._emoji_codes",
    "textual.pilot",
    "textual.scrollbar",
    "textual.layouts.factory",
    # asyncio, for what runs in a thread
    "concurrent.futures.thread",
    # what tshark answers
    "xml.etree.ElementTree",
    "psutil",
)
_FOR_PRINTING: Final = ("passing", "tree_json", "tree_text")
_ENCODINGS: Final = (
    "ascii", "idna", "latin-1", "utf-8-sig",
    "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le",
)  # fmt: skip
"""Codecs are imported when they are used first."""
_ELSEWHERE: Final = frozenset(
    {
        # what runs without a screen, or before all else
        "headless", "doctor", "listing", "printing", "version", "fields", "tree_json", "tree_text", "passing",
        # programs of their own; who asks the helper imports its client
        "tshark_server", "resolver_server", "helper",
    }
)  # fmt: skip


def preload_dashboard() -> None:
    """Import what any key may ask for: 0.1 s beyond what the first frame needs anyway."""
    for path in netwatch.__path__:
        for name in ("capture", "widgets", "app"):
            _walk(f"netwatch.{name}", os.path.join(path, name))
    for name in _FOR_SCREENS:
        import_module(name)
    from rich.cells import cell_len

    cell_len("\u754c")  # the table of wide characters, by the terminal's version of Unicode
    _preload_dissection()


def preload_output(*, json: bool, dissected: bool) -> None:
    """Import what is needed without a screen: for JSON, a report among it, and where packets are `dissected`."""
    if json:
        import_module("json")
        codecs.lookup("ascii")
    if dissected:
        for name in _FOR_PRINTING:
            import_module(f"netwatch.capture.{name}")
        _preload_dissection()


def _preload_dissection() -> None:
    for name in _FOR_DISSECTORS:
        import_module(name)
    for encoding in _ENCODINGS:
        codecs.lookup(encoding)  # str.encode knows some without their modules
    time.localtime()  # the C library reads the time zone's file once


def _walk(package: str, folder: str) -> None:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name, dot, suffix = entry.name.partition(".")
        if name.startswith("_") or name in _ELSEWHERE:
            continue
        if suffix == "py":
            import_module(f"{package}.{name}")
        elif not dot and entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py")):
            _walk(f"{package}.{name}", entry.path)
