"""Which interface is captured by default, and what is known of each."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from netwatch.capture.errors import CaptureError
from netwatch.capture.kernel import interfaces

HEAD_V4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ZERO = "0" * 32


def route_v4(name: str, destination: str = "00000000", metric: int = 0, flags: str = "0003") -> str:
    mask = "00000000" if destination == "00000000" else "00FFFFFF"
    return f"{name}\t{destination}\t0102000A\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def route_v6(name: str, prefix: str = "00", metric: str = "00000400", flags: str = "00000003") -> str:
    return f"{ZERO} {prefix} {ZERO} 00 {ZERO} {metric} 00000001 00000000 {flags} {name:>8}\n"


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Path, Path]:
    v4, v6 = tmp_path / "route", tmp_path / "ipv6_route"
    monkeypatch.setattr(interfaces, "_ROUTES_V4", v4)
    monkeypatch.setattr(interfaces, "_ROUTES_V6", v6)
    return v4, v6


def machine(monkeypatch: pytest.MonkeyPatch, **up: bool) -> None:
    """Interfaces of these names, up or not."""
    stats = {
        name: SimpleNamespace(isup=state, duplex=2, speed=1000, mtu=1500, flags="loopback" if name == "lo" else "")
        for name, state in up.items()
    }
    monkeypatch.setattr(psutil, "net_if_stats", lambda: stats)
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {} if pernic else None)


def test_the_ipv4_default_route_of_the_lowest_metric(routes: tuple[Path, Path]) -> None:
    lines = [route_v4("wlan0", metric=600), route_v4("eth1", "000200C0"), route_v4("eth0", metric=100)]
    lines.append(route_v4("tun0", flags="0203"))  # rejects
    routes[0].write_text(HEAD_V4 + "".join(lines))
    routes[1].write_text(route_v6("eth6"))
    assert interfaces.default_interface() == "eth0"


def test_the_ipv6_default_route_where_there_is_no_ipv4_one(routes: tuple[Path, Path]) -> None:
    routes[0].write_text(HEAD_V4 + route_v4("eth1", "000200C0"))
    lines = [route_v6("lo", flags="00200200"), route_v6("eth2", prefix="40"), route_v6("eth3")]
    routes[1].write_text("".join(lines))
    assert interfaces.default_interface() == "eth3"


def test_else_the_first_that_is_up(routes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not routes[0].exists()
    machine(monkeypatch, lo=True, eth0=False, eth2=True, eth1=True)
    assert interfaces.default_interface() == "eth1"


def test_else_one_line_that_names_them(routes: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert not routes[1].exists()
    machine(monkeypatch, lo=True, eth0=False)
    with pytest.raises(CaptureError, match="choose one with -i: lo, eth0, any") as caught:
        interfaces.default_interface()
    assert caught.value.code == 2


def test_this_machine() -> None:
    facts = interfaces.list_interfaces()
    loopback = next(fact for fact in facts if fact.loopback)
    assert loopback.up
    assert "127.0.0.1" in loopback.addresses
    assert "127.0.0.1" in interfaces.own_addresses()
    assert facts == sorted(facts, key=lambda fact: (not fact.up, fact.name))
