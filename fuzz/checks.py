"""What must hold of every dissected packet."""

from __future__ import annotations

from time import process_time
from typing import Any, Final

from netwatch.capture.dissect import Context, Item, Summary, Tree, dissect, fields_text, summarise
from netwatch.capture.dissect.packet import MAX_INFO, MAX_ITEMS, MAX_LAYERS
from netwatch.capture.dissect.segments import TOO_LONG

__all__ = ["Both", "check_columns", "check_tree", "content", "harmless"]

ESCAPED_INFO: Final = 12 * MAX_INFO
"""One character may become `\\U0010ffff`, two become an ellipsis."""
CONTROLS: Final = frozenset("\n\r\t\v\f\x1c\x1d\x85\u2028")
GUESSED: Final = frozenset({"telnet.data"})
"""What each segment shows of its own."""
LOST: Final = frozenset(
    {
        "bittorrent.continuous_data",
        "data",
        "echo.data",
        "nbss.continuation_data",
        "resp.fragment",
        "sip.msg_body",
        "ssh.encrypted_packet",
        "tls.ignored_unknown_record",
        "tpkt.continuation_data",
        "x11.undecoded",
    }
)
"""Fields without a beginning or an end of their own: from there on a message is looked for where a segment begins."""


def harmless(text: str) -> bool:
    """Nothing in it that a terminal would obey."""
    return text.isprintable() or (
        all(char.isprintable() or char.isspace() for char in text) and not CONTROLS & set(text)
    )


def check_columns(columns: tuple[str, ...]) -> None:
    """Protocol, Info, addresses: escaped, and no longer than anyone reads."""
    for text in columns:
        assert harmless(text), text
        assert len(text) <= ESCAPED_INFO, len(text)


def check_tree(tree: Tree) -> int:
    """Every item lies in its buffer and in what it is part of; how many there are."""
    sizes = [len(buffer.data) for buffer in tree.buffers]
    assert tree.verdict.kind != "failed", tree.verdict.text
    assert harmless(tree.verdict.text), tree.verdict
    check_columns((tree.protocol, tree.info, tree.source, tree.destination))
    count = 0
    below: list[tuple[Item, int, int]] = [(layer, 0, sizes[layer.buffer]) for layer in tree.layers]
    while below:
        item, first, last = below.pop()
        count += 1
        assert first <= item.start <= item.end <= last, f"{item!r} lies outside of {first}-{last}"
        assert harmless(item.text), item
        assert harmless(fields_text(item)), item
        for child in item.children:
            within = (item.start, item.end) if child.buffer == item.buffer else (0, sizes[child.buffer])
            below.append((child, *within))
    assert count <= 2 * MAX_ITEMS + MAX_LAYERS, count
    return count


class Both:
    """Dissects packets in their order twice, as trees and as rows: both must say the same."""

    def __init__(self, seconds: float) -> None:
        self._contexts = Context(), Context()
        self._number = 0
        self._seconds = seconds
        """CPU time that one packet may take."""

    def add(self, data: bytes, linktype: int, wirelen: int | None = None) -> Tree:
        """One packet, checked."""
        self._number += 1
        told: dict[str, Any] = {"number": self._number, "ts": 10**18 + self._number * 1_000_000}
        begun = process_time()
        tree = dissect(data, linktype, wirelen, context=self._contexts[0], **told)
        between = process_time()
        row: Summary = summarise(data, linktype, wirelen, context=self._contexts[1], **told)
        spent = max(between - begun, process_time() - between)
        check_tree(tree)
        assert row[:4] == (tree.protocol, tree.info, tree.source, tree.destination), (row, tree.protocol, tree.info)
        assert spent <= self._seconds, f"{spent:.3f} s for {len(data)} bytes of {tree.protocol}"
        return tree


def content(trees: list[Tree]) -> tuple[list[tuple[str, str]], bool]:
    """Names and values in the messages of a TCP stream; whether all of it was understood, else only as far as it was.

    Headings are left out, several messages may share one, and what no bytes stand for. A message that is too long to
    be put together shows what its first segment has.
    """
    found: list[tuple[str, str]] = []
    for tree in trees:
        inside = False
        long = next(((each.buffer, each.start) for each in tree.layers if each.field is TOO_LONG), None)
        for layer in tree.layers:
            if long is not None and layer.buffer == long[0] and layer.end > long[1]:
                return found, False
            if layer.field.name == "tcp":
                inside = True
            elif inside and layer.field.name != "tcp.segment_data" and not _collect(layer, found):
                return found, False
    return found, True


def _collect(item: Item, found: list[tuple[str, str]]) -> bool:
    if item.field.name in LOST or "Continuation" in item.field.label or "Continuation" in item.said:
        return False
    if item.field.name and item.value is not None and item.size and item.field.name not in GUESSED:
        found.append((item.field.name, fields_text(item)))
    return all(_collect(child, found) for child in item.children)
