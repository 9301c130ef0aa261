"""Names in the tree of an opened packet, behind what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.text import ipv4, ipv6, mac
from netwatch.capture.tree_text import describe
from netwatch.widgets.naming import others_of, seen
from netwatch.widgets.painting import harmless

if TYPE_CHECKING:
    from netwatch.capture.dissect import Item
    from netwatch.widgets.display import Display
    from netwatch.widgets.palette import Glyphs

__all__ = ["named_line"]

_PORTS: Final = {"tcp.srcport": False, "tcp.dstport": False, "udp.srcport": True, "udp.dstport": True}
"""Whether a port is UDP's, by the field's name."""


def named_line(item: Item, display: Display, glyphs: Glyphs, latest: int | None, *, flows: bool) -> str:
    """The line of an item; while names are shown with its address's or port's, as tshark has it: NAME (ADDRESS)."""
    line = describe(item)
    if not display.named or item.said:
        return line
    if item.field.plain in (ipv4, ipv6, mac) and isinstance(item.value, bytes):
        address = item.text
        name = display.name_of(address)
        vendor = display.organisation_of(address) if item.field.plain is mac else ""
        if name is None:
            return f"{line}, {vendor}" if vendor else line
        sign = glyphs.learned if name.origin.by_strangers else ""
        known = (
            f"{sign}{harmless(name.text)}{others_of(name)} ({address}), {vendor or seen(name, latest, flows=flows)}"
        )
        return line.removesuffix(address) + known
    if item.field.name in _PORTS and isinstance(item.value, int):
        service = display.service_of(item.value, udp=_PORTS[item.field.name])
        return line.removesuffix(str(item.value)) + f"{service} ({item.value})" if service else line
    return line
