"""What routers are asked for: differentiated services (RFC 2474, 2597, 3246, 8622), congestion (RFC 3168)."""

from __future__ import annotations

from typing import Final

__all__ = ["DSCP", "ECN", "traffic_class"]

DSCP: Final = (
    {0: "Default", 1: "Lower Effort", 44: "Voice Admit", 46: "Expedited Forwarding"}
    | {code << 3: f"Class Selector {code}" for code in range(1, 8)}
    | {kind << 3 | drop << 1: f"Assured Forwarding {kind}{drop}" for kind in range(1, 5) for drop in range(1, 4)}
)
_DSCP_SHORT: Final = (
    {1: "LE", 44: "VOICE-ADMIT", 46: "EF PHB"}
    | {code << 3: f"CS{code}" for code in range(8)}
    | {kind << 3 | drop << 1: f"AF{kind}{drop}" for kind in range(1, 5) for drop in range(1, 4)}
)
ECN: Final = {
    0: "Not ECN-Capable Transport",
    1: "ECN-Capable Transport codepoint '01'",
    2: "ECN-Capable Transport codepoint '10'",
    3: "Congestion Experienced",
}
_ECN_SHORT: Final = ("Not-ECT", "ECT(1)", "ECT(0)", "CE")


def traffic_class(octet: int) -> str:
    """The octet and what its two parts are called: `0xb8 (DSCP: EF PHB, ECN: Not-ECT)`."""
    return f"0x{octet:02x} (DSCP: {_DSCP_SHORT.get(octet >> 2, 'Unknown')}, ECN: {_ECN_SHORT[octet & 3]})"
