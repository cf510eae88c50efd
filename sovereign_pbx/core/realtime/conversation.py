"""A conversation with a realtime model, without a clock, a link or a vendor: events and the time go in, commands out.

The same bargain as `core/conversation.py`: the shell performs the commands in order, feeds what comes of them, and
feeds `Tick` when `deadline` has passed. The model decides what to say and the vendor when the caller's turn is over;
decided here is what is heard, what is remembered, who has the floor when both speak, and what happens when nobody does.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from sovereign_pbx.core import events as e
from sovereign_pbx.core.alarms import Alarm
from sovereign_pbx.core.commands import HangUp
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.realtime import answers, away, ending, line, turns
from sovereign_pbx.core.realtime import signals as s
from sovereign_pbx.core.realtime.memory import BEGIN_S, GAP_S, PROBE_S, SOUND_S, Live, Phase
from sovereign_pbx.core.values import Message

Move = Callable[[Live, Any], None]

_ALWAYS: Final[dict[type, Move]] = {
    e.HungUp: line.hung_up,
    e.HoldChanged: line.held,
    e.ToolFinished: answers.tool_finished,
    e.SpeechAudio: answers.voiced,
    e.SpeechDone: answers.voice_done,
    e.SpeechFailed: answers.voice_failed,
    e.PlayoutStarted: answers.playing,
    e.PlayoutFinished: answers.played,
    e.PlayoutFlushed: answers.flushed,
    s.CallerSaid: turns.caller_said,
    s.ResponseBegun: answers.begun,
    s.Sound: answers.sound,
    s.Spoken: answers.spoken,
    s.SoundEnded: answers.sound_ended,
    s.ToolAsked: answers.tool_asked,
    s.ResponseEnded: answers.ended,
    s.Complained: line.complained,
    s.SessionAging: line.aging,
    s.SessionLost: line.session_lost,
    s.SessionOpened: line.session_opened,
}
_TALKING: Final[dict[type, Move]] = {
    e.DigitPressed: line.digit,
    e.Instructed: line.instructed,
    e.SpeechStarted: turns.sound_started,
    e.SpeechStopped: turns.sound_stopped,
    s.CallerStarted: turns.caller_started,
    s.CallerStopped: turns.caller_stopped,
}
_IN: Final[dict[Phase, dict[type, Move]]] = {
    Phase.RINGING: {e.Answered: line.answered, e.HungUp: line.hung_up},
    Phase.CONSENT: {**_ALWAYS, e.DigitPressed: line.digit, e.Instructed: line.instructed},
    Phase.TALKING: {**_ALWAYS, **_TALKING},
    Phase.LEAVING: {**_ALWAYS, e.Instructed: line.instructed_late},
    Phase.AWAY: {
        **_ALWAYS,
        e.TransferEnded: away.transfer_ended,
        e.Instructed: away.instructed_away,
        s.SessionLost: away.session_lost_away,
    },
    Phase.ENDED: {},
}
_BELLS: Final[dict[Alarm, Move]] = {
    Alarm.CONFIRM: turns.confirm,
    Alarm.DOUBT: turns.doubt,
    Alarm.ENDPOINT: turns.unnoticed,
    Alarm.FINAL: turns.probe,
    Alarm.FILLER: answers.filler,
    Alarm.STALL: ending.silent_model,
    Alarm.SILENCE: ending.silence_prompt,
    Alarm.DIGITS: line.digits_complete,
    Alarm.CONSENT: line.consent_overdue,
    Alarm.LIMIT: ending.limit_reached,
    Alarm.LEAVE: ending.leave_now,
}
_SIGNS_OF_LIFE: Final = (s.CallerStarted, s.CallerStopped, s.CallerSaid, s.Complained, s.ResponseBegun)
_NOT_WORD = re.compile(r"[\W_]+")


class RealtimeConversation:
    """One call's conversation. Not shared between threads; `feed` never blocks and never raises."""

    __slots__ = ("_live",)

    def __init__(self, plan: Plan, *, voice: bool) -> None:
        self._live = Live(plan, voice=voice)

    def feed(self, event: s.Event, now: float) -> list[s.Command]:
        """Take what happened at `now`; return what is to be done."""
        live = self._live
        live.now = max(now, live.now)
        if live.probed_since is not None and isinstance(event, _SIGNS_OF_LIFE):
            live.probed_since = live.began_at = None
        if isinstance(event, e.Tick):
            self._ring(event)
        elif (move := _IN[live.phase].get(type(event))) is not None:
            move(live, event)
        if live.phase is not Phase.ENDED:
            _go_on(live)
            live.tidy()
        commands, live.out = live.out, []
        return commands

    @property
    def deadline(self) -> float | None:
        """When a `Tick` must be fed unless another event changes it."""
        return self._live.alarms.deadline

    @property
    def phase(self) -> Phase:
        return self._live.phase

    @property
    def away(self) -> bool:
        """The caller is being put through, and may come back."""
        return self._live.phase is Phase.AWAY

    @property
    def can_speak(self) -> bool:
        """Whether exact words can be said at the moment, by anybody."""
        return self._live.voice or not self._live.lost

    @property
    def exchange(self) -> float | None:
        """The exchange that is under way, by the time at which it began; None between two of them."""
        return self._live.turn.started_at if self._live.turn is not None else None

    def keyed(self, name: str) -> str:
        """The last complete entry of the masked collector `name`, "" where there is none. For a tool's request only."""
        return self._live.digits.kept(name)

    @property
    def plan(self) -> Plan:
        return self._live.plan

    @property
    def history(self) -> tuple[Message, ...]:
        """What has been said, as far as it can't change any more."""
        return tuple(self._live.history.remembered)

    @property
    def replay(self) -> tuple[Message, ...]:
        """What a new session would be told."""
        return self._live.history.replay()

    def _ring(self, event: e.Tick) -> None:
        live = self._live
        rung: set[Alarm] = set()
        while live.phase is not Phase.ENDED and (alarm := live.alarms.ring(live.now, rung)) is not None:
            rung.add(alarm)
            _BELLS[alarm](live, event)


def _go_on(live: Live) -> None:
    """What follows from how things stand, whatever has just happened."""
    _give_floor(live)
    if live.phase is Phase.LEAVING:
        if live.answer is None and not live.ledger.queue and not live.asked and not live.speaking_asked:
            live.part()
        return
    if live.phase is not Phase.TALKING:
        return
    _watch_model(live)
    if not live.quiet:
        live.alarms.clear(Alarm.SILENCE)
        return
    _rest(live)


def _give_floor(live: Live) -> None:
    """The model speaks when it has nothing else to say, and the caller is silent."""
    busy = live.caller_speaks or live.answer is not None or live.expected_since is not None
    if live.asked and not busy and not live.lost and live.held_at is None:
        order = live.asked.popleft()
        live.out.append(order)
        live.expect(order)
        if live.turn is not None and live.turn.timeline is not None:
            live.turn.timeline.enter("llm", live.now)


def _watch_model(live: Live) -> None:
    """A model that is silent while an answer is owed is noticed, wherever in its answer it stopped."""
    answer = live.answer
    if live.expected_since is not None:
        live.alarms.set(Alarm.STALL, live.expected_since + BEGIN_S, live.now)
    elif answer is not None and answer.sounded_at is None:
        live.alarms.set(Alarm.STALL, answer.since + SOUND_S, live.now)
    elif answer is not None and not live.ledger.paused:
        live.alarms.set(Alarm.STALL, live.now + _left_s(live) + GAP_S, live.now)
    elif live.probed_since is not None:
        live.alarms.set(Alarm.STALL, live.probed_since + PROBE_S, live.now)
    else:
        live.alarms.clear(Alarm.STALL)


def _left_s(live: Live) -> float:
    """Of the sound that there is so far."""
    return sum(segment.ms - live.ledger.position_ms(segment, live.now) for segment in live.ledger.queue) / 1000


def _rest(live: Live) -> None:
    """Nobody says or owes anything: the exchange is over, and the caller's silence counts."""
    live.alarms.clear(Alarm.FILLER)
    turn = live.turn
    live.close_turn()
    if turn is not None and _says_goodbye(live, turn.heard):
        live.end(HangUp("assistant_hangup"))
        return
    if live.aging:
        live.renew(planned=True)
    if turn is not None and turn.segments:
        live.silence.spoken()
    due = live.silence.due(live.now)
    if due is not None and live.sound_since is None and not len(live.digits) and not live.alarms.is_set(Alarm.SILENCE):
        live.alarms.set(Alarm.SILENCE, due, live.now)


def _says_goodbye(live: Live, words: str) -> bool:
    heard = f" {_plain(words)} "
    return any(f" {_plain(phrase)} " in heard for phrase in live.plan.end_call_phrases if _plain(phrase))


def _plain(text: str) -> str:
    return _NOT_WORD.sub(" ", text).strip().casefold()
