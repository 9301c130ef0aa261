"""Fragments of IP datagrams put together (RFC 791, 3.2; RFC 8200, 4.5): the one that completes it shows it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netwatch.capture.dissect.kit import group, number
from netwatch.capture.dissect.segments import SHOWN_NUMBERS, name_packets

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Field, Item
    from netwatch.capture.dissect.packet import Packet
    from netwatch.capture.dissect.registry import Step

__all__ = ["completed", "fragment_fields", "show"]


def fragment_fields(prefix: str, label: str) -> tuple[Field, Field, Field, Field]:
    """`ip.fragments` and what stands below it."""
    return (
        group(f"{prefix}.fragments", f"{label} fragments"),
        number(f"{prefix}.fragment", "Packet"),
        number(f"{prefix}.fragment.count", "Fragment count"),
        number(f"{prefix}.reassembled.length", f"Reassembled {label} length"),
    )


def completed(
    packet: Packet,
    layer: Item,
    fields: tuple[Field, Field, Field, Field],
    key: tuple[Any, ...],
    offset: int,
    more: bool,
    at: int,
    limit: int,
) -> bytes | None:
    """The payload of the datagram that this fragment completes, named below `layer`; None: others are missing.

    A fragment that was cut, or is empty, is no part of anything; those of other VLANs are of other datagrams.
    """
    if packet.context is None or limit > packet.caplen or limit <= at:
        return None
    key = (*key, packet.values.get("vlan.id"))
    whole = packet.context.fragments.add(key, offset, more, packet.data[at:limit], packet.number)
    if whole is None:
        return None
    data, numbers = whole
    if packet.build:
        parent = packet.add(layer, fields[0], None, layer.start, 0, name_packets(numbers, len(data)))
        for each in numbers[:SHOWN_NUMBERS]:
            packet.add(parent, fields[1], each, layer.start, 0)
        packet.add(parent, fields[2], len(numbers), layer.start, 0)
        packet.add(parent, fields[3], len(data), layer.start, 0)
    return data


def show(packet: Packet, name: str, payload: bytes, following: Step) -> None:
    """What the datagram holds, from its own bytes."""
    packet.info = ""
    packet.values["ip.fragment"] = False
    packet.aside(name, payload, following)
