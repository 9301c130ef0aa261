"""What rides on TCP and UDP, by ports and first bytes."""

from __future__ import annotations
