"""Which number belongs to which assistant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sovereign_pbx.assistants.model import IDENTIFIER, Assistant
from sovereign_pbx.assistants.shape import Flag, Text
from sovereign_pbx.assistants.table import setting

ANY_NUMBER = "*"

_PUNCTUATION = str.maketrans("", "", " -./()\u00a0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that callers dial, and who answers it."""

    number: str = setting(
        "",
        Text(1, 64),
        'Number or extension as callers dial it; "*" stands for every number that has no entry.',
        required=True,
        aliases=("phone_number",),
        example="+31850835037",
    )
    name: str = setting("", Text(0, 200), "Name that people see, and webhooks get.", example="Main line")
    assistant: str = setting(
        "",
        Text(0, 200),
        "Who answers: the name or the id of an assistant; empty: the webhook of [webhook] is asked.",
        aliases=("assistant_id", "agent_id"),
        example="reception",
    )
    id: str = setting("", IDENTIFIER, "Identifier; without it one is derived from the number.", example="main-line")
    is_active: bool = setting(True, Flag(), "Off: its calls go to the dialplan's fallback.")


class Directory:
    """The numbers and assistants of this installation. `assistants` is keyed by the name of their table."""

    def __init__(self, assistants: Mapping[str, Assistant], numbers: Sequence[Number] = ()) -> None:
        self.assistants = MappingProxyType(dict(assistants))
        self.numbers = tuple(numbers)
        self._by_id = {assistant.id: assistant for assistant in assistants.values()}
        self._by_display = {assistant.name: assistant for assistant in assistants.values()}
        self._by_number = {entry.number: entry for entry in reversed(numbers)}
        self._by_digits = {normal(entry.number): entry for entry in reversed(numbers)}

    def assistant(self, name_or_id: str) -> Assistant | None:
        """By the name of its table, its id, or the name people see, in this order."""
        for index in (self.assistants, self._by_id, self._by_display):
            if name_or_id in index:
                return index[name_or_id]
        return None

    def number(self, called: str) -> Number | None:
        """The entry of a dialled number: as it is written, else the same number written otherwise, else `*`."""
        exact = self._by_number.get(called.strip()) if called.strip() != ANY_NUMBER else None
        return exact or self._by_digits.get(normal(called)) or self._by_number.get(ANY_NUMBER)

    def find(self, called: str) -> tuple[Number | None, Assistant | None]:
        """Who answers `called`."""
        entry = self.number(called)
        return entry, self.assistant(entry.assistant) if entry is not None and entry.assistant else None


def normal(number: str) -> str:
    """A telephone number without what people write differently: spaces, dashes, `+` or `00` in front.

    `00` counts only before at least six digits, so that extension 001 stays what it is.
    """
    plain = number.translate(_PUNCTUATION).lower()
    if plain.startswith("+"):
        return plain[1:]
    return plain[2:] if plain.startswith("00") and len(plain) >= 8 else plain
