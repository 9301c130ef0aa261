"""Frames, settings, errors and flags of HTTP/2 (RFC 9113, 6 and 7)."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import number, text

__all__ = ["ERRORS", "FRAMES", "NAMED", "SETTINGS"]

FRAMES: Final = {
    0: "DATA",
    1: "HEADERS",
    2: "PRIORITY",
    3: "RST_STREAM",
    4: "SETTINGS",
    5: "PUSH_PROMISE",
    6: "PING",
    7: "GOAWAY",
    8: "WINDOW_UPDATE",
    9: "CONTINUATION",
    10: "ALTSVC",
    12: "ORIGIN",
    16: "PRIORITY_UPDATE",
}
ERRORS: Final = {
    0: "NO_ERROR",
    1: "PROTOCOL_ERROR",
    2: "INTERNAL_ERROR",
    3: "FLOW_CONTROL_ERROR",
    4: "SETTINGS_TIMEOUT",
    5: "STREAM_CLOSED",
    6: "FRAME_SIZE_ERROR",
    7: "REFUSED_STREAM",
    8: "CANCEL",
    9: "COMPRESSION_ERROR",
    10: "CONNECT_ERROR",
    11: "ENHANCE_YOUR_CALM",
    12: "INADEQUATE_SECURITY",
    13: "HTTP_1_1_REQUIRED",
}
SETTINGS: Final = {
    1: number("http2.settings.header_table_size", "Header table size"),
    2: number("http2.settings.enable_push", "Enable PUSH"),
    3: number("http2.settings.max_concurrent_streams", "Max concurrent streams"),
    4: number("http2.settings.initial_window_size", "Initial Windows Size"),
    5: number("http2.settings.max_frame_size", "Max frame size"),
    6: number("http2.settings.max_header_list_size", "Max header list size"),
    8: number("http2.settings.extended_connect", "Extended CONNECT"),
}
NAMED: Final = {
    name: text(f"http2.headers.{name.decode().lstrip(':').replace('-', '_')}", name.decode())
    for name in (
        b":authority :method :path :scheme :status accept accept-charset accept-encoding accept-language "
        b"accept-ranges access-control-allow-origin age allow authorization cache-control content-disposition "
        b"content-encoding content-language content-length content-location content-range content-type cookie date "
        b"etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since "
        b"last-modified link location max-forwards proxy-authenticate proxy-authorization range referer refresh "
        b"retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary via "
        b"www-authenticate"
    ).split()
}
"""Header fields that have a name of their own."""
