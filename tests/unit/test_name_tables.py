"""What is known before any packet: vendors by the IEEE's list, services, /etc/hosts."""

from __future__ import annotations

import struct
import sys
import tracemalloc
import zlib
from array import array
from pathlib import Path

import pytest

from netwatch.capture.hosts import read_hosts
from netwatch.capture.services import Services
from netwatch.capture.vendors import WIDTHS, Vendors, pack, short_name

ROOT = Path(__file__).parents[2]
FILE = ROOT / "capture" / "data" / "vendors.bin"


def made(path: Path, *blocks: dict[int, str]) -> Path:
    """A file of vendors: prefixes of 24, 28 and 36 bits."""
    names = sorted({name for block in blocks for name in block.values()})
    tables = [
        (array("Q", sorted(block)), array("H", [names.index(block[key]) for key in sorted(block)]))
        for block in blocks
    ]
    path.write_bytes(b"one\ntwo\nthree\n" + zlib.compress(pack(tables, names)))
    return path


@pytest.fixture(scope="module")
def vendors() -> Vendors:
    return Vendors.load()


def test_the_smallest_block_tells_whose_an_address_is(tmp_path: Path) -> None:
    whole, part, small = {0x0055DA: "Large"}, {0x0055DA1: "Middle"}, {0x0055DA1FF: "Small"}
    known = Vendors.load(made(tmp_path / "v", whole, part, small))
    assert len(known) == 3
    assert known.label("00:55:da:00:00:01") == "Large_00:00:01"
    assert known.label("00:55:da:1f:e0:01") == "Middle_1f:e0:01"
    assert known.label("00:55:da:1f:ff:ff") == "Small_1f:ff:ff"
    assert known.organisation("00:55:da:1f:ff:ff") == "Small"
    assert known.label("00:55:db:00:00:01") == ""
    assert known.organisation("00:55:db:00:00:01") == ""


@pytest.mark.parametrize(
    ("mac", "label", "words"),
    [
        ("00:1b:21:12:34:56", "Intel_12:34:56", "Intel Corporate"),
        ("b8:27:eb:00:00:01", "RaspberryPi_00:00:01", "Raspberry Pi Foundation"),
        ("52:54:00:12:34:56", "QEMU_12:34:56", "QEMU/KVM, by habit"),
        ("ff:ff:ff:ff:ff:ff", "Broadcast", "everybody"),
        ("01:00:5e:00:00:fb", "IPv4mcast_00:00:fb", "IPv4 multicast"),
        ("33:33:00:00:00:01", "IPv6mcast_00:00:01", "IPv6 multicast"),
        ("01:80:c2:00:00:0e", "LLDP_00:00:0e", "LLDP to the nearest neighbour"),
        ("da:a1:19:12:34:56", "", "locally administered: random, or given by software"),
        ("03:00:00:12:34:56", "", "a group"),
        ("00:00:00:00:00:00", "", ""),
    ],
)
def test_addresses_and_bits_of_them(vendors: Vendors, mac: str, label: str, words: str) -> None:
    assert (vendors.label(mac), vendors.organisation(mac)) == (label, words)


def test_the_file_is_small_says_what_it_is_and_takes_little(vendors: Vendors) -> None:
    data = FILE.read_bytes()
    assert len(data) <= 500_000
    heading = data.split(b"\n", 3)[:3]
    assert b"IEEE Registration Authority" in heading[0]
    assert b"does not restrict its distribution" in heading[1]
    assert len(vendors) > 40_000
    tracemalloc.start()
    again = Vendors.load()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(again) == len(vendors)
    assert kept < 3 << 20


@pytest.mark.parametrize("damage", ["cut", "other", "none", "owner"])
def test_a_damaged_file_knows_nobody(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "vendors.bin"
    if damage == "cut":
        path.write_bytes(FILE.read_bytes()[:5000])
    elif damage == "other":
        path.write_bytes(b"a\nb\nc\n" + zlib.compress(struct.pack("<I", 7) + b"xx"))
    elif damage == "owner":
        tables = [(array("Q", [1]), array("H", [9])) for _ in WIDTHS]
        path.write_bytes(b"a\nb\nc\n" + zlib.compress(pack(tables, ["one"])))
    known = Vendors.load(path)
    assert (len(known), known.label("00:1b:21:12:34:56")) == (0, "")


@pytest.mark.parametrize(
    ("organisation", "short"),
    [
        ("Intel Corporate", "Intel"),
        ("Cisco Systems", "Cisco"),
        ("HUAWEI TECHNOLOGIES", "Huawei"),
        ("TP-LINK TECHNOLOGIES", "TP-Link"),
        ("IBM", "IBM"),
        ("Super Micro Computer", "SuperMicro"),
        ("SHENZHEN BILIAN ELECTRONIC", "Bilian"),
        ("Beijing Technology", "Beijing"),
        ("AVeryLongNameInOneWord", "AVeryLongNam"),
        ("", ""),
    ],
)
def test_short_names(organisation: str, short: str) -> None:
    assert short_name(organisation) == short


def test_the_file_is_what_the_script_makes_of_the_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "Registry,Assignment,Organization Name,Organization Address\n"
    rows = {
        "oui.csv": 'MA-L,00000C,"Cisco Systems, Inc",x\nMA-L,0055DA,IEEE Registration Authority,x\n'
        "MA-L,00AA00,Private,\n"
        "MA-L,080030,ZETA GmbH & Co. KG,x\nMA-L,080030,CERN,x\n",
        "mam.csv": "MA-M,0055DA1,Caf\u00e9 S.A.,x\n",
        "oui36.csv": 'MA-S,70B3D5F2F,"TELE\u202eX Co., Ltd.",x\n',
        "iab.csv": "",
    }
    for name, text in rows.items():
        (tmp_path / name).write_text(head + text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    sys.modules.pop("make_vendors", None)
    import make_vendors  # type: ignore[import-not-found]

    monkeypatch.setattr(make_vendors, "TARGET", tmp_path / "made")
    make_vendors.main(tmp_path)
    known = Vendors.load(tmp_path / "made")
    macs = ("00:00:0c:01:02:03", "00:55:da:01:02:03", "00:55:da:11:02:03", "00:aa:00:01:02:03", "08:00:30:01:02:03")
    assert [known.organisation(mac) for mac in macs] == ["Cisco Systems", "", "Cafe", "", "CERN"]
    assert known.organisation("70:b3:d5:f2:f0:01") == "TELEX"


# Services


def test_services_of_a_file(tmp_path: Path) -> None:
    file, dynamic = tmp_path / "services", tmp_path / "range"
    file.write_text(
        "# x\nhttps 443/tcp # web\nhttps\t443/udp\nshell 514/tcp cmd\nsyslog 514/udp\nbad x/tcp\n\x1b[ 7/tcp\n"
    )
    dynamic.write_text("10000\t60999\n")
    services = Services.read(str(file), str(dynamic))
    assert [services.of(443, udp=udp) for udp in (False, True)] == ["https", "https"]
    assert [services.of(514, udp=udp) for udp in (False, True)] == ["shell", "syslog"]
    assert services.of(7, udp=False) == ""
    assert services.of(22, udp=False) == "ssh"  # ours: the file has none


def test_ports_that_clients_get_have_no_name(tmp_path: Path) -> None:
    file, dynamic = tmp_path / "services", tmp_path / "range"
    file.write_text("low 9999/tcp\nin 10000/tcp\nlast 20000/tcp\nbehind 20001/tcp\ndynamic 60177/tcp\n")
    dynamic.write_text("10000 20000\n")
    services = Services.read(str(file), str(dynamic))
    assert [services.of(port, udp=False) for port in (9999, 10000, 20000, 20001, 60177)] == [
        "low",
        "",
        "",
        "behind",
        "",
    ]


def test_without_a_file_the_usual_services_have_names(tmp_path: Path) -> None:
    services = Services.read(str(tmp_path / "none"), str(tmp_path / "none"))
    assert services.of(443, udp=False) == "https"
    assert services.of(5432, udp=False) == "postgresql"
    assert services.of(40000, udp=False) == ""


# /etc/hosts


def test_loopback_is_localhost_whatever_stands_before_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(
        "127.0.0.1 ads.example\n127.0.0.1 localhost\n127.0.1.1 myhost.lan myhost\n::1 ip6-localhost localhost\n"
        "fe80::1%eth0 router\n0.0.0.0 tracker.example\n192.0.2.9 one two\n192.0.2.9 three\n"
    )
    assert read_hosts(str(file)) == {
        "127.0.0.1": "localhost",
        "127.0.1.1": "myhost.lan",
        "::1": "localhost",
        "fe80::1": "router",
        "192.0.2.9": "one",
    }


def test_a_long_list_of_hosts_is_bounded(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text("".join(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255} h{n}\n" for n in range(100_000)))
    assert 30_000 < len(read_hosts(str(file))) <= 32_768
