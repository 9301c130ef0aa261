"""Text from the wire made fit for a terminal, and addresses as text.

What a packet holds is written by strangers: a name may carry ESC, OSC or BEL and take the terminal over, or a bidi
control and read as something else (Trojan Source, CVE-2021-42574). Everything of it that is shown goes through here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from socket import AF_INET6, inet_ntoa, inet_ntop

__all__ = ["absolute", "escape", "ipv4", "ipv6", "mac"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_LETTERS = {"\a": "\\a", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r"}

_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
)
"""Separators of category Zs: str.isprintable refuses them, a terminal does no harm with them."""


def escape(value: str | bytes) -> str:
    """`value` without anything that a terminal would act on, as one line.

    Controls (C0, DEL, C1), format and bidi controls, line separators, unassigned and private code points become C
    escapes: \\n, \\x1b, \\u202e. Bytes are read as UTF-8; those that are none become \\xNN, in a str too where they
    came in through `surrogateescape`. A backslash stays as it is, so what is escaped once may be escaped again.
    """
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    if text.isprintable():
        return text
    return text.translate(_FIT)


def _escaped(char: str) -> str:
    code = ord(char)
    if char in _LETTERS:
        return _LETTERS[char]
    if code < 0x80:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class _Fit(dict[int, str]):
    """What each character becomes; those of a byte are kept, for there may be thousands of them."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        return char if char.isprintable() or char in _SPACES else _escaped(char)


_FIT = _Fit()
_FIT.update((code, _FIT[code]) for code in (*range(0x100), *range(0xDC80, 0xDD00)))


def absolute(nanoseconds: int) -> str:
    """Nanoseconds since 1970 as Wireshark writes a time: `Jan  2, 2026 03:04:05.000000000 UTC`.

    Raises OverflowError beyond the year 9999.
    """
    seconds, fraction = divmod(nanoseconds, 10**9)
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment:%b} {moment.day:2}, {moment:%Y %H:%M:%S}.{fraction:09} UTC"


def mac(address: bytes) -> str:
    """Lower case with colons: `02:00:5e:10:00:01`; any number of bytes."""
    return address.hex(":")


def ipv4(address: bytes) -> str:
    """Four bytes as `192.0.2.1`. Raises OSError for another length."""
    return inet_ntoa(address)


def ipv6(address: bytes) -> str:
    """Sixteen bytes as RFC 5952 wants them: `2001:db8::1`. Raises ValueError for another length."""
    return inet_ntop(AF_INET6, address)
