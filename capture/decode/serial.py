"""Serial links: PPP and PPPoE, Cisco HDLC, frame relay."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import MALFORMED
from netwatch.capture.decode.tables import (
    ETHERTYPE,
    GRE_PROTOCOL,
    LINKTYPE,
    NLPID,
    PPP_PROTOCOL,
    RANK_FRAME,
    RANK_LINK,
    RANK_SHIM,
)
from netwatch.capture.decode.walk import DATA, Front, Walk, among, layer, leaf, number_of
from netwatch.capture.layouts import PPPOE, SNAP, WORD16, wide
from netwatch.capture.protocols import ID

CISCO_ADDRESSES: Final = (0x0F, 0x8F)
"""First byte of Cisco HDLC: unicast, multicast."""
CISCO_TYPES: Final = (0x0800, 0x86DD, 0x8847, 0x8848)
"""Where its types are EtherTypes."""


@layer("ppp with direction", RANK_FRAME, (LINKTYPE, [204]))
def _directed_ppp(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, 1)
    walk.hand(front.moved(1), number_of("ppp"))


@layer("ppp", RANK_SHIM, (LINKTYPE, [9, 50]), (GRE_PROTOCOL, [0x880B]), (NLPID, [0xCF]))
def _ppp(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["ppp"], 2)
    cisco = among(walk.raw[front.at], CISCO_ADDRESSES)
    if cisco.any():
        walk.hand(front.take(cisco), number_of("chdlc"))
        front = front.take(~cisco)
    # RFC 1662, 3.1: the all-stations address and a control byte may stand in front.
    framed = walk.raw[front.at] == 0xFF
    _ppp_protocol(walk, front.moved(np.where(framed, 2, 0)))


@layer("ppp without framing", RANK_SHIM)
def _bare_ppp(walk: Walk, front: Front) -> None:
    _ppp_protocol(walk, walk.enter(front, ID["ppp"], 1))


def _ppp_protocol(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, 1)
    # RFC 1661, 6.5: an odd first byte is the whole, compressed field.
    protocol = wide(walk.raw[front.at])
    size = np.where(protocol & 1, 1, 2)
    front, keep = walk.having(front, size)
    if keep is not None:
        protocol, size = protocol[keep], size[keep]
    long = (size == 2).nonzero()[0]
    protocol[long] = (protocol[long] << 8) | walk.raw[front.at[long] + 1]
    walk.hand(front.moved(size), PPP_PROTOCOL.layers[protocol])


@layer("mp", RANK_SHIM, (PPP_PROTOCOL, [0x003D]))
def _multilink(walk: Walk, front: Front) -> None:
    """RFC 1990, section 3: only a fragment that begins and ends a packet is read further."""
    front = walk.enter(front, ID["mp"], 4)
    whole = walk.raw[front.at] & 0xC0 == 0xC0
    walk.hand(front.take(~whole), DATA)
    _ppp_protocol(walk, front.take(whole).moved(4))


@layer("pppoes", RANK_LINK, (ETHERTYPE, [0x8864]), (LINKTYPE, [51]))
def _pppoe_session(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["pppoes"], PPPOE.itemsize)
    size = wide(walk.read(front.at, PPPOE)["length"])
    front = front.moved(PPPOE.itemsize)
    walk.mark(front.row[front.at + size > front.limit], MALFORMED)
    walk.hand(front.within(front.at + size), number_of("ppp without framing"))


@layer("chdlc", RANK_SHIM, (LINKTYPE, [104]))
def _cisco_hdlc(walk: Walk, front: Front) -> None:
    """Address, control, EtherType."""
    front = walk.enter(front, ID["chdlc"], 4)
    types = walk.read(front.at + 2, WORD16)["word"]
    walk.hand(front.moved(4), np.where(among(types, CISCO_TYPES), ETHERTYPE.layers[types], np.uint8(DATA)))


@layer("fr", RANK_FRAME, (LINKTYPE, [107]))
def _frame_relay(walk: Walk, front: Front) -> None:
    """Q.922 address, then RFC 2427 (control and NLPID), or an EtherType as Cisco's routers send it."""
    front = walk.enter(front, ID["fr"], 2)
    size = np.full(len(front), 2)
    for more in (2, 3):
        longer = ((size == more) & (front.end - front.at > more)).nonzero()[0]
        size[longer[walk.raw[front.at[longer] + more - 1] & 1 == 0]] += 1
    front, keep = walk.having(front, size + 2)
    front = front.moved(size if keep is None else size[keep])
    numbered = walk.raw[front.at] == 0x03
    typed = front.take(~numbered)
    walk.hand(typed.moved(2), ETHERTYPE.layers[walk.read(typed.at, WORD16)["word"]])
    front = front.take(numbered).moved(1)
    front, _ = walk.having(front.moved(np.where(walk.raw[front.at] == 0, 1, 0)), 1)
    walk.hand(front.moved(1), NLPID.layers[walk.raw[front.at]])


@layer("fr snap", RANK_FRAME, (NLPID, [0x80]))
def _frame_relay_snap(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, SNAP.itemsize)
    header = walk.read(front.at, SNAP)
    organisation = (wide(header["oui_hi"]) << 16) | header["oui_lo"]
    layers: NDArray[np.uint8] = ETHERTYPE.layers[header["type"]]
    layers[organisation != 0] = DATA
    # RFC 2427, 4.2: bridged Ethernet, with and without its check sequence.
    layers[(organisation == 0x0080C2) & among(header["type"], (0x0001, 0x0007))] = number_of("eth")
    walk.hand(front.moved(SNAP.itemsize), layers)


leaf("pppoed", (ETHERTYPE, [0x8863]))
leaf("lcp", (PPP_PROTOCOL, [0xC021]))
leaf("ipcp", (PPP_PROTOCOL, [0x8021]))
leaf("ipv6cp", (PPP_PROTOCOL, [0x8057]))
leaf("ccp", (PPP_PROTOCOL, [0x80FD]))
leaf("pap", (PPP_PROTOCOL, [0xC023]))
leaf("chap", (PPP_PROTOCOL, [0xC223]))
