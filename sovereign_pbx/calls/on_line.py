"""What a talk is to its call, whoever its model is: a conversation on a line, to be held, ordered and ended."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from sovereign_pbx.assistants.recording import is_recorded, pauses_for_keys
from sovereign_pbx.calls.media_quality import MediaQuality
from sovereign_pbx.calls.recording import CallRecording
from sovereign_pbx.calls.session import Services
from sovereign_pbx.core.errors import Refused
from sovereign_pbx.core.events import Answered, HoldChanged, HungUp, Instructed
from sovereign_pbx.core.values import EndReason, Message, TransferOutcome
from sovereign_pbx.media.line import Line, LineListener
from sovereign_pbx.media.link import MediaLink

if TYPE_CHECKING:
    from sovereign_pbx.calls.call import Call


class Fed(LineListener, Protocol):
    """A shell, as far as its talk needs it."""

    line: Line | None

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
        self.quality = MediaQuality(services.tracer, expects=not call.refusal)
        self._conceals = pauses_for_keys(block)
        self._lines_before: Mapping[str, float] = {}  # their statistics

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

    @property
    def away(self) -> bool:
        """The conversation waits while its caller is put through, and can go on with him. Not every kind can."""
        return False

    def not_taken(self, outcome: TransferOutcome, why: str) -> None:
        """Nobody took the caller, and his media will be back in a moment."""
        raise NotImplementedError

    async def listen_again(self) -> None:
        """Have ears again for whoever comes back, if they can be had in good time. Raises nothing but cancellation."""

    def step_aside(self) -> None:
        """The caller is put through: let go of his line, and keep the rest."""
        self.close()

    def relink(self, link: MediaLink) -> None:
        """He is back on `link`: frames flow from the next tick on, beginning with what waits to be said to him."""
        old = self.line
        self._lines_before = added(self._lines_before, old.statistics())
        self.line = Line(link, self.shell, recorder=old.recorder, playout=old.playout)
        self.line.held = old.held
        self.shell.line = self.line
        self._services.clock.add(self.line)

    def line_statistics(self) -> dict[str, float]:
        """Of all lines that the call has had."""
        return added(self._lines_before, self.line.statistics())

    def close(self) -> None:
        """Let go of the line: the PBX goes on with its dialplan."""
        self._services.clock.remove(self.line)
        self.line.close()
        self.quality.line_over(self.line)

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
        self._call.books.measured(self.quality.shown)
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


def added(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """The statistics of two lines, one after the other; they share what is played out."""
    shared = {name for name in now if name.startswith("playout_")}
    return {name: value + (0 if name in shared else before.get(name, 0)) for name, value in now.items()}
