"""SOCKS 4, 4a and 5 (RFC 1928, 1929): until the server has connected, then what goes through it."""

from __future__ import annotations

from typing import Any, Final

from netwatch.capture.dissect.framed import Cursor, entire
from netwatch.capture.dissect.kit import Header, Item, address, number, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, step_by_ports

PORT: Final = 1080
NAME: Final = "SOCKS"
SOCKS = Header("socks", "Socks Protocol", ())
COMMANDS: Final = {1: "Connect", 2: "Bind", 3: "UdpAssociate", 0x80: "Ping", 0x81: "Traceroute"}
METHODS: Final = {
    0: "No authentication",
    1: "GSSAPI",
    2: "Username/Password",
    3: "CHAP",
    0xFF: "No Acceptable Methods",
}
RESULTS_4: Final = {
    90: "Granted",
    91: "Rejected or Failed",
    92: "Rejected because SOCKS server cannot connect to identd on the client",
    93: "Rejected because the client program and identd report different user-ids",
}
RESULTS_5: Final = {
    0: "Succeeded",
    1: "General SOCKS server failure",
    2: "Connection not allowed by ruleset",
    3: "Network unreachable",
    4: "Host unreachable",
    5: "Connection refused",
    6: "TTL expired",
    7: "Command not supported",
    8: "Address type not supported",
}
VERSION, COMMAND = number("socks.version", "Version"), number("socks.command", "Command", COMMANDS)
COUNT = number("socks.auth_method_count", "Authentication Method Count")
METHOD = number("socks.auth_method", "Method", METHODS)
ACCEPTED = number("socks.auth_accepted_method", "Accepted Auth Method", METHODS, digits=1)
SUBVERSION = number("socks.subnegotiation_version", "Subnegotiation Version")
USER, PASSWORD = text("socks.username", "User name"), text("socks.password", "Password")
STATUS = number("socks.auth_status", "Status", {0: "success"})
RESERVED, KIND = (
    number("socks.reserved", "Reserved"),
    number("socks.address_type", "Address Type", {1: "IPv4", 3: "Domain Name", 4: "IPv6"}),
)
REMOTE, REMOTE_6 = address("socks.dst", "Remote Address", 4), address("socks.dstV6", "Remote Address(ipv6)", 16)
REMOTE_NAME, DNS_NAME = (
    text("socks.remote_name", "Remote name"),
    text("socks.v4a_dns_name", "SOCKS v4a Remote Domain Name"),
)
REMOTE_PORT, PORT_FIELD = number("socks.dstport", "Remote Port"), number("socks.port", "Port")
RESULT_4, RESULT_5 = (
    number("socks.results", "Results(V4)", RESULTS_4),
    number("socks.results", "Results(V5)", RESULTS_5),
)
MAX_STRING: Final = 255
"""Bytes of a user or a name in SOCKS 4; servers take no more."""
ADDRESS_KINDS: Final = (b"\1", b"\3", b"\4")
Memory = dict[Any, Any]


@on("tcp.port", PORT)
def socks(packet: Packet, at: int, limit: int) -> Step | None:
    """What is said before bytes go through: who connected tells requests from answers."""
    memory = packet.memory("socks")
    if memory.get("open"):
        port = memory.get("port", 0)
        following = step_by_ports("tcp", port, port, at, limit)
        candidates = tuple(each for each in following.candidates if each is not socks)
        return following._replace(candidates=candidates)
    ports = packet.values.get("ports", (0, 0))
    asks = ports[1] == PORT or (ports[0] != PORT and packet.from_client)
    first = packet.data[at : at + 1]
    if first == b"\4" and asks:
        return _request_4(packet, at, limit, memory)
    if first == b"\0" and not asks and limit - at == 8 and memory.get("version", 4) == 4:
        return _answer_4(packet, at, limit, memory)
    if first == b"\1" and memory.get("method") == 2:
        return _password(packet, at, limit, asks, memory)
    if first == b"\5":
        return _version_5(packet, at, limit, asks, memory)
    return NOT_MINE


def _open(packet: Packet, at: int, limit: int, said: str, version: int) -> tuple[Item, Cursor]:
    packet.column("socks", f"Version: {version} {said}".rstrip())
    layer = packet.layer(SOCKS.field, at, packet.end(limit) - at, packet.info)
    return layer, Cursor(packet, NAME, at, limit)


def _request_4(packet: Packet, at: int, limit: int, memory: Memory) -> Step | None:
    """Command, port, address, user; of 0.0.0.x a name follows (SOCKS 4A)."""
    if packet.data[at + 1 : at + 2] not in (b"\1", b"\2"):
        return NOT_MINE
    entire(packet, NAME, at, 8, limit)
    end = at + 8
    named = packet.data[at + 4 : at + 7] == b"\0\0\0" and packet.data[at + 7 : at + 8] != b"\0"
    for _ in range(1 + named):
        stop = packet.data.find(b"\0", end, min(packet.end(limit), end + MAX_STRING + 1))
        if stop < 0:
            if limit - end <= MAX_STRING and not packet.values.get("stream.ended"):
                packet.more(NAME, at, limit)
            return NOT_MINE
        end = stop + 1
    command = packet.uint(NAME, at + 1, 1, limit)
    layer, cursor = _open(packet, at, end, f"Command Request - {COMMANDS[command]}", 4)
    cursor.number(layer, VERSION, 1)
    cursor.number(layer, COMMAND, 1)
    port = cursor.number(layer, REMOTE_PORT, 2)
    cursor.address(layer, REMOTE, 4)
    cursor.cstring(layer, USER)
    if named:
        cursor.cstring(layer, DNS_NAME)
    memory.update(version=4, port=port)
    return Step((socks,), end, limit) if end < limit else None


def _answer_4(packet: Packet, at: int, limit: int, memory: Memory) -> Step | None:
    if packet.uint(NAME, at + 1, 1, limit) not in RESULTS_4:
        return NOT_MINE
    layer, cursor = _open(packet, at, limit, "Command Response", 4)
    cursor.number(layer, VERSION, 1)
    result = cursor.number(layer, RESULT_4, 1)
    cursor.number(layer, REMOTE_PORT, 2)
    cursor.address(layer, REMOTE, 4)
    memory["open"] = result == 90
    return None


def _version_5(packet: Packet, at: int, limit: int, asks: bool, memory: Memory) -> Step | None:
    """Methods, the one that was chosen, a request, its answer: told by who speaks, and by length."""
    size = limit - at
    entire(packet, NAME, at, 2, limit)
    second = packet.uint(NAME, at + 1, 1, limit)
    first = ("begun", asks) not in memory
    commands = packet.data[at + 2 : at + 3] == b"\0" and packet.data[at + 3 : at + 4] in ADDRESS_KINDS
    if asks and first and second and (size == 2 + second or not (commands and second in COMMANDS)):
        end = entire(packet, NAME, at, 2 + second, limit)
        layer, cursor = _open(packet, at, min(end, limit), "Connect to server request", 5)
        cursor.number(layer, VERSION, 1)
        for _ in range(cursor.number(layer, COUNT, 1)):
            cursor.number(layer, METHOD, 1)
        memory.update({("begun", asks): True, "version": 5})
        return Step((socks,), end, limit) if end < limit else None
    if not asks and first and size == 3 and packet.data[at + 2] == 0:
        entire(packet, NAME, at, 4, limit)
    if not asks and first and (size == 2 or not commands):
        layer, cursor = _open(packet, at, at + 2, "Connect to server response", 5)
        cursor.number(layer, VERSION, 1)
        memory["method"] = cursor.number(layer, ACCEPTED, 1)
        memory.update({("begun", asks): True, "version": 5})
        return Step((socks,), at + 2, limit) if at + 2 < limit else None
    if size < 4 or packet.data[at + 2 : at + 3] != b"\0":
        return NOT_MINE
    end = _end(packet, at, limit)
    entire(packet, NAME, at, end - at, limit)
    command = packet.data[at + 1] if asks else memory.get("command", 0)
    name = COMMANDS.get(command, f"Unknown ({command})")
    layer, cursor = _open(packet, at, min(end, limit), f"Command {'Request' if asks else 'Response'} - {name}", 5)
    cursor.number(layer, VERSION, 1)
    result = cursor.number(layer, COMMAND if asks else RESULT_5, 1)
    cursor.number(layer, RESERVED, 1)
    kind = cursor.number(layer, KIND, 1)
    if kind == 3:
        cursor.octets(layer, REMOTE_NAME, cursor.uint(1))
    else:
        cursor.address(layer, REMOTE_6 if kind == 4 else REMOTE, 16 if kind == 4 else 4)
    port = cursor.number(layer, PORT_FIELD, 2)
    memory.update({("begun", asks): True, "version": 5})
    if asks:
        memory.update(command=command, port=port)
    else:
        memory["open"] = result == 0 and command != 3
    return Step((socks,), end, limit) if end < limit else None


def _end(packet: Packet, at: int, limit: int) -> int:
    """Where a request or an answer ends: its address has one of three forms."""
    kind = packet.uint(NAME, at + 3, 1, limit)
    if kind == 3:
        entire(packet, NAME, at, 5, limit)
        return at + 7 + packet.uint(NAME, at + 4, 1, limit)
    return at + (22 if kind == 4 else 10)


def _password(packet: Packet, at: int, limit: int, asks: bool, memory: Memory) -> Step | None:
    """Name and password, or whether they were right (RFC 1929)."""
    end = entire(packet, NAME, at, 2, limit)
    if asks:
        end = entire(packet, NAME, at, 3 + packet.uint(NAME, at + 1, 1, limit), limit)
        end = entire(packet, NAME, at, end - at + packet.uint(NAME, end - 1, 1, limit), limit)
    layer, cursor = _open(packet, at, min(end, limit), f"User authentication {'request' if asks else 'reply'}", 5)
    cursor.number(layer, SUBVERSION, 1)
    if asks:
        cursor.octets(layer, USER, cursor.uint(1))
        cursor.octets(layer, PASSWORD, cursor.uint(1))
    else:
        cursor.number(layer, STATUS, 1)
        memory["method"] = 0
    return Step((socks,), end, limit) if end < limit else None
