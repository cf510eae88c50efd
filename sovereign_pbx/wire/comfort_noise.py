"""Comfort noise (RFC 3389): a sender that has fallen silent tells how loud the silence is."""

from typing import Final

SILENT_DBOV: Final = -127.0


def level_of(payload: bytes) -> float:
    """The level in dBov, 0 to -127; the spectrum that may follow is not used."""
    return -float(payload[0] & 0x7F) if payload else SILENT_DBOV


def encode(dbov: float) -> bytes:
    return bytes((min(127, max(0, round(-dbov))),))
