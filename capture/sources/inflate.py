"""Compressed captures, decompressed as they come: gzip, bzip2, xz and zstd."""

from __future__ import annotations

import contextlib
import importlib
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast

__all__ = ["MAGIC_LENGTH", "InflateError", "Inflater", "inflater_for", "is_compressed", "load_all"]

MAGIC_LENGTH: Final = 6
"""Bytes that tell a compression for certain."""


class _Decompressor(Protocol):
    """What bz2, lzma and compression.zstd agree on."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib in the manner of the others."""

    def __init__(self) -> None:
        # 31: a gzip header and its check sum, the largest window
        self._zlib = zlib.decompressobj(31)
        self._tail = b""
        self._error: zlib.error | None = None
        self.needs_input = True
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        if self._error is not None:
            raise self._error
        data, before = self._tail + data, self._zlib.copy()
        try:
            made = self._zlib.decompress(data, max_length)
        except zlib.error as error:
            # What it made before the broken byte, a wrong check sum at the end even, went with the error: again from
            # where this call began, byte by byte, to keep it.
            self._error, self.needs_input = error, False
            return _until_error(before, data, max_length)
        self._tail = self._zlib.unconsumed_tail
        self.needs_input = not self._tail and len(made) < max_length
        self.eof, self.unused_data = self._zlib.eof, self._zlib.unused_data
        return made


def _until_error(decompressor: zlib._Decompress, data: bytes, max_length: int) -> bytes:
    """What `data`, which is broken somewhere, gives before that, at most `max_length` bytes."""
    made = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(len(data)):
            if len(made) >= max_length:
                break
            made += decompressor.decompress(data[at : at + 1], max_length - len(made))
    return bytes(made)


def _of(*classes: str, **settings: int) -> Callable[[], _Decompressor]:
    """Makes one of the first of `classes` (module:name) whose module there is. It raises ImportError."""

    def make() -> _Decompressor:
        for each in classes:
            module, _, name = each.partition(":")
            with contextlib.suppress(ModuleNotFoundError):
                made: Any = getattr(importlib.import_module(module), name)(**settings)
                return cast(_Decompressor, made)
        raise ImportError(classes[-1])

    return make


class _Kind(NamedTuple):
    magics: tuple[bytes, ...]
    """First bytes of a member."""
    name: str
    make: Callable[[], _Decompressor]
    slice: int
    """Compressed bytes fed at once. Most modules keep what they made before a broken byte to themselves: with little
    fed at once little is lost."""

    def begins(self, data: bytes) -> bool:
        """Whether `data` is the start of a member."""
        return data.startswith(self.magics)


_LZMA_MEMORY: Final = 512 << 20
"""Bytes that a decoder of xz may want: `xz -9` makes it take 65 MiB, a header that lies 4 GiB."""
_SKIPPED: Final = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
"""zstd's frames for whatever others like to keep there (RFC 8878, 3.1.2): pzstd begins with one."""

_KINDS: Final = (
    _Kind((b"\x1f\x8b",), "gzip", _Gzip, 1 << 16),
    _Kind((b"BZh",), "bzip2", _of("bz2:BZ2Decompressor"), 1 << 11),
    _Kind((b"\xfd7zXZ\0",), "xz", _of("lzma:LZMADecompressor", memlimit=_LZMA_MEMORY), 1 << 11),
    _Kind(
        (b"\x28\xb5\x2f\xfd", *_SKIPPED),
        "zstd",
        # Python 3.14 has it; for the others there is its backport.
        _of("compression.zstd:ZstdDecompressor", "backports.zstd:ZstdDecompressor"),
        1 << 11,
    ),
)


def _kind(head: bytes) -> _Kind | None:
    return next((kind for kind in _KINDS if kind.begins(head)), None)


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins with `head` (MAGIC_LENGTH bytes, or all it has) is compressed in a known way."""
    return _kind(head) is not None


def load_all() -> None:
    """Import what decompresses, 3 ms: who meets the first byte after rights were given up can import nothing."""
    for kind in _KINDS:
        with contextlib.suppress(ImportError):
            kind.make()


class InflateError(Exception):
    """The compressed data makes no sense from here on."""


class Inflater:
    """Decompresses what push() is given; several members one after the other are one stream."""

    def __init__(self, kind: _Kind) -> None:
        self.name = kind.name
        self._kind = kind
        try:
            self._member = kind.make()
        except ImportError:
            raise InflateError(
                f"{kind.name}-compressed, and this Python cannot read that; decompress it first"
            ) from None
        self._input = b""
        self._at = 0
        """How much of _input was fed."""
        self._fresh = True
        self._over = False
        """Whether what comes now is no member: it is left alone, as gzip does."""
        self._left_alone = 0

    @property
    def whole(self) -> bool:
        """Whether the data may end here: no member has begun that has not ended."""
        return self._member.eof or (self._fresh and self._at == len(self._input))

    @property
    def left_alone(self) -> int:
        """Bytes behind the last member that are none; zeros, with which tapes and others pad, do not count."""
        rest = self._input[self._at :] if self._member.eof and not self._over else b""
        return self._left_alone + len(rest.lstrip(b"\0"))

    def push(self, data: bytes) -> None:
        """More compressed bytes; only after pull() gave nothing."""
        if self._over:
            self._left_alone += len(data)
        else:
            self._input, self._at = self._input[self._at :] + data, 0

    def pull(self, limit: int) -> bytes:
        """At most `limit` decompressed bytes; none: push() more. Raises InflateError."""
        while True:
            if self._member.eof and not self._next_member():
                return b""
            data = b""
            if self._member.needs_input:
                if self._at == len(self._input):
                    return b""
                data = self._input[self._at : self._at + self._kind.slice]
                self._at += len(data)
            try:
                made = self._member.decompress(data, limit)
            except Exception as error:  # each module has its own: zlib.error, OSError, LZMAError, ZstdError
                raise InflateError(f"the {self.name} data is damaged: {error}") from None
            self._fresh = False
            if self._member.eof:
                self._input, self._at = self._member.unused_data + self._input[self._at :], 0
            if made:
                return made

    def _next_member(self) -> bool:
        """Begin the next member, if there is one."""
        data = self._input[self._at :].lstrip(b"\0")
        self._input, self._at = data, 0
        if len(data) < len(self._kind.magics[0]):
            return False
        if not self._kind.begins(data):
            self._over, self._input, self._left_alone = True, b"", len(data)
            return False
        self._member = self._kind.make()
        return True


def inflater_for(head: bytes) -> Inflater | None:
    """For a stream that begins with `head`; None if it is not compressed.

    Raises InflateError where this Python cannot decompress it.
    """
    kind = _kind(head)
    return None if kind is None else Inflater(kind)
