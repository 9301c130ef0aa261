"""Microsoft's browser: who is there and what it serves (MS-BRWS)."""

from __future__ import annotations

from netwatch.capture.dissect.kit import U8, U32, Header, Hex8, Hex32, Text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import Step, on
from netwatch.capture.text import escape

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


@on("smb.mailslot", 0)
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
