"""DCE RPC: heads of connection-oriented PDUs (C706, 12.6), and which call of SRVSVC and its like they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U32,
    Bit,
    Bytes,
    Field,
    Flags8,
    Header,
    group,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.ntlmssp import ntlmssp
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.rpc_interfaces import INTERFACES, OPERATIONS, TRANSFERS, VERSIONED
from netwatch.capture.protocols import declare

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

__all__ = ["dcerpc", "looks_like_dcerpc"]

declare("dcerpc", "DCERPC", "files")

TYPES: Final = {
    0: "Request",
    1: "Ping",
    2: "Response",
    3: "Fault",
    4: "Working",
    5: "Nocall",
    6: "Reject",
    7: "Ack",
    8: "Cl_cancel",
    9: "Fack",
    10: "Cancel_ack",
    11: "Bind",
    12: "Bind_ack",
    13: "Bind_nak",
    14: "Alter_context",
    15: "Alter_context_resp",
    16: "AUTH3",
    17: "Shutdown",
    18: "Co_cancel",
    19: "Orphaned",
}
CONNECTED: Final = frozenset({0, 2, 3, 11, 12, 13, 14, 15, 16, 17, 18, 19})
DCERPC: Final = tuple(
    Header(
        "dcerpc",
        "Distributed Computing Environment / Remote Procedure Call (DCE/RPC)",
        (
            U8("ver", "Version"),
            U8("ver_minor", "Version (minor)"),
            U8("pkt_type", "Packet type", TYPES),
            Flags8(
                "cn_flags",
                "Packet Flags",
                Bit(0x80, "cn_flags.object", "Object"),
                Bit(0x40, "cn_flags.maybe", "Maybe"),
                Bit(0x20, "cn_flags.dne", "Did Not Execute"),
                Bit(0x10, "cn_flags.mpx", "Multiplex"),
                Bit(0x04, "cn_flags.cancel_pending", "Cancel Pending"),
                Bit(0x02, "cn_flags.last_frag", "Last Frag"),
                Bit(0x01, "cn_flags.first_frag", "First Frag"),
            ),
            Bytes("drep", "Data Representation", 4),
            U16("cn_frag_len", "Frag Length"),
            U16("cn_auth_len", "Auth Length"),
            U32("cn_call_id", "Call ID"),
        ),
        little=little,
    )
    for little in (False, True)
)
"""Big-endian and little-endian: the first byte of the data representation says which."""
FRAGMENTS: Final = {0: "Mid", 1: "1st", 2: "Last", 3: "Single"}
MAX_XMIT: Final = number("dcerpc.cn_max_xmit", "Max Xmit Frag")
MAX_RECV: Final = number("dcerpc.cn_max_recv", "Max Recv Frag")
ASSOCIATION: Final = number("dcerpc.cn_assoc_group", "Assoc Group", digits=8)
CONTEXTS: Final = number("dcerpc.cn_num_ctx_items", "Num Ctx Items")
CONTEXT_ITEM: Final = group("dcerpc.cn_ctx_item", "Ctx Item")
CONTEXT: Final = number("dcerpc.cn_ctx_id", "Context ID")
TRANSFER_COUNT: Final = number("dcerpc.cn_num_trans_items", "Num Trans Items")
INTERFACE: Final = text("dcerpc.cn_bind_to_uuid", "Interface UUID")
MAJOR: Final = number("dcerpc.cn_bind_if_ver", "Interface Ver")
MINOR: Final = number("dcerpc.cn_bind_if_ver_minor", "Interface Ver Minor")
TRANSFER: Final = text("dcerpc.cn_bind_trans_id", "ID")
TRANSFER_VERSION: Final = number("dcerpc.cn_bind_trans_ver", "ver")
ADDRESS_SIZE: Final = number("dcerpc.cn_sec_addr_len", "Scndry Addr len")
ADDRESS: Final = text("dcerpc.cn_sec_addr", "Scndry Addr")
RESULT_COUNT: Final = number("dcerpc.cn_num_results", "Num results")
RESULTS: Final = {0: "Acceptance", 1: "User rejection", 2: "Provider rejection", 3: "Negotiate ACK"}
RESULT: Final = number("dcerpc.cn_ack_result", "Ack result", RESULTS)
REASONS: Final = {
    0: "Reason not specified",
    1: "Abstract syntax not supported",
    2: "Proposed transfer syntaxes not supported",
    3: "Local limit exceeded",
}
REASON: Final = number("dcerpc.cn_ack_reason", "Ack reason", REASONS)
ACK_TRANSFER: Final = text("dcerpc.cn_ack_trans_id", "Transfer Syntax")
REJECTIONS: Final = {
    0: "Reason not specified",
    1: "Temporary congestion",
    2: "Local limit exceeded",
    3: "Called paddr unknown",
    4: "Protocol version not supported",
    8: "Authentication type not recognized",
    9: "Invalid checksum",
}
REJECTED: Final = number("dcerpc.cn_reject_reason", "Reject reason", REJECTIONS)
HINT: Final = number("dcerpc.cn_alloc_hint", "Alloc hint")
OPNUM: Final = number("dcerpc.opnum", "Opnum")
CANCELS: Final = number("dcerpc.cn_cancel_count", "Cancel count")
STATUS: Final = number("dcerpc.cn_status", "Status", digits=8)
STUB: Final = octets("dcerpc.stub_data", "Stub data")
AUTH_TYPE: Final = number(
    "dcerpc.auth_type",
    "Auth type",
    {0: "None", 9: "SPNEGO", 10: "NTLMSSP", 14: "SCHANNEL SSP", 16: "Kerberos", 68: "NETLOGON"},
)
AUTH_LEVELS: Final = {1: "None", 2: "Connect", 3: "Call", 4: "Packet", 5: "Packet integrity", 6: "Packet privacy"}
AUTH_LEVEL: Final = number("dcerpc.auth_level", "Auth level", AUTH_LEVELS)
MAX_LISTED: Final = 64
"""Context items and results of one PDU that are shown."""


def looks_like_dcerpc(data: bytes, at: int, end: int) -> bool:
    """Version 5.0 or 5.1, a PDU of the connection-oriented protocol, a known representation, a length that can be."""
    head = data[at : min(at + 16, end)]
    if len(head) < 16 or head[0] != 5 or head[1] > 1 or head[2] not in CONNECTED:
        return False
    if head[4] not in (0x00, 0x10) or head[5] > 3 or head[6] or head[7]:
        return False
    return int.from_bytes(head[8:10], "little" if head[4] else "big") >= 16


@on("tcp.port", 135)
@on("smb.pipe", 0)
@signature("tcp")
def dcerpc(packet: Packet, at: int, limit: int) -> Step | None:
    """PDUs one after the other; in a named pipe or over TCP."""
    if not looks_like_dcerpc(packet.data, at, packet.end(limit)):
        return NOT_MINE
    words: list[str] = []
    while at < limit and looks_like_dcerpc(packet.data, at, packet.end(limit)):
        order = int(packet.data[at + 4] == 0x10)
        size = int.from_bytes(packet.data[at + 8 : at + 10], "little" if order else "big")
        if packet.streaming:
            packet.whole("DCE/RPC", at, size, limit)
        pdu = _Pdu(packet, at, min(at + size, limit), order)
        words.append(pdu.show())
        packet.info = ", ".join(words)
        at += size
    return Step((dcerpc,), at, limit) if at < limit else None


class _Pdu:
    """One PDU."""

    def __init__(self, packet: Packet, at: int, end: int, order: int) -> None:
        self.packet, self.at, self.end = packet, at, end
        self.little = bool(order)
        self.layer, values = packet.open(DCERPC[order], at, end)
        _, _, self.kind, self.flags, _, _, self.auth, self.call = values
        self.memory = packet.memory("dcerpc")

    def show(self) -> str:
        packet, name = self.packet, TYPES[self.kind]
        packet.column("dcerpc")
        said = f"{name}: call_id: {self.call}, Fragment: {FRAGMENTS[self.flags & 3]}"
        self.layer.said = said
        packet.info = said
        where = self.at + 16
        if self.kind in (11, 14):
            said += self._bind(where)
        elif self.kind in (12, 15):
            said += self._bind_ack(where)
        elif self.kind == 13:
            reason = self.uint(REJECTED, where, 2)
            said += f", reject_reason: {REJECTIONS.get(reason, f'Unknown ({reason})')}"
        elif self.kind in (0, 2, 3):
            said = self._call(where, said)
        self.layer.size = packet.end(self.end) - self.at
        return said + self._auth()

    def uint(self, field: Field, at: int, size: int, parent: Item | None = None) -> int:
        raw = self.packet.take("DCE/RPC", at, size, self.end)
        value = int.from_bytes(raw, "little" if self.little else "big")
        self.packet.add(parent or self.layer, field, value, at, size)
        return value

    def uuid(self, field: Field, at: int, parent: Item) -> str:
        raw = self.packet.take("DCE/RPC", at, 16, self.end)
        made = str(UUID(bytes_le=raw) if self.little else UUID(bytes=raw))
        self.packet.add(parent, field, made, at, 16)
        return made

    def _bind(self, at: int) -> str:
        self.uint(MAX_XMIT, at, 2)
        self.uint(MAX_RECV, at + 2, 2)
        self.uint(ASSOCIATION, at + 4, 4)
        count = self.uint(CONTEXTS, at + 8, 1)
        at += 12
        said = f", {count} context items:"
        items = []
        for _ in range(min(count, MAX_LISTED)):
            parent = self.packet.add(self.layer, CONTEXT_ITEM, None, at, 24)
            context = self.uint(CONTEXT, at, 2, parent)
            transfers = self.uint(TRANSFER_COUNT, at + 2, 1, parent)
            interface = self.uuid(INTERFACE, at + 4, parent)
            major, minor = self.uint(MAJOR, at + 20, 2, parent), self.uint(MINOR, at + 22, 2, parent)
            at += 24
            offered = []
            for _ in range(min(transfers, MAX_LISTED)):
                syntax = self.uuid(TRANSFER, at, parent)
                self.uint(TRANSFER_VERSION, at + 16, 4, parent)
                offered.append(TRANSFERS.get(syntax, syntax))
                at += 20
            parent.size = at - parent.start
            remember(self.memory, ("context", context), (interface, major))
            shown = VERSIONED.get((interface, major)) or INTERFACES.get(interface, (interface, ""))[0]
            parent.said = f"[{context}]: {shown} V{major}.{minor} ({', '.join(offered)})"
            items.append(f" {shown} V{major}.{minor} ({')('.join(offered)})" if offered else f" {shown}")
        return said + ",".join(items)

    def _bind_ack(self, at: int) -> str:
        xmit, recv = self.uint(MAX_XMIT, at, 2), self.uint(MAX_RECV, at + 2, 2)
        self.uint(ASSOCIATION, at + 4, 4)
        size = self.uint(ADDRESS_SIZE, at + 8, 2)
        address = self.packet.take("DCE/RPC", at + 10, size, self.end)
        if size:
            self.packet.add(self.layer, ADDRESS, address.rstrip(b"\0"), at + 10, size)
        at += 10 + size
        at += -(at - self.at) % 4
        count = self.uint(RESULT_COUNT, at, 1)
        at += 4
        results = []
        for _ in range(min(count, MAX_LISTED)):
            parent = self.packet.add(self.layer, CONTEXT_ITEM, None, at, 24)
            result = self.uint(RESULT, at, 2, parent)
            if result == 2:
                self.uint(REASON, at + 2, 2, parent)
            self.uuid(ACK_TRANSFER, at + 4, parent)
            results.append(f" {RESULTS.get(result, f'Unknown result ({result})')}")
            parent.said = results[-1].strip()
            at += 24
        return f", max_xmit: {xmit} max_recv: {recv}, {count} results:{','.join(results)}"

    def _call(self, at: int, said: str) -> str:
        """A request, a response or a fault: of which interface, the context that it was bound to says."""
        packet = self.packet
        self.uint(HINT, at, 4)
        context = self.uint(CONTEXT, at + 4, 2)
        if self.kind == 0:
            opnum: int | None = self.uint(OPNUM, at + 6, 2)
            remember(self.memory, ("call", self.call), (context, opnum))
        else:
            opnum = self.memory.get(("call", self.call), (context, None))[1]
            self.uint(CANCELS, at + 6, 1)
        bound = self.memory.get(("context", context))
        start = at + 8 + (16 if self.kind == 0 and self.flags & 0x80 else 0)
        if self.kind == 3:
            status = self.uint(STATUS, at + 8, 4)
            return f"{said}, Ctx: {context}, status: {FAULTS.get(status, f'Unknown (0x{status:08x})')}"
        stub = packet.rest(start, self.end - (self.auth + 8 if self.auth else 0))
        if stub:
            packet.add(self.layer, STUB, stub, start, len(stub))
        if bound is None:
            words = f", opnum: {opnum}" if self.kind == 0 else ""
            return f"{said}{words}, Ctx: {context}"
        interface, major = bound
        known = INTERFACES.get(interface)
        if known is None or opnum is None:
            shown = known[0] if known else interface
            words = f", opnum: {opnum}" if self.kind == 0 else ""
            return f"{said}{words}, Ctx: {context} {shown} V{major}"
        packet.protocol = known[0]
        name = OPERATIONS.get(known[1], {}).get(opnum, f"Unknown operation {opnum}")
        self.layer.said = f"{name} {'request' if self.kind == 0 else 'response'}"
        return self.layer.said

    def _auth(self) -> str:
        """What proves who calls, at the end of the PDU."""
        if not self.auth:
            return ""
        at = self.end - self.auth - 8
        if at < self.at + 16 or self.end > self.packet.caplen:
            return ""
        self.uint(AUTH_TYPE, at, 1)
        self.uint(AUTH_LEVEL, at + 1, 1)
        return ntlmssp(self.packet, self.layer, at + 8, self.end)


FAULTS: Final = {
    0x00000005: "nca_s_fault_access_denied",
    0x000006F7: "nca_s_fault_ndr",
    0x1C010002: "nca_op_rng_error",
    0x1C010003: "nca_unk_if",
    0x1C01000B: "nca_proto_error",
    0x1C010014: "nca_server_too_busy",
    0x1C000009: "nca_s_fault_invalid_bound",
    0x1C00001A: "nca_s_fault_context_mismatch",
}
