"""NTLMSSP messages (MS-NLMP 2.2.1): who signs in, where, from which machine."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Bit, Field, Flags32, Header, Item, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.text import escape

__all__ = ["ntlmssp"]

MAGIC: Final = b"NTLMSSP\0"
TYPES: Final = {1: "NTLMSSP_NEGOTIATE", 2: "NTLMSSP_CHALLENGE", 3: "NTLMSSP_AUTH"}
NTLMSSP: Final = Header("ntlmssp", "NTLM Secure Service Provider", ())
IDENTIFIER: Final = text("ntlmssp.identifier", "NTLMSSP identifier")
TYPE: Final = number("ntlmssp.messagetype", "NTLM Message Type", TYPES, digits=8)
FLAGS: Final = Header(
    "ntlmssp",
    "Negotiate Flags",
    (
        Flags32(
            "negotiateflags",
            "Negotiate Flags",
            Bit(0x80000000, "negotiate56", "Negotiate 56"),
            Bit(0x40000000, "negotiatekeyexch", "Negotiate Key Exchange"),
            Bit(0x20000000, "negotiate128", "Negotiate 128"),
            Bit(0x02000000, "negotiateversion", "Negotiate Version"),
            Bit(0x00800000, "negotiatetargetinfo", "Negotiate Target Info"),
            Bit(0x00400000, "requestnonntsession", "Request Non-NT Session"),
            Bit(0x00100000, "negotiateidentify", "Negotiate Identify"),
            Bit(0x00080000, "negotiatentlm2", "Negotiate Extended Security"),
            Bit(0x00040000, "targettypeshare", "Target Type Share"),
            Bit(0x00020000, "targettypeserver", "Target Type Server"),
            Bit(0x00010000, "targettypedomain", "Target Type Domain"),
            Bit(0x00008000, "negotiatealwayssign", "Negotiate Always Sign"),
            Bit(0x00002000, "negotiateoemworkstationsupplied", "Negotiate OEM Workstation Supplied"),
            Bit(0x00001000, "negotiateoemdomainsupplied", "Negotiate OEM Domain Supplied"),
            Bit(0x00000800, "negotiateanonymous", "Negotiate Anonymous"),
            Bit(0x00000200, "negotiatentlm", "Negotiate NTLM key"),
            Bit(0x00000080, "negotiatelmkey", "Negotiate Lan Manager Key"),
            Bit(0x00000040, "negotiatedatagram", "Negotiate Datagram"),
            Bit(0x00000020, "negotiateseal", "Negotiate Seal"),
            Bit(0x00000010, "negotiatesign", "Negotiate Sign"),
            Bit(0x00000004, "requesttarget", "Request Target"),
            Bit(0x00000002, "negotiateoem", "Negotiate OEM"),
            Bit(0x00000001, "negotiateunicode", "Negotiate UNICODE"),
        ),
    ),
    name="",
    little=True,
)
UNICODE: Final = 0x00000001
CHALLENGE: Final = octets("ntlmssp.ntlmserverchallenge", "NTLM Server Challenge")
TARGET: Final = text("ntlmssp.challenge.target_name", "Target Name")
LM: Final = octets("ntlmssp.auth.lmresponse", "Lan Manager Response")
NT: Final = octets("ntlmssp.auth.ntresponse", "NTLM Response")
DOMAIN: Final = text("ntlmssp.auth.domain", "Domain name")
USER: Final = text("ntlmssp.auth.username", "User name")
HOST: Final = text("ntlmssp.auth.hostname", "Host name")
SESSION_KEY: Final = octets("ntlmssp.auth.sesskey", "Session Key")
CALLER_DOMAIN: Final = text("ntlmssp.negotiate.domain", "Calling workstation domain")
CALLER: Final = text("ntlmssp.negotiate.callingworkstation", "Calling workstation name")

TARGET_INFO: Final = {
    1: text("ntlmssp.challenge.target_info.nb_computer_name", "NetBIOS Computer Name"),
    2: text("ntlmssp.challenge.target_info.nb_domain_name", "NetBIOS Domain Name"),
    3: text("ntlmssp.challenge.target_info.dns_computer_name", "DNS Computer Name"),
    4: text("ntlmssp.challenge.target_info.dns_domain_name", "DNS Domain Name"),
    5: text("ntlmssp.challenge.target_info.dns_tree_name", "DNS Tree Name"),
}
"""AvId → the name that it holds (MS-NLMP 2.2.2.1)."""


def ntlmssp(packet: Packet, parent: Item, at: int, limit: int) -> str:
    """Shows the message within a security blob, wherever SPNEGO put it -> `, NTLMSSP_AUTH, User: DOMAIN\\user`."""
    end = packet.end(limit)
    found = packet.data.find(MAGIC, at, end)
    if found < 0 or found + 12 > end:
        return ""
    kind = int.from_bytes(packet.data[found + 8 : found + 12], "little")
    if kind not in TYPES:
        return ""
    heading = packet.add(parent, NTLMSSP.field, None, found, end - found, TYPES[kind])
    packet.add(heading, IDENTIFIER, MAGIC[:-1], found, 8)
    packet.add(heading, TYPE, kind, found + 8, 4)
    message = _Message(packet, heading, found, end)
    said = f", {TYPES[kind]}"
    if kind == 1:
        message.flags(12)
        message.name(CALLER_DOMAIN, 16, wide=False)
        message.name(CALLER, 24, wide=False)
    elif kind == 2:
        wide = message.flags(20) & UNICODE
        message.name(TARGET, 12, wide=bool(wide))
        if message.has(24, 8):
            packet.add(heading, CHALLENGE, packet.data[found + 24 : found + 32], found + 24, 8)
        message.target_info(40)
    else:
        wide = message.flags(60) & UNICODE if message.has(60, 4) else UNICODE
        message.blob(LM, 12)
        message.blob(NT, 20)
        domain = message.name(DOMAIN, 28, wide=bool(wide))
        user = message.name(USER, 36, wide=bool(wide))
        message.name(HOST, 44, wide=bool(wide))
        message.blob(SESSION_KEY, 52)
        if user or domain or message.has(36, 8):
            said += f", User: {escape(domain)}\\{escape(user)}"
    return said


class _Message:
    """Length, room and offset in the fixed part lead to bytes behind it; what lies outside is not shown."""

    def __init__(self, packet: Packet, parent: Item, at: int, end: int) -> None:
        self.packet, self.parent, self.at, self.end = packet, parent, at, end

    def has(self, offset: int, size: int) -> bool:
        return self.at + offset + size <= self.end

    def flags(self, offset: int) -> int:
        if not self.has(offset, 4):
            return 0
        (word,) = self.packet.add_header(self.parent, FLAGS, self.at + offset, self.end)
        return int(word)

    def where(self, offset: int) -> tuple[int, int]:
        """(offset in the packet, size) of what an eight-byte descriptor tells of; size 0: nothing, or not here."""
        if not self.has(offset, 8):
            return self.at, 0
        head = self.packet.data[self.at + offset : self.at + offset + 8]
        size, start = int.from_bytes(head[:2], "little"), int.from_bytes(head[4:], "little")
        return (self.at + start, size) if self.has(start, size) else (self.at, 0)

    def name(self, field: Field, offset: int, *, wide: bool) -> str:
        start, size = self.where(offset)
        raw = self.packet.data[start : start + size]
        said = raw.decode("utf-16-le", "replace") if wide else raw.decode("utf-8", "surrogateescape")
        if size:
            self.packet.add(self.parent, field, said, start, size)
        return said

    def blob(self, field: Field, offset: int) -> None:
        start, size = self.where(offset)
        if size:
            self.packet.add(self.parent, field, self.packet.data[start : start + size], start, size)

    def target_info(self, offset: int) -> None:
        start, size = self.where(offset)
        end = start + size
        while start + 4 <= end:
            kind = int.from_bytes(self.packet.data[start : start + 2], "little")
            width = int.from_bytes(self.packet.data[start + 2 : start + 4], "little")
            start += 4
            if kind == 0 or start + width > end:
                return
            if kind in TARGET_INFO:
                said = self.packet.data[start : start + width].decode("utf-16-le", "replace")
                self.packet.add(self.parent, TARGET_INFO[kind], said, start, width)
            start += width
