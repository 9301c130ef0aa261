"""SMB of before SMB2 (MS-CIFS 2.2.3): heads, paths, who signs in. By the first four bytes the newer ones follow."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import (
    U16,
    U32,
    Bit,
    Bytes,
    Flags8,
    Flags16,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Hex64,
    Item,
    octets,
    text,
)
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step
from netwatch.capture.dissect.smb2_names import STATUS
from netwatch.capture.text import escape

COMMANDS: Final = {
    0x00: "Create Directory",
    0x01: "Delete Directory",
    0x04: "Close",
    0x05: "Flush",
    0x06: "Delete",
    0x07: "Rename",
    0x08: "Query Information",
    0x0A: "Read",
    0x0B: "Write",
    0x10: "Check Directory",
    0x24: "Locking AndX",
    0x25: "Trans",
    0x2B: "Echo",
    0x2D: "Open AndX",
    0x2E: "Read AndX",
    0x2F: "Write AndX",
    0x32: "Trans2",
    0x34: "Find Close2",
    0x70: "Tree Connect",
    0x71: "Tree Disconnect",
    0x72: "Negotiate Protocol",
    0x73: "Session Setup AndX",
    0x74: "Logoff AndX",
    0x75: "Tree Connect AndX",
    0xA0: "NT Trans",
    0xA2: "NT Create AndX",
    0xA4: "NT Cancel",
}
SMB: Final = Header(
    "smb",
    "SMB (Server Message Block Protocol)",
    (
        Hex32("server_component", "Server Component"),
        Hex8("cmd", "SMB Command", COMMANDS),
        Hex32("nt_status", "NT Status", STATUS),
        Flags8(
            "flags",
            "Flags",
            Bit(0x80, "flags.response", "Request/Response"),
            Bit(0x08, "flags.caseless", "Case Sensitivity"),
        ),
        Flags16(
            "flags2",
            "Flags2",
            Bit(0x8000, "flags2.string", "Unicode Strings"),
            Bit(0x4000, "flags2.nt_error", "Error Code Type"),
            Bit(0x1000, "flags2.dfs", "Dfs"),
            Bit(0x0800, "flags2.esn", "Extended Security Negotiation"),
            Bit(0x0004, "flags2.sec_sig", "Security Signatures"),
            Bit(0x0001, "flags2.long_names_allowed", "Long Names Allowed"),
        ),
        U16("pid.high", "Process ID High"),
        Bytes("signature", "Signature", 8),
        Bytes("", "Reserved", 2),
        U16("tid", "Tree ID"),
        U16("pid", "Process ID"),
        U16("uid", "User ID"),
        U16("mid", "Multiplex ID"),
    ),
    little=True,
)
WIDE: Final = 0x8000
NOT_ERRORS: Final = frozenset({0x00000000, 0x00000103})
MAILSLOT: Final = b"\\MAILSLOT\\BROWSE\0"
PATH: Final = text("smb.path", "Path")
DIALECT: Final = text("smb.dialect.name", "Name")
NEGOTIATE, DELETE, TREE_CONNECT, CREATE = 0x72, 0x06, 0x75, 0xA2
MAX_DIALECTS: Final = 64
TRANSFORM: Final = Header(
    "smb2",
    "SMB2 Transform Header",
    (
        Hex32("protocol_id", "ProtocolId"),
        Bytes("header.transform.signature", "Signature", 16),
        Bytes("header.transform.nonce", "Nonce", 16),
        U32("header.transform.msg_size", "Message size"),
        Bytes("", "Reserved", 2),
        Hex16("header.transform.flags", "Flags"),
        Hex64("sesid", "Session Id"),
    ),
    little=True,
)
ENCRYPTED: Final = octets("smb2.header.transform.enc_data", "Encrypted SMB3 data")
COMPRESSED: Final = Header(
    "smb2",
    "SMB2 Compression Transform Header",
    (
        Hex32("protocol_id", "ProtocolId"),
        U32("header.comp_transform.original_size", "OriginalSize"),
        U16("header.comp_transform.comp_alg", "CompressionAlgorithm"),
        U16("header.comp_transform.flags", "Flags"),
        U32("header.comp_transform.offset", "Offset"),
    ),
    little=True,
)


@on("nbss", 0)
def smb(packet: Packet, at: int, limit: int) -> Step | None:
    """Which of the versions, by the first four bytes."""
    magic = packet.data[at : at + 4]
    if magic == b"\xfeSMB":
        return step("smb", 2, at, limit)
    if magic == b"\xffSMB":
        return _smb1(packet, at, limit)
    if magic == b"\xfdSMB":
        packet.column("smb2", "Encrypted SMB3")
        layer, _ = packet.open(TRANSFORM, at, limit, "Encrypted SMB3")
        rest = packet.rest(at + TRANSFORM.size, limit)
        packet.add(layer, ENCRYPTED, rest, at + TRANSFORM.size, len(rest))
        return None
    if magic == b"\xfcSMB":
        packet.column("smb2", "Compressed SMB3")
        packet.open(COMPRESSED, at, limit, "Compressed SMB3")
        return Step((), at + COMPRESSED.size, limit)
    return NOT_MINE


def _smb1(packet: Packet, at: int, limit: int) -> Step | None:
    packet.column("smb")
    layer, (_, command, status, flags, flags2, *_) = packet.open(SMB, at, limit)
    response = flags & 0x80
    packet.info = f"{COMMANDS.get(command, f'Unknown ({command})')} {'Response' if response else 'Request'}"
    start = at + SMB.size
    if not response:
        packet.info += _path(packet, layer, command, bool(flags2 & WIDE), start, limit)
    packet.info += ntlmssp(packet, layer, start, limit)
    if response and status not in NOT_ERRORS:
        packet.info += f", Error: {STATUS.get(status, f'Unknown (0x{status:08x})')}"
    layer.said = packet.info
    where = packet.data.find(MAILSLOT, start, packet.end(limit))
    if where >= 0:
        return step("smb.mailslot", 0, where + len(MAILSLOT), limit)
    return Step((), max(start, layer.end), limit)


def _path(packet: Packet, layer: Item, command: int, wide: bool, at: int, limit: int) -> str:
    """What a request names, behind its words and the count of its bytes (MS-CIFS 2.2.3.2, 2.2.3.3)."""
    end = packet.end(limit)
    if command not in (NEGOTIATE, DELETE, TREE_CONNECT, CREATE) or at >= end:
        return ""
    words = at + 1
    where = words + 2 * packet.data[at] + 2
    if command == NEGOTIATE:
        for _ in range(MAX_DIALECTS):
            stop = packet.data.find(b"\0", where, end)
            if stop < 0 or packet.data[where] != 0x02:
                return ""
            packet.add(layer, DIALECT, packet.data[where + 1 : stop], where + 1, stop - where - 1)
            where = stop + 1
    if command == NEGOTIATE or where >= end:
        return ""
    if command == TREE_CONNECT:
        where += int.from_bytes(packet.data[words + 6 : words + 8], "little")
    elif command == DELETE:
        where += 1
    if wide:
        where += (where - (at - SMB.size)) % 2
        stop = where
        while stop + 1 < end and packet.data[stop : stop + 2] != b"\0\0":
            stop += 2
        said = packet.data[where:stop].decode("utf-16-le", "replace")
    else:
        stop = packet.data.find(b"\0", where, end)
        stop = end if stop < 0 else stop
        said = packet.data[where:stop].decode("utf-8", "surrogateescape")
    if stop <= where:
        return ""
    packet.add(layer, PATH, said, where, stop - where)
    return f", Path: {escape(said)}"
