"""Tunnels: a header that says which link or network layer starts anew inside."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED
from netwatch.capture.decode.tables import (
    ETHERTYPE,
    GRE_PROTOCOL,
    IP_PROTOCOL,
    IP_VERSION,
    RANK_IN_UDP,
    RANK_TUNNEL,
    UDP_PORT,
)
from netwatch.capture.decode.walk import DATA, Front, Walk, among, layer, number_of
from netwatch.capture.layouts import ETHERNET, GENEVE, GRE, GTP, TEREDO_ORIGIN, VXLAN, WORD16, pick, wide
from netwatch.capture.protocols import ID

# GRE flags: RFC 1701, RFC 2890; acknowledgement: RFC 2637
CHECKSUM: Final = 0x8000
ROUTING: Final = 0x4000
KEY: Final = 0x2000
SEQUENCE: Final = 0x1000
ACKNOWLEDGED: Final = 0x0080

ERSPAN: Final = 0x88BE
WCCP: Final = 0x883E
PPP: Final = 0x880B
MAX_ROUTES: Final = 2048
"""Bytes of source routes that are skipped."""

_eth = number_of("eth")
for _code in (0x0800, 0x86DD, 0x0806, 0x6558, 0x8847, 0x8848):
    GRE_PROTOCOL.enter([_code], int(ETHERTYPE.layers[_code]))
GRE_PROTOCOL.enter([WCCP], number_of("ip"))


@layer("gre", RANK_TUNNEL, (IP_PROTOCOL, [47]), (UDP_PORT, [4754]))
def _gre(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["gre"], GRE.itemsize)
    header = walk.read(front.at, GRE)
    flags, protocol = wide(header["flags"]), wide(header["protocol"])
    size = 4 + 4 * (
        (flags & (CHECKSUM | ROUTING) != 0).astype(np.intp)
        + (flags & KEY != 0)
        + (flags & SEQUENCE != 0)
        + ((flags & ACKNOWLEDGED != 0) & (protocol == PPP))
    )
    front, keep = walk.having(front, size)
    if keep is not None:
        flags, protocol, size = flags[keep], protocol[keep], size[keep]
    # WCCP version 2: a redirect header stands in front of the packet, unless it is seen right behind the fixed part.
    redirected = protocol == WCCP
    some = (redirected & (front.end - front.at > 4)).nonzero()[0]
    redirected[some] = walk.raw[front.at[some] + 4] & 0xF0 != 0x40
    front = front.moved(size)
    if (flags & ROUTING).any():
        front, keep = _skip_routes(walk, front, flags & ROUTING != 0)
        flags, protocol, redirected = flags[keep], protocol[keep], redirected[keep]
    layers = GRE_PROTOCOL.layers[protocol]
    # ERSPAN without a sequence number has no header of its own: type I.
    layers[(protocol == ERSPAN) & (flags & SEQUENCE == 0)] = _eth
    front = front.moved(np.where(redirected, 4, 0))
    # Acknowledgements of PPTP and keep-alives carry nothing.
    layers[front.limit <= front.at] = DATA
    walk.hand(front, layers)


def _skip_routes(walk: Walk, front: Front, routed: NDArray[np.bool_]) -> tuple[Front, NDArray[np.intp]]:
    """RFC 1701: source route entries, of 4 bytes and what the last of these says, up to an empty one."""
    skip = np.zeros(len(front), np.intp)
    open_ = routed.nonzero()[0]
    while len(open_):
        there = front.at[open_] + skip[open_] + 4 <= front.end[open_]
        skip[open_[~there]] += 4
        open_ = open_[there]
        size = wide(walk.raw[front.at[open_] + skip[open_] + 3])
        skip[open_] += 4 + size
        open_ = open_[(size > 0) & (skip[open_] < MAX_ROUTES)]
    front, keep = walk.having(front.moved(skip), 0)
    return front, np.arange(len(skip)) if keep is None else keep


@layer("erspan", RANK_TUNNEL, (GRE_PROTOCOL, [ERSPAN, 0x22EB]))
def _erspan(walk: Walk, front: Front) -> None:
    """Types II and III, versions 1 and 2: 8 bytes, or 12 and 8 more where the last bit says so."""
    front = walk.enter(front, ID["erspan"], 8)
    version = walk.raw[front.at] >> 4
    walk.hand(front.take(version == 1).moved(8), _eth)
    walk.hand(front.take((version == 0) | (version > 2)), DATA)
    front, _ = walk.having(front.take(version == 2), 12)
    # The last two bytes: P, 5 bits of frame type, hardware id, direction, granularity, O.
    word = wide(walk.read(front.at + 10, WORD16)["word"])
    kind = (word >> 10) & 0x1F
    layers = np.where(kind == 0, np.uint8(_eth), np.uint8(DATA))
    layers[kind == 2] = number_of("ip")
    size = np.where(word & 1, 20, 12)
    front, keep = walk.having(front, size)
    if keep is not None:
        size, layers = size[keep], layers[keep]
    walk.hand(front.moved(size), layers)


@layer("vxlan", RANK_IN_UDP, (UDP_PORT, [4789]))
def _vxlan(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["vxlan"], VXLAN.itemsize)
    walk.hand(front.moved(VXLAN.itemsize), _eth)


@layer("vxlan gpe", RANK_IN_UDP, (UDP_PORT, [4790]))
def _vxlan_gpe(walk: Walk, front: Front) -> None:
    """Generic protocol extension (draft-ietf-nvo3-vxlan-gpe): the fourth byte says what is inside."""
    front = walk.enter(front, ID["vxlan"], VXLAN.itemsize)
    inside = np.zeros(256, np.uint8)
    inside[1:6] = [number_of("ip"), number_of("ipv6"), _eth, number_of("nsh"), number_of("mpls")]
    walk.hand(front.moved(VXLAN.itemsize), inside[walk.raw[front.at + 3]])


@layer("nsh", RANK_TUNNEL, (ETHERTYPE, [0x894F]), (GRE_PROTOCOL, [0x894F]))
def _nsh(walk: Walk, front: Front) -> None:
    """RFC 8300, 2.2: the length in 4-byte words is the low 6 bits of the second byte."""
    front = walk.enter(front, ID["nsh"], 8)
    size = (wide(walk.raw[front.at + 1]) & 0x3F) * 4
    inside = np.zeros(256, np.uint8)
    inside[1:6] = [number_of("ip"), number_of("ipv6"), _eth, number_of("nsh"), number_of("mpls")]
    layers = inside[walk.raw[front.at + 3]]
    front, keep = walk.having(front, np.maximum(size, 8))
    if keep is not None:
        size, layers = size[keep], layers[keep]
    walk.hand(front.moved(np.maximum(size, 8)), layers)


@layer("lisp data", RANK_IN_UDP, (UDP_PORT, [4341]))
def _lisp_data(walk: Walk, front: Front) -> None:
    """RFC 9300, 5.1: 8 bytes, then the inner IP header."""
    front = walk.enter(front, ID["lisp-data"], 8)
    _by_version(walk, front.moved(8))


@layer("lisp", RANK_IN_UDP, (UDP_PORT, [4342]))
def _lisp(walk: Walk, front: Front) -> None:
    """RFC 9301, 5.8: only an encapsulated control message holds a packet."""
    front = walk.enter(front, ID["lisp"], 4)
    encapsulated = walk.raw[front.at] >> 4 == 8
    walk.hand(front.take(~encapsulated), DATA)
    _by_version(walk, front.take(encapsulated).moved(4))


def _by_version(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, 1)
    walk.hand(front, IP_VERSION.layers[walk.raw[front.at] >> 4])


@layer("geneve", RANK_IN_UDP, (UDP_PORT, [6081]))
def _geneve(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["geneve"], GENEVE.itemsize)
    header = walk.read(front.at, GENEVE)
    size = (wide(header["version_length"]) & 0x3F) * 4 + GENEVE.itemsize
    protocol = wide(header["protocol"])
    front, keep = walk.having(front, size)
    if keep is not None:
        size, protocol = size[keep], protocol[keep]
    walk.hand(front.moved(size), ETHERTYPE.layers[protocol])


T_PDU: Final = 255
GTP_EXTRA: Final = 0x07
GTP_EXTENSION: Final = 0x04


@layer("gtp", RANK_IN_UDP, (UDP_PORT, [2152, 2123, 3386]))
def _gtp(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["gtp"], GTP.itemsize)
    header = walk.read(front.at, GTP)
    pdu = header["type"] == T_PDU
    user = (header["flags"] >> 4 == 3) & pdu
    old = (header["flags"] >> 4 == 1) & pdu
    walk.hand(front.take(~(user | old)), DATA)
    # Version 0 (GSM 09.60) has 20 bytes.
    first, _ = walk.having(front.take(old), 20)
    walk.hand(first.moved(20), _TUNNELLED_PDU)
    front, header = front.take(user), pick(header, user)
    size = wide(header["length"])
    front = front.moved(GTP.itemsize)
    walk.mark(front.row[front.at + size > front.limit], MALFORMED)
    front = front.within(front.at + size)
    extra = header["flags"] & GTP_EXTRA != 0
    walk.hand(front.take(~extra), _TUNNELLED_PDU)
    front, flags = front.take(extra), header["flags"][extra]
    front, keep = walk.having(front, 4)
    if keep is not None:
        flags = flags[keep]
    extended = (flags & GTP_EXTENSION != 0) & (walk.raw[front.at + 3] != 0)
    front = front.moved(4)
    walk.hand(front.take(~extended), _TUNNELLED_PDU)
    walk.hand(front.take(extended), number_of("gtp extension"))


@layer("gtp extension", RANK_IN_UDP)
def _gtp_extension(walk: Walk, front: Front) -> None:
    """TS 29.281, 5.2.1: length in 4-byte units, the last byte names the next one."""
    front, _ = walk.having(front, 1)
    size = wide(walk.raw[front.at]) * 4
    endless = size == 0
    bad = front.take(endless)
    walk.mark(bad.row, MALFORMED)
    walk.stop(bad)
    front, size = front.take(~endless), size[~endless]
    front, keep = walk.having(front, size)
    if keep is not None:
        size = size[keep]
    front = front.moved(size)
    more = walk.raw[front.at - 1] != 0
    walk.hand(front.take(~more), _TUNNELLED_PDU)
    walk.hand(front.take(more), number_of("gtp extension"))


@layer("gtp user data", RANK_IN_UDP)
def _gtp_user_data(walk: Walk, front: Front) -> None:
    loaded = front.end > front.at
    walk.hand(front.take(~loaded), DATA)
    front = front.take(loaded)
    first = walk.raw[front.at]
    layers = np.zeros(len(front), np.uint8)
    layers[(first >= 0x45) & (first <= 0x4E)] = number_of("ip")
    layers[first >> 4 == 6] = number_of("ipv6")
    rest = ((layers == DATA) & (front.end - front.at >= ETHERNET.itemsize)).nonzero()[0]
    types = walk.read(front.at[rest] + 12, WORD16)["word"]
    layers[rest[among(types, (0x0800, 0x0806, 0x86DD, 0x8100))]] = _eth
    walk.hand(front, layers)


_TUNNELLED_PDU: Final = number_of("gtp user data")


@layer("teredo", RANK_IN_UDP, (UDP_PORT, [3544]))
def _teredo(walk: Walk, front: Front) -> None:
    """RFC 4380, 5.1.1: authentication and origin indications in front of an IPv6 packet."""
    front = walk.enter(front, ID["teredo"], 2)
    authenticated = walk.read(front.at, WORD16)["word"] == 1
    if authenticated.any():
        front = _skip_authentication(walk, front, authenticated)
    front, _ = walk.having(front, 2)
    origin = walk.read(front.at, WORD16)["word"] == 0
    front, _ = walk.having(front.moved(np.where(origin, TEREDO_ORIGIN, 0)), 1)
    six = walk.raw[front.at] >> 4 == 6
    walk.hand(front.take(~six), DATA)
    walk.hand(front.take(six), number_of("ipv6"))


def _skip_authentication(walk: Walk, front: Front, authenticated: NDArray[np.bool_]) -> Front:
    front, keep = walk.having(front, np.where(authenticated, 4, 0))
    if keep is not None:
        authenticated = authenticated[keep]
    size = np.zeros(len(front), np.intp)
    at = front.at[authenticated]
    size[authenticated] = 13 + wide(walk.raw[at + 2]) + walk.raw[at + 3]
    return front.moved(size)


L2TP_CONTROL: Final = 0x8000
L2TP_LENGTH: Final = 0x4000
L2TP_SEQUENCE: Final = 0x0800
L2TP_OFFSET: Final = 0x0200


@layer("l2tp", RANK_IN_UDP, (UDP_PORT, [1701]))
def _l2tp(walk: Walk, front: Front) -> None:
    """RFC 2661, 3.1: data messages of version 2 carry PPP."""
    front = walk.enter(front, ID["l2tp"], 2)
    flags = wide(walk.read(front.at, WORD16)["word"])
    data = (flags & 0x0F == 2) & (flags & L2TP_CONTROL == 0)
    walk.hand(front.take(~data), DATA)
    front, flags = front.take(data), flags[data]
    size = 6 + np.where(flags & L2TP_LENGTH, 2, 0) + np.where(flags & L2TP_SEQUENCE, 4, 0)
    padded = flags & L2TP_OFFSET != 0
    front, keep = walk.having(front, size + np.where(padded, 2, 0))
    if keep is not None:
        size, padded = size[keep], padded[keep]
    at = front.at[padded] + size[padded]
    size[padded] += 2 + wide(walk.read(at, WORD16)["word"])
    front = front.moved(size)
    loaded = front.end > front.at
    walk.hand(front.take(~loaded), DATA)
    walk.hand(front.take(loaded), number_of("ppp"))


@layer("etherip", RANK_TUNNEL, (IP_PROTOCOL, [97]))
def _etherip(walk: Walk, front: Front) -> None:
    """RFC 3378: two bytes of version in front of an Ethernet frame."""
    front = walk.enter(front, ID["etherip"], 2)
    walk.hand(front.moved(2), _eth)


UDP_PORT.enter([6635], number_of("mpls"))


@layer("capwap data", RANK_IN_UDP, (UDP_PORT, [5247]))
def _capwap_data(walk: Walk, front: Front) -> None:
    """RFC 5415, 4.3: frames of Ethernet, unencrypted and whole, are read further."""
    front = walk.enter(front, ID["capwap.data"], 8)
    size = (wide(walk.raw[front.at + 1]) >> 3) * 4
    plain = (
        (walk.raw[front.at] & 0x0F == 0) & (walk.raw[front.at + 2] & 1 == 0) & (walk.raw[front.at + 3] & 0x80 == 0)
    )
    walk.hand(front.take(~plain), DATA)
    front, size = front.take(plain), size[plain]
    front, keep = walk.having(front, size)
    walk.hand(front.moved(size if keep is None else size[keep]), _eth)


TZSP_END: Final = 1
TZSP_PADDING: Final = 0
TZSP_ETHERNET: Final = 1


@layer("tzsp", RANK_IN_UDP, (UDP_PORT, [37008]))
def _tzsp(walk: Walk, front: Front) -> None:
    """TaZmen sniffer protocol: tags up to an end mark, then the frame."""
    front = walk.enter(front, ID["tzsp"], 5)
    framed = walk.read(front.at + 2, WORD16)["word"] == TZSP_ETHERNET
    framed &= walk.raw[front.at + 1] <= 1
    walk.hand(front.take(~framed), DATA)
    walk.hand(front.take(framed).moved(4), number_of("tzsp tag"))


@layer("tzsp tag", RANK_IN_UDP)
def _tzsp_tag(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, 1)
    tag = walk.raw[front.at]
    walk.hand(front.take(tag == TZSP_END).moved(1), _eth)
    walk.hand(front.take(tag == TZSP_PADDING).moved(1), number_of("tzsp tag"))
    front, _ = walk.having(front.take(tag > TZSP_END), 2)
    walk.hand(front.moved(wide(walk.raw[front.at + 1]) + 2), number_of("tzsp tag"))
