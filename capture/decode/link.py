"""Link layers: Ethernet and its tags, LLC, MPLS, Linux cooked, BSD loopback, raw IP, other local networks."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import KIND_MAC, KIND_NONE, NO_VLAN
from netwatch.capture.decode.tables import (
    BSD_FAMILY,
    CISCO_TYPE,
    ETHERTYPE,
    IP_PROTOCOL,
    IP_VERSION,
    LINKTYPE,
    LLC_SAP,
    PPP_PROTOCOL,
    RANK_FRAME,
    RANK_LINK,
    RANK_SHIM,
)
from netwatch.capture.decode.walk import DATA, Front, Walk, layer, leaf, number_of
from netwatch.capture.layouts import ETHERNET, SLL, SLL2, SNAP, TAG, WORD16, WORD32, pick, wide
from netwatch.capture.protocols import ID

LENGTH_MAX: Final = 1500
"""IEEE 802.3, 3.2.6: up to here the field is a length, not a type."""
TYPE_MIN: Final = 0x0600
ARPHRD_NETLINK: Final = 824


@layer("unknown link", RANK_FRAME)
def _unknown_link(walk: Walk, front: Front) -> None:
    walk.end(front, ID["data"])


LINKTYPE.layers.fill(number_of("unknown link"))


@layer("eth", RANK_FRAME, (LINKTYPE, [1]), (PPP_PROTOCOL, [0x0031]), (ETHERTYPE, [0x6558]))
def _ethernet(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["eth"], ETHERNET.itemsize)
    walk.ethernets.append((front.row, front.at))
    types = wide(walk.read(front.at + 12, WORD16)["word"])
    _by_type(walk, front.moved(ETHERNET.itemsize), types)


def show_ethernet_addresses(walk: Walk) -> None:
    """Source and destination of packets that show no IP address, from their outermost Ethernet headers."""
    for row, at in walk.ethernets:
        bare = (walk.rows.kind[row] == KIND_NONE).nonzero()[0]
        header = walk.read(at[bare], ETHERNET)
        walk.rows.src_lo[row[bare]] = _address(header, "src")
        walk.rows.dst_lo[row[bare]] = _address(header, "dst")
        walk.rows.kind[row[bare]] = KIND_MAC
    walk.ethernets.clear()


def _address(header: NDArray[np.void], name: str) -> NDArray[np.uint64]:
    """48 bits from the two words of a layout."""
    address: NDArray[np.uint64] = header[name + "_hi"].astype(np.uint64) << np.uint64(32)
    address |= header[name + "_lo"]
    return address


def _by_type(walk: Walk, front: Front, types: NDArray[np.intp]) -> None:
    """On to what an EtherType names; a length means LLC."""
    walk.hand(front, ETHERTYPE.layers.take(types))
    if not (types < TYPE_MIN).any():
        return
    # No type is that small, so these were data until here. Zero is no length, nor is what lies between the ranges.
    framed = ((types <= LENGTH_MAX) & (types > 0)).nonzero()[0]
    frame = front.take(framed)
    walk.short(frame, types[framed])
    walk.hand(frame.within(frame.at + types[framed]), number_of("llc"))


@layer("vlan", RANK_LINK, (ETHERTYPE, [0x8100, 0x9100]))
def _vlan(walk: Walk, front: Front) -> None:
    _tag(walk, front, "vlan")


@layer("ieee8021ad", RANK_LINK, (ETHERTYPE, [0x88A8]))
def _provider_vlan(walk: Walk, front: Front) -> None:
    _tag(walk, front, "ieee8021ad")


def _tag(walk: Walk, front: Front, name: str) -> None:
    front = walk.enter(front, ID[name], TAG.itemsize)
    header = walk.read(front.at, TAG)
    first = (walk.rows.vlan[front.row] == NO_VLAN).nonzero()[0]
    walk.rows.vlan[front.row[first]] = header["tci"][first] & 0xFFF
    front, types = front.moved(TAG.itemsize), wide(header["type"])
    if name == "vlan":
        _by_type(walk, front, types)
    else:
        walk.hand(front, ETHERTYPE.layers[types])


@layer("cmd", RANK_LINK, (ETHERTYPE, [0x8909]))
def _cisco_metadata(walk: Walk, front: Front) -> None:
    """A security group tag of 6 bytes, then the EtherType."""
    front = walk.enter(front, ID["cmd"], 8)
    walk.hand(front.moved(8), ETHERTYPE.layers[walk.read(front.at + 6, WORD16)["word"]])


@layer("llc", RANK_SHIM, (LINKTYPE, [11, 100]))
def _llc(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["llc"], 3)
    dsap = walk.raw[front.at]
    control = walk.raw[front.at + 2]
    # Information and supervisory frames have two bytes of control (IEEE 802.2, 5.2), unnumbered ones have one.
    size = np.where(control & 3 == 3, 3, 4)
    snap = (dsap == 0xAA) & (walk.raw[front.at + 1] == 0xAA) & ((control & 1 == 0) | (control == 0x03))
    _snap(walk, front.take(snap).moved(size[snap]))
    plain = (~snap).nonzero()[0]
    walk.hand(front.take(plain).moved(size[plain]), LLC_SAP.layers[dsap[plain]])


def _snap(walk: Walk, front: Front) -> None:
    front, _ = walk.having(front, SNAP.itemsize)
    header = walk.read(front.at, SNAP)
    organisation = (wide(header["oui_hi"]) << 16) | header["oui_lo"]
    types = wide(header["type"])
    # RFC 1042, and 0x0000f8 of IEEE 802.1H: the type is an EtherType.
    layers = ETHERTYPE.layers[types]
    cisco = organisation == 0x00000C
    layers[cisco] = CISCO_TYPE.layers[types[cisco]]
    layers[~cisco & (organisation != 0) & (organisation != 0x0000F8)] = DATA
    walk.hand(front.moved(SNAP.itemsize), layers)


@layer("sll", RANK_FRAME, (LINKTYPE, [113]))
def _cooked(walk: Walk, front: Front) -> None:
    _any_cooked(walk, front, SLL)


@layer("sll2", RANK_FRAME, (LINKTYPE, [276]))
def _cooked2(walk: Walk, front: Front) -> None:
    _any_cooked(walk, front, SLL2)


def _any_cooked(walk: Walk, front: Front, layout: np.dtype[np.void]) -> None:
    front = walk.enter(front, ID["sll"], layout.itemsize)
    header = walk.read(front.at, layout)
    # The sender is all that a cooked header knows.
    known = (header["address_length"] == 6).nonzero()[0]
    walk.rows.src_lo[front.row[known]] = _address(pick(header, known), "address")
    walk.rows.kind[front.row[known]] = KIND_MAC
    # Protocols below 0x600 are Linux's own (4: LLC); on a netlink tap the field is a netlink family.
    protocols = wide(header["protocol"])
    layers = ETHERTYPE.layers[protocols]
    layers[protocols < TYPE_MIN] = DATA
    layers[protocols == 4] = number_of("llc")
    layers[protocols == 7] = number_of("ppp")
    layers[header["arphrd"] == ARPHRD_NETLINK] = DATA
    walk.hand(front.moved(layout.itemsize), layers)


@layer("raw", RANK_FRAME, (LINKTYPE, [12, 14, 101]))
def _raw(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["raw"], 1)
    walk.hand(front, IP_VERSION.layers[walk.raw[front.at] >> 4])


@layer("null", RANK_FRAME, (LINKTYPE, [0]))
def _null(walk: Walk, front: Front) -> None:
    """BSD loopback, the address family in the byte order of the machine that captured."""
    front = walk.enter(front, ID["null"], 4)
    word = walk.read(front.at, WORD32)["word"].astype(np.uint32)
    family = np.where(word > 0xFFFF, word.byteswap(), word)
    # Both halves swapped, as some machines write it.
    family = np.where((family < TYPE_MIN) & (family & 0xFF == 0), family >> 8, family)
    layers = BSD_FAMILY.layers[np.minimum(family, 255)]
    typed = (family >= TYPE_MIN) & (family <= 0xFFFF)
    layers[typed] = ETHERTYPE.layers[family[typed]]
    # PPP in HDLC framing comes under this link type too.
    framed = word >> 16 == 0xFF03
    walk.hand(front.take(framed), number_of("ppp"))
    walk.hand(front.take(~framed).moved(4), layers[~framed])


@layer("loop family", RANK_FRAME, (LINKTYPE, [108]))
def _loop(walk: Walk, front: Front) -> None:
    """OpenBSD's loopback, always big-endian."""
    front = walk.enter(front, ID["null"], 4)
    family = walk.read(front.at, WORD32)["word"]
    walk.hand(front.moved(4), BSD_FAMILY.layers[np.minimum(family, 255)])


@layer("tr", RANK_FRAME, (LINKTYPE, [6]))
def _token_ring(walk: Walk, front: Front) -> None:
    """IEEE 802.5: a source address with its first bit set is followed by routing information."""
    front = walk.enter(front, ID["tr"], 15)
    routed = walk.raw[front.at + 8] & 0x80 != 0
    size = 14 + np.where(routed, walk.raw[front.at + 14] & 0x1F, 0)
    llc = walk.raw[front.at + 1] & 0xC0 == 0x40
    walk.hand(front.take(~llc), DATA)
    walk.hand(front.take(llc).moved(size[llc]), number_of("llc"))


@layer("fddi", RANK_FRAME, (LINKTYPE, [10]))
def _fddi(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["fddi"], 13)
    llc = walk.raw[front.at] & 0xF0 == 0x50
    walk.hand(front.take(~llc), DATA)
    walk.hand(front.take(llc).moved(13), number_of("llc"))


@layer("ipfc", RANK_FRAME, (LINKTYPE, [122]))
def _ip_over_fibre_channel(walk: Walk, front: Front) -> None:
    walk.hand(walk.enter(front, ID["ipfc"], 16).moved(16), number_of("llc"))


@layer("ap1394", RANK_FRAME, (LINKTYPE, [138]))
def _firewire(walk: Walk, front: Front) -> None:
    front = walk.enter(front, ID["ap1394"], 18)
    walk.hand(front.moved(18), ETHERTYPE.layers[walk.read(front.at + 16, WORD16)["word"]])


@layer("pflog", RANK_FRAME, (LINKTYPE, [117]))
def _packet_filter_log(walk: Walk, front: Front) -> None:
    """OpenBSD's pf: the header says its size, padded to 4 bytes, and the address family."""
    front = walk.enter(front, ID["pflog"], 2)
    size = (wide(walk.raw[front.at]) + 3) & ~3
    walk.hand(front.moved(size), BSD_FAMILY.layers[walk.raw[front.at + 1]])


@layer("mpls", RANK_LINK, (ETHERTYPE, [0x8847, 0x8848]), (PPP_PROTOCOL, [0x0281, 0x0283]), (IP_PROTOCOL, [137]))
def _mpls(walk: Walk, front: Front) -> None:
    _label(walk, walk.enter(front, ID["mpls"], 4))


@layer("mpls label", RANK_LINK)
def _label(walk: Walk, front: Front) -> None:
    """RFC 3032: one label a step; after the bottom of the stack comes IP, or what a pseudowire carries."""
    front, _ = walk.having(front, 4)
    label = walk.read(front.at, WORD32)["word"].astype(np.uint32)
    last = label & 0x100 != 0
    front = front.moved(4)
    walk.hand(front.take(~last), number_of("mpls label"))
    front, label = front.take(last), label[last] >> 12
    empty = front.end <= front.at
    if empty.any():
        walk.stop(front.take(empty))
        front, label = front.take(~empty), label[~empty]
    nibble = walk.raw[front.at] >> 4
    layers = IP_VERSION.layers[nibble]
    layers[nibble == 0] = number_of("pseudowire")
    layers[(nibble == 1) | (label == GENERIC_ASSOCIATED_CHANNEL)] = number_of("pwach")
    walk.hand(front, layers)


GENERIC_ASSOCIATED_CHANNEL: Final = 13


@layer("pwach", RANK_LINK)
def _associated_channel(walk: Walk, front: Front) -> None:
    """RFC 4385, section 5: the channel type is a PPP protocol's number where it is IP."""
    front = walk.enter(front, ID["pwach"], 4)
    kind = walk.read(front.at + 2, WORD16)["word"]
    walk.hand(front.moved(4), np.where((kind == 0x21) | (kind == 0x57), PPP_PROTOCOL.layers[kind], np.uint8(DATA)))


@layer("pseudowire", RANK_LINK)
def _pseudowire(walk: Walk, front: Front) -> None:
    """RFC 4448: an Ethernet frame, after a control word or without; nothing says which, so it must look like one."""
    for name, size in (("pwethnocw", 0), ("pwethcw", 4)):
        fits = _looks_like_ethernet(walk, front, size)
        found = walk.below(walk.below(front.take(fits), ID["pwethheuristic"]), ID[name])
        walk.hand(found.moved(size), number_of("eth"))
        front = front.take(~fits)
    walk.hand(front, DATA)


def _looks_like_ethernet(walk: Walk, front: Front, skip: int) -> NDArray[np.bool_]:
    """Two addresses that vendors gave to single cards, and a type that is known."""
    fits: NDArray[np.bool_] = front.end - front.at >= skip + ETHERNET.itemsize
    some = fits.nonzero()[0]
    at = front.at[some] + skip
    known = ETHERTYPE.layers[wide(walk.read(at + 12, WORD16)["word"])] != DATA
    fits[some] = known & ((walk.raw[at] | walk.raw[at + 6]) & 0x03 == 0)
    return fits


leaf("stp", (LLC_SAP, [0x42]), (CISCO_TYPE, [0x010B, 0x010C]))
leaf("cdp", (CISCO_TYPE, [0x2000]))
leaf("lldp", (ETHERTYPE, [0x88CC]))
leaf("slow", (ETHERTYPE, [0x8809]))
leaf("eapol", (ETHERTYPE, [0x888E]))
leaf("loop", (ETHERTYPE, [0x9000]))
leaf("goose", (ETHERTYPE, [0x88B8]))
leaf("ptp", (ETHERTYPE, [0x88F7]))
leaf("macsec", (ETHERTYPE, [0x88E5]))
leaf("cfm", (ETHERTYPE, [0x8902]))
leaf("ipx", (ETHERTYPE, [0x8137]), (LLC_SAP, [0xE0]))
leaf("netbios", (LLC_SAP, [0xF0]))


@layer("osi", RANK_SHIM, (LLC_SAP, [0xFE]))
def _osi(walk: Walk, front: Front) -> None:
    """ISO 9577: the first byte says which protocol."""
    front = walk.enter(front, ID["osi"], 1)
    routing = walk.raw[front.at] == 0x83
    walk.end(front.take(routing), ID["isis"])
    walk.stop(front.take(~routing))
