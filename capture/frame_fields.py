"""`--fields`: what a record says of its packet, `frame.…`, and the list's columns that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from netwatch.capture.columns import UNTIMED
from netwatch.capture.text import absolute

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netwatch.capture.block import Block, Interface
    from netwatch.capture.dissect import Item

__all__ = ["FRAME_COLUMNS", "Frames", "Times", "protocols"]

Texts = Sequence[str]


class Times(NamedTuple):
    """What earlier packets say of time, in nanoseconds; None: there were none."""

    first: int | None = None
    latest: int | None = None
    """Of the packet right before."""


class Frames(NamedTuple):
    """The packets of a block."""

    block: Block
    rows: NDArray[np.intp]
    """Records that are packets."""
    first_number: int
    times: Times
    interfaces: Sequence[Interface]
    """The source's."""


def _number(frames: Frames) -> Texts:
    return [str(number) for number in range(frames.first_number, frames.first_number + len(frames.rows))]


def _time(frames: Frames) -> Texts:
    return _timed(frames, [absolute(ts) for ts in frames.block.ts[frames.rows].tolist()])


def _time_epoch(frames: Frames) -> Texts:
    seconds, rest = np.divmod(frames.block.ts[frames.rows], 1_000_000_000)
    return _timed(frames, [f"{at}.{part:09d}" for at, part in zip(seconds.tolist(), rest.tolist(), strict=True)])


def _time_relative(frames: Frames) -> Texts:
    """Seconds since the first packet."""
    return _timed(frames, _seconds(_since_first(frames)))


def _time_delta(frames: Frames) -> Texts:
    """Seconds since the packet before."""
    times = frames.block.ts[frames.rows]
    before = np.concatenate([times[:1] if frames.times.latest is None else [frames.times.latest], times[:-1]])
    return _timed(frames, _seconds(times - before[: len(times)]))


def _since_first(frames: Frames) -> NDArray[np.int64]:
    times = frames.block.ts[frames.rows]
    first = frames.times.first
    return times - (times[:1] if first is None else first)


def _seconds(nanoseconds: NDArray[np.int64], digits: int = 9) -> list[str]:
    unit = 10 ** (9 - digits)
    seconds, rest = np.divmod((np.abs(nanoseconds) + unit // 2) // unit, 10**digits)
    signs = np.where(nanoseconds < 0, "-", "").tolist()
    parts = zip(signs, seconds.tolist(), rest.tolist(), strict=True)
    return [f"{sign}{second}.{part:0{digits}d}" for sign, second, part in parts]


def _timed(frames: Frames, texts: list[str]) -> Texts:
    """Without those of records that have no time."""
    for row in (frames.block.marks[frames.rows] & UNTIMED).nonzero()[0].tolist():
        texts[row] = ""
    return texts


def _column_time(frames: Frames) -> Texts:
    """As the list of tshark has it: seconds since the first packet, to the microsecond."""
    return _timed(frames, _seconds(_since_first(frames), 6))


def _length(frames: Frames) -> Texts:
    return [str(size) for size in frames.block.wirelen[frames.rows].tolist()]


def _captured(frames: Frames) -> Texts:
    return [str(size) for size in frames.block.caplen[frames.rows].tolist()]


def _interface(text: Callable[[int, Interface], str]) -> Callable[[Frames], Texts]:
    """What is known of the interface of each packet."""

    def column(frames: Frames) -> Texts:
        known = [text(index, each) if each.described else "" for index, each in enumerate(frames.interfaces)]
        return [known[index] if index < len(known) else "" for index in frames.block.iface[frames.rows].tolist()]

    return column


def _encapsulation(frames: Frames) -> Texts:
    return [str(_ENCAPSULATIONS.get(kind, "")) for kind in frames.block.linktype[frames.rows].tolist()]


def _always(text: str) -> Callable[[Frames], Texts]:
    return lambda frames: [text] * len(frames.rows)


_ENCAPSULATIONS: Final = {
    0: 15, 1: 1, 6: 2, 7: 8, 8: 3, 9: 4, 10: 5, 12: 7, 14: 7, 50: 4, 51: 4, 101: 7, 104: 28, 105: 20, 107: 26,
    108: 174, 113: 25, 114: 30, 117: 39, 119: 21, 127: 23, 163: 24, 166: 19, 228: 129, 229: 130, 274: 208, 276: 210,
}  # fmt: skip
"""LINKTYPE_ value → Wireshark's own number of it, which `frame.encap_type` is."""


def protocols(layers: Iterable[Item]) -> Iterator[str]:
    """What `frame.protocols` tells of a packet: its layers, and where a number told which one comes next."""
    for layer in layers:
        name = layer.field.name
        if not name or ("." in name and not name.startswith("ipv6.")):
            continue
        yield name
        if any(child.field.name in _TOLD for child in layer.children):
            yield "ethertype"
        if name in _QUOTING:
            yield from protocols(layer.children)


_TOLD: Final = frozenset({"eth.type", "vlan.etype", "ieee8021ah.etype", "sll.etype"})
_QUOTING: Final = frozenset({"icmp", "icmpv6"})

FRAME_COLUMNS: Final[dict[str, Callable[[Frames], Texts]]] = {
    "frame.number": _number,
    "frame.time": _time,
    "frame.time_epoch": _time_epoch,
    "frame.time_relative": _time_relative,
    "frame.time_delta": _time_delta,
    "frame.time_delta_displayed": _time_delta,  # every packet is displayed
    "frame.offset_shift": _always("0.000000000"),
    "frame.len": _length,
    "frame.cap_len": _captured,
    "frame.marked": _always("0"),
    "frame.ignored": _always("0"),
    "frame.encap_type": _encapsulation,
    "frame.interface_id": _interface(lambda index, _: str(index)),
    "frame.interface_name": _interface(lambda _, interface: interface.name or "unknown"),
    "_ws.col.No.": _number,
    "_ws.col.Time": _column_time,
    "_ws.col.Length": _length,
}
"""By name."""
