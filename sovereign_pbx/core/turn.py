"""The turn machine, as a table.

Rules
-----
1. Everything that decides who has the floor is in this table. A move (the function named by a cell) does the work
   and returns the next state; the cell lists every state it may return, and the tests hold it to that.
2. Every event has a decided outcome in every state. "Nothing to do" is an outcome with a reason, written down.
3. The machine knows no clock and no link. Time comes in with each event, and what is to be done goes out as commands.

Theory of operation
-------------------
There is one floor and two who want it. While the caller has it he is LISTENED to; when he falls silent the turn
is being ended (ENDPOINTING, a delay shaped by the turn model and the transcript), then decided, and if the
recogniser still owes its last words the machine is TRANSCRIBING. From there on the assistant owes something:
THINKING until its first sample is out, SPEAKING while there is sound. When nothing is owed any more it is QUIET.

A caller who speaks while the assistant owes or speaks is taken in two steps, because a cough must not cost an
answer and an answer must not talk over a caller. Step one (OVERLAP): playout is held, nothing is lost. Step two:
his words confirm it, the reply is dropped, and if none of it had been heard what he said before and now is one
turn. Where he falls silent without words (DOUBT), or only showed that he listens (`interjection.py`), the assistant
goes on where it stopped.

Before all that lies, where it is asked for, CONSENT: the caller is neither listened to nor recorded until he presses
the key. Whoever is called may be a mailbox: the first words are searched, and it is heard out (MAILBOX) before the
message is left; a service that screens calls is told who calls, and then a person is waited for (`answering.py`).
A workflow has no states of its own: it changes the standing instructions, what is said first and what is called, each
time the assistant's side is free to act (`walk.py`).

LEAVING plays the last words, after which the line is let go; no speech of the caller changes that. HELD lies over
another state and passes on to it ("beneath") whatever is not the caller's sound. ENDED is the end on every path.

Who is put through to somebody is AWAY: there is no line, so nothing is heard, said or waited for. Where nobody takes
him the conversation goes on from there (`away.py`), and the assistant speaks first; where somebody does, it has ended.

Alarms (`alarms.Alarm`) are columns like events: the machine waits for the clock as it waits for the caller.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from sovereign_pbx.core import events as e
from sovereign_pbx.core.alarms import Alarm


class State(Enum):
    """Who has the floor."""

    RINGING = "not answered yet"
    CONSENT = "the caller is asked to agree to being recorded"
    QUIET = "nobody speaks and nothing is owed"
    LISTENING = "the caller speaks"
    ENDPOINTING = "the caller fell silent; is his turn over?"
    TRANSCRIBING = "the turn is over; its last words are not in yet"
    THINKING = "an answer is owed, none of it is audible"
    SPEAKING = "the assistant is audible"
    OVERLAP = "the caller makes a sound while the assistant owes or speaks"
    DOUBT = "he stopped without words; playout is held"
    MAILBOX = "a mailbox is heard out before it is left a message"
    HELD = "the call is on hold"
    LEAVING = "the last words are on their way"
    AWAY = "the caller is being put through"
    ENDED = "over"


@dataclass(frozen=True, slots=True)
class Cell:
    """What happens: the move's name and the states it may return, or the reason why nothing does."""

    move: str
    to: tuple[State, ...] = ()
    why: str = ""


Column = type[e.Event] | Alarm

S = State
# A move that ends with the assistant's side deciding what is next (`Talk.rest`).
REST: Final = (S.QUIET, S.THINKING, S.SPEAKING, S.ENDPOINTING, S.TRANSCRIBING, S.LEAVING, S.AWAY, S.ENDED)
# A move that lets the caller's turn take its course (`listening.reconsider`).
TURN: Final = (S.ENDPOINTING, S.TRANSCRIBING, S.THINKING, S.QUIET, S.MAILBOX, S.LEAVING, S.AWAY, S.ENDED)
# A failure may be the one too many.
FAIL: Final = (S.THINKING, S.SPEAKING, S.LEAVING, S.ENDED)
EVERY: Final = tuple(State)


def does(move: str, *to: State) -> Cell:
    return Cell(move, to)


def nothing(why: str) -> Cell:
    return Cell("", (), why)


_LATE_REPLY = nothing("its reply was dropped or is finished")
NOT_PENDING = nothing("the alarm is cleared on leaving the state that set it")
_OWN_MATTER = nothing("the turn model was asked about a silence that is over")

# Outcomes that do not depend on the floor. A state's own row goes before these.
ANYWHERE: Final[dict[Column, Cell]] = {
    e.Answered: nothing("already answered"),
    e.HungUp: does("hung_up", S.ENDED),
    e.HoldChanged: does("held", S.HELD),
    e.TransferEnded: nothing("nobody is being put through"),
    e.DigitPressed: does("digit", *EVERY),
    e.ToneHeard: does("tone", *EVERY),
    e.UtteranceEnded: nothing("no turn of the caller is open"),
    e.NothingHeard: nothing("no turn of the caller is open"),
    e.TurnScored: _OWN_MATTER,
    e.HearingFailed: does("hearing_failed", *EVERY),
    e.ReplyText: _LATE_REPLY,
    e.ReplyTool: _LATE_REPLY,
    e.ReplyDone: _LATE_REPLY,
    e.ReplyFailed: _LATE_REPLY,
    e.ToolFinished: does("note_result"),
    e.SpeechAudio: does("note_audio"),
    e.SpeechDone: does("note_synthesised"),
    e.SpeechFailed: does("late_voice_failure"),
    e.PlayoutStarted: does("note_started"),
    e.PlayoutFinished: does("note_finished"),
    e.PlayoutFlushed: does("note_flushed"),
    e.Instructed: does("instructed", *EVERY),
    Alarm.ENDPOINT: NOT_PENDING,
    Alarm.RESCORE: NOT_PENDING,
    Alarm.FINAL: NOT_PENDING,
    Alarm.PAUSE: NOT_PENDING,
    Alarm.CONFIRM: NOT_PENDING,
    Alarm.DOUBT: NOT_PENDING,
    Alarm.STALL: NOT_PENDING,
    Alarm.FILLER: nothing("the caller has the floor, or nothing is owed"),
    Alarm.SILENCE: nothing("it is not silent"),
    Alarm.DIGITS: does("digits_complete", *EVERY),
    Alarm.GREET: nothing("he has spoken; it is set again if nothing comes of that"),
    Alarm.CONSENT: NOT_PENDING,
    Alarm.MAILBOX: NOT_PENDING,
    Alarm.LIMIT: does("limit_reached", S.LEAVING, S.ENDED),
    Alarm.LEAVE: NOT_PENDING,
}

_REPLYING: Final[dict[Column, Cell]] = {
    e.SpeechStarted: does("overlap_begins", S.OVERLAP),
    e.SpeechStopped: does("note_speech_stopped"),
    e.Interim: does("words_over_reply", S.THINKING, S.SPEAKING, *TURN, S.LISTENING),
    e.Final: does("words_over_reply", S.THINKING, S.SPEAKING, *TURN, S.LISTENING),
    e.ReplyText: does("reply_text", S.THINKING, S.SPEAKING),
    e.ReplyTool: does("reply_tool", S.THINKING, S.SPEAKING),
    e.ReplyDone: does("reply_done", *REST, *FAIL),
    e.ReplyFailed: does("reply_failed", *REST, *FAIL),
    e.ToolFinished: does("tool_finished", *REST),
    e.SpeechFailed: does("voice_failed", *REST, *FAIL),
    e.PlayoutStarted: does("playout_started", S.THINKING, S.SPEAKING),
    e.PlayoutFinished: does("playout_finished", *REST),
    e.PlayoutFlushed: does("playout_flushed", *REST),
    Alarm.FILLER: does("filler", S.THINKING, S.SPEAKING),
}

_HELD_BACK: Final[dict[Column, Cell]] = {
    e.Interim: does("words_in_overlap", S.OVERLAP, S.DOUBT, S.LISTENING, *TURN, *REST),
    e.Final: does("words_in_overlap", S.OVERLAP, S.DOUBT, S.LISTENING, *TURN, *REST),
    e.ReplyText: does("reply_text", S.OVERLAP, S.DOUBT),
    e.ReplyTool: does("reply_tool", S.OVERLAP, S.DOUBT),
    e.ReplyDone: does("reply_done_held", S.OVERLAP, S.DOUBT),
    e.ReplyFailed: does("reply_failed", S.OVERLAP, S.DOUBT, *FAIL),
    e.SpeechFailed: does("voice_failed", S.OVERLAP, S.DOUBT, S.LISTENING, *TURN, *FAIL),
    e.PlayoutFinished: does("playout_ran_out", S.OVERLAP, S.DOUBT, S.LISTENING, *TURN),
    e.PlayoutFlushed: does("playout_ran_out", S.OVERLAP, S.DOUBT, S.LISTENING, *TURN),
    Alarm.FILLER: nothing("a filler must not talk over the caller; it is owed again when the assistant goes on"),
}

_WAITING: Final[dict[Column, Cell]] = {
    e.SpeechStarted: does("speech_goes_on", S.LISTENING),
    e.SpeechStopped: does("speech_stopped", *TURN),
    e.Interim: does("words_in_silence", *TURN),
    e.Final: does("words_in_silence", *TURN),
    e.UtteranceEnded: does("utterance_ended", *TURN),
    e.NothingHeard: does("nothing_heard", *TURN),
    e.TurnScored: does("turn_scored", *TURN),
}

# Of an answer begun before the turn is decided.
_GUESSED: Final[dict[Column, Cell]] = {
    e.ReplyText: does("guessed"),
    e.ReplyTool: does("guessed"),
    e.ReplyDone: does("guessed"),
    e.ReplyFailed: does("guessed"),
}

_DEAF = nothing("the line is not answered")
_OVER = nothing("the conversation is over")
_NOT_YET = nothing("nothing is listened to before he has agreed")
_LAST_WORDS = nothing("the last words are not interrupted")
_HELD_SOUND = nothing("what is heard on hold is music")
_NO_LINE = nothing("there is no line that it could come from")

TABLE: Final[dict[State, dict[Column, Cell]]] = {
    S.RINGING: {
        **dict.fromkeys(ANYWHERE, _DEAF),
        e.Answered: does("answered", S.CONSENT, S.QUIET, S.THINKING, S.MAILBOX, S.ENDED),
        e.HungUp: does("hung_up", S.ENDED),
        e.SpeechStarted: _DEAF,
        e.SpeechStopped: _DEAF,
        e.Interim: _DEAF,
        e.Final: _DEAF,
        e.HearingFailed: does("hearing_failed", S.RINGING, S.LEAVING, S.ENDED),
        e.Instructed: does("instructed_early", S.RINGING, S.AWAY, S.ENDED),
    },
    S.CONSENT: {
        e.ToneHeard: _NOT_YET,
        e.DigitPressed: does("consent_key", S.CONSENT, S.QUIET, S.THINKING, S.LEAVING, S.ENDED),
        e.SpeechStarted: _NOT_YET,
        e.SpeechStopped: _NOT_YET,
        e.Interim: _NOT_YET,
        e.Final: _NOT_YET,
        e.SpeechFailed: does("consent_unasked", S.CONSENT, S.LEAVING, S.ENDED),
        e.PlayoutFinished: does("consent_asked", S.CONSENT),
        e.PlayoutFlushed: does("consent_asked", S.CONSENT),
        e.Instructed: does("instructed_early", S.CONSENT, S.AWAY, S.ENDED),
        Alarm.CONSENT: does("consent_overdue", S.CONSENT, S.LEAVING, S.ENDED),
    },
    S.QUIET: {
        e.SpeechStarted: does("speech_started", S.LISTENING),
        e.SpeechStopped: does("speech_stopped_late", S.QUIET, *TURN),
        e.Interim: does("words_without_speech", *TURN),
        e.Final: does("words_without_speech", *TURN),
        Alarm.SILENCE: does("silence_prompt", S.THINKING, S.ENDED),
        Alarm.GREET: does("greet_late", S.QUIET, S.THINKING, S.ENDED),
    },
    S.LISTENING: {
        **_GUESSED,
        e.SpeechStarted: does("speech_goes_on", S.LISTENING),
        e.SpeechStopped: does("speech_stopped", *TURN),
        e.Interim: does("words_in_speech", S.LISTENING),
        e.Final: does("words_in_speech", S.LISTENING),
        e.UtteranceEnded: does("utterance_ended_in_speech", S.LISTENING),
        e.NothingHeard: nothing("it answers the speech before; this one goes on"),
        Alarm.STALL: does("speech_stalled", *TURN),
    },
    S.ENDPOINTING: {
        **_WAITING,
        **_GUESSED,
        Alarm.ENDPOINT: does("endpoint", *TURN),
        Alarm.RESCORE: does("rescore", S.ENDPOINTING),
    },
    S.TRANSCRIBING: {
        **_WAITING,
        **_GUESSED,
        Alarm.FINAL: does("final_overdue", *TURN),
        Alarm.FILLER: does("filler", S.TRANSCRIBING),
    },
    S.THINKING: _REPLYING,
    S.SPEAKING: _REPLYING,
    S.OVERLAP: {
        **_HELD_BACK,
        e.SpeechStarted: nothing("he is speaking already"),
        e.SpeechStopped: does("overlap_ends", S.DOUBT, *REST, S.MAILBOX),
        e.NothingHeard: nothing("it answers the speech before; this one goes on"),
        Alarm.PAUSE: does("pause_due", S.OVERLAP),
        Alarm.CONFIRM: does("interruption_confirmed", S.LISTENING),
        Alarm.STALL: does("overlap_stalled", *REST),
    },
    S.DOUBT: {
        **_HELD_BACK,
        e.SpeechStarted: does("overlap_again", S.OVERLAP),
        e.SpeechStopped: nothing("he is silent already"),
        e.NothingHeard: does("false_interruption", *REST),
        Alarm.DOUBT: does("false_interruption", *REST),
    },
    S.MAILBOX: {
        e.DigitPressed: nothing("a mailbox has nothing to enter"),
        e.ToneHeard: does("tone_in_mailbox", S.LEAVING, S.ENDED),
        e.HearingFailed: nothing("its silence is waited for, not its words"),
        e.SpeechStarted: does("mailbox_speaks", S.MAILBOX),
        e.SpeechStopped: does("mailbox_pauses", S.MAILBOX),
        e.Interim: does("words_of_mailbox", S.MAILBOX),
        e.Final: does("words_of_mailbox", S.MAILBOX),
        e.Instructed: does("instructed_late", S.MAILBOX, S.ENDED),
        Alarm.MAILBOX: does("leave_message", S.LEAVING, S.ENDED),
    },
    S.HELD: {
        **dict.fromkeys(ANYWHERE, does("beneath", S.HELD, S.ENDED)),
        e.Answered: nothing("already answered"),
        e.HungUp: does("hung_up", S.ENDED),
        e.HoldChanged: does("released", *EVERY),
        e.ToneHeard: _HELD_SOUND,
        e.SpeechStarted: _HELD_SOUND,
        e.SpeechStopped: _HELD_SOUND,
        e.Interim: does("words_on_hold", S.HELD),
        e.Final: does("words_on_hold", S.HELD),
        e.UtteranceEnded: _HELD_SOUND,
        e.NothingHeard: _HELD_SOUND,
        e.TurnScored: _HELD_SOUND,
        **dict.fromkeys(Alarm, nothing("the clock stands still on hold")),
        Alarm.LIMIT: does("limit_reached", S.ENDED),
    },
    S.LEAVING: {
        e.DigitPressed: _LAST_WORDS,
        e.ToneHeard: does("tone_in_message", S.LEAVING, S.ENDED),
        e.HearingFailed: nothing("nothing the caller says is waited for"),
        e.SpeechStarted: _LAST_WORDS,
        e.SpeechStopped: _LAST_WORDS,
        e.Interim: does("last_words_heard"),
        e.Final: does("last_words_heard"),
        e.SpeechFailed: does("leave_when_heard", S.LEAVING, S.AWAY, S.ENDED),
        e.PlayoutFinished: does("leave_when_heard", S.LEAVING, S.AWAY, S.ENDED),
        e.PlayoutFlushed: does("leave_when_heard", S.LEAVING, S.AWAY, S.ENDED),
        e.Instructed: does("instructed_late", S.LEAVING, S.ENDED),
        Alarm.DIGITS: _LAST_WORDS,
        Alarm.LIMIT: nothing("the call is ending"),
        Alarm.LEAVE: does("leave_now", S.AWAY, S.ENDED),
    },
    S.AWAY: {
        e.TransferEnded: does("transfer_ended", *REST, S.CONSENT),
        e.DigitPressed: _NO_LINE,
        e.ToneHeard: _NO_LINE,
        e.SpeechStarted: _NO_LINE,
        e.SpeechStopped: _NO_LINE,
        e.Interim: does("last_words_heard"),
        e.Final: does("last_words_heard"),
        e.HearingFailed: nothing("the recogniser is opened anew when he comes back"),
        e.Instructed: does("instructed_away", S.AWAY, S.ENDED),
        Alarm.DIGITS: NOT_PENDING,
        Alarm.LIMIT: does("limit_while_away"),
    },
    S.ENDED: {
        **dict.fromkeys(ANYWHERE, _OVER),
        e.SpeechStarted: _OVER,
        e.SpeechStopped: _OVER,
        e.Interim: _OVER,
        e.Final: _OVER,
    },
}

COLUMNS: Final[tuple[Column, ...]] = (
    e.Answered,
    e.HungUp,
    e.HoldChanged,
    e.TransferEnded,
    e.DigitPressed,
    e.ToneHeard,
    e.SpeechStarted,
    e.SpeechStopped,
    e.Interim,
    e.Final,
    e.UtteranceEnded,
    e.NothingHeard,
    e.TurnScored,
    e.HearingFailed,
    e.ReplyText,
    e.ReplyTool,
    e.ReplyDone,
    e.ReplyFailed,
    e.ToolFinished,
    e.SpeechAudio,
    e.SpeechDone,
    e.SpeechFailed,
    e.PlayoutStarted,
    e.PlayoutFinished,
    e.PlayoutFlushed,
    e.Instructed,
    *Alarm,
)


def decided(state: State, column: Column) -> Cell:
    """The table's word on `column` in `state`. KeyError where nobody has decided."""
    row = TABLE[state]
    return row[column] if column in row else ANYWHERE[column]
