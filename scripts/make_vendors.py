"""Makes capture/data/vendors.bin of the IEEE's lists of who has which MAC addresses.

    python3 scripts/make_vendors.py [folder with oui.csv, mam.csv, oui36.csv and iab.csv]

The lists come from the IEEE Registration Authority, or with Debian's package ieee-data (/usr/share/ieee-data). The
IEEE asserts no copyright in them and does not restrict their distribution. How the file is laid out stands in
capture/vendors.py.
"""

from __future__ import annotations

import csv
import re
import sys
import unicodedata
import zlib
from array import array
from pathlib import Path
from time import gmtime, strftime

from netwatch.capture.vendors import HEADING, WIDTHS, pack

TARGET = Path(__file__).parents[1] / "capture" / "data" / "vendors.bin"
FOLDER = Path("/usr/share/ieee-data")
LISTS = {24: ("oui.csv",), 28: ("mam.csv",), 36: ("oui36.csv", "iab.csv")}
NOBODY = re.compile(r"private|ieee registration authority\b.*", re.IGNORECASE)
"""Addresses of which nobody is told the owner, and those that are handed on in smaller blocks."""
LEGAL = re.compile(
    r"""[\s,]+(?:
    inc(?:orporated)?|corp(?:oration)?|co|company|ltd|limited|llc|l\.l\.c|plc|gmbh(?:\s*&\s*co\.?\s*kg)?|mbh|ag|kg|se
    |s\.?\s?a\.?(?:\s?s)?|s\.?r\.?[lo]|s\.?p\.?a|sp\.?\s?z\.?\s?o\.?\s?o|b\.?v|n\.?v|a\.?s|a/s|aps|oy|ab|as|k\.?k
    |pty|pte|pvt|private|sdn\.?\s?bhd|d\.?o\.?o|s\.?a\.?\s?de\s?c\.?v|lp|l\.p|ltda|sarl|kft|zrt|co\.?,?\s?ltd
    )\.?$""",
    re.IGNORECASE | re.VERBOSE,
)
LONGEST = 36
"""Characters of a name."""


def cleaned(name: str) -> str:
    """In ASCII, on one line, without the legal form: what remains says who it is."""
    # Half of the letters of other alphabets have a base letter; the rest of such names is Latin.
    text = unicodedata.normalize("NFKD", name.replace("’", "'").replace("ß", "ss"))
    text = " ".join(text.encode("ascii", "ignore").decode().split()).strip(" .,;")
    while (cut := LEGAL.sub("", text).rstrip(" .,;&(")) != text and cut:
        text = cut
    return text[:LONGEST].rstrip(" .,;(-")


def read(path: Path) -> dict[int, str]:
    """Prefix → organisation; of several that share one the first in the alphabet, whatever order the list has."""
    found: dict[int, str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            name = cleaned(row["Organization Name"])
            prefix = int(row["Assignment"], 16)
            if name and not NOBODY.fullmatch(name):
                found[prefix] = min(found.get(prefix, name), name)
    return found


def main(folder: Path) -> None:
    """Write the file, and say what is in it."""
    blocks: dict[int, dict[int, str]] = {}
    for width in WIDTHS:
        blocks[width] = {}
        for name in LISTS[width]:
            blocks[width] |= read(folder / name)
    newest = max((folder / name).stat().st_mtime for names in LISTS.values() for name in names)
    names = sorted(
        {name for block in blocks.values() for name in block.values()}, key=lambda name: (name.lower(), name)
    )
    number = {name: index for index, name in enumerate(names)}
    tables = [
        (array("Q", sorted(block)), array("H", [number[block[prefix]] for prefix in sorted(block)]))
        for block in blocks.values()
    ]
    body = zlib.compress(pack(tables, names), 9)
    heading = HEADING.format(date=strftime("%Y-%m-%d", gmtime(newest)), count=sum(map(len, blocks.values())))
    TARGET.write_bytes(heading.encode() + body)
    counts = ", ".join(f"{len(block):,} of {width} bits" for width, block in blocks.items())
    print(f"{TARGET.name}: {counts}; {len(names):,} names; {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
