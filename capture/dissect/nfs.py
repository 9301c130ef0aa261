"""NFS versions 3 and 4 (RFC 1813, 7530, 8881): what is asked of which file, by the handle's hash and by name."""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable
from typing import Final

from netwatch.capture.dissect.kit import Header, flag, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on
from netwatch.capture.dissect.rpc import PROCEDURES, Call, Reader
from netwatch.capture.text import escape

NFS: Final = Header("nfs", "Network File System", ())
PROCEDURES[100003, 3] = {
    1: "GETATTR",
    2: "SETATTR",
    3: "LOOKUP",
    4: "ACCESS",
    5: "READLINK",
    6: "READ",
    7: "WRITE",
    8: "CREATE",
    9: "MKDIR",
    10: "SYMLINK",
    11: "MKNOD",
    12: "REMOVE",
    13: "RMDIR",
    14: "RENAME",
    15: "LINK",
    16: "READDIR",
    17: "READDIRPLUS",
    18: "FSSTAT",
    19: "FSINFO",
    20: "PATHCONF",
    21: "COMMIT",
}
PROCEDURES[100003, 2] = {
    1: "GETATTR",
    2: "SETATTR",
    4: "LOOKUP",
    5: "READLINK",
    6: "READ",
    8: "WRITE",
    9: "CREATE",
    10: "REMOVE",
    11: "RENAME",
    12: "LINK",
    13: "SYMLINK",
    14: "MKDIR",
    15: "RMDIR",
    16: "READDIR",
    17: "STATFS",
}
ERRORS: Final = {
    0: "NFS3_OK",
    1: "NFS3ERR_PERM",
    2: "NFS3ERR_NOENT",
    5: "NFS3ERR_IO",
    6: "NFS3ERR_NXIO",
    13: "NFS3ERR_ACCES",
    17: "NFS3ERR_EXIST",
    18: "NFS3ERR_XDEV",
    19: "NFS3ERR_NODEV",
    20: "NFS3ERR_NOTDIR",
    21: "NFS3ERR_ISDIR",
    22: "NFS3ERR_INVAL",
    27: "NFS3ERR_FBIG",
    28: "NFS3ERR_NOSPC",
    30: "NFS3ERR_ROFS",
    31: "NFS3ERR_MLINK",
    63: "NFS3ERR_NAMETOOLONG",
    66: "NFS3ERR_NOTEMPTY",
    69: "NFS3ERR_DQUOT",
    70: "NFS3ERR_STALE",
    71: "NFS3ERR_REMOTE",
    10001: "NFS3ERR_BADHANDLE",
    10002: "NFS3ERR_NOT_SYNC",
    10003: "NFS3ERR_BAD_COOKIE",
    10004: "NFS3ERR_NOTSUPP",
    10005: "NFS3ERR_TOOSMALL",
    10006: "NFS3ERR_SERVERFAULT",
    10007: "NFS3ERR_BADTYPE",
    10008: "NFS3ERR_JUKEBOX",
}
KINDS: Final = {
    1: "Regular File",
    2: "Directory",
    3: "Block Special Device",
    4: "Character Special Device",
    5: "Symbolic Link",
    6: "Socket",
    7: "Named Pipe",
}
STABLE: Final = {0: "UNSTABLE", 1: "DATA_SYNC", 2: "FILE_SYNC"}
MODES: Final = {0: "UNCHECKED", 1: "GUARDED", 2: "EXCLUSIVE"}
RIGHTS: Final = ((0x01, "RD"), (0x02, "LU"), (0x04, "MD"), (0x08, "XT"), (0x10, "DL"), (0x20, "XE"))
HANDLE, HASH = octets("nfs.fhandle", "File handle"), number("nfs.fh.hash", "hash (CRC-32)", digits=8)
NAME, STATUS = text("nfs.name", "Name"), number("nfs.status3", "Status", ERRORS)
OFFSET, COUNT = number("nfs.offset3", "offset"), number("nfs.count3", "count")
STABLE_HOW, COMMITTED = (
    number("nfs.write.stable", "Stable", STABLE),
    number("nfs.write.committed", "Committed", STABLE),
)
DATA, TARGET, EOF = octets("nfs.data", "Data"), text("nfs.readlink.data", "Data"), flag("nfs.read.eof", "EOF")
CREATE_MODE: Final = number("nfs.createmode", "Create Mode", MODES)
KIND, MODE = number("nfs.fattr3.type", "Type", KINDS), number("nfs.mode3", "Mode", form="0{:o}".format)
LINKS, UID, GID = (
    number("nfs.fattr3.nlink", "nlink"),
    number("nfs.fattr3.uid", "uid"),
    number("nfs.fattr3.gid", "gid"),
)
SIZE, USED, FILE_ID = (
    number("nfs.fattr3.size", "size"),
    number("nfs.fattr3.used", "used"),
    number("nfs.fattr3.fileid", "fileid"),
)
FSID: Final = number("nfs.fattr3.fsid", "fsid", digits=16)
ENTRY, ENTRY_ID = text("nfs.readdir.entry3.name", "Name"), number("nfs.readdir.entry3.fileid", "File ID")
CHECK, SUPPORTED, ALLOWED = (
    number("nfs.access_check", "Check access", digits=2),
    number("nfs.access_supported", "Supported types", digits=2),
    number("nfs.access_rights", "Access rights", digits=2),
)
MAX_ENTRIES: Final = 256


def _handle(reader: Reader) -> str:
    start = reader.at
    raw = reader.opaque()
    value = crc32(raw)
    item = reader.packet.add(reader.parent, HANDLE, raw, start + 4, len(raw))
    reader.packet.add(item, HASH, value, start + 4, len(raw))
    return f"0x{value:08x}"


def _place(reader: Reader) -> str:
    """A directory and a name within."""
    directory = _handle(reader)
    return f"DH: {directory}/{escape(reader.opaque(NAME))}"


def _rights(word: int) -> str:
    return " ".join(short for bit, short in RIGHTS if word & bit)


def _file_call(reader: Reader) -> str:
    return f", FH: {_handle(reader)}"


def _place_call(reader: Reader) -> str:
    return f", {_place(reader)}"


def _access_call(reader: Reader) -> str:
    said = f", FH: {_handle(reader)}"
    return f"{said}, [Check: {_rights(reader.uint(CHECK))}]"


def _read_call(reader: Reader) -> str:
    said = f", FH: {_handle(reader)}"
    return f"{said} Offset: {reader.uint(OFFSET, 8)} Len: {reader.uint(COUNT)}"


def _write_call(reader: Reader) -> str:
    said = _read_call(reader)
    stable = reader.uint(STABLE_HOW)
    size = reader.packet.uint("XDR", reader.at, 4, reader.limit)
    rest = reader.packet.rest(reader.at + 4, min(reader.at + 4 + size, reader.limit))
    reader.packet.add(reader.parent, DATA, rest, reader.at + 4, len(rest))
    return f"{said} {STABLE.get(stable, f'Unknown ({stable})')}"


def _create_call(reader: Reader) -> str:
    said = f", {_place(reader)}"
    mode = reader.uint(CREATE_MODE)
    return f"{said} Mode: {MODES.get(mode, f'Unknown ({mode})')}"


def _symlink_call(reader: Reader) -> str:
    said = f", From {_place(reader)}"
    _skip_attributes(reader)
    return f"{said} To {escape(reader.opaque(TARGET))}"


def _rename_call(reader: Reader) -> str:
    said = f", From {_place(reader)}"
    return f"{said} To {_place(reader)}"


def _link_call(reader: Reader) -> str:
    said = f", From DH: {_handle(reader)}"
    return f"{said} To {_place(reader)}"


def _skip_attributes(reader: Reader) -> None:
    """sattr3: each with whether it is there (RFC 1813, 2.5)."""
    for size in (4, 4, 4, 8):
        if reader.uint():
            reader.skip(size)
    for _ in range(2):
        if reader.uint() == 2:
            reader.skip(8)


CALLS: Final[dict[int, Callable[[Reader], str]]] = {
    **dict.fromkeys((1, 2, 5, 16, 17, 18, 19, 20, 21), _file_call),
    **dict.fromkeys((3, 9, 11, 12, 13), _place_call),
    4: _access_call,
    6: _read_call,
    7: _write_call,
    8: _create_call,
    10: _symlink_call,
    14: _rename_call,
    15: _link_call,
}


def _attributes(reader: Reader) -> str:
    """fattr3 (RFC 1813, 2.3.5)."""
    kind, mode = reader.uint(KIND), reader.uint(MODE)
    reader.uint(LINKS)
    uid, gid = reader.uint(UID), reader.uint(GID)
    reader.uint(SIZE, 8)
    reader.uint(USED, 8)
    reader.skip(8)
    reader.uint(FSID, 8)
    reader.uint(FILE_ID, 8)
    reader.skip(24)
    return f"  {KINDS.get(kind, f'Unknown Type: {kind}')} mode: {mode & 0o7777:04o} uid: {uid} gid: {gid}"


def _if_there(reader: Reader) -> None:
    if reader.uint():
        _attributes(reader)


def _change(reader: Reader) -> None:
    """wcc_data: before and after (RFC 1813, 2.6)."""
    if reader.uint():
        reader.skip(24)
    _if_there(reader)


def _lookup_reply(reader: Reader) -> str:
    return f", FH: {_handle(reader)}"


def _access_reply(reader: Reader, asked: int) -> str:
    _if_there(reader)
    allowed = reader.uint(ALLOWED)
    denied = asked & ~allowed
    said = f", [Access Denied: {_rights(denied)}]" if denied else ""
    return f"{said}, [Allowed: {_rights(allowed)}]"


def _readlink_reply(reader: Reader) -> str:
    _if_there(reader)
    return f" Path: {escape(reader.opaque(TARGET))}"


def _read_reply(reader: Reader) -> str:
    _if_there(reader)
    size = reader.uint(COUNT)
    reader.uint(EOF)
    length = reader.uint()
    rest = reader.packet.rest(reader.at, min(reader.at + length, reader.limit))
    reader.packet.add(reader.parent, DATA, rest, reader.at, len(rest))
    return f" Len: {size}"


def _write_reply(reader: Reader) -> str:
    _change(reader)
    size, committed = reader.uint(COUNT), reader.uint(COMMITTED)
    return f" Len: {size} {STABLE.get(committed, f'Unknown ({committed})')}"


def _directory_reply(reader: Reader, plus: bool) -> str:
    _if_there(reader)
    reader.skip(8)
    names = []
    for _ in range(MAX_ENTRIES):
        if not reader.uint():
            break
        reader.uint(ENTRY_ID, 8)
        names.append(escape(reader.opaque(ENTRY)))
        reader.skip(8)
        if plus:
            _if_there(reader)
            if reader.uint():
                _handle(reader)
    return " " + " ".join(names) if names else ""


REPLIES: Final[dict[int, Callable[[Reader], str]]] = {
    1: _attributes,
    3: _lookup_reply,
    5: _readlink_reply,
    6: _read_reply,
    7: _write_reply,
    16: lambda reader: _directory_reply(reader, plus=False),
    17: lambda reader: _directory_reply(reader, plus=True),
}


@on("rpc.program", 100003)
def nfs(packet: Packet, at: int, limit: int) -> Step | None:
    """Calls by procedure; of version 4, a list of operations."""
    call: Call | None = packet.values.get("rpc")
    if call is None:
        return NOT_MINE
    layer = packet.layer(NFS.field, at, packet.end(limit) - at, packet.info)
    reader = Reader(packet, layer, at, limit)
    if call.version == 4 and call.procedure == 1:
        packet.info = f"V4 {call.origin}"
        _reply4(reader, call) if call.answer else _compound(reader, call)
    elif call.version == 3 and call.procedure:
        if not call.answer:
            if call.procedure == 4:
                said = _access_call(reader)
                call.notes["rights"] = int.from_bytes(packet.data[reader.at - 4 : reader.at], "big")
            else:
                speak = CALLS.get(call.procedure)
                said = speak(reader) if speak else ""
            packet.info += said
        else:
            _reply3(reader, call)
    layer.said = packet.info
    return None


def _reply3(reader: Reader, call: Call) -> None:
    status = reader.uint(STATUS)
    if status:
        reader.packet.info += f" Error: {ERRORS.get(status, f'Unknown error: {status}')}"
    elif call.procedure == 4:
        reader.packet.info += _access_reply(reader, call.notes.get("rights", 0))
    elif call.procedure in REPLIES:
        reader.packet.info += REPLIES[call.procedure](reader)


OPERATIONS: Final = {
    3: "ACCESS",
    4: "CLOSE",
    5: "COMMIT",
    6: "CREATE",
    7: "DELEGPURGE",
    8: "DELEGRETURN",
    9: "GETATTR",
    10: "GETFH",
    11: "LINK",
    12: "LOCK",
    13: "LOCKT",
    14: "LOCKU",
    15: "LOOKUP",
    16: "LOOKUPP",
    17: "NVERIFY",
    18: "OPEN",
    19: "OPENATTR",
    20: "OPEN_CONFIRM",
    21: "OPEN_DOWNGRADE",
    22: "PUTFH",
    23: "PUTPUBFH",
    24: "PUTROOTFH",
    25: "READ",
    26: "READDIR",
    27: "READLINK",
    28: "REMOVE",
    29: "RENAME",
    30: "RENEW",
    31: "RESTOREFH",
    32: "SAVEFH",
    33: "SECINFO",
    34: "SETATTR",
    35: "SETCLIENTID",
    36: "SETCLIENTID_CONFIRM",
    37: "VERIFY",
    38: "WRITE",
    39: "RELEASE_LOCKOWNER",
    40: "BACKCHANNEL_CTL",
    41: "BIND_CONN_TO_SESSION",
    42: "EXCHANGE_ID",
    43: "CREATE_SESSION",
    44: "DESTROY_SESSION",
    45: "FREE_STATEID",
    47: "GETDEVICEINFO",
    49: "LAYOUTCOMMIT",
    50: "LAYOUTGET",
    51: "LAYOUTRETURN",
    52: "SECINFO_NO_NAME",
    53: "SEQUENCE",
    55: "TEST_STATEID",
    57: "DESTROY_CLIENTID",
    58: "RECLAIM_COMPLETE",
    59: "ALLOCATE",
    60: "COPY",
    62: "DEALLOCATE",
    69: "SEEK",
}
TAG, MINOR, COUNT4 = (
    text("nfs.tag", "Tag"),
    number("nfs.minorversion", "minorversion"),
    number("nfs.ops.count", "Operations"),
)
OPCODE: Final = number("nfs.opcode", "Opcode", OPERATIONS)
STATUS4: Final = number("nfs.nfsstat4", "Status")
LESS: Final = {9: 1, 24: 1, 10: 2, 22: 2, 23: 2, 31: 2, 32: 2, 53: 2}
"""How little an operation says of what a compound is for; 0: it is what the others prepare."""
MAX_OPERATIONS: Final = 64


def _compound(reader: Reader, call: Call) -> None:
    """Operations one after the other, as far as their arguments' sizes are known."""
    packet, tag = reader.packet, escape(reader.opaque(TAG))
    reader.uint(MINOR)
    count = reader.uint(COUNT4)
    done: list[tuple[int, str]] = []
    current = ""
    for _ in range(min(count, MAX_OPERATIONS)):
        code = reader.uint(OPCODE)
        said, place = "", current
        if code == 22:
            current = _handle(reader)
        elif code == 24:
            current = ""
        elif code == 15:
            said = f" DH: {place}/{escape(reader.opaque(NAME))}"
        elif code == 3:
            rights = reader.uint(CHECK)
            call.notes["rights"] = rights
            said = f" FH: {place}, [Check: {_rights(rights)}]"
        elif code == 9:
            reader.skip(4 * _listed(reader))
            said = f" FH: {place}" if place else ""
        elif code in (25, 5):
            reader.skip(16 if code == 25 else 0)
            said = f" FH: {place}" if code == 5 else ""
            said += f" Offset: {reader.uint(OFFSET, 8)} Len: {reader.uint(COUNT)}"
        elif code == 28:
            said = f" DH: {place}/{escape(reader.opaque(NAME))}"
        elif code == 53:
            reader.skip(32)
        elif code not in WITHOUT:
            done.append((code, ""))
            break
        done.append((code, said))
    call.notes["operations"] = [code for code, _ in done]
    packet.info += f" {tag}" if tag else ""
    packet.info += _main(done)


def _listed(reader: Reader) -> int:
    """How many words of a bitmap follow."""
    return min(reader.uint(), 8)


WITHOUT: Final = frozenset({10, 16, 23, 27, 31, 32})
"""Operations that have no arguments."""


def _main(done: list[tuple[int, str]]) -> str:
    """What stands for the compound: the operations that the others prepare."""
    if not done:
        return ""
    least = min(LESS.get(code, 0) for code, _ in done)
    shown = [
        f"{OPERATIONS.get(code, f'Unknown ({code})')}{said}" for code, said in done if LESS.get(code, 0) == least
    ]
    return " " + " | ".join(shown)


def _reply4(reader: Reader, call: Call) -> None:
    reader.uint(STATUS4)
    tag = escape(reader.opaque(TAG))
    count = reader.uint(COUNT4)
    if count:
        reader.uint(OPCODE)
        reader.uint(STATUS4)
    known = call.notes.get("operations", [])[:count]
    reader.packet.info += f" {tag}" if tag else ""
    reader.packet.info += _main([(code, "") for code in known])
