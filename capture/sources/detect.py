"""What a capture is, by its first bytes. The file's name says nothing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from netwatch.capture.sources.erf import PROBED, ErfParser, looks_like_erf
from netwatch.capture.sources.inflate import is_compressed
from netwatch.capture.sources.pcap import MAGICS, PcapParser
from netwatch.capture.sources.pcapng import BYTE_ORDER, SECTION_HEADER, PcapngParser
from netwatch.capture.sources.records import Parser
from netwatch.capture.sources.snoop import FILE_HEADER as SNOOP_HEADER
from netwatch.capture.sources.snoop import MAGIC as SNOOP
from netwatch.capture.sources.snoop import VERSIONS, SnoopParser

__all__ = ["HEAD", "NotACaptureError", "complaint", "parser_for"]

HEAD: Final = PROBED
"""Bytes that parser_for needs at most."""

_SECTION: Final = struct.pack("<I", SECTION_HEADER)
_SECTION_START: Final = 12
"""Bytes up to a section's byte-order magic."""
_OTHERS: Final = {
    b"\x7fELF": "a program",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
    b"<?xml": "XML",
}


class NotACaptureError(Exception):
    """The bytes are no capture of a known format. `str()` says what they are, to go after the file's name."""


def parser_for(head: bytes, *, whole: bool = False) -> Parser | None:
    """The parser for a capture that begins with `head`; None if more bytes are needed to tell.

    `whole`: there are no more. Raises NotACaptureError.
    """
    for magic, size, what, make in _MAGICS:
        if head.startswith(magic):
            if len(head) >= size:
                return make(head)
            if whole:
                raise NotACaptureError(f"is cut short within the {what} header: {len(head)} bytes of {size}")
            return None
    if not whole and any(magic.startswith(head) for magic, *_ in _MAGICS):
        return None
    likely = looks_like_erf(head, whole=whole)
    if likely:
        return ErfParser()
    if likely is None:
        return None
    raise NotACaptureError(complaint(head))


def complaint(head: bytes) -> str:
    """Why `head` begins no capture, and what to do."""
    if not head:
        return "is empty: not even a file header"
    if len(head) < 4:
        return f"is not a capture: only {len(head)} bytes, less than the start of a file header"
    if is_compressed(head):
        return "is compressed twice: unpack it once"
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            return f"is {what}, not a pcap or pcapng capture"
    start = head[:4].hex(" ")
    return f"is not a pcap, pcapng, snoop or ERF capture (it begins with {start}); editcap converts other formats"


def _pcapng(head: bytes) -> Parser:
    if BYTE_ORDER in struct.unpack_from("<I", head, 8) + struct.unpack_from(">I", head, 8):
        return PcapngParser()
    raise NotACaptureError(complaint(head))


def _snoop(head: bytes) -> Parser:
    (version,) = struct.unpack_from(">I", head, len(SNOOP))
    if version in VERSIONS:
        return SnoopParser(head[:SNOOP_HEADER])
    raise NotACaptureError(f"is a snoop capture of version {version}, which is not known")


_Make = Callable[[bytes], Parser]
_MAGICS: Final[tuple[tuple[bytes, int, str, _Make], ...]] = (
    *((magic, dress.before, "file", PcapParser) for magic, dress in MAGICS.items()),
    (_SECTION, _SECTION_START, "section", _pcapng),
    (SNOOP, SNOOP_HEADER, "file", _snoop),
)
"""First bytes, bytes from which on the parser can be made, what these are called, and how it is made."""
