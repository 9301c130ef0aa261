"""Fields, headers and items: what a protocol module declares, and what a dissected packet is made of.

A protocol is a table of fields. Header length, tree, byte ranges and filter names all derive from that table:

    UDP = Header("udp", "User Datagram Protocol", (
        U16("srcport", "Source Port"),
        U16("dstport", "Destination Port"),
        U16("length", "Length"),
        Hex16("checksum", "Checksum"),
    ))

Names are Wireshark's: the header's prefix, a dot, the field's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct
from typing import Any, Final

from netwatch.capture.text import absolute, escape, ipv4, ipv6, mac

__all__ = [
    "FIELDS",
    "U8",
    "U16",
    "U24",
    "U32",
    "U48",
    "U64",
    "Bit",
    "Bits",
    "Bytes",
    "Field",
    "Flags8",
    "Flags16",
    "Flags32",
    "Header",
    "Hex8",
    "Hex16",
    "Hex24",
    "Hex32",
    "Hex64",
    "Ip4",
    "Ip6",
    "Item",
    "Mac",
    "Packed8",
    "Packed16",
    "Packed32",
    "Text",
    "absolute",
    "address",
    "duration",
    "fields_text",
    "flag",
    "group",
    "milliseconds",
    "number",
    "octets",
    "present",
    "text",
    "to_zero",
]

Names = Mapping[int, str]
Format = Callable[[Any], str]

FIELDS: Final[dict[str, Field]] = {}
"""Every field that a dissector names, by Wireshark's name."""


class Field:
    """One row of a protocol's table: what a field is called, how wide it is, how its value reads."""

    __slots__ = (
        "bits",
        "code",
        "form",
        "hidden",
        "label",
        "mask",
        "name",
        "names",
        "plain",
        "shift",
        "size",
        "times",
        "wide",
    )

    def __init__(
        self,
        name: str,
        label: str,
        *,
        plain: Format = str,
        form: Format | None = None,
        names: Names | None = None,
        code: str = "",
        size: int = 0,
        mask: int = 0,
        bits: tuple[Field, ...] = (),
        hidden: bool = False,
        times: int = 1,
        wide: bool = False,
    ) -> None:
        self.name = name
        """`ip.src`; empty for a heading that no filter asks for."""
        self.label = label
        """`Source Address`"""
        self.plain = plain
        """The value as `--fields` prints it."""
        self.form = form or plain
        """The value as the tree shows it, where no name is known for it."""
        self.names = names
        """Value → what it means; other values print as numbers."""
        self.code = code
        """Its letter for `struct`; empty where the position is not fixed."""
        self.size = size
        """Bytes; 0 where the position is not fixed."""
        self.mask = mask
        """Bits within the bytes that hold it; 0 for a whole field."""
        self.shift = (mask & -mask).bit_length() - 1 if mask else 0
        self.bits = bits
        """The fields that share its bytes."""
        self.hidden = hidden
        """Only its bits are shown: Wireshark has no name for the whole."""
        self.times = times
        """What one unit of the bits stands for: header lengths count 4 bytes."""
        self.wide = wide
        """An integer of a size that `struct` does not know."""

    def __repr__(self) -> str:
        return f"Field({self.name!r})"

    def renamed(self, prefix: str) -> Field:
        """The same field, its bits too, under its full name and known to `FIELDS`.

        `srcport` gets the prefix, `=eth.type` is whole, an empty name stays: Wireshark has none for it.
        """
        name = self.name[1:] if self.name.startswith("=") else f"{prefix}.{self.name}" if self.name else ""
        made = Field(
            name,
            self.label,
            plain=self.plain,
            form=self.form,
            names=self.names,
            code=self.code,
            size=self.size,
            mask=self.mask,
            bits=tuple(bit.renamed(prefix) for bit in self.bits),
            hidden=self.hidden,
            times=self.times,
            wide=self.wide,
        )
        return _known(made)


def _known(field: Field) -> Field:
    """The first field of a name is the one that answers for it; two tables may share a name (`eth.type`)."""
    if field.name:
        FIELDS.setdefault(field.name, field)
    return field


class Item:
    """One line of the tree: a field, its value, and the bytes of the frame that hold it."""

    __slots__ = ("buffer", "children", "field", "said", "size", "start", "value")

    def __init__(
        self,
        field: Field,
        value: Any,
        start: int,
        size: int,
        said: str = "",
        children: list[Item] | None = None,
        *,
        buffer: int = 0,
    ) -> None:
        self.field = field
        self.value = value
        """int, bool, bytes (addresses too), str as on the wire (not escaped), or None for a heading."""
        self.start = start
        """Offset in its buffer of the first byte that holds it."""
        self.size = size
        """Bytes; for a bit field those that its bits lie in (`field.mask` says which bits of the whole word)."""
        self.said = said
        """What the dissector says of it, in place of what follows from the value."""
        self.children: list[Item] = [] if children is None else children
        self.buffer = buffer
        """Which of the tree's buffers holds its bytes; 0: the packet."""

    @property
    def text(self) -> str:
        """What stands behind the label, escaped: `UDP (17)`, `192.0.2.1`, for a layer its summary."""
        if self.said:
            return escape(self.said)
        if self.value is None:
            return ""
        field = self.field
        shown = field.form(self.value)
        if field.names is not None:
            name = field.names.get(self.value, "Unknown")
            shown = f"{name} ({shown})"
        return escape(shown)

    @property
    def end(self) -> int:
        """Offset of the byte after it."""
        return self.start + self.size

    def __repr__(self) -> str:
        return f"Item({self.field.name or self.field.label}: {self.text} @{self.start}+{self.size})"


def fields_text(item: Item) -> str:
    """The value as `tshark -T fields` prints it, escaped; empty for a heading."""
    return "" if item.value is None else escape(item.field.plain(item.value))


# How values read


def _hex(digits: int) -> Format:
    return f"0x{{:0{digits}x}}".format


def _bool(value: Any) -> str:
    return "1" if value else "0"


def _set(value: Any) -> str:
    return "Set" if value else "Not set"


def _str(value: Any) -> str:
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "surrogateescape")


def _octets(value: Any) -> str:
    return bytes(value).hex()


SHOWN_OCTETS: Final = 48
"""Bytes of a field that the tree spells out; the hex view has the rest."""


def _seconds(nanoseconds: int) -> str:
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{'-' * (nanoseconds < 0)}{seconds}.{fraction:09}"


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 10**6:.6f}".rstrip("0").rstrip(".")


def _octets_short(value: Any) -> str:
    return bytes(value).hex() if len(value) <= SHOWN_OCTETS else bytes(value[:SHOWN_OCTETS]).hex() + "…"


def _one(_: Any) -> str:
    return "1"


def _empty(_: Any) -> str:
    return ""


# Rows of a header: their place follows from the rows before


def _integer(code: str, size: int, digits: int) -> Callable[..., Field]:
    usual: Format = _hex(digits) if digits else str

    def row(
        name: str, label: str, names: Names | None = None, form: Format | None = None, plain: Format | None = None
    ) -> Field:
        shown = plain or usual
        return Field(name, label, plain=shown, form=form, names=names, code=code, size=size, wide=code.endswith("s"))

    return row


U8, U16, U24, U32, U48, U64 = (
    _integer(code, size, 0) for code, size in (("B", 1), ("H", 2), ("3s", 3), ("I", 4), ("6s", 6), ("Q", 8))
)
Hex8, Hex16, Hex24, Hex32, Hex64 = (
    _integer(code, size, 2 * size) for code, size in (("B", 1), ("H", 2), ("3s", 3), ("I", 4), ("Q", 8))
)


def _address(size: int, plain: Format) -> Callable[..., Field]:
    def row(name: str, label: str) -> Field:
        return Field(name, label, plain=plain, code=f"{size}s", size=size)

    return row


Mac, Ip4, Ip6 = _address(6, mac), _address(4, ipv4), _address(16, ipv6)


def Bytes(name: str, label: str, size: int) -> Field:  # noqa: N802 - a row, beside U8 and Mac
    """`size` bytes that are shown as hexadecimal."""
    return Field(name, label, plain=_octets, form=_octets_short, code=f"{size}s", size=size)


def Text(name: str, label: str, size: int) -> Field:  # noqa: N802
    """`size` bytes of characters, up to the first zero."""
    return Field(name, label, plain=lambda value: _str(value.split(b"\0", 1)[0]), code=f"{size}s", size=size)


def Bit(mask: int, name: str, label: str) -> Field:  # noqa: N802
    """A single bit of a word: set or not."""
    return Field(name, label, plain=_bool, form=_set, mask=mask)


def Bits(  # noqa: N802
    mask: int,
    name: str,
    label: str,
    names: Names | None = None,
    *,
    digits: int = 0,
    form: Format | None = None,
    times: int = 1,
    bits: tuple[Field, ...] = (),
) -> Field:
    """Some bits of a word; `digits`: shown as that many hexadecimal digits; `bits`: fields within it."""
    plain = _hex(digits) if digits else str
    return Field(name, label, plain=plain, form=form, names=names, mask=mask, times=times, bits=bits)


def _word(code: str, size: int, hidden: bool) -> Callable[..., Field]:
    def flags(name: str, label: str, *bits: Field) -> Field:
        return Field(name, label, plain=_hex(2 * size), code=code, size=size, bits=bits)

    def packed(*bits: Field) -> Field:
        return Field("", "", code=code, size=size, bits=bits, hidden=True)

    return packed if hidden else flags


Packed8, Packed16, Packed32 = (_word(code, size, True) for code, size in (("B", 1), ("H", 2), ("I", 4)))
Flags8, Flags16, Flags32 = (_word(code, size, False) for code, size in (("B", 1), ("H", 2), ("I", 4)))


# Fields whose place the dissector finds


def text(name: str, label: str) -> Field:
    """Characters as they came over the wire (bytes, or a str made with `surrogateescape`)."""
    return _known(Field(name, label, plain=_str))


def to_zero(name: str, label: str) -> Field:
    """Characters, of which `--fields` prints those before the first zero."""
    return _known(Field(name, label, plain=lambda value: _str(value).partition("\0")[0], form=_str))


def octets(name: str, label: str) -> Field:
    """Bytes."""
    return _known(Field(name, label, plain=_octets, form=_octets_short))


def present(name: str, label: str) -> Field:
    """Bytes of which `--fields` says no more than that they are there."""
    return _known(Field(name, label, plain=_one, form=_octets_short))


def number(
    name: str, label: str, names: Names | None = None, *, digits: int = 0, form: Format | None = None
) -> Field:
    """An integer; `digits`: in hexadecimal, that many digits."""
    return _known(Field(name, label, plain=_hex(digits) if digits else str, form=form, names=names))


def milliseconds(name: str, label: str) -> Field:
    """Nanoseconds, which read as milliseconds, with no more digits than needed."""
    return _known(Field(name, label, plain=_milliseconds, form=lambda value: f"{_milliseconds(value)} ms"))


def duration(name: str, label: str) -> Field:
    """Nanoseconds, which read as seconds with nine digits."""
    return _known(Field(name, label, plain=_seconds, form=lambda value: f"{_seconds(value)} seconds"))


def address(name: str, label: str, size: int) -> Field:
    """A MAC (6), IPv4 (4) or IPv6 (16) address."""
    return _known(Field(name, label, plain={4: ipv4, 6: mac, 16: ipv6}[size]))


def flag(name: str, label: str) -> Field:
    """True or false."""
    return _known(Field(name, label, plain=_bool, form=_set))


def group(name: str, label: str) -> Field:
    """A heading over other items."""
    return _known(Field(name, label, plain=_empty))


class Header:
    """Fields at fixed places, one after the other."""

    __slots__ = ("_places", "_wide", "field", "prefix", "rows", "size", "struct")

    def __init__(
        self, prefix: str, label: str, rows: tuple[Field, ...], *, name: str | None = None, little: bool = False
    ) -> None:
        self.prefix = prefix
        self.field = group(prefix if name is None else name, label)
        """The heading: the layer itself, `ip`. `name`: where it is not the prefix; empty for a part of a layer."""
        self.rows = tuple(row.renamed(prefix) for row in rows)
        self.struct = Struct(("<" if little else ">") + "".join(row.code for row in rows))
        self.size = self.struct.size
        """Bytes."""
        order = "little" if little else "big"
        self._wide = tuple((index, order) for index, row in enumerate(rows) if row.wide)
        places: list[Place] = []
        at = 0
        for row in self.rows:
            places.append((row, at, row.size, tuple(_place(bit, row.size, at, little) for bit in row.bits)))
            at += row.size
        self._places = tuple(places)

    def span(self, name: str) -> slice:
        """Where the field called `name` (without the prefix) stands within the header."""
        for row, at, size, _ in self._places:
            if row.name == f"{self.prefix}.{name}":
                return slice(at, at + size)
        raise KeyError(name)

    def read(self, data: bytes, at: int) -> tuple[Any, ...]:
        """The values of the rows; struct.error where bytes are missing."""
        values = self.struct.unpack_from(data, at)
        if self._wide:
            widened = list(values)
            for index, order in self._wide:
                widened[index] = int.from_bytes(widened[index], order)  # type: ignore[arg-type]
            return tuple(widened)
        return values

    def items(self, values: tuple[Any, ...], start: int) -> list[Item]:
        """An item for each row, bit fields below theirs."""
        made: list[Item] = []
        for (row, at, size, bits), value in zip(self._places, values, strict=True):
            if not bits:
                made.append(Item(row, value, start + at, size))
            elif row.hidden:
                made += [_bit_item(bit, value, start) for bit in bits]
            else:
                made.append(Item(row, value, start + at, size, "", [_bit_item(bit, value, start) for bit in bits]))
        return made


Place = tuple[Field, int, int, tuple[Any, ...]]
"""A field, its offset and size within the header, and the same of the fields within it."""


def _place(bit: Field, size: int, at: int, little: bool) -> Place:
    """Where the bytes are, of a word of `size` bytes at `at`, in which bits of `bit.mask` lie."""
    first = size - (bit.mask.bit_length() + 7) // 8
    last = size - 1 - bit.shift // 8
    if little:
        first, last = size - 1 - last, size - 1 - first
    return bit, at + first, last - first + 1, tuple(_place(part, size, at, little) for part in bit.bits)


def _bit_item(place: Place, word: int, start: int) -> Item:
    bit, at, size, parts = place
    value = ((word & bit.mask) >> bit.shift) * bit.times
    return Item(bit, value, start + at, size, "", [_bit_item(part, word, start) for part in parts])
