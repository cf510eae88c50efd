"""Both want the floor: barge-in in two steps, and the way back."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, TurnTaking
from sovereign_pbx.core.turn import State
from tests.core.scripted import WORD_S, Delays, Stage

LONG = "We are open every weekday from nine in the morning until six in the evening. On Saturday we close at four."


def speaking(turn_taking: TurnTaking | None = None, **options: object) -> Stage:
    """The assistant is audible from 2.9 s on, for more than six seconds."""
    plan = Plan(turn_taking=turn_taking or TurnTaking())
    stage = Stage(plan, lambda think: [LONG] if think.reply == 1 else ["All right."], **options)  # type: ignore[arg-type]  # passed on as they are
    stage.at(0, e.Answered())
    stage.says(1, "when are you open?")
    return stage


def end_of_speech(stage: Stage) -> float:
    """When the assistant will have spoken to the end, if nobody interrupts."""
    stage.run(4)
    started = next(time for time, event in stage.events if isinstance(event, e.PlayoutStarted))
    return started + WORD_S * len(LONG.split())


def first(stage: Stage, kind: type[c.Command]) -> float:
    return stage.commands(kind)[0][0]


def test_playout_is_held_at_the_first_report_of_speech() -> None:
    stage = speaking()
    stage.says(4, "wait please")
    stage.run(6)
    assert first(stage, c.Pause) == pytest.approx(4.08)


def test_a_click_does_not_hold_playout() -> None:
    stage = speaking(delays=Delays(vad_onset=0.03, vad_hangover=0.02))
    stage.noise(4, 0.03)
    stage.run(15)
    assert not stage.commands(c.Pause)


def test_speech_reported_very_early_is_given_two_windows_of_the_voice_detector() -> None:
    stage = speaking(delays=Delays(vad_onset=0.03))
    stage.says(4, "wait please")
    stage.run(6)
    assert first(stage, c.Pause) == pytest.approx(4.06)


def test_words_confirm_an_interruption() -> None:
    stage = speaking()
    stage.says(4, "wait please")
    stage.run(8)
    at, flush = next((time, command) for time, command in stage.log if isinstance(command, c.Flush))
    assert isinstance(flush, c.Flush)
    assert at == pytest.approx(4 + 0.3 + 0.24)
    assert c.DropReply(1) in [command for time, command in stage.log if time == at]


def test_the_history_holds_what_was_heard() -> None:
    stage = speaking()
    stage.says(4, "wait please")
    stage.run(10)
    started = next(time for time, event in stage.events if isinstance(event, e.PlayoutStarted))
    count = int((4.08 - started) / 0.3 + 0.07)
    assert stage.transcript()[1] == "assistant: " + " ".join(LONG.split()[:count])
    assert stage.conversation.history[1].interrupted
    assert [turn.turn.interrupted for turn in stage.turns()] == [True, False]


def test_without_word_times_the_cut_is_estimated() -> None:
    stage = speaking(timed_words=False)
    stage.says(4, "wait please")
    stage.run(10)
    heard = stage.conversation.history[1].content
    assert LONG.startswith(heard)
    assert heard


def test_a_turn_that_began_as_an_interruption_began_at_its_first_sound() -> None:
    stage = speaking()
    stage.says(4, "wait please")
    stage.run(10)
    assert stage.turns()[1].turn.started_at == pytest.approx(4)


def test_late_text_audio_and_playout_of_a_dropped_reply_are_ignored() -> None:
    stage = speaking()
    stage.says(4, "wait please")
    stage.run(6)
    before = stage.transcript()
    for event in (
        e.ReplyText(1, "More of the same. And more."),
        e.SpeechAudio(2, 9000),
        e.SpeechDone(2),
        e.PlayoutStarted(2),
        e.PlayoutFinished(2),
        e.PlayoutFlushed(1, 9000),
        e.ReplyDone(1),
    ):
        assert stage.conversation.feed(event, 6.0) == []
    assert stage.transcript() == before


def test_a_cough_is_played_over_again_from_where_it_stopped() -> None:
    stage = speaking()
    stage.noise(4, 0.4)
    stage.run(20)
    assert not stage.commands(c.Flush)
    assert first(stage, c.Resume) == pytest.approx(4.4 + 0.25)
    assert stage.transcript()[-1] == f"assistant: {LONG}"
    assert not stage.conversation.history[-1].interrupted


def test_a_long_noise_without_words_gives_the_floor_back_after_the_timeout() -> None:
    stage = speaking()
    stage.noise(4, 0.5, reported=False)
    stage.run(20)
    assert first(stage, c.Resume) == pytest.approx(4.5 + 1.5)
    assert stage.transcript()[-1] == f"assistant: {LONG}"


def test_a_sound_too_short_to_interrupt_is_doubted_for_less_long() -> None:
    stage = speaking()
    stage.noise(4, 0.2, reported=False)
    stage.run(20)
    assert first(stage, c.Resume) == pytest.approx(4.2 + 0.6)


def test_words_that_come_after_playout_went_on_still_interrupt() -> None:
    stage = speaking(delays=Delays(final=0.9))
    stage.says(4, "no", interims=False)
    stage.run(12)
    assert first(stage, c.Resume) < first(stage, c.Flush)
    assert stage.transcript()[2] == "user: no"


def test_fewer_words_than_asked_for_do_not_interrupt() -> None:
    stage = speaking(TurnTaking(interruption_min_words=2))
    stage.says(4, "bread")
    stage.run(20)
    assert not stage.commands(c.Flush)
    assert stage.transcript()[1] == f"assistant: {LONG}"
    assert "words_too_few" in stage.notes()


def test_enough_words_interrupt_where_a_number_is_asked_for() -> None:
    stage = speaking(TurnTaking(interruption_min_words=2))
    stage.says(4, "but on Sunday please")
    stage.run(12)
    assert first(stage, c.Flush) == pytest.approx(4 + 0.6 + 0.24)


def test_words_too_few_to_interrupt_are_kept_for_the_next_turn() -> None:
    stage = speaking(TurnTaking(interruption_min_words=3))
    stage.says(4, "bread")
    stage.says(14, "and on Sunday?")
    stage.run(20)
    assert stage.transcript()[2] == "user: bread and on Sunday?"


def test_an_answer_over_the_last_word_of_the_question_is_a_turn() -> None:
    stage = speaking(TurnTaking(interruption_min_words=3))
    stage.says(end_of_speech(stage) - 0.5, "yes")
    stage.run(20)
    assert stage.transcript()[2:] == ["user: yes", "assistant: All right."]


def test_with_going_on_switched_off_speech_of_the_least_duration_cuts_for_good() -> None:
    stage = speaking(TurnTaking(false_interruption_timeout=None))
    stage.says(4, "wait a moment please", interims=False)
    stage.run(12)
    assert not stage.commands(c.Pause)
    assert first(stage, c.Flush) == pytest.approx(4.3)


def test_with_going_on_switched_off_a_short_sound_does_nothing() -> None:
    stage = speaking(TurnTaking(false_interruption_timeout=None), delays=Delays(vad_hangover=0.05))
    stage.noise(4, 0.2)
    stage.run(20)
    assert not stage.commands(c.Pause) + stage.commands(c.Flush)


def test_with_going_on_switched_off_a_long_noise_makes_the_model_take_up_the_thread() -> None:
    stage = speaking(TurnTaking(false_interruption_timeout=None))
    stage.noise(4, 0.6)
    stage.run(12)
    (_, think) = stage.commands(c.Think)[1]
    assert isinstance(think, c.Think)
    assert think.messages[-1].role == "system"
    assert "cut off" in think.messages[-1].content
    assert stage.transcript()[-1] == "assistant: All right."


@pytest.mark.parametrize(("least", "interrupts"), [(0.05, True), (0.3, True), (0.5, False), (2.0, False)])
def test_words_in_a_sound_shorter_than_an_interruption_do_not_interrupt(least: float, interrupts: bool) -> None:
    stage = speaking(TurnTaking(interruption_min_duration=least))
    stage.says(4, "bread", interims=False)
    stage.run(30)
    assert bool(stage.commands(c.Flush)) is interrupts
    assert interrupts or stage.transcript()[1] == f"assistant: {LONG}"


def test_a_short_order_interrupts_however_long_an_interruption_has_to_be() -> None:
    stage = speaking(TurnTaking(interruption_min_duration=2.0))
    stage.says(4, "stop", interims=False)
    stage.run(30)
    assert "user: stop" in stage.transcript()


def test_words_without_speech_interrupt_too() -> None:
    stage = speaking()
    stage.says(4, "wait please", vad=False)
    stage.run(10)
    assert "words_without_speech" in stage.notes()
    assert "user: wait please" in stage.transcript()


def test_the_greeting_can_be_interrupted() -> None:
    stage = Stage(Plan(first_message="Welcome to the bakery on the corner of the market square."))
    stage.at(0, e.Answered())
    stage.says(1, "hello I want bread")
    stage.run(10)
    assert stage.conversation.history[0].interrupted
    assert stage.transcript()[1:] == ["user: hello I want bread", "assistant: All right."]


def test_an_interruption_in_which_no_word_was_heard_leaves_one_user_message() -> None:
    stage = speaking()
    stage.says(2.9, "and on Sunday?")
    stage.run(10)
    users = [message for message in stage.conversation.history if message.role == "user"]
    assert [message.content for message in users] == ["when are you open? and on Sunday?"]


def test_an_assistant_that_comes_to_its_end_under_the_callers_voice_was_not_interrupted() -> None:
    stage = speaking(TurnTaking(false_interruption_timeout=None, interruption_min_words=5))
    stage.says(end_of_speech(stage) - 0.4, "and tell me", interims=False)
    stage.run(20)
    assert not stage.conversation.history[1].interrupted
    assert stage.transcript()[1:] == [f"assistant: {LONG}", "user: and tell me", "assistant: All right."]


def test_a_caller_who_interrupts_twice_is_listened_to_twice() -> None:
    stage = speaking()
    stage.noise(4, 0.3)
    stage.says(6, "stop it")
    stage.run(12)
    assert len(stage.commands(c.Pause)) == 2
    assert stage.conversation.state is State.QUIET
    assert "user: stop it" in stage.transcript()
