"""Providers fail; the caller is told, and never left alone with it."""

from collections.abc import Sequence

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Phrases, Plan
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import ToolCall
from tests.core.scripted import Part, Stage
from tests.core.test_tools import Scripted

STALLED = ProviderError("scripted", "llm", "stalled")
GONE = ProviderError("scripted", "stt", "dropped")
DENIED = ProviderError("scripted", "stt", "denied")
MUTE = ProviderError("scripted", "tts", "refused")
PHRASES = Phrases()


def called(*replies: Sequence[Part], plan: Plan | None = None) -> Stage:
    stage = Stage(plan or Plan(), Scripted(*replies))
    stage.at(0, e.Answered())
    stage.says(1, "what time do you open?")
    return stage


def test_a_model_that_fails_is_apologised_for_and_the_talk_goes_on() -> None:
    stage = called([STALLED], ["At nine."])
    stage.says(10, "what time do you open?")
    stage.run(20)
    assert stage.spoken() == [PHRASES.apology, "At nine."]
    assert stage.conversation.state is State.QUIET


def test_what_was_heard_before_the_model_failed_stays_in_the_history() -> None:
    stage = called(["We open at nine. And", STALLED])
    stage.run(20)
    assert stage.transcript()[1:] == ["assistant: We open at nine. And", f"assistant: {PHRASES.apology}"]


def test_failures_in_a_row_hand_the_caller_over() -> None:
    stage = called([STALLED], [STALLED])
    stage.says(10, "what time do you open?")
    stage.run(30)
    assert stage.spoken() == [PHRASES.apology, PHRASES.unwell]
    ended = max(time for time, event in stage.events if isinstance(event, e.PlayoutFinished))
    assert stage.log[-1] == (pytest.approx(ended), c.HandOver("", "error", str(STALLED)))  # type: ignore[comparison-overlap]  # approx compares


def test_an_answer_that_came_through_ends_the_row() -> None:
    stage = called([STALLED], ["At nine."], [STALLED], ["At ten."])
    for time in (10, 16, 26):
        stage.says(time, "what time do you open?")
    stage.run(40)
    assert stage.spoken() == [PHRASES.apology, "At nine.", PHRASES.apology, "At ten."]


def test_an_answer_that_broke_off_does_not_end_the_row() -> None:
    stage = called(["Well, the thing is.", STALLED])
    stage.says(15, "what time do you open?")
    stage.run(40)
    assert stage.spoken()[-1] == PHRASES.unwell


def test_a_model_that_says_nothing_is_a_failure() -> None:
    stage = called([])
    assert stage.run(20).spoken() == [PHRASES.apology]
    assert "empty_reply" in stage.notes()


def test_a_model_whose_words_have_no_sound_is_a_failure() -> None:
    assert called(["🙂"]).run(20).spoken() == [PHRASES.apology]


def test_a_model_that_fails_behind_a_tool_call_still_gets_its_result() -> None:
    stage = called([ToolCall("t", "book", "{}"), STALLED], ["Done."])
    assert stage.run(20).spoken() == ["Done."]


def test_a_voice_that_fails_is_apologised_for_from_the_phrase_cache() -> None:
    stage = called(["At nine."])
    stage.run(3.3)
    stage.feed(e.SpeechFailed(1, MUTE))
    stage.run(20)
    assert stage.spoken() == ["At nine.", PHRASES.apology]
    assert "assistant: At nine." not in stage.transcript()


def test_a_voice_that_fails_in_mid_sentence_keeps_what_was_heard() -> None:
    stage = called(["We open at nine in the morning every day."])
    stage.run(4.2)
    stage.feed(e.SpeechFailed(1, MUTE))
    stage.run(20)
    heard = stage.transcript()[1].removeprefix("assistant: ")
    assert heard
    assert "We open at nine in the morning every day.".startswith(heard)
    assert stage.spoken()[-1] == PHRASES.apology


def test_a_voice_that_cannot_even_apologise_hands_over_without_words() -> None:
    stage = called([STALLED])
    stage.run(3.4)
    stage.feed(e.SpeechFailed(1, MUTE))
    assert stage.log[-1][1] == c.HandOver("", "error", str(MUTE))
    assert stage.conversation.state is State.ENDED


def test_a_voice_that_delivers_no_sound_at_all_is_noticed() -> None:
    stage = Stage(Plan(phrases=Phrases(filler="")), Scripted(["At nine."]))
    talk = stage.conversation
    for event in (
        e.Answered(),
        e.Final("when?"),
        e.UtteranceEnded(),
        e.Tick(),
    ):
        stage.now += 1
        talk.feed(event, stage.now)
    talk.feed(e.ReplyText(1, "At nine."), 5)
    talk.feed(e.ReplyDone(1), 5)
    commands = talk.feed(e.PlayoutFinished(1), 6)
    assert c.Speak(2, PHRASES.apology, "apology") in commands
    assert talk.history == ()


def test_a_filler_that_fails_is_no_matter() -> None:
    stage = called([ToolCall("t", "book", "{}")], ["Done."])
    stage.tool_results = {"book": None}
    stage.run(4.95)
    stage.feed(e.SpeechFailed(1, MUTE))
    stage.at(8, e.ToolFinished("t", "booked"))
    assert stage.run(20).spoken() == [PHRASES.filler, "Done."]


def test_a_recogniser_that_fails_in_the_middle_of_a_turn_is_apologised_for() -> None:
    stage = called()
    stage.at(1.2, e.HearingFailed(GONE))
    stage.run(1.2)
    assert stage.spoken() == [PHRASES.apology]


def test_a_recogniser_that_fails_with_words_in_hand_answers_them() -> None:
    stage = called(["At nine."])
    stage.at(2.31, e.HearingFailed(GONE))
    stage.run(2.31)
    (_, think) = stage.commands(c.Think)[0]
    assert isinstance(think, c.Think)
    assert think.messages[-1].content == "what time do"


def test_a_recogniser_that_fails_while_the_assistant_speaks_does_not_interrupt_it() -> None:
    stage = called(["We open at nine."])
    stage.at(4, e.HearingFailed(GONE))
    assert stage.run(20).spoken() == ["We open at nine."]


def test_a_recogniser_that_does_not_come_back_hands_the_caller_over() -> None:
    stage = called(["We open at nine."])
    stage.at(8, e.HearingFailed(GONE))
    stage.says(10, "hello?", words=False)
    stage.run(30)
    assert stage.spoken()[-1] == PHRASES.unwell
    assert stage.log[-1][1] == c.HandOver("", "error", "the recogniser failed and did not come back")


def test_a_recogniser_that_comes_back_is_believed() -> None:
    stage = called(["We open at nine."])
    stage.at(8, e.HearingFailed(GONE))
    stage.says(10, "hello?")
    stage.run(30)
    assert stage.spoken() == ["We open at nine."] * 2


def test_a_recogniser_refused_for_good_hands_over_at_once() -> None:
    stage = called()
    stage.at(1.2, e.HearingFailed(DENIED))
    stage.run(30)
    assert stage.spoken() == [PHRASES.unwell]
    assert stage.log[-1][1] == c.HandOver("", "error", str(DENIED))


def test_without_an_unwell_phrase_the_caller_is_handed_over_at_once() -> None:
    stage = called(plan=Plan(phrases=Phrases(unwell=""), failures_before_handover=1))
    stage.at(1.2, e.HearingFailed(DENIED))
    stage.run(1.2)
    assert stage.log[-1] == (1.2, c.HandOver("", "error", str(DENIED)))


def test_a_link_that_never_reports_the_end_of_the_last_words_does_not_keep_the_line() -> None:
    stage = called(plan=Plan(failures_before_handover=1))
    stage.conversation.feed(e.Answered(), 0)
    stage.conversation.feed(e.HearingFailed(DENIED), 0)
    deadline = stage.conversation.deadline
    assert deadline is not None
    assert deadline < 30
    assert c.HandOver("", "error", str(DENIED)) in stage.conversation.feed(e.Tick(), deadline)


def test_a_recogniser_that_fails_under_an_interruption_ends_the_sentence_with_an_apology() -> None:
    stage = called(["We open at nine in the morning every day of the week."])
    stage.says(4.5, "wait please", words=False)
    stage.at(4.7, e.HearingFailed(GONE))
    stage.run(20)
    assert stage.spoken()[-1] == PHRASES.apology
    assert stage.conversation.history[1].interrupted
    assert not stage.line.paused


def test_a_goodbye_that_has_no_voice_does_not_keep_the_line() -> None:
    stage = called(["Goodbye.", ToolCall("t", "end_call", "{}")])
    stage.run(3.4)
    (segment,) = (command.segment for _, command in stage.commands(c.Speak) if isinstance(command, c.Speak))
    stage.feed(e.SpeechFailed(segment, MUTE))
    assert stage.log[-1][1] == c.HangUp("assistant_hangup")
