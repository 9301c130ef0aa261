"""What a capture is, by its first bytes. The file's name says nothing."""

from __future__ import annotations

import struct
from typing import Final

from netwatch.capture.sources.pcap import FILE_HEADER, MAGICS, PcapParser
from netwatch.capture.sources.pcapng import BYTE_ORDER, SECTION_HEADER, PcapngParser
from netwatch.capture.sources.records import Parser

__all__ = ["HEAD", "NotACaptureError", "complaint", "parser_for"]

HEAD: Final = FILE_HEADER
"""Bytes that parser_for needs at most."""

_SECTION: Final = struct.pack("<I", SECTION_HEADER)
_OTHERS: Final = {
    b"snoop\0\0\0": "a snoop capture",
    b"\x7fELF": "a program",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF",
    b"<?xml": "XML",
}


class NotACaptureError(Exception):
    """The bytes are no pcap or pcapng. `str()` says what they are, to go after the file's name."""


def parser_for(head: bytes, *, whole: bool = False) -> Parser | None:
    """The parser for a capture that begins with `head`; None if more bytes are needed to tell.

    `whole`: there are no more. Raises NotACaptureError.
    """
    if head[:4] in MAGICS:
        if len(head) >= FILE_HEADER:
            return PcapParser(head[:FILE_HEADER])
        if whole:
            raise NotACaptureError(f"is cut short within the file header: {len(head)} bytes of {FILE_HEADER}")
        return None
    if head[:4] == _SECTION:
        if len(head) >= 12:
            if BYTE_ORDER in struct.unpack_from("<I", head, 8) + struct.unpack_from(">I", head, 8):
                return PcapngParser()
            raise NotACaptureError(complaint(head))
        if whole:
            raise NotACaptureError(f"is cut short within the section header: {len(head)} bytes")
        return None
    if len(head) >= 4 or whole:
        raise NotACaptureError(complaint(head))
    return None


def complaint(head: bytes) -> str:
    """Why `head` begins no capture, and what to do."""
    if not head:
        return "is empty: not even a file header"
    if len(head) < 4:
        return f"is not a capture: only {len(head)} bytes, less than the start of a file header"
    for magic, what in _OTHERS.items():
        if head.startswith(magic):
            return f"is {what}, not a pcap or pcapng capture"
    return f"is not a pcap or pcapng capture (it begins with {head[:4].hex(' ')}); editcap converts other formats"
