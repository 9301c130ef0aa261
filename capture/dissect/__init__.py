"""One packet → a tree of fields, each with its bytes, and the text of its row.

Every module of this package declares one protocol or a family of them and registers what it is called by; importing
the package loads them all. How to add one: CONTRIBUTING.md.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from netwatch.capture.dissect.context import Context
from netwatch.capture.dissect.derived import Following, following, made_of
from netwatch.capture.dissect.kit import FIELDS, Field, Item, fields_text
from netwatch.capture.dissect.packet import MAX_INFO, Packet, Summary, Tree, Verdict
from netwatch.capture.dissect.registry import step
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netwatch.capture.dissect.outcome import Buffer

__all__ = [
    "Context",
    "Field",
    "Item",
    "Summary",
    "Tree",
    "Verdict",
    "dissect",
    "field_names",
    "fields_text",
    "find",
    "items_named",
    "summarise",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def dissect(
    data: bytes,
    linktype: int,
    wirelen: int | None = None,
    *,
    context: Context | None = None,
    number: int = 0,
    ts: int = 0,
) -> Tree:
    """`data`, a packet of LINKTYPE_ `linktype` that had `wirelen` bytes on the wire, as a tree. Never raises.

    `context`: what the packets before left behind, which this one adds to: to be given each packet once, in order.
    `number`: the packet's, 1-based; `ts`: nanoseconds since 1970.
    """
    packet = _run(Packet(bytes(data), len(data) if wirelen is None else wirelen, True, context, number, ts), linktype)
    return Tree(
        tuple(packet.layers),
        escape(packet.protocol),
        escape((packet.prefix + packet.info)[:MAX_INFO]),
        packet.source,
        packet.destination,
        packet.verdict,
        tuple(packet.buffers),
    )


def summarise(
    data: bytes,
    linktype: int,
    wirelen: int | None = None,
    *,
    context: Context | None = None,
    number: int = 0,
    ts: int = 0,
) -> Summary:
    """The columns of a row, without the tree. As `dissect`."""
    packet = _run(
        Packet(bytes(data), len(data) if wirelen is None else wirelen, False, context, number, ts), linktype
    )
    info = escape((packet.prefix + packet.info)[:MAX_INFO])
    return Summary(escape(packet.protocol), info, packet.source, packet.destination, packet.name)


def items_named(
    names: frozenset[str],
    data: bytes,
    linktype: int,
    wirelen: int,
    *,
    context: Context | None = None,
    number: int = 0,
    ts: int = 0,
) -> dict[str, list[Item]]:
    """The items of these names in the tree, by name, as far as there are any: without their places. As `dissect`."""
    packet = _run(Packet(bytes(data), wirelen, True, context, number, ts), linktype, places=False)
    found: dict[str, list[Item]] = {}
    _collect(packet.layers, names, following(names), packet.buffers, found)
    return found


def _collect(
    items: Iterable[Item],
    names: frozenset[str],
    follow: Following,
    buffers: Sequence[Buffer],
    found: dict[str, list[Item]],
) -> None:
    for item in items:
        name = item.field.name
        if name in names:
            found.setdefault(name, []).append(item)
        for field, convert in follow.get(name, ()):
            made = made_of(item, field, convert, buffers)
            if made is not None:
                found.setdefault(field.name, []).append(made)
        if item.children:
            _collect(item.children, names, follow, buffers, found)


def _run(packet: Packet, linktype: int, *, places: bool = True) -> Packet:
    packet.run(step("linktype", linktype, 0, packet.wirelen))
    packet.finish(places=places)
    return packet


def field_names() -> frozenset[str]:
    """Every field that a dissector names: what `--fields` and filters may ask for."""
    return frozenset(FIELDS)


def find(tree: Tree, name: str) -> Item | None:
    """The first item of that name, from the outermost layer to the innermost, depth first."""
    return _find(tree.layers, name)


def _find(items: Iterable[Item], name: str) -> Item | None:
    for item in items:
        if item.field.name == name:
            return item
        found = _find(item.children, name)
        if found is not None:
            return found
    return None
