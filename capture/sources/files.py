"""Capture files: read with preadv into a reused buffer.

Not mapped: a mapped file that shrinks kills the process, and the copy costs 0.1 s a GiB. Only columns and positions
stay; the bytes of a row on screen are read again.
"""

from __future__ import annotations

import os
import stat
import threading
from typing import Final

import numpy as np

from netwatch.capture.block import Block, CaptureError, Damage, Interface, Loss, Source
from netwatch.capture.sources.detect import HEAD, NotACaptureError, parser_for
from netwatch.capture.sources.inflate import is_compressed
from netwatch.capture.sources.records import MAX_BLOCK_RECORDS, SLACK, Found, Parser
from netwatch.capture.sources.stream import open_stream

__all__ = ["FileSource", "open_file"]

_BUFFER: Final = 12 << 20


def open_file(path: str | os.PathLike[str]) -> Source:
    """The capture in `path`: pcap or pcapng, also compressed with gzip, bzip2, xz or zstd; a FIFO is a stream.

    Raises CaptureError: 2 no such file or a directory, 3 not a capture, 77 no permission.
    """
    shown = os.fspath(path)
    try:
        # Non-blocking: opening a FIFO would wait for its writer. Regular files do not care.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise CaptureError(f"{shown}: no such file", 2) from None
    except PermissionError:
        raise CaptureError(f"{shown}: no permission to read it; run as its owner, or use sudo", 77) from None
    except (OSError, ValueError) as error:
        raise CaptureError(f"{shown}: {_reason(error)}", 2) from None
    name = os.path.basename(shown)
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISDIR(mode):
            raise CaptureError(f"{shown} is a directory; name a capture file in it", 2)
        if not stat.S_ISREG(mode):
            return open_stream(fd, name)
        head = os.pread(fd, HEAD, 0)
        if is_compressed(head):
            stream = open_stream(fd, name)
            stream.require_header()
            return stream
        parser = parser_for(head, whole=len(head) < HEAD)
        assert parser is not None  # with HEAD bytes, or all there are, the answer is final
        return FileSource(fd, name, parser)
    except NotACaptureError as error:
        os.close(fd)
        raise CaptureError(f"{shown} {error}", 3) from None
    except CaptureError:
        os.close(fd)
        raise
    except OSError as error:
        os.close(fd)
        raise CaptureError(f"{shown}: {_reason(error)}", 3) from None


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class FileSource:
    """A regular file that is not compressed. Owns `fd`."""

    live = False

    def __init__(self, fd: int, name: str, parser: Parser) -> None:
        self.name = name
        self.exhausted = False
        self.damage: Damage | None = None
        self.interfaces: list[Interface] = parser.interfaces
        self._fd = fd
        self._open = threading.Lock()
        """Held while the descriptor is used, so that close() never pulls it away."""
        self._parser = parser
        self._size = os.fstat(fd).st_size
        self._memory = np.zeros(min(_BUFFER, self._size + 1) + SLACK, np.uint8)
        self._start = self._end = 0
        self._at = parser.header
        """Position in the file of _memory[_start]."""
        self._found = Found.nothing(0, 1)
        self._served = 0
        """Records of _found that were given out."""
        self._shift = 0
        """Position in the file of _memory[0] when _found was made."""

    def next_block(self, timeout: float) -> Block | None:  # noqa: ARG002 - a file never waits
        """See Source."""
        while not self.exhausted:
            if self._served < len(self._found):
                first, last = self._served, min(self._served + MAX_BLOCK_RECORDS, len(self._found))
                self._served = last
                return self._found.block(first, last, self._memory, self._shift, owned=False)
            if self._found.damage is not None:
                self._stop(self._found.damage)
            elif self._fill():
                self._parse()
        return None

    def read_at(self, pos: int, size: int) -> bytes:
        """See Source."""
        with self._open:
            if self._fd < 0:
                return b""
            try:
                return os.pread(self._fd, size, pos)
            except OSError:
                return b""

    def loss(self) -> Loss:
        """See Source: a file loses nothing."""
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source."""
        return min(self._at, self._size), self._size

    def wake(self) -> None:
        """See Source: nothing here waits."""

    def close(self) -> None:
        """See Source."""
        with self._open:
            self.exhausted = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _parse(self) -> None:
        self._shift = self._at - self._start
        found = self._parser.parse(self._memory, self._start, self._end, self._at)
        self._at += found.end - self._start
        self._start = found.end
        self._found, self._served = found, 0

    def _fill(self) -> bool:
        """Read more behind what is left in the buffer; False if there is no more, and the source has ended."""
        left = self._end - self._start
        room = len(self._memory) - SLACK
        if self._found.need > room:
            if self._at + self._found.need > self._size:
                self._stop(self._cut(self._size - self._at))
                return False
            room = self._found.need + (self._found.need >> 1)
            memory = np.zeros(room + SLACK, np.uint8)
            memory[:left] = self._memory[self._start : self._end]
            self._memory = memory
        else:
            self._memory[:left] = self._memory[self._start : self._end]
        self._start, self._end = 0, left
        try:
            with self._open:
                got = os.preadv(self._fd, [self._memory[left:room].data], self._at + left) if self._fd >= 0 else 0
        except OSError as error:
            self._stop(Damage(self._at, f"the file cannot be read on: {_reason(error)}"))
            return False
        self._end += got
        if got:
            return True
        reached = self._at + left
        if reached < self._size and self._fd >= 0:
            self._stop(Damage(reached, f"the file shrank to {reached:,} bytes while it was read"))
        else:
            self._stop(self._cut(left) if left else None)
        return False

    def _cut(self, left: int) -> Damage:
        return Damage(
            self._at, f"the last packet is cut short: {left:,} bytes are left of the {self._found.need:,} it needs"
        )

    def _stop(self, damage: Damage | None) -> None:
        self.damage = damage
        self.exhausted = True
