"""The history of a conversation with a realtime model: what was heard, in the order in which it was said.

The caller's words come late, when the vendor has written them down; their place is kept. Everything else is settled
as in `core/history.py`, whose entries these are.
"""

from typing import Final

from sovereign_pbx.core.history import Entry
from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.values import Message, ToolCall

WORDS_S: Final = 10.0  # a transcript that has not come by then is not waited for any more


class LiveHistory:
    """Remembered messages, then pending entries."""

    __slots__ = ("_pending", "_places", "remembered")

    def __init__(self) -> None:
        self.remembered: list[Message] = []
        self._pending: list[Entry] = []
        self._places: dict[str, tuple[Entry, float]] = {}  # of turns without their words, by item, and until when

    def keep_place(self, item: str, now: float) -> Entry:
        """The caller has said something; what, comes later."""
        known = self._places.get(item)
        if known is not None:
            return known[0]
        entry = Entry("user")
        self._pending.append(entry)
        self._places[item] = (entry, now + WORDS_S)
        return entry

    def fill(self, item: str, text: str) -> bool:
        """The words of a turn. False: nobody waits for them."""
        entry, _ = self._places.pop(item, (None, 0.0))
        if entry is None or not entry.pending:
            return False
        entry.text, entry.pending = text, False
        return True

    def forget_places(self) -> None:
        """No words will come for the turns that have none."""
        for item in list(self._places):
            self.fill(item, "")

    def add(self, role: str, text: str) -> None:
        """A message that is complete: of the caller's keys, or of whoever steers the call."""
        self._pending.append(Entry("user" if role == "user" else "system", text, pending=False))

    def add_assistant(self, *, streaming: bool) -> Entry:
        entry = Entry("assistant", streaming=streaming)
        self._pending.append(entry)
        return entry

    def add_tool(self, asker: Entry, call: ToolCall) -> Entry:
        """The place of a tool's answer, behind who asked and the answers before it."""
        if asker not in self._pending:  # it was heard to its end and settled before it asked
            asker = self.add_assistant(streaming=False)
        place = self._pending.index(asker) + 1 + len(asker.calls)
        asker.calls.append(call)
        entry = Entry("tool", call_id=call.id)
        self._pending.insert(place, entry)
        return entry

    def mark_cut(self, segment: Segment) -> None:
        for entry in self._pending:
            entry.cut |= segment in entry.segments

    def settle(self, now: float) -> list[Message]:
        """Move what cannot change any more to the remembered messages, and return it."""
        for item, (entry, until) in list(self._places.items()):
            if now >= until:
                self.fill(item, entry.text)
        settled = []
        while self._pending and self._is_final(self._pending[0]):
            entry = self._pending.pop(0)
            if entry.calls or entry.content or entry.role == "tool":
                settled.append(entry.message())
        self.remembered.extend(settled)
        return settled

    def fix_all(self) -> None:
        """The call is over."""
        for entry in self._pending:
            entry.pending = entry.streaming = False

    def replay(self) -> tuple[Message, ...]:
        """All of it as a new session is to know it: complete, with no tool without its answer."""
        told = [*self.remembered, *(entry.message() for entry in self._pending)]
        answered = {message.tool_call_id for message in told if message.role == "tool" and message.content}
        return tuple(_with_answers(message, answered) for message in told if _matters(message))

    def _is_final(self, entry: Entry) -> bool:
        if entry.role == "assistant":
            return not entry.streaming and not any(segment.open for segment in entry.segments)
        return not entry.pending


def _matters(message: Message) -> bool:
    return bool(message.content or message.tool_calls)


def _with_answers(message: Message, answered: set[str | None]) -> Message:
    calls = tuple(call for call in message.tool_calls if call.id in answered)
    return message if calls == message.tool_calls else Message(message.role, message.content, calls)
