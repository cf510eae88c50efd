"""A conversation's working memory, and the few things that every move does with it.

Moves (`moves/`) read and change a `Talk` and append commands to `out`. Who has the floor is not decided here but
in `floor.py`; only the end is, because it is the same from everywhere.
"""

from collections import deque
from typing import Final

from sovereign_pbx.core.alarms import Alarm, Alarms
from sovereign_pbx.core.commands import (
    Adopt,
    CloseTurn,
    Command,
    DropReply,
    Flush,
    HandOver,
    Note,
    Pause,
    Remember,
    Resume,
    Speak,
    Think,
)
from sovereign_pbx.core.digits import Collecting, Digits
from sovereign_pbx.core.ear import Ear
from sovereign_pbx.core.endpointing import Verdict
from sovereign_pbx.core.exchange import Parting, Reply, Transfers, Turn
from sovereign_pbx.core.expectation import ANYTHING
from sovereign_pbx.core.habit import Habit
from sovereign_pbx.core.heard import estimate_ms
from sovereign_pbx.core.history import Entry, History
from sovereign_pbx.core.ledger import Ledger, Segment
from sovereign_pbx.core.plan import Plan
from sovereign_pbx.core.silence import Silence
from sovereign_pbx.core.speakable import untagged
from sovereign_pbx.core.speculation import Guess, ReplyEvent
from sovereign_pbx.core.timeline import Timeline
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message, SpeechKind
from sovereign_pbx.core.workflow import TalkNode, Way

LEAVE_SLACK_S: Final = 10.0  # how much longer than estimated last words may take before the line is let go anyway
FILLER_LEAST_S: Final = 0.1  # the alarm lies ahead even where fillers are wanted at once
AFTER_TOOL_S: Final = 1.0  # an answer on its way from a tool is not held up by a filler
# Vendors take a last message of the assistant for the beginning of the answer, or refuse it.
GO_ON: Final = "Answer what the caller said last. What you have said since was no answer to it yet."
UNANSWERED: Final = "The call ended before the tool answered."
NOT_MOVED: Final = "Not done: the caller went on speaking. Do it again if it is still what he wants."


class Talk:
    """Everything one conversation knows. `now` is the time of the event being handled."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.now = 0.0
        self.out: list[Command] = []
        self.state = State.RINGING
        self.beneath = State.RINGING  # what `HELD` lies over
        self.answered_at: float | None = None
        self.held_at: float | None = None
        # the caller
        self.ear = Ear()
        self.deaf = False  # the recogniser failed and nothing has come of it since
        self.verdict: Verdict | None = None  # on the silence that is going on, or was last
        self.question = ""  # what he heard last
        self.expected = ANYTHING  # of him, by that
        self.habit = Habit()
        self.digits = Digits()
        self.collecting: Collecting | None = None  # a tool waits for keys
        self.stray_until = 0.0  # a finish key behind an entry that its length completed means nothing until then
        self.silence = Silence(plan.silence)
        self.unheard = 0  # utterances in a row in which nothing was understood
        # the assistant
        self.history = History()
        self.ledger = Ledger()
        self.reply: Reply | None = None
        self.guess: Guess | None = None  # an answer begun before the turn is decided
        self.guessed_in_vain = 0
        self.worded_at = 0.0  # when the recogniser last told any words
        self.kept_back: deque[ReplyEvent] = deque()  # of the guess that was just adopted: they happen next
        self.tools: dict[str, Entry] = {}  # tools in flight, by call id
        self.owed = False  # the model is to be asked as soon as the floor allows
        self.aside = ""  # said to the model with the next question, and never remembered
        self.sounded_at = 0.0  # when the caller last heard a sound of the assistant end
        self.fillers = 0  # said in this call
        self.waiting: list[str] = []  # `say` that came while the caller had the floor
        self.parting: Parting | None = None
        self.transfers = Transfers()
        self.failures = 0  # provider failures since an answer last came through
        # the beginning
        self.greeted = False
        self.unsearched = plan.voicemail is not None  # whoever answered may be a mailbox
        self.asked_consent = 0
        self.agreed = False  # to being recorded
        self.mailbox_at = 0.0  # when it was recognised
        self.message_left: Segment | None = None  # on the mailbox
        self.introductions: list[Segment] = []  # to a service that screens calls
        self.fetched = False  # somebody has gone to fetch the person, or to ask him
        # the workflow
        self.place = ""  # the id of `node`
        self.node: TalkNode | None = None  # where the model talks
        self.home = ""  # the id of `node`, also while a tool is called elsewhere
        self.way: Way | None = None  # taken as soon as no tool is in flight; no reply streams then
        self.steps = 0  # nodes since the caller last said something
        # the record
        self.turn: Turn | None = None
        self.exchange: Turn | None = None  # the one before
        self.closing: list[Turn] = []
        self.alarms = Alarms()
        self._replies = 0
        self._turns = 1  # turn 0 is the greeting's
        self._opened = False

    # observing

    def note(self, name: str, **values: object) -> None:
        """Put on record what happened. Never with words or digits of the caller among the values."""
        self.out.append(Note(name, dict(values)))

    # alarms

    def alarm(self, alarm: Alarm, after: float, since: float | None = None) -> None:
        self.alarms.set(alarm, (self.now if since is None else since) + after, self.now)

    def cover_wait(self) -> None:
        """Have a filler phrase said if a tool takes too long from now on, or the caller's wait in all is too long."""
        plan, turn = self.plan, self.turn
        since = self.now
        if turn is not None and turn.speech_ended_at is not None:
            since = min(since, max(turn.speech_ended_at, self.sounded_at))
        if turn is not None and turn.filled:
            due = since + plan.filler_every
        else:
            due = self.now + plan.tool_filler_after if self.tools else since + plan.reply_filler_after
        least = FILLER_LEAST_S if turn is None or turn.rounds < 2 or self.tools else AFTER_TOOL_S
        self.alarms.set(Alarm.FILLER, max(due, self.now + least), self.now)

    # turns

    def open_turn(self, started_at: float, *, greeting: bool = False) -> Turn:
        """The exchange that is under way, or a new one; only the first of a call can be its `greeting`."""
        if self.turn is None:
            self.turn = Turn(started_at, greeting=greeting and not self._opened)
            self._opened = True
        return self.turn

    def close_turn(self, *, cut: bool = False) -> None:
        """The exchange is over; its record follows when the last of its sound is accounted for."""
        turn, self.turn = self.turn, None
        if turn is not None and turn.came_through:
            self.failures = 0
        if turn is not None and (turn.said or turn.segments):
            turn.cut = cut
            turn.ended_at = self.now
            self.exchange = turn
            self.closing.append(turn)

    # speaking

    def say(self, text: str, kind: SpeechKind, *, into: Entry | None = None, reply: int | None = None) -> Segment:
        """Queue `text` for the voice, in `into` (a reply's message) or a message of its own."""
        segment = self.ledger.add(untagged(text), kind, reply)  # what is remembered has no audio tags
        entry = into if into is not None else self.history.add_assistant(before=self._unspoken_reply())
        entry.segments.append(segment)
        turn = self.open_turn(self.now)
        turn.segments.append(segment)
        if kind != "filler" and turn.timeline:
            turn.timeline.enter("tts", self.now)
        self.out.append(Speak(segment.number, text, kind, reply))
        return segment

    def _unspoken_reply(self) -> Entry | None:
        reply = self.reply
        return reply.entry if reply and reply.streaming and not reply.entry.segments and not reply.entry.calls else None

    def say_ahead(self, text: str, kind: SpeechKind) -> None:
        """Before what is queued: its voice gives no sound, or not in time, and `text` is in the cache."""
        waiting = self.ledger.queue[0]
        segment = self.ledger.add(text, kind, None, ahead=True)
        self.history.add_assistant(before=self.history.entry_of(waiting)).segments.append(segment)
        turn = self.open_turn(self.now)
        place = turn.segments.index(waiting) if waiting in turn.segments else len(turn.segments)
        turn.segments.insert(place, segment)
        self.out.append(Speak(segment.number, text, kind, ahead=True))

    def pause(self) -> None:
        if not self.ledger.paused:
            self.ledger.pause(self.now)
            self.out.append(Pause())

    def resume(self) -> None:
        if self.ledger.paused and self.held_at is None:
            held = self.ledger.held
            self.ledger.resume(self.now)
            self.out.append(Resume(held.words if held is not None else ()))

    def cut(self) -> None:
        """The assistant yields: what is queued is flushed, the reply is dropped, the caller's exchange is next.

        Where nothing had been heard of it the exchange goes on, so that both parts of what he says are one turn.
        """
        reply, self.reply = self.reply, None
        if reply is not None and reply.way_told is not None:
            reply.way_told.text = NOT_MOVED
        queue = self.ledger.queue
        audible = self.turn is not None and self.turn.audible
        if reply is not None:
            reply.entry.cut |= reply.streaming
            reply.entry.streaming = False
        if queue:
            self.history.mark_cut()
            self.out.append(Flush())
            self.ledger.flush(self.now)
        self.resume()
        if reply is not None:
            self.out.append(DropReply(reply.number))
        self.alarms.clear(Alarm.FILLER)
        if audible:
            self.close_turn(cut=True)

    # thinking

    def think(self) -> None:
        """Ask the model. The history has no open tool calls now, and no other reply streams."""
        self.owed = False
        turn = self.open_turn(self.now)
        turn.rounds += 1
        messages = self._question()
        if not self.aside and messages and messages[-1].role == "assistant":
            self.aside = GO_ON
        if self.aside:
            messages.append(Message("system", self.aside))
            self.aside = ""
        number = self._adopted(messages)
        self.reply = Reply(
            number or self._next_reply(),
            self.history.add_assistant(streaming=True),
            last_round=turn.rounds > self.plan.max_tool_rounds,
        )
        if turn.timeline:
            turn.timeline.enter("llm", self.now)
        if not number:
            self.out.append(Think(self.reply.number, tuple(messages)))
        self.cover_wait()

    def _question(self, words: str = "") -> list[Message]:
        return [*self.plan.messages, *self.history.messages(words)]

    def _next_reply(self) -> int:
        self._replies += 1
        return self._replies

    # thinking ahead

    def begin_guess(self) -> None:
        """Ask the model as if the caller's words so far were his turn."""
        turn, words = self.open_turn(self.now), self.ear.text
        turn.guesses, turn.guessed = turn.guesses + 1, words
        self.guess = Guess(self._next_reply(), words, self.place, tuple(self._question(words)))
        self.out.append(Think(self.guess.number, self.guess.messages, speculative=True))

    def _adopted(self, messages: list[Message]) -> int:
        """The number of the guess if it answers `messages`; else 0, and there is no guess any more."""
        guess = self.guess
        if guess is None or not guess.fits(self.place, messages):
            self.drop_guess()
            return 0
        self.guess = None
        self.kept_back.extend(guess.held)
        self.out.append(Adopt(guess.number))
        self.note("guess_adopted", characters=guess.characters, complete=guess.over)
        return guess.number

    def drop_guess(self) -> None:
        """Nobody needs it: nothing of it has happened, so nothing has to be taken back but its cost."""
        guess, self.guess = self.guess, None
        if guess is None:
            return
        self.guessed_in_vain += 1
        self.out.append(DropReply(guess.number))
        self.note("guess_dropped", characters=guess.characters, complete=guess.over)
        if self.turn is not None:
            self.turn.add_usage(guess.waste())

    def say_waiting(self) -> None:
        waiting, self.waiting = self.waiting, []
        for text in waiting:
            self.say(text, "say")

    @property
    def streaming(self) -> bool:
        """The model is still at it."""
        return self.reply is not None and self.reply.streaming

    # the end

    def leave(self, parting: Parting) -> State:
        """Let what is queued be heard, then part. On hold nobody would hear it. No reply streams any more."""
        self.reply = None
        self.owed = False
        self.resume()
        self.alarms.keep((Alarm.LIMIT,))
        queue = self.ledger.queue
        if not queue or self.held_at is not None:
            return self.part(parting)
        self.parting = parting
        self.alarm(Alarm.LEAVE, sum(estimate_ms(segment.text) for segment in queue) / 500 + LEAVE_SLACK_S)
        return State.LEAVING

    def part(self, parting: Parting | None) -> State:
        """The last words have been heard, or never will be: who is put through may come back, all others are gone."""
        if not isinstance(parting, HandOver) or not parting.destination:
            return self.end(parting)
        self.drop_guess()
        if self.ledger.queue:
            self.cut()  # what nobody heard in time
        self.close_turn()
        for call_id in [each for each in self.tools if self._collects(each)]:
            entry = self.tools.pop(call_id)
            entry.text, entry.pending = self._keys_of_the_gone(), False
        self.alarms.keep((Alarm.LIMIT,))
        self.silence.reset()
        self.owed, self.aside, self.parting, self.way = False, "", None, None
        self.transfers.attempts += 1
        self.transfers.bound_for = parting.destination
        self.tidy()
        self.out.append(parting)
        return State.AWAY

    def end(self, parting: Parting | None) -> State:
        """Over, now. Whatever was open is closed by what is known."""
        self.drop_guess()
        for segment in list(self.ledger):
            position = segment.flushing_at_ms
            self.ledger.cut(segment, self.ledger.position_ms(segment, self.now) if position is None else position)
            self.history.mark_cut(segment)
        for call_id, entry in self.tools.items():
            entry.text = self._keys_of_the_gone() if self._collects(call_id) else UNANSWERED
        self.tools.clear()
        self.take_last_words()
        self.close_turn(cut=any(not segment.whole for segment in self.turn.segments) if self.turn else False)
        self.history.fix_all()
        self.alarms.keep(())
        self.tidy()
        if parting is not None:
            self.out.append(parting)
        return State.ENDED

    def _collects(self, call_id: str) -> bool:
        return self.collecting is not None and self.collecting.call_id == call_id

    def _keys_of_the_gone(self) -> str:
        collecting, self.collecting = self.collecting, None
        assert collecting is not None
        entry = self.digits.take()
        self.note("digits_collected", collector=collecting.collector.name, outcome="hung_up", count=len(entry))
        return self.digits.result(collecting.collector, "hung_up", entry)

    def take_last_words(self) -> None:
        """What the caller was saying belongs to the record even though nobody will answer it."""
        text = self.ear.take(self.now)
        if text:
            self.history.add_user(text)
            self.open_turn(self.now).said.append(text)

    def tidy(self) -> None:
        """Hand over what has become final: messages first, then the turns they belong to."""
        self.out.extend(Remember(message) for message in self.history.settle())
        while self.closing and self.closing[0].settled:
            turn = self.closing.pop(0)
            number = 0 if turn.greeting else self._turns
            self._turns += not turn.greeting
            self.out.append(CloseTurn(turn.record(number, self.answered_at or 0.0, turn.ended_at or self.now)))

    # hearing

    def restart_timeline(self, speech_ended_at: float) -> None:
        """The caller's last speech sample is where waiting begins."""
        turn = self.open_turn(speech_ended_at)
        turn.speech_ended_at = speech_ended_at
        turn.timeline = Timeline(speech_ended_at)
