"""What a talk is to its call, whoever its model is: a conversation on a line, to be held, ordered and ended."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sovereign_pbx.assistants.recording import is_recorded, pauses_for_keys
from sovereign_pbx.calls.recording import CallRecording
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Answered, HoldChanged, HungUp, Instructed
from sovereign_pbx.core.values import EndReason, Message
from sovereign_pbx.media.line import Line

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call


class Fed(Protocol):
    """A shell, as far as its talk needs it."""

    def feed(self, event: Answered | HungUp | HoldChanged | Instructed) -> None: ...

    def stop(self) -> None: ...


class Remembering(Protocol):
    """A conversation, as far as its talk needs it."""

    @property
    def history(self) -> Sequence[Message]: ...


class OnLine:
    """One conversation on one link. Whoever is it makes `conversation`, `shell` and `line`."""

    conversation: Remembering
    shell: Fed
    line: Line

    def __init__(self, call: "Call", services: Services, *, asks_consent: bool) -> None:
        self._call = call
        self._services = services
        block = call.assistant.recording if call.assistant is not None else {}
        self.recording = CallRecording(
            call.id,
            services.recordings if is_recorded(block) and not call.refusal else None,
            keys=services.recording_keys,
            asks=asks_consent,
            note=call.books.record.event,
        )
        self._conceals = pauses_for_keys(block)

    @property
    def history(self) -> Sequence[Message]:
        """What was said and heard, the system's instructions left out."""
        return [message for message in self.conversation.history if message.role != "system"]

    def hung_up(self, cause: int | None) -> None:
        """The caller's channel is gone."""
        self._call.books.record.event("channel.gone", {"cause": cause})
        self.shell.feed(HungUp("user_hangup", cause))

    def hold(self, held: bool) -> None:
        """The far end put the call on hold, or took it back."""
        self.line.held = held
        self.shell.feed(HoldChanged(held))

    def close(self) -> None:
        """Let go of the line: the PBX goes on with its dialplan."""
        self._services.clock.remove(self.line)
        self.line.close()

    def _obey(self, order: Instructed, *, ending: bool) -> None:
        """Carry an order out. Raises Refused `call_not_active` when the last words are being said (`ending`)."""
        bare_end = order.kind == "end" and not order.text.strip()
        if ending and not bare_end:
            raise Refused("call_not_active", "the call is ending already")
        values = {"kind": order.kind, "text": order.text, "then": order.then, "destination": order.destination}
        self._call.books.record.event("instructed", {key: value for key, value in values.items() if value})
        self.shell.feed(order)

    async def _end(self, reason: EndReason) -> str | None:
        """End conversation, line and recording; the path of the recording."""
        self.shell.feed(HungUp(reason))
        self.shell.stop()
        self.close()
        path, details = await self.recording.close()
        self._call.books.recorded(details)
        return path

    def pause_recording(self, paused: bool) -> None:
        """An order from outside. Raises Refused `not_recorded`."""
        self.recording.order(paused)

    def _agreed(self) -> None:
        """The caller has agreed to be recorded."""
        self.line.recorder = self.recording.begin(self.line.link.rate)

    def _conceal(self, on: bool) -> None:
        """The caller keys in what nobody may know."""
        if self._conceals:
            self.recording.conceal(on)
