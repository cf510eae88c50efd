"""Who has answered a call that we placed: a mailbox with its beep, a screening service, a network, a fax, a person."""

from typing import Any

import pytest

from sovereign_pbx.core import commands as c
from sovereign_pbx.core import events as e
from sovereign_pbx.core.plan import Plan, Voicemail
from sovereign_pbx.core.screening import ASKS, DECLINES, WAITS, who_says
from sovereign_pbx.core.turn import State
from sovereign_pbx.core.values import AnsweredBy
from sovereign_pbx.core.voicemail import FRENCH, GERMAN, recognised
from tests.core.scripted import Stage

GREETING = "Good day, this is the bakery."
MESSAGE = "Please call the bakery back."
INTRODUCTION = "This is the bakery about your order."
MAILBOX = "You have reached the voicemail of Jan"
IOS = "Hi if you record your name and reason for calling I'll see if this person is available"
GOOGLE = (
    "Hi, the person you're calling is using a screening service from Google, and will get a copy of this conversation. "
    "Go ahead and say your name, and why you're calling."
)


def calls(*, message: str = MESSAGE, introduction: str = INTRODUCTION, by: AnsweredBy = "unknown", **p: Any) -> Stage:
    voicemail = Voicemail(message=message, introduction=introduction, answered_by=by)
    stage = Stage(Plan(first_message=GREETING, voicemail=voicemail, **p), lambda think: ["All right."])
    stage.at(0, e.Answered())
    return stage


def found(stage: Stage) -> list[str]:
    """Who was found to have answered, in order."""
    notes = [note for _, note in stage.log if isinstance(note, c.Note) and note.name == "answered_by"]
    return [note.values["who"] for note in notes]


def beep(stage: Stage, at: float, *, known_after: float = 0.08) -> None:
    stage.at(at + known_after, e.ToneHeard("beep", at))


# words


@pytest.mark.parametrize("phrase", ASKS)
def test_every_question_for_the_caller_is_screening(phrase: str) -> None:
    assert who_says(f"Well, {phrase.upper()}?", screened=False) == "screening"


@pytest.mark.parametrize("phrase", WAITS)
def test_every_request_to_wait_is_one(phrase: str) -> None:
    assert who_says(f"{phrase}.", screened=True) == "waiting"


@pytest.mark.parametrize("phrase", DECLINES)
def test_every_refusal_is_one_after_screening_only(phrase: str) -> None:
    assert who_says(f"Sorry, {phrase}.", screened=True) == "declined"
    assert who_says(f"Sorry, {phrase}.", screened=False) != "declined"


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (IOS, "screening"),
        (GOOGLE, "screening"),
        ("Please state your name after the tone and Google Voice will try to connect you.", "screening"),
        ("This call is being screened. What is the reason for your call?", "screening"),
        ("May I ask who’s calling?", "screening"),
        ("Goedemiddag, wie kan ik zeggen dat er belt?", "screening"),
        ("Wen darf ich melden?", "screening"),
        ("C'est de la part de qui ?", "screening"),
        ("Please leave your name and number after the tone.", "mailbox"),
        ("Bitte nennen Sie Ihren Namen und Ihre Telefonnummer nach dem Signalton.", "mailbox"),
        ("Spreek uw naam in en uw nummer na de piep.", "mailbox"),
        ("Vous êtes bien sur la messagerie de Jeanne.", "mailbox"),
        ("Met Jan de Vries.", "person"),
        ("Hello?", "person"),
        ("Ja, hallo, Schmidt.", "person"),
    ],
)
def test_services_mailboxes_and_people_are_told_apart(text: str, who: str) -> None:
    assert who_says(text, screened=False) == who


@pytest.mark.parametrize("phrase", [*GERMAN, *FRENCH])
def test_mailboxes_are_recognised_in_german_and_french_too(phrase: str) -> None:
    assert recognised(f"Also, {phrase.upper()}.")


# a mailbox and its beep


def test_the_message_begins_at_once_after_the_beep() -> None:
    stage = calls()
    silent = stage.says(0.8, f"{MAILBOX} leave a message after the beep")
    beep(stage, silent + 0.9)
    stage.run(30)
    assert stage.commands(c.Speak)[0][0] == pytest.approx(silent + 0.98)
    assert stage.spoken() == [MESSAGE]
    assert stage.log[-1][1] == c.HangUp("voicemail")


def test_the_message_is_not_begun_while_the_greeting_goes_on() -> None:
    stage = calls()
    silent = stage.says(0.8, f"{MAILBOX} [0.9] I am on holiday until the first [0.9] leave a message after the beep")
    beep(stage, silent + 0.9)
    stage.run(40)
    assert stage.commands(c.Speak)[0][0] > silent + 0.9


def test_a_message_that_the_beep_came_into_is_said_again_from_its_beginning() -> None:
    stage = calls()
    silent = stage.says(0.8, MAILBOX)
    beep(stage, silent + 2.2)
    stage.run(30)
    assert stage.spoken() == [MESSAGE, MESSAGE]
    assert stage.commands(c.Speak)[1][0] == pytest.approx(silent + 2.28)
    assert stage.log[-1][1] == c.HangUp("voicemail")
    assert stage.transcript()[-1] == f"assistant: {MESSAGE}"


def test_but_once_only_and_not_for_the_beep_that_ends_the_recording() -> None:
    long = " ".join([MESSAGE] * 10)
    stage = calls(message=long)
    silent = stage.says(0.8, MAILBOX)
    beep(stage, silent + 8.0)
    stage.run(60)
    assert stage.spoken() == [long]


def test_a_beep_after_a_long_greeting_is_a_mailbox_in_whatever_language() -> None:
    stage = calls()
    silent = stage.says(0.8, "ez itt az üzenetrögzítő kérem a sípszó után")
    beep(stage, silent + 0.1)
    stage.run(30)
    assert found(stage) == ["mailbox"]
    assert stage.spoken() == [MESSAGE]


def test_a_beep_before_anybody_has_spoken_is_no_mailbox() -> None:
    stage = calls()
    beep(stage, 0.4)
    stage.says(1.0, "Hello?")
    assert stage.run(8).spoken() == [GREETING]


def test_a_beep_behind_a_short_hello_is_the_persons_own() -> None:
    stage = calls()
    silent = stage.says(0.8, "Hello?")
    beep(stage, silent + 0.1, known_after=0.06)
    assert stage.run(8).spoken() == [GREETING]


def test_a_beep_in_a_conversation_means_nothing() -> None:
    stage = calls()
    stage.says(0.8, "Hello?")
    beep(stage, 5.0)
    assert stage.run(12).spoken() == [GREETING]


def test_no_filler_is_said_to_a_mailbox() -> None:
    stage = calls(reply_filler_after=0.5)
    stage.delays = stage.delays.__class__(final=None)
    stage.says(0.8, MAILBOX)
    stage.run(20)
    assert stage.spoken() == [MESSAGE]


# networks and machines


def test_a_number_that_is_not_in_service_ends_the_call() -> None:
    stage = calls()
    stage.at(1.2, e.ToneHeard("not_in_service", 1.1))
    stage.run(5)
    assert stage.log[-1][1] == c.HangUp("error", "the number is not in service")
    assert found(stage) == ["network"]


def test_a_fax_machine_ends_the_call() -> None:
    stage = calls()
    stage.at(1.2, e.ToneHeard("fax", 1.1))
    stage.run(5)
    assert stage.log[-1][1] == c.HangUp("error", "a fax machine answered")
    assert found(stage) == ["fax"]


def test_tones_are_listened_for_only_until_somebody_is_found() -> None:
    stage = calls()
    stage.says(0.8, "Hello?")
    stage.run(8)
    assert [command for _, command in stage.commands(c.WatchTones)] == [c.WatchTones(True), c.WatchTones(False)]


def test_inbound_calls_are_not_listened_to_for_tones() -> None:
    stage = Stage(Plan(first_message=GREETING))
    stage.at(0, e.Answered())
    assert not stage.run(5).commands(c.WatchTones)


# call screening


def test_a_screening_service_is_told_who_calls_and_the_person_is_greeted() -> None:
    stage = calls()
    stage.says(0.8, IOS)
    stage.run(13)
    assert stage.spoken() == [INTRODUCTION]
    stage.says(13, "thank you please stay on the line")
    stage.run(25)
    assert stage.spoken() == [INTRODUCTION]
    stage.says(25, "hello this is Jan")
    stage.run(30)
    assert stage.spoken() == [INTRODUCTION, GREETING]
    assert found(stage) == ["screening", "waiting", "person"]
    assert not stage.commands(c.Think)


def test_screening_that_ends_in_a_mailbox_leaves_the_message() -> None:
    stage = calls()
    stage.says(0.8, IOS)
    silent = stage.says(13, "this person is unavailable leave a message after the tone")
    beep(stage, silent + 1.0)
    stage.run(40)
    assert stage.spoken() == [INTRODUCTION, MESSAGE]
    assert found(stage) == ["screening", "mailbox"]
    assert stage.log[-1][1] == c.HangUp("voicemail")


def test_a_person_who_declines_is_not_pressed() -> None:
    stage = calls()
    stage.says(0.8, GOOGLE)
    stage.says(20, "the person you are calling can't talk right now goodbye")
    stage.run(40)
    assert stage.spoken() == [INTRODUCTION]
    assert found(stage) == ["screening", "declined"]
    assert stage.log[-1][1] == c.HangUp("rejected")


def test_an_introduction_that_was_talked_over_is_said_again() -> None:
    stage = calls()
    stage.says(0.8, "Hi if you record your name and reason for calling")
    stage.run(5.0)
    assert stage.spoken() == [INTRODUCTION]
    stage.says(5.1, "I will see whether he is there")
    stage.run(20)
    assert stage.spoken() == [INTRODUCTION, INTRODUCTION]


def test_a_service_that_asks_for_ever_hears_the_model_in_the_end() -> None:
    stage = calls()
    for at in (1, 8, 15, 22):
        stage.says(at, "please state your name")
    stage.run(40)
    assert stage.spoken() == [INTRODUCTION] * 3 + [GREETING]


def test_nobody_who_comes_is_no_answer() -> None:
    stage = calls()
    stage.says(0.8, IOS)
    stage.run(60)
    assert stage.log[-1][1] == c.HangUp("no_answer")
    assert found(stage) == ["screening", "nobody"]


def test_somebody_who_asks_to_hold_is_waited_for() -> None:
    stage = calls()
    stage.says(0.8, "one moment please")
    stage.run(15)
    assert stage.spoken() == []
    stage.says(15, "yes Jan speaking")
    assert stage.run(20).spoken() == [GREETING]


def test_without_an_introduction_the_greeting_is_the_answer() -> None:
    stage = calls(introduction="")
    stage.says(0.8, IOS)
    assert stage.run(13).spoken() == [GREETING]


# what the PBX has found


def test_a_person_found_by_the_pbx_is_greeted_at_once() -> None:
    stage = calls(by="person").run(3)
    assert stage.commands(c.Speak)[0][0] == 0
    assert stage.spoken() == [GREETING]
    stage.says(3, "leave a message with my colleague")
    assert stage.run(10).spoken() == [GREETING, "All right."]


def test_a_mailbox_found_by_the_pbx_is_heard_to_its_beep() -> None:
    stage = calls(by="mailbox")
    stage.says(0.1, "ez itt az üzenetrögzítő")
    beep(stage, 2.4)
    stage.run(20)
    assert stage.commands(c.Speak)[0][0] == pytest.approx(2.48)
    assert stage.spoken() == [MESSAGE]


def test_a_mailbox_found_by_the_pbx_is_hung_up_on_without_a_message() -> None:
    stage = calls(message="", by="mailbox").run(1)
    assert stage.log[-1] == (0, c.HangUp("voicemail"))


def test_a_mailbox_that_says_nothing_more_gets_its_message_after_a_pause() -> None:
    stage = calls(by="mailbox").run(20)
    assert stage.commands(c.Speak)[0][0] == pytest.approx(1.2)
    assert stage.conversation.state is State.ENDED
