"""ONC RPC (RFC 5531): calls, replies matched to them, records over TCP; the portmapper and MOUNT.

A reply says neither program nor procedure: only with its call is there anything to show of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from netwatch.capture.dissect.kit import U32, Field, Header, Hex32, flag, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.recall import remember
from netwatch.capture.dissect.registry import NOT_MINE, TABLES, Step, on, signature, step
from netwatch.capture.text import escape

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

__all__ = ["Call", "Reader"]

PROGRAMS: Final = {
    100000: "Portmap",
    100001: "RSTAT",
    100002: "RUSERS",
    100003: "NFS",
    100004: "YPSERV",
    100005: "MOUNT",
    100007: "YPBIND",
    100011: "RQUOTA",
    100021: "NLM",
    100024: "STAT",
    100026: "BOOTPARAMS",
    100227: "NFSACL",
    100300: "NIS+",
}
"""RFC 5531, 13; what the registry of numbers calls them."""
FLAVORS: Final = {0: "AUTH_NULL", 1: "AUTH_UNIX", 2: "AUTH_SHORT", 3: "AUTH_DES", 6: "RPCSEC_GSS", 7: "AUTH_TLS"}
CALL: Final = Header(
    "rpc",
    "Remote Procedure Call",
    (
        Hex32("xid", "XID"),
        U32("msgtyp", "Message Type", {0: "Call", 1: "Reply"}),
        U32("version", "RPC Version"),
        U32("program", "Program", PROGRAMS),
        U32("programversion", "Program Version"),
        U32("procedure", "Procedure"),
    ),
)
REPLY: Final = Header(
    "rpc",
    "Remote Procedure Call",
    (
        Hex32("xid", "XID"),
        U32("msgtyp", "Message Type", {0: "Call", 1: "Reply"}),
        U32("replystat", "Reply State", {0: "accepted", 1: "denied"}),
    ),
)
LAST, LENGTH = flag("rpc.lastfrag", "Last Fragment"), number("rpc.fraglen", "Fragment Length")
FLAVOR, AUTH_LENGTH = number("rpc.auth.flavor", "Flavor", FLAVORS), number("rpc.auth.length", "Length")
STAMP, MACHINE = number("rpc.auth.stamp", "Stamp", digits=8), text("rpc.auth.machinename", "Machine Name")
UID, GID = number("rpc.auth.uid", "UID"), number("rpc.auth.gid", "GID")
ACCEPTS: Final = {
    0: "RPC executed successfully",
    1: "remote hasn't exported program",
    2: "remote can't support version #",
    3: "program can't support procedure",
    4: "procedure can't decode params",
    5: "system errors like memory allocation failure",
}
ACCEPTED: Final = number("rpc.state_accept", "Accept State", ACCEPTS)
REJECTED: Final = number("rpc.state_reject", "Reject State", {0: "RPC_MISMATCH", 1: "AUTH_ERROR"})
ASKED_IN: Final = number("rpc.repframe", "Call in packet")
BODY: Final = octets("", "Body")
MAX_FRAGMENTS: Final = 64
MAX_AUTH: Final = 400
"""Bytes of credentials (RFC 5531, 8.2)."""
MORE: Final = 0x7FFFFFFF
"""The bits of a record mark that are its length (RFC 5531, 11)."""


class Call(NamedTuple):
    """What a program's dissector is told of the message that it shows."""

    version: int
    procedure: int
    answer: bool
    notes: dict[str, Any]
    """What it remembers from a call to its reply."""
    origin: str
    """`Call`, or ` Reply (Call In 5)`."""


class Reader:
    """XDR (RFC 4506), value by value."""

    def __init__(self, packet: Packet, parent: Item, at: int, limit: int) -> None:
        self.packet, self.parent, self.at, self.limit = packet, parent, at, limit

    def uint(self, field: Field | None = None, size: int = 4) -> int:
        value = self.packet.uint("XDR", self.at, size, self.limit)
        if field is not None:
            self.packet.add(self.parent, field, value, self.at, size)
        self.at += size
        return value

    def opaque(self, field: Field | None = None) -> bytes:
        """A length, bytes, and zeros up to a multiple of four."""
        size = self.packet.uint("XDR", self.at, 4, self.limit)
        raw = self.packet.take("XDR", self.at + 4, size, self.limit)
        if field is not None:
            self.packet.add(self.parent, field, raw, self.at + 4, size)
        self.at += 4 + size + -size % 4
        return raw

    def skip(self, size: int) -> None:
        """Bytes that are not shown, but have to be there."""
        self.packet.check("XDR", self.at, size, self.limit)
        self.at += size


def _is_call(head: bytes) -> bool:
    words = [int.from_bytes(head[at : at + 4], "big") for at in range(4, 32, 4)]
    return len(head) >= 32 and words[:2] == [0, 2] and words[2] in PROGRAMS and words[3] < 16 and words[5] in FLAVORS


def _is_reply(packet: Packet, head: bytes) -> bool:
    """To a call that was seen; without that, on the ports of portmapper and NFS."""
    if len(head) < 12 or head[4:8] != b"\0\0\0\1" or head[8:11] != b"\0\0\0" or head[11] > 1:
        return False
    if int.from_bytes(head[:4], "big") in packet.memory("rpc"):
        return True
    ports = packet.values.get("ports", (0, 0))
    return packet.context is None and ports[0] in (111, 2049)


@on("udp.port", 111, 2049)
@signature("udp")
def rpc(packet: Packet, at: int, limit: int) -> Step | None:
    """One message a datagram."""
    head = packet.rest(at, min(at + 32, limit))
    if not _is_call(head) and not _is_reply(packet, head):
        return NOT_MINE
    _message(packet, at, limit)
    return None


@on("tcp.port", 111, 2049)
@signature("tcp")
def rpc_over_tcp(packet: Packet, at: int, limit: int) -> Step | None:
    """Records of fragments, each with its length and whether it is the last."""
    head = packet.rest(at, min(at + 36, limit))
    if head[:1] not in (b"\x80", b"\0") or (not _is_call(head[4:]) and not _is_reply(packet, head[4:])):
        known = packet.memory("rpc.tcp").get("known")
        if not known or len(head) < 8 or head[:1] not in (b"\x80", b"\0"):
            return NOT_MINE
    packet.memory("rpc.tcp")["known"] = True
    packet.settle_on(rpc_over_tcp)
    words: list[str] = []
    while at < limit:
        if packet.data[at : at + 1] not in (b"\x80", b"\0", b""):
            break
        pieces, end = _record(packet, at, limit)
        first, size = pieces[0]
        packet.column("rpc", "; ".join(words))
        if len(pieces) == 1:
            _message(packet, first, min(first + size, limit), at)
        else:
            data = b"".join(packet.data[start : start + length] for start, length in pieces)
            packet.aside("Reassembled RPC", data, Step((_whole,), 0, len(data)))
        words.append(packet.info)
        at = end
    packet.info = "; ".join(words)
    return Step((rpc_over_tcp,), at, limit) if at < limit else None


def _record(packet: Packet, at: int, limit: int) -> tuple[list[tuple[int, int]], int]:
    """(offset and length of each fragment, offset after the last): waits for them."""
    pieces: list[tuple[int, int]] = []
    where = at
    for _ in range(MAX_FRAGMENTS):
        packet.whole("RPC", at, where + 4 - at, limit)
        mark = packet.uint("RPC", where, 4, limit)
        size = mark & MORE
        packet.whole("RPC", at, where + 4 + size - at, limit)
        pieces.append((where + 4, size))
        where += 4 + size
        if mark >> 31 or where > limit:
            break
    return pieces, where


def _whole(packet: Packet, at: int, limit: int) -> Step | None:
    _message(packet, at, limit)
    return None


def _message(packet: Packet, at: int, limit: int, mark: int | None = None) -> None:
    packet.column("rpc")
    answer = packet.uint("RPC", at + 4, 4, limit) == 1
    layer, values = packet.open(REPLY if answer else CALL, at, limit)
    if mark is not None:
        layer.start, layer.size = mark, layer.end - mark
        word = int.from_bytes(packet.data[mark : mark + 4], "big")
        packet.add(layer, LAST, bool(word >> 31), mark, 1)
        packet.add(layer, LENGTH, word & MORE, mark, 4)
    memory = packet.memory("rpc")
    if answer:
        _reply(packet, layer, values, memory, limit)
    else:
        _call(packet, layer, values, memory, limit)


def _call(packet: Packet, layer: Item, values: tuple[Any, ...], memory: dict[Any, Any], limit: int) -> None:
    xid, _, _, program, version, procedure = values
    layer.said = f"Type: Call, XID: 0x{xid:08x}"
    reader = Reader(packet, layer, layer.start + (layer.size if layer.size > CALL.size else CALL.size), limit)
    _auth(reader, "AUTH_UNIX")
    _auth(reader, "")
    layer.size = packet.end(reader.at) - layer.start
    notes: dict[str, Any] = {}
    remember(memory, xid, (program, version, procedure, packet.number, notes))
    _body(packet, program, Call(version, procedure, False, notes, "Call"), reader.at, limit)


def _reply(packet: Packet, layer: Item, values: tuple[Any, ...], memory: dict[Any, Any], limit: int) -> None:
    xid, _, state = values
    layer.said = f"Type: Reply, XID: 0x{xid:08x}"
    known = memory.get(xid)
    where = f" (Call In {known[3]})" if known and known[3] else ""
    reader = Reader(packet, layer, layer.end, limit)
    if state == 0:
        _auth(reader, "")
        accepted = reader.uint(ACCEPTED)
    else:
        accepted = -1
        reader.uint(REJECTED)
    layer.size = packet.end(reader.at) - layer.start
    if known is None:
        packet.info = f"Reply XID 0x{xid:08x}"
        if packet.end(limit) > reader.at:
            rest = packet.rest(reader.at, limit)
            packet.add(layer, BODY, rest, reader.at, len(rest))
            layer.size = packet.end(limit) - layer.start
        return
    program, version, procedure, number_, notes = known
    if number_:
        packet.add(layer, ASKED_IN, number_, layer.start, 4)
    origin = f"Reply{where}"
    if accepted:
        packet.protocol = PROGRAMS.get(program, packet.protocol)
        packet.info = f"V{version} {_named(program, version, procedure)} {origin}"
        packet.info += f" {ACCEPTS.get(accepted, 'denied')}"
        return
    _body(packet, program, Call(version, procedure, True, notes, origin), reader.at, limit)


def _auth(reader: Reader, kind: str) -> None:
    """Who asks: a flavor and bytes; of AUTH_UNIX machine, user and group (RFC 5531, 8 and appendix A)."""
    flavor = reader.uint(FLAVOR)
    size = reader.uint(AUTH_LENGTH)
    start = reader.at
    if flavor == 1 and kind and size >= 8:
        reader.uint(STAMP)
        reader.opaque(MACHINE)
        reader.uint(UID)
        reader.uint(GID)
    reader.at = start
    reader.skip(size + -size % 4)


def _body(packet: Packet, program: int, call: Call, at: int, limit: int) -> None:
    packet.protocol = PROGRAMS.get(program, packet.protocol)
    packet.info = f"V{call.version} {_named(program, call.version, call.procedure)} {call.origin}"
    if at < limit or program in TABLES.get("rpc.program", {}):
        packet.values["rpc"] = call
        packet.run(step("rpc.program", program, at, limit))


def _named(program: int, version: int, procedure: int) -> str:
    if procedure == 0:
        return "NULL"
    named = PROCEDURES.get((program, version), PROCEDURES.get((program, 0), {}))
    return named.get(procedure, f"proc-{procedure}")


PORTMAP: Final = Header("portmap", "Portmap", ())
MOUNT: Final = Header("mount", "Mount Service", ())
PROGRAM, VERSION = number("portmap.prog", "Program", PROGRAMS), number("portmap.version", "Version")
TRANSPORTS: Final = {6: "TCP", 17: "UDP"}
PROTO, PORT = number("portmap.proto", "Protocol", TRANSPORTS), number("portmap.port", "Port")
NETID, ADDRESS = text("portmap.rpcb.netid", "Network Id"), text("portmap.rpcb.addr", "Universal Address")
RPCB_PROGRAM, RPCB_VERSION = (
    number("portmap.rpcb.prog", "Program", PROGRAMS),
    number("portmap.rpcb.version", "Version"),
)
MAX_LISTED: Final = 128
MOUNT_ERRORS: Final = {
    0: "OK",
    1: "ERR_PERM",
    2: "ERR_NOENT",
    5: "ERR_IO",
    13: "ERR_ACCESS",
    20: "ERR_NOTDIR",
    22: "ERR_INVAL",
    63: "ERR_NAMETOOLONG",
    10004: "ERR_NOTSUPP",
    10006: "ERR_SERVERFAULT",
}
PATH, STATUS = text("mount.path", "Path"), number("mount.status", "Status", MOUNT_ERRORS)
HANDLE: Final = octets("nfs.fhandle", "File handle")
DIRECTORY, GROUP = text("mount.export.directory", "Directory"), text("mount.export.group", "Group")
PROCEDURES: Final[dict[tuple[int, int], dict[int, str]]] = {
    (100000, 2): {1: "SET", 2: "UNSET", 3: "GETPORT", 4: "DUMP", 5: "CALLIT"},
    (100000, 0): {
        1: "SET",
        2: "UNSET",
        3: "GETADDR",
        4: "DUMP",
        5: "BCAST",
        6: "GETTIME",
        7: "UADDR2TADDR",
        8: "TADDR2UADDR",
        9: "GETVERSADDR",
        10: "INDIRECT",
        11: "GETADDRLIST",
        12: "GETSTAT",
    },
    (100005, 0): {1: "MNT", 2: "DUMP", 3: "UMNT", 4: "UMNTALL", 5: "EXPORT", 6: "EXPORTALL", 7: "PATHCONF"},
    (100021, 0): {
        1: "TEST",
        2: "LOCK",
        3: "CANCEL",
        4: "UNLOCK",
        5: "GRANTED",
        6: "TEST_MSG",
        7: "LOCK_MSG",
        8: "CANCEL_MSG",
        9: "UNLOCK_MSG",
        10: "GRANTED_MSG",
        20: "SHARE",
        21: "UNSHARE",
        22: "NM_LOCK",
        23: "FREE_ALL",
    },
    (100024, 0): {1: "STAT", 2: "MON", 3: "UNMON", 4: "UNMON_ALL", 5: "SIMU_CRASH", 6: "NOTIFY"},
    (100227, 0): {1: "GETACL", 2: "SETACL", 3: "GETATTR", 4: "ACCESS", 5: "GETXATTRDIR"},
}
"""(program, version; 0: any other) → procedures; NFS adds its own."""


@on("rpc.program", 100000)
def portmap(packet: Packet, at: int, limit: int) -> Step | None:
    """Which port a program listens on (RFC 1833, 3). Replies tell whose the conversations there will be."""
    call: Call | None = packet.values.get("rpc")
    if call is None:
        return NOT_MINE
    layer = packet.layer(PORTMAP.field, at, packet.end(limit) - at, packet.info)
    reader = Reader(packet, layer, at, limit)
    if call.version == 2 and call.procedure in (1, 2, 3) and not call.answer:
        program, version, proto, _ = (reader.uint(field) for field in (PROGRAM, VERSION, PROTO, PORT))
        shown = f"{PROGRAMS.get(program, 'Unknown')}({program})"
        packet.info += f" {shown} V:{version} {TRANSPORTS.get(proto, f'Unknown ({proto})')}"
        call.notes["transport"] = TRANSPORTS.get(proto, "").lower()
    elif call.version == 2 and call.procedure == 3:
        port = reader.uint(PORT)
        packet.info += f" Port:{port}" if port else " PROGRAM_NOT_AVAILABLE"
        address, transport = packet.values["transport"][1], call.notes.get("transport")
        if transport and 0 < port < 0x10000:
            packet.expect(transport, address, port, rpc if transport == "udp" else rpc_over_tcp)
    elif call.procedure == 4 and call.answer and call.version == 2:
        for _ in range(MAX_LISTED):
            if not reader.uint():
                break
            for field in (PROGRAM, VERSION, PROTO, PORT):
                reader.uint(field)
    elif call.version > 2 and call.procedure in (1, 2, 3, 9) and not call.answer:
        reader.uint(RPCB_PROGRAM)
        reader.uint(RPCB_VERSION)
        reader.opaque(NETID)
        reader.opaque(ADDRESS)
    elif call.version > 2 and call.procedure in (3, 9):
        reader.opaque(ADDRESS)
    elif reader.at < limit:
        rest = packet.rest(reader.at, limit)
        packet.add(layer, BODY, rest, reader.at, len(rest))
    return None


@on("rpc.program", 100005)
def mount(packet: Packet, at: int, limit: int) -> Step | None:
    """The handle of an exported directory (RFC 1813, appendix I)."""
    call: Call | None = packet.values.get("rpc")
    if call is None:
        return NOT_MINE
    layer = packet.layer(MOUNT.field, at, packet.end(limit) - at, packet.info)
    reader = Reader(packet, layer, at, limit)
    if call.procedure in (1, 3) and not call.answer:
        packet.info += f" {escape(reader.opaque(PATH))}"
    elif call.procedure == 1:
        status = reader.uint(STATUS)
        if status:
            packet.info += f" Error:{MOUNT_ERRORS.get(status, f'Unknown error:{status}')}"
        elif call.version == 3:
            reader.opaque(HANDLE)
    elif call.procedure in (5, 6) and call.answer:
        for _ in range(MAX_LISTED):
            if not reader.uint():
                break
            reader.opaque(DIRECTORY)
            for _ in range(MAX_LISTED):
                if not reader.uint():
                    break
                reader.opaque(GROUP)
    return None
