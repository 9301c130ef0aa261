"""What HTTP calls things: methods, header fields that have a name of their own, reasons (RFC 9110)."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from netwatch.capture.dissect.kit import text

__all__ = ["LONGEST_METHOD", "METHODS", "NAMED", "PORTS", "REASONS", "said_of"]

PORTS: Final = (80, 2869, 3128, 3132, 5985, 8008, 8080, 8088, 11371)
METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK NOTIFY "
    b"M-SEARCH SUBSCRIBE UNSUBSCRIBE SEARCH BCOPY BDELETE BMOVE BPROPFIND BPROPPATCH POLL REPORT CHECKOUT MERGE "
    b"RPC_CONNECT RPC_IN_DATA RPC_OUT_DATA CCM_POST PURGE LINK UNLINK BIND MKCALENDAR".split()
)
LONGEST_METHOD: Final = max(map(len, METHODS))
REASONS: Final = {status.value: status.phrase for status in HTTPStatus}

FIELDS: Final = (
    b"Host User-Agent Accept Accept-Encoding Accept-Language Authorization Cache-Control Connection Content-Encoding "
    b"Content-Length Content-Type Cookie Date HTTP2-Settings Last-Modified Location Proxy-Authenticate "
    b"Proxy-Authorization Referer Sec-WebSocket-Accept Sec-WebSocket-Extensions Sec-WebSocket-Key "
    b"Sec-WebSocket-Protocol Sec-WebSocket-Version Server Set-Cookie Transfer-Encoding Upgrade WWW-Authenticate "
    b"X-Forwarded-For".split()
)
OTHERWISE: Final = {b"content-length": "content_length_header"}
"""Where the field's name does not follow from the header's."""
NAMED: Final = {
    label.lower(): text(
        f"http.{OTHERWISE.get(label.lower(), label.lower().decode().replace('-', '_'))}", label.decode()
    )
    for label in FIELDS
}
"""Header field, in lower case → its field."""

SHOWN_AS: Final = {
    b"image/png": " (PNG)",
    b"image/jpeg": " (JPEG JFIF image)",
    b"image/gif": " (GIF89a)",
    b"application/octet-stream": "",
    b"application/grpc": "",
    b"application/cbor": "",
}
"""Media types of which the Info column says something else than their name."""
XML: Final = re.compile(rb"(?:text|application|image)/(?:xml|[\w.-]+\+xml)$")
JSON: Final = re.compile(rb"application/(?:json|[\w.-]+\+json)$")


def said_of(content: bytes) -> tuple[str, str]:
    """A Content-Type → what its body adds to the Protocol column and to Info."""
    kind = content.split(b";", 1)[0].strip().lower()
    shown = kind.decode("utf-8", "surrogateescape")
    if not kind:
        return "", ""
    if XML.match(kind):
        return "/XML", ""
    if JSON.match(kind):
        return "/JSON", f", JavaScript Object Notation ({shown})"
    if kind.startswith(b"multipart/"):
        return "", ""
    return "", SHOWN_AS.get(kind, f" ({shown})")
