"""A colleague who is asked to take a caller, in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.core.briefing import (
    ACCEPT_KEY,
    DECLINE_KEY,
    GREETING_S,
    LATE_S,
    SILENCE_S,
    TOTAL_S,
    Acceptance,
    BriefingEvent,
    BriefingLine,
    BriefingOutcome,
    HungUp,
    Hush,
    Key,
    Listening,
    Say,
    Settle,
    Speech,
    Spoken,
    Stage,
    Words,
)
from sovereign_pbx.core.events import Tick

LENGTHS: dict[BriefingLine, float] = {"words": 8.0, "question": 4.0, "keys": 3.0, "again": 2.0}
ASKED_AT = GREETING_S + LENGTHS["words"] + LENGTHS["question"]


@dataclass
class Colleague:
    """Plays what is said to him at its length, and does what the script says. `said`: (when, line)."""

    language: str = "en"
    now: float = 0.0
    said: list[tuple[float, BriefingLine]] = field(default_factory=list)
    hushed: list[float] = field(default_factory=list)
    settled: list[tuple[float, BriefingOutcome]] = field(default_factory=list)
    playing: tuple[float, BriefingLine] | None = None  # (until, line)

    def __post_init__(self) -> None:
        self.acceptance = Acceptance(self.language, 0.0)
        self.feed(Listening(True))

    def feed(self, event: BriefingEvent) -> None:
        for command in self.acceptance.feed(event, self.now):
            if isinstance(command, Say):
                assert self.playing is None, "two things are said at once"
                self.said.append((round(self.now, 3), command.line))
                self.playing = (self.now + LENGTHS[command.line], command.line)
            elif isinstance(command, Hush):
                assert self.playing is not None, "there was nothing to stop"
                self.playing = None
                self.hushed.append(round(self.now, 3))
            elif isinstance(command, Settle):
                self.settled.append((round(self.now, 3), command.outcome))

    def until(self, at: float) -> None:
        """Let time pass."""
        while True:
            due = [at for at in (self.acceptance.deadline,) if at is not None]
            if self.playing is not None:
                due.append(self.playing[0])
            if not due or min(due) > at:
                break
            self.now = max(self.now, min(due))
            if self.playing is not None and self.playing[0] <= self.now:
                line, self.playing = self.playing[1], None
                self.feed(Spoken(line))
            else:
                self.feed(Tick())
        self.now = at

    def says(self, at: float, text: str, *, seconds: float = 0.6, interim: bool = True) -> None:
        """He says `text` from `at` on."""
        self.until(at)
        self.feed(Speech(True))
        if interim:
            self.until(at + seconds / 2)
            self.feed(Words(text, False))
        self.until(at + seconds)
        self.feed(Speech(False))
        self.until(at + seconds + 0.3)
        self.feed(Words(text, True))

    def presses(self, at: float, key: str) -> None:
        self.until(at)
        self.feed(Key(key))

    @property
    def lines(self) -> list[BriefingLine]:
        return [line for _, line in self.said]

    @property
    def outcome(self) -> BriefingOutcome | None:
        return self.acceptance.outcome


def test_the_words_come_first_and_then_the_question() -> None:
    him = Colleague()
    him.until(ASKED_AT)
    assert him.said == [(GREETING_S, "words"), (GREETING_S + 8.0, "question")]
    assert him.acceptance.stage is Stage.WAITING


@pytest.mark.parametrize("at", [0.3, 3.0, 10.0, ASKED_AT + 2.0])
@pytest.mark.parametrize(("key", "outcome"), [(ACCEPT_KEY, "accepted"), (DECLINE_KEY, "declined")])
def test_a_key_counts_at_any_moment(at: float, key: str, outcome: BriefingOutcome) -> None:
    him = Colleague()
    him.presses(at, key)
    assert him.settled == [(at, outcome)]
    assert him.playing is None


@pytest.mark.parametrize("at", [3.0, 10.0, ASKED_AT + 2.0])
@pytest.mark.parametrize(("text", "outcome"), [("Yes.", "accepted"), ("No, not now.", "declined")])
def test_a_yes_or_no_counts_over_the_words_and_after_them(at: float, text: str, outcome: BriefingOutcome) -> None:
    him = Colleague()
    him.says(at, text)
    assert him.outcome == outcome
    assert him.playing is None


@pytest.mark.parametrize("at", [GREETING_S + 7.8, ASKED_AT + SILENCE_S + 1.7])
def test_a_yes_across_the_end_of_a_line_is_no_less_a_yes(at: float) -> None:
    him = Colleague()
    him.says(at, "Yes please", seconds=1.0, interim=False)
    assert him.outcome == "accepted"


def test_a_yes_whose_text_comes_when_the_next_line_has_begun_counts() -> None:
    him = Colleague()
    him.says(GREETING_S + 7.2, "Yes please", seconds=0.7, interim=False)
    assert him.lines == ["words", "question"]
    assert him.outcome == "accepted"


def test_the_question_waits_for_somebody_who_is_speaking() -> None:
    him = Colleague()
    him.until(GREETING_S + 7.5)
    him.feed(Speech(True))
    him.until(GREETING_S + 9.0)
    assert him.lines == ["words"]
    him.feed(Speech(False))
    him.until(GREETING_S + 9.0 + LATE_S)
    assert him.lines == ["words", "question"]


def test_a_yes_over_the_words_stops_them_with_its_first_interim() -> None:
    him = Colleague()
    him.says(3.0, "Yes", seconds=0.6)
    assert him.hushed == [3.3]
    assert him.settled == [(3.9, "accepted")]


def test_an_interim_yes_that_never_becomes_final_counts_after_a_second() -> None:
    him = Colleague()
    him.until(ASKED_AT + 1)
    him.feed(Words("yes", False))
    him.until(ASKED_AT + 1.9)
    assert him.outcome is None
    him.until(ASKED_AT + 2.1)
    assert him.outcome == "accepted"


def test_a_no_that_becomes_no_problem_is_taken_by_its_end() -> None:
    him = Colleague()
    him.until(ASKED_AT + 1)
    him.feed(Words("no", False))
    him.until(ASKED_AT + 1.4)
    him.feed(Words("no problem put him", False))
    him.until(ASKED_AT + 1.8)
    him.feed(Words("No problem, put him through.", True))
    assert him.outcome == "accepted"


def test_whoever_says_nothing_is_asked_once_more_and_then_he_did_not_answer() -> None:
    him = Colleague()
    him.until(60)
    assert him.lines == ["words", "question", "again", "question"]
    again = ASKED_AT + SILENCE_S
    assert him.said[2] == (again, "again")
    assert him.settled == [(again + LENGTHS["again"] + LENGTHS["question"] + SILENCE_S, "no_answer")]


def test_a_yes_after_the_second_question_takes_the_caller() -> None:
    him = Colleague()
    him.says(ASKED_AT + SILENCE_S + 7.0, "Yes please")
    assert him.outcome == "accepted"


def test_unclear_words_are_asked_again_twice_at_most() -> None:
    him = Colleague()
    for _ in range(3):
        him.until(him.now + 1)
        while him.acceptance.stage is not Stage.WAITING:
            him.until(him.now + 0.1)
        him.says(him.now + 0.5, "This is Anna speaking", seconds=1.0)
    assert him.lines == ["words", "question", "again", "question", "again", "question"]
    assert him.outcome == "no_answer"


def test_who_is_it_brings_the_words_again() -> None:
    him = Colleague()
    him.says(ASKED_AT + 1, "Who is it?")
    assert him.lines == ["words", "question", "words"]
    him.says(him.now + 13, "Yes")
    assert him.lines == ["words", "question", "words", "question"]
    assert him.outcome == "accepted"


def test_who_is_it_over_the_question_brings_the_words_after_it() -> None:
    him = Colleague()
    him.says(GREETING_S + 8.5, "Who is it?")
    him.until(ASKED_AT + 0.1)
    assert him.lines == ["words", "question", "words"]
    assert him.hushed == []


def test_the_words_are_not_said_for_ever() -> None:
    him = Colleague()
    for _ in range(200):
        him.until(him.now + 0.5)
        if him.acceptance.stage is Stage.WAITING:
            him.says(him.now, "What?")
    assert him.lines.count("words") <= 3
    assert him.outcome == "no_answer"


def test_whoever_answers_says_his_name_first_and_is_heard_out() -> None:
    him = Colleague("nl")
    him.says(0.3, "Ja, met Piet Jansen van de verkoop", seconds=2.0)
    him.until(3.0)
    assert him.said == [(2.7, "words")]


def test_whoever_talks_in_pauses_when_he_answers_is_waited_for_four_seconds_at_most() -> None:
    him = Colleague()
    for at in (0.5, 1.5, 2.5, 3.5):
        him.until(at)
        him.feed(Speech(True))
        him.until(at + 0.3)
        him.feed(Speech(False))
        him.until(at + 0.35)
    him.until(5.0)
    assert him.said[0] == (1.2, "words")
    busy = Colleague()
    for at in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5):
        busy.until(at)
        busy.feed(Speech(True))
        busy.until(at + 0.35)
        busy.feed(Speech(False))
    busy.until(5.0)
    assert busy.said[0] == (4.0, "words")


def test_a_yes_by_which_the_call_is_answered_takes_no_caller() -> None:
    him = Colleague("nl")
    him.says(0.2, "Ja?", seconds=0.4)  # its text comes when we speak already
    him.until(1.2)
    him.feed(Words("Ja?", True))
    him.until(60)
    assert him.outcome == "no_answer"


def test_a_mailbox_that_talks_on_gets_no_caller() -> None:
    him = Colleague()
    him.feed(Speech(True))
    for at in range(1, 50, 3):
        him.until(at)
        him.feed(Words("You have reached the sales department, please leave your name and your number", False))
        him.until(at + 1)
        him.feed(Words("You have reached the sales department, please leave your name and your number", True))
    assert him.outcome == "no_answer"
    assert him.said[0] == (4.0, "words")


def test_our_own_question_heard_as_an_echo_is_no_yes() -> None:
    him = Colleague()
    him.until(GREETING_S + 10)  # the voice detector knows it for what it is, the recogniser does not
    him.feed(Words("yes", False))
    him.feed(Words("yes", True))
    assert him.outcome is None
    assert him.hushed == []


def test_without_a_recogniser_he_is_asked_for_a_key() -> None:
    him = Colleague()
    him.feed(Listening(False))
    him.until(30)
    assert him.lines == ["words", "keys", "again", "keys"]


def test_another_key_is_asked_again_twice_at_most() -> None:
    him = Colleague()
    for at in (2.0, 4.0, 6.0):
        him.presses(at, "7")
    assert him.outcome == "no_answer"
    assert him.lines.count("again") == 2


@pytest.mark.parametrize("at", [0.1, 3.0, ASKED_AT + 1])
def test_whoever_hangs_up_is_gone(at: float) -> None:
    him = Colleague()
    him.until(at)
    him.feed(HungUp())
    assert him.settled == [(at, "gone")]


def test_somebody_who_is_speaking_is_not_cut_off_by_the_silence() -> None:
    him = Colleague()
    him.says(ASKED_AT + SILENCE_S - 0.5, "Yes", seconds=2.0, interim=False)
    assert him.outcome == "accepted"


def test_nothing_follows_once_it_is_settled() -> None:
    him = Colleague()
    him.presses(2.0, "1")
    assert him.acceptance.deadline is None
    for event in (Key("2"), HungUp(), Words("no", True), Tick()):
        assert him.acceptance.feed(event, 3.0) == []
    assert him.outcome == "accepted"


EVENTS: list[Callable[[], BriefingEvent]] = [
    lambda: Speech(True),
    lambda: Speech(False),
    lambda: Words("mumble mumble", False),
    lambda: Words("mumble mumble", True),
    lambda: Words("who is it", True),
    lambda: Words("yes", False),
    lambda: Words("", True),
    lambda: Key("9"),
    lambda: Listening(False),
    lambda: Listening(True),
    lambda: Spoken("words"),
    lambda: Spoken("question"),
    Tick,
]


@given(st.lists(st.tuples(st.floats(0.0, 4.0), st.integers(0, len(EVENTS) - 1)), max_size=60))
def test_no_sequence_of_events_leaves_it_undecided(script: list[tuple[float, int]]) -> None:
    him = Colleague()
    for wait, index in script:
        him.until(him.now + wait)
        event = EVENTS[index]()
        if isinstance(event, Spoken) and him.playing is not None and him.playing[1] == event.line:
            him.playing = None  # sooner than it should be
        him.feed(event)
    him.until(max(him.now, TOTAL_S))
    assert him.outcome is not None
    assert len(him.settled) == 1
    assert him.settled[0][0] <= TOTAL_S + 0.001
