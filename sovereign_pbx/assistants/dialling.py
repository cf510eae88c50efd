"""Where calls may be sent to: the one allow-list of outbound calls, transfers and campaigns. Pure.

A destination is a number as people write it, an extension, or a SIP URI; whatever else it may try to be (a channel
technology, a second destination, a line of another protocol) is no destination and matches no pattern.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sovereign_pbx.assistants.premium import is_premium

# What people write between digits. A slash is what a technology is told by (Local/200), so it is none of these.
_PUNCTUATION: Final = str.maketrans("", "", " -.()\u00a0")
_NUMBER: Final = re.compile(r"(?:\+[1-9]|[0-9])[0-9]{0,31}")  # no country code begins with 0
_EXTENSION: Final = re.compile(r"(?=.*[A-Za-z])[0-9A-Za-z]{1,64}")
# No parameters, no port of another kind of thing, no password: just who, and where.
_URI: Final = re.compile(r"sips?:[0-9A-Za-z+._-]{1,64}@[0-9A-Za-z](?:[0-9A-Za-z.-]{0,98}[0-9A-Za-z])?(?::[0-9]{1,5})?")
_LONGEST: Final = 128

PATTERN: Final = r"(?:sips?:[0-9A-Za-z+._-]*\*?@[0-9A-Za-z.-]{1,100}(?::[0-9]{1,5})?|[+0-9A-Za-z ().-]*\*?)"
"""What `allow` and `deny` may hold: a number or its beginning followed by `*`, or `sip:*@example.org`."""


def normal(destination: str) -> str:
    """The destination in the one form that is compared and dialled: without punctuation, `00` in front as `+`, the
    scheme and host of a SIP URI in lower case. "" for what is no destination.

    An extension 3112 is not the beginning of +31 12.
    """
    if len(destination) > _LONGEST:
        return ""
    text = destination.strip(" \u00a0")
    if _is_uri(text):
        return _normal_uri(text) if _URI.fullmatch(_lower_scheme(text)) else ""
    plain = _plain(text)
    if _NUMBER.fullmatch(plain):
        return plain
    return text if _EXTENSION.fullmatch(text) else ""


def is_uri(destination: str) -> bool:
    """Is a normal destination a SIP URI? It is dialled in another way than a number."""
    return destination.startswith(("sip:", "sips:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRules:
    """What may be dialled.

    allow, deny: patterns. deny_premium: ranges that cost extra are denied (`premium.PREMIUM`), except for a number
    that `allow` names in full. country: digits of the country whose numbers are also dialled with a single 0 in front
    ("31"); with it premium ranges are known in that form.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    deny_premium: bool = True
    country: str = ""

    def permits(self, destination: str) -> bool:
        """May it be dialled?"""
        return not self.refusal(destination)

    def refusal(self, destination: str) -> str:
        """Why it may not be dialled, as a sentence; "" when it may. A refusal wins over a permission."""
        wanted = normal(destination)
        shown = f"{destination[:40]!r}"
        if not wanted:
            return f"{shown} is no destination: a number, an extension, or sip:user@host is"
        if any(_among(self.deny, form) for form in self._forms(wanted)):
            return f"{shown} is denied by [dialling] deny"
        if not _among(self.allow, wanted):
            return f"{shown} is not allowed by [dialling] allow"
        if self.deny_premium and is_premium(wanted, self.country) and not self._names(wanted):
            return f"{shown} costs extra: premium-rate numbers are denied unless [dialling] allow names one in full"
        return ""

    def _forms(self, wanted: str) -> tuple[str, ...]:
        """The number as it is written, and in the country's other form, national or international: one number each."""
        if self.country and wanted.isdigit() and wanted.startswith("0"):
            return wanted, f"+{self.country}{wanted[1:]}"
        if self.country and wanted.startswith(f"+{self.country}"):
            return wanted, f"0{wanted[1 + len(self.country) :]}"
        return (wanted,)

    def _names(self, wanted: str) -> bool:
        return any(not pattern.endswith("*") and normal(pattern) == wanted for pattern in self.allow)


def _among(patterns: Iterable[str], wanted: str) -> bool:
    return any(_fits(pattern, wanted) for pattern in patterns)


def _fits(pattern: str, wanted: str) -> bool:
    if _is_uri(pattern) or is_uri(wanted):
        return _is_uri(pattern) and is_uri(wanted) and _fits_uri(pattern, wanted)
    return wanted.startswith(_beginning(pattern[:-1])) if pattern.endswith("*") else wanted == normal(pattern)


def _fits_uri(pattern: str, wanted: str) -> bool:
    """The scheme and the host as they are written; a `*` stands for the rest of the user."""
    who, _, where = _normal_uri(pattern).partition("@")
    user, _, host = wanted.partition("@")
    return host == where and (user.startswith(who[:-1]) if who.endswith("*") else user == who)


def _beginning(text: str) -> str:
    """The beginning of a number, in the form of `normal`; of nothing but `00` it is any country's."""
    return "+" if text.translate(_PUNCTUATION) == "00" else _plain(text, shortest=2)


def _plain(text: str, shortest: int = 4) -> str:
    """Digits as they are dialled; `00` is `+` before more than `shortest` characters in all. +31 (0)20 is +31 20."""
    international = text.lstrip().startswith(("+", "00"))
    plain = (text.replace("(0)", "") if international else text).translate(_PUNCTUATION)
    return "+" + plain[2:] if plain.startswith("00") and len(plain) > shortest else plain


def _is_uri(text: str) -> bool:
    return is_uri(text[:5].lower())


def _lower_scheme(text: str) -> str:
    scheme, _, rest = text.partition(":")
    return f"{scheme.lower()}:{rest}"


def _normal_uri(text: str) -> str:
    user, _, host = _lower_scheme(text).partition("@")
    return f"{user}@{host.lower()}"
