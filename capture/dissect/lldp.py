"""LLDP (IEEE 802.1AB): chassis, port, time to live, then what the station says of itself."""

from __future__ import annotations

from netwatch.capture.dissect.kit import (
    U8,
    U16,
    U24,
    Bit,
    Field,
    Flags8,
    Flags16,
    Header,
    Hex16,
    Hex32,
    Item,
    address,
    number,
    octets,
    text,
)
from netwatch.capture.dissect.packet import Packet
from netwatch.capture.dissect.registry import on
from netwatch.capture.text import escape, ipv4, ipv6, mac

LLDP = Header("lldp", "Link Layer Discovery Protocol", ())
TLV_NAMES = {
    0: "End of LLDPDU",
    1: "Chassis ID",
    2: "Port ID",
    3: "Time To Live",
    4: "Port Description",
    5: "System Name",
    6: "System Description",
    7: "Capabilities",
    8: "Management Address",
    127: "Organization Specific",
}
TLV, TLV_LENGTH = number("lldp.tlv.type", "TLV Type"), number("lldp.tlv.len", "TLV Length")
CHASSIS_TYPES = {
    1: "Chassis component",
    2: "Interface alias",
    3: "Port component",
    4: "MAC address",
    5: "Network address",
    6: "Interface name",
    7: "Locally assigned",
}
PORT_TYPES = {
    1: "Interface alias",
    2: "Port component",
    3: "MAC address",
    4: "Network address",
    5: "Interface name",
    6: "Agent circuit ID",
    7: "Locally assigned",
}
CHASSIS_TYPE, PORT_TYPE = (
    number("lldp.chassis.subtype", "Chassis Id Subtype", CHASSIS_TYPES),
    number("lldp.port.subtype", "Port Id Subtype", PORT_TYPES),
)
CHASSIS_MAC, PORT_MAC = address("lldp.chassis.id.mac", "Chassis Id", 6), address("lldp.port.id.mac", "Port Id", 6)
CHASSIS_IP4, PORT_IP4 = address("lldp.chassis.id.ip4", "Chassis Id", 4), address("lldp.port.id.ip4", "Port Id", 4)
CHASSIS_ID, PORT_ID = octets("lldp.chassis.id", "Chassis Id"), text("lldp.port.id", "Port Id")
TTL = number("lldp.time_to_live", "Seconds")
TEXTS = {
    4: text("lldp.port.desc", "Port Description"),
    5: text("lldp.tlv.system.name", "System Name"),
    6: text("lldp.tlv.system.desc", "System Description"),
}
UNKNOWN = octets("lldp.unknown_subtype.content", "Data")


def _capability_bits(name: str) -> tuple[Field, ...]:
    labels = (
        ("other", "Other"),
        ("repeater", "Repeater"),
        ("bridge", "Bridge"),
        ("wlan_access_pt", "WLAN access point"),
        ("router", "Router"),
        ("telephone", "Telephone"),
        ("docsis_cable_device", "DOCSIS cable device"),
        ("station_only", "Station only"),
    )
    return tuple(Bit(1 << index, f"{name}.{short}", label) for index, (short, label) in enumerate(labels))


CAPABILITIES = Header(
    "lldp.tlv",
    "Capabilities",
    (
        Flags16("system_cap", "Capabilities", *_capability_bits("system_cap")),
        Flags16("enable_system_cap", "Enabled Capabilities", *_capability_bits("enable_system_cap")),
    ),
    name="",
)
ADDRESS_LENGTH, ADDRESS_TYPE = (
    number("lldp.mgn.address.len", "Address String Length"),
    number("lldp.mgn.address.subtype", "Address Subtype", {1: "IPv4", 2: "IPv6", 6: "802"}),
)
ADDRESSES = {
    (1, 4): address("lldp.mgn.addr.ip4", "Management Address", 4),
    (2, 16): address("lldp.mgn.addr.ip6", "Management Address", 16),
}
ADDRESS_OTHER = octets("lldp.mgn.addr.hex", "Management Address")
INTERFACE = Header(
    "lldp.mgn",
    "Interface",
    (
        U8("interface.subtype", "Interface Subtype", {1: "Unknown", 2: "ifIndex", 3: "System port number"}),
        Field("interface.number", "Interface Number", code="I", size=4),
        U8("obj.len", "OID String Length"),
    ),
    name="",
)
OID = octets("lldp.mgn.obj.id", "Object Identifier")

BRIDGES, ETHERNET, TELEPHONES = 0x0080C2, 0x00120F, 0x0012BB
ORGANISATIONS = {
    BRIDGES: "IEEE 802.1",
    ETHERNET: "IEEE 802.3",
    TELEPHONES: "TIA TR-41 Committee",
    0x000ECF: "PROFIBUS",
}
OUI = Header(
    "lldp.orgtlv",
    "Organization",
    (U24("oui", "Organization Unique Code", ORGANISATIONS, form="{:06x}".format),),
    name="",
)
SUBTYPES: dict[int, Field] = {
    BRIDGES: number(
        "lldp.ieee.802_1.subtype",
        "IEEE 802.1 Subtype",
        {1: "Port VLAN ID", 2: "Port and Protocol VLAN ID", 3: "VLAN Name", 4: "Protocol Identity"},
        digits=2,
    ),
    ETHERNET: number(
        "lldp.ieee.802_3.subtype",
        "IEEE 802.3 Subtype",
        {1: "MAC/PHY Configuration/Status", 2: "Power Via MDI", 3: "Link Aggregation", 4: "Maximum Frame Size"},
        digits=2,
    ),
    TELEPHONES: number(
        "lldp.media.subtype",
        "Media Subtype",
        {1: "Media Capabilities", 2: "Network Policy", 3: "Location Identification", 4: "Extended Power-via-MDI"},
        digits=2,
    ),
}
OTHER_SUBTYPE = number("lldp.unknown_subtype", "Unknown Subtype")


def _part(prefix: str, label: str, *rows: Field) -> Header:
    return Header(prefix, label, rows, name="")


ORGANISED = {
    (BRIDGES, 1): _part("lldp.ieee.802_1", "Port VLAN ID", U16("port_vlan.id", "Port VLAN Identifier")),
    (BRIDGES, 3): _part(
        "lldp.ieee.802_1", "VLAN Name", U16("vlan.id", "VLAN Identifier"), U8("vlan.name_len", "VLAN Name Length")
    ),
    (ETHERNET, 1): _part(
        "lldp.ieee.802_3",
        "MAC/PHY",
        Flags8(
            "mac_phy_auto_neg_status",
            "Auto-Negotiation Support/Status",
            Bit(0x01, "mac_phy_auto_neg_status.supported", "Auto-Negotiation"),
            Bit(0x02, "mac_phy_auto_neg_status.enabled", "Auto-Negotiation enabled"),
        ),
        Hex16("pmd_auto_neg_advertised_caps", "PMD Auto-Negotiation Advertised Capability"),
        Hex16("pmd_mau_type", "Operational MAU Type"),
    ),
    (ETHERNET, 3): _part(
        "lldp.ieee.802_3",
        "Link Aggregation",
        U8("aggregation_status", "Status"),
        Hex32("aggregated_port_id", "Port Id"),
    ),
    (ETHERNET, 4): _part("lldp.ieee.802_3", "Maximum Frame Size", U16("max_frame_size", "Maximum Frame Size")),
    (TELEPHONES, 1): _part(
        "lldp.media", "Media Capabilities", Hex16("tlv.cap", "Capabilities"), U8("tlv.device_class", "Class Type")
    ),
}
VLAN_NAME = text("lldp.ieee.802_1.vlan.name", "VLAN Name")


@on("ethertype", 0x88CC)
def lldp(packet: Packet, at: int, limit: int) -> None:
    """TLVs of seven bits of type and nine of length; the first three have their order."""
    packet.column("lldp")
    layer = packet.layer(LLDP.field, at, 0)
    info: list[str] = []
    order = 0
    while at < limit:
        word = packet.uint("LLDP", at, 2, limit)
        kind, size = word >> 9, word & 0x1FF
        packet.check("LLDP TLV", at + 2, size, limit)
        order += 1
        if order <= 3 and kind != order:
            packet.info = f"Invalid {TLV_NAMES[order]} TLV" if order == 1 else " ".join(info)
            packet.mark(f"LLDP: TLV {order} must be {TLV_NAMES[order]}", at)
            return
        value = packet.data[at + 2 : at + 2 + size]
        item = packet.add(layer, TLV, kind, at, 2 + size, f"{TLV_NAMES.get(kind, 'Reserved')} ({kind})")
        packet.add(item, TLV_LENGTH, size, at, 2)
        info += _tlv(packet, item, kind, value, at + 2)
        at += 2 + size
        layer.size = at - layer.start
        packet.info = " ".join(info) + " "
        if kind == 0:
            if packet.payload_end is None:
                packet.payload_end = at
            return


def _tlv(packet: Packet, item: Item, kind: int, value: bytes, at: int) -> list[str]:
    """The lines of one TLV -> what it adds to the Info column."""
    size = len(value)
    if kind in (1, 2) and size:
        return [_identity(packet, item, kind == 1, value, at)]
    if kind == 3 and size >= 2:
        seconds = int.from_bytes(value[:2], "big")
        packet.add(item, TTL, seconds, at, 2)
        return [str(seconds)]
    if kind == 7 and size >= CAPABILITIES.size:
        packet.add_header(item, CAPABILITIES, at, at + size)
        return []
    if kind == 8 and size:
        _management(packet, item, at, at + size)
        return []
    if kind == 127 and size >= 4:
        _organised(packet, item, value, at)
        return []
    if size:
        packet.add(item, TEXTS.get(kind, UNKNOWN), value, at, size)
    words = {5: "SysN=", 6: "SysD="}
    return [words[kind] + escape(value)] if kind in words else []


def _identity(packet: Packet, item: Item, chassis: bool, value: bytes, at: int) -> str:
    """A chassis or a port: its kind, then bytes that this kind gives a meaning."""
    kind, body = value[0], value[1:]
    packet.add(item, CHASSIS_TYPE if chassis else PORT_TYPE, kind, at, 1)
    hardware, network = (4, 5) if chassis else (3, 4)
    if kind == hardware and len(body) == 6:
        packet.add(item, CHASSIS_MAC if chassis else PORT_MAC, body, at + 1, 6)
        return f"MA/{mac(body)}"
    if kind == network and len(body) == 5 and body[0] == 1:
        packet.add(item, CHASSIS_IP4 if chassis else PORT_IP4, body[1:], at + 2, 4)
        return f"NA/{ipv4(body[1:])}"
    if kind == network and len(body) == 17 and body[0] == 2:
        said = ipv6(body[1:])
        packet.add(item, CHASSIS_ID if chassis else PORT_ID, body, at + 1, 17, said)
        return f"NA/{said}"
    packet.add(item, CHASSIS_ID if chassis else PORT_ID, body, at + 1, len(body), escape(body))
    prefix = ({6: "IN/", 7: "LA/"} if chassis else {1: "IA/", 5: "IN/", 7: "LA/"}).get(kind, "")
    return f"{prefix}{escape(body)}"


def _management(packet: Packet, item: Item, at: int, end: int) -> None:
    """An address behind its kind, the interface that has it, an object of the management base."""
    length = packet.uint("LLDP management address", at, 1, end)
    packet.add(item, ADDRESS_LENGTH, length, at, 1)
    if not length:
        return
    value = packet.take("LLDP management address", at + 1, length, end)
    packet.add(item, ADDRESS_TYPE, value[0], at + 1, 1)
    packet.add(item, ADDRESSES.get((value[0], length - 1), ADDRESS_OTHER), value[1:], at + 2, length - 1)
    where = at + 1 + length
    _, _, size = packet.add_header(item, INTERFACE, where, end)
    where += INTERFACE.size
    if size:
        packet.add(item, OID, packet.take("LLDP object identifier", where, size, end), where, size)


def _organised(packet: Packet, item: Item, value: bytes, at: int) -> None:
    """An organisation, its own type, its own layout."""
    end = at + len(value)
    (oui,) = packet.add_header(item, OUI, at, end)
    kind = value[3]
    packet.add(item, SUBTYPES.get(oui, OTHER_SUBTYPE), kind, at + 3, 1)
    names = SUBTYPES.get(oui, OTHER_SUBTYPE).names or {}
    item.said = f"{ORGANISATIONS.get(oui, f'{oui:06x}')} - {names.get(kind, f'Subtype {kind}')}"
    start = at + 4
    head = ORGANISED.get((oui, kind))
    if head is not None and start + head.size <= end:
        values = packet.add_header(item, head, start, end)
        start += head.size
        if (oui, kind) == (BRIDGES, 3):
            name = packet.rest(start, min(end, start + values[1]))
            packet.add(item, VLAN_NAME, name, start, len(name))
            start += len(name)
    if start < end:
        packet.add(item, UNKNOWN, packet.data[start:end], start, end - start)
