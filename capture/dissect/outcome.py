"""How a dissection ends, and what it gives: why no more was read, the tree, the columns of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item
    from netwatch.capture.dissect.packet import Packet

__all__ = [
    "OK",
    "Buffer",
    "Failed",
    "Malformed",
    "More",
    "Short",
    "Stopped",
    "Summary",
    "TooMuch",
    "Tree",
    "Verdict",
]


class Stopped(Exception):  # noqa: N818 - not an error: it says why no more was read
    """Dissection ends here; what was read before stays."""

    offset: int

    def verdict(self, packet: Packet) -> Verdict:
        """What the tree says of it."""
        raise NotImplementedError


class Short(Stopped):
    """A header needed more bytes than its layer has."""

    def __init__(self, layer: str, offset: int, need: int, limit: int) -> None:
        super().__init__(layer)
        self.layer = layer
        self.offset = offset
        self.need = need
        """Bytes that the header takes."""
        self.limit = limit
        """Where its layer ends, by what the headers before say."""

    def verdict(self, packet: Packet) -> Verdict:
        """Cut where the bytes were on the wire and not captured, malformed where they never were."""
        if self.offset + self.need <= self.limit:
            return Verdict("cut", f"{self.layer} cut by snap length", self.offset)
        have = max(0, min(self.limit, packet.caplen) - self.offset)
        return Verdict("malformed", f"{self.layer}: need {self.need} bytes, have {have}", self.offset)


class Malformed(Stopped):
    """A value that cannot be: a length that lies, a bad version, a loop."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset

    def verdict(self, packet: Packet) -> Verdict:  # noqa: ARG002 - as the class above has it
        """Malformed, whatever was captured."""
        return Verdict("malformed", self.what, self.offset)


class TooMuch(Stopped):
    """More layers or items than anyone reads."""

    def __init__(self, what: str, offset: int) -> None:
        super().__init__(what)
        self.what = what
        self.offset = offset

    def verdict(self, packet: Packet) -> Verdict:  # noqa: ARG002
        """Nothing is wrong with the bytes that were read."""
        return Verdict("stopped", self.what, self.offset)


class Failed(Stopped):
    """A dissector has a mistake; the packet is shown as far as it went."""

    def __init__(self, error: Exception, offset: int) -> None:
        super().__init__(str(error))
        self.what = f"the dissector failed: {type(error).__name__}: {error}"
        self.offset = offset

    def verdict(self, packet: Packet) -> Verdict:  # noqa: ARG002
        """Nothing is said about the bytes."""
        return Verdict("failed", self.what, self.offset)


class More(Exception):  # noqa: N818 - not an error: the rest comes later
    """The message that begins at `at` goes on in segments to come."""

    def __init__(self, at: int, size: int = 0, info: str | None = None) -> None:
        super().__init__(at, size)
        self.info = info
        """What the Info column says of its beginning; None: what it said before."""
        self.at = at
        self.size = size
        """Bytes of it in all, as far as is known; 0: not known, at least one more segment; TO_THE_END."""


class Buffer(NamedTuple):
    """Bytes that a tree explains."""

    name: str
    """`Packet`, `Reassembled TCP`, `Decrypted QUIC`."""
    data: bytes


class Verdict(NamedTuple):
    """How the dissection of a packet ended."""

    kind: Literal["ok", "cut", "malformed", "stopped", "failed"]
    """cut: by the snap length. stopped: more layers or fields than are shown. failed: not the packet, a dissector."""
    text: str
    """What is wrong, escaped; empty for ok."""
    offset: int = 0
    """Where in the frame."""


OK: Final = Verdict("ok", "")


@dataclass(slots=True)
class Tree:
    """One packet, explained."""

    layers: tuple[Item, ...]
    """Outermost first; a layer's fields are its children, a quoted packet's layers are children of what quotes it."""
    protocol: str
    """The Protocol column."""
    info: str
    """The Info column."""
    source: str
    """What the list shows: the innermost IP address, else the link's."""
    destination: str
    verdict: Verdict
    buffers: tuple[Buffer, ...] = ()
    """The packet, then what was put together or decrypted for it: `Item.buffer` is an index of it."""


class Summary(NamedTuple):
    """The columns of one row."""

    protocol: str
    info: str
    source: str
    destination: str
    name: str = "data"
    """The protocol by its filter name: `tls` where the column says `TLSv1.3`."""
