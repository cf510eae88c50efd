"""The caller's turn: when it ends, what is in it, what is asked of the model."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, TurnTaking
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import Message
from tests.core.scripted import Delays, Stage

SYSTEM = Message("system", "You are a baker.")
QUICK = TurnTaking(endpointing_min_delay=0.25, endpointing_max_delay=2.0)


def answered(plan: Plan | None = None, **options: object) -> Stage:
    stage = Stage(plan or Plan(messages=(SYSTEM,)), lambda think: ["We open at nine."], **options)  # type: ignore[arg-type]  # passed on as they are
    stage.at(0, e.Answered())
    return stage


def thought(stage: Stage) -> list[tuple[float, str]]:
    """When the model was asked, and what the caller had said last."""
    asked = [(time, command) for time, command in stage.log if isinstance(command, c.Think)]
    return [(time, think.messages[-1].content) for time, think in asked]


def test_the_greeting_is_spoken_at_once() -> None:
    stage = answered(Plan(first_message="Hello!")).run(0)
    assert stage.log == [(0, c.Speak(1, "Hello!", "greeting"))]


def test_the_greeting_is_turn_zero_and_part_of_the_history() -> None:
    stage = answered(Plan(first_message="Hello!")).run(1)
    assert stage.transcript() == ["assistant: Hello!"]
    (turn,) = stage.turns()
    assert (turn.turn.number, turn.turn.said, turn.turn.heard) == (0, "", "Hello!")
    assert turn.turn.timing is not None


def test_without_a_greeting_the_caller_is_waited_for() -> None:
    stage = answered().run(5)
    assert stage.log == []
    assert stage.conversation.state is State.QUIET


def test_the_model_gets_the_instructions_and_the_callers_words() -> None:
    stage = answered()
    stage.says(1, "what time do you open?")
    stage.run(10)
    (_, think) = stage.commands(c.Think)[0]
    assert think == c.Think(1, (SYSTEM, Message("user", "what time do you open?")))
    assert stage.transcript() == ["user: what time do you open?", "assistant: We open at nine."]


def test_a_question_ends_with_its_final_text_before_the_turn_model_has_answered() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "what time do you open?")
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.25)


def test_a_sure_turn_ends_with_the_turn_models_answer() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "I want to know what time you open in the morning")
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.2 + 0.06)


def test_an_unsure_turn_waits() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "what time do you open", score=0.05)
    stage.run(10)
    assert thought(stage)[0][0] >= end + 1.2


def test_the_turn_model_is_asked_again_about_a_word_or_two() -> None:
    stage = answered()
    end = stage.says(1, "the big one", score=0.05)
    stage.run(10)
    assert [time for time, _ in stage.commands(c.ScoreTurn)] == pytest.approx([end + 0.2, end + 0.4, end + 0.7])


def test_the_turn_model_is_asked_once_where_it_had_enough_to_hear() -> None:
    stage = answered()
    end = stage.says(1, "I would like the big one in red", score=0.05)
    stage.run(10)
    assert [time for time, _ in stage.commands(c.ScoreTurn)] == pytest.approx([end + 0.2])


def test_the_turn_model_is_asked_once_more_when_its_answer_does_not_come() -> None:
    stage = answered(delays=Delays(score=60))
    end = stage.says(1, "I would like the big one in red and")
    stage.run(10)
    assert [time for time, _ in stage.commands(c.ScoreTurn)] == pytest.approx([end + 0.2, end + 0.7])


def test_an_answer_of_the_turn_model_that_comes_late_still_counts() -> None:
    stage = answered(delays=Delays(score=0.45))
    end = stage.says(1, "I would like the big one in red")
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.2 + 0.45, abs=0.15)


def test_the_turn_model_is_not_asked_once_the_recogniser_has_heard_the_end() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "the big one", score=0.05)
    stage.at(end + 0.3, e.UtteranceEnded(judged=True))
    stage.run(10)
    assert [time for time, _ in stage.commands(c.ScoreTurn)] == pytest.approx([end + 0.2])


def test_the_turn_model_is_not_asked_about_speech_whose_end_the_recogniser_has_told() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "so the number is")
    stage.at(end + 0.1, e.Final("so the number is"))
    stage.at(end + 0.1, e.UtteranceEnded(judged=True))
    stage.run(10)
    assert stage.commands(c.ScoreTurn) == []


def test_a_second_look_of_the_turn_model_ends_a_short_turn_sooner() -> None:
    waits = []
    for second in (0.05, 0.95):
        stage = answered(delays=Delays(score=60))
        end = stage.says(1, "hello world")  # measured: 0.23 at once, 0.95 after half a second
        stage.at(end + 0.26, e.TurnScored(0.23, end))
        stage.at(end + 0.46, e.TurnScored(second, end))
        waits.append(thought(stage.run(10))[0][0] - end)
    assert waits[1] < waits[0] - 0.2


def test_a_pause_inside_a_sentence_does_not_split_the_turn() -> None:
    stage = answered()
    stage.says(1, "I would like to order a cake and [1.1] some bread.")
    stage.run(10)
    assert [text for _, text in thought(stage)] == ["I would like to order a cake and some bread."]


def test_no_turn_model_no_harm() -> None:
    stage = answered(delays=Delays(score=60))
    end = stage.says(1, "what time do you open?")
    stage.run(10)
    assert end + 0.4 <= thought(stage)[0][0] < end + 1.0


def test_an_answer_of_the_turn_model_about_another_silence_is_ignored() -> None:
    stage = answered()
    end = stage.says(1, "the big one", score=0.05)
    stage.at(end + 0.3, e.TurnScored(1.0, end - 3))
    stage.run(end + 1)
    assert not stage.commands(c.Think)


def test_the_recognisers_judgement_that_the_utterance_is_over_ends_the_turn() -> None:
    stage = answered(Plan(turn_taking=QUICK))
    end = stage.says(1, "the big one", score=0.05)
    stage.at(end + 0.31, e.UtteranceEnded(judged=True))
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.31)


def test_a_silence_that_the_recogniser_heard_is_no_judgement() -> None:
    """Nova's speech_final comes after 300 ms of silence, whatever was said."""
    stage = answered()
    stage.says(1, "I would like to book [0.7] a table", score=0.3)
    stage.at(2.5 + 0.3, e.UtteranceEnded())
    stage.run(10)
    assert [text for _, text in thought(stage)] == ["I would like to book a table"]


def test_the_recognisers_own_end_of_utterance_does_not_outlive_more_words() -> None:
    stage = answered()
    stage.at(2.16, e.UtteranceEnded(judged=True))
    end = stage.says(1, "the big one [0.3] with the small", score=0.05)
    stage.run(10)
    assert len(thought(stage)) == 1
    assert thought(stage)[0][0] > end + 1


def test_the_recogniser_does_not_end_a_turn_before_the_shortest_delay() -> None:
    stage = answered(delays=Delays(final=0.1))
    end = stage.says(1, "the big one", score=0.05)
    stage.at(end + 0.21, e.UtteranceEnded(judged=True))
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.4)


def test_a_decided_turn_waits_for_its_final_text() -> None:
    stage = answered(delays=Delays(final=0.9))
    end = stage.says(1, "what time do you open?")
    stage.run(end + 0.6)
    assert stage.conversation.state is State.TRANSCRIBING
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.9)
    assert thought(stage)[0][1] == "what time do you open?"


def test_an_overdue_final_text_is_replaced_by_the_interim() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what time do you open?")
    stage.run(10)
    assert thought(stage)[0][0] == pytest.approx(end + 0.4 + 1.0)
    assert thought(stage)[0][1] == "what time do you open?"


def test_a_final_text_that_comes_late_corrects_the_history_and_is_not_a_turn_of_its_own() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what thyme do you open?")
    stage.at(end + 1.6, e.Final("What time do you open?"))
    stage.run(10)
    assert len(thought(stage)) == 1
    assert stage.transcript()[0] == "user: What time do you open?"
    assert "late_final" in stage.notes()


def test_words_that_a_late_final_text_adds_are_not_lost() -> None:
    stage = answered(delays=Delays(final=None))
    end = stage.says(1, "what time do you open?")
    stage.at(end + 1.5, e.Final("what time do you open? On Sunday I mean."))
    stage.run(10)
    assert thought(stage)[-1][1] == "what time do you open? On Sunday I mean."
    assert stage.transcript()[0] == "user: what time do you open? On Sunday I mean."


def test_a_caller_who_goes_on_before_the_answer_is_audible_has_said_one_thing() -> None:
    stage = answered()
    end = stage.says(1, "I want a cake.")
    stage.says(end + 0.5, "and some bread.")
    stage.run(10)
    assert [text for _, text in thought(stage)] == ["I want a cake.", "I want a cake. and some bread."]
    assert stage.transcript() == ["user: I want a cake. and some bread.", "assistant: We open at nine."]
    assert c.DropReply(1) in [command for _, command in stage.log]
    assert [turn.turn.said for turn in stage.turns()] == ["I want a cake. and some bread."]


def test_an_answer_never_starts_while_the_caller_is_speaking_on() -> None:
    stage = answered()
    end = stage.says(1, "I want a cake.")
    again = stage.says(end + 0.5, "with strawberries and cream and chocolate.", interims=False)
    stage.run(10)
    starts = [time for time, event in stage.events if isinstance(event, e.PlayoutStarted)]
    assert all(time > again for time in starts)


def test_a_cough_while_the_model_thinks_costs_nothing() -> None:
    stage = answered()
    end = stage.says(1, "what time do you open?")
    stage.noise(end + 0.5, 0.2)
    stage.run(10)
    assert len(thought(stage)) == 1
    assert "false_interruption" in stage.notes()
    assert stage.transcript()[-1] == "assistant: We open at nine."


def test_a_sound_without_words_is_no_turn() -> None:
    stage = answered()
    stage.noise(1, 0.4)
    stage.run(5)
    assert stage.notes() == ["nothing_heard"]
    assert stage.conversation.state is State.QUIET
    assert stage.turns() == []


def test_after_two_sounds_without_words_the_caller_is_asked_to_repeat() -> None:
    stage = answered()
    stage.noise(1, 0.4)
    stage.noise(3, 0.4)
    stage.noise(9, 0.4)
    stage.run(12)
    assert stage.spoken() == [Plan().phrases.unheard]


def test_a_streaming_recogniser_that_says_nothing_is_not_waited_for_longer_than_its_timeout() -> None:
    stage = answered()
    stage.says(1, "what time do you open?")
    end = stage.noise(8, 0.4, reported=False)
    stage.run(end + 2.0 + 1.0)
    assert stage.conversation.state is State.QUIET


def test_a_recogniser_of_whole_utterances_is_given_more_time_but_not_for_ever() -> None:
    stage = answered(delays=Delays(final=2.5))
    end = stage.says(1, "what time do you open?", interims=False)
    stage.noise(10, 0.4, reported=False)
    stage.run(20)
    assert thought(stage) == [(pytest.approx(end + 2.5), "what time do you open?")]  # type: ignore[comparison-overlap]  # approx compares
    assert stage.conversation.state is State.QUIET


def test_the_final_text_is_asked_for_once_the_turn_looks_complete() -> None:
    stage = answered(delays=Delays(final=0.6))
    end = stage.says(1, "I want a cake and [1.0] some bread.", score=0.95)
    stage.run(10)
    asked = [time for time, _ in stage.commands(c.FinalizeHearing)]
    assert asked == pytest.approx([end - 1.6 + 0.26, end + 0.26])


def test_a_recogniser_that_has_said_all_is_not_asked_again() -> None:
    stage = answered(delays=Delays(final=0.1))
    stage.says(1, "what time do you open?")
    stage.run(10)
    assert not stage.commands(c.FinalizeHearing)


def test_a_final_text_after_the_turn_was_given_up_is_still_answered_and_at_once() -> None:
    stage = answered()
    stage.says(1, "what time do you open?")
    end = stage.noise(8, 0.9, reported=False)
    stage.at(end + 1.6, e.Final("and on Sunday?"))
    stage.run(20)
    assert thought(stage)[-1][1] == "and on Sunday?"
    assert thought(stage)[-1][0] == pytest.approx(end + 1.6)


def test_the_record_of_a_turn_tells_its_times_from_the_answer_of_the_call() -> None:
    stage = Stage(Plan(), lambda think: ["We open at nine."])
    stage.at(100, e.Answered())
    stage.says(101, "what time do you open?")
    stage.run(120)
    turn = stage.turns()[0].turn
    assert turn.number == 1
    started = 2.5 + 0.4 + 0.3 + 0.04 + 0.15  # silence, first token, four words of text, first audio
    assert turn.started_at == pytest.approx(1)
    assert turn.speech_ended_at == pytest.approx(2.5)
    assert turn.reply_started_at == pytest.approx(started)
    assert turn.ended_at == pytest.approx(started + 1.2)
    assert turn.usage == {"output_tokens": 10}


def test_the_parts_of_the_timing_sum_to_the_whole() -> None:
    stage = answered(delays=Delays(final=0.7, token=0.02))
    end = stage.says(1, "what time do you open?")
    stage.run(10)
    timing = stage.turns()[0].turn.timing
    started = next(time for time, event in stage.events if isinstance(event, e.PlayoutStarted))
    assert timing is not None
    assert timing.total_ms == pytest.approx((started - end) * 1000, abs=1e-6)
    parts = [timing.endpointing_ms, timing.stt_ms, timing.llm_ms, timing.clause_ms, timing.tts_ms, timing.link_ms]
    assert parts == pytest.approx([400, 300, 300, 80, 150, 0])


def test_the_turn_model_is_not_asked_about_what_the_voice_detector_did_not_hear() -> None:
    stage = answered()
    stage.says(1, "what time do you open?")
    stage.says(8, "and on sunday?", vad=False)
    stage.run(20)
    assert len(stage.commands(c.ScoreTurn)) == 1
    assert len(thought(stage)) == 2
