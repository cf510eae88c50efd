"""A call in virtual time: a caller, a recogniser, a turn model, a language model, a voice, tools and a link.

Everything takes the time it is told to take; nothing takes real time. The stage is strict: it refuses commands
that a real shell could not carry out (two open replies, speech after the end, a tool used twice).
"""

import heapq
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.conversation import Conversation
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.heard import going_on_ms
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall, TransferOutcome, Word

Part = str | ToolCall | ProviderError
Model = Callable[[c.Think], Sequence[Part]]
WORD_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Delays:
    """Seconds. The defaults are the scripted providers of the project's bench."""

    vad_onset: float = 0.08
    vad_hangover: float = 0.2
    interim: float = 0.25
    final: float | None = 0.25
    score: float = 0.06
    first_token: float = 0.3
    token: float = 0.01
    first_audio: float = 0.15
    synthesis: float = 0.05
    tool: float = 0.5


@dataclass
class Line:
    """What the link does: plays the queue in real time, and reports."""

    queue: list[int] = field(default_factory=list)
    length: dict[int, float] = field(default_factory=dict)
    ready: set[int] = field(default_factory=set)
    playing: int | None = None
    played: float = 0.0
    since: float = 0.0
    paused: bool = False
    version: int = 0


class Stage:
    """Runs a conversation. `log` is every command with its time; `at` and `says` write the script."""

    def __init__(
        self, plan: Plan, model: Model | None = None, *, delays: Delays | None = None, timed_words: bool = True
    ) -> None:
        self.plan = plan
        self.conversation = Conversation(plan)
        self.model = model or (lambda think: ["All right."])
        self.delays = delays or Delays()
        self.timed_words = timed_words
        self.now = 0.0
        self.log: list[tuple[float, c.Command]] = []
        self.events: list[tuple[float, e.Event]] = []
        self.states: list[tuple[float, State]] = []
        self.scores: dict[float, float] = {}  # by the end of speech; 0.95 for all others
        self.tool_results: dict[str, str | None] = {}  # by name; None: never answers
        self.line = Line()
        self.over = False
        self.outcomes: list[tuple[float, TransferOutcome]] = []  # of transfers: after how long, and how
        self.streaming: int | None = None
        self.guess: int | None = None
        self.complete: set[int] = set()
        self.prepared: dict[tuple[int, str], float] = {}  # when it can be heard
        self.dropped: set[int] = set()
        self.used: set[str] = set()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # the script

    def at(self, time: float, *events: e.Event) -> None:
        for event in events:
            self._plan(time, lambda event=event: self.feed(event))  # type: ignore[misc]  # the default binds the event

    def says(
        self,
        time: float,
        text: str,
        *,
        score: float = 0.95,
        vad: bool = True,
        interims: bool = True,
        words: bool = True,
    ) -> float:
        """The caller says `text` from `time` on; "[0.7]" in it is a pause. Returns when he falls silent."""
        for piece in re.split(r"(\[[\d.]+\])", text):
            if piece.startswith("["):
                time += float(piece[1:-1])
            elif piece.strip():
                time = self._speech(time, piece.split(), score, vad, interims, words)
        return time

    def noise(self, time: float, length: float, *, reported: bool = True) -> float:
        """A sound without words; `reported`: the recogniser says that there were none."""
        end = round(time + length, 6)
        self._vad(time, end)
        if reported and self.delays.final is not None:
            self.at(end + self.delays.final, e.NothingHeard())
        return end

    def _speech(self, time: float, words: Sequence[str], score: float, vad: bool, interims: bool, heard: bool) -> float:
        end = round(time + WORD_S * len(words), 6)
        self.scores[end] = score
        if vad:
            self._vad(time, end)
        for count in range(1, len(words) + 1):
            if interims and heard:
                interim = min(self.delays.interim, self.delays.final or 1) - 0.01
                self.at(time + WORD_S * count + interim, e.Interim(" ".join(words[:count])))
        if self.delays.final is not None and heard:
            self.at(end + self.delays.final, e.Final(" ".join(words)))
        return end

    def _vad(self, start: float, end: float) -> None:
        self.at(start + self.delays.vad_onset, e.SpeechStarted(start))
        self.at(end + self.delays.vad_hangover, e.SpeechStopped(end))

    # running

    def run(self, until: float) -> "Stage":
        while True:
            deadline = self.conversation.deadline
            next_at = self._heap[0][0] if self._heap else None
            if deadline is not None and (next_at is None or deadline < next_at):
                if deadline > until:
                    break
                self.now = max(self.now, deadline)
                self.feed(e.Tick())
            elif next_at is not None and next_at <= until:
                self.now, _, act = heapq.heappop(self._heap)
                act()
            else:
                break
        self.now = max(self.now, until)
        return self

    def feed(self, event: e.Event) -> None:
        self.events.append((self.now, event))
        for command in self.conversation.feed(event, self.now):
            self.log.append((round(self.now, 6), command))
            assert not self.over, f"{command} after the end"
            assert not (self.conversation.away and isinstance(command, c.Speak | c.Think)), f"{command} to nobody"
            self._perform(command)
        self.states.append((self.now, self.conversation.state))

    def _plan(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (round(max(time, self.now), 6), next(self._order), act))

    def _perform(self, command: c.Command) -> None:
        match command:
            case c.Speak():
                self._synthesise(command)
            case c.Flush():
                self._flush()
            case c.Pause():
                self._pause()
            case c.Resume():
                assert self.line.paused
                self._resume(command.words)
            case c.Think():
                self._think(command)
            case c.Adopt():
                assert self.guess == command.reply
                self.guess = None
                self.streaming = None if command.reply in self.complete else command.reply
            case c.Prepare():
                assert self.guess == command.reply
                self.prepared[command.reply, command.text] = self.now + self.delays.first_audio
            case c.DropReply():
                self.dropped.add(command.reply)
                self.streaming = None if self.streaming == command.reply else self.streaming
                self.guess = None if self.guess == command.reply else self.guess
            case c.ScoreTurn():
                score = self.scores.get(command.speech_ended_at, 0.95)
                self.at(self.now + self.delays.score, e.TurnScored(score, command.speech_ended_at))
            case c.UseTool():
                self._use(command.call)
            case c.HangUp():
                self.over = True
            case c.HandOver():
                self._hand_over(command)
            case _:
                pass

    def _hand_over(self, command: c.HandOver) -> None:
        self.over = not command.destination
        if not command.destination:
            return
        assert not self.line.queue, "put through before everything was heard"
        if self.outcomes:
            after, outcome = self.outcomes.pop(0)
            self.at(self.now + after, e.TransferEnded(outcome))

    # the model and its tools

    def _think(self, think: c.Think) -> None:
        assert self.streaming is None, "two open replies"
        assert_sane(think)
        if think.speculative:
            assert self.guess is None, "two guesses"
            self.guess = think.reply
        else:
            self.streaming = think.reply
        time = self.now + self.delays.first_token
        for part in self.model(think):
            if isinstance(part, str):
                for token in re.findall(r"\S+\s*|\s+", part):
                    self._reply(time, think.reply, e.ReplyText(think.reply, token))
                    time += self.delays.token
            elif isinstance(part, ToolCall):
                self._reply(time, think.reply, e.ReplyTool(think.reply, part))
            else:
                self._reply(time, think.reply, e.ReplyFailed(think.reply, part))
                return
        self._reply(time, think.reply, e.ReplyDone(think.reply, {"output_tokens": 10}))

    def _reply(self, time: float, number: int, event: e.Event) -> None:
        def act() -> None:
            if number in self.dropped or self.over:
                return
            if isinstance(event, e.ReplyDone | e.ReplyFailed):
                self.complete.add(number)
                self.streaming = None if self.streaming == number else self.streaming
            self.feed(event)

        self._plan(time, act)

    def _use(self, call: ToolCall) -> None:
        assert call.id not in self.used, "a tool used twice"
        self.used.add(call.id)
        result = self.tool_results.get(call.name, "done")
        if result is not None:
            self.at(self.now + self.delays.tool, e.ToolFinished(call.id, result))

    # the voice and the link

    def _synthesise(self, speak: c.Speak) -> None:
        words, line = speak.text.split(), self.line
        begun = 1 if speak.ahead and line.playing is not None else 0
        line.queue.insert(begun if speak.ahead else len(line.queue), speak.segment)
        line.length[speak.segment] = WORD_S * len(words)
        timed = tuple(Word(word, WORD_S * i, WORD_S * (i + 1)) for i, word in enumerate(words))

        def done() -> None:
            if speak.segment in line.queue:
                total = line.length[speak.segment] * 1000
                self.feed(e.SpeechAudio(speak.segment, total, timed if self.timed_words else ()))
                self.feed(e.SpeechDone(speak.segment))
                line.ready.add(speak.segment)
                self._play()

        cached = speak.kind in ("greeting", "filler", "apology", "goodbye")
        ready = self.prepared.pop((speak.reply or 0, speak.text), self.now + self.delays.first_audio)
        self._plan(self.now if cached else ready, done)

    def _play(self) -> None:
        line = self.line
        if line.paused or line.playing is not None or not line.queue or line.queue[0] not in line.ready:
            return
        line.playing, line.played = line.queue[0], 0.0
        self._schedule_end(line.playing)
        self.feed(e.PlayoutStarted(line.playing))

    def _schedule_end(self, segment: int) -> None:
        line = self.line
        line.version += 1
        line.since = self.now
        version = line.version

        def finished() -> None:
            if line.version == version and line.playing == segment and not line.paused:
                line.queue.pop(0)
                line.playing = None
                self.feed(e.PlayoutFinished(segment))
                self._play()

        self._plan(self.now + line.length[segment] - line.played, finished)

    def _resume(self, words: Sequence[Word]) -> None:
        self.line.paused = False
        self.line.played = going_on_ms(words, self.line.played * 1000) / 1000
        if self.line.playing is not None:
            self._plan(self.now, self._going_on(self.line.playing, self.line.played * 1000))
        if self.line.playing is not None:
            self._schedule_end(self.line.playing)
        self._play()

    def _going_on(self, segment: int, played_ms: float) -> Callable[[], None]:
        def tell() -> None:
            if self.line.playing == segment and not self.line.paused:
                self.feed(e.PlayoutStarted(segment, played_ms))

        return tell

    def _pause(self) -> None:
        assert not self.line.paused
        self.line.paused = True
        self._hold_position()

    def _hold_position(self) -> None:
        line = self.line
        line.version += 1
        if line.playing is not None:
            line.played += self.now - line.since
            line.since = self.now

    def _flush(self) -> None:
        line = self.line
        if not line.paused:
            self._hold_position()
        playing, flushed = line.playing, list(line.queue)
        line.queue.clear()
        line.playing = None
        for segment in flushed:
            played = line.played * 1000 if segment == playing else 0.0
            self._plan(self.now, lambda s=segment, ms=played: self.feed(e.PlayoutFlushed(s, ms)))  # type: ignore[misc]  # the defaults bind the values

    # what came of it

    def commands(self, kind: type[c.Command]) -> list[tuple[float, c.Command]]:
        return [(time, command) for time, command in self.log if isinstance(command, kind)]

    def notes(self) -> list[str]:
        return [command.name for _, command in self.log if isinstance(command, c.Note)]

    def turns(self) -> list[c.CloseTurn]:
        return [command for _, command in self.log if isinstance(command, c.CloseTurn)]

    def spoken(self) -> list[str]:
        return [command.text for _, command in self.log if isinstance(command, c.Speak)]

    def transcript(self) -> list[str]:
        return [f"{message.role}: {message.content}" for message in self.conversation.history]


def assert_sane(think: c.Think) -> None:
    """What every model may rely on: each tool call is answered right behind it, and nobody speaks twice in a row."""
    open_calls: list[str] = []
    before = ""
    for message in think.messages:
        if message.role == "tool":
            assert message.tool_call_id == open_calls.pop(0)
        else:
            assert not open_calls, f"{open_calls} without a result"
        if message.role == "user":
            assert before != "user", f"two user messages in a row: {think.messages}"
        if message.role != "system":
            before = message.role
        open_calls.extend(call.id for call in message.tool_calls)
    assert not open_calls
