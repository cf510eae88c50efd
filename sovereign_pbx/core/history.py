"""The history of a conversation, and the part of it that may still change.

An entry is pending until it cannot change any more; pending entries leave in order, each exactly once. What keeps
an entry pending: a user's words while the caller may still go on before anything was answered, an assistant's
words until they were played or cut, a tool's answer until it is there.
"""

from dataclasses import dataclass, field, replace

from sovereign_pbx.core.ledger import Segment
from sovereign_pbx.core.values import Message, Role, ToolCall


@dataclass(slots=True, eq=False)
class Entry:
    """One message in the making."""

    role: Role
    text: str = ""
    segments: list[Segment] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    call_id: str | None = None
    pending: bool = True
    streaming: bool = False  # the model may still add to it
    cut: bool = False

    @property
    def content(self) -> str:
        """The text; for an assistant what was heard, taking open segments for heard."""
        if self.role != "assistant":
            return self.text
        return " ".join(filter(None, (segment.heard for segment in self.segments)))

    @property
    def empty(self) -> bool:
        return self.role == "assistant" and not self.calls and not self.content

    @property
    def told(self) -> bool:
        """Whether the model is told."""
        filler = bool(self.segments) and all(segment.kind == "filler" for segment in self.segments)
        return not self.empty and not filler

    def message(self) -> Message:
        return Message(self.role, self.content, tuple(self.calls), self.call_id, interrupted=self.cut)


class History:
    """Remembered messages, then pending entries."""

    __slots__ = ("_pending", "_told", "remembered")

    def __init__(self) -> None:
        self.remembered: list[Message] = []
        self._told: list[Message] = []  # those of the remembered ones that the model is told
        self._pending: list[Entry] = []

    def messages(self, words: str = "") -> list[Message]:
        """The history as the model is to see it: nobody speaks twice in a row, and there are no fillers. With `words`
        as it would be if the caller had said them.

        A filler is not the model's; told about it, models take up the habit, and one that a tool's result is
        followed by would read as the answer begun.
        """
        told: list[Message] = []
        said = (Message("user", words),) if words else ()
        for message in (*self._told, *(entry.message() for entry in self._pending if entry.told), *said):
            last = next((place for place in range(len(told) - 1, -1, -1) if told[place].role != "system"), None)
            adjacent = last == len(told) - 1
            if last is not None and _joins(told[last], message) and (adjacent or not message.tool_calls):
                joined = f"{told[last].content} {message.content}".strip()
                told[last] = Message(message.role, joined, message.tool_calls, interrupted=message.interrupted)
            else:
                told.append(message)
        return told

    # adding

    def add_user(self, text: str) -> None:
        """The caller's turn; it joins the one before when that was never answered."""
        last = next((entry for entry in reversed(self._pending) if entry.role != "system" and not entry.empty), None)
        if last is not None and last.role == "user":
            last.text = f"{last.text} {text}"
        else:
            self._pending.append(Entry("user", text))

    def correct_user(self, old: str, new: str) -> bool:
        """Put the recogniser's final words where its unfinished ones were taken, if that can still be done."""
        for entry in reversed(self._pending):
            if entry.role == "user" and entry.text.endswith(old):
                entry.text = entry.text.removesuffix(old) + new
                return True
        return False

    def add_system(self, text: str) -> None:
        self._pending.append(Entry("system", text, pending=False))

    def add_assistant(self, *, streaming: bool = False, before: Entry | None = None) -> Entry:
        """Room for what the assistant says next; `before` a reply that has been asked for and has no words yet."""
        entry = Entry("assistant", streaming=streaming)
        self._pending.insert(self._pending.index(before) if before is not None else len(self._pending), entry)
        return entry

    def onward(self, entry: Entry) -> Entry:
        """Where the next words of a reply belong: behind whatever else was said since its last ones."""
        later = self._pending[self._pending.index(entry) + 1 :]
        if not entry.segments or not any(other.segments for other in later):
            return entry
        fresh = Entry("assistant", streaming=entry.streaming)
        entry.streaming = False
        self._pending.append(fresh)
        return fresh

    def add_tool(self, asker: Entry, call: ToolCall) -> Entry:
        """The place for a tool's answer, right behind the message that asked and its other answers."""
        place = self._pending.index(asker) + 1 + len(asker.calls)
        asker.calls.append(call)
        entry = Entry("tool", call_id=call.id)
        self._pending.insert(place, entry)
        self.fix_users(asker)
        return entry

    def unique(self, call: ToolCall) -> ToolCall:
        """Some models number their calls anew in every reply, or not at all; results must find their way back."""
        asked = [call.id for message in self.remembered for call in message.tool_calls]
        taken = {*asked, *(call.id for entry in self._pending for call in entry.calls)}
        number = len(taken)
        call_id = call.id or f"call-{number}"
        while call_id in taken:
            number += 1
            call_id = f"{call.id or 'call'}-{number}"
        return call if call_id == call.id else replace(call, id=call_id)

    # settling

    def fix_users_before(self, segment: Segment) -> None:
        """This segment was heard out: what it answers will not be taken back."""
        entry = self.entry_of(segment)
        if entry is not None:
            self.fix_users(entry)

    def entry_of(self, segment: Segment) -> Entry | None:
        """The pending message that these words belong to."""
        return next((entry for entry in self._pending if segment in entry.segments), None)

    def mark_cut(self, segment: Segment | None = None) -> None:
        """The pending messages with open speech (or with this segment) were interrupted."""
        for entry in self._pending:
            if segment in entry.segments if segment is not None else any(each.open for each in entry.segments):
                entry.cut = True

    def fix_users(self, before: Entry) -> None:
        """The caller's words before this entry were answered: they are a message of their own from now on."""
        for entry in self._pending:
            if entry is before:
                return
            if entry.role == "user":
                entry.pending = False

    def fix_all(self) -> None:
        """The call is over: nothing will change any more."""
        for entry in self._pending:
            entry.pending = entry.streaming = False

    def settle(self) -> list[Message]:
        """Move what cannot change any more to the remembered messages, and return it."""
        self._close_assistants()
        settled: list[Message] = []
        while self._pending and not self._pending[0].pending:
            entry = self._pending.pop(0)
            if not entry.empty:
                settled.append(entry.message())
                self._told.extend(settled[-1:] if entry.told else ())
        self.remembered.extend(settled)
        return settled

    def _close_assistants(self) -> None:
        for entry in list(self._pending):
            if entry.role != "assistant" or entry.streaming or any(segment.open for segment in entry.segments):
                continue
            entry.pending = False
            if entry.empty:
                self._remove(entry)
            else:
                self.fix_users(entry)

    def _remove(self, entry: Entry) -> None:
        """Nothing of it was heard; the caller's words around it become one message."""
        place = self._pending.index(entry)
        del self._pending[place]
        before = next((other for other in reversed(self._pending[:place]) if other.role != "system"), None)
        after = next((other for other in self._pending[place:] if other.role != "system"), None)
        if before is not None and after is not None and before.role == after.role == "user":
            before.text = f"{before.text} {after.text}"
            self._pending.remove(after)


def _joins(one: Message, other: Message) -> bool:
    return one.role == other.role and one.role in ("assistant", "user") and not one.tool_calls
