"""What everyone can decrypt of QUIC: Initial packets, and whether a Retry is authentic (RFC 9001, 5; RFC 9369, 3.3).

The keys of Initial packets follow from the connection id that the client sends its first packet to.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "TAG",
    "Keys",
    "Unprotected",
    "has_keys",
    "initial_keys",
    "packet_number",
    "retry_is_authentic",
    "unprotect",
]

VERSION_1: Final = 1
VERSION_2: Final = 0x6B3343CF
TAG: Final = 16
"""Bytes that authenticate a packet, at its end."""
SAMPLE: Final = 16
KEPT_KEYS: Final = 128
"""Sides of connections of which the keys are kept: a list shows the same few."""


class Secrets(NamedTuple):
    """What a version of QUIC publishes."""

    salt: bytes
    prefix: bytes = b"quic "
    """Of the labels that keys are derived with."""
    retry_key: bytes = b""
    """Empty: a Retry of this version has no tag, or one that nobody needs any more."""
    retry_nonce: bytes = b""


_V1 = Secrets(
    bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    retry_key=bytes.fromhex("be0c690b9f66575a1d766b54e368c84e"),
    retry_nonce=bytes.fromhex("461599d35d632bf2239825bb"),
)
_DRAFT_22 = Secrets(bytes.fromhex("7fbcdb0e7c66bbe9193a96cd21519ebd7a02644a"))
_DRAFT_23 = Secrets(bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502"))
_DRAFT_29 = Secrets(
    bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),
    retry_key=bytes.fromhex("ccce187ed09a09d05728155a6cb96be1"),
    retry_nonce=bytes.fromhex("e54930f97f2136f0530a8c1c"),
)
_SECRETS: Final[dict[int, Secrets]] = {
    VERSION_1: _V1,
    VERSION_2: Secrets(
        bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
        b"quicv2 ",
        bytes.fromhex("8fb4b01b56ac48e260fbcbcead7ccc92"),
        bytes.fromhex("d86969bc2d7c6d9990efb04a"),
    ),
    **dict.fromkeys(range(0xFF000015, 0xFF000017), _DRAFT_22),
    **dict.fromkeys(range(0xFF000017, 0xFF00001D), _DRAFT_23),
    **dict.fromkeys(range(0xFF00001D, 0xFF000021), _DRAFT_29),
    **dict.fromkeys(range(0xFF000021, 0xFF000023), _V1),
    # Google's and Facebook's, as long as the drafts lasted.
    0x51303530: Secrets(bytes.fromhex("504574efd066fe2f9d945cfcdbd3a7f0d3b56b45")),
    0x54303530: Secrets(bytes.fromhex("7ff579e5acd072915580304c43a2367c60488310")),
    0x54303531: Secrets(bytes.fromhex("7a4edef4e7ccee5fa4506c19124fc8ccda6e033d")),
    0xFACEB001: _DRAFT_22,
    0xFACEB002: _DRAFT_23,
}


def has_keys(version: int) -> bool:
    """Whether Initial packets of this version can be decrypted."""
    return version in _SECRETS


class Keys(NamedTuple):
    """What one side's Initial packets are protected with."""

    mask: Callable[[bytes], bytes]
    """A sample → what the header is masked with (RFC 9001, 5.4.3)."""
    open: Callable[[bytes, bytes, bytes], bytes | None]
    """(nonce, data, what else is authenticated) → the plain text, None where it is not authentic."""
    iv: int


@lru_cache(maxsize=KEPT_KEYS)
def initial_keys(version: int, cid: bytes, client: bool) -> Keys:
    """The client's or the server's, of a version that `has_keys`."""
    secrets = _SECRETS[version]
    initial = hmac.digest(secrets.salt, cid, "sha256")
    return _side(_expand(initial, b"client in" if client else b"server in", 32), secrets.prefix)


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label with SHA-256 (RFC 8446, 7.1): one block of HMAC is as much as is ever asked for."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0\x01"
    return hmac.digest(secret, info, "sha256")[:size]


def _side(secret: bytes, prefix: bytes) -> Keys:
    # 25 ms to import; only an Initial packet needs it.
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    aead = AESGCM(_expand(secret, prefix + b"key", 16))
    block = Cipher(algorithms.AES(_expand(secret, prefix + b"hp", 16)), modes.ECB()).encryptor()

    def opened(nonce: bytes, data: bytes, header: bytes) -> bytes | None:
        try:
            return aead.decrypt(nonce, data, header)
        except InvalidTag:
            return None

    return Keys(block.update, opened, int.from_bytes(_expand(secret, prefix + b"iv", 12), "big"))


class Unprotected(NamedTuple):
    """A packet without its header's protection, decrypted if it is authentic."""

    first: int
    """The first byte, as it was before protection."""
    number: int
    number_size: int
    plain: bytes | None
    """None: not authentic with these keys."""


def packet_number(truncated: int, size: int, largest: int) -> int:
    """The number nearest to the one expected next of which the wire has the last `size` bytes (RFC 9000, A.3)."""
    window = 1 << 8 * size
    expected = largest + 1
    candidate = expected & -window | truncated
    if candidate <= expected - window // 2 and candidate < (1 << 62) - window:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate


def unprotect(keys: Keys, data: bytes, at: int, number_at: int, end: int, largest: int) -> Unprotected | None:
    """The packet from `at` to `end` whose number begins at `number_at`; None where it is too short for a sample."""
    sample = data[number_at + 4 : number_at + 4 + SAMPLE]
    if len(sample) < SAMPLE or number_at + 4 + SAMPLE > end:
        return None
    mask = keys.mask(sample)
    first = data[at] ^ mask[0] & 0x0F
    size = (first & 3) + 1
    after = number_at + size
    truncated = int.from_bytes(data[number_at:after], "big") ^ int.from_bytes(mask[1 : 1 + size], "big")
    number = packet_number(truncated, size, largest)
    header = bytes([first]) + data[at + 1 : number_at] + truncated.to_bytes(size, "big")
    nonce = (keys.iv ^ number).to_bytes(12, "big")
    return Unprotected(first, number, size, keys.open(nonce, data[after:end], header))


def retry_is_authentic(version: int, original: bytes, packet: bytes) -> bool | None:
    """Whether the tag at the end of a Retry answers a packet sent to `original` (RFC 9001, 5.8); None: no key."""
    secrets = _SECRETS.get(version)
    if secrets is None or not secrets.retry_key:
        return None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        AESGCM(secrets.retry_key).decrypt(
            secrets.retry_nonce, packet[-TAG:], bytes([len(original)]) + original + packet[:-TAG]
        )
    except InvalidTag:
        return False
    return True
