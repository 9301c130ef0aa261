"""SMB2 and SMB3 (MS-SMB2): which file, which share, who signs in; named pipes lead on to DCE RPC.

Names of files and kinds of shares stand in the requests that open them; what comes later has only their ids, and is
shown with what the conversation remembers of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from netwatch.capture.dissect import smb2_names as names
from netwatch.capture.dissect.dcerpc import looks_like_dcerpc
from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U64,
    Bit,
    Bits,
    Bytes,
    Field,
    Flags16,
    Flags32,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Hex64,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import Step, on, step
from netwatch.capture.dissect.times import filetime
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

FLAGS: Final = Flags32(
    "flags",
    "Flags",
    Bit(0x00000001, "flags.response", "Response"),
    Bit(0x00000002, "flags.async", "Async command"),
    Bit(0x00000004, "flags.chained", "Chained"),
    Bit(0x00000008, "flags.signature", "Signing"),
    Bits(0x00000070, "flags.priority_mask", "Priority"),
    Bit(0x10000000, "flags.dfs", "DFS operation"),
    Bit(0x20000000, "flags.replay", "Replay operation"),
)
RESPONSE: Final = 0x00000001
ASYNCHRONOUS: Final = 0x00000002
LABEL: Final = "SMB2 (Server Message Block Protocol version 2)"


def _head(asynchronous: bool) -> Header:
    who = (Hex64("aid", "Async Id"),) if asynchronous else (Hex32("pid", "Process Id"), Hex32("tid", "Tree Id"))
    return Header(
        "smb2",
        LABEL,
        (
            Hex32("protocol_id", "ProtocolId"),
            U16("header_len", "Header Length"),
            U16("credit.charge", "Credit Charge"),
            Hex32("nt_status", "NT Status", names.STATUS),
            U16("cmd", "Command", names.COMMANDS),
            U16("credits.granted", "Credits"),
            FLAGS,
            Hex32("chain_offset", "Chain Offset"),
            U64("msg_id", "Message ID"),
            *who,
            Hex64("sesid", "Session Id"),
            Bytes("signature", "Signature", 16),
        ),
        little=True,
    )


SYNC, ASYNC = _head(False), _head(True)
SIZE: Final = 64


def _guid(raw: Any) -> str:
    return str(UUID(bytes_le=bytes(raw)))


def _guid_row(name: str, label: str) -> Field:
    return Field(name, label, plain=_guid, code="16s", size=16)


def _time_row(name: str, label: str) -> Field:
    return Field(name, label, plain=filetime, code="Q", size=8)


FID: Final = _guid_row("fid", "File Id")
STRUCTURE: Final = Flags16(
    "buffer_code",
    "StructureSize",
    Bits(0xFFFE, "buffer_code.length", "Fixed Part Length", times=2),
    Bit(0x0001, "buffer_code.dynamic", "Dynamic Part"),
)
TIMES: Final = (
    _time_row("create.time", "Create"),
    _time_row("last_access.time", "Last Access"),
    _time_row("last_write.time", "Last Write"),
    _time_row("last_change.time", "Last Change"),
)
SECURITY: Final = (
    Bit(0x01, "sec_mode.sign_enabled", "Signing enabled"),
    Bit(0x02, "sec_mode.sign_required", "Signing required"),
)


def _body(*rows: Field) -> Header:
    return Header("smb2", "SMB2 body", (STRUCTURE, *rows), name="", little=True)


BODIES: Final[dict[tuple[int, int], Header]] = {
    (0, 0): _body(
        U16("dialect_count", "Dialect count"),
        Hex16("sec_mode", "Security mode"),
        Bytes("", "Reserved", 2),
        Hex32("capabilities", "Capabilities"),
        _guid_row("client_guid", "Client Guid"),
        Bytes("", "Negotiate contexts", 8),
    ),
    (0, 1): _body(
        Hex16("sec_mode", "Security mode"),
        Hex16("dialect", "Dialect", names.DIALECTS),
        U16("negotiate_context.count", "NegotiateContextCount"),
        _guid_row("server_guid", "Server Guid"),
        Hex32("capabilities", "Capabilities"),
        U32("max_trans_size", "Max Transaction Size"),
        U32("max_read_size", "Max Read Size"),
        U32("max_write_size", "Max Write Size"),
        _time_row("current_time", "Current Time"),
        _time_row("boot_time", "Boot Time"),
        U16("olb.offset", "Blob Offset"),
        U16("olb.length", "Blob Length"),
        Hex32("negotiate_context.offset", "NegotiateContextOffset"),
    ),
    (1, 0): _body(
        Hex8("ses_req_flags", "Flags"),
        Hex8("sec_mode", "Security mode"),
        Hex32("capabilities", "Capabilities"),
        Hex32("channel", "Channel"),
        U16("olb.offset", "Blob Offset"),
        U16("olb.length", "Blob Length"),
        Hex64("previous_sesid", "Previous Session Id"),
    ),
    (1, 1): _body(
        Hex16("session_flags", "Session Flags"), U16("olb.offset", "Blob Offset"), U16("olb.length", "Blob Length")
    ),
    (3, 0): _body(Bytes("", "Flags", 2), U16("olb.offset", "Blob Offset"), U16("olb.length", "Blob Length")),
    (3, 1): _body(
        U8("share_type", "Share Type", names.SHARE_TYPES),
        Bytes("", "Reserved", 1),
        Hex32("share_flags", "Share flags"),
        Hex32("share_caps", "Share Capabilities"),
        Hex32("=smb.access_mask", "Access Mask"),
    ),
    (5, 0): _body(
        Bytes("", "Security flags", 1),
        Hex8("create.oplock", "Oplock", names.OPLOCKS),
        U32("impersonation.level", "Impersonation level", names.IMPERSONATION),
        Hex64("create_flags", "Create Flags"),
        Bytes("", "Reserved", 8),
        Hex32("=smb.access_mask", "Access Mask"),
        Hex32("=smb.file_attribute", "File Attributes"),
        Hex32("=smb.share_access", "Share Access"),
        U32("create.disposition", "Disposition", names.DISPOSITIONS),
        Hex32("=smb.create_options", "Create Options"),
        U16("olb.offset", "Blob Offset"),
        U16("olb.length", "Blob Length"),
        U32("create.chain_offset", "Chain Offset"),
        U32("", "Chain Length"),
    ),
    (5, 1): _body(
        Hex8("create.oplock", "Oplock", names.OPLOCKS),
        Hex8("create.rep_flags", "Response Flags"),
        U32("create.action", "Create Action", names.ACTIONS),
        *TIMES,
        U64("allocation_size", "Allocation Size"),
        U64("eof", "End Of File"),
        Hex32("=smb.file_attribute", "File Attributes"),
        Bytes("", "Reserved", 4),
        FID,
    ),
    (6, 0): _body(Hex16("close.flags", "Close Flags"), Bytes("", "Reserved", 4), FID),
    (6, 1): _body(
        Hex16("close.flags", "Close Flags"),
        Bytes("", "Reserved", 4),
        *TIMES,
        U64("allocation_size", "Allocation Size"),
        U64("eof", "End Of File"),
        Hex32("=smb.file_attribute", "File Attributes"),
    ),
    (7, 0): _body(Bytes("", "Reserved", 6), FID),
    (8, 0): _body(
        Hex8("read_padding", "Padding"),
        Hex8("read_flags", "Flags"),
        U32("read_length", "Read Length"),
        U64("file_offset", "File Offset"),
        FID,
        U32("min_count", "Min Count"),
        Hex32("channel", "Channel"),
        U32("remaining_bytes", "Remaining Bytes"),
        U16("channel_info_offset", "Channel Info Offset"),
        U16("channel_info_length", "Channel Info Length"),
    ),
    (8, 1): _body(
        U8("data_offset", "Data Offset"),
        Bytes("", "Reserved", 1),
        U32("read_length", "Read Length"),
        U32("read_remaining", "Read Remaining"),
        Bytes("", "Reserved", 4),
    ),
    (9, 0): _body(
        Hex16("data_offset", "Data Offset"),
        U32("write_length", "Write Length"),
        U64("file_offset", "File Offset"),
        FID,
        Hex32("channel", "Channel"),
        U32("remaining_bytes", "Remaining Bytes"),
        U16("channel_info_offset", "Channel Info Offset"),
        U16("channel_info_length", "Channel Info Length"),
        Hex32("write.flags", "Write Flags"),
    ),
    (9, 1): _body(
        Bytes("", "Reserved", 2), U32("write.count", "Write Count"), U32("write.remaining", "Write Remaining")
    ),
    (10, 0): _body(U16("lock_count", "Lock Count"), Bytes("", "Lock Sequence", 4), FID),
    (11, 0): _body(
        Bytes("", "Reserved", 2),
        Hex32("ioctl.function", "Function", names.CONTROLS),
        FID,
        U32("olb.offset", "Blob Offset"),
        U32("olb.length", "Blob Length"),
        U32("max_ioctl_in_size", "Max Ioctl In Size"),
        U32("olb.offset", "Blob Offset"),
        U32("olb.length", "Blob Length"),
        U32("max_ioctl_out_size", "Max Ioctl Out Size"),
        Hex32("ioctl.flags", "Flags"),
    ),
    (11, 1): _body(
        Bytes("", "Reserved", 2),
        Hex32("ioctl.function", "Function", names.CONTROLS),
        FID,
        U32("olb.offset", "Blob Offset"),
        U32("olb.length", "Blob Length"),
        U32("olb.offset", "Blob Offset"),
        U32("olb.length", "Blob Length"),
        Hex32("ioctl.flags", "Flags"),
    ),
    (14, 0): _body(
        U8("find.infolevel", "Info Level", names.FINDS),
        Hex8("find.flags", "Find Flags"),
        Hex32("file_index", "File Index"),
        FID,
        U16("olb.offset", "Blob Offset"),
        U16("olb.length", "Blob Length"),
        U32("output_buffer_len", "Output Buffer Length"),
    ),
    (15, 0): _body(
        Hex16("notify.flags", "Notify Flags"),
        U32("output_buffer_len", "Output Buffer Length"),
        FID,
        Hex32("=smb.nt.notify.completion_filter", "Completion Filter"),
    ),
    (16, 0): _body(
        Hex8("class", "Class", names.CLASSES),
        Hex8("infolevel", "InfoLevel"),
        U32("max_response_size", "Max Response Size"),
        U16("getinfo_input_offset", "Getinfo Input Offset"),
        Bytes("", "Reserved", 2),
        U32("getinfo_input_size", "Getinfo Input Size"),
        Hex32("getsetinfo_additional", "Additional Info"),
        Hex32("getinfo_flags", "Flags"),
        FID,
    ),
    (17, 0): _body(
        Hex8("class", "Class", names.CLASSES),
        Hex8("infolevel", "InfoLevel"),
        U32("setinfo_size", "Setinfo Size"),
        U16("setinfo_offset", "Setinfo Offset"),
        Bytes("", "Reserved", 2),
        Hex32("getsetinfo_additional", "Additional Info"),
        FID,
    ),
    (18, 0): _body(Hex8("create.oplock", "Oplock", names.OPLOCKS), Bytes("", "Reserved", 5), FID),
    (18, 1): _body(Hex8("create.oplock", "Oplock", names.OPLOCKS), Bytes("", "Reserved", 5), FID),
}
"""(command, whether it is a response) → the fixed part of its body (MS-SMB2 2.2.3 to 2.2.40)."""
FID_AT: Final = {
    key: next(
        (sum(row.size for row in body.rows[:index]) for index, row in enumerate(body.rows) if row.name == "smb2.fid"),
        None,
    )
    for key, body in BODIES.items()
}
DIALECT: Final = number("smb2.dialect", "Dialect", names.DIALECTS, digits=4)
BLOB: Final = octets("smb2.security_blob", "Security Blob")
TREE: Final = text("smb2.tree", "Tree")
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
    return message.blob(offset, size)


def _session_response(message: Message) -> str:
    _, offset, size = message.values
    return message.blob(offset, size)


def _tree_request(message: Message) -> str:
    _, offset, size = message.values
    return f" Tree: {message.wide(TREE, offset, size)}"


def _tree_response(message: Message) -> str:
    remember(message.memory, ("tree", message.tree), message.values[0])
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
