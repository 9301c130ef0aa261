"""`--json-packets` and `--detail` over real captures: every line holds what docs/FIELDS.md says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netwatch.capture.block import Block
from netwatch.capture.dissect import Context, dissect
from netwatch.capture.errors import CaptureError
from netwatch.capture.passing import passing
from netwatch.capture.sources.files import open_file
from netwatch.capture.text import escape
from netwatch.capture.tree_json import JsonWriter
from netwatch.capture.tree_text import hex_lines, tree_lines

pytestmark = pytest.mark.corpus


def blocks(path: Path) -> Iterator[Block]:
    """What can be read of a capture."""
    try:
        source = open_file(str(path))
    except CaptureError:
        return
    while not source.exhausted:
        block = source.next_block(0)
        if block is not None:
            yield block
    source.close()


def test_every_packet_is_a_line_of_json(captures: list[Any]) -> None:
    lines = 0
    for capture in captures:
        writer = JsonWriter()
        for block in blocks(capture.path):
            for line in "".join(writer.pieces(block)).split("\n")[:-1]:
                lines += 1
                assert line == escape(line), (capture.path, lines)
                wrong = problems(json.loads(line))
                assert wrong == [], (capture.path, lines)
    assert lines > 20_000


def problems(packet: dict[str, Any]) -> list[str]:
    """What is not as it is described."""
    found: list[str] = []
    values: dict[str, list[Any]] = {}
    sizes = [buffer["size"] for buffer in packet["buffers"]]
    if sizes[0] != packet["captured"]:
        found.append("captured")
    rest = packet["layers"][::-1]
    while rest:
        item = rest.pop()
        if not 0 <= item["start"] <= item["start"] + item["size"] <= sizes[item.get("buffer", 0)]:
            found.append(item["name"])
        if item["name"] and "value" in item:
            values.setdefault(item["name"], []).append(item["value"])
        rest += item.get("fields", [])[::-1]
    if values != packet["values"]:
        found.append("values")
    return found


def test_every_packet_is_text(captures: list[Any]) -> None:
    for capture in captures[::3]:
        context, number = Context(), 1
        for block in blocks(capture.path):
            for packet in passing(block, number):
                number += 1
                tree = dissect(packet.data, packet.linktype, packet.wirelen, context=context, number=packet.number)
                for line in (*tree_lines(packet, tree), *hex_lines(tree)):
                    assert line == escape(line), (capture.path, packet.number)
