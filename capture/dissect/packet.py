"""One packet while it is dissected: its bytes, the tree that grows, the columns, and what stops it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Literal

from netwatch.capture.dissect.kit import Field, Header, Item, group, octets
from netwatch.capture.dissect.outcome import (
    OK,
    Buffer,
    Failed,
    Malformed,
    More,
    Short,
    Stopped,
    Summary,
    TooMuch,
    Tree,
    Verdict,
)
from netwatch.capture.dissect.registry import NOT_MINE, Step
from netwatch.capture.protocols import PROTOCOLS, named
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from netwatch.capture.dissect.context import Context, Conversation
    from netwatch.capture.dissect.registry import Dissector

__all__ = [
    "MAX_ITEMS",
    "MAX_LAYERS",
    "MAX_MESSAGE",
    "STOPPED",
    "TO_THE_END",
    "Buffer",
    "Malformed",
    "More",
    "Packet",
    "Short",
    "Stopped",
    "Summary",
    "TooMuch",
    "Tree",
    "Verdict",
]

MAX_LAYERS: Final = 64
"""Headers in one packet, quoted ones included; a sender chooses how they nest. Real packets have a dozen."""

MAX_ITEMS: Final = 1000
"""Lines of one tree; without a tree, the lines that it would have."""

MAX_INFO: Final = 4096
"""Characters of the Info column; no terminal is wider."""

MAX_MESSAGE: Final = 1 << 20
"""Bytes of a message that is put together from segments; of a longer one its first segment shows what it has."""

RECOGNISED: Final = 64
"""Bytes by which the next message of a stream can be told; fewer of them may be anything."""

TO_THE_END: Final = -1
"""A message that lasts as long as its connection."""

CUT_MARK: Final = "[Packet size limited during capture]"
SEGMENT_MARK: Final = " [TCP segment of a reassembled PDU]"
MALFORMED_MARK: Final = "[Malformed Packet]"


DATA: Final = Header("data", "Data", ())
DATA_BYTES: Final = octets("data.data", "Data")
TRAILER: Final = octets("eth.trailer", "Trailer")
PADDING: Final = octets("eth.padding", "Padding")
SEGMENT: Final = octets("tcp.segment_data", "TCP segment data")
CUT: Final = group("_ws.short", "Cut by snap length")
BROKEN: Final = group("_ws.malformed", "Malformed")
STOPPED: Final = group("_ws.stopped", "Not shown")
UNASSEMBLED: Final = group("_ws.unreassembled", "Too long to be put together")
ENDINGS: Final = {"cut": CUT, "malformed": BROKEN, "stopped": STOPPED, "failed": STOPPED}


class Packet:
    """What dissectors read from and write to."""

    __slots__ = (
        "beyond",
        "buffer",
        "buffers",
        "build",
        "caplen",
        "context",
        "data",
        "depth",
        "destination",
        "info",
        "items",
        "layers",
        "marks",
        "name",
        "number",
        "payload_end",
        "prefix",
        "protocol",
        "source",
        "streaming",
        "ts",
        "values",
        "wirelen",
    )

    def __init__(
        self, data: bytes, wirelen: int, build: bool, context: Context | None = None, number: int = 0, ts: int = 0
    ) -> None:
        self.context = context
        """What packets before this one left behind; None where the packet is looked at alone, or quoted."""
        self.number = number
        """Of the packet in its capture; 0: not known."""
        self.ts = ts
        """Nanoseconds since 1970; 0: not known."""
        self.buffers = [Buffer("Packet", data)]
        self.buffer = 0
        """Index of the buffer that `data` is now."""
        self.streaming = False
        """What is being dissected is a byte stream, which goes on in other packets."""
        self.beyond: tuple[int, int, int, bool] | None = None
        """Buffer, offset and bytes of a message in it that is too long to be put together, and whether who knows it
        counts what is left."""
        self.data = data
        self.caplen = len(data)
        self.wirelen = max(wirelen, len(data))
        self.build = build
        """False: only the columns are wanted, items need not be made."""
        self.layers: list[Item] = []
        self.name = PROTOCOLS[0].name
        """Of the protocol that the columns show, as filters call it."""
        self.protocol = PROTOCOLS[0].label
        self.info = ""
        self.prefix = ""
        """What stands before the Info text, whoever writes that."""
        self.source = ""
        self.destination = ""
        self.values: dict[str, Any] = {}
        """What one header tells those inside it: `ip.pseudo` for checksums, `ip.ttl`, `ports`, `transport`."""
        self.payload_end: int | None = None
        """Where the network layer's bytes end; what follows is Ethernet's padding or trailer."""
        self.depth = 0
        self.items = 0
        self.marks: list[Verdict] = []

    # What is there

    def end(self, limit: int) -> int:
        """Where the captured part of a layer ends that goes to `limit`."""
        return limit if limit < self.caplen else self.caplen

    def check(self, layer: str, at: int, size: int, limit: int) -> None:
        """Raises Short unless `size` bytes from `at` were captured and belong to the layer."""
        if at + size > limit or at + size > self.caplen:
            raise Short(layer, at, size, limit)

    def take(self, layer: str, at: int, size: int, limit: int) -> bytes:
        """Bytes that must be there."""
        self.check(layer, at, size, limit)
        return self.data[at : at + size]

    def uint(self, layer: str, at: int, size: int, limit: int) -> int:
        """A big-endian integer that must be there."""
        self.check(layer, at, size, limit)
        return int.from_bytes(self.data[at : at + size], "big")

    def rest(self, at: int, limit: int) -> bytes:
        """What was captured of a layer from `at` on."""
        return self.data[at : self.end(limit)]

    # What is shown

    def column(self, name: str, info: str = "") -> None:
        """The Protocol column by filter name (label: protocols.py), and the Info column."""
        self.name = name
        self.protocol = named(name).label
        self.info = info

    def open(self, header: Header, at: int, limit: int, said: str = "") -> tuple[Item, tuple[Any, ...]]:
        """A new layer that starts with `header`: its item and the header's values. Raises Short."""
        size = header.size
        if at + size > limit or at + size > self.caplen:
            raise Short(header.field.label, at, size, limit)
        values = header.read(self.data, at)
        layer = self.layer(header.field, at, size, said)
        self.count(len(header.rows))
        if self.build:
            layer.children = header.items(values, at)
            stamp(layer.children, self.buffer)
        return layer, values

    def layer(self, field: Field, at: int, size: int, said: str = "") -> Item:
        """A new layer without fixed fields."""
        item = Item(field, None, at, size, said, buffer=self.buffer)
        self.count(1)
        self.layers.append(item)
        return item

    def add(self, parent: Item, field: Field, value: Any, at: int, size: int, said: str = "") -> Item:
        """A line below `parent`; nothing is kept of it where only the columns are wanted."""
        item = Item(field, value, at, size, said, buffer=self.buffer)
        self.count(1)
        if self.build:
            parent.children.append(item)
        return item

    def add_header(self, parent: Item, header: Header, at: int, limit: int) -> tuple[Any, ...]:
        """The rows of a header as lines below `parent`: its values. Raises Short."""
        size = header.size
        if at + size > limit or at + size > self.caplen:
            raise Short(header.field.label, at, size, limit)
        values = header.read(self.data, at)
        self.count(len(header.rows))
        if self.build:
            items = header.items(values, at)
            stamp(items, self.buffer)
            parent.children += items
        return values

    def in_tree(self, parent: Item, show: Callable[..., object], *given: object) -> None:
        """Shows what no column says, where a tree is wanted.

        It has a budget of its own, and what is wrong with it ends nothing else: so the columns are the same without.
        """
        if not self.build:
            return
        kept = self.items, self.depth, self.name, self.protocol, self.info
        self.items = self.values.get("tree.lines", MAX_ITEMS // 4)
        try:
            show(*given)
        except Stopped as stopped:
            verdict = stopped.verdict(self)
            if not self.values.get("quoted"):
                self.marks.append(Verdict(verdict.kind, escape(verdict.text), verdict.offset))
            ending = ENDINGS[verdict.kind]
            parent.children.append(Item(ending, None, parent.start, 0, verdict.text, buffer=parent.buffer))
        finally:
            self.values["tree.lines"] = self.items
            self.items, self.depth, self.name, self.protocol, self.info = kept

    def count(self, many: int) -> None:
        """Takes `many` lines from the budget of this packet. Raises TooMuch."""
        self.items += many
        if self.items > MAX_ITEMS:
            raise TooMuch(f"more than {MAX_ITEMS} fields", self.caplen)

    def mark(self, what: str, at: int, kind: Literal["cut", "malformed"] = "malformed") -> None:
        """Something is wrong at `at`, and dissection goes on. Within a quoted packet it is not this one's fault."""
        if not self.values.get("quoted"):
            self.marks.append(Verdict(kind, escape(what), at))

    def segment(self, at: int, limit: int) -> None:
        """The payload from `at` on is part of a message that goes on in other packets, or came before."""
        size = self.end(limit) - at
        if size > 0:
            self.layers.append(
                Item(SEGMENT, self.data[at : at + size], at, size, f"{size} bytes", buffer=self.buffer)
            )

    # What other packets hold

    def whole(
        self, layer: str, at: int, size: int, limit: int, info: str | None = None, *, counts: bool = False
    ) -> None:
        """Raises More where the `size` bytes of a message at `at` are still to come, Short where they were cut.

        To be asked before anything of the message is shown. Of a message beyond MAX_MESSAGE there is never more: it
        is shown as far as it is here, and what is left of it is passed over, unless its dissector `counts` that.
        """
        if at + size <= limit and at + size <= self.caplen:
            return
        if limit > self.caplen:
            raise Short(layer, at, size, max(limit, at + size))
        if not self.streaming:
            raise Short(layer, at, size, limit)
        if size <= MAX_MESSAGE:
            raise More(at, size, info)
        self.beyond = self.buffer, at, size, counts

    def goes_beyond(self, stopped: Stopped) -> bool:
        """Whether what is missing is the rest of a message that is too long to be put together."""
        if self.beyond is None or not isinstance(stopped, Short):
            return False
        buffer, at, *_ = self.beyond
        return buffer == self.buffer and at <= stopped.offset and stopped.limit >= self.caplen

    def more(self, layer: str, at: int, limit: int, size: int = 0, info: str | None = None) -> None:
        """Raises More: the message at `at` has no end yet. `size`: 0, not known, or TO_THE_END. Short if it was cut.

        Returns where there can be no more, in a datagram, and where it would be too much: it is shown as it is here.
        """
        if limit > self.caplen:
            raise Short(layer, at, limit - at, limit)
        if self.streaming and limit - at <= MAX_MESSAGE:
            raise More(at, size, info)

    @property
    def conversation(self) -> Conversation | None:
        """What the two endpoints said before, over the innermost transport; None for a packet alone."""
        if self.context is None or "transport" not in self.values:
            return None
        return self.context.conversation(self)

    def memory(self, name: str) -> dict[Any, Any]:
        """What the protocol `name` remembers of this conversation. It bounds what it puts there.

        For a packet alone it is empty and forgotten at once.
        """
        conversation = self.conversation
        return {} if conversation is None else conversation.memory.setdefault(name, {})

    def across(self, name: str) -> OrderedDict[Any, Any]:
        """What the protocol `name` remembers of all packets before, as `memory`."""
        return OrderedDict() if self.context is None else self.context.across.setdefault(name, OrderedDict())

    @property
    def from_client(self) -> bool:
        """Whether who opened the conversation sent this; unknown, the one with the higher port is taken for it."""
        conversation = self.conversation
        source, destination = self.values.get("ports", (0, 0))
        if conversation is None or conversation.client is None:
            return bool(source >= destination)
        return conversation.side(self) == conversation.client

    def settle_on(self, dissector: Dissector | None) -> None:
        """From the next segment or datagram of this conversation on, its bytes are `dissector`'s: an upgrade."""
        conversation = self.conversation
        if conversation is not None:
            conversation.dissector = dissector

    def expect(self, transport: str, address: bytes, port: int, dissector: Dissector) -> None:
        """What goes to or comes from this port of an address (4 or 16 bytes) will be `dissector`'s: FTP data, RTP."""
        if self.context is not None:
            self.context.expect(transport, address, port, dissector)

    def aside(self, name: str, data: bytes, following: Step, *, stream: bool = False) -> More | None:
        """Dissects bytes that are not the packet's own: put together, or decrypted. Their layers stand behind those
        so far, their items say which buffer they lie in. `stream`: the bytes may end within a message -> how it goes
        on."""
        kept = self.data, self.caplen, self.buffer, self.layers, self.payload_end, self.streaming
        self.buffers.append(Buffer(name, data))
        self.data, self.caplen, self.buffer, self.layers = data, len(data), len(self.buffers) - 1, []
        self.streaming = False
        try:
            if stream:
                return self.attempt(following)
            self.run(following)
            return None
        finally:
            inner = self.layers
            settle([layer for layer in inner if layer.buffer == self.buffer], len(data))
            self.data, self.caplen, self.buffer, self.layers, self.payload_end, self.streaming = kept
            self.layers += inner

    def attempt(self, following: Step) -> More | None:
        """As `run`, of a byte stream -> how its last message goes on in other segments: what was shown of that is
        taken back."""
        layers, name, protocol, info = len(self.layers), self.name, self.protocol, self.info
        self.streaming = True
        try:
            self.run(following, following)
        except More as more:
            complete = [
                layer
                for layer in self.layers[layers:]
                if layer.buffer != self.buffer or layer.start < more.at >= layer.end
            ]
            if not complete:
                self.name, self.protocol, self.info = name, protocol, info if more.info is None else more.info
            self.layers[layers:] = complete
            return more
        finally:
            self.streaming = False
        return None

    # What follows

    def run(self, following: Step | None, stream: Step | None = None) -> None:
        """Asks who knows, header by header, until nothing follows or something stops it.

        `stream`: the first step, of a byte stream.
        """
        while following is not None:
            candidates, at, limit = following
            layers = len(self.layers)
            try:
                if self.depth >= MAX_LAYERS:
                    raise TooMuch(f"more than {MAX_LAYERS} layers", at)
                self.depth += 1
                for dissector in candidates:
                    following = dissector(self, at, limit)
                    if following is not NOT_MINE:
                        break
                else:
                    if stream is not None:
                        self._undecided(Step(candidates, at, limit), stream)
                    following = data(self, at, limit)
            except Stopped as stopped:
                self._stop(stopped, at, limit, layers)
                return
            except More:
                raise
            except Exception as error:
                # A mistake in one of many dissectors must not end a capture; the tests take none for granted.
                self._stop(Failed(error, at), at, limit, layers)
                return

    def _undecided(self, following: Step, stream: Step) -> None:
        """Raises More for the first bytes behind a message: so few that nobody can tell the next one by them."""
        candidates, at, limit = following
        known = at > stream.at or self.values.get("stream.known")
        ended = self.values.get("stream.ended") or limit != stream.limit or limit > self.caplen
        if known and not ended and limit - at < RECOGNISED and not set(candidates).isdisjoint(stream.candidates):
            raise More(at)

    def _stop(self, stopped: Stopped, at: int, limit: int, layers: int) -> None:
        verdict = stopped.verdict(self)
        if self.values.get("quoted") and isinstance(stopped, Short):
            # An error quotes what it has room for; that it ends is no fault of anyone.
            verdict = Verdict("cut", f"{stopped.layer}: the quotation ends", stopped.offset)
        elif self.goes_beyond(stopped):
            verdict = Verdict("cut", f"{stopped}: the rest is not kept", self.caplen)
        else:
            self.marks.append(Verdict(verdict.kind, escape(verdict.text), verdict.offset))
        if verdict.kind == "cut" and not self.goes_beyond(stopped):
            self.info += CUT_MARK
        elif verdict.kind == "malformed":
            self.info += MALFORMED_MARK
        # A layer that had begun keeps what it has; the rest of its bytes stand behind it.
        own = [item for item in self.layers[layers:] if item.buffer == self.buffer]
        settle(own, self.end(limit))
        start = max(at, max((item.end for item in own), default=at))
        size = max(0, self.end(limit) - start)
        ending = UNASSEMBLED if self.goes_beyond(stopped) else ENDINGS[verdict.kind]
        self.layers.append(Item(ending, None, start, size, verdict.text, buffer=self.buffer))

    def quote(self, parent: Item, following: Step) -> None:
        """Dissects a packet within `parent` that says nothing about this one's columns: what an ICMP error quotes."""
        kept = self.name, self.protocol, self.info, self.source, self.destination, self.payload_end, self.values
        prefix, context = self.prefix, self.context
        self.values, self.context = {"quoted": True, "quoted.by": context}, None
        self.within(parent, following)
        self.name, self.protocol, self.info, self.source, self.destination, self.payload_end, self.values = kept
        self.prefix, self.context = prefix, context

    def within(self, parent: Item, following: Step) -> None:
        """Dissects what follows as part of `parent`: its layers become children."""
        outer, self.layers = self.layers, []
        try:
            self.run(following)
        finally:
            inner, self.layers = self.layers, outer
        parent.children += inner
        own = [item.end for item in inner if item.buffer == parent.buffer]
        parent.size = max(parent.size, max(own, default=parent.end) - parent.start)

    def finish(self, *, places: bool = True) -> None:
        """Shows what Ethernet carries behind the network layer's last byte. `places`: items say where they lie."""
        if places:
            settle([layer for layer in self.layers if not layer.buffer], self.caplen)
        end = self.payload_end
        if end is None or end >= self.caplen:
            return
        rest = self.data[end:]
        field = TRAILER if any(rest) else PADDING
        self.layers.append(Item(field, rest, end, len(rest)))

    @property
    def verdict(self) -> Verdict:
        """The worst that happened; ok if nothing did."""
        for kind in ("failed", "malformed", "cut", "stopped"):
            for mark in self.marks:
                if mark.kind == kind:
                    return mark
        if self.caplen < self.wirelen:
            return Verdict("cut", f"{self.caplen} of {self.wirelen} bytes captured", self.caplen)
        return OK


def stamp(items: list[Item], buffer: int) -> None:
    """These items lie in that buffer."""
    if buffer:
        for item in items:
            item.buffer = buffer
            stamp(item.children, buffer)


def settle(items: list[Item], end: int) -> None:
    """Makes each item cover its children and end within the frame: what stopped half-way may do neither."""
    for item in items:
        children = [child for child in item.children if child.buffer == item.buffer]
        if children:
            settle(children, end)
            last = max([child.end for child in children])
            if last > item.end:
                item.size = last - item.start
            first = min([child.start for child in children])
            if first < item.start:
                item.start, item.size = first, item.end - first
        if item.end > end:
            item.start = min(item.start, end)
            item.size = max(0, min(item.end, end) - item.start)


def data(packet: Packet, at: int, limit: int) -> Step | None:
    """Bytes that nobody knows."""
    end = packet.end(limit)
    if end <= at:
        return None
    rest = packet.data[at:end]
    layer = packet.layer(DATA.field, at, end - at, f"{end - at} bytes")
    packet.add(layer, DATA_BYTES, rest, at, end - at)
    return None
