"""SMB2, DCE RPC, ONC RPC with NFS, TFTP: conversations made by hand, where answers need their questions."""

from __future__ import annotations

import struct

import pytest
from tests.unit.handmade import Talk, value

# SMB2


def smb2(
    command: int, body: bytes, *, response: bool = False, status: int = 0, message: int = 1, chain: int = 0
) -> bytes:
    head = struct.pack(
        "<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1, status, command, 1, int(response), chain, message, 0, 5, 9, bytes(16)
    )
    return head + body


def nbss(message: bytes) -> bytes:
    return struct.pack("!I", len(message)) + message


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


def create(name: str) -> bytes:
    fixed = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x12019F, 0, 7, 1, 0, 64 + 56, len(wide(name)), 0, 0)
    return fixed + wide(name)


def created(fid: bytes) -> bytes:
    return struct.pack("<HBBI4QQQII16sII", 89, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, fid, 0, 0)


FID = bytes(range(16))


def test_a_file_is_called_by_the_name_it_was_opened_with() -> None:
    talk = Talk(445)
    assert talk.say(nbss(smb2(5, create("a\\b.txt")))).info == "Create Request File: a\\b.txt"
    assert talk.say(nbss(smb2(5, created(FID), response=True)), back=True).info == "Create Response File: a\\b.txt"
    read = struct.pack("<HBBIQ16sIIIHH", 49, 0, 0, 1024, 4096, FID, 0, 0, 0, 0, 0) + b"\0"
    tree = talk.say(nbss(smb2(8, read, message=2)))
    assert tree.info == "Read Request Len:1024 Off:4096 File: a\\b.txt"
    assert value(tree, "smb2.file_offset") == "4096"
    assert value(tree, "smb2.fid") == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    failed = talk.say(nbss(smb2(8, bytes(9), response=True, status=0xC0000011, message=2)), back=True)
    assert failed.info == "Read Response, Error: STATUS_END_OF_FILE"


def test_compound_requests_share_the_file() -> None:
    talk = Talk(445)
    first = smb2(5, create("dir").ljust(64, b"\0"), chain=128)
    info = struct.pack("<HBBIHHIII16s", 41, 1, 0x12, 1024, 0, 0, 0, 0, 0, b"\xff" * 16)
    tree = talk.say(nbss(first + smb2(16, info, message=2)))
    assert tree.info == "Create Request File: dir;GetInfo Request FILE_INFO/SMB2_FILE_ALL_INFO File: dir"


def test_who_signs_in_and_to_which_share() -> None:
    domain, user, host = wide("EXAMPLE"), wide("alice"), wide("PC")
    at = 64
    parts = []
    for raw in (b"", b"", domain, user, host, b""):
        parts.append(struct.pack("<HHI", len(raw), len(raw), at))
        at += len(raw)
    message = b"NTLMSSP\0" + struct.pack("<I", 3) + b"".join(parts) + struct.pack("<I", 1) + domain + user + host
    setup = struct.pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 64 + 24, len(message), 0) + message
    talk = Talk(445)
    tree = talk.say(nbss(smb2(1, setup)))
    assert tree.info == "Session Setup Request, NTLMSSP_AUTH, User: EXAMPLE\\alice"
    assert value(tree, "ntlmssp.auth.hostname") == "PC"
    share = wide("\\\\server\\data")
    tree = talk.say(nbss(smb2(3, struct.pack("<HHHH", 9, 0, 64 + 8, len(share)) + share, message=2)))
    assert tree.info == "Tree Connect Request Tree: \\\\server\\data"
    # From there on every message of the session says who, and every one of the tree where.
    talk.say(nbss(smb2(3, struct.pack("<HBBIII", 16, 1, 0, 0, 0, 0), response=True, message=2)), back=True)
    tree = talk.say(nbss(smb2(5, create("a.txt"), message=3)))
    told = {name: value(tree, name) for name in ("smb2.acct", "smb2.domain", "smb2.host", "smb2.tree")}
    assert told == {
        "smb2.acct": "alice",
        "smb2.domain": "EXAMPLE",
        "smb2.host": "PC",
        "smb2.tree": "\\\\server\\data",
    }
    assert value(tree, "smb2.share_type") == "0x01"


def test_a_name_cannot_write_to_the_terminal() -> None:
    tree = Talk(445).say(nbss(smb2(5, create("a\x1b[2Jb"))))
    assert "\x1b" not in tree.info
    assert "\\x1b[2J" in tree.info


SRVSVC = bytes.fromhex("c84f324b7016d30112785a47bf6ee188")
NDR = bytes.fromhex("045d888aeb1cc9119fe808002b104860")


def pdu(kind: int, body: bytes, call: int = 2, flags: int = 3) -> bytes:
    return struct.pack("<BBBB4sHHI", 5, 0, kind, flags, b"\x10\0\0\0", 16 + len(body), 0, call) + body


def pipe(data: bytes) -> bytes:
    return struct.pack("<HHIQ16sIIHHI", 49, 64 + 48, len(data), 0, FID, 0, 0, 0, 0, 0) + data


def test_a_call_in_a_named_pipe_is_shown_by_what_it_was_bound_to() -> None:
    talk = Talk(445)
    bind = pdu(
        11,
        struct.pack("<HHIB3xHBx", 4280, 4280, 0, 1, 0, 1)
        + SRVSVC
        + struct.pack("<HH", 3, 0)
        + NDR
        + bytes.fromhex("02000000"),
    )
    tree = talk.say(nbss(smb2(9, pipe(bind))))
    assert tree.protocol == "DCERPC"
    assert tree.info == "Bind: call_id: 2, Fragment: Single, 1 context items: SRVSVC V3.0 (32bit NDR)"
    tree = talk.say(nbss(smb2(9, pipe(pdu(0, struct.pack("<IHH", 20, 0, 15) + bytes(20))), message=2)))
    assert (tree.protocol, tree.info) == ("SRVSVC", "NetShareEnumAll request")
    answer = pdu(2, struct.pack("<IHBx", 20, 0, 0) + bytes(20))
    body = struct.pack("<HBBIII", 17, 64 + 16, 0, len(answer), 0, 0) + answer
    tree = talk.say(nbss(smb2(8, body, response=True, message=3)), back=True)
    assert (tree.protocol, tree.info) == ("SRVSVC", "NetShareEnumAll response")


# ONC RPC


def xdr(raw: bytes) -> bytes:
    return struct.pack("!I", len(raw)) + raw + bytes(-len(raw) % 4)


def call(xid: int, program: int, version: int, procedure: int, body: bytes = b"") -> bytes:
    unix = struct.pack("!I", 7) + xdr(b"host") + struct.pack("!III", 1000, 100, 0)
    return struct.pack("!6I", xid, 0, 2, program, version, procedure) + b"\0\0\0\x01" + xdr(unix) + bytes(8) + body


def reply(xid: int, body: bytes = b"", accepted: int = 0) -> bytes:
    return struct.pack("!III", xid, 1, 0) + bytes(8) + struct.pack("!I", accepted) + body


def record(message: bytes, last: bool = True) -> bytes:
    return struct.pack("!I", (last << 31) | len(message)) + message


HANDLE = b"F" * 28
HASH = "0xeda888b4"


def test_a_reply_is_shown_by_its_call() -> None:
    talk = Talk(2049)
    tree = talk.say(record(call(1, 100003, 3, 3, xdr(HANDLE) + xdr(b"name.txt"))))
    assert (tree.protocol, tree.info) == ("NFS", f"V3 LOOKUP Call, DH: {HASH}/name.txt")
    assert value(tree, "rpc.auth.machinename") == "host"
    assert value(tree, "nfs.name") == "name.txt"
    tree = talk.say(record(reply(1, struct.pack("!I", 2) + bytes(4))), back=True)
    assert (tree.protocol, tree.info) == ("NFS", "V3 LOOKUP Reply (Call In 1) Error: NFS3ERR_NOENT")


def test_a_reply_without_its_call_is_nobodys() -> None:
    tree = Talk(3000, "udp").say(reply(1, bytes(8)), back=True)
    assert tree.protocol == "UDP"


def test_records_of_two_fragments_over_three_segments() -> None:
    talk = Talk(2049)
    message = call(9, 100003, 3, 1, xdr(HANDLE))
    talk.say(record(call(8, 100003, 3, 0)))
    stream = record(message[:20], last=False) + record(message[20:])
    assert talk.say(stream[:24]).protocol == "TCP"
    assert talk.say(stream[24:50]).protocol == "TCP"
    tree = talk.say(stream[50:])
    assert (tree.protocol, tree.info) == ("NFS", f"V3 GETATTR Call, FH: {HASH}")
    assert [buffer.name for buffer in tree.buffers][-1] == "Reassembled RPC"


def test_version_4_says_what_a_compound_is_for() -> None:
    words = struct.pack
    operations = [
        words("!I", 22) + xdr(HANDLE),
        words("!I", 15) + xdr(b"file"),
        words("!I", 10),
        words("!III", 9, 1, 16),
    ]
    body = xdr(b"") + words("!II", 0, len(operations)) + b"".join(operations)
    tree = Talk(2049).say(record(call(1, 100003, 4, 1, body)))
    assert tree.info == f"V4 Call LOOKUP DH: {HASH}/file"


def test_the_port_that_the_portmapper_names_is_rpcs() -> None:
    talk = Talk(111, "udp")
    talk.say(call(1, 100000, 2, 3, struct.pack("!IIII", 100005, 3, 17, 0)))
    assert talk.say(reply(1, struct.pack("!I", 20048)), back=True).info == "V2 GETPORT Reply (Call In 1) Port:20048"
    tree = talk.say(call(2, 100005, 3, 1, xdr(b"/export")), ports=(40001, 20048))
    assert (tree.protocol, tree.info) == ("MOUNT", "V3 MNT Call /export")


# TFTP


def test_a_transfer_keeps_its_own_ports() -> None:
    talk = Talk(69, "udp")
    tree = talk.say(b"\0\1boot.img\0octet\0blksize\x001024\0")
    assert tree.info == "Read Request, File: boot.img, Transfer type: octet, blksize=1024"
    ports = (40000, 5001)
    assert talk.say(b"\0\6blksize\x001024\0", back=True, ports=ports).info == "Option Acknowledgement, blksize=1024"
    assert talk.say(b"\0\3\0\1" + bytes(1024), back=True, ports=ports).info == "Data Packet, Block: 1"
    assert talk.say(b"\0\4\0\1", ports=ports).info == "Acknowledgement, Block: 1"
    assert talk.say(b"\0\3\0\2" + bytes(976), back=True, ports=ports).info == "Data Packet, Block: 2 (last)"


# What lies


SAMPLES = [
    (445, nbss(smb2(5, create("dir").ljust(64, b"\0"), chain=128) + smb2(5, create("x"), message=2))),
    (445, nbss(smb2(9, pipe(pdu(11, struct.pack("<HHIB3x", 4280, 4280, 0, 255) + bytes(60)))))),
    (2049, record(call(1, 100003, 3, 3, xdr(HANDLE) + xdr(b"name.txt")))),
    (2049, record(call(1, 100003, 4, 1, xdr(b"") + struct.pack("!II", 0, 0xFFFFFFFF) + bytes(100)))),
    (111, record(call(1, 100000, 2, 4)) + record(reply(1, b"\0\0\0\1" * 400))),
]


@pytest.mark.parametrize(("port", "payload"), SAMPLES)
def test_cut_or_changed_at_every_byte_nothing_fails(port: int, payload: bytes) -> None:
    for at in range(0, len(payload), 3):
        for changed in (payload[:at], payload[:at] + b"\xff" + payload[at + 1 :]):
            talk = Talk(port)
            for back in (False, True):
                assert talk.say(changed, back=back).verdict.kind != "failed", at


def test_memory_of_files_is_bounded() -> None:
    talk = Talk(445)
    for number in range(600):
        talk.say(nbss(smb2(5, create(f"{number}"), message=number)))
        tree = talk.say(
            nbss(smb2(5, created(struct.pack("<IIII", number, 1, 2, 3)), response=True, message=number)), back=True
        )
    assert tree.info == "Create Response File: 599"
    conversations = list(talk.context._conversations.values())
    assert len(conversations[0].memory["smb2"]) <= 256
