"""What comes from the manager interface, as text that can be asked for by name.

Parsing is panoramisk's (`panoramisk.message`); this gives it types, and keeps its surprises in one place: a header that
comes twice is a list there, and a list of messages is the answer to some actions.
"""

from collections.abc import Iterable
from typing import Any, Self

from panoramisk.message import Message

from sovereign_pbx.wire.ami import decode

_BODY = "content"  # panoramisk keeps a message's body among its headers


class AmiMessage:
    """One message. `entries` are the messages that followed it as its list (CoreShowChannels, Originate)."""

    __slots__ = ("_raw", "entries")

    def __init__(self, raw: Any, entries: Iterable[Any] = ()) -> None:
        self._raw = raw
        self.entries = tuple(AmiMessage(entry) for entry in entries)

    @classmethod
    def parse(cls, block: bytes) -> Self | None:
        """The message in one block; None when it is neither an event nor a response."""
        raw = Message.from_line(decode(block).strip())
        return None if raw is None else cls(raw)

    @property
    def raw(self) -> Any:
        return self._raw

    @property
    def event(self) -> str:
        """The event's name, "" for a response."""
        return self.get("Event")

    @property
    def ok(self) -> bool:
        """Whether a response says Success, Follows or Goodbye; true for events."""
        return bool(self._raw.success)

    def get(self, name: str) -> str:
        """The header's value, the first where it comes several times, "" where it does not come."""
        value = self._raw.get(name, "")
        return str(value[0] if isinstance(value, list) else value)

    def all(self, name: str) -> list[str]:
        """Every value of a header that may come several times."""
        value = self._raw.get(name, [])
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]

    def headers(self) -> dict[str, str]:
        """All headers, in order; of one that comes several times the first."""
        return {name: self.get(name) for name in self._raw if name != _BODY}

    def __repr__(self) -> str:
        kind = self.event or f"Response {self.get('Response')}"
        return f"<AmiMessage {kind}>"  # headers may hold secrets: dialplan variables come this way
