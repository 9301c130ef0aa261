"""What real programs say to each other between two namespaces, as it is shown."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pytest

from netwatch.capture.dissect import Context, Item, Tree, dissect, fields_text

if TYPE_CHECKING:
    from tests.live.conftest import Captured

CLIENT, SERVER = "10.96.0.1", "10.96.0.2"
"""The addresses of a pair's left and right end."""

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")


def items(trees: Iterable[Tree]) -> Iterator[Item]:
    """Every line of the trees, from the top."""
    below = [layer for tree in trees for layer in tree.layers][::-1]
    while below:
        item = below.pop()
        yield item
        below += item.children[::-1]


def values(trees: Iterable[Tree], name: str) -> list[str]:
    """Every value of a field, in the order of the packets."""
    return [fields_text(item) for item in items(trees) if item.field.name == name]


@dataclass
class Seen:
    """What passed on the wire: its packets, how they are shown, and what a program said of it."""

    frames: list[bytes]
    trees: list[Tree]
    said: str

    @classmethod
    def of(cls, captured: Captured, said: str = "") -> Self:
        """The packets in their order, with one context."""
        context, frames, times = Context(), captured.frames, captured.column("ts")
        trees = [
            dissect(frame, 1, context=context, number=number, ts=int(ts))
            for number, (frame, ts) in enumerate(zip(frames, times, strict=True), 1)
        ]
        return cls(frames, trees, said)

    def values(self, name: str) -> list[str]:
        """Every value of a field, in the order in which they were sent."""
        return values(self.trees, name)

    @property
    def rows(self) -> list[list[str]]:
        """The columns Protocol and Info."""
        return [[tree.protocol, tree.info] for tree in self.trees]
