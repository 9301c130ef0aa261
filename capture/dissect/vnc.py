"""VNC, the remote framebuffer protocol (RFC 6143): versions, security, who moves what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from netwatch.capture.dissect.kit import Header, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature

if TYPE_CHECKING:
    from netwatch.capture.dissect.kit import Item

VNC: Final = Header("vnc", "Virtual Network Computing", ())
SECURITIES: Final = {0: "Invalid", 1: "None", 2: "VNC", 5: "RA2", 6: "RA2ne", 16: "Tight", 18: "TLS", 19: "VeNCrypt"}
SERVER_VERSION, CLIENT_VERSION = (
    text("vnc.server_proto_ver", "Server protocol version"),
    text("vnc.client_proto_ver", "Client protocol version"),
)
SECURITY: Final = number("vnc.security_type", "Security type", SECURITIES)
CHALLENGE, RESPONSE = (
    octets("vnc.auth_challenge", "Authentication challenge"),
    octets("vnc.auth_response", "Authentication response"),
)
RESULT: Final = number("vnc.auth_result", "Authentication result", {0: "OK", 1: "Failed"})
SHARE: Final = number("vnc.share_desktop_flag", "Share desktop flag")
WIDTH, HEIGHT = number("vnc.width", "Framebuffer width"), number("vnc.height", "Framebuffer height")
DESKTOP: Final = text("vnc.desktop_name", "Desktop name")
CLIENT_TYPE, SERVER_TYPE = (
    number("vnc.client_message_type", "Client Message Type"),
    number("vnc.server_message_type", "Server Message Type"),
)
BODY: Final = octets("", "Body")
MAGIC: Final = b"RFB "
CLIENT_MESSAGES: Final = {
    0: ("Client set pixel format", 20),
    2: ("Client set encodings", 0),
    3: ("Client framebuffer update request", 10),
    4: ("Client key event", 8),
    5: ("Client pointer event", 6),
    6: ("Client cut text", 0),
}
"""Type → its name and size; 0: the message says."""
SERVER_MESSAGES: Final = {
    0: "Server framebuffer update",
    1: "Server set colormap entries",
    2: "Server ring bell on client",
    3: "Server cut text",
}
OLD: Final = b"003.003"
"""In this version the server alone chooses the security (RFC 6143, appendix A)."""


@on("tcp.port", *range(5900, 5910))
@signature("tcp")
def vnc(packet: Packet, at: int, limit: int) -> Step | None:
    """Turn by turn: each message of the beginning is known by what came before it."""
    memory = packet.memory("vnc")
    head = packet.rest(at, min(at + 12, limit))
    if head[:4] == MAGIC and len(head) == 12 and head[11:] == b"\n" and head[7:8] == b".":
        return _version(packet, at, head, memory)
    state = memory.get("state")
    if state is None:
        return NOT_MINE
    packet.column("vnc")
    server = not packet.from_client
    layer = packet.layer(VNC.field, at, packet.end(limit) - at)
    show = SERVER_TURNS.get(state) if server else CLIENT_TURNS.get(state)
    if show is not None:
        packet.info = show(packet, layer, at, limit, memory)
    elif state == "messages":
        packet.info = (_server if server else _client)(packet, layer, at, limit)
    else:
        packet.info = f"Unknown {'server' if server else 'client'} message"
    layer.said = packet.info
    return None


def _version(packet: Packet, at: int, head: bytes, memory: dict[Any, Any]) -> Step | None:
    packet.column("vnc")
    packet.settle_on(vnc)
    layer = packet.layer(VNC.field, at, 12)
    server = memory.get("state") is None
    packet.add(layer, SERVER_VERSION if server else CLIENT_VERSION, head[4:11], at + 4, 7)
    shown = head[4:11].decode("latin-1")
    packet.info = layer.said = f"{'Server' if server else 'Client'} protocol version: {shown}"
    memory["state"] = "version" if server else "security"
    if not server:
        memory["version"] = head[4:11]
    return None


def _security(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    if memory.get("version") == OLD:
        kind = packet.uint("VNC", at, 4, limit)
        packet.add(layer, SECURITY, kind, at, 4)
        memory["state"] = {1: "share", 2: "challenge"}.get(kind, "other")
        return "Security types supported"
    count = packet.uint("VNC", at, 1, limit)
    for where in range(at + 1, min(at + 1 + count, packet.end(limit))):
        packet.add(layer, SECURITY, packet.data[where], where, 1)
    memory["state"] = "select" if count else "other"
    return "Security types supported"


def _select(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    kind = packet.uint("VNC", at, 1, limit)
    packet.add(layer, SECURITY, kind, at, 1)
    memory["state"] = {1: "result", 2: "challenge"}.get(kind, "other")
    if kind == 1 and memory.get("version") != b"003.008":
        memory["state"] = "share"
    return f"Security type {SECURITIES.get(kind, 'Unknown')} ({kind}) selected by client"


def _challenge(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    packet.add(layer, CHALLENGE, packet.take("VNC", at, 16, limit), at, 16)
    memory["state"] = "response"
    return "Authentication challenge from server"


def _response(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    packet.add(layer, RESPONSE, packet.take("VNC", at, 16, limit), at, 16)
    memory["state"] = "result"
    return "Authentication response from client"


def _result(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    result = packet.uint("VNC", at, 4, limit)
    packet.add(layer, RESULT, result, at, 4)
    memory["state"] = "other" if result else "share"
    return "Authentication result"


def _share(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    packet.add(layer, SHARE, packet.uint("VNC", at, 1, limit), at, 1)
    memory["state"] = "parameters"
    return "Share desktop flag"


def _parameters(packet: Packet, layer: Item, at: int, limit: int, memory: dict[Any, Any]) -> str:
    packet.add(layer, WIDTH, packet.uint("VNC", at, 2, limit), at, 2)
    packet.add(layer, HEIGHT, packet.uint("VNC", at + 2, 2, limit), at + 2, 2)
    size = packet.uint("VNC", at + 20, 4, limit)
    name = packet.rest(at + 24, min(at + 24 + size, limit))
    packet.add(layer, DESKTOP, name, at + 24, len(name))
    memory["state"] = "messages"
    return "Server framebuffer parameters"


SERVER_TURNS: Final = {
    "security": _security,
    "challenge": _challenge,
    "result": _result,
    "parameters": _parameters,
}
CLIENT_TURNS: Final = {"select": _select, "response": _response, "share": _share}


def _client(packet: Packet, layer: Item, at: int, limit: int) -> str:
    words: list[str] = []
    while at < limit:
        kind = packet.uint("VNC", at, 1, limit)
        name, size = CLIENT_MESSAGES.get(kind, (f"Unknown client message type ({kind})", limit - at))
        packet.add(layer, CLIENT_TYPE, kind, at, 1)
        if kind == 2:
            size = 4 + 4 * packet.uint("VNC", at + 2, 2, limit)
        elif kind == 6:
            size = 8 + packet.uint("VNC", at + 4, 4, limit)
        words.append(name)
        at += size
    return ", ".join(words)


def _server(packet: Packet, layer: Item, at: int, limit: int) -> str:
    kind = packet.uint("VNC", at, 1, limit)
    if kind not in SERVER_MESSAGES:
        return "Continuation data"
    packet.add(layer, SERVER_TYPE, kind, at, 1)
    rest = packet.rest(at + 1, limit)
    if rest:
        packet.add(layer, BODY, rest, at + 1, len(rest))
    return SERVER_MESSAGES[kind]
