"""What the turn machine gets to know of an assistant."""

from typing import Any

import pytest

from sovereign_pbx.assistants.model import Assistant
from sovereign_pbx.assistants.phrases import BUILT_IN, phrases_for
from sovereign_pbx.assistants.plan import language_of, plan_for
from sovereign_pbx.core.plan import Consent, Plan, SilencePlan, ToolMessage, Transfer, TurnTaking, Voicemail
from sovereign_pbx.core.values import Message


def assistant(**data: Any) -> Assistant:
    return Assistant.parse(data, where="it")


def test_a_bare_assistant_has_the_defaults_of_the_contract() -> None:
    assert plan_for(assistant()) == Plan(end_call_tools=(), transfer_tools=())


def test_tools_of_the_conversations_own_are_known_by_the_names_they_were_given() -> None:
    destination = {"type": "number", "number": "100", "description": "Sales", "message": "I put you through."}
    tools = [
        {"type": "end_call", "name": "goodbye"},
        {"type": "transfer_call", "name": "connect", "destinations": [destination]},
        {"name": "book", "description": "Book", "message": "I am booking."},
        {"name": "note", "description": "Note", "message": "Noted.", "async": True},
        {"name": "end_call", "description": "A webhook of that name."},
    ]
    plan = plan_for(assistant(llm_config={"tools": tools}))
    assert (plan.end_call_tools, plan.transfer_tools) == (("goodbye",), ("connect",))
    assert plan.transfers == (Transfer("100", "I put you through."),)
    assert plan.tool_messages == (ToolMessage("book", "I am booking."),)


def test_everything_that_is_set_reaches_the_plan() -> None:
    plan = plan_for(
        assistant(
            first_message="Hallo",
            max_duration_seconds=60,
            autonomous_silence_handling=True,
            stt_config={"language": "nl"},
            llm_config={"messages": [{"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}]},
            speech_config={
                "turn_taking": {"endpointing_min_delay": 0.6, "false_interruption_timeout": None},
                "silence": {
                    "interval_seconds": 5,
                    "max_attempts": 2,
                    "messages": ["Bent u er nog?"],
                    "final_message": "Dag",
                },
                "end_call_phrases": ["tot ziens"],
                "end_call_message": "Tot horens",
            },
            phrases={"filler": "Even kijken.", "tool_filler_after": 2},
        )
    )
    assert plan.first_message == "Hallo"
    assert plan.messages == (Message("system", "S"), Message("assistant", "A"))
    assert plan.turn_taking == TurnTaking(endpointing_min_delay=0.6, false_interruption_timeout=None)
    assert plan.silence == SilencePlan(interval=5.0, max_attempts=2, messages=("Bent u er nog?",), final_message="Dag")
    assert plan.end_call_phrases == ("tot ziens",)
    assert plan.max_duration == 60.0
    assert plan.tool_filler_after == 2.0
    assert plan.phrases.filler == "Even kijken."
    assert plan.phrases.goodbye == "Tot horens"
    assert plan.phrases.apology == BUILT_IN["nl"].apology


def test_silence_is_only_handled_when_it_is_switched_on() -> None:
    assert plan_for(assistant(speech_config={"silence": {"max_attempts": 2}})).silence is None


@pytest.mark.parametrize(
    ("data", "first_check"),
    [
        ({}, 3.0),
        ({"silence_timeout_seconds": 8}, 8.0),
        ({"silence_timeout_seconds": 8, "speech_config": {"silence": {"first_check_seconds": 5}}}, 5.0),
    ],
)
def test_the_older_silence_knob_counts_where_the_newer_is_not_set(data: dict[str, Any], first_check: float) -> None:
    plan = plan_for(assistant(autonomous_silence_handling=True, **data))
    assert plan.silence is not None and plan.silence.first_check == first_check


def test_outbound_calls_have_a_greeting_of_their_own_that_falls_back() -> None:
    both = assistant(first_message="In", speech_config={"first_message_outbound": "Out"})
    assert plan_for(both, direction="outbound").first_message == "Out"
    assert plan_for(both).first_message == "In"
    assert plan_for(assistant(first_message="In"), direction="outbound").first_message == "In"


@pytest.mark.parametrize(
    ("tag", "known"), [("nl-NL", "nl"), ("de_CH", "de"), ("FR", "fr"), ("pl", "en"), ("multi", "en")]
)
def test_phrases_are_in_the_callers_language_or_english(tag: str, known: str) -> None:
    assert phrases_for(tag) is BUILT_IN[known]


def test_a_recogniser_of_many_languages_leaves_the_choice_to_the_voice() -> None:
    assert language_of(assistant(stt_config={"language": "multi"}, tts_config={"language": "de"})) == "de"
    assert language_of(assistant(tts_config={"language": "de"})) == "de"
    assert language_of(assistant()) == "en"


def test_consent_is_asked_of_inbound_calls_only() -> None:
    asking = assistant(recording_consent={"enabled": True, "message": "Press 1."})
    assert plan_for(asking).consent == Consent(message="Press 1.")
    assert plan_for(asking, direction="outbound").consent is None
    assert plan_for(asking, direction="web").consent is None
    assert plan_for(assistant(recording_consent={"enabled": False, "message": "Press 1."})).consent is None


def test_consent_without_words_is_asked_in_the_language_of_the_call() -> None:
    plan = plan_for(assistant(recording_consent={"enabled": True}, stt_config={"provider": "x", "language": "nl"}))
    assert plan.consent is not None
    assert plan.consent.message.startswith("Dit gesprek wordt opgenomen.")


def test_mailboxes_are_looked_for_in_outbound_calls_only() -> None:
    looking = assistant(voicemail_detection=True, voicemail_message="Call us back.")
    assert plan_for(looking, direction="outbound").voicemail == Voicemail(message="Call us back.")
    assert plan_for(looking).voicemail is None
    assert plan_for(assistant(voicemail_message="Call us back."), direction="outbound").voicemail is None
