"""`--json-packets`: each packet's tree as one JSON object a line (docs/FIELDS.md describes it)."""

from __future__ import annotations

import json
import math
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text
from netwatch.capture.passing import Passed, passing
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netwatch.capture.block import Block, Interface

__all__ = ["PIECE", "JsonWriter", "as_object"]

PIECE: Final = 200
"""Packets whose lines are given out at once."""
_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_NANOSECONDS: Final = 9
"""Digits."""
EXACT: Final = 1 << 53
"""Beyond, readers of JSON that know only floating point would change an integer."""


class JsonWriter:
    """Makes the lines of `--json-packets`: it is shown every packet once, in order."""

    def __init__(self) -> None:
        self._context = Context()
        self._number = 1
        self.interfaces: list[Interface] = []
        """The source's."""

    def pieces(self, block: Block) -> Iterator[str]:
        """One line a packet, some at a time; events are none."""
        packets = passing(block, self._number)
        while lines := [self._line(packet) for packet in islice(packets, PIECE)]:
            self._number += len(lines)
            yield "".join(lines)

    def _line(self, packet: Passed) -> str:
        number, ts, data, linktype, wirelen, iface = packet
        tree = dissect(data, linktype, wirelen, context=self._context, number=number, ts=ts or 0)
        name = self.interfaces[iface].name if iface < len(self.interfaces) else ""
        return _ENCODE(as_object(packet, tree, name)) + "\n"


def as_object(packet: Passed, tree: Tree, interface: str = "") -> dict[str, Any]:
    """A packet as its line has it. `interface`: the name of the one that it was captured on; empty: it has none."""
    values: dict[str, list[Any]] = {}
    layers = [_item(layer, values) for layer in tree.layers]
    verdict = tree.verdict
    return {
        "number": packet.number,
        "time": _time(packet.ts),
        "length": packet.wirelen,
        "captured": len(packet.data),
        "interface": escape(interface) if interface else None,
        "source": tree.source,
        "destination": tree.destination,
        "protocol": tree.protocol,
        "info": tree.info,
        "verdict": {"kind": verdict.kind}
        if verdict.kind == "ok"
        else {"kind": verdict.kind, "text": verdict.text, "offset": verdict.offset},
        "values": values,
        "layers": layers,
        "buffers": [{"name": buffer.name, "size": len(buffer.data)} for buffer in tree.buffers],
    }


def _item(item: Item, values: dict[str, list[Any]]) -> dict[str, Any]:
    """An item and those below it, whose values are added to `values` in the order in which `--fields` finds them."""
    field = item.field
    made: dict[str, Any] = {"name": field.name, "label": field.label}
    if item.value is not None:
        made["value"] = value = _value(item)
        if field.name:
            values.setdefault(field.name, []).append(value)
    if text := item.text:
        made["text"] = text
    made["start"] = item.start
    made["size"] = item.size
    if item.buffer:
        made["buffer"] = item.buffer
    if item.children:
        made["fields"] = [_item(child, values) for child in item.children]
    return made


def _value(item: Item) -> int | float | str:
    """A number where it is one, flags as 0 and 1; all else as `--fields` prints it."""
    value, plain = item.value, item.field.plain
    if isinstance(value, int) and plain is not str and not isinstance(value, bool):
        return _in_units(value, plain(value), fields_text(item))
    if (isinstance(value, int) and abs(value) <= EXACT) or (isinstance(value, float) and math.isfinite(value)):
        return int(value) if isinstance(value, bool) else value
    return fields_text(item)


def _in_units(value: int, shown: str, text: str) -> int | float | str:
    """An integer in the units that it is shown in; digits after a point that are as many as for a time are one."""
    if abs(value) > EXACT:
        return text
    if shown.startswith("0x"):
        return value
    try:
        whole, point, fraction = shown.partition(".")
        return text if len(fraction) == _NANOSECONDS else float(shown) if point else int(whole)
    except ValueError:
        return value


def _time(ts: int | None) -> str | None:
    """Seconds with nine digits, as `frame.time_epoch`."""
    if ts is None:
        return None
    seconds, rest = divmod(ts, 1_000_000_000)
    return f"{seconds}.{rest:09}"
