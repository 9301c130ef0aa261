"""`--fields`, `--json-packets` and `--detail`: what is printed of each packet, some at a time."""

from __future__ import annotations

import locale
import os
from typing import TYPE_CHECKING, Final, Protocol

from netwatch.capture.errors import EXIT_USAGE, CaptureError
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netwatch.app.options import Options
    from netwatch.capture.block import Block, Interface
    from netwatch.capture.decode import Decoded
    from netwatch.capture.dissect import Tree
    from netwatch.capture.passing import Passed

__all__ = ["Printer", "printer_of"]

_ASCII: Final = str.maketrans({"→": "->", "·": "-", "…": "...", "–": "-", "−": "-", "×": "x"})
"""What our own words have beyond ASCII."""


class Printer(Protocol):
    """Packets → what is printed of them. It is shown every packet once, in order."""

    def begin(self, interfaces: list[Interface]) -> bytes:
        """What stands before all packets. `interfaces`: the source's."""
        ...

    def take(self, block: Block, decoded: Decoded | None) -> Iterator[bytes]:
        """The next packets."""
        ...

    def end(self) -> None:
        """There are no more. Raises CaptureError 2 where one was asked for that there is not."""
        ...


class _Fields:
    """The header at once, then the lines of each block."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Raises CaptureError 2 for an unknown name."""
        from netwatch.capture.fields import FieldWriter

        self._writer = FieldWriter(names)

    def begin(self, interfaces: list[Interface]) -> bytes:
        self._writer.interfaces = interfaces
        return self._writer.header().encode("utf-8", "backslashreplace")

    def take(self, block: Block, decoded: Decoded | None) -> Iterator[bytes]:
        assert decoded is not None  # with the positions of headers: asked for by whoever runs this
        for lines in self._writer.pieces(block, decoded):
            yield lines.encode("utf-8", "backslashreplace")

    def end(self) -> None:
        """Every line is printed already."""


class _JsonPackets:
    """A line a packet."""

    def __init__(self) -> None:
        from netwatch.capture.tree_json import JsonWriter

        self._writer = JsonWriter()

    def begin(self, interfaces: list[Interface]) -> bytes:
        self._writer.interfaces = interfaces
        return b""

    def take(self, block: Block, decoded: Decoded | None) -> Iterator[bytes]:  # noqa: ARG002 - dissectors read alone
        for lines in self._writer.pieces(block):
            yield lines.encode("utf-8", "backslashreplace")

    def end(self) -> None:
        """Every line is printed already."""


class _Detail:
    """Some packets as text; of those before them only what they leave behind is wanted."""

    def __init__(self, options: Options) -> None:
        from netwatch.capture.dissect import Context

        self._wanted = options.detail
        self._last = max(last for _, last in options.detail)
        self._bytes_too = options.hexdump
        self._name = "stdin" if options.read == "-" else escape(os.path.basename(options.read or ""))
        self._context = Context()
        self._count = 0
        self._between = ""

    def begin(self, interfaces: list[Interface]) -> bytes:  # noqa: ARG002 - as every Printer
        return b""

    def take(self, block: Block, decoded: Decoded | None) -> Iterator[bytes]:  # noqa: ARG002 - dissectors read alone
        from netwatch.capture.dissect import dissect, summarise
        from netwatch.capture.passing import passing

        for packet in passing(block, self._count + 1):
            number, ts, data, linktype, wirelen, _ = packet
            if number > self._last:
                return
            self._count = number
            if any(first <= number <= last for first, last in self._wanted):
                tree = dissect(data, linktype, wirelen, context=self._context, number=number, ts=ts or 0)
                yield self._text(packet, tree)
            else:
                summarise(data, linktype, wirelen, context=self._context, number=number, ts=ts or 0)
                yield b""

    def _text(self, packet: Passed, tree: Tree) -> bytes:
        from netwatch.capture.tree_text import hex_lines, tree_lines

        lines = [*tree_lines(packet, tree), *(["", *hex_lines(tree)] if self._bytes_too else [])]
        text = self._between + "".join([line + "\n" for line in lines])
        self._between = "\n"
        return _encoded(text)

    def end(self) -> None:
        missing = [max(first, self._count + 1) for first, last in self._wanted if last > self._count]
        if missing:
            there = f"{self._count:,} packet{'' if self._count == 1 else 's'}"
            raise CaptureError(f"no packet {min(missing):,}: {self._name} has {there}", EXIT_USAGE)


def _encoded(text: str) -> bytes:
    """As the locale has it; our own few signs are spelled where it lacks them."""
    encoding = locale.getencoding()
    try:
        return text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "backslashreplace")


def printer_of(options: Options) -> Printer | None:
    """What is asked for; None: nothing is printed of single packets. Raises CaptureError 2 for an unknown name."""
    if options.fields:
        return _Fields(options.fields)
    if options.json_packets:
        return _JsonPackets()
    return _Detail(options) if options.detail else None
