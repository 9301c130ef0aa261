"""Layouts of SMB2: the header, and the fixed part of each body (MS-SMB2 2.2.1 to 2.2.40)."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from netwatch.capture.dissect import smb2_names as names
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
)
from netwatch.capture.dissect.times import filetime

__all__ = ["ASYNC", "ASYNCHRONOUS", "BODIES", "FID_AT", "RESPONSE", "SIZE", "SYNC"]

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
        U16("sec_mode", "Security mode", plain="0x{:02x}".format),
        Bytes("", "Reserved", 2),
        Hex32("capabilities", "Capabilities"),
        _guid_row("client_guid", "Client Guid"),
        Bytes("", "Negotiate contexts", 8),
    ),
    (0, 1): _body(
        U16("sec_mode", "Security mode", plain="0x{:02x}".format),
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
        Hex8("share_type", "Share Type", names.SHARE_TYPES),
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
"""Where in the body the file's id stands."""
