"""Fingerprints of hellos: JA4 (FoxIO, "JA4: TLS Client Fingerprinting"), JA3 and JA3S (Salesforce).

Each is made of what a program offers, not of whom it talks to: one library has one fingerprint everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5, sha256
from typing import Final

from netwatch.capture.dissect.tls_names import GREASE

__all__ = ["Hello", "ja3", "ja3s", "ja4", "ja4_raw"]

SERVER_NAME: Final = 0
ALPN: Final = 16

SHORT_VERSIONS: Final = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0200: "s2",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}
NOTHING: Final = "0" * 12
"""In place of a digest of an empty list."""


@dataclass(slots=True)
class Hello:
    """What of a hello goes into its fingerprint, in the order of the message."""

    version: int = 0
    """`legacy_version`; the versions that an extension lists go before it."""
    ciphers: list[int] = field(default_factory=list)
    extensions: list[int] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    point_formats: list[int] = field(default_factory=list)
    algorithms: list[int] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    protocols: list[bytes] = field(default_factory=list)


def ja4(hello: Hello, transport: str) -> str:
    """`t13d1516h2_8daaf6152771_e5627efa2ab1`. `transport`: `t` for TCP, `d` for DTLS, `q` for QUIC."""
    head, ciphers, extensions = _ja4_parts(hello, transport)
    return f"{head}_{_digest(ciphers)}_{_digest(extensions)}"


def ja4_raw(hello: Hello, transport: str) -> str:
    """The same with its lists as they are before they are hashed."""
    return "_".join(_ja4_parts(hello, transport))


def _ja4_parts(hello: Hello, transport: str) -> tuple[str, str, str]:
    ciphers, extensions = _known(hello.ciphers), _known(hello.extensions)
    version = max(_known(hello.versions), key=_age, default=hello.version)
    head = (
        f"{transport}{SHORT_VERSIONS.get(version, '00')}{'d' if SERVER_NAME in extensions else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(extensions), 99):02}{_protocol(hello.protocols)}"
    )
    offered = _hex(sorted(each for each in extensions if each not in (SERVER_NAME, ALPN)))
    algorithms = _hex(_known(hello.algorithms))
    return head, _hex(sorted(ciphers)), f"{offered}_{algorithms}" if algorithms else offered


def _age(version: int) -> int:
    """Later versions have higher numbers, those of DTLS lower ones (RFC 6347, 4.1)."""
    return 0x10000 - version if version >= 0xFE00 else version


def _protocol(protocols: list[bytes]) -> str:
    """First and last character of the first ALPN value; of its hexadecimal form where one is no letter or digit."""
    first = protocols[0] if protocols else b""
    if not first:
        return "00"
    ends = first[:1] + first[-1:]
    if ends.isalnum():
        return ends.decode("ascii")
    return first.hex()[0] + first.hex()[-1]


def _digest(words: str) -> str:
    return sha256(words.encode()).hexdigest()[:12] if words else NOTHING


def _known(values: list[int]) -> list[int]:
    return [value for value in values if value not in GREASE]


def _hex(values: list[int]) -> str:
    return ",".join([f"{value:04x}" for value in values])


def ja3(hello: Hello) -> tuple[str, str]:
    """(MD5, what it is of): version, ciphers, extensions, groups, point formats, in the order of the message."""
    lists = (hello.ciphers, hello.extensions, hello.groups, hello.point_formats)
    return _ja3(hello.version, *[_known(each) for each in lists])


def ja3s(hello: Hello) -> tuple[str, str]:
    """(MD5, what it is of) of a Server Hello: version, cipher, extensions."""
    return _ja3(hello.version, hello.ciphers, hello.extensions)


def _ja3(version: int, *lists: list[int]) -> tuple[str, str]:
    full = ",".join([str(version), *("-".join(map(str, values)) for values in lists)])
    return md5(full.encode(), usedforsecurity=False).hexdigest(), full
