"""`--detail`: a packet's tree as text, each line with the bytes that it stands for, and the bytes themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from netwatch.capture.dissect.kit import absolute

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from netwatch.capture.dissect import Item, Tree
    from netwatch.capture.dissect.packet import Buffer
    from netwatch.capture.passing import Passed

__all__ = ["describe", "hex_lines", "tree_lines"]

_PER_ROW: Final = 16


def tree_lines(packet: Passed, tree: Tree) -> Iterator[str]:
    """Number, time and columns; then a line an item, indented, behind its range: `0-13`, `1:0-13` in buffer 1."""
    sizes = f"{packet.wirelen:,} bytes"
    if len(packet.data) != packet.wirelen:
        sizes += f", {len(packet.data):,} captured"
    yield " · ".join([f"Packet {packet.number:,}", *([absolute(packet.ts)] if packet.ts is not None else []), sizes])
    yield f"{tree.source} → {tree.destination}  {tree.protocol}  {tree.info}".rstrip()
    if tree.verdict.kind != "ok":
        yield f"{tree.verdict.kind}: {tree.verdict.text}"
    yield ""
    flat = list(_flat(tree.layers, 0))
    width = max((len(_range(item)) for _, item in flat), default=0)
    buffer = 0
    for depth, item in flat:
        if not depth and item.buffer != buffer:
            buffer = item.buffer
            yield f"{_headline(buffer, tree.buffers[buffer])}:"
        yield f"{_range(item):<{width}}  {'    ' * depth}{describe(item)}"


def hex_lines(tree: Tree) -> Iterator[str]:
    """The bytes of every buffer."""
    for index, buffer in enumerate(tree.buffers):
        yield f"{_headline(index, buffer)}:"
        for start in range(0, len(buffer.data), _PER_ROW):
            row = buffer.data[start : start + _PER_ROW]
            halves = f"{row[:8].hex(' ')}  {row[8:].hex(' ')}"
            shown = "".join([chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row])
            yield f"{start:04x}  {halves:<{3 * _PER_ROW}}  {shown}"


def describe(item: Item) -> str:
    """The line of an item: its bits where it is a part of a word, its label, what its value means."""
    text = f"{item.field.label}: {item.text}" if item.field.label and item.text else item.field.label or item.text
    return f"{_pattern(item)} = {text}" if item.field.mask and isinstance(item.value, int) else text


def _pattern(item: Item) -> str:
    """`.... ..1.`: the bits of a field within the bytes that hold it."""
    mask = item.field.mask
    skipped = ((mask & -mask).bit_length() - 1) // 8 * 8  # whole bytes of the word to the right of the field
    value = item.value // item.field.times << item.field.shift >> skipped
    mask >>= skipped
    digits = [
        ("1" if value >> bit & 1 else "0") if mask >> bit & 1 else "." for bit in reversed(range(8 * item.size))
    ]
    return " ".join("".join(digits[at : at + 4]) for at in range(0, len(digits), 4))


def _flat(items: Iterable[Item], depth: int) -> Iterator[tuple[int, Item]]:
    for item in items:
        yield depth, item
        yield from _flat(item.children, depth + 1)


def _range(item: Item) -> str:
    if not item.size:
        return ""
    within = f"{item.start}-{item.end - 1}" if item.size > 1 else str(item.start)
    return f"{item.buffer}:{within}" if item.buffer else within


def _headline(index: int, buffer: Buffer) -> str:
    return f"{f'Buffer {index}, ' if index else ''}{buffer.name}, {len(buffer.data):,} bytes"
