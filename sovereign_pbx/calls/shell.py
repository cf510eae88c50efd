"""The shell round a conversation: events in, commands performed, one at a time and in order.

`Conversation.feed` decides without awaiting; everything slow is a task of the call, and its outcome comes
back as an event.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sovereign_pbx.calls.hearing import Hearing
from sovereign_pbx.calls.minutes import Minutes
from sovereign_pbx.calls.pump import Pump
from sovereign_pbx.calls.record import CallRecord
from sovereign_pbx.calls.speaking import Spawn, Speaking
from sovereign_pbx.calls.thinking import Thinking
from sovereign_pbx.calls.tools import Tools
from sovereign_pbx.calls.trace import Tracer
from sovereign_pbx.core import commands as c
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.errors import LinkEnded
from sovereign_pbx.core.events import (
    DigitPressed,
    Event,
    PlayoutFinished,
    PlayoutStarted,
    SpeechStarted,
    SpeechStopped,
    ToneHeard,
    TurnScored,
)
from sovereign_pbx.media.beep import BeepDetector
from sovereign_pbx.media.levels import samples_of
from sovereign_pbx.media.line import Line
from sovereign_pbx.media.turn import TurnModel

_LONGEST_TURN_S = 8.0  # what the turn model looks at (models.md §2)


class Shell:
    """Performs a conversation's commands; is the line's listener."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        record: CallRecord,
        tracer: Tracer,
        spawn: Spawn,
        turn_model: TurnModel | None,
        send_digits: Callable[[str, str], None],
        leave: Callable[[c.HangUp | c.HandOver], None],
        enter: Callable[[str], None],
        agreed: Callable[[], None],
        conceal: Callable[[bool], None],
        lost: Callable[[LinkEnded], None],
    ) -> None:
        self.conversation = conversation
        self.line: Line | None = None
        self.speaking: Speaking | None = None
        self.hearing: Hearing | None = None
        self.thinking: Thinking | None = None
        self.tools: Tools | None = None
        self._record = record
        self._tracer = tracer
        self._spawn = spawn
        self._turn_model = turn_model
        self._send_digits = send_digits
        self._leave = leave
        self._agreed = agreed
        self._listening = conversation.plan.consent is None  # nobody is listened to before he has agreed
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._scoring: asyncio.Task[None] | None = None
        self._tones: BeepDetector | None = None  # while somebody waits for a beep
        minutes = Minutes(record, tracer)
        perform: dict[type, Callable[[Any], None]] = {
            c.Speak: self._speak,
            c.Flush: self._flush,
            c.Pause: self._pause,
            c.Resume: self._resume,
            c.Think: self._think,
            c.Adopt: self._adopt,
            c.Prepare: self._prepare,
            c.DropReply: self._drop,
            c.ScoreTurn: self._score,
            c.FinalizeHearing: self._finalize,
            c.UseTool: self._use_tool,
            c.Enter: lambda command: enter(command.node),
            c.Record: self._begin_recording,
            c.Conceal: lambda command: conceal(command.on),
            c.Remember: minutes.message,
            c.CloseTurn: minutes.turn,
            c.HangUp: self._leave,
            c.HandOver: self._leave,
            c.SendDigits: lambda command: self._send_digits(command.digits, command.call_id),
            c.WatchTones: self._watch_tones,
            c.Note: minutes.note,
        }
        self._pump: Pump[Event] = Pump(conversation, perform)

    # --- events in

    def feed(self, event: Event) -> None:
        """Hand an event to the conversation and do what it says."""
        self._pump.feed(event)

    def stop(self) -> None:
        """No more ticks."""
        self._pump.stop()

    # --- the line's listener

    def heard(self, frame: bytes) -> None:
        if self.hearing is not None:
            self.hearing.frame(frame if self._listening else bytes(len(frame)))
        if self._tones is not None:
            self._hear_tones(self._tones, frame)

    def _hear_tones(self, tones: BeepDetector, frame: bytes) -> None:
        tone = tones.feed(samples_of(frame))
        if tone is not None:
            self.feed(ToneHeard(tone.kind, self._loop.time() - tone.ago_s))

    def speech_started(self, at: float) -> None:
        self._forget_score()
        if self.hearing is not None and self._listening:
            self.hearing.speech(True)
        self.feed(SpeechStarted(at))

    def speech_stopped(self, at: float) -> None:
        if self.hearing is not None and self._listening:
            self.hearing.speech(False)
        self.feed(SpeechStopped(at))

    def playout_started(self, segment: int) -> None:
        self.feed(PlayoutStarted(segment))

    def playout_finished(self, segment: int) -> None:
        if self.speaking is not None:
            self.speaking.finished(segment)
        self.feed(PlayoutFinished(segment))

    def digit(self, digit: str) -> None:
        self.feed(DigitPressed(digit))

    def line_ended(self, how: LinkEnded) -> None:
        self._record.event("line.ended", {"how": type(how).__name__, "detail": str(how)})
        self._lost(how)

    # --- commands out

    def _speak(self, command: c.Speak) -> None:
        if self.speaking is not None:
            self._record.event("speak", {"segment": command.segment, "kind": command.kind, "text": command.text})
            self.speaking.speak(command)

    def _flush(self, _: c.Flush) -> None:
        if self.speaking is not None:
            self.speaking.flush()

    def _pause(self, _: c.Pause) -> None:
        if self.line is not None:
            self.line.playout.pause()

    def _resume(self, command: c.Resume) -> None:
        if self.line is not None:
            going_on = self.line.playout.resume(command.words)
            if going_on is not None:
                self.feed(PlayoutStarted(*going_on))

    def _think(self, command: c.Think) -> None:
        if not command.speculative:
            self._forget_score()
        if self.thinking is not None:
            self.thinking.think(command)

    def _adopt(self, command: c.Adopt) -> None:
        self._forget_score()
        if self.thinking is not None:
            self.thinking.adopt(command.reply)

    def _prepare(self, command: c.Prepare) -> None:
        if self.speaking is not None:
            self.speaking.prepare(command)

    def _drop(self, command: c.DropReply) -> None:
        if self.thinking is not None:
            self.thinking.drop(command.reply)
        if self.speaking is not None:
            self.speaking.drop(command.reply)

    def _finalize(self, _: c.FinalizeHearing) -> None:
        if self.hearing is not None:
            self.hearing.finalize()

    def _use_tool(self, command: c.UseTool) -> None:
        if self.tools is not None:
            self.tools.use(command.call)

    def _watch_tones(self, command: c.WatchTones) -> None:
        self._tones = BeepDetector(self.line.link.rate) if command.on and self.line is not None else None

    def _begin_recording(self, _: c.Record) -> None:
        self._listening = True
        self._agreed()

    def _score(self, command: c.ScoreTurn) -> None:
        if self._turn_model is not None and self.line is not None:
            self._forget_score()
            score = self._score_turn(self._turn_model, self.line, command.speech_ended_at)
            self._scoring = self._spawn(score, "turn-score")

    def _forget_score(self) -> None:
        """A silence that is over or answered needs no score; one that still waits for the thread costs nothing then."""
        if self._scoring is not None:
            self._scoring.cancel()
            self._scoring = None

    async def _score_turn(self, model: TurnModel, line: Line, at: float) -> None:
        with self._tracer.step("turn.score"):
            probability = await model.score(line.recent(_LONGEST_TURN_S))
        if probability is not None:  # None: the pool was full, the policy goes on without it
            self.feed(TurnScored(probability, at))
