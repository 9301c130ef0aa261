"""Capture files: read with preadv into a reused buffer.

Not mapped: a mapped file that shrinks kills the process, and the copy costs 0.1 s a GiB. Only columns and positions
stay; the bytes of a row on screen are read again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from netwatch.capture.block import Block, CaptureError, Damage, Interface, Loss, Source
from netwatch.capture.sources.detect import HEAD, NotACaptureError, parser_for
from netwatch.capture.sources.follow import Follower
from netwatch.capture.sources.inflate import is_compressed
from netwatch.capture.sources.records import HEAD_BYTES, MAX_BLOCK_RECORDS, SLACK, Found, Parser, gather
from netwatch.capture.sources.stream import StreamSource, open_stream
from netwatch.capture.sources.words import cut_short, reason, remarks

__all__ = ["FileSource", "open_file"]

READ_AHEAD: Final = 12 << 20
"""Bytes that are in memory at once."""
_PIECE: Final = 8 << 20
"""Bytes that are read at once."""


def open_file(
    path: str | os.PathLike[str],
    *,
    follow: bool = False,
    on_removed: Callable[[], None] | None = None,
    reread: bool = False,
    ahead: int = READ_AHEAD,
    opened: int | None = None,
) -> Source:
    """The capture in `path`: pcap, pcapng, snoop or ERF, also compressed with gzip, bzip2, xz or zstd; a FIFO is a
    stream.

    `follow`: go on as it grows, until close(); `on_removed` is told if its name goes away then.
    `reread`: the packets of a compressed file, too, are to be read again with read_at, for which a temporary file is
    needed. `ahead`: bytes of a plain file that are in memory at once, and so are in one block: many make few blocks,
    which cost the less together, few make the first one come soon. `opened`: a descriptor of it, which stays the
    caller's, where its name may be out of reach by now.

    Raises CaptureError: 2 no such file, a directory, or nothing that can be followed; 3 not a capture; 77 no
    permission.
    """
    shown = os.fspath(path)
    if not shown:
        raise CaptureError("the name of the capture file is empty", 2)
    try:
        # Non-blocking: opening a FIFO would wait for its writer. Regular files do not care.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK) if opened is None else _again(opened)
    except FileNotFoundError:
        raise CaptureError(f"{shown}: no such file", 2) from None
    except PermissionError:
        raise CaptureError(f"{shown}: no permission to read it; run as its owner, or use sudo", 77) from None
    except (OSError, ValueError) as error:
        raise CaptureError(f"{shown}: {reason(error)}", 2) from None
    try:
        source = _open(fd, shown, follow, on_removed, reread, ahead)
    except NotACaptureError as error:
        os.close(fd)
        raise CaptureError(f"{shown} {error}", 3) from None
    except CaptureError:
        os.close(fd)
        raise
    except OSError as error:
        os.close(fd)
        raise CaptureError(f"{shown}: {reason(error)}", 3) from None
    if isinstance(source, StreamSource):
        os.close(fd)  # it has a duplicate
    return source


def _again(opened: int) -> int:
    os.lseek(opened, 0, os.SEEK_SET)  # a duplicate shares where it stands
    return os.dup(opened)


def _open(
    fd: int, shown: str, follow: bool, on_removed: Callable[[], None] | None, reread: bool, ahead: int
) -> Source:
    name = os.path.basename(shown)
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise CaptureError(f"{shown} is a directory; name a capture file in it", 2)
    if not stat.S_ISREG(status.st_mode):
        if follow:
            raise CaptureError(f"{shown} is no regular file: it is read as it flows, leave --follow out", 2)
        return open_stream(fd, name)
    head = os.pread(fd, HEAD, 0)
    if is_compressed(head):
        if follow:
            raise CaptureError(f"{shown} is compressed, and only plain files can be followed; leave --follow out", 2)
        return _open_compressed(fd, name, status.st_size, reread)
    parser = parser_for(head, whole=len(head) < HEAD and not follow)
    return FileSource(fd, name, parser, Follower(fd, shown, on_removed) if follow else None, ahead)


def _open_compressed(fd: int, name: str, size: int, reread: bool) -> StreamSource:
    scratch = None
    if reread:
        # Only the dashboard needs it.
        from netwatch.capture.sources.scratch import open_scratch

        scratch = open_scratch(size)
    stream = open_stream(fd, name, scratch=scratch)
    try:
        stream.require_header()
    except NotACaptureError:
        stream.close()
        raise
    return stream


class FileSource:
    """A regular file that is not compressed. Owns `fd`."""

    live = False
    rereadable = True
    """The bytes of all packets can be read again: blocks are not owned."""

    def __init__(
        self, fd: int, name: str, parser: Parser | None, follower: Follower | None = None, ahead: int = READ_AHEAD
    ) -> None:
        """`parser`: None where a file that is followed has no header yet."""
        self.name = name
        self.exhausted = False
        self.damage: Damage | None = None
        self.interfaces: list[Interface] = [] if parser is None else parser.interfaces
        self.shrank_at: int | None = None
        """Bytes that the file still had when a packet could not be read again."""
        self._fd = fd
        self._open = threading.Lock()
        """Held while the descriptor is used, so that close() never pulls it away."""
        self._parser = parser
        self._follower = follower
        self._caught_up = False
        """A file that is followed was read to where it ended at that time."""
        self._size = os.fstat(fd).st_size
        self.follows_from = self._size if follower is not None else None
        """Byte from which on what comes is new, where more is waited for at the end of the file; else None."""
        self._most = MAX_BLOCK_RECORDS * ahead // READ_AHEAD
        """Records of a block."""
        room = ahead if follower is not None else min(ahead, self._size + 1)
        self._memory = np.zeros(room + SLACK, np.uint8)
        self._start = self._end = 0
        self._at = 0 if parser is None else parser.header
        """Position in the file of _memory[_start]."""
        self._found = Found.nothing(0, 1)
        self._served = 0
        """Records of _found that were given out."""
        self._shift = 0
        """Position in the file of _memory[0] when _found was made."""

    def next_block(self, timeout: float) -> Block | None:
        """See Source. Only a file that is followed is waited for."""
        deadline = time.monotonic() + timeout
        while not self.exhausted:
            if self._served < len(self._found):
                first, last = self._served, min(self._served + self._most, len(self._found))
                self._served = last
                return self._found.block(first, last, self._memory, self._shift, owned=False)
            if self._found.damage is not None:
                self._stop(self._found.damage)
            elif self._fill():
                self._parse()
            elif not self.exhausted and self._follower is not None and not self._follower.wait(deadline):
                break
        return None

    @property
    def notes(self) -> list[str]:
        """One line each for the person, as far as it is known now; to be told when all is over."""
        notes = remarks(self._parser)
        left = self._end - self._start
        if self._caught_up and left and self.damage is None:
            notes.append(f"the last packet was not complete yet: {left:,} bytes at byte {self._at}")
        if self.shrank_at is not None and self.damage is None:
            notes.append(f"shrank at byte {self.shrank_at} after it was read: the bytes behind are gone")
        return notes

    def read_at(self, pos: int, size: int) -> bytes:
        """See Source."""
        with self._open:
            if self._fd < 0:
                return b""
            try:
                data = os.pread(self._fd, size, pos)
                if len(data) < size:
                    self.shrank_at = os.fstat(self._fd).st_size
                return data
            except OSError:
                return b""

    def loss(self) -> Loss:
        """See Source: a file loses nothing."""
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source; None once a file that is followed was read as far as it goes: its size is not known."""
        return None if self._caught_up else (min(self._at, self._size), self._size)

    def wake(self) -> None:
        """See Source."""
        if self._follower is not None:
            self._follower.wake()

    def close(self) -> None:
        """See Source."""
        with self._open:
            self.exhausted = True
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
        self.wake()

    def _parse(self) -> None:
        if self._parser is None and not self._begin():
            return
        assert self._parser is not None
        self._shift = self._at - self._start
        parts = [self._parse_piece(self._parser)]
        records = len(parts[0])
        # As long as another piece like the last one fits into the block: what is left over makes a block of its own.
        # An error is met again, and told, when there is nothing left to give.
        with contextlib.suppress(OSError):
            while parts[-1].damage is None and records + len(parts[-1]) <= self._most and self._read():
                parts.append(self._parse_piece(self._parser))
                records += len(parts[-1])
        self._found, self._served = Found.concatenate(parts), 0

    def _parse_piece(self, parser: Parser) -> Found:
        """The records in what was just read, and the first bytes of their packets: a look costs 5 ns while a piece is
        in the processor's cache, 12 to 28 later."""
        found = parser.parse(self._memory, self._start, self._end, self._at)
        self._at += found.end - self._start
        self._start = found.end
        found.heads = (gather(self._memory, found.offsets, HEAD_BYTES),)
        return found

    def _read(self) -> int:
        """Bytes read behind what is in the buffer, a piece at most; 0: no room or no more. Raises OSError."""
        end = min(len(self._memory) - SLACK, self._end + _PIECE)
        with self._open:
            if self._fd < 0 or end == self._end:
                return 0
            got = os.preadv(self._fd, [self._memory[self._end : end].data], self._at + self._end - self._start)
        self._end += got
        return got

    def _begin(self) -> bool:
        """Find the parser, once enough of the file is there."""
        try:
            self._parser = parser_for(self._memory[self._start : min(self._end, HEAD)].tobytes())
        except NotACaptureError as error:
            self._stop(Damage(0, f"the file {error}"))
        if self._parser is None:
            return False
        self.interfaces.extend(self._parser.interfaces)
        self._parser.interfaces = self.interfaces
        self._at += self._parser.header
        self._start += self._parser.header
        return True

    def _fill(self) -> bool:
        """Read more behind what is left in the buffer; False if there is none now, and, unless the file is followed,
        the source has ended."""
        left = self._end - self._start
        room = len(self._memory) - SLACK
        if self._found.need > room:
            if self._follower is None and self._at + self._found.need > self._size:
                self._stop(Damage(self._at, cut_short(self._size - self._at, self._found.need)))
                return False
            room = self._found.need + (self._found.need >> 1)
            memory = np.zeros(room + SLACK, np.uint8)
            memory[:left] = self._memory[self._start : self._end]
            self._memory = memory
        else:
            self._memory[:left] = self._memory[self._start : self._end]
        self._start, self._end = 0, left
        try:
            got = self._read()
            with self._open:
                if not got and self._fd >= 0:
                    self._reached(left)
                elif self._follower is not None and self._fd >= 0:
                    anew = self._follower.rewritten(self._fd)
                    if anew is not None:
                        self._stop(anew)
                        return False
        except OSError as error:
            self._stop(Damage(self._at, f"the file cannot be read on: {reason(error)}"))
            return False
        return got > 0

    def _reached(self, left: int) -> None:
        """The file ends here, with `left` bytes behind the last whole record."""
        reached = self._at + left
        if self._follower is not None:
            self._caught_up = True
            damage = self._follower.ended(self._fd, reached)
            if damage is not None:
                self._stop(damage)
            return
        size = os.fstat(self._fd).st_size
        if reached < self._size and size < self._size:
            self._stop(Damage(size, f"the file shrank at byte {size} while it was read"))
        else:
            self._stop(Damage(self._at, cut_short(left, self._found.need)) if left else None)

    def _stop(self, damage: Damage | None) -> None:
        self.damage = damage
        self.exhausted = True
