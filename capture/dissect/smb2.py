"""SMB2 and SMB3 (MS-SMB2): which file, which share, who signs in; named pipes lead on to DCE RPC.

Names of files and kinds of shares stand in the requests that open them; what comes later has only their ids, and is
shown with what the conversation remembers of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.dissect import smb2_names as names
from netwatch.capture.dissect.dcerpc import looks_like_dcerpc
from netwatch.capture.dissect.kit import Field, group, number, octets, text
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.dissect.smb2_bodies import ASYNC, ASYNCHRONOUS, BODIES, FID_AT, RESPONSE, SIZE, SYNC
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

DIALECT: Final = number("smb2.dialect", "Dialect", names.DIALECTS, digits=4)
BLOB: Final = octets("smb2.security_blob", "Security Blob")
TREE: Final = text("smb2.tree", "Tree")
WHO: Final = {
    "ntlmssp.auth.username": text("smb2.acct", "Account"),
    "ntlmssp.auth.domain": text("smb2.domain", "Domain"),
    "ntlmssp.auth.hostname": text("smb2.host", "Host"),
}
"""What an NTLM message names the one who logs on by, and what the messages of the session have of it."""
SHARE: Final = number("smb2.share_type", "Share Type", names.SHARE_TYPES, digits=2)
FILENAME: Final = text("smb2.filename", "Filename")
PATTERN: Final = text("smb2.find.pattern", "Search Pattern")
READ_DATA: Final = octets("smb2.read_data", "Read Data")
WRITE_DATA: Final = octets("smb2.write_data", "Write Data")
BODY: Final = group("", "Body")
MAX_COMPOUND: Final = 32


class Message(NamedTuple):
    """One of a compound, on its way into the tree."""

    packet: Packet
    item: Item
    """Its body's heading."""
    at: int
    """Its header's first byte, which offsets count from."""
    end: int
    values: tuple[Any, ...]
    """Of the fixed part, without its size."""
    memory: dict[Any, Any]
    key: tuple[int, int]
    """Session and message, by which a response finds its request."""
    tree: int
    status: int

    def wide(self, field: Field, offset: int, size: int) -> str:
        """Text of two bytes a character, at an offset that the body tells."""
        start = self.at + offset
        raw = self.packet.take("SMB2", start, size, self.end)
        said = raw.decode("utf-16-le", "replace")
        self.packet.add(self.item, field, said, start, size)
        return escape(said)

    def blob(self, offset: int, size: int) -> str:
        """A security blob -> what NTLMSSP says in it."""
        start = self.at + offset
        if not size:
            return ""
        raw = self.packet.take("SMB2", start, size, self.end)
        item = self.packet.add(self.item, BLOB, raw, start, size)
        return ntlmssp(self.packet, item, start, start + size)

    def file(self, fid: bytes) -> str:
        """` File: name` where the request that opened it was seen."""
        if fid == NO_FID:
            fid = self.memory.get("compound", fid)
        name = self.memory.get(("file", fid))
        return f" File: {name}" if name is not None else ""

    @property
    def asked(self) -> Any:
        """What was remembered of the request."""
        return self.memory.get(("asked", *self.key))

    def ask(self, value: Any) -> None:
        """Remembers something for the response."""
        remember(self.memory, ("asked", *self.key), value)

    def pipe(self, start: int, size: int, field: Field) -> bool:
        """What is read from or written to a file; of a pipe, DCE RPC follows."""
        packet = self.packet
        raw = packet.rest(start, min(start + size, self.end))
        packet.add(self.item, field, raw, start, len(raw))
        if looks_like_dcerpc(packet.data, start, min(start + size, packet.end(self.end))):
            packet.run(step("smb.pipe", 0, start, min(start + size, self.end)))
            return True
        return False


RENAME: Final = (1, 0x0A)
"""SMB2_FILE_RENAME_INFO (MS-FSCC 2.4.37.2)."""
NO_FID: Final = b"\xff" * 16
"""The file of the message before, in a compound of related ones (MS-SMB2 3.2.4.1.4)."""


@on("smb", 2)
def smb2(packet: Packet, at: int, limit: int) -> Step | None:
    """One or several messages, chained by offsets."""
    packet.column("smb2")
    words: list[str] = []
    for _ in range(MAX_COMPOUND):
        packet.check("SMB2", at, SIZE, limit)
        asynchronous = packet.data[at + 16] & ASYNCHRONOUS
        layer, values = packet.open(ASYNC if asynchronous else SYNC, at, limit)
        _, _, _, status, command, _, flags, chain, message, *who, session, _ = values
        end = at + chain if chain >= SIZE and at + chain < limit else limit
        response = flags & RESPONSE
        said = f"{names.COMMANDS.get(command, f'Unknown ({command})')} {'Response' if response else 'Request'}"
        if response and status:
            said += f", Error: {names.STATUS.get(status, f'Unknown (0x{status:08x})')}"
        layer.said = said
        packet.in_tree(layer, _show_account, packet, layer, session)
        if not asynchronous:
            packet.in_tree(layer, _show_tree, packet, layer, who[1])
        words.append(said)
        packet.info = ";".join(words)
        tree = who[1] if not asynchronous else 0
        more, carried = _show(packet, layer, at, end, command, response, status, (session, message), tree)
        if carried and not words[1:] and end == limit:
            return None
        words[-1] += more
        packet.info = ";".join(words)
        layer.said = words[-1]
        if end == limit:
            return None
        at = end
    return Step((), at, limit)


def _show(
    packet: Packet,
    layer: Item,
    at: int,
    end: int,
    command: int,
    response: int,
    status: int,
    key: tuple[int, int],
    tree: int,
) -> tuple[str, bool]:
    """The body -> what the Info column says of it, and whether another protocol in it has the last word."""
    body = at + SIZE
    layer.size = packet.end(end) - at
    header = BODIES.get((command, response))
    # An error answers with a body of its own, but for those that ask to go on (MS-SMB2 3.3.4.4).
    if header is None or (response and status not in WITH_BODY and not (command == 1 and status == GOES_ON)):
        if packet.end(end) > body:
            packet.add(layer, BODY, None, body, packet.end(end) - body, f"{end - body} bytes")
        known = packet.memory("smb2").get(("asked", *key)) if (command, response) == (14, 1) else None
        return known or "", False
    item = packet.add(layer, BODY, None, body, packet.end(end) - body, layer.said)
    values = packet.add_header(item, header, body, end)
    message = Message(packet, item, at, end, values[1:], packet.memory("smb2"), key, tree, status)
    speak = SPEAKERS.get((command, response))
    if speak is not None:
        said = speak(message)
        return said or "", said is None
    where = FID_AT[command, response]
    return (message.file(packet.data[body + where : body + where + 16]) if where is not None else ""), False


WITH_BODY: Final = frozenset({0x00000000, 0x80000005, 0x80000006})
GOES_ON: Final = 0xC0000016


def _show_account(packet: Packet, layer: Item, session: int) -> None:
    """Who the session is of, where its logon was seen."""
    number_, who = packet.memory("smb2").get(("who", session), (packet.number, ()))
    if number_ == packet.number:
        return
    for name, value in zip(WHO, who, strict=True):
        if value:
            packet.add(layer, WHO[name], value, layer.start, 0)


def _show_tree(packet: Packet, layer: Item, tree: int) -> None:
    """What the tree is that a message is about, where its connect was seen."""
    memory = packet.memory("smb2")
    path, kind = memory.get(("path", tree)), memory.get(("tree", tree))
    if path is not None:
        packet.add(layer, TREE, path, layer.start, 0)
    if kind is not None:
        packet.add(layer, SHARE, kind, layer.start, 0)


def _negotiate_request(message: Message) -> str:
    count = message.values[0]
    start = message.at + SIZE + 36
    for where in range(start, min(start + 2 * count, message.packet.end(message.end) - 1), 2):
        value = int.from_bytes(message.packet.data[where : where + 2], "little")
        message.packet.add(message.item, DIALECT, value, where, 2)
    return ""


def _negotiate_response(message: Message) -> str:
    *_, offset, size, _ = message.values
    return message.blob(offset, size)


def _session_request(message: Message) -> str:
    *_, offset, size, _ = message.values
    said = message.blob(offset, size)
    found: dict[str, Any] = {}
    _names(message.item, found)
    if found:
        who = tuple(found.get(name, "") for name in WHO)
        remember(message.memory, ("who", message.key[0]), (message.packet.number, who))
    return said


def _names(item: Item, found: dict[str, Any]) -> None:
    """What the tree of a security blob says of who logs on."""
    for child in item.children:
        if child.field.name in WHO:
            found[child.field.name] = child.field.plain(child.value)
        _names(child, found)


def _session_response(message: Message) -> str:
    _, offset, size = message.values
    return message.blob(offset, size)


def _tree_request(message: Message) -> str:
    _, offset, size = message.values
    path = message.wide(TREE, offset, size)
    message.ask(path)
    return f" Tree: {path}"


def _tree_response(message: Message) -> str:
    remember(message.memory, ("tree", message.tree), message.values[0])
    if message.asked:
        remember(message.memory, ("path", message.tree), message.asked)
    return ""


def _create_request(message: Message) -> str:
    *_, offset, size, _, _ = message.values
    name = message.wide(FILENAME, offset, size) if size else ""
    message.ask(name)
    message.memory["compound"] = NO_FID
    remember(message.memory, ("file", NO_FID), name)
    return f" File: {name}"


def _create_response(message: Message) -> str:
    fid, name = message.values[-1], message.asked
    message.memory["compound"] = fid
    if name is None:
        name = "[unknown]"
    remember(message.memory, ("file", fid), name)
    return f" File: {name}"


def _read_request(message: Message) -> str:
    _, _, size, offset, fid, *_ = message.values
    return f" Len:{size} Off:{offset}{message.file(fid)}"


def _read_response(message: Message) -> str | None:
    offset, _, size, *_ = message.values
    return None if message.pipe(message.at + offset, size, READ_DATA) else ""


def _write_request(message: Message) -> str | None:
    offset, size, where, fid, *_ = message.values
    if message.pipe(message.at + offset, size, WRITE_DATA):
        return None
    return f" Len:{size} Off:{where}{message.file(fid)}"


def _control_request(message: Message) -> str | None:
    _, function, fid, offset, size, *_ = message.values
    if function == names.TRANSCEIVE and message.pipe(message.at + offset, size, WRITE_DATA):
        return None
    said = f" {names.CONTROLS.get(function, f'Unknown (0x{function:08x})')}{message.file(fid)}"
    if function in names.REFERRALS and size > 4:
        said += f", File: {message.wide(FILENAME, offset + 2, size - 4)}"
    return said


def _control_response(message: Message) -> str | None:
    _, function, fid, _, _, offset, size, *_ = message.values
    if function == names.TRANSCEIVE and message.pipe(message.at + offset, size, READ_DATA):
        return None
    return f" {names.CONTROLS.get(function, f'Unknown (0x{function:08x})')}{message.file(fid)}"


def _find_request(message: Message) -> str:
    level, _, _, fid, offset, size, _ = message.values
    pattern = message.wide(PATTERN, offset, size) if size else ""
    said = f" {names.FINDS.get(level, f'Unknown (0x{level:02x})')} Pattern: {pattern}"
    message.ask(said)
    return message.file(fid) + said


def _info_request(message: Message) -> str:
    kind, level, *_, fid = message.values
    shown = names.CLASSES.get(kind, f"Unknown (0x{kind:02x})")
    named = names.LEVELS.get(kind, {}).get(level, f"Unknown (0x{level:02x})")
    return f" {shown}/{named}{message.file(fid)}"


def _set_request(message: Message) -> str:
    said = _info_request(message)
    kind, level, size, offset, *_ = message.values
    if (kind, level) == RENAME and size > 20:
        start = message.at + offset
        raw = message.packet.take("SMB2", start, size, message.end)
        length = int.from_bytes(raw[16:20], "little")
        said += f" NewName:{message.wide(FILENAME, offset + 20, min(length, size - 20))}"
    return said


SPEAKERS: Final[dict[tuple[int, int], Callable[[Message], str | None]]] = {
    (0, 0): _negotiate_request,
    (0, 1): _negotiate_response,
    (1, 0): _session_request,
    (1, 1): _session_response,
    (3, 0): _tree_request,
    (3, 1): _tree_response,
    (5, 0): _create_request,
    (5, 1): _create_response,
    (8, 0): _read_request,
    (8, 1): _read_response,
    (9, 0): _write_request,
    (11, 0): _control_request,
    (11, 1): _control_response,
    (14, 0): _find_request,
    (16, 0): _info_request,
    (17, 0): _set_request,
}
"""What else a body has; None: what it carries says all."""
