"""Before the conversation proper: consent to be recorded, and a mailbox where a person was called."""

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.errors import ProviderError
from sovereign_pbx.core.plan import Collector, Consent, Phrases, Plan, SilencePlan, Voicemail
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.voicemail import DUTCH, ENGLISH, recognised
from tests.core.scripted import Delays, Stage
from tests.core.test_tools import Scripted

ASK = "This call is recorded. Press 1."


# consent


def asked(**plan: object) -> Stage:
    """The question is heard from 0.15 s to 1.95 s."""
    consent = Consent(message=ASK)
    stage = Stage(Plan(first_message="Good day.", consent=consent, **plan), Scripted(["All right."]))  # type: ignore[arg-type]  # passed on as they are
    stage.at(0, e.Answered())
    return stage


def kinds(stage: Stage) -> list[str]:
    return [type(command).__name__ for _, command in stage.log if isinstance(command, c.Speak | c.Record | c.Flush)]


def test_the_caller_hears_the_question_first_and_nothing_is_recorded() -> None:
    stage = asked().run(3)
    assert stage.spoken() == [ASK]
    assert stage.conversation.state is State.CONSENT
    assert not stage.commands(c.Record)


def test_the_key_begins_recording_and_then_the_greeting() -> None:
    stage = asked()
    stage.at(3, e.DigitPressed("1"))
    stage.run(6)
    assert kinds(stage) == ["Speak", "Record", "Speak"]
    assert stage.spoken() == [ASK, "Good day."]
    assert stage.transcript() == [f"assistant: {ASK}", "assistant: Good day."]


def test_the_key_may_be_pressed_while_the_question_is_played() -> None:
    stage = asked()
    stage.at(1, e.DigitPressed("1"))
    stage.run(6)
    assert kinds(stage) == ["Speak", "Flush", "Record", "Speak"]
    assert stage.commands(c.Speak)[-1][0] == pytest.approx(1)


def test_a_hash_behind_the_key_means_nothing() -> None:
    stage = asked()
    stage.at(3, e.DigitPressed("1"))
    stage.at(3.3, e.DigitPressed("#"))
    stage.run(10)
    assert not stage.commands(c.Think)
    assert stage.transcript() == [f"assistant: {ASK}", "assistant: Good day."]


def test_keys_beyond_the_consent_are_not_lost_and_masked_where_that_is_asked() -> None:
    stage = asked(keys=Collector(between=2.0, mask=True))
    for number, key in enumerate("1742"):
        stage.at(1 + 0.2 * number, e.DigitPressed(key))
    stage.run(10)
    assert stage.commands(c.Record)[0][0] == pytest.approx(1)
    assert "user: DTMF: ••• (entry-1)" in stage.transcript()
    assert stage.conversation.keyed("entry") == "742"
    assert not [1 for _, command in stage.log if "742" in str(command)]


def test_what_is_said_before_the_consent_is_not_listened_to() -> None:
    stage = asked()
    stage.says(1, "what is this about")
    stage.at(4, e.DigitPressed("1"))
    stage.run(10)
    assert not [command for _, command in stage.log if isinstance(command, c.Think | c.ScoreTurn | c.Pause)]
    assert stage.transcript() == [f"assistant: {ASK}", "assistant: Good day."]


def test_another_key_repeats_the_question_once() -> None:
    stage = asked()
    stage.at(3, e.DigitPressed("2"))
    stage.at(6, e.DigitPressed("1"))
    stage.run(12)
    assert stage.spoken() == [ASK, ASK, "Good day."]


def test_who_never_agrees_is_given_to_the_fallback_unrecorded() -> None:
    stage = asked().run(60)
    assert stage.spoken() == [ASK, ASK, Phrases().unwell]
    times = [time for time, _ in stage.commands(c.Speak)]
    assert times[1] == pytest.approx(0.15 + 1.8 + 8)
    assert times[2] == pytest.approx(times[1] + 0.15 + 1.8 + 8)
    assert stage.log[-1][1] == c.HandOver("", "rejected")
    assert not stage.commands(c.Record)
    assert {"name": "recording_consent", "given": False} in [
        {"name": each.name, **each.values} for _, each in stage.log if isinstance(each, c.Note)
    ]


def test_a_question_that_can_not_be_said_is_no_question() -> None:
    stage = asked()
    stage.at(0.01, e.SpeechFailed(1, ProviderError("scripted", "tts", "stalled")))
    stage.at(0.02, e.SpeechFailed(2, ProviderError("scripted", "tts", "stalled")))
    stage.run(30)
    assert stage.log[-1][1] == c.HandOver("", "rejected")


def test_a_failure_of_the_question_that_was_cut_off_is_no_answer() -> None:
    stage = asked()
    stage.at(1, e.DigitPressed("2"))
    stage.at(1, e.SpeechFailed(1, ProviderError("scripted", "tts", "stalled")))
    stage.run(4)
    assert stage.spoken() == [ASK, ASK]


def test_time_for_the_answer_begins_at_the_end_of_the_question() -> None:
    question = "word " * 40
    stage = Stage(Plan(consent=Consent(message=question)))
    stage.at(0, e.Answered())
    stage.at(1, e.DigitPressed("2"))
    stage.run(13)
    assert stage.spoken() == [question, question]
    assert stage.conversation.state is State.CONSENT


def test_the_question_and_the_greeting_are_exchanges_of_their_own() -> None:
    stage = asked()
    stage.at(3, e.DigitPressed("1"))
    stage.run(8)
    assert [turn.turn.number for turn in stage.turns()] == [0, 1]


def test_words_on_hold_before_the_consent_are_not_kept() -> None:
    stage = asked()
    stage.at(1, e.HoldChanged(True), e.Final("my card number is one two three"))
    stage.at(2, e.HungUp())
    stage.run(5)
    assert [message.role for message in stage.conversation.history] == ["assistant"]


@pytest.mark.parametrize("kind", ["say", "inject"])
def test_orders_wait_for_the_consent(kind: str) -> None:
    stage = asked()
    stage.at(1, e.Instructed(kind, "Your order is ready.", then=kind == "inject"))  # type: ignore[arg-type]  # both are kinds
    stage.run(2.5)
    assert stage.conversation.state is State.CONSENT
    stage.at(3, e.DigitPressed("1"))
    stage.run(12)
    assert stage.spoken()[:2] == [ASK, "Good day."]
    assert len(stage.spoken()) == 3


def test_an_order_to_end_the_call_ends_it_before_the_consent() -> None:
    stage = asked()
    stage.at(1, e.Instructed("end"))
    stage.run(5)
    assert stage.log[-1][1] == c.HangUp("api_end_call")


def test_the_consent_outlasts_a_hold() -> None:
    stage = asked()
    stage.at(1, e.HoldChanged(True))
    stage.at(40, e.HoldChanged(False))
    stage.run(45)
    assert stage.spoken() == [ASK]
    stage.at(46, e.DigitPressed("1"))
    assert stage.run(50).spoken() == [ASK, "Good day."]


def test_a_caller_who_hangs_up_at_the_question_ends_the_call() -> None:
    stage = asked()
    stage.at(1, e.HungUp())
    assert stage.run(5).conversation.state is State.ENDED


# mailboxes

MESSAGE = "Please call us back."
MAILBOX = "you have reached the mailbox of Jan"


def calls(message: str = MESSAGE, *, greeting: str = "Good day, the bakery.", **plan: object) -> Stage:
    settled = Plan(first_message=greeting, voicemail=Voicemail(message=message), **plan)  # type: ignore[arg-type]  # passed on as they are
    stage = Stage(settled, Scripted(["All right."]))
    stage.at(0, e.Answered())
    return stage


@pytest.mark.parametrize("phrase", [*ENGLISH, *DUTCH])
def test_every_phrase_of_the_lists_is_recognised_in_a_sentence(phrase: str) -> None:
    assert recognised(f"Well, {phrase.upper()}!")


@pytest.mark.parametrize(
    "text",
    [
        "Dit is de voicemail van Jan de Vries. Spreek een bericht in na de toon.",
        "De persoon die u belt, is op dit moment niet bereikbaar.",
        "Hallo, met Anna. Ik kan de telefoon nu even niet opnemen.",
        "The person you are calling is not available. Please leave a message after the tone.",
    ],
)
def test_mailboxes_as_they_are_are_recognised(text: str) -> None:
    assert recognised(text)


@pytest.mark.parametrize("text", ["Hello?", "Met Jan de Vries.", "Hallo, met Anna spreekt u.", "Yes, who is this?", ""])
def test_people_are_not_taken_for_mailboxes(text: str) -> None:
    assert not recognised(text)


def test_whoever_answers_speaks_first() -> None:
    stage = calls().run(2.9)
    assert stage.spoken() == []


def test_a_person_is_greeted_when_he_has_said_hello() -> None:
    stage = calls()
    stage.says(0.8, "Hello?")
    stage.run(8)
    assert stage.transcript() == ["user: Hello?", "assistant: Good day, the bakery."]
    assert not stage.commands(c.Think)


def test_without_a_greeting_the_model_answers_his_hello() -> None:
    stage = calls(greeting="")
    stage.says(0.8, "Hello?")
    assert stage.run(8).transcript() == ["user: Hello?", "assistant: All right."]


def test_a_silent_person_is_greeted_after_a_while() -> None:
    stage = calls().run(8)
    assert stage.commands(c.Speak)[0][0] == pytest.approx(3.0)
    assert stage.spoken() == ["Good day, the bakery."]


def test_a_cough_does_not_keep_the_greeting_away() -> None:
    stage = calls()
    stage.noise(0.5, 0.4)
    assert stage.run(12).spoken() == ["Good day, the bakery."]


def test_a_mailbox_is_heard_out_and_left_the_message() -> None:
    stage = calls()
    silent = stage.says(0.8, f"{MAILBOX} [1.0] leave your name after the tone")
    stage.run(30)
    assert stage.spoken() == [MESSAGE]
    assert stage.commands(c.Speak)[0][0] >= silent + 1.2
    assert stage.log[-1][1] == c.HangUp("voicemail")
    assert stage.transcript() == [f"user: {MAILBOX} leave your name after the tone", f"assistant: {MESSAGE}"]


def test_without_a_message_the_call_ends_at_once() -> None:
    stage = calls("")
    stage.says(0.8, MAILBOX)
    stage.run(30)
    assert stage.spoken() == []
    assert stage.log[-1][1] == c.HangUp("voicemail")
    assert stage.transcript() == [f"user: {MAILBOX}"]


def test_a_mailbox_that_never_falls_silent_gets_the_message_anyway() -> None:
    stage = calls()
    stage.says(0.8, MAILBOX)
    stage.at(4.2, e.SpeechStarted(4.1))
    stage.run(60)
    assert stage.spoken() == [MESSAGE]
    assert stage.commands(c.Speak)[0][0] == pytest.approx(34, abs=1)


def test_a_late_mailbox_that_was_greeted_is_recognised_too() -> None:
    stage = calls()
    stage.says(5, MAILBOX)
    stage.run(30)
    assert stage.spoken() == ["Good day, the bakery.", MESSAGE]


def test_only_the_first_utterance_is_searched() -> None:
    stage = calls()
    stage.says(0.8, "Hello?")
    stage.says(6, "can I leave a message")
    stage.run(20)
    assert stage.spoken()[-1] == "All right."
    assert stage.conversation.state is State.QUIET


def test_silence_is_not_handled_before_the_greeting() -> None:
    stage = calls(silence=SilencePlan(first_check=1.0, messages=("Still there?",))).run(6)
    assert stage.spoken()[0] == "Good day, the bakery."


def test_keys_pressed_before_do_not_disturb_a_mailbox() -> None:
    stage = calls()
    stage.says(0.8, MAILBOX)
    stage.at(2.5, e.DigitPressed("5"))
    stage.run(30)
    assert stage.spoken() == [MESSAGE]
    assert stage.transcript()[-1] == f"assistant: {MESSAGE}"


def test_orders_come_too_late_for_a_mailbox() -> None:
    stage = calls()
    stage.says(0.8, MAILBOX)
    stage.at(3.9, e.Instructed("say", "Hello there."))
    stage.run(30)
    assert stage.spoken() == [MESSAGE]
    assert "instructed_too_late" in stage.notes()


def test_a_recogniser_without_interims_does_for_it() -> None:
    stage = Stage(Plan(voicemail=Voicemail(message=MESSAGE)), Scripted(["."]), delays=Delays(final=0.6))
    stage.at(0, e.Answered())
    stage.says(0.8, MAILBOX, interims=False)
    assert stage.run(30).spoken() == [MESSAGE]
