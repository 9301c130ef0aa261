"""Tables of MySQL: commands, capabilities, column types (MySQL source documentation, "Client/Server Protocol")."""

from __future__ import annotations

from typing import Final

from netwatch.capture.dissect.kit import Bit, Bits, Field, Flags16, Header

__all__ = ["CAPABILITIES", "COLLATIONS", "COLUMN_TYPES", "COMMANDS", "bits"]

COMMANDS: Final = {
    0: "SLEEP",
    1: "Quit",
    2: "Use Database",
    3: "Query",
    4: "Show Fields",
    5: "Create Database",
    6: "Drop Database",
    7: "Refresh",
    8: "Shutdown",
    9: "Statistics",
    10: "Process List",
    11: "Connect",
    12: "Kill Server Thread",
    13: "Dump Debuginfo",
    14: "Ping",
    15: "Time",
    16: "Insert Delayed",
    17: "Change User",
    18: "Send Binlog",
    19: "Send Table",
    20: "Slave Connect",
    21: "Register Slave",
    22: "Prepare Statement",
    23: "Execute Statement",
    24: "Send BLOB",
    25: "Close Statement",
    26: "Reset Statement",
    27: "Set Option",
    28: "Fetch Data",
    29: "Daemon",
    30: "Send Binlog GTID",
    31: "Reset Connection",
    250: "Execute Bulk Statement",
}
CAPABILITIES: Final = (
    ("lp", "Long Password"),
    ("fr", "Found Rows"),
    ("lf", "Long Column Flags"),
    ("cd", "Connect With Database"),
    ("ns", "Don't Allow database.table.column"),
    ("cp", "Can use compression protocol"),
    ("ob", "ODBC Client"),
    ("li", "Can Use LOAD DATA LOCAL"),
    ("is", "Ignore Spaces before '('"),
    ("cu", "Speaks 4.1 protocol (new flag)"),
    ("ia", "Interactive Client"),
    ("sl", "Switch to SSL after handshake"),
    ("ii", "Ignore sigpipes"),
    ("ta", "Knows about transactions"),
    ("rs", "Speaks 4.1 protocol (old flag)"),
    ("sc", "Can do 4.1 authentication"),
)
EXTENDED: Final = (
    ("ms", "Multiple statements"),
    ("mr", "Multiple results"),
    ("pm", "PS Multiple results"),
    ("pa", "Plugin Auth"),
    ("ca", "Connect attrs"),
    ("pm", "Plugin Auth LENENC Client Data"),
    ("ep", "Client can handle expired passwords"),
    ("session_track", "Session variable tracking"),
    ("deprecate_eof", "Deprecate EOF"),
    ("optional_metadata", "Client can handle optional resultset metadata"),
    ("compress_zsd", "ZSTD Compression Algorithm"),
    ("query_attrs", "Query Attributes"),
    ("mf_auth", "Multifactor Authentication"),
    ("cap_ext", "Capability Extension"),
)
STATUS: Final = (
    ("it", "In transaction"),
    ("ac", "AUTO_COMMIT"),
    ("mu", "Multi query / Unused"),
    ("mr", "More results"),
    ("bi", "Bad index used"),
    ("ni", "No index used"),
    ("cr", "Cursor exists"),
    ("lr", "Last row sent"),
    ("dr", "Database dropped"),
    ("bs", "No backslash escapes"),
    ("mc", "Metadata changed"),
    ("query_was_slow", "Query was slow"),
    ("ps_out_params", "PS Out Params"),
    ("trans_readonly", "In Trans Readonly"),
    ("session_state_changed", "Session state changed"),
)
COLUMN: Final = (
    ("not_null", "Not null"),
    ("primary_key", "Primary key"),
    ("unique_key", "Unique key"),
    ("multiple_key", "Multiple key"),
    ("blob", "Blob"),
    ("unsigned", "Unsigned"),
    ("zero_fill", "Zero fill"),
    ("binary", "Binary"),
    ("enum", "Enum"),
    ("auto_increment", "Auto increment"),
    ("timestamp", "Timestamp"),
    ("set", "Set"),
)


def bits(name: str, label: str, prefix: str, table: tuple[tuple[str, str], ...], *others: Field) -> Header:
    """A little-endian word of flags, the first of the table in its lowest bit."""
    flags: list[Field] = [Bit(1 << place, f"{prefix}.{short}", long) for place, (short, long) in enumerate(table)]
    flags += others
    return Header("mysql", label, (Flags16(name, label, *flags),), name="", little=True)


SERVER_CAPABILITIES: Final = bits("caps.server", "Server Capabilities", "caps", CAPABILITIES)
CLIENT_CAPABILITIES: Final = bits("caps.client", "Client Capabilities", "caps", CAPABILITIES)
UNUSED: Final = Bits(0xC000, "caps.unused", "Unused", digits=4)
SERVER_EXTENDED: Final = bits("extcaps.server", "Extended Server Capabilities", "caps", EXTENDED, UNUSED)
CLIENT_EXTENDED: Final = bits("extcaps.client", "Extended Client Capabilities", "caps", EXTENDED, UNUSED)
SERVER_STATUS: Final = bits("server_status", "Server Status", "stat", STATUS)
COLUMN_FLAGS: Final = bits("field.flags", "Flags", "field.flags", COLUMN)

FIRST_TYPES: Final = (
    "DECIMAL",
    "TINY",
    "SHORT",
    "LONG",
    "FLOAT",
    "DOUBLE",
    "NULL",
    "TIMESTAMP",
    "LONGLONG",
    "INT24",
    "DATE",
    "TIME",
    "DATETIME",
    "YEAR",
    "NEWDATE",
    "VARCHAR",
    "BIT",
)
COLUMN_TYPES: Final = {
    number: f"FIELD_TYPE_{name}"
    for number, name in (
        *enumerate(FIRST_TYPES),
        (245, "JSON"),
        (246, "NEWDECIMAL"),
        (247, "ENUM"),
        (248, "SET"),
        (249, "TINY_BLOB"),
        (250, "MEDIUM_BLOB"),
        (251, "LONG_BLOB"),
        (252, "BLOB"),
        (253, "VAR_STRING"),
        (254, "STRING"),
        (255, "GEOMETRY"),
    )
}
COLLATIONS: Final = {
    8: "latin1 COLLATE latin1_swedish_ci",
    11: "ascii COLLATE ascii_general_ci",
    28: "gbk COLLATE gbk_chinese_ci",
    33: "utf8 COLLATE utf8_general_ci",
    45: "utf8mb4 COLLATE utf8mb4_general_ci",
    46: "utf8mb4 COLLATE utf8mb4_bin",
    47: "latin1 COLLATE latin1_bin",
    63: "binary COLLATE binary",
    83: "utf8 COLLATE utf8_bin",
    192: "utf8 COLLATE utf8_unicode_ci",
    224: "utf8mb4 COLLATE utf8mb4_unicode_ci",
    255: "utf8mb4 COLLATE utf8mb4_0900_ai_ci",
}
