"""`--fields`: one line a packet, the first occurrence of each field from the outermost layer to the innermost.

Fields from link to transport are read for a whole block at once, at the header positions that the decoder noted; all
others come from the dissected packets, in one pass that remembers those before: a name from a message that spans
packets stands in the one that completes it. A value appears only if its bytes were captured and lie inside its layer
(CONTRACT.md, `--fields`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from netwatch.capture.columns import EVENT
from netwatch.capture.field_names import PROTOCOLS, ROW_COLUMNS, FieldError, canonical, check_names
from netwatch.capture.frame_fields import FRAME_COLUMNS, Frames, Times, protocols
from netwatch.capture.layouts import ARP, ETHERNET, ICMP, IPV4, IPV6, TAG, TCP, UDP, WORD32, gather
from netwatch.capture.passing import passing
from netwatch.capture.text import ipv4, ipv6, mac

if TYPE_CHECKING:
    from netwatch.capture.block import Block, Interface
    from netwatch.capture.decode import Decoded, Headers
    from netwatch.capture.dissect import Item
    from netwatch.capture.dissect.outcome import Buffer
    from netwatch.capture.passing import Passed

__all__ = ["FieldError", "FieldWriter"]

Texts = Sequence[str]


class _View:
    """A block and what was decoded of it, as the columns read them."""

    def __init__(self, frames: Frames, decoded: Decoded) -> None:
        if decoded.headers is None:
            raise ValueError("fields need the header positions of Decoder(fields=True)")
        self.frames = frames
        self.block = frames.block
        self.headers: Headers = decoded.headers
        self.rows = frames.rows

    def header(self, name: str, start: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Packets whose first header `name` has the bytes start ... start + size, and where these are."""
        at = self.headers.at(name)[self.rows]
        have = (at >= 0) & (at + start + size <= self.headers.end(name)[self.rows])
        index = have.nonzero()[0]
        return index, at[index] + start

    def read(self, name: str, layout: np.dtype[Any], field: str, need: int) -> tuple[NDArray[np.intp], NDArray[Any]]:
        """Packets that show the field, and its values. `need`: bytes of the header that must be there."""
        dtype, start = layout.fields[field][:2] if layout.fields else (layout, 0)
        size = max(need - start, dtype.itemsize)
        index, at = self.header(name, start, size)
        values = gather(self.headers.raw, at, np.dtype([(field, dtype)]))[field]
        return index, values


Column = Callable[[_View], Texts]


def _spread(n: int, index: NDArray[np.intp], texts: NDArray[np.object_]) -> Texts:
    """Texts at their packets, empty ones elsewhere."""
    column = np.full(n, "", object)
    column[index] = texts
    made: list[str] = column.tolist()
    return made


def _each(values: NDArray[Any], form: Callable[[Any], str]) -> NDArray[np.object_]:
    """The text of every value, made once for equal ones."""
    distinct, inverse = np.unique(values, return_inverse=True)
    texts = np.empty(len(distinct), object)
    texts[:] = [form(value) for value in distinct.tolist()]
    return texts[inverse]


def _number(
    name: str, layout: np.dtype[Any], field: str, form: Callable[[Any], str] = str, *, need: int = 0, mask: int = -1
) -> Column:
    """A number of at most 64 bits. `need`: bytes of the header without which it is not shown."""

    def column(view: _View) -> Texts:
        index, values = view.read(name, layout, field, need)
        return _spread(len(view.rows), index, _each(values if mask < 0 else values & mask, form))

    return column


def _address(name: str, start: int, size: int, form: Callable[[bytes], str], *, need: int = 0) -> Column:
    """An address of `size` bytes, `start` bytes into the header."""

    def column(view: _View) -> Texts:
        index, at = view.header(name, start, max(need - start, size))
        values = gather(view.headers.raw, at, np.dtype((np.bytes_, size)))
        # numpy drops trailing zeros of byte strings: they are put back.
        return _spread(len(view.rows), index, _each(values, lambda value: form(value.ljust(size, b"\0"))))

    return column


def _eth_type(view: _View) -> Texts:
    index, values = view.read("eth", ETHERNET, "type", 0)
    typed = (values >= ETHERTYPE_MIN) | (values == 0)
    return _spread(len(view.rows), index[typed], _each(values[typed], _hex16))


def _ip_len(view: _View) -> Texts:
    """Zero, which segmentation offload leaves, stands for what there is; a length that lies is told (as tshark)."""
    index, values = view.read("ip", IPV4, "length", 0)
    rows = view.rows[index]
    end = view.block.offsets[rows] + view.block.wirelen[rows]
    values = np.where(values == 0, end - view.headers.at("ip")[rows], values)
    lies, told = view.read("ip lie", IPV4, "length", 0)
    both = np.concatenate((lies, index))  # an inner header's lie is not the first length
    return _spread(len(view.rows), both, _each(np.concatenate((told.astype(values.dtype), values)), str))


def _ip_dst(view: _View) -> Texts:
    """The last hop of a source route among the options that is still under way (RFC 791, 3.1), as tshark."""
    index, at = view.header("ip", _IP_DST, 4)
    raw = view.headers.raw
    size = (raw[at - _IP_DST].astype(np.intp) & 0x0F) * 4 - IPV4.itemsize
    end = view.headers.end("ip")[view.rows[index]]
    known = np.ones(len(index), np.bool_)
    for some in (size > 0).nonzero()[0].tolist():
        start = int(at[some]) + 4
        place = _destination(raw[start : min(start + _MAX_OPTIONS, int(end[some]))].tobytes(), int(size[some]))
        known[some] = place is not None
        at[some] = start + (place or 0)
    index, at = index[known], at[known]
    return _spread(len(view.rows), index, _each(gather(raw, at, WORD32)["word"], _ipv4_number))


def _udp_length(view: _View) -> Texts:
    """UDP-Lite has none in its header (RFC 3828, 3.1): what the network layer gives it, if that was captured."""
    index, values = view.read("udp", UDP, "length", 0)
    rows = view.rows[index]
    at, end = view.headers.at("udp")[rows], view.headers.end("udp")[rows]
    lite = view.headers.at("udplite")[rows] == at
    known = ~lite | (view.block.caplen[rows] == view.block.wirelen[rows])
    values = np.where(lite, end - at, values)
    return _spread(len(view.rows), index[known], _each(values[known], str))


def _destination(options: bytes, size: int) -> int | None:
    """Where the destination stands, counted from the first option; None if bytes that tell are missing.

    `options`: what was captured from there on, perhaps more than the `size` bytes that the header gives them.
    """
    place = 0
    while place < size:
        kind, length, pointer = (*options[place : place + 3], -1, -1, -1)[:3]
        if kind == _NO_OPERATION:
            place += 1
            continue
        if kind == _END_OF_OPTIONS or (kind >= 0 and place + 1 == size):
            break
        if length < 0:
            return None
        if length < 2 or place + length > size:
            break
        if kind in _SOURCE_ROUTES:
            if pointer >= 0 and (pointer < 4 or pointer & 3 or pointer > length):
                break
            # A route is told only with all of the options.
            return place + length - 4 if len(options) >= size and pointer >= 0 else None
        place += length
    return -4


def _ipv4_number(value: int) -> str:
    return ipv4(value.to_bytes(4, "big"))


def _hex16(value: int) -> str:
    return f"0x{value:04x}"


def _arp(column: Column) -> Column:
    """Only of ARP between Ethernet and IPv4 addresses is it known where they lie."""

    def checked(view: _View) -> Texts:
        index, at = view.header("arp", 0, ARP.itemsize)
        header = gather(view.headers.raw, at, ARP)
        known = header["hardware"] == 1
        known &= (header["protocol"] == 0x0800) & (header["hardware_size"] == 6) & (header["protocol_size"] == 4)
        shown = np.zeros(len(view.rows), np.bool_)
        shown[index[known]] = True
        return [text if show else "" for text, show in zip(column(view), shown.tolist(), strict=True)]

    return checked


ETHERTYPE_MIN: Final = 0x0600
_ETH_WHOLE: Final = ETHERNET.itemsize
_ARP_WHOLE: Final = 28
_IP_DST: Final = 16
_MAX_OPTIONS: Final = 44
_END_OF_OPTIONS: Final = 0
_NO_OPERATION: Final = 1
_SOURCE_ROUTES: Final = (131, 137)
"""Options of IPv4: loose and strict source route."""
_TCP_WINDOW: Final = 16
_ICMP_LENGTH: Final = 6
_PORTS_WHOLE: Final = 4


def _of_frame(column: Callable[[Frames], Texts]) -> Column:
    return lambda view: column(view.frames)


COLUMNS: Final[dict[str, Column]] = {
    **{name: _of_frame(column) for name, column in FRAME_COLUMNS.items()},
    "eth.dst": _address("eth", 0, 6, mac, need=_ETH_WHOLE),
    "eth.src": _address("eth", 6, 6, mac, need=_ETH_WHOLE),
    "eth.addr": _address("eth", 0, 6, mac, need=_ETH_WHOLE),
    "eth.type": _eth_type,
    "vlan.id": _number("vlan", TAG, "tci", mask=0x0FFF),
    "vlan.priority": _number("vlan", TAG, "tci", lambda tci: str(tci >> 13)),
    "ieee8021ad.id": _number("ieee8021ad", TAG, "tci", need=TAG.itemsize, mask=0x0FFF),
    "arp.opcode": _number("arp", ARP, "opcode"),
    "arp.src.hw_mac": _arp(_address("arp", 8, 6, mac, need=_ARP_WHOLE)),
    "arp.src.proto_ipv4": _arp(_address("arp", 14, 4, ipv4, need=_ARP_WHOLE)),
    "arp.dst.hw_mac": _arp(_address("arp", 18, 6, mac, need=_ARP_WHOLE)),
    "arp.dst.proto_ipv4": _arp(_address("arp", 24, 4, ipv4)),
    "ip.len": _ip_len,
    "ip.id": _number("ip", IPV4, "id", _hex16),
    "ip.ttl": _number("ip", IPV4, "ttl"),
    "ip.proto": _number("ip", IPV4, "protocol"),
    "ip.src": _address("ip", 12, 4, ipv4),
    "ip.dst": _ip_dst,
    "ip.addr": _address("ip", 12, 4, ipv4),
    "ipv6.plen": _number("ipv6", IPV6, "length", need=7),
    "ipv6.nxt": _number("ipv6", IPV6, "next"),
    "ipv6.hlim": _number("ipv6", IPV6, "hop_limit"),
    "ipv6.src": _address("ipv6", 8, 16, ipv6),
    "ipv6.dst": _address("ipv6", 24, 16, ipv6),
    "ipv6.addr": _address("ipv6", 8, 16, ipv6),
    "tcp.srcport": _number("tcp", TCP, "sport", need=_PORTS_WHOLE),
    "tcp.dstport": _number("tcp", TCP, "dport", need=_PORTS_WHOLE),
    "tcp.port": _number("tcp", TCP, "sport", need=_PORTS_WHOLE),
    "tcp.flags": _number("tcp flags", TCP, "offset_flags", _hex16, need=_TCP_WINDOW, mask=0x0FFF),
    "tcp.window_size_value": _number("tcp flags", TCP, "window"),
    "udp.srcport": _number("udp", UDP, "sport", need=_PORTS_WHOLE),
    "udp.dstport": _number("udp", UDP, "dport", need=_PORTS_WHOLE),
    "udp.port": _number("udp", UDP, "sport", need=_PORTS_WHOLE),
    "udp.length": _udp_length,
    "icmp.type": _number("icmp", ICMP, "type", need=_ICMP_LENGTH),
    "icmp.code": _number("icmp", ICMP, "code", need=_ICMP_LENGTH),
    "icmpv6.type": _number("icmpv6", ICMP, "type"),
    "icmpv6.code": _number("icmpv6", ICMP, "code"),
}
"""The fields that are read for a whole block at once."""


PIECE: Final = 500
"""Packets whose lines are given out at once where each is dissected: that takes a tenth of a second."""


class _Dissected:
    """The columns that dissectors make: it is shown every packet once, in order."""

    def __init__(self, names: Iterable[str]) -> None:
        from netwatch.capture.dissect import Context
        from netwatch.capture.dissect.derived import following

        self._context = Context()
        self._names = tuple(names)
        self._wanted = frozenset(self._names).difference(ROW_COLUMNS)
        self._following = following(self._wanted)

    def columns(self, packets: Iterable[Passed]) -> dict[str, Texts]:
        """The texts of these packets, by name."""
        made = [self._texts(packet) for packet in packets]
        return {name: [texts.get(name, "") for texts in made] for name in self._names}

    def _texts(self, packet: Passed) -> dict[str, str]:
        from netwatch.capture.dissect import dissect, summarise

        number, ts, data, linktype, wirelen, _ = packet
        if not self._wanted:
            # Without a tree, which is half the work.
            row = summarise(data, linktype, wirelen, context=self._context, number=number, ts=ts or 0)
            return dict(zip(ROW_COLUMNS, (row.protocol, row.info, row.source, row.destination), strict=True))
        tree = dissect(data, linktype, wirelen, context=self._context, number=number, ts=ts or 0)
        texts = dict(zip(ROW_COLUMNS, (tree.protocol, tree.info, tree.source, tree.destination), strict=True))
        if PROTOCOLS in self._wanted:
            texts[PROTOCOLS] = ":".join(protocols(tree.layers))
        self._first_texts(tree.layers, tree.buffers, texts)
        return texts

    def _first_texts(self, items: Iterable[Item], buffers: Sequence[Buffer], texts: dict[str, str]) -> None:
        """Adds the first occurrence of each name that is wanted, depth first."""
        for item in items:
            name = item.field.name
            if name in self._wanted and name not in texts:
                texts[name] = _text(item)
            if name in self._following:
                self._follow(item, buffers, texts)
            if item.children:
                self._first_texts(item.children, buffers, texts)

    def _follow(self, item: Item, buffers: Sequence[Buffer], texts: dict[str, str]) -> None:
        """Adds the names that follow from this one."""
        from netwatch.capture.dissect.derived import made_of

        for field, convert in self._following[item.field.name]:
            if field.name not in texts:
                made = made_of(item, field, convert, buffers)
                if made is not None:
                    texts[field.name] = _text(made)


def _text(item: Item) -> str:
    """As tshark: of a layer its line in the tree, of a heading that it is there."""
    from netwatch.capture.dissect import fields_text

    if item.value is not None:
        return fields_text(item)
    if "." in item.field.name:
        return "1"
    return f"{item.field.label}, {item.text}" if item.text else item.field.label


class FieldWriter:
    """Makes the lines of `--fields`, block after block."""

    def __init__(self, names: Sequence[str]) -> None:
        """Raises FieldError for an unknown name."""
        check_names(names)
        self._asked = list(names)
        self._names = [canonical(name) for name in names]
        others = dict.fromkeys(name for name in self._names if name not in COLUMNS)
        self._dissected = _Dissected(others) if others else None
        self._number = 1
        self._times = Times()
        self.interfaces: Sequence[Interface] = ()
        """The source's."""

    def header(self) -> str:
        """The first line, with its line feed: the names as they were asked for."""
        return "\t".join(self._asked) + "\n"

    def lines(self, block: Block, decoded: Decoded) -> str:
        """One line a packet; events are none. `decoded` must come from Decoder(fields=True)."""
        return "".join(self.pieces(block, decoded))

    def pieces(self, block: Block, decoded: Decoded) -> Iterator[str]:
        """The same, some lines at a time where each packet must be dissected."""
        rows = (block.marks & EVENT == 0).nonzero()[0]
        view = _View(Frames(block, rows, self._number, self._times, self.interfaces), decoded)
        self._number += len(rows)
        if len(rows):
            times = block.ts[rows[[0, -1]]].tolist()
            self._times = Times(times[0] if self._times.first is None else self._times.first, times[1])
        columns = {name: COLUMNS[name](view) for name in self._names if name in COLUMNS}
        if self._dissected is None:
            yield self._joined(columns)
            return
        packets = passing(block, view.frames.first_number)
        for first in range(0, len(rows), PIECE):
            piece = {name: texts[first : first + PIECE] for name, texts in columns.items()}
            yield self._joined(piece | self._dissected.columns(islice(packets, PIECE)))

    def _joined(self, columns: dict[str, Texts]) -> str:
        lines = zip(*(columns[name] for name in self._names), strict=True)
        return "".join(["\t".join(texts) + "\n" for texts in lines])
