"""The display filter: what is typed -> syntax tree -> mask over columns.

    compile("tcp.port == 443 and not ip.addr == 10.0.0.0/8").mask(rows)

The language is Wireshark's, with tcpdump's words beside it; docs in parser.py (grammar) and fields.py (names).
"""

from netwatch.capture.filter.compile import Filter, Judge, compile
from netwatch.capture.filter.lexer import FilterError

__all__ = ["Filter", "FilterError", "Judge", "compile"]
