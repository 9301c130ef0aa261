"""tshark's own dissection of a packet, on request: where it is installed, from a process without rights."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final

from netwatch.capture.tshark_server import ANSWER, LARGEST, LONGEST, PATIENCE, REQUEST
from netwatch.capture.unstopped import unstopped

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from netwatch.capture.dissect.kit import Item

__all__ = ["Tshark", "TsharkError", "items_of"]

_SERVER: Final = Path(__file__).with_name("tshark_server.py")
_GRACE: Final = 2.0
"""Seconds beyond tshark's own for the process that asks it."""
_MOST: Final = 5000
"""Lines of one packet that are shown."""
_DEEPEST: Final = 64
_HARMLESS: Final = {code: "?" for code in (*range(0x20), 0x7F) if code not in (0x09, 0x0A, 0x0D)}
"""What XML does not know, and a packet may hold."""


class TsharkError(Exception):
    """One line that says why there is no answer."""


class Tshark:
    """A process that asks tshark, started before there is anything to hide from it. One question at a time."""

    def __init__(self, tshark: str) -> None:
        mine, theirs = socket.socketpair()
        with theirs, unstopped():
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SERVER), tshark],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin"},
                start_new_session=True,
            )
        self._socket = mine
        self._socket.settimeout(PATIENCE + _GRACE)
        self._lock = Lock()

    @classmethod
    def start(cls) -> Tshark | None:
        """None where it is not installed, or no process can be had."""
        tshark = shutil.which("tshark")
        if tshark is None:
            return None
        try:
            return cls(tshark)
        except OSError:
            return None

    @property
    def pid(self) -> int:
        """Of the process that asks."""
        return self._process.pid

    def ask(self, data: bytes, linktype: int, wirelen: int, ts: int) -> list[Item]:
        """The layers of a packet as tshark has them; blocks for some tenths of a second. Raises TsharkError."""
        if len(data) > LARGEST:
            raise TsharkError(f"the packet is larger than the {LARGEST >> 10} KiB that tshark takes")
        with self._lock:
            try:
                self._socket.sendall(REQUEST.pack(linktype, wirelen, ts, len(data)) + data)
                good, size = ANSWER.unpack(self._read(ANSWER.size))
                said = self._read(min(size, LONGEST + 1))
            except OSError as error:
                raise TsharkError(f"the process that asks tshark is gone ({error})") from None
        if not good:
            raise TsharkError(said.decode("ascii", "replace"))
        return items_of(said.decode("utf-8", "replace"))

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):  # another user's by now: it ends by itself once tshark has answered
                self._process.kill()
                self._process.wait()

    def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            some = self._socket.recv(size - len(got))
            if not some:
                raise OSError("it ended")
            got += some
        return bytes(got)


def items_of(pdml: str) -> list[Item]:
    """The layers in what `tshark -T pdml` printed of one packet. Raises TsharkError where that is none."""
    # Here and not above: the process is started before anything else is imported.
    from xml.etree import ElementTree

    try:
        packet = ElementTree.fromstring(pdml.translate(_HARMLESS)).find("packet")
    except ElementTree.ParseError as error:
        raise TsharkError(f"tshark's answer cannot be read ({error})") from None
    if packet is None:
        raise TsharkError("tshark sees no packet")
    left = [_MOST]
    return [_item(proto, left, 0) for proto in packet if proto.get("name") != "geninfo"]


def _item(element: Element, left: list[int], depth: int) -> Item:
    from netwatch.capture.dissect.kit import Field, Item

    item = Item(
        Field(element.get("name", ""), ""),
        None,
        _number(element.get("pos")),
        _number(element.get("size")),
        element.get("showname") or element.get("show") or element.get("name") or "",
    )
    for child in element:
        if child.get("hide") == "yes" or left[0] <= 0 or depth >= _DEEPEST:
            continue
        left[0] -= 1
        made = _item(child, left, depth + 1)
        if child.get("name") == "fake-field-wrapper":
            item.children += made.children
        else:
            item.children.append(made)
    return item


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() else 0
