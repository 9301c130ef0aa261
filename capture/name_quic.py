"""The ClientHello of a QUIC connection, for its server name. What an Initial packet is encrypted with stands in the
packet (RFC 9001, 5.2): anybody may read it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from netwatch.capture.dissect.quic_crypto import has_keys, initial_keys, unprotect

__all__ = ["Hellos"]

_MOST_CONNECTIONS: Final = 256
"""Whose hello is not complete yet."""
_MOST_BYTES: Final = 4096
_MOST_FRAMES: Final = 64
_VERSION_2: Final = 0x6B3343CF
_PADDING, _PING, _CRYPTO = 0, 1, 6


class Hellos:
    """Puts the pieces of hellos together: they come in any order, in one packet or two."""

    def __init__(self) -> None:
        self._pieces: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()

    def add(self, data: bytes, at: int, end: int) -> bytes:
        """A datagram -> the hello of its connection, as far as it is there from its first byte on; empty if it is
        not, or the datagram is something else. May raise IndexError."""
        first = data[at]
        version = int.from_bytes(data[at + 1 : at + 5], "big")
        # An Initial packet, whose type has another number in version 2 (RFC 9369, 3.2).
        if first & 0xF0 != (0xD0 if version == _VERSION_2 else 0xC0) or not has_keys(version):
            return b""
        where = at + 6 + data[at + 5]
        cid = data[at + 6 : where]
        where += 1 + data[where]
        token, where = _varint(data, where)
        length, where = _varint(data, where + token)
        end = min(end, where + length)
        if len(cid) > 20:
            return b""
        found = unprotect(initial_keys(version, cid, client=True), data, at, where, end, -1)
        if found is None or found.plain is None:
            return b""
        pieces = self._pieces.pop(cid, {})
        _collect(found.plain, pieces)
        hello = _joined(pieces)
        if hello[:1] == b"\x01" and len(hello) >= 4 + int.from_bytes(hello[1:4], "big"):
            return hello
        if sum(map(len, pieces.values())) <= _MOST_BYTES:
            self._pieces[cid] = pieces
            if len(self._pieces) > _MOST_CONNECTIONS:
                self._pieces.popitem(last=False)
        return hello


def _collect(plain: bytes, pieces: dict[int, bytes]) -> None:
    """What CRYPTO frames hold (RFC 9000, 19.6), by offset."""
    at = 0
    for _ in range(_MOST_FRAMES):
        at += len(plain) - at - len(plain[at:].lstrip(b"\0"))
        if at >= len(plain) or plain[at] not in (_PING, _CRYPTO):
            return
        if plain[at] == _PING:
            at += 1
            continue
        offset, at = _varint(plain, at + 1)
        size, at = _varint(plain, at)
        if offset + size <= _MOST_BYTES:
            pieces.setdefault(offset, plain[at : at + size])
        at += size


def _joined(pieces: dict[int, bytes]) -> bytes:
    """What is there without a gap."""
    joined = b""
    for offset in sorted(pieces):
        if offset > len(joined):
            break
        joined += pieces[offset][len(joined) - offset :]
    return joined


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and the offset after it (RFC 9000, 16)."""
    width = 1 << (data[at] >> 6)
    return int.from_bytes(data[at : at + width], "big") & ((1 << (8 * width - 2)) - 1), at + width
