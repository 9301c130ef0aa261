"""SSH (RFC 4253): the version banner and what is in clear before keys are exchanged."""

from __future__ import annotations

from netwatch.capture.dissect.kit import Header, Item, number, octets, text
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import NOT_MINE, Step, on, signature
from netwatch.capture.text import escape

SSH = Header("ssh", "SSH Protocol", ())
BANNER = text("ssh.protocol", "Protocol")
PACKET_LENGTH = number("ssh.packet_length", "Packet Length")
PADDING_LENGTH = number("ssh.padding_length", "Padding Length")
ENCRYPTED = octets("ssh.encrypted_packet", "Encrypted Packet")
PAYLOAD = octets("ssh.payload", "Payload")
MESSAGES = {
    1: "Disconnect",
    2: "Ignore",
    3: "Unimplemented",
    4: "Debug",
    5: "Service Request",
    6: "Service Accept",
    7: "Extension Information",
    20: "Key Exchange Init",
    21: "New Keys",
    30: "Diffie-Hellman Key Exchange Init",
    31: "Diffie-Hellman Key Exchange Reply",
    32: "Diffie-Hellman Group Exchange Init",
    33: "Diffie-Hellman Group Exchange Reply",
    34: "Diffie-Hellman Group Exchange Request",
}
MESSAGE = number("ssh.message_code", "Message Code", MESSAGES)
LISTS = tuple(
    text(f"ssh.{name}", label)
    for name, label in (
        ("kex_algorithms", "kex_algorithms string"),
        ("server_host_key_algorithms", "server_host_key_algorithms string"),
        ("encryption_algorithms_client_to_server", "encryption_algorithms_client_to_server string"),
        ("encryption_algorithms_server_to_client", "encryption_algorithms_server_to_client string"),
        ("mac_algorithms_client_to_server", "mac_algorithms_client_to_server string"),
        ("mac_algorithms_server_to_client", "mac_algorithms_server_to_client string"),
        ("compression_algorithms_client_to_server", "compression_algorithms_client_to_server string"),
        ("compression_algorithms_server_to_client", "compression_algorithms_server_to_client string"),
        ("languages_client_to_server", "languages_client_to_server string"),
        ("languages_server_to_client", "languages_server_to_client string"),
    )
)
COOKIE = octets("ssh.cookie", "Cookie")
MAX_PACKET = 35000
"""RFC 4253, 6.1."""


@on("tcp.port", 22)
@signature("tcp")
def ssh(packet: Packet, at: int, limit: int) -> Step | None:
    """A banner line, or binary packets; those that do not read as such are encrypted."""
    start = packet.data[at : at + 4]
    ports = packet.values.get("ports", (0, 0))
    if start != b"SSH-" and 22 not in ports:
        return NOT_MINE
    side = "Server" if ports[0] == 22 or (22 not in ports and ports[0] < ports[1]) else "Client"
    if start == b"SSH-":
        return _banner(packet, side, at, limit)
    end = packet.end(limit)
    words: list[str] = []
    layer: Item | None = None
    begin = at
    while at + 6 <= end:
        length, padding, code = (
            int.from_bytes(packet.data[at : at + 4], "big"),
            packet.data[at + 4],
            packet.data[at + 5],
        )
        if not 5 <= length <= MAX_PACKET or padding >= length or code not in MESSAGES:
            break
        packet.whole("SSH packet", at, 4 + length, limit)
        if layer is None:
            packet.column("ssh")
            packet.protocol = "SSHv2"
            layer = packet.layer(SSH.field, at, 0)
        words.append(MESSAGES[code])
        packet.info = f"{side}: {', '.join(words)}"
        layer.said = packet.info
        _clear(packet, layer, at, length, padding, code)
        at += 4 + length
        layer.size = at - begin
    if words:
        return None
    packet.column("ssh", f"{side}: Encrypted packet (len={limit - at})")
    packet.protocol = "SSHv2"
    layer = packet.layer(SSH.field, at, end - at, packet.info)
    packet.add(layer, ENCRYPTED, packet.data[at:end], at, end - at)
    return None


def _banner(packet: Packet, side: str, at: int, limit: int) -> Step | None:
    end = packet.end(limit)
    stop = packet.data.find(b"\n", at, end)
    line = packet.data[at : end if stop < 0 else stop].rstrip(b"\r")
    packet.column("ssh", f"{side}: Protocol ({escape(line)})")
    after = end if stop < 0 else stop + 1
    layer = packet.layer(SSH.field, at, after - at, packet.info)
    packet.add(layer, BANNER, line, at, len(line))
    return Step((), after, limit)


def _clear(packet: Packet, layer: Item, at: int, length: int, padding: int, code: int) -> None:
    item = packet.add(layer, MESSAGE, code, at, 4 + length)
    packet.add(item, PACKET_LENGTH, length, at, 4)
    packet.add(item, PADDING_LENGTH, padding, at + 4, 1)
    limit = at + 4 + length
    where, stop = at + 6, limit - padding
    if code != 20:
        if where < stop:
            packet.add(item, PAYLOAD, packet.rest(where, stop), where, max(0, packet.end(stop) - where))
        return
    packet.add(item, COOKIE, packet.take("SSH key exchange", where, 16, stop), where, 16)
    where += 16
    for field in LISTS:
        size = packet.uint("SSH key exchange", where, 4, stop)
        packet.add(item, field, packet.take("SSH key exchange", where + 4, size, stop), where + 4, size)
        where += 4 + size
