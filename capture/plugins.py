"""A person's own dissectors: Python files that register as those of capture/dissect/ do (CONTRIBUTING.md).

They are code that runs with all that netwatch may do. So they are loaded only where somebody asked for it, and only
from files that nobody else could have written: the file, its folder and every folder above belong to who runs this
or to root, and nobody else can write to them.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from netwatch.capture.dissect.kit import FIELDS
from netwatch.capture.dissect.registry import SIGNATURES, TABLES, TAKEN
from netwatch.capture.protocols import DISSECTED

__all__ = ["folder", "load"]

Tell = Callable[[str], None]


def folder() -> Path:
    """Where they are looked for (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.config")
    return Path(base, "netwatch", "plugins")


def load(where: Path, tell: Tell) -> list[str]:
    """Load `where`/*.py in the order of their names -> those that were; `tell` gets a line for each that was not.

    One that fails leaves nothing behind. What a key of a table calls already stays, unless it is registered with
    `replace=True`.
    """
    try:
        if not (where.is_absolute() and where.is_dir()):
            tell(f"no plug-ins: there is no folder {where}")
            return []
        why = _refusal(where)
    except OSError as error:
        why = f"{where}: {error.strerror}"
    if why:
        tell(f"plug-ins left out: {why}")
        return []
    paths = [path for path in sorted(where.glob("*.py")) if not path.name.startswith((".", "_"))]
    if not paths:
        tell(f"no plug-ins: {where} holds none")
    return [path.name for path in paths if _load(path, tell)]


def _load(path: Path, tell: Tell) -> bool:
    try:
        source = _read(path)
    except OSError as error:
        tell(f"plug-in {path.name} left out: {error.strerror or error}")
        return False
    name = f"netwatch_plugin_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    before, taken = _Registered(), len(TAKEN)
    sys.modules[name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        before.restore()
        del sys.modules[name]
        tell(f"plug-in {path.name} left out: {_words(error, path)}")
        return False
    for table, key in TAKEN[taken:]:
        holder = TABLES[table][key].__name__
        tell(f"plug-in {path.name}: {table} {key} stays with {holder}; on(…, replace=True) takes it over")
    return True


def _read(path: Path) -> bytes:
    """The bytes of a file that nobody else could have written. Raises OSError."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("it is not a regular file")
        # The file that is open, not what its name may lead to by now; above it, the folders that the name leads to.
        why = _fault(path, status) or _refusal(path.resolve().parent)
        if why:
            raise OSError(why)
        return file.read()


def _refusal(where: Path) -> str:
    """Why files in that folder cannot be trusted; empty if they can."""
    inner = where.resolve()
    for each in (inner, *inner.parents):
        status = each.stat()
        # In a sticky folder, as /tmp is, nobody can replace what is another's: good enough above the files' own.
        why = _fault(each, status, sticky=each != inner)
        if why:
            return why
    return ""


def _fault(path: Path, status: os.stat_result, *, sticky: bool = False) -> str:
    me = os.geteuid()
    if status.st_uid not in (me, 0):
        whose = "root runs only its own" if me == 0 else "it is neither yours nor root's"
        return f"{path} belongs to {_user(status.st_uid)}, and {whose}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not (sticky and status.st_mode & stat.S_ISVTX):
        return f"others can write to {path} (chmod go-w helps)"
    return ""


def _user(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _words(error: BaseException, path: Path) -> str:
    """`NameError at line 3: name 'x' is not defined`"""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame_line in _lines(error, path):
        line = frame_line
    place = f" at line {line}" if line else ""
    what = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}{place}: {what}"


def _lines(error: BaseException, path: Path) -> Iterator[int]:
    """Lines of the file that the error came through."""
    place = error.__traceback__
    while place is not None:
        if place.tb_frame.f_code.co_filename == str(path):
            yield place.tb_lineno
        place = place.tb_next


class _Registered:
    """What is registered now, to be had again."""

    def __init__(self) -> None:
        self._fields, self._protocols = dict(FIELDS), dict(DISSECTED)
        self._tables = {name: dict(table) for name, table in TABLES.items()}
        self._signatures = {name: list(known) for name, known in SIGNATURES.items()}
        self._taken = len(TAKEN)

    def restore(self) -> None:
        """The tables stay the objects that they are: others hold them."""
        for now, before in ((FIELDS, self._fields), (DISSECTED, self._protocols)):
            now.clear()
            now.update(before)  # type: ignore[arg-type]
        for name, table in TABLES.items():
            table.clear()
            table.update(self._tables.get(name, {}))
        for name, known in SIGNATURES.items():
            known[:] = self._signatures.get(name, [])
        del TAKEN[self._taken :]
