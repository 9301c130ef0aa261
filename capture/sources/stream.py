"""Captures that are still flowing, `ssh host tcpdump -U -w - | netwatch -r -`, and those that must be decompressed.

Nothing can be read again, so every block keeps its own memory: the records that had arrived, and no more. A file may
have a scratch file beside it, from which what was decompressed can be read again.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
import threading
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from netwatch.capture.block import Block, Damage, Interface, Loss
from netwatch.capture.sources.detect import HEAD, NotACaptureError, parser_for
from netwatch.capture.sources.inflate import MAGIC_LENGTH, InflateError, Inflater, inflater_for, load_all
from netwatch.capture.sources.records import MAX_BLOCK_RECORDS, SLACK, Found, Parser
from netwatch.capture.sources.waker import Waker
from netwatch.capture.sources.words import cut_short, reason, remarks

if TYPE_CHECKING:
    from netwatch.capture.sources.scratch import Scratch

__all__ = ["StreamSource", "open_stream"]

_BUFFER: Final = 1 << 20
_FILE_BUFFER: Final = 8 << 20
"""For a file, after the first block: the larger a block, the less each packet of it costs …"""
_FILLING: Final = 0.1
"""… but seconds after which what was decompressed so far is given out: a person may wait for it, or want to quit."""
_COMPRESSED: Final = 1 << 16
"""Compressed bytes read at once."""
_F_SETPIPE_SZ: Final = 1031
"""fcntl.F_SETPIPE_SZ of Linux."""


def open_stream(fd: int, name: str, *, scratch: Scratch | None = None) -> StreamSource:
    """The capture that comes through `fd`, of which a duplicate is kept. Does not wait for its header.

    `scratch` is for a compressed file: what is decompressed goes there, to be read again.
    """
    return StreamSource(os.dup(fd), name, scratch)


class StreamSource:
    """A capture from a pipe, a FIFO, or a compressed file. Owns `fd` and `scratch`."""

    def __init__(self, fd: int, name: str, scratch: Scratch | None = None) -> None:
        self.name = name
        self.exhausted = False
        self.damage: Damage | None = None
        self.interfaces: list[Interface] = []
        status = os.fstat(fd)
        regular = stat.S_ISREG(status.st_mode)
        self.live = not regular
        self._size = status.st_size if regular else None
        self._fd = fd
        self._busy = threading.Lock()
        """Held by next_block, so that close() never pulls the descriptor away from a poll."""
        self._closed = False
        self._waker = Waker()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(self._waker, select.POLLIN)
        if stat.S_ISFIFO(status.st_mode):
            _widen(fd)
        load_all()
        self._inflater: Inflater | None = None
        self._sniffed = False
        """Whether it is known if the stream is compressed."""
        self._parser: Parser | None = None
        self._room = _FILE_BUFFER if regular else _BUFFER
        self._memory = np.zeros(_BUFFER + SLACK, np.uint8)
        self._end = 0
        self._at = 0
        """Position in the (decompressed) stream of _memory[0]."""
        self._taken = os.lseek(fd, 0, os.SEEK_CUR) if regular else 0
        """Where the descriptor stands in its file, or bytes read from it."""
        self._fresh = False
        """Whether the buffer holds bytes that the parser has not seen."""
        self._eof = False
        self._failure: str | None = None
        """What reading failed with, if it did."""
        self._found = Found.nothing(0, 1)
        self._served = 0
        self._raw = self._memory
        """The memory that the records of _found lie in, how far it lies from their offsets, and where it begins in
        the (decompressed) stream."""
        self._shift = self._raw_at = 0
        self._scratch = scratch
        self.rereadable = scratch is not None and not scratch.full
        """See FileSource; as long as there is room."""

    def next_block(self, timeout: float) -> Block | None:
        """See Source: whatever has arrived."""
        with self._busy:
            deadline = time.monotonic() + timeout
            while not self.exhausted and not self._closed:
                if self._served < len(self._found):
                    return self._serve()
                if self._found.damage is not None:
                    self._stop(self._found.damage)
                elif self._fresh or self._fill(deadline):
                    self._parse()
                elif self._eof:
                    self._stop(self._ending())
                else:
                    break
            return None

    def require_header(self) -> None:
        """Read until the format is known. Raises NotACaptureError. For files, which never wait."""
        with self._busy:
            while self._parser is None:
                if not self._fill(time.monotonic()) and self._eof and self._failure is not None and not self._end:
                    raise NotACaptureError(f"cannot be read: {self._failure}")
                self._begin()

    @property
    def notes(self) -> list[str]:
        """See FileSource."""
        notes = remarks(self._parser)
        if self._inflater is not None and self._inflater.left_alone and self._eof:
            notes.append(
                f"ignored {self._inflater.left_alone:,} bytes of trailing garbage behind the compressed data"
            )
        if self._scratch is not None and self._scratch.full:
            notes.append(f"no room in {self._scratch.folder} for what is decompressed: --buffer limits what is kept")
        return notes

    def read_at(self, pos: int, size: int) -> bytes:
        """See Source: from the scratch file; without one the blocks own their memory."""
        return b"" if self._scratch is None else self._scratch.read_at(pos, size)

    def loss(self) -> Loss:
        """See Source: a pipe makes its writer wait and loses nothing."""
        return Loss()

    def progress(self) -> tuple[int, int] | None:
        """See Source: compressed bytes of a compressed file."""
        return None if self._size is None else (min(self._taken, self._size), self._size)

    def wake(self) -> None:
        """See Source."""
        self._waker.set()

    def close(self) -> None:
        """See Source."""
        self._closed = True
        self._waker.set()
        with self._busy:
            self.exhausted = True
            self._waker.close()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._scratch is not None:
                self._scratch.close()

    # Bytes

    def _fill(self, deadline: float) -> bool:
        """Put what arrives until `deadline` behind what is in the buffer; False if nothing did."""
        room = len(self._memory) - SLACK
        if self._end == room:
            # A record larger than the buffer: grows with what really arrives, not by what the record claims.
            self._memory = np.concatenate([self._memory, np.zeros(room, np.uint8)])
            room *= 2
        before, enough = self._end, time.monotonic() + _FILLING
        while self._end < room and (self._end == before or time.monotonic() < enough):
            if self._inflate(room):
                continue
            if self._eof or not self._readable(deadline if self._end == before else 0.0):
                break
            self._read(room)
        self._fresh = self._fresh or self._end > before
        return self._end > before

    def _readable(self, deadline: float) -> bool:
        if self._size is not None:
            return not self._closed
        wait = max(deadline - time.monotonic(), 0.0)
        ready = {fd for fd, _event in self._poll.poll(wait * 1000)}
        if self._waker.fileno() in ready:
            self._waker.clear()
            return False
        return bool(ready)

    def _read(self, room: int) -> None:
        """What the descriptor has, to the buffer or to the inflater; sets _eof."""
        direct = self._sniffed and self._inflater is None
        try:
            if direct:
                got = os.readv(self._fd, [self._memory[self._end : room].data])
                self._end += got
            else:
                data = os.read(self._fd, _COMPRESSED if self._sniffed else min(_COMPRESSED, room - self._end))
                got = len(data)
                if self._inflater is not None:
                    self._inflater.push(data)
                else:
                    self._memory[self._end : self._end + got] = np.frombuffer(data, np.uint8)
                    self._end += got
        except BlockingIOError:
            return
        except OSError as error:
            self._failure, self._eof = reason(error), True
            return
        self._taken += got
        self._eof = got == 0
        if self._eof and self._size is not None and self._taken < self._size:
            self._failure = f"the file shrank at byte {os.fstat(self._fd).st_size} while it was read"
        if not self._sniffed:
            self._sniff()

    def _sniff(self) -> None:
        if self._end < MAGIC_LENGTH and not self._eof:
            return
        self._sniffed = True
        head = self._memory[: self._end].tobytes()
        try:
            self._inflater = inflater_for(head)
        except InflateError as error:
            self._failure, self._eof, self._end = str(error), True, 0
            return
        if self._inflater is not None:
            self._inflater.push(head)
            self._end = 0

    def _inflate(self, room: int) -> bool:
        """Decompress into the buffer; False if the inflater has nothing."""
        if self._inflater is None or self._failure is not None:
            return False
        try:
            data = self._inflater.pull(room - self._end)
        except InflateError as error:
            self._failure, self._eof = str(error), True
            return False
        self._memory[self._end : self._end + len(data)] = np.frombuffer(data, np.uint8)
        self._end += len(data)
        if self._scratch is not None:
            self._scratch.append(data)
        if not data and self._eof and not self._inflater.whole:
            self._failure = f"the {self._inflater.name} data is cut short"
        return bool(data)

    # Records

    def _begin(self) -> None:
        """Find the parser, once enough has arrived. Raises NotACaptureError."""
        if not self._sniffed and not self._eof:
            return
        parser = parser_for(self._memory[: min(self._end, HEAD)].tobytes(), whole=self._eof)
        if parser is not None:
            self._drop(parser.header)
            self._parser = parser
            self.interfaces.extend(parser.interfaces)
            parser.interfaces = self.interfaces

    def _drop(self, count: int) -> None:
        """Forget the first `count` bytes of the buffer."""
        left = self._end - count
        self._memory[:left] = self._memory[count : self._end]
        self._at += count
        self._end = left

    def _parse(self) -> None:
        self._fresh = False
        if self._parser is None:
            try:
                self._begin()
            except NotACaptureError as error:
                self._stop(Damage(0, f"the stream {error}"))
                return
        if self._parser is None or self._end < self._found.need:
            return
        found = self._parser.parse(self._memory, 0, self._end, self._at)
        self._found, self._served = found, 0
        room = len(self._memory) - SLACK
        if not len(found):
            self._drop(found.end)
        elif found.end * 4 >= room * 3:
            # Nearly full: the block takes the buffer, and only the rest is copied.
            self._raw, self._shift, self._raw_at = self._memory, 0, self._at
            self._memory = np.zeros(max(self._room, 2 * (self._end - found.end)) + SLACK, np.uint8)
            left = self._end - found.end
            self._memory[:left] = self._raw[found.end : self._end]
            self._at += found.end
            self._end = left
        else:
            first = int(found.offsets[0])
            self._raw, self._shift, self._raw_at = self._memory[first : found.end].copy(), -first, self._at + first
            self._drop(found.end)

    def _serve(self) -> Block:
        first, last = self._served, min(self._served + MAX_BLOCK_RECORDS, len(self._found))
        self._served = last
        start = int(self._found.offsets[first]) + self._shift
        end = int(self._found.offsets[last - 1]) + int(self._found.caplen[last - 1]) + self._shift
        block = self._found.block(first, last, self._raw[start:end], self._shift - start, owned=True)
        if self._scratch is not None and self._raw_at + end <= self._scratch.size:
            block.pos, block.owned = block.offsets + (self._raw_at + start), False
        return block

    def _ending(self) -> Damage | None:
        """What it means that the stream ends here."""
        if self._failure is not None:
            return Damage(self._at, self._failure)
        if self._parser is None:
            try:
                parser_for(self._memory[: self._end].tobytes(), whole=True)
            except NotACaptureError as error:
                return Damage(0, f"the stream {error}")
        if not self._end:
            return None
        return Damage(self._at, cut_short(self._end, self._found.need))

    def _stop(self, damage: Damage | None) -> None:
        if damage is not None and self._inflater is not None:
            damage = Damage(damage.offset, f"{damage.message} (bytes counted decompressed)")
        self.damage = damage
        self.exhausted = True


def _widen(fd: int) -> None:
    """A pipe of 1 MiB instead of 64 KiB: fewer, larger blocks. Not on every system, nor beyond a user's limit."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, _BUFFER)
