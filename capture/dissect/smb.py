"""SMB and SMB2, their heads (MS-CIFS 2.2.3, MS-SMB2 2.2.1)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    U64,
    Bit,
    Bytes,
    Flags8,
    Header,
    Hex8,
    Hex16,
    Hex32,
    Hex64,
    Text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.text import escape

COMMANDS2 = {
    0: "Negotiate Protocol",
    1: "Session Setup",
    2: "Session Logoff",
    3: "Tree Connect",
    4: "Tree Disconnect",
    5: "Create",
    6: "Close",
    7: "Flush",
    8: "Read",
    9: "Write",
    10: "Lock",
    11: "Ioctl",
    12: "Cancel",
    13: "KeepAlive",
    14: "Find",
    15: "Notify",
    16: "GetInfo",
    17: "SetInfo",
    18: "Break",
}
COMMANDS = {
    0x04: "Close",
    0x10: "Check Directory",
    0x24: "Locking AndX",
    0x25: "Trans",
    0x2B: "Echo",
    0x2D: "Open AndX",
    0x2E: "Read AndX",
    0x2F: "Write AndX",
    0x32: "Trans2",
    0x34: "Find Close2",
    0x71: "Tree Disconnect",
    0x72: "Negotiate Protocol",
    0x73: "Session Setup AndX",
    0x74: "Logoff AndX",
    0x75: "Tree Connect AndX",
    0xA0: "NT Trans",
    0xA2: "NT Create AndX",
    0xA4: "NT Cancel",
}
STATUS = {
    0x00000000: "STATUS_SUCCESS",
    0x00000103: "STATUS_PENDING",
    0x80000005: "STATUS_BUFFER_OVERFLOW",
    0x80000006: "STATUS_NO_MORE_FILES",
    0xC000000D: "STATUS_INVALID_PARAMETER",
    0xC0000011: "STATUS_END_OF_FILE",
    0xC0000016: "STATUS_MORE_PROCESSING_REQUIRED",
    0xC0000022: "STATUS_ACCESS_DENIED",
    0xC0000033: "STATUS_OBJECT_NAME_INVALID",
    0xC0000034: "STATUS_OBJECT_NAME_NOT_FOUND",
    0xC000006D: "STATUS_LOGON_FAILURE",
    0xC00000BB: "STATUS_NOT_SUPPORTED",
    0xC00000CC: "STATUS_BAD_NETWORK_NAME",
    0xC0000203: "STATUS_USER_SESSION_DELETED",
}
SMB2 = Header(
    "smb2",
    "SMB2 (Server Message Block Protocol version 2)",
    (
        Hex32("protocol_id", "ProtocolId"),
        U16("header_len", "Header Length"),
        U16("credit.charge", "Credit Charge"),
        Hex32("nt_status", "NT Status", STATUS),
        U16("cmd", "Command", COMMANDS2),
        U16("credits.granted", "Credits"),
        Hex32("flags", "Flags"),
        Hex32("chain_offset", "Chain Offset"),
        U64("msg_id", "Message ID"),
        Hex32("pid", "Process Id"),
        Hex32("tid", "Tree Id"),
        Hex64("sesid", "Session Id"),
        Bytes("signature", "Signature", 16),
    ),
    little=True,
)
SMB = Header(
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
        Hex16("flags2", "Flags2"),
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
NOT_ERRORS = frozenset({0x00000000, 0x00000103})
MAILSLOT = b"\\MAILSLOT\\BROWSE\0"
BROWSER_COMMANDS = {
    0x01: "Host Announcement",
    0x02: "Request Announcement",
    0x08: "Browser Election Request",
    0x09: "Get Backup List Request",
    0x0A: "Get Backup List Response",
    0x0B: "Become Backup Browser",
    0x0C: "Domain/Workgroup Announcement",
    0x0D: "Master Announcement",
    0x0E: "Reset Browser State Announcement",
    0x0F: "Local Master Announcement",
}
SERVER_TYPES = (
    "Workstation",
    "Server",
    "SQL Server",
    "Domain Controller",
    "Backup Controller",
    "Time Source",
    "Apple Server",
    "Novell Server",
    "Domain Member Server",
    "Print Queue Server",
    "Dialin Server",
    "Xenix Server",
    "NT Workstation",
    "Windows for Workgroups",
    "Unknown server type:14",
    "NT Server",
    "Potential Browser",
    "Backup Browser",
    "Master Browser",
    "Domain Master Browser",
    "OSF",
    "VMS",
    "Windows 95 or above",
    "DFS server",
)
"""By bit, from the lowest (MS-BRWS 2.2)."""
DOMAIN_ENUM = 1 << 31
ANNOUNCEMENTS = frozenset({0x01, 0x0C, 0x0F})
BROWSER = Header("browser", "Microsoft Windows Browser Protocol", (Hex8("command", "Command", BROWSER_COMMANDS),))
ANNOUNCEMENT = Header(
    "browser",
    "Announcement",
    (
        U8("update_count", "Update Count"),
        U32("period", "Update Periodicity (ms)"),
        Text("server", "Host Name", 16),
        U8("os_major", "OS Major Version"),
        U8("os_minor", "OS Minor Version"),
        Hex32("server_type", "Server Type"),
    ),
    little=True,
    name="",
)
NTLM = {1: "NTLMSSP_NEGOTIATE", 2: "NTLMSSP_CHALLENGE", 3: "NTLMSSP_AUTH"}


@on("nbss", 0)
def smb(packet: Packet, at: int, limit: int) -> Step | None:
    """Which of the versions, by the first four bytes."""
    magic = packet.data[at : at + 4]
    if magic == b"\xfeSMB":
        return _smb2(packet, at, limit)
    if magic == b"\xffSMB":
        return _smb1(packet, at, limit)
    return NOT_MINE


def _smb2(packet: Packet, at: int, limit: int) -> Step | None:
    packet.column("smb2")
    words: list[str] = []
    for _ in range(32):
        layer, values = packet.open(SMB2, at, limit)
        _, _, _, status, command, _, flags, chain, *_ = values
        end = at + chain if chain >= SMB2.size and at + chain < limit else limit
        response = flags & 1
        said = f"{COMMANDS2.get(command, f'Unknown ({command})')} {'Response' if response else 'Request'}"
        said += _error(status) if response else ""
        said += _ntlm(packet, at + SMB2.size, end)
        layer.said = said
        words.append(said)
        packet.info = ";".join(words)
        packet.run(Step((), at + SMB2.size, end))
        if end == limit:
            return None
        at = end
    return None


def _smb1(packet: Packet, at: int, limit: int) -> Step | None:
    packet.column("smb")
    layer, (_, command, status, flags, *_) = packet.open(SMB, at, limit)
    response = flags & 0x80
    packet.info = f"{COMMANDS.get(command, f'Unknown ({command})')} {'Response' if response else 'Request'}"
    packet.info += _ntlm(packet, at + SMB.size, limit)
    packet.info += _error(status) if response else ""
    layer.said = packet.info
    where = packet.data.find(MAILSLOT, at + SMB.size, packet.end(limit))
    if where >= 0:
        packet.run(Step((browser,), where + len(MAILSLOT), limit))
        return None
    return Step((), at + SMB.size, limit)


def browser(packet: Packet, at: int, limit: int) -> Step | None:
    """Who is there and what it serves, announced to the local network."""
    packet.column("browser")
    layer, (command,) = packet.open(BROWSER, at, limit)
    layer.said = packet.info = BROWSER_COMMANDS.get(command, f"Unknown command:0x{command:02x}")
    where = at + BROWSER.size
    if command in ANNOUNCEMENTS:
        _, _, name, _, _, kinds = packet.add_header(layer, ANNOUNCEMENT, where, limit)
        layer.size += ANNOUNCEMENT.size
        words = [text for bit, text in enumerate(SERVER_TYPES) if kinds >> bit & 1]
        words += ["Domain Enum"] if kinds & DOMAIN_ENUM else []
        packet.info += f" {escape(name.split(bytes(1))[0])}, {', '.join(words)}"
        where += ANNOUNCEMENT.size
    elif command == 0x02:
        packet.info += f" {escape(packet.rest(where + 1, limit).split(bytes(1))[0])}"
    return Step((), where, limit)


def _error(status: int) -> str:
    return "" if status in NOT_ERRORS else f", Error: {STATUS.get(status, f'0x{status:08x}')}"


def _ntlm(packet: Packet, at: int, limit: int) -> str:
    """Which NTLM message the security blob holds, by its signature (MS-NLMP 2.2.1)."""
    end = packet.end(limit)
    found = packet.data.find(b"NTLMSSP\0", at, end)
    if found < 0 or found + 9 > end:
        return ""
    name = NTLM.get(packet.data[found + 8])
    return f", {name}" if name else ""
