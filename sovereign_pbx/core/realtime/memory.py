"""The working memory of a conversation with a realtime model, and the few things that every move does with it."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from sovereign_pbx.core.alarms import Alarm, Alarms
from sovereign_pbx.core.commands import CloseTurn, Flush, HandOver, Note, Pause, Remember, Resume, Speak
from sovereign_pbx.core.digits import Digits
from sovereign_pbx.core.exchange import Parting, Turn
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.history import Entry
from sovereign_pbx.core.ledger import Ledger, Segment
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.realtime.history import LiveHistory
from sovereign_pbx.core.realtime.signals import (
    Command,
    ForgetInput,
    Hear,
    Recite,
    Renew,
    Respond,
    StopResponse,
    Tell,
)
from sovereign_pbx.core.silence import Silence
from sovereign_pbx.core.timeline import Timeline
from sovereign_pbx.core.values import Message, Role, SpeechKind, ToolCall

PROBE_S: Final = 1.0  # a vendor that lives answers at once, if only with a complaint
BEGIN_S: Final = 2.0  # a vendor begins its answer within some 100 ms of the turn's end; then it is dead, not slow
SOUND_S: Final = 5.0  # from there to the first sound: models that reason take seconds
GAP_S: Final = 2.0  # sound that has been heard and does not go on
LAST_WORDS_S: Final = 4.0  # what a vendor may take to begin words that end the call
LEAVE_SLACK_S: Final = 10.0
MOST_ASKED: Final = 8  # orders to speak that wait for the floor; a ninth drops the oldest

REPLAY_S: Final = 10.0  # of the caller's turn that a new session hears again at most
BEFORE_S: Final = 0.3  # what lies before the first sample that a voice detector is sure of

UNANSWERED: Final = "The call ended before the tool answered."


class Phase(Enum):
    """Where the call is."""

    RINGING = auto()
    CONSENT = auto()  # nobody is listened to before he has pressed the key
    TALKING = auto()
    LEAVING = auto()  # last words are being heard
    AWAY = auto()  # the caller is being put through, and may come back
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Answer:
    """One response of the model."""

    id: str
    entry: Entry
    since: float
    items: dict[str, Segment] = field(default_factory=dict)
    calls: list[ToolCall] = field(default_factory=list)
    sounded_at: float | None = None
    done: bool = False


class Live:
    """Everything that one conversation knows. `voice`: there is another voice for exact words."""

    def __init__(self, plan: Plan, *, voice: bool) -> None:
        self.plan = plan
        self.voice = voice
        self.now = 0.0
        self.out: list[Command] = []
        self.phase = Phase.RINGING
        self.answered_at: float | None = None
        self.held_at: float | None = None
        # the caller
        self.caller_speaks = False  # by the vendor's ear
        self.sound_since: float | None = None  # by ours
        self.sound_ended: float | None = None
        self.sound_began = 0.0  # what has ended then
        self.began_at: float | None = None  # his turn; None when it has been written down
        self.wordless_cut = False  # we took the floor from the assistant, and the vendor has heard nobody yet
        self.digits = Digits()
        self.silence = Silence(plan.silence)
        # the model
        self.answer: Answer | None = None
        self.heard_items: dict[str, Segment] = {}  # whose sound is not over yet, by item
        self.asked: deque[Respond | Recite] = deque(maxlen=MOST_ASKED)
        self.expected_since: float | None = None  # a response should begin
        self.expected: Respond | Recite | None = None  # by what order; None: the vendor's own
        self.probed_since: float | None = None  # we heard somebody whom the vendor did not; does it live?
        self.greeting = False  # the next response is the greeting
        self.owed = False  # a turn of the caller has no sound in answer yet
        self.lost = False  # there is no session at the moment
        self.aging = False
        self.strangers: set[str] = set()  # tool calls in flight that the present session knows nothing of
        self.untold: list[Message] = []  # what came to be known while there was no session
        self.failures = 0
        # what was said, and what is done about it
        self.history = LiveHistory()
        self.ledger = Ledger()
        self.tools: dict[str, Entry] = {}
        self.parting: Parting | None = None
        self.transfers = 0  # attempts to put the caller through
        self.bound_for = ""  # where the last of them went
        self.limit_passed = False  # while he was being put through
        self.stranded = False  # the session is lost, and none is on its way
        self.asked_consent = 0
        self.agreed = False  # to being recorded
        self.turn: Turn | None = None
        self.words_of: list[tuple[Turn, Entry]] = []
        self.closing: list[Turn] = []
        self.alarms = Alarms()
        self._turns = 1

    def note(self, name: str, **values: object) -> None:
        """Put on record what happened. Never with words or digits of the caller among the values."""
        self.out.append(Note(name, dict(values)))

    def alarm(self, alarm: Alarm, after: float, since: float | None = None) -> None:
        self.alarms.set(alarm, (self.now if since is None else since) + after, self.now)

    # --- turns

    def open_turn(self, started_at: float, *, greeting: bool = False) -> Turn:
        if self.turn is None:
            self.turn = Turn(started_at, greeting=greeting)
        return self.turn

    def close_turn(self, *, cut: bool = False) -> None:
        turn, self.turn = self.turn, None
        if turn is None:
            return
        if turn.came_through:
            self.failures = 0
        words = any(owner is turn for owner, _ in self.words_of)
        if turn.said or turn.segments or words:
            turn.cut, turn.ended_at = cut, self.now
            self.closing.append(turn)

    def wait_begins(self, ended_at: float) -> None:
        """The caller's last sample is where waiting begins."""
        turn = self.open_turn(ended_at)
        turn.speech_ended_at = ended_at
        turn.timeline = Timeline(ended_at)

    # --- the assistant's side

    @property
    def quiet(self) -> bool:
        """Neither side says or owes anything."""
        busy = self.caller_speaks or self.answer is not None or self.ledger.queue or self.tools or self.asked
        return not busy and self.expected_since is None and not self.lost

    def expect(self, order: Respond | Recite | None = None) -> None:
        """A response should begin: to `order`, or to what the caller said."""
        self.expected_since, self.expected = self.now, order

    def expect_nothing(self) -> None:
        self.expected_since = self.expected = None

    def ask(self, order: Respond | Recite) -> None:
        """Have the model speak, as soon as it is free to."""
        self.asked.append(order)

    def tell(self, role: Role, text: str) -> None:
        """The model is to know; as soon as there is one."""
        message = Message(role, text)
        if self.lost:
            self.untold.append(message)
        else:
            self.out.append(Tell(message))

    def say(self, text: str, kind: SpeechKind) -> None:
        """Exact words: by the other voice where there is one, at once; else by the model, when it is free to."""
        if not text.strip():
            return
        if not self.voice:
            if not self.lost:
                self.ask(Recite(text))
            return
        segment = self.ledger.add(text, kind, None)
        self.history.add_assistant(streaming=False).segments.append(segment)
        self.open_turn(self.now).segments.append(segment)
        self.out.append(Speak(segment.number, text, kind))
        if kind != "filler":
            self.tell("assistant", text)

    def pause(self) -> None:
        if not self.ledger.paused:
            self.ledger.pause(self.now)
            self.out.append(Pause())

    def resume(self) -> None:
        if self.ledger.paused and self.held_at is None:
            self.ledger.resume(self.now)
            self.out.append(Resume())

    def cut(self) -> None:
        """The assistant yields: nothing more of this answer is heard, and the model learns how far it came."""
        answer, self.answer = self.answer, None
        audible = self.turn is not None and self.turn.audible
        if answer is not None:
            answer.entry.cut |= bool(answer.items)
            answer.entry.streaming = False
            if not answer.done:
                self.out.append(StopResponse(answer.id))
        if self.ledger.queue:
            for segment in self.ledger.queue:
                self.history.mark_cut(segment)
            self.out.append(Flush())
            self.ledger.flush(self.now)
        self.resume()
        self.alarms.clear(Alarm.CONFIRM, Alarm.DOUBT, Alarm.FILLER)
        if audible:
            self.close_turn(cut=True)

    # --- the session

    def renew(self, *, planned: bool) -> None:
        """A new session in place of the one there is."""
        self.aging = False
        replay_s = 0.0
        if not planned:
            replay_s = 0.0 if self.began_at is None else min(self.now - self.began_at, REPLAY_S)
            self.lost = True
            self.history.forget_places()
            if self.answer is not None:  # what came of it is still heard; the rest never comes
                for segment in self.answer.items.values():
                    segment.complete = True
                self.answer.entry.streaming = False
                self.answer = None
            self.caller_speaks = False
            if isinstance(self.expected, Recite):
                self.asked.appendleft(self.expected)
            self.expect_nothing()
            self.probed_since = None
            self.strangers |= set(self.tools)
        self.out.append(Renew(self.history.replay(), planned, replay_s))

    # --- the end

    def leave(self, parting: Parting) -> None:
        """Let what is queued or asked for be heard, then part. On hold nobody would hear it."""
        self.parting = self.parting or parting
        self.alarms.keep((Alarm.LIMIT,))
        self.out += [Hear(False), ForgetInput()]
        self.caller_speaks = False
        silent = self.answer is None and not self.ledger.queue and not self.asked and not self.speaking_asked
        if silent or self.held_at is not None:
            self.part()
            return
        self.phase = Phase.LEAVING
        self.patience()

    @property
    def speaking_asked(self) -> bool:
        """The model was told to speak, and has not begun."""
        return self.expected_since is not None

    def patience(self) -> None:
        """How long last words may take from here."""
        queue = self.ledger.queue
        wait = sum(estimate_ms(segment.text) for segment in queue) / 500 + LEAVE_SLACK_S if queue else LAST_WORDS_S
        self.alarm(Alarm.LEAVE, wait)

    def part(self) -> None:
        """The last words have been heard, or never will be: who is put through may come back, all others are gone."""
        parting = self.parting
        if not isinstance(parting, HandOver) or not parting.destination:
            self.end(parting)
            return
        if self.answer is not None or self.ledger.queue:  # nobody heard it in time
            self.cut()
        self.close_turn()
        self.asked.clear()
        self.expect_nothing()
        self.alarms.keep((Alarm.LIMIT,))
        self.silence.reset()
        self.digits.take()
        self.parting = self.sound_since = self.began_at = self.probed_since = None
        self.owed = self.wordless_cut = self.caller_speaks = self.greeting = False
        self.transfers += 1
        self.bound_for = parting.destination
        self.phase = Phase.AWAY
        if self.stranded:
            self.stranded = False
            self.renew(planned=False)
        self.tidy()
        self.out.append(parting)

    def end(self, parting: Parting | None) -> None:
        """Over, now. Whatever was open is closed by what is known."""
        for segment in list(self.ledger):
            position = segment.flushing_at_ms
            self.close(segment, self.ledger.position_ms(segment, self.now) if position is None else position)
            self.history.mark_cut(segment)
        for entry in self.tools.values():
            entry.text = UNANSWERED
        self.tools.clear()
        self.close_turn(cut=any(not each.whole for each in self.turn.segments) if self.turn else False)
        self.history.fix_all()
        self.alarms.keep(())
        self.tidy()
        if parting is not None:
            self.out.append(parting)
        self.phase = Phase.ENDED

    def close(self, segment: Segment, played_ms: float) -> None:
        """The segment ended after `played_ms`. Where its words or its sound were still coming, they share what is the
        longer of both, so that no word counts as heard that may not have been."""
        if not segment.complete:
            segment.ms = max(segment.ms, estimate_ms(segment.text))
            segment.complete = True
        self.ledger.cut(segment, played_ms)

    def tidy(self) -> None:
        """Hand over what has become final: messages first, then the turns they belong to."""
        self.out.extend(Remember(message) for message in self.history.settle(self.now))
        for turn, entry in [each for each in self.words_of if not each[1].pending]:
            self.words_of.remove((turn, entry))
            turn.said += [entry.text] if entry.text else []
        while self.closing and self._is_settled(self.closing[0]):
            turn = self.closing.pop(0)
            if not turn.said and not turn.segments:
                continue
            number = 0 if turn.greeting else self._turns
            self._turns += not turn.greeting
            self.out.append(CloseTurn(turn.record(number, self.answered_at or 0.0, turn.ended_at or self.now)))

    def _is_settled(self, turn: Turn) -> bool:
        return turn.settled and not any(owner is turn for owner, _ in self.words_of)
