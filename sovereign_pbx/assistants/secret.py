"""Secrets that can't be shown by accident."""

from typing import Final

MASK: Final = "***"

_SUSPICIOUS: Final = ("secret", "password", "passwd", "token", "api_key", "apikey", "authorization", "credential")
_HARMLESS: Final = ("tokens",)  # max_completion_tokens, token counts


class Secret(str):
    """Text that works like any other (it can be joined, sent, compared) but whose `repr` shows only a mask.

    Every dump of a dataclass, dict or exception goes through `repr`; what is formatted on purpose is the
    business of `Redactor`.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret('{MASK if self else ''}')"


NO_SECRET: Final = Secret("")


def looks_secret(name: str) -> bool:
    """Does a key that no shape knows probably hold a secret?"""
    plain = name.lower().replace("-", "_")
    for harmless in _HARMLESS:
        plain = plain.replace(harmless, "")
    return any(part in plain for part in _SUSPICIOUS)


class Redactor:
    """Replaces known secret values in text: the last net before a log line is written."""

    LEAST_LENGTH: Final = 6
    """Shorter values would mask ordinary words."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def add(self, value: str) -> None:
        if len(value) >= self.LEAST_LENGTH:
            self._values.add(str(value))

    def absorb(self, other: "Redactor") -> None:
        """Mask what `other` masks, too. Nothing is forgotten: an older secret may still be on its way to the log."""
        self._values |= other._values

    def redact(self, text: str) -> str:
        """`text` with every known secret masked; the longest first, since one may contain another."""
        for value in sorted(self._values, key=len, reverse=True):
            text = text.replace(value, MASK)
        return text

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Redactor of {len(self)} secrets>"
