"""`owners`: which program holds a local socket, in the network namespace that this process was started in.

A first request looks, further ones get the rest of what was found then: a message holds some hundreds of rows.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any, Final

from netwatch.capture.helper.protocol import LARGEST, Served

__all__ = ["MOST", "owners"]

MOST: Final = 4096
"""Sockets that are told; those that are connected to nobody come first."""
_ADDRESSES: Final = 256
_ROOM: Final = LARGEST - 16_384
"""Bytes of rows in an answer; the addresses have the rest."""
_LONGEST: Final = 32
"""Characters of a name."""
_MAPPED: Final = "::ffff:"
"""What an IPv4 address looks like at an IPv6 socket (RFC 4291, 2.5.5.2)."""

Row = tuple[str, str, int, str, int, int, str, str]
"""tcp or udp, local address and port, remote ones ("" and 0: none), process id, program, user."""

_found: list[Row] = []


def owners(served: Served, request: dict[str, Any]) -> tuple[dict[str, object], list[int]]:  # noqa: ARG001
    """Rows from the one with number `first` on; `left`: how many are still to be had, `beyond`: never told."""
    first = max(request["first"], 0)
    addresses: list[str] = []
    if first == 0:
        _found[:] = _look()
        addresses = _addresses()
    rows: list[Row] = []
    room = _ROOM
    for row in _found[first:MOST]:
        room -= len(json.dumps(row)) + 1
        if room < 0:
            break
        rows.append(row)
    left = max(min(len(_found), MOST) - first - len(rows), 0)
    return {"rows": rows, "addresses": addresses, "left": left, "beyond": max(len(_found) - MOST, 0)}, []


def _look() -> list[Row]:
    import psutil

    sockets = [each for each in psutil.net_connections("inet") if each.pid and each.laddr]
    sockets.sort(key=lambda each: bool(each.raddr))
    programs: dict[int, tuple[str, str]] = {}
    users = _users()
    rows: list[Row] = []
    for each in sockets:
        pid = each.pid or 0
        if pid not in programs and len(rows) < MOST:
            try:
                process = psutil.Process(pid)
                programs[pid] = (process.name()[:_LONGEST], _user(users, process.uids().effective))
            except psutil.Error:
                programs[pid] = ("", "")  # it has just ended
        name, user = programs.get(pid, ("", ""))
        kind = "tcp" if each.type == socket.SOCK_STREAM else "udp"
        local, remote = _end(each.laddr), _end(each.raddr)
        rows.append((kind, *local, *remote, pid, name, user))
    return rows


def _addresses() -> list[str]:
    """Those of this host, without zones."""
    import psutil

    families = (socket.AF_INET, socket.AF_INET6)
    found = {
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families
    }
    return sorted(found)[:_ADDRESSES]


def _end(end: Sequence[Any]) -> tuple[str, int]:
    """Address and port; empty: of nobody."""
    if not end:
        return "", 0
    address, port = end[0], end[1]
    return address.removeprefix(_MAPPED) if "." in address else address, port


def _users() -> dict[int, str]:
    """By number, from the file: no directory service is asked."""
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as file:
            rows = [line.split(":") for line in file]
    except OSError:
        return {}
    return {int(row[2]): row[0] for row in rows if len(row) > 2 and row[2].isdecimal()}


def _user(users: dict[int, str], uid: int) -> str:
    return users.get(uid, str(uid))[:_LONGEST]
