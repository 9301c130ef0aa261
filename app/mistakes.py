"""Mistakes that are told at once: a file, an interface, a field or a capture filter that there is not.

Whoever reads or captures would find them, too, but only once numpy is loaded, and Textual: longer than a typing error
should take.
"""

from __future__ import annotations

import os
import socket
import stat

from netwatch.app.options import MAX_SNAPLEN, Options
from netwatch.capture.errors import EXIT_PERMISSION, EXIT_USAGE, CaptureError

__all__ = ["look_for_mistakes"]

_ANY = "any"
_LINKTYPE_ETHERNET = 1
_OF_ANY_LINK = ("syntax error", "unknown ")
"""What libpcap says whatever link a capture filter is for."""


def look_for_mistakes(options: Options) -> None:
    """Raises CaptureError 2, 77. What is looked at may change until it is used: that is told then."""
    if options.fields and not options.plugins:  # these bring names of their own
        from netwatch.capture.field_names import check_names

        check_names(options.fields)
    if options.read not in (None, "", "-"):
        _check_file(options.read)
    if options.live and hasattr(socket, "AF_PACKET"):
        for name in options.interfaces:
            _check_interface(name)
    if options.capture_filter:
        _check_filter(options.capture_filter)


def _check_file(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file", EXIT_USAGE) from None
    except (OSError, ValueError):
        return  # whoever opens it says what it is
    if stat.S_ISDIR(status.st_mode):
        raise CaptureError(f"{path} is a directory; name a capture file in it", EXIT_USAGE)
    if not os.access(path, os.R_OK):
        raise CaptureError(f"{path}: no permission to read it; run as its owner, or use sudo", EXIT_PERMISSION)


def _check_filter(text: str) -> None:
    from netwatch.capture.kernel.bpf import compile_filter

    try:
        compile_filter(text, _LINKTYPE_ETHERNET, MAX_SNAPLEN)
    except CaptureError as error:
        if any(words in str(error) for words in _OF_ANY_LINK):
            raise


def _check_interface(name: str) -> None:
    from netwatch.capture.kernel import link

    if name == _ANY:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            link.index(asking, name)
        except OSError:
            known = ", ".join([*(each for _, each in socket.if_nameindex()), _ANY])
            raise CaptureError(f"no interface {name!r}; there are: {known}", EXIT_USAGE) from None
