"""IP payload compression (RFC 3173); what DEFLATE packed (RFC 2394) is unpacked and shown."""

from __future__ import annotations

import zlib
from typing import Final

from netwatch.capture.dissect.kit import U8, Header, Hex8, Hex16
from netwatch.capture.dissect.numbers import IP_PROTOCOLS
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on, step

DEFLATE: Final = 2
NEGOTIATED: Final = 256
"""From here on two hosts agreed on the number (RFC 3173, 3.3): what unpacks was packed with DEFLATE."""
ALGORITHMS = {0: "Reserved", 1: "OUI", DEFLATE: "DEFLATE", 3: "LZS", 4: "LZJH"}
IPCOMP = Header(
    "ipcomp",
    "IP Payload Compression",
    (
        U8("next_header", "Next Header", IP_PROTOCOLS),
        Hex8("flags", "IPComp Flags"),
        Hex16("cpi", "IPComp CPI", ALGORITHMS),
    ),
)
MOST: Final = 65535
"""Bytes that are unpacked: an IP packet has no more."""


@on("ip.proto", 108)
def ipcomp(packet: Packet, at: int, limit: int) -> Step | None:
    """Which protocol, and how it is packed."""
    packet.column("ipcomp")
    layer, (following, _, index) = packet.open(IPCOMP, at, limit)
    layer.said = packet.info = f"IPComp (CPI={ALGORITHMS.get(index, f'0x{index:04x}')})"
    start = at + IPCOMP.size
    if (index != DEFLATE and index < NEGOTIATED) or limit > packet.caplen:
        return Step((), start, limit)
    packed = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        unpacked = packed.decompress(packet.data[start:limit], MOST)
    except zlib.error:
        return Step((), start, limit)
    if not packed.eof:
        return Step((), start, limit)
    packet.run(Step((), start, limit))
    packet.aside("Decompressed IPComp", unpacked, step("ip.proto", following, 0, len(unpacked)))
    return None
