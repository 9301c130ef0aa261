"""`--version`: netwatch and what it stands on; from the metadata, importing it all would take half a second."""

from __future__ import annotations

import platform
from importlib import metadata

from netwatch import __version__

__all__ = ["version_text"]


def version_text() -> str:
    """One line each, ready to be printed."""
    from netwatch.capture.kernel.bpf import libpcap_version

    lines = [
        f"netwatch {__version__}",
        f"kernel: {platform.system()} {platform.release()}",
        f"libpcap: {libpcap_version() or 'not found'}",
        f"Textual: {_package('textual')}",
        f"numpy: {_package('numpy')}",
        f"Python: {platform.python_version()}",
    ]
    return "\n".join(lines) + "\n"


def _package(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not found"
