"""SSH (RFC 4253): the version, how keys are exchanged (RFC 4419, 5656), host keys; what follows is encrypted."""

from __future__ import annotations

from hashlib import md5
from typing import Any, Final

from netwatch.capture.dissect.kit import Field, Header, Item, flag, group, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.dissect.text_lines import as_text, from_server

SSH = Header("ssh", "SSH Protocol", ())
BANNER = text("ssh.protocol", "Protocol")
DIRECTION = flag("ssh.direction", "Sent by the server")
PACKET_LENGTH = number("ssh.packet_length", "Packet Length")
PADDING_LENGTH = number("ssh.padding_length", "Padding Length")
PADDING = octets("ssh.padding_string", "Padding String")
ENCRYPTED = octets("ssh.encrypted_packet", "Encrypted Packet")
PAYLOAD = octets("ssh.payload", "Payload")
MESSAGES: Final = {
    1: "Disconnect",
    2: "Ignore",
    3: "Unimplemented",
    4: "Debug",
    5: "Service Request",
    6: "Service Accept",
    7: "Extension Information",
    20: "Key Exchange Init",
    21: "New Keys",
}
DIFFIE_HELLMAN: Final = {30: "Diffie-Hellman Key Exchange Init", 31: "Diffie-Hellman Key Exchange Reply"}
GROUP_EXCHANGE: Final = {
    30: "Diffie-Hellman Group Exchange Request (Old)",
    31: "Diffie-Hellman Group Exchange Group",
    32: "Diffie-Hellman Group Exchange Init",
    33: "Diffie-Hellman Group Exchange Reply",
    34: "Diffie-Hellman Group Exchange Request",
}
ELLIPTIC: Final = {
    30: "Elliptic Curve Diffie-Hellman Key Exchange Init",
    31: "Elliptic Curve Diffie-Hellman Key Exchange Reply",
}
MESSAGE = number("ssh.message_code", "Message Code")
LISTS: Final = tuple(
    (text(f"ssh.{name}", f"{name} string"), number(f"ssh.{name}_length", f"{name} length"))
    for name in (
        "kex_algorithms",
        "server_host_key_algorithms",
        "encryption_algorithms_client_to_server",
        "encryption_algorithms_server_to_client",
        "mac_algorithms_client_to_server",
        "mac_algorithms_server_to_client",
        "compression_algorithms_client_to_server",
        "compression_algorithms_server_to_client",
        "languages_client_to_server",
        "languages_server_to_client",
    )
)
COOKIE = octets("ssh.cookie", "Cookie")
FOLLOWS = number("ssh.first_kex_packet_follows", "First KEX Packet Follows")
HASSH: Final = (
    (text("ssh.kex.hassh_algorithms", "hasshAlgorithms"), text("ssh.kex.hassh", "hassh")),
    (text("ssh.kex.hasshserver_algorithms", "hasshServerAlgorithms"), text("ssh.kex.hasshserver", "hasshServer")),
)
HOST_KEY, HOST_KEY_DATA = group("", "KEX host key"), octets("ssh.host_key.data", "Host key data")
HOST_KEY_TYPE, SIGNATURE_TYPE = (
    text("ssh.host_key.type", "Host key type"),
    text("ssh.host_sig.type", "Host signature type"),
)
SIGNATURE, SIGNATURE_DATA = group("", "KEX host signature"), octets("ssh.host_sig.data", "Host signature data")
RSA_SIGNATURE = octets("ssh.host_sig.rsa", "RSA signature")
HOST_KEY_PARTS: Final = {
    b"ssh-rsa": (
        octets("ssh.host_key.rsa.e", "RSA public exponent (e)"),
        octets("ssh.host_key.rsa.n", "RSA modulus (N)"),
    ),
    b"ssh-dss": (
        octets("ssh.host_key.dsa.p", "DSA prime modulus (p)"),
        octets("ssh.host_key.dsa.q", "DSA prime divisor (q)"),
        octets("ssh.host_key.dsa.g", "DSA subgroup generator (g)"),
        octets("ssh.host_key.dsa.y", "DSA public key (y)"),
    ),
    b"ecdsa-sha2-": (
        text("ssh.host_key.ecdsa.id", "ECDSA elliptic curve identifier"),
        octets("ssh.host_key.ecdsa.q", "ECDSA public key (Q)"),
    ),
    b"ssh-ed": (octets("ssh.host_key.eddsa.key", "EdDSA public key"),),
}
"""By how the type begins (RFC 4253, 6.6; RFC 5656, 3.1; RFC 8709, 4)."""
PUBLIC: Final = {
    "dh": (octets("ssh.dh.e", "DH client e"), octets("ssh.dh.f", "DH server f")),
    "ecdh": (
        octets("ssh.ecdh.q_c", "ECDH client's ephemeral public key (Q_C)"),
        octets("ssh.ecdh.q_s", "ECDH server's ephemeral public key (Q_S)"),
    ),
}
LIMITS: Final = (
    number("ssh.dh_gex.min", "DH GEX Min"),
    number("ssh.dh_gex.nbits", "DH GEX Number of Bits"),
    number("ssh.dh_gex.max", "DH GEX Max"),
)
GROUP: Final = (octets("ssh.dh_gex.p", "DH GEX modulus (P)"), octets("ssh.dh_gex.g", "DH GEX base (G)"))
REASON = number("ssh.disconnect_reason", "Disconnect reason")
SAID = text("ssh.disconnect_description", "Disconnect description")
SECURED = group("", "SSH Version 2")

PORT: Final = 22
MAX_PACKET: Final = 35000
"""RFC 4253, 6.1."""
MAX_BANNER: Final = 255
"""Bytes of the version's line with its end (4.2)."""
MAX_NAMES: Final = 2048
"""Bytes of a name list that are kept until it is known what both know."""


@on("tcp.port", PORT)
@signature("tcp")
def ssh(packet: Packet, at: int, limit: int) -> Step | None:
    """A banner line, then binary packets; those after New Keys are encrypted."""
    start = packet.data[at : at + 4]
    memory = packet.memory("ssh")
    if start != b"SSH-" and not memory and PORT not in packet.values.get("ports", ()):
        return NOT_MINE
    server = from_server(packet, PORT)
    if start == b"SSH-":
        return _banner(packet, server, at, limit, memory)
    end = packet.end(limit)
    words: list[str] = []
    layer: Item | None = None
    begin = at
    while at < end:
        if not memory.get(("keys", server)) and limit - at < 6 and packet.streaming:
            packet.whole("SSH packet", at, 6, limit)
        length = int.from_bytes(packet.data[at : at + 4], "big")
        clear = not memory.get(("keys", server)) and at + 6 <= end and 5 <= length <= MAX_PACKET
        padding, code = (packet.data[at + 4], packet.data[at + 5]) if clear else (0, 0)
        if not clear or padding >= length - 1 or not (code in MESSAGES or 30 <= code <= 34):
            words.append(f"Encrypted packet (len={limit - at})")
            break
        packet.whole("SSH packet", at, 4 + length, limit)
        if layer is None:
            layer = _layer(packet, server, begin, memory)
        words.append(_name(code, memory))
        packet.info = layer.said = f"{'Server' if server else 'Client'}: {', '.join(words)}"
        _clear(packet, layer, at, length, padding, code, server, memory)
        at += 4 + length
        layer.size = at - begin
    if layer is None:
        layer = _layer(packet, server, begin, memory)
    packet.info = layer.said = f"{'Server' if server else 'Client'}: {', '.join(words)}"
    if at < end:
        parent = layer
        if secured := _secured(server, memory):
            parent = packet.add(layer, SECURED, None, at, end - at, secured)
        packet.add(parent, ENCRYPTED, packet.data[at:end], at, end - at)
        layer.size = end - begin
    return None


def _layer(packet: Packet, server: bool, at: int, memory: dict[Any, Any]) -> Item:
    """Wireshark says SSHv2 once a client has said so."""
    packet.column("ssh")
    if memory.get("version"):
        packet.protocol = "SSHv2"
    layer = packet.layer(SSH.field, at, 0)
    packet.add(layer, DIRECTION, server, at, 0)
    return layer


def _banner(packet: Packet, server: bool, at: int, limit: int, memory: dict[Any, Any]) -> Step | None:
    end = min(packet.end(limit), at + MAX_BANNER)
    stop = packet.data.find(b"\n", at, end)
    if stop < 0 and end - at < MAX_BANNER:
        packet.more("SSH", at, limit)
    line = packet.data[at : end if stop < 0 else stop].rstrip(b"\r")
    after = end if stop < 0 else stop + 1
    layer = _layer(packet, server, at, memory)
    packet.info = layer.said = f"{'Server' if server else 'Client'}: Protocol ({as_text(line)})"
    layer.size = after - at
    packet.add(layer, BANNER, line, at, len(line))
    memory["seen"] = True
    if not server:
        memory["version"] = True
    packet.settle_on(ssh)
    return Step((ssh,), after, limit) if after < limit else None


def _name(code: int, memory: dict[Any, Any]) -> str:
    """What a message is called, which depends on the method that both agreed on."""
    if code in MESSAGES:
        return MESSAGES[code]
    names = {"gex": GROUP_EXCHANGE, "ecdh": ELLIPTIC}.get(memory.get("method", ""), DIFFIE_HELLMAN)
    return names.get(code, GROUP_EXCHANGE.get(code, "") if not memory.get("method") else f"Unknown ({code})")


def _clear(
    packet: Packet, layer: Item, at: int, length: int, padding: int, code: int, server: bool, memory: dict[Any, Any]
) -> None:
    agreed = memory.get("agreed")
    method = f", method:{as_text(agreed[0])}" if agreed and code >= 30 else ""
    item = packet.add(layer, MESSAGE, code, at, 4 + length, f"{_name(code, memory)} ({code}){method}")
    packet.add(item, PACKET_LENGTH, length, at, 4)
    packet.add(item, PADDING_LENGTH, padding, at + 4, 1)
    where, stop = at + 6, at + 4 + length - padding
    method = memory.get("method", "")
    if code == 20:
        _proposal(packet, item, where, stop, server, memory)
    elif code == 21:
        memory["keys", server] = True
    elif code == 1:
        packet.add(item, REASON, packet.uint("SSH", where, 4, stop), where, 4)
        _string(packet, item, SAID, where + 4, stop)
    elif method == "gex" and code == 34:
        for field in LIMITS:
            packet.add(item, field, packet.uint("SSH", where, 4, stop), where, 4)
            where += 4
    elif method == "gex" and code == 31:
        for part in GROUP:
            where = _string(packet, item, part, where, stop)
    elif (code == 30 and method in PUBLIC) or (code == 32 and method == "gex"):
        _string(packet, item, PUBLIC["ecdh" if method == "ecdh" else "dh"][0], where, stop)
    elif (code == 31 and method in PUBLIC) or (code == 33 and method == "gex"):
        _reply(packet, item, where, stop, PUBLIC["ecdh" if method == "ecdh" else "dh"][1])
    elif where < stop:
        packet.add(item, PAYLOAD, packet.data[where:stop], where, stop - where)
    if padding:
        packet.add(item, PADDING, packet.data[stop : stop + padding], stop, padding)


def _string(packet: Packet, item: Item, field: Field, at: int, stop: int) -> int:
    """A length and so many bytes (RFC 4251, 5) -> the offset after them."""
    size = packet.uint("SSH", at, 4, stop)
    packet.add(item, field, packet.take("SSH", at + 4, size, stop), at + 4, size)
    return at + 4 + size


def _reply(packet: Packet, item: Item, at: int, stop: int, public: Field) -> None:
    """Host key, public value, signature; key and signature begin with their type."""
    kind, parent, at, after = _typed(packet, item, HOST_KEY, HOST_KEY_TYPE, at, stop)
    fields = next((parts for start, parts in HOST_KEY_PARTS.items() if kind.startswith(start)), ())
    for part in fields:
        at = _string(packet, parent, part, at, after)
    if at < after:
        packet.add(parent, HOST_KEY_DATA, packet.data[at:after], at, after - at)
    at = _string(packet, item, public, after, stop)
    kind, parent, at, after = _typed(packet, item, SIGNATURE, SIGNATURE_TYPE, at, stop)
    if kind == b"ssh-rsa":
        at = _string(packet, parent, RSA_SIGNATURE, at, after)
    if at < after:
        packet.add(parent, SIGNATURE_DATA, packet.data[at:after], at, after - at)


def _typed(packet: Packet, item: Item, field: Field, kind: Field, at: int, stop: int) -> tuple[bytes, Item, int, int]:
    """A string that begins with its type, as a line: the type, the line, where the rest begins and ends."""
    size = packet.uint("SSH", at, 4, stop)
    packet.take("SSH", at + 4, size, stop)
    after = at + 4 + size
    length = packet.uint("SSH", at + 4, 4, after)
    said = bytes(packet.take("SSH", at + 8, length, after))
    parent = packet.add(item, field, None, at, 4 + size, f"(type: {as_text(said)})")
    packet.add(parent, kind, said, at + 8, length)
    return said, parent, at + 8 + length, after


def _proposal(packet: Packet, item: Item, at: int, stop: int, server: bool, memory: dict[Any, Any]) -> None:
    """What a side is able to do (7.1); with both sides' the method is known."""
    packet.add(item, COOKIE, packet.take("SSH key exchange", at, 16, stop), at, 16)
    at += 16
    lists: list[bytes] = []
    for field, length in LISTS:
        size = packet.uint("SSH key exchange", at, 4, stop)
        names = packet.take("SSH key exchange", at + 4, size, stop)
        packet.add(item, length, size, at, 4)
        packet.add(item, field, names, at + 4, size)
        lists.append(names)
        at += 4 + size
    packet.add(item, FOLLOWS, packet.uint("SSH key exchange", at, 1, stop), at, 1)
    # The fingerprint of an implementation: what it proposes for its own direction.
    said = b";".join((lists[0], lists[2 + server], lists[4 + server], lists[6 + server]))
    algorithms, digest = HASSH[server]
    packet.add(item, algorithms, said, item.start, 0)
    packet.add(item, digest, md5(said, usedforsecurity=False).hexdigest(), item.start, 0)
    memory["kex", server] = tuple(bytes(each[:MAX_NAMES]) for each in lists[:8])
    ours, theirs = memory.get(("kex", False)), memory.get(("kex", True))
    if ours and theirs:
        memory["agreed"] = tuple(map(_first, ours, theirs))
        memory["method"] = _family(memory["agreed"][0])
        del memory["kex", False], memory["kex", True]


def _first(ours: bytes, theirs: bytes) -> bytes:
    """The first name of the client's that the server knows, too (7.1)."""
    known = set(theirs.split(b","))
    return next((each for each in ours.split(b",") if each in known), b"")


def _secured(server: bool, memory: dict[Any, Any]) -> str:
    """How what is sent after New Keys is encrypted; some ciphers look after integrity themselves (RFC 5647)."""
    agreed = memory.get("agreed")
    if not agreed or not memory.get(("keys", server)):
        return ""
    cipher, mac, compression = (as_text(agreed[number + server]) for number in (2, 4, 6))
    integrity = "" if "gcm" in cipher or "poly1305" in cipher else f"mac:{mac} "
    return f"(encryption:{cipher} {integrity}compression:{compression})"


def _family(method: bytes) -> str:
    if method.startswith(b"diffie-hellman-group-exchange"):
        return "gex"
    return "ecdh" if method.startswith((b"ecdh-", b"curve", b"sntrup", b"mlkem")) else "dh" if method else ""
