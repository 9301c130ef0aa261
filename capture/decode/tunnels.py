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
    RANK_IN_UDP,
    RANK_TUNNEL,
    UDP_PORT,
)
from netwatch.capture.decode.walk import DATA, Front, Walk, layer, number_of
from netwatch.capture.layouts import GENEVE, GRE, GTP, VXLAN, WORD16, wide
from netwatch.capture.protocols import ID

# GRE flags: RFC 1701, RFC 2890; acknowledgement: RFC 2637
CHECKSUM: Final = 0x8000
ROUTING: Final = 0x4000
KEY: Final = 0x2000
SEQUENCE: Final = 0x1000
ACKNOWLEDGED: Final = 0x0080

ERSPAN_PROTOCOL: Final = 0x88BE
WCCP_PROTOCOL: Final = 0x883E

_eth = number_of("eth")
GRE_PROTOCOL.layers[:] = ETHERTYPE.layers
# Transparent bridging and the like are EtherTypes; PPP in GRE is PPTP's.
GRE_PROTOCOL.enter([WCCP_PROTOCOL], number_of("ip"))


@layer("gre", RANK_TUNNEL, (IP_PROTOCOL, [47]), (UDP_PORT, [4754]))
def _gre(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["gre"], GRE.itemsize)
    header = walk.read(front.at, GRE)
    flags, protocol = wide(header["flags"]), wide(header["protocol"])
    size = 4 + 4 * (
        (flags & (CHECKSUM | ROUTING) != 0).astype(np.intp)
        + (flags & KEY != 0)
        + (flags & SEQUENCE != 0)
        + ((flags & ACKNOWLEDGED != 0) & (flags & 7 == 1))
    )
    front, keep = walk.having(front, size)
    if keep is not None:
        flags, protocol, size = flags[keep], protocol[keep], size[keep]
    front = front.moved(size)
    layers = GRE_PROTOCOL.layers[protocol]
    # ERSPAN without a sequence number has no header of its own: type I.
    layers[(protocol == ERSPAN_PROTOCOL) & (flags & SEQUENCE == 0)] = _eth
    routed = flags & ROUTING != 0
    if routed.any():
        walk.hand(front.take(routed), DATA)
        front, layers, protocol = front.take(~routed), layers[~routed], protocol[~routed]
    wccp = protocol == WCCP_PROTOCOL
    if wccp.any():
        front = _after_redirect(walk, front, wccp)
    loaded = front.end > front.at
    empty = (~loaded).nonzero()[0]
    walk.stop(front.take(empty), front.path[empty])
    walk.hand(front.take(loaded), layers[loaded])


def _after_redirect(walk: Walk, front: Front, wccp: NDArray[np.bool_]) -> Front:
    """Version 2 of WCCP has four bytes in front of the IP header; told by what is no IPv4 header."""
    some = (wccp & (front.end > front.at)).nonzero()[0]
    redirected = some[walk.raw[front.at[some]] & 0xF0 != 0x40]
    skip = np.zeros(len(front), np.intp)
    skip[redirected] = 4
    return front.moved(skip)


@layer("erspan", RANK_TUNNEL, (GRE_PROTOCOL, [ERSPAN_PROTOCOL]))
def _erspan2(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["erspan"], 8)
    walk.hand(front.moved(8), _eth)


@layer("erspan 3", RANK_TUNNEL, (GRE_PROTOCOL, [0x22EB]))
def _erspan3(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["erspan"], 12)
    # The last bit of the header: a platform-specific part follows.
    size = np.where(walk.raw[front.at + 11] & 1, 20, 12)
    front, keep = walk.having(front, size)
    walk.hand(front.moved(size if keep is None else size[keep]), _eth)


@layer("vxlan", RANK_IN_UDP, (UDP_PORT, [4789]))
def _vxlan(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["vxlan"], VXLAN.itemsize)
    walk.hand(front.moved(VXLAN.itemsize), _eth)


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
    user = (header["flags"] & 0xF0 == 0x30) & (header["type"] == T_PDU)
    walk.hand(front.take(~user), DATA)
    front, header = front.take(user), header[user]
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
    walk.stop(bad, bad.path)
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
    layers = np.full(len(front), number_of("ppp"), np.uint8)
    layers[(first >= 0x45) & (first <= 0x4E)] = number_of("ip")
    layers[first >> 4 == 6] = number_of("ipv6")
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
    front, _ = walk.having(front.moved(np.where(origin, 8, 0)), 1)
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
