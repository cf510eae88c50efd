"""The daemon's own turn policy: the whole conversation in virtual time, on real scores of its real models."""

import heapq
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from scripts.bench_conversation.hearing import Scoring, Told
from scripts.bench_conversation.item import Item
from scripts.bench_conversation.recogniser import transcribed
from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.plan import Plan, TurnTaking
from sovereign_pbx.core.turn import State

SCORE_S: Final = 0.06  # from question to answer on a machine of two processors
GREETING_S: Final = 2.0
START_S: Final = 4.0  # when the item begins: the assistant's question has been heard


@dataclass(frozen=True, slots=True)
class Decision:
    """A turn was taken for ended, at this second of the item; `why`: the daemon's own reasons."""

    at: float
    why: dict[str, Any] = field(default_factory=dict, compare=False)


class Call:
    """One item played to one conversation. The model never answers: only ends of turns are looked at."""

    def __init__(self, item: Item, told: Iterable[Told], scores: Scoring, limits: TurnTaking, *, words: bool) -> None:
        plan = Plan(first_message=item.asked, language=item.language, turn_taking=limits, reply_filler_after=60.0)
        self._conversation = Conversation(replace(plan, tool_filler_after=60.0))
        self._item = item
        self._scores = scores
        self._words = words
        self._heap: list[tuple[float, int, e.Event]] = []
        self._order = itertools.count()
        self._now = 0.0
        self.decisions: list[Decision] = []
        for at, event in told:
            self._at(START_S + at, _speech(event.kind, START_S + event.at))
        if words:
            for at, text in transcribed(item):
                self._at(START_S + at, text)

    def run(self) -> list[Decision]:
        """Play it to its end."""
        self._feed(e.Answered())
        end = START_S + self._item.audio.size / 8000
        while (event := self._next(end)) is not None:
            self._feed(event)
        return self.decisions

    def _next(self, end: float) -> e.Event | None:
        deadline = self._conversation.deadline
        due = self._heap[0][0] if self._heap else end
        if deadline is not None and deadline < min(due, end):
            self._now = max(self._now, deadline)
            return e.Tick()
        if not self._heap or due > end:
            return None
        self._now, _, event = heapq.heappop(self._heap)
        return event

    def _at(self, time: float, *events: e.Event) -> None:
        for event in events:
            heapq.heappush(self._heap, (max(time, self._now), next(self._order), event))

    def _feed(self, event: e.Event) -> None:
        for command in self._conversation.feed(event, self._now):
            self._perform(command)
        if not self._words and self._conversation.state is State.TRANSCRIBING:
            # decided without any words: they come now, so that the turn goes on
            self._at(self._now, e.Final("words"))

    def _perform(self, command: c.Command) -> None:
        match command:
            case c.Speak(segment=segment, kind="greeting"):
                self._at(self._now, e.SpeechAudio(segment, GREETING_S * 1000), e.SpeechDone(segment))
                self._at(self._now, e.PlayoutStarted(segment))
                self._at(self._now + GREETING_S, e.PlayoutFinished(segment))
            case c.ScoreTurn(speech_ended_at=ended_at):
                score = self._scores.score(self._item, self._now - START_S)
                self._at(self._now + SCORE_S, e.TurnScored(score, ended_at))
            case c.Note(name="turn_decided", values=why):
                self.decisions.append(Decision(round(self._now - START_S, 3), why))
            case _:
                pass


def _speech(kind: str, at: float) -> e.Event:
    return e.SpeechStarted(at) if kind == "started" else e.SpeechStopped(at)
